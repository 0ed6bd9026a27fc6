/*
 * The shapes of the released models by name, so that speed and memory can be
 * measured without their weights: "paligemma-3b-224" and so on, and "nano".
 */
#ifndef PL_MODEL_SHAPES_H
#define PL_MODEL_SHAPES_H

#include "model/config.h"

/* The configuration of a shape; PALI_USAGE, with the known names, for any other name. */
pali_status pl_config_from_shape(pl_config *config, const char *name, pali_error *err);

#endif
