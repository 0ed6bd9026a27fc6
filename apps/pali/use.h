/*
 * What run, chat and eval work with: the model that the options ask for, the
 * pictures, and one question answered onto standard output.
 */
#ifndef PALI_APP_USE_H
#define PALI_APP_USE_H

#include "command.h"

#include <pali/pali.h>

#include <jansson.h>

typedef struct pictures {
    pali_image **images; /* [count], owned */
    char **paths;        /* [count], owned; every frame of a video has the same */
    size_t count;
} pictures;

/* Is there a file of that name, or is it -? What is not is a prompt. */
bool is_picture(const char *path);

/* Looks whether operands are images and, last, a prompt. Returns 0, or the exit code after saying what is missing. */
int question_check(const command *of, const text_list *operands);

/*
 * Opens `count` files in order; with --frames they are a clip. Returns 0,
 * or the exit code after saying what is wrong. Release with pictures_close.
 */
int pictures_open(const settings *given, const command *of, const char *const *paths, size_t count, pictures *out);
void pictures_close(pictures *shown);

/* Their paths and sizes as a JSON list. */
json_t *images_json(const pictures *shown);

/* The name of the model that the options, else PALI_MODEL, else nobody asked for ("nano"). */
const char *model_name(const settings *given);

/*
 * Takes what PALI_THREADS and PALI_PIN say where the options say nothing, and
 * looks at PALI_CPU. Returns 0, or the exit code after saying what is wrong.
 */
int environment_read(settings *given, const command *of);

/* Says that nano answers because no model was named, where that is so. */
void model_note(const settings *given);

/* The model and a session of it; session may be NULL. Returns 0, or the exit code after saying what is wrong. */
int model_open(const settings *given, pali_model **model, pali_session **session);

/* How the options want an answer made; without a listener. */
pali_ask_options ask_options(const settings *given);

/* Looks whether these options go together, before anything is opened. Returns 0, or the exit code after saying what is wrong. */
int ask_check(const settings *given);

/* Opens what --calibration names, if anything, as given->curves. Returns 0, or the exit code after saying what is wrong. */
int calibration_open(settings *given, const pali_model *model);

/*
 * Asks, streams the answer (or prints JSON), draws it, tells how it went, and
 * returns the exit code. `encode` is false where the session has the pictures
 * already.
 */
struct drawing;
int ask(const settings *given, pali_model *model, pali_session *session, const pictures *shown, bool encode, const char *prompt, const struct drawing *where);

#endif
