/* pali bench: what was measured, as a table that grows or as one JSON object. */
#include "bench.h"

#include "say.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *key, *words;
} memories[BENCH_MEMORY_COUNT] = {
#define MEMORY_ROW(name, text, words) {text, words},
    BENCH_MEMORY_LIST(MEMORY_ROW)
#undef MEMORY_ROW
};
static const char *const units[BENCH_UNIT_COUNT] = {
#define UNIT_NAME(name, text, kernel) text,
    BENCH_UNIT_LIST(UNIT_NAME)
#undef UNIT_NAME
};

/* What is told of a stage's speed. */
typedef struct rate {
    double value;
    const char *unit;
} rate;

static rate rate_of(const bench_row *row)
{
    const double work = row->stage == BENCH_DECODE || row->stage == BENCH_LOAD ? row->bytes : row->pixels > 0 ? row->pixels : row->operations;
    const char *const unit = row->stage == BENCH_DECODE || row->stage == BENCH_LOAD ? "GB/s" : row->pixels > 0 ? "MP/s" : "GFLOP/s";
    return (rate){.value = work / row->time.median / (row->pixels > 0 ? 1e6 : 1e9), .unit = unit};
}

/* What the processor calls itself; "" where the system does not tell. */
static void processor_name(char name[64])
{
    char line[256];
    FILE *const file = fopen("/proc/cpuinfo", "r");
    name[0] = '\0';
    while (file && !name[0] && fgets(line, sizeof line, file))
        if (strncmp(line, "model name", 10) == 0 && strchr(line, ':'))
            snprintf(name, 64, "%.*s", (int)strcspn(strchr(line, ':') + 2, "\n"), strchr(line, ':') + 2);
    if (file)
        fclose(file);
}

static json_t *rate_json(bench_rate r)
{
    json_t *const object = json_object();
    json_object_set_new(object, "one", json_number(r.one));
    json_object_set_new(object, "all", json_number(r.all));
    return object;
}

void bench_report_begin(bench *b)
{
    char processor[64];
    processor_name(processor);
    const size_t threads = pl_pool_threads(b->pool);
    if (!b->report) {
        printf("pali %s on %s, %zu thread%s\n", pali_version(), *processor ? processor : "this processor", threads, threads == 1 ? "" : "s");
        return;
    }
    json_object_set_new(b->report, "version", json_string(pali_version()));
    json_object_set_new(b->report, "processor", json_text(processor));
    json_object_set_new(b->report, "threads", json_integer((json_int_t)threads));
    json_object_set_new(b->report, "ceilings", json_object());
    json_object_set_new(b->report, "stages", json_array());
}

static void print_rate(const char *name, bench_rate r, const char *unit)
{
    if (r.all > 0)
        printf("  %-28s %9.1f %-8s %9.1f %s\n", name, r.one / 1e9, unit, r.all / 1e9, unit);
}

static void print_ceilings(const bench *b)
{
    printf("\n  %-28s %9s %8s %9s\n", "ceiling", "1 thread", "", "all");
    for (size_t i = 0; i < BENCH_MEMORY_COUNT; i++)
        print_rate(memories[i].words, b->memory[i], "GB/s");
    for (size_t i = 0; i < b->level_count; i++)
        for (size_t u = 0; u < BENCH_UNIT_COUNT; u++) {
            char name[64];
            snprintf(name, sizeof name, "%s products, %s", units[u], b->levels[i]->level);
            print_rate(name, b->units[i][u], u == BENCH_INT8 ? "GOP/s" : "GFLOP/s");
        }
    fflush(stdout);
}

void bench_report_ceilings(bench *b)
{
    if (!b->report) {
        print_ceilings(b);
        return;
    }
    json_t *const ceilings = json_object_get(b->report, "ceilings"), *const products = json_object();
    for (size_t i = 0; i < BENCH_MEMORY_COUNT; i++)
        if (b->memory[i].all > 0)
            json_object_set_new(ceilings, memories[i].key, rate_json(b->memory[i]));
    for (size_t i = 0; i < b->level_count; i++) {
        json_t *const level = json_object();
        for (size_t u = 0; u < BENCH_UNIT_COUNT; u++)
            if (b->units[i][u].all > 0)
                json_object_set_new(level, units[u], rate_json(b->units[i][u]));
        json_object_set_new(products, b->levels[i]->level, level);
    }
    json_object_set_new(ceilings, "products", products);
}

void bench_report_model(bench *b)
{
    const pl_paligemma *const model = b->model;
    const char *const weights = !model ? "" : model->checkpoint ? "file" : "random";
    const char *const type = model ? pl_dtype_name(model->gemma.layers[0].gate.weight.dtype) : "";
    static const char *const activations[] = {"auto", "f32", "int8"};
    if (b->report) {
        json_object_set_new(b->report, "model", json_text(b->name));
        if (!model)
            return;
        json_object_set_new(b->report, "weights", json_string(weights));
        json_object_set_new(b->report, "type", json_string(type));
        json_object_set_new(b->report, "activations", json_string(activations[b->engine.activations]));
        json_object_set_new(b->report, "weight_bytes", json_integer((json_int_t)model->weight_bytes));
        return;
    }
    printf("\n%s", b->name);
    if (model)
        printf(": %s, %.2f GB%s", type, (double)model->weight_bytes / 1e9, model->checkpoint ? "" : ", random weights");
    printf("\n\n  %-26s %-13s %10s %7s %5s  %-16s %s\n", "stage", "level", "time", "spread", "runs", "rate", "of the ceiling");
    fflush(stdout);
}

static json_t *row_json(const bench_row *row)
{
    const rate r = rate_of(row);
    json_t *const object = json_object();
    json_object_set_new(object, "stage", json_string(bench_stage_name(row->stage)));
    json_object_set_new(object, "level", row->level ? json_string(row->level) : json_null());
    json_object_set_new(object, "batch", json_integer((json_int_t)row->batch));
    json_object_set_new(object, "count", json_integer((json_int_t)row->count));
    json_object_set_new(object, "seconds", json_number(row->time.median));
    json_object_set_new(object, "low", json_number(row->time.low));
    json_object_set_new(object, "high", json_number(row->time.high));
    json_object_set_new(object, "runs", json_integer((json_int_t)row->time.runs));
    json_object_set_new(object, "bytes", json_number(row->bytes));
    json_object_set_new(object, "operations", json_number(row->operations));
    json_object_set_new(object, "rate", json_number(r.value));
    json_object_set_new(object, "unit", json_string(r.unit));
    json_object_set_new(object, "bound", row->bound && row->floor > 0 ? json_string(row->bound) : json_null());
    json_object_set_new(object, "fraction", row->floor > 0 ? json_number(row->floor / row->time.median) : json_null());
    return object;
}

/* "vision, 256 tokens", "decode, batch 4" */
static void title_of(const bench_row *row, char title[64])
{
    const char *const name = bench_stage_name(row->stage);
    switch (row->stage) {
    case BENCH_PICTURE:
        snprintf(title, 64, "%s, JPEG of %.0f MP", name, row->pixels / 1e6);
        break;
    case BENCH_RESIZE:
        snprintf(title, 64, "%s, to %zu px", name, row->count);
        break;
    case BENCH_VISION:
    case BENCH_PREFILL:
        snprintf(title, 64, "%s, %zu tokens", name, row->count);
        break;
    case BENCH_DECODE:
        snprintf(title, 64, "%s, batch %zu", name, row->batch);
        break;
    case BENCH_FIRST_TOKEN:
    case BENCH_LOAD:
    case BENCH_CEILINGS:
    case BENCH_STAGE_COUNT:
        snprintf(title, 64, "%s", name);
    }
}

void bench_report_row(bench *b, const bench_row *row)
{
    if (b->report) {
        json_array_append_new(json_object_get(b->report, "stages"), row_json(row));
        return;
    }
    const rate r = rate_of(row);
    const double median = row->time.median, spread = (row->time.high - row->time.low) / 2 / median;
    const bool slow = median >= 1;
    char title[64], speed[32];
    title_of(row, title);
    snprintf(speed, sizeof speed, "%.*f %s", r.value < 100 ? 1 : 0, r.value, r.unit);
    printf("  %-26s %-13s %7.*f %-2s %5.0f %% %5zu  %-16s ", title, row->level ? row->level : "", slow ? 2 : median < 0.01 ? 3 : 1, slow ? median : median * 1e3, slow ? "s" : "ms",
           100 * spread, row->time.runs, speed);
    if (row->floor > 0)
        printf("%.0f %% (%s)\n", 100 * row->floor / median, row->bound);
    else
        printf("-\n");
    fflush(stdout);
}

int bench_report_end(bench *b)
{
    if (!b->report)
        return finish_output(0);
    json_object_set_new(b->report, "peak_memory_bytes", json_integer((json_int_t)peak_memory()));
    json_t *const report = b->report;
    b->report = NULL;
    return finish_output(print_json(report));
}
