/* A table in place of a model. */
#include "fake_model.h"

#include "answer/location.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pali_image {
    int unused;
};
struct pali_session {
    pali_model *model;
};
struct pali_answer {
    const fake_answer *from;
    int32_t tokens[2];
    pl_location_list locations;
    pali_object *objects; /* [locations.count], owned */
};

static void explain(pali_error *err, pali_status status, const char *what, const char *why)
{
    if (!err)
        return;
    err->status = status;
    snprintf(err->message, sizeof err->message, "%s: %s", what, why);
}

pali_image *pali_image_open(const char *path, pali_error *err)
{
    if (!strstr(path, "broken"))
        return calloc(1, sizeof(pali_image));
    explain(err, PALI_INPUT, path, "no picture");
    return NULL;
}

void pali_image_free(pali_image *image)
{
    free(image);
}

pali_session *pali_session_new(pali_model *model, const pali_session_options *options, pali_error *err)
{
    (void)options;
    (void)err;
    pali_session *const session = calloc(1, sizeof *session);
    if (session)
        *session = (pali_session){.model = model};
    model->sessions += session != NULL;
    return session;
}

void pali_session_free(pali_session *session)
{
    if (session)
        session->model->sessions--;
    free(session);
}

pali_status pali_session_set_images(pali_session *session, pali_image *const *images, size_t count, pali_error *err)
{
    (void)err;
    for (size_t i = 0; i < count; i++)
        if (!images[i])
            abort();
    session->model->encoded++;
    session->model->images = count;
    return PALI_OK;
}

/* The objects of the text, with the confidences of the table. */
static void make_objects(pali_answer *answer)
{
    pl_location_list *const list = &answer->locations;
    if (pl_locations_of_text(answer->from->answer, list, NULL) != PALI_OK)
        abort();
    answer->objects = calloc(list->count + 1, sizeof *answer->objects);
    if (!answer->objects)
        abort();
    for (size_t i = 0; i < list->count; i++) {
        const pl_location *const location = &list->items[i];
        const double confidence = i < FAKE_OBJECTS ? answer->from->confidences[i] : 0;
        answer->objects[i] = (pali_object){.label = location->label, .problem = location->valid ? NULL : "no area", .box = location->box, .confidence = confidence > 0 ? confidence : (double)NAN, .has_codes = location->has_segment};
        memcpy(answer->objects[i].bins, location->bins, sizeof location->bins);
        memcpy(answer->objects[i].codes, location->segment, sizeof location->segment);
    }
}

pali_answer *pali_ask(pali_session *session, pali_image *const *images, size_t count, const char *prompt, const pali_ask_options *options, pali_error *err)
{
    (void)images;
    if (count)
        session->model->encoded++;
    session->model->max_tokens = options->max_tokens;
    const fake_answer *from = session->model->answers;
    while (from->prompt && strcmp(from->prompt, prompt) != 0)
        from++;
    if (!from->answer) {
        explain(err, PALI_FAILED, prompt, "no answer");
        return NULL;
    }
    pali_answer *const answer = calloc(1, sizeof *answer);
    if (!answer)
        abort();
    *answer = (pali_answer){.from = from, .tokens = {(int32_t)strlen(from->answer), 1}};
    make_objects(answer);
    return answer;
}

size_t pali_answer_object_count(const pali_answer *answer)
{
    return answer->locations.count;
}

const pali_object *pali_answer_object(const pali_answer *answer, size_t i)
{
    return i < answer->locations.count ? &answer->objects[i] : NULL;
}

size_t pali_answer_dropped_count(const pali_answer *answer)
{
    return answer->locations.dropped;
}

const char *pali_answer_text(const pali_answer *answer)
{
    return answer->from->answer;
}

size_t pali_answer_token_count(const pali_answer *answer)
{
    (void)answer;
    return 2;
}

const int32_t *pali_answer_tokens(const pali_answer *answer)
{
    return answer->tokens;
}

pali_finish pali_answer_finish(const pali_answer *answer)
{
    return answer->from->finish;
}

const char *pali_finish_text(pali_finish finish)
{
    return finish == PALI_FINISH_EOS ? "eos" : "length";
}

void pali_answer_free(pali_answer *answer)
{
    if (answer) {
        pl_location_list_free(&answer->locations);
        free(answer->objects);
    }
    free(answer);
}

/* One token a byte and the end of text, each of log-probability -1/4. */
pali_status pali_score(pali_session *session, const char *prompt, const char *suffix, double *total, size_t *count, float **logprobs, pali_error *err)
{
    (void)session;
    (void)prompt;
    (void)err;
    *count = strlen(suffix) + 1;
    *total = -0.25 * (double)*count;
    if (logprobs)
        *logprobs = NULL;
    return PALI_OK;
}
