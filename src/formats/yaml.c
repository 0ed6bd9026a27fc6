/*
 * YAML's events into a tree. libyaml does the grammar; the limits here (depth,
 * nodes, members, length of keys) keep what is hostile from costing more than
 * it is long.
 */
#include "formats/yaml.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

enum { MOST_DEPTH = 32,
       MOST_NODES = 100000,
       MOST_MEMBERS = 1000,
       MOST_KEY = 256 };

typedef struct reader {
    yaml_parser_t parser;
    const char *name;
    size_t nodes;
    pali_error *err;
} reader;

const char *pl_yaml_place(const pl_yaml *node, char buf[256])
{
    if (node->line)
        snprintf(buf, 256, "%s:%zu:%zu", node->name, node->line, node->column);
    else
        snprintf(buf, 256, "%s", node->name);
    return buf;
}

const char *pl_yaml_key_place(const pl_yaml *node, char buf[256])
{
    if (node->line && node->key_line)
        snprintf(buf, 256, "%s:%zu:%zu", node->name, node->key_line, node->key_column);
    else
        snprintf(buf, 256, "%s", node->name);
    return buf;
}

static pali_status refuse(const reader *r, yaml_mark_t mark, const char *what)
{
    return pl_fail(r->err, PALI_USAGE, "%s:%zu:%zu: %s", r->name, mark.line + 1, mark.column + 1, what);
}

static pali_status refuse_grammar(const reader *r)
{
    const yaml_parser_t *const p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return pl_fail_memory(r->err, r->name, 0);
    if (p->error == YAML_READER_ERROR)
        return pl_fail(r->err, PALI_USAGE, "%s: byte %zu: no YAML: %s", r->name, p->problem_offset, p->problem ? p->problem : "unreadable");
    const yaml_mark_t at = p->problem_mark;
    return pl_fail(r->err, PALI_USAGE, "%s:%zu:%zu: no YAML: %s%s%s", r->name, at.line + 1, at.column + 1, p->context ? p->context : "", p->context ? ", " : "",
                   p->problem ? p->problem : "unreadable");
}

static pali_status next_event(reader *r, yaml_event_t *event)
{
    return yaml_parser_parse(&r->parser, event) ? PALI_OK : refuse_grammar(r);
}

/* ---- Nodes ------------------------------------------------------------ */

void pl_yaml_free(pl_yaml *node)
{
    while (node) {
        pl_yaml *const next = node->next;
        pl_yaml_free(node->first); /* as deep as what was read: MOST_DEPTH */
        free(node->key);
        free(node->text);
        free(node);
        node = next;
    }
}

static pl_yaml *new_node(reader *r, pl_yaml_kind kind, yaml_mark_t mark)
{
    if (++r->nodes > MOST_NODES) {
        refuse(r, mark, "more values than a file like this can mean");
        return NULL;
    }
    pl_yaml *const node = pl_new(1, sizeof *node, r->name, r->err);
    if (node)
        *node = (pl_yaml){.kind = kind, .name = r->name, .line = mark.line + 1, .column = mark.column + 1};
    return node;
}

pl_yaml *pl_yaml_new_text(const char *text, const char *name, pali_error *err)
{
    pl_yaml *const node = pl_new(1, sizeof *node, name, err);
    if (!node)
        return NULL;
    *node = (pl_yaml){.kind = PL_YAML_TEXT, .name = name, .text = pl_strdup(text, err)};
    if (node->text)
        return node;
    free(node);
    return NULL;
}

pl_yaml *pl_yaml_member(const pl_yaml *map, const char *key)
{
    for (pl_yaml *at = map->first; at; at = at->next)
        if (at->key && strcmp(at->key, key) == 0)
            return at;
    return NULL;
}

void pl_yaml_append(pl_yaml *parent, pl_yaml *child)
{
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    parent->count++;
}

/* ---- Reading ---------------------------------------------------------- */

static pl_yaml *read_value(reader *r, yaml_event_t *event, size_t depth);

static pl_yaml *read_text(reader *r, const yaml_event_t *event)
{
    const char *const text = (const char *)event->data.scalar.value;
    const size_t length = event->data.scalar.length;
    if (memchr(text, '\0', length)) {
        refuse(r, event->start_mark, "a text with a NUL character, expected none");
        return NULL;
    }
    pl_yaml *const node = new_node(r, PL_YAML_TEXT, event->start_mark);
    if (!node)
        return NULL;
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    node->text = pl_strndup(text, length, r->err);
    if (node->text)
        return node;
    pl_yaml_free(node);
    return NULL;
}

static pali_status read_items(reader *r, pl_yaml *list, size_t depth)
{
    for (;;) {
        yaml_event_t event;
        pali_status status = next_event(r, &event);
        if (status != PALI_OK)
            return status;
        const bool ended = event.type == YAML_SEQUENCE_END_EVENT;
        pl_yaml *const item = ended ? NULL : read_value(r, &event, depth + 1);
        yaml_event_delete(&event);
        if (ended)
            return PALI_OK;
        if (!item)
            return pl_status_of(r->err, PALI_USAGE);
        pl_yaml_append(list, item);
    }
}

/* A key, new, with nothing wrong about it. */
static char *read_key(reader *r, const pl_yaml *map, const yaml_event_t *event)
{
    const char *const text = (const char *)event->data.scalar.value;
    if (event->type != YAML_SCALAR_EVENT || event->data.scalar.anchor || event->data.scalar.tag) {
        refuse(r, event->start_mark, "expected a key that is a text");
        return NULL;
    }
    const size_t length = event->data.scalar.length;
    if (length == 0 || length > MOST_KEY || memchr(text, '\0', length)) {
        refuse(r, event->start_mark, "expected a key of 1 to 256 bytes");
        return NULL;
    }
    char shown[80];
    const pl_yaml *const twin = pl_yaml_member(map, text);
    if (twin) {
        pl_fail(r->err, PALI_USAGE, "%s:%zu:%zu: %s stands here again; it was in line %zu already", r->name, event->start_mark.line + 1, event->start_mark.column + 1,
                pl_printable(text, length, shown), twin->key_line);
        return NULL;
    }
    if (map->count >= MOST_MEMBERS) {
        refuse(r, event->start_mark, "more than 1000 keys in one map");
        return NULL;
    }
    return pl_strndup(text, length, r->err);
}

static pali_status read_members(reader *r, pl_yaml *map, size_t depth)
{
    for (;;) {
        yaml_event_t event;
        pali_status status = next_event(r, &event);
        if (status != PALI_OK)
            return status;
        const bool ended = event.type == YAML_MAPPING_END_EVENT;
        const yaml_mark_t mark = event.start_mark;
        char *const key = ended ? NULL : read_key(r, map, &event);
        yaml_event_delete(&event);
        if (ended)
            return PALI_OK;
        if (!key)
            return pl_status_of(r->err, PALI_USAGE);
        pl_yaml *value = NULL;
        status = next_event(r, &event);
        if (status == PALI_OK) {
            value = read_value(r, &event, depth + 1);
            yaml_event_delete(&event);
        }
        if (!value) {
            free(key);
            return status != PALI_OK ? status : pl_status_of(r->err, PALI_USAGE);
        }
        value->key = key;
        value->key_line = mark.line + 1;
        value->key_column = mark.column + 1;
        pl_yaml_append(map, value);
    }
}

/* The value that begins with this event, which stays the caller's. NULL on failure. */
static pl_yaml *read_value(reader *r, yaml_event_t *event, size_t depth)
{
    const yaml_mark_t mark = event->start_mark;
    const bool is_list = event->type == YAML_SEQUENCE_START_EVENT, is_text = event->type == YAML_SCALAR_EVENT;
    if (event->type == YAML_ALIAS_EVENT) {
        refuse(r, mark, "an alias (*name), which is not taken here");
        return NULL;
    }
    const yaml_char_t *const anchor = is_text ? event->data.scalar.anchor : is_list ? event->data.sequence_start.anchor
                                                                                    : event->data.mapping_start.anchor;
    const yaml_char_t *const tag = is_text ? event->data.scalar.tag : is_list ? event->data.sequence_start.tag
                                                                              : event->data.mapping_start.tag;
    if (anchor || tag) {
        refuse(r, mark, anchor ? "an anchor (&name), which is not taken here" : "a tag (!name), which is not taken here");
        return NULL;
    }
    if (is_text)
        return read_text(r, event);
    if (depth >= MOST_DEPTH) {
        refuse(r, mark, "lists and maps within each other more than 32 deep");
        return NULL;
    }
    pl_yaml *const node = new_node(r, is_list ? PL_YAML_LIST : PL_YAML_MAP, mark);
    if (node && (is_list ? read_items(r, node, depth) : read_members(r, node, depth)) == PALI_OK)
        return node;
    pl_yaml_free(node);
    return NULL;
}

/* Stream, document, value, and nothing after it. */
static pl_yaml *read_stream(reader *r)
{
    pl_yaml *top = NULL;
    for (;;) {
        yaml_event_t event;
        if (next_event(r, &event) != PALI_OK)
            break;
        const yaml_event_type_t type = event.type;
        bool good = true;
        if (type == YAML_DOCUMENT_START_EVENT && top) {
            refuse(r, event.start_mark, "a second document, expected one");
            good = false;
        } else if (type == YAML_SCALAR_EVENT || type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT || type == YAML_ALIAS_EVENT) {
            top = read_value(r, &event, 0);
            good = top != NULL;
        }
        const yaml_mark_t mark = event.start_mark;
        yaml_event_delete(&event);
        if (!good)
            break;
        if (type == YAML_STREAM_END_EVENT) {
            if (top && top->kind == PL_YAML_TEXT && !top->quoted && !*top->text)
                top->kind = PL_YAML_MAP; /* "---" alone */
            return top ? top : new_node(r, PL_YAML_MAP, mark);
        }
    }
    pl_yaml_free(top);
    return NULL;
}

pl_yaml *pl_yaml_parse(const char *text, size_t size, const char *name, pali_error *err)
{
    pali_error own = {0};
    reader r = {.name = name, .err = err ? err : &own};
    r.err->status = PALI_OK;
    if (!yaml_parser_initialize(&r.parser)) {
        pl_fail_memory(err, name, 0);
        return NULL;
    }
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, size);
    pl_yaml *const top = read_stream(&r);
    yaml_parser_delete(&r.parser);
    return top;
}

/* ---- What a text means ------------------------------------------------ */

bool pl_yaml_is_null(const pl_yaml *node)
{
    return node->kind == PL_YAML_TEXT && !node->quoted && (strcmp(node->text, "null") == 0 || strcmp(node->text, "~") == 0);
}

bool pl_yaml_number(const char *text, double *value)
{
    char *end;
    const double found = strtod(text, &end);
    if (end == text || *end || text[strspn(text, "+-.0123456789eE")] || !isfinite(found))
        return false;
    *value = found;
    return true;
}

bool pl_yaml_flag(const char *text, bool *value)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(text, words[i]) == 0) {
            *value = i % 2 == 1;
            return true;
        }
    return false;
}

/* ---- Writing ---------------------------------------------------------- */

/* Words that other readers of YAML take for something else than text. */
static bool is_special_word(const char *text)
{
    bool flag;
    return pl_yaml_flag(text, &flag) || strcasecmp(text, "null") == 0 || strcasecmp(text, "y") == 0 || strcasecmp(text, "n") == 0;
}

/* Letters first, then what has no meaning of its own; single spaces within. */
static bool is_plain(const char *text)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-";
    const bool first = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') || *text == '_' || *text == '/';
    if (!first || is_special_word(text))
        return false;
    while (*text) {
        const size_t length = strspn(text, safe);
        if (length == 0)
            return false;
        text += length;
        if (*text == ' ' && text[1])
            text++;
        else if (*text)
            return false;
    }
    return true;
}

/* May stand in a quoted text as it is, for YAML and for JSON. */
static bool is_printable(uint32_t code)
{
    return (code >= 0x20 && code < 0x7f) || (code >= 0xa0 && code < 0xd800 && code != 0x2028 && code != 0x2029) || (code >= 0xe000 && code < 0xfffe && code != 0xfeff) ||
           code >= 0x10000;
}

/* In double quotes, with escapes that YAML and JSON share. */
static pali_status write_quoted(pl_buffer *out, const char *text, pali_error *err)
{
    const size_t length = strlen(text);
    pali_status status = pl_buffer_append(out, "\"", 1, err);
    for (size_t at = 0; at < length && status == PALI_OK;) {
        uint32_t code;
        bool valid;
        const size_t bytes = pl_utf8_read(text + at, length - at, &code, &valid);
        if (!valid)
            return pl_fail(err, PALI_INPUT, "a text that is not UTF-8 cannot be written");
        if (code == '"' || code == '\\')
            status = pl_buffer_printf(out, err, "\\%c", (int)code);
        else if (code == '\n' || code == '\t')
            status = pl_buffer_append(out, code == '\n' ? "\\n" : "\\t", 2, err);
        else if (is_printable(code))
            status = pl_buffer_append(out, text + at, bytes, err);
        else
            status = pl_buffer_printf(out, err, "\\u%04x", (unsigned)code);
        at += bytes;
    }
    return status == PALI_OK ? pl_buffer_append(out, "\"", 1, err) : status;
}

pali_status pl_yaml_write_text(pl_buffer *out, const char *text, pali_error *err)
{
    return is_plain(text) ? pl_buffer_append(out, text, strlen(text), err) : write_quoted(out, text, err);
}

/* A number as JSON has it: 0 before the point, no sign +. */
static bool is_json_number(const char *text)
{
    text += *text == '-';
    const size_t whole = strspn(text, "0123456789");
    if (whole == 0 || (whole > 1 && *text == '0'))
        return false;
    text += whole;
    if (*text == '.') {
        const size_t part = strspn(text + 1, "0123456789");
        if (part == 0)
            return false;
        text += 1 + part;
    }
    if (*text == 'e' || *text == 'E') {
        text++;
        text += *text == '-' || *text == '+';
        const size_t power = strspn(text, "0123456789");
        if (power == 0)
            return false;
        text += power;
    }
    return *text == '\0';
}

static pali_status write_json_text(pl_buffer *out, const pl_yaml *node, pali_error *err)
{
    const char *const text = node->text;
    double number;
    if (node->quoted)
        return write_quoted(out, text, err);
    if (pl_yaml_is_null(node))
        return pl_buffer_append(out, "null", 4, err);
    if (strcasecmp(text, "true") == 0 || strcasecmp(text, "false") == 0)
        return pl_buffer_append(out, strcasecmp(text, "true") == 0 ? "true" : "false", strcasecmp(text, "true") == 0 ? 4 : 5, err);
    if (!pl_yaml_number(text, &number))
        return write_quoted(out, text, err);
    return is_json_number(text) ? pl_buffer_append(out, text, strlen(text), err) : pl_buffer_printf(out, err, "%.17g", number);
}

pali_status pl_yaml_write_json(pl_buffer *out, const pl_yaml *node, pali_error *err)
{
    if (node->kind == PL_YAML_TEXT)
        return write_json_text(out, node, err);
    const bool is_map = node->kind == PL_YAML_MAP;
    pali_status status = pl_buffer_append(out, is_map ? "{" : "[", 1, err);
    for (const pl_yaml *at = node->first; at && status == PALI_OK; at = at->next) {
        if (at != node->first)
            status = pl_buffer_append(out, ", ", 2, err);
        if (status == PALI_OK && is_map)
            status = write_quoted(out, at->key, err);
        if (status == PALI_OK && is_map)
            status = pl_buffer_append(out, ": ", 2, err);
        if (status == PALI_OK)
            status = pl_yaml_write_json(out, at, err);
    }
    return status == PALI_OK ? pl_buffer_append(out, is_map ? "}" : "]", 1, err) : status;
}
