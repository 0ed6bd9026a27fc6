/*
 * Model names: a path, the name of a repository in the local Hugging Face
 * cache, or "nano".
 */
#ifndef PL_MODEL_FIND_H
#define PL_MODEL_FIND_H

#include "base/status.h"

/*
 * The path a name leads to; new, freed by the caller. A path that exists wins;
 * then "owner/name", or a bare name for the owner "google", in the cache's
 * snapshots (HF_HUB_CACHE, HF_HOME/hub, ~/.cache/huggingface/hub); "nano" is
 * looked for beside the program (in its prefix, or the sources whose build
 * folder it stands in), then where pali was installed.
 */
char *pl_model_find(const char *name, pali_error *err);

#endif
