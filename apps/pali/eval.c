/* pali eval: a model measured on the rows of a JSONL file. */
#include "options.h"
#include "say.h"
#include "table.h"
#include "use.h"

#include <pali/eval.h>

static int print_metrics(const settings *given, const pali_model *model, const char *metrics)
{
    json_error_t error;
    json_t *const object = json_loads(metrics, 0, &error);
    if (!json_is_object(object)) {
        json_decref(object);
        return fail(PALI_FAILED, "the metrics could not be read: %s", error.text);
    }
    if (given->json)
        puts(metrics);
    else
        table_print(stdout, object);
    pali_model_info info = {0};
    if (json_object_get(object, "masks") && pali_model_describe(model, &info, NULL) == PALI_OK && !info.codec)
        note(given, "the model has no mask codec, so nothing that it found has a mask; --codec FILE names one");
    json_decref(object);
    return finish_output(0);
}

static int measure(const settings *given, pali_model *model)
{
    progress bar = progress_start(given, "measuring", false);
    const pali_eval_options options = {
        .size = sizeof options,
        .limit = (size_t)given->limit,
        .max_tokens = (size_t)given->max_tokens,
        .likelihood = given->likelihood,
        .predictions = given->predictions,
        .progress = progress_update,
        .progress_context = &bar,
        .no_confidence = given->no_confidence,
        .constrain = given->constrain,
        .fit_calibration = given->fit_calibration,
        .calibration = given->calibration,
        .batch = (size_t)given->batch_rows,
        .beams = (size_t)given->beam,
    };
    pali_error err = {0};
    char *const metrics = pali_eval(model, given->operands.items[0], &options, &err);
    progress_end(&bar);
    if (!metrics)
        return fail_error(&err);
    const int code = print_metrics(given, model, metrics);
    pali_free(metrics);
    return code;
}

static int eval(const settings *given)
{
    if (given->operands.count != 1)
        return fail_usage(&eval_command, "one file of rows expected, found %zu", given->operands.count);
    pali_model *model = NULL;
    int code = model_open(given, &model, NULL);
    if (!code)
        code = measure(given, model);
    pali_model_free(model);
    return code;
}

static const option own_options[] = {
    {"limit", 0, OPTION_COUNT, offsetof(settings, limit), "N", 1, UINT64_MAX, "the first N rows only"},
    {"max-tokens", 'n', OPTION_COUNT, offsetof(settings, max_tokens), "N", 1, 1000000, "stop each answer after so many tokens (256)"},
    {"likelihood", 0, OPTION_FLAG, offsetof(settings, likelihood), NULL, 0, 0, "also the log-likelihood of the expected answers"},
    {"predictions", 0, OPTION_TEXT, offsetof(settings, predictions), "FILE", 0, 0, "write each row's answer to this JSONL file"},
    {"constrain", 0, OPTION_CHOICE, offsetof(settings, constrain), "auto|off", 0, 0, "auto: detect and segment give whole objects only"},
    {"no-confidence", 0, OPTION_FLAG, offsetof(settings, no_confidence), NULL, 0, 0, "do not rate answers; AP ranks in the order of output"},
    {"fit-calibration", 0, OPTION_TEXT, offsetof(settings, fit_calibration), "FILE", 0, 0, "write what scores are worth on these rows"},
    {"calibration", 0, OPTION_TEXT, offsetof(settings, calibration), "FILE", 0, 0, "also measure scores calibrated by this file"},
    {"beam", 0, OPTION_COUNT, offsetof(settings, beam), "B", 1, 256, "search for the likeliest answers with B beams"},
    {"batch", 'b', OPTION_COUNT, offsetof(settings, batch_rows), "N", 1, 4096, "rows answered together (8)"},
    {"json", 0, OPTION_FLAG, offsetof(settings, json), NULL, 0, 0, "one JSON object in place of the tables"},
    {"quiet", 'q', OPTION_FLAG, offsetof(settings, quiet), NULL, 0, 0, "nothing but errors on standard error"},
    {0},
};

const command eval_command = {
    .name = "eval",
    .operands = "ROWS.jsonl",
    .summary = "measure a model on rows of images, prompts and expected answers",
    .about = "Answers every row {\"image\": path or [paths], \"prefix\": prompt, \"suffix\": answer or\n"
             "[answers]} (paths relative to the file) and prints exact matches per kind of\n"
             "prompt; for rows with boxes IoU and average precision (COCO's), for rows with\n"
             "\"masks\" (paths, COCO run lengths or polygons, one an object) or <seg> tokens\n"
             "the same of masks, and the RefCOCO figures where one object is expected; and how\n"
             "far confidences are probabilities (calibration error, Brier score).",
    .examples = "  pali eval -m nano validation.jsonl\n"
                "  pali eval -m nano --fit-calibration nano.json some.jsonl\n"
                "  pali eval -m nano --calibration nano.json others.jsonl\n"
                "  pali eval --limit 100 --likelihood --predictions out.jsonl --json validation.jsonl\n",
    .options = (const option *const[]){own_options, model_options, common_options, NULL},
    .run = eval,
};
