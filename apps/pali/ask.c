/* One question: its answer on standard output, how it went on standard error. */
#include "drawing.h"
#include "interrupt.h"
#include "say.h"
#include "use.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Passes a piece of the answer on as it comes; stops when nobody reads it, or at Ctrl-C. */
static bool print_piece(void *context, const char *text, size_t length)
{
    const settings *const given = context;
    if (given->json)
        return !interrupted();
    return fwrite(text, 1, length, stdout) == length && fflush(stdout) == 0 && !interrupted();
}

static double tokens_per_second(const pali_timings *t)
{
    return t->decode > 0 ? (double)t->decoded_tokens / t->decode : 0;
}

static json_t *timings_json(const pali_timings *t, double load)
{
    json_t *const object = json_object();
    json_object_set_new(object, "load", json_number(load));
    json_object_set_new(object, "preprocess", json_number(t->preprocess));
    json_object_set_new(object, "encode", json_number(t->encode));
    json_object_set_new(object, "prefill", json_number(t->prefill));
    json_object_set_new(object, "decode", json_number(t->decode));
    json_object_set_new(object, "tokens_per_second", json_number(tokens_per_second(t)));
    return object;
}

static json_t *answer_json(const settings *given, const pali_model *model, const pictures *shown, const char *prompt, const pali_answer *answer)
{
    pali_model_info info = {0};
    pali_model_describe(model, &info, NULL);
    const pali_timings t = pali_answer_timings(answer);
    char *const text = pali_answer_json(answer, NULL);
    json_t *object = text ? json_loads(text, 0, NULL) : NULL;
    pali_free(text);
    if (!object)
        return NULL;
    json_object_set_new(object, "model", json_text(model_name(given)));
    json_object_set_new(object, "prompt", json_text(prompt));
    json_object_set_new(object, "images", images_json(shown));
    json_object_set_new(object, "prompt_tokens", json_integer((json_int_t)t.prompt_tokens));
    json_object_set_new(object, "timings", timings_json(&t, info.load_seconds));
    json_object_set_new(object, "peak_memory_bytes", json_integer((json_int_t)peak_memory()));
    return object;
}

/* A line a token on standard error: id, log-probability, text as JSON quotes it. */
static void print_logprobs(const pali_model *model, const pali_answer *answer)
{
    const int32_t *const tokens = pali_answer_tokens(answer);
    const float *const logprobs = pali_answer_logprobs(answer);
    for (size_t i = 0; logprobs && i < pali_answer_token_count(answer); i++) {
        char *const piece = pali_detokenize(model, &tokens[i], 1, NULL);
        json_t *const string = json_text(piece ? piece : "");
        char *const quoted = json_dumps(string, JSON_ENCODE_ANY);
        fprintf(stderr, "%8d %10.4f  %s\n", (int)tokens[i], (double)logprobs[i], quoted ? quoted : "");
        free(quoted);
        json_decref(string);
        pali_free(piece);
    }
}

/* A line an object: label, box in pixels, and what else is known. */
static void print_object(const pali_object *o)
{
    char confidence[16] = "";
    if (!isnan(o->confidence))
        snprintf(confidence, sizeof confidence, "  %3.0f %%", 100 * o->confidence);
    fprintf(stderr, "  %-20s%s  x %4.0f to %4.0f  y %4.0f to %4.0f%s%s%s\n", *o->label ? o->label : "(no label)", confidence, o->pixels.x1, o->pixels.x2, o->pixels.y1,
            o->pixels.y2, o->has_codes ? "  mask" : "", o->problem ? "  malformed: " : "", o->problem ? o->problem : "");
}

/* Was a rating asked for by an option? Then it is told wherever the answer goes. */
static bool rates(const settings *given)
{
    return given->confidence || given->calibration || given->min_confidence > 0 || given->nms > 0 || given->top_objects;
}

/* The objects, or what makes up for there being none. */
static void print_objects(const settings *given, const pali_answer *answer)
{
    const size_t count = pali_answer_object_count(answer);
    for (size_t i = 0; i < count; i++)
        print_object(pali_answer_object(answer, i));
    if (count == 0 && *pali_answer_text(answer) == '\0')
        note(given, "the answer is empty");
    else if (count == 0 && rates(given))
        fprintf(stderr, "  no objects; the answer  %3.0f %%\n", 100 * pali_answer_confidence(answer));
}

/* What a person at a terminal may want to know afterwards, and what was asked for. */
static void print_notes(const settings *given, const pali_answer *answer)
{
    const pali_timings t = pali_answer_timings(answer);
    const bool watched = isatty(STDERR_FILENO);
    const size_t tokens = pali_answer_token_count(answer);
    if (pali_answer_finish(answer) == PALI_FINISH_LENGTH)
        note(given, "the answer was cut off after %zu tokens (--max-tokens)", tokens);
    if (!given->quiet && !given->json && (watched || rates(given)))
        print_objects(given, answer);
    if (!watched)
        return;
    char rate[48] = "";
    if (t.decoded_tokens && t.decode > 0)
        snprintf(rate, sizeof rate, " at %.1f a second", tokens_per_second(&t));
    note(given, "images %.2f s, prompt of %zu tokens %.2f s, answer of %zu token%s%s", t.preprocess + t.encode, t.prompt_tokens, t.prefill, tokens, tokens == 1 ? "" : "s", rate);
}

pali_ask_options ask_options(const settings *given)
{
    return (pali_ask_options){
        .size = sizeof(pali_ask_options),
        .max_tokens = (size_t)given->max_tokens,
        .temperature = (float)given->temp,
        .top_p = (float)given->top_p,
        .top_k = (size_t)given->top_k,
        .seed = given->seed,
        .beams = (size_t)given->beam,
        .best_of = (size_t)given->best_of,
        .logprobs = given->logprobs,
        .special = given->special,
        .start = given->start,
        .constrain = given->constrain,
        .labels = given->labels.items,
        .label_count = given->labels.count,
        .choices = given->choices.items,
        .choice_count = given->choices.count,
        .max_objects = (size_t)given->max_objects,
        .noise_token = given->noise_token,
        .confidence = given->confidence,
        .min_confidence = (float)given->min_confidence,
        .nms = (float)given->nms,
        .top_objects = (size_t)given->top_objects,
        .calibration = given->curves,
    };
}

int ask_check(const settings *given)
{
    pali_ask_options options = ask_options(given);
    options.confidence = options.confidence || given->calibration; /* which is not open yet */
    pali_error err = {0};
    return pali_ask_check(&options, &err) == PALI_OK ? 0 : fail_error(&err);
}

int ask(const settings *given, pali_model *model, pali_session *session, const pictures *shown, bool encode, const char *prompt, const struct drawing *where)
{
    pali_ask_options options = ask_options(given);
    options.on_text = print_piece;
    options.on_text_context = (void *)given;
    pali_error err = {0};
    interrupt_watch(session);
    pali_answer *const answer = pali_ask(session, encode ? shown->images : NULL, encode ? shown->count : 0, prompt, &options, &err);
    const bool stopped = interrupted();
    interrupt_watch(NULL);
    int code = stopped ? PALI_CANCELLED : 0;
    if (!answer && !stopped)
        return fail_error(&err);
    if (answer && given->json)
        code = print_json(answer_json(given, model, shown, prompt, answer)) ? PALI_FAILED : code;
    else if (!given->json)
        putchar('\n');
    code = finish_output(code);
    if (answer && !code)
        code = drawing_write(given, where, shown, answer);
    if (answer && given->logprobs && !given->json)
        print_logprobs(model, answer);
    if (answer)
        print_notes(given, answer);
    pali_answer_free(answer);
    return code;
}
