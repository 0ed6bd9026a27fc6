/*
 * How far a converted model stands from the one it was made of: over every
 * predicted token of the rows of a data file, teacher-forced, the relative error
 * of the logits, the Kullback-Leibler divergence KL(reference || model) in nats,
 * and how often both would choose the same token. The reference runs in floats.
 *
 *     bench_quality rows.jsonl REFERENCE MODEL [ACTIVATIONS]
 */
#include "eval/rows.h"
#include "base/file.h"
#include "generate/score.h"
#include "image/image.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_IMAGES = 16 };

/* The logits of one answer, gathered piece by piece. */
typedef struct gathered {
    float *logits; /* [rows, vocabulary], owned */
    size_t rows, capacity, vocabulary;
} gathered;

typedef struct subject {
    pl_paligemma *model;
    pl_engine engine;
    pl_timeline timeline;
    gathered seen;
} subject;

typedef struct totals {
    size_t tokens, same;
    double divergence, worst_divergence, error, worst_error;
} totals;

static void gather(void *context, const char *name, size_t index, pl_rows rows)
{
    (void)index;
    gathered *g = context;
    if (strcmp(name, "logits") != 0)
        return;
    if (pl_grow(&g->logits, &g->capacity, (g->rows + rows.count) * rows.width, sizeof *g->logits, "logits", NULL) != PALI_OK)
        abort();
    memcpy(g->logits + g->rows * rows.width, rows.data, rows.count * rows.width * sizeof *g->logits);
    g->rows += rows.count;
    g->vocabulary = rows.width;
}

static pali_status open_subject(subject *s, const char *path, pl_activations activations, pl_pool *pool, pali_error *err)
{
    s->model = pl_paligemma_open(path, &(pl_load_options){.pool = pool}, err);
    if (!s->model)
        return err->status;
    s->engine = (pl_engine){.model = s->model, .kernels = pl_kernels_get(NULL, err), .pool = pool, .activations = activations, .trace = gather, .trace_context = &s->seen};
    pl_timeline_init(&s->timeline, &s->engine, 0);
    return s->engine.kernels ? PALI_OK : PALI_USAGE;
}

static void close_subject(subject *s)
{
    if (s->engine.kernels)
        pl_timeline_free(&s->timeline);
    pl_paligemma_close(s->model);
    free(s->seen.logits);
}

static pali_status show(subject *s, const pl_eval_row *row, pali_error *err)
{
    pl_image images[MOST_IMAGES] = {{0}};
    const pl_image *shown[MOST_IMAGES];
    const size_t count = pl_min(row->image_count, MOST_IMAGES);
    pali_status status = PALI_OK;
    for (size_t i = 0; status == PALI_OK && i < count; i++) {
        size_t size = 0;
        char *bytes = pl_file_read(row->images[i], PL_IMAGE_MAX_BYTES, &size, PALI_INPUT, err);
        status = bytes ? pl_image_decode(bytes, size, row->images[i], &images[i], err) : err->status;
        free(bytes);
        shown[i] = &images[i];
    }
    if (status == PALI_OK)
        status = pl_timeline_set_images(&s->timeline, shown, count, err);
    for (size_t i = 0; i < count; i++)
        pl_image_free(&images[i]);
    return status;
}

/* The logits of the row's first right answer into s->seen. */
static pali_status answer(subject *s, const pl_eval_row *row, bool new_images, pali_error *err)
{
    pl_scores scores = {0};
    s->seen.rows = 0;
    pali_status status = new_images ? show(s, row, err) : PALI_OK;
    if (status == PALI_OK)
        status = pl_score(&s->timeline, row->prefix, row->suffixes, 1, NULL, &scores, err);
    pl_scores_free(&scores);
    return status;
}

static void add_token(totals *t, size_t vocabulary, const float *reference, const float *model)
{
    const double of_reference = pl_log_sum_exp(reference, vocabulary), of_model = pl_log_sum_exp(model, vocabulary);
    double divergence = 0, difference = 0, size = 0;
    size_t best[2] = {0};
    for (size_t i = 0; i < vocabulary; i++) {
        const double p = (double)reference[i] - of_reference, q = (double)model[i] - of_model;
        divergence += exp(p) * (p - q);
        difference = fmax(difference, fabs((double)reference[i] - (double)model[i]));
        size = fmax(size, fabs((double)reference[i]));
        best[0] = reference[i] > reference[best[0]] ? i : best[0];
        best[1] = model[i] > model[best[1]] ? i : best[1];
    }
    t->tokens++;
    t->same += best[0] == best[1];
    t->divergence += divergence;
    t->worst_divergence = fmax(t->worst_divergence, divergence);
    t->error += difference / size;
    t->worst_error = fmax(t->worst_error, difference / size);
}

static pali_status compare(const char *rows_path, const char *const paths[2], const char *activations, totals *t, pali_error *err)
{
    pl_eval_rows rows = {0};
    subject subjects[2] = {{0}};
    pl_pool *pool = pl_pool_new(0, err);
    pali_status status = pool ? pl_eval_rows_read(rows_path, 0, &rows, err) : PALI_MEMORY;
    if (status == PALI_OK)
        status = open_subject(&subjects[0], paths[0], PL_ACTIVATIONS_F32, pool, err);
    if (status == PALI_OK)
        status = open_subject(&subjects[1], paths[1], strcmp(activations, "f32") == 0 ? PL_ACTIVATIONS_F32 : strcmp(activations, "int8") == 0 ? PL_ACTIVATIONS_INT8 : PL_ACTIVATIONS_AUTO, pool, err);
    for (size_t r = 0; status == PALI_OK && r < rows.count; r++) {
        const bool new_images = r == 0 || !pl_eval_same_images(&rows.items[r - 1], &rows.items[r]);
        for (size_t i = 0; status == PALI_OK && i < 2; i++)
            status = answer(&subjects[i], &rows.items[r], new_images, err);
        const size_t vocabulary = subjects[0].seen.vocabulary;
        for (size_t i = 0; status == PALI_OK && i < subjects[0].seen.rows; i++)
            add_token(t, vocabulary, subjects[0].seen.logits + i * vocabulary, subjects[1].seen.logits + i * vocabulary);
    }
    close_subject(&subjects[1]);
    close_subject(&subjects[0]);
    pl_eval_rows_free(&rows);
    pl_pool_free(pool);
    return status;
}

int main(int argc, char **argv)
{
    if (argc < 4 || argc > 5) {
        fprintf(stderr, "usage: bench_quality rows.jsonl REFERENCE MODEL [auto|f32|int8]\n");
        return 2;
    }
    totals t = {0};
    pali_error err = {0};
    if (compare(argv[1], (const char *const[2]){argv[2], argv[3]}, argc > 4 ? argv[4] : "auto", &t, &err) != PALI_OK || t.tokens == 0) {
        fprintf(stderr, "bench_quality: %s\n", err.message);
        return 1;
    }
    const double n = (double)t.tokens;
    printf("{\"tokens\": %zu, \"kl_mean\": %.4g, \"kl_max\": %.4g, \"logit_error_mean\": %.4g, \"logit_error_max\": %.4g, \"same_token\": %.6f}\n", t.tokens, t.divergence / n,
           t.worst_divergence, t.error / n, t.worst_error, (double)t.same / n);
    return 0;
}
