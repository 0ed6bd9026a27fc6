/*
 * A batch sits down, a session a seat; then all step together until each is
 * done. One more session, the eye, encodes pictures for all: what it shows is
 * shared by the seats, and consecutive rows about the same pictures cost one
 * encoding. A row that fails in company is asked once more alone, so that
 * neither its neighbours nor a batch too large for memory decide its fate.
 */
#include "batch/runner.h"

#include "base/clock.h"
#include "base/machine.h"

#include <stdlib.h>
#include <string.h>

/* Decoded pixels that may wait for the model. */
static const size_t most_waiting = (size_t)256 << 20;

typedef struct seat {
    pali_session *session; /* owned, kept from batch to batch */
    pl_row row;            /* owned */
    pali_status status;    /* of the row; `why` tells more */
    pali_error why;
    bool again;            /* it failed in company */
    pl_picture_size *sizes; /* owned */
    pali_answer *answer;   /* owned */
    double encode;
} seat;

typedef struct runner {
    pali_model *model;
    const pl_rows_job *job;
    pl_ahead *ahead;
    pali_session *eye;
    /* What the eye shows, or why it cannot: the pictures of the last readable row. */
    pali_status shown;
    pali_error why;
    pl_picture_size *sizes; /* [size_count], owned */
    size_t size_count;
    seat *seats;            /* [job->batch], owned */
    pali_session **active;  /* [job->batch], owned: those that step */
    bool memory_short;      /* for a batch of this size */
    bool asked;             /* a question has been accepted */
} runner;

static pali_status blame(seat *s, pali_status status, const pali_error *why)
{
    s->why = *why;
    s->why.status = s->status = status;
    return status;
}

/* The eye looks at the pictures of a row. */
static void show(runner *r, const pl_loaded *loaded)
{
    r->shown = loaded->status;
    r->why = loaded->why;
    free(r->sizes);
    r->sizes = NULL;
    if (r->shown != PALI_OK)
        return;
    r->size_count = loaded->image_count;
    r->sizes = pl_new(r->size_count, sizeof *r->sizes, "images of a row", &r->why);
    for (size_t i = 0; r->sizes && i < r->size_count; i++)
        r->sizes[i] = (pl_picture_size){pali_image_width(loaded->images[i]), pali_image_height(loaded->images[i])};
    r->shown = r->sizes ? pali_session_set_images(r->eye, loaded->images, loaded->image_count, &r->why) : PALI_MEMORY;
}

static pali_status start_question(const runner *r, seat *s)
{
    pali_ask_options ask = r->job->ask;
    ask.seed += s->row.number;
    pali_error why = {0};
    const pali_status status = pali_session_prompt(s->session, s->row.prompt, &ask, &why);
    return status == PALI_OK ? status : blame(s, status, &why);
}

/* The pictures that the eye shows become the seat's, and its row's question is asked. */
static void begin(runner *r, seat *s)
{
    pali_error why = {0};
    if (r->shown != PALI_OK) {
        blame(s, r->shown, &r->why);
        return;
    }
    s->sizes = pl_new(r->size_count, sizeof *s->sizes, "images of a row", &why);
    if (!s->sizes) {
        blame(s, PALI_MEMORY, &why);
        return;
    }
    memcpy(s->sizes, r->sizes, r->size_count * sizeof *s->sizes);
    const pali_status status = pali_session_use_images(s->session, r->eye, &why);
    if (status != PALI_OK)
        blame(s, status, &why);
    else
        s->again = start_question(r, s) == PALI_MEMORY;
    r->memory_short |= s->again;
}

/* Puts the next row on a seat. */
static pali_status sit(runner *r, seat *s, pali_error *err)
{
    pl_loaded loaded;
    if (!s->session && !(s->session = pali_session_new(r->model, NULL, err)))
        return pl_status_of(err, PALI_MEMORY);
    pl_ahead_take(r->ahead, &loaded);
    s->row = loaded.row;
    loaded.row = (pl_row){0};
    s->status = PALI_OK;
    if (loaded.readable && !loaded.same) {
        const double start = pl_now();
        show(r, &loaded);
        s->encode = pl_now() - start;
    }
    if (loaded.readable)
        begin(r, s);
    else
        blame(s, loaded.status, &loaded.why);
    pl_loaded_free(&loaded);
    /* What is wrong with the first question of all as a question (PALI_USAGE) is wrong with the options: better told now than of each row. */
    if (s->status == PALI_USAGE && !r->asked && r->job->first == 0)
        return pl_fail(err, s->status, "row %zu: %s", s->row.number, s->why.message);
    r->asked |= s->status == PALI_OK;
    return PALI_OK;
}

/* Takes the answers of the seats that are done; those that failed are to be asked again. Returns how many go on. */
static size_t collect(runner *r, size_t n, size_t *done)
{
    size_t going = 0;
    *done = 0;
    for (size_t i = 0; i < n; i++) {
        seat *const s = &r->seats[i];
        if (s->status == PALI_OK && !s->answer && !s->again) {
            if (!pali_session_done(s->session)) {
                r->active[going++] = s->session;
                continue;
            }
            s->answer = pali_session_answer(s->session, &s->why);
            s->again = !s->answer || pali_answer_finish(s->answer) == PALI_FINISH_FAILED;
        }
        *done += !s->again;
    }
    return going;
}

/*
 * A step that could not even begin leaves every session as it was, and so
 * would the next one: all are to be asked again, alone.
 */
static void part_if_stuck(runner *r, size_t n, size_t going)
{
    for (size_t i = 0; i < going; i++)
        if (pali_session_done(r->active[i]))
            return;
    for (size_t i = 0; i < n; i++)
        r->seats[i].again |= r->seats[i].status == PALI_OK && !r->seats[i].answer;
}

static bool stopped(const runner *r)
{
    return r->job->stop && r->job->stop(r->job->context);
}

static pali_status fail_stopped(pali_error *err)
{
    return pl_fail(err, PALI_CANCELLED, "interrupted");
}

/* Brings all seats to their end. */
static pali_status step_all(runner *r, size_t at, size_t n, pali_error *err)
{
    size_t told = SIZE_MAX;
    for (;;) {
        size_t done;
        const size_t going = collect(r, n, &done);
        if (r->job->progress && done != told && at + done > r->job->first)
            r->job->progress(r->job->context, at + done);
        told = done;
        if (going == 0)
            return PALI_OK;
        if (stopped(r))
            return fail_stopped(err);
        const pali_status status = pali_step(r->active, going, NULL); /* collect sees who failed */
        r->memory_short |= status == PALI_MEMORY;
        if (status != PALI_OK)
            part_if_stuck(r, n, going);
    }
}

/* Gives back the memory of the sessions that have done their part. */
static void give_back(runner *r, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!r->seats[i].again) {
            pali_session_free(r->seats[i].session);
            r->seats[i].session = NULL;
        }
}

/* Asks once more, with no other question beside it. */
static pali_status ask_again(runner *r, seat *s, size_t n, pali_error *err)
{
    if (r->memory_short)
        give_back(r, n);
    pali_answer_free(s->answer);
    s->answer = NULL;
    s->again = false;
    s->status = PALI_OK;
    pali_error why = {0};
    if (start_question(r, s) != PALI_OK)
        return PALI_OK;
    pali_status status = PALI_OK;
    while (status == PALI_OK && !pali_session_done(s->session)) {
        if (stopped(r))
            return fail_stopped(err);
        status = pali_step(&s->session, 1, &why);
    }
    if (status == PALI_OK && !(s->answer = pali_session_answer(s->session, &why)))
        status = pl_status_of(&why, PALI_MEMORY);
    if (status != PALI_OK)
        blame(s, status, &why);
    return PALI_OK;
}

static pali_status tell(const runner *r, const seat *s, size_t i, pali_error *err)
{
    const bool answered = s->status == PALI_OK;
    const pl_outcome outcome = {
        .row = &s->row,
        .answer = answered ? s->answer : NULL,
        .why = &s->why,
        .session = answered ? s->session : NULL,
        .sizes = s->sizes,
        .encode = s->encode,
    };
    return r->job->finish(r->job->context, i, &outcome, err);
}

static void clear(seat *s)
{
    pl_row_free(&s->row);
    free(s->sizes);
    pali_answer_free(s->answer);
    *s = (seat){.session = s->session};
}

/* Rows at .. at + n - 1. */
static pali_status run_batch(runner *r, size_t at, size_t n, pali_error *err)
{
    r->memory_short = false;
    pali_status status = PALI_OK;
    for (size_t i = 0; status == PALI_OK && i < n; i++)
        status = stopped(r) ? fail_stopped(err) : sit(r, &r->seats[i], err);
    if (status == PALI_OK)
        status = step_all(r, at, n, err);
    for (size_t i = 0; status == PALI_OK && i < n; i++)
        if (r->seats[i].again)
            status = ask_again(r, &r->seats[i], n, err);
    for (size_t i = 0; status == PALI_OK && i < n; i++)
        if (at + i >= r->job->first)
            status = tell(r, &r->seats[i], at + i, err);
    if (status == PALI_OK && r->job->flush)
        status = r->job->flush(r->job->context, err);
    for (size_t i = 0; i < n; i++)
        clear(&r->seats[i]);
    return status;
}

static pali_status run_batches(runner *r, size_t first, pali_error *err)
{
    const pl_rows_job *const job = r->job;
    const pl_ahead_options options = {.read = job->read, .context = job->context, .first = first, .count = job->count,
                                      .threads = job->decoders, .rows = 2 * job->batch, .bytes = most_waiting};
    r->ahead = pl_ahead_new(&options, err);
    r->eye = r->ahead ? pali_session_new(r->model, NULL, err) : NULL;
    pali_status status = r->eye ? PALI_OK : pl_status_of(err, PALI_MEMORY);
    for (size_t at = first, n; status == PALI_OK && at < job->count; at += n) {
        n = pl_min(job->batch, job->count - at);
        status = run_batch(r, at, n, err);
    }
    return status;
}

pali_status pl_rows_run(pali_model *model, const pl_rows_job *job, pali_error *err)
{
    runner r = {.model = model, .job = job};
    r.seats = pl_new(job->batch, sizeof *r.seats, "batch", err);
    r.active = pl_new(job->batch, sizeof(pali_session *), "batch", err);
    /* A batch of which some rows are done is run whole all the same: every run forms the same ones. */
    const pali_status status = r.seats && r.active ? run_batches(&r, job->first / job->batch * job->batch, err) : PALI_MEMORY;
    for (size_t i = 0; r.seats && i < job->batch; i++)
        pali_session_free(r.seats[i].session);
    pali_session_free(r.eye);
    pl_ahead_free(r.ahead);
    free(r.seats);
    free(r.active);
    free(r.sizes);
    return status;
}

size_t pl_rows_batch(const pali_model *model, size_t images, const pali_ask_options *ask)
{
    enum { MOST = 8, PROMPT_TOKENS = 64, ANSWER_TOKENS = 256 };
    pl_memory_limit limit;
    pl_memory_limit_read("", &limit);
    const size_t answers = pl_max(1, pl_max(ask->beams, ask->best_of));
    const uint64_t bytes = pali_model_question_bytes(model, pl_max(1, images), PROMPT_TOKENS, answers * (ask->max_tokens ? ask->max_tokens : ANSWER_TOKENS));
    const uint64_t fit = limit.left / 2 / (bytes ? bytes : 1);
    return fit < 1 ? 1 : fit < MOST ? (size_t)fit : MOST;
}

size_t pl_rows_decoders(const pali_model *model)
{
    enum { MOST = 8 };
    pali_model_info info = {0};
    pali_model_describe(model, &info, NULL);
    return pl_max(1, pl_min(info.threads / 4, MOST));
}
