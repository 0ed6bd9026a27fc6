/*
 * What the model must keep to whatever its weights: who sees whom, batches and
 * forks that give what each gives alone, the same bits for any number of
 * threads (golden_facts.md, 21 to 25).
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/tiny.h"

static const char *const models[] = {TINY "pg1", TINY "pg2"};

/* Runs rows of ids (pictures as ids of text, to be free to change them) from the cache on; hidden, of the wanted rows, is new. */
static pl_rows run_wanted(const tiny_model *tiny, pl_kv_cache *cache, const int32_t *ids, size_t rows, size_t prefix, size_t wanted)
{
    pali_error err = {0};
    const size_t width = tiny->model->config.text.width;
    expect_ok(pl_kv_cache_reserve(cache, pl_kv_cache_count(cache) + rows, &err), &err);
    pl_arena arena;
    expect_ok(pl_arena_init(&arena, 16 << 20, "test", &err), &err);
    pl_context ctx = pl_engine_context(&tiny->engine, &arena);
    ctx.regime = wanted == rows ? PL_REGIME_BY_ROWS : PL_REGIME_PREFILL;
    const pl_rows x = pl_rows_push(&ctx, rows, width), out = pl_rows_push(&ctx, wanted, width);
    pl_gemma_embed(&ctx, &tiny->model->gemma, ids, x);
    const pl_segment segment = {.cache = cache, .rows = rows, .prefix = prefix, .wanted = wanted};
    pl_gemma_forward_inplace(&ctx, &tiny->model->gemma, x, &segment, 1, out);
    assert_false(ctx.failed);
    const pl_rows hidden = {.data = malloc(wanted * width * sizeof(float)), .count = wanted, .width = width};
    memcpy(hidden.data, out.data, wanted * width * sizeof(float));
    pl_arena_free(&arena);
    return hidden;
}

static pl_rows run_ids(const tiny_model *tiny, pl_kv_cache *cache, const int32_t *ids, size_t rows, size_t prefix)
{
    return run_wanted(tiny, cache, ids, rows, prefix, rows);
}

static pl_rows run_fresh(const tiny_model *tiny, const int32_t *ids, size_t rows, size_t prefix)
{
    const pl_gemma_config *c = &tiny->model->config.text;
    pl_kv_cache cache;
    pl_kv_cache_init(&cache, c->layers, c->kv_heads * c->head_dim, PL_F32);
    const pl_rows hidden = run_ids(tiny, &cache, ids, rows, prefix);
    pl_kv_cache_free(&cache);
    return hidden;
}

static bool same_rows(pl_rows a, pl_rows b, size_t first, size_t count)
{
    return memcmp(a.data + first * a.width, b.data + first * b.width, count * a.width * sizeof(float)) == 0;
}

enum { ROWS = 150, PREFIX = 140 }; /* past one block of keys */

static void fill_ids(int32_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ids[i] = (int32_t)(200 + i * 37 % 1000);
}

/* Prefix positions never see the suffix; the first sees the last; the suffix is causal. */
static void test_mask(void **state)
{
    (void)state;
    int32_t ids[ROWS];
    for (size_t m = 0; m < 2; m++) {
        tiny_model tiny;
        tiny_open(&tiny, models[m], NULL, NULL, 2);
        fill_ids(ids, ROWS);
        const pl_rows before = run_fresh(&tiny, ids, ROWS, PREFIX);
        ids[ROWS - 3] ^= 1;
        const pl_rows suffix = run_fresh(&tiny, ids, ROWS, PREFIX);
        assert_true(same_rows(before, suffix, 0, ROWS - 3));
        for (size_t row = ROWS - 3; row < ROWS; row++)
            assert_false(same_rows(before, suffix, row, 1));
        ids[ROWS - 3] ^= 1;
        ids[PREFIX - 1] ^= 1;
        const pl_rows prefix = run_fresh(&tiny, ids, ROWS, PREFIX);
        assert_false(same_rows(before, prefix, 0, 1));
        free(before.data);
        free(suffix.data);
        free(prefix.data);
        tiny_close(&tiny);
    }
}

/* Padding on the right is invisible, so no mask is needed for it. */
static void test_right_padding(void **state)
{
    (void)state;
    int32_t ids[ROWS];
    fill_ids(ids, ROWS);
    tiny_model tiny;
    tiny_open(&tiny, models[1], NULL, NULL, 2);
    const pl_rows padded = run_fresh(&tiny, ids, ROWS, PREFIX), plain = run_fresh(&tiny, ids, ROWS - 5, PREFIX);
    assert_true(same_rows(padded, plain, 0, ROWS - 5));
    free(padded.data);
    free(plain.data);
    tiny_close(&tiny);
}

/*
 * Decoding with the cache is the whole computation again. One row alone takes
 * another kernel than many, with another order of sums: hence 1e-5.
 */
static void test_incremental(void **state)
{
    (void)state;
    int32_t ids[ROWS];
    fill_ids(ids, ROWS);
    for (size_t m = 0; m < 2; m++) {
        tiny_model tiny;
        tiny_open(&tiny, models[m], NULL, NULL, 2);
        const pl_gemma_config *c = &tiny.model->config.text;
        const pl_rows whole = run_fresh(&tiny, ids, ROWS, PREFIX);
        pl_kv_cache cache;
        pl_kv_cache_init(&cache, c->layers, c->kv_heads * c->head_dim, PL_F32);
        free(run_ids(&tiny, &cache, ids, PREFIX, PREFIX).data);
        for (size_t row = PREFIX; row < ROWS; row++) {
            const pl_rows one = run_ids(&tiny, &cache, ids + row, 1, PREFIX);
            const double error = relative_error(one.data, whole.data + row * whole.width, whole.width);
            if (!(error <= 2e-5))
                fail_msg("%s row %zu: relative error %.3g", models[m], row, error);
            free(one.data);
        }
        pl_kv_cache_free(&cache);
        free(whole.data);
        tiny_close(&tiny);
    }
}

/* Rows that are not wanted leave off after the last layer's keys and values: the others, and what comes next, keep their bits. */
static void test_wanted_rows(void **state)
{
    (void)state;
    int32_t ids[ROWS + 1];
    fill_ids(ids, ROWS + 1);
    for (size_t m = 0; m < 2; m++) {
        tiny_model tiny;
        tiny_open(&tiny, models[m], NULL, NULL, 2);
        const pl_gemma_config *c = &tiny.model->config.text;
        pl_kv_cache caches[2];
        pl_rows outs[2], next[2];
        for (size_t i = 0; i < 2; i++) {
            pl_kv_cache_init(&caches[i], c->layers, c->kv_heads * c->head_dim, PL_F32);
            outs[i] = run_wanted(&tiny, &caches[i], ids, ROWS, PREFIX, i == 0 ? ROWS : 3);
            next[i] = run_ids(&tiny, &caches[i], ids + ROWS, 1, PREFIX);
            pl_kv_cache_free(&caches[i]);
        }
        assert_memory_equal(outs[1].data, outs[0].data + (ROWS - 3) * c->width, 3 * c->width * sizeof(float));
        assert_true(same_rows(next[0], next[1], 0, 1));
        for (size_t i = 0; i < 2; i++) {
            free(outs[i].data);
            free(next[i].data);
        }
        tiny_close(&tiny);
    }
}

/* Only differences of positions matter: a constant added to all of them changes nothing but rounding. */
static void test_relative_positions(void **state)
{
    (void)state;
    tiny_model tiny;
    tiny_open(&tiny, models[0], NULL, NULL, 1);
    pali_error err = {0};
    pl_arena arena;
    expect_ok(pl_arena_init(&arena, 1 << 20, "test", &err), &err);
    pl_context ctx = pl_engine_context(&tiny.engine, &arena);
    enum { HALF = 128 };
    float q[2 * HALF], k[2 * HALF], dots[3];
    const uint32_t starts[3] = {0, 1, 77};
    for (size_t s = 0; s < 3; s++) {
        const uint32_t positions[2] = {starts[s] + 40, starts[s] + 3};
        float cosine[2 * HALF], sine[2 * HALF];
        pl_op_rope_angles(&ctx, positions, 2, HALF, 10000, cosine, sine);
        for (size_t i = 0; i < 2 * HALF; i++) {
            q[i] = sinf((float)i);
            k[i] = cosf((float)(i * i % 31));
        }
        pl_op_rope_inplace(&ctx, cosine, sine, HALF, (pl_rows){.data = q, .count = 1, .width = 2 * HALF});
        pl_op_rope_inplace(&ctx, cosine + HALF, sine + HALF, HALF, (pl_rows){.data = k, .count = 1, .width = 2 * HALF});
        dots[s] = 0;
        for (size_t i = 0; i < 2 * HALF; i++)
            dots[s] += q[i] * k[i];
    }
    assert_float_equal(dots[0], dots[1], 2e-4);
    assert_float_equal(dots[0], dots[2], 2e-4);
    pl_arena_free(&arena);
    tiny_close(&tiny);
}

static void same_answers(const pl_timeline *a, const pl_timeline *b, bool bitwise)
{
    assert_int_equal(a->tokens.count, b->tokens.count);
    for (size_t i = 0; i < a->tokens.count; i++) {
        assert_int_equal(a->tokens.data[i], b->tokens.data[i]);
        if (bitwise)
            assert_memory_equal(&a->logprobs[i], &b->logprobs[i], sizeof(float));
        else
            assert_float_equal(a->logprobs[i], b->logprobs[i], 1e-4);
    }
}

/* The same bits for 1, 2, 3 and 7 threads, at every level. */
static void test_threads(void **state)
{
    (void)state;
    const size_t threads[] = {1, 2, 3, 7};
    for (const char *const *level = pl_kernel_levels(); *level; level++)
        for (size_t m = 0; m < 2; m++) {
            tiny_model tiny[4];
            for (size_t i = 0; i < 4; i++) {
                tiny_open(&tiny[i], models[m], NULL, *level, threads[i]);
                tiny_images(&tiny[i], "ab");
                tiny_ask(&tiny[i], "answer en how many cats?", 12);
                same_answers(&tiny[0].timeline, &tiny[i].timeline, true);
            }
            for (size_t i = 0; i < 4; i++)
                tiny_close(&tiny[i]);
        }
}

static void ask_later(pl_timeline *timeline, const char *prompt, size_t most)
{
    pali_error err = {0};
    const pl_question question = {.max_tokens = most, .logprobs = true};
    expect_ok(pl_timeline_prompt(timeline, prompt, &question, &err), &err);
}

static void finish_all(pl_timeline *const *timelines, size_t n)
{
    pali_error err = {0};
    for (bool running = true; running;) {
        running = false;
        expect_ok(pl_step(timelines, n, &err), &err);
        for (size_t i = 0; i < n; i++)
            running |= timelines[i]->phase != PL_PHASE_DONE;
    }
}

/* Ragged rows, different prompts, lengths and pictures, joined at different times: each as alone, to the bit. */
static void check_batch(const char *level, pl_activations activations)
{
    enum { N = 7 };
    const char *const prompts[N] = {"caption en", "detect cat ; dog", "answer en how many cats?", "ocr", "segment the red car", "caption en", "a"};
    const char *const pictures[N] = {"a", "b", "ab", "b", "a", "ba", "aab"};
    for (size_t m = 0; m < 2; m++) {
        tiny_model tiny[N], alone;
        pl_timeline *timelines[N];
        pali_error err = {0};
        tiny_open(&alone, models[m], NULL, level, 2);
        alone.engine.activations = activations;
        for (size_t i = 0; i < N; i++) {
            tiny[i] = alone; /* one engine, own timelines */
            pl_timeline_init(&tiny[i].timeline, &alone.engine, 0);
            timelines[i] = &tiny[i].timeline;
            tiny_images(&tiny[i], pictures[i]);
            ask_later(timelines[i], prompts[i], 6 + i);
            if (i == 3) /* the first four are a step ahead */
                expect_ok(pl_step(timelines, 4, &err), &err);
        }
        finish_all(timelines, N);
        for (size_t i = 0; i < N; i++) {
            tiny_images(&alone, pictures[i]);
            tiny_ask(&alone, prompts[i], 6 + i);
            same_answers(&alone.timeline, timelines[i], true);
            pl_timeline_free(timelines[i]);
        }
        tiny_close(&alone);
    }
}

static void test_batch(void **state)
{
    (void)state;
    for (const char *const *level = pl_kernel_levels(); *level; level++) {
        check_batch(*level, PL_ACTIVATIONS_F32);
        check_batch(*level, PL_ACTIVATIONS_AUTO);
    }
}

/* A narrower cache moves log-probabilities a little, and batches stay to the bit. */
static void test_cache_types(void **state)
{
    (void)state;
    static const struct {
        pl_dtype type;
        float bound;
    } types[] = {{PL_BF16, 0.02f}, {PL_Q8_0, 0.02f}};
    tiny_model exact;
    tiny_open(&exact, "models/nano", NULL, NULL, 2);
    tiny_images(&exact, "a");
    tiny_ask(&exact, "caption en", 1);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        tiny_model tiny;
        tiny_open(&tiny, "models/nano", NULL, NULL, 2);
        pl_timeline_free(&tiny.timeline);
        tiny.engine.cache_type = types[i].type;
        pl_timeline_init(&tiny.timeline, &tiny.engine, 0);
        tiny_images(&tiny, "a");
        tiny_ask(&tiny, "caption en", 1);
        const float moved = fabsf(tiny.timeline.logprobs[0] - exact.timeline.logprobs[0]);
        print_message("%s cache: a log-probability moves by %.2g\n", pl_dtype_name(types[i].type), (double)moved);
        assert_true(moved > 0 && moved < types[i].bound);
        assert_true(pl_kv_cache_position_bytes(&tiny.timeline.cache) < pl_kv_cache_position_bytes(&exact.timeline.cache));
        tiny_close(&tiny);
    }
    tiny_close(&exact);
    assert_true(pl_kv_cache_type_fits(PL_Q8_0, 64) && pl_kv_cache_type_fits(PL_BF16, 8));
    assert_false(pl_kv_cache_type_fits(PL_Q8_0, 8) || pl_kv_cache_type_fits(PL_Q4_0, 64));
}

/* Forks before prefill, after it, and of a fork, give what an unforked one gives. */
static void test_fork(void **state)
{
    (void)state;
    for (size_t m = 0; m < 2; m++) {
        tiny_model tiny, alone;
        pali_error err = {0};
        tiny_open(&alone, models[m], NULL, NULL, 2);
        tiny_images(&alone, "a");
        tiny_ask(&alone, "caption en", 12);
        tiny_open(&tiny, models[m], NULL, NULL, 2);
        tiny_images(&tiny, "a");
        pl_timeline *all[4] = {&tiny.timeline}, forks[3];
        ask_later(all[0], "caption en", 12);
        for (size_t i = 0; i < 3; i++) {
            all[i + 1] = &forks[i];
            pl_timeline_init(&forks[i], &tiny.engine, 0);
            expect_ok(pl_timeline_fork(all[i == 2 ? 2 : 0], &forks[i], NULL, &err), &err);
            for (size_t step = 0; step < 2; step++)
                expect_ok(pl_step(all, i + 2, &err), &err);
        }
        finish_all(all, 4);
        for (size_t i = 0; i < 4; i++)
            same_answers(&alone.timeline, all[i], false);
        for (size_t i = 0; i < 3; i++)
            pl_timeline_free(&forks[i]);
        tiny_close(&tiny);
        tiny_close(&alone);
    }
}

/* Banned ids are never drawn, seeds repeat, top-k of one is greedy. */
static void test_sampling(void **state)
{
    (void)state;
    tiny_model tiny;
    pali_error err = {0};
    int32_t drawn[2][40];
    tiny_open(&tiny, models[0], NULL, NULL, 2);
    tiny_images(&tiny, "a");
    for (size_t run = 0; run < 2; run++) {
        const pl_question question = {.max_tokens = 40, .sampler = {.temperature = 5, .state = 7}};
        expect_ok(pl_timeline_prompt(&tiny.timeline, "caption en", &question, &err), &err);
        pl_timeline *timeline = &tiny.timeline;
        finish_all(&timeline, 1);
        for (size_t i = 0; i < timeline->tokens.count; i++)
            assert_false(tiny.model->banned[timeline->tokens.data[i]]);
        memset(drawn[run], 0, sizeof drawn[run]);
        memcpy(drawn[run], timeline->tokens.data, timeline->tokens.count * sizeof(int32_t));
    }
    assert_memory_equal(drawn[0], drawn[1], sizeof drawn[0]);
    tiny_ask(&tiny, "caption en", 8);
    int32_t greedy[8];
    memcpy(greedy, tiny.timeline.tokens.data, sizeof greedy);
    const pl_question one = {.max_tokens = 8, .sampler = {.temperature = 2, .top_k = 1, .state = 3}};
    expect_ok(pl_timeline_prompt(&tiny.timeline, "caption en", &one, &err), &err);
    pl_timeline *timeline = &tiny.timeline;
    finish_all(&timeline, 1);
    assert_memory_equal(greedy, timeline->tokens.data, sizeof greedy);
    tiny_close(&tiny);
}

/* Nucleus: ids in falling order of probability up to and with the one that reaches p. */
static void test_nucleus(void **state)
{
    (void)state;
    const float probabilities[5] = {0.1f, 0.4f, 0.05f, 0.3f, 0.15f};
    float values[5];
    int32_t order[5];
    size_t counts[5] = {0};
    pl_sampler sampler = {.temperature = 1, .top_p = 0.65f, .state = 1};
    for (size_t n = 0; n < 20000; n++) {
        float logits[5];
        for (size_t i = 0; i < 5; i++)
            logits[i] = logf(probabilities[i]);
        counts[pl_sample(&sampler, pl_kernels_get("ref", NULL), logits, 5, (pl_sample_scratch){.values = values, .order = order})]++;
    }
    assert_int_equal(counts[0] + counts[2] + counts[4], 0);
    assert_true(fabs((double)counts[1] / 20000 - 0.4 / 0.7) < 0.02);
}

/* Of the ids that the tiny Gemma 2's configuration calls an end, [1, 7], only the tokenizer's ends an answer. */
static void test_ending(void **state)
{
    (void)state;
    const struct {
        int32_t only;
        size_t tokens;
        pl_ending ending;
    } cases[2] = {{7, 5, PL_ENDING_LENGTH}, {1, 1, PL_ENDING_EOS}};
    tiny_model tiny;
    tiny_open(&tiny, models[1], NULL, NULL, 1);
    tiny_images(&tiny, "a");
    for (size_t i = 0; i < 2; i++) {
        memset(tiny.model->banned, 1, tiny.model->config.text.vocabulary);
        tiny.model->banned[cases[i].only] = 0;
        tiny_ask(&tiny, "caption en", 5);
        assert_int_equal(tiny.timeline.tokens.count, cases[i].tokens);
        assert_int_equal(tiny.timeline.ending, cases[i].ending);
    }
    tiny_close(&tiny);
}

/* A weight that is not a number stops the answer with a reason. */
static void test_not_finite(void **state)
{
    (void)state;
    tiny_model tiny;
    pali_error err = {0};
    tiny_open(&tiny, models[0], NULL, NULL, 1);
    float broken[64];
    for (size_t i = 0; i < 64; i++)
        broken[i] = NAN;
    tiny.model->gemma.layers[1].mlp_norm = broken;
    tiny_images(&tiny, "a");
    ask_later(&tiny.timeline, "caption en", 4);
    pl_timeline *timeline = &tiny.timeline;
    assert_int_equal(pl_step(&timeline, 1, &err), PALI_FAILED);
    assert_non_null(strstr(err.message, "not finite"));
    assert_int_equal(timeline->phase, PL_PHASE_IDLE);
    tiny_close(&tiny);
}

/* A control token written in the prompt may have no row: the image placeholder of a table that ends before it. */
static void test_prompt_without_row(void **state)
{
    (void)state;
    tiny_model tiny;
    pali_error err = {0};
    tiny_open(&tiny, models[0], NULL, NULL, 1);
    tiny_images(&tiny, "a");
    const pl_question question = {.max_tokens = 1, .special = true};
    expect_ok(pl_timeline_prompt(&tiny.timeline, "<image>", &question, &err), &err);
    tiny.model->config.text.vocabulary = (size_t)pl_tokenizer_special(tiny.model->tokenizer)->image;
    assert_int_equal(pl_timeline_prompt(&tiny.timeline, "<image>", &question, &err), PALI_INPUT);
    assert_non_null(strstr(err.message, "rows of the embedding"));
    tiny_close(&tiny);
}

/* An array that is turned and converted takes the memory of its new type alone: bf16 for what was f32. */
static void test_converted_once(void **state)
{
    (void)state;
    tiny_model tiny;
    tiny_open(&tiny, TINY "pg1.npz", &(pl_load_options){.type = "bf16", .tokenizer = TINY "pg1/tokenizer.json"}, NULL, 1);
    assert_true(tiny.model->copied_bytes <= tiny.model->weight_bytes * 6 / 10); /* vectors stay f32 */
    tiny_close(&tiny);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mask),
        cmocka_unit_test(test_right_padding),
        cmocka_unit_test(test_incremental),
        cmocka_unit_test(test_wanted_rows),
        cmocka_unit_test(test_relative_positions),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_cache_types),
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_sampling),
        cmocka_unit_test(test_nucleus),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_ending),
        cmocka_unit_test(test_prompt_without_row),
        cmocka_unit_test(test_converted_once),
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
