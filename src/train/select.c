/* Words are looked up in one list; an expression is compiled once for all names. */
#include "train/select.h"

#include "base/memory.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

static bool is_all(const pl_subject *s)
{
    (void)s;
    return true;
}

static bool is_vision(const pl_subject *s)
{
    return s->weight->part == PL_PART_VISION || s->weight->part == PL_PART_VISION_BLOCK;
}

static bool is_projector(const pl_subject *s)
{
    return s->weight->part == PL_PART_PROJECTOR;
}

static bool is_language(const pl_subject *s)
{
    return s->weight->part == PL_PART_TEXT || s->weight->part == PL_PART_TEXT_LAYER;
}

static bool is_attention(const pl_subject *s)
{
    return pl_starts_with(s->weight->name, "self_attn.");
}

static bool is_mlp(const pl_subject *s)
{
    return pl_starts_with(s->weight->name, "mlp.");
}

static bool is_norm(const pl_subject *s)
{
    return s->weight->target == PL_TARGET_VECTOR;
}

static bool is_bias(const pl_subject *s)
{
    return s->weight->target == PL_TARGET_BIAS;
}

static bool is_head(const pl_subject *s)
{
    return s->weight == &pl_head_weight;
}

static bool is_embedding(const pl_subject *s)
{
    return s->weight->rows == PL_DIM_VOCABULARY && !is_head(s);
}

static bool is_position(const pl_subject *s)
{
    return s->weight->rows == PL_DIM_VISION_TOKENS;
}

static bool is_adapter(const pl_subject *s)
{
    return s->adapter;
}

typedef bool word_fn(const pl_subject *subject);

static const struct {
    const char *name;
    word_fn *names;
} words[] = {
    {"all", is_all},     {"vision", is_vision}, {"projector", is_projector}, {"language", is_language},     {"attention", is_attention}, {"mlp", is_mlp},
    {"norms", is_norm},  {"biases", is_bias},   {"head", is_head},           {"embeddings", is_embedding},  {"positions", is_position},  {"lora", is_adapter},
};

enum { MOST_WORDS = 4 };

struct pl_name_pattern {
    word_fn *words[MOST_WORDS]; /* all of them must agree; [0] NULL: the expression */
    regex_t expression;
    bool compiled, matched;
};

/* True if the pattern is words with points between them. */
static bool read_words(const char *pattern, word_fn *found[MOST_WORDS])
{
    for (size_t n = 0; n < MOST_WORDS; n++) {
        const size_t length = strcspn(pattern, ".");
        for (size_t w = 0; w < sizeof words / sizeof *words; w++)
            if (strlen(words[w].name) == length && memcmp(words[w].name, pattern, length) == 0)
                found[n] = words[w].names;
        if (!found[n])
            break;
        if (!pattern[length])
            return true;
        pattern += length + 1;
    }
    memset(found, 0, MOST_WORDS * sizeof *found);
    return false;
}

bool pl_is_word_pattern(const char *pattern)
{
    word_fn *found[MOST_WORDS] = {NULL};
    return read_words(pattern, found);
}

pali_status pl_selection_init(pl_selection *selection, pl_patterns patterns, const char *what, pali_error *err)
{
    *selection = (pl_selection){.what = what, .patterns = patterns, .matchers = pl_new(patterns.count, sizeof *selection->matchers, "patterns", err)};
    if (!selection->matchers)
        return PALI_MEMORY;
    for (size_t i = 0; i < patterns.count; i++) {
        struct pl_name_pattern *matcher = &selection->matchers[i];
        const char *pattern = patterns.items[i];
        char found[80];
        if (read_words(pattern, matcher->words))
            continue;
        matcher->compiled = pl_pattern_compile(&matcher->expression, pattern, false);
        if (!matcher->compiled)
            return pl_fail(err, PALI_USAGE, "%s: found %s, expected a part such as language.attention, or a POSIX extended regular expression without { }", what,
                           pl_printable(pattern, strlen(pattern), found));
    }
    return PALI_OK;
}

void pl_selection_free(pl_selection *selection)
{
    for (size_t i = 0; selection->matchers && i < selection->patterns.count; i++)
        if (selection->matchers[i].compiled)
            regfree(&selection->matchers[i].expression);
    free(selection->matchers);
    *selection = (pl_selection){0};
}

static bool names(const struct pl_name_pattern *matcher, const pl_subject *subject)
{
    if (matcher->compiled)
        return regexec(&matcher->expression, subject->name, 0, NULL, 0) == 0;
    for (size_t n = 0; n < MOST_WORDS && matcher->words[n]; n++)
        if (!(subject->weight || matcher->words[n] == is_all) || !matcher->words[n](subject))
            return false;
    return true;
}

bool pl_selection_names(pl_selection *selection, const pl_subject *subject)
{
    bool any = false;
    for (size_t i = 0; i < selection->patterns.count; i++)
        if (names(&selection->matchers[i], subject))
            any = selection->matchers[i].matched = true;
    return any;
}

pali_status pl_selection_check(const pl_selection *selection, const char *among, pali_error *err)
{
    char found[80];
    for (size_t i = 0; i < selection->patterns.count; i++)
        if (!selection->matchers[i].matched)
            return pl_fail(err, PALI_USAGE, "%s: found %s, which names none of the %s; expected a part (vision, language.attention, norms ...) or an expression for a whole name such as text.layers.0.mlp.up_proj.weight",
                           selection->what, pl_printable(selection->patterns.items[i], strlen(selection->patterns.items[i]), found), among);
    return PALI_OK;
}
