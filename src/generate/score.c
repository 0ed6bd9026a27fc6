/* The log-probability of a given answer: one pass over prompt and answer, teacher-forced. */
#include "generate/timeline.h"

#include "text/prompt.h"

#include <stdlib.h>
#include <string.h>

enum { LOGIT_ROWS = 8 }; /* rows of logits that exist at a time */

typedef struct job {
    const pl_timeline *timeline;
    pl_segment segment;
    size_t given;          /* rows before the answer's first token */
    const int32_t *targets; /* [answer] */
    size_t answer;
    float *logprobs;       /* [answer] */
} job;

/* Of the rows that come out, i predicts target i: the last of what is given, then the answer's. */
static void compute(pl_context *ctx, job *j)
{
    const pl_gemma *gemma = &j->timeline->engine->model->gemma;
    const size_t width = gemma->config.width, vocabulary = gemma->config.vocabulary;
    const pl_rows x = pl_rows_push(ctx, j->segment.rows, width), hidden = pl_rows_push(ctx, pl_segment_wanted(&j->segment), width);
    pl_timeline_embed_prompt(ctx, j->timeline, x, 0);
    ctx->regime = PL_REGIME_PREFILL;
    pl_gemma_forward_inplace(ctx, gemma, x, &j->segment, 1, hidden);
    ctx->regime = PL_REGIME_BY_ROWS;
    const pl_rows logits = pl_rows_push(ctx, LOGIT_ROWS, vocabulary);
    for (size_t first = 0; first < j->answer; first += LOGIT_ROWS) {
        const size_t rows = pl_min(LOGIT_ROWS, j->answer - first);
        pl_gemma_logits(ctx, gemma, pl_rows_view(hidden, first, rows), pl_rows_view(logits, 0, rows));
        for (size_t i = 0; i < rows && !pl_dry(ctx); i++) {
            const float *row = logits.data + i * vocabulary;
            j->logprobs[first + i] = (float)((double)row[j->targets[first + i]] - pl_log_sum_exp(row, vocabulary));
        }
    }
}

static pali_status run(pl_timeline *timeline, job *j, pali_error *err)
{
    const pl_engine *engine = timeline->engine;
    pl_arena plan = pl_arena_plan();
    pl_context ctx = pl_engine_context(engine, &plan);
    compute(&ctx, j);
    const pali_status status = pl_timeline_reserve(timeline, plan.peak, err);
    if (status != PALI_OK)
        return status;
    ctx.arena = &timeline->arena;
    compute(&ctx, j);
    if (ctx.failed)
        return pl_fail_memory(err, "score", plan.peak);
    if (!engine->kernels->all_finite(j->answer, j->logprobs))
        return pl_fail(err, PALI_FAILED, "score: found log-probabilities that are not finite, expected numbers; the weights may be damaged: try `pali inspect --check`");
    return PALI_OK;
}

pali_status pl_score(pl_timeline *timeline, const char *prompt, const char *suffix, float **logprobs, size_t *count, pali_error *err)
{
    const pl_tokenizer *tokenizer = timeline->engine->model->tokenizer;
    const pl_question question = {.max_tokens = 1};
    pali_status status = pl_timeline_prompt(timeline, prompt, &question, err);
    timeline->phase = PL_PHASE_IDLE;
    const size_t before = timeline->prompt.count;
    if (status == PALI_OK)
        status = pl_prompt_suffix(tokenizer, suffix, strlen(suffix), true, &timeline->prompt, err);
    if (status != PALI_OK)
        return status;
    const size_t answer = timeline->prompt.count - before, pictures = timeline->features->rows.count;
    timeline->prompt.count--; /* the end of text is predicted, not read */
    job j = {.timeline = timeline, .given = pictures + before, .targets = timeline->prompt.data + before, .answer = answer};
    j.segment = (pl_segment){.cache = &timeline->cache, .rows = pictures + timeline->prompt.count, .prefix = timeline->prefix, .wanted = answer};
    if (timeline->max_positions && j.segment.rows > timeline->max_positions)
        return pl_fail(err, PALI_INPUT, "score: found %zu positions, expected at most the session's %zu", j.segment.rows, timeline->max_positions);
    status = pl_kv_cache_reserve(&timeline->cache, j.segment.rows, err);
    if (status == PALI_OK)
        status = (j.logprobs = pl_new_raw(answer, sizeof *j.logprobs, "score", err)) ? run(timeline, &j, err) : PALI_MEMORY;
    if (status != PALI_OK) {
        free(j.logprobs);
        return status;
    }
    *logprobs = j.logprobs;
    *count = answer;
    return PALI_OK;
}
