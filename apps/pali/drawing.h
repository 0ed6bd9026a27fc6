/*
 * Pictures of answers: --draw, --mask-dir and --preview. What can be known to
 * be wrong is said before the model is opened.
 */
#ifndef PALI_APP_DRAWING_H
#define PALI_APP_DRAWING_H

#include "use.h"

typedef struct drawing {
    const char *file;     /* --draw, or NULL */
    const char *mask_dir; /* --mask-dir, or NULL */
    bool previews;        /* on the terminal, in the manner of: */
    pali_preview kind;
    bool is_chat;         /* only answers with objects are drawn; one after the other into the same file */
} drawing;

/*
 * Reads the options: names and folders are checked, --mask-dir is made, the
 * terminal is asked. Returns 0, or the exit code after saying what is wrong.
 */
int drawing_prepare(const settings *given, const command *of, const pictures *shown, bool is_chat, drawing *out);

/* Writes what was asked for; what there is none of is a note. Returns the exit code. */
int drawing_write(const settings *given, const drawing *what, const pictures *shown, const pali_answer *answer);

#endif
