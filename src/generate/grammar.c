/*
 * The tokens so far are read anew each time (they are few), which leaves the
 * object that is being made and those before it. Whether a choice leads
 * anywhere is a matter of counting: legal boxes with the coordinates chosen so
 * far, times labels that still fit, against the objects that are such already.
 */
#include "generate/grammar.h"

#include <stdlib.h>
#include <string.h>

enum {
    SIDES = 4,       /* y1 x1 y2 x2 */
    MOST_BINS = 4096 /* of a side; the released models have 1,024 */
};

typedef struct grammar {
    pl_constraint base;
    pl_grammar_options options; /* its pointers are ids and labels below */
    int32_t *ids;
    pl_label_tokens *labels;
    size_t longest;     /* tokens of a label as the last one */
    pl_label_text text; /* of free labels */
} grammar;

/* An object among the tokens, or what is there of it. */
typedef struct object {
    int sides[SIDES];
    size_t sides_count, segments_count; /* how many of each are there */
    size_t label_at, label_count; /* tokens behind the box; of a whole one its " ; " too */
    size_t label;          /* its place in the list */
    pl_label_state state;  /* of a free label */
    bool whole;            /* another one follows */
} object;

typedef struct reading {
    const grammar *g;
    const pl_history *h;
    size_t objects; /* whole ones */
    object now;     /* the one being made; nothing of it yet after " ; " */
    bool follows;   /* the grammar, so far */
    bool first;     /* nothing was made yet */
} reading;

static size_t object_tokens(const grammar *g)
{
    return SIDES + g->options.segments;
}

static bool is_free(const grammar *g)
{
    return g->options.label_count == 0;
}

/* ---- Reading --------------------------------------------------------- */

static int location_of(const grammar *g, int32_t id)
{
    return id >= g->options.location && id - g->options.location < g->options.bins ? id - g->options.location : -1;
}

static bool is_segment(const grammar *g, int32_t id)
{
    return id >= g->options.segment && id - g->options.segment < g->options.codes;
}

/* Do `count` tokens from `at` on begin these ids? */
static bool begins(const pl_history *h, size_t at, size_t count, const int32_t *ids, size_t length)
{
    if (count > length)
        return false;
    for (size_t i = 0; i < count; i++)
        if (pl_history_at(h, at + i) != ids[i])
            return false;
    return true;
}

/* The label of an object of the list, up to where the next object begins; false when there is none whole. */
static bool read_listed(const grammar *g, const pl_history *h, object *o)
{
    const size_t there = pl_history_count(h) - o->label_at;
    for (size_t l = 0; l < g->options.label_count; l++) {
        const pl_label_tokens *const label = &g->labels[l];
        if (label->more_count <= there && begins(h, o->label_at, label->more_count, g->ids + label->more_at, label->more_count)) {
            o->label = l;
            o->label_count = label->more_count;
            return true;
        }
    }
    o->label_count = there;
    return false;
}

static bool read_free(const grammar *g, const pl_history *h, object *o)
{
    const size_t count = pl_history_count(h);
    o->state = PL_LABEL_START;
    o->label_count = 0;
    for (size_t at = o->label_at; at < count && o->state < PL_LABEL_CLOSED; at++, o->label_count++) {
        const int32_t id = pl_history_at(h, at);
        o->state = id >= 0 && (size_t)id < g->text.vocabulary ? (pl_label_state)g->text.after[o->state][id] : PL_LABEL_DEAD;
    }
    return o->state == PL_LABEL_CLOSED;
}

/* Reads an object that begins at `at`; false when the tokens are none. */
static bool read_object(const grammar *g, const pl_history *h, size_t at, object *o)
{
    const size_t count = pl_history_count(h);
    *o = (object){0};
    for (; o->sides_count < SIDES && at < count; o->sides_count++, at++) {
        const int side = location_of(g, pl_history_at(h, at));
        if (side < 0 || (o->sides_count >= 2 && side <= o->sides[o->sides_count - 2])) /* only a given start has no area */
            return false;
        o->sides[o->sides_count] = side;
    }
    for (; o->segments_count < g->options.segments && at < count; o->segments_count++, at++)
        if (!is_segment(g, pl_history_at(h, at)))
            return false;
    o->label_at = at;
    if (o->sides_count == SIDES && o->segments_count == g->options.segments)
        o->whole = is_free(g) ? read_free(g, h, o) : read_listed(g, h, o);
    return o->state != PL_LABEL_DEAD;
}

static reading read_all(const grammar *g, const pl_history *h)
{
    reading r = {.g = g, .h = h, .first = pl_history_count(h) == 0};
    size_t at = 0;
    while ((r.follows = read_object(g, h, at, &r.now)) && r.now.whole) {
        r.objects++;
        at = r.now.label_at + r.now.label_count;
    }
    return r;
}

/* Goes over the whole objects in order: begin with *at = 0. */
static bool next_object(const reading *r, size_t *at, object *o)
{
    if (!read_object(r->g, r->h, *at, o) || !o->whole)
        return false;
    *at = o->label_at + o->label_count;
    return true;
}

/* ---- Counting -------------------------------------------------------- */

static bool same_sides(const int *a, const int *b, size_t count)
{
    return count == 0 || memcmp(a, b, count * sizeof *a) == 0;
}

/* Boxes with y2 > y1 and x2 > x1 whose first `count` sides are given, themselves legal so far. */
static double boxes_with(const grammar *g, const int *sides, size_t count)
{
    const double bins = g->options.bins, pairs = bins * (bins - 1) / 2;
    const double heights = count > 2 ? 1 : count > 0 ? bins - 1 - sides[0] : pairs;
    const double widths = count > 3 ? 1 : count > 1 ? bins - 1 - sides[1] : pairs;
    return heights * widths;
}

/* Labels of the list that fit into that many tokens, as the last of an answer. */
static size_t fitting_labels(const grammar *g, size_t tokens)
{
    size_t fitting = 0;
    if (tokens >= g->longest)
        return g->options.label_count;
    for (size_t l = 0; l < g->options.label_count; l++)
        fitting += g->labels[l].last_count <= tokens;
    return fitting;
}

/* Of the objects there are, those with these sides and a label that fits. */
static size_t used_boxes(const reading *r, const int *sides, size_t count, size_t tokens)
{
    size_t used = 0, at = 0;
    for (object o; next_object(r, &at, &o);)
        used += same_sides(o.sides, sides, count) && (is_free(r->g) || r->g->labels[o.label].last_count <= tokens);
    return used;
}

/* A free label that one of so many objects has can be made another one by a token more. */
static bool can_differ(const reading *r, size_t objects)
{
    return r->g->text.going_on[PL_LABEL_WORD] > objects;
}

/*
 * Is there an object with these sides that is not made yet, its label within
 * `tokens`? `besides` is one more that counts as made, or NULL. Free labels
 * never run out but for want of tokens; then a box is not used again.
 */
static bool has_room(const reading *r, const int *sides, size_t count, size_t tokens, const object *besides)
{
    const grammar *const g = r->g;
    const size_t shortest = is_free(g) ? g->text.to_word[PL_LABEL_START] : 0;
    if (shortest > tokens)
        return false;
    const double labels = is_free(g) ? 1 : (double)fitting_labels(g, tokens), all = boxes_with(g, sides, count) * labels;
    if (all > (double)r->objects + 1 || (all > 0 && is_free(g) && shortest < tokens && can_differ(r, r->objects + (besides != NULL))))
        return true;
    size_t used = used_boxes(r, sides, count, tokens);
    if (besides && same_sides(besides->sides, sides, count))
        used += is_free(g) || g->labels[besides->label].last_count <= tokens;
    return all > (double)used;
}

/* May another object follow the one in the making when its label and " ; " leave so many tokens? */
static bool can_go_on(const reading *r, const object *done, size_t tokens)
{
    const grammar *const g = r->g;
    if (g->options.most_objects && r->objects + 1 >= g->options.most_objects)
        return false;
    return tokens >= object_tokens(g) && has_room(r, NULL, 0, tokens - object_tokens(g), done);
}

/* ---- What may come next ---------------------------------------------- */

static bool has_side(const reading *r, int side, size_t tokens)
{
    object o = r->now;
    o.sides[o.sides_count++] = side;
    return has_room(r, o.sides, o.sides_count, tokens, NULL);
}

/*
 * A side of a box that has area. Of these only one that an object with the same
 * beginning has already can lead nowhere.
 */
static pali_status allow_sides(const reading *r, pl_allowed *allowed, pali_error *err)
{
    const grammar *const g = r->g;
    const object *const now = &r->now;
    const size_t n = now->sides_count, rest = object_tokens(g) - n;
    if (r->h->left < rest || !has_room(r, now->sides, n, r->h->left - rest, NULL))
        return PALI_OK;
    bool full[MOST_BINS] = {false};
    size_t at = 0;
    for (object o; next_object(r, &at, &o);)
        if (same_sides(o.sides, now->sides, n) && !full[o.sides[n]])
            full[o.sides[n]] = !has_side(r, o.sides[n], r->h->left - rest);
    pali_status status = PALI_OK;
    const int end = n < 2 ? g->options.bins - 1 : g->options.bins;
    for (int side = n < 2 ? 0 : now->sides[n - 2] + 1; status == PALI_OK && side < end; side++)
        if (!full[side])
            status = pl_allow(allowed, g->options.location + side, g->options.location + side + 1, err);
    return status;
}

static pali_status allow_one(pl_allowed *allowed, int32_t id, pali_error *err)
{
    return pl_allow(allowed, id, id + 1, err);
}

static bool is_made(const reading *r, size_t label)
{
    size_t at = 0;
    for (object o; next_object(r, &at, &o);)
        if (o.label == label && same_sides(o.sides, r->now.sides, SIDES))
            return true;
    return false;
}

/* The next token of every label of the list that the tokens behind the box begin. */
static pali_status allow_listed(const reading *r, pl_allowed *allowed, pali_error *err)
{
    const grammar *const g = r->g;
    const size_t left = r->h->left, made = r->now.label_count;
    const bool box_is_used = used_boxes(r, r->now.sides, SIDES, SIZE_MAX) > 0;
    bool may_end = false, may_go_on = false;
    pali_status status = PALI_OK;
    for (size_t l = 0; status == PALI_OK && l < g->options.label_count; l++) {
        const pl_label_tokens *const label = &g->labels[l];
        const int32_t *const last = g->ids + label->last_at, *const more = g->ids + label->more_at;
        const bool ends = begins(r->h, r->now.label_at, made, last, label->last_count) && label->last_count - made <= left;
        const bool goes_on = begins(r->h, r->now.label_at, made, more, label->more_count) && label->more_count - made <= left;
        if ((!ends && !goes_on) || (box_is_used && is_made(r, l)))
            continue;
        object done = r->now;
        done.label = l;
        if (ends && made < label->last_count)
            status = allow_one(allowed, last[made], err);
        may_end = may_end || (ends && made == label->last_count);
        if (status == PALI_OK && goes_on && can_go_on(r, &done, left - (label->more_count - made))) {
            status = allow_one(allowed, more[made], err);
            may_go_on = true;
        }
    }
    if (status == PALI_OK && may_end && !(may_go_on && g->options.all_objects))
        status = allow_one(allowed, g->options.eos, err);
    return status;
}

/* The text of a free label, " ; " and spaces around it cut off, with one more token unless id is negative. */
static pali_status label_text(const reading *r, const object *o, int32_t id, pl_buffer *text, pali_error *err)
{
    pali_status status = PALI_OK;
    text->length = 0;
    for (size_t i = 0; status == PALI_OK && i < o->label_count; i++)
        status = pl_label_text_append(&r->g->text, pl_history_at(r->h, o->label_at + i), text, err);
    if (status == PALI_OK && id >= 0)
        status = pl_label_text_append(&r->g->text, id, text, err);
    while (text->length && strchr(" ;", text->data[text->length - 1]))
        text->length--;
    return status;
}

/* Would this token make the free label one that an object with the same box has? */
static pali_status repeats(const reading *r, int32_t id, bool *result, pali_error *err)
{
    pl_buffer own = {0}, other = {0};
    pali_status status = label_text(r, &r->now, id, &own, err);
    size_t at = 0;
    *result = false;
    for (object o; status == PALI_OK && !*result && next_object(r, &at, &o);) {
        if (!same_sides(o.sides, r->now.sides, SIDES))
            continue;
        status = label_text(r, &o, -1, &other, err);
        *result = status == PALI_OK && own.length == other.length && memcmp(own.data, other.data, own.length) == 0;
    }
    free(own.data);
    free(other.data);
    return status;
}

/* Can a label that has come to this state be closed, and another object follow? */
static bool can_close(const reading *r, pl_label_state state, size_t left)
{
    const size_t closing = r->g->text.to_closed[state];
    return state >= PL_LABEL_GAP && state <= PL_LABEL_CLOSED && closing <= left && can_go_on(r, &r->now, left - closing);
}

/* Does a label that has come to this state lead to an object that is not there yet? `same`: its text is that of one that is. */
static bool leads_on(const reading *r, pl_label_state state, size_t left, bool box_is_used, bool same)
{
    const pl_label_text *const text = &r->g->text;
    switch (state) {
    case PL_LABEL_SPACE:
    case PL_LABEL_GAP:
        if (text->to_word[state] > left)
            return false;
        return !box_is_used || (left > text->to_word[state] ? can_differ(r, r->objects) : text->to_word[state] == 1 && text->going_on[state] > r->objects);
    case PL_LABEL_WORD:
        return !same || (left > 0 && can_differ(r, r->objects));
    case PL_LABEL_SEMICOLON:
    case PL_LABEL_CLOSED:
        return !same && can_close(r, state, left);
    default:
        return false;
    }
}

static pali_status allow_free(const reading *r, pl_allowed *allowed, pali_error *err)
{
    const grammar *const g = r->g;
    const pl_label_state state = r->now.state;
    const size_t left = r->h->left - 1;
    const bool box_is_used = used_boxes(r, r->now.sides, SIDES, SIZE_MAX) > 0;
    bool may_go_on = false, same = false;
    pali_status status = PALI_OK;
    for (size_t id = 0; status == PALI_OK && id < g->text.vocabulary; id++) {
        const pl_label_state to = (pl_label_state)g->text.after[state][id];
        if (to == PL_LABEL_DEAD)
            continue;
        if (box_is_used)
            status = repeats(r, (int32_t)id, &same, err);
        if (status != PALI_OK || !leads_on(r, to, left, box_is_used, same))
            continue;
        may_go_on = may_go_on || (!same && can_close(r, to, left));
        status = allow_one(allowed, (int32_t)id, err);
    }
    if (status == PALI_OK && state == PL_LABEL_WORD && box_is_used)
        status = repeats(r, -1, &same, err);
    if (status == PALI_OK && state == PL_LABEL_WORD && !same && !(may_go_on && g->options.all_objects))
        status = allow_one(allowed, g->options.eos, err);
    return status;
}

static pali_status allow(const pl_constraint *constraint, const pl_history *history, pl_allowed *allowed, pali_error *err)
{
    const grammar *const g = (const grammar *)constraint;
    const reading r = read_all(g, history);
    if (!r.follows)
        return PALI_OK;
    if (r.first) {
        const size_t tokens = object_tokens(g);
        const bool begins_here = history->left >= tokens && has_room(&r, NULL, 0, history->left - tokens, NULL);
        if (!begins_here || !g->options.all_objects) {
            const pali_status status = allow_one(allowed, g->options.eos, err);
            if (status != PALI_OK || !begins_here)
                return status;
        }
    }
    if (r.now.sides_count < SIDES)
        return allow_sides(&r, allowed, err);
    if (r.now.segments_count < g->options.segments)
        return pl_allow(allowed, g->options.segment, g->options.segment + g->options.codes, err);
    return is_free(g) ? allow_free(&r, allowed, err) : allow_listed(&r, allowed, err);
}

static void free_grammar(pl_constraint *constraint)
{
    grammar *const g = (grammar *)constraint;
    free(g->ids);
    free(g->labels);
    pl_label_text_free(&g->text);
    free(g);
}

pl_constraint *pl_constraint_of_grammar(const pl_grammar_options *options, pl_label_text *text, pali_error *err)
{
    grammar *const g = options->bins <= MOST_BINS ? pl_new(1, sizeof *g, "grammar", err) : NULL;
    if (options->bins > MOST_BINS)
        pl_fail(err, PALI_MODEL, "tokenizer: found %d location pieces, expected at most %d", options->bins, MOST_BINS);
    if (!g) {
        if (text)
            pl_label_text_free(text);
        return NULL;
    }
    pl_constraint_init(&g->base, "detection grammar", allow, free_grammar);
    g->base.whole = g->base.bounded = true;
    g->options = *options;
    if (text) {
        g->text = *text;
        *text = (pl_label_text){0};
    }
    g->ids = pl_new(options->id_count, sizeof *g->ids, "labels", err);
    g->labels = pl_new(options->label_count, sizeof *g->labels, "labels", err);
    if (!g->ids || !g->labels) {
        free_grammar(&g->base);
        return NULL;
    }
    if (options->id_count)
        memcpy(g->ids, options->ids, options->id_count * sizeof *g->ids);
    if (options->label_count)
        memcpy(g->labels, options->labels, options->label_count * sizeof *g->labels);
    for (size_t l = 0; l < options->label_count; l++)
        g->longest = pl_max(g->longest, g->labels[l].last_count);
    g->options.ids = g->ids;
    g->options.labels = g->labels;
    return &g->base;
}
