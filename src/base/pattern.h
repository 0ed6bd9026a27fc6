/* Regular expressions that come from files and users: POSIX extended ones that must match a whole name. */
#ifndef PL_BASE_PATTERN_H
#define PL_BASE_PATTERN_H

#include "base/status.h"

#include <regex.h>

/*
 * Compiles "(pattern)" for whole names; with `anywhere_above` for names that
 * end in it after a point, as PEFT's are. \d is Python's digit class. False for
 * what is no such expression, and for counted repetitions: nested, they take
 * all memory there is. Release with regfree.
 */
bool pl_pattern_compile(regex_t *compiled, const char *pattern, bool anywhere_above);

#endif
