/*
 * The recipe: everything that decides a training run, from a YAML file and
 * from arguments KEY=VALUE that come after it. The keys are listed once, below;
 * the struct, the reader, the writer, the help and the comparison at resume are
 * made from that list. Nothing is guessed or passed over: an unknown or doubled
 * key, a wrong type, a value out of range is an error with file, line and
 * column, or with the argument.
 */
#ifndef PL_TRAIN_RECIPE_H
#define PL_TRAIN_RECIPE_H

#include "base/text.h"

typedef struct pl_recipe_words {
    char **items; /* [count] owned */
    size_t count;
} pl_recipe_words;

/*
 * Kinds of values, and what holds them. Absent texts are NULL.
 *
 *     TEXT    any text
 *     PATH    a path; relative ones are of the file's folder, or of the current one in an argument; absolute here
 *     NAME    a path if something is there, else kept: the name of a model
 *     CHOICE  one of the words of its limit, "a|b"
 *     COUNT   a whole number within its limit, "least..most"
 *     BYTES   the same with a unit if wanted: 800 MB, 12 GB, 6 GiB
 *     NUMBER  a number
 *     SPAN    a number: below 1 a part of all steps, from 1 on so many steps (then whole)
 *     FLAG    true or false
 *     WORDS   a text, or a list of texts
 *     SOURCES, GROUPS  a map of the keys below, or a list of such; a source may be a path alone
 *     TABLE   a map of anything, as JSON text
 */
#define PL_RECIPE_TEXT    char *
#define PL_RECIPE_PATH    char *
#define PL_RECIPE_NAME    char *
#define PL_RECIPE_CHOICE  char *
#define PL_RECIPE_COUNT   uint64_t
#define PL_RECIPE_BYTES   uint64_t
#define PL_RECIPE_NUMBER  double
#define PL_RECIPE_SPAN    double
#define PL_RECIPE_FLAG    bool
#define PL_RECIPE_WORDS   pl_recipe_words
#define PL_RECIPE_SOURCES pl_recipe_sources
#define PL_RECIPE_GROUPS  pl_recipe_groups
#define PL_RECIPE_TABLE   char *

/* Rows to learn from: X(kind, field, default, limit, help). */
#define PL_SOURCE_KEYS(X)                                                                                          \
    X(PATH, path, "", "", "JSONL file of rows {image, prefix, suffix}, or a folder with annotations.jsonl")       \
    X(PATH, images, "", "", "the folder that pictures are relative to (that of the file)")                         \
    X(NUMBER, weight, "0", "0..", "share of a mixture; of all sources, or of none (0)")                            \
    X(TEXT, prefix, "", "", "prompt of each row, with {fields} of it (its \"prefix\")")                            \
    X(TEXT, suffix, "", "", "answer of each row, with {fields} of it (its \"suffix\")")                            \
    X(COUNT, skip, "0", "0..", "rows left out at the beginning")                                                   \
    X(COUNT, limit, "0", "0..", "rows taken after these at most (0: all)")                                         \
    X(COUNT, repeat, "1", "1..1000000", "visits of each row in an epoch")                                          \
    X(CHOICE, choice, "no_replacement", "no_replacement|uniform|first", "which of several answers a visit takes")

/* Parameters that are moved in another way: X(kind, field, default, limit, help). Numbers not given are NaN: as the recipe's. */
#define PL_GROUP_KEYS(X)                                                                  \
    X(WORDS, match, "", "", "parts or regular expressions, as in train")                  \
    X(NUMBER, lr, "", "0..", "learning rate")                                             \
    X(NUMBER, weight_decay, "", "0..", "weight decay")                                    \
    X(SPAN, warmup, "", "0..", "linear warm-up, steps or a part of them")

#define PL_RECIPE_FIELD_OF_PART(kind, field, ...) PL_RECIPE_##kind field;

typedef struct pl_recipe_source {
    PL_SOURCE_KEYS(PL_RECIPE_FIELD_OF_PART)
} pl_recipe_source;

typedef struct pl_recipe_sources {
    pl_recipe_source *items; /* [count] owned */
    size_t count;
} pl_recipe_sources;

typedef struct pl_recipe_group {
    PL_GROUP_KEYS(PL_RECIPE_FIELD_OF_PART)
} pl_recipe_group;

typedef struct pl_recipe_groups {
    pl_recipe_group *items; /* [count] owned */
    size_t count;
} pl_recipe_groups;

/*
 * Title(text) begins a part of the list; X(kind, field, key, default, limit, change, help): `default` is what a file
 * would say; `change` is FIXED where a run that is resumed must have it as it was, FREE where it may differ.
 */
#define PL_RECIPE_KEYS(Title, X)                                                                                              \
    Title("Model")                                                                                                            \
    X(NAME, model, "model", "", "", FIXED, "where training begins: folder, .npz, .gguf, cached hub name, or nano")            \
    X(TABLE, model_config, "model_config", "", "", FIXED, "in place of model: fields of a config.json, to begin from nothing") \
    X(CHOICE, connector, "connector", "linear", "linear|mlp", FIXED, "of model_config: how image tokens become embeddings, by one map or two with a GELU between") \
    X(NAME, tokenizer, "tokenizer", "", "", FIXED, "tokenizer.json, tokenizer.model or their folder (the model's)")           \
    X(NAME, mask_codec, "mask_codec", "", "", FIXED, "mask codec that writes masks as tokens (the model's)")                  \
    X(TEXT, preprocess, "preprocess", "", "", FIXED, "hf, hf:pillow13, big_vision[:VARIANT] (as the model wants)")            \
    X(FLAG, no_final_softcap, "no_final_softcap", "false", "", FIXED, "PaliGemma 2: leave the cap on output logits off")      \
    X(WORDS, new_tokens, "new_tokens", "", "", FIXED, "pieces to add to the vocabulary, each with a new embedding row")       \
    X(CHOICE, type, "type", "", "f32|bf16|f16|q8_0|q4_0", FIXED, "weight matrices that stay as they are: their type")         \
    X(CHOICE, precision, "precision", "auto", "auto|f32|bf16", FIXED, "what products take; auto: f32 for weights in f32")     \
    Title("What is learned")                                                                                                  \
    X(CHOICE, objective, "objective", "prefix_lm", "prefix_lm|language|contrastive", FIXED, "answers to prompts; plain text; which picture has which text (SigLIP's loss)") \
    X(WORDS, train, "train", "", "", FIXED, "all, vision, projector, language, attention, mlp, norms, embeddings, language.mlp, or regular expressions (all that the objective is for; with adapters: only these)") \
    X(WORDS, freeze, "freeze", "", "", FIXED, "parts that stay as they are, likewise")                                        \
    X(COUNT, lora_rank, "lora.rank", "0", "0..4096", FIXED, "rank of adapters (0: none)")                                     \
    X(NUMBER, lora_alpha, "lora.alpha", "0", "0..1e6", FIXED, "their scale times the rank (0: the rank)")                     \
    X(NUMBER, lora_dropout, "lora.dropout", "0", "0..0.99", FIXED, "dropout of what they take")                               \
    X(WORDS, lora_targets, "lora.targets", "all-linear", "", FIXED, "q_proj, v_proj, ..., all-linear (of the language model), or regular expressions") \
    X(FLAG, lora_rslora, "lora.rslora", "false", "", FIXED, "scale alpha / sqrt(rank)")                                       \
    X(CHOICE, lora_init, "lora.init", "kaiming", "kaiming|gaussian", FIXED, "what the first of the two matrices begins with") \
    X(PATH, lora_adapter, "lora.adapter", "", "", FIXED, "PEFT folder of an adapter that is taught further")                  \
    X(CHOICE, loss, "loss", "example_mean", "example_mean|root_mean|token_mean", FIXED, "each example counts the same, by the root of its tokens, or each token") \
    X(FLAG, loss_on_prefix, "loss_on_prefix", "false", "", FIXED, "learn to say the prompt as well")                          \
    X(CHOICE, prefix_attention, "prefix_attention", "full", "full|image|causal", FIXED, "what sees all: picture and prompt, the picture, nothing") \
    X(NUMBER, label_smoothing, "label_smoothing", "0", "0..0.99", FIXED, "probability that goes to all other tokens")         \
    X(NUMBER, location_smoothing, "location_smoothing", "0", "0..100", FIXED, "deviation of a Gaussian over neighbouring locations that the target of one is (0: it alone)") \
    X(NUMBER, mask_weight, "mask_weight", "1", "0..1", FIXED, "what a token of a mask counts beside any other")            \
    X(NUMBER, dropout, "dropout", "0", "0..0.99", FIXED, "dropout within the language model")                                 \
    Title("Optimizer")                                                                                                        \
    X(CHOICE, optimizer, "optimizer", "adam", "adam|adamw|sgd|muon", FIXED, "adam: the reference's, its decay not times lr; adamw, sgd: PyTorch's") \
    X(NUMBER, lr, "lr", "1e-5", "0..1000", FIXED, "learning rate")                                                            \
    X(NUMBER, weight_decay, "weight_decay", "0", "0..1000", FIXED, "weight decay")                                            \
    X(CHOICE, decay, "decay", "", "kernels|matrices|all", FIXED, "what it is for: vision tower and projector (adam), all but norms and biases, or all") \
    X(NUMBER, beta1, "beta1", "0.9", "0..0.999999", FIXED, "decay of the mean of gradients")                                  \
    X(NUMBER, beta2, "beta2", "0.999", "0..0.9999999", FIXED, "decay of the mean of their squares")                           \
    X(NUMBER, eps, "eps", "1e-8", "0..1", FIXED, "added to the root")                                                         \
    X(NUMBER, momentum, "momentum", "", "0..0.999999", FIXED, "of sgd (0) and muon (0.95)")                                   \
    X(NUMBER, clip, "clip", "1", "0..", FIXED, "most that the norm of all gradients may be (0: no limit)")                    \
    X(GROUPS, groups, "groups", "", "", FIXED, "parts with a rate, decay or warm-up of their own; the first that matches counts") \
    X(CHOICE, schedule, "schedule", "cosine", "cosine|rsqrt|linear|constant", FIXED, "how the rate falls after warm-up")      \
    X(SPAN, warmup, "warmup", "0.05", "0..", FIXED, "linear warm-up: steps, or a part of them below 1")                       \
    X(NUMBER, timescale, "timescale", "10000", "1..", FIXED, "steps after which rsqrt begins to fall")                        \
    X(NUMBER, epochs, "epochs", "0", "0..1e6", FIXED, "visits of each row (10 where neither this nor steps is given)")        \
    X(COUNT, steps, "steps", "0", "0..1000000000", FIXED, "in place of epochs: steps of the optimizer")                       \
    X(COUNT, batch, "batch", "32", "1..65536", FIXED, "examples in a step")                                                   \
    X(COUNT, seed, "seed", "0", "0..", FIXED, "of order, dropout and new weights")                                            \
    Title("Data")                                                                                                             \
    X(SOURCES, data, "data", "", "", FIXED, "rows to learn from: a JSONL file, or a list of sources")                         \
    X(SOURCES, validation, "validation", "", "", FREE, "rows to measure on, likewise")                                        \
    X(PATH, images, "images", "", "", FREE, "of sources that do not say")                                                     \
    X(TEXT, prefix, "prefix", "", "", FIXED, "of sources that do not say, such as caption en")                                \
    X(TEXT, suffix, "suffix", "", "", FIXED, "of sources that do not say")                                                    \
    X(COUNT, text_length, "text_length", "128", "2..32768", FIXED, "tokens of text in an example, the rest is cut off; of contrastive: the text tower's positions")       \
    X(FLAG, shuffle, "shuffle", "true", "", FIXED, "a new order in each epoch")                                               \
    X(CHOICE, pictures, "pictures", "", "needed|optional|none", FIXED, "whether rows show pictures (needed; for language: none)") \
    X(CHOICE, on_bad_row, "on_bad_row", "stop", "stop|skip", FREE,  "a row that cannot be used")                              \
    X(COUNT, workers, "workers", "0", "0..256", FREE, "threads that decode pictures ahead (0: by the processor)")             \
    X(FLAG, cache_features, "cache_features", "true", "", FREE, "keep image tokens on disk while the vision tower is frozen") \
    X(PATH, feature_cache, "feature_cache", "", "", FREE, "where (in out)")                                                   \
    X(CHOICE, cache_type, "cache_type", "f32", "f32|bf16", FIXED, "and in which type")                                        \
    Title("Memory and speed")                                                                                                 \
    X(COUNT, micro_batch, "micro_batch", "0", "0..65536", FIXED, "examples computed together (0: as many as gain speed and fit)") \
    X(CHOICE, checkpointing, "checkpointing", "auto", "auto|none|layers", FREE, "layers: compute each again rather than keep it") \
    X(BYTES, max_memory, "max_memory", "0", "0..", FREE, "such as 12 GB (0: what is left on this machine)")                   \
    X(COUNT, threads, "threads", "0", "0..4096", FREE, "0: one a core")                                                       \
    Title("The run")                                                                                                          \
    X(PATH, out, "out", "", "", FREE, "folder for checkpoints, logs and the report; of a codec: logs and report")             \
    X(CHOICE, resume, "resume", "auto", "auto|never|must", FREE, "go on with the run in out; never: begin anew")              \
    X(FLAG, force, "force", "false", "", FREE, "resume although the recipe differs; with resume: never, replace a run")       \
    X(COUNT, log_every, "log_every", "10", "1..", FREE, "steps between lines of the log")                                     \
    X(COUNT, eval_every, "eval_every", "500", "0..", FREE, "steps between held-out losses; also at the end (0: only then)")   \
    X(COUNT, eval_examples, "eval_examples", "1024", "0..", FREE, "held-out examples, the first so many (0: all)")            \
    X(COUNT, sample_every, "sample_every", "500", "0..", FREE, "steps between sample answers; also at the end (0: only then)") \
    X(COUNT, samples, "samples", "8", "0..1000", FREE, "how many")                                                            \
    X(COUNT, save_every, "save_every", "500", "0..", FREE, "steps between checkpoints; also at the end (0: only then)")       \
    X(COUNT, keep_checkpoints, "keep_checkpoints", "2", "1..", FREE, "how many of the latest stay, beside the best")          \
    X(CHOICE, save_type, "save_type", "", "f32|bf16|f16", FREE, "type of weights in checkpoints (the model's)")               \
    X(CHOICE, adapter_layout, "adapter_layout", "new", "new|old", FREE, "names in adapters: of transformers from 4.52 on, or before") \
    X(FLAG, leak_test, "leak_test", "true", "", FREE, "first make sure that no answer is seen before it is said")             \
    X(FLAG, report, "report", "true", "", FREE, "write report.html")                                                          \
    Title("Mask codec")                                                                                                       \
    X(PATH, codec, "codec", "", "", FIXED, "in place of model: train the mask codec, and write it to this .npz; from mask_codec on, or from nothing") \
    X(WORDS, codec_widths, "codec_widths", "", "", FIXED, "from nothing: channels of its four steps, and values of a code (8, 16, 32, 48, 48; released: 16, 32, 64, 128, 512)")

#define PL_RECIPE_NO_TITLE(text)
#define PL_RECIPE_FIELD(kind, field, ...) PL_RECIPE_##kind field;

typedef struct pl_recipe {
    PL_RECIPE_KEYS(PL_RECIPE_NO_TITLE, PL_RECIPE_FIELD)
} pl_recipe;

/*
 * Reads the file (NULL: none), then each override "key=value", where a value
 * that begins with [ or { is YAML; then fills in what follows from the rest
 * (train, epochs, the sources' defaults) and checks what must go together.
 * PALI_USAGE with "file:line:column: ..." or "argument 'key=value': ...";
 * PALI_INPUT for a file that cannot be read. Zero-initialise *recipe; close it
 * with pl_recipe_close, also after a failure.
 */
pali_status pl_recipe_open(pl_recipe *recipe, const char *path, const char *const *overrides, size_t override_count, pali_error *err);

/* The same from text; `name` stands for the file in messages, relative paths are of `folder` (NULL: the current one). */
pali_status pl_recipe_parse(pl_recipe *recipe, const char *text, size_t size, const char *name, const char *folder, const char *const *overrides, size_t override_count, pali_error *err);

void pl_recipe_close(pl_recipe *recipe);

/* Appends the whole recipe as YAML that reads back to the same. */
pali_status pl_recipe_write(const pl_recipe *recipe, pl_buffer *out, pali_error *err);

/* The recipe as a run keeps it, new, freed with free: resume and force, which are for one start, as they are by default. */
char *pl_recipe_text(const pl_recipe *recipe, pali_error *err);

/* Writes that text as FOLDER/recipe.yaml. */
pali_status pl_recipe_keep(const char *folder, const char *text, pali_error *err);

/*
 * Appends "key: old -> new; key: ..." of the keys that differ and that a resumed
 * run must have as they were (`all`: of any that differ); *count says how many.
 * Data may lie elsewhere: what is in it is checked when it is read.
 */
pali_status pl_recipe_difference(const pl_recipe *before, const pl_recipe *now, bool all, pl_buffer *out, size_t *count, pali_error *err);

/* Appends the list of keys with their kinds, limits, defaults and help. */
pali_status pl_recipe_help(pl_buffer *out, pali_error *err);

#endif
