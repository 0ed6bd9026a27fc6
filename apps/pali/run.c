/* pali run: one answer about one or more pictures. */
#include "drawing.h"
#include "options.h"
#include "say.h"
#include "use.h"

static int run(const settings *given)
{
    const text_list *const operands = &given->operands;
    int code = question_check(&run_command, operands);
    if (!code)
        code = ask_check(given);
    if (code)
        return code;
    const char *const prompt = operands->items[operands->count - 1];
    pictures shown = {0};
    pali_model *model = NULL;
    pali_session *session = NULL;
    drawing where;
    settings own = *given;
    code = pictures_open(given, &run_command, operands->items, operands->count - 1, &shown);
    if (!code)
        code = drawing_prepare(given, &run_command, &shown, false, &where);
    if (!code)
        code = model_open(given, &model, &session);
    if (!code)
        code = calibration_open(&own, model);
    if (!code)
        code = ask(&own, model, session, &shown, true, prompt, &where);
    pali_session_free(session);
    pali_calibration_free(own.curves);
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
                "  pali run -m google/paligemma2-3b-mix-448 --json street.jpg \"detect car ; bus\"\n"
                "  pali run street.jpg \"detect car ; bus\" --draw found.png\n",
    .options = (const option *const[]){model_options, answer_options, clip_options, drawing_options, common_options, NULL},
    .run = run,
};
