/* Recipes as texts: pali_recipe_keys, pali_recipe_resolve. */
#include "api/handles.h"

#include "train/recipe.h"

#include <pali/train.h>
#include <stdlib.h>

/* The buffer's text where all went well, else NULL. */
static char *text_of(pl_buffer *buffer, pali_status status)
{
    if (status == PALI_OK)
        return buffer->data;
    free(buffer->data);
    return NULL;
}

char *pali_recipe_keys(pali_error *err)
{
    pl_buffer text = {0};
    const pali_status status = pl_recipe_help(&text, err);
    return text_of(&text, status);
}

char *pali_recipe_resolve(const char *path, const char *const *settings, size_t count, pali_error *err)
{
    if (count > 0 && pl_need(settings, "pali_recipe_resolve", "settings", err) != PALI_OK)
        return NULL;
    pl_recipe recipe = {0};
    pl_buffer text = {0};
    pali_status status = pl_recipe_open(&recipe, path, settings, count, err);
    if (status == PALI_OK)
        status = pl_recipe_write(&recipe, &text, err);
    pl_recipe_close(&recipe);
    return text_of(&text, status);
}
