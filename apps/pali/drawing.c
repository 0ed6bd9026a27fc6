/* Answers drawn into files, masks into a folder, and the picture onto the terminal. */
#include "drawing.h"

#include "say.h"
#include "terminal.h"

#include <pali/mask.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Bytes of a file's name that go into those of masks, from the picture and from the label. */
enum { MOST_STEM = 100, MOST_LABEL = 40 };

static int choose_preview(const settings *given, const command *of, drawing *out)
{
    static const struct { const char *name; pali_preview kind; } kinds[] = {
        {"kitty", PALI_PREVIEW_KITTY}, {"iterm2", PALI_PREVIEW_ITERM2}, {"sixel", PALI_PREVIEW_SIXEL}};
    if (!given->preview)
        return 0;
    if (given->json)
        return fail_usage(of, "--preview and --json both want standard output");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(given->preview, kinds[i].name) == 0) {
            out->previews = true;
            out->kind = kinds[i].kind;
            return 0;
        }
    out->previews = terminal_finds_preview(&out->kind);
    if (!out->previews)
        note(given, "--preview: %s", isatty(STDOUT_FILENO) ? "this terminal does not say that it shows pictures (kitty, iTerm2, sixel); --preview KIND insists" : "standard output is no terminal");
    return 0;
}

/* The folder that a file's name leads to can be written to. */
static bool folder_is_open(const char *file)
{
    const char *const slash = strrchr(file, '/');
    if (!slash)
        return access(".", W_OK | X_OK) == 0;
    char *const folder = strndup(file, slash == file ? 1 : (size_t)(slash - file));
    const bool open = folder && access(folder, W_OK | X_OK) == 0;
    const int reason = errno;
    free(folder);
    errno = reason;
    return open;
}

/* True for a file that is one of the images, by whatever name. */
static bool is_shown(const char *file, const pictures *shown)
{
    struct stat target, source;
    if (stat(file, &target) != 0)
        return false;
    for (size_t i = 0; i < shown->count; i++)
        if (stat(shown->paths[i], &source) == 0 && source.st_dev == target.st_dev && source.st_ino == target.st_ino)
            return true;
    return false;
}

static int check_file(const command *of, const char *file, const pictures *shown)
{
    pali_error err = {0};
    struct stat target;
    if (!pali_image_format(file, &err))
        return fail_usage(of, "--draw: %s", err.message);
    if (is_shown(file, shown))
        return fail_usage(of, "--draw: %s is one of the images and would be written over", file);
    if (stat(file, &target) == 0 && S_ISDIR(target.st_mode))
        return fail(PALI_FAILED, "--draw: %s: it is a folder", file);
    return folder_is_open(file) ? 0 : fail(PALI_FAILED, "--draw: %s: cannot be written: %s", file, strerror(errno));
}

static int check_folder(const char *folder)
{
    struct stat info;
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return fail(PALI_FAILED, "--mask-dir: %s: cannot be made: %s", folder, strerror(errno));
    if (stat(folder, &info) == 0 && !S_ISDIR(info.st_mode))
        return fail(PALI_FAILED, "--mask-dir: %s: it is a file, expected a folder", folder);
    return access(folder, W_OK | X_OK) == 0 ? 0 : fail(PALI_FAILED, "--mask-dir: %s: cannot be written to: %s", folder, strerror(errno));
}

int drawing_prepare(const settings *given, const command *of, const pictures *shown, bool is_chat, drawing *out)
{
    *out = (drawing){.file = given->draw, .mask_dir = given->mask_dir, .is_chat = is_chat};
    int code = choose_preview(given, of, out);
    if (!code && out->file)
        code = check_file(of, out->file, shown);
    if (!code && out->mask_dir)
        code = check_folder(out->mask_dir);
    return code;
}

static int preview(const drawing *what, const pali_image *image)
{
    size_t width, height, length;
    char *text;
    pali_error err = {0};
    terminal_size(STDOUT_FILENO, &width, &height);
    if (pali_image_preview(image, what->kind, width, height, &text, &length, &err) != PALI_OK)
        return fail_error(&err);
    fwrite(text, 1, length, stdout);
    putchar('\n');
    pali_free(text);
    return finish_output(0);
}

/* The picture's name without folder and ending: "cat" of "a/cat.jpg", cut between characters. */
static size_t stem_of(const char **path)
{
    const char *const slash = strrchr(*path, '/');
    *path = strcmp(*path, "-") == 0 ? "stdin" : slash ? slash + 1 : *path;
    const char *const dot = strrchr(*path, '.');
    size_t length = dot && dot > *path ? (size_t)(dot - *path) : strlen(*path);
    if (length > MOST_STEM)
        for (length = MOST_STEM; length > 0 && ((unsigned char)(*path)[length] & 0xc0) == 0x80;)
            length--;
    return length;
}

/* A label as part of a file's name on any system: small letters and digits of ASCII, "-" between. */
static void safe_label(const char *label, char out[MOST_LABEL + 1])
{
    size_t used = 0;
    for (; *label && used < MOST_LABEL; label++) {
        const char c = *label >= 'A' && *label <= 'Z' ? (char)(*label - 'A' + 'a') : *label;
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
            out[used++] = c;
        else if (used && out[used - 1] != '-')
            out[used++] = '-';
    }
    while (used && out[used - 1] == '-')
        used--;
    out[used] = '\0';
    if (!used)
        strcpy(out, "object");
}

static int save_mask(const drawing *what, const pictures *shown, size_t number, const pali_object *object)
{
    const char *stem = shown->paths[0];
    const size_t length = stem_of(&stem);
    char label[MOST_LABEL + 1], *path;
    safe_label(object->label, label);
    if (asprintf(&path, "%s/%.*s-%02zu-%s.png", what->mask_dir, (int)length, stem, number, label) < 0)
        return fail(PALI_MEMORY, "--mask-dir: out of memory");
    pali_error err = {0};
    const pali_status status = pali_mask_save(object->mask, path, &err);
    free(path);
    return status == PALI_OK ? 0 : fail_error(&err);
}

static int save_masks(const settings *given, const drawing *what, const pictures *shown, const pali_answer *answer)
{
    size_t saved = 0, undecoded = 0;
    for (size_t i = 0; i < pali_answer_object_count(answer); i++) {
        const pali_object *const object = pali_answer_object(answer, i);
        undecoded += object->has_codes && !object->mask && !object->problem; /* a malformed object has none anyway */
        if (!object->mask)
            continue;
        const int code = save_mask(what, shown, i + 1, object);
        if (code)
            return code;
        saved++;
    }
    if (undecoded)
        note(given, "--mask-dir: %zu masks could not be decoded; the model has no mask codec", undecoded);
    else if (!saved && !what->is_chat)
        note(given, "--mask-dir: the answer has no masks");
    return 0;
}

static int save_picture(const settings *given, const drawing *what, const pictures *shown, const pali_answer *answer, const pali_image *drawn)
{
    pali_error err = {0};
    if (is_shown(what->file, shown)) /* in a chat it may have become one */
        return fail(PALI_USAGE, "--draw: %s is one of the images and would be written over", what->file);
    if (!pali_answer_object_count(answer))
        note(given, "--draw: the answer has no objects, so %s is the image as it was", what->file);
    else if (shown->count > 1)
        note(given, "--draw: the objects are drawn on the first of %zu images", shown->count);
    return pali_image_save(drawn, what->file, NULL, &err) == PALI_OK ? 0 : fail_error(&err);
}

/* The drawn picture to where it was asked for. */
static int show(const settings *given, const drawing *what, const pictures *shown, const pali_answer *answer)
{
    pali_error err = {0};
    pali_image *const drawn = pali_answer_draw(answer, shown->images[0], NULL, &err);
    if (!drawn)
        return fail_error(&err);
    const int previewed = what->previews ? preview(what, drawn) : 0;
    const int saved = what->file ? save_picture(given, what, shown, answer, drawn) : 0;
    pali_image_free(drawn);
    return previewed ? previewed : saved;
}

int drawing_write(const settings *given, const drawing *what, const pictures *shown, const pali_answer *answer)
{
    int drawn = 0;
    if ((what->file || what->previews) && (!what->is_chat || pali_answer_object_count(answer)))
        drawn = show(given, what, shown, answer);
    const int masks = what->mask_dir ? save_masks(given, what, shown, answer) : 0;
    return drawn ? drawn : masks;
}
