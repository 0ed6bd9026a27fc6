/* One tensor that is trained, as those see it that move it, save it and load it again. */
#ifndef PL_TRAIN_TRAINED_H
#define PL_TRAIN_TRAINED_H

#include <stdbool.h>
#include <stddef.h>

typedef struct pl_trained {
    char name[192];       /* canonical: "text.layers.0.mlp.up_proj.weight"; of adapters "....up_proj.lora_A.weight" */
    float *value;         /* [rows, columns] f32, owned by the model, which points to it, or by what is trained beside it */
    float *gradient;      /* [rows, columns] f32, owned by pl_parameters; backward adds to it */
    size_t rows, columns; /* columns 1: a vector */
    size_t count;         /* rows * columns */
    size_t group;         /* of pl_rate_group: how fast it is moved */
    bool decays;          /* its group's weight decay is for it */
    bool hidden;          /* a matrix between hidden layers, which Muon is for */
} pl_trained;

#endif
