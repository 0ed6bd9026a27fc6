/*
 * Texts with holes, filled from a row: "answer en {question}". {name} is the
 * row's field of that name, a text or a whole number; "{{" and "}}" are braces.
 */
#ifndef PL_TRAIN_TEMPLATE_H
#define PL_TRAIN_TEMPLATE_H

#include "base/text.h"

/* PALI_USAGE names `what`, and the place of a brace that has no other. NULL is no template, and right. */
pali_status pl_template_check(const char *text, const char *what, pali_error *err);

/* Appends what stands for a name; *name is not NUL-terminated. */
typedef pali_status pl_template_fill_fn(void *context, const char *name, size_t length, pl_buffer *out, pali_error *err);

/* Appends a template that was checked, its holes filled. Fails as `fill` does. */
pali_status pl_template_write(const char *text, pl_template_fill_fn *fill, void *context, pl_buffer *out, pali_error *err);

#endif
