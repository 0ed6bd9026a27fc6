/*
 * Boxes in answers: location tokens to boxes with labels, and back.
 *
 * A box is four tokens <loc0000>..<loc1023>, y1 x1 y2 x2, each bin/1023 of the
 * picture's side; sixteen <seg000>..<seg127> may follow, then a label up to
 * the next ";" (big_vision pp/proj/paligemma/segmentation.py).
 */
#ifndef PL_ANSWER_LOCATION_H
#define PL_ANSWER_LOCATION_H

#include <pali/pali.h>

#include "base/memory.h"

enum { PL_LOCATION_BINS = 1024, PL_SEGMENT_CODES = 128, PL_SEGMENT_TOKENS = PALI_MASK_TOKENS };

typedef enum pl_piece_kind {
    PL_PIECE_TEXT,     /* ordinary text */
    PL_PIECE_LOCATION, /* value is the bin, 0..1023 */
    PL_PIECE_SEGMENT,  /* value is the code, 0..127 */
} pl_piece_kind;

/* One token of an answer, or a run of text, as the grammar sees it. */
typedef struct pl_piece {
    pl_piece_kind kind;
    int value;        /* of a location or segment */
    const char *text; /* [length] bytes, borrowed; read of text only */
    size_t length;
} pl_piece;

typedef struct pl_location {
    int bins[4]; /* y1 x1 y2 x2 */
    pali_box box;  /* bins/1023 */
    bool valid;  /* y2 > y1 and x2 > x1 */
    bool has_segment;  /* sixteen segments followed */
    size_t segments;   /* how many did */
    uint8_t segment[PL_SEGMENT_TOKENS];
    char *label;         /* white space around it cut off; "" when there is none */
    size_t first, count; /* pieces it was made of: locations, segments, label */
} pl_location;

typedef struct pl_location_list {
    pl_location *items; /* [count], owned, with their labels */
    size_t count, capacity;
    size_t dropped;     /* runs of locations or of segments that are part of no group */
} pl_location_list;

/*
 * Cuts an answer's text into pieces: "<loc0123>" and "<seg012>" each one, the
 * text between them one. *pieces is new, released with free; it borrows text.
 */
pali_status pl_pieces_of_text(const char *text, size_t length, pl_piece **pieces, size_t *count, pali_error *err);

/*
 * The piece of one token: by its id where the id lies in the location or the
 * segment range (which begin at the given ids), else as `text`.
 */
pl_piece pl_piece_of_token(int32_t id, int32_t first_location, int32_t first_segment, const char *text, size_t length);

/*
 * Finds every four consecutive locations, in order; an incomplete group is
 * dropped, and segments that are not sixteen are passed over. Boxes without
 * area stay in the list, not valid. Zero-initialise the list; release with
 * pl_location_list_free, also after a failure.
 */
pali_status pl_locations_parse(const pl_piece *pieces, size_t count, pl_location_list *list, pali_error *err);

/* The same from text. */
pali_status pl_locations_of_text(const char *text, pl_location_list *list, pali_error *err);
void pl_location_list_free(pl_location_list *list);

/* The bin of a coordinate in [0, 1]: round half to even, clipped; not a number gives 0. */
int pl_location_bin(float coordinate);

/* "<locy1><locx1><locy2><locx2>" of a box, NUL-terminated. */
void pl_location_text(pali_box box, char text[37]);

/* Area of the common part over area of the union; 0 when either has no area. */
double pl_box_iou(pali_box a, pali_box b);

/* The same of two locations, from their bins: exact, so that 1/2 is 1/2. */
double pl_location_iou(const pl_location *a, const pl_location *b);

#endif
