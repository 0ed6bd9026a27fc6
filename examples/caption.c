/* caption.c MODEL IMAGE [PROMPT]: one answer about one picture, printed as it comes. */
#include <pali/pali.h>

#include <stdio.h>

static bool print(void *context, const char *text, size_t length)
{
    (void)context;
    fwrite(text, 1, length, stdout);
    fflush(stdout);
    return true; /* false would end the answer here */
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: caption MODEL IMAGE [PROMPT]\n");
        return PALI_USAGE;
    }
    pali_error err = {0};
    pali_session *session = NULL;
    pali_image *image = NULL;
    pali_answer *answer = NULL;
    pali_model *model = pali_model_open(argv[1], NULL, &err);
    if (!model)
        goto done;
    session = pali_session_new(model, NULL, &err);
    image = pali_image_open(argv[2], &err);
    if (!session || !image)
        goto done;
    const pali_ask_options options = {.size = sizeof options, .max_tokens = 64, .on_text = print};
    answer = pali_ask(session, &image, 1, argc > 3 ? argv[3] : "caption en", &options, &err);
    if (!answer)
        goto done;
    const pali_timings t = pali_answer_timings(answer);
    printf("\n");
    fprintf(stderr, "%zu tokens (%s); picture %.2f s, prompt %.2f s, answer %.2f s\n", pali_answer_token_count(answer),
        pali_finish_text(pali_answer_finish(answer)), t.preprocess + t.encode, t.prefill, t.decode);
done:
    if (!answer)
        fprintf(stderr, "caption: %s\n", err.message);
    /* The session goes before its model. Each of these may be NULL. */
    pali_answer_free(answer);
    pali_image_free(image);
    pali_session_free(session);
    pali_model_free(model);
    return answer ? PALI_OK : (int)err.status;
}
