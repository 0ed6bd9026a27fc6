/*
 * A recipe from its file and arguments: every value found is put beside its key
 * (arguments after the file), then read, then settled with the others
 * (recipe_settle.c).
 */
#include "train/recipe_key.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { MOST_RECIPE = 4 << 20 };

#define ONE_MORE(...) +1
enum { KEYS = 0 PL_RECIPE_KEYS(ONE_MORE, ONE_MORE) }; /* pl_recipe_key_count, for the compiler */

typedef struct reading {
    const pl_yaml *given[KEYS]; /* by key; owned by the trees */
    bool by_argument[KEYS];
    pl_yaml **trees; /* [tree_count] owned: the file's, then the arguments' */
    char **names;    /* [tree_count] owned, "argument 'lr=1'" */
    size_t tree_count;
    const char *folder; /* of the file; NULL: the current one */
    pali_error *err;
} reading;

/* ---- What stands beside which key ------------------------------------- */

size_t pl_recipe_find(const char *name)
{
    for (size_t i = 0; i < pl_recipe_key_count; i++)
        if (pl_recipe_keys[i].name && strcmp(pl_recipe_keys[i].name, name) == 0)
            return i;
    return SIZE_MAX;
}

/* "lora" is where keys stand, and none itself. */
static bool is_group_of_keys(const char *name)
{
    const size_t length = strlen(name);
    for (size_t i = 0; i < pl_recipe_key_count; i++)
        if (pl_recipe_keys[i].name && strncmp(pl_recipe_keys[i].name, name, length) == 0 && pl_recipe_keys[i].name[length] == '.')
            return true;
    return false;
}

static pali_status refuse_unknown(const reading *r, const pl_yaml *node, const char *name)
{
    char place[256], shown[80], hint[128];
    if (is_group_of_keys(name))
        return pl_fail(r->err, PALI_USAGE, "%s: %s: expected a map of keys, or one of them, %s.KEY", pl_yaml_key_place(node, place), name, name);
    return pl_fail(r->err, PALI_USAGE, "%s: unknown key %s%s", pl_yaml_key_place(node, place), pl_printable(name, strlen(name), shown),
                   pl_key_suggest(pl_recipe_keys, pl_recipe_key_count, name, hint));
}

static pali_status give(reading *r, size_t key, const pl_yaml *node, bool by_argument)
{
    const pl_yaml *const twin = r->given[key];
    char place[256], other[256];
    if (twin && by_argument == r->by_argument[key])
        return pl_fail(r->err, PALI_USAGE, "%s: %s is given again, after %s", pl_yaml_key_place(node, place), pl_recipe_keys[key].name, pl_yaml_key_place(twin, other));
    r->given[key] = node;
    r->by_argument[key] = by_argument;
    return PALI_OK;
}

/* The members of a map whose keys stand behind `prefix` ("lora." or ""). */
static pali_status give_members(reading *r, const pl_yaml *map, const char *prefix, bool by_argument)
{
    pali_status status = PALI_OK;
    for (const pl_yaml *at = map->first; at && status == PALI_OK; at = at->next) {
        char *const name = pl_format(r->err, "%s%s", prefix, at->key);
        if (!name)
            return PALI_MEMORY;
        const size_t key = pl_recipe_find(name);
        if (key != SIZE_MAX)
            status = give(r, key, at, by_argument);
        else if (is_group_of_keys(name) && at->kind == PL_YAML_MAP) {
            char *const inner = pl_format(r->err, "%s.", name);
            status = inner ? give_members(r, at, inner, by_argument) : PALI_MEMORY;
            free(inner);
        } else if (is_group_of_keys(name)) {
            char place[256];
            status = pl_fail(r->err, PALI_USAGE, "%s: %s: expected a map of keys", pl_yaml_place(at, place), name);
        } else
            status = refuse_unknown(r, at, name);
        free(name);
    }
    return status;
}

/* ---- Arguments -------------------------------------------------------- */

/* Keeps a tree (NULL: its making failed) until the end. */
static pali_status keep_tree(reading *r, pl_yaml *tree)
{
    if (!tree)
        return pl_status_of(r->err, PALI_USAGE);
    r->trees[r->tree_count] = tree;
    return PALI_OK;
}

/* What `part` of a dotted path leads to; NULL: there is none. Where a list may stand, one thing alone is its item 0. */
static pl_yaml *step_into(pl_yaml *node, const char *part, bool may_be_list)
{
    pl_yaml *const member = node->kind == PL_YAML_MAP ? pl_yaml_member(node, part) : NULL;
    if (node->kind != PL_YAML_LIST)
        return member || !may_be_list || strcmp(part, "0") != 0 ? member : node;
    char *end;
    const size_t index = strtoul(part, &end, 10);
    pl_yaml *at = *part >= '0' && *part <= '9' && !*end ? node->first : NULL;
    for (size_t i = 0; at && i < index; i++)
        at = at->next;
    return at;
}

/* Puts what `value` is in the place of `old`, which keeps its key and neighbours. Takes over `value`. */
static void replace(pl_yaml *old, pl_yaml *value)
{
    const pl_yaml was = *old;
    *old = *value;
    old->key = was.key;
    old->key_line = was.key_line;
    old->key_column = was.key_column;
    old->next = was.next;
    *value = (pl_yaml){.first = was.first, .text = was.text};
    pl_yaml_free(value);
}

/* A source that is a path alone becomes a map, so that it can be given more. */
static pali_status widen(pl_yaml *node, pali_error *err)
{
    pl_yaml *const path = pl_yaml_new_text(node->text, node->name, err);
    char *const key = pl_strdup("path", err);
    if (!path || !key) {
        pl_yaml_free(path);
        free(key);
        return PALI_MEMORY;
    }
    free(node->text);
    node->text = NULL;
    node->kind = PL_YAML_MAP;
    path->key = key;
    path->quoted = node->quoted;
    pl_yaml_append(node, path);
    return PALI_OK;
}

/* Walks `path` ("0.weight") into the value of a key and puts `value` there; *taken where it is not the caller's any more. */
static pali_status edit_at(const reading *r, size_t key, char *path, pl_yaml *value, bool *taken)
{
    const pl_recipe_key *const of = &pl_recipe_keys[key];
    pl_yaml *node = (pl_yaml *)r->given[key]; /* of a tree of ours */
    char shown[80];
    if (!node)
        return pl_fail(r->err, PALI_USAGE, "%s: %s is not there to be changed", value->name, of->name);
    while (*path) {
        char *const part = path;
        path += strcspn(path, ".");
        if (*path)
            *path++ = '\0';
        if (node->kind == PL_YAML_TEXT && of->kind == PL_KIND_SOURCES && strcmp(part, "0") != 0 && widen(node, r->err) != PALI_OK)
            return PALI_MEMORY;
        pl_yaml *const inner = step_into(node, part, of->kind != PL_KIND_TABLE && node == r->given[key]);
        if (!inner && node->kind == PL_YAML_MAP && *part && !*path) { /* a member more */
            value->key = pl_strdup(part, r->err);
            *taken = value->key != NULL;
            if (*taken)
                pl_yaml_append(node, value);
            return *taken ? PALI_OK : PALI_MEMORY;
        }
        if (!inner)
            return pl_fail(r->err, PALI_USAGE, "%s: %s has no %s%s", value->name, of->name, node->kind == PL_YAML_LIST ? "item " : "", pl_printable(part, strlen(part), shown));
        node = inner;
    }
    replace(node, value);
    *taken = true;
    return PALI_OK;
}

/* "data.0.weight=2", "model_config.text_config.hidden_size=64": into a value that is there. Takes over `value`. */
static pali_status edit(const reading *r, size_t key, char *path, pl_yaml *value)
{
    bool taken = false;
    const pali_status status = edit_at(r, key, path, value, &taken);
    if (!taken)
        pl_yaml_free(value);
    return status;
}

/* The kind of what `path` ("0.prefix") leads to within sources or groups. */
static pl_recipe_kind part_kind(pl_recipe_kind list, const char *path)
{
    const char *const dot = strrchr(path, '.'), *const name = dot ? dot + 1 : path;
    const pl_recipe_key *const keys = list == PL_KIND_SOURCES ? pl_source_keys : pl_group_keys;
    const size_t count = list == PL_KIND_SOURCES ? pl_source_key_count : list == PL_KIND_GROUPS ? pl_group_key_count
                                                                                                : 0;
    for (size_t i = 0; i < count; i++)
        if (strcmp(keys[i].name, name) == 0)
            return keys[i].kind;
    return PL_KIND_TABLE;
}

/* Texts and paths are what they are; all else may be YAML in brackets. `path` is what follows the key, or NULL. */
static pl_yaml *argument_value(const reading *r, size_t key, const char *path, const char *text, const char *name)
{
    pl_recipe_kind kind = key == SIZE_MAX ? PL_KIND_TABLE : pl_recipe_keys[key].kind;
    if (path)
        kind = part_kind(kind, path);
    if (kind == PL_KIND_TEXT || kind == PL_KIND_PATH || kind == PL_KIND_NAME || (*text != '[' && *text != '{'))
        return pl_yaml_new_text(text, name, r->err);
    return pl_yaml_parse(text, strlen(text), name, r->err);
}

/* The longest key that `name` begins with and a dot follows; *rest is what comes after it. */
static size_t find_beginning(char *name, char **rest)
{
    for (char *dot = name + strlen(name); dot-- > name;)
        if (*dot == '.') {
            *dot = '\0';
            const size_t key = pl_recipe_find(name);
            const pl_recipe_kind kind = key == SIZE_MAX ? PL_KIND_TITLE : pl_recipe_keys[key].kind;
            if (kind == PL_KIND_SOURCES || kind == PL_KIND_GROUPS || kind == PL_KIND_TABLE) {
                *rest = dot + 1;
                return key;
            }
            *dot = '.';
        }
    return SIZE_MAX;
}

static pali_status give_argument(reading *r, char *key_text, const char *text, const char *name)
{
    char *rest = NULL;
    size_t key = pl_recipe_find(key_text);
    if (key == SIZE_MAX)
        key = find_beginning(key_text, &rest);
    pl_yaml *const value = argument_value(r, key, rest, text, name);
    if (!value)
        return pl_status_of(r->err, PALI_USAGE);
    if (rest && *rest)
        return edit(r, key, rest, value);
    const pali_status status = keep_tree(r, value);
    if (key != SIZE_MAX)
        return give(r, key, value, true);
    if (!is_group_of_keys(key_text) || value->kind != PL_YAML_MAP)
        return status == PALI_OK ? refuse_unknown(r, value, key_text) : status;
    char *const inner = pl_format(r->err, "%s.", key_text);
    const pali_status given = inner ? give_members(r, value, inner, true) : PALI_MEMORY;
    free(inner);
    return given;
}

static pali_status read_argument(reading *r, const char *argument)
{
    char shown[80];
    pl_printable(argument, strlen(argument), shown);
    const char *const equals = strchr(argument, '=');
    if (!equals || equals == argument)
        return pl_fail(r->err, PALI_USAGE, "argument %s: expected KEY=VALUE", shown);
    uint32_t code;
    bool valid = true;
    for (size_t at = 0, length = strlen(argument); at < length && valid;)
        at += pl_utf8_read(argument + at, length - at, &code, &valid);
    if (!valid)
        return pl_fail(r->err, PALI_USAGE, "argument %s: not UTF-8", shown);
    char *const name = r->names[r->tree_count] = pl_format(r->err, "argument %s", shown);
    char *const key = name ? pl_strndup(argument, (size_t)(equals - argument), r->err) : NULL;
    const pali_status status = key ? give_argument(r, key, equals + 1, name) : PALI_MEMORY;
    free(key);
    r->tree_count++;
    return status;
}

/* ---- Values ----------------------------------------------------------- */

static pali_status read_values(const reading *r, pl_recipe *recipe)
{
    pali_status status = PALI_OK;
    const pl_recipe_file file = {.name = r->names[0], .folder = r->folder};
    for (size_t i = 0; i < pl_recipe_key_count && status == PALI_OK; i++) {
        const pl_recipe_key *const key = &pl_recipe_keys[i];
        void *const place = (char *)recipe + key->place;
        const pl_yaml *const node = r->given[i];
        status = pl_value_default(key, place, r->err);
        if (status == PALI_OK && node && !pl_yaml_is_null(node))
            status = pl_value_read(key, node, &file, place, r->err);
    }
    return status;
}

/* ---- Together --------------------------------------------------------- */

static pali_status read_all(reading *r, pl_recipe *recipe, const char *text, size_t size, const char *name, const char *const *overrides, size_t count)
{
    r->trees = pl_new(count + 1, sizeof(pl_yaml *), "recipe", r->err);
    r->names = pl_new(count + 1, sizeof(char *), "recipe", r->err);
    if (!r->trees || !r->names)
        return PALI_MEMORY;
    pali_status status = PALI_OK;
    if (name && !(r->names[0] = pl_strdup(name, r->err)))
        return PALI_MEMORY;
    if (text)
        status = keep_tree(r, pl_yaml_parse(text, size, r->names[0], r->err));
    char place[256];
    if (status == PALI_OK && text && r->trees[0]->kind != PL_YAML_MAP && !pl_yaml_is_null(r->trees[0]))
        status = pl_fail(r->err, PALI_USAGE, "%s: expected a map of keys", pl_yaml_place(r->trees[0], place));
    if (status == PALI_OK && text)
        status = give_members(r, r->trees[0], "", false);
    r->tree_count = 1;
    for (size_t i = 0; i < count && status == PALI_OK; i++)
        status = read_argument(r, overrides[i]);
    if (status == PALI_OK)
        status = read_values(r, recipe);
    return status == PALI_OK ? pl_recipe_settle(recipe, r->given, r->names[0], r->err) : status;
}

pali_status pl_recipe_parse(pl_recipe *recipe, const char *text, size_t size, const char *name, const char *folder, const char *const *overrides, size_t override_count, pali_error *err)
{
    pali_error own = {0};
    reading r = {.folder = folder, .err = err ? err : &own};
    r.err->status = PALI_OK;
    const pali_status status = read_all(&r, recipe, text, size, name, overrides, override_count);
    for (size_t i = 0; i <= override_count; i++) {
        if (r.trees)
            pl_yaml_free(r.trees[i]);
        if (r.names)
            free(r.names[i]);
    }
    free(r.trees);
    free(r.names);
    return status;
}

pali_status pl_recipe_open(pl_recipe *recipe, const char *path, const char *const *overrides, size_t override_count, pali_error *err)
{
    if (!path)
        return pl_recipe_parse(recipe, NULL, 0, NULL, NULL, overrides, override_count, err);
    size_t size;
    char *const text = pl_file_read(path, MOST_RECIPE, &size, PALI_INPUT, err);
    if (!text)
        return pl_status_of(err, PALI_INPUT);
    char whole[PATH_MAX];
    char *const slash = strcmp(path, "-") != 0 && realpath(path, whole) ? strrchr(whole, '/') : NULL;
    if (slash)
        slash[slash == whole] = '\0';
    const pali_status status = pl_recipe_parse(recipe, text, size, path, slash ? whole : NULL, overrides, override_count, err);
    free(text);
    return status;
}

void pl_recipe_close(pl_recipe *recipe)
{
    for (size_t i = 0; i < pl_recipe_key_count; i++)
        pl_value_free(&pl_recipe_keys[i], (char *)recipe + pl_recipe_keys[i].place);
}
