/*
 * pali bench between its files: what is measured, against which ceilings, and
 * how it is told. It looks into the library's rooms, as no other command may.
 */
#ifndef PALI_APP_BENCH_H
#define PALI_APP_BENCH_H

#include "command.h"

#include "generate/timeline.h"

#include <jansson.h>

/* The stages in the order they are run: X(NAME, "name of --stage and of the JSON"). */
#define BENCH_STAGE_LIST(X)    \
    X(CEILINGS, "ceilings")    \
    X(LOAD, "load")            \
    X(PICTURE, "picture")      \
    X(RESIZE, "resize")        \
    X(VISION, "vision")        \
    X(PREFILL, "prefill")      \
    X(FIRST_TOKEN, "first-token") \
    X(DECODE, "decode")

typedef enum bench_stage {
#define BENCH_STAGE_ENUM(name, text) BENCH_##name,
    BENCH_STAGE_LIST(BENCH_STAGE_ENUM)
#undef BENCH_STAGE_ENUM
    BENCH_STAGE_COUNT
} bench_stage;

const char *bench_stage_name(bench_stage stage);

/* What the hardware gives: bytes a second from memory, and operations a second of each kernel level. */
#define BENCH_MEMORY_LIST(X)                                    \
    X(LARGE_PAGES, "memory_large_pages", "memory, large pages") \
    X(MAPPED, "memory_mapped_file", "memory, mapped file")
#define BENCH_UNIT_LIST(X) X(F32, "f32", peak_f32) X(BF16, "bf16", peak_bf16) X(INT8, "int8", peak_i8)

#define BENCH_ENUM(name, ...) BENCH_##name,
typedef enum bench_memory { BENCH_MEMORY_LIST(BENCH_ENUM) BENCH_MEMORY_COUNT } bench_memory;
typedef enum bench_unit { BENCH_UNIT_LIST(BENCH_ENUM) BENCH_UNIT_COUNT } bench_unit;
#undef BENCH_ENUM

/* A second's worth on one thread and on all; 0: not measured. */
typedef struct bench_rate {
    double one, all;
} bench_rate;

/* Seconds: the median, and the tenth and ninetieth hundredth of the runs. */
typedef struct bench_time {
    double median, low, high;
    size_t runs;
} bench_time;

/* One measured stage. */
typedef struct bench_row {
    bench_stage stage;
    const char *level; /* of the kernels; NULL where they are not used */
    size_t batch;      /* sequences at a time */
    size_t count;      /* rows of the model, or pixels a side; 0: says nothing */
    bench_time time;
    double bytes, operations, pixels; /* that must be read, computed, handled; 0: not what the stage is about */
    double floor;                     /* seconds, by the ceiling that binds; 0: none is known */
    const char *bound;                /* which one that is, or NULL */
} bench_row;

/* A JPEG of 4000 x 3000, made on the spot. */
typedef struct bench_picture {
    unsigned char *jpeg; /* [size], owned */
    size_t size;
} bench_picture;

enum { BENCH_MOST_LEVELS = 16 };

typedef struct bench {
    const settings *given;
    /* what is asked for */
    bool wanted[BENCH_STAGE_COUNT];
    size_t batches[16], batch_count;
    size_t prompt_tokens;
    double seconds; /* for each stage */
    pl_dtype type;  /* of random weights */
    pl_activations activations;
    pl_dtype cache_type; /* of keys and values */
    /* what it is measured on */
    const char *name; /* of the model or the shape */
    char *path;       /* of the model, owned; NULL for a shape */
    pl_config config;
    pl_pool *pool;
    const pl_kernels *levels[BENCH_MOST_LEVELS]; /* [level_count] that are measured, weakest first */
    size_t level_count, level; /* level: the one that engine has now */
    pl_engine engine;
    pl_paligemma *model; /* NULL while no stage needs it */
    bench_picture picture;
    /* what came out */
    bench_rate memory[BENCH_MEMORY_COUNT];
    bench_rate units[BENCH_MOST_LEVELS][BENCH_UNIT_COUNT];
    json_t *report;      /* NULL: a table as the rows come */
} bench;

/* Memory that can be taken now, in bytes. */
uint64_t bench_memory_left(void);

/* Runs a function again and again for the time a stage has, after one run that does not count. */
typedef pali_status bench_fn(void *context, pali_error *err);
pali_status bench_measure(const bench *b, bench_fn *run, void *context, bench_time *time, pali_error *err);

/* ---- bench_ceilings.c */

/* Memory read by one thread and by all; a ceiling that cannot be measured stays 0. */
pali_status bench_measure_memory(bench *b, pali_error *err);

/* What the units of each level compute out of registers; one that a level lacks is 0. */
void bench_measure_units(bench *b);

/* ---- bench_picture.c */

pali_status bench_picture_make(bench_picture *picture, pali_error *err);

/* The stages picture and resize. */
pali_status bench_pictures(bench *b, pali_error *err);

/* ---- bench_model.c */

/* The stages that compute, with the kernels of b->engine. */
pali_status bench_compute(bench *b, pali_error *err);

/* Bytes that those stages take beside the weights, about. */
uint64_t bench_compute_bytes(const bench *b);

/* ---- bench_work.c */

/* Of a position's keys and values in all layers. */
size_t bench_position_bytes(const bench *b);

/* What a stage must read and compute: added to bytes, operations and floor of a row. */
void bench_count_vision(const bench *b, bench_row *row);
void bench_count_prefill(const bench *b, bench_row *row);
void bench_count_decode(const bench *b, size_t positions, bench_row *row);

/* ---- bench_report.c */

void bench_report_begin(bench *b);
void bench_report_ceilings(bench *b);
void bench_report_model(bench *b); /* and the titles of the rows */
void bench_report_row(bench *b, const bench_row *row);
int bench_report_end(bench *b); /* returns the exit code */

#endif
