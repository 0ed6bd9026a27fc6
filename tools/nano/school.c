/* school.c - rows for `pali train`. What is chosen follows from the number of the scene alone. */
#include "school.h"

#include "answer/mask_tokens.h"
#include "image/preprocess.h"
#include "kernels/kernels.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { WHAT, COLOR, TOP, ASPECTS = 6 }; /* of a patch */
enum { TASKS = 9, LABELS = SCHOOL_MOST_GRID * SCHOOL_MOST_GRID, FOLDER_FILES = 1000 };

struct school {
    school_options options;
    const pl_kernels *kernels;
    pl_codec *codec;
    FILE *questions, *patches, *both;
    float *pixels;  /* [side, side, 3] */
    uint8_t *bytes; /* the same as a picture */
};

/* How often a question is chosen when its picture comes up, relative to the others of that picture. */
static const struct {
    const char *task;
    double weight;
} weights[TASKS] = {{"ocr", 8.0},   {"letter", 0.7}, {"detect", 1.6}, {"caption", 2.2}, {"count", 1.3},
                    {"color", 0.8}, {"shape", 0.6},  {"yesno", 0.7},  {"segment", 1.3}};

static int fail(const char *const what, const char *const why)
{
    fprintf(stderr, "pali-scenes: %s: %s\n", what, why);
    return -1;
}

static FILE *create(const school *const s, const char *const name)
{
    char path[4096];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", s->options.folder, name) >= sizeof path)
        return NULL;
    FILE *const file = fopen(path, "w");
    if (!file)
        fail(path, strerror(errno));
    return file;
}

school *school_open(const school_options *const options)
{
    school *const s = calloc(1, sizeof *s);
    if (!s) {
        fail("school", "out of memory");
        return NULL;
    }
    const size_t values = (size_t)options->side * options->side * 3;
    pali_error err = {0};
    s->options = *options;
    s->kernels = pl_kernels_get(NULL, &err);
    s->codec = s->kernels ? pl_codec_open(options->codec, &err) : NULL;
    if (!s->codec)
        fail(options->codec, err.message);
    s->pixels = malloc(values * sizeof *s->pixels);
    s->bytes = malloc(values);
    if (s->codec && s->pixels && s->bytes && (s->questions = create(s, "questions.jsonl")) &&
        (s->patches = create(s, "patches.jsonl")) && (s->both = create(s, "both.jsonl")))
        return s;
    school_close(s);
    return NULL;
}

static int close_file(FILE *const file)
{
    return file && fclose(file) ? -1 : 0;
}

int school_close(school *const s)
{
    if (!s)
        return 0;
    const int bad = close_file(s->questions) | close_file(s->patches) | close_file(s->both);
    pl_codec_free(s->codec);
    free(s->pixels);
    free(s->bytes);
    free(s);
    return bad;
}

/* ---- The picture ------------------------------------------------------- */

/* As the model sees it, in folders of a thousand; `name` is relative to the rows. */
static int save_picture(school *const s, const scene *const what, const uint64_t index, const uint8_t *const rgb,
                        char name[64])
{
    const size_t side = (size_t)s->options.side;
    const pl_image image = {.width = (size_t)what->width, .height = (size_t)what->height, .rgb = (uint8_t *)(uintptr_t)rgb};
    pali_error err = {0};
    char path[4096];
    if (pl_preprocess(&image, side, NULL, &(pl_hands){.kernels = s->kernels}, s->pixels, &err) != PALI_OK)
        return fail("resize", err.message);
    for (size_t i = 0; i < side * side * 3; i++)
        s->bytes[i] = (uint8_t)lrintf((s->pixels[i] + 1.0f) * 127.5f);
    snprintf(path, sizeof path, "%s/%llu", s->options.folder, (unsigned long long)(index / FOLDER_FILES));
    if (mkdir(path, 0777) && errno != EEXIST)
        return fail(path, strerror(errno));
    snprintf(name, 64, "%llu/%06llu.png", (unsigned long long)(index / FOLDER_FILES), (unsigned long long)index);
    snprintf(path, sizeof path, "%s/%s", s->options.folder, name);
    return scene_write_png_fast(path, s->bytes, (int)side, (int)side) ? fail(path, "not written") : 0;
}

/* ---- Questions --------------------------------------------------------- */

static double weight_of(const scene_row *const row)
{
    for (int i = 0; i < TASKS; i++)
        if (!strcmp(weights[i].task, row->task))
            return weights[i].weight;
    return 1.0;
}

/* The numbers of `wanted` rows, drawn by weight without putting back (Efraimidis and Spirakis 2006). Returns how many. */
static int choose(const scene_row *const rows, const int count, const int wanted, scene_random *const r, int *const chosen)
{
    double keys[SCENE_MAX_ROWS];
    int n = 0;
    for (int i = 0; i < count; i++)
        keys[i] = pow(random_unit(r), 1.0 / weight_of(&rows[i]));
    for (; n < wanted && n < count; n++) {
        chosen[n] = 0;
        for (int i = 1; i < count; i++)
            if (keys[i] > keys[chosen[n]])
                chosen[n] = i;
        keys[chosen[n]] = -1.0;
    }
    return n;
}

/* "<seg...>" sixteen times: the mask of an object within its box. */
static int mask_codes(school *const s, const scene *const what, const int object, uint8_t *const room, char text[PALI_MASK_TEXT_SIZE])
{
    const size_t width = (size_t)what->width, height = (size_t)what->height;
    const scene_box b = what->objects[object].box;
    const pali_box box = {.y1 = (float)(fmax(0.0, b.y1) * what->height), .x1 = (float)(fmax(0.0, b.x1) * what->width),
                          .y2 = (float)(fmin(1.0, b.y2) * what->height), .x2 = (float)(fmin(1.0, b.x2) * what->width)};
    pali_mask_tokens tokens;
    pali_error err = {0};
    scene_mask(what, object, room);
    for (size_t i = 0; i < width * height; i++)
        room[i] = room[i] != 0;
    const pl_mask mask = {.width = width, .height = height, .bits = room};
    if (pl_codec_encode_mask(s->codec, &(pl_hands){.kernels = s->kernels}, &mask, &box, &tokens, &err) != PALI_OK)
        return fail("mask", err.message);
    pl_mask_tokens_text(&tokens, text);
    memmove(text, text + 4 * strlen("<loc0000>"), strlen(text) + 1 - 4 * strlen("<loc0000>"));
    return 0;
}

/* The answer with codes behind each box, which is four pieces "<locNNNN>" before a space. */
static int write_suffix(school *const s, const scene *const what, const scene_row *const row, uint8_t *const room, FILE *const out)
{
    const char *text = row->suffix;
    for (int k = 0; k < row->named_count; k++) {
        char codes[PALI_MASK_TEXT_SIZE];
        const char *const end = strchr(strstr(text, "<loc"), ' ');
        if (mask_codes(s, what, row->named[k], room, codes) || fprintf(out, "%.*s%s", (int)(end - text), text, codes) < 0)
            return -1;
        text = end;
    }
    return fputs(text, out) < 0 ? -1 : 0;
}

static int write_question(school *const s, const scene *const what, const char *const name, const scene_row *const row,
                          uint8_t *const room, FILE *const out)
{
    if (fprintf(out, "{\"image\": \"%s\", \"prefix\": \"%s\", \"suffix\": \"", name, row->prefix) < 0 ||
        write_suffix(s, what, row, room, out))
        return -1;
    return fputs("\"}\n", out) < 0 ? -1 : 0;
}

/* ---- Patches ----------------------------------------------------------- */

static const char *const aspects[ASPECTS] = {"what", "color", "top", "left", "bottom", "right"};

/* What is said of a patch; "" where nothing is asked. */
static void patch_word(const scene_label *const label, const int aspect, scene_random *const r, char word[16])
{
    word[0] = '\0';
    if (!label->what) { /* empty patches are many: some of them will do */
        if (aspect < TOP && random_chance(r, 0.15))
            snprintf(word, 16, "no");
    } else if (aspect == WHAT) {
        if (label->what > SHAPE_COUNT)
            snprintf(word, 16, "%c", 'A' + label->what - SHAPE_COUNT - 1);
        else
            snprintf(word, 16, "%s", scene_shape_name((scene_shape)(label->what - 1)));
    } else if (aspect == COLOR) {
        snprintf(word, 16, "%s", scene_color_name((scene_color)(label->color - 1)));
    } else {
        snprintf(word, 16, "<loc%04ld>", lrint(label->box[aspect - TOP] * 1023.0 / 255.0));
    }
}

static int write_patches(const school *const s, const scene_label *const labels, const char *const name, const int aspect,
                         scene_random *const r, FILE *const out)
{
    int bad = fprintf(out, "{\"image\": \"%s\", \"prefix\": \"patch %s\", \"patches\": [", name, aspects[aspect]) < 0;
    for (int i = 0; i < s->options.grid * s->options.grid; i++) {
        char word[16];
        patch_word(&labels[i], aspect, r, word);
        bad |= fprintf(out, "%s\"%s\"", i ? "," : "", word) < 0;
    }
    return bad || fputs("]}\n", out) < 0 ? -1 : 0;
}

/* "patch red circle", or only one of these: is it what stands here? Learned where something does, and at some empty patches. */
static int write_found(const school *const s, const scene *const what, const scene_label *const labels, const char *const name,
                       scene_random *const r, FILE *const out)
{
    const scene_object *const o = &what->objects[random_below(r, what->count)];
    const int by = random_below(r, 3); /* shape, colour, both */
    const char *const shape = by != 1 ? scene_shape_name(o->shape) : "", *const color = by != 0 ? scene_color_name(o->color) : "";
    int bad = fprintf(out, "{\"image\": \"%s\", \"prefix\": \"patch %s%s%s\", \"patches\": [", name, color, by == 2 ? " " : "", shape) < 0;
    for (int i = 0; i < s->options.grid * s->options.grid; i++) {
        const scene_label *const l = &labels[i];
        const int there = l->what != 0 && (by == 1 || l->what == (int)o->shape + 1) && (by == 0 || l->color == (int)o->color + 1);
        const char *const word = l->what || random_chance(r, 0.15) ? there ? "yes" : "no" : "";
        bad |= fprintf(out, "%s\"%s\"", i ? "," : "", word) < 0;
    }
    return bad || fputs("]}\n", out) < 0 ? -1 : 0;
}

int school_add(school *const s, const scene *const what, const uint64_t index, const uint8_t *const rgb,
               const scene_row *const rows, const int count, uint8_t *const room)
{
    scene_random r = {index * 0x9E3779B97F4A7C15u + 77u};
    scene_label labels[LABELS];
    char name[64];
    int chosen[SCENE_MAX_ROWS];
    if (save_picture(s, what, index, rgb, name))
        return -1;
    scene_mark(what, s->options.grid, labels);
    const int n = choose(rows, count, s->options.questions, &r, chosen);
    for (int i = 0; i < n; i++)
        if (write_question(s, what, name, &rows[chosen[i]], room, s->questions) || write_question(s, what, name, &rows[chosen[i]], room, s->both))
            return fail("questions", "not written");
    const int corner = TOP + 2 * (int)(index % 2); /* two sides of each box will do, the others with the next picture */
    const int told[] = {WHAT, COLOR, corner, corner + 1};
    int bad = 0;
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        bad |= write_patches(s, labels, name, told[i], &r, s->patches);
    bad |= write_patches(s, labels, name, random_below(&r, ASPECTS), &r, s->both);
    if (what->count > 0) /* which of several is meant is what answers need most, and what no other row of patches asks */
        bad |= write_found(s, what, labels, name, &r, s->both);
    return bad ? fail("patches", "not written") : 0;
}
