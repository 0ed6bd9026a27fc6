/* An example as text and as JSON, both from the same list of blocks. */
#include "train/show.h"

#include "base/text.h"
#include "formats/json.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rows of the sequence that see alike. The last id is only predicted, and stands in no row; it is counted to the suffix here. */
typedef struct block {
    const char *name;
    size_t first, count;
    bool full; /* each sees all from `from` up to the end of `until`; else each sees those before it, and itself */
    size_t from, until;
} block;

enum { IMAGE, PREFIX, SUFFIX, BLOCKS };

static void find_blocks(const pl_example *example, const pl_layout_options *layout, block blocks[BLOCKS])
{
    const size_t images = example->image_count * layout->image_tokens, prefix = example->prefix_count;
    const bool full = layout->attention == PL_ATTENTION_FULL;
    if (layout->text_positions) { /* two towers, neither of which is given <bos> */
        blocks[IMAGE] = (block){.name = "image", .count = images, .full = true, .until = images};
        blocks[PREFIX] = (block){.name = "prefix", .first = images, .count = prefix};
        blocks[SUFFIX] = (block){.name = "text", .first = images + prefix, .count = example->count - prefix, .full = true, .from = images + prefix, .until = images + example->count};
        return;
    }
    blocks[IMAGE] = (block){.name = "image", .count = images, .full = layout->attention != PL_ATTENTION_CAUSAL, .until = full ? images + prefix : images};
    blocks[PREFIX] = (block){.name = "prefix", .first = images, .count = prefix, .full = full, .until = images + prefix};
    blocks[SUFFIX] = (block){.name = "suffix", .first = images + prefix, .count = example->count - prefix};
}

/* Is the id at place i of the text learned? */
static bool is_target(const pl_example *example, const pl_layout_options *layout, size_t i)
{
    return !example->patches && !layout->text_positions && i >= (layout->loss_on_prefix ? 1 : example->prefix_count);
}

static size_t targets_of(const pl_example *example, const pl_layout_options *layout)
{
    size_t count = 0;
    for (size_t i = 0; i < example->count; i++)
        count += is_target(example, layout, i);
    for (size_t i = 0; example->patches && i < example->image_count * layout->image_tokens; i++)
        count += example->patches[i] >= 0; /* at the picture's places */
    return count;
}

static bool is_input(const pl_example *example, const pl_layout_options *layout, size_t i)
{
    return layout->text_positions ? i >= example->prefix_count : i + 1 < example->count;
}

/* ---- Text -------------------------------------------------------------- */

/* A text as it is, but on one line and without what would move a terminal's cursor. */
static pali_status write_plain(const char *text, pl_buffer *out, pali_error *err)
{
    pali_status status = PALI_OK;
    for (size_t length = strlen(text); status == PALI_OK && length;) {
        uint32_t code;
        bool valid;
        char bytes[4];
        const size_t taken = pl_utf8_read(text, length, &code, &valid);
        if (code == '\n')
            status = pl_buffer_append(out, "\\n", 2, err);
        else if (code < ' ' || (code >= 0x7f && code < 0xa0))
            status = pl_buffer_printf(out, err, "\\x%02x", (unsigned)code);
        else
            status = pl_buffer_append(out, bytes, pl_utf8_write(code, bytes), err);
        text += taken;
        length -= taken;
    }
    return status;
}

static pali_status write_line(const char *name, const char *text, const char *end, pl_buffer *out, pali_error *err)
{
    pali_status status = pl_buffer_append(out, name, strlen(name), err);
    if (status == PALI_OK)
        status = write_plain(text, out, err);
    return status == PALI_OK ? pl_buffer_append(out, end, strlen(end), err) : status;
}

static pali_status write_head(const pl_dataset *dataset, const pl_example *e, const pl_show_options *options, pl_buffer *out, pali_error *err)
{
    const size_t side = pl_dataset_options(dataset)->image_size;
    pali_status status = write_line("row      ", pl_dataset_path(dataset, e->place.source), "", out, err);
    if (status == PALI_OK)
        status = pl_buffer_printf(out, err, ":%zu, example %llu, visit %llu of the row", e->line, (unsigned long long)e->place.n, (unsigned long long)e->place.visit + 1);
    if (status == PALI_OK && e->alternatives > 1)
        status = pl_buffer_printf(out, err, ", answer %zu of %zu", e->alternative + 1, e->alternatives);
    for (size_t i = 0; status == PALI_OK && i < e->image_count; i++) {
        status = write_line("\npicture  ", e->images[i].path, "", out, err);
        if (status == PALI_OK)
            status = pl_buffer_printf(out, err, ", %zu x %zu, seen as %zu x %zu: %zu tokens", e->images[i].picture.width, e->images[i].picture.height, side, side,
                                      options->layout.image_tokens);
    }
    if (status == PALI_OK)
        status = write_line(e->image_count ? "\nprefix   " : "\nno picture\nprefix   ", e->prefix, "\n", out, err);
    if (status == PALI_OK)
        status = write_line("suffix   ", e->suffix, "\n\n   place       id  piece                 sees              learned\n", out, err);
    return status;
}

/* What a row sees, "0-260". */
static void write_sight(const block *b, size_t row, char text[48])
{
    snprintf(text, 48, "%zu-%zu", b->from, b->full ? b->until - 1 : row);
}

static pali_status write_images(const block *b, const pl_show_options *options, pl_buffer *out, pali_error *err)
{
    char places[48], sight[48];
    snprintf(places, sizeof places, "%zu-%zu", b->first, b->first + b->count - 1);
    write_sight(b, b->first, sight);
    return pl_buffer_printf(out, err, "%s%8s        -  %-20s  %s%s\n", options->colour ? "\x1b[2m" : "", places, "<image>", b->full ? sight : "those before", options->colour ? "\x1b[0m" : "");
}

/* A piece in quotes, filled up to a column's width. */
static pali_status write_piece(const pl_tokenizer *tokenizer, int32_t id, pl_buffer *out, pali_error *err)
{
    enum { COLUMN = 22 };
    size_t length = 0;
    const char *const bytes = pl_tokenizer_piece(tokenizer, id, &length);
    char *const piece = pl_strndup(bytes ? bytes : "", bytes ? length : 0, err);
    if (!piece)
        return PALI_MEMORY;
    const size_t before = out->length;
    pali_status status = write_line("'", piece, "'", out, err);
    free(piece);
    size_t shown = 0;
    for (size_t i = before; status == PALI_OK && i < out->length; i++)
        shown += ((unsigned char)out->data[i] & 0xc0) != 0x80; /* characters, not bytes */
    return status == PALI_OK ? pl_buffer_printf(out, err, "%*s", shown < COLUMN ? (int)(COLUMN - shown) : 1, "") : status;
}

static pali_status write_token(const pl_dataset *dataset, const pl_example *e, const pl_show_options *options, const block *b, size_t i, pl_buffer *out, pali_error *err)
{
    char sight[48] = "(only predicted)";
    const size_t row = e->image_count * options->layout.image_tokens + i;
    const bool learned = is_target(e, &options->layout, i);
    if (is_input(e, &options->layout, i))
        write_sight(b, row, sight);
    else if (options->layout.text_positions)
        snprintf(sight, sizeof sight, "(left out)");
    pali_status status = pl_buffer_printf(out, err, "%s%8zu %8d  ", !options->colour ? "" : learned ? "\x1b[1;32m" : "\x1b[2m", row, (int)e->ids[i]);
    if (status == PALI_OK)
        status = write_piece(pl_dataset_options(dataset)->tokenizer, e->ids[i], out, err);
    if (status == PALI_OK)
        status = pl_buffer_printf(out, err, learned ? "%-16s  yes" : "%s", sight);
    return status == PALI_OK ? pl_buffer_printf(out, err, "%s\n", options->colour ? "\x1b[0m" : "") : status;
}

static pali_status write_foot(const pl_example *e, const pl_show_options *options, pl_buffer *out, pali_error *err)
{
    const size_t images = e->image_count * options->layout.image_tokens;
    pali_status status = pl_buffer_printf(out, err, "%zu image + %zu prefix + %zu suffix tokens; %zu learned", images, e->prefix_count, e->count - e->prefix_count,
                                          targets_of(e, &options->layout));
    if (status == PALI_OK && e->cut)
        status = pl_buffer_printf(out, err, "; %zu cut off at the end%s", e->cut, e->count == e->prefix_count ? ", all of the suffix" : "");
    return status == PALI_OK ? pl_buffer_append(out, "\n", 1, err) : status;
}

static const block *block_of(const block blocks[BLOCKS], const pl_example *e, size_t i)
{
    return &blocks[i < e->prefix_count ? PREFIX : SUFFIX];
}

char *pl_example_text(const pl_dataset *dataset, const pl_example *example, const pl_show_options *options, pali_error *err)
{
    pl_buffer out = {0};
    block blocks[BLOCKS];
    find_blocks(example, &options->layout, blocks);
    pali_status status = write_head(dataset, example, options, &out, err);
    if (status == PALI_OK && blocks[IMAGE].count)
        status = write_images(&blocks[IMAGE], options, &out, err);
    for (size_t i = 0; status == PALI_OK && i < example->count; i++)
        status = write_token(dataset, example, options, block_of(blocks, example, i), i, &out, err);
    if (status == PALI_OK)
        status = write_foot(example, options, &out, err);
    if (status == PALI_OK)
        return out.data;
    free(out.data);
    return NULL;
}

/* ---- JSON -------------------------------------------------------------- */

/* Appends what was made, whose owner the list becomes; NULL, and the list is gone, when memory was short for either. */
static json_t *with(json_t *list, json_t *item)
{
    if (list && item && json_array_append(list, item) == 0) {
        json_decref(item);
        return list;
    }
    json_decref(item);
    json_decref(list);
    return NULL;
}

static json_t *images_json(const pl_example *example, const pl_show_options *options)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < example->image_count; i++) {
        const pl_example_image *const image = &example->images[i];
        list = with(list, json_pack("{s:o, s:I, s:I, s:I}", "path", pl_json_string(image->path), "width", (json_int_t)image->picture.width, "height",
                                              (json_int_t)image->picture.height, "tokens", (json_int_t)options->layout.image_tokens));
    }
    return list;
}

static json_t *blocks_json(const block blocks[BLOCKS])
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < BLOCKS; i++)
        if (blocks[i].count)
            list = with(list, json_pack("{s:s, s:I, s:I, s:s}", "block", blocks[i].name, "first", (json_int_t)blocks[i].first, "last",
                                                  (json_int_t)(blocks[i].first + blocks[i].count - 1), "attention", blocks[i].full ? "full" : "causal"));
    return list;
}

static json_t *token_json(const pl_dataset *dataset, const pl_example *e, const pl_show_options *options, const block *b, size_t i)
{
    size_t length = 0;
    const size_t row = e->image_count * options->layout.image_tokens + i;
    const char *const bytes = pl_tokenizer_piece(pl_dataset_options(dataset)->tokenizer, e->ids[i], &length);
    char *const piece = pl_strndup(bytes ? bytes : "", bytes ? length : 0, NULL);
    json_t *const sees = is_input(e, &options->layout, i) ? json_pack("[I, I]", (json_int_t)b->from, (json_int_t)(b->full ? b->until - 1 : row)) : json_null();
    json_t *const token = piece ? json_pack("{s:I, s:i, s:o, s:s, s:o, s:b}", "place", (json_int_t)row, "id", (int)e->ids[i], "piece", pl_json_string(piece), "block", b->name, "sees", sees, "learned",
                                            is_target(e, &options->layout, i))
                                : NULL;
    if (!piece)
        json_decref(sees);
    free(piece);
    return token;
}

char *pl_example_json(const pl_dataset *dataset, const pl_example *example, const pl_show_options *options, pali_error *err)
{
    block blocks[BLOCKS];
    find_blocks(example, &options->layout, blocks);
    json_t *tokens = json_array();
    for (size_t i = 0; tokens && i < example->count; i++)
        tokens = with(tokens, token_json(dataset, example, options, block_of(blocks, example, i), i));
    json_t *const object = json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:I, s:I}", "file", pl_json_string(pl_dataset_path(dataset, example->place.source)), "row",
                                     (json_int_t)example->line, "example", (json_int_t)example->place.n, "visit", (json_int_t)example->place.visit, "alternative",
                                     (json_int_t)example->alternative, "alternatives", (json_int_t)example->alternatives, "images", images_json(example, options), "prefix",
                                     pl_json_string(example->prefix), "suffix", pl_json_string(example->suffix), "attention", blocks_json(blocks), "tokens", tokens, "learned",
                                     (json_int_t)targets_of(example, &options->layout), "cut_off", (json_int_t)example->cut);
    char *const text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    if (!text)
        pl_fail_memory(err, "example as JSON", 0);
    return text;
}
