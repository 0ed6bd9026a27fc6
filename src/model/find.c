/*
 * Finding models by name. The Hugging Face cache keeps a repository in
 * models--OWNER--NAME: refs/main holds the commit whose files stand, as links,
 * in snapshots/COMMIT.
 */
#include "model/find.h"

#include "base/file.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef PALI_DATA_FOLDER
#define PALI_DATA_FOLDER ""
#endif

static bool is_model_folder(const char *path)
{
    char *config = pl_path_join(path, "config.json", NULL);
    const bool is = config && pl_is_file(config);
    free(config);
    return is;
}

/* Takes over `path`: returns it if it is a model's folder, else frees it and returns NULL. */
static char *keep_if_model(char *path)
{
    if (path && is_model_folder(path))
        return path;
    free(path);
    return NULL;
}

/* "nano" beside the program, in a prefix or a build folder of the sources, or in the installed data. */
static char *find_nano(pali_error *err)
{
    char program[4096];
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length > 0) {
        program[length] = '\0';
        char *slash = strrchr(program, '/');
        if (slash)
            *slash = '\0';
        char *found = keep_if_model(pl_format(err, "%s/../share/pali/nano", program));
        if (!found)
            found = keep_if_model(pl_format(err, "%s/../../../models/nano", program));
        if (found)
            return found;
    }
    char *found = keep_if_model(pl_format(err, "%s/nano", PALI_DATA_FOLDER));
    if (!found)
        pl_fail(err, PALI_MODEL, "nano: the model that comes with pali is not installed, expected in %s/nano", PALI_DATA_FOLDER);
    return found;
}

static char *cache_folder(pali_error *err)
{
    const char *cache = getenv("HF_HUB_CACHE"), *home = getenv("HF_HOME"), *user = getenv("HOME");
    if (cache && *cache)
        return pl_strdup(cache, err);
    if (home && *home)
        return pl_format(err, "%s/hub", home);
    return pl_format(err, "%s/.cache/huggingface/hub", user ? user : "");
}

/* The snapshot of `revision` in a repository's cache folder, or NULL. */
static char *snapshot_of(const char *repository, pali_error *err)
{
    char *reference = pl_format(err, "%s/refs/main", repository);
    size_t size = 0;
    char *commit = reference && pl_is_file(reference) ? pl_file_read(reference, 256, &size, PALI_MODEL, err) : NULL;
    free(reference);
    if (!commit)
        return NULL;
    commit[strcspn(commit, " \t\r\n/")] = '\0';
    char *snapshot = *commit ? pl_format(err, "%s/snapshots/%s", repository, commit) : NULL;
    free(commit);
    return snapshot;
}

static char *find_in_cache(const char *name, pali_error *err)
{
    const char *slash = strchr(name, '/');
    char *cache = cache_folder(err);
    char *repository = !cache ? NULL
                       : slash ? pl_format(err, "%s/models--%.*s--%s", cache, (int)(slash - name), name, slash + 1)
                               : pl_format(err, "%s/models--google--%s", cache, name);
    char *snapshot = NULL;
    if (repository && !pl_is_folder(repository)) {
        const char *owner = slash ? "" : "google/";
        if (pl_starts_with(name, "google/paligemma") || pl_starts_with(name, "paligemma"))
            pl_fail(err, PALI_MODEL, "%s: no such file or folder, and not in the Hugging Face cache %s; accept its licence at https://huggingface.co/%s%s, then: hf download %s%s",
                    name, cache, owner, name, owner, name);
        else
            pl_fail(err, PALI_MODEL, "%s: no such file or folder, and no model %s%s in the Hugging Face cache %s", name, owner, name, cache);
    } else if (repository) {
        snapshot = snapshot_of(repository, err);
        const bool no_memory = !snapshot && pl_status_of(err, PALI_OK) == PALI_MEMORY;
        if (!no_memory && (!snapshot || !pl_is_folder(snapshot))) {
            pl_fail(err, PALI_MODEL, "%s: %s: found no snapshot of its main branch, expected refs/main to name one; fetch it again", name, repository);
            free(snapshot);
            snapshot = NULL;
        }
    }
    free(repository);
    free(cache);
    return snapshot;
}

/* A hub name is NAME or OWNER/NAME of letters, digits, '.', '_' and '-'. */
static bool is_hub_name(const char *name)
{
    size_t slashes = 0;
    for (const char *c = name; *c; c++) {
        slashes += *c == '/';
        if (!(*c == '/' || *c == '.' || *c == '_' || *c == '-' || (*c >= '0' && *c <= '9') || ((*c | 32) >= 'a' && (*c | 32) <= 'z')))
            return false;
    }
    return *name && *name != '/' && *name != '.' && slashes <= 1 && name[strlen(name) - 1] != '/';
}

char *pl_model_find(const char *name, pali_error *err)
{
    if (pl_is_file(name) || pl_is_folder(name))
        return pl_strdup(name, err);
    if (strcmp(name, "nano") == 0)
        return find_nano(err);
    if (is_hub_name(name) && !pl_ends_with(name, ".npz") && !pl_ends_with(name, ".gguf") && !pl_ends_with(name, ".safetensors"))
        return find_in_cache(name, err);
    pl_fail(err, PALI_MODEL, "%s: no such file or folder", name);
    return NULL;
}
