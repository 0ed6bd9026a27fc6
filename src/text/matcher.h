/*
 * The pieces that are cut out of a text before merging, as a tree of bytes:
 * the longest one at a place is found by one walk.
 */
#ifndef PL_TEXT_MATCHER_H
#define PL_TEXT_MATCHER_H

#include "formats/vocabulary.h"

typedef struct pl_matcher_node {
    uint32_t child, sibling; /* 0: none */
    int32_t id;              /* piece that ends here, -1: none */
    unsigned char byte;
    bool control; /* that piece is matched only where control pieces are */
} pl_matcher_node;

typedef struct pl_matcher {
    pl_matcher_node *nodes; /* [count] owned; node 0 is unused */
    size_t count, capacity;
    uint32_t roots[256]; /* by first byte; 0: none */
} pl_matcher;

/* The user-defined and control pieces of a vocabulary; a space in one matches U+2581. */
pali_status pl_matcher_init(pl_matcher *matcher, const pl_vocabulary *v, pali_error *err);
void pl_matcher_free(pl_matcher *matcher);

/* The longest piece that text[0..length) starts with: its id and *size; -1 when none does. */
int32_t pl_matcher_find(const pl_matcher *matcher, const char *text, size_t length, bool control, size_t *size);

#endif
