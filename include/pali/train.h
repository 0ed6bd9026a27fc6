/*
 * pali/train.h: teach a model. Public, not yet frozen.
 *
 *     const char *settings[] = {"model=nano", "data=rows.jsonl", "out=run", "lora.rank=8", "lr=1e-3"};
 *     pali_trainer *trainer = pali_trainer_new(NULL, settings, 5, NULL, &err);
 *     pali_trainer_run(trainer, &err);
 *     pali_trainer_free(trainer);
 *
 * A run is decided by a recipe: a YAML file, or settings "key=value", or the
 * one and then the other. pali_recipe_keys lists the keys. What a run computes
 * follows from its recipe, its rows and its model: for any number of threads,
 * and for a run that was killed and gone on with, the bits are the same. (Other
 * kernels, or another micro_batch where the recipe leaves it to the memory that
 * there is, give other last bits.)
 *
 * A recipe with codec=FILE.npz in place of a model teaches the mask codec: its
 * rows are masks, what is saved is that file, and held-out losses are one less
 * the mean overlap of masks with what comes back.
 */
#ifndef PALI_TRAIN_H
#define PALI_TRAIN_H

#include <pali/pali.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* ---- Recipes ---------------------------------------------------------- */

/* All keys with their limits, defaults and meanings, as text; new, freed with pali_free. */
char *pali_recipe_keys(pali_error *err);

/*
 * The recipe that the file (NULL: none) and then `count` settings make, every
 * key with its value, as YAML that reads back to the same; new, freed with
 * pali_free. A value that begins with [ or { is YAML. Relative paths are of the
 * file's folder, in settings of the current one. NULL, with PALI_USAGE, for an
 * unknown key, a wrong type, a value out of range: the message has file, line
 * and column, or the setting.
 */
char *pali_recipe_resolve(const char *path, const char *const *settings, size_t count, pali_error *err);

/* ---- A run ------------------------------------------------------------ */

typedef enum pali_train_event_kind {
    PALI_TRAIN_NOTE,      /* text: something to know */
    PALI_TRAIN_WARNING,   /* text: a row passed over, a damaged checkpoint */
    PALI_TRAIN_STEP,      /* after each step */
    PALI_TRAIN_EVALUATED, /* held_out is new */
    PALI_TRAIN_SAMPLE,    /* prefix, expected; text: what the model answers now */
    PALI_TRAIN_SAVED,     /* text: the path of the checkpoint */
} pali_train_event_kind;

/* Told as a run goes; texts live for the call. Numbers that are not known are NaN. */
typedef struct pali_train_event {
    pali_train_event_kind kind;
    const char *text;              /* NULL: none */
    const char *prefix, *expected; /* of a sample */
    uint64_t step, steps;          /* steps made, those before a resume too; of the whole run */
    uint64_t examples;             /* learnt from so far */
    double loss;                   /* of this step */
    double held_out;               /* loss on the rows of `validation`, when last measured */
    double learning_rate;          /* of this step */
    double gradient_norm;          /* of all gradients, before clipping */
    double tokens_per_second;      /* of pictures and text, over the last steps */
    double seconds, seconds_left;  /* of this process, and until the end at this pace */
    bool best;                     /* held_out is the lowest so far; the checkpoint saved is the best */
    bool logged;                   /* a step that log_every of the recipe asks for, or the last */
} pali_train_event;

/* Called from the thread that called the trainer. */
typedef void pali_train_listener(void *context, const pali_train_event *event);

typedef struct pali_train_options {
    size_t size;
    bool dry_run;                 /* plan only: nothing is written, no step can be made */
    pali_train_listener *listen;  /* NULL: nobody listens */
    void *listen_context;
    bool (*stop)(void *context);  /* asked within each step; true: pali_trainer_run saves and gives up with PALI_CANCELLED */
    void *stop_context;
    size_t threads;               /* in place of the recipe's (0) */
    size_t usual_threads;         /* where the recipe says none, too (0: one a core) */
} pali_train_options;

/* One run; used by one thread at a time. */
typedef struct pali_trainer pali_trainer;

/*
 * Opens a run: recipe as for pali_recipe_resolve, model, rows, and the plan of
 * its memory. Where the recipe's `out` holds a run of the same recipe, goes on
 * where that was saved. Options may be NULL. Nothing is kept of the arguments
 * but stop, listen and their contexts. NULL with PALI_USAGE (recipe, or another
 * recipe in `out`: the difference is told), PALI_MODEL, PALI_INPUT (rows),
 * PALI_MEMORY (what is needed, what there is, what to change) or PALI_FAILED
 * (`out` cannot be written or is in use; an answer is seen before it is said).
 * Free with pali_trainer_free.
 */
pali_trainer *pali_trainer_new(const char *recipe, const char *const *settings, size_t count, const pali_train_options *options, pali_error *err);

/* What is not saved is lost. NULL is allowed. */
void pali_trainer_free(pali_trainer *trainer);

/*
 * All steps that are left; logs, measures, samples and saves in between as the
 * recipe says, and at the end. PALI_CANCELLED when `stop` said so: a checkpoint
 * has been saved, and the same call in a later run goes on. PALI_FAILED where a
 * loss or gradient is no number (the rows are named) or a checkpoint cannot be
 * written: the last good one is there.
 */
pali_status pali_trainer_run(pali_trainer *trainer, pali_error *err);

/* One step; *loss (may be NULL) becomes its loss. For loops of one's own in place of pali_trainer_run. After a failure, or PALI_CANCELLED by `stop`, nothing has moved, and the next call takes the same rows. */
pali_status pali_trainer_step(pali_trainer *trainer, double *loss, pali_error *err);

/* Mean loss on the rows of `validation`; PALI_USAGE where the recipe has none. */
pali_status pali_trainer_evaluate(pali_trainer *trainer, double *loss, pali_error *err);

/* Writes a checkpoint, OUT/checkpoint-STEP, to which OUT/last leads then. */
pali_status pali_trainer_save(pali_trainer *trainer, pali_error *err);

/* What a run will be, from before its first step. Bytes, if not said otherwise. */
typedef struct pali_train_plan {
    size_t size;
    uint64_t steps, done;     /* steps of the run; of these made, a resumed run's too */
    uint64_t examples;        /* of an epoch; masks, for a codec */
    size_t batch, micro_batch; /* examples of a step; computed together */
    uint64_t trained;         /* parameters that are trained (a number) */
    uint64_t truncated, surveyed; /* texts that are cut off, of so many that were looked at: one for each answer of a row */
    size_t longest;           /* tokens of text of the longest of these */
    uint64_t values, gradients, state; /* f32: trained weights, their gradients, the optimizer's */
    uint64_t activations;     /* kept for backward, with their gradients */
    uint64_t frozen;          /* weights in memory that stay as they are */
    uint64_t mapped;          /* weights used where the file lies; not counted in total */
    uint64_t total, limit;    /* memory needed; what may be taken (0: not known) */
    bool recomputes;          /* layers are computed again for backward, to save memory */
} pali_train_plan;

/* options.size of *plan may be 0. */
pali_status pali_trainer_plan(const pali_trainer *trainer, pali_train_plan *plan, pali_error *err);

/* The same for people, with what is trained: several lines; new, freed with pali_free. */
char *pali_trainer_describe(const pali_trainer *trainer, pali_error *err);

/* The resolved recipe as YAML; lives as long as the trainer. */
const char *pali_trainer_recipe(const pali_trainer *trainer);

/* ---- Rows ------------------------------------------------------------- */

typedef struct pali_rows_options {
    size_t size;
    bool validation; /* the recipe's held-out rows in place of those it learns from */
    bool colour;     /* pali_rows_show: with terminal colours */
} pali_rows_options;

/* The rows of a recipe as the model is to see them. One thread at a time. */
typedef struct pali_rows pali_rows;

/* Opens the model and the rows, writes nothing that stays, and asks for no `out`; arguments and errors as for pali_trainer_new. Free with pali_rows_free. */
pali_rows *pali_rows_open(const char *recipe, const char *const *settings, size_t count, const pali_rows_options *options, pali_error *err);
void pali_rows_free(pali_rows *rows); /* NULL is allowed */

/* Examples of one epoch. */
uint64_t pali_rows_count(const pali_rows *rows);

/*
 * The n-th example of the run, from 0: tokens with ids and pieces, which of
 * them see which, what loss is taken on, what was cut off, and its pictures'
 * paths and sizes. As text of several lines, or as one JSON object on one line;
 * new, freed with pali_free. PALI_INPUT for a row that cannot be used, with its
 * file and line; others can still be asked for.
 */
char *pali_rows_show(pali_rows *rows, uint64_t n, pali_error *err);
char *pali_rows_json(pali_rows *rows, uint64_t n, pali_error *err);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
