/* pali run: one answer about one or more pictures. */
#include "options.h"
#include "say.h"
#include "use.h"

#include <string.h>
#include <sys/stat.h>

static bool is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && !S_ISDIR(info.st_mode);
}

static int check_operands(const text_list *operands)
{
    if (operands->count == 0)
        return fail_usage(&run_command, "an image and a prompt are missing");
    const char *const last = operands->items[operands->count - 1];
    if (strcmp(last, "-") == 0)
        return fail_usage(&run_command, "the last argument is - (an image on standard input), so the prompt after it is missing");
    if (is_file(last))
        return fail_usage(&run_command, "'%s' is a file, so the prompt after it is missing, for example \"caption en\"", last);
    if (operands->count == 1)
        return fail_usage(&run_command, "'%s' is no file; an image must come before the prompt", last);
    return 0;
}

static int run(const settings *given)
{
    const text_list *const operands = &given->operands;
    int code = check_operands(operands);
    if (code)
        return code;
    const char *const prompt = operands->items[operands->count - 1];
    pictures shown = {0};
    pali_model *model = NULL;
    pali_session *session = NULL;
    code = pictures_open(given, &run_command, operands->items, operands->count - 1, &shown);
    if (!code)
        code = model_open(given, &model, &session);
    if (!code)
        code = ask(given, model, session, &shown, true, prompt);
    pali_session_free(session);
    pali_model_free(model);
    pictures_close(&shown);
    return code;
}

const command run_command = {
    .name = "run",
    .operands = "IMAGE... PROMPT",
    .summary = "answer one prompt about one or more images",
    .about = "Answers PROMPT about the images, in their order, and prints the answer as it\n"
             "comes. The last argument is the prompt. IMAGE is a JPEG, PNG, WebP or GIF file;\n"
             "- is standard input. The model is that of -m, else of PALI_MODEL, else nano.",
    .examples = "  pali run photo.jpg \"caption en\"\n"
                "  pali run -m google/paligemma2-3b-mix-448 --json street.jpg \"detect car ; bus\"\n",
    .options = (const option *const[]){model_options, answer_options, common_options, NULL},
    .run = run,
};
