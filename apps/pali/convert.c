/* pali convert: a model in another format, or with weights in other types. */
#include "interrupt.h"
#include "options.h"
#include "say.h"
#include "table.h"

#include <string.h>

#include <pali/convert.h>

static int print_report(const settings *given, const char *report)
{
    json_error_t error;
    json_t *const object = json_loads(report, 0, &error);
    if (!json_is_object(object)) {
        json_decref(object);
        return fail(PALI_FAILED, "the report could not be read: %s", error.text);
    }
    if (given->json)
        puts(report);
    else if (!given->quiet)
        table_print(stdout, object);
    if (strcmp(json_string_value(json_object_get(object, "format")), "npz") == 0)
        note(given, "an npz holds no tokenizer; keep tokenizer.model or tokenizer.json beside it");
    if (json_is_false(json_object_get(object, "codec")))
        note(given, "nor does it hold the mask codec; keep vae-oid.npz beside it, too");
    json_decref(object);
    return finish_output(0);
}

static bool stop(void *context)
{
    (void)context;
    return interrupted();
}

static int check(const settings *given)
{
    const size_t count = given->operands.count;
    if (given->model ? count != 1 : count != 2)
        return fail_usage(&convert_command, given->model ? "one target expected after -m, found %zu arguments" : "a source and a target expected, found %zu arguments", count);
    if (given->lora.count && !given->merge)
        return fail_usage(&convert_command, "--lora without --merge: found %zu adapters, expected --merge with them; without them the model would answer otherwise", given->lora.count);
    if (given->merge && !given->lora.count)
        return fail_usage(&convert_command, "--merge: found no adapter, expected --lora FOLDER with it");
    return 0;
}

static int convert(const settings *given)
{
    int code = check(given);
    if (code)
        return code;
    const char *const source = given->model ? given->model : given->operands.items[0];
    const char *const target = given->operands.items[given->operands.count - 1];
    progress bar = progress_start(given, "converting", true);
    const pali_convert_options options = {
        .size = sizeof options,
        .format = given->to,
        .type = given->type,
        .vision_type = given->vision_type,
        .language_type = given->language_type,
        .embedding_type = given->embedding_type,
        .head_type = given->head_type,
        .layout = given->layout,
        .tokenizer = given->tokenizer,
        .vision = given->vision,
        .lora = given->lora.items,
        .lora_count = given->lora.count,
        .force = given->force,
        .threads = (size_t)given->threads,
        .progress = progress_update,
        .progress_context = &bar,
        .stop = stop,
    };
    pali_error err = {0};
    interrupt_catch();
    char *const report = pali_convert(source, target, &options, &err);
    progress_end(&bar);
    if (!report)
        return fail_error(&err);
    code = print_report(given, report);
    pali_free(report);
    return code;
}

#define TYPES "f32|bf16|f16|q8_0|q4_0|q8"
static const option own_options[] = {
    {"model", 'm', OPTION_TEXT, offsetof(settings, model), "SOURCE", 0, 0, "the source, in place of the first argument"},
    {"to", 0, OPTION_CHOICE, offsetof(settings, to), "gguf|hf|npz", 0, 0, "format (by the target's name)"},
    {"type", 0, OPTION_CHOICE, offsetof(settings, type), TYPES, 0, 0, "type of the weight matrices (as they are)"},
    {"vision-type", 0, OPTION_CHOICE, offsetof(settings, vision_type), TYPES, 0, 0, "type in the image encoder, where it differs"},
    {"language-type", 0, OPTION_CHOICE, offsetof(settings, language_type), TYPES, 0, 0, "type in the language model's layers"},
    {"embedding-type", 0, OPTION_CHOICE, offsetof(settings, embedding_type), TYPES, 0, 0, "type of the embedding, and of the output matrix"},
    {"head-type", 0, OPTION_CHOICE, offsetof(settings, head_type), TYPES, 0, 0, "type of an output matrix of its own"},
    {"layout", 0, OPTION_CHOICE, offsetof(settings, layout), "rows|tiles", 0, 0, "GGUF: rows for ggml's tools, tiles for speed"},
    {"lora", 0, OPTION_LIST, offsetof(settings, lora), "DIR[:SCALE]", 0, 0, "a PEFT adapter to merge (SCALE -1: to take off again)"},
    {"merge", 0, OPTION_FLAG, offsetof(settings, merge), NULL, 0, 0, "add the adapters to the weights"},
    {"tokenizer", 0, OPTION_TEXT, offsetof(settings, tokenizer), "PATH", 0, 0, "tokenizer.json, tokenizer.model or their folder"},
    {"vision", 0, OPTION_TEXT, offsetof(settings, vision), "FILE", 0, 0, "GGUF file with the vision tower (mmproj)"},
    {"force", 0, OPTION_FLAG, offsetof(settings, force), NULL, 0, 0, "replace what stands at the target"},
    {"threads", 't', OPTION_COUNT, offsetof(settings, threads), "N", 1, MOST_THREADS, "threads (one a core, or PALI_THREADS)"},
    {"json", 0, OPTION_FLAG, offsetof(settings, json), NULL, 0, 0, "one JSON object in place of the table"},
    {"quiet", 'q', OPTION_FLAG, offsetof(settings, quiet), NULL, 0, 0, "nothing but errors"},
    {0},
};

const command convert_command = {
    .name = "convert",
    .operands = "SOURCE TARGET",
    .summary = "save a model in another format or in other types",
    .about = "Reads the model SOURCE and writes it to TARGET, whole or not at all: a name that\n"
             "ends in .gguf is one file with everything in it, .npz the weights as big_vision\n"
             "has them, any other name a Hugging Face folder. Types: q8_0 and q4_0 are ggml's\n"
             "blocks; q8 is 8 bits with one scale a row, in a layout of pali's own.",
    .examples = "  pali convert google/paligemma2-3b-mix-448 mix.gguf --type q8_0\n"
                "  pali convert mix.gguf folder --to hf --type bf16\n"
                "  pali convert base tuned.gguf --lora adapter --merge\n",
    .options = (const option *const[]){own_options, common_options, NULL},
    .run = convert,
};
