/*
 * pali/convert.h: save a model in another format, or with weights in other
 * types. Public, not yet frozen.
 */
#ifndef PALI_CONVERT_H
#define PALI_CONVERT_H

#include <pali/pali.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct pali_convert_options {
    size_t size;
    const char *format;      /* "gguf", "hf" (a Hugging Face folder) or "npz"; NULL: by the target's name */
    const char *type;        /* of all weight matrices: "f32", "bf16", "f16", "q8_0", "q4_0" or "q8"; NULL: as they are */
    const char *vision_type, *language_type, *embedding_type, *head_type; /* of a part, where it differs; likewise */
    const char *layout;      /* GGUF: "rows", as ggml's tools read them, or "tiles", as kernels do; NULL: as they are, rows at first */
    const char *tokenizer, *vision; /* as in pali_model_options */
    const char *const *lora; /* PEFT adapters to merge, each "FOLDER" or "FOLDER:scale" */
    size_t lora_count;
    bool force;              /* replace what stands at the target */
    size_t threads;          /* 0: as for a model */
    pali_progress_fn *progress; /* bytes of weights written */
    void *progress_context;
    bool (*stop)(void *context); /* asked now and then; true: give up with PALI_CANCELLED */
    void *stop_context;
} pali_convert_options;

/*
 * Reads the model `source` (a name as for pali_model_open) and writes it to
 * `target`: whole, or not at all. Memory does not grow with the model. Norms,
 * biases and positions keep their precision. Hugging Face folders and npz hold
 * floats only; an npz holds no tokenizer and no mask codec. Returns a JSON
 * object that tells what was written ("codec": whether the source's mask codec
 * came along, where it has one; new, freed with pali_free), or NULL.
 */
char *pali_convert(const char *source, const char *target, const pali_convert_options *options, pali_error *err);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
