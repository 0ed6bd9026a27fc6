/*
 * What pali train says as a run goes: on a terminal a bar that moves, else
 * lines; or with --json an object a line.
 */
#ifndef PALI_APP_TRAIN_SAY_H
#define PALI_APP_TRAIN_SAY_H

#include "command.h"

#include <pali/train.h>

typedef struct train_say {
    const settings *given;
    bool bar, shown; /* standard error is a terminal; the bar stands there now */
    double drawn;    /* seconds: when */
    uint64_t step, steps; /* of the last event */
} train_say;

train_say train_say_start(const settings *given);
pali_train_listener train_say_event; /* its context is the train_say */
void train_say_end(train_say *say);

/*
 * The bar's line, at most `columns` wide: steps, a bar where there is room,
 * loss, tokens/s, time left. Writes into text and returns it.
 */
const char *train_bar_text(const pali_train_event *event, size_t columns, char text[256]);

/* Operands as a recipe file (or NULL) and settings "key=value" (new, [*count], borrowed texts); 0 or an exit code. */
int train_operands(const command *of, const settings *given, size_t first, const char **recipe, const char ***list, size_t *count);

#endif
