/* Between masks and tokens: boxes and bins, the text of tokens, and the codec's two ways. */
#include "answer/mask_tokens.h"

#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAP = PL_CODEC_SIDE * PL_CODEC_SIDE, LOCATIONS = 4, HALF = 128 };

/* ---- Text ------------------------------------------------------------ */

static int limited(int value, int limit)
{
    return value < 0 ? 0 : value < limit ? value : limit - 1;
}

void pl_mask_tokens_text(const pali_mask_tokens *tokens, char text[PALI_MASK_TEXT_SIZE])
{
    char *at = text;
    for (size_t i = 0; i < LOCATIONS; i++)
        at += snprintf(at, 10, "<loc%04u>", (unsigned)limited(tokens->bins[i], PL_LOCATION_BINS) % 10000);
    for (size_t i = 0; i < PALI_MASK_TOKENS; i++)
        at += snprintf(at, 9, "<seg%03u>", (unsigned)limited(tokens->codes[i], PL_SEGMENT_CODES) % 1000);
}

/* What stands at a place where something else is expected: a token, or text up to the end of a tag. */
static const char *shown_piece(const pl_piece *piece, char buf[80])
{
    if (piece->kind == PL_PIECE_TEXT) {
        const char *end = piece->length ? memchr(piece->text, '>', piece->length) : NULL;
        return pl_printable(piece->text, end ? (size_t)(end - piece->text) + 1 : piece->length, buf);
    }
    snprintf(buf, 80, piece->kind == PL_PIECE_LOCATION ? "<loc%04d>" : "<seg%03d>", piece->value);
    return buf;
}

static bool is_blank(const pl_piece *piece)
{
    return piece->kind == PL_PIECE_TEXT && strspn(piece->text, " \t\r\n") >= piece->length;
}

static pali_status read_pieces(const pl_piece *pieces, size_t count, pali_mask_tokens *tokens, pali_error *err)
{
    char found[80];
    size_t at = 0;
    for (size_t i = 0; i < LOCATIONS + PALI_MASK_TOKENS; i++, at++) {
        const bool location = i < LOCATIONS;
        if ((i == 0 || i == LOCATIONS) && at < count && is_blank(&pieces[at]))
            at++;
        if (at == count)
            return pl_fail(err, PALI_INPUT, "mask tokens: found the end after %zu tokens, expected %d locations and %d segments", i, LOCATIONS, PALI_MASK_TOKENS);
        if (pieces[at].kind != (location ? PL_PIECE_LOCATION : PL_PIECE_SEGMENT))
            return pl_fail(err, PALI_INPUT, "mask tokens: found %s as token %zu, expected %s", shown_piece(&pieces[at], found), i + 1,
                           location ? "a location <loc0000> to <loc1023>" : "a segment <seg000> to <seg127>");
        if (location)
            tokens->bins[i] = pieces[at].value;
        else
            tokens->codes[i - LOCATIONS] = (uint8_t)pieces[at].value;
    }
    for (; at < count; at++) /* a label may follow */
        if (pieces[at].kind != PL_PIECE_TEXT)
            return pl_fail(err, PALI_INPUT, "mask tokens: found %s after the %d tokens of a mask, expected one mask", shown_piece(&pieces[at], found), LOCATIONS + PALI_MASK_TOKENS);
    return PALI_OK;
}

pali_status pl_mask_tokens_parse(const char *text, pali_mask_tokens *tokens, pali_error *err)
{
    pl_piece *pieces = NULL;
    size_t count = 0;
    *tokens = (pali_mask_tokens){0};
    pali_status status = pl_pieces_of_text(text, strlen(text), &pieces, &count, err);
    if (status == PALI_OK)
        status = read_pieces(pieces, count, tokens, err);
    free(pieces);
    return status;
}

/* ---- Mask to tokens -------------------------------------------------- */

/* A side of a box in whole pixels and as a bin, in float and rounded half to even as TensorFlow does. */
static size_t place_side(double pixels, size_t size, int *bin)
{
    const float coordinate = (float)(pixels / (double)size);
    *bin = pl_location_bin(coordinate);
    return pl_min((size_t)rintf(coordinate * (float)size), size);
}

static pali_status check_box(const pl_mask *mask, const pali_box *box, pali_error *err)
{
    if (!(box->y1 >= 0 && box->x1 >= 0 && box->y2 <= (double)mask->height && box->x2 <= (double)mask->width))
        return pl_fail(err, PALI_INPUT, "box: found %g, %g, %g, %g (y1, x1, y2, x2), expected one within the mask's %zu x %zu pixels (height x width)", box->y1, box->x1, box->y2, box->x2,
                       mask->height, mask->width);
    if (!(box->y2 > box->y1 && box->x2 > box->x1))
        return pl_fail(err, PALI_INPUT, "box: found %g, %g, %g, %g (y1, x1, y2, x2), expected y2 > y1 and x2 > x1", box->y1, box->x1, box->y2, box->x2);
    return PALI_OK;
}

static bool has_pixel(const pl_mask *mask, pl_region part)
{
    for (size_t y = part.y1; y < part.y2; y++)
        if (memchr(mask->bits + y * mask->width + part.x1, 1, part.x2 - part.x1))
            return true;
    return false;
}

pali_status pl_mask_part(const pl_mask *mask, const pali_box *box, int bins[4], pl_region *part, pali_error *err)
{
    const pali_box own = box ? *box : pl_mask_box(mask);
    if (!box && own.y2 <= own.y1)
        return pl_fail(err, PALI_INPUT, "mask: found no pixel that is in, expected at least one");
    pali_status status = check_box(mask, &own, err);
    if (status != PALI_OK)
        return status;
    part->y1 = place_side(own.y1, mask->height, &bins[0]);
    part->x1 = place_side(own.x1, mask->width, &bins[1]);
    part->y2 = place_side(own.y2, mask->height, &bins[2]);
    part->x2 = place_side(own.x2, mask->width, &bins[3]);
    if (pl_region_is_empty(*part))
        return pl_fail(err, PALI_INPUT, "box: found %g, %g, %g, %g (y1, x1, y2, x2), expected at least one pixel after rounding", own.y1, own.x1, own.y2, own.x2);
    if (!has_pixel(mask, *part))
        return pl_fail(err, PALI_INPUT, "mask: found no pixel that is in within the box, expected at least one");
    return PALI_OK;
}

pali_status pl_codec_encode_mask(const pl_codec *codec, const pl_hands *hands, const pl_mask *mask, const pali_box *box, pali_mask_tokens *tokens, pali_error *err)
{
    pl_region part;
    float map[MAP];
    *tokens = (pali_mask_tokens){0};
    pali_status status = pl_mask_part(mask, box, tokens->bins, &part, err);
    if (status == PALI_OK)
        status = pl_mask_crop(mask, part, map, err);
    return status == PALI_OK ? pl_codec_encode_map(codec, hands, map, tokens->codes, err) : status;
}

/* ---- Tokens to mask -------------------------------------------------- */

static pali_status check_tokens(const pali_mask_tokens *tokens, pali_error *err)
{
    for (size_t i = 0; i < LOCATIONS; i++)
        if (tokens->bins[i] < 0 || tokens->bins[i] >= PL_LOCATION_BINS)
            return pl_fail(err, PALI_INPUT, "mask tokens: found %d as location %zu, expected 0 to %d", tokens->bins[i], i + 1, PL_LOCATION_BINS - 1);
    return PALI_OK;
}

pali_status pl_codec_decode_soft(const pl_codec *codec, const pl_hands *hands, const pali_mask_tokens *tokens, size_t width, size_t height, uint8_t *soft, pali_error *err)
{
    float map[MAP];
    pali_status status = check_tokens(tokens, err);
    if (status == PALI_OK)
        status = pl_image_check(width, height, "mask", err);
    if (status == PALI_OK)
        status = pl_codec_decode_map(codec, hands, tokens->codes, map, err);
    if (status != PALI_OK)
        return status;
    memset(soft, 0, width * height);
    return pl_mask_paste_soft(map, pl_region_of_bins(tokens->bins, width, height, PALI_PASTE_DEMO), hands, width, soft, err);
}

pali_status pl_codec_decode_mask(const pl_codec *codec, const pl_hands *hands, const pali_mask_tokens *tokens, size_t width, size_t height, pali_paste paste, pl_mask *mask, pali_error *err)
{
    float map[MAP];
    pali_status status = pl_mask_new(width, height, "mask", mask, err);
    if (status == PALI_OK && paste == PALI_PASTE_DEMO) {
        status = pl_codec_decode_soft(codec, hands, tokens, width, height, mask->bits, err);
        for (size_t i = 0; status == PALI_OK && i < width * height; i++)
            mask->bits[i] = mask->bits[i] >= HALF; /* soft / 255 >= 1/2 */
    } else if (status == PALI_OK) {
        status = check_tokens(tokens, err);
        if (status == PALI_OK)
            status = pl_codec_decode_map(codec, hands, tokens->codes, map, err);
        if (status == PALI_OK)
            status = pl_mask_paste(map, pl_region_of_bins(tokens->bins, width, height, paste), PL_PASS_HORIZONTAL_FIRST, mask, err);
    }
    if (status != PALI_OK)
        pl_mask_free(mask);
    return status;
}
