/* Rendering by shape alone: what fits a line is a line, the rest a section. */
#include "table.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_COLUMNS = 24, CELL = 512 };

static bool ends_with(const char *text, const char *end)
{
    const size_t a = strlen(text), b = strlen(end);
    return a >= b && strcmp(text + a - b, end) == 0;
}

/* "2,923,466,480" */
static void group_thousands(long long value, char out[CELL])
{
    char digits[32];
    const int length = snprintf(digits, sizeof digits, "%lld", value);
    size_t used = 0;
    for (int i = 0; i < length; i++) {
        out[used++] = digits[i];
        if ((length - i) % 3 == 1 && i + 1 < length && digits[i] != '-')
            out[used++] = ',';
    }
    out[used] = '\0';
}

static void integer_text(const char *key, long long value, char out[CELL])
{
    const bool is_bytes = strcmp(key, "bytes") == 0 || ends_with(key, "_bytes");
    if (!is_bytes && strcmp(key, "parameters") != 0) {
        snprintf(out, CELL, "%lld", value);
        return;
    }
    group_thousands(value, out);
    const size_t used = strlen(out);
    if (is_bytes && value >= 1000000)
        snprintf(out + used, CELL - used, " (%.1f %s)", (double)value / (value >= 1000000000 ? 1e9 : 1e6), value >= 1000000000 ? "GB" : "MB");
}

/* Text on one line: control characters of a file's names become spaces. */
static void copy_line(const char *text, char *out, size_t size)
{
    snprintf(out, size, "%s", text);
    for (unsigned char *c = (unsigned char *)out; *c; c++)
        if (*c < 0x20 || *c == 0x7f)
            *c = ' ';
}

static void cell_text(const char *key, const json_t *value, char out[CELL]);

/* "a, b, c" of texts, "[1, 2, 3]" of numbers, cut where it does not fit. */
static void list_text(const json_t *list, char out[CELL])
{
    const bool bare = json_is_string(json_array_get(list, 0));
    size_t used = (size_t)snprintf(out, CELL, json_array_size(list) == 0 ? "-" : bare ? "" : "[");
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) {
        char text[CELL];
        cell_text("", item, text);
        const int length = snprintf(out + used, CELL - used, "%s%s", i ? ", " : "", text);
        if (length < 0 || used + (size_t)length + 8 > CELL) {
            snprintf(out + used, CELL - used, "%s", used + 8 < CELL ? ", ..." : "");
            used = strlen(out);
            break;
        }
        used += (size_t)length;
    }
    if (!bare && json_array_size(list) && used + 1 < CELL)
        snprintf(out + used, CELL - used, "]");
}

static void cell_text(const char *key, const json_t *value, char out[CELL])
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        copy_line(json_string_value(value), out, CELL);
        break;
    case JSON_INTEGER:
        integer_text(key, (long long)json_integer_value(value), out);
        break;
    case JSON_REAL: {
        const double x = json_real_value(value), size = fabs(x);
        snprintf(out, CELL, size > 0 && (size < 1e-3 || size >= 1e5) ? "%.4g" : "%.4f", x);
        break;
    }
    case JSON_TRUE:
    case JSON_FALSE:
        snprintf(out, CELL, json_is_true(value) ? "yes" : "no");
        break;
    case JSON_ARRAY:
        list_text(value, out);
        break;
    case JSON_OBJECT:
        snprintf(out, CELL, json_object_size(value) ? "{...}" : "-");
        break;
    case JSON_NULL:
    default:
        snprintf(out, CELL, "-");
        break;
    }
}

/* Columns on a terminal, near enough: characters, not bytes. */
static int text_width(const char *text)
{
    int width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void print_padded(FILE *out, const char *text, int width, bool right)
{
    const int space = width > text_width(text) ? width - text_width(text) : 0;
    fprintf(out, "%*s%s%*s", right ? space : 0, "", text, right ? 0 : space, "");
}

/* "peak_memory_bytes" reads better as "peak memory bytes". */
static void key_text(const char *key, char out[CELL])
{
    copy_line(key, out, CELL);
    for (char *c = out; *c; c++)
        if (*c == '_')
            *c = ' ';
}

static bool is_flat_list(const json_t *value)
{
    size_t i;
    json_t *item;
    json_array_foreach(value, i, item)
        if (json_is_object(item) || json_is_array(item))
            return false;
    return true;
}

/* Texts that are sentences rather than words stand one a line. */
static bool is_list_of_lines(const json_t *value)
{
    size_t i, length = 0;
    json_t *item;
    json_array_foreach(value, i, item)
        length += json_is_string(item) ? json_string_length(item) + 2 : 8;
    return json_array_size(value) > 0 && json_is_string(json_array_get(value, 0)) && length > 60;
}

static bool is_line(const json_t *value)
{
    if (json_is_array(value))
        return is_flat_list(value) && !is_list_of_lines(value);
    return !json_is_object(value) || json_object_size(value) == 0;
}

/* Objects of lines only, at least two, with the keys of the first: rows of a table. */
static bool is_row_like(const json_t *row, const json_t *first)
{
    if (!json_is_object(row) || json_object_size(row) != json_object_size(first))
        return false;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)row, key, value)
        if (!is_line(value) || !json_object_get(first, key))
            return false;
    return true;
}

static bool is_table_of_objects(const json_t *object)
{
    const char *key;
    json_t *value;
    const json_t *first = NULL;
    json_object_foreach((json_t *)object, key, value) {
        first = first ? first : value;
        if (!is_row_like(value, first))
            return false;
    }
    return first && json_object_size(first) > 0;
}

typedef struct grid {
    const char *columns[MOST_COLUMNS];
    int widths[MOST_COLUMNS];
    bool is_number[MOST_COLUMNS];
    size_t count;
    int name_width; /* of the rows' names; 0: they have none */
} grid;

static void measure_row(grid *g, const char *name, const json_t *row)
{
    const int width = name ? text_width(name) : 0;
    g->name_width = width > g->name_width ? width : g->name_width;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)row, key, value) {
        size_t c = 0;
        while (c < g->count && strcmp(g->columns[c], key) != 0)
            c++;
        char text[CELL];
        if (c == g->count) {
            if (c == MOST_COLUMNS)
                continue;
            key_text(key, text);
            g->columns[g->count] = key;
            g->widths[g->count] = text_width(text);
            g->is_number[g->count++] = true;
        }
        cell_text(key, value, text);
        g->widths[c] = text_width(text) > g->widths[c] ? text_width(text) : g->widths[c];
        g->is_number[c] &= json_is_number(value) || json_is_null(value);
    }
}

static void print_row(FILE *out, const grid *g, int indent, const char *name, const json_t *row)
{
    fprintf(out, "%*s", indent, "");
    if (g->name_width)
        print_padded(out, name, g->name_width, false);
    for (size_t c = 0; c < g->count; c++) {
        const json_t *const value = row ? json_object_get(row, g->columns[c]) : NULL;
        char text[CELL] = "";
        if (!row)
            key_text(g->columns[c], text);
        else if (value)
            cell_text(g->columns[c], value, text);
        const bool is_last = c + 1 == g->count && !g->is_number[c];
        fputs(c || g->name_width ? "  " : "", out);
        print_padded(out, text, is_last ? 0 : g->widths[c], g->is_number[c]);
    }
    fputc('\n', out);
}

/* A list of objects, or (list NULL) an object of objects whose keys name the rows. */
static void print_table(FILE *out, const json_t *list, const json_t *object, int indent)
{
    grid g = {0};
    size_t i;
    const char *key;
    json_t *row;
    json_array_foreach(list, i, row)
        measure_row(&g, NULL, row);
    if (object)
        json_object_foreach((json_t *)object, key, row)
            measure_row(&g, key, row);
    print_row(out, &g, indent, "", NULL);
    json_array_foreach(list, i, row)
        print_row(out, &g, indent, NULL, row);
    if (object)
        json_object_foreach((json_t *)object, key, row)
            print_row(out, &g, indent, key, row);
}

static void print_object(FILE *out, const json_t *object, int indent);

static void print_section(FILE *out, const char *key, const json_t *value, int indent)
{
    char text[CELL];
    key_text(key, text);
    fprintf(out, "%*s%s\n", indent, "", text);
    if (json_is_object(value)) {
        if (is_table_of_objects(value))
            print_table(out, NULL, value, indent + 2);
        else
            print_object(out, value, indent + 2);
        return;
    }
    size_t i;
    json_t *item;
    bool is_table = true;
    json_array_foreach(value, i, item)
        is_table = is_table && json_is_object(item);
    if (is_table) {
        print_table(out, value, NULL, indent + 2);
        return;
    }
    json_array_foreach(value, i, item) {
        cell_text("", item, text);
        fprintf(out, "%*s%s\n", indent + 2, "", text);
    }
}

static void print_object(FILE *out, const json_t *object, int indent)
{
    int width = 0;
    const char *key;
    json_t *value;
    char name[CELL], text[CELL];
    json_object_foreach((json_t *)object, key, value) {
        key_text(key, name);
        if (is_line(value) && text_width(name) > width)
            width = text_width(name);
    }
    json_object_foreach((json_t *)object, key, value) {
        if (!is_line(value)) {
            print_section(out, key, value, indent);
            continue;
        }
        key_text(key, name);
        cell_text(key, value, text);
        fprintf(out, "%*s", indent, "");
        print_padded(out, name, width, false);
        fprintf(out, "  %s\n", text);
    }
}

void table_print(FILE *out, const json_t *object)
{
    print_object(out, object, 0);
}
