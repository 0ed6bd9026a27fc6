/* Sums run over the vectors in order, on one thread: there are few. */
#include "train/codec_book.h"

#include "base/random.h"

#include <string.h>

#define KEPT 0.99f   /* of the running sums, a step */
#define DEAD 0.02f   /* a code with less than this of the mean weight starts again */
#define LEAST 1e-5f  /* added to weights, so that none is 0 */

static float *code_at(const pl_codec *codec, size_t code)
{
    return (float *)codec->codes.data + code * codec->width;
}

static float total_weight(const pl_codec *codec)
{
    float total = 0;
    for (size_t i = 0; i < PL_SEGMENT_CODES; i++)
        total += codec->weights[i];
    return total;
}

static void restart(pl_codec *codec, size_t code, pl_rows vectors, float weight, uint64_t key)
{
    const float *vector = vectors.data + (size_t)(pl_random_bits(key, code) % vectors.count) * vectors.width;
    memcpy(code_at(codec, code), vector, codec->width * sizeof *vector);
    codec->weights[code] = weight;
    for (size_t i = 0; i < codec->width; i++)
        codec->means[code * codec->width + i] = vector[i] * weight;
}

void pl_codec_book_start(pl_codec *codec, pl_rows vectors, uint64_t key)
{
    for (size_t i = 0; i < PL_SEGMENT_CODES; i++)
        restart(codec, i, vectors, 1, key);
    pl_codec_measure_codes(codec);
}

void pl_codec_book_continue(pl_codec *codec)
{
    if (total_weight(codec) > 0)
        return;
    for (size_t i = 0; i < PL_SEGMENT_CODES; i++)
        codec->weights[i] = 1;
    memcpy(codec->means, codec->codes.data, PL_SEGMENT_CODES * codec->width * sizeof *codec->means);
}

size_t pl_codec_book_follow(pl_codec *codec, pl_rows vectors, const uint8_t *chosen, uint64_t key)
{
    const size_t width = codec->width;
    size_t restarted = 0;
    for (size_t i = 0; i < PL_SEGMENT_CODES; i++)
        codec->weights[i] *= KEPT;
    for (size_t i = 0; i < PL_SEGMENT_CODES * width; i++)
        codec->means[i] *= KEPT;
    for (size_t t = 0; t < vectors.count; t++) {
        const float *vector = vectors.data + t * width;
        codec->weights[chosen[t]] += 1 - KEPT;
        for (size_t i = 0; i < width; i++)
            codec->means[chosen[t] * width + i] += (1 - KEPT) * vector[i];
    }
    const float total = total_weight(codec), mean = total / PL_SEGMENT_CODES;
    for (size_t code = 0; code < PL_SEGMENT_CODES; code++) {
        const float smooth = (codec->weights[code] + LEAST) / (total + PL_SEGMENT_CODES * LEAST) * total;
        for (size_t i = 0; i < width; i++)
            code_at(codec, code)[i] = codec->means[code * width + i] / smooth;
    }
    for (size_t code = 0; code < PL_SEGMENT_CODES; code++)
        if (codec->weights[code] < DEAD * mean) {
            restart(codec, code, vectors, mean > 1 ? mean : 1, key);
            restarted++;
        }
    pl_codec_measure_codes(codec);
    return restarted;
}

/* ---- Between encoder and decoder --------------------------------------- */

typedef struct quantise_record {
    const pl_codec *codec;
    pl_rows vectors, used;
    const uint8_t *chosen, *said;
    float commitment;
} quantise_record;

static void quantise_backward(pl_context *ctx, const void *record)
{
    const quantise_record *r = record;
    const pl_rows dvectors = pl_gradient(ctx, r->vectors), dused = pl_gradient(ctx, r->used);
    const size_t width = r->vectors.width;
    const float pull = 2 * r->commitment / (float)(r->vectors.count * width);
    for (size_t t = 0; t < r->vectors.count && !pl_dry(ctx); t++) {
        const float *vector = r->vectors.data + t * width, *code = code_at(r->codec, r->chosen[t]);
        float *to = dvectors.data + t * width;
        if (r->said[t] == r->chosen[t])
            ctx->kernels->add(width, dused.data + t * width, to);
        for (size_t i = 0; i < width; i++)
            to[i] += pull * (vector[i] - code[i]);
    }
}

void pl_codec_quantise(pl_context *ctx, const pl_codec *codec, pl_rows vectors, const uint8_t *chosen, const uint8_t *said, float commitment, pl_rows used)
{
    for (size_t t = 0; t < vectors.count && !pl_dry(ctx); t++)
        memcpy(used.data + t * used.width, code_at(codec, said[t]), codec->width * sizeof(float));
    const quantise_record record = {.codec = codec, .vectors = vectors, .used = used, .chosen = chosen, .said = said, .commitment = commitment};
    if (pl_recording(ctx))
        pl_record(ctx, quantise_backward, &record, sizeof record);
}

double pl_codec_distance(const pl_codec *codec, pl_rows vectors, const uint8_t *chosen)
{
    double sum = 0;
    for (size_t t = 0; t < vectors.count; t++)
        for (size_t i = 0; i < vectors.width; i++) {
            const double difference = (double)vectors.data[t * vectors.width + i] - (double)code_at(codec, chosen[t])[i];
            sum += difference * difference;
        }
    return sum / (double)(vectors.count * vectors.width);
}
