/*
 * What an answer says is there, as data: from token ids to pali_object. The
 * grammar is location.h's; this adds the tokenizer, pixels, and what is wrong
 * with a malformed object.
 */
#ifndef PL_ANSWER_OBJECTS_H
#define PL_ANSWER_OBJECTS_H

#include "answer/location.h"
#include "text/tokenizer.h"

/* An answer's tokens, and what must be known to make objects of them. */
typedef struct pl_object_source {
    const pl_tokenizer *tokenizer;
    const int32_t *start, *tokens; /* [start_count] given to the model as the answer's beginning; [token_count] made by it */
    size_t start_count, token_count;
    bool cut_off;                  /* the answer ended before the model ended it */
    size_t width, height;          /* of the picture; 0: pixels stay 0 */
} pl_object_source;

typedef struct pl_objects {
    pali_object *items; /* [count], owned, with their labels */
    size_t count, capacity;
    size_t dropped;     /* as in pl_location_list */
} pl_objects;

/* Zero-initialise; release with pl_objects_free, also after a failure. Masks and confidences are left NULL and NAN. */
pali_status pl_objects_parse(const pl_object_source *source, pl_objects *objects, pali_error *err);
void pl_objects_free(pl_objects *objects);

/* Releases what one object owns. */
void pl_object_clear(pali_object *object);

#endif
