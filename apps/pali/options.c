/* The one parser of the command line; the tables it reads also print the help. */
#include "options.h"
#include "say.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <pali/status.h>

const option model_options[] = {
    {"model", 'm', OPTION_TEXT, offsetof(settings, model), "MODEL", 0, 0, "folder, .npz, .gguf, cached hub name, or nano"},
    {"threads", 't', OPTION_COUNT, offsetof(settings, threads), "N", 1, MOST_THREADS, "threads (one a core, or PALI_THREADS)"},
    {"pin", 0, OPTION_FLAG, offsetof(settings, pin), NULL, 0, 0, "hold each thread on a core of its own"},
    {"activations", 0, OPTION_CHOICE, offsetof(settings, activations), "auto|f32|int8", 0, 0, "what products take; f32: exact, slower"},
    {"kv-cache", 0, OPTION_CHOICE, offsetof(settings, kv_cache), "f32|bf16|q8_0", 0, 0, "type of the keys and values that are kept"},
    {"type", 0, OPTION_CHOICE, offsetof(settings, type), "f32|bf16|f16|q8_0|q4_0|q8", 0, 0, "convert the weight matrices while loading"},
    {"lora", 0, OPTION_LIST, offsetof(settings, lora), "DIR[:SCALE]", 0, 0, "add a PEFT adapter; may be given again"},
    {"tokenizer", 0, OPTION_TEXT, offsetof(settings, tokenizer), "PATH", 0, 0, "tokenizer.json, tokenizer.model or their folder"},
    {"vision", 0, OPTION_TEXT, offsetof(settings, vision), "FILE", 0, 0, "GGUF file with the vision tower (mmproj)"},
    {"codec", 0, OPTION_TEXT, offsetof(settings, codec), "FILE", 0, 0, "mask codec (vae-oid.npz beside the weights)"},
    {"preprocess", 0, OPTION_TEXT, offsetof(settings, preprocess), "KIND", 0, 0, "hf, hf:pillow13, big_vision[:VARIANT]"},
    {"no-final-softcap", 0, OPTION_FLAG, offsetof(settings, no_final_softcap), NULL, 0, 0, "PaliGemma 2: leave the cap on output logits off"},
    {0},
};

const option answer_options[] = {
    {"max-tokens", 'n', OPTION_COUNT, offsetof(settings, max_tokens), "N", 1, 1000000, "stop after so many tokens (256)"},
    {"temp", 0, OPTION_NUMBER, offsetof(settings, temp), "T", 0, 100, "sample at this temperature (0: greedy)"},
    {"top-p", 0, OPTION_NUMBER, offsetof(settings, top_p), "P", 0, 1, "sample from the likeliest tokens that sum to P"},
    {"top-k", 0, OPTION_COUNT, offsetof(settings, top_k), "K", 0, 1000000, "sample from the K likeliest tokens"},
    {"seed", 0, OPTION_COUNT, offsetof(settings, seed), "N", 0, UINT64_MAX, "seed of the sampling: same seed, same answer"},
    {"beam", 0, OPTION_COUNT, offsetof(settings, beam), "B", 1, 256, "search for the likeliest answer with B beams"},
    {"best-of", 0, OPTION_COUNT, offsetof(settings, best_of), "N", 1, 256, "sample N answers (--temp), give the likeliest"},
    {"start", 0, OPTION_TEXT, offsetof(settings, start), "TEXT", 0, 0, "make the answer begin with TEXT"},
    {"special", 0, OPTION_FLAG, offsetof(settings, special), NULL, 0, 0, "take control tokens in the prompt as such"},
    {"constrain", 0, OPTION_CHOICE, offsetof(settings, constrain), "auto|off", 0, 0, "auto: detect and segment give whole objects"},
    {"labels", 0, OPTION_WORDS, offsetof(settings, labels), "\"A;B\"", ';', 0, "labels of objects, in place of the prompt's"},
    {"max-objects", 0, OPTION_COUNT, offsetof(settings, max_objects), "N", 1, 1000000, "at most N objects (as many as fit)"},
    {"noise-token", 0, OPTION_TEXT, offsetof(settings, noise_token), "PIECE", 0, 0, "the noise class of models taught with one (<noise>)"},
    {"choices", 0, OPTION_WORDS, offsetof(settings, choices), "\"A|B\"", '|', 0, "the answer is one of these texts, as they stand"},
    {"confidence", 0, OPTION_FLAG, offsetof(settings, confidence), NULL, 0, 0, "also tell how sure the model is"},
    {"calibration", 0, OPTION_TEXT, offsetof(settings, calibration), "FILE", 0, 0, "confidence as a probability: a file of pali eval"},
    {"min-confidence", 0, OPTION_NUMBER, offsetof(settings, min_confidence), "P", 0, 1, "leave out objects below this confidence"},
    {"nms", 0, OPTION_NUMBER, offsetof(settings, nms), "IOU", 0, 1, "then those that overlap a surer one of that label"},
    {"top-objects", 0, OPTION_COUNT, offsetof(settings, top_objects), "K", 1, 1000000, "then all but the K surest"},
    {"logprobs", 0, OPTION_FLAG, offsetof(settings, logprobs), NULL, 0, 0, "also tell each token's log-probability"},
    {"json", 0, OPTION_FLAG, offsetof(settings, json), NULL, 0, 0, "one JSON object in place of the text"},
    {"quiet", 'q', OPTION_FLAG, offsetof(settings, quiet), NULL, 0, 0, "nothing but errors on standard error"},
    {0},
};

const option clip_options[] = {
    {"frames", 0, OPTION_COUNT, offsetof(settings, frames), "N", 1, MOST_FRAMES, "images, or one animation, as a clip of N frames"},
    {"stride", 0, OPTION_COUNT, offsetof(settings, stride), "N", 1, 1000000, "with --frames: one frame in N of those there are"},
    {0},
};

const option drawing_options[] = {
    {"draw", 0, OPTION_TEXT, offsetof(settings, draw), "FILE", 0, 0, "draw the objects on the image: .png, .jpg, .webp"},
    {"mask-dir", 0, OPTION_TEXT, offsetof(settings, mask_dir), "DIR", 0, 0, "write each object's mask there as a PNG"},
    {"preview", 0, OPTION_CHOICE, offsetof(settings, preview), "auto|kitty|iterm2|sixel", 0, 0, "show them on the terminal"},
    {0},
};

const option common_options[] = {
    {"help", 'h', OPTION_FLAG, offsetof(settings, help), NULL, 0, 0, "show this help"},
    {0},
};

size_t edit_distance(const char *a, const char *b)
{
    enum { MOST = 32 };
    const size_t rows = strlen(a), columns = strlen(b);
    if (rows > MOST || columns > MOST)
        return rows + columns;
    size_t table[MOST + 1][MOST + 1];
    for (size_t i = 0; i <= rows; i++)
        for (size_t j = 0; j <= columns; j++) {
            if (i == 0 || j == 0) {
                table[i][j] = i + j;
                continue;
            }
            size_t best = table[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            best = table[i - 1][j] + 1 < best ? table[i - 1][j] + 1 : best;
            best = table[i][j - 1] + 1 < best ? table[i][j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && table[i - 2][j - 2] + 1 < best)
                best = table[i - 2][j - 2] + 1;
            table[i][j] = best;
        }
    return table[rows][columns];
}

bool read_count(const char *text, uint64_t least, uint64_t most, uint64_t *value)
{
    if (text[0] < '0' || text[0] > '9')
        return false;
    char *end;
    errno = 0;
    const unsigned long long found = strtoull(text, &end, 10);
    if (errno || *end || found < least || found > most)
        return false;
    *value = found;
    return true;
}

bool read_number(const char *text, double least, double most, double *value)
{
    char *end;
    const double found = strtod(text, &end);
    /* strtod also takes white space, words and hexadecimal digits. */
    if (end == text || *end || text[strspn(text, "+-.0123456789eE")] || !isfinite(found) || found < least || found > most)
        return false;
    *value = found;
    return true;
}

/* The option of that name (length bytes), or of that letter when name is NULL. */
static const option *find_option(const command *of, const char *name, size_t length, char letter)
{
    for (const option *const *table = of->options; *table; table++)
        for (const option *o = *table; o->name; o++)
            if (name ? strlen(o->name) == length && memcmp(o->name, name, length) == 0 : o->letter == letter)
                return o;
    return NULL;
}

static int fail_unknown(const command *of, const char *argument)
{
    const size_t length = strcspn(argument, "=");
    char name[33] = "";
    const option *nearest = NULL;
    if (argument[1] == '-' && length - 2 < sizeof name) {
        memcpy(name, argument + 2, length - 2);
        size_t best = 3;
        for (const option *const *table = of->options; *table; table++)
            for (const option *o = *table; o->name; o++) {
                const size_t distance = edit_distance(name, o->name);
                if (distance < best && distance < strlen(o->name)) {
                    best = distance;
                    nearest = o;
                }
            }
    }
    if (nearest)
        return fail_usage(of, "unknown option %.*s; did you mean --%s?", (int)length, argument, nearest->name);
    return fail_usage(of, "unknown option %.*s", (int)length, argument);
}

/* True when `text` is one of the words of "a|b|c". */
static bool is_choice(const char *choices, const char *text)
{
    const size_t length = strlen(text);
    while (*choices) {
        const size_t word = strcspn(choices, "|");
        if (word == length && memcmp(choices, text, word) == 0)
            return true;
        choices += word + (choices[word] == '|');
    }
    return false;
}

static void free_words(text_list *list)
{
    if (list->count)
        free((char *)list->items[0]); /* the copy that all are parts of */
    free(list->items);
    *list = (text_list){0};
}

/* Cuts a copy of text at each separator. */
static int store_words(const char *text, char separator, text_list *list)
{
    size_t parts = 1;
    for (const char *at = text; *at; at++)
        parts += *at == separator;
    free_words(list);
    char *at = strdup(text);
    list->items = calloc(parts, sizeof *list->items);
    if (!at || !list->items) {
        free(at);
        return fail(PALI_MEMORY, "out of memory");
    }
    while (list->count < parts) {
        const size_t length = strcspn(at, (const char[]){separator, '\0'});
        list->items[list->count++] = at;
        at[length] = '\0';
        at += length + 1;
    }
    return 0;
}

/* Stores one option's value; `text` is NULL for a flag only. */
static int store(const command *of, const option *o, const char *text, settings *given)
{
    void *const place = (char *)given + o->place;
    switch (o->kind) {
    case OPTION_FLAG:
        *(bool *)place = true;
        break;
    case OPTION_TEXT:
        *(const char **)place = text;
        break;
    case OPTION_LIST: {
        text_list *const list = place;
        list->items[list->count++] = text;
        break;
    }
    case OPTION_WORDS:
        return store_words(text, (char)o->least, place);
    case OPTION_CHOICE:
        if (!is_choice(o->argument, text))
            return fail_usage(of, "--%s: found '%s', expected %s", o->name, text, o->argument);
        *(const char **)place = text;
        break;
    case OPTION_COUNT:
        if (!read_count(text, o->least, o->most, place))
            return fail_usage(of, "--%s: found '%s', expected a whole number from %llu to %llu", o->name, text, (unsigned long long)o->least, (unsigned long long)o->most);
        break;
    case OPTION_NUMBER:
        if (!read_number(text, (double)o->least, (double)o->most, place))
            return fail_usage(of, "--%s: found '%s', expected a number from %llu to %llu", o->name, text, (unsigned long long)o->least, (unsigned long long)o->most);
        break;
    }
    return 0;
}

/* One option at argv[*at], and the argument after it where it takes one. */
static int parse_option(const command *of, int argc, char **argv, int *at, settings *given)
{
    const char *const argument = argv[*at];
    const bool is_long = argument[1] == '-';
    const size_t length = is_long ? strcspn(argument + 2, "=") : 1;
    const option *const o = find_option(of, is_long ? argument + 2 : NULL, length, argument[1]);
    if (!o)
        return fail_unknown(of, argument);
    const char *value = argument + (is_long ? 2 : 1) + length;
    const bool has_value = *value != '\0';
    value += is_long && has_value;
    if (o->kind == OPTION_FLAG)
        return has_value ? fail_usage(of, "--%s takes no value, found '%s'", o->name, value) : store(of, o, NULL, given);
    if (!has_value) {
        if (*at + 1 >= argc || strncmp(argv[*at + 1], "--", 2) == 0)
            return fail_usage(of, "--%s: its value %s is missing", o->name, o->argument);
        value = argv[++*at];
    }
    return store(of, o, value, given);
}

int options_parse(const command *of, int argc, char **argv, settings *given)
{
    *given = (settings){0};
    given->operands.items = calloc((size_t)argc + 1, sizeof *given->operands.items);
    given->lora.items = calloc((size_t)argc + 1, sizeof *given->lora.items);
    given->choice.items = calloc((size_t)argc + 1, sizeof *given->choice.items);
    given->polygon.items = calloc((size_t)argc + 1, sizeof *given->polygon.items);
    if (!given->operands.items || !given->lora.items || !given->choice.items || !given->polygon.items)
        return fail(PALI_MEMORY, "out of memory");
    bool ended = false;
    for (int i = 0; i < argc; i++) {
        const char *const argument = argv[i];
        if (ended || argument[0] != '-' || argument[1] == '\0') {
            given->operands.items[given->operands.count++] = argument;
        } else if (strcmp(argument, "--") == 0) {
            ended = true;
        } else {
            const int code = parse_option(of, argc, argv, &i, given);
            if (code)
                return code;
        }
    }
    return 0;
}

void options_free(settings *given)
{
    free(given->operands.items);
    free(given->lora.items);
    free(given->choice.items);
    free(given->polygon.items);
    free_words(&given->labels);
    free_words(&given->choices);
}

void options_help(const command *of, FILE *out)
{
    fprintf(out, "Usage: pali %s [options]%s%s\n\n%s\n\nOptions:\n", of->name, *of->operands ? " " : "", of->operands, of->about);
    for (const option *const *table = of->options; *table; table++)
        for (const option *o = *table; o->name; o++) {
            char left[64];
            snprintf(left, sizeof left, "--%s%s%s", o->name, o->argument ? " " : "", o->argument ? o->argument : "");
            if (o->letter)
                fprintf(out, "  -%c, %-22s", o->letter, left);
            else
                fprintf(out, "      %-22s", left);
            /* What is longer than its column has the text below it. */
            fprintf(out, strlen(left) > 22 ? "\n%29s%s\n" : "%s%s\n", strlen(left) > 22 ? "" : " ", o->help);
        }
    if (*of->examples)
        fprintf(out, "\nExamples:\n%s", of->examples);
}
