/* The keys of a recipe as a table, and what can be done with the value of one. */
#ifndef PL_TRAIN_RECIPE_KEY_H
#define PL_TRAIN_RECIPE_KEY_H

#include "formats/yaml.h"
#include "train/recipe.h"

typedef enum pl_recipe_kind {
    PL_KIND_TITLE, /* of a part of the list; only `help` means something */
    PL_KIND_TEXT,
    PL_KIND_PATH,
    PL_KIND_NAME,
    PL_KIND_CHOICE,
    PL_KIND_COUNT,
    PL_KIND_BYTES,
    PL_KIND_NUMBER,
    PL_KIND_SPAN,
    PL_KIND_FLAG,
    PL_KIND_WORDS,
    PL_KIND_SOURCES,
    PL_KIND_GROUPS,
    PL_KIND_TABLE,
} pl_recipe_kind;

typedef struct pl_recipe_key {
    const char *name; /* "lora.rank" */
    pl_recipe_kind kind;
    size_t place; /* offset in the struct */
    const char *initial, *limit, *help;
    bool fixed; /* must not differ in a run that is resumed */
} pl_recipe_key;

/* Of the recipe, of a source, of a group. */
extern const pl_recipe_key pl_recipe_keys[], pl_source_keys[], pl_group_keys[];
extern const size_t pl_recipe_key_count, pl_source_key_count, pl_group_key_count;

/* The place of a key in pl_recipe_keys, or SIZE_MAX. */
size_t pl_recipe_find(const char *name);

/*
 * Fills in what follows from other values, and refuses what cannot go with them.
 * given [pl_recipe_key_count] has the node of each key that was given, for the
 * place in messages; name is the file's, or NULL.
 */
pali_status pl_recipe_settle(pl_recipe *recipe, const pl_yaml *const *given, const char *name, pali_error *err);

/* The file that nodes of this name are of: relative paths in it are of its folder, all others of the current one. */
typedef struct pl_recipe_file {
    const char *name;   /* the very pointer of its nodes */
    const char *folder; /* a real path; NULL: the current one */
} pl_recipe_file;

/* Stores what the node says, in place of what is there. PALI_USAGE where it is none of the kind, or out of its limit. `file` may be NULL. */
pali_status pl_value_read(const pl_recipe_key *key, const pl_yaml *node, const pl_recipe_file *file, void *place, pali_error *err);

/* Stores the default. */
pali_status pl_value_default(const pl_recipe_key *key, void *place, pali_error *err);

void pl_value_free(const pl_recipe_key *key, void *place);

/* Appends the value as YAML on one line; of sources and groups only what is not the default. */
pali_status pl_value_write(const pl_recipe_key *key, const void *place, pl_buffer *out, pali_error *err);

/* ", did you mean NAME?" for a key that is not in the list, or "". Writes into buf and returns it. */
const char *pl_key_suggest(const pl_recipe_key *keys, size_t count, const char *name, char buf[128]);

#endif
