/* Opening what the options name: pictures, model, session. */
#include "use.h"

#include "options.h"
#include "say.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool is_picture(const char *path)
{
    struct stat info;
    return strcmp(path, "-") == 0 || (stat(path, &info) == 0 && !S_ISDIR(info.st_mode));
}

int question_check(const command *of, const text_list *operands)
{
    if (operands->count == 0)
        return fail_usage(of, "an image and a prompt are missing");
    const char *const last = operands->items[operands->count - 1];
    if (strcmp(last, "-") == 0)
        return fail_usage(of, "the last argument is - (an image on standard input), so the prompt after it is missing");
    if (is_picture(last))
        return fail_usage(of, "'%s' is a file, so the prompt after it is missing, for example \"caption en\"", last);
    if (operands->count == 1)
        return fail_usage(of, "'%s' is no file; an image must come before the prompt", last);
    return 0;
}

/* With --frames: a clip of so many pictures from the files. */
static pali_status open_clip(const settings *given, const char *const *paths, size_t count, pictures *out, pali_error *err)
{
    const pali_status status = pali_image_open_clip(paths, count, (size_t)given->frames, (size_t)given->stride, out->images, err);
    out->count = status == PALI_OK ? (size_t)given->frames : 0;
    return status;
}

/* A frame of a clip has the path of the file that it came from. */
static bool set_paths(const settings *given, pictures *out, const char *const *paths, size_t count)
{
    const size_t stride = given->stride ? (size_t)given->stride : 1, different = (count + stride - 1) / stride;
    for (size_t i = 0; i < out->count; i++)
        if (!(out->paths[i] = strdup(paths[given->frames ? i % different * stride : i])))
            return false;
    return true;
}

int pictures_open(const settings *given, const command *of, const char *const *paths, size_t count, pictures *out)
{
    size_t from_input = 0;
    for (size_t i = 0; i < count; i++)
        from_input += strcmp(paths[i], "-") == 0;
    if (from_input > 1)
        return fail_usage(of, "- is standard input, which holds one image; found it %zu times", from_input);
    if (given->stride && !given->frames)
        return fail_usage(of, "--stride without --frames: found %zu images, expected --frames N with it", count);
    const size_t most = given->frames ? (size_t)given->frames : count;
    *out = (pictures){.images = calloc(most + 1, sizeof *out->images), .paths = calloc(most + 1, sizeof *out->paths)};
    pali_error err = {0};
    bool good = out->images && out->paths;
    if (good && given->frames)
        good = open_clip(given, paths, count, out, &err) == PALI_OK;
    else
        for (; good && out->count < count; out->count += good)
            good = (out->images[out->count] = pali_image_open(paths[out->count], &err)) != NULL;
    if (good && set_paths(given, out, paths, count))
        return 0;
    if (err.status == PALI_OK)
        err.status = PALI_MEMORY;
    pictures_close(out);
    return fail_error(&err);
}

void pictures_close(pictures *shown)
{
    for (size_t i = 0; i < shown->count; i++) {
        if (shown->images[i])
            pali_image_free(shown->images[i]);
        free(shown->paths[i]);
    }
    free(shown->images);
    free(shown->paths);
    *shown = (pictures){0};
}

json_t *images_json(const pictures *shown)
{
    json_t *const list = json_array();
    for (size_t i = 0; i < shown->count; i++) {
        json_t *const image = json_object();
        json_object_set_new(image, "path", json_text(shown->paths[i]));
        json_object_set_new(image, "width", json_integer((json_int_t)pali_image_width(shown->images[i])));
        json_object_set_new(image, "height", json_integer((json_int_t)pali_image_height(shown->images[i])));
        json_array_append_new(list, image);
    }
    return list;
}

/* PALI_MODEL; NULL when unset or empty. */
static const char *model_from_environment(void)
{
    const char *const name = getenv("PALI_MODEL");
    return name && *name ? name : NULL;
}

const char *model_name(const settings *given)
{
    const char *const found = given->model ? given->model : model_from_environment();
    return found ? found : "nano";
}

int environment_read(settings *given, const command *of)
{
    const char *const threads = getenv("PALI_THREADS"), *const pin = getenv("PALI_PIN");
    given->threads_are_usual = !given->threads;
    if (!given->threads && threads && *threads && !read_count(threads, 1, MOST_THREADS, &given->threads))
        return fail_usage(of, "PALI_THREADS: found '%s', expected a whole number from 1 to %d", threads, MOST_THREADS);
    if (pin && *pin) {
        if (strcmp(pin, "0") != 0 && strcmp(pin, "1") != 0)
            return fail_usage(of, "PALI_PIN: found '%s', expected 0 or 1", pin);
        given->pin = given->pin || *pin == '1';
    }
    pali_error err = {0};
    return pali_cpu_level(NULL, &err) ? 0 : fail_error(&err);
}

/* What the library has to say before it begins. */
static void print_note(void *context, const char *line)
{
    note(context, "%s", line);
}

void model_note(const settings *given)
{
    if (!given->model && !model_from_environment())
        note(given, "no model was named, so nano answers, a small one for trying out; "
                    "real weights: hf download google/paligemma2-3b-mix-448, then -m google/paligemma2-3b-mix-448");
}

int model_open(const settings *given, pali_model **model, pali_session **session)
{
    progress bar = progress_start(given, "loading", true);
    const pali_model_options options = {
        .size = sizeof options,
        .threads = (size_t)given->threads,
        .pin = given->pin,
        .tokenizer = given->tokenizer,
        .vision = given->vision,
        .preprocess = given->preprocess,
        .codec = given->codec,
        .type = given->type,
        .lora = given->lora.items,
        .lora_count = given->lora.count,
        .no_final_softcap = given->no_final_softcap,
        .activations = given->activations,
        .kv_cache = given->kv_cache,
        .progress = progress_update,
        .progress_context = &bar,
        .note = print_note,
        .note_context = (void *)given,
    };
    pali_error err = {0};
    *model = pali_model_open(model_name(given), &options, &err);
    progress_end(&bar);
    if (!*model)
        return fail_error(&err);
    model_note(given);
    if (session && !(*session = pali_session_new(*model, NULL, &err))) {
        pali_model_free(*model);
        *model = NULL;
        return fail_error(&err);
    }
    return 0;
}

int calibration_open(settings *given, const pali_model *model)
{
    pali_error err = {0};
    given->curves = given->calibration ? pali_calibration_open(given->calibration, model, &err) : NULL;
    return given->calibration && !given->curves ? fail_error(&err) : 0;
}
