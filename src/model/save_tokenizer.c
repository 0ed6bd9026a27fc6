/* The tokenizer of a model as Hugging Face's files, for folders that cannot take those of its source. */
#include "model/save_config.h"

#include "base/file.h"
#include "formats/tokenizer_write.h"

#include <stdlib.h>
#include <string.h>

/* The pieces but those that only fill a GGUF's rows. */
static size_t real_pieces(const pl_vocabulary *v)
{
    size_t count = v->count, length;
    for (; count; count--) {
        const char *text = pl_vocabulary_piece(v, (int32_t)count - 1, &length);
        if (v->types[count - 1] != PL_PIECE_UNUSED || length < 5 || memcmp(text, "[PAD", 4) != 0)
            break;
    }
    return count;
}

pali_status pl_save_tokenizer(const pl_tokenizer *tokenizer, const char *folder, pali_error *err)
{
    const pl_vocabulary *v = pl_tokenizer_vocabulary(tokenizer);
    char *const path = pl_path_join(folder, "tokenizer.json", err);
    pl_output out = {0};
    pali_status status = path ? pl_output_open(&out, path, err) : PALI_MEMORY;
    if (status == PALI_OK)
        status = pl_tokenizer_json_write(v, real_pieces(v), &out, err);
    if (status == PALI_OK)
        status = pl_output_commit(&out, err);
    pl_output_abandon(&out);
    free(path);
    return status;
}

pali_status pl_save_tokenizer_config(const pl_tokenizer *tokenizer, const char *folder, pali_error *err)
{
    char *const path = pl_path_join(folder, "tokenizer_config.json", err), *const text = path ? pl_tokenizer_config_json(tokenizer, err) : NULL;
    const pali_status status = text ? pl_file_write(path, text, strlen(text), err) : pl_status_of(err, PALI_MEMORY);
    free(text);
    free(path);
    return status;
}
