/*
 * Options: parsed from the tables of a command, and listed from the same
 * tables by its help.
 */
#ifndef PALI_APP_OPTIONS_H
#define PALI_APP_OPTIONS_H

#include "command.h"

#include <stdio.h>

/* Tables that several commands share. */
extern const option model_options[];  /* which model, and how it is loaded */
extern const option answer_options[]; /* how an answer is made */
extern const option clip_options[];   /* images as a clip */
extern const option drawing_options[]; /* where it is drawn */
extern const option common_options[]; /* --help */

enum { MOST_THREADS = 4096, MOST_FRAMES = 256 };

/*
 * Reads argc arguments (those after the command's name) into *given, in any
 * order. Returns 0, or the exit code after saying what is wrong. Release with
 * options_free.
 */
int options_parse(const command *of, int argc, char **argv, settings *given);
void options_free(settings *given);

/*
 * One whole number in least..most, or one number; false when `text` is
 * anything else.
 */
bool read_count(const char *text, uint64_t least, uint64_t most, uint64_t *value);
bool read_number(const char *text, double least, double most, double *value);

/* The help of one command. */
void options_help(const command *of, FILE *out);

/* How many single-character changes lead from a to b (neighbours swapped: one). */
size_t edit_distance(const char *a, const char *b);

#endif
