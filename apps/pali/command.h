/*
 * What a command is: a name, the options it knows, and the function that runs
 * it. Each command lives in its own file and is listed in main.c. The shared
 * settings hold every option of every command once; zero means not given.
 */
#ifndef PALI_APP_COMMAND_H
#define PALI_APP_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct text_list {
    const char **items; /* [count], borrowed from argv */
    size_t count;
} text_list;

typedef struct settings {
    /* the model */
    const char *model;
    uint64_t threads;
    bool threads_are_usual; /* they are the environment's: what says otherwise is followed */
    bool pin;
    const char *type, *tokenizer, *vision, *preprocess;
    text_list lora;
    const char *activations, *kv_cache;
    bool no_final_softcap;
    /* the answer */
    uint64_t max_tokens, top_k, seed, beam, best_of, frames, stride;
    double temp, top_p;
    const char *start;
    bool logprobs, special;
    const char *constrain, *noise_token;
    text_list labels, choices;
    uint64_t max_objects, top_objects;
    const char *calibration;
    struct pali_calibration *curves; /* of that file, by calibration_open */
    bool confidence;
    double min_confidence, nms;
    /* scoring */
    const char *choices_file, *by;
    text_list choice;
    bool no_eos;
    /* embedding */
    const char *what, *layers, *dtype;
    bool pool, normalise, together;
    /* its picture */
    const char *draw, *mask_dir, *preview;
    /* looking and measuring */
    bool check, tensors, likelihood;
    uint64_t limit;
    const char *predictions, *fit_calibration;
    bool no_confidence;
    const char *shape, *batch, *stage;
    uint64_t prompt_tokens;
    double seconds;
    bool levels;
    /* many rows */
    const char *prompt, *shard;
    uint64_t batch_rows;
    bool timings;
    /* converting */
    const char *to, *vision_type, *language_type, *embedding_type, *head_type, *layout;
    bool merge, force;
    /* training */
    bool dry_run, keys, validation;
    uint64_t first;
    /* masks */
    const char *codec, *rle, *box, *size, *image, *out, *way;
    text_list polygon;
    bool outline;
    /* every command */
    bool json, quiet, help;
    text_list operands;
} settings;

typedef enum option_kind {
    OPTION_FLAG,   /* bool */
    OPTION_TEXT,   /* const char * */
    OPTION_LIST,   /* text_list: may be given again */
    OPTION_WORDS,  /* text_list: cut at each character `least`; its items are its own */
    OPTION_CHOICE, /* const char *: one of the words of `argument`, "f32|bf16" */
    OPTION_COUNT,  /* uint64_t in least..most */
    OPTION_NUMBER, /* double in least..most */
} option_kind;

typedef struct option {
    const char *name;     /* without the dashes; NULL ends a table */
    char letter;          /* short form, or 0 */
    option_kind kind;
    size_t place;         /* offsetof(settings, ...) */
    const char *argument; /* as the help shows it; NULL for a flag */
    uint64_t least, most;
    const char *help;
} option;

typedef struct command {
    const char *name;
    const char *operands; /* "IMAGE... PROMPT" */
    const char *summary;  /* one line, for the list of commands */
    const char *about;    /* what its own help says */
    const char *examples;
    const option *const *options; /* tables, NULL after the last */
    int (*run)(const settings *given);
} command;

extern const command run_command, chat_command, score_command, embed_command, batch_command, inspect_command, eval_command, convert_command, mask_command, train_command, data_command, bench_command, help_command, version_command;

/* The commands in the order of the help; NULL after the last. */
extern const command *const commands[];

/* The command of that name, or NULL. */
const command *find_command(const char *name);

#endif
