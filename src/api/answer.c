/* pali_answer_*: what a timeline has made, as an object of its own. */
#include "api/handles.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A copy of `count` elements; never NULL but when memory is short. */
static void *copy_of(const void *from, size_t count, size_t size, pali_error *err)
{
    void *const copy = pl_new(count, size, "answer", err);
    if (copy && count)
        memcpy(copy, from, count * size);
    return copy;
}

/* Confidences, as probabilities where there is a calibration, then what they leave. */
static pali_status rate_objects(pali_answer *answer, const pali_session *session, pali_error *err)
{
    const pl_timeline *const t = &session->timeline;
    const pl_confidence_source source = {
        .tokenizer = t->engine->model->tokenizer,
        .tokens = t->tokens.data,
        .logprobs = t->logprobs,
        .near = t->evidence.near,
        .count = t->tokens.count,
        .by_class = t->question.constraint && t->question.constraint->noise,
    };
    if (!t->question.confidence)
        return PALI_OK;
    const pali_status status = pl_confidence_rate(&source, &answer->objects, err);
    for (size_t i = 0; status == PALI_OK && session->form.calibration && i < answer->objects.count; i++) {
        pali_object *const o = &answer->objects.items[i];
        if (!o->problem)
            o->confidence = pl_calibration_apply(session->form.calibration, o->has_codes ? PALI_CALIBRATED_MASK : PALI_CALIBRATED_BOX, o->label, o->confidence);
    }
    return status == PALI_OK && session->form.filters ? pl_objects_filter(&answer->objects, &session->form.filter, err) : status;
}

static pali_status add_objects(pali_answer *answer, const pali_session *session, pali_error *err)
{
    const pl_timeline *const t = &session->timeline;
    if (t->tokens.count == 0) /* and after pali_score what stands behind the prompt is no answer */
        return PALI_OK;
    const int32_t eos = pl_tokenizer_special(t->engine->model->tokenizer)->eos;
    const size_t given = t->prefix - t->features->rows.count; /* of the prompt, before the answer's start */
    const pl_object_source source = {
        .tokenizer = t->engine->model->tokenizer,
        .start = t->prompt.data + given,
        .start_count = t->prompt.count - given,
        .tokens = t->tokens.data,
        .token_count = t->tokens.count,
        /* A search that the limit ended may still answer with what has come to its end. */
        .cut_off = t->tokens.data[t->tokens.count - 1] != eos && !(t->ending == PL_ENDING_LENGTH && t->question.constraint && t->question.constraint->whole),
        .width = t->features->width,
        .height = t->features->height,
    };
    const pali_status status = pl_objects_parse(&source, &answer->objects, err);
    answer->says_objects = answer->objects.count > 0;
    return status == PALI_OK ? rate_objects(answer, session, err) : status;
}

/* The masks of objects that have codes, as large as the picture. */
static pali_status add_masks(pali_answer *answer, const pali_codec *codec, const pl_features *features, pali_error *err)
{
    for (size_t i = 0; i < answer->objects.count; i++) {
        pali_object *const o = &answer->objects.items[i];
        if (!o->has_codes || o->problem)
            continue;
        pali_mask_tokens tokens;
        memcpy(tokens.bins, o->bins, sizeof tokens.bins);
        memcpy(tokens.codes, o->codes, sizeof tokens.codes);
        o->mask = pali_codec_decode(codec, &tokens, features->width, features->height, PALI_PASTE_EVALUATOR, err);
        if (!o->mask)
            return pl_status_of(err, PALI_MEMORY);
    }
    return PALI_OK;
}

pali_answer *pl_answer_of(const pali_session *session, pali_error *err)
{
    const pl_timeline *const t = &session->timeline;
    static const pali_finish endings[] = {
        [PL_ENDING_NONE] = PALI_FINISH_NONE, [PL_ENDING_EOS] = PALI_FINISH_EOS, [PL_ENDING_LENGTH] = PALI_FINISH_LENGTH, [PL_ENDING_CANCELLED] = PALI_FINISH_CANCELLED, [PL_ENDING_FAILED] = PALI_FINISH_FAILED};
    pali_answer *answer = pl_new(1, sizeof *answer, "answer", err);
    if (!answer)
        return NULL;
    const size_t count = answer->count = t->tokens.count;
    answer->text = pl_strndup(t->text.length ? t->text.data : "", t->text.length, err);
    answer->tokens = copy_of(t->tokens.data, count, sizeof *answer->tokens, err);
    if (t->question.logprobs)
        answer->logprobs = copy_of(t->logprobs, count, sizeof *answer->logprobs, err);
    answer->rated = t->question.confidence;
    answer->tells_logprobs = session->form.logprobs;
    answer->finish = endings[t->ending];
    answer->timings = (pali_timings){.preprocess = t->clock.preprocess, .encode = t->clock.encode, .prefill = t->clock.prefill, .decode = t->clock.decode,
                                     .prompt_tokens = t->clock.prompt_tokens, .decoded_tokens = t->clock.decoded_tokens};
    pali_status status = answer->text && answer->tokens && (answer->logprobs || !t->question.logprobs) ? add_objects(answer, session, err) : PALI_MEMORY;
    if (status == PALI_OK && session->model->codec)
        status = add_masks(answer, session->model->codec, t->features, err);
    answer->probability = (double)NAN;
    if (status == PALI_OK && answer->logprobs && count && !answer->says_objects && pl_calibration_has(session->form.calibration, PALI_CALIBRATED_TEXT))
        answer->probability = pl_calibration_apply(session->form.calibration, PALI_CALIBRATED_TEXT, NULL, exp(pali_answer_log_likelihood(answer)));
    if (status == PALI_OK)
        return answer;
    pali_answer_free(answer);
    return NULL;
}

const char *pali_finish_text(pali_finish finish)
{
    static const char *const texts[] = {"none", "eos", "length", "cancelled", "failed"};
    return texts[finish];
}

const char *pali_answer_text(const pali_answer *answer)
{
    return answer->text;
}

size_t pali_answer_token_count(const pali_answer *answer)
{
    return answer->count;
}

const int32_t *pali_answer_tokens(const pali_answer *answer)
{
    return answer->tokens;
}

const float *pali_answer_logprobs(const pali_answer *answer)
{
    return answer->logprobs;
}

double pali_answer_log_likelihood(const pali_answer *answer)
{
    double sum = answer->logprobs ? 0 : (double)NAN;
    for (size_t i = 0; answer->logprobs && i < answer->count; i++)
        sum += (double)answer->logprobs[i];
    return sum;
}

double pali_answer_confidence(const pali_answer *answer)
{
    if (!isnan(answer->probability))
        return answer->probability;
    return answer->count ? exp(pali_answer_log_likelihood(answer) / (double)answer->count) : (double)NAN;
}

pali_finish pali_answer_finish(const pali_answer *answer)
{
    return answer->finish;
}

pali_timings pali_answer_timings(const pali_answer *answer)
{
    return answer->timings;
}

size_t pali_answer_object_count(const pali_answer *answer)
{
    return answer->objects.count;
}

const pali_object *pali_answer_object(const pali_answer *answer, size_t i)
{
    return i < answer->objects.count ? &answer->objects.items[i] : NULL;
}

size_t pali_answer_dropped_count(const pali_answer *answer)
{
    return answer->objects.dropped;
}

void pali_answer_free(pali_answer *answer)
{
    if (!answer)
        return;
    for (size_t i = 0; i < answer->objects.count; i++)
        pali_mask_free((pali_mask *)answer->objects.items[i].mask);
    pl_objects_free(&answer->objects);
    free(answer->text);
    free(answer->tokens);
    free(answer->logprobs);
    free(answer);
}
