/*
 * What a model is taught from: JSONL files, mixed. A file is indexed once
 * (where its rows begin, and a hash of each), and its rows are read when their
 * turn comes. Which row the n-th example of a run is follows from (seed, n,
 * sources) alone, so a run goes on in place from one number, and no shuffle
 * buffer is kept: each epoch is a permutation of all rows (shuffle.h).
 *
 * Without weights all rows are one set, and an epoch visits each of them
 * `repeat` times. With weights any 64 examples in a row hold the sources'
 * shares, and each source has epochs of its own.
 */
#ifndef PL_TRAIN_DATASET_H
#define PL_TRAIN_DATASET_H

#include "image/preprocess.h"
#include "text/tokenizer.h"

struct pl_codec;

enum { PL_DATA_MOST_PICTURES = 256 }; /* of one row */

/* Which of several suffixes a visit takes. */
typedef enum pl_data_choice {
    PL_CHOICE_NO_REPLACEMENT, /* all of them in a random order, then again in another */
    PL_CHOICE_UNIFORM,
    PL_CHOICE_FIRST,          /* always the first: held-out data */
} pl_data_choice;

typedef struct pl_data_source {
    const char *path;   /* a JSONL file, or a folder that has annotations.jsonl */
    const char *images; /* folder that pictures and masks are relative to; NULL: that of the file */
    double weight;      /* share of a mixture; 0: none has one. All sources have a weight, or none */
    size_t skip, limit; /* rows left out at the start; most rows (0: all) */
    size_t repeat;      /* visits of a row an epoch; 0: 1. Only without weights */
    const char *prefix; /* template (template.h), "answer en {question}"; NULL: the field "prefix" */
    const char *suffix; /* template, of one alternative; NULL: "suffix", "suffixes", or objects */
    pl_data_choice choice;
    size_t frames, stride; /* of rows that do not say: their files are a clip of so many frames, one in so many; 0: pictures */
} pl_data_source;

/* What a row becomes. */
typedef enum pl_data_form {
    PL_DATA_PREFIX_LM, /* <bos> prefix "\n" suffix <eos> */
    PL_DATA_LANGUAGE,  /* <bos> suffix <eos>: plain language modelling, and the texts of contrastive pairs; there is no prefix */
} pl_data_form;

/* Whether rows show pictures. */
typedef enum pl_data_pictures {
    PL_PICTURES_NEEDED,   /* a row without one is a bad row */
    PL_PICTURES_OPTIONAL,
    PL_PICTURES_NONE,     /* the field is not looked at */
} pl_data_pictures;

typedef struct pl_data_options {
    const pl_data_source *sources; /* [source_count] */
    size_t source_count;
    uint64_t seed;
    bool ordered;       /* rows as they stand in the files, not shuffled: held-out data */
    size_t text_length; /* examples are cut to text_length + 1 ids; 0: not cut */
    pl_data_form form;
    pl_data_pictures pictures;
    const pl_tokenizer *tokenizer; /* borrowed, as are the next */
    size_t image_size;             /* pixels a side of what the model sees */
    size_t image_tokens;           /* of a picture: so many "patches" a row may have; 0: none */
    pl_preprocess_options preprocess;
    const pl_kernels *kernels;
    const struct pl_codec *codec;  /* NULL: the model has none, and rows with masks are bad */
} pl_data_options;

typedef struct pl_dataset pl_dataset;

/* Where an example comes from. */
typedef struct pl_place {
    uint64_t n;     /* which example of the run, from 0 */
    size_t source;
    size_t row;     /* of the source, from 0, `skip` left out */
    uint64_t visit; /* how many times the row was visited before */
} pl_place;

/* Reads through every file. PALI_INPUT names the file, and what is wrong with it. Strings are copied. Free with pl_dataset_free. */
pl_dataset *pl_dataset_open(const pl_data_options *options, pali_error *err);
void pl_dataset_free(pl_dataset *dataset);

const pl_data_options *pl_dataset_options(const pl_dataset *dataset);

/* Rows of a source, and examples in an epoch (with weights: rows of all sources). */
size_t pl_dataset_rows(const pl_dataset *dataset, size_t source);
uint64_t pl_dataset_epoch(const pl_dataset *dataset);

/* The n-th example's row; a pure function, safe in any thread. */
pl_place pl_dataset_place(const pl_dataset *dataset, uint64_t n);

/* The line of a row in its file, from 1, and the file. */
size_t pl_dataset_line(const pl_dataset *dataset, size_t source, size_t row);
const char *pl_dataset_path(const pl_dataset *dataset, size_t source);

/* The folder that names in the source's rows are relative to; "" is the current one. */
const char *pl_dataset_folder(const pl_dataset *dataset, size_t source);

/*
 * The text of a row, new, NUL-terminated. Safe in any thread. PALI_FAILED when
 * the file is not what was indexed any more: that ends a run, as no choice of
 * rows could be gone on with.
 */
char *pl_dataset_read(const pl_dataset *dataset, size_t source, size_t row, size_t *length, pali_error *err);

/* Size, rows and hash of each file as JSON, new, freed with free: kept beside a checkpoint. */
char *pl_dataset_identity(const pl_dataset *dataset, pali_error *err);

/* PALI_INPUT when the files are not those of an identity: names the file, found and expected. */
pali_status pl_dataset_check(const pl_dataset *dataset, const char *identity, pali_error *err);

/* What can be said of the rows before a step is made, for the plan of memory. */
typedef struct pl_data_survey {
    size_t rows, bad;        /* looked at, and of these not readable as JSON with the fields they need, or with pictures that are not there */
    pali_error first_bad;    /* why the first of them is */
    size_t pictures_most;    /* of one row: over all rows */
    size_t texts;            /* that were tokenized: prompts with each of their answers */
    size_t ids_most;         /* of one example, after cutting */
    double ids_mean;
    size_t truncated;        /* of `texts` */
    size_t silent;           /* of `texts`: nothing of the answer is left */
    bool complete;           /* no row's texts were left out: no example is longer than ids_most */
    bool patches;            /* a row whose texts were looked at has some */
    uint64_t pictures;       /* named by all rows, the same one counted each time */
} pl_data_survey;

/* Parses all rows, tokenizes `texts` of them with all their answers, in the order of the run where that is not all (0: none); looks whether pictures are there and opens none (an object's place counts as four tokens). */
pali_status pl_dataset_survey(const pl_dataset *dataset, size_t texts, pl_data_survey *survey, pali_error *err);

#endif
