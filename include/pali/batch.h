/*
 * pali/batch.h: many pictures and prompts, from a file to a file. Public, not
 * yet frozen.
 */
#ifndef PALI_BATCH_H
#define PALI_BATCH_H

#include <pali/pali.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct pali_batch_options {
    size_t size;
    const pali_ask_options *ask; /* how each answer is made, on_text apart; the number of a row is added to the seed. NULL: defaults */
    const char *prompt;          /* of rows that have none; NULL: each must have one */
    size_t frames, stride;       /* of rows that do not say, as for pali_image_open_clip; 0: pictures, no clip */
    size_t batch;                /* rows answered together; 0: 8, or fewer where memory is short. At most 4096 */
    size_t decoders;             /* threads that decode pictures ahead; 0: by the threads of the model */
    size_t shard, shards;        /* the shard-th, from 1, of so many parts of the rows; 0: all of them */
    bool timings;                /* also how long each row took; such lines differ from run to run */
    bool force;                  /* begin anew where an earlier run wrote the output */
    const char *const *settings; /* [setting_count] what else decides the answers, each "name=value", such as options of the
                                    model: an output that was begun with others is not gone on with */
    size_t setting_count;
    const char *const *files;    /* [file_count] files and folders that do so by what is in them, such as adapters */
    size_t file_count;
    pali_progress_fn *progress;  /* rows done and in all */
    void *progress_context;
    bool (*stop)(void *context); /* asked now and then; true: give up with PALI_CANCELLED, to be gone on with later */
    void *stop_context;
} pali_batch_options;

/* What there is when pali_batch returns. */
typedef struct pali_batch_report {
    size_t size;
    size_t rows;         /* of the input, of this shard */
    size_t done;         /* of these in the output */
    size_t resumed;      /* of these by earlier runs */
    size_t failed;       /* of those done, without an answer */
    size_t first_failed; /* number of the first such row; 0: none */
    double seconds;      /* of this run */
} pali_batch_report;

/*
 * Answers the rows of the JSONL file `rows`, {"image": path or [paths],
 * "prompt": text} with "id", "frames" and "stride" if wanted ("prefix" is
 * taken for "prompt"; paths are relative to the file), and appends one line a
 * row, in their order, to the file `output`: {"row": the number of the line, "id"},
 * then what pali_answer_json says, prompt, images [{path, width, height}] and prompt_tokens.
 * A row that cannot be answered has {"row", "id", "error": {status, message}} in its
 * place and stops nothing.
 *
 * A run that ended early, also by a kill, is gone on with by the same call; the
 * file is then the same, byte for byte, as after one run. To that end
 * `output`.run tells what it was begun with (rows, model, options), and what
 * differs is refused (unless no line is there yet), as is a file that no batch
 * wrote, and one that another run is writing to. Answers do not depend on batch, threads or shards.
 *
 * PALI_OK also when rows failed: the report says so. The report may be NULL;
 * it is filled on failure too.
 */
pali_status pali_batch(pali_model *model, const char *rows, const char *output, const pali_batch_options *options, pali_batch_report *report, pali_error *err);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
