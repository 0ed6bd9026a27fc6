/* pali score: how likely each of several answers is. */
#include "options.h"
#include "say.h"
#include "table.h"
#include "use.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct choices {
    char **texts; /* [count], owned */
    size_t count, capacity;
} choices;

static void choices_free(choices *c)
{
    for (size_t i = 0; i < c->count; i++)
        free(c->texts[i]);
    free(c->texts);
}

static int choices_add(choices *c, const char *text, size_t length)
{
    if (c->count == c->capacity) {
        const size_t capacity = c->capacity ? 2 * c->capacity : 64;
        char **const larger = realloc(c->texts, capacity * sizeof *larger);
        if (!larger)
            return fail(PALI_MEMORY, "out of memory");
        c->texts = larger;
        c->capacity = capacity;
    }
    if (!(c->texts[c->count] = strndup(text, length)))
        return fail(PALI_MEMORY, "out of memory");
    c->count++;
    return 0;
}

/* A text a line; empty lines are passed over. */
static int choices_read(choices *c, const char *path)
{
    const bool is_input = strcmp(path, "-") == 0;
    FILE *const in = is_input ? stdin : fopen(path, "r");
    if (!in)
        return fail(PALI_INPUT, "%s: cannot be opened", path);
    char *line = NULL;
    size_t capacity = 0;
    int code = 0;
    while (!code && getline(&line, &capacity, in) >= 0) {
        const size_t length = strcspn(line, "\r\n");
        if (length)
            code = choices_add(c, line, length);
    }
    if (!code && ferror(in))
        code = fail(PALI_INPUT, "%s: cannot be read", path);
    free(line);
    if (!is_input)
        fclose(in);
    return code;
}

/* Every choice that the options name, in the order --choices, --choice, --choices-file. */
static int choices_gather(const settings *given, choices *c)
{
    int code = 0;
    for (size_t i = 0; !code && i < given->choices.count; i++)
        code = choices_add(c, given->choices.items[i], strlen(given->choices.items[i]));
    for (size_t i = 0; !code && i < given->choice.count; i++)
        code = choices_add(c, given->choice.items[i], strlen(given->choice.items[i]));
    if (!code && given->choices_file)
        code = choices_read(c, given->choices_file);
    if (!code && c->count == 0)
        code = fail_usage(&score_command, "there are no choices to score; --choices \"yes|no\" names some");
    return code;
}

/* The choices, the likeliest first. */
static json_t *ranking(const choices *c, const pali_scored *scored)
{
    json_t *const list = json_array();
    size_t *const order = calloc(c->count, sizeof *order);
    for (size_t i = 0; order && i < c->count; i++)
        order[scored[i].rank] = i;
    for (size_t r = 0; order && r < c->count; r++) {
        const size_t i = order[r];
        json_t *const row = json_object();
        json_object_set_new(row, "choice", json_text(c->texts[i]));
        json_object_set_new(row, "index", json_integer((json_int_t)i));
        json_object_set_new(row, "probability", json_number(scored[i].probability));
        json_object_set_new(row, "log_likelihood", json_number(scored[i].total));
        json_object_set_new(row, "mean", json_number(scored[i].mean));
        json_object_set_new(row, "tokens", json_integer((json_int_t)scored[i].tokens));
        json_array_append_new(list, row);
    }
    free(order);
    return list;
}

static int print_scores(const settings *given, const pictures *shown, const char *prompt, const choices *c, const pali_scored *scored)
{
    json_t *const object = json_object();
    json_object_set_new(object, "choices", ranking(c, scored));
    if (!given->json) {
        table_print(stdout, object);
        json_decref(object);
        return finish_output(0);
    }
    json_object_set_new(object, "by", json_string(given->by ? given->by : "total"));
    json_object_set_new(object, "eos", json_boolean(!given->no_eos));
    json_object_set_new(object, "model", json_text(model_name(given)));
    json_object_set_new(object, "prompt", json_text(prompt));
    json_object_set_new(object, "images", images_json(shown));
    return finish_output(print_json(object));
}

static int measure(const settings *given, pali_session *session, const pictures *shown, const char *prompt, const choices *c)
{
    const pali_score_options options = {.size = sizeof options, .by_mean = given->by && strcmp(given->by, "mean") == 0, .no_eos = given->no_eos, .special = given->special};
    pali_scored *const scored = calloc(c->count, sizeof *scored);
    pali_error err = {0};
    int code = scored ? 0 : fail(PALI_MEMORY, "out of memory");
    if (!code && (pali_session_set_images(session, shown->images, shown->count, &err) != PALI_OK ||
                  pali_score_many(session, prompt, (const char *const *)c->texts, c->count, &options, scored, &err) != PALI_OK))
        code = fail_error(&err);
    if (!code)
        code = print_scores(given, shown, prompt, c, scored);
    free(scored);
    return code;
}

static int score(const settings *given)
{
    const text_list *const operands = &given->operands;
    choices c = {0};
    pictures shown = {0};
    pali_model *model = NULL;
    pali_session *session = NULL;
    int code = question_check(&score_command, operands);
    if (!code)
        code = choices_gather(given, &c);
    if (!code)
        code = pictures_open(given, &score_command, operands->items, operands->count - 1, &shown);
    if (!code)
        code = model_open(given, &model, &session);
    if (!code)
        code = measure(given, session, &shown, operands->items[operands->count - 1], &c);
    pali_session_free(session);
    pali_model_free(model);
    pictures_close(&shown);
    choices_free(&c);
    return code;
}

static const option own_options[] = {
    {"choices", 0, OPTION_WORDS, offsetof(settings, choices), "\"A|B\"", '|', 0, "the texts to score, as they stand"},
    {"choice", 0, OPTION_LIST, offsetof(settings, choice), "TEXT", 0, 0, "one more, with any bars; may be given again"},
    {"choices-file", 0, OPTION_TEXT, offsetof(settings, choices_file), "FILE", 0, 0, "more of them, one a line"},
    {"by", 0, OPTION_CHOICE, offsetof(settings, by), "total|mean", 0, 0, "rank by log-likelihood, or by that of a token"},
    {"no-eos", 0, OPTION_FLAG, offsetof(settings, no_eos), NULL, 0, 0, "leave out the end-of-text token"},
    {"special", 0, OPTION_FLAG, offsetof(settings, special), NULL, 0, 0, "take control tokens in the prompt as such"},
    {"json", 0, OPTION_FLAG, offsetof(settings, json), NULL, 0, 0, "one JSON object in place of the table"},
    {"quiet", 'q', OPTION_FLAG, offsetof(settings, quiet), NULL, 0, 0, "nothing but errors on standard error"},
    {0},
};

const command score_command = {
    .name = "score",
    .operands = "IMAGE... PROMPT",
    .summary = "tell how likely each of several answers is",
    .about = "Prints the log-likelihood of each choice as the answer to PROMPT about the images,\n"
             "the likeliest first: zero-shot classification, multiple choice. The likelihood is\n"
             "of the whole text and its end (--no-eos leaves the end out), so longer texts tend\n"
             "to score lower; --by mean divides by the number of tokens. Probabilities are over\n"
             "the choices given and add up to 1; a choice given twice counts twice.",
    .examples = "  pali score photo.jpg \"answer en is it day?\" --choices \"yes|no\"\n"
                "  pali score --json --by mean --choices-file labels.txt bird.jpg \"caption en\"\n",
    .options = (const option *const[]){own_options, clip_options, model_options, common_options, NULL},
    .run = score,
};
