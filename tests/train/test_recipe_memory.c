/* Recipes while memory runs out at each allocation in turn (libyaml's own apart). */
#include "train/recipe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "exhaust.h"

static pali_status there_and_back(const void *text, pali_error *err)
{
    static const char *const arguments[] = {"lr=1", "data.0.limit=3", "lora={rank: 4}", "model_config.a.b=2", "train=[vision, norms]", "tokenizer=t"};
    pl_recipe r = {0}, other = {0};
    pl_buffer out = {0};
    size_t count;
    pali_status status = pl_recipe_parse(&r, text, strlen(text), "r.yaml", "/a", arguments, sizeof arguments / sizeof *arguments, err);
    if (status == PALI_OK)
        status = pl_recipe_write(&r, &out, err);
    if (status == PALI_OK)
        status = pl_recipe_parse(&other, out.data, out.length, "again", NULL, NULL, 0, err);
    if (status == PALI_OK)
        status = pl_recipe_difference(&r, &other, true, &out, &count, err);
    if (status == PALI_OK)
        status = pl_recipe_help(&out, err);
    free(out.data);
    pl_recipe_close(&r);
    pl_recipe_close(&other);
    return status;
}

static void test_exhaustion(void **state)
{
    (void)state;
    exhaust("recipe", there_and_back,
            "model_config: {a: {b: 1}}\ndata: [x, {path: y, prefix: p}]\nvalidation: v\nprefix: a\ngroups: [{match: [vision, norms], lr: 1}]\nmax_memory: 1 GB\n", PALI_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_exhaustion)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
