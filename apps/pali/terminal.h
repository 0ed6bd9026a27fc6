/* What a terminal can show. */
#ifndef PALI_APP_TERMINAL_H
#define PALI_APP_TERMINAL_H

#include <pali/pali.h>

/*
 * The kind of pictures that the terminal of standard output takes: by the
 * variables that terminals set, or by asking it. False when it is no terminal,
 * or takes none that is known.
 */
bool terminal_finds_preview(pali_preview *kind);

/* What the environment says: kitty, iTerm2 and those that do as they do. Not inside tmux or screen, which pass nothing on. */
bool terminal_names_preview(pali_preview *kind);

/*
 * Asks the terminal `fd` for its attributes (DA1, "ESC [ c") and waits for
 * its answer for at most timeout_ms; true when sixels (4) are among them.
 * False as well for a process in the background, which must not ask.
 */
bool terminal_asks_sixel(int fd, int timeout_ms);

/* True when `reply` holds an answer to DA1, "ESC [ ? 62 ; 4 c", that lists 4. */
bool terminal_reads_sixel(const char *reply);

/* Pixels that the terminal `fd` has room for above a prompt; a guess where it does not say. */
void terminal_size(int fd, size_t *width, size_t *height);

#endif
