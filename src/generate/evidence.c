/* The mass around the sides of boxes, as they are made. */
#include "generate/evidence.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Of the bins within so large a part of the box's side; measured on nano, docs/MODEL.md. */
static const double neighbourhood = 0.25;

static int side_of(const pl_evidence *evidence, int32_t id)
{
    return id >= evidence->location && id - evidence->location < evidence->bins ? id - evidence->location : -1;
}

static pali_status reserve(pl_evidence *evidence, size_t most, pali_error *err)
{
    const pali_status status = pl_grow(&evidence->near, &evidence->capacity, most, sizeof *evidence->near, "confidence", err);
    return status == PALI_OK ? pl_grow(&evidence->sides, &evidence->side_capacity, PL_BOX_SIDES * (size_t)evidence->bins, sizeof *evidence->sides, "confidence", err) : status;
}

/* One side more. After four a box is whole; its fifth location begins another. */
static void add_side(pl_evidence *evidence, int side)
{
    if (evidence->run == PL_BOX_SIDES)
        evidence->run = evidence->given = 0;
    evidence->chosen[evidence->run++] = side;
}

static void end_run(pl_evidence *evidence)
{
    evidence->run = evidence->given = 0;
}

pali_status pl_evidence_prepare(pl_evidence *evidence, const pl_history *history, size_t most, int32_t location, int bins, pali_error *err)
{
    evidence->location = location;
    evidence->bins = location < 0 ? 0 : bins;
    end_run(evidence);
    for (size_t i = 0; i < history->start_count; i++) {
        const int side = side_of(evidence, history->start[i]);
        if (side < 0) {
            end_run(evidence);
            continue;
        }
        add_side(evidence, side);
        evidence->given = evidence->run;
    }
    return reserve(evidence, most, err);
}

void pl_evidence_free(pl_evidence *evidence)
{
    free(evidence->near);
    free(evidence->sides);
}

void pl_evidence_see(pl_evidence *evidence, const float *logits, double total)
{
    float *const row = evidence->sides + evidence->run % PL_BOX_SIDES * (size_t)evidence->bins;
    for (int i = 0; i < evidence->bins; i++)
        row[i] = (float)exp((double)logits[evidence->location + i] - total);
}

/* The mass of the bins around the chosen one of a side, at least one to each hand. */
static float mass_near(const pl_evidence *evidence, size_t side)
{
    const int along = abs(evidence->chosen[side % 2 + 2] - evidence->chosen[side % 2]), reach = along > 4 ? (int)rint(neighbourhood * along) : 1;
    const int first = evidence->chosen[side] > reach ? evidence->chosen[side] - reach : 0;
    const int last = evidence->chosen[side] + reach < evidence->bins ? evidence->chosen[side] + reach : evidence->bins - 1;
    const float *const row = evidence->sides + side * (size_t)evidence->bins;
    double mass = 0;
    for (int i = first; i <= last; i++)
        mass += (double)row[i];
    return (float)fmin(mass, 1);
}

void pl_evidence_take(pl_evidence *evidence, size_t index, int32_t id, double logprob)
{
    const int side = side_of(evidence, id);
    evidence->near[index] = (float)exp(logprob);
    if (side < 0) {
        end_run(evidence);
        return;
    }
    add_side(evidence, side);
    if (evidence->run < PL_BOX_SIDES)
        return;
    const size_t made = PL_BOX_SIDES - evidence->given;
    for (size_t i = 0; i < made; i++)
        evidence->near[index - i] = mass_near(evidence, PL_BOX_SIDES - 1 - i);
}

void pl_evidence_set(const pl_evidence *from, size_t count, pl_evidence *to)
{
    const pl_evidence room = *to;
    *to = *from;
    to->near = room.near;
    to->sides = room.sides;
    to->capacity = room.capacity;
    to->side_capacity = room.side_capacity;
    if (count)
        memcpy(to->near, from->near, count * sizeof *to->near);
    if (from->bins)
        memcpy(to->sides, from->sides, PL_BOX_SIDES * (size_t)from->bins * sizeof *to->sides);
}

pali_status pl_evidence_copy(const pl_evidence *from, size_t count, size_t most, pl_evidence *to, pali_error *err)
{
    to->bins = from->bins;
    const pali_status status = reserve(to, most, err);
    if (status == PALI_OK)
        pl_evidence_set(from, count, to);
    return status;
}
