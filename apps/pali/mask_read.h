/* What the mask command reads from its options: sizes, boxes, masks in their several forms. */
#ifndef PALI_APP_MASK_READ_H
#define PALI_APP_MASK_READ_H

#include "command.h"

#include <pali/pali.h>

/* The width and height that --size or --image tell; 0 and 0 where neither is given. Returns 0, or the exit code after saying what is wrong, as all here do. */
int mask_read_size(const settings *given, const command *of, size_t *width, size_t *height);

/* "y1,x1,y2,x2" in pixels. */
int mask_read_box(const char *text, const command *of, pali_box *box);

/* The one mask that the options and operands from `first` on name: a picture, --polygon or --rle. */
int mask_read(const settings *given, const command *of, size_t first, pali_mask **mask);

#endif
