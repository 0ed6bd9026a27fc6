/*
 * Weights of one type as another, a run of rows at a time and over all
 * threads: for a wish of the user at load, and for converted files. What only
 * changes its layout keeps its bits.
 */
#ifndef PL_MODEL_RECAST_H
#define PL_MODEL_RECAST_H

#include "base/pool.h"
#include "kernels/kernels.h"
#include "model/weights.h"

typedef struct pl_recast {
    const pl_tensor *from;       /* [rows, columns]; of any weight type, tiled or not */
    pl_dtype type;               /* pl_dtype_can_quantise, or a tiled type */
    const pl_low_rank *adapters; /* added in f32 before rounding; NULL: none */
    float offset;                /* likewise */
    const char *file, *name;     /* of the weight, for messages */
} pl_recast;

/* "f32", "bf16", "f16", "q8_0", "q4_0" or "q8" (8 bits, one scale a row); PL_DTYPE_COUNT for NULL. `what` stands in the message. */
pali_status pl_type_parse(const char *text, const char *what, pl_dtype *type, pali_error *err);

/* What such a type is called: q8 for PL_Q8_TILES, that of the rows for other tiles. */
const char *pl_type_name(pl_dtype type);

/*
 * The type that a weight takes where matrices are to have `type`: f32 for norms
 * and biases, and for positions if it is quantised; bf16 for a matrix whose
 * rows are no whole blocks of it.
 */
pl_dtype pl_weight_type(const pl_weight *weight, const pl_config *config, pl_dtype type);

/*
 * Rows first..first+count -> out, as they lie in a matrix of `type`; first is a
 * multiple of PL_TILE_ROWS, and count one unless it goes to the last row.
 * scale [count]: for PL_Q8_TILES only. PALI_MODEL if a value does not fit.
 */
pali_status pl_recast_rows(const pl_recast *recast, pl_pool *pool, size_t first, size_t count, void *out, float *scale, pali_error *err);

#endif
