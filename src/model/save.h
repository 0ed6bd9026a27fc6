/*
 * Writing a model in another format or in other types: one tensor at a time,
 * a run of rows at a time, so that memory does not grow with the model.
 */
#ifndef PL_MODEL_SAVE_H
#define PL_MODEL_SAVE_H

#include "model/paligemma.h"

typedef enum pl_save_layout { PL_LAYOUT_KEEP, PL_LAYOUT_ROWS, PL_LAYOUT_TILES } pl_save_layout;

typedef struct pl_save_options {
    pl_container container; /* what to write */
    pl_dtype vision, language, embedding, head; /* types of matrices; PL_DTYPE_COUNT: as they are, as far as the format has it */
    bool as_source;         /* "as they are" is as the checkpoint has them, whatever the model has in their place (f32 that was trained) */
    pl_save_layout layout;  /* of the quantised and bf16 matrices of a GGUF */
    bool force;             /* replace what is there */
    bool own_tokenizer;     /* the tokenizer was named: the source's files of one are not taken over */
    pl_pool *pool;
    void (*progress)(void *context, uint64_t done, uint64_t total); /* bytes of weights */
    void *progress_context;
    bool (*stop)(void *context); /* asked between pieces; true: give up with PALI_CANCELLED */
    void *stop_context;
} pl_save_options;

typedef struct pl_save_report {
    uint64_t parameters, bytes; /* of the weights as written */
    size_t tensors;
    bool codec; /* the source has a mask codec; an npz does not take it */
} pl_save_report;

/*
 * Saves a model, best one that was opened with `outline`, as a file or folder `path`: all
 * of it, or nothing. Adapters are merged: W + scale * B A in f32, then rounded.
 * From folder to folder, tokenizer and configuration files are taken over.
 */
pali_status pl_paligemma_save(pl_paligemma *model, const char *path, const pl_save_options *options, pl_save_report *report, pali_error *err);

#endif
