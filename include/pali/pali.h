/*
 * pali/pali.h: run PaliGemma from C.
 *
 *     pali_error err = {0};
 *     pali_model *model = pali_model_open("google/paligemma2-3b-mix-448", NULL, &err);
 *     pali_session *session = pali_session_new(model, NULL, &err);
 *     pali_image *image = pali_image_open("cats.jpg", &err);
 *     pali_answer *answer = pali_ask(session, &image, 1, "caption en", NULL, &err);
 *     puts(pali_answer_text(answer));
 *
 * A model is immutable and shared by threads; it holds the weights, the
 * tokenizer and the thread pool. A session is one timeline: one picture (or
 * several), one prompt, one growing answer, with its own KV cache; one thread
 * at a time uses it. Everything that returns a pointer says who frees it.
 *
 * Structs of options start with `size`; leave it 0, or set it to sizeof the
 * struct, and leave what you do not care about zero: zero means the default.
 */
#ifndef PALI_PALI_H
#define PALI_PALI_H

#include <pali/status.h>

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define PALI_VERSION "0.1.0"

/* The version of the library that runs, "0.1.0"; static storage. */
const char *pali_version(void);

/* ---- Pictures -------------------------------------------------------- */

/* A decoded picture: 8-bit RGB, upright (EXIF orientation applied). */
typedef struct pali_image pali_image;

/* Reads a JPEG, PNG, WebP or GIF (first frame) file; "-" is standard input. Free with pali_image_free. */
pali_image *pali_image_open(const char *path, pali_error *err);

/* The same from `size` bytes in memory, which are not kept; `name` (or NULL) stands in messages. */
pali_image *pali_image_decode(const void *bytes, size_t size, const char *name, pali_error *err);

/* A copy of `rgb`, [height, width, 3] bytes. */
pali_image *pali_image_from_rgb(const uint8_t *rgb, size_t width, size_t height, pali_error *err);

/*
 * The frames of an animated GIF or WebP as `most` pictures (repeated in a
 * circle when there are fewer, as the model's video tasks do): images receives
 * exactly `most` new pictures, each freed by the caller; none on failure.
 */
pali_status pali_image_open_frames(const char *path, size_t most, pali_image **images, pali_error *err);

/*
 * The same from `count` files: one animated GIF or WebP, or pictures that are
 * the frames in order. One frame in `stride` (0: each) is taken, from the first
 * on; these repeat in a circle when there are fewer than `frames`.
 */
pali_status pali_image_open_clip(const char *const *paths, size_t count, size_t frames, size_t stride, pali_image **images, pali_error *err);

size_t pali_image_width(const pali_image *image);
size_t pali_image_height(const pali_image *image);
const uint8_t *pali_image_rgb(const pali_image *image); /* [height, width, 3], owned by the image */
void pali_image_free(pali_image *image);

typedef struct pali_encode_options {
    size_t size;
    size_t quality; /* 1..100, of JPEG and of lossy WebP; 0: 92 */
    bool lossless;  /* WebP: exact, as PNG always is */
} pali_encode_options;

/*
 * Writes a picture in the format that the name ends in, .jpg, .jpeg, .png or
 * .webp in any case: the file is there whole or not at all. PALI_USAGE: another
 * name, or a size the format cannot hold. Options may be NULL.
 */
pali_status pali_image_save(const pali_image *image, const char *path, const pali_encode_options *options, pali_error *err);

/* The format that the name of a file asks for, "jpeg", "png" or "webp"; NULL, with PALI_USAGE, when it is none of them. Static storage. */
const char *pali_image_format(const char *path, pali_error *err);

/* The same into memory: `format` is "jpeg", "png" or "webp"; *bytes is new, freed with pali_free. */
pali_status pali_image_encode(const pali_image *image, const char *format, const pali_encode_options *options, uint8_t **bytes, size_t *size, pali_error *err);

/* How terminals take pictures: kitty's graphics protocol, iTerm2's inline files, DEC's sixels. */
typedef enum pali_preview {
    PALI_PREVIEW_KITTY,
    PALI_PREVIEW_ITERM2,
    PALI_PREVIEW_SIXEL,
} pali_preview;

/*
 * What to write to a terminal of that kind so that it shows the picture, made
 * smaller where it is larger than most_width x most_height pixels (0: no
 * limit). *text is new, *length bytes, freed with pali_free.
 */
pali_status pali_image_preview(const pali_image *image, pali_preview kind, size_t most_width, size_t most_height, char **text, size_t *length, pali_error *err);

/* ---- Model ----------------------------------------------------------- */

typedef struct pali_model pali_model;

/* Told how many of `total` bytes have been made ready; called from the opening thread. */
typedef void pali_progress_fn(void *context, uint64_t done, uint64_t total);

/* Told one line about what makes the work slow (threads, memory), before it begins; the line lives for the call. */
typedef void pali_note_fn(void *context, const char *line);

typedef struct pali_model_options {
    size_t size;
    size_t threads;              /* 0: one for each (fast) core of the processors this process may use; at most 4096 */
    const char *cpu;             /* kernel level: "ref", "avx2", "avx512"; NULL: the best here, or PALI_CPU */
    const char *tokenizer;       /* tokenizer.json, tokenizer.model or a folder; NULL: beside the weights */
    const char *vision;          /* GGUF file with the vision tower ("mmproj"); NULL: beside a text-only GGUF */
    const char *preprocess;      /* "hf[:pillow13]", "big_vision[:antialias|plain|notebook|video]"; NULL: what the checkpoint wants */
    const char *type;            /* convert weight matrices at load: "f32", "bf16", "f16", "q8_0", "q4_0", or "q8" (a scale a row); NULL: as they are */
    const char *const *lora;     /* PEFT adapter folders, each "FOLDER" or "FOLDER:scale" */
    size_t lora_count;
    bool no_final_softcap;       /* PaliGemma 2: leave the cap of 30 on output logits off, as its fine-tuning did */
    pali_progress_fn *progress;  /* NULL: none */
    void *progress_context;
    const char *activations;     /* "f32": products take floats, as published, slower; "int8": fastest for 8- and 4-bit weights, less
                                    exact; "auto" or NULL: bf16 or 16-bit codes where the processor gains by them */
    const char *kv_cache;        /* type of keys and values kept: "f32" (NULL), "bf16", "q8_0" */
    bool pin;                    /* hold each thread that the model starts on a core of its own */
    pali_note_fn *note;          /* NULL: none */
    void *note_context;
    const char *codec;           /* the mask codec: vae-oid.npz, or a model that has one; NULL: the model's own, beside the weights or in the GGUF */
} pali_model_options;

/*
 * Opens a model by folder (Hugging Face layout), file (.npz, .gguf), hub name
 * found in the local Hugging Face cache ("google/paligemma2-3b-mix-448"), or
 * "nano", the model that comes with pali. A PEFT adapter's folder opens the
 * model that it names as its base, adapted. Weights are mapped, not read. When
 * what cannot be mapped is more than the memory left to this process (of the
 * machine and its cgroups), PALI_MEMORY comes before any work. Options may be
 * NULL. Free with pali_model_free after its sessions.
 */
pali_model *pali_model_open(const char *name, const pali_model_options *options, pali_error *err);
void pali_model_free(pali_model *model);

/*
 * The kernel level ("avx2") that a model opened with this `cpu` option would
 * use; NULL, with PALI_USAGE, when it or PALI_CPU names none. Static storage.
 */
const char *pali_cpu_level(const char *cpu, pali_error *err);

/* What a model is; strings live as long as the model. */
typedef struct pali_model_info {
    const char *path;          /* where it was found */
    const char *format;        /* "safetensors", "npz", "gguf" */
    const char *family;        /* "paligemma" or "paligemma2" */
    const char *preprocess;    /* the variant in use, e.g. "hf" */
    const char *cpu;           /* the kernel level in use */
    size_t threads;
    size_t image_size;         /* pixels a side */
    size_t image_tokens;       /* tokens a picture */
    size_t vision_layers, vision_width;
    size_t text_layers, text_width;
    size_t vocabulary;         /* rows of the embedding */
    uint64_t parameters;
    uint64_t weight_bytes;     /* in files */
    uint64_t copied_bytes;     /* of which copied or converted into memory */
    double load_seconds;
    const char *codec;         /* the file of its mask codec; NULL: it has none */
} pali_model_info;

pali_status pali_model_describe(const pali_model *model, pali_model_info *info, pali_error *err);

/*
 * Memory, in bytes, that a session takes for a question about `images` pictures
 * with a prompt and an answer of so many tokens. 0 for a NULL model.
 */
uint64_t pali_model_question_bytes(const pali_model *model, size_t images, size_t prompt_tokens, size_t answer_tokens);

/*
 * Text to token ids as the model's tokenizer does it; *ids is new, freed with
 * pali_free. Control tokens in the text stay ordinary text.
 */
pali_status pali_tokenize(const pali_model *model, const char *text, int32_t **ids, size_t *count, pali_error *err);

/* Token ids to text; new, freed with pali_free. */
char *pali_detokenize(const pali_model *model, const int32_t *ids, size_t count, pali_error *err);

/* Frees what the calls say that it frees: texts, token ids, encoded pictures. */
void pali_free(void *block);

/* ---- Calibration ----------------------------------------------------- */

/*
 * What scores of a model have been worth on examples whose answer was known:
 * a file written by pali_eval (pali/eval.h), `pali eval --fit-calibration`.
 */
typedef struct pali_calibration pali_calibration;

typedef enum pali_calibrated {
    PALI_CALIBRATED_BOX,  /* right: its label, and IoU 0.5 or more with a box that is there */
    PALI_CALIBRATED_MASK, /* the same of masks */
    PALI_CALIBRATED_TEXT, /* right: the whole text; its score is its probability, all tokens' multiplied */
    PALI_CALIBRATED_KINDS
} pali_calibrated;

/*
 * Opens a calibration for a model, which may be freed before it. PALI_MODEL
 * names file and field when it cannot be read, or says that it was fitted on a
 * model of another family or size; other weights of the same size are not told
 * apart. It never changes and is shared by threads; free with
 * pali_calibration_free.
 */
pali_calibration *pali_calibration_open(const char *path, const pali_model *model, pali_error *err);

/*
 * The probability that something of that score is right; label may be NULL.
 * Where nothing was fitted for the kind, or there is no calibration, the score
 * comes back (of a mask: the probability as a box).
 */
double pali_calibration_apply(const pali_calibration *calibration, pali_calibrated kind, const char *label, double score);
void pali_calibration_free(pali_calibration *calibration);

/* ---- Session --------------------------------------------------------- */

typedef struct pali_session pali_session;

typedef struct pali_session_options {
    size_t size;
    size_t max_positions; /* longest sequence, image tokens included; 0: grows as needed */
} pali_session_options;

/* Free with pali_session_free, before the model. Options may be NULL. */
pali_session *pali_session_new(pali_model *model, const pali_session_options *options, pali_error *err);
void pali_session_free(pali_session *session);

/*
 * The caller's own constraint: which tokens may come next. `tokens` [count] are
 * those of the answer so far (a given start is not among them); allowed
 * [vocabulary], zeros before the call, receives 1 for each id that may follow,
 * the end-of-text id where the answer may end. Greedy choice, sampling and
 * beams then choose among these; log-probabilities stay those of the model
 * alone. Called once before each token from the thread that runs the step,
 * for every fork of the session with its own tokens, so what it knows it must
 * know from them; it costs a pass over the vocabulary. Without any allowed id
 * the answer fails with PALI_FAILED; so it does when false is returned.
 */
typedef bool pali_constraint_fn(void *context, const int32_t *tokens, size_t count, unsigned char *allowed, size_t vocabulary);

/* Receives a piece of the answer as whole UTF-8 characters; return false to stop the answer there. */
typedef bool pali_text_fn(void *context, const char *text, size_t length);

typedef struct pali_ask_options {
    size_t size;
    size_t max_tokens;     /* 0: 256 */
    float temperature;     /* 0: greedy */
    float top_p;           /* nucleus sampling in (0, 1); 0: off */
    size_t top_k;          /* 0: off */
    uint64_t seed;         /* of sampling; the same seed gives the same answer */
    bool logprobs;         /* keep the log-probability of each token */
    bool special;          /* control tokens written in the prompt are taken as such */
    const char *start;     /* text the answer is made to begin with, or NULL; in its text, not among its tokens */
    pali_text_fn *on_text; /* streaming; NULL: none */
    void *on_text_context;
    /*
     * Beam search of that width, at most 256 (0 or 1: off), as big_vision
     * decodes: the answer with its end is the likeliest found, its length not
     * made up for. It needs temperature 0. on_text hears the answer as a whole
     * at its end. An answer that max_tokens ended is the best that fits, its
     * end-of-text token included, with PALI_FINISH_LENGTH.
     */
    size_t beams;
    /*
     * Draws so many answers, at most 256 (0 or 1: off), with seeds seed, seed +
     * 1, ..., and gives the one with the highest sum of log-probabilities. It
     * needs a temperature above 0; on_text as with beams.
     */
    size_t best_of;
    /*
     * "auto" or NULL: the answer to a prompt that begins with "detect " or "segment " is a list of well-formed objects (boxes
     * with area, whole masks, labels of the prompt, none twice with the same box and label, none begun that max_tokens would
     * cut off), else what it would have been; after "detect all classes" labels are free. "off": as the model has it.
     */
    const char *constrain;
    const char *const *labels;  /* [label_count] in place of the prompt's; NULL: none. None may hold ";" */
    size_t label_count;
    const char *const *choices; /* [choice_count]: the answer is exactly one of these texts; NULL: free */
    size_t choice_count;
    pali_constraint_fn *constraint; /* the caller's own, in place of all these; NULL: none */
    void *constraint_context;
    size_t max_objects;         /* of detect and segment; 0: as many as fit. With a noise class exactly so many (0: 100) */
    bool confidence;            /* rate objects and answer; keeps log-probabilities, needs all logits */
    /* These ask for confidence, and drop objects, in this order; text and tokens stay. Those that are left keep their order. */
    float min_confidence;       /* objects below it, in [0, 1]; 0: none */
    float nms;                  /* by falling confidence, objects with more than this IoU, in (0, 1), with one of the same label; 0: none */
    size_t top_objects;         /* all but so many of the highest confidence; 0: none */
    const char *noise_token;    /* the piece of the noise class of models taught with one; NULL: "<noise>" where the vocabulary has it */
    /*
     * Asks for confidence, and makes it a probability, before objects are dropped by it: of objects with a mask and without,
     * and of answers without objects. Borrowed until the question's answer has been taken; NULL: raw scores.
     */
    const pali_calibration *calibration;
} pali_ask_options;

typedef enum pali_finish {
    PALI_FINISH_NONE,      /* not finished yet */
    PALI_FINISH_EOS,       /* the model ended its answer */
    PALI_FINISH_LENGTH,    /* max_tokens were made, or left no room for the object that the model would rather have begun */
    PALI_FINISH_CANCELLED, /* on_text or pali_session_cancel stopped it */
    PALI_FINISH_FAILED,    /* a step of it failed */
} pali_finish;

/* "eos", "length", "cancelled", "failed" or "none"; static storage. */
const char *pali_finish_text(pali_finish finish);

typedef struct pali_timings { /* seconds */
    double preprocess;        /* resizing pictures; 0 when they were there already */
    double encode;            /* SigLIP and projector; likewise */
    double prefill;           /* image and prompt through the decoder, to the first logits */
    double decode;            /* all further steps */
    size_t prompt_tokens;     /* image tokens included */
    size_t decoded_tokens;    /* tokens that took a decode step */
} pali_timings;

typedef struct pali_answer pali_answer;
typedef struct pali_mask pali_mask; /* a binary picture; see pali/mask.h */

/* A box by its sides: of the picture's height (y) and width (x) in [0, 1], or in pixels, as the field says. */
typedef struct pali_box {
    double y1, x1, y2, x2;
} pali_box;

enum { PALI_MASK_TOKENS = 16 };

/*
 * What an answer says is there: four location tokens, perhaps sixteen segment
 * tokens, a label. Everything lives as long as the answer.
 */
typedef struct pali_object {
    const char *label;           /* white space around it cut off; "" when there is none */
    const char *problem;         /* NULL; or why it is malformed: "no area", "incomplete mask", "cut off". Static text */
    int bins[4];                 /* y1 x1 y2 x2 as the tokens say, 0 to 1023 */
    pali_box box;                /* bins/1023: normalised, as the model was trained */
    pali_box pixels;             /* of the (first) picture: box times its height and width */
    double confidence;           /* in [0, 1], 0 where there is a problem; NAN unless asked for (src/answer/confidence.h says what it is) */
    bool has_codes;              /* sixteen segment tokens followed the box */
    uint8_t codes[PALI_MASK_TOKENS]; /* 0 to 127 */
    const pali_mask *mask;       /* of the picture's size; NULL without codes, or where the model has no mask codec */
    size_t first_token, token_count; /* of the answer's tokens: box, mask and label; a given start is not among them */
} pali_object;

/*
 * Asks one question about `count` pictures and returns the whole answer; free
 * it with pali_answer_free. With count 0 the pictures of the session's last
 * question are used again, without encoding them anew.
 */
pali_answer *pali_ask(pali_session *session, pali_image *const *images, size_t count, const char *prompt, const pali_ask_options *options, pali_error *err);

/* The answer's accessors; what they return lives as long as the answer. */
const char *pali_answer_text(const pali_answer *answer);
size_t pali_answer_token_count(const pali_answer *answer);
const int32_t *pali_answer_tokens(const pali_answer *answer); /* the end-of-text token, if made, is the last */
const float *pali_answer_logprobs(const pali_answer *answer); /* one a token, or NULL when neither they nor confidence were asked for */
double pali_answer_log_likelihood(const pali_answer *answer); /* the sum of these; NAN without */
double pali_answer_confidence(const pali_answer *answer);     /* exp of their mean, in [0, 1], or by a calibration of texts the probability that it is right; NAN without */
pali_finish pali_answer_finish(const pali_answer *answer);
pali_timings pali_answer_timings(const pali_answer *answer);

/*
 * The objects of the answer, in its order. Every four consecutive locations
 * are one; those that are malformed say why. Runs of fewer locations, and
 * segments that follow no box, are no objects: they are counted as dropped.
 */
size_t pali_answer_object_count(const pali_answer *answer);
const pali_object *pali_answer_object(const pali_answer *answer, size_t i);
size_t pali_answer_dropped_count(const pali_answer *answer);

/*
 * The answer as one line of JSON (new, freed with pali_free): text, tokens,
 * logprobs where kept, finish_reason, objects [{label, box {y1, x1, y2, x2} in
 * pixels, box_normalized, bins, and where there are any confidence,
 * mask_codes, mask (COCO run lengths {size, counts}), problem}], dropped.
 */
char *pali_answer_json(const pali_answer *answer, pali_error *err);

typedef struct pali_draw_options {
    size_t size;
    double line_width;   /* pixels; 0: by the picture's size */
    double font_size;    /* pixels an em, 6 or more; 0: by the picture's size */
    double mask_opacity; /* in (0, 1]; 0: 0.45; below 0: outlines only */
    bool no_labels;
} pali_draw_options;

/*
 * A copy of the picture (new, freed with pali_image_free) with the answer's
 * objects drawn on it: boxes, masks, labels with their confidence. A colour
 * stands for a label, in the order in which labels first appear. Objects
 * without area are left out. The picture is the one asked about, or the same
 * in another size where the answer has no masks. Options may be NULL.
 */
pali_image *pali_answer_draw(const pali_answer *answer, const pali_image *image, const pali_draw_options *options, pali_error *err);
void pali_answer_free(pali_answer *answer);

/* ---- One step at a time, for batches and servers --------------------- */

/*
 * Whether options are in range and go together, as far as that can be told
 * before there is a model; questions are checked so anyway. PALI_USAGE if not.
 */
pali_status pali_ask_check(const pali_ask_options *options, pali_error *err);

/* Encodes pictures for the questions that follow; the last answer is forgotten. The images are not kept. On failure all stays. */
pali_status pali_session_set_images(pali_session *session, pali_image *const *images, size_t count, pali_error *err);

/*
 * Makes the pictures of `from`, a session of the same model, those of
 * `session` as well: they are shared, neither encoded anew nor copied, and each
 * session may go on to others. With `from` the session itself it keeps its own.
 * The last answer of `session` is forgotten.
 */
pali_status pali_session_use_images(pali_session *session, const pali_session *from, pali_error *err);

/* Starts a question about the session's pictures; the work is done by pali_step. The last answer is forgotten, also on failure. */
pali_status pali_session_prompt(pali_session *session, const char *prompt, const pali_ask_options *options, pali_error *err);

/*
 * Brings each of n different sessions of one model one token further, as one
 * batch: prefill for those that have a fresh prompt, decode for the others;
 * finished ones are passed over, and long prompts may wait for a later step
 * when there are many. Each gets the tokens it would get alone, and the same
 * log-probabilities to the last bit. The first
 * failure is returned; sessions that failed are done, with PALI_FINISH_FAILED,
 * and the others have gone on. When the batch as a whole cannot be run (out of
 * memory), all that took part have failed.
 */
pali_status pali_step(pali_session *const *sessions, size_t n, pali_error *err);

bool pali_session_done(const pali_session *session);

/* The answer so far, as a new object freed by the caller. */
pali_answer *pali_session_answer(const pali_session *session, pali_error *err);

/*
 * A second session that goes on from the same pictures and prompt: what has
 * been computed is shared, not copied. The first may go on as well. Sampling,
 * seed, beams, best_of, max_tokens and on_text are those of `options`; the rest of the question
 * stays. With NULL the second draws the same random numbers as the first and
 * tells the same on_text. A question with beams or best_of can be forked, and
 * a fork be given them, before the first step only. Free with pali_session_free.
 */
pali_session *pali_session_fork(pali_session *session, const pali_ask_options *options, pali_error *err);

/*
 * Stops the running question, which begins with the encoding of its pictures,
 * after the current token (its first at the earliest); may be called from
 * another thread or a signal handler. Does nothing to later questions.
 */
void pali_session_cancel(pali_session *session);

/*
 * The log-probability of `suffix` (and the end of text after it) given the
 * session's pictures and `prompt`: *total over *count tokens, and each token's
 * in logprobs (new, freed with pali_free) unless NULL. The session's question
 * is abandoned.
 */
pali_status pali_score(pali_session *session, const char *prompt, const char *suffix, double *total, size_t *count, float **logprobs, pali_error *err);

typedef struct pali_score_options {
    size_t size;
    bool by_mean; /* ranks and probabilities follow `mean`, which does not prefer short candidates, in place of `total` */
    bool no_eos;  /* leave out the end-of-text token, by which "a cat" is told from the beginning of "a cat on a mat" */
    bool special; /* control tokens written in the prompt are taken as such */
} pali_score_options;

/* One candidate's figures; natural logarithms. */
typedef struct pali_scored {
    double total;       /* log p(candidate, end of text | pictures, prompt) */
    double mean;        /* total / tokens */
    double probability; /* exp(total), or exp(mean), over the sum of all candidates' */
    size_t tokens;      /* those counted */
    size_t rank;        /* 0: the likeliest; of equal ones the earlier comes first */
} pali_scored;

/*
 * Scores n candidate answers to `prompt` about the session's pictures: zero-shot
 * classification, multiple choice. The prompt is prefilled once and all
 * candidates go on from it as batches of bounded memory; out [n] receives their
 * figures in the order given. A candidate's total is, to the last bit, what
 * pali_score finds. A text that stands twice is two candidates; an empty one is
 * the end of text alone. The session's question is abandoned.
 */
pali_status pali_score_many(pali_session *session, const char *prompt, const char *const *candidates, size_t n, const pali_score_options *options, pali_scored *out, pali_error *err);

/* ---- Looking into files ---------------------------------------------- */

typedef struct pali_inspect_options {
    size_t size;
    const char *tokenizer, *vision; /* as in pali_model_options */
    bool check;                     /* read every value: non-finite ones, ranges */
    bool tensors;                   /* list every tensor */
} pali_inspect_options;

/*
 * Describes a model file or folder as one JSON object (new, NUL-terminated,
 * freed with pali_free): format, configuration, parameters and bytes per part,
 * missing and unexpected tensors, tokenizer, mask codec, what --check found; of an
 * adapter's folder, its base, whose path is "adapter_of". A model that
 * can be described but not used is a success with "usable": false.
 */
char *pali_inspect(const char *name, const pali_inspect_options *options, pali_error *err);

/*
 * Where a model name leads: a path (new, freed with pali_free), with the
 * rules of pali_model_open.
 */
char *pali_model_find(const char *name, pali_error *err);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#include <pali/embed.h>
#include <pali/mask.h>

#endif
