/*
 * One step of a batch: rows of all timelines that take part end to end, one
 * pass through the decoder for those that prefill and one for those that decode,
 * the last row of each to logits, one id each. The two are kept apart because
 * products of many rows and of few have their own orders of sums: so a timeline
 * gets the same bits whoever else is in the batch.
 */
#include "generate/timeline.h"

#include <string.h>

enum { MOST_ROWS = 8192 }; /* of one pass, past its first prefill: keeps the arena within bounds */

typedef struct batch {
    pl_timeline **active; /* [count], kept by the first timeline; those that prefill come first */
    size_t count, rows;
    size_t prefills, prefill_rows; /* of these */
    size_t outputs, prefill_outputs; /* rows that come out of the decoder: the last of each, or all when they are traced */
    pl_segment *segments; /* [count], likewise */
    float *logits;        /* [count, vocabulary], in the arena */
    pl_sample_scratch scratch;
} batch;

static size_t rows_of(const pl_timeline *timeline)
{
    return timeline->phase == PL_PHASE_PREFILL ? timeline->features->rows.count + timeline->prompt.count : 1;
}

/* Ids and pictures -> x, the rows of all timelines. */
static void embed(pl_context *ctx, const pl_paligemma *model, const batch *b, pl_rows x)
{
    size_t row = 0;
    for (size_t i = 0; i < b->prefills; i++)
        row = pl_timeline_embed_prompt(ctx, b->active[i], x, row);
    for (size_t i = b->prefills; i < b->count; i++, row++) {
        const pl_ids *tokens = &b->active[i]->tokens;
        pl_gemma_embed(ctx, &model->gemma, &tokens->data[tokens->count - 1], pl_rows_view(x, row, 1));
    }
}

/* Everything between ids and logits; on a plan arena only the sizes. */
static void compute(pl_context *ctx, const pl_paligemma *model, batch *b)
{
    const size_t width = model->config.text.width, vocabulary = model->config.text.vocabulary, decodes = b->count - b->prefills;
    pl_rows last = pl_rows_push(ctx, b->count, width);
    const pl_rows logits = pl_rows_push(ctx, b->count, vocabulary);
    b->scratch = (pl_sample_scratch){.values = pl_push(ctx, vocabulary, sizeof(float)), .order = pl_push(ctx, vocabulary, sizeof(int32_t))};
    const size_t mark = pl_arena_mark(ctx->arena);
    const pl_rows x = pl_rows_push(ctx, b->rows, width), hidden = pl_rows_push(ctx, b->outputs, width);
    embed(ctx, model, b, x);
    ctx->regime = PL_REGIME_PREFILL;
    if (b->prefills > 0)
        pl_gemma_forward_inplace(ctx, &model->gemma, pl_rows_view(x, 0, b->prefill_rows), b->segments, b->prefills, pl_rows_view(hidden, 0, b->prefill_outputs));
    ctx->regime = PL_REGIME_DECODE;
    if (decodes > 0)
        pl_gemma_forward_inplace(ctx, &model->gemma, pl_rows_view(x, b->prefill_rows, decodes), b->segments + b->prefills, decodes, pl_rows_view(hidden, b->prefill_outputs, decodes));
    size_t row = 0;
    for (size_t i = 0; i < b->count && !pl_dry(ctx); i++) {
        row += pl_segment_wanted(&b->segments[i]);
        memcpy(last.data + i * width, hidden.data + (row - 1) * width, width * sizeof(float));
    }
    pl_arena_release(ctx->arena, mark);
    pl_gemma_logits(ctx, &model->gemma, last, logits);
    b->logits = logits.data;
}

/* Hands the text that has become whole to the listener; false if it wants no more. */
static bool send_text(pl_timeline *timeline)
{
    const pl_question *question = &timeline->question;
    const size_t sent = timeline->sent, fresh = timeline->text.length - sent;
    timeline->sent = timeline->text.length;
    return !question->on_text || fresh == 0 || question->on_text(question->on_text_context, timeline->text.data + sent, fresh);
}

static pali_status finish(pl_timeline *timeline, pl_ending ending, pali_error *err)
{
    timeline->ending = ending;
    timeline->phase = PL_PHASE_DONE;
    const pali_status status = pl_detokenizer_flush(&timeline->detokenizer, &timeline->text, err);
    send_text(timeline);
    return status;
}

/* Takes the next id of one timeline from its logits. */
static pali_status take_token(pl_timeline *timeline, const batch *b, float *logits, pali_error *err)
{
    const pl_engine *engine = timeline->engine;
    const size_t vocabulary = engine->model->config.text.vocabulary;
    if (!engine->kernels->all_finite(vocabulary, logits))
        return pl_fail(err, PALI_FAILED, "position %zu: found logits that are not finite, expected numbers; the weights may be damaged: try `pali inspect --check`",
                       pl_kv_cache_count(&timeline->cache) - 1);
    /* Log-probabilities are those before the ban, as the reference reports them. */
    const bool wanted_logprob = timeline->question.logprobs;
    const double total = wanted_logprob ? pl_log_sum_exp(logits, vocabulary) : 0;
    const int32_t id = pl_sample(&timeline->question.sampler, engine->kernels, logits, vocabulary, engine->model->banned, b->scratch);
    if (wanted_logprob)
        timeline->logprobs[timeline->tokens.count] = (float)((double)logits[id] - total);
    timeline->tokens.data[timeline->tokens.count++] = id;
    if (id == pl_tokenizer_special(engine->model->tokenizer)->eos)
        return finish(timeline, PL_ENDING_EOS, err);
    const pali_status status = pl_detokenizer_push(&timeline->detokenizer, id, &timeline->text, err);
    if (status != PALI_OK)
        return status;
    const bool wanted = send_text(timeline);
    timeline->phase = PL_PHASE_DECODE;
    if (!wanted || atomic_exchange(&timeline->cancel, false))
        return finish(timeline, PL_ENDING_CANCELLED, err);
    if (timeline->tokens.count == timeline->question.max_tokens)
        return finish(timeline, PL_ENDING_LENGTH, err);
    return PALI_OK;
}

static void add(batch *b, pl_timeline *timeline)
{
    const size_t rows = rows_of(timeline);
    b->segments[b->count] = (pl_segment){.cache = &timeline->cache, .rows = rows, .prefix = timeline->prefix, .wanted = timeline->engine->trace ? 0 : 1};
    b->outputs += pl_segment_wanted(&b->segments[b->count]);
    b->active[b->count++] = timeline;
    b->rows += rows;
}

/* Those added so far prefill, those to come decode. */
static void close_prefills(batch *b)
{
    b->prefills = b->count;
    b->prefill_rows = b->rows;
    b->prefill_outputs = b->outputs;
}

/*
 * Lists the timelines that have something to do, in arrays that the first one
 * keeps, so that decoding allocates nothing. Prefills wait for a later step
 * when this one has rows enough.
 */
static pali_status gather(batch *b, pl_timeline *const *timelines, size_t n, pali_error *err)
{
    pl_timeline *keeper = timelines[0];
    pali_status status = pl_grow(&keeper->active, &keeper->active_capacity, n, sizeof(pl_timeline *), "batch", err);
    if (status == PALI_OK)
        status = pl_grow(&keeper->segments, &keeper->segment_capacity, n, sizeof *keeper->segments, "batch", err);
    if (status != PALI_OK)
        return status;
    b->active = keeper->active;
    b->segments = keeper->segments;
    for (size_t i = 0; i < n; i++)
        if (timelines[i]->phase == PL_PHASE_PREFILL && (b->count == 0 || b->rows + rows_of(timelines[i]) <= MOST_ROWS))
            add(b, timelines[i]);
    close_prefills(b);
    for (size_t i = 0; i < n; i++)
        if (timelines[i]->phase == PL_PHASE_DECODE)
            add(b, timelines[i]);
    return PALI_OK;
}

static pali_status run(batch *b, pali_error *err)
{
    pl_timeline *lead = b->active[0];
    const pl_engine *engine = lead->engine;
    pl_arena plan = pl_arena_plan();
    pl_context ctx = pl_engine_context(engine, &plan);
    compute(&ctx, engine->model, b);
    pali_status status = pl_timeline_reserve(lead, plan.peak, err);
    /* Reserved when the prompt was set; a fork that ran out of memory may have taken the tail since. */
    for (size_t i = 0; status == PALI_OK && i < b->count; i++)
        status = pl_kv_cache_reserve(b->segments[i].cache, pl_kv_cache_count(b->segments[i].cache) + b->segments[i].rows, err);
    if (status != PALI_OK)
        return status;
    ctx.arena = &lead->arena;
    compute(&ctx, engine->model, b);
    return ctx.failed ? pl_fail_memory(err, "batch", plan.peak) : PALI_OK;
}

uint64_t pl_question_bytes(const pl_engine *engine, size_t images, size_t prompt, size_t answer)
{
    const pl_config *config = &engine->model->config;
    pl_features features = {.rows = {.count = images * pl_image_tokens(engine->model), .width = config->text.width}};
    pl_timeline timeline, *active = &timeline;
    pl_timeline_init(&timeline, engine, 0);
    timeline.features = &features;
    timeline.prompt.count = prompt;
    timeline.phase = PL_PHASE_PREFILL;
    const size_t rows = rows_of(&timeline);
    pl_segment segment;
    batch b = {.active = &active, .segments = &segment};
    add(&b, &timeline);
    close_prefills(&b);
    pl_arena vision = pl_arena_plan(), step = pl_arena_plan();
    pl_context ctx = pl_engine_context(engine, &vision);
    pl_paligemma_encode(&ctx, engine->model, NULL, pl_rows_view(features.rows, 0, pl_image_tokens(engine->model)));
    ctx.arena = &step;
    compute(&ctx, engine->model, &b);
    const uint64_t side = config->vision.image_size, pixels = side * side * 3 * sizeof(float);
    return pixels + features.rows.count * features.rows.width * sizeof(float) + pl_max(vision.peak, step.peak) +
           pl_kv_cache_position_bytes(&timeline.cache) * (rows + answer);
}

/* The question cannot be answered: what was made of the answer stays readable. */
static void give_up(pl_timeline *timeline)
{
    timeline->phase = PL_PHASE_IDLE;
    timeline->ending = PL_ENDING_FAILED;
}

static void count_time(pl_timeline *timeline, double seconds)
{
    pl_clock *clock = &timeline->clock;
    if (timeline->phase == PL_PHASE_PREFILL) {
        clock->prefill += seconds;
    } else {
        clock->decode += seconds;
        clock->decoded_tokens++;
    }
}

pali_status pl_step(pl_timeline *const *timelines, size_t n, pali_error *err)
{
    batch b = {0};
    const double start = pl_now();
    pali_status status = gather(&b, timelines, n, err);
    if (status == PALI_OK && b.count) {
        status = run(&b, err);
        const double took = pl_now() - start;
        const size_t vocabulary = b.active[0]->engine->model->config.text.vocabulary;
        const bool computed = status == PALI_OK;
        for (size_t i = 0; status != PALI_OK && i < b.count; i++)
            give_up(b.active[i]);
        for (size_t i = 0; computed && i < b.count; i++) {
            count_time(b.active[i], took);
            pali_error why = {0};
            const pali_status own = take_token(b.active[i], &b, b.logits + i * vocabulary, &why);
            if (own == PALI_OK)
                continue;
            give_up(b.active[i]);
            if (status == PALI_OK)
                status = pl_fail(err, own, "%s", why.message);
        }
    }
    return status;
}
