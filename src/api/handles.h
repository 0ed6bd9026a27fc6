/* What the public handles are inside. */
#ifndef PL_API_HANDLES_H
#define PL_API_HANDLES_H

#include <pali/pali.h>

#include "answer/calibration.h"
#include "answer/confidence.h"
#include "answer/mask_codec.h"
#include "generate/timeline.h"
#include "image/image.h"

struct pali_image {
    pl_image pixels;
};

struct pali_mask {
    pl_mask pixels;
};

struct pali_codec {
    pl_codec *network; /* owned */
    pl_hands hands;    /* the caller's thread alone: masks are small, and threads may share a codec */
};

struct pali_model {
    pl_paligemma *weights;
    pl_pool *pool;
    pl_engine engine;
    pali_codec *codec;      /* owned; NULL where the model has none */
    const char *preprocess; /* static storage */
    double load_seconds;
};

/* What a question wants of its answer when it is there. */
typedef struct pl_answer_form {
    pl_object_filter filter;
    bool filters;  /* it asks for one */
    bool logprobs; /* they are told in JSON */
    const pali_calibration *calibration; /* borrowed; NULL: none */
} pl_answer_form;

struct pali_session {
    pali_model *model;
    pl_timeline timeline;
    pl_answer_form form; /* of the question under way */
};

struct pali_answer {
    char *text;
    int32_t *tokens;
    float *logprobs; /* or NULL */
    size_t count;
    pali_finish finish;
    pali_timings timings;
    pl_objects objects;
    bool says_objects;          /* there were some, before any was dropped by its confidence */
    bool rated, tells_logprobs; /* confidence was asked for; log-probabilities are told in JSON */
    double probability;         /* of the text, calibrated; NAN: it is not */
};

/* The answer that a session has made so far; new. */
pali_answer *pl_answer_of(const pali_session *session, pali_error *err);

/*
 * Copies the caller's options into *own, as far as the caller's version of the
 * struct goes (its first field says; 0: this version). NULL gives zeros.
 */
void pl_take_options(void *own, size_t own_size, const void *options);

/* pali_model_open on a machine whose /proc and /sys stand under `root` ("": this one). */
pali_model *pl_model_open(const char *root, const char *name, const pali_model_options *options, pali_error *err);

/* A mask's handle, which takes over the pixels, and a codec's, which takes over the network; also on failure. */
pali_mask *pl_mask_wrap(pl_mask pixels, pali_error *err);
pali_codec *pl_codec_wrap(pl_codec *network, const pl_kernels *kernels, pali_error *err);

enum { PL_MOST_IMAGES = 256 /* of one question */ };

/* The pictures behind `count` handles into pixels, borrowed; PALI_USAGE unless there are 1 to PL_MOST_IMAGES. */
pali_status pl_take_images(const char *call, pali_image *const *images, size_t count, const pl_image *pixels[PL_MOST_IMAGES], pali_error *err);

/* PALI_USAGE "call: name is NULL" when any pointer of the list is. */
pali_status pl_need(const void *pointer, const char *call, const char *name, pali_error *err);

#endif
