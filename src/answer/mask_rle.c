/*
 * COCO's run lengths and their text. Runs go down the columns, first out, then
 * in. As text, each number is the run itself for the first three, later the
 * difference to the run before the last (which is of the same kind, so about as
 * long); it is cut into groups of 5 bits, lowest first, with a sixth that says
 * that more follow, and each group is the character 48 + group. The highest
 * bit of the last group is the sign.
 */
#include "answer/mask.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum { GROUP_BITS = 5, MORE = 1 << GROUP_BITS, SIGN = 1 << (GROUP_BITS - 1), FIRST_CHARACTER = 48, PLAIN_RUNS = 3, MOST_GROUPS = 7 };

void pl_rle_free(pl_rle *rle)
{
    free(rle->counts);
    *rle = (pl_rle){0};
}

static pali_status push_run(pl_rle *rle, size_t *capacity, uint32_t run, pali_error *err)
{
    const pali_status status = pl_grow(&rle->counts, capacity, rle->count + 1, sizeof *rle->counts, "run lengths", err);
    if (status == PALI_OK)
        rle->counts[rle->count++] = run;
    return status;
}

pali_status pl_rle_of_mask(const pl_mask *mask, pl_rle *rle, pali_error *err)
{
    *rle = (pl_rle){0};
    size_t capacity = 0;
    uint32_t run = 0;
    uint8_t kind = 0;
    pali_status status = PALI_OK;
    for (size_t x = 0; x < mask->width && status == PALI_OK; x++)
        for (size_t y = 0; y < mask->height && status == PALI_OK; y++) {
            const uint8_t bit = mask->bits[y * mask->width + x];
            if (bit != kind) {
                status = push_run(rle, &capacity, run, err);
                run = 0;
                kind = bit;
            }
            run++;
        }
    if (status == PALI_OK)
        status = push_run(rle, &capacity, run, err);
    if (status != PALI_OK)
        pl_rle_free(rle);
    return status;
}

pali_status pl_mask_of_counts(const uint32_t *counts, size_t count, size_t width, size_t height, pl_mask *mask, pali_error *err)
{
    *mask = (pl_mask){0};
    pali_status status = pl_image_check(width, height, "mask", err);
    if (status != PALI_OK)
        return status;
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += counts[i];
    if (sum != width * height)
        return pl_fail(err, PALI_INPUT, "run lengths: found %llu pixels in %zu runs, expected %zu (%zu x %zu)", (unsigned long long)sum, count, width * height, width, height);
    status = pl_mask_new(width, height, "mask", mask, err);
    size_t x = 0, y = 0;
    for (size_t i = 0; status == PALI_OK && i < count; i++)
        for (uint32_t left = counts[i]; left > 0;) {
            const size_t some = pl_min(left, height - y);
            for (size_t j = 0; i % 2 && j < some; j++)
                mask->bits[(y + j) * width + x] = 1;
            left -= (uint32_t)some;
            y += some;
            if (y == height) {
                y = 0;
                x++;
            }
        }
    return status;
}

/* What a run's number is told against. */
static int64_t run_before(const pl_rle *rle, size_t i)
{
    return i < PLAIN_RUNS ? 0 : rle->counts[i - 2];
}

char *pl_rle_text(const pl_rle *rle, pali_error *err)
{
    pl_buffer text = {0};
    pali_status status = pl_buffer_append(&text, "", 0, err);
    for (size_t i = 0; status == PALI_OK && i < rle->count; i++) {
        int64_t left = (int64_t)rle->counts[i] - run_before(rle, i);
        char groups[16];
        size_t used = 0;
        for (bool more = true; more;) {
            const int64_t group = left & (MORE - 1);
            left = (left - group) / MORE; /* exact: rounds down also below zero */
            more = left != (group & SIGN ? -1 : 0);
            groups[used++] = (char)(FIRST_CHARACTER + group + (more ? MORE : 0));
        }
        status = pl_buffer_append(&text, groups, used, err);
    }
    if (status == PALI_OK)
        return text.data;
    free(text.data);
    return NULL;
}

/* The number at text[*at], which is moved behind it. */
static pali_status read_number(const char *text, size_t *at, int64_t *number, pali_error *err)
{
    int64_t value = 0, unit = 1;
    for (size_t groups = 1;; groups++) {
        char shown[80];
        const size_t here = (*at)++;
        const int group = text[here] - FIRST_CHARACTER;
        if (text[here] == '\0')
            return pl_fail(err, PALI_INPUT, "run lengths: found the end of the text within a number (character %zu), expected another character", here + 1);
        if (group < 0 || group >= 2 * MORE)
            return pl_fail(err, PALI_INPUT, "run lengths: found %s as character %zu, expected one of '0' to 'o'", pl_printable(text + here, 1, shown), here + 1);
        if (groups > MOST_GROUPS)
            return pl_fail(err, PALI_INPUT, "run lengths: found a number of more than %d characters (character %zu), expected at most 32 bits", MOST_GROUPS, here + 1);
        value += unit * (group & (MORE - 1));
        unit *= MORE;
        if (group & MORE)
            continue;
        *number = group & SIGN ? value - unit : value;
        return PALI_OK;
    }
}

pali_status pl_rle_of_text(const char *text, pl_rle *rle, pali_error *err)
{
    *rle = (pl_rle){0};
    size_t capacity = 0, at = 0;
    pali_status status = PALI_OK;
    while (status == PALI_OK && text[at]) {
        int64_t number = 0;
        const size_t start = at;
        status = read_number(text, &at, &number, err);
        if (status != PALI_OK)
            break;
        number += run_before(rle, rle->count);
        if (number < 0 || number > UINT32_MAX)
            status = pl_fail(err, PALI_INPUT, "run lengths: found a run of %lld pixels (character %zu), expected 0 to %u", (long long)number, start + 1, UINT32_MAX);
        else
            status = push_run(rle, &capacity, (uint32_t)number, err);
    }
    if (status != PALI_OK)
        pl_rle_free(rle);
    return status;
}
