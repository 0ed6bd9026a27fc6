/*
 * The vector kernels of the level `ref`, for its table (ref/matrix.c) and for
 * levels that have nothing faster.
 */
#ifndef PL_KERNELS_REF_H
#define PL_KERNELS_REF_H

#include "base/memory.h"
#include "kernels/levels.h"

pl_layernorm_fn pl_layernorm_ref;
pl_rmsnorm_fn pl_rmsnorm_ref;
pl_gelu_fn pl_gelu_ref;
pl_geglu_fn pl_geglu_ref;
pl_softcap_fn pl_softcap_ref;
pl_add_fn pl_add_ref;
pl_axpy_fn pl_axpy_ref;
pl_scale_fn pl_scale_ref;
pl_softmax_step_fn pl_softmax_step_ref;
pl_rope_fn pl_rope_ref;
pl_argmax_fn pl_argmax_ref;
pl_all_finite_fn pl_all_finite_ref;

#endif
