/*
 * Every op that can be differentiated, once, each with inputs of odd sizes: the
 * list that finite differences (double build), numbers of threads and kernel
 * levels are run over. A case says what its inputs are and runs the op on them.
 */
#ifndef TESTS_OPS_GRADIENT_CASES_H
#define TESTS_OPS_GRADIENT_CASES_H

#include "ops/convolution.h"

enum { CASE_INPUTS = 10 };

typedef enum input_kind { ACTIVATION, WEIGHT, FROZEN } input_kind;

typedef struct case_input {
    const char *name;
    input_kind kind;
    size_t rows, width;
    double scale, middle; /* values are middle + scale * (-1 to 1); scale 0: 1 */
} case_input;

/* What a case is run on; structs that records may point to stand here, and stay. */
typedef struct case_room {
    pl_rows in[CASE_INPUTS]; /* [rows, width] of each input: in the arena, or a weight */
    const float *seed;       /* by what each value of the output counts, for ops in which gradients start */
    pl_linear linear[4];
    pl_low_rank rank[4];
    pl_convolution convolution;
    pl_tensor table;
    pl_attention attention;
    pl_attention_segment segments[4];
} case_room;

typedef struct gradient_case {
    const char *op;   /* the function */
    const char *what; /* this case of it */
    case_input inputs[CASE_INPUTS];
    pl_rows (*run)(pl_context *ctx, case_room *room); /* the output, pushed by it */
    bool starts;  /* gradients start in it: nothing is put into that of its output, which is [1, n] */
    bool whole;   /* and all of its outputs count 1 */
    bool slow;    /* fewer of its values are tried one by one */
    bool large;   /* for bits over threads only: sizes at which work is cut into many tasks */
    float dropout, adapter_dropout;
    pl_keep keep;
} gradient_case;

extern const gradient_case gradient_cases[];
extern const size_t gradient_case_count;

#endif
