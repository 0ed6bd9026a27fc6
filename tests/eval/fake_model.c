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
    const fake_answer *from;
    bool looks, done; /* it has pictures; its question is answered */
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
    session->looks = true;
    return PALI_OK;
}

pali_status pali_session_use_images(pali_session *session, const pali_session *from, pali_error *err)
{
    (void)err;
    if (!from->looks)
        abort();
    session->looks = true;
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

/* The table's entry is the answer, after one step. */
pali_status pali_session_prompt(pali_session *session, const char *prompt, const pali_ask_options *options, pali_error *err)
{
    if (!session->looks)
        abort();
    session->model->max_tokens = options->max_tokens;
    session->model->rating = options->confidence;
    session->from = session->model->answers;
    while (session->from->prompt && strcmp(session->from->prompt, prompt) != 0)
        session->from++;
    session->done = false;
    if (session->from->answer)
        return PALI_OK;
    explain(err, PALI_FAILED, prompt, "no answer");
    return PALI_FAILED;
}

pali_status pali_step(pali_session *const *sessions, size_t n, pali_error *err)
{
    (void)err;
    sessions[0]->model->largest_step = n > sessions[0]->model->largest_step ? n : sessions[0]->model->largest_step;
    for (size_t i = 0; i < n; i++)
        sessions[i]->done = true;
    return PALI_OK;
}

bool pali_session_done(const pali_session *session)
{
    return session->done;
}

pali_answer *pali_session_answer(const pali_session *session, pali_error *err)
{
    (void)err;
    pali_answer *const answer = calloc(1, sizeof *answer);
    if (!answer)
        abort();
    *answer = (pali_answer){.from = session->from, .tokens = {(int32_t)strlen(session->from->answer), 1}};
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

double pali_answer_log_likelihood(const pali_answer *answer)
{
    return answer->from->text_score > 0 ? log(answer->from->text_score) : (double)NAN;
}

size_t pali_image_width(const pali_image *image)
{
    (void)image;
    return FAKE_WIDTH;
}

size_t pali_image_height(const pali_image *image)
{
    (void)image;
    return FAKE_HEIGHT;
}

pali_status pali_model_describe(const pali_model *model, pali_model_info *info, pali_error *err)
{
    (void)err;
    *info = (pali_model_info){.path = "no model", .codec = model->codec, .family = "paligemma", .parameters = 1000, .image_size = 112, .vocabulary = 3008};
    return PALI_OK;
}

pali_finish pali_answer_finish(const pali_answer *answer)
{
    return answer->from->finish;
}

/* What predictions take of it. */
char *pali_answer_json(const pali_answer *answer, pali_error *err)
{
    char *const text = malloc(128);
    if (text)
        snprintf(text, 128, "{\"tokens\": [%d, %d], \"finish_reason\": \"%s\", \"objects\": []}", (int)answer->tokens[0], (int)answer->tokens[1], answer->from->finish == PALI_FINISH_EOS ? "eos" : "length");
    else
        explain(err, PALI_MEMORY, "answer", "out of memory");
    return text;
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

/* What the runner's room wants to link and these tests never call. */
pali_status pali_image_open_clip(const char *const *paths, size_t count, size_t frames, size_t stride, pali_image **images, pali_error *err)
{
    (void)paths;
    (void)count;
    (void)frames;
    (void)stride;
    (void)images;
    (void)err;
    abort();
}

const char *pali_version(void)
{
    abort();
}

pali_timings pali_answer_timings(const pali_answer *answer)
{
    (void)answer;
    abort();
}

void pali_free(void *block)
{
    free(block);
}

uint64_t pali_model_question_bytes(const pali_model *model, size_t images, size_t prompt_tokens, size_t answer_tokens)
{
    (void)model;
    (void)images;
    (void)prompt_tokens;
    (void)answer_tokens;
    return 1000;
}
