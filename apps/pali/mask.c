/* pali mask: masks to the tokens that models are taught and say, and back. */
#include "mask_read.h"
#include "options.h"
#include "say.h"
#include "use.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --codec, else that of the model. */
static int open_codec(const settings *given, pali_codec **codec)
{
    pali_error err = {0};
    *codec = pali_codec_open(given->codec ? given->codec : model_name(given), &err);
    if (*codec && !given->codec)
        model_note(given); /* tokens of one codec mean nothing to another */
    return *codec ? 0 : fail_error(&err);
}

static json_t *box_json(pali_box box)
{
    return json_pack("{s:f, s:f, s:f, s:f}", "y1", box.y1, "x1", box.x1, "y2", box.y2, "x2", box.x2);
}

/* ---- encode ---------------------------------------------------------- */

static int print_tokens(const settings *given, const pali_mask *mask, const pali_mask_tokens *tokens)
{
    char text[PALI_MASK_TEXT_SIZE];
    pali_mask_tokens_text(tokens, text);
    if (!given->json) {
        puts(text);
        return finish_output(0);
    }
    json_t *const bins = json_array(), *const codes = json_array();
    for (size_t i = 0; i < 4; i++)
        json_array_append_new(bins, json_integer(tokens->bins[i]));
    for (size_t i = 0; i < PALI_MASK_TOKENS; i++)
        json_array_append_new(codes, json_integer(tokens->codes[i]));
    return finish_output(print_json(json_pack("{s:s, s:o, s:o, s:I, s:I, s:I}", "text", text, "bins", bins, "codes", codes, "width", (json_int_t)pali_mask_width(mask), "height",
                                              (json_int_t)pali_mask_height(mask), "area", (json_int_t)pali_mask_area(mask))));
}

static int encode(const settings *given)
{
    pali_mask *mask = NULL;
    pali_codec *codec = NULL;
    pali_mask_tokens tokens;
    pali_box box;
    pali_error err = {0};
    int code = given->box ? mask_read_box(given->box, &mask_command, &box) : 0;
    if (!code && (given->out || given->way || given->outline))
        code = fail_usage(&mask_command, "--out, --way and --polygons go with decode");
    if (!code)
        code = mask_read(given, &mask_command, 1, &mask);
    if (!code)
        code = open_codec(given, &codec);
    if (!code && pali_codec_encode(codec, mask, given->box ? &box : NULL, &tokens, &err) != PALI_OK)
        code = fail_error(&err);
    if (!code)
        code = print_tokens(given, mask, &tokens);
    pali_codec_free(codec);
    pali_mask_free(mask);
    return code;
}

/* ---- decode ---------------------------------------------------------- */

/* {"size": [height, width], "counts": text}, or NULL after saying what is wrong. */
static json_t *rle_json(const pali_mask *mask, int *code)
{
    pali_error err = {0};
    char *const counts = pali_mask_rle(mask, &err);
    if (!counts) {
        *code = fail_error(&err);
        return NULL;
    }
    json_t *const object = json_pack("{s:[I, I], s:s}", "size", (json_int_t)pali_mask_height(mask), (json_int_t)pali_mask_width(mask), "counts", counts);
    pali_free(counts);
    return object;
}

/* Each polygon on a line, as --polygon takes it; or as COCO's "segmentation" into *list. */
static int tell_polygons(const pali_mask *mask, json_t *list)
{
    pali_error err = {0};
    pali_polygon *polygons;
    size_t count;
    if (pali_mask_polygons(mask, &polygons, &count, &err) != PALI_OK)
        return fail_error(&err);
    for (size_t i = 0; i < count; i++) {
        json_t *const xy = list ? json_array() : NULL;
        for (size_t j = 0; j < polygons[i].count; j++) {
            const double x = polygons[i].xy[2 * j], y = polygons[i].xy[2 * j + 1];
            if (!list) {
                printf("%s%g,%g", j ? " " : "", x, y);
                continue;
            }
            json_array_append_new(xy, json_integer((json_int_t)x));
            json_array_append_new(xy, json_integer((json_int_t)y));
        }
        if (list)
            json_array_append_new(list, xy);
        else
            putchar('\n');
    }
    pali_free(polygons);
    return 0;
}

static int print_mask(const settings *given, const pali_mask *mask)
{
    int code = 0;
    if (!given->json) {
        json_t *const rle = given->out || given->outline ? NULL : rle_json(mask, &code);
        if (rle)
            code = print_json(rle);
        if (given->outline)
            code = tell_polygons(mask, NULL);
        return finish_output(code);
    }
    json_t *const rle = rle_json(mask, &code), *const list = given->outline ? json_array() : NULL;
    if (!code && list)
        code = tell_polygons(mask, list);
    json_t *const object = json_object();
    json_object_set_new(object, "mask", rle);
    json_object_set_new(object, "area", json_integer((json_int_t)pali_mask_area(mask)));
    json_object_set_new(object, "box", box_json(pali_mask_box(mask)));
    if (list)
        json_object_set_new(object, "polygons", list);
    if (!code)
        return finish_output(print_json(object));
    json_decref(object);
    return code;
}

static int decode(const settings *given)
{
    size_t width, height;
    pali_mask_tokens tokens;
    pali_codec *codec = NULL;
    pali_mask *mask = NULL;
    pali_error err = {0};
    if (given->operands.count != 2)
        return fail_usage(&mask_command, "one text of tokens is decoded at a time; found %zu", given->operands.count - 1);
    if (given->polygon.count || given->rle || given->box)
        return fail_usage(&mask_command, "--polygon, --rle and --box go with encode");
    const char *const format = given->out ? pali_image_format(given->out, NULL) : "png";
    if (!format || strcmp(format, "png") != 0)
        return fail_usage(&mask_command, "--out: found '%s', expected a name that ends in .png", given->out);
    int code = mask_read_size(given, &mask_command, &width, &height);
    if (!code && width == 0)
        code = fail_usage(&mask_command, "the size of the picture is missing; --size WIDTHxHEIGHT or --image PICTURE tells it");
    if (!code && pali_mask_tokens_parse(given->operands.items[1], &tokens, &err) != PALI_OK)
        code = fail_error(&err);
    if (!code)
        code = open_codec(given, &codec);
    const pali_paste paste = given->way && strcmp(given->way, "demo") == 0 ? PALI_PASTE_DEMO : PALI_PASTE_EVALUATOR;
    if (!code && !(mask = pali_codec_decode(codec, &tokens, width, height, paste, &err)))
        code = fail_error(&err);
    if (!code && given->out && pali_mask_save(mask, given->out, &err) != PALI_OK)
        code = fail_error(&err);
    if (!code)
        code = print_mask(given, mask);
    pali_mask_free(mask);
    pali_codec_free(codec);
    return code;
}

static int mask(const settings *given)
{
    const char *const way = given->operands.count ? given->operands.items[0] : NULL;
    if (way && strcmp(way, "encode") == 0)
        return encode(given);
    if (way && strcmp(way, "decode") == 0)
        return decode(given);
    return way ? fail_usage(&mask_command, "found '%s', expected encode or decode", way) : fail_usage(&mask_command, "what to do is missing: encode or decode");
}

static const option own_options[] = {
    {"polygon", 0, OPTION_LIST, offsetof(settings, polygon), "\"X,Y X,Y...\"", 0, 0, "encode: corners in pixels; again for more parts"},
    {"rle", 0, OPTION_TEXT, offsetof(settings, rle), "JSON", 0, 0, "encode: COCO's run lengths, as text or in a file"},
    {"box", 0, OPTION_TEXT, offsetof(settings, box), "Y1,X1,Y2,X2", 0, 0, "encode: the object's box in pixels (the mask's)"},
    {"size", 0, OPTION_TEXT, offsetof(settings, size), "WxH", 0, 0, "size of the picture that the mask belongs to"},
    {"image", 0, OPTION_TEXT, offsetof(settings, image), "PICTURE", 0, 0, "the picture itself, for its size"},
    {"out", 'o', OPTION_TEXT, offsetof(settings, out), "FILE.png", 0, 0, "decode: write the mask as a picture"},
    {"way", 0, OPTION_CHOICE, offsetof(settings, way), "evaluator|demo", 0, 0, "decode: how the mask gets into its box"},
    {"polygons", 0, OPTION_FLAG, offsetof(settings, outline), NULL, 0, 0, "decode: tell outlines in place of run lengths"},
    {"model", 'm', OPTION_TEXT, offsetof(settings, model), "MODEL", 0, 0, "the model whose codec is used"},
    {"codec", 0, OPTION_TEXT, offsetof(settings, codec), "FILE", 0, 0, "a codec by itself: vae-oid.npz"},
    {"json", 0, OPTION_FLAG, offsetof(settings, json), NULL, 0, 0, "one JSON object"},
    {"quiet", 'q', OPTION_FLAG, offsetof(settings, quiet), NULL, 0, 0, "nothing but errors on standard error"},
    {0},
};

const command mask_command = {
    .name = "mask",
    .operands = "encode MASK|decode TOKENS",
    .summary = "masks as the tokens that models say, and back",
    .about = "encode turns a mask into four locations and sixteen segments, as models are taught\n"
             "them; decode turns such an answer into a mask of its picture's size, as COCO's run\n"
             "lengths, outlines or a picture. The codec is the model's own (vae-oid.npz).",
    .examples = "  pali mask encode cat.png\n"
                "  pali mask encode --polygon \"10,10 90,20 50,80\" --size 100x100\n"
                "  pali mask decode \"$(pali run cat.jpg 'segment cat')\" --image cat.jpg -o cat.png\n",
    .options = (const option *const[]){own_options, common_options, NULL},
    .run = mask,
};
