/*
 * The tape's lists. Gradients are laid out as a stack beside the arena: what is
 * pushed gets the next piece, and a region gives its pieces back when it ends,
 * for backward needs those of one region at a time. That is safe because a
 * value that is pushed later is finished earlier.
 */
#include "ops/tape.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { RECORD_STEP = 16 };

void pl_tape_init(pl_tape *tape)
{
    *tape = (pl_tape){0};
}

void pl_tape_free(pl_tape *tape)
{
    free(tape->gradients);
    free(tape->entries);
    free(tape->records);
    free(tape->ranges);
    *tape = (pl_tape){0};
}

pali_status pl_tape_reserve(pl_tape *tape, size_t bytes, pali_error *err)
{
    free(tape->gradients);
    tape->gradient_size = 0;
    tape->gradients = pl_new_aligned(bytes, "gradients of activations", err);
    if (!tape->gradients)
        return PALI_MEMORY;
    tape->gradient_size = bytes;
    return PALI_OK;
}

void pl_tape_clear(pl_tape *tape)
{
    tape->entry_count = tape->record_used = tape->range_count = tape->gradient_used = 0;
    tape->sites = 0;
    tape->paused = tape->inside = false;
}

/* ---- Records ---------------------------------------------------------- */

void pl_record(pl_context *ctx, pl_backward_fn *backward, const void *record, size_t size)
{
    pl_tape *tape = ctx->tape;
    const size_t at = tape->record_used, end = at + pl_round_up(size, RECORD_STEP);
    pali_error err = {0};
    if (pl_grow(&tape->entries, &tape->entry_capacity, tape->entry_count + 1, sizeof *tape->entries, "the tape", &err) != PALI_OK ||
        pl_grow(&tape->records, &tape->record_capacity, end, 1, "the tape", &err) != PALI_OK) {
        ctx->failed = true;
        return;
    }
    memcpy(tape->records + at, record, size);
    tape->record_used = end;
    tape->entries[tape->entry_count++] = (pl_tape_entry){.backward = backward, .at = at};
}

/* Runs the records from the last down to number `first`, and drops them. */
static void unwind(pl_context *ctx, size_t first)
{
    pl_tape *tape = ctx->tape;
    while (tape->entry_count > first && !ctx->failed) {
        const pl_tape_entry entry = tape->entries[--tape->entry_count];
        entry.backward(ctx, tape->records + entry.at);
        tape->record_used = entry.at;
    }
}

void pl_tape_backward(pl_context *ctx)
{
    ctx->tape->paused = true;
    unwind(ctx, 0);
    pl_tape_clear(ctx->tape);
}

/* ---- Where gradients lie ---------------------------------------------- */

/* A planned arena starts at an address that is not NULL (base/memory.h). */
static size_t arena_offset(const pl_context *ctx, const void *value)
{
    return (size_t)((uintptr_t)value - (uintptr_t)ctx->arena->block);
}

static float *gradient_address(const pl_context *ctx, size_t offset)
{
    return (float *)((uintptr_t)ctx->tape->gradients + offset + (pl_dry(ctx) ? RECORD_STEP : 0));
}

static void zero_gradients(const pl_context *ctx, size_t first, size_t end)
{
    if (!pl_dry(ctx) && end > first)
        memset(ctx->tape->gradients + first, 0, end - first);
}

void pl_tape_add_value(pl_context *ctx, pl_rows rows)
{
    pl_tape *tape = ctx->tape;
    const size_t bytes = pl_round_up(rows.count * rows.width * sizeof *rows.data, 64), value = arena_offset(ctx, rows.data);
    const size_t gradient = tape->gradient_used, end = gradient + bytes;
    pali_error err = {0};
    if (ctx->failed)
        return;
    while (tape->range_count > 0 && tape->ranges[tape->range_count - 1].value >= value)
        tape->range_count--; /* it was given back since */
    const bool planned = pl_dry(ctx) || end <= tape->gradient_size;
    if (!planned || pl_grow(&tape->ranges, &tape->range_capacity, tape->range_count + 1, sizeof *tape->ranges, "the tape", &err) != PALI_OK) {
        ctx->failed = true;
        return;
    }
    tape->ranges[tape->range_count++] = (pl_tape_range){.value = value, .bytes = bytes, .gradient = gradient};
    tape->gradient_used = end;
    tape->gradient_peak = pl_max(tape->gradient_peak, end);
    if (!tape->inside)
        zero_gradients(ctx, gradient, end);
}

float *pl_gradient_at(const pl_context *ctx, const float *value)
{
    const pl_tape *tape = ctx->tape;
    const size_t at = arena_offset(ctx, value);
    size_t low = 0, high = tape->range_count; /* the first range behind the value */
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (tape->ranges[middle].value <= at)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return NULL;
    const pl_tape_range *range = &tape->ranges[low - 1];
    return at - range->value < range->bytes ? gradient_address(ctx, range->gradient + (at - range->value)) : NULL;
}

pl_rows pl_gradient(const pl_context *ctx, pl_rows rows)
{
    return (pl_rows){.data = pl_gradient_at(ctx, rows.data), .count = rows.count, .width = rows.width};
}

float *pl_parameter_gradient(const pl_context *ctx, const void *value)
{
    const pl_tape *tape = ctx->tape;
    size_t low = 0, high = value ? tape->parameter_count : 0;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const void *there = tape->parameters[middle].value;
        if (there == value)
            return tape->parameters[middle].gradient;
        if ((uintptr_t)there < (uintptr_t)value)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

pl_rows pl_rows_or_fresh(pl_context *ctx, pl_rows rows)
{
    return pl_recording(ctx) ? pl_rows_push(ctx, rows.count, rows.width) : rows;
}

/* ---- Regions ---------------------------------------------------------- */

typedef struct kept_region {
    size_t first, end; /* of its gradients */
} kept_region;

static void enter_kept_region(pl_context *ctx, const void *record)
{
    const kept_region *region = record;
    zero_gradients(ctx, region->first, region->end);
}

typedef struct bordered_region {
    pl_tape_region_fn *run;
    pl_rows x, y;
    uint64_t sites; /* before it */
    _Alignas(max_align_t) unsigned char arguments[PL_REGION_ARGUMENTS];
} bordered_region;

/* Computes the region again, this time with records, and unwinds them. */
static void run_region_again(pl_context *ctx, const void *record)
{
    pl_tape *tape = ctx->tape;
    const bordered_region region = *(const bordered_region *)record; /* records move when there are more */
    const size_t mark = pl_arena_mark(ctx->arena), entries = tape->entry_count, ranges = tape->range_count, first = tape->gradient_used;
    tape->paused = false;
    tape->inside = true;
    tape->sites = region.sites;
    region.run(ctx, region.arguments, region.x, region.y);
    tape->paused = true;
    tape->inside = false;
    zero_gradients(ctx, first, tape->gradient_used);
    unwind(ctx, entries);
    tape->gradient_used = first;
    tape->range_count = ranges;
    pl_arena_release(ctx->arena, mark);
}

void pl_tape_region(pl_context *ctx, pl_tape_region_fn *run, const void *arguments, size_t size, pl_rows x, pl_rows y)
{
    pl_tape *tape = ctx->tape;
    if (!pl_recording(ctx)) {
        run(ctx, arguments, x, y);
        return;
    }
    if (tape->keep == PL_KEEP_BORDERS) {
        bordered_region region = {.run = run, .x = x, .y = y, .sites = tape->sites};
        memcpy(region.arguments, arguments, pl_min(size, sizeof region.arguments));
        ctx->failed |= size > sizeof region.arguments;
        const size_t mark = pl_arena_mark(ctx->arena);
        tape->paused = true;
        run(ctx, arguments, x, y);
        tape->paused = false;
        pl_arena_release(ctx->arena, mark);
        pl_record(ctx, run_region_again, &region, sizeof region);
        return;
    }
    kept_region region = {.first = tape->gradient_used};
    tape->inside = true;
    run(ctx, arguments, x, y);
    tape->inside = false;
    region.end = tape->gradient_used;
    tape->gradient_used = region.first;
    pl_record(ctx, enter_kept_region, &region, sizeof region);
}
