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
    size_t prefills, prefill_rows; /* of these; a prefill is one segment */
    size_t outputs, prefill_outputs; /* rows that come out of the decoder: the last of each segment, or all when they are traced */
    pl_segment *segments; /* [segment_count], likewise; a search decodes several */
    size_t segment_count;
    const pl_allowed *needed; /* ids whose logits are computed; NULL: all */
    float *logits;        /* [segment_count, vocabulary], in the arena */
    double *totals;       /* [segment_count] log of the sum of exp(logits), likewise */
    pl_sample_scratch scratch;
} batch;

static size_t segments_of(const pl_timeline *timeline)
{
    return timeline->phase == PL_PHASE_DECODE && timeline->question.search ? timeline->search.live : 1;
}

/* Of each segment. */
static size_t rows_of(const pl_timeline *timeline)
{
    return timeline->phase == PL_PHASE_PREFILL ? timeline->features->rows.count + timeline->prompt.count : 1;
}

/* The last token of what segment i of a decoding timeline goes on with. */
static const int32_t *last_token(const pl_timeline *timeline, size_t i)
{
    const pl_hypothesis *hypothesis = timeline->question.search ? &timeline->search.hypotheses[i] : NULL;
    return hypothesis ? &hypothesis->tokens[hypothesis->count - 1] : &timeline->tokens.data[timeline->tokens.count - 1];
}

/* Ids and pictures -> x, the rows of all timelines. */
static void embed(pl_context *ctx, const pl_paligemma *model, const batch *b, pl_rows x)
{
    size_t row = 0;
    for (size_t i = 0; i < b->prefills; i++)
        row = pl_timeline_embed_prompt(ctx, b->active[i], x, row);
    for (size_t i = b->prefills; i < b->count; i++)
        for (size_t s = 0; s < segments_of(b->active[i]); s++, row++)
            pl_gemma_embed(ctx, &model->gemma, last_token(b->active[i], s), pl_rows_view(x, row, 1));
}

/* Everything between ids and logits; on a plan arena only the sizes. */
static void compute(pl_context *ctx, const pl_paligemma *model, batch *b)
{
    const size_t width = model->config.text.width, vocabulary = model->config.text.vocabulary, decodes = b->segment_count - b->prefills;
    pl_rows last = pl_rows_push(ctx, b->segment_count, width);
    const pl_rows logits = pl_rows_push(ctx, b->segment_count, vocabulary);
    b->totals = pl_push(ctx, b->segment_count, sizeof *b->totals);
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
    for (size_t i = 0; i < b->segment_count && !pl_dry(ctx); i++) {
        row += pl_segment_wanted(&b->segments[i]);
        memcpy(last.data + i * width, hidden.data + (row - 1) * width, width * sizeof(float));
    }
    pl_arena_release(ctx->arena, mark);
    if (b->needed)
        pl_gemma_logits_of(ctx, &model->gemma, last, b->needed->ranges, b->needed->count, logits);
    else
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

/* Are those logits that were computed numbers? */
static bool are_finite(const batch *b, const pl_engine *engine, size_t rows, const float *logits)
{
    const size_t vocabulary = engine->model->config.text.vocabulary;
    if (!b->needed)
        return engine->kernels->all_finite(rows * vocabulary, logits);
    for (size_t t = 0; t < rows; t++)
        for (size_t i = 0; i < b->needed->count; i++) {
            const pl_id_range range = b->needed->ranges[i];
            if (!engine->kernels->all_finite((size_t)(range.end - range.first), logits + t * vocabulary + range.first))
                return false;
        }
    return true;
}

/* Of a search, each hypothesis has tokens of its own, and what may follow them. */
static pali_status constrain_row(pl_timeline *timeline, size_t row, pali_error *err)
{
    const pl_search *search = &timeline->search;
    if (!timeline->question.search)
        return PALI_OK; /* it stands since before the model ran */
    pl_history history = pl_timeline_history(timeline);
    if (search->begun) {
        history.tokens = search->hypotheses[row].tokens;
        history.count = search->hypotheses[row].count;
        history.left = search->most - history.count;
    }
    return pl_timeline_constrain_history(timeline, &history, err);
}

/* The same row before anything is ruled out; the prompt's is the first of all that go on from it. */
static void see_evidence(pl_timeline *timeline, size_t row, const float *logits, double total)
{
    pl_search *search = &timeline->search;
    if (!timeline->question.search)
        pl_evidence_see(&timeline->evidence, logits, total);
    else if (search->begun)
        pl_evidence_see(&search->hypotheses[row].evidence, logits, total);
    for (size_t i = 0; timeline->question.search && !search->begun && i < search->live; i++)
        pl_evidence_see(&search->hypotheses[i].evidence, logits, total);
}

/* Makes rows of logits ready for choosing: totals receive the log-sums where they are wanted, and what may not be chosen becomes -infinity. */
static pali_status prepare_logits(pl_timeline *timeline, const batch *b, size_t rows, float *logits, double *totals, pali_error *err)
{
    const pl_engine *engine = timeline->engine;
    const size_t vocabulary = engine->model->config.text.vocabulary;
    if (!are_finite(b, engine, rows, logits))
        return pl_fail(err, PALI_FAILED, "position %zu: found logits that are not finite, expected numbers; the weights may be damaged: try `pali inspect --check`",
                       pl_kv_cache_count(&timeline->cache) - 1);
    /* Log-probabilities are those before the ban and the constraint, as the reference reports them. */
    if (timeline->question.logprobs || timeline->question.search)
        pl_log_sum_exps(engine->pool, logits, rows, vocabulary, totals);
    else
        memset(totals, 0, rows * sizeof *totals);
    for (size_t i = 0; i < rows; i++, logits += vocabulary) {
        if (timeline->question.confidence)
            see_evidence(timeline, i, logits, totals[i]);
        if (timeline->question.constraint) {
            const pali_status status = constrain_row(timeline, i, err);
            if (status != PALI_OK)
                return status;
            timeline->barred = pl_allowed_highest_beyond(&timeline->allowed, &timeline->beyond, engine->model->banned, logits, vocabulary);
            pl_allowed_mask(&timeline->allowed, logits, vocabulary);
        }
        pl_ban(logits, vocabulary, engine->model->banned);
    }
    return PALI_OK;
}

/* Takes the next id of one timeline from its logits. */
static pali_status take_token(pl_timeline *timeline, const batch *b, const float *logits, double total, pali_error *err)
{
    const pl_engine *engine = timeline->engine;
    const int32_t id = pl_sample(&timeline->question.sampler, engine->kernels, logits, engine->model->config.text.vocabulary, b->scratch);
    if (timeline->question.logprobs)
        timeline->logprobs[timeline->tokens.count] = (float)((double)logits[id] - total);
    if (timeline->question.confidence)
        pl_evidence_take(&timeline->evidence, timeline->tokens.count, id, (double)logits[id] - total);
    timeline->tokens.data[timeline->tokens.count++] = id;
    if (id == pl_tokenizer_special(engine->model->tokenizer)->eos) /* the model's own end, unless it had rather gone on than there are tokens for */
        return finish(timeline, timeline->question.constraint && timeline->barred > logits[id] ? PL_ENDING_LENGTH : PL_ENDING_EOS, err);
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

/* Makes a hypothesis the timeline's answer. */
static pali_status take_answer(pl_timeline *timeline, const pl_hypothesis *best, pl_ending ending, pali_error *err)
{
    const int32_t eos = pl_tokenizer_special(timeline->engine->model->tokenizer)->eos;
    pali_status status = PALI_OK;
    for (size_t i = 0; status == PALI_OK && i < best->count; i++) {
        timeline->tokens.data[i] = best->tokens[i];
        if (timeline->question.logprobs)
            timeline->logprobs[i] = best->logprobs[i];
        if (best->tokens[i] != eos)
            status = pl_detokenizer_push(&timeline->detokenizer, best->tokens[i], &timeline->text, err);
    }
    timeline->tokens.count = best->count;
    if (timeline->question.confidence)
        pl_evidence_set(&best->evidence, best->count, &timeline->evidence);
    return status == PALI_OK ? finish(timeline, ending, err) : status;
}

/* The same for a search: one token further for all its hypotheses, and the answer when that ends it. */
static pali_status take_tokens(pl_timeline *timeline, const batch *b, const float *logits, const double *totals, pali_error *err)
{
    pl_search *search = &timeline->search;
    if (!search->begun) {
        const pali_status status = pl_search_begin(search, &timeline->cache, err);
        if (status != PALI_OK)
            return status;
    }
    const pl_search_end end = pl_search_take(search, timeline->engine->kernels, logits, totals, timeline->engine->model->config.text.vocabulary, b->scratch);
    timeline->phase = PL_PHASE_DECODE;
    const bool cancelled = atomic_exchange(&timeline->cancel, false);
    if (end == PL_SEARCH_GOES_ON && !cancelled)
        return PALI_OK;
    const pl_ending ending = end == PL_SEARCH_GOES_ON ? PL_ENDING_CANCELLED : end == PL_SEARCH_ENDED ? PL_ENDING_EOS : PL_ENDING_LENGTH;
    return take_answer(timeline, pl_search_best(search, end), ending, err);
}

/* What a timeline's rows of logits bring it. */
static pali_status take(pl_timeline *timeline, const batch *b, size_t row, size_t rows, pali_error *err)
{
    float *logits = b->logits + row * timeline->engine->model->config.text.vocabulary;
    double *totals = b->totals + row;
    const pali_status status = prepare_logits(timeline, b, rows, logits, totals, err);
    if (status != PALI_OK)
        return status;
    return timeline->question.search ? take_tokens(timeline, b, logits, totals, err) : take_token(timeline, b, logits, totals[0], err);
}

/* Does its next token depend on every logit? */
static bool needs_all(const pl_timeline *timeline)
{
    return !timeline->question.constraint || timeline->question.logprobs || timeline->question.search || timeline->engine->trace;
}

static pali_status add_ranges(const pl_allowed *from, pl_allowed *to, pali_error *err)
{
    pali_status status = PALI_OK;
    for (size_t r = 0; status == PALI_OK && r < from->count; r++)
        status = pl_allow(to, from->ranges[r].first, from->ranges[r].end, err);
    return status;
}

/*
 * The ids that any of the batch may take, where that is a small part of the
 * vocabulary and nobody asks for more: one product of few rows of the head.
 */
static pali_status find_needed(batch *b, pl_timeline *keeper, pali_error *err)
{
    pl_allowed *const together = &keeper->together;
    together->count = 0;
    for (size_t i = 0; i < b->count; i++) {
        const pl_timeline *timeline = b->active[i];
        if (needs_all(timeline))
            return PALI_OK;
        pali_status status = add_ranges(&timeline->allowed, together, err);
        if (status == PALI_OK)
            status = add_ranges(&timeline->beyond, together, err);
        if (status != PALI_OK)
            return status;
    }
    pl_allowed_settle(together);
    const pl_gemma *gemma = b->count ? &keeper->engine->model->gemma : NULL;
    if (gemma && pl_gemma_logits_cost(gemma, together->ranges, together->count) <= gemma->config.vocabulary / 2)
        b->needed = together;
    return PALI_OK;
}

/* The question cannot be answered: what was made of the answer stays readable. */
static void give_up(pl_timeline *timeline)
{
    timeline->phase = PL_PHASE_IDLE;
    timeline->ending = PL_ENDING_FAILED;
}

static void add(batch *b, pl_timeline *timeline)
{
    const size_t rows = rows_of(timeline), segments = segments_of(timeline);
    const bool searches = timeline->phase == PL_PHASE_DECODE && timeline->question.search;
    for (size_t i = 0; i < segments; i++) {
        pl_segment *segment = &b->segments[b->segment_count++];
        *segment = (pl_segment){.cache = searches ? &timeline->search.hypotheses[i].cache : &timeline->cache, .rows = rows, .prefix = timeline->prefix};
        segment->wanted = timeline->engine->trace ? 0 : 1;
        b->outputs += pl_segment_wanted(segment);
    }
    b->active[b->count++] = timeline;
    b->rows += segments * rows;
}

/* Those added so far prefill, those to come decode. */
static void close_prefills(batch *b)
{
    b->prefills = b->count;
    b->prefill_rows = b->rows;
    b->prefill_outputs = b->outputs;
}

/* Adds a timeline whose constraint leaves something; one that fails takes no part, and *first is the first failure. */
static void add_constrained(batch *b, pl_timeline *timeline, pali_error *first)
{
    pali_error why = {0};
    if (!timeline->question.constraint || timeline->question.search || pl_timeline_constrain(timeline, &why) == PALI_OK) {
        add(b, timeline);
        return;
    }
    give_up(timeline);
    if (first->status == PALI_OK)
        *first = why;
}

/*
 * Lists the timelines that have something to do, in arrays that the first one
 * keeps, so that decoding allocates nothing. Prefills wait for a later step
 * when this one has rows enough. What its constraint stops is left out, and
 * told in *stopped.
 */
static pali_status gather(batch *b, pl_timeline *const *timelines, size_t n, pali_error *stopped, pali_error *err)
{
    pl_timeline *keeper = timelines[0];
    size_t segments = 0;
    for (size_t i = 0; i < n; i++)
        segments += segments_of(timelines[i]);
    pali_status status = pl_grow(&keeper->active, &keeper->active_capacity, n, sizeof(pl_timeline *), "batch", err);
    if (status == PALI_OK)
        status = pl_grow(&keeper->segments, &keeper->segment_capacity, segments, sizeof *keeper->segments, "batch", err);
    if (status != PALI_OK)
        return status;
    b->active = keeper->active;
    b->segments = keeper->segments;
    for (size_t i = 0; i < n; i++)
        if (timelines[i]->phase == PL_PHASE_PREFILL && (b->count == 0 || b->rows + rows_of(timelines[i]) <= MOST_ROWS))
            add_constrained(b, timelines[i], stopped);
    close_prefills(b);
    for (size_t i = 0; i < n; i++)
        if (timelines[i]->phase == PL_PHASE_DECODE)
            add_constrained(b, timelines[i], stopped);
    return find_needed(b, keeper, err);
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
    for (size_t i = 0; status == PALI_OK && i < b->segment_count; i++)
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
    pali_error stopped = {0};
    const double start = pl_now();
    pali_status status = gather(&b, timelines, n, &stopped, err);
    if (status == PALI_OK && b.count) {
        status = run(&b, err);
        const double took = pl_now() - start;
        const bool computed = status == PALI_OK;
        for (size_t i = 0; status != PALI_OK && i < b.count; i++)
            give_up(b.active[i]);
        for (size_t i = 0, row = 0, rows; computed && i < b.count; i++, row += rows) {
            pl_timeline *timeline = b.active[i];
            pali_error why = {0};
            rows = segments_of(timeline);
            count_time(timeline, took);
            const pali_status own = take(timeline, &b, row, rows, &why);
            if (own == PALI_OK)
                continue;
            give_up(timeline);
            if (status == PALI_OK)
                status = pl_fail(err, own, "%s", why.message);
        }
    }
    if (status == PALI_OK && stopped.status != PALI_OK)
        status = pl_fail(err, stopped.status, "%s", stopped.message);
    return status;
}
