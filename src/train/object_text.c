/* Objects to text. Sides are cut to the picture where they leave it by less than a pixel, as annotations by hand do. */
#include "train/object_text.h"

#include "answer/mask_json.h"
#include "answer/mask_tokens.h"
#include "formats/jsonl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One object as its row has it, all borrowed. */
typedef struct object {
    const char *label; /* NULL: none */
    const json_t *box, *bbox, *mask; /* NULL: none */
} object;

bool pl_object_any(const json_t *row)
{
    static const char *const fields[] = {"objects", "mask", "masks", "segmentation", "box", "bbox"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (json_object_get(row, fields[i]))
            return true;
    return false;
}

/* ---- What the row has -------------------------------------------------- */

/* "objects", or "masks"; NULL: the row itself is the one object. */
static pali_status find_list(const json_t *row, const json_t **list, size_t *count, pali_error *err)
{
    const char *const field = json_object_get(row, "objects") ? "objects" : "masks";
    *list = json_object_get(row, field);
    *count = *list ? json_array_size(*list) : 1;
    if (*list && !json_is_array(*list))
        return pl_fail(err, PALI_INPUT, "field '%s': found %s, expected a list", field, pl_json_type_name(*list));
    const json_t *const labels = json_object_get(row, "labels");
    if (strcmp(field, "masks") == 0 && labels && json_array_size(labels) != *count)
        return pl_fail(err, PALI_INPUT, "field 'labels': found %s of %zu, expected a list of %zu, one for each mask", pl_json_type_name(labels), json_array_size(labels), *count);
    return PALI_OK;
}

/* The label of an object in the row itself is what the prompt asks for, where it asks for one thing in the usual words. */
static const char *asked_label(const pl_scene *scene)
{
    static const char *const verbs[] = {"detect ", "segment "};
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (scene->prefix && strncmp(scene->prefix, verbs[i], strlen(verbs[i])) == 0)
            return scene->prefix + strlen(verbs[i]);
    return NULL;
}

static pali_status check_label(const json_t *value, const char **label, pali_error *err)
{
    if (value && !json_is_string(value))
        return pl_fail(err, PALI_INPUT, "field 'label': found %s, expected text", pl_json_type_name(value));
    if (value)
        *label = json_string_value(value);
    if (*label && strchr(*label, ';'))
        return pl_fail(err, PALI_INPUT, "field 'label': found \"%s\", expected no ';', which ends a label", *label);
    return PALI_OK;
}

/* Object i of the row. */
static pali_status find_object(const json_t *row, const pl_scene *scene, const json_t *list, size_t i, object *out, pali_error *err)
{
    const json_t *const item = list ? json_array_get(list, i) : row;
    const bool own = list && list == json_object_get(row, "objects"); /* it has fields of its own */
    if (own && !json_is_object(item))
        return pl_fail(err, PALI_INPUT, "found %s, expected {\"label\", \"box\", \"mask\"}", pl_json_type_name(item));
    const json_t *const mask = json_object_get(item, "mask");
    if (own || !list)
        *out = (object){.box = json_object_get(item, "box"), .bbox = json_object_get(item, "bbox"), .mask = mask ? mask : json_object_get(item, "segmentation") /* COCO's name */};
    else
        *out = (object){.mask = item};
    if (own)
        return check_label(json_object_get(item, "label"), &out->label, err);
    out->label = asked_label(scene);
    const json_t *const labels = list ? json_object_get(row, "labels") : NULL;
    return check_label(labels ? json_array_get(labels, i) : json_object_get(row, "label"), &out->label, err);
}

/* ---- Boxes ------------------------------------------------------------- */

static pali_status read_sides(const json_t *value, const char *field, double sides[4], pali_error *err)
{
    static const char *const names[] = {"x1", "y1", "x2", "y2"};
    for (size_t i = 0; i < 4; i++) {
        const json_t *const side = json_is_object(value) ? json_object_get(value, names[i]) : json_array_get(value, i);
        if (!json_is_number(side) || (json_is_array(value) && json_array_size(value) != 4))
            return pl_fail(err, PALI_INPUT, "field '%s': found %s, expected a list of four numbers%s", field, pl_json_type_name(value),
                           strcmp(field, "box") == 0 ? " or {\"x1\", \"y1\", \"x2\", \"y2\"}" : "");
        sides[i] = json_number_value(side);
    }
    return PALI_OK;
}

/* In pixels, within the picture. */
static pali_status read_box(const object *o, const pl_scene *scene, pali_box *box, pali_error *err)
{
    double sides[4];
    pali_status status = read_sides(o->box ? o->box : o->bbox, o->box ? "box" : "bbox", sides, err);
    if (status != PALI_OK)
        return status;
    if (!o->box) {
        sides[2] += sides[0];
        sides[3] += sides[1];
    }
    if (scene->unseen)
        return PALI_OK;
    const double width = (double)scene->width, height = (double)scene->height;
    if (!(sides[0] > -1 && sides[1] > -1 && sides[2] < width + 1 && sides[3] < height + 1))
        return pl_fail(err, PALI_INPUT, "field 'box': found %g, %g to %g, %g, expected pixels within the picture of %zu x %zu", sides[0], sides[1], sides[2], sides[3], scene->width,
                       scene->height);
    *box = (pali_box){.y1 = fmax(sides[1], 0), .x1 = fmax(sides[0], 0), .y2 = fmin(sides[3], height), .x2 = fmin(sides[2], width)};
    if (!(box->y2 > box->y1 && box->x2 > box->x1))
        return pl_fail(err, PALI_INPUT, "field 'box': found %g, %g to %g, %g, expected the left upper corner, then the right lower one", sides[0], sides[1], sides[2], sides[3]);
    if (box->x2 <= 1 && box->y2 <= 1 && scene->width > 1 && scene->height > 1)
        return pl_fail(err, PALI_INPUT, "field 'box': found %g, %g to %g, %g, all within one pixel, expected pixels of the picture of %zu x %zu, not parts of its sides", sides[0], sides[1], sides[2],
                       sides[3], scene->width, scene->height);
    return PALI_OK;
}

/* ---- Masks ------------------------------------------------------------- */

static pali_status open_mask(const json_t *value, const pl_scene *scene, pl_mask *mask, pali_error *err)
{
    if (!json_is_string(value))
        return pl_mask_of_json(value, scene->width, scene->height, mask, err);
    char *const path = pl_jsonl_path(scene->folder, json_string_value(value), err);
    if (!path)
        return PALI_MEMORY;
    const pali_status status = pl_mask_open_of(path, scene->width, scene->height, mask, err);
    free(path);
    return status;
}

pali_status pl_object_masks(const json_t *row, pl_object_mask **masks, size_t *count, pali_error *err)
{
    const json_t *list;
    size_t objects = 0;
    pali_status status = find_list(row, &list, &objects, err);
    *count = 0;
    *masks = status == PALI_OK ? pl_new(objects, sizeof **masks, "masks of a row", err) : NULL;
    if (status == PALI_OK && !*masks)
        return PALI_MEMORY;
    for (size_t i = 0; status == PALI_OK && i < objects; i++) {
        object o = {0};
        status = find_object(row, &(pl_scene){0}, list, i, &o, err);
        if (status == PALI_OK && o.mask)
            (*masks)[(*count)++] = (pl_object_mask){.mask = o.mask, .box = o.box, .bbox = o.bbox};
    }
    return status;
}

pali_status pl_object_open_mask(const pl_object_mask *object_mask, const pl_scene *scene, pl_mask *mask, pali_box *box, pali_error *err)
{
    pali_status status = open_mask(object_mask->mask, scene, mask, err);
    if (status == PALI_OK)
        *box = pl_mask_box(mask);
    if (status == PALI_OK && (object_mask->box || object_mask->bbox)) {
        const object o = {.box = object_mask->box, .bbox = object_mask->bbox};
        status = read_box(&o, &(pl_scene){.width = mask->width, .height = mask->height}, box, err);
    }
    return status;
}

/* Locations and codes; the box is the mask's own where the object has none. */
static pali_status write_mask(const object *o, const pl_scene *scene, const pali_box *box, bool codes, pl_buffer *out, pali_error *err)
{
    pl_mask mask = {0};
    pali_mask_tokens tokens = {0};
    pali_status status = scene->unseen ? PALI_OK : open_mask(o->mask, scene, &mask, err);
    if (status == PALI_OK && !scene->unseen && codes && !scene->codec)
        status = pl_fail(err, PALI_MODEL, "found a mask, and the model has no mask codec to say it with");
    if (status == PALI_OK && !scene->unseen && codes)
        status = pl_codec_encode_mask(scene->codec, &scene->hands, &mask, box, &tokens, err);
    if (status == PALI_OK && !scene->unseen && !codes) {
        const pali_box own = pl_mask_box(&mask);
        const double sides[4] = {own.y1 / (double)scene->height, own.x1 / (double)scene->width, own.y2 / (double)scene->height, own.x2 / (double)scene->width};
        for (size_t i = 0; i < 4; i++)
            tokens.bins[i] = pl_location_bin((float)sides[i]);
    }
    pl_mask_free(&mask);
    if (status != PALI_OK) {
        pl_error_prefix(err, "field 'mask'");
        return status;
    }
    char text[PALI_MASK_TEXT_SIZE];
    pl_mask_tokens_text(&tokens, text);
    return pl_buffer_append(out, text, codes ? strlen(text) : 4 * strlen("<loc0000>"), err);
}

/* ---- Text -------------------------------------------------------------- */

static pali_status write_object(const object *o, const pl_scene *scene, bool masks, pl_buffer *out, pali_error *err)
{
    if (!o->box && !o->bbox && !o->mask)
        return pl_fail(err, PALI_INPUT, "found neither a box nor a mask, expected one");
    if (!scene->unseen && scene->width == 0)
        return pl_fail(err, PALI_INPUT, "found an object in a row without a picture");
    pali_box box = {0};
    const bool has_box = o->box || o->bbox;
    pali_status status = has_box ? read_box(o, scene, &box, err) : PALI_OK;
    if (status != PALI_OK)
        return status;
    if (o->mask && (masks || !has_box)) {
        status = write_mask(o, scene, has_box ? &box : NULL, masks, out, err);
    } else {
        char text[37];
        const double width = (double)pl_max(scene->width, 1), height = (double)pl_max(scene->height, 1);
        pl_location_text((pali_box){.y1 = box.y1 / height, .x1 = box.x1 / width, .y2 = box.y2 / height, .x2 = box.x2 / width}, text);
        status = pl_buffer_append(out, text, strlen(text), err);
    }
    return status == PALI_OK && o->label && *o->label ? pl_buffer_printf(out, err, " %s", o->label) : status;
}

pali_status pl_object_write(const json_t *row, const pl_scene *scene, bool masks, pl_buffer *out, pali_error *err)
{
    const json_t *list;
    size_t count = 0;
    pali_status status = find_list(row, &list, &count, err);
    for (size_t i = 0; status == PALI_OK && i < count; i++) {
        object o;
        if (i)
            status = pl_buffer_append(out, " ; ", 3, err);
        if (status == PALI_OK)
            status = find_object(row, scene, list, i, &o, err);
        if (status == PALI_OK)
            status = write_object(&o, scene, masks, out, err);
        if (status != PALI_OK && list)
            pl_error_prefix(err, "object %zu", i + 1);
    }
    return status;
}

pali_status pl_object_write_labels(const json_t *row, const pl_scene *scene, pl_buffer *out, pali_error *err)
{
    const json_t *list;
    size_t count = 0;
    pali_status status = find_list(row, &list, &count, err);
    bool first = true;
    for (size_t i = 0; status == PALI_OK && i < count; i++) {
        object o = {0}, before;
        status = find_object(row, scene, list, i, &o, err);
        bool again = false;
        for (size_t b = 0; status == PALI_OK && o.label && !again && b < i; b++) {
            status = find_object(row, scene, list, b, &before, err);
            again = status == PALI_OK && before.label && strcmp(before.label, o.label) == 0;
        }
        if (status == PALI_OK && o.label && !again) {
            status = pl_buffer_printf(out, err, "%s%s", first ? "" : " ; ", o.label);
            first = false;
        }
    }
    return status;
}
