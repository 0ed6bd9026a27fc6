/* Confidences of objects, and what is kept by them. */
#include "answer/confidence.h"

#include "base/text.h"
#include "text/detokenizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SIDES = 4 };

static bool is_in(int32_t id, int32_t first, int32_t count)
{
    return first >= 0 && id >= first && id - first < count;
}

/*
 * The sum of the log-probabilities of the tokens that spell the label, the
 * first of which may bring the space before it; " ; " and the end are not its.
 */
static pali_status add_label(const pl_confidence_source *s, size_t first, size_t end, const char *label, double *sum, pali_error *err)
{
    const size_t length = strlen(label);
    size_t blank = 0;
    pl_buffer text = {0};
    pl_detokenizer detokenizer;
    pl_detokenizer_init(&detokenizer, s->tokenizer);
    pali_status status = PALI_OK;
    for (size_t i = first; status == PALI_OK && i < end && text.length - blank < length; i++) {
        if (pl_tokenizer_is_control(s->tokenizer, s->tokens[i])) /* of a label whose beginning was given */
            break;
        *sum += (double)s->logprobs[i];
        status = pl_detokenizer_push(&detokenizer, s->tokens[i], &text, err);
        while (blank < text.length && pl_is_space(text.data[blank]))
            blank++;
    }
    free(text.data);
    return status;
}

static pali_status rate(const pl_confidence_source *s, pali_object *o, pali_error *err)
{
    const pl_special_ids *const special = pl_tokenizer_special(s->tokenizer);
    const size_t end = pl_min(o->first_token + o->token_count, s->count);
    size_t at = o->first_token;
    double sum = 0; /* of logarithms */
    for (size_t sides = 0; sides < SIDES && at < end && is_in(s->tokens[at], special->loc, special->loc_count); sides++, at++)
        if (!s->by_class)
            sum += log((double)s->near[at]) / SIDES;
    while (at < end && is_in(s->tokens[at], special->seg, special->seg_count))
        at++;
    const pali_status status = add_label(s, at, end, o->label, &sum, err);
    o->confidence = o->problem ? 0 : exp(fmin(sum, 0));
    return status;
}

pali_status pl_confidence_rate(const pl_confidence_source *source, pl_objects *objects, pali_error *err)
{
    pali_status status = PALI_OK;
    for (size_t i = 0; status == PALI_OK && i < objects->count; i++)
        status = rate(source, &objects->items[i], err);
    return status;
}

/* ---- Filters --------------------------------------------------------- */

typedef struct ranked {
    size_t index;
    double confidence;
    bool kept;
} ranked;

static int by_confidence(const void *a, const void *b)
{
    const ranked *const x = a, *const y = b;
    if (x->confidence != y->confidence)
        return x->confidence < y->confidence ? 1 : -1;
    return x->index < y->index ? -1 : 1;
}

static int by_index(const void *a, const void *b)
{
    const ranked *const x = a, *const y = b;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* Does one of the `count` kept before cover the object too much? */
static bool is_covered(const pl_objects *objects, const ranked *ranks, size_t count, const pali_object *o, double nms)
{
    for (size_t i = 0; i < count; i++) {
        const pali_object *const other = &objects->items[ranks[i].index];
        if (ranks[i].kept && strcmp(other->label, o->label) == 0 && pl_box_iou(other->box, o->box) > nms)
            return true;
    }
    return false;
}

/* Closes the gaps that dropped objects leave; ranks stand by index. */
static void drop(pl_objects *objects, const ranked *ranks)
{
    size_t kept = 0;
    for (size_t i = 0; i < objects->count; i++)
        if (ranks[i].kept)
            objects->items[kept++] = objects->items[i];
        else
            pl_object_clear(&objects->items[i]);
    objects->count = kept;
}

pali_status pl_objects_filter(pl_objects *objects, const pl_object_filter *filter, pali_error *err)
{
    ranked *const ranks = pl_new(objects->count, sizeof *ranks, "objects", err);
    if (!ranks)
        return PALI_MEMORY;
    for (size_t i = 0; i < objects->count; i++)
        ranks[i] = (ranked){.index = i, .confidence = objects->items[i].confidence};
    qsort(ranks, objects->count, sizeof *ranks, by_confidence);
    size_t kept = 0;
    for (size_t i = 0; i < objects->count; i++) {
        const pali_object *const o = &objects->items[ranks[i].index];
        ranks[i].kept = o->confidence >= filter->least && (filter->most == 0 || kept < filter->most) &&
                        (filter->nms <= 0 || !is_covered(objects, ranks, i, o, filter->nms));
        kept += ranks[i].kept;
    }
    qsort(ranks, objects->count, sizeof *ranks, by_index);
    drop(objects, ranks);
    free(ranks);
    return PALI_OK;
}
