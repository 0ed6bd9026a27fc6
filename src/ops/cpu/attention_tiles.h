/* Inside the room: the keys and values of an attention as bf16 tiles, made once for all its tasks. */
#ifndef PL_OPS_CPU_ATTENTION_TILES_H
#define PL_OPS_CPU_ATTENTION_TILES_H

#include "ops/ops.h"

enum { PL_KEY_BLOCK = 128 }; /* keys whose scores exist at a time; a multiple of PL_TILE_BF16 */

/* The tiles of one span: for each kv head, keys as rows of a weight and values as its columns. */
typedef struct pl_span_tiles {
    size_t keys;  /* positions, filled up to PL_TILE_BF16 */
    uint16_t *k;  /* [kv_heads][keys/16] columns of tiles, of head_dim filled up to PL_TILE_BF16 */
    uint16_t *v;  /* [kv_heads][head_dim/16 rounded up] columns of tiles, of `keys` */
} pl_span_tiles;

/* [count][2] for the spans of the segments, in the arena. On a plan arena only their size counts. */
const pl_span_tiles *pl_attention_tiles(pl_context *ctx, const pl_attention *attention, const pl_attention_segment *segments, size_t count);

#endif
