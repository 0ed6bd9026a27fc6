/* pali inspect: what a model file is, whether it can be used, and why not. */
#include "options.h"
#include "say.h"
#include "table.h"

#include <stdlib.h>
#include <string.h>

#include <pali/pali.h>

/* An empty list is good news of which a table needs no line. */
static void drop_empty_lists(json_t *object)
{
    static const char *const lists[] = {"missing", "unexpected", "problems", "tensors"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (json_array_size(json_object_get(object, lists[i])) == 0)
            json_object_del(object, lists[i]);
}

/* Says on standard error why the model cannot be used. */
static int fail_unusable(const json_t *object, const char *name)
{
    const json_t *const problems = json_object_get(object, "problems");
    const json_t *const missing = json_object_get(object, "missing");
    const char *const problem = json_string_value(json_array_get(problems, 0));
    if (problem)
        return fail(PALI_MODEL, "%s: not usable: %s", name, problem);
    if (json_array_size(missing))
        return fail(PALI_MODEL, "%s: not usable: %zu tensors are missing", name, json_array_size(missing));
    return fail(PALI_MODEL, "%s: not usable", name);
}

static int print_report(const settings *given, const char *name, const char *report)
{
    json_error_t error;
    json_t *const object = json_loads(report, 0, &error);
    if (!json_is_object(object)) {
        json_decref(object);
        return fail(PALI_FAILED, "%s: the description could not be read: %s", name, error.text);
    }
    const bool usable = !json_is_false(json_object_get(object, "usable"));
    int code = usable ? 0 : fail_unusable(object, name);
    if (given->json) {
        puts(report);
    } else {
        drop_empty_lists(object);
        table_print(stdout, object);
    }
    json_decref(object);
    return finish_output(code);
}

static int inspect(const settings *given)
{
    if (given->operands.count > 1)
        return fail_usage(&inspect_command, "one model at a time; found %zu", given->operands.count);
    const char *const from_environment = getenv("PALI_MODEL");
    const char *name = given->operands.count ? given->operands.items[0] : NULL;
    if (!name && from_environment && *from_environment)
        name = from_environment;
    if (!name)
        return fail_usage(&inspect_command, "a model is missing: a folder, a file, a name in the Hugging Face cache, or nano");
    const pali_inspect_options options = {
        .size = sizeof options,
        .tokenizer = given->tokenizer,
        .vision = given->vision,
        .check = given->check,
        .tensors = given->tensors,
    };
    pali_error err = {0};
    char *const report = pali_inspect(name, &options, &err);
    if (!report)
        return fail_error(&err);
    const int code = print_report(given, name, report);
    pali_free(report);
    return code;
}

static const option own_options[] = {
    {"check", 0, OPTION_FLAG, offsetof(settings, check), NULL, 0, 0, "read every value: ranges, and any not finite"},
    {"tensors", 0, OPTION_FLAG, offsetof(settings, tensors), NULL, 0, 0, "list every tensor"},
    {"tokenizer", 0, OPTION_TEXT, offsetof(settings, tokenizer), "PATH", 0, 0, "tokenizer.json, tokenizer.model or their folder"},
    {"vision", 0, OPTION_TEXT, offsetof(settings, vision), "FILE", 0, 0, "GGUF file with the vision tower (mmproj)"},
    {"json", 0, OPTION_FLAG, offsetof(settings, json), NULL, 0, 0, "one JSON object in place of the tables"},
    {0},
};

const command inspect_command = {
    .name = "inspect",
    .operands = "MODEL",
    .summary = "describe a model file or folder, and say whether it can be used",
    .about = "Describes MODEL: format, configuration, parameters, tokenizer, what is missing or\n"
             "unexpected. The exit code is 3 when the model cannot be used.",
    .examples = "  pali inspect nano\n"
                "  pali inspect --check --json paligemma2-3b-mix-448.gguf\n",
    .options = (const option *const[]){own_options, common_options, NULL},
    .run = inspect,
};
