/* Rows as the model sees them: against transformers' processor, templates, objects, pictures, and what is wrong with rows. */
#include "data_support.h"

#include "answer/location.h"
#include "answer/mask_codec.h"
#include "base/file.h"
#include "base/text.h"
#include "train/example.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The example of one row in a file of its own; NULL when it is bad. `source` may be NULL: its path is filled in. */
static pl_example *example_of(const char *row, pl_data_source source, pl_data_options options, pali_error *err)
{
    source.path = data_write("rows.jsonl", row);
    const pl_data_options usual = data_options(&source, 1);
    options.sources = usual.sources;
    options.source_count = 1;
    options.tokenizer = usual.tokenizer;
    options.image_size = usual.image_size;
    options.image_tokens = options.image_tokens ? options.image_tokens : usual.image_tokens;
    options.preprocess = usual.preprocess;
    options.kernels = usual.kernels;
    options.seed = usual.seed;
    pl_dataset *const dataset = data_open(&options);
    pl_example *const example = pl_example_read(dataset, pl_dataset_place(dataset, 0), NULL, true, err);
    pl_dataset_free(dataset);
    return example;
}

static pl_example *good(const char *row, pl_data_source source, pl_data_options options)
{
    pali_error err = {0};
    pl_example *const example = example_of(row, source, options, &err);
    if (!example)
        fail_msg("%s: %s", row, err.message);
    return example;
}

static void check_texts(const char *row, pl_data_source source, const char *prefix, const char *suffix)
{
    pl_example *const example = good(row, source, (pl_data_options){.pictures = PL_PICTURES_OPTIONAL});
    assert_string_equal(example->prefix, prefix);
    assert_string_equal(example->suffix, suffix);
    pl_example_free(example);
}

/* ---- Ids --------------------------------------------------------------- */

static void ids_are_those_of_the_processor(void **state)
{
    (void)state;
    json_t *const goldens = json_load_file("tests/train/golden_examples.json", 0, NULL);
    assert_true(json_array_size(goldens) >= 8);
    size_t i, cut = 0;
    json_t *golden;
    json_array_foreach(goldens, i, golden) {
        json_t *const row = json_pack("{s:O, s:O}", "prefix", json_object_get(golden, "prefix"), "suffix", json_object_get(golden, "suffix"));
        char *const text = json_dumps(row, i % 2 ? JSON_ENSURE_ASCII : 0);
        pl_example *const example = good(text, (pl_data_source){0}, (pl_data_options){.pictures = PL_PICTURES_OPTIONAL, .text_length = (size_t)json_integer_value(json_object_get(golden, "text_length"))});
        const json_t *const ids = json_object_get(golden, "ids"), *const types = json_object_get(golden, "types"), *const labels = json_object_get(golden, "labels");
        assert_int_equal(example->count, json_array_size(ids));
        for (size_t t = 0; t < example->count; t++) {
            assert_int_equal(example->ids[t], json_integer_value(json_array_get(ids, t)));
            assert_int_equal(t >= example->prefix_count, json_integer_value(json_array_get(types, t)));
            assert_int_equal(t >= example->prefix_count ? example->ids[t] : -100, json_integer_value(json_array_get(labels, t)));
        }
        cut += example->cut > 0;
        pl_example_free(example);
        free(text);
        json_decref(row);
    }
    assert_int_equal(cut, 2);
    json_decref(goldens);
}

/* Cut within the prompt: nothing of the suffix is left. */
static void a_prompt_may_be_cut(void **state)
{
    (void)state;
    const char *const row = "{\"prefix\": \"caption en\", \"suffix\": \"a cat\"}";
    pl_example *const whole = good(row, (pl_data_source){0}, (pl_data_options){.pictures = PL_PICTURES_NONE});
    pl_example *const part = good(row, (pl_data_source){0}, (pl_data_options){.pictures = PL_PICTURES_NONE, .text_length = 1});
    assert_int_equal(part->count, 2);
    assert_int_equal(part->prefix_count, 2);
    assert_int_equal(part->cut, whole->count - 2);
    assert_memory_equal(part->ids, whole->ids, 2 * sizeof *whole->ids);
    pl_example_free(whole);
    pl_example_free(part);
}

/* "patches": one token for each of the picture's, in place of a suffix. */
static void patches_are_learned_where_they_are(void **state)
{
    (void)state;
    data_copy("tests/data/tiny/a.png", "a.png");
    const pl_data_options options = {.image_tokens = 4};
    pl_example *const example = good("{\"image\": \"a.png\", \"prefix\": \"patch what\", \"patches\": [\"ring\", \"\", \"Q\", \"<loc0007>\"]}", (pl_data_source){0}, options);
    const int32_t loc = pl_tokenizer_special(data_tokenizer)->loc;
    assert_non_null(example->patches);
    assert_true(example->patches[0] > 3 && example->patches[0] < loc);
    assert_int_equal(example->patches[1], -1);
    assert_true(example->patches[2] > 3 && example->patches[2] != example->patches[0]);
    assert_int_equal(example->patches[3], loc + 7);
    assert_int_equal(example->count, example->prefix_count + 1);
    assert_string_equal(example->suffix, "");
    pl_example_free(example);
    static const struct {
        const char *row, *message;
    } bad[] = {
        {"{\"image\": \"a.png\", \"prefix\": \"p\", \"patches\": [\"ring\"]}", "found a list of 1"},
        {"{\"images\": [\"a.png\", \"a.png\"], \"prefix\": \"p\", \"patches\": [\"\", \"\", \"\", \"\"]}", "and 2 pictures"},
        {"{\"image\": \"a.png\", \"prefix\": \"p\", \"patches\": [\"\", \"ring of\", \"\", \"\"]}", "tokens at 1, expected one"},
        {"{\"image\": \"a.png\", \"prefix\": \"p\", \"patches\": [\"\", \"\", 3, \"\"]}", "at 2, expected text"},
        {"{\"image\": \"a.png\", \"prefix\": \"p\", \"suffix\": \"s\", \"patches\": [\"\", \"\", \"\", \"\"]}", "both 'suffix' and 'patches'"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        pali_error err = {0};
        assert_null(example_of(bad[i].row, (pl_data_source){0}, options, &err));
        assert_int_equal(err.status, PALI_INPUT);
        if (!strstr(err.message, bad[i].message))
            fail_msg("found \"%s\", expected \"%s\" in it", err.message, bad[i].message);
    }
}

static void plain_language(void **state)
{
    (void)state;
    pl_data_options options = {.pictures = PL_PICTURES_NONE, .form = PL_DATA_LANGUAGE};
    pl_example *const example = good("{\"text\": \"a cat\", \"image\": 3}", (pl_data_source){0}, options);
    assert_int_equal(example->count, 4);
    assert_int_equal(example->prefix_count, 1);
    assert_int_equal(example->ids[0], 2);
    assert_int_equal(example->ids[3], 1);
    assert_string_equal(example->prefix, "");
    pl_example_free(example);
}

/* ---- Texts ------------------------------------------------------------- */

static void templates_are_filled(void **state)
{
    (void)state;
    static const pl_data_source ask = {.prefix = "answer en {question}"}, caption = {.prefix = "caption {{en}}"}, count = {.suffix = "{n} {thing}s", .prefix = "count"};
    check_texts("{\"question\": \"how {many}?\", \"suffix\": \"two\"}", ask, "answer en how {many}?", "two");
    check_texts("{\"suffix\": \"two\", \"prefix\": \"not this\"}", caption, "caption {en}", "two");
    check_texts("{\"n\": -7, \"thing\": \"caf\\u00e9\"}", count, "count", "-7 caf\xc3\xa9s");
    check_texts("{\"prompt\": \"caption en\", \"suffix\": [\"only\"]}", (pl_data_source){0}, "caption en", "only");
    check_texts("{\"prefix\": \"p\", \"suffixes\": [\"only\"]}", (pl_data_source){0}, "p", "only");
}

/* Lists in a template are alternatives too, taken together. */
static void alternatives_of_templates(void **state)
{
    (void)state;
    const char *const path = data_write("rows.jsonl", "{\"answers\": [\"a\", \"b\", \"c\"], \"ids\": [1, 2, 3]}\n");
    const pl_data_source source = {.path = path, .prefix = "p", .suffix = "{answers}{ids}"};
    pl_data_options options = data_options(&source, 1);
    options.pictures = PL_PICTURES_NONE;
    pl_dataset *const dataset = data_open(&options);
    for (uint64_t round = 0; round < 5; round++) {
        unsigned seen = 0;
        for (uint64_t i = 0; i < 3; i++) {
            pl_example *const example = pl_example_read(dataset, pl_dataset_place(dataset, round * 3 + i), NULL, true, NULL);
            assert_non_null(example);
            assert_int_equal(example->alternatives, 3);
            assert_int_equal(example->suffix[0], 'a' + (char)example->alternative);
            assert_int_equal(example->suffix[1], '1' + (char)example->alternative);
            seen |= 1u << example->alternative;
            pl_example_free(example);
        }
        assert_int_equal(seen, 7);
    }
    pl_dataset_free(dataset);
}

/* ---- Objects ----------------------------------------------------------- */

/* Sides in pixels, in all three forms; one that leaves the picture by half a pixel is cut. */
static void boxes_become_locations(void **state)
{
    (void)state;
    data_copy("tests/data/tiny/a.png", "a.png");
    pl_image image;
    assert_int_equal(pl_image_open(data_path("a.png"), &image, NULL), PALI_OK);
    char row[512], expected[128], other[64];
    const double width = (double)image.width, height = (double)image.height;
    pl_location_text((pali_box){.y1 = 2 / height, .x1 = 1.5 / width, .y2 = 10 / height, .x2 = 1}, expected);
    pl_location_text((pali_box){.y1 = 0, .x1 = 0, .y2 = 1, .x2 = 1}, other);
    static const char *const forms[] = {"\"box\": [1.5, 2, %g, 10]", "\"box\": {\"y1\": 2, \"x1\": 1.5, \"y2\": 10, \"x2\": %g}"};
    for (size_t i = 0; i < 2; i++) {
        char object[128];
        snprintf(object, sizeof object, forms[i], width);
        snprintf(row, sizeof row, "{\"image\": \"a.png\", \"prefix\": \"detect cat\", \"objects\": [{\"label\": \"cat\", %s}, {\"bbox\": [-0.5, 0, %g, %g]}]}", object, width + 0.5, height);
        char text[256];
        snprintf(text, sizeof text, "%s cat ; %s", expected, other);
        check_texts(row, (pl_data_source){0}, "detect cat", text);
    }
    snprintf(row, sizeof row, "{\"image\": \"a.png\", \"box\": [1.5, 2, %g, 10], \"label\": \"grey cat\"}", width);
    strcat(expected, " grey cat");
    check_texts(row, (pl_data_source){.prefix = "detect {labels}"}, "detect grey cat", expected);
    char seen[160];
    snprintf(seen, sizeof seen, "I see %s!", expected);
    check_texts(row, (pl_data_source){.prefix = "x", .suffix = "I see {objects}!"}, "x", seen);
    check_texts("{\"image\": \"a.png\", \"prefix\": \"detect cat\", \"objects\": []}", (pl_data_source){0}, "detect cat", "");
    check_texts("{\"image\": \"a.png\", \"objects\": [{\"label\":\"b\",\"box\":[0,0,1,1]},{\"label\":\"a\",\"box\":[0,0,1,1]},{\"label\":\"b\",\"box\":[0,0,1,1]}], \"suffix\": \"s\"}",
                (pl_data_source){.prefix = "{labels}"}, "b ; a", "s");
    pl_image_free(&image);
}

/* The codes that PyTorch's codec gave for nano's held-out masks (tools/nano/goldens.py), and the boxes beside them. */
static void masks_become_codes(void **state)
{
    (void)state;
    pl_codec *codec = NULL;
    assert_int_equal(pl_codec_open_of("models/nano", &codec, NULL), PALI_OK);
    assert_non_null(codec);
    FILE *const file = fopen("tests/data/nano/rows.jsonl", "r");
    assert_non_null(file);
    char line[4096];
    size_t rows = 0;
    while (fgets(line, sizeof line, file)) {
        json_t *const row = json_loads(line, 0, NULL), *const masks = json_object_get(row, "masks"), *const suffix = json_incref(json_object_get(row, "suffix"));
        if (masks) {
            pl_location_list found = {0};
            assert_int_equal(pl_locations_of_text(json_string_value(suffix), &found, NULL), PALI_OK);
            json_t *const objects = json_array();
            pl_image image;
            char picture[64];
            snprintf(picture, sizeof picture, "tests/data/nano/%s", json_string_value(json_object_get(row, "image")));
            assert_int_equal(pl_image_open(picture, &image, NULL), PALI_OK);
            for (size_t i = 0; i < found.count; i++) {
                const pali_box box = found.items[i].box;
                const double width = (double)image.width, height = (double)image.height;
                json_array_append_new(objects, json_pack("{s:s, s:O, s:[f,f,f,f]}", "label", found.items[i].label, "mask", json_array_get(masks, i), "box", box.x1 * width,
                                                         box.y1 * height, box.x2 * width, box.y2 * height));
            }
            pl_image_free(&image);
            json_object_del(row, "suffix");
            json_object_del(row, "masks");
            json_object_set_new(row, "objects", objects);
            char *const text = json_dumps(row, 0);
            pl_example *const example = good(text, (pl_data_source){.images = "tests/data/nano"}, (pl_data_options){.codec = codec});
            assert_string_equal(example->suffix, json_string_value(suffix));
            pl_example_free(example);
            free(text);
            pl_location_list_free(&found);
            rows++;
        }
        json_decref(suffix);
        json_decref(row);
    }
    fclose(file);
    assert_true(rows > 20);
    pl_codec_free(codec);
}

/* One mask in the row itself: the label is what is asked for; without codes for "detect"; polygons; masks with labels. */
static void masks_of_the_row(void **state)
{
    (void)state;
    pl_codec *codec = NULL;
    assert_int_equal(pl_codec_open_of("models/nano", &codec, NULL), PALI_OK);
    const pl_data_source source = {.images = "tests/data/nano"};
    const pl_data_options options = {.codec = codec};
    pl_example *const one = good("{\"image\": \"000001.png\", \"prefix\": \"segment ring\", \"mask\": \"000001-1.png\"}", source, options);
    pl_example *const two = good("{\"image\": \"000001.png\", \"prefix\": \"the ring\", \"masks\": [\"000001-1.png\", \"000001-1.png\"], \"labels\": [\"ring\", \"\"]}", source, options);
    pl_example *const place = good("{\"image\": \"000001.png\", \"prefix\": \"detect ring\", \"mask\": \"000001-1.png\"}", source, (pl_data_options){0});
    assert_string_equal(one->suffix + strlen(one->suffix) - 5, " ring");
    assert_memory_equal(two->suffix, one->suffix, strlen(one->suffix));
    assert_memory_equal(two->suffix + strlen(one->suffix), " ; <loc", 7);
    assert_int_equal(strlen(two->suffix), 2 * strlen(one->suffix) + 3 - 5);
    assert_int_equal(strlen(place->suffix), 36 + 5);
    assert_memory_equal(place->suffix, one->suffix, 36);
    pl_example_free(one);
    pl_example_free(two);
    pl_example_free(place);
    pl_example *const polygon = good("{\"image\": \"000001.png\", \"prefix\": \"segment ring\", \"mask\": [[10, 10, 60, 10, 60, 60, 10, 60]], \"box\": [10, -0.5, 60, 60]}", source, options);
    pl_example *const coco = good("{\"image\": \"000001.png\", \"prefix\": \"segment ring\", \"segmentation\": [[10, 10, 60, 10, 60, 60, 10, 60]], \"bbox\": [10, -0.5, 50, 60.5]}", source, options);
    assert_int_equal(strlen(polygon->suffix), 36 + 16 * 8 + 5);
    assert_string_equal(coco->suffix, polygon->suffix);
    pl_example_free(polygon);
    pl_example_free(coco);
    pl_codec_free(codec);
}

/* ---- Pictures ---------------------------------------------------------- */

static void pictures_are_ready(void **state)
{
    (void)state;
    data_copy("tests/data/tiny/a.png", "a.png");
    pl_example *const example = good("{\"images\": [\"a.png\", \"../tiny/b.png\"], \"prefix\": \"p\", \"suffix\": \"s\"}", (pl_data_source){.images = "tests/data/tiny"}, (pl_data_options){0});
    pl_example *const other = good("{\"image\": \"a.png\", \"prefix\": \"p\", \"suffix\": \"s\"}", (pl_data_source){0}, (pl_data_options){0});
    assert_int_equal(example->image_count, 2);
    pl_image image;
    assert_int_equal(pl_image_open("tests/data/tiny/a.png", &image, NULL), PALI_OK);
    assert_int_equal(example->images[0].picture.width, image.width);
    assert_int_equal(example->images[0].picture.height, image.height);
    float *const pixels = malloc(3 * 28 * 28 * sizeof *pixels);
    assert_non_null(pixels);
    assert_int_equal(pl_preprocess(&image, 28, NULL, &(pl_hands){.kernels = pl_kernels_get(NULL, NULL)}, pixels, NULL), PALI_OK);
    assert_memory_equal(example->images[0].pixels, pixels, 3 * 28 * 28 * sizeof *pixels);
    assert_memory_equal(other->images[0].pixels, pixels, 3 * 28 * 28 * sizeof *pixels);
    assert_int_equal(example->bytes, 2 * 3 * 28 * 28 * sizeof *pixels);
    assert_true(example->images[0].picture.hash == other->images[0].picture.hash && example->images[0].picture.hash != example->images[1].picture.hash);
    assert_string_equal(example->images[0].path, "tests/data/tiny/a.png");
    free(pixels);
    pl_image_free(&image);
    pl_example_free(example);
    pl_example_free(other);
}

static void check_frame(const pl_example_image *image, const pl_image *frame)
{
    static float pixels[3 * 28 * 28];
    assert_int_equal(pl_preprocess(frame, 28, NULL, &(pl_hands){.kernels = pl_kernels_get(NULL, NULL)}, pixels, NULL), PALI_OK);
    assert_memory_equal(image->pixels, pixels, sizeof pixels);
    assert_int_equal(image->picture.width, frame->width);
}

/* Every second frame of an animation, round and round; and the same of files. */
static void clips_are_pictures(void **state)
{
    (void)state;
    const pl_data_source source = {.images = "tests/data/image"};
    pl_example *const clip = good("{\"image\": \"clip0.gif\", \"frames\": 5, \"stride\": 2, \"prefix\": \"p\", \"suffix\": \"s\"}", source, (pl_data_options){0});
    size_t size;
    char *const bytes = pl_file_read("tests/data/image/clip0.gif", 1 << 24, &size, PALI_INPUT, NULL);
    pl_frames frames;
    assert_int_equal(pl_image_frames(bytes, size, "clip", 0, &frames, NULL), PALI_OK);
    assert_true(frames.count > 2 && frames.count < 10);
    assert_int_equal(clip->image_count, 5);
    const size_t different = (frames.count + 1) / 2;
    for (size_t i = 0; i < 5; i++)
        check_frame(&clip->images[i], &frames.frames[i % different * 2]);
    assert_true(clip->images[0].picture.hash != clip->images[1].picture.hash);
    pl_frames_free(&frames);
    free(bytes);
    pl_example_free(clip);
    pl_example *const stills = good("{\"images\": [\"a.png\", \"none.png\", \"b.png\"], \"prefix\": \"p\", \"suffix\": \"s\"}", (pl_data_source){.images = "tests/data/tiny", .frames = 3, .stride = 2},
                                    (pl_data_options){0});
    assert_int_equal(stills->image_count, 3);
    assert_string_equal(stills->images[1].path, "tests/data/tiny/b.png");
    assert_string_equal(stills->images[2].path, "tests/data/tiny/a.png");
    pl_example_free(stills);
    pali_error err = {0};
    assert_null(example_of("{\"image\": \"clip0.gif\", \"frames\": 0, \"prefix\": \"p\", \"suffix\": \"s\"}", source, (pl_data_options){0}, &err));
    assert_non_null(strstr(err.message, "field 'frames': found another number, expected a whole number from 1 to 256"));
}

/* ---- What is wrong ------------------------------------------------------ */

static void bad_rows_say_what_is_wrong(void **state)
{
    (void)state;
    data_copy("tests/data/tiny/a.png", "a.png");
    data_write("text.png", "no picture");
    static const struct {
        const char *row, *message;
    } rows[] = {
        {"{\"image\": \"a.png\"", "rows.jsonl:1: column 17: "},
        {"[1]", "rows.jsonl:1: found a list, expected an object"},
        {"{\"a\": 1, \"a\": 2}", "rows.jsonl:1: column 12: duplicate object key"},
        {"{\"prefix\": \"p\", \"suffix\": \"s\"}", "field 'image': found nothing, expected text or a list of texts"},
        {"{\"image\": [], \"prefix\": \"p\", \"suffix\": \"s\"}", "field 'image': found an empty list"},
        {"{\"image\": [\"a.png\", 3], \"prefix\": \"p\", \"suffix\": \"s\"}", "field 'image': found a number in the list"},
        {"{\"image\": \"\", \"prefix\": \"p\", \"suffix\": \"s\"}", "field 'image': found an empty path"},
        {"{\"image\": \"a.png\", \"images\": [\"a.png\"], \"prefix\": \"p\", \"suffix\": \"s\"}", "found both 'image' and 'images'"},
        {"{\"image\": \"none.png\", \"prefix\": \"p\", \"suffix\": \"s\"}", "none.png: cannot open: No such file"},
        {"{\"image\": \"text.png\", \"prefix\": \"p\", \"suffix\": \"s\"}", "text.png: "},
        {"{\"image\": \"a.png\", \"suffix\": \"s\"}", "field 'prefix': found nothing, expected text, or a prefix for all rows"},
        {"{\"image\": \"a.png\", \"prefix\": 3, \"suffix\": \"s\"}", "field 'prefix': found a number, expected text"},
        {"{\"image\": \"a.png\", \"prefix\": \"p\"}", "field 'suffix': found nothing, expected text, a list of texts, or objects"},
        {"{\"image\": \"a.png\", \"prefix\": \"p\", \"suffix\": null}", "field 'suffix': found null, expected text or a list of texts"},
        {"{\"image\": \"a.png\", \"prefix\": \"p\", \"suffix\": []}", "field 'suffix': found an empty list"},
        {"{\"image\": \"a.png\", \"prefix\": \"p\", \"suffix\": \"s\", \"suffixes\": [\"s\"]}", "found both 'suffix' and 'suffixes'"},
        {"{\"image\": \"a.png\", \"prefix\": \"p\", \"objects\": {}}", "field 'objects': found an object, expected a list"},
        {"{\"image\": \"a.png\", \"prefix\": \"p\", \"objects\": [3]}", "object 1: found a number, expected {\"label\", \"box\", \"mask\"}"},
        {"{\"image\": \"a.png\", \"prefix\": \"p\", \"objects\": [{\"label\": \"cat\"}]}", "object 1: found neither a box nor a mask"},
        {"{\"image\": \"a.png\", \"prefix\": \"p\", \"objects\": [{\"label\": 1, \"box\": [0, 0, 1, 1]}]}", "object 1: field 'label': found a number, expected text"},
        {"{\"image\": \"a.png\", \"prefix\": \"p\", \"objects\": [{\"label\": \"a ; b\", \"box\": [0, 0, 1, 1]}]}", "expected no ';', which ends a label"},
        {"{\"image\": \"a.png\", \"prefix\": \"p\", \"objects\": [{\"box\": [0, 0, 1]}]}", "field 'box': found a list, expected a list of four numbers"},
        {"{\"image\": \"a.png\", \"prefix\": \"p\", \"objects\": [{\"box\": [0, 0, 1, \"1\"]}]}", "field 'box': found a list, expected a list of four numbers"},
        {"{\"image\": \"a.png\", \"prefix\": \"p\", \"box\": \"0 0 1 1\"}", "field 'box': found text, expected a list of four numbers"},
        {"{\"image\": \"a.png\", \"prefix\": \"p\", \"box\": [0, 0, 1000, 1]}", "expected pixels within the picture of "},
        {"{\"image\": \"a.png\", \"prefix\": \"p\", \"box\": [3, 0, 2, 1]}", "expected the left upper corner, then the right lower one"},
        {"{\"image\": \"a.png\", \"prefix\": \"p\", \"box\": [0.1, 0.2, 0.5, 1]}", "expected pixels of the picture of 61 x 47, not parts of its sides"},
        {"{\"image\": \"a.png\", \"prefix\": \"p\", \"bbox\": [0, 0, 1, 1]}", "not parts of its sides"},
        {"{\"image\": \"a.png\", \"prefix\": \"p\", \"box\": [1, 1, 1, 1]}", "expected the left upper corner, then the right lower one"},
        {"{\"image\": \"a.png\", \"prefix\": \"detect x\", \"mask\": \"none.png\"}", "field 'mask': "},
        {"{\"image\": \"a.png\", \"prefix\": \"detect x\", \"mask\": 3}", "field 'mask': found a number, expected a path"},
        {"{\"image\": \"a.png\", \"prefix\": \"detect x\", \"mask\": {\"size\": [1, 1], \"counts\": [1]}}", "field 'mask': found 1 x 1 pixels, expected the picture's "},
        {"{\"image\": \"a.png\", \"prefix\": \"detect x\", \"masks\": [\"a.png\"], \"labels\": []}", "field 'labels': found a list of 0, expected a list of 1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        pali_error err = {0};
        pl_example *const example = example_of(rows[i].row, (pl_data_source){0}, (pl_data_options){0}, &err);
        if (example || err.status != PALI_INPUT || !strstr(err.message, rows[i].message) || !strstr(err.message, "rows.jsonl:1: "))
            fail_msg("%s: found \"%s\", expected \"%s\"", rows[i].row, example ? "an example" : err.message, rows[i].message);
    }
}

static void what_else_is_wrong(void **state)
{
    (void)state;
    data_copy("tests/data/tiny/a.png", "a.png");
    pali_error err = {0};
    const pl_data_options none = {.pictures = PL_PICTURES_NONE};
    assert_null(example_of("{\"question\": [\"a\"], \"suffix\": \"s\"}", (pl_data_source){.prefix = "answer {question}"}, none, &err));
    assert_non_null(strstr(err.message, "field 'question': found a list, expected text, as a prompt has no alternatives"));
    assert_null(example_of("{\"suffix\": \"s\"}", (pl_data_source){.prefix = "answer {question}"}, none, &err));
    assert_non_null(strstr(err.message, "field 'question': found nothing, expected text or a whole number"));
    assert_null(example_of("{\"a\": [\"x\"], \"b\": [\"x\", \"y\"]}", (pl_data_source){.prefix = "p", .suffix = "{a} {b}"}, none, &err));
    assert_non_null(strstr(err.message, "field 'b': found a list of 2, expected as many as in the template's other lists"));
    assert_null(example_of("{\"a\": []}", (pl_data_source){.prefix = "p", .suffix = "{a}"}, none, &err));
    assert_non_null(strstr(err.message, "field 'a': found a list of 0, expected at least one text"));
    assert_null(example_of("{\"prefix\": \"p\", \"box\": [0, 0, 1, 1]}", (pl_data_source){0}, none, &err));
    assert_non_null(strstr(err.message, "found an object in a row without a picture"));
    assert_int_equal(err.status, PALI_INPUT);
    /* Not the row's fault, and so the end of a run. */
    assert_null(example_of("{\"image\": \"000001.png\", \"prefix\": \"segment ring\", \"mask\": \"000001-1.png\"}", (pl_data_source){.images = "tests/data/nano"}, (pl_data_options){0}, &err));
    assert_int_equal(err.status, PALI_MODEL);
    assert_non_null(strstr(err.message, "rows.jsonl:1: field 'mask': found a mask, and the model has no mask codec"));
    assert_null(example_of("{}", (pl_data_source){0}, none, NULL));
}

/* ---- Survey ------------------------------------------------------------- */

static void a_survey_tells_of_patches(void **state)
{
    (void)state;
    const pl_data_source source = {.path = data_write("patches.jsonl", "{\"image\": \"a.png\", \"prefix\": \"patch what\", \"patches\": [\"ring\", \"\", \"Q\", \"<loc0007>\"]}\n"), .images = "tests/data/tiny"};
    const pl_data_options options = data_options(&source, 1);
    pl_dataset *dataset = data_open(&options);
    pl_data_survey survey;
    assert_int_equal(pl_dataset_survey(dataset, SIZE_MAX, &survey, NULL), PALI_OK);
    assert_true(survey.patches);
    pl_dataset_free(dataset);
}

static void a_survey_bounds_the_rows(void **state)
{
    (void)state;
    const char *const path = data_write("survey.jsonl", "{\"image\": [\"a.png\", \"b.png\"], \"prefix\": \"caption en\", \"suffix\": [\"a\", \"a cat on a mat and another one\", \"b\"]}\n"
                                                        "{\"image\": \"a.png\", \"prefix\": \"segment cat\", \"mask\": \"m.png\"}\n"
                                                        "{\"image\": \"a.png\"\n"
                                                        "{\"image\": \"a.png\", \"prefix\": \"caption en\"}\n"
                                                        "{\"image\": \"a.png\", \"prefix\": \"caption en\", \"suffix\": \"a\"}\n"
                                                        "{\"image\": [\"a.png\", \"none.png\"], \"prefix\": \"caption en\", \"suffix\": \"a\"}\n");
    const pl_data_source source = {.path = path, .images = "tests/data/tiny"};
    pl_data_options options = data_options(&source, 1);
    pl_dataset *dataset = data_open(&options);
    pl_data_survey survey;
    assert_int_equal(pl_dataset_survey(dataset, SIZE_MAX, &survey, NULL), PALI_OK);
    assert_int_equal(survey.rows, 6);
    assert_int_equal(survey.bad, 3);
    assert_non_null(strstr(survey.first_bad.message, "survey.jsonl:3: column "));
    assert_int_equal(survey.pictures_most, 2);
    assert_int_equal(survey.pictures, 4);
    assert_int_equal(survey.texts, 5);
    assert_int_equal(survey.ids_most, 28); /* <bos> segment ca t \n, 4 places, 16 codes, ca t <eos> */
    assert_int_equal(survey.truncated, 0);
    assert_false(survey.patches);
    assert_int_equal(pl_dataset_survey(dataset, 0, &survey, NULL), PALI_OK);
    assert_int_equal(survey.texts, 0);
    assert_int_equal(survey.bad, 3);
    assert_false(survey.complete);
    assert_int_equal(pl_dataset_survey(dataset, 5, &survey, NULL), PALI_OK);
    assert_false(survey.complete);
    assert_int_equal(pl_dataset_survey(dataset, 6, &survey, NULL), PALI_OK);
    assert_true(survey.complete);
    pl_dataset_free(dataset);
    options.text_length = 9;
    dataset = data_open(&options);
    assert_int_equal(pl_dataset_survey(dataset, SIZE_MAX, &survey, NULL), PALI_OK);
    assert_int_equal(survey.ids_most, 10);
    assert_int_equal(survey.truncated, 2);
    pl_dataset_free(dataset);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_those_of_the_processor), cmocka_unit_test(a_prompt_may_be_cut), cmocka_unit_test(plain_language), cmocka_unit_test(patches_are_learned_where_they_are), cmocka_unit_test(templates_are_filled),
        cmocka_unit_test(alternatives_of_templates), cmocka_unit_test(boxes_become_locations), cmocka_unit_test(masks_become_codes), cmocka_unit_test(masks_of_the_row),
        cmocka_unit_test(pictures_are_ready), cmocka_unit_test(clips_are_pictures), cmocka_unit_test(bad_rows_say_what_is_wrong), cmocka_unit_test(what_else_is_wrong), cmocka_unit_test(a_survey_tells_of_patches), cmocka_unit_test(a_survey_bounds_the_rows),
    };
    return cmocka_run_group_tests_name("example", tests, data_begin, data_end);
}
