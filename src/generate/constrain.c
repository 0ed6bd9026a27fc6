/*
 * From prompt and options to a constraint. Labels and choices go through the
 * tokenizer as the model has seen them: a choice as a whole suffix, a label
 * behind a location and, where another object follows, before one.
 */
#include "generate/constrain.h"

#include "base/text.h"
#include "generate/grammar.h"
#include "generate/timeline.h"

#include <stdlib.h>
#include <string.h>

enum {
    SEGMENT_TOKENS = 16,     /* of a mask: 4x4 codes */
    DEFAULT_NOISE_OBJECTS = 100 /* where the model does not say itself how many: COCO's limit */
};

typedef struct text_view {
    const char *at;
    size_t length;
} text_view;

typedef struct building {
    const pl_paligemma *model;
    const pl_constrain *options;
    pl_grammar_options grammar;
    text_view *texts;          /* [count] owned: labels, borrowed from options or prompt */
    size_t count, capacity;
    pl_ids ids;
    pl_label_tokens *labels;   /* [count] owned */
    bool free_labels, listed;  /* listed: by the options */
} building;

static text_view trim(const char *text, size_t length)
{
    while (length && pl_is_space(text[length - 1]))
        length--;
    while (length && pl_is_space(*text)) {
        text++;
        length--;
    }
    return (text_view){text, length};
}

static bool same_text(text_view a, text_view b)
{
    return a.length == b.length && memcmp(a.at, b.at, a.length) == 0;
}

/* True when the tokens are ordinary ones that the model can put out. */
static bool are_usable(const pl_paligemma *model, const int32_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= model->config.text.vocabulary || model->banned[ids[i]] || pl_tokenizer_is_control(model->tokenizer, ids[i]))
            return false;
    return true;
}

/* ---- Choices --------------------------------------------------------- */

static pali_status add_choice(const pl_paligemma *model, const pl_constrain *options, size_t i, pl_ids *ids, pali_error *err)
{
    const char *const choice = options->choices[i];
    const size_t before = ids->count;
    if (!choice || !*choice)
        return pl_fail(err, PALI_USAGE, "choices: found nothing as number %zu, expected text", i + 1);
    for (size_t j = 0; j < i; j++)
        if (strcmp(options->choices[j], choice) == 0)
            return pl_fail(err, PALI_USAGE, "choices: found '%s' twice, expected different texts", choice);
    const pali_status status = pl_tokenizer_encode(model->tokenizer, choice, strlen(choice), PL_TEXT_USER, ids, err);
    if (status == PALI_OK && !are_usable(model, ids->data + before, ids->count - before))
        return pl_fail(err, PALI_USAGE, "choices: found '%s', expected text of tokens that the model can answer with", choice);
    return status;
}

static pali_status constrain_choices(const pl_paligemma *model, const pl_constrain *options, pl_constraint **constraint, pali_error *err)
{
    pl_ids ids = {0};
    size_t *const offsets = pl_new(options->choice_count + 1, sizeof *offsets, "choices", err);
    pali_status status = offsets ? PALI_OK : PALI_MEMORY;
    for (size_t i = 0; status == PALI_OK && i < options->choice_count; i++) {
        status = add_choice(model, options, i, &ids, err);
        offsets[i + 1] = ids.count;
    }
    if (status == PALI_OK) {
        *constraint = pl_constraint_of_sequences(ids.data, offsets, options->choice_count, pl_tokenizer_special(model->tokenizer)->eos, err);
        status = *constraint ? PALI_OK : PALI_MEMORY;
    }
    free(offsets);
    pl_ids_free(&ids);
    return status;
}

/* ---- Labels ---------------------------------------------------------- */

static pali_status add_text(building *b, text_view text, pali_error *err)
{
    const pali_status status = pl_grow(&b->texts, &b->capacity, b->count + 1, sizeof *b->texts, "labels", err);
    if (status == PALI_OK)
        b->texts[b->count++] = text;
    return status;
}

static bool is_there(const building *b, text_view text)
{
    for (size_t i = 0; i < b->count; i++)
        if (same_text(b->texts[i], text))
            return true;
    return false;
}

/* What stands between ";" in the prompt behind its first word, each once. */
static pali_status take_prompt_labels(building *b, const char *list, pali_error *err)
{
    pali_status status = PALI_OK;
    /* A prompt of more is too long for its tokens, and that will be said of it. */
    for (const char *at = list; status == PALI_OK && *at && b->count < PL_TEXT_LIMIT;) {
        const size_t length = strcspn(at, ";");
        const text_view text = trim(at, length);
        if (text.length && !is_there(b, text))
            status = add_text(b, text, err);
        at += length + (at[length] == ';');
    }
    b->free_labels = b->count == 1 && same_text(b->texts[0], (text_view){"all classes", strlen("all classes")});
    return status;
}

static pali_status take_listed_labels(building *b, pali_error *err)
{
    pali_status status = PALI_OK;
    b->listed = true;
    for (size_t i = 0; status == PALI_OK && i < b->options->label_count; i++) {
        const char *const label = b->options->labels[i] ? b->options->labels[i] : "";
        const text_view text = trim(label, strlen(label));
        if (text.length == 0)
            return pl_fail(err, PALI_USAGE, "labels: found nothing as number %zu, expected text", i + 1);
        if (memchr(text.at, ';', text.length))
            return pl_fail(err, PALI_USAGE, "labels: found '%s', expected text without ';', which stands between objects", label);
        if (is_there(b, text))
            return pl_fail(err, PALI_USAGE, "labels: found '%.*s' twice, expected different texts", (int)pl_min(text.length, 200), text.at);
        status = add_text(b, text, err);
    }
    return status;
}

/* Are these the tokens of a label: some, all ordinary, no location, segment or noise? */
static bool can_be_label(const building *b, const int32_t *ids, size_t count)
{
    const pl_special_ids *const special = pl_tokenizer_special(b->model->tokenizer);
    for (size_t i = 0; i < count; i++)
        if ((special->loc >= 0 && ids[i] >= special->loc && ids[i] < special->loc + special->loc_count) ||
            (special->seg >= 0 && ids[i] >= special->seg && ids[i] < special->seg + special->seg_count))
            return false;
    return count > 0 && are_usable(b->model, ids, count);
}

/*
 * Appends the tokens of " label" or " label ; " as they stand behind a
 * location, the latter before one as well; *count is 0 when they cannot be told apart.
 */
static pali_status tokenize_label(building *b, text_view label, bool more, size_t *at, size_t *count, pali_error *err)
{
    size_t length = 0;
    const int32_t location = pl_tokenizer_special(b->model->tokenizer)->loc;
    const char *const piece = pl_tokenizer_piece(b->model->tokenizer, location, &length);
    const size_t before = b->ids.count;
    pl_buffer text = {0};
    pali_status status = pl_buffer_printf(&text, err, "%.*s %.*s%s%.*s", (int)length, piece, (int)label.length, label.at, more ? " ; " : "", more ? (int)length : 0, piece);
    if (status == PALI_OK)
        status = pl_tokenizer_encode(b->model->tokenizer, text.data, text.length, PL_TEXT_USER, &b->ids, err);
    free(text.data);
    if (status != PALI_OK)
        return status;
    size_t first = before, end = b->ids.count;
    while (first < end && b->ids.data[first] != location)
        first++;
    const bool framed = end - first >= 2 + (size_t)more && (!more || b->ids.data[end - 1] == location);
    *at = first + 1;
    *count = framed ? end - first - 1 - more : 0;
    if (framed && !can_be_label(b, b->ids.data + *at, *count))
        *count = 0;
    return PALI_OK;
}

/* *usable is false when a label of the prompt cannot be one; of the list, that is an error. */
static pali_status tokenize_labels(building *b, bool *usable, pali_error *err)
{
    *usable = true;
    b->labels = pl_new(b->count, sizeof *b->labels, "labels", err);
    pali_status status = b->labels ? PALI_OK : PALI_MEMORY;
    for (size_t i = 0; status == PALI_OK && *usable && i < b->count; i++) {
        pl_label_tokens *const label = &b->labels[i];
        status = tokenize_label(b, b->texts[i], false, &label->last_at, &label->last_count, err);
        if (status == PALI_OK)
            status = tokenize_label(b, b->texts[i], true, &label->more_at, &label->more_count, err);
        *usable = label->last_count > 0 && label->more_count > 0;
        if (status == PALI_OK && !*usable && b->listed)
            status = pl_fail(err, PALI_USAGE, "labels: found '%.*s', expected text of tokens that the model can answer with", (int)pl_min(b->texts[i].length, 200), b->texts[i].at);
    }
    b->grammar.ids = b->ids.data;
    b->grammar.id_count = b->ids.count;
    b->grammar.labels = b->labels;
    b->grammar.label_count = b->count;
    return status;
}

/* ---- The grammar ----------------------------------------------------- */

/* The ids that the grammar stands on; false, with an error, when the tokenizer or the head lacks them. */
static bool take_pieces(building *b, bool masks, pali_error *err)
{
    const pl_special_ids *const special = pl_tokenizer_special(b->model->tokenizer);
    const int64_t rows = (int64_t)b->model->config.text.vocabulary;
    b->grammar.location = special->loc;
    b->grammar.bins = special->loc_count;
    b->grammar.segment = special->seg;
    b->grammar.codes = special->seg_count;
    b->grammar.segments = masks ? SEGMENT_TOKENS : 0;
    b->grammar.eos = special->eos;
    const bool locations = special->loc >= 0 && special->loc_count > 1 && (int64_t)special->loc + special->loc_count <= rows;
    const bool segments = special->seg >= 0 && special->seg_count > 0 && (int64_t)special->seg + special->seg_count <= rows;
    if (locations && (segments || !masks) && special->eos >= 0)
        return true;
    pl_fail(err, PALI_MODEL, "tokenizer: found no %s, which labels need", special->eos < 0 ? "end of text" : locations ? "<seg> pieces" : "<loc> pieces");
    return false;
}

/*
 * The class that noise boxes have, -1 where there is none: never an answer.
 * Models taught with it are asked for a fixed number of objects.
 */
static pali_status take_noise(building *b, int32_t *noise, pali_error *err)
{
    const char *const piece = b->options->noise ? b->options->noise : "<noise>";
    *noise = pl_tokenizer_find(b->model->tokenizer, piece, strlen(piece));
    if (*noise < 0 && b->options->noise)
        return pl_fail(err, PALI_USAGE, "noise token: found '%s', expected a piece of the vocabulary", piece);
    b->grammar.most_objects = b->options->most_objects;
    b->grammar.all_objects = *noise >= 0 && b->free_labels;
    if (b->grammar.all_objects && b->grammar.most_objects == 0)
        b->grammar.most_objects = DEFAULT_NOISE_OBJECTS;
    return PALI_OK;
}

static pali_status open_free_text(const building *b, int32_t noise, pl_label_text *text, pali_error *err)
{
    const size_t rows = b->model->config.text.vocabulary;
    unsigned char *const banned = pl_new_raw(rows, 1, "label tokens", err);
    if (!banned)
        return PALI_MEMORY;
    memcpy(banned, b->model->banned, rows);
    if (noise >= 0 && (size_t)noise < rows)
        banned[noise] = 1;
    const pali_status status = pl_label_text_init(text, b->model->tokenizer, banned, rows, err);
    free(banned);
    return status;
}

static pali_status build_grammar(building *b, pl_constraint **constraint, pali_error *err)
{
    bool usable = true;
    int32_t noise = -1;
    pl_label_text text = {0};
    pali_status status = take_noise(b, &noise, err);
    if (status == PALI_OK)
        status = b->free_labels ? open_free_text(b, noise, &text, err) : tokenize_labels(b, &usable, err);
    if (status == PALI_OK && usable) {
        *constraint = pl_constraint_of_grammar(&b->grammar, b->free_labels ? &text : NULL, err);
        status = *constraint ? PALI_OK : pl_status_of(err, PALI_MEMORY);
    }
    if (status == PALI_OK && *constraint) {
        (*constraint)->lenient = !b->listed;
        (*constraint)->noise = b->grammar.all_objects;
    }
    pl_label_text_free(&text);
    return status;
}

/* What stands behind "detect " or "segment " in a prompt, else NULL. */
static const char *labels_of(const char *prompt, bool *masks)
{
    *masks = pl_starts_with(prompt, "segment ");
    return *masks ? prompt + strlen("segment ") : pl_starts_with(prompt, "detect ") ? prompt + strlen("detect ") : NULL;
}

static pali_status constrain_labels(const pl_paligemma *model, const char *prompt, const pl_constrain *options, pl_constraint **constraint, pali_error *err)
{
    building b = {.model = model, .options = options};
    bool masks = false;
    const char *const list = labels_of(prompt, &masks);
    const bool listed = options->label_count > 0;
    pali_error lacking = {0};
    if (!list)
        return listed ? pl_fail(err, PALI_USAGE, "labels: found a prompt without objects, expected one that begins with \"detect \" or \"segment \"") : PALI_OK;
    if (!take_pieces(&b, masks, &lacking))
        return listed ? pl_fail(err, lacking.status, "%s", lacking.message) : PALI_OK;
    pali_status status = listed ? take_listed_labels(&b, err) : take_prompt_labels(&b, list, err);
    if (status == PALI_OK && b.count)
        status = build_grammar(&b, constraint, err);
    free(b.texts);
    free(b.labels);
    pl_ids_free(&b.ids);
    return status;
}

pali_status pl_constrain_prompt(const pl_paligemma *model, const char *prompt, const pl_constrain *options, pl_constraint **constraint, pali_error *err)
{
    const bool labels = options->label_count > 0, choices = options->choice_count > 0;
    *constraint = NULL;
    if ((options->function != NULL) + labels + choices > 1)
        return pl_fail(err, PALI_USAGE, "constraint: found %s and %s, expected one of them", options->function ? "a function" : "labels", choices ? "choices" : "labels");
    if (options->off && (options->function || labels || choices))
        return pl_fail(err, PALI_USAGE, "constrain: found \"off\" and %s, expected one of them", options->function ? "a function" : labels ? "labels" : "choices");
    if (options->function) {
        *constraint = pl_constraint_of_function(options->function, options->function_context, model->config.text.vocabulary, err);
        return *constraint ? PALI_OK : PALI_MEMORY;
    }
    if (choices)
        return constrain_choices(model, options, constraint, err);
    return options->off ? PALI_OK : constrain_labels(model, prompt, options, constraint, err);
}
