/* school.h - scenes as rows for `pali train`, with what a run would otherwise compute in each step done once.
 *
 * Pictures are written at the size the model sees, by the resize that it is given pictures with. Each has rows in three
 * files: questions.jsonl, a few of its questions, rare tasks more often, with masks as codes; patches.jsonl, what
 * stands at each patch (shape or letter, colour, two sides of its box), which teaches the vision tower; both.jsonl,
 * the questions and, of the patches, one such row and where one of the shapes is. Rows of a picture stand together, so
 * that a step encodes it once. */
#ifndef PALI_TOOLS_NANO_SCHOOL_H
#define PALI_TOOLS_NANO_SCHOOL_H

#include "scenes.h"

enum { SCHOOL_MOST_GRID = 64 };

typedef struct school school;

typedef struct school_options {
    const char *folder; /* that is there */
    const char *codec;  /* that masks are encoded with, as pali_codec_open takes it */
    int side, grid;     /* pixels and patches a side of what the model sees; SCHOOL_MOST_GRID patches at most */
    int questions;      /* rows of questions.jsonl a picture */
} school_options;

/* NULL, and a line on stderr, on failure. */
school *school_open(const school_options *options);

/* A scene with its pixels rgb [height, width, 3] and all its questions. Uses `room`, [height, width]. 0, or -1 and a line on stderr. */
int school_add(school *s, const scene *what, uint64_t index, const uint8_t *rgb, const scene_row *rows, int count,
               uint8_t *room);

/* -1 if something was not written. */
int school_close(school *s);

#endif
