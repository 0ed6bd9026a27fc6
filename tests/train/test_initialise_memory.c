/* Memory that runs out while a model is made from nothing, or given new tokens: an error, and nothing is left. */
#include "base/folder.h"
#include "exhaust.h"
#include "model/paligemma.h"
#include "train/contrastive.h"
#include "train/initialise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/pali-initialise-XXXXXX", path[64];

static int begin(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/model", folder);
    return 0;
}

static int end(void **state)
{
    (void)state;
    return pl_folder_remove(folder);
}

static pali_status make(const void *context, pali_error *err)
{
    (void)context;
    const pl_initialise_options options = {
        .config = "{\"vision_config\": {\"hidden_size\": 8, \"intermediate_size\": 8, \"num_hidden_layers\": 1, \"num_attention_heads\": 1, \"image_size\": 14, \"patch_size\": 14}, "
                  "\"text_config\": {\"hidden_size\": 8, \"intermediate_size\": 8, \"num_hidden_layers\": 1, \"num_attention_heads\": 1, \"num_key_value_heads\": 1, \"head_dim\": 8}}",
        .tokenizer = "tests/data/tiny/pg1/tokenizer.model"};
    return pl_initialise(path, &options, err);
}

static pali_status grow(const void *context, pali_error *err)
{
    (void)context;
    static const char *const pieces[] = {"<one>", "<two>"};
    pl_paligemma *model = pl_paligemma_open(path, &(pl_load_options){0}, err);
    const pali_status status = model ? pl_paligemma_add_tokens(model, pieces, 2, 1, err) : pl_status_of(err, PALI_MEMORY);
    pl_paligemma_close(model);
    return status;
}

static pali_status stand_beside(const void *context, pali_error *err)
{
    (void)context;
    const pl_config config = {.vision = {.image_size = 14, .patch = 14, .width = 8, .layers = 2, .heads = 1, .mlp = 8, .eps = 1e-6f}, .text = {.vocabulary = 20}};
    pl_towers *const towers = pl_towers_new(&config, 4, err);
    pl_towers_free(towers);
    return towers ? PALI_OK : pl_status_of(err, PALI_MEMORY);
}

static void runs_out(void **state)
{
    (void)state;
    count_jansson();
    exhaust("initialise", make, NULL, PALI_OK);
    exhaust("add tokens", grow, NULL, PALI_OK);
    exhaust("towers", stand_beside, NULL, PALI_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(runs_out)};
    return cmocka_run_group_tests(tests, begin, end);
}
