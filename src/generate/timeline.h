/*
 * A timeline is what a session is made of: the pictures' embeddings, a prompt,
 * a KV cache, and the answer as it grows. Timelines of one model are run
 * together, as rows of one batch (step.c).
 */
#ifndef PL_GENERATE_TIMELINE_H
#define PL_GENERATE_TIMELINE_H

#include "base/clock.h"
#include "generate/evidence.h"
#include "generate/search.h"
#include "model/paligemma.h"
#include "text/detokenizer.h"

#include <stdatomic.h>

/* What timelines of one model share. */
typedef struct pl_engine {
    const pl_paligemma *model;
    const pl_kernels *kernels;
    pl_pool *pool;       /* or NULL */
    pl_activations activations;
    pl_dtype cache_type; /* of KV caches */
    pl_trace_fn *trace;  /* sees intermediate results; NULL: none */
    void *trace_context;
} pl_engine;

/* The context of a computation on one engine, over an arena. */
static inline pl_context pl_engine_context(const pl_engine *engine, pl_arena *arena)
{
    return (pl_context){.kernels = engine->kernels, .pool = engine->pool, .arena = arena, .activations = engine->activations, .trace = engine->trace, .trace_context = engine->trace_context};
}

/* Embeddings of pictures, counted references: forks share them. */
typedef struct pl_features {
    atomic_size_t references;
    size_t images, width, height; /* how many; the size of the first */
    pl_rows rows; /* [images*tokens, text width], owned */
} pl_features;

typedef struct pl_question {
    size_t max_tokens; /* 0: 256 */
    pl_sampler sampler;
    bool logprobs;
    bool confidence;   /* with logprobs: keep timeline->evidence */
    bool special;      /* control tokens written in the prompt are taken as such */
    const char *start; /* what the answer is made to begin with, or NULL; not kept */
    pl_constraint *constraint; /* what may come next, or NULL; the timeline keeps a reference of its own */
    bool (*on_text)(void *context, const char *text, size_t length);
    void *on_text_context;
    pl_search_kind search; /* several continuations at a time; the listener hears the answer at its end */
    size_t width;          /* of them */
} pl_question;

typedef enum pl_phase { PL_PHASE_IDLE, PL_PHASE_PREFILL, PL_PHASE_DECODE, PL_PHASE_DONE } pl_phase;
typedef enum pl_ending { PL_ENDING_NONE, PL_ENDING_EOS, PL_ENDING_LENGTH, PL_ENDING_CANCELLED, PL_ENDING_FAILED } pl_ending;

typedef struct pl_clock {
    double preprocess, encode, prefill, decode; /* seconds */
    size_t prompt_tokens, decoded_tokens;
} pl_clock;

typedef struct pl_timeline {
    const pl_engine *engine;
    size_t max_positions; /* 0: no limit but the model's */
    pl_arena arena;       /* of steps that this timeline leads */
    pl_features *features;
    bool fresh;           /* no question has been asked about these pictures yet */
    pl_kv_cache cache;
    pl_phase phase;
    pl_ending ending;
    pl_question question;
    pl_ids prompt;        /* <bos> prefix newline, then the answer's given start */
    size_t prefix;        /* positions that see each other: pictures, <bos>, prefix, newline */
    pl_ids tokens;        /* the answer; reserved when the prompt is set */
    float *logprobs;      /* [max_tokens], owned, or NULL */
    size_t logprob_capacity;
    pl_search search;     /* of a question that asks for one */
    pl_evidence evidence; /* of a question that asks for confidence */
    pl_allowed allowed;   /* what the constraint leaves for the next token */
    pl_allowed beyond;    /* what it would leave were there tokens without end, where the answer may end now; else empty */
    float barred;         /* the highest logit of what is in beyond alone */
    pl_buffer text;
    size_t sent;          /* bytes of text that on_text has seen */
    pl_detokenizer detokenizer;
    pl_clock clock;
    atomic_bool cancel;
    struct pl_timeline **active; /* [active_capacity] owned: lists of the batches it is first in */
    pl_segment *segments;        /* [segment_capacity] owned, likewise */
    pl_allowed together;         /* likewise: ids that any of the batch may take */
    size_t active_capacity, segment_capacity;
} pl_timeline;

enum { PL_DEFAULT_MAX_TOKENS = 256, PL_TEXT_LIMIT = 8192 /* prompt tokens, Gemma's context */ };

void pl_timeline_init(pl_timeline *timeline, const pl_engine *engine, size_t max_positions);
void pl_timeline_free(pl_timeline *timeline);

/* Leaves nothing of the last question that could be taken for an answer to the next. */
void pl_timeline_forget(pl_timeline *timeline);

/* Encodes pictures one after the other, and forgets the last answer; it and the old pictures stay on failure. */
pali_status pl_timeline_set_images(pl_timeline *timeline, const pl_image *const *images, size_t count, pali_error *err);

/* Takes the pictures of another timeline of the same engine, which has some, and forgets the last answer; nothing is computed or copied. */
void pl_timeline_use_images(pl_timeline *timeline, const pl_timeline *from);

/*
 * Sets a prompt; computes nothing. PALI_USAGE when there are no pictures,
 * PALI_INPUT when it is too long. The last answer is forgotten, also on failure.
 */
pali_status pl_timeline_prompt(pl_timeline *timeline, const char *prompt, const pl_question *question, pali_error *err);

/*
 * Makes *fork (initialised) go on from the same place; what is computed is
 * shared. Of `question`, unless NULL, it takes the sampling, max_tokens and
 * the listener. `timeline` stays usable on failure.
 */
pali_status pl_timeline_fork(pl_timeline *timeline, pl_timeline *fork, const pl_question *question, pali_error *err);

/* What a constraint is told of the answer so far; borrowed, until the next token. */
pl_history pl_timeline_history(const pl_timeline *timeline);

/* What the constraint, which there must be, leaves after the answer so far, or after another: into timeline->allowed. */
pali_status pl_timeline_constrain(pl_timeline *timeline, pali_error *err);
pali_status pl_timeline_constrain_history(pl_timeline *timeline, const pl_history *history, pali_error *err);

/* Gives the arena at least `bytes`; its contents are lost. */
pali_status pl_timeline_reserve(pl_timeline *timeline, size_t bytes, pali_error *err);

/* Appends the prompt's embeddings (pictures, then text) to x from row `row` on; returns the next row. */
size_t pl_timeline_embed_prompt(pl_context *ctx, const pl_timeline *timeline, pl_rows x, size_t row);

/*
 * One token further, n different timelines as one batch: prefill or decode,
 * each as it needs; finished ones are passed over, and prefills may be put off
 * to a later step when there are many. Those that fail become idle.
 */
pali_status pl_step(pl_timeline *const *timelines, size_t n, pali_error *err);

/* Own memory, in bytes, that a question about `images` pictures takes from pixels to its last token. */
uint64_t pl_question_bytes(const pl_engine *engine, size_t images, size_t prompt, size_t answer);

#endif
