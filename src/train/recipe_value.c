/* Values of a recipe: from a node to their place, kind by kind, and their release. */
#include "train/recipe_key.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

#define PART_KEY(part, kind_, field_, initial_, limit_, help_) \
    {.name = #field_, .kind = PL_KIND_##kind_, .place = offsetof(part, field_), .initial = initial_, .limit = limit_, .help = help_},
#define SOURCE_KEY(...) PART_KEY(pl_recipe_source, __VA_ARGS__)
#define GROUP_KEY(...)  PART_KEY(pl_recipe_group, __VA_ARGS__)
#define FREE            false
#define FIXED           true
#define TITLE(text)     {.kind = PL_KIND_TITLE, .help = text},
#define RECIPE_KEY(kind_, field_, name_, initial_, limit_, change, help_) \
    {.name = name_, .kind = PL_KIND_##kind_, .place = offsetof(pl_recipe, field_), .initial = initial_, .limit = limit_, .help = help_, .fixed = change},

const pl_recipe_key pl_source_keys[] = {PL_SOURCE_KEYS(SOURCE_KEY)};
const pl_recipe_key pl_group_keys[] = {PL_GROUP_KEYS(GROUP_KEY)};
const pl_recipe_key pl_recipe_keys[] = {PL_RECIPE_KEYS(TITLE, RECIPE_KEY)};
const size_t pl_source_key_count = sizeof pl_source_keys / sizeof *pl_source_keys;
const size_t pl_group_key_count = sizeof pl_group_keys / sizeof *pl_group_keys;
const size_t pl_recipe_key_count = sizeof pl_recipe_keys / sizeof *pl_recipe_keys;

/* What other trainers call it, where no letters tell. */
static const struct {
    const char *name, *key;
} elsewhere[] = {
    {"learning_rate", "lr"}, {"batch_size", "batch"}, {"per_device_train_batch_size", "micro_batch"}, {"num_train_epochs", "epochs"}, {"num_epochs", "epochs"},
    {"max_steps", "steps"}, {"total_steps", "steps"}, {"output_dir", "out"}, {"output", "out"}, {"output_path", "out"}, {"warmup_ratio", "warmup"}, {"warmup_steps", "warmup"},
    {"lr_scheduler_type", "schedule"}, {"max_grad_norm", "clip"}, {"max_length", "text_length"}, {"gradient_checkpointing", "checkpointing"}, {"gradient_accumulation_steps", "micro_batch"},
    {"eval_steps", "eval_every"}, {"save_steps", "save_every"}, {"logging_steps", "log_every"}, {"train_data", "data"}, {"dataset", "data"}, {"lora_r", "lora.rank"}, {"r", "lora.rank"},
    {"target_modules", "lora.targets"}, {"eval_data", "validation"}, {"val_data", "validation"}, {"precision_type", "precision"}, {"prompt", "prefix"},
};

const char *pl_key_suggest(const pl_recipe_key *keys, size_t count, const char *name, char buf[128])
{
    const char *nearest = NULL;
    size_t best = 3;
    for (size_t i = 0; i < count; i++) {
        if (keys[i].kind == PL_KIND_TITLE)
            continue;
        const char *const last = strrchr(keys[i].name, '.');
        size_t distance = pl_edit_distance(name, keys[i].name);
        if (last && strcmp(last + 1, name) == 0) /* "rank" for "lora.rank" */
            distance = 1;
        if (distance < best && distance < strlen(keys[i].name)) {
            best = distance;
            nearest = keys[i].name;
        }
    }
    for (size_t i = 0; !nearest && i < sizeof elsewhere / sizeof *elsewhere; i++)
        for (size_t k = 0; strcmp(name, elsewhere[i].name) == 0 && k < count; k++)
            if (keys[k].kind != PL_KIND_TITLE && strcmp(keys[k].name, elsewhere[i].key) == 0)
                nearest = keys[k].name;
    snprintf(buf, 128, "%s%s%s", nearest ? ", did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
    return buf;
}

/* ---- Errors ----------------------------------------------------------- */

/* "recipe.yaml:3:5: lr: found 'fast', expected a number from 0 to 1000" */
static pali_status refuse(const pl_recipe_key *key, const pl_yaml *node, const char *expected, pali_error *err)
{
    char place[256], shown[80];
    pl_yaml_place(node, place);
    if (node->kind != PL_YAML_TEXT)
        return pl_fail(err, PALI_USAGE, "%s: %s: found a %s, expected %s", place, key->name, node->kind == PL_YAML_LIST ? "list" : "map", expected);
    if (!*node->text && !node->quoted)
        return pl_fail(err, PALI_USAGE, "%s: %s: no value, expected %s (null: the default)", place, key->name, expected);
    return pl_fail(err, PALI_USAGE, "%s: %s: found %s, expected %s", place, key->name, pl_printable(node->text, strlen(node->text), shown), expected);
}

/* ---- Single values ---------------------------------------------------- */

static bool is_text(const pl_yaml *node)
{
    return node->kind == PL_YAML_TEXT && (node->quoted || *node->text);
}

/* Takes over `text`, which may be NULL after a failed allocation. */
static pali_status keep_text(char *text, char **place)
{
    if (!text)
        return PALI_MEMORY;
    free(*place);
    *place = text;
    return PALI_OK;
}

/* folder/path with a leading "./" and "../" worked off: the folder is a real path. New. */
static char *absolute_path(const char *folder, const char *path, pali_error *err)
{
    char current[PATH_MAX];
    if (*path == '/')
        return pl_strdup(path, err);
    if (!folder && !getcwd(current, sizeof current)) {
        pl_fail(err, PALI_FAILED, "the current folder cannot be told, expected absolute paths");
        return NULL;
    }
    const char *const base = folder ? folder : current;
    size_t length = strlen(base);
    for (;;) {
        if (strncmp(path, "./", 2) == 0)
            path += 2;
        else if (strcmp(path, ".") == 0)
            path++;
        else if (strncmp(path, "../", 3) == 0 || strcmp(path, "..") == 0) {
            path += path[2] ? 3 : 2;
            while (length > 1 && base[--length] != '/')
                ;
        } else
            break;
        path += strspn(path, "/");
    }
    if (length > 0 && base[length - 1] == '/')
        length--;
    if (!*path)
        return length ? pl_strndup(base, length, err) : pl_strdup("/", err);
    return pl_format(err, "%.*s/%s", (int)length, base, path);
}

static bool is_utf8(const char *text)
{
    uint32_t code;
    bool valid = true;
    for (size_t left = strlen(text), bytes; valid && left; text += bytes, left -= bytes)
        bytes = pl_utf8_read(text, left, &code, &valid);
    return valid;
}

static pali_status read_path(const pl_recipe_key *key, const pl_yaml *node, const pl_recipe_file *file, char **place, pali_error *err)
{
    if (!is_text(node) || !*node->text)
        return refuse(key, node, key->kind == PL_KIND_NAME ? "a path or a name" : "a path", err);
    char *const path = absolute_path(file && file->name == node->name ? file->folder : NULL, node->text, err);
    if (path && !is_utf8(path)) { /* its folder: it could not be written */
        free(path);
        return refuse(key, node, "a path that is UTF-8 from the root on", err);
    }
    const bool is_path = key->kind == PL_KIND_PATH || *node->text == '/' || *node->text == '.';
    if (!path || is_path || access(path, F_OK) == 0)
        return keep_text(path, place);
    free(path);
    return keep_text(pl_strdup(node->text, err), place);
}

static pali_status read_choice(const pl_recipe_key *key, const pl_yaml *node, char **place, pali_error *err)
{
    const size_t length = is_text(node) ? strlen(node->text) : 0;
    for (const char *word = key->limit; length && *word;) {
        const size_t size = strcspn(word, "|");
        if (size == length && memcmp(word, node->text, size) == 0)
            return keep_text(pl_strdup(node->text, err), place);
        word += size + (word[size] == '|');
    }
    char expected[160];
    snprintf(expected, sizeof expected, "one of %s", key->limit);
    return refuse(key, node, expected, err);
}

/* The two ends of "least..most", where there are any. */
static void read_limit(const char *limit, double *least, double *most)
{
    const char *const dots = strstr(limit, "..");
    *least = dots && dots != limit ? strtod(limit, NULL) : -HUGE_VAL;
    *most = dots && dots[2] ? strtod(dots + 2, NULL) : HUGE_VAL;
}

static pali_status refuse_number(const pl_recipe_key *key, const pl_yaml *node, const char *what, pali_error *err)
{
    char expected[160];
    double least, most;
    read_limit(key->limit, &least, &most);
    if (isfinite(most))
        snprintf(expected, sizeof expected, "%s from %.10g to %.10g", what, least, most);
    else
        snprintf(expected, sizeof expected, isfinite(least) ? "%s from %.10g on" : "%s", what, least);
    return refuse(key, node, expected, err);
}

static pali_status read_number(const pl_recipe_key *key, const pl_yaml *node, double *place, pali_error *err)
{
    double value, least, most;
    read_limit(key->limit, &least, &most);
    const bool is_span = key->kind == PL_KIND_SPAN;
    if (!is_text(node) || !pl_yaml_number(node->text, &value) || value < least || value > most || (is_span && value >= 1 && (value != floor(value) || value > 1e15)))
        return refuse_number(key, node, is_span ? "a part of all steps below 1, or a whole number of them," : "a number", err);
    *place = value == 0 ? 0 : value; /* not -0, which would be written with its sign */
    return PALI_OK;
}

/* Digits, and what follows them. */
static bool read_digits(const char *text, uint64_t *value, const char **rest)
{
    *value = 0;
    const size_t length = strspn(text, "0123456789");
    for (size_t i = 0; i < length; i++)
        if (__builtin_mul_overflow(*value, 10, value) || __builtin_add_overflow(*value, (uint64_t)(text[i] - '0'), value))
            return false;
    *rest = text + length;
    return length > 0;
}

static pali_status read_count(const pl_recipe_key *key, const pl_yaml *node, uint64_t *place, pali_error *err)
{
    double least, most;
    read_limit(key->limit, &least, &most);
    uint64_t value;
    const char *rest;
    if (!is_text(node) || !read_digits(node->text, &value, &rest) || *rest || (double)value < least || (double)value > most)
        return refuse_number(key, node, "a whole number", err);
    *place = value;
    return PALI_OK;
}

static pali_status read_bytes(const pl_recipe_key *key, const pl_yaml *node, uint64_t *place, pali_error *err)
{
    static const struct {
        const char *name;
        double bytes;
    } units[] = {{"", 1}, {"B", 1}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"KiB", 1024.0}, {"MiB", 1048576.0}, {"GiB", 1073741824.0}, {"TiB", 1099511627776.0}};
    const char *const text = is_text(node) ? node->text : "";
    const size_t digits = strspn(text, "0123456789.");
    char number[32];
    double value = 0;
    const char *const unit = text + digits + (text[digits] == ' ');
    if (digits > 0 && digits < sizeof number) {
        memcpy(number, text, digits);
        number[digits] = '\0';
        for (size_t i = 0; i < sizeof units / sizeof *units; i++)
            if (strcmp(unit, units[i].name) == 0 && pl_yaml_number(number, &value) && value * units[i].bytes < 9e15) { /* so that it is exact */
                *place = (uint64_t)(value * units[i].bytes);
                return PALI_OK;
            }
    }
    return refuse(key, node, "bytes, such as 800 MB or 12 GB", err);
}

/* ---- Lists ------------------------------------------------------------ */

static void free_words(pl_recipe_words *words)
{
    for (size_t i = 0; i < words->count; i++)
        free(words->items[i]);
    free(words->items);
    *words = (pl_recipe_words){0};
}

static pali_status read_words(const pl_recipe_key *key, const pl_yaml *node, pl_recipe_words *place, pali_error *err)
{
    const bool is_list = node->kind == PL_YAML_LIST;
    const pl_yaml *item = is_list ? node->first : node;
    const size_t count = is_list ? node->count : 1;
    pl_recipe_words words = {.items = pl_new(count, sizeof *words.items, key->name, err)};
    if (!words.items)
        return PALI_MEMORY;
    pali_status status = PALI_OK;
    for (; words.count < count && status == PALI_OK; item = item->next) {
        if (!is_text(item) || !*item->text) {
            status = refuse(key, item, "a text, or a list of texts", err);
            break;
        }
        status = keep_text(pl_strdup(item->text, err), &words.items[words.count]);
        words.count += status == PALI_OK;
    }
    if (status != PALI_OK) {
        free_words(&words);
        return status;
    }
    free_words(place);
    *place = words;
    return PALI_OK;
}

/* What sources and groups are made of. */
typedef struct part {
    const pl_recipe_key *keys; /* [count] */
    size_t count, size;        /* bytes of one */
    const char *what, *needed; /* the key that must be there */
} part;

static part part_of(pl_recipe_kind kind)
{
    if (kind == PL_KIND_SOURCES)
        return (part){pl_source_keys, pl_source_key_count, sizeof(pl_recipe_source), "a path or a map of path, images, ...", "path"};
    return (part){pl_group_keys, pl_group_key_count, sizeof(pl_recipe_group), "a map of match, lr, ...", "match"};
}

static void free_item(const part *p, char *item)
{
    for (size_t i = 0; i < p->count; i++)
        pl_value_free(&p->keys[i], item + p->keys[i].place);
}

static void free_items(const part *p, void *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free_item(p, (char *)items + i * p->size);
    free(items);
}

static const pl_recipe_key *find_key(const part *p, const char *name)
{
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->keys[i].name, name) == 0)
            return &p->keys[i];
    return NULL;
}

static pali_status read_member(const pl_recipe_key *list, const part *p, const pl_yaml *member, const pl_recipe_file *file, char *item, pali_error *err)
{
    const pl_recipe_key *const key = find_key(p, member->key);
    char place[256], shown[80], hint[128];
    if (!key)
        return pl_fail(err, PALI_USAGE, "%s: %s: unknown key %s%s", pl_yaml_key_place(member, place), list->name, pl_printable(member->key, strlen(member->key), shown),
                       pl_key_suggest(p->keys, p->count, member->key, hint));
    return pl_yaml_is_null(member) ? PALI_OK : pl_value_read(key, member, file, item + key->place, err);
}

/* One source or group. */
static pali_status read_item(const pl_recipe_key *list, const part *p, const pl_yaml *node, const pl_recipe_file *file, char *item, pali_error *err)
{
    const pl_recipe_key *const needed = find_key(p, p->needed);
    pali_status status = PALI_OK;
    for (size_t i = 0; i < p->count && status == PALI_OK; i++)
        status = pl_value_default(&p->keys[i], item + p->keys[i].place, err);
    if (status != PALI_OK)
        return status;
    if (list->kind == PL_KIND_SOURCES && is_text(node))
        return pl_value_read(needed, node, file, item + needed->place, err);
    if (node->kind != PL_YAML_MAP)
        return refuse(list, node, p->what, err);
    for (const pl_yaml *member = node->first; member && status == PALI_OK; member = member->next)
        status = read_member(list, p, member, file, item, err);
    if (status != PALI_OK)
        return status;
    const pl_yaml *const member = pl_yaml_member(node, p->needed);
    char place[256];
    if (!member || pl_yaml_is_null(member) || (member->kind == PL_YAML_LIST && member->count == 0))
        return pl_fail(err, PALI_USAGE, "%s: %s: %s is missing", pl_yaml_place(member ? member : node, place), list->name, p->needed);
    return PALI_OK;
}

static pali_status read_items(const pl_recipe_key *list, const pl_yaml *node, const pl_recipe_file *file, void **items, size_t *count, pali_error *err)
{
    const part p = part_of(list->kind);
    const bool is_list = node->kind == PL_YAML_LIST;
    const pl_yaml *item = is_list ? node->first : node;
    const size_t total = is_list ? node->count : 1;
    char *const fresh = pl_new(total, p.size, list->name, err);
    pali_status status = fresh ? PALI_OK : PALI_MEMORY;
    for (size_t i = 0; i < total && status == PALI_OK; i++, item = item->next)
        status = read_item(list, &p, item, file, fresh + i * p.size, err);
    if (status != PALI_OK) {
        free_items(&p, fresh, fresh ? total : 0);
        return status;
    }
    free_items(&p, *items, *count);
    *items = fresh;
    *count = total;
    return PALI_OK;
}

/* ---- Any value -------------------------------------------------------- */

static pali_status read_table(const pl_recipe_key *key, const pl_yaml *node, char **place, pali_error *err)
{
    if (node->kind != PL_YAML_MAP)
        return refuse(key, node, "a map", err);
    pl_buffer json = {0};
    const pali_status status = pl_yaml_write_json(&json, node, err);
    if (status == PALI_OK)
        return keep_text(json.data, place);
    free(json.data);
    return status;
}

pali_status pl_value_read(const pl_recipe_key *key, const pl_yaml *node, const pl_recipe_file *file, void *place, pali_error *err)
{
    switch (key->kind) {
    case PL_KIND_TITLE:
        break;
    case PL_KIND_TEXT:
        return is_text(node) ? keep_text(pl_strdup(node->text, err), place) : refuse(key, node, "a text", err);
    case PL_KIND_PATH:
    case PL_KIND_NAME:
        return read_path(key, node, file, place, err);
    case PL_KIND_CHOICE:
        return read_choice(key, node, place, err);
    case PL_KIND_COUNT:
        return read_count(key, node, place, err);
    case PL_KIND_BYTES:
        return read_bytes(key, node, place, err);
    case PL_KIND_NUMBER:
    case PL_KIND_SPAN:
        return read_number(key, node, place, err);
    case PL_KIND_FLAG:
        return is_text(node) && pl_yaml_flag(node->text, place) ? PALI_OK : refuse(key, node, "true or false", err);
    case PL_KIND_WORDS:
        return read_words(key, node, place, err);
    case PL_KIND_SOURCES: {
        pl_recipe_sources *const list = place;
        void *items = list->items;
        const pali_status status = read_items(key, node, file, &items, &list->count, err);
        list->items = items;
        return status;
    }
    case PL_KIND_GROUPS: {
        pl_recipe_groups *const list = place;
        void *items = list->items;
        const pali_status status = read_items(key, node, file, &items, &list->count, err);
        list->items = items;
        return status;
    }
    case PL_KIND_TABLE:
        return read_table(key, node, place, err);
    }
    return PALI_OK;
}

pali_status pl_value_default(const pl_recipe_key *key, void *place, pali_error *err)
{
    pl_value_free(key, place);
    if (key->kind == PL_KIND_TITLE)
        return PALI_OK;
    if (!*key->initial) {
        if (key->kind == PL_KIND_NUMBER || key->kind == PL_KIND_SPAN)
            *(double *)place = NAN;
        return PALI_OK;
    }
    pl_yaml *const node = pl_yaml_new_text(key->initial, key->name, err);
    const pali_status status = node ? pl_value_read(key, node, NULL, place, err) : PALI_MEMORY;
    pl_yaml_free(node);
    return status;
}

void pl_value_free(const pl_recipe_key *key, void *place)
{
    const part p = part_of(key->kind);
    switch (key->kind) {
    case PL_KIND_TEXT:
    case PL_KIND_PATH:
    case PL_KIND_NAME:
    case PL_KIND_CHOICE:
    case PL_KIND_TABLE:
        free(*(char **)place);
        *(char **)place = NULL;
        break;
    case PL_KIND_WORDS:
        free_words(place);
        break;
    case PL_KIND_SOURCES: {
        pl_recipe_sources *const list = place;
        free_items(&p, list->items, list->count);
        *list = (pl_recipe_sources){0};
        break;
    }
    case PL_KIND_GROUPS: {
        pl_recipe_groups *const list = place;
        free_items(&p, list->items, list->count);
        *list = (pl_recipe_groups){0};
        break;
    }
    case PL_KIND_COUNT:
    case PL_KIND_BYTES:
        *(uint64_t *)place = 0;
        break;
    case PL_KIND_NUMBER:
    case PL_KIND_SPAN:
        *(double *)place = 0;
        break;
    case PL_KIND_FLAG:
        *(bool *)place = false;
        break;
    case PL_KIND_TITLE:
        break;
    }
}
