/* pali_session_*, pali_ask, pali_step, pali_score: questions. */
#include "api/handles.h"

#include "generate/constrain.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SESSIONS = 4096 };

pali_session *pali_session_new(pali_model *model, const pali_session_options *options, pali_error *err)
{
    pali_session_options o;
    pl_take_options(&o, sizeof o, options);
    pali_session *session = pl_need(model, "pali_session_new", "model", err) == PALI_OK ? pl_new(1, sizeof *session, "session", err) : NULL;
    if (!session)
        return NULL;
    session->model = model;
    pl_timeline_init(&session->timeline, &model->engine, o.max_positions);
    return session;
}

void pali_session_free(pali_session *session)
{
    if (!session)
        return;
    pl_timeline_free(&session->timeline);
    free(session);
}

pali_status pl_take_images(const char *call, pali_image *const *images, size_t count, const pl_image *pixels[PL_MOST_IMAGES], pali_error *err)
{
    pali_status status = pl_need(images, call, "images", err);
    if (status == PALI_OK && (count == 0 || count > PL_MOST_IMAGES))
        status = pl_fail(err, PALI_USAGE, "%s: found %zu pictures, expected 1 to %d", call, count, PL_MOST_IMAGES);
    for (size_t i = 0; status == PALI_OK && i < count; i++) {
        status = pl_need(images[i], call, "a picture", err);
        if (status == PALI_OK)
            pixels[i] = &images[i]->pixels;
    }
    return status;
}

pali_status pali_session_set_images(pali_session *session, pali_image *const *images, size_t count, pali_error *err)
{
    const pl_image *pixels[PL_MOST_IMAGES];
    pali_status status = pl_need(session, "pali_session_set_images", "session", err);
    if (status == PALI_OK)
        status = pl_take_images("pali_session_set_images", images, count, pixels, err);
    return status == PALI_OK ? pl_timeline_set_images(&session->timeline, pixels, count, err) : status;
}

pali_status pali_session_use_images(pali_session *session, const pali_session *from, pali_error *err)
{
    pali_status status = pl_need(session, "pali_session_use_images", "session", err);
    if (status == PALI_OK)
        status = pl_need(from, "pali_session_use_images", "from", err);
    if (status == PALI_OK && session->model != from->model)
        status = pl_fail(err, PALI_USAGE, "pali_session_use_images: found sessions of different models, expected one model");
    if (status == PALI_OK && !from->timeline.features)
        status = pl_fail(err, PALI_USAGE, "pali_session_use_images: found a session without pictures, expected one that has some");
    if (status == PALI_OK)
        pl_timeline_use_images(&session->timeline, &from->timeline);
    return status;
}

static bool wants_confidence(const pali_ask_options *o)
{
    return o->confidence || o->min_confidence > 0 || o->nms > 0 || o->top_objects > 0 || o->calibration;
}

static pali_status check_question(const pali_ask_options *o, pali_error *err)
{
    if (!(o->temperature >= 0) || !isfinite(o->temperature))
        return pl_fail(err, PALI_USAGE, "temperature: found %g, expected 0 or more", (double)o->temperature);
    if (!(o->top_p >= 0 && o->top_p <= 1))
        return pl_fail(err, PALI_USAGE, "top_p: found %g, expected 0 to 1", (double)o->top_p);
    if (!(o->min_confidence >= 0 && o->min_confidence <= 1))
        return pl_fail(err, PALI_USAGE, "min_confidence: found %g, expected 0 to 1", (double)o->min_confidence);
    if (!(o->nms >= 0 && o->nms <= 1))
        return pl_fail(err, PALI_USAGE, "nms: found %g, expected 0 to 1", (double)o->nms);
    if (o->beams > PL_MOST_HYPOTHESES || o->best_of > PL_MOST_HYPOTHESES)
        return pl_fail(err, PALI_USAGE, "%s: found %zu, expected at most %d", o->beams > PL_MOST_HYPOTHESES ? "beams" : "best_of", pl_max(o->beams, o->best_of), PL_MOST_HYPOTHESES);
    if (o->beams > 1 && (o->best_of > 1 || o->temperature > 0))
        return pl_fail(err, PALI_USAGE, "beams: found %zu together with %s, expected one of the two", o->beams, o->best_of > 1 ? "best_of" : "a temperature");
    if (o->best_of > 1 && o->temperature <= 0)
        return pl_fail(err, PALI_USAGE, "best_of: found %zu with temperature 0, where all samples are the same; expected a temperature above 0", o->best_of);
    return PALI_OK;
}

static pl_answer_form form_of(const pali_ask_options *o)
{
    return (pl_answer_form){
        .filter = {.least = (double)o->min_confidence, .nms = (double)o->nms, .most = o->top_objects},
        .filters = o->min_confidence > 0 || o->nms > 0 || o->top_objects > 0,
        .logprobs = o->logprobs,
        .calibration = o->calibration,
    };
}

static pl_question question_of(const pali_ask_options *o)
{
    return (pl_question){
        .max_tokens = o->max_tokens,
        .sampler = {.temperature = o->temperature, .top_p = o->top_p < 1 ? o->top_p : 0, .top_k = o->top_k, .state = o->seed},
        .logprobs = o->logprobs || wants_confidence(o),
        .confidence = wants_confidence(o),
        .special = o->special,
        .start = o->start,
        .on_text = o->on_text,
        .on_text_context = o->on_text_context,
        .search = o->beams > 1 ? PL_SEARCH_BEAMS : o->best_of > 1 ? PL_SEARCH_BEST_OF : PL_SEARCH_NONE,
        .width = pl_max(o->beams, o->best_of),
    };
}

/* The constraint that options and prompt ask for: new, or NULL where there is none. */
static pali_status constrain(const pali_session *session, const char *prompt, const pali_ask_options *o, pl_constraint **constraint, pali_error *err)
{
    const bool off = o->constrain && strcmp(o->constrain, "off") == 0;
    if (o->constrain && !off && strcmp(o->constrain, "auto") != 0)
        return pl_fail(err, PALI_USAGE, "constrain: found \"%s\", expected \"auto\" or \"off\"", o->constrain);
    if ((o->label_count && !o->labels) || (o->choice_count && !o->choices))
        return pl_fail(err, PALI_USAGE, "pali_session_prompt: %s is NULL", o->label_count && !o->labels ? "labels" : "choices");
    const pl_constrain wanted = {
        .off = off,
        .function = o->constraint,
        .function_context = o->constraint_context,
        .labels = o->labels,
        .label_count = o->label_count,
        .choices = o->choices,
        .choice_count = o->choice_count,
        .most_objects = o->max_objects,
        .noise = o->noise_token,
    };
    return pl_constrain_prompt(session->model->weights, prompt, &wanted, constraint, err);
}

pali_status pali_ask_check(const pali_ask_options *options, pali_error *err)
{
    pali_ask_options o;
    pl_take_options(&o, sizeof o, options);
    return check_question(&o, err);
}

pali_status pali_session_prompt(pali_session *session, const char *prompt, const pali_ask_options *options, pali_error *err)
{
    pali_ask_options o;
    pl_take_options(&o, sizeof o, options);
    pali_status status = pl_need(session, "pali_session_prompt", "session", err);
    if (status == PALI_OK) {
        pl_timeline_forget(&session->timeline);
        session->form = form_of(&o); /* the last one's calibration may be gone by now */
        status = pl_need(prompt, "pali_session_prompt", "prompt", err);
    }
    if (status == PALI_OK)
        status = check_question(&o, err);
    pl_question question = question_of(&o);
    if (status == PALI_OK)
        status = constrain(session, prompt, &o, &question.constraint, err);
    if (status == PALI_OK)
        status = pl_timeline_prompt(&session->timeline, prompt, &question, err);
    pl_constraint_release(question.constraint);
    return status;
}

pali_status pali_step(pali_session *const *sessions, size_t n, pali_error *err)
{
    pali_status status = pl_need(sessions, "pali_step", "sessions", err);
    if (status == PALI_OK && (n == 0 || n > MOST_SESSIONS))
        status = pl_fail(err, PALI_USAGE, "pali_step: found %zu sessions, expected 1 to %d", n, MOST_SESSIONS);
    if (status != PALI_OK)
        return status;
    enum { FEW = 64 };
    pl_timeline *few[FEW], **timelines = n <= FEW ? few : pl_new(n, sizeof(pl_timeline *), "batch", err);
    if (!timelines)
        return PALI_MEMORY;
    for (size_t i = 0; status == PALI_OK && i < n; i++) {
        status = pl_need(sessions[i], "pali_step", "a session", err);
        if (status == PALI_OK && sessions[i]->model != sessions[0]->model)
            status = pl_fail(err, PALI_USAGE, "pali_step: found sessions of different models, expected one model");
        for (size_t j = 0; status == PALI_OK && j < i; j++)
            if (sessions[j] == sessions[i])
                status = pl_fail(err, PALI_USAGE, "pali_step: found session %zu twice, expected different ones", i);
        if (status == PALI_OK)
            timelines[i] = &sessions[i]->timeline;
    }
    if (status == PALI_OK)
        status = pl_step(timelines, n, err);
    if (timelines != few)
        free(timelines);
    return status;
}

bool pali_session_done(const pali_session *session)
{
    return session->timeline.phase == PL_PHASE_DONE || session->timeline.phase == PL_PHASE_IDLE;
}

void pali_session_cancel(pali_session *session)
{
    if (session)
        atomic_store(&session->timeline.cancel, true);
}

pali_session *pali_session_fork(pali_session *session, const pali_ask_options *options, pali_error *err)
{
    pali_ask_options o;
    pl_take_options(&o, sizeof o, options);
    if (pl_need(session, "pali_session_fork", "session", err) != PALI_OK || check_question(&o, err) != PALI_OK)
        return NULL;
    const pl_question question = question_of(&o);
    const pali_session_options same = {.max_positions = session->timeline.max_positions};
    pali_session *fork = pali_session_new(session->model, &same, err);
    if (fork && pl_timeline_fork(&session->timeline, &fork->timeline, options ? &question : NULL, err) == PALI_OK) {
        fork->form = session->form;
        return fork;
    }
    pali_session_free(fork);
    return NULL;
}

pali_answer *pali_session_answer(const pali_session *session, pali_error *err)
{
    return pl_need(session, "pali_session_answer", "session", err) == PALI_OK ? pl_answer_of(session, err) : NULL;
}

pali_answer *pali_ask(pali_session *session, pali_image *const *images, size_t count, const char *prompt, const pali_ask_options *options, pali_error *err)
{
    pali_status status = pl_need(session, "pali_ask", "session", err);
    if (status == PALI_OK && count)
        status = pali_session_set_images(session, images, count, err);
    if (status == PALI_OK)
        status = pali_session_prompt(session, prompt, options, err);
    while (status == PALI_OK && !pali_session_done(session))
        status = pali_step(&session, 1, err);
    return status == PALI_OK ? pali_session_answer(session, err) : NULL;
}

