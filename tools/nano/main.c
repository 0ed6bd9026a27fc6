/* main.c - pali-scenes: writes scenes as a folder of pictures with rows.jsonl, as rows for `pali train`, or their
 * questions alone: a line each, with tabs between task, prefix and suffix. */
#define _POSIX_C_SOURCE 200809L

#include "school.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct arguments {
    scene_options scene;
    uint64_t seed, start, count;
    int held_out;
    int segment;        /* ask for masks too */
    scene_task task;
    int rows;           /* write questions instead of pictures */
    const char *folder; /* NULL: on stdout */
    int train;          /* rows for `pali train` in the folder, with masks as codes */
    school_options school;
} arguments;

static void usage(FILE *const out)
{
    fputs("usage: pali-scenes (--out FOLDER | --train FOLDER | --rows) [options]\n"
          "  --seed N --start N --count N    which scenes (1, 0, 100)\n"
          "  --held-out                      scenes that training never sees\n"
          "  --task side|table               one question a scene of a task that nano was not taught; N are asked\n"
          "  --segment                       `segment` questions too; with --out a mask file for each object named\n"
          "  --codec FILE, --side N, --grid N, --questions N\n"
          "                                  of --train: codec of masks; pixels and patches a side of what the model\n"
          "                                  sees (112, 8), and questions a picture (4)\n"
          "  --kind mix|shapes|word          what they show (mix)\n"
          "  --min-side N --max-side N       source size in pixels (104, 480)\n"
          "  --clean                         no noise, light compression\n",
          out);
}

static int parse(const int argc, char **const argv, arguments *const a)
{
    *a = (arguments){.seed = 1, .count = 100, .school = {.side = 112, .grid = 8, .questions = 4}};
    for (int i = 1; i < argc; i++) {
        const char *const name = argv[i];
        if (!strcmp(name, "--rows"))
            a->rows = 1;
        else if (!strcmp(name, "--segment"))
            a->segment = 1;
        else if (!strcmp(name, "--held-out"))
            a->held_out = 1;
        else if (!strcmp(name, "--clean"))
            a->scene.clean = 1;
        else if (i + 1 == argc)
            return -1;
        else if (!strcmp(name, "--out"))
            a->folder = argv[++i];
        else if (!strcmp(name, "--train"))
            a->folder = argv[++i], a->train = 1;
        else if (!strcmp(name, "--codec"))
            a->school.codec = argv[++i];
        else if (!strcmp(name, "--side"))
            a->school.side = atoi(argv[++i]);
        else if (!strcmp(name, "--grid"))
            a->school.grid = atoi(argv[++i]);
        else if (!strcmp(name, "--questions"))
            a->school.questions = atoi(argv[++i]);
        else if (!strcmp(name, "--seed"))
            a->seed = strtoull(argv[++i], NULL, 10);
        else if (!strcmp(name, "--start"))
            a->start = strtoull(argv[++i], NULL, 10);
        else if (!strcmp(name, "--count"))
            a->count = strtoull(argv[++i], NULL, 10);
        else if (!strcmp(name, "--min-side"))
            a->scene.min_side = atoi(argv[++i]);
        else if (!strcmp(name, "--max-side"))
            a->scene.max_side = atoi(argv[++i]);
        else if (!strcmp(name, "--kind")) {
            const char *const kind = argv[++i];
            a->scene.kind = !strcmp(kind, "word") ? KIND_WORD : !strcmp(kind, "shapes") ? KIND_SHAPES : KIND_MIX;
        } else if (!strcmp(name, "--task")) {
            const char *const task = argv[++i];
            a->task = !strcmp(task, "side") ? TASK_SIDE : !strcmp(task, "table") ? TASK_TABLE : TASK_TAUGHT;
            if (a->task == TASK_TAUGHT)
                return -1;
        } else
            return -1;
    }
    const int lo = a->scene.min_side, hi = a->scene.max_side;
    const int sizes_fit = lo >= 0 && lo <= 4096 && hi >= 0 && hi <= 4096 && (lo ? lo : 104) <= (hi ? hi : 480);
    const int one_output = !!a->folder + a->rows == 1;
    a->school.folder = a->folder;
    if (a->train && (a->task != TASK_TAUGHT || !a->school.codec || a->school.side < 16 || a->school.side > 1024 ||
                     a->school.grid < 1 || a->school.grid > SCHOOL_MOST_GRID))
        return -1;
    return one_output && sizes_fit && (!lo || lo >= 32) ? 0 : -1;
}

static int write_rows(const scene_row *const rows, const int count)
{
    int bad = 0;
    for (int i = 0; i < count; i++)
        bad |= printf("%s\t%s\t%s\n", rows[i].task, rows[i].prefix, rows[i].suffix) < 0;
    return bad ? -1 : 0;
}

/* Mask files NUMBER-OBJECT.png of the objects that some row names. Uses `room`, [height, width]. */
static int save_masks(const scene *const s, const scene_row *const rows, const int count, const arguments *const a,
                      const uint64_t index, uint8_t *const room)
{
    int wanted[SCENE_MAX_OBJECTS] = {0}, status = 0;
    for (int i = 0; i < count; i++)
        for (int k = 0; k < rows[i].named_count; k++)
            wanted[rows[i].named[k]] = 1;
    for (int i = 0; !status && i < s->count; i++) {
        char path[4096];
        if (!wanted[i])
            continue;
        if ((size_t)snprintf(path, sizeof path, "%s/%06llu-%d.png", a->folder, (unsigned long long)index, i) >=
            sizeof path)
            return -1;
        scene_mask(s, i, room);
        status = scene_write_mask(path, room, s->width, s->height);
    }
    return status;
}

/* One line of rows.jsonl; no text here needs escaping. */
static int save_row(const scene_row *const row, const char *const picture, const uint64_t index, FILE *const jsonl)
{
    int bad = fprintf(jsonl, "{\"image\": \"%s\", \"prefix\": \"%s\", \"suffix\": \"%s\"", picture, row->prefix,
                      row->suffix) < 0;
    for (int i = 0; i < row->named_count; i++)
        bad |= fprintf(jsonl, "%s\"%06llu-%d.png\"%s", i ? ", " : ", \"masks\": [", (unsigned long long)index,
                       row->named[i], i + 1 == row->named_count ? "]" : "") < 0;
    return bad || fputs("}\n", jsonl) < 0 ? -1 : 0;
}

/* Draws the masks over `rgb` once that is written. */
static int save_scene(const scene *const s, uint8_t *const rgb, const scene_row *const rows, const int count,
                      const arguments *const a, const uint64_t index, FILE *const jsonl)
{
    char name[64], path[4096];
    snprintf(name, sizeof name, "%06llu.%s", (unsigned long long)index, s->quality ? "jpg" : "png");
    if ((size_t)snprintf(path, sizeof path, "%s/%s", a->folder, name) >= sizeof path)
        return -1;
    if (s->quality ? scene_write_jpeg(path, rgb, s->width, s->height, s->quality)
                   : scene_write_png(path, rgb, s->width, s->height))
        return -1;
    for (int i = 0; i < count; i++)
        if (save_row(&rows[i], name, index, jsonl))
            return -1;
    return save_masks(s, rows, count, a, index, rgb);
}

static int ask(const scene *const s, const uint64_t index, const arguments *const a, scene_row rows[SCENE_MAX_ROWS])
{
    return a->task == TASK_TAUGHT ? scene_ask(s, index, a->segment, rows) : scene_ask_transfer(s, a->task, index, rows);
}

/* Writes one scene as the arguments say; `room` holds a picture of the largest size. */
static int write_scene(const scene *const s, const uint64_t index, const arguments *const a, uint8_t *const room,
                       FILE *const jsonl, school *const rows_of)
{
    scene_row rows[SCENE_MAX_ROWS];
    const int count = ask(s, index, a, rows);
    if (a->rows)
        return write_rows(rows, count);
    scene_draw(s, room);
    if (rows_of) {
        if (s->quality && scene_jpeg_loss(room, s->width, s->height, s->quality))
            return -1;
        return school_add(rows_of, s, index, room, rows, count, room + (size_t)s->width * s->height * 3);
    }
    return save_scene(s, room, rows, count, a, index, jsonl);
}

static int run(const arguments *const a, FILE *const jsonl, school *const rows_of)
{
    const size_t side = (size_t)(a->scene.max_side ? a->scene.max_side : 480);
    uint8_t *const room = malloc(side * side * 4); /* a picture and a mask */
    int status = room ? 0 : -1;
    for (uint64_t i = a->start, written = 0; !status && written < a->count; i++) {
        scene s;
        scene_row rows[SCENE_MAX_ROWS];
        scene_make(&s, &a->scene, a->seed, i, a->held_out);
        if (a->task != TASK_TAUGHT && !ask(&s, i, a, rows))
            continue;
        status = write_scene(&s, i, a, room, jsonl, rows_of);
        written++;
    }
    free(room);
    return status;
}

int main(const int argc, char **const argv)
{
    arguments a;
    if (argc == 2 && !strcmp(argv[1], "--help")) {
        usage(stdout);
        return 0;
    }
    if (parse(argc, argv, &a)) {
        usage(stderr);
        return 2;
    }
    FILE *jsonl = NULL;
    school *rows_of = NULL;
    if (a.folder) {
        char path[4096];
        if (mkdir(a.folder, 0777) && errno != EEXIST) {
            fprintf(stderr, "pali-scenes: %s: %s\n", a.folder, strerror(errno));
            return 1;
        }
        snprintf(path, sizeof path, "%s/rows.jsonl", a.folder);
        if (a.train && !(rows_of = school_open(&a.school)))
            return 1;
        jsonl = a.train ? NULL : fopen(path, "w");
        if (!a.train && !jsonl) {
            fprintf(stderr, "pali-scenes: %s: %s\n", path, strerror(errno));
            return 1;
        }
    }
    int status = run(&a, jsonl, rows_of);
    status |= school_close(rows_of);
    if (jsonl ? fclose(jsonl) : fflush(stdout))
        status = -1;
    if (status)
        fputs("pali-scenes: writing failed\n", stderr);
    return status ? 1 : 0;
}
