/*
 * Pictures on terminals: bytes that show as a picture when they are written to
 * a terminal that knows one of three protocols.
 *
 * kitty: a PNG as base64 in APC sequences (sw.kovidgoyal.net/kitty/graphics-protocol).
 * iTerm2: a file as base64 in OSC 1337 (iterm2.com/documentation-images.html).
 * sixel: six rows at a time in up to 256 colours (DEC VT340; ECMA-48 DCS).
 */
#ifndef PL_IMAGE_PREVIEW_H
#define PL_IMAGE_PREVIEW_H

#include "base/text.h"
#include "image/image.h"

/* The picture's PNG in kitty's or iTerm2's wrapping, appended to *out. */
pali_status pl_preview_kitty(const pl_image *image, pl_buffer *out, pali_error *err);
pali_status pl_preview_iterm2(const pl_image *image, pl_buffer *out, pali_error *err);

/* The picture in sixels, its colours chosen by median cut. */
pali_status pl_preview_sixel(const pl_image *image, pl_buffer *out, pali_error *err);

/* Base64 of RFC 4648 with padding, appended. */
pali_status pl_base64_append(pl_buffer *out, const unsigned char *bytes, size_t size, pali_error *err);

/*
 * A smaller copy that fits into most_width x most_height (0: no limit) and
 * keeps its shape; a picture that fits already is copied. The caller frees it.
 */
pali_status pl_image_fit(const pl_image *image, size_t most_width, size_t most_height, pl_image *out, pali_error *err);

#endif
