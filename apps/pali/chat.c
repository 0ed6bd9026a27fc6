/* pali chat: pictures given once, encoded once, then a prompt a line. */
#include "drawing.h"
#include "options.h"
#include "say.h"
#include "use.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct talk {
    const settings *given;
    pali_model *model;
    pali_session *session;
    pictures shown;
    drawing where;
    bool to_person; /* a terminal on both ends: prompts are shown, Ctrl-C ends an answer only */
} talk;

/*
 * Cuts a line into words at white space, in place; "..." and '...' keep white
 * space, a backslash keeps the next character. Returns the number of words, at
 * most `most`.
 */
static size_t split_words(char *line, char **words, size_t most)
{
    size_t count = 0;
    char *in = line;
    while (count < most) {
        in += strspn(in, " \t");
        if (!*in)
            break;
        char *out = words[count++] = in, quote = 0;
        bool more = true;
        for (; *in && more; in += more) {
            if (quote ? *in == quote : *in == '"' || *in == '\'')
                quote = quote ? 0 : *in;
            else if (*in == '\\' && in[1])
                *out++ = *++in;
            else if (!quote && (*in == ' ' || *in == '\t'))
                more = false;
            else
                *out++ = *in;
        }
        in += *in != '\0';
        *out = '\0';
    }
    return count;
}

/* Opens and encodes pictures; those of before stay when it fails. Returns the exit code. */
static int show(talk *t, const char *const *paths, size_t count)
{
    pictures next = {0};
    int code = pictures_open(t->given, &chat_command, paths, count, &next);
    if (code)
        return code;
    pali_error err = {0};
    if (pali_session_set_images(t->session, next.images, next.count, &err) != PALI_OK) {
        code = fail_error(&err);
        /* A session that failed may have lost its pictures. */
        if (t->shown.count && pali_session_set_images(t->session, t->shown.images, t->shown.count, NULL) != PALI_OK)
            pictures_close(&t->shown);
        pictures_close(&next);
        return code;
    }
    pictures_close(&t->shown);
    t->shown = next;
    return 0;
}

static int show_line(talk *t, char *line)
{
    char *words[64];
    const size_t count = split_words(line, words, sizeof words / sizeof *words);
    if (count < 2)
        return fail(PALI_USAGE, "/image: the name of a file is missing");
    for (size_t i = 1; i < count; i++)
        if (strcmp(words[i], "-") == 0)
            return fail(PALI_USAGE, "/image: standard input holds the prompts and cannot be an image");
    return show(t, (const char *const *)words + 1, count - 1);
}

static void print_help(void)
{
    fputs("A line is a prompt about the images, such as: caption en, detect cat ; dog, ocr.\n"
          "/image FILE...  ask about other images from now on\n"
          "/help           this\n"
          "/quit           leave (so does end of input)\n",
          stderr);
}

/* The line's first word is `word`. */
static bool is_order(const char *line, const char *word)
{
    const size_t length = strlen(word);
    return strncmp(line, word, length) == 0 && (line[length] == '\0' || line[length] == ' ' || line[length] == '\t');
}

/* Answers one line; *done at /quit. Returns the exit code of this line. */
static int answer_line(talk *t, char *line, bool *done)
{
    line[strcspn(line, "\r\n")] = '\0';
    if (line[strspn(line, " \t")] == '\0')
        return 0;
    if (is_order(line, "/quit"))
        *done = true;
    else if (is_order(line, "/help"))
        print_help();
    else if (is_order(line, "/image"))
        return show_line(t, line);
    else if (line[0] == '/')
        return fail(PALI_USAGE, "'%s' is unknown; /help tells what there is", line);
    else if (t->shown.count == 0)
        return fail(PALI_USAGE, "there is no image yet; /image FILE shows one");
    else
        return ask(t->given, t->model, t->session, &t->shown, false, line, &t->where);
    return 0;
}

static int talk_on(talk *t)
{
    char *line = NULL;
    size_t capacity = 0;
    int worst = 0;
    bool done = false;
    while (!done) {
        if (t->to_person)
            fputs("> ", stderr);
        if (getline(&line, &capacity, stdin) < 0)
            break;
        const int code = answer_line(t, line, &done);
        if (code && !worst)
            worst = code;
        if (ferror(stdout) || (code == PALI_CANCELLED && !t->to_person)) {
            worst = code;
            break;
        }
    }
    if (!done && t->to_person)
        fputc('\n', stderr);
    const bool broken = ferror(stdin);
    free(line);
    if (broken)
        return fail(PALI_INPUT, "standard input could not be read");
    return t->to_person && !ferror(stdout) ? 0 : worst;
}

static int chat(const settings *given)
{
    for (size_t i = 0; i < given->operands.count; i++)
        if (strcmp(given->operands.items[i], "-") == 0)
            return fail_usage(&chat_command, "standard input holds the prompts and cannot be an image");
    settings own = *given;
    talk t = {.given = &own, .to_person = isatty(STDIN_FILENO) && isatty(STDERR_FILENO)};
    int code = ask_check(given);
    if (!code)
        code = drawing_prepare(given, &chat_command, &t.shown, true, &t.where);
    if (!code)
        code = model_open(given, &t.model, &t.session);
    if (!code)
        code = calibration_open(&own, t.model);
    if (!code && given->operands.count)
        code = show(&t, given->operands.items, given->operands.count);
    if (!code && t.to_person)
        note(given, "a prompt a line; /help tells more, end of input leaves");
    if (!code)
        code = talk_on(&t);
    pictures_close(&t.shown);
    pali_session_free(t.session);
    pali_calibration_free(own.curves);
    pali_model_free(t.model);
    return code;
}

const command chat_command = {
    .name = "chat",
    .operands = "[IMAGE...]",
    .summary = "ask prompt after prompt about the same images",
    .about = "Reads a prompt a line from standard input and answers each about the images,\n"
             "which are encoded once. /image FILE... changes them, /help tells more, /quit or\n"
             "end of input leaves. A prompt that fails does not end the chat; where the input\n"
             "is no terminal, the first failure is the exit code. --draw writes its file, and\n"
             "--mask-dir its files, anew at every answer with objects.",
    .examples = "  pali chat -m google/paligemma2-3b-mix-448 photo.jpg\n"
                "  printf 'caption en\\nocr\\n' | pali chat --json receipt.png\n",
    .options = (const option *const[]){model_options, answer_options, clip_options, drawing_options, common_options, NULL},
    .run = chat,
};
