/*
 * Log-probabilities of given answers, teacher-forced. The prompt is prefilled
 * once; its last row predicts every candidate's first token. All tokens but the
 * last of each then pass the decoder as segments of one batch, on caches that
 * share the prompt, so many at a time that memory is bounded. These rows run as
 * those of a prefill however few they are, and logits as those of decoding, so
 * that no number depends on what else is in its pass.
 */
#include "generate/score.h"

#include "text/prompt.h"

#include <stdlib.h>
#include <string.h>

enum {
    PASS_ROWS = 256, /* of candidates that pass the decoder together; a longer one passes alone */
    LOGIT_ROWS = 64  /* rows of logits that exist at a time */
};

typedef struct job {
    pl_timeline *timeline;
    size_t n;
    pl_ids ids;    /* of all candidates, owned */
    size_t *first; /* [n + 1] where each candidate's ids begin */
    float *logprobs; /* [first[n]] */
    /* one pass */
    pl_kv_cache caches[PASS_ROWS];
    pl_segment segments[PASS_ROWS];
    size_t candidates[PASS_ROWS]; /* which one each segment is of; none for the prompt */
    size_t segment_count, rows;
} job;

/* The log-probabilities that rows of logits give the ids at these places, one a row. */
static void read_logits(const pl_context *ctx, const job *j, pl_rows logits, const size_t *places)
{
    double totals[LOGIT_ROWS];
    pl_log_sum_exps(ctx->pool, logits.data, logits.count, logits.width, totals);
    for (size_t row = 0; row < logits.count; row++)
        j->logprobs[places[row]] = (float)((double)logits.data[row * logits.width + (size_t)j->ids.data[places[row]]] - totals[row]);
}

/* Places of the ids that follow the rows of this pass. */
static size_t *list_places(pl_context *ctx, const job *j)
{
    size_t *places = pl_push(ctx, j->rows, sizeof *places), row = 0;
    for (size_t s = 0; s < j->segment_count && !pl_dry(ctx); s++)
        for (size_t i = 0; i < j->segments[s].rows; i++)
            places[row++] = j->first[j->candidates[s]] + i + 1;
    return places;
}

/* The candidates of this pass: what each of their tokens but the last says of the next. */
static void compute_candidates(pl_context *ctx, job *j)
{
    const pl_gemma *gemma = &j->timeline->engine->model->gemma;
    const size_t width = gemma->config.width;
    const pl_rows x = pl_rows_push(ctx, j->rows, width), hidden = pl_rows_push(ctx, j->rows, width);
    const size_t *places = list_places(ctx, j);
    for (size_t s = 0, row = 0; s < j->segment_count; row += j->segments[s++].rows)
        pl_gemma_embed(ctx, gemma, j->ids.data + j->first[j->candidates[s]], pl_rows_view(x, row, j->segments[s].rows));
    ctx->regime = PL_REGIME_PREFILL;
    pl_gemma_forward_inplace(ctx, gemma, x, j->segments, j->segment_count, hidden);
    ctx->regime = PL_REGIME_DECODE;
    const pl_rows logits = pl_rows_push(ctx, pl_min(LOGIT_ROWS, j->rows), gemma->config.vocabulary);
    for (size_t row = 0; row < j->rows; row += LOGIT_ROWS) {
        const pl_rows some = pl_rows_view(logits, 0, pl_min(LOGIT_ROWS, j->rows - row));
        pl_gemma_logits(ctx, gemma, pl_rows_view(hidden, row, some.count), some);
        if (!pl_dry(ctx))
            read_logits(ctx, j, some, places + row);
    }
}

/* The prompt's rows, and every candidate's first token from the last of them. */
static void compute_prompt(pl_context *ctx, job *j)
{
    const pl_gemma *gemma = &j->timeline->engine->model->gemma;
    const size_t width = gemma->config.width, vocabulary = gemma->config.vocabulary;
    const pl_rows logits = pl_rows_push(ctx, 1, vocabulary), hidden = pl_rows_push(ctx, 1, width), x = pl_rows_push(ctx, j->rows, width);
    pl_timeline_embed_prompt(ctx, j->timeline, x, 0);
    ctx->regime = PL_REGIME_PREFILL;
    pl_gemma_forward_inplace(ctx, gemma, x, j->segments, 1, hidden);
    ctx->regime = PL_REGIME_DECODE;
    pl_gemma_logits(ctx, gemma, hidden, logits);
    if (pl_dry(ctx))
        return;
    const double total = pl_log_sum_exp(logits.data, vocabulary);
    for (size_t i = 0; i < j->n; i++)
        j->logprobs[j->first[i]] = (float)((double)logits.data[j->ids.data[j->first[i]]] - total);
}

/* Plans one pass, makes room for it and runs it. */
static pali_status run(job *j, void (*compute)(pl_context *ctx, job *j), pali_error *err)
{
    pl_timeline *timeline = j->timeline;
    pl_arena plan = pl_arena_plan();
    pl_context ctx = pl_engine_context(timeline->engine, &plan);
    compute(&ctx, j);
    const pali_status status = pl_timeline_reserve(timeline, plan.peak, err);
    if (status != PALI_OK)
        return status;
    ctx.arena = &timeline->arena;
    compute(&ctx, j);
    return ctx.failed ? pl_fail_memory(err, "score", plan.peak) : PALI_OK;
}

static pali_status run_prompt(job *j, pali_error *err)
{
    pl_timeline *timeline = j->timeline;
    j->rows = timeline->features->rows.count + timeline->prompt.count;
    j->segments[0] = (pl_segment){.cache = &timeline->cache, .rows = j->rows, .prefix = timeline->prefix, .wanted = 1};
    return run(j, compute_prompt, err);
}

/* As many candidates from `next` on as a pass takes, each on a fork of the prompt's cache; returns the first one left. */
static size_t gather(job *j, size_t next, pali_status *status, pali_error *err)
{
    pl_kv_cache *prompt = &j->timeline->cache;
    j->segment_count = j->rows = 0;
    for (; *status == PALI_OK && next < j->n; next++) {
        const size_t rows = j->first[next + 1] - j->first[next] - 1, s = j->segment_count;
        if (rows == 0) /* the prompt told all */
            continue;
        if (s > 0 && j->rows + rows > PASS_ROWS)
            break;
        pl_kv_cache_init(&j->caches[s], prompt->layers, prompt->width, prompt->dtype);
        j->segment_count++;
        j->candidates[s] = next;
        j->segments[s] = (pl_segment){.cache = &j->caches[s], .rows = rows, .prefix = j->timeline->prefix};
        j->rows += rows;
        *status = pl_kv_cache_fork(prompt, &j->caches[s], err);
        if (*status == PALI_OK)
            *status = pl_kv_cache_reserve(&j->caches[s], pl_kv_cache_count(prompt) + rows, err);
    }
    return next;
}

static pali_status run_candidates(job *j, pali_error *err)
{
    pali_status status = PALI_OK;
    for (size_t next = 0; status == PALI_OK && next < j->n;) {
        next = gather(j, next, &status, err);
        if (status == PALI_OK && j->segment_count)
            status = run(j, compute_candidates, err);
        for (size_t s = 0; s < j->segment_count; s++)
            pl_kv_cache_free(&j->caches[s]);
    }
    return status;
}

/* Holds one candidate against the limits of text and session. */
static pali_status check_candidate(const job *j, size_t i, pali_error *err)
{
    const pl_timeline *timeline = j->timeline;
    const size_t tokens = j->ids.count - j->first[i], text = timeline->prompt.count + tokens;
    const size_t positions = timeline->features->rows.count + text - 1, rows = timeline->engine->model->config.text.vocabulary;
    if (tokens == 0)
        return pl_fail(err, PALI_INPUT, "candidate %zu: found no token, expected one at least", i + 1);
    if (text > PL_TEXT_LIMIT)
        return pl_fail(err, PALI_INPUT, "candidate %zu: found %zu tokens with the prompt, expected at most %d", i + 1, text, PL_TEXT_LIMIT);
    if (timeline->max_positions && positions > timeline->max_positions)
        return pl_fail(err, PALI_INPUT, "candidate %zu: found %zu positions, expected at most the session's %zu", i + 1, positions, timeline->max_positions);
    for (size_t k = j->first[i]; k < j->ids.count; k++)
        if ((size_t)j->ids.data[k] >= rows)
            return pl_fail(err, PALI_INPUT, "candidate %zu: found token %d, expected one below the %zu rows of the embedding", i + 1, (int)j->ids.data[k], rows);
    return PALI_OK;
}

static pali_status tokenize(job *j, const char *const *candidates, bool end, pali_error *err)
{
    const pl_tokenizer *tokenizer = j->timeline->engine->model->tokenizer;
    pali_status status = PALI_OK;
    for (size_t i = 0; status == PALI_OK && i < j->n; i++) {
        j->first[i] = j->ids.count;
        status = pl_prompt_suffix(tokenizer, candidates[i], strlen(candidates[i]), end, &j->ids, err);
        if (status == PALI_OK)
            status = check_candidate(j, i, err);
        j->first[i + 1] = j->ids.count;
    }
    return status;
}

static pali_status score(job *j, pl_scores *scores, pali_error *err)
{
    const size_t count = j->first[j->n];
    scores->logprobs = j->logprobs = pl_new_raw(count, sizeof *j->logprobs, "score", err);
    pali_status status = j->logprobs ? run_prompt(j, err) : PALI_MEMORY;
    if (status == PALI_OK)
        status = run_candidates(j, err);
    if (status == PALI_OK && !j->timeline->engine->kernels->all_finite(count, j->logprobs))
        status = pl_fail(err, PALI_FAILED, "score: found log-probabilities that are not finite, expected numbers; the weights may be damaged: try `pali inspect --check`");
    return status;
}

pali_status pl_score(pl_timeline *timeline, const char *prompt, const char *const *candidates, size_t n, const pl_score_options *options, pl_scores *scores, pali_error *err)
{
    static const pl_score_options defaults = {0};
    const pl_score_options *o = options ? options : &defaults;
    const pl_question question = {.max_tokens = 1, .special = o->special};
    *scores = (pl_scores){0};
    pali_status status = pl_timeline_prompt(timeline, prompt, &question, err);
    timeline->phase = PL_PHASE_IDLE;
    job *j = status == PALI_OK ? pl_new(1, sizeof *j, "score", err) : NULL;
    if (!j)
        return status == PALI_OK ? PALI_MEMORY : status;
    j->timeline = timeline;
    j->n = n;
    scores->first = j->first = pl_new(n + 1, sizeof *j->first, "score", err);
    status = j->first ? tokenize(j, candidates, !o->no_end, err) : PALI_MEMORY;
    if (status == PALI_OK)
        status = score(j, scores, err);
    if (status != PALI_OK)
        pl_scores_free(scores);
    pl_ids_free(&j->ids);
    free(j);
    return status;
}

void pl_scores_free(pl_scores *scores)
{
    free(scores->logprobs);
    free(scores->first);
    *scores = (pl_scores){0};
}
