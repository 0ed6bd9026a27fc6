/* pali batch: thousands of pictures, from one JSONL file to another. */
#include "interrupt.h"
#include "options.h"
#include "say.h"
#include "shard.h"
#include "use.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pali/batch.h>

/* What is told at the end, and by --json. */
static int print_report(const settings *given, const char *output, const pali_batch_report *report)
{
    if (report->failed)
        note(given, "%s: %zu of %zu rows failed, the first in line %zu of the input; their lines have an \"error\"", output, report->failed, report->rows, report->first_failed);
    if (report->resumed && report->resumed == report->rows)
        note(given, "%s: all %zu rows were there already", output, report->rows);
    else if (report->resumed)
        note(given, "%s: %zu of %zu rows were there already", output, report->resumed, report->rows);
    const int code = report->failed ? PALI_FAILED : 0;
    if (!given->json)
        return code;
    const double fresh = (double)(report->done - report->resumed);
    print_json(json_pack("{s:s, s:I, s:I, s:I, s:I, s:f, s:f}", "output", output, "rows", (json_int_t)report->rows, "done", (json_int_t)report->done, "resumed",
                         (json_int_t)report->resumed, "failed", (json_int_t)report->failed, "seconds", report->seconds, "rows_per_second",
                         report->seconds > 0 ? fresh / report->seconds : 0.0));
    return finish_output(code);
}

/* Options that say where, not what: with others the answers are the same. */
static bool changes_answers(const option *o)
{
    static const size_t places[] = {offsetof(settings, model), offsetof(settings, threads), offsetof(settings, pin), offsetof(settings, json), offsetof(settings, quiet)};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (o->place == places[i])
            return false;
    return true;
}

/* "name=a b c"; NULL for an empty list. New. */
static char *list_setting(const char *name, const text_list *list)
{
    size_t size = strlen(name) + 2;
    for (size_t i = 0; i < list->count; i++)
        size += strlen(list->items[i]) + 1;
    char *const text = list->count ? malloc(size) : NULL;
    if (!text)
        return NULL;
    char *end = text + sprintf(text, "%s=", name);
    for (size_t i = 0; i < list->count; i++)
        end += sprintf(end, "%s%s", i ? "\n" : "", list->items[i]);
    return text;
}

/* "name=value" of an option that was given; NULL where it was not. New. */
static char *setting_of(const option *o, const settings *given)
{
    const void *const place = (const char *)given + o->place;
    char *text = NULL;
    int length = 0;
    switch (o->kind) {
    case OPTION_FLAG:
        length = *(const bool *)place ? asprintf(&text, "%s=yes", o->name) : 0;
        break;
    case OPTION_TEXT:
    case OPTION_CHOICE:
        length = *(const char *const *)place ? asprintf(&text, "%s=%s", o->name, *(const char *const *)place) : 0;
        break;
    case OPTION_COUNT:
        length = *(const uint64_t *)place ? asprintf(&text, "%s=%llu", o->name, (unsigned long long)*(const uint64_t *)place) : 0;
        break;
    case OPTION_NUMBER:
        length = *(const double *)place != 0 ? asprintf(&text, "%s=%.17g", o->name, *(const double *)place) : 0;
        break;
    case OPTION_LIST:
    case OPTION_WORDS:
        return list_setting(o->name, place);
    }
    return length < 0 ? NULL : text;
}

/* The folder of "FOLDER:scale", or of "FOLDER"; new. */
static char *adapter_folder(const char *text)
{
    const char *const colon = strrchr(text, ':');
    double scale;
    return colon && read_number(colon + 1, -1e9, 1e9, &scale) ? strndup(text, (size_t)(colon - text)) : strdup(text);
}

typedef struct word_list {
    char **items; /* [count], owned */
    size_t count;
} word_list;

static void add_word(word_list *list, char *word)
{
    char **const larger = word ? realloc(list->items, (list->count + 1) * sizeof *larger) : NULL;
    if (!larger) {
        free(word);
        return;
    }
    list->items = larger;
    list->items[list->count++] = word;
}

static void free_words(word_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
}

static void gather(const settings *given, word_list *settings_given, word_list *files)
{
    for (const option *const *table = batch_command.options; *table; table++)
        for (const option *o = *table; o->name; o++)
            if ((*table == model_options || *table == answer_options) && changes_answers(o))
                add_word(settings_given, setting_of(o, given));
    for (size_t i = 0; i < given->lora.count; i++)
        add_word(files, adapter_folder(given->lora.items[i]));
    const char *const single[] = {given->tokenizer, given->vision, given->calibration};
    for (size_t i = 0; i < sizeof single / sizeof *single; i++)
        if (single[i])
            add_word(files, strdup(single[i]));
}

static bool stop(void *context)
{
    (void)context;
    return interrupted();
}

static int answer_all(const settings *given, pali_model *model, const char *output, shard part)
{
    word_list settings_given = {0}, files = {0};
    gather(given, &settings_given, &files);
    const pali_ask_options ask = ask_options(given);
    progress bar = progress_start(given, "answering", false);
    const pali_batch_options options = {
        .size = sizeof options,
        .ask = &ask,
        .prompt = given->prompt,
        .frames = (size_t)given->frames,
        .stride = (size_t)given->stride,
        .batch = (size_t)given->batch_rows,
        .shard = (size_t)part.index,
        .shards = (size_t)part.count,
        .timings = given->timings,
        .force = given->force,
        .settings = (const char *const *)settings_given.items,
        .setting_count = settings_given.count,
        .files = (const char *const *)files.items,
        .file_count = files.count,
        .progress = progress_update,
        .progress_context = &bar,
        .stop = stop,
    };
    pali_error err = {0};
    pali_batch_report report = {.size = sizeof report};
    interrupt_catch();
    const pali_status status = pali_batch(model, given->operands.items[0], output, &options, &report, &err);
    progress_end(&bar);
    free_words(&settings_given);
    free_words(&files);
    if (status == PALI_OK)
        return print_report(given, output, &report);
    if (status == PALI_CANCELLED)
        return fail(status, "%s: interrupted after %zu of %zu rows; the same command goes on", output, report.done, report.rows);
    return fail_error(&err);
}

/* The part of the rows that is this process's, and where its answers go. */
static int find_part(const settings *given, shard *part, char **output)
{
    const char *const path = given->operands.items[1];
    if (given->shard && !read_shard(given->shard, part))
        return fail_usage(&batch_command, "--shard: found '%s', expected I/N, such as 1/4, with I from 1 to N", given->shard);
    const int code = given->shard ? 0 : shard_from_environment(part);
    if (code)
        return code;
    *output = part->from && part->count > 1 ? shard_path(path, *part) : strdup(path);
    if (!*output)
        return fail(PALI_MEMORY, "out of memory");
    if (part->from && part->count > 1)
        note(given, "shard %llu of %llu, as %s says: answers go to %s", (unsigned long long)part->index, (unsigned long long)part->count, part->from, *output);
    return 0;
}

static int batch(const settings *given)
{
    if (given->operands.count != 2)
        return fail_usage(&batch_command, "a file of rows and one for the answers expected, found %zu", given->operands.count);
    if (given->stride && !given->frames)
        return fail_usage(&batch_command, "--stride without --frames, expected --frames N with it");
    shard part = {0};
    char *output = NULL;
    pali_model *model = NULL;
    settings own = *given;
    int code = ask_check(given);
    if (!code)
        code = find_part(given, &part, &output);
    if (!code)
        code = model_open(given, &model, NULL);
    if (!code)
        code = calibration_open(&own, model);
    if (!code)
        code = answer_all(&own, model, output, part);
    pali_calibration_free(own.curves);
    pali_model_free(model);
    free(output);
    return code;
}

static const option own_options[] = {
    {"prompt", 'p', OPTION_TEXT, offsetof(settings, prompt), "TEXT", 0, 0, "the prompt of rows that have none"},
    {"batch", 'b', OPTION_COUNT, offsetof(settings, batch_rows), "N", 1, 4096, "rows answered together (8)"},
    {"shard", 0, OPTION_TEXT, offsetof(settings, shard), "I/N", 0, 0, "the I-th of N parts of the rows only"},
    {"timings", 0, OPTION_FLAG, offsetof(settings, timings), NULL, 0, 0, "also how long each row took"},
    {"force", 0, OPTION_FLAG, offsetof(settings, force), NULL, 0, 0, "begin anew where an earlier run wrote the output"},
    {0},
};

const command batch_command = {
    .name = "batch",
    .operands = "ROWS.jsonl OUT.jsonl",
    .summary = "answer thousands of rows of images and prompts, resumably",
    .about = "Answers every row {\"image\": path or [paths], \"prompt\": text, \"id\": anything}\n"
             "(paths relative to the file) with one line in OUT, in the order of the rows:\n"
             "{\"row\": its line, \"id\", \"text\", \"tokens\", \"objects\", ...} or {\"row\", \"error\"}.\n"
             "The same command goes on where one ended, were it killed; OUT.run says what it\n"
             "was begun with. Exit code 1 when rows failed. Under mpirun, srun or PMI each\n"
             "process takes its share of the rows and writes OUT-1-of-N.jsonl and so on;\n"
             "sort -t: -k2n OUT-*.jsonl puts these together.",
    .examples = "  pali batch rows.jsonl answers.jsonl -p \"caption en\"\n"
                "  pali batch --shard 2/4 rows.jsonl answers-2.jsonl\n",
    .options = (const option *const[]){own_options, model_options, answer_options, clip_options, common_options, NULL},
    .run = batch,
};
