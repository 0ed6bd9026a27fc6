/* Fuzz target: any text as a recipe, up to a NUL, and the rest as an argument; what is read is written, and reads back to the same. */
#include "train/recipe.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *written(const pl_recipe *recipe)
{
    pl_buffer out = {0};
    if (pl_recipe_write(recipe, &out, NULL) != PALI_OK)
        abort();
    return out.data;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *const end = size ? memchr(data, 0, size) : NULL;
    const size_t length = end ? (size_t)(end - data) : size;
    char *const argument = malloc(size - length + 1);
    if (!argument)
        return 0;
    const size_t rest = end ? size - length - 1 : 0;
    if (rest)
        memcpy(argument, end + 1, rest);
    argument[rest] = '\0';
    const char *const arguments[] = {argument};
    pl_recipe recipe = {0}, again = {0};
    pali_error err = {0};
    if (pl_recipe_parse(&recipe, (const char *)data, length, "fuzz", "/a/b", arguments, *argument ? 1 : 0, &err) == PALI_OK) {
        char *const first = written(&recipe);
        if (pl_recipe_parse(&again, first, strlen(first), "again", NULL, NULL, 0, NULL) != PALI_OK)
            abort();
        char *const second = written(&again);
        if (strcmp(first, second) != 0)
            abort();
        free(first);
        free(second);
    } else if (!err.message[0] || err.status != PALI_USAGE)
        abort();
    pl_recipe_close(&recipe);
    pl_recipe_close(&again);
    free(argument);
    return 0;
}
