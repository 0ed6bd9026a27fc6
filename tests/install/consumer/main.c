/* The smallest user of an installed pali: main MODEL IMAGE PROMPT prints the version and the answer. */
#include <pali/pali.h>

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc != 4 || strcmp(pali_version(), PALI_VERSION) != 0)
        return PALI_USAGE;
    pali_error err = {0};
    pali_model *model = pali_model_open(argv[1], NULL, &err);
    pali_session *session = model ? pali_session_new(model, NULL, &err) : NULL;
    pali_image *image = session ? pali_image_open(argv[2], &err) : NULL;
    const pali_ask_options options = {.size = sizeof options, .max_tokens = 4};
    pali_answer *answer = image ? pali_ask(session, &image, 1, argv[3], &options, &err) : NULL;
    if (answer)
        printf("%s %s\n", pali_version(), pali_answer_text(answer));
    else
        fprintf(stderr, "%s\n", err.message);
    pali_answer_free(answer);
    pali_image_free(image);
    pali_session_free(session);
    pali_model_free(model);
    return (int)err.status;
}
