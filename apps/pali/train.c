/* pali train: a model taught from a folder of pictures and a file of rows. */
#include "interrupt.h"
#include "options.h"
#include "say.h"
#include "train_say.h"

#include <stdio.h>
#include <stdlib.h>

#include <pali/train.h>

static bool stop(void *context)
{
    (void)context;
    return interrupted();
}

static int print_keys(void)
{
    pali_error err = {0};
    char *const keys = pali_recipe_keys(&err);
    if (!keys)
        return fail_error(&err);
    fputs(keys, stdout);
    pali_free(keys);
    return finish_output(0);
}

static json_t *plan_json(const pali_train_plan *p)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "steps", (json_int_t)p->steps, "done", (json_int_t)p->done,
                     "examples", (json_int_t)p->examples, "batch", (json_int_t)p->batch, "micro_batch", (json_int_t)p->micro_batch, "recomputes", p->recomputes, "trained",
                     (json_int_t)p->trained, "longest", (json_int_t)p->longest, "truncated", (json_int_t)p->truncated, "surveyed", (json_int_t)p->surveyed, "values",
                     (json_int_t)p->values, "gradients", (json_int_t)p->gradients, "state", (json_int_t)p->state, "activations", (json_int_t)p->activations, "frozen",
                     (json_int_t)p->frozen, "mapped", (json_int_t)p->mapped, "total", (json_int_t)p->total, "limit", (json_int_t)p->limit);
}

/* What will be done: as text, or as the first object of the output. */
static int print_plan(const settings *given, const pali_trainer *trainer)
{
    pali_error err = {0};
    pali_train_plan plan = {0};
    if (pali_trainer_plan(trainer, &plan, &err) != PALI_OK)
        return fail_error(&err);
    if (given->json) {
        json_t *const object = json_pack("{s:s, s:o, s:o}", "event", "plan", "recipe", json_text(pali_trainer_recipe(trainer)), "plan", plan_json(&plan));
        print_json(object);
        return finish_output(0);
    }
    char *const text = pali_trainer_describe(trainer, &err);
    if (!text)
        return fail_error(&err);
    fputs(text, stdout);
    putchar('\n');
    pali_free(text);
    return finish_output(0);
}

/* The recipe comes before any work, so that it is seen also where that fails. */
static int print_recipe(const settings *given, const char *recipe, const char *const *list, size_t count)
{
    pali_error err = {0};
    char *const text = pali_recipe_resolve(recipe, list, count, &err);
    if (!text)
        return fail_error(&err);
    if (!given->json && !given->quiet) {
        fputs(text, stdout);
        putchar('\n');
    }
    pali_free(text);
    return finish_output(0);
}

static int run(const settings *given, pali_trainer *trainer, train_say *say)
{
    pali_error err = {0};
    const pali_status status = pali_trainer_run(trainer, &err);
    train_say_end(say);
    finish_output(0);
    if (status != PALI_OK)
        return fail_error(&err);
    if (given->json)
        print_json(json_pack("{s:s, s:I}", "event", "done", "step", (json_int_t)say->step));
    return finish_output(0);
}

static int train_with(const settings *given, const char *recipe, const char *const *list, size_t count)
{
    pali_error err = {0};
    train_say say = train_say_start(given);
    const pali_train_options options = {
        .size = sizeof options,
        .dry_run = given->dry_run,
        .listen = train_say_event,
        .listen_context = &say,
        .stop = stop,
        .threads = given->threads_are_usual ? 0 : (size_t)given->threads,
        .usual_threads = given->threads_are_usual ? (size_t)given->threads : 0,
    };
    int code = print_recipe(given, recipe, list, count);
    if (code)
        return code;
    if (!given->dry_run)
        interrupt_catch_first();
    pali_trainer *const trainer = pali_trainer_new(recipe, list, count, &options, &err);
    train_say_end(&say);
    if (!trainer)
        return fail_error(&err);
    code = print_plan(given, trainer);
    if (!code && !given->dry_run)
        code = run(given, trainer, &say);
    pali_trainer_free(trainer);
    return code;
}

static int train(const settings *given)
{
    const char *recipe, **list;
    size_t count;
    if (given->keys)
        return print_keys();
    if (given->operands.count == 0)
        return fail_usage(&train_command, "a recipe is missing: a YAML file, or KEY=VALUE such as model=nano data=rows.jsonl out=run");
    int code = train_operands(&train_command, given, 0, &recipe, &list, &count);
    if (!code)
        code = train_with(given, recipe, list, count);
    free(list);
    return code;
}

static const option own_options[] = {
    {"dry-run", 0, OPTION_FLAG, offsetof(settings, dry_run), NULL, 0, 0, "tell recipe, plan and memory; train nothing"},
    {"keys", 0, OPTION_FLAG, offsetof(settings, keys), NULL, 0, 0, "list the keys of a recipe"},
    {"threads", 't', OPTION_COUNT, offsetof(settings, threads), "N", 1, MOST_THREADS, "threads (the recipe's, or PALI_THREADS, or one a core)"},
    {"json", 0, OPTION_FLAG, offsetof(settings, json), NULL, 0, 0, "one JSON object a line in place of the text"},
    {"quiet", 'q', OPTION_FLAG, offsetof(settings, quiet), NULL, 0, 0, "neither the recipe, nor a bar, nor notes"},
    {0},
};

const command train_command = {
    .name = "train",
    .operands = "[RECIPE.yaml] [KEY=VALUE...]",
    .summary = "teach a model, whole or by an adapter, from rows of images and answers",
    .about = "Teaches a model the rows {\"image\": path or [paths], \"prefix\": prompt, \"suffix\":\n"
             "answer or [answers]} of a JSONL file, as the recipe says. The keys that matter:\n"
             "model, data, out; lora.rank=8 for an adapter; lr, epochs, batch; validation. 'pali\n"
             "train --keys' has them all. OUT gets checkpoints (OUT/last and OUT/best are models,\n"
             "or adapters for --lora), metrics.csv, TensorBoard events and report.html. The same\n"
             "command goes on where a run ended, were it killed, and ends with the same bits.\n"
             "Ctrl-C saves first; a second one does not.\n"
             "codec=FILE.npz in place of model teaches a mask codec the masks of the rows, or of\n"
             "a folder of pictures of masks; out=OUT then keeps its metrics and report.",
    .examples = "  pali train model=nano data=rows.jsonl out=run lr=1e-3 epochs=20\n"
                "  pali train recipe.yaml lora.rank=8 seed=1 --dry-run\n"
                "  pali train codec=codec.npz data=masks validation=held-out\n"
                "  pali data show recipe.yaml\n"
                "  pali run -m nano --lora run/last photo.jpg \"caption en\"\n",
    .options = (const option *const[]){own_options, common_options, NULL},
    .run = train,
};
