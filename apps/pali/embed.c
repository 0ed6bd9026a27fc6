/* pali embed: vectors from inside the model, into a file. */
#include "options.h"
#include "say.h"
#include "use.h"

#include <pali/embed.h>

#include <stdlib.h>
#include <string.h>

enum { MOST_LAYERS = 256 };

typedef struct job {
    const settings *given;
    pali_embed_options options;
    int32_t layers[MOST_LAYERS];
    const char *prompt;       /* or NULL */
    const char *const *paths; /* [count] of pictures */
    size_t count;
} job;

/* "0,5,last": whole numbers, negative ones from the end, and the word. */
static int read_layers(const char *text, job *j)
{
    bool more = true;
    for (const char *at = text; more; at++) {
        char *end = NULL;
        long value = -1;
        if (strncmp(at, "last", 4) == 0)
            end = (char *)(uintptr_t)(at + 4);
        else if ((*at >= '0' && *at <= '9') || *at == '-')
            value = strtol(at, &end, 10);
        if (!end || end == at || (*end && *end != ',') || value < -100000 || value > 100000 || j->options.layer_count == MOST_LAYERS)
            return fail_usage(&embed_command, "--layers: found '%s', expected up to %d layers such as 0,5,last", text, MOST_LAYERS);
        j->layers[j->options.layer_count++] = (int32_t)value;
        more = *end == ',';
        at = end;
    }
    j->options.layers = j->layers;
    return 0;
}

/* A word that ends like a picture's name is a picture that is missing, not a prompt. */
static bool may_be_prompt(const char *text)
{
    return !is_picture(text) && (strchr(text, ' ') || !pali_image_format(text, NULL));
}

/* Takes the last operand for the prompt where there is one to be. */
static int take_operands(job *j)
{
    const text_list *const operands = &j->given->operands;
    const bool pooled = strcmp(j->given->what, "pooled") == 0;
    j->paths = operands->items;
    j->count = operands->count;
    if (operands->count == 0)
        return fail_usage(&embed_command, "an image is missing");
    if (strcmp(j->given->what, "hidden") == 0 || (pooled && operands->count > 1 && may_be_prompt(operands->items[operands->count - 1]))) {
        const int code = question_check(&embed_command, operands);
        if (code)
            return code;
        j->options.what = PALI_EMBED_HIDDEN;
        j->prompt = operands->items[--j->count];
    } else {
        j->options.what = strcmp(j->given->what, "projector") == 0 ? PALI_EMBED_PROJECTOR : PALI_EMBED_SIGLIP;
    }
    j->options.pool = j->given->pool || pooled;
    return 0;
}

static int prepare(job *j)
{
    const settings *const given = j->given;
    if (!given->what)
        return fail_usage(&embed_command, "--what is missing: projector, siglip, pooled or hidden");
    if (!given->out)
        return fail_usage(&embed_command, "--out FILE is missing: a .npy, .npz or .safetensors");
    int code = take_operands(j);
    if (!code && given->layers)
        code = j->options.what == PALI_EMBED_HIDDEN ? read_layers(given->layers, j) : fail_usage(&embed_command, "--layers: found without hidden states, expected --what hidden");
    if (!code && given->together && j->options.what != PALI_EMBED_HIDDEN)
        code = fail_usage(&embed_command, "--together: found without a prompt, expected --what hidden");
    j->options.size = sizeof j->options;
    j->options.normalise = given->normalise;
    j->options.special = given->special;
    pali_error err = {0};
    const size_t tensors = j->options.layer_count ? j->options.layer_count : 1;
    if (!code && pali_embedding_check(given->out, given->dtype, tensors, &err) != PALI_OK)
        code = fail_error(&err);
    return code;
}

/* Opens pictures and appends their vectors to *all; of several they are one question. */
static int embed_pictures(const job *j, pali_session *session, const char *const *paths, size_t count, pali_embedding **all)
{
    pictures shown = {0};
    pali_error err = {0};
    int code = pictures_open(j->given, &embed_command, paths, count, &shown);
    if (code)
        return code;
    pali_embedding *next = pali_embed(session, shown.images, shown.count, j->prompt, &j->options, &err);
    if (next && !*all) {
        *all = next;
        next = NULL;
    } else if (next) {
        pali_embedding_append(*all, next, &err);
    }
    code = err.status == PALI_OK ? 0 : fail_error(&err);
    pali_embedding_free(next);
    pictures_close(&shown);
    return code;
}

/* Every picture by itself, one in memory at a time; or all as one question. */
static int embed_all(const job *j, pali_session *session, pali_embedding **all)
{
    if (j->given->together || j->given->frames)
        return embed_pictures(j, session, j->paths, j->count, all);
    progress bar = progress_start(j->given, "embedding", false);
    int code = 0;
    for (size_t i = 0; !code && i < j->count; i++) {
        code = embed_pictures(j, session, &j->paths[i], 1, all);
        progress_update(&bar, i + 1, j->count);
    }
    progress_end(&bar);
    return code;
}

/* "[2, 256, 1152]" */
static const char *shape_text(const pali_embedding_tensor *tensor, char text[80])
{
    int used = 0;
    for (size_t i = 0; i < tensor->rank; i++)
        used += snprintf(text + used, 80 - (size_t)used, "%s%zu", i ? ", " : "[", tensor->shape[i]);
    snprintf(text + used, 80 - (size_t)used, "]");
    return text;
}

static int report(const job *j, const pali_embedding *embedding)
{
    json_t *const list = json_array(), *const object = json_object();
    for (size_t i = 0; i < pali_embedding_count(embedding); i++) {
        const pali_embedding_tensor tensor = pali_embedding_at(embedding, i);
        json_t *const row = json_object(), *const shape = json_array();
        char text[80];
        for (size_t k = 0; k < tensor.rank; k++)
            json_array_append_new(shape, json_integer((json_int_t)tensor.shape[k]));
        json_object_set_new(row, "name", json_text(tensor.name));
        json_object_set_new(row, "shape", shape);
        json_array_append_new(list, row);
        note(j->given, "%s: %s %s", j->given->out, tensor.name, shape_text(&tensor, text));
    }
    json_object_set_new(object, "out", json_text(j->given->out));
    json_object_set_new(object, "type", json_string(j->given->dtype ? j->given->dtype : "f32"));
    json_object_set_new(object, "items", json_integer((json_int_t)pali_embedding_items(embedding)));
    json_object_set_new(object, "tensors", list);
    json_object_set_new(object, "model", json_text(model_name(j->given)));
    if (j->given->json)
        return finish_output(print_json(object));
    json_decref(object);
    return 0;
}

static int embed(const settings *given)
{
    job j = {.given = given};
    pali_model *model = NULL;
    pali_session *session = NULL;
    pali_embedding *all = NULL;
    pali_error err = {0};
    int code = prepare(&j);
    if (!code)
        code = model_open(given, &model, &session);
    if (!code)
        code = embed_all(&j, session, &all);
    if (!code && pali_embedding_save(all, given->out, given->dtype, &err) != PALI_OK)
        code = fail_error(&err);
    if (!code)
        code = report(&j, all);
    pali_embedding_free(all);
    pali_session_free(session);
    pali_model_free(model);
    return code;
}

static const option own_options[] = {
    {"what", 0, OPTION_CHOICE, offsetof(settings, what), "projector|siglip|pooled|hidden", 0, 0, "which vectors (see above)"},
    {"layers", 0, OPTION_TEXT, offsetof(settings, layers), "LIST", 0, 0, "hidden: layers such as 0,5,last (last)"},
    {"out", 'o', OPTION_TEXT, offsetof(settings, out), "FILE", 0, 0, ".npy, .npz or .safetensors to write"},
    {"pool", 0, OPTION_FLAG, offsetof(settings, pool), NULL, 0, 0, "the mean over the tokens in place of all of them"},
    {"normalise", 0, OPTION_FLAG, offsetof(settings, normalise), NULL, 0, 0, "divide every vector by its length"},
    {"together", 0, OPTION_FLAG, offsetof(settings, together), NULL, 0, 0, "hidden: all images in one question"},
    {"dtype", 0, OPTION_CHOICE, offsetof(settings, dtype), "f32|f16|bf16", 0, 0, "type of the numbers in the file (f32)"},
    {"special", 0, OPTION_FLAG, offsetof(settings, special), NULL, 0, 0, "take control tokens in the prompt as such"},
    {"json", 0, OPTION_FLAG, offsetof(settings, json), NULL, 0, 0, "tell what was written as one JSON object"},
    {"quiet", 'q', OPTION_FLAG, offsetof(settings, quiet), NULL, 0, 0, "nothing but errors on standard error"},
    {0},
};

const command embed_command = {
    .name = "embed",
    .operands = "IMAGE... [PROMPT]",
    .summary = "write vectors from inside the model to a file",
    .about = "Writes one tensor a layer, an item an image, in their order:\n"
             "  siglip     [items, tokens, width] the image encoder's tokens, after its last norm\n"
             "  projector  the same as the language model reads them, not scaled\n"
             "  hidden     [items, rows, width] of image and PROMPT in the language model; layer 0\n"
             "             is what goes into the first, \"last\" the last one's after the final norm\n"
             "  pooled     [items, width] the mean of siglip, or with PROMPT of hidden\n"
             "With one item the first axis is left out.",
    .examples = "  pali embed *.jpg --what pooled --normalise --out vectors.npy\n"
                "  pali embed --what hidden --layers 0,9,last -o states.npz arm.png \"pick up the cup\"\n",
    .options = (const option *const[]){own_options, clip_options, model_options, common_options, NULL},
    .run = embed,
};
