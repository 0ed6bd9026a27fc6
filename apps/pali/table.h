/*
 * JSON for people: any object as aligned names and values, sections and
 * tables, so that what the library reports is shown without knowing its names.
 */
#ifndef PALI_APP_TABLE_H
#define PALI_APP_TABLE_H

#include <jansson.h>

#include <stdio.h>

/*
 * Values that need more room than a line become sections: an object indented,
 * a list of objects a table with a column a key, a list of texts one a line.
 * An object of objects that share their keys is a table as well. null shows as
 * "-". Keys "bytes", "*_bytes" and "parameters" are grouped by thousands.
 */
void table_print(FILE *out, const json_t *object);

#endif
