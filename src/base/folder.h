/*
 * Folders as a whole: made with their parents, removed with what is in them,
 * and given their name in one step, so that nobody sees half of one.
 */
#ifndef PL_BASE_FOLDER_H
#define PL_BASE_FOLDER_H

#include "base/memory.h"

/* Makes the folder and those above it that are missing. PALI_FAILED with the reason. */
pali_status pl_folder_make(const char *path, pali_error *err);

/* Bytes that may still be written under the path, which need not exist yet. UINT64_MAX where the system does not say. */
uint64_t pl_folder_room(const char *path);

/* Removes a folder and everything in it; links are removed, not followed. 0, or the errno of the first failure; goes on after one. */
int pl_folder_remove(const char *path);

/* Calls `use` with the name of each entry (not "." and ".."), in any order, until it fails. No folder at all is no failure. */
pali_status pl_folder_each(const char *path, pali_status (*use)(void *context, const char *name, pali_error *err), void *context, pali_error *err);

/*
 * Gives the finished folder `made` the name `path`. A folder that is there
 * already is exchanged for it in one step where the system can do that, and
 * removed. Its names are brought to the disk before, the new name after.
 */
pali_status pl_folder_install(const char *made, const char *path, pali_error *err);

/* Makes `path` a symbolic link to `target`, in the place of a link that is there. */
pali_status pl_link_replace(const char *path, const char *target, pali_error *err);

#endif
