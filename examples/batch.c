/* batch.c MODEL PROMPT IMAGE...: the same question about many pictures, several at a time: one step serves them all. */
#include <pali/pali.h>

#include <stdio.h>

enum { SIDE_BY_SIDE = 4 };

/* Gives a session its next picture. The picture is encoded here and not kept; the answer is made by pali_step. */
static pali_status begin(pali_session *session, const char *path, const char *prompt, pali_error *err)
{
    pali_image *image = pali_image_open(path, err);
    if (image && pali_session_set_images(session, &image, 1, err) == PALI_OK)
        pali_session_prompt(session, prompt, NULL, err);
    pali_image_free(image);
    return err->status;
}

static pali_status finish(const pali_session *session, const char *path, pali_error *err)
{
    pali_answer *answer = pali_session_answer(session, err);
    if (answer)
        printf("%s: %s\n", path, pali_answer_text(answer));
    pali_answer_free(answer);
    return err->status;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: batch MODEL PROMPT IMAGE...\n");
        return PALI_USAGE;
    }
    pali_error err = {0};
    pali_session *sessions[SIDE_BY_SIDE] = {NULL};
    const char *path[SIDE_BY_SIDE] = {NULL}; /* of the picture that a session is asked about */
    pali_model *model = pali_model_open(argv[1], NULL, &err);
    for (int i = 0; i < SIDE_BY_SIDE && err.status == PALI_OK; i++)
        sessions[i] = pali_session_new(model, NULL, &err);
    for (int next = 3, running = 1; running && err.status == PALI_OK;) {
        for (int i = running = 0; i < SIDE_BY_SIDE && err.status == PALI_OK; i++) {
            if (path[i] && pali_session_done(sessions[i])) {
                finish(sessions[i], path[i], &err);
                path[i] = NULL;
            }
            if (!path[i] && next < argc && err.status == PALI_OK)
                begin(sessions[i], path[i] = argv[next++], argv[2], &err);
            running += path[i] != NULL;
        }
        if (running && err.status == PALI_OK)
            pali_step(sessions, SIDE_BY_SIDE, &err); /* passes over those that are done */
    }
    if (err.status != PALI_OK)
        fprintf(stderr, "batch: %s\n", err.message);
    for (int i = 0; i < SIDE_BY_SIDE; i++)
        pali_session_free(sessions[i]);
    pali_model_free(model);
    return (int)err.status;
}
