/* The plan arenas tell what a question takes; the limits of machine and cgroups what there is. */
#include "generate/fit.h"

#include "base/text.h"

#include <stdio.h>

enum { PROMPT_TOKENS = 64 };

/*
 * Bytes that a tokenizer takes for each piece at least: a tokenizer.model of
 * 257,152 pieces measured 10.2 MB; a tokenizer.json takes more.
 */
enum { PIECE_BYTES = 40 };

pl_fit pl_fit_plan(const pl_engine *engine, const char *remedy)
{
    const pl_paligemma *model = engine->model;
    pl_engine alone = *engine;
    alone.pool = NULL;
    const uint64_t tokenizer = (uint64_t)model->config.text.vocabulary * PIECE_BYTES;
    return (pl_fit){
        .mapped = model->mapped_bytes,
        .weights = model->copied_peak,
        .question = tokenizer + pl_question_bytes(engine, 1, PROMPT_TOKENS, PL_DEFAULT_MAX_TOKENS),
        .alone = tokenizer + pl_question_bytes(&alone, 1, PROMPT_TOKENS, PL_DEFAULT_MAX_TOKENS),
        .remedy = remedy,
    };
}

/* What to change, and what it would need then. */
static const char *advise(const pl_fit *fit, uint64_t room, char buf[128])
{
    char size[32];
    if (fit->weights > 0 && fit->remedy && fit->alone <= room)
        snprintf(buf, 128, "%s would need %s%s", fit->remedy, pl_bytes_text(fit->question <= room ? fit->question : fit->alone, size), fit->question <= room ? "" : " on one thread");
    else if (fit->weights + fit->alone <= room)
        snprintf(buf, 128, "one thread would need %s", pl_bytes_text(fit->weights + fit->alone, size));
    else
        snprintf(buf, 128, "a model of fewer pixels or layers would need less");
    return buf;
}

pali_status pl_fit_check(const pl_fit *fit, const pl_memory_limit *limit, char warning[400], pali_error *err)
{
    const uint64_t need = fit->weights + fit->question;
    char texts[4][32], advice[128];
    warning[0] = '\0';
    uint64_t room;
    if (__builtin_add_overflow(limit->left, limit->swap, &room))
        room = UINT64_MAX;
    if (need > room)
        return pl_fail(err, PALI_MEMORY, "memory: found %s left (%s), expected %s: %s for converted weights, %s for tokenizer and one question; %s", pl_bytes_text(room, texts[0]),
                       limit->where, pl_bytes_text(need, texts[1]), pl_bytes_text(fit->weights, texts[2]), pl_bytes_text(fit->question, texts[3]), advise(fit, room, advice));
    const uint64_t beside = limit->left > need ? limit->left - need : 0;
    if (fit->mapped > beside)
        snprintf(warning, 400, "memory: found %s left for weights (%s), expected %s: they do not stay in memory, and every token will read them from disk again", pl_bytes_text(beside, texts[0]),
                 limit->where, pl_bytes_text(fit->mapped, texts[1]));
    return PALI_OK;
}
