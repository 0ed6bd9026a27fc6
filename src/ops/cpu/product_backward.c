/*
 * Backward of matrix products, on the kernels of forward. W lies [out, in]: for
 * dx = dy W, blocks of its rows are unpacked and packed by columns; for dw =
 * dy^T x, a block of dy is turned round, rows of x are packed as they lie. A task
 * owns a block of the result and adds to it slice by slice of what is summed
 * over, so no order depends on the number of threads.
 */
#include "ops/cpu/product.h"

#include <string.h>

enum {
    COLUMN_STEP = 32,      /* columns of tasks are a multiple of this, and of the blocks of W's type */
    PACKED_COLUMNS = 64,   /* columns that are packed at a time; a block of W's type if that is more */
    PACKED_VALUES = 65536, /* of them in bf16 */
    UNPACKED_ROWS = 32,    /* rows of W in floats at a time: whole groups of tiled types, whole blocks of bf16 tiles */
    AHEAD_ROWS = 16,       /* rows of W that memory is asked for before they are unpacked: each lies in a page of its own */
    BLOCK_COLUMNS = 128,   /* columns of dx of a task; more where many outputs are summed */
    BLOCK_COLUMNS_DEEP = 256,
    DEEP = 4096,
    SAME_SETS = 1024,      /* as in product.c: rows that a multiple of this is apart share cache sets */
    ROW_BLOCK = 288,       /* rows that go through packed columns at a time; a multiple of 12 and 32 */
    FEW_OUTPUTS = 64,      /* an adapter's rank: dx, which then costs most, is to be read along its rows */
    WIDE_COLUMNS = 1024,
    WIDE_ROW_BLOCK = 24,
    SUM_ROWS = 256,        /* rows of a partial sum of columns */
    SUM_COLUMNS = 1024
};

static bool in_bf16(const pl_context *ctx, bool narrow_weight)
{
    return ctx->kernels->bf16_unit && ctx->activations != PL_ACTIVATIONS_F32 && (narrow_weight || ctx->activations == PL_ACTIVATIONS_BF16);
}

/* Columns first.. of `rows` rows of floats, `stride` apart -> room: panels of `depth` values of k, or tiles `stride_tiles` apart, from value k of them on. */
typedef struct packing {
    const pl_kernels *kernels;
    bool bf16;
    size_t depth; /* values of k of a panel, or of a column of tiles */
    void *room;
} packing;

static size_t packed_depth(bool bf16, size_t slice)
{
    return bf16 ? pl_round_up(slice, PL_TILE_BF16) : slice;
}

/* Values k.. of a slice from `rows` rows of floats: as they stand before the multiplication. */
static void pack_floats(const packing *to, size_t k, size_t rows, size_t columns, const float *from, size_t stride)
{
    const size_t wide = to->bf16 ? PL_TILE_ROWS : to->kernels->panel_columns;
    for (size_t c = 0; c < columns; c += wide) {
        const size_t some = pl_min(wide, columns - c), at = c * to->depth + k * wide;
        if (to->bf16)
            to->kernels->pack_columns_bf16(some, rows, from + c, stride, (uint16_t *)to->room + at);
        else
            to->kernels->pack_columns(some, rows, from + c, stride, (float *)to->room + at);
    }
}

/* c [rows, columns] (+)= a times what was packed of a slice; a is [rows, slice], bf16 or floats. */
static void multiply(const packing *b, size_t rows, size_t columns, size_t slice, const void *a, size_t a_stride, float *c, size_t c_stride, bool accumulate)
{
    const pl_kernels *kernels = b->kernels;
    if (b->bf16) {
        kernels->gemm_bf16(rows, columns, slice, a, a_stride, b->room, PL_TILE_ROWS * b->depth, c, c_stride, accumulate, NULL);
        return;
    }
    const size_t wide = kernels->panel_columns;
    for (size_t n = 0; n < columns; n += wide)
        kernels->gemm(rows, pl_min(wide, columns - n), slice, a, a_stride, (const float *)b->room + n * b->depth, c + n, c_stride, accumulate);
}

/* ---- The gradient of x ----------------------------------------------- */

typedef struct input_job {
    const pl_kernels *kernels;
    const pl_tensor *weight; /* [out, in] */
    pl_rows dy, dx;
    uint16_t *operand;      /* [T, depth] dy times the weight's scales in bf16, or NULL: floats */
    size_t depth;
    size_t row_bytes;       /* of W, or of a group of its rows */
    size_t wide;            /* columns packed at a time */
    size_t slice;           /* outputs packed at a time */
    size_t columns, rows;   /* of a task */
    size_t row_block;       /* rows that go through packed columns at a time */
    unsigned char *scratch; /* [threads, scratch_bytes]: packed columns, then unpacked rows */
    size_t scratch_bytes, packed_bytes;
} input_job;

/* One row of dy for all its products: scaled here, as codes without their scale lose nothing in bf16. */
static void round_row(void *context, size_t t, size_t thread)
{
    (void)thread;
    enum { CHUNK = 256 };
    const input_job *job = context;
    const float *dy = job->dy.data + t * job->dy.width, *scale = job->weight->scale;
    uint16_t *to = job->operand + t * job->depth;
    if (!scale) {
        job->kernels->to_bf16(job->dy.width, dy, to);
        return;
    }
    for (size_t o = 0; o < job->dy.width; o += CHUNK) {
        float chunk[CHUNK];
        const size_t n = pl_min(CHUNK, job->dy.width - o);
        memcpy(chunk, dy + o, n * sizeof *chunk);
        job->kernels->affine(n, scale + o, NULL, chunk);
        job->kernels->to_bf16(n, chunk, to + o);
    }
}

static const unsigned char *weight_at(const input_job *job, size_t row, size_t column)
{
    const pl_dtype type = job->weight->dtype;
    return (const unsigned char *)job->weight->data + row / pl_dtype_rows(type) * job->row_bytes + column / pl_dtype_block(type) * pl_dtype_bytes(type);
}

/* Rows row.. of W, of some columns, to floats; row is at the beginning of a group. */
static void unpack(const input_job *job, size_t row, size_t rows, size_t column, size_t columns, float *to)
{
    const pl_kernels *kernels = job->kernels;
    const pl_tensor *w = job->weight;
    const size_t group = pl_dtype_rows(w->dtype), block = pl_dtype_block(w->dtype), bytes = (columns + block - 1) / block * pl_dtype_bytes(w->dtype);
    for (size_t r = 0; r < rows; r += group) {
        const unsigned char *const from = weight_at(job, row + r, column);
        const uintptr_t ahead = (uintptr_t)from + pl_max(AHEAD_ROWS / group, 1) * job->row_bytes;
        for (size_t i = 0; i < bytes; i += 64) /* beyond the weights it does no harm */
            __builtin_prefetch((const void *)(ahead + i), 0, 2);
        if (group > 1)
            kernels->unpack_group[w->dtype](columns, from, to + r * job->wide, job->wide);
        else
            kernels->unpack[w->dtype](columns, from, to + r * job->wide);
    }
    for (size_t r = 0; w->scale && !job->operand && r < rows; r++)
        kernels->scale(columns, w->scale[row + r], to + r * job->wide);
}

/* Outputs row.. of W, of some columns, packed. */
static void pack_weights(const input_job *job, size_t row, size_t rows, size_t column, size_t columns, float *unpacked, const packing *to)
{
    if (job->weight->dtype == PL_F32 && (!job->weight->scale || job->operand)) {
        pack_floats(to, 0, rows, columns, (const float *)job->weight->data + row * job->dx.width + column, job->dx.width);
        return;
    }
    for (size_t r = 0; r < rows; r += UNPACKED_ROWS) {
        const size_t some = pl_min(UNPACKED_ROWS, rows - r);
        unpack(job, row + r, some, column, columns, unpacked);
        pack_floats(to, r, some, columns, unpacked, job->wide);
    }
}

static void input_block(void *context, size_t task, size_t thread)
{
    const input_job *job = context;
    const size_t across = (job->dx.width + job->columns - 1) / job->columns, in = job->dx.width, out = job->dy.width;
    const size_t first = task % across * job->columns, end = pl_min(first + job->columns, in);
    const size_t top = task / across * job->rows, bottom = pl_min(top + job->rows, job->dx.count);
    unsigned char *const room = job->scratch + thread * job->scratch_bytes;
    for (size_t k = 0; k < out; k += job->slice) {
        const size_t slice = pl_min(job->slice, out - k);
        const packing to = {.kernels = job->kernels, .bf16 = job->operand != NULL, .depth = packed_depth(job->operand != NULL, slice), .room = room};
        for (size_t c = first; c < end; c += job->wide) {
            const size_t some = pl_min(job->wide, end - c);
            pack_weights(job, k, slice, c, some, (float *)(void *)(room + job->packed_bytes), &to);
            for (size_t t = top; t < bottom; t += job->row_block) {
                const void *const a = job->operand ? (const void *)(job->operand + t * job->depth + k) : job->dy.data + t * out + k;
                multiply(&to, pl_min(job->row_block, bottom - t), some, slice, a, job->operand ? job->depth : out, job->dx.data + t * in + c, in, true);
            }
        }
    }
}

void pl_product_backward_input(pl_context *ctx, const pl_tensor *weight, pl_rows dy, pl_rows dx)
{
    const bool bf16 = in_bf16(ctx, weight->dtype != PL_F32);
    const size_t mark = pl_arena_mark(ctx->arena), threads = pl_pool_threads(ctx->pool), step = pl_max(COLUMN_STEP, pl_dtype_block(weight->dtype));
    const bool few = dy.width <= FEW_OUTPUTS;
    input_job job = {.kernels = ctx->kernels, .weight = weight, .dy = dy, .dx = dx, .wide = few ? WIDE_COLUMNS : pl_max(PACKED_COLUMNS, step), .row_block = few ? WIDE_ROW_BLOCK : ROW_BLOCK};
    if (dx.count == 0 || dx.width == 0)
        return;
    pl_dtype_row_bytes(weight->dtype, dx.width, &job.row_bytes);
    job.slice = pl_min(bf16 ? PACKED_VALUES / job.wide : PL_SUM_SLICE, pl_round_up(dy.width, UNPACKED_ROWS));
    job.columns = pl_columns_of_task(dx.width, threads, few ? WIDE_COLUMNS : pl_max(step, dy.width > DEEP ? BLOCK_COLUMNS_DEEP : BLOCK_COLUMNS), step);
    const size_t across = (dx.width + job.columns - 1) / job.columns;
    job.rows = pl_rows_of_task(dx.count, across, threads);
    if (bf16) {
        job.depth = pl_round_up(dy.width, PL_TILE_BF16);
        if (job.depth % SAME_SETS == 0)
            job.depth += PL_TILE_BF16;
        job.operand = pl_push(ctx, dx.count * job.depth, sizeof *job.operand);
    }
    job.packed_bytes = job.wide * job.slice * (bf16 ? sizeof(uint16_t) : sizeof(float));
    job.scratch_bytes = job.packed_bytes + UNPACKED_ROWS * job.wide * sizeof(float);
    job.scratch = pl_push(ctx, threads, job.scratch_bytes);
    if (!pl_dry(ctx)) {
        if (bf16)
            pl_pool_run(ctx->pool, dy.count, round_row, &job);
        pl_pool_run(ctx->pool, across * ((dx.count + job.rows - 1) / job.rows), input_block, &job);
    }
    pl_arena_release(ctx->arena, mark);
}

/* ---- The gradient of W ----------------------------------------------- */

enum {
    OUT_BLOCK = 288,          /* rows and columns of dw of a task, most and least */
    IN_BLOCK = 2048,
    LEAST_BLOCK = 64,
    LARGE_BLOCK = 256,        /* cut further until each thread has TASKS_A_THREAD */
    TASKS_A_THREAD = 4,
    TURN_ROWS = 64,           /* rows that are turned and packed at a time: their pages fit the first TLB */
    SLICE_BF16 = 512,         /* rows of dy and x at a time */
    SMALL_VALUES = 256 << 10, /* of a dw too small to keep threads busy, which is summed in parts */
    PART_ROWS = 1024,         /* of a part, at least */
    MOST_PARTS = 64,
    PARTIAL_VALUES = 4 << 20  /* of all parts together */
};

typedef struct weight_job {
    const pl_kernels *kernels;
    pl_rows dy, x;
    float *dw; /* [out, in] */
    bool bf16;
    size_t parts, part_rows;  /* of the rows of dy and x, by their number and the size of dw alone */
    float *partial;           /* [parts, out, in], or NULL: one part, added to dw at once */
    size_t out_step, in_step; /* of a task */
    size_t slice;             /* rows of dy and x at a time */
    size_t stride;            /* from row to row of the turned block */
    unsigned char *scratch;   /* [threads, scratch_bytes]: the turned block [out_step, stride], then packed columns */
    size_t scratch_bytes, turned_bytes;
} weight_job;

/* Rows t.. of dy, `outs` columns from `first` on -> [outs, stride], floats or bf16. */
static void turn(const weight_job *job, size_t t, size_t rows, size_t first, size_t outs, void *turned)
{
    const pl_kernels *kernels = job->kernels;
    const size_t out = job->dy.width;
    for (size_t at = 0; at < rows; at += TURN_ROWS) {
        const size_t some = pl_min(TURN_ROWS, rows - at);
        const float *const from = job->dy.data + (t + at) * out + first;
        if (job->bf16)
            kernels->transpose_bf16(some, outs, from, out, (uint16_t *)turned + at, job->stride);
        else
            kernels->transpose(some, outs, from, out, (float *)turned + at, job->stride);
    }
}

static size_t blocks_down(const weight_job *job)
{
    return (job->dy.width + job->out_step - 1) / job->out_step;
}

static size_t blocks_across(const weight_job *job)
{
    return (job->x.width + job->in_step - 1) / job->in_step;
}

static void weight_block(void *context, size_t task, size_t thread)
{
    const weight_job *job = context;
    const size_t in = job->x.width, across = blocks_across(job), part = task / across / blocks_down(job);
    const size_t first = task % across * job->in_step, end = pl_min(first + job->in_step, in);
    const size_t out = task / across % blocks_down(job) * job->out_step, outs = pl_min(job->out_step, job->dy.width - out);
    const size_t top = part * job->part_rows, bottom = pl_min(top + job->part_rows, job->x.count);
    float *const sums = (job->partial ? job->partial + part * job->dy.width * in : job->dw) + out * in;
    unsigned char *const turned = job->scratch + thread * job->scratch_bytes;
    for (size_t t = top; t < bottom; t += job->slice) {
        const size_t slice = pl_min(job->slice, bottom - t);
        const packing to = {.kernels = job->kernels, .bf16 = job->bf16, .depth = packed_depth(job->bf16, slice), .room = turned + job->turned_bytes};
        turn(job, t, slice, out, outs, turned);
        for (size_t c = first; c < end; c += PACKED_COLUMNS) {
            const size_t some = pl_min(PACKED_COLUMNS, end - c);
            for (size_t at = 0; at < slice; at += TURN_ROWS)
                pack_floats(&to, at, pl_min(TURN_ROWS, slice - at), some, job->x.data + (t + at) * in + c, in);
            multiply(&to, outs, some, slice, turned, job->stride, sums + c, in, !job->partial || t > top);
        }
    }
}

/* A row of dw += those of the parts. */
static void add_parts(void *context, size_t row, size_t thread)
{
    (void)thread;
    const weight_job *job = context;
    const size_t in = job->x.width, values = job->dy.width * in;
    for (size_t part = 0; part < job->parts; part++)
        job->kernels->add(in, job->partial + part * values + row * in, job->dw + row * in);
}

/* The steps of equal blocks of at most `most`. */
static size_t even_step(size_t total, size_t most)
{
    const size_t blocks = (total + most - 1) / most;
    return blocks ? pl_round_up((total + blocks - 1) / blocks, COLUMN_STEP) : COLUMN_STEP;
}

static size_t weight_tasks(const weight_job *job)
{
    return job->parts * blocks_down(job) * blocks_across(job);
}

/* Blocks as large as give every thread some; dy is turned once for each across, x packed once for each down. */
static void choose_blocks(weight_job *job, size_t threads)
{
    size_t out_most = OUT_BLOCK, in_most = IN_BLOCK;
    for (;;) {
        job->out_step = even_step(job->dy.width, out_most);
        job->in_step = even_step(job->x.width, in_most);
        const size_t larger = pl_max(job->out_step, job->in_step), wanted = larger > LARGE_BLOCK ? TASKS_A_THREAD * threads : threads;
        if (threads == 1 || weight_tasks(job) >= wanted || larger <= LEAST_BLOCK)
            return;
        if (job->out_step > job->in_step)
            out_most = job->out_step / 2;
        else
            in_most = job->in_step / 2;
    }
}

void pl_product_backward_weight(pl_context *ctx, pl_rows dy, pl_rows x, float *dw)
{
    const size_t mark = pl_arena_mark(ctx->arena), threads = pl_pool_threads(ctx->pool), values = dy.width * x.width;
    weight_job job = {.kernels = ctx->kernels, .dy = dy, .x = x, .dw = dw, .bf16 = in_bf16(ctx, false), .parts = 1, .part_rows = x.count};
    if (x.count == 0)
        return;
    if (values <= SMALL_VALUES && x.count >= 2 * PART_ROWS) {
        const size_t most = pl_min(MOST_PARTS, PARTIAL_VALUES / pl_max(values, 1));
        job.part_rows = even_step(x.count, pl_max(PART_ROWS, (x.count + most - 1) / most));
        job.parts = (x.count + job.part_rows - 1) / job.part_rows;
        job.partial = pl_push(ctx, job.parts * values, sizeof *job.partial);
    }
    choose_blocks(&job, threads);
    job.slice = even_step(job.part_rows, job.bf16 ? SLICE_BF16 : PL_SUM_SLICE);
    job.stride = job.slice + COLUMN_STEP; /* rows a power of two apart share cache sets */
    const size_t element = job.bf16 ? sizeof(uint16_t) : sizeof(float);
    job.turned_bytes = job.out_step * job.stride * element;
    job.scratch_bytes = job.turned_bytes + PACKED_COLUMNS * job.slice * element;
    job.scratch = pl_push(ctx, threads, job.scratch_bytes);
    if (!pl_dry(ctx)) {
        pl_pool_run(ctx->pool, weight_tasks(&job), weight_block, &job);
        if (job.partial)
            pl_pool_run(ctx->pool, dy.width, add_parts, &job);
    }
    pl_arena_release(ctx->arena, mark);
}

/* ---- The gradient of a bias ------------------------------------------ */

typedef struct sums_job {
    const pl_kernels *kernels;
    pl_rows dy;
    size_t parts;   /* of its rows */
    float *partial; /* [parts, width] */
} sums_job;

static void sum_part(void *context, size_t task, size_t thread)
{
    (void)thread;
    const sums_job *job = context;
    const size_t width = job->dy.width, part = task % job->parts, first = task / job->parts * SUM_COLUMNS, n = pl_min(SUM_COLUMNS, width - first);
    float *const sums = job->partial + part * width + first;
    memset(sums, 0, n * sizeof *sums);
    for (size_t t = part * SUM_ROWS; t < pl_min((part + 1) * SUM_ROWS, job->dy.count); t++)
        job->kernels->add(n, job->dy.data + t * width + first, sums);
}

void pl_column_sums(pl_context *ctx, pl_rows dy, float *sums)
{
    const size_t mark = pl_arena_mark(ctx->arena), parts = (dy.count + SUM_ROWS - 1) / SUM_ROWS;
    sums_job job = {.kernels = ctx->kernels, .dy = dy, .parts = parts};
    job.partial = pl_rows_push(ctx, parts, dy.width).data;
    if (!pl_dry(ctx)) {
        pl_pool_run(ctx->pool, parts * ((dy.width + SUM_COLUMNS - 1) / SUM_COLUMNS), sum_part, &job);
        for (size_t part = 0; part < parts; part++)
            ctx->kernels->add(dy.width, job.partial + part * dy.width, sums);
    }
    pl_arena_release(ctx->arena, mark);
}
