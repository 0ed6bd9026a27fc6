/*
 * big_vision's order of a weight's values and ours, [out, in]: turned in
 * parallel, both ways.
 */
#ifndef PL_MODEL_TURN_H
#define PL_MODEL_TURN_H

#include "base/pool.h"
#include "model/checkpoint.h"

/* A slice as `order` says it lies (form, rows, columns, heads, patch), values of `bytes` bytes -> matrix [rows, columns]. */
void pl_turn(const pl_source *order, size_t bytes, const void *slice, void *matrix, pl_pool *pool);

/* The way back. */
void pl_turn_back(const pl_source *order, size_t bytes, const void *matrix, void *slice, pl_pool *pool);

#endif
