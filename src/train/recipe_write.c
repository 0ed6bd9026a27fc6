/* A recipe out again: as YAML that reads back to the same, as differences, as a list of keys. */
#include "train/recipe_key.h"

#include "base/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The shortest of three ways to write a number that reads back to it. */
static pali_status write_number(double value, pl_buffer *out, pali_error *err)
{
    char text[40];
    for (int digits = 6;; digits = digits == 6 ? 15 : 17) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (digits == 17 || strtod(text, NULL) == value)
            return pl_buffer_append(out, text, strlen(text), err);
    }
}

static pali_status write_words(const pl_recipe_words *words, pl_buffer *out, pali_error *err)
{
    pali_status status = pl_buffer_append(out, "[", 1, err);
    for (size_t i = 0; i < words->count && status == PALI_OK; i++) {
        if (i)
            status = pl_buffer_append(out, ", ", 2, err);
        if (status == PALI_OK)
            status = pl_yaml_write_text(out, words->items[i], err);
    }
    return status == PALI_OK ? pl_buffer_append(out, "]", 1, err) : status;
}

/* Those keys of a source or group that are not as by default. */
static pali_status write_item(const pl_recipe_key *keys, size_t count, const char *item, pl_buffer *out, pali_error *err)
{
    pali_status status = pl_buffer_append(out, "{", 1, err);
    bool first = true;
    for (size_t i = 0; i < count && status == PALI_OK; i++) {
        pl_buffer text = {0};
        status = pl_value_write(&keys[i], item + keys[i].place, &text, err);
        const char *const initial = *keys[i].initial ? keys[i].initial : "null";
        if (status == PALI_OK && strcmp(text.data, initial) != 0) {
            status = pl_buffer_printf(out, err, "%s%s: %s", first ? "" : ", ", keys[i].name, text.data);
            first = false;
        }
        free(text.data);
    }
    return status == PALI_OK ? pl_buffer_append(out, "}", 1, err) : status;
}

typedef struct item_list {
    const pl_recipe_key *keys;
    size_t key_count, size, count;
    const char *items;
} item_list;

static item_list list_at(pl_recipe_kind kind, const void *place)
{
    if (kind == PL_KIND_SOURCES) {
        const pl_recipe_sources *const list = place;
        return (item_list){pl_source_keys, pl_source_key_count, sizeof *list->items, list->count, (const char *)list->items};
    }
    const pl_recipe_groups *const list = place;
    return (item_list){pl_group_keys, pl_group_key_count, sizeof *list->items, list->count, (const char *)list->items};
}

static pali_status write_items(pl_recipe_kind kind, const void *place, const char *between, pl_buffer *out, pali_error *err)
{
    const item_list list = list_at(kind, place);
    pali_status status = PALI_OK;
    for (size_t i = 0; i < list.count && status == PALI_OK; i++) {
        if (i || *between == '\n')
            status = pl_buffer_append(out, between, strlen(between), err);
        if (status == PALI_OK)
            status = write_item(list.keys, list.key_count, list.items + i * list.size, out, err);
    }
    return status;
}

static pali_status write_text(const char *text, pl_buffer *out, pali_error *err)
{
    return text ? pl_yaml_write_text(out, text, err) : pl_buffer_append(out, "null", 4, err);
}

pali_status pl_value_write(const pl_recipe_key *key, const void *place, pl_buffer *out, pali_error *err)
{
    pali_status status = PALI_OK;
    switch (key->kind) {
    case PL_KIND_TITLE:
        break;
    case PL_KIND_TEXT:
    case PL_KIND_PATH:
    case PL_KIND_NAME:
    case PL_KIND_CHOICE:
        return write_text(*(char *const *)place, out, err);
    case PL_KIND_TABLE:
        return pl_buffer_printf(out, err, "%s", *(char *const *)place ? *(char *const *)place : "null");
    case PL_KIND_COUNT:
    case PL_KIND_BYTES:
        return pl_buffer_printf(out, err, "%llu", (unsigned long long)*(const uint64_t *)place);
    case PL_KIND_NUMBER:
    case PL_KIND_SPAN:
        return isnan(*(const double *)place) ? pl_buffer_append(out, "null", 4, err) : write_number(*(const double *)place, out, err);
    case PL_KIND_FLAG:
        return pl_buffer_printf(out, err, "%s", *(const bool *)place ? "true" : "false");
    case PL_KIND_WORDS:
        return write_words(place, out, err);
    case PL_KIND_SOURCES:
    case PL_KIND_GROUPS:
        status = pl_buffer_append(out, "[", 1, err);
        if (status == PALI_OK)
            status = write_items(key->kind, place, ", ", out, err);
        return status == PALI_OK ? pl_buffer_append(out, "]", 1, err) : status;
    }
    return status;
}

/* The value of a line of its own: sources and groups have one each. */
static pali_status write_value(const pl_recipe_key *key, const void *place, pl_buffer *out, pali_error *err)
{
    pali_status status = PALI_OK;
    if ((key->kind == PL_KIND_SOURCES || key->kind == PL_KIND_GROUPS) && list_at(key->kind, place).count > 0)
        status = write_items(key->kind, place, "\n  - ", out, err);
    else {
        status = pl_buffer_append(out, " ", 1, err);
        if (status == PALI_OK)
            status = pl_value_write(key, place, out, err);
    }
    return status == PALI_OK ? pl_buffer_append(out, "\n", 1, err) : status;
}

pali_status pl_recipe_write(const pl_recipe *recipe, pl_buffer *out, pali_error *err)
{
    pali_status status = PALI_OK;
    size_t group = 0; /* bytes of the last key up to its dot: "lora" is opened */
    const char *before = "";
    for (size_t i = 0; i < pl_recipe_key_count && status == PALI_OK; i++) {
        const pl_recipe_key *const key = &pl_recipe_keys[i];
        if (key->kind == PL_KIND_TITLE) {
            status = pl_buffer_printf(out, err, "%s# %s\n", i ? "\n" : "", key->help);
            continue;
        }
        const char *const dot = strchr(key->name, '.');
        const size_t length = dot ? (size_t)(dot - key->name) : 0;
        if (length && (length != group || strncmp(key->name, before, length) != 0))
            status = pl_buffer_printf(out, err, "%.*s:\n", (int)length, key->name);
        group = length;
        before = key->name;
        if (status == PALI_OK)
            status = pl_buffer_printf(out, err, "%s%s:", length ? "  " : "", length ? dot + 1 : key->name);
        if (status == PALI_OK)
            status = write_value(key, (const char *)recipe + key->place, out, err);
    }
    return status;
}

char *pl_recipe_text(const pl_recipe *recipe, pali_error *err)
{
    char resume[] = "auto";
    pl_recipe kept = *recipe; /* borrows all that it points to */
    pl_buffer text = {0};
    kept.resume = resume;
    kept.force = false;
    if (pl_recipe_write(&kept, &text, err) == PALI_OK)
        return text.data;
    free(text.data);
    return NULL;
}

pali_status pl_recipe_keep(const char *folder, const char *text, pali_error *err)
{
    char *path = pl_format(err, "%s/recipe.yaml", folder);
    const pali_status status = path ? pl_file_write(path, text, strlen(text), err) : PALI_MEMORY;
    free(path);
    return status;
}

/* A value as text to compare. Where sources lie is not of it if places do not count. */
static pali_status write_compared(const pl_recipe_key *key, const void *place, bool places, pl_buffer *out, pali_error *err)
{
    if (key->kind != PL_KIND_SOURCES || places)
        return pl_value_write(key, place, out, err);
    const pl_recipe_sources *const list = place;
    pl_recipe_sources bare = {.items = pl_new(list->count, sizeof *bare.items, "sources", err), .count = list->count};
    if (!bare.items)
        return PALI_MEMORY;
    for (size_t i = 0; i < list->count; i++) {
        bare.items[i] = list->items[i];
        bare.items[i].path = bare.items[i].images = NULL;
    }
    const pali_status status = pl_value_write(key, &bare, out, err);
    free(bare.items);
    return status;
}

static pali_status write_difference(const pl_recipe_key *key, const pl_recipe *before, const pl_recipe *now, bool places, pl_buffer *out, size_t *count, pali_error *err)
{
    const void *const old = (const char *)before + key->place, *const fresh = (const char *)now + key->place;
    pl_buffer texts[2] = {{0}, {0}};
    pali_status status = write_compared(key, old, places, &texts[0], err);
    if (status == PALI_OK)
        status = write_compared(key, fresh, places, &texts[1], err);
    const bool differ = status == PALI_OK && strcmp(texts[0].data, texts[1].data) != 0;
    free(texts[0].data);
    free(texts[1].data);
    if (!differ)
        return status;
    status = pl_buffer_printf(out, err, "%s%s: ", *count ? "; " : "", key->name);
    if (status == PALI_OK)
        status = pl_value_write(key, old, out, err);
    if (status == PALI_OK)
        status = pl_buffer_append(out, " -> ", 4, err);
    ++*count;
    return status == PALI_OK ? pl_value_write(key, fresh, out, err) : status;
}

pali_status pl_recipe_difference(const pl_recipe *before, const pl_recipe *now, bool all, pl_buffer *out, size_t *count, pali_error *err)
{
    pali_status status = PALI_OK;
    *count = 0;
    for (size_t i = 0; i < pl_recipe_key_count && status == PALI_OK; i++)
        if (pl_recipe_keys[i].kind != PL_KIND_TITLE && (all || pl_recipe_keys[i].fixed))
            status = write_difference(&pl_recipe_keys[i], before, now, all, out, count, err);
    return status;
}

/* What stands for a value in the help: its limit or its kind. */
static const char *kind_text(const pl_recipe_key *key)
{
    static const char *const texts[] = {
        [PL_KIND_TEXT] = "TEXT",
        [PL_KIND_PATH] = "PATH",
        [PL_KIND_NAME] = "NAME",
        [PL_KIND_BYTES] = "BYTES",
        [PL_KIND_FLAG] = "true|false",
        [PL_KIND_WORDS] = "[TEXT, ...]",
        [PL_KIND_SOURCES] = "[SOURCE, ...]",
        [PL_KIND_GROUPS] = "[GROUP, ...]",
        [PL_KIND_TABLE] = "{...}",
        [PL_KIND_SPAN] = "STEPS or part",
    };
    if (key->kind == PL_KIND_CHOICE || key->kind == PL_KIND_COUNT || key->kind == PL_KIND_NUMBER)
        return key->limit;
    return texts[key->kind];
}

static pali_status write_help(const pl_recipe_key *key, const char *indent, pl_buffer *out, pali_error *err)
{
    const bool shown = *key->initial && key->kind != PL_KIND_FLAG && strcmp(key->initial, "0") != 0;
    return pl_buffer_printf(out, err, "%s%s=%s\n%s    %s%s%s%s\n", indent, key->name, kind_text(key), indent, key->help, shown ? " (" : "", shown ? key->initial : "", shown ? ")" : "");
}

static pali_status help_parts(const char *what, const pl_recipe_key *keys, size_t count, pl_buffer *out, pali_error *err)
{
    pali_status status = pl_buffer_printf(out, err, "\n%s\n", what);
    for (size_t i = 0; i < count && status == PALI_OK; i++)
        status = write_help(&keys[i], "  ", out, err);
    return status;
}

pali_status pl_recipe_help(pl_buffer *out, pali_error *err)
{
    pali_status status = PALI_OK;
    for (size_t i = 0; i < pl_recipe_key_count && status == PALI_OK; i++)
        if (pl_recipe_keys[i].kind == PL_KIND_TITLE)
            status = pl_buffer_printf(out, err, "%s%s\n", i ? "\n" : "", pl_recipe_keys[i].help);
        else
            status = write_help(&pl_recipe_keys[i], "  ", out, err);
    if (status == PALI_OK)
        status = help_parts("A source (of data, validation)", pl_source_keys, pl_source_key_count, out, err);
    return status == PALI_OK ? help_parts("A group (of groups)", pl_group_keys, pl_group_key_count, out, err) : status;
}
