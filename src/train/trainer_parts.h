/* What a trainer is made of, for the files that share the work: open, step, measure, keep, run. */
#ifndef PL_TRAIN_TRAINER_PARTS_H
#define PL_TRAIN_TRAINER_PARTS_H

#include "answer/mask_codec.h"
#include "generate/timeline.h"
#include "train/contrastive.h"
#include "train/loader.h"
#include "train/log.h"
#include "train/report.h"
#include "train/snapshot.h"
#include "train/trainer.h"

#include <string.h>

/* Columns of the log: X(field, name in the CSV, tag in TensorBoard, chart of the report, logarithmic). */
#define PL_TRAIN_LOG_LIST(X)                                                  \
    X(EXAMPLES, "examples", NULL, NULL, false)                                \
    X(LOSS, "loss", "train/loss", "Loss", false)                              \
    X(HELD_OUT, "held_out_loss", "held_out/loss", "Loss", false)              \
    X(RATE, "lr", "train/lr", "Learning rate", false)                         \
    X(NORM, "grad_norm", "train/grad_norm", "Norm of gradients", true)        \
    X(SPEED, "tokens_per_second", "speed/tokens_per_second", "Tokens a second", false) \
    X(WAITED, "waited_for_data", "speed/waited_for_data", NULL, false)        \
    X(SECONDS, "seconds", NULL, NULL, false)

typedef enum pl_train_column {
#define PL_TRAIN_COLUMN_ENUM(field, ...) PL_COLUMN_##field,
    PL_TRAIN_LOG_LIST(PL_TRAIN_COLUMN_ENUM)
#undef PL_TRAIN_COLUMN_ENUM
    PL_TRAIN_COLUMNS
} pl_train_column;

extern const pl_log_column pl_train_columns[PL_TRAIN_COLUMNS];

/* An answer of the model in training to a held-out row. */
typedef struct pl_train_sample {
    char *prefix, *expected, *answer; /* owned */
    pl_image picture;                 /* the row's first, owned; width 0: none */
} pl_train_sample;

struct pl_trainer {
    const pl_recipe *recipe; /* borrowed */
    pl_trainer_options options;
    char *recipe_text;       /* owned, as all below */
    pl_pool *pool;
    pl_engine engine;        /* how the model computes: kernels, numbers */
    pl_paligemma *model;
    pl_codec *codec;         /* or NULL */
    pl_dataset *data, *held_out; /* held_out: or NULL */
    pl_feature_cache *cache; /* or NULL */
    bool cache_full;         /* the disk took no more */
    pl_dtype stored;         /* type of the weights that training began with */
    pl_loader *loader;
    pl_parameters *parameters;
    pl_optimiser *optimiser;
    pl_layout_options layout;
    pl_objective objective;
    pl_towers *towers;       /* beside the model, for contrastive learning; else NULL */
    pl_train_plan plan;
    pl_tape tape;
    pl_arena arena;
    pl_microbatch microbatch;
    pl_example **examples;       /* [batch] room for those of a step */
    pl_run_folder folder;
    pl_log log;
    pl_found_snapshot found;     /* what this run goes on from, while it is opened */
    bool resumed;
    bool replaces;               /* the run that is in the folder goes when this one begins */
    bool unmeasured;             /* the held-out loss of the last step was given up: it is still to be looked after */
    bool told_held_out;          /* of held-out rows that are passed over */
    uint64_t seen;               /* place in the data of the next example */
    uint64_t saved_at;           /* step of the last checkpoint */
    double loss_since;           /* sum of the losses of the steps since the last line of the log */
    uint64_t steps_since;
    double best, best_step;      /* lowest held-out loss, NAN: none yet */
    pl_train_event last;         /* what is known of the last step */
    double began, last_logged;   /* clock */
    uint64_t begun_at, rows_since; /* step that this process began with; rows since the last line of the log */
    double waited_before;
    pl_train_sample *samples;    /* [sample_count] */
    size_t sample_count;
    uint64_t samples_step;
};

/* Examples that are read ahead of the model, and bytes of their pictures, at most. */
enum { PL_TRAIN_EXAMPLES_AHEAD = 64, PL_TRAIN_BYTES_AHEAD = 256 << 20 };

/* Is a choice of the recipe that word? */
static inline bool pl_says(const char *choice, const char *word)
{
    return strcmp(choice, word) == 0;
}

/* The context of a computation, with the tape or without. */
pl_context pl_trainer_context(pl_trainer *t, pl_tape *tape);

/* prepare.c: what is trained, the objective and the plan; model and data are there. */
pali_status pl_trainer_prepare(pl_trainer *t, pali_error *err);

/* prepare.c: what follows from the recipe. */
const pl_objective_traits *pl_trainer_traits(const pl_trainer *t);
pl_layout_options pl_trainer_layout(const pl_trainer *t);
pali_status pl_trainer_optimiser_options(const pl_trainer *t, pl_optimiser_options *options, pali_error *err);
size_t pl_trainer_workers(const pl_trainer *t); /* threads that read */
bool pl_trainer_caches(const pl_trainer *t);    /* are image tokens kept on disk? */

/* What a dry run of the plan is made with. */
pl_plan_options pl_trainer_plan_options(const pl_trainer *t);

/* Tells the listener of an event, with what is known of the last step: of a kind alone (text NULL), of a sample, or in words. */
void pl_trainer_send(const pl_trainer *t, pl_train_event_kind kind, const char *text, const pl_train_sample *sample);
__attribute__((format(printf, 3, 4))) void pl_trainer_tell(const pl_trainer *t, pl_train_event_kind kind, const char *format, ...);

/* Begins to read examples ahead, from a place in the data on. */
pali_status pl_trainer_load_from(pl_trainer *t, uint64_t position, pali_error *err);

/* Tells of a row that is passed over; `context` is the trainer. */
void pl_trainer_tell_bad_row(void *context, pl_place place, const pali_error *why);

/* step.c: losses of examples, in micro-batches; gradients too if `learn` (of rows that are learned from, else of held-out ones). *sum of weighted losses, *weight to divide by. */
pali_status pl_trainer_losses(pl_trainer *t, pl_example **examples, size_t count, bool learn, double *sum, double *weight, pali_error *err);

/* step.c: encodes the pictures whose rows the examples do not bring, where the encoder is frozen. */
pali_status pl_trainer_encode_missing(pl_trainer *t, pl_example **examples, size_t count, pali_error *err);

/* measure.c: answers to the first held-out rows (or training rows), kept for the report. */
pali_status pl_trainer_sample(pl_trainer *t, pali_error *err);
void pl_trainer_free_samples(pl_trainer *t);

/* keep.c: bytes of a checkpoint with this memory for weights and state, about: texts and tokenizer left out. */
uint64_t pl_trainer_checkpoint_bytes(const pl_trainer *t, const pl_training_memory *memory);

/* keep.c: finds what to go on from, and whether it may be gone on with; then its state into the tensors. */
pali_status pl_trainer_find(pl_trainer *t, pali_error *err);
pali_status pl_trainer_restore(pl_trainer *t, pali_error *err);
pali_status pl_trainer_keep(pl_trainer *t, bool best, pali_error *err);

/* keep.c: the folder becomes this run's: a run that is to be replaced goes, and the recipe is written to it. */
pali_status pl_trainer_take_folder(pl_trainer *t, pali_error *err);

/* leak.c: PALI_FAILED when a token of an answer changes anything before it. */
pali_status pl_trainer_check_leaks(pl_trainer *t, pali_error *err);

/* run.c: OUT/report.html. */
pali_status pl_trainer_report(const pl_trainer *t, const char *state, pali_error *err);

#endif
