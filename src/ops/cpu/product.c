/*
 * Matrix products with weights. Few rows: the weights are streamed once, as
 * they lie. Many rows: a task owns a block of columns of y; a slice of K at a
 * time, it turns the weights of some columns into panels or tiles (or takes the
 * tiles of a tiled weight where they lie) and multiplies all rows with them. The
 * rows of x are rounded once for the whole product where the form asks for it.
 */
#include "ops/cpu/product.h"

#include <string.h>

/* Number formats of the activations that products take. */
typedef enum number_form {
    FORM_FEW,        /* floats, weights streamed */
    FORM_FEW_PLANES, /* two int8 planes, codes streamed */
    FORM_F32,        /* floats, panels */
    FORM_BF16,       /* bf16, tiles */
    FORM_PLANES,     /* two int8 planes, int8 tiles */
    FORM_I8,         /* one int8 plane, int8 tiles */
} number_form;

enum {
    STREAM_OUTPUTS = PL_OUTPUT_STEP, /* fewest outputs of a task of the streamed form, and their step */
    STREAM_ROUNDS = 8,     /* tasks a thread has of them */
    PACKED_COLUMNS = 64,   /* columns that are packed at a time */
    BLOCK_COLUMNS = 128,   /* columns of a task; more where K is large, so that x is read less often */
    BLOCK_COLUMNS_DEEP = 256,
    DEEP = 4096,
    COLUMN_STEP = 32,
    SLICE_BYTES = 2048,    /* of each column that is packed at a time, so that all stay in the second cache; whole blocks of every type */
    SAME_SETS = 1024,      /* rows of x a multiple of this apart share the sets of the first cache: 8 % slower */
    ROW_BLOCK = 288,       /* rows that go through packed columns at a time; a multiple of 12 and 32 */
    LEAST_ROWS = 96        /* of a task that has not all of them */
};

typedef struct product_job {
    const pl_kernels *kernels;
    const pl_tensor *weight;
    const pl_epilogue *epilogue;
    pl_rows x, y;
    number_form form;
    const void *operand;    /* x in the form's numbers: [T, depth] bf16 or int8, planes one after the other */
    const float *x_scale;   /* [T], of int8 operands; the planes' second [T] is 256 times that */
    size_t depth;           /* K filled up, from row to row */
    size_t columns, rows;   /* of a task */
    unsigned char *scratch; /* [threads, scratch_bytes]: packed weights, then the gate's block */
    size_t scratch_bytes, packed_bytes;
} product_job;

static bool has_codes(pl_dtype type)
{
    return type == PL_Q8_0 || type == PL_Q4_0 || type == PL_Q8_TILES || type == PL_Q8_0_TILES || type == PL_Q4_0_TILES;
}

static number_form form_of(const pl_context *ctx, pl_dtype type, size_t rows)
{
    const pl_kernels *k = ctx->kernels;
    const bool exact = ctx->activations == PL_ACTIVATIONS_F32 || (type == PL_F32 && ctx->activations != PL_ACTIVATIONS_BF16);
    if (pl_few_rows(ctx, rows))
        return !exact && k->few_i8[type] ? FORM_FEW_PLANES : FORM_FEW;
    if (exact)
        return FORM_F32;
    if (ctx->activations == PL_ACTIVATIONS_INT8 && k->i8_unit && has_codes(type))
        return FORM_I8;
    if (k->bf16_unit)
        return FORM_BF16;
    return k->i8_unit && type == PL_Q8_TILES ? FORM_PLANES : FORM_F32;
}

static bool in_place(number_form form, pl_dtype type)
{
    return (form == FORM_BF16 && type == PL_BF16_TILES) || ((form == FORM_PLANES || form == FORM_I8) && type == PL_Q8_TILES);
}

/* The weights from (row, k) on; row is at the beginning of a group, k of a block. */
static const unsigned char *weight_at(const pl_tensor *w, size_t row, size_t k)
{
    return (const unsigned char *)pl_tensor_row(w, row) + k / pl_dtype_block(w->dtype) * pl_dtype_bytes(w->dtype);
}

static size_t row_bytes_of(const pl_tensor *w)
{
    size_t bytes = 0;
    pl_dtype_row_bytes(w->dtype, w->shape[1], &bytes);
    return bytes;
}

/* ---- What follows a product ------------------------------------------ */

/* A task's columns of some rows: where its sums are made, in y or beside it. */
typedef struct block {
    size_t first, columns, top, rows;
    float *sums; /* [rows, columns], rows `stride` apart */
    size_t stride;
    float *gate; /* [rows, columns] end to end, or NULL */
    unsigned char *room; /* for packed weights */
} block;

static block block_of(const product_job *job, size_t task, size_t thread)
{
    const size_t across = (job->y.width + job->columns - 1) / job->columns, first = task % across * job->columns, top = task / across * job->rows;
    block b = {.first = first, .columns = pl_min(job->columns, job->y.width - first), .top = top, .rows = pl_min(job->rows, job->y.count - top)};
    b.sums = job->y.data + top * job->y.width + first;
    b.stride = job->y.width;
    if (!job->scratch_bytes)
        return b;
    unsigned char *scratch = job->scratch + thread * job->scratch_bytes;
    b.room = scratch;
    scratch += job->packed_bytes;
    if (job->epilogue->gate) {
        b.gate = (float *)(void *)scratch;
        scratch += job->rows * job->columns * sizeof(float);
    }
    if (job->epilogue->add) { /* which may lie where y does */
        b.sums = (float *)(void *)scratch;
        b.stride = b.columns;
    }
    return b;
}

static void finish_block(const product_job *job, const block *b)
{
    const pl_kernels *kernels = job->kernels;
    const pl_epilogue *e = job->epilogue;
    const float *scale = job->weight->scale ? job->weight->scale + b->first : NULL, *bias = e->bias ? e->bias + b->first : NULL;
    for (size_t t = 0; t < b->rows; t++) {
        float *v = b->sums + t * b->stride, *y = job->y.data + (b->top + t) * job->y.width + b->first;
        if (scale || bias)
            kernels->affine(b->columns, scale, bias, v);
        if (e->gelu)
            kernels->gelu(b->columns, v, v);
        if (b->gate) {
            float *gate = b->gate + t * b->columns;
            if (e->gate->scale)
                kernels->affine(b->columns, e->gate->scale + b->first, NULL, gate);
            kernels->geglu(b->columns, gate, v, v);
        }
        if (e->cap > 0)
            kernels->softcap(b->columns, e->cap, v);
        if (!e->add)
            continue;
        kernels->add(b->columns, e->add + (b->top + t) * job->y.width + b->first, v);
        memcpy(y, v, b->columns * sizeof *y);
    }
}

/* ---- Few rows -------------------------------------------------------- */

static void stream(const product_job *job, const pl_tensor *w, size_t first, size_t outputs, float *y, size_t y_stride)
{
    const size_t in = job->x.width, row_bytes = row_bytes_of(w);
    const void *from = weight_at(w, first, 0);
    if (job->form == FORM_FEW_PLANES)
        job->kernels->skinny_i8[w->dtype](job->x.count, outputs, in, from, row_bytes, job->operand, job->depth, job->x_scale, y, y_stride, false);
    else
        job->kernels->skinny[w->dtype](job->x.count, outputs, in, from, row_bytes, job->x.data, in, y, y_stride, false);
}

static void stream_outputs(void *context, size_t task, size_t thread)
{
    const product_job *job = context;
    const block b = block_of(job, task, thread);
    stream(job, job->weight, b.first, b.columns, b.sums, b.stride);
    if (b.gate)
        stream(job, job->epilogue->gate, b.first, b.columns, b.gate, b.columns);
    finish_block(job, &b);
}

/* ---- Many rows ------------------------------------------------------- */

/* Columns of the weights for a slice of K, packed or where they lie. */
typedef struct packed {
    const void *tiles;
    size_t stride;                /* values from 16 columns to the next */
    float scale[PACKED_COLUMNS];  /* of columns that were packed to int8 */
} packed;

static void pack(const product_job *job, const pl_tensor *w, size_t first, size_t columns, size_t k, size_t slice, unsigned char *room, packed *out)
{
    const pl_kernels *kernels = job->kernels;
    const size_t row_bytes = row_bytes_of(w), element = job->form == FORM_BF16 ? 2 : 1;
    if (in_place(job->form, w->dtype)) {
        *out = (packed){.tiles = weight_at(w, first, k), .stride = row_bytes / element};
        return;
    }
    out->tiles = room;
    if (job->form == FORM_F32) {
        const size_t wide = kernels->panel_columns, step = pl_max(wide, pl_dtype_rows(w->dtype));
        for (size_t c = 0; c < columns; c += step)
            kernels->pack[w->dtype](pl_min(step, columns - c), slice, weight_at(w, first + c, k), row_bytes, (float *)(void *)room + c * slice);
        return;
    }
    out->stride = pl_round_up(slice, PL_TILE_I8) * PL_TILE_ROWS;
    for (size_t c = 0; c < columns; c += PL_TILE_ROWS) {
        const size_t rows = pl_min(PL_TILE_ROWS, columns - c);
        unsigned char *to = room + c / PL_TILE_ROWS * out->stride * element;
        if (job->form == FORM_BF16)
            kernels->pack_bf16[w->dtype](rows, slice, weight_at(w, first + c, k), row_bytes, (uint16_t *)(void *)to);
        else
            kernels->pack_i8[w->dtype](rows, slice, weight_at(w, first + c, k), row_bytes, (int8_t *)to, out->scale + c);
    }
}

/* y [rows, columns] of one block of rows += the slice's products; `ahead` is what will be packed or multiplied next. */
static void multiply_packed(const product_job *job, const pl_tensor *w, const packed *b, size_t row, size_t rows, size_t columns, size_t k, size_t slice, float *y, size_t stride,
                            const pl_ahead *ahead)
{
    const pl_kernels *kernels = job->kernels;
    const size_t total = job->x.count;
    const float *b_scale = in_place(job->form, w->dtype) ? NULL : b->scale;
    switch (job->form) {
    case FORM_BF16:
        kernels->gemm_bf16(rows, columns, slice, (const uint16_t *)job->operand + row * job->depth + k, job->depth, b->tiles, b->stride, y, stride, k > 0, ahead);
        break;
    case FORM_PLANES: /* planes of a row stand one after the other */
    case FORM_I8: {
        const size_t planes = job->form == FORM_PLANES ? 2 : 1, a_stride = planes * job->depth;
        const int8_t *a = (const int8_t *)job->operand + row * a_stride + k;
        if (planes == 2)
            kernels->gemm_i8(rows, columns, slice, a, a_stride, job->x_scale + total + row, b->tiles, b->stride, b_scale, y, stride, k > 0, NULL);
        kernels->gemm_i8(rows, columns, slice, a + (planes - 1) * job->depth, a_stride, job->x_scale + row, b->tiles, b->stride, b_scale, y, stride, planes == 2 || k > 0, ahead);
        break;
    }
    default: {
        const size_t wide = kernels->panel_columns;
        for (size_t c = 0; c < columns; c += wide)
            kernels->gemm(rows, pl_min(wide, columns - c), slice, job->x.data + row * job->x.width + k, job->x.width, (const float *)b->tiles + c * slice, y + c, stride, k > 0);
    }
    }
}

/* The weights of one slice of K of some columns. */
static pl_ahead weights_of(const pl_tensor *w, size_t first, size_t columns, size_t k, size_t slice)
{
    const size_t values = pl_dtype_block(w->dtype), group = pl_dtype_rows(w->dtype);
    return (pl_ahead){.at = weight_at(w, first, k), .bytes = (slice + values - 1) / values * pl_dtype_bytes(w->dtype), .runs = (columns + group - 1) / group, .stride = row_bytes_of(w)};
}

/* y [rows, columns] = the block's rows of x times its columns of the weights. */
static void multiply_columns(const product_job *job, const pl_tensor *w, const block *at, float *y, size_t stride)
{
    const size_t first = at->first, columns = at->columns, in = job->x.width, step = job->form == FORM_F32 ? PL_SUM_SLICE : job->form == FORM_BF16 ? SLICE_BYTES / 2 : SLICE_BYTES;
    size_t k = 0;
    do { /* once for K = 0 */
        const size_t slice = pl_min(step, in - k);
        for (size_t c = 0; c < columns; c += PACKED_COLUMNS) {
            packed b;
            pl_ahead ahead = {0};
            const size_t some = pl_min(PACKED_COLUMNS, columns - c), next = c + some;
            if (next < columns)
                ahead = weights_of(w, first + next, pl_min(PACKED_COLUMNS, columns - next), k, slice);
            else if (k + slice < in)
                ahead = weights_of(w, first, pl_min(PACKED_COLUMNS, columns), k + slice, pl_min(step, in - k - slice));
            pack(job, w, first + c, some, k, slice, at->room, &b);
            for (size_t t = 0; t < at->rows; t += ROW_BLOCK)
                multiply_packed(job, w, &b, at->top + t, pl_min(ROW_BLOCK, at->rows - t), some, k, slice, y + t * stride + c, stride, t == 0 && ahead.runs ? &ahead : NULL);
        }
        k += slice;
    } while (k < in);
}

static void multiply_block(void *context, size_t task, size_t thread)
{
    const product_job *job = context;
    const block b = block_of(job, task, thread);
    if (b.gate)
        multiply_columns(job, job->epilogue->gate, &b, b.gate, b.columns);
    multiply_columns(job, job->weight, &b, b.sums, b.stride);
    finish_block(job, &b);
}

/* ---- Rounding x ------------------------------------------------------ */

typedef struct rounding {
    const product_job *job;
    void *operand;
    float *scale;
} rounding;

static void round_row(void *context, size_t t, size_t thread)
{
    (void)thread;
    const rounding *r = context;
    const product_job *job = r->job;
    const float *x = job->x.data + t * job->x.width;
    if (job->form == FORM_BF16) {
        job->kernels->to_bf16(job->x.width, x, (uint16_t *)r->operand + t * job->depth);
    } else if (job->form == FORM_I8) {
        r->scale[t] = job->kernels->to_i8(job->x.width, x, (int8_t *)r->operand + t * job->depth);
    } else {
        int8_t *high = (int8_t *)r->operand + 2 * t * job->depth;
        r->scale[t] = job->kernels->to_planes(job->x.width, x, high, high + job->depth);
        r->scale[job->x.count + t] = 256 * r->scale[t];
    }
}

/* x in the numbers of the form, in the arena. */
static void round_rows(pl_context *ctx, product_job *job)
{
    if (job->form == FORM_FEW || job->form == FORM_F32)
        return;
    job->depth = pl_round_up(job->x.width, PL_TILE_I8);
    if (job->depth % SAME_SETS == 0)
        job->depth += PL_TILE_I8;
    const size_t bytes = job->form == FORM_I8 ? 1 : 2; /* of a value: bf16, or two planes */
    rounding r = {.job = job, .operand = pl_push(ctx, job->x.count * job->depth, bytes), .scale = pl_push(ctx, 2 * job->x.count, sizeof(float))};
    job->operand = r.operand;
    job->x_scale = r.scale;
    if (!pl_dry(ctx))
        pl_pool_run(ctx->pool, job->x.count, round_row, &r);
}

/* ---- The product ----------------------------------------------------- */

size_t pl_columns_of_task(size_t out, size_t threads, size_t most, size_t step)
{
    const size_t rounds = (out + threads * most - 1) / (threads * most);
    return pl_round_up((out + threads * rounds - 1) / (threads * rounds), step);
}

size_t pl_rows_of_task(size_t rows, size_t across, size_t threads)
{
    const size_t blocks = pl_min((2 * threads + across - 1) / across, (rows + LEAST_ROWS - 1) / LEAST_ROWS);
    return across >= threads || blocks < 2 ? rows : pl_round_up((rows + blocks - 1) / blocks, COLUMN_STEP);
}

void pl_product(pl_context *ctx, const pl_tensor *weight, const pl_epilogue *epilogue, pl_rows x, pl_rows y)
{
    product_job job = {.kernels = ctx->kernels, .weight = weight, .epilogue = epilogue, .x = x, .y = y, .form = form_of(ctx, weight->dtype, x.count)};
    const size_t mark = pl_arena_mark(ctx->arena), threads = pl_pool_threads(ctx->pool);
    const bool few = job.form == FORM_FEW || job.form == FORM_FEW_PLANES;
    round_rows(ctx, &job);
    job.rows = y.count;
    if (few) {
        job.columns = pl_columns_of_task(y.width, threads, pl_max(STREAM_OUTPUTS, y.width / (threads * STREAM_ROUNDS)), STREAM_OUTPUTS);
    } else {
        job.columns = pl_columns_of_task(y.width, threads, x.width > DEEP ? BLOCK_COLUMNS_DEEP : BLOCK_COLUMNS, COLUMN_STEP);
        job.rows = pl_rows_of_task(y.count, (y.width + job.columns - 1) / job.columns, threads);
        job.packed_bytes = PACKED_COLUMNS * (job.form == FORM_F32 ? PL_SUM_SLICE * sizeof(float) : (size_t)SLICE_BYTES);
    }
    job.scratch_bytes = job.packed_bytes + ((epilogue->gate != NULL) + (epilogue->add != NULL)) * job.rows * job.columns * sizeof(float);
    if (job.scratch_bytes > 0)
        job.scratch = pl_push(ctx, threads, job.scratch_bytes);
    if (!pl_dry(ctx) && y.count > 0)
        pl_pool_run(ctx->pool, (y.width + job.columns - 1) / job.columns * ((y.count + job.rows - 1) / job.rows), few ? stream_outputs : multiply_block, &job);
    pl_arena_release(ctx->arena, mark);
}
