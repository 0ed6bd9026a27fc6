/*
 * YAML (1.1, through libyaml) as a tree of texts, lists and maps, each with the
 * place where it stands. What a text means, number or word, is the reader's to
 * say: "no" and "1e-5" are what they look like. Not taken: anchors, aliases,
 * tags, several documents, keys that are no texts or stand twice in one map.
 */
#ifndef PL_FORMATS_YAML_H
#define PL_FORMATS_YAML_H

#include "base/text.h"

typedef enum pl_yaml_kind {
    PL_YAML_TEXT,
    PL_YAML_LIST,
    PL_YAML_MAP,
} pl_yaml_kind;

typedef struct pl_yaml {
    pl_yaml_kind kind;
    bool quoted;               /* a text that was quoted, or is a block */
    char *key;                 /* of a member of a map; owned */
    char *text;                /* of a text; owned, UTF-8 */
    const char *name;          /* the file, as messages have it; borrowed from who parsed */
    size_t line, column;       /* of the value, from 1; line 0: `name` is place enough */
    size_t key_line, key_column;
    size_t count;              /* of items or members */
    struct pl_yaml *first, *last; /* these; owned */
    struct pl_yaml *next;      /* beside this one */
} pl_yaml;

/*
 * The tree of a text of `size` bytes; an empty one is an empty map. NULL, with
 * PALI_USAGE and "name:line:column: ...", for what is no YAML or not taken.
 * `name` must stay until the tree is freed.
 */
pl_yaml *pl_yaml_parse(const char *text, size_t size, const char *name, pali_error *err);

/* A text node that stands nowhere; `name` as above. */
pl_yaml *pl_yaml_new_text(const char *text, const char *name, pali_error *err);

/* With all below it, and the nodes beside it. */
void pl_yaml_free(pl_yaml *node);

/* Puts an item, or a member that has its key, at the end of a list or map, which owns it then. */
void pl_yaml_append(pl_yaml *parent, pl_yaml *child);

/* The member of that key, or NULL. */
pl_yaml *pl_yaml_member(const pl_yaml *map, const char *key);

/* True for a plain null or ~. */
bool pl_yaml_is_null(const pl_yaml *node);

/* A number as YAML and C write it, without white space, words or hexadecimal digits. */
bool pl_yaml_number(const char *text, double *value);

/* true, false, yes, no, on, off, in any case. */
bool pl_yaml_flag(const char *text, bool *value);

/* "name:line:column", or "name" alone. Writes into buf and returns it. */
const char *pl_yaml_place(const pl_yaml *node, char buf[256]);

/* The same of its key, where it has one in a file. */
const char *pl_yaml_key_place(const pl_yaml *node, char buf[256]);

/* Appends a text so that it reads back as that text, plain or quoted, also as a key. It must be UTF-8. */
pali_status pl_yaml_write_text(pl_buffer *out, const char *text, pali_error *err);

/*
 * Appends a tree as JSON on one line, which is YAML as well: plain null, true, false and
 * numbers are that, all else is text.
 */
pali_status pl_yaml_write_json(pl_buffer *out, const pl_yaml *node, pali_error *err);

#endif
