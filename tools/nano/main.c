/* main.c - pali-scenes: writes scenes as a folder of pictures with rows.jsonl, or as a raw stream for training.
 *
 * The stream is, for each scene: 4 bytes "SCN1", then width, height and the length of the text as 32-bit little-endian
 * integers, the pixels [height, width, 3], and the text: lines of task, prefix and suffix separated by tabs. With
 * --labels it writes, for the same scenes, scene_label [GRID, GRID] of seven bytes each and no pictures. */
#define _POSIX_C_SOURCE 200809L

#include "scenes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_GRID = 64 };

typedef struct arguments {
    scene_options scene;
    uint64_t seed, start, count;
    int held_out;
    int labels;         /* grid side; not 0: write labels instead of pictures */
    const char *folder; /* NULL: stream on stdout */
} arguments;

static void usage(FILE *const out)
{
    fputs("usage: pali-scenes (--out FOLDER | --stream | --labels GRID) [options]\n"
          "  --seed N --start N --count N    which scenes (1, 0, 100)\n"
          "  --held-out                      scenes that training never sees\n"
          "  --kind mix|shapes|word          what they show (mix)\n"
          "  --min-side N --max-side N       source size in pixels (104, 480)\n"
          "  --clean                         no noise, light compression\n",
          out);
}

static int parse(const int argc, char **const argv, arguments *const a)
{
    int stream = 0;
    *a = (arguments){.seed = 1, .count = 100};
    for (int i = 1; i < argc; i++) {
        const char *const name = argv[i];
        if (!strcmp(name, "--stream"))
            stream = 1;
        else if (!strcmp(name, "--held-out"))
            a->held_out = 1;
        else if (!strcmp(name, "--clean"))
            a->scene.clean = 1;
        else if (i + 1 == argc)
            return -1;
        else if (!strcmp(name, "--out"))
            a->folder = argv[++i];
        else if (!strcmp(name, "--labels"))
            a->labels = atoi(argv[++i]);
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
        } else
            return -1;
    }
    const int lo = a->scene.min_side, hi = a->scene.max_side;
    const int sizes_fit = lo >= 0 && lo <= 4096 && hi >= 0 && hi <= 4096 && (lo ? lo : 104) <= (hi ? hi : 480);
    const int one_output = stream + !!a->folder + (a->labels > 0 && a->labels <= MAX_GRID) == 1;
    return one_output && sizes_fit && (!lo || lo >= 32) ? 0 : -1;
}

static int write_labels(const scene *const s, const int grid)
{
    scene_label labels[MAX_GRID * MAX_GRID];
    const size_t count = (size_t)grid * grid;
    scene_mark(s, grid, labels);
    return fwrite(labels, sizeof labels[0], count, stdout) == count ? 0 : -1;
}

static int put_u32(const uint32_t v, FILE *const out)
{
    const unsigned char bytes[4] = {(unsigned char)(v & 255u), (unsigned char)(v >> 8 & 255u),
                                    (unsigned char)(v >> 16 & 255u), (unsigned char)(v >> 24)};
    return fwrite(bytes, 1, 4, out) == 4 ? 0 : -1;
}

static int stream_scene(const scene *const s, const uint8_t *const rgb, const scene_row *const rows, const int count)
{
    static char text[SCENE_MAX_ROWS * sizeof(scene_row)];
    size_t used = 0;
    for (int i = 0; i < count; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s\t%s\t%s\n", rows[i].task, rows[i].prefix,
                                 rows[i].suffix);
    const size_t pixels = (size_t)s->width * s->height * 3;
    if (fwrite("SCN1", 1, 4, stdout) != 4 || put_u32((uint32_t)s->width, stdout) ||
        put_u32((uint32_t)s->height, stdout) || put_u32((uint32_t)used, stdout) ||
        fwrite(rgb, 1, pixels, stdout) != pixels || fwrite(text, 1, used, stdout) != used)
        return -1;
    return 0;
}

static int save_scene(const scene *const s, const uint8_t *const rgb, const scene_row *const rows, const int count,
                      const arguments *const a, const uint64_t index, FILE *const jsonl)
{
    char name[64], path[4096];
    snprintf(name, sizeof name, "%06llu.%s", (unsigned long long)index, s->quality ? "jpg" : "png");
    if ((size_t)snprintf(path, sizeof path, "%s/%s", a->folder, name) >= sizeof path)
        return -1;
    if (s->quality ? scene_write_jpeg(path, rgb, s->width, s->height, s->quality)
                   : scene_write_png(path, rgb, s->width, s->height))
        return -1;
    for (int i = 0; i < count; i++) /* no text here needs escaping */
        if (fprintf(jsonl, "{\"image\": \"%s\", \"prefix\": \"%s\", \"suffix\": \"%s\"}\n", name, rows[i].prefix,
                    rows[i].suffix) < 0)
            return -1;
    return 0;
}

static int run(const arguments *const a, FILE *const jsonl)
{
    const size_t side = (size_t)(a->scene.max_side ? a->scene.max_side : 480);
    uint8_t *const rgb = malloc(side * side * 3);
    int status = rgb ? 0 : -1;
    for (uint64_t i = a->start; !status && i < a->start + a->count; i++) {
        scene s;
        scene_row rows[SCENE_MAX_ROWS];
        scene_make(&s, &a->scene, a->seed, i, a->held_out);
        if (a->labels) {
            status = write_labels(&s, a->labels);
            continue;
        }
        scene_draw(&s, rgb);
        const int count = scene_ask(&s, i, rows);
        if (jsonl) {
            status = save_scene(&s, rgb, rows, count, a, i, jsonl);
        } else {
            if (s.quality)
                status = scene_jpeg_loss(rgb, s.width, s.height, s.quality);
            if (!status)
                status = stream_scene(&s, rgb, rows, count);
        }
    }
    free(rgb);
    return status;
}

int main(const int argc, char **const argv)
{
    arguments a;
    if (parse(argc, argv, &a)) {
        usage(stderr);
        return 2;
    }
    FILE *jsonl = NULL;
    if (a.folder) {
        char path[4096];
        if (mkdir(a.folder, 0777) && errno != EEXIST) {
            fprintf(stderr, "pali-scenes: %s: %s\n", a.folder, strerror(errno));
            return 1;
        }
        snprintf(path, sizeof path, "%s/rows.jsonl", a.folder);
        jsonl = fopen(path, "w");
        if (!jsonl) {
            fprintf(stderr, "pali-scenes: %s: %s\n", path, strerror(errno));
            return 1;
        }
    }
    int status = run(&a, jsonl);
    if (jsonl ? fclose(jsonl) : fflush(stdout))
        status = -1;
    if (status)
        fputs("pali-scenes: writing failed\n", stderr);
    return status ? 1 : 0;
}
