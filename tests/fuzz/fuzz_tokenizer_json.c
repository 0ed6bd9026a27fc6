/* Fuzz target: any bytes as a tokenizer.json (and as the files beside one), then texts through what opens. */
#include "formats/tokenizer_json.h"

#include "fuzz_tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The same bytes as tokenizer_config.json and added_tokens.json of a small vocabulary. */
static void check_companions(const uint8_t *data, size_t size)
{
    static const char *const pieces[] = {"<unk>", "<bos>", "a", "b"};
    pl_vocabulary v;
    pl_vocabulary_init(&v);
    for (size_t i = 0; i < 4; i++)
        MUST(pl_vocabulary_push(&v, pieces[i], strlen(pieces[i]), 0, i ? PL_PIECE_NORMAL : PL_PIECE_UNKNOWN, NULL) == PALI_OK);
    v.unk = 0;
    MUST(pl_vocabulary_finish(&v, NULL) == PALI_OK);
    (void)pl_tokenizer_config_parse(&v, data, size, "input", NULL);
    (void)pl_added_tokens_parse(&v, data, size, "input", NULL);
    check_vocabulary(&v, data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pl_vocabulary v;
    pali_error err = {0};
    const pali_status status = pl_tokenizer_json_parse(&v, data, size, "input", &err);
    MUST(status == PALI_OK || status == PALI_MODEL);
    if (status == PALI_OK)
        check_vocabulary(&v, data, size);
    else
        check_companions(data, size);
    return 0;
}
