/* The JSON files of a Hugging Face folder, for a model that is saved as one. Each is new, released with free(). */
#ifndef PL_MODEL_SAVE_CONFIG_H
#define PL_MODEL_SAVE_CONFIG_H

#include "model/save_items.h"

/* config.json: the source's own with what saving changes, or one made of the configuration. */
char *pl_config_json(const pl_saving *saving, pali_error *err);

/* config.json of a model that has no source; `type` as PyTorch calls it, "float32". */
char *pl_new_config_json(const pl_config *config, const pl_tokenizer *tokenizer, const char *type, pali_error *err);

char *pl_preprocessor_json(const pl_config *config, pali_error *err);
char *pl_generation_json(const pl_tokenizer *tokenizer, pali_error *err);
char *pl_tokenizer_config_json(const pl_tokenizer *tokenizer, pali_error *err);

/* tokenizer.json, and tokenizer_config.json beside it, into a folder that is there; each whole or not at all. */
pali_status pl_save_tokenizer(const pl_tokenizer *tokenizer, const char *folder, pali_error *err);
pali_status pl_save_tokenizer_config(const pl_tokenizer *tokenizer, const char *folder, pali_error *err);

#endif
