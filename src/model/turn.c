/* Turning values between big_vision's order and [out, in], in squares that stay in cache. */
#include "model/turn.h"

#include <string.h>

/* Where value (row, column) of [out, in] lies in a slice of the given form. */
static size_t index_of(const pl_source *s, size_t row, size_t column)
{
    switch (s->form) {
    case PL_NPZ_AS_IS:
        return row * s->columns + column;
    case PL_NPZ_TRANSPOSE:
        return column * s->rows + row;
    case PL_NPZ_HEADS: {
        const size_t dim = s->rows / s->heads;
        return (row / dim * s->columns + column) * dim + row % dim;
    }
    case PL_NPZ_PATCH: { /* column = (channel, y, x); the array is [y, x, channel, out] */
        const size_t area = s->patch * s->patch, channel = column / area, at = column % area;
        return (at * 3 + channel) * s->rows + row;
    }
    }
    return 0;
}

enum { TILE = 32 }; /* rows and columns turned at a time, so that both sides stay in cache lines */

typedef struct turn_job {
    const pl_source *order;
    const unsigned char *from;
    unsigned char *to;
    size_t bytes; /* of a value */
    bool back;
} turn_job;

static void turn_rows(void *context, size_t task, size_t thread)
{
    (void)thread;
    const turn_job *job = context;
    const pl_source *s = job->order;
    const size_t first = task * TILE, last = pl_min(first + TILE, s->rows), bytes = job->bytes;
    for (size_t c = 0; c < s->columns; c += TILE)
        for (size_t column = c; column < pl_min(c + TILE, s->columns); column++)
            for (size_t row = first; row < last; row++) {
                const size_t matrix = (row * s->columns + column) * bytes, slice = index_of(s, row, column) * bytes;
                memcpy(job->to + (job->back ? slice : matrix), job->from + (job->back ? matrix : slice), bytes);
            }
}

static void run(turn_job job, pl_pool *pool)
{
    const pl_source *s = job.order;
    if (s->form == PL_NPZ_AS_IS)
        memcpy(job.to, job.from, s->rows * s->columns * job.bytes);
    else
        pl_pool_run(pool, (s->rows + TILE - 1) / TILE, turn_rows, &job);
}

void pl_turn(const pl_source *order, size_t bytes, const void *slice, void *matrix, pl_pool *pool)
{
    run((turn_job){.order = order, .from = slice, .to = matrix, .bytes = bytes}, pool);
}

void pl_turn_back(const pl_source *order, size_t bytes, const void *matrix, void *slice, pl_pool *pool)
{
    run((turn_job){.order = order, .from = matrix, .to = slice, .bytes = bytes, .back = true}, pool);
}
