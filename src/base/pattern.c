/* Regular expressions that match whole names. */
#include "base/pattern.h"

#include <stdio.h>
#include <string.h>

bool pl_pattern_compile(regex_t *compiled, const char *pattern, bool anywhere_above)
{
    char expression[512];
    size_t used = (size_t)snprintf(expression, sizeof expression, anywhere_above ? "^(.*\\.)?(" : "^(");
    for (const char *c = pattern; *c; c++) {
        if (*c == '{' || used >= sizeof expression - 16)
            return false;
        if (c[0] == '\\' && c[1] == 'd') {
            memcpy(expression + used, "[0-9]", 5);
            used += 5;
            c++;
        } else {
            expression[used++] = *c;
        }
    }
    memcpy(expression + used, ")$", 3);
    return *pattern && regcomp(compiled, expression, REG_EXTENDED | REG_NOSUB) == 0;
}
