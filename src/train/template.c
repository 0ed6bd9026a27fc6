/* Templates: one walk over the text, to check it and to fill it. */
#include "train/template.h"

#include <string.h>

/* The end of a hole whose name begins at `name`; NULL when there is none, or no name. */
static const char *end_of(const char *name)
{
    const size_t length = strcspn(name, "{}");
    return length && name[length] == '}' ? name + length : NULL;
}

static pali_status walk(const char *text, const char *what, pl_template_fill_fn *fill, void *context, pl_buffer *out, pali_error *err)
{
    pali_status status = PALI_OK;
    for (const char *at = text; status == PALI_OK && *at;) {
        const size_t plain = strcspn(at, "{}");
        if (plain) {
            if (out)
                status = pl_buffer_append(out, at, plain, err);
            at += plain;
        } else if (at[1] == at[0]) {
            if (out)
                status = pl_buffer_append(out, at, 1, err);
            at += 2;
        } else {
            const char *const end = *at == '{' ? end_of(at + 1) : NULL;
            if (!end)
                return pl_fail(err, PALI_USAGE, "%s: \"%s\": found a '%c' alone at character %zu, expected {field}, or %c%c for a brace", what, text, *at, (size_t)(at - text) + 1, *at, *at);
            if (fill)
                status = fill(context, at + 1, (size_t)(end - at - 1), out, err);
            at = end + 1;
        }
    }
    return status;
}

pali_status pl_template_check(const char *text, const char *what, pali_error *err)
{
    return text ? walk(text, what, NULL, NULL, NULL, err) : PALI_OK;
}

pali_status pl_template_write(const char *text, pl_template_fill_fn *fill, void *context, pl_buffer *out, pali_error *err)
{
    return walk(text, "template", fill, context, out, err);
}
