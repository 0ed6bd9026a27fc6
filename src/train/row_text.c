/* Prompt and answer of a row, and the choice among answers. */
#include "train/row_text.h"

#include "formats/jsonl.h"
#include "train/shuffle.h"
#include "train/template.h"

#include <stdlib.h>
#include <string.h>

/* ---- Which answer ------------------------------------------------------ */

size_t pl_row_choose(uint64_t seed, pl_data_choice choice, pl_place place, size_t count)
{
    if (count < 2 || choice == PL_CHOICE_FIRST)
        return 0;
    const uint64_t key = pl_shuffle_key(pl_shuffle_key(seed, 1, place.source), 2, place.row);
    if (choice == PL_CHOICE_UNIFORM)
        return (size_t)pl_shuffle_pick(pl_shuffle_key(key, 3, place.visit), count);
    return (size_t)pl_shuffle(pl_shuffle_key(key, 4, place.visit / count), count, place.visit % count); /* a new order each time all have been had */
}

/* ---- Templates --------------------------------------------------------- */

typedef struct filling {
    const json_t *row;
    const pl_scene *scene;
    bool lists;         /* fields may be lists, of which one text is taken */
    bool counting;      /* only `count` is asked for */
    size_t count, item; /* texts of the lists so far, all of the same length; which is taken */
} filling;

static const json_t *field_of(const json_t *row, const char *name, size_t length)
{
    char key[256];
    if (length >= sizeof key)
        return NULL;
    memcpy(key, name, length);
    key[length] = '\0';
    return json_object_get(row, key);
}

static bool is_name(const char *name, size_t length, const char *word)
{
    return strlen(word) == length && memcmp(name, word, length) == 0;
}

/* One text or whole number. */
static pali_status fill_value(const char *name, size_t length, const json_t *value, pl_buffer *out, pali_error *err)
{
    if (json_is_string(value))
        return pl_buffer_append(out, json_string_value(value), json_string_length(value), err);
    if (json_is_integer(value))
        return pl_buffer_printf(out, err, "%lld", (long long)json_integer_value(value));
    char text[80];
    return pl_fail(err, PALI_INPUT, "field %s: found %s, expected text or a whole number for the template", pl_printable(name, length, text), pl_json_type_name(value));
}

static pali_status fill_list(filling *f, const char *name, size_t length, const json_t *list, pl_buffer *out, pali_error *err)
{
    char text[80];
    const size_t count = json_array_size(list);
    if (!f->lists)
        return pl_fail(err, PALI_INPUT, "field %s: found a list, expected text, as a prompt has no alternatives", pl_printable(name, length, text));
    if (count == 0 || (f->count && f->count != count))
        return pl_fail(err, PALI_INPUT, "field %s: found a list of %zu, expected %s", pl_printable(name, length, text), count, count ? "as many as in the template's other lists" : "at least one text");
    f->count = count;
    return f->counting ? PALI_OK : fill_value(name, length, json_array_get(list, f->item), out, err);
}

/* The row's field; else what is made of its objects: {objects}, {boxes}, {labels}. */
static pali_status fill(void *context, const char *name, size_t length, pl_buffer *out, pali_error *err)
{
    filling *const f = context;
    const json_t *const value = field_of(f->row, name, length);
    const bool objects = is_name(name, length, "objects"), boxes = is_name(name, length, "boxes"), labels = is_name(name, length, "labels");
    if (pl_object_any(f->row) && ((objects || boxes || labels) && (objects || !value || json_is_array(value)))) {
        if (f->counting)
            return PALI_OK;
        return labels ? pl_object_write_labels(f->row, f->scene, out, err) : pl_object_write(f->row, f->scene, objects, out, err);
    }
    if (json_is_array(value))
        return fill_list(f, name, length, value, out, err);
    return f->counting ? PALI_OK : fill_value(name, length, value, out, err);
}

static char *text_of(pl_buffer *buffer, pali_status status, pali_error *err)
{
    if (status == PALI_OK)
        status = pl_buffer_append(buffer, "", 0, err); /* so that nothing is a text too */
    if (status == PALI_OK)
        return buffer->data;
    free(buffer->data);
    return NULL;
}

static char *filled(const char *template, filling *f, pali_error *err)
{
    pl_buffer buffer = {0};
    return text_of(&buffer, pl_template_write(template, fill, f, &buffer, err), err);
}

/* ---- Prompt ------------------------------------------------------------ */

static char *read_prefix(const pl_data_source *source, pl_data_form form, const json_t *row, const pl_scene *scene, pali_error *err)
{
    if (form == PL_DATA_LANGUAGE)
        return pl_strdup("", err);
    if (source->prefix)
        return filled(source->prefix, &(filling){.row = row, .scene = scene}, err);
    const json_t *value = json_object_get(row, "prefix");
    if (!value)
        value = json_object_get(row, "prompt"); /* as rows for pali batch have it */
    if (json_is_string(value))
        return pl_strdup(json_string_value(value), err);
    pl_fail(err, PALI_INPUT, "field 'prefix': found %s, expected text%s", pl_json_type_name(value), value ? "" : ", or a prefix for all rows");
    return NULL;
}

/* ---- Answer ------------------------------------------------------------ */

/* The field that has a row's answers; *field is NULL when there is none. */
static pali_status find_field(const json_t *row, pl_data_form form, const char **field, pali_error *err)
{
    static const char *const fields[] = {"suffix", "suffixes", "text"};
    for (size_t i = 0; i < (form == PL_DATA_LANGUAGE ? 3 : 2); i++) {
        if (!json_object_get(row, fields[i]))
            continue;
        if (*field)
            return pl_fail(err, PALI_INPUT, "found both '%s' and '%s', expected one of them", *field, fields[i]);
        *field = fields[i];
    }
    return PALI_OK;
}

static size_t pick(const pl_data_options *o, pl_place place, size_t wanted, size_t count)
{
    return wanted == PL_ROW_ITS_TURN ? pl_row_choose(o->seed, o->sources[place.source].choice, place, count) : pl_min(wanted, count - 1);
}

static pali_status read_field(const pl_data_options *o, pl_place place, const json_t *row, const char *field, size_t wanted, pl_row_text *text, pali_error *err)
{
    const char **texts = NULL;
    pali_status status = pl_jsonl_texts(row, field, &texts, &text->alternatives, err);
    if (status == PALI_OK) {
        text->alternative = pick(o, place, wanted, text->alternatives);
        text->suffix = pl_strdup(texts[text->alternative], err);
        status = text->suffix ? PALI_OK : PALI_MEMORY;
    }
    free(texts);
    return status;
}

static pali_status fill_suffix(const pl_data_options *o, pl_place place, const json_t *row, const pl_scene *scene, size_t wanted, pl_row_text *text, pali_error *err)
{
    const char *const template = o->sources[place.source].suffix;
    filling f = {.row = row, .scene = scene, .lists = true, .counting = true};
    char *const counted = filled(template, &f, err);
    free(counted);
    if (!counted)
        return pl_status_of(err, PALI_MEMORY);
    text->alternatives = pl_max(f.count, 1);
    text->alternative = f.item = pick(o, place, wanted, text->alternatives);
    f.counting = false;
    text->suffix = filled(template, &f, err);
    return text->suffix ? PALI_OK : pl_status_of(err, PALI_MEMORY);
}

/* "detect" asks for places alone, whatever the row knows. */
static pali_status write_objects(const json_t *row, const pl_scene *scene, pl_row_text *text, pali_error *err)
{
    pl_buffer buffer = {0};
    const bool boxes = strncmp(scene->prefix, "detect ", strlen("detect ")) == 0;
    text->suffix = text_of(&buffer, pl_object_write(row, scene, !boxes, &buffer, err), err);
    return text->suffix ? PALI_OK : pl_status_of(err, PALI_MEMORY);
}

static pali_status read_suffix(const pl_data_options *o, pl_place place, const json_t *row, const pl_scene *scene, size_t wanted, pl_row_text *text, pali_error *err)
{
    text->alternatives = 1;
    if (o->sources[place.source].suffix)
        return fill_suffix(o, place, row, scene, wanted, text, err);
    const char *field = NULL;
    const pali_status status = find_field(row, o->form, &field, err);
    if (status != PALI_OK)
        return status;
    if (json_object_get(row, "patches")) { /* they are what is said */
        if (field)
            return pl_fail(err, PALI_INPUT, "found both '%s' and 'patches', expected one of them", field);
        return (text->suffix = pl_strdup("", err)) ? PALI_OK : PALI_MEMORY;
    }
    if (field)
        return read_field(o, place, row, field, wanted, text, err);
    if (pl_object_any(row))
        return write_objects(row, scene, text, err);
    return pl_fail(err, PALI_INPUT, "field 'suffix': found nothing, expected text, a list of texts, or objects");
}

pali_status pl_row_text_read(const pl_dataset *dataset, pl_place place, const json_t *row, pl_scene *scene, size_t alternative, pl_row_text *text, pali_error *err)
{
    const pl_data_options *const o = pl_dataset_options(dataset);
    text->prefix = read_prefix(&o->sources[place.source], o->form, row, scene, err);
    if (!text->prefix)
        return pl_status_of(err, PALI_MEMORY);
    scene->prefix = text->prefix;
    return read_suffix(o, place, row, scene, alternative, text, err);
}

void pl_row_text_free(pl_row_text *text)
{
    free(text->prefix);
    free(text->suffix);
    *text = (pl_row_text){0};
}
