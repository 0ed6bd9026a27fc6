/* Every allocation between pictures of masks, their forms, and tokens fails once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include <pali/pali.h>

#include "exhaust.h"

static pali_status forms(const void *context, pali_error *err)
{
    (void)context;
    pali_polygon *polygons = NULL;
    size_t count = 0;
    pali_mask *again = NULL;
    char *text = NULL;
    pali_mask *mask = pali_mask_open("tests/data/mask/png_rgba.png", err);
    pali_status status = mask ? pali_mask_polygons(mask, &polygons, &count, err) : err->status;
    if (status == PALI_OK)
        status = (again = pali_mask_from_polygons(polygons, count, 37, 23, err)) ? PALI_OK : err->status;
    if (status == PALI_OK)
        status = (text = pali_mask_rle(again, err)) ? PALI_OK : err->status;
    pali_mask_free(again);
    again = status == PALI_OK ? pali_mask_from_rle(text, 37, 23, err) : NULL;
    if (status == PALI_OK)
        status = again ? PALI_OK : err->status;
    if (status == PALI_OK)
        assert_true(pali_mask_iou(mask, again) == 1);
    pali_free(text);
    pali_free(polygons);
    pali_mask_free(again);
    pali_mask_free(mask);
    return status;
}

static pali_status tokens(const void *context, pali_error *err)
{
    (void)context;
    static const uint8_t bits[12] = {0, 1, 1, 0, 1, 1, 1, 1, 0, 1, 0, 0};
    pali_mask_tokens found;
    pali_mask *mask = pali_mask_from_bytes(bits, 4, 3, err), *back[2] = {NULL, NULL};
    pali_codec *codec = mask ? pali_codec_open("models/nano/vae-oid.npz", err) : NULL;
    pali_status status = codec ? pali_codec_encode(codec, mask, NULL, &found, err) : err->status;
    char text[PALI_MASK_TEXT_SIZE];
    if (status == PALI_OK) {
        pali_mask_tokens_text(&found, text);
        status = pali_mask_tokens_parse(text, &found, err);
    }
    for (int paste = 0; paste < 2 && status == PALI_OK; paste++) {
        back[paste] = pali_codec_decode(codec, &found, 40, 30, (pali_paste)paste, err);
        status = back[paste] ? PALI_OK : err->status;
    }
    pali_mask_free(back[0]);
    pali_mask_free(back[1]);
    pali_codec_free(codec);
    pali_mask_free(mask);
    return status;
}

static void masks(void **state)
{
    (void)state;
    exhaust("forms", forms, NULL, PALI_OK);
    exhaust("tokens", tokens, NULL, PALI_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(masks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
