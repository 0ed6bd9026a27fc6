/* Timelines: pictures and prompts, before and after the computing. */
#include "generate/timeline.h"

#include "text/prompt.h"

#include <stdlib.h>
#include <string.h>

static void release_features(pl_features *features)
{
    if (features && atomic_fetch_sub(&features->references, 1) == 1) {
        free(features->rows.data);
        free(features);
    }
}

static pl_features *new_features(const pl_paligemma *model, size_t images, pali_error *err)
{
    const size_t width = model->config.text.width;
    size_t rows, bytes;
    pl_features *features = pl_new(1, sizeof *features, "image embeddings", err);
    if (!features)
        return NULL;
    atomic_init(&features->references, 1);
    features->images = images;
    if (!pl_mul(images, pl_image_tokens(model), &rows) || !pl_mul(rows, width * sizeof(float), &bytes))
        pl_fail_memory(err, "image embeddings", 0);
    else
        features->rows = (pl_rows){.data = pl_new_aligned(bytes, "image embeddings", err), .count = rows, .width = width};
    if (!features->rows.data) {
        free(features);
        return NULL;
    }
    return features;
}

void pl_timeline_init(pl_timeline *timeline, const pl_engine *engine, size_t max_positions)
{
    const pl_gemma_config *text = &engine->model->config.text;
    memset(timeline, 0, sizeof *timeline);
    timeline->engine = engine;
    timeline->max_positions = max_positions;
    pl_kv_cache_init(&timeline->cache, text->layers, text->kv_heads * text->head_dim, engine->cache_type);
    atomic_init(&timeline->cancel, false);
}

void pl_timeline_free(pl_timeline *timeline)
{
    release_features(timeline->features);
    pl_kv_cache_free(&timeline->cache);
    pl_arena_free(&timeline->arena);
    pl_ids_free(&timeline->prompt);
    pl_ids_free(&timeline->tokens);
    free(timeline->logprobs);
    pl_search_free(&timeline->search);
    pl_constraint_release(timeline->question.constraint);
    pl_evidence_free(&timeline->evidence);
    free(timeline->allowed.ranges);
    free(timeline->beyond.ranges);
    free(timeline->together.ranges);
    free(timeline->active);
    free(timeline->segments);
    free(timeline->text.data);
}

pali_status pl_timeline_reserve(pl_timeline *timeline, size_t bytes, pali_error *err)
{
    if (timeline->arena.block && timeline->arena.size >= bytes) {
        timeline->arena.used = 0;
        return PALI_OK;
    }
    pl_arena_free(&timeline->arena);
    return pl_arena_init(&timeline->arena, bytes, "session", err);
}

void pl_timeline_forget(pl_timeline *timeline)
{
    timeline->phase = PL_PHASE_IDLE;
    timeline->ending = PL_ENDING_NONE;
    timeline->tokens.count = timeline->text.length = timeline->sent = 0;
    pl_search_clear(&timeline->search);
}

/* Runs the vision tower on one picture's pixels. */
static pali_status encode_one(pl_timeline *timeline, const float *pixels, pl_rows out, pali_error *err)
{
    const pl_engine *engine = timeline->engine;
    pl_arena plan = pl_arena_plan();
    pl_context ctx = pl_engine_context(engine, &plan);
    ctx.regime = PL_REGIME_PREFILL;
    pl_paligemma_encode(&ctx, engine->model, pixels, out);
    const pali_status status = pl_timeline_reserve(timeline, plan.peak, err);
    if (status != PALI_OK)
        return status;
    ctx.arena = &timeline->arena;
    pl_paligemma_encode(&ctx, engine->model, pixels, out);
    return ctx.failed ? pl_fail_memory(err, "vision", plan.peak) : PALI_OK;
}

pali_status pl_timeline_set_images(pl_timeline *timeline, const pl_image *const *images, size_t count, pali_error *err)
{
    const pl_paligemma *model = timeline->engine->model;
    const size_t side = model->config.vision.image_size, tokens = pl_image_tokens(model);
    const pl_hands hands = {.kernels = timeline->engine->kernels, .pool = timeline->engine->pool};
    pl_features *features = new_features(model, count, err);
    float *pixels = features ? pl_new_aligned(side * side * 3 * sizeof *pixels, "pixels", err) : NULL;
    pali_status status = pixels ? PALI_OK : PALI_MEMORY;
    pl_clock clock = {0};
    atomic_store(&timeline->cancel, false); /* from here on, cancelling means the question about these pictures */
    for (size_t i = 0; status == PALI_OK && i < count; i++) {
        const double start = pl_now();
        status = pl_preprocess(images[i], side, &model->config.preprocess, &hands, pixels, err);
        const double ready = pl_now();
        if (status == PALI_OK)
            status = encode_one(timeline, pixels, pl_rows_view(features->rows, i * tokens, tokens), err);
        clock.preprocess += ready - start;
        clock.encode += pl_now() - ready;
    }
    free(pixels);
    if (status != PALI_OK) {
        release_features(features);
        return status;
    }
    features->width = images[0]->width;
    features->height = images[0]->height;
    release_features(timeline->features);
    timeline->features = features;
    timeline->fresh = true;
    timeline->clock = clock;
    pl_timeline_forget(timeline); /* what was said was said of other pictures */
    return PALI_OK;
}

void pl_timeline_use_images(pl_timeline *timeline, const pl_timeline *from)
{
    atomic_store(&timeline->cancel, false);
    atomic_fetch_add(&from->features->references, 1);
    release_features(timeline->features);
    timeline->features = from->features;
    timeline->clock = (pl_clock){0};
    timeline->fresh = true;
    pl_timeline_forget(timeline);
}

/* The image placeholder may be a piece without a row; written as a control token it would be read beyond the table. */
static pali_status check_ids(const pl_timeline *timeline, pali_error *err)
{
    const pl_ids *ids = &timeline->prompt;
    const size_t rows = timeline->engine->model->config.text.vocabulary;
    if (ids->count > PL_TEXT_LIMIT)
        return pl_fail(err, PALI_INPUT, "prompt: found %zu tokens with the start of the answer, expected at most %d", ids->count, PL_TEXT_LIMIT);
    for (size_t i = 0; i < ids->count; i++)
        if ((size_t)ids->data[i] >= rows)
            return pl_fail(err, PALI_INPUT, "prompt: found token %d, expected one below the %zu rows of the embedding", (int)ids->data[i], rows);
    return PALI_OK;
}

/* Fills timeline->prompt; *prefix counts the text positions that see each other. */
static pali_status tokenize(pl_timeline *timeline, const char *prompt, const pl_question *question, size_t *prefix, pali_error *err)
{
    const pl_tokenizer *tokenizer = timeline->engine->model->tokenizer;
    timeline->prompt.count = 0;
    const pl_prompt_options options = {.limit = PL_TEXT_LIMIT, .mode = question->special ? PL_TEXT_SPECIAL : PL_TEXT_USER};
    pali_status status = pl_prompt_encode(tokenizer, prompt, strlen(prompt), &options, &timeline->prompt, err);
    *prefix = timeline->prompt.count;
    if (status == PALI_OK && question->start)
        status = pl_prompt_suffix(tokenizer, question->start, strlen(question->start), false, &timeline->prompt, err);
    return status == PALI_OK ? check_ids(timeline, err) : status;
}

/* Room in the timeline's own cache behind `given` positions; hypotheses of a search have caches of their own. */
static pali_status reserve_cache(pl_timeline *timeline, size_t given, pali_error *err)
{
    size_t positions;
    if (!pl_add(given, timeline->question.search ? 0 : timeline->question.max_tokens, &positions))
        return pl_fail_memory(err, "KV cache", 0);
    return pl_kv_cache_reserve(&timeline->cache, positions, err);
}

/* Room for everything that decoding will write, so that it allocates nothing. */
static pali_status reserve_answer(pl_timeline *timeline, size_t given, pali_error *err)
{
    const pl_question *question = &timeline->question;
    const size_t most = question->max_tokens;
    const int32_t eos = pl_tokenizer_special(timeline->engine->model->tokenizer)->eos;
    pali_status status = reserve_cache(timeline, given, err);
    if (status == PALI_OK && question->search)
        status = pl_search_prepare(&timeline->search, question->search, question->width, most, eos, &question->sampler, &timeline->cache, err);
    if (status == PALI_OK)
        status = pl_grow(&timeline->tokens.data, &timeline->tokens.capacity, most, sizeof *timeline->tokens.data, "answer", err);
    if (status == PALI_OK && timeline->question.logprobs)
        status = pl_grow(&timeline->logprobs, &timeline->logprob_capacity, most, sizeof *timeline->logprobs, "answer", err);
    return status;
}

/* Holds the prompt and the longest answer against the session's limit; *given counts the prompt's positions. */
static pali_status limit_answer(pl_timeline *timeline, size_t *given, pali_error *err)
{
    const size_t pictures = timeline->features->rows.count, most = timeline->max_positions ? timeline->max_positions : SIZE_MAX;
    *given = pictures + timeline->prompt.count;
    if (*given >= most)
        return pl_fail(err, PALI_INPUT, "prompt: found %zu positions (%zu of pictures), expected fewer than the session's %zu", *given, pictures, most);
    timeline->question.max_tokens = pl_min(timeline->question.max_tokens, most - *given);
    return PALI_OK;
}

/* Takes the question over, but for the start. */
static void take_question(pl_timeline *timeline, const pl_question *question)
{
    pl_constraint *const before = timeline->question.constraint;
    timeline->question = *question;
    timeline->question.start = NULL;
    pl_constraint_keep(question->constraint);
    pl_constraint_release(before);
}

pl_history pl_timeline_history(const pl_timeline *timeline)
{
    const size_t given = timeline->prefix - timeline->features->rows.count; /* of the prompt, before the answer's start */
    return (pl_history){.start = timeline->prompt.data + given, .start_count = timeline->prompt.count - given, .tokens = timeline->tokens.data, .count = timeline->tokens.count,
                        .left = timeline->question.max_tokens - timeline->tokens.count};
}

pali_status pl_timeline_constrain_history(pl_timeline *timeline, const pl_history *history, pali_error *err)
{
    const pl_paligemma *model = timeline->engine->model;
    return pl_constraint_next(timeline->question.constraint, history, model->banned, model->config.text.vocabulary, &timeline->allowed, err);
}

pali_status pl_timeline_constrain(pl_timeline *timeline, pali_error *err)
{
    pl_history history = pl_timeline_history(timeline);
    const pali_status status = pl_timeline_constrain_history(timeline, &history, err);
    const pl_paligemma *model = timeline->engine->model;
    timeline->beyond.count = 0;
    if (status != PALI_OK || !timeline->question.constraint->bounded || !pl_allowed_has(&timeline->allowed, pl_tokenizer_special(model->tokenizer)->eos))
        return status;
    history.left = SIZE_MAX / 2;
    return pl_constraint_next(timeline->question.constraint, &history, model->banned, model->config.text.vocabulary, &timeline->beyond, err);
}

/* A start that nobody meant to be constrained lifts the constraint where it does not fit. */
static pali_status fit_start(pl_timeline *timeline, pali_error *err)
{
    pl_constraint *const constraint = timeline->question.constraint;
    pali_error own = {0};
    if (!constraint || !constraint->lenient || pl_timeline_constrain(timeline, &own) == PALI_OK)
        return PALI_OK;
    if (own.status != PALI_FAILED)
        return pl_fail(err, own.status, "%s", own.message);
    timeline->question.constraint = NULL;
    pl_constraint_release(constraint);
    return PALI_OK;
}

static pali_status reserve_evidence(pl_timeline *timeline, pali_error *err)
{
    const pl_special_ids *special = pl_tokenizer_special(timeline->engine->model->tokenizer);
    const bool located = special->loc >= 0 && (size_t)special->loc + (size_t)special->loc_count <= timeline->engine->model->config.text.vocabulary;
    const pl_history history = pl_timeline_history(timeline);
    if (!timeline->question.confidence)
        return PALI_OK;
    return pl_evidence_prepare(&timeline->evidence, &history, timeline->question.max_tokens, special->loc, located ? special->loc_count : 0, err);
}

/* Hypotheses go on from the evidence that there is of the prompt. */
static pali_status rate_search(pl_timeline *timeline, pali_error *err)
{
    const pl_question *question = &timeline->question;
    return question->search && question->confidence ? pl_search_rate(&timeline->search, &timeline->evidence, err) : PALI_OK;
}

pali_status pl_timeline_prompt(pl_timeline *timeline, const char *prompt, const pl_question *question, pali_error *err)
{
    pl_timeline_forget(timeline);
    if (!timeline->features)
        return pl_fail(err, PALI_USAGE, "prompt: found no picture, expected one to be set before");
    take_question(timeline, question);
    if (timeline->question.max_tokens == 0)
        timeline->question.max_tokens = PL_DEFAULT_MAX_TOKENS;
    size_t prefix = 0, given = 0;
    pali_status status = tokenize(timeline, prompt, question, &prefix, err);
    if (status == PALI_OK)
        status = limit_answer(timeline, &given, err);
    pl_kv_cache_clear(&timeline->cache);
    if (status == PALI_OK)
        status = reserve_answer(timeline, given, err);
    if (status == PALI_OK && question->start)
        status = pl_buffer_append(&timeline->text, question->start, strlen(question->start), err);
    timeline->prefix = timeline->features->rows.count + prefix;
    if (status == PALI_OK)
        status = fit_start(timeline, err);
    if (status == PALI_OK)
        status = reserve_evidence(timeline, err);
    if (status == PALI_OK)
        status = rate_search(timeline, err);
    if (status != PALI_OK)
        return status;
    timeline->clock = (pl_clock){.preprocess = timeline->fresh ? timeline->clock.preprocess : 0, .encode = timeline->fresh ? timeline->clock.encode : 0, .prompt_tokens = given};
    pl_detokenizer_init(&timeline->detokenizer, timeline->engine->model->tokenizer);
    if (!timeline->fresh) /* else it may be meant: encoding takes long */
        atomic_store(&timeline->cancel, false);
    timeline->fresh = false;
    timeline->phase = PL_PHASE_PREFILL;
    return PALI_OK;
}

size_t pl_timeline_embed_prompt(pl_context *ctx, const pl_timeline *timeline, pl_rows x, size_t row)
{
    const pl_rows pictures = timeline->features->rows, text = pl_rows_view(x, row + pictures.count, timeline->prompt.count);
    if (!pl_dry(ctx))
        memcpy(x.data + row * x.width, pictures.data, pictures.count * pictures.width * sizeof(float));
    pl_gemma_embed(ctx, &timeline->engine->model->gemma, timeline->prompt.data, text);
    return row + pictures.count + text.count;
}

static pali_status copy_ids(const pl_ids *from, pl_ids *to, size_t capacity, pali_error *err)
{
    const pali_status status = pl_grow(&to->data, &to->capacity, pl_max(capacity, from->count), sizeof *to->data, "session", err);
    if (status == PALI_OK) {
        if (from->count)
            memcpy(to->data, from->data, from->count * sizeof *to->data);
        to->count = from->count;
    }
    return status;
}

/* The fork's own way of going on, where it is given one. */
static pali_status set_way(pl_timeline *fork, const pl_timeline *timeline, const pl_question *question, pali_error *err)
{
    const bool fresh = timeline->phase == PL_PHASE_PREFILL;
    take_question(fork, &timeline->question);
    if (!fresh && (timeline->question.search || (question && question->search)))
        return pl_fail(err, PALI_USAGE, "fork: found a search (beams, best_of) and a question under way, expected to fork a search before its first step");
    if (!question)
        return PALI_OK;
    fork->question.search = question->search;
    fork->question.width = question->width;
    fork->question.max_tokens = question->max_tokens ? question->max_tokens : PL_DEFAULT_MAX_TOKENS;
    if (fork->max_positions && timeline->phase != PL_PHASE_IDLE) /* the prompt was held against the limit */
        fork->question.max_tokens = pl_min(fork->question.max_tokens, fork->max_positions - timeline->features->rows.count - timeline->prompt.count);
    fork->question.sampler = question->sampler;
    fork->question.on_text = question->on_text;
    fork->question.on_text_context = question->on_text_context;
    if (fork->question.max_tokens <= timeline->tokens.count)
        return pl_fail(err, PALI_USAGE, "fork: found max_tokens %zu, expected more than the %zu tokens made already", fork->question.max_tokens, timeline->tokens.count);
    return PALI_OK;
}

pali_status pl_timeline_fork(pl_timeline *timeline, pl_timeline *fork, const pl_question *question, pali_error *err)
{
    fork->phase = PL_PHASE_IDLE;
    pali_status status = set_way(fork, timeline, question, err);
    if (status != PALI_OK)
        return status;
    const size_t most = fork->question.max_tokens, held = pl_kv_cache_count(&timeline->cache);
    const size_t given = timeline->phase == PL_PHASE_PREFILL ? timeline->features->rows.count + timeline->prompt.count : held;
    status = pl_kv_cache_fork(&timeline->cache, &fork->cache, err);
    if (status == PALI_OK)
        status = reserve_cache(timeline, given, err);
    if (status == PALI_OK)
        status = reserve_answer(fork, given, err);
    if (status == PALI_OK)
        status = copy_ids(&timeline->prompt, &fork->prompt, 0, err);
    if (status == PALI_OK)
        status = copy_ids(&timeline->tokens, &fork->tokens, most, err);
    if (status == PALI_OK) {
        fork->text.length = 0;
        status = pl_buffer_append(&fork->text, timeline->text.data ? timeline->text.data : "", timeline->text.length, err);
    }
    if (status == PALI_OK && fork->question.confidence)
        status = pl_evidence_copy(&timeline->evidence, timeline->tokens.count, most, &fork->evidence, err);
    if (status == PALI_OK)
        status = rate_search(fork, err);
    if (status != PALI_OK)
        return status;
    if (timeline->logprobs && timeline->question.logprobs && timeline->tokens.count)
        memcpy(fork->logprobs, timeline->logprobs, timeline->tokens.count * sizeof *fork->logprobs);
    if (timeline->features)
        atomic_fetch_add(&timeline->features->references, 1);
    release_features(fork->features);
    fork->features = timeline->features;
    fork->fresh = timeline->fresh;
    fork->prefix = timeline->prefix;
    fork->sent = timeline->sent;
    fork->detokenizer = timeline->detokenizer;
    fork->clock = timeline->clock;
    fork->ending = timeline->ending;
    fork->phase = timeline->phase;
    return PALI_OK;
}
