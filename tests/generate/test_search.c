/*
 * Beam search against a literal one on made-up models whose logits are few
 * whole numbers, so that most decisions are ties; the caches must hold what
 * their hypotheses say, through every reordering. And best of n by its rule.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "generate/literal.h"
#include "generate/search.h"

enum { VOCABULARY = 11, EOS = 1, BANNED = 3, PROMPT = 2, MOST = 9 };

typedef struct made_up {
    uint64_t seed;
    int levels; /* different logits */
    int end;    /* added to the end of text's */
} made_up;

/* A logit is a hash of everything before it. */
static void made_up_logits(void *context, const int32_t *tokens, size_t count, float *logits)
{
    const made_up *m = context;
    for (size_t id = 0; id < VOCABULARY; id++) {
        uint64_t h = m->seed;
        for (size_t i = 0; i <= count; i++) {
            h = (h ^ (uint64_t)(i < count ? tokens[i] : (int32_t)id)) * 0x9e3779b97f4a7c15u;
            h ^= h >> 29;
        }
        logits[id] = (float)(int)(h % (uint64_t)m->levels) + (id == EOS ? (float)m->end : 0);
    }
}

static void write_position(pl_kv_cache *cache, float value)
{
    const float minus = -value;
    pl_kv_cache_write(cache, 0, 1, &value, &minus);
    pl_kv_cache_write(cache, 1, 1, &minus, &value);
    pl_kv_cache_advance(cache, 1);
}

/* The prompt's positions, then the hypothesis's tokens but `less`. */
static void check_cache(const pl_hypothesis *hypothesis, size_t less)
{
    assert_int_equal(pl_kv_cache_count(&hypothesis->cache), PROMPT + hypothesis->count - less);
    for (size_t layer = 0; layer < 2; layer++) {
        pl_kv_span spans[2];
        pl_kv_cache_spans(&hypothesis->cache, layer, 0, spans);
        assert_int_equal(spans[0].count, PROMPT);
        assert_true(((const float *)spans[0].k)[0] == (layer ? 100 : -100));
        for (size_t i = 0; i < hypothesis->count - less; i++) {
            const float token = (float)hypothesis->tokens[i];
            assert_true(((const float *)spans[1].k)[i] == (layer ? -token : token));
            assert_true(((const float *)spans[1].v)[i] == (layer ? token : -token));
        }
    }
}

typedef struct bench {
    pl_search search;
    pl_kv_cache prompt;
    unsigned char banned[VOCABULARY];
} bench;

static void begin(bench *b, pl_search_kind kind, size_t width, size_t most, const pl_sampler *sampler)
{
    pali_error err = {0};
    pl_kv_cache_init(&b->prompt, 2, 1, PL_F32);
    assert_int_equal(pl_kv_cache_reserve(&b->prompt, PROMPT, &err), PALI_OK);
    for (int i = 0; i < PROMPT; i++)
        write_position(&b->prompt, (float)(-100 - i));
    assert_int_equal(pl_search_prepare(&b->search, kind, width, most, EOS, sampler, &b->prompt, &err), PALI_OK);
    assert_int_equal(pl_search_begin(&b->search, &b->prompt, &err), PALI_OK);
}

/* Runs the search on the made-up model; feeds each hypothesis's last token into its cache as a pass would. */
static pl_search_end run(bench *b, made_up *model)
{
    float logits[8 * VOCABULARY], values[VOCABULARY];
    double totals[8];
    int32_t order[VOCABULARY];
    const pl_kernels *kernels = pl_kernels_get("ref", NULL);
    pl_search_end end = PL_SEARCH_GOES_ON;
    for (size_t step = 0; end == PL_SEARCH_GOES_ON; step++) {
        const size_t rows = step == 0 ? 1 : b->search.live;
        for (size_t i = 0; i < rows; i++) {
            pl_hypothesis *h = &b->search.hypotheses[i];
            if (step > 0) {
                check_cache(h, 1);
                write_position(&h->cache, (float)h->tokens[h->count - 1]);
                check_cache(h, 0);
            }
            made_up_logits(model, h->tokens, h->count, logits + i * VOCABULARY);
            totals[i] = pl_log_sum_exp(logits + i * VOCABULARY, VOCABULARY);
            pl_ban(logits + i * VOCABULARY, VOCABULARY, b->banned);
        }
        end = pl_search_take(&b->search, kernels, logits, totals, VOCABULARY, (pl_sample_scratch){.values = values, .order = order});
    }
    return end;
}

static void test_beams(void **state)
{
    (void)state;
    bench b = {.banned[BANNED] = 1};
    size_t cuts = 0, ends = 0, early = 0;
    for (uint64_t seed = 1; seed <= 600; seed++) {
        made_up model = {.seed = seed * 7919, .levels = 2 + (int)(seed % 5), .end = (int)(seed % 4) - 1};
        const literal_model literal = {.logits = made_up_logits, .context = &model, .vocabulary = VOCABULARY, .eos = EOS, .banned = b.banned};
        const size_t width = 1 + seed % 5, most = 1 + seed % MOST;
        bool cut;
        double margin;
        const literal_list expected = literal_beam_search(&literal, width, most, &cut, &margin);
        begin(&b, PL_SEARCH_BEAMS, width, most, &(pl_sampler){0});
        const pl_search_end end = run(&b, &model);
        const pl_hypothesis *found = pl_search_best(&b.search, end);
        assert_int_equal(end, cut ? PL_SEARCH_CUT_OFF : PL_SEARCH_ENDED);
        assert_int_equal(found->count, expected.count);
        assert_memory_equal(found->tokens, expected.tokens, expected.count * sizeof(int32_t));
        assert_true(found->score == expected.score);
        double sum = 0;
        for (size_t i = 0; i < found->count; i++)
            sum += (double)found->logprobs[i];
        assert_true(sum == found->score);
        cuts += cut;
        ends += !cut;
        early += b.search.hypotheses[0].count > found->count;
        pl_kv_cache_free(&b.prompt);
    }
    print_message("%zu cut off, %zu ended, %zu of them with an answer of an earlier step\n", cuts, ends, early);
    assert_true(cuts > 50 && ends > 50 && early > 20);
    pl_search_free(&b.search);
}

/* Where only few tokens are legal, fewer beams than the width go on; where none is, the search ends. */
static void test_few_tokens(void **state)
{
    (void)state;
    bench b = {.banned = {0}};
    made_up model = {.seed = 5, .levels = 3};
    memset(b.banned, 1, sizeof b.banned);
    b.banned[4] = b.banned[EOS] = 0;
    begin(&b, PL_SEARCH_BEAMS, 5, 3, &(pl_sampler){0});
    const pl_search_end end = run(&b, &model);
    assert_int_equal(b.search.live, 1);
    const pl_hypothesis *found = pl_search_best(&b.search, end);
    assert_int_equal(found->tokens[found->count - 1], EOS);
    pl_kv_cache_free(&b.prompt);
    b.banned[EOS] = 1; /* nothing may end it: the best beam is the answer at the limit */
    begin(&b, PL_SEARCH_BEAMS, 5, 3, &(pl_sampler){0});
    assert_int_equal(run(&b, &model), PL_SEARCH_CUT_OFF);
    found = pl_search_best(&b.search, PL_SEARCH_CUT_OFF);
    assert_int_equal(found->count, 3);
    assert_int_equal(found->tokens[2], 4);
    pl_kv_cache_free(&b.prompt);
    b.banned[4] = 1;
    b.banned[EOS] = 0;
    begin(&b, PL_SEARCH_BEAMS, 5, 3, &(pl_sampler){0});
    assert_int_equal(run(&b, &model), PL_SEARCH_ENDED);
    found = pl_search_best(&b.search, PL_SEARCH_ENDED);
    assert_int_equal(found->count, 1);
    assert_int_equal(found->tokens[0], EOS);
    pl_kv_cache_free(&b.prompt);
    pl_search_free(&b.search);
}

/* Every sample drawn alone, and the likeliest of them. */
static void test_best_of(void **state)
{
    (void)state;
    enum { SAMPLES = 6 };
    bench b = {.banned[BANNED] = 1}, alone = {.banned[BANNED] = 1};
    size_t cuts = 0, ends = 0, later = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        made_up model = {.seed = seed * 104729, .levels = 5, .end = (int)(seed % 3)};
        const pl_sampler sampler = {.temperature = 0.8f, .top_k = seed % 2 ? 6 : 0, .state = seed};
        const size_t most = 1 + seed % MOST;
        begin(&b, PL_SEARCH_BEST_OF, SAMPLES, most, &sampler);
        const pl_search_end end = run(&b, &model);
        const pl_hypothesis *found = pl_search_best(&b.search, end);
        double best = -INFINITY;
        size_t which = SAMPLES;
        for (size_t i = 0; i < SAMPLES; i++) {
            pl_sampler one = sampler;
            one.state += i;
            begin(&alone, PL_SEARCH_BEST_OF, 1, most, &one);
            const pl_search_end how = run(&alone, &model);
            const pl_hypothesis *h = pl_search_best(&alone.search, how);
            if (h->score > best) {
                best = h->score;
                which = i;
            }
            if (i == found->index) {
                assert_int_equal(end, how);
                assert_int_equal(found->count, h->count);
                assert_memory_equal(found->tokens, h->tokens, h->count * sizeof(int32_t));
                assert_true(found->score == h->score);
            }
            pl_kv_cache_free(&alone.prompt);
        }
        assert_int_equal(found->index, which);
        cuts += end == PL_SEARCH_CUT_OFF;
        ends += end == PL_SEARCH_ENDED;
        later += which > 0;
        pl_kv_cache_free(&b.prompt);
    }
    assert_true(cuts > 20 && ends > 20 && later > 100);
    pl_search_free(&b.search);
    pl_search_free(&alone.search);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_beams), cmocka_unit_test(test_few_tokens), cmocka_unit_test(test_best_of)};
    return cmocka_run_group_tests_name("generate: search", tests, NULL, NULL);
}
