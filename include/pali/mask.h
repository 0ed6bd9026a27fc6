/*
 * pali/mask.h: masks as data, and the codec that turns a mask into tokens and
 * tokens into a mask. Comes with pali/pali.h. Public, not yet frozen.
 *
 *     pali_codec *codec = pali_codec_open("nano", &err);
 *     pali_mask *mask = pali_mask_open("cat.png", &err);
 *     pali_mask_tokens tokens;
 *     pali_codec_encode(codec, mask, NULL, &tokens, &err);
 *     pali_mask *back = pali_codec_decode(codec, &tokens, 640, 480, PALI_PASTE_EVALUATOR, &err);
 *     printf("%.3f\n", pali_mask_iou(mask, back));
 *
 * A mask has the size of its picture; each of its pixels is in or out. A box
 * in pixels ends before y2 and x2: a whole picture is 0, 0, height, width.
 */
#ifndef PALI_MASK_H
#define PALI_MASK_H

#include <pali/pali.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* ---- Masks ----------------------------------------------------------- */

/*
 * A pali_mask (pali.h names it) never changes after it was made. Whatever
 * returns one returns a new one, freed with pali_mask_free.
 */

/*
 * Reads a picture of a mask; "-" is standard input. In a PNG a pixel is in
 * when a colour sample of it (grey of any depth, palette index, R, G or B) is
 * not 0, and its alpha, where it has one, is not either. In a JPEG, WebP or
 * GIF, when R, G or B is 128 or more, as lossy formats blur the edge.
 */
pali_mask *pali_mask_open(const char *path, pali_error *err);

/* The same from `size` bytes in memory, which are not kept; `name` (or NULL) stands in messages. */
pali_mask *pali_mask_decode(const void *bytes, size_t size, const char *name, pali_error *err);

/* A copy of `bytes`, [height, width]: in where a byte is not 0. */
pali_mask *pali_mask_from_bytes(const uint8_t *bytes, size_t width, size_t height, pali_error *err);

/* The corners of a polygon in pixels, x and y in turn; it is closed from the last to the first. */
typedef struct pali_polygon {
    const double *xy; /* [count, 2] */
    size_t count;     /* corners, at least 3 */
} pali_polygon;

/* All pixels that are in one of the polygons, pixel for pixel as COCO's own tools (frPyObjects, merge) fill them. */
pali_mask *pali_mask_from_polygons(const pali_polygon *polygons, size_t count, size_t width, size_t height, pali_error *err);

/*
 * COCO's run lengths: down the columns, pixels out and in by turns, beginning
 * with out. Compressed to text ("counts" as COCO's results have it), or as
 * numbers. Runs must add up to the size.
 */
pali_mask *pali_mask_from_rle(const char *counts, size_t width, size_t height, pali_error *err);
pali_mask *pali_mask_from_counts(const uint32_t *counts, size_t count, size_t width, size_t height, pali_error *err);

size_t pali_mask_width(const pali_mask *mask);
size_t pali_mask_height(const pali_mask *mask);
const uint8_t *pali_mask_bytes(const pali_mask *mask); /* [height, width], 0 or 1, owned by the mask */

/* The same run lengths, byte for byte as pycocotools encodes them: text, or numbers; new, freed with pali_free. */
char *pali_mask_rle(const pali_mask *mask, pali_error *err);
pali_status pali_mask_counts(const pali_mask *mask, uint32_t **counts, size_t *count, pali_error *err);

/*
 * Outlines along the edges of pixels, one polygon for each region of pixels
 * that touch by a side, the corners clockwise; a hole is joined to the outline
 * of its region by a line there and back. Filled again they give the same
 * mask. *polygons is one new block, freed with pali_free; NULL where the mask
 * is empty.
 */
pali_status pali_mask_polygons(const pali_mask *mask, pali_polygon **polygons, size_t *count, pali_error *err);

/* Writes a grey PNG, 255 where the mask is in, else 0; whole or not at all. */
pali_status pali_mask_save(const pali_mask *mask, const char *path, pali_error *err);

/* Pixels that are in. */
uint64_t pali_mask_area(const pali_mask *mask);

/* The smallest box around them, in pixels; zeros for an empty mask. */
pali_box pali_mask_box(const pali_mask *mask);

/* Pixels in both over pixels in either; 0 when both are empty or the sizes differ. */
double pali_mask_iou(const pali_mask *a, const pali_mask *b);

void pali_mask_free(pali_mask *mask);

/* ---- Tokens ---------------------------------------------------------- */

/* An object's mask as a model says it: <loc>, four times, then <seg>, sixteen times. */
typedef struct pali_mask_tokens {
    int bins[4];                     /* y1 x1 y2 x2 of the box, 0..1023, bin/1023 of the picture's side */
    uint8_t codes[PALI_MASK_TOKENS]; /* 0..127, row by row of a grid of 4 x 4 over the box */
} pali_mask_tokens;

enum { PALI_MASK_TEXT_SIZE = 4 * 9 + PALI_MASK_TOKENS * 8 + 1 };

/* "<loc0012>...<seg005>...", NUL-terminated. Values out of range are limited to it. */
void pali_mask_tokens_text(const pali_mask_tokens *tokens, char text[PALI_MASK_TEXT_SIZE]);

/* Reads such a text: four locations, sixteen segments, then a label or nothing. PALI_INPUT names the token that is wrong. */
pali_status pali_mask_tokens_parse(const char *text, pali_mask_tokens *tokens, pali_error *err);

/* ---- Codec ----------------------------------------------------------- */

/*
 * The network between masks and codes, `vae-oid.npz` as it is released, or one
 * of the same make. It never changes after opening and is shared by threads.
 */
typedef struct pali_codec pali_codec;

/*
 * Opens a codec: a file (.npz, or .safetensors or .gguf with the same names of
 * arrays), or a model by folder, file or name as for pali_model_open: then its
 * own, vae-oid.npz beside the weights or arrays within its GGUF. PALI_MODEL
 * names the array that is missing or has another shape. Free with
 * pali_codec_free.
 */
pali_codec *pali_codec_open(const char *name, pali_error *err);
void pali_codec_free(pali_codec *codec);

/*
 * The tokens of the part of a mask that lies in `box` (in pixels, fractions
 * allowed; NULL: the mask's own), as training data was made: cropped at
 * rounded sides, resized to 64 x 64 as TensorFlow does, encoded.
 * PALI_INPUT for an empty mask, and a box that is not within the picture.
 */
pali_status pali_codec_encode(const pali_codec *codec, const pali_mask *mask, const pali_box *box, pali_mask_tokens *tokens, pali_error *err);

/*
 * How a decoded mask gets into its box. The evaluator's is what published
 * scores are made of: box at bin/1023, cut to whole pixels, bilinear, above 0.
 * The demo's is the one of Google's demo: box at bin/1024, rounded, 8 bits,
 * bicubic, one half and above.
 */
typedef enum pali_paste { PALI_PASTE_EVALUATOR, PALI_PASTE_DEMO } pali_paste;

/*
 * The mask that tokens stand for in a picture of width x height; empty where the
 * box has no pixel (y2 > y1 and x2 > x1 are needed). Free with pali_mask_free.
 */
pali_mask *pali_codec_decode(const pali_codec *codec, const pali_mask_tokens *tokens, size_t width, size_t height, pali_paste paste, pali_error *err);

/* The soft mask that the demo shows, before it is cut at one half: soft [height, width] 0..255, the caller's. */
pali_status pali_codec_decode_soft(const pali_codec *codec, const pali_mask_tokens *tokens, size_t width, size_t height, uint8_t *soft, pali_error *err);

/* What the network itself gives for codes: map [64, 64], about -1 to 1, above 0 being in. */
pali_status pali_codec_map(const pali_codec *codec, const uint8_t codes[PALI_MASK_TOKENS], float *map, pali_error *err);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
