/* pali data: rows as the model sees them. */
#include "options.h"
#include "say.h"
#include "train_say.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <pali/train.h>

enum { SHOWN = 4 };

static int show_rows(const settings *given, pali_rows *rows)
{
    const uint64_t count = given->limit ? given->limit : SHOWN, all = pali_rows_count(rows);
    int code = 0;
    if (given->first >= all)
        return fail_usage(&data_command, "--first: found %llu, expected less than %llu, the examples of an epoch", (unsigned long long)given->first, (unsigned long long)all);
    for (uint64_t n = given->first; n < all && n - given->first < count; n++) {
        pali_error err = {0};
        char *const text = given->json ? pali_rows_json(rows, n, &err) : pali_rows_show(rows, n, &err);
        if (!text && err.status != PALI_INPUT)
            return fail_error(&err);
        if (!text) {
            code = fail_error(&err); /* others can be shown still */
            continue;
        }
        fputs(text, stdout);
        if (!*text || text[strlen(text) - 1] != '\n')
            putchar('\n');
        if (!given->json)
            putchar('\n');
        pali_free(text);
    }
    return finish_output(code);
}

/* Colour is for terminals, and for those who have not refused it (no-color.org). */
static bool colours(void)
{
    const char *const refused = getenv("NO_COLOR"), *const terminal = getenv("TERM");
    return isatty(STDOUT_FILENO) && !(refused && *refused) && !(terminal && strcmp(terminal, "dumb") == 0);
}

static int show(const settings *given)
{
    const char *recipe, **list;
    size_t count;
    pali_error err = {0};
    if (given->operands.count == 1)
        return fail_usage(&data_command, "a recipe is missing: a YAML file, or KEY=VALUE such as model=nano data=rows.jsonl");
    int code = train_operands(&data_command, given, 1, &recipe, &list, &count);
    const pali_rows_options options = {.size = sizeof options, .validation = given->validation, .colour = colours()};
    pali_rows *const rows = code ? NULL : pali_rows_open(recipe, list, count, &options, &err);
    if (!code)
        code = rows ? show_rows(given, rows) : fail_error(&err);
    pali_rows_free(rows);
    free(list);
    return code;
}

static int data(const settings *given)
{
    const char *const way = given->operands.count ? given->operands.items[0] : NULL;
    if (way && strcmp(way, "show") == 0)
        return show(given);
    return way ? fail_usage(&data_command, "found '%s', expected show", way) : fail_usage(&data_command, "what to do is missing: show");
}

static const option own_options[] = {
    {"first", 0, OPTION_COUNT, offsetof(settings, first), "N", 0, UINT64_MAX, "begin with this example of the run (0)"},
    {"limit", 0, OPTION_COUNT, offsetof(settings, limit), "N", 1, UINT64_MAX, "show so many (4)"},
    {"validation", 0, OPTION_FLAG, offsetof(settings, validation), NULL, 0, 0, "the held-out rows in place of those to learn"},
    {"json", 0, OPTION_FLAG, offsetof(settings, json), NULL, 0, 0, "one JSON object a line in place of the text"},
    {0},
};

const command data_command = {
    .name = "data",
    .operands = "show [RECIPE.yaml] [KEY=VALUE...]",
    .summary = "rows of a recipe as the model is to see them",
    .about = "show prints examples in the order in which a run would learn from them: tokens with\n"
             "ids and pieces, what sees what, what loss is taken on, what was cut off, and the\n"
             "pictures with their sizes. The keys of a recipe are those of pali train.",
    .examples = "  pali data show model=nano data=rows.jsonl\n"
                "  pali data show recipe.yaml --validation --first 10 --limit 2 --json\n",
    .options = (const option *const[]){own_options, common_options, NULL},
    .run = data,
};
