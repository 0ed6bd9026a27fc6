/*
 * Snapshots of a training run, OUT/checkpoint-<step>/: a model folder or a
 * PEFT adapter that runs as it is, and state/ with what resuming needs. Each is
 * made under another name and renamed when all of it is on the disk, so that a
 * run can be killed at any moment; OUT/last and OUT/best are links to them.
 *
 *   checkpoint-300/config.json, model.safetensors, ...   or  adapter_config.json, adapter_model.safetensors
 *   checkpoint-300/state/tensors.safetensors             masters and moments, f32
 *   checkpoint-300/state/state.json                      step, the loop's own notes, sizes and CRC-32C of these and of the weights
 */
#ifndef PL_TRAIN_SNAPSHOT_H
#define PL_TRAIN_SNAPSHOT_H

#include "model/save.h"
#include "model/save_adapter.h"
#include "train/state.h"

#include <jansson.h>

/* The folder of a run, held against other runs while it is open. */
typedef struct pl_run_folder {
    char *path; /* owned */
    int lock;   /* file descriptor, -1: none */
} pl_run_folder;

/*
 * Makes the folder where it is missing, takes its lock and removes what killed
 * runs left half made. PALI_FAILED where another run holds it or it cannot be
 * written.
 */
pali_status pl_run_folder_open(pl_run_folder *folder, const char *path, pali_error *err);

/* Removes all snapshots and the links to them, for a run that begins anew. */
pali_status pl_run_folder_clear(pl_run_folder *folder, pali_error *err);
void pl_run_folder_close(pl_run_folder *folder); /* also one that is all zero but for lock -1 */

/* What is put into a snapshot. */
typedef struct pl_snapshot {
    uint64_t step;
    pl_paligemma *model;
    const pl_save_options *full;            /* the whole model; or NULL, and then */
    const pl_adapter_save_options *adapter; /* an adapter; or NULL: only the state */
    const pl_state_tensor *tensors;         /* [count] */
    size_t count;
    const json_t *notes; /* the loop's own, an object: recipe, data position, keys, best score, identities of files; borrowed */
    bool best;           /* `best` is to lead here, too */
    size_t keep;         /* of the newest, how many stay; what last and best lead to stays anyway; 0: all */
} pl_snapshot;

typedef struct pl_snapshot_report {
    char name[40];          /* "checkpoint-300" */
    uint64_t bytes;         /* of all its files */
    double seconds;
    size_t removed;         /* older ones */
} pl_snapshot_report;

/*
 * Saves. On failure (a full disk, an interruption) nothing of it stays, and
 * what was there before is as it was; a failure to remove others is none.
 * Snapshots of later steps are removed, too: they are of a run that was gone
 * back from. `report` may be NULL.
 */
pali_status pl_snapshot_save(pl_run_folder *folder, const pl_snapshot *snapshot, pl_snapshot_report *report, pali_error *err);

/*
 * Lets last lead to the snapshot of this step, and best where `best`: what a run
 * left that was killed between a snapshot and its links is put right so.
 */
pali_status pl_snapshot_relink(pl_run_folder *folder, uint64_t step, bool best, pali_error *err);

/* A snapshot that has been found and found whole. */
typedef struct pl_found_snapshot {
    char *path;        /* OUT/checkpoint-<step>, owned; NULL: there is none */
    uint64_t step;
    json_t *notes;     /* owned */
    size_t refused;    /* newer ones that are damaged */
    char warning[512]; /* why the newest of those was refused; empty: none was */
} pl_found_snapshot;

/*
 * The newest snapshot in a run's folder whose files have the sizes and checksums
 * that were noted; damaged ones are passed over with a warning. Having
 * none, or no folder, is no failure; all of them being damaged is (PALI_MODEL).
 */
pali_status pl_snapshot_find(const char *out, pl_found_snapshot *found, pali_error *err);

/* The same for one snapshot by its own path (OUT/checkpoint-300, OUT/best): PALI_MODEL where it is damaged or none. */
pali_status pl_snapshot_open(const char *path, pl_found_snapshot *found, pali_error *err);

/* Its tensors into the list, as pl_state_read. */
pali_status pl_snapshot_read(const pl_found_snapshot *found, const pl_state_tensor *tensors, size_t count, pali_error *err);

void pl_found_snapshot_close(pl_found_snapshot *found);

/* For a table of snapshots: those in the folder by rising step, without looking into them. */
typedef struct pl_snapshot_entry {
    uint64_t step;
    bool last, best;
} pl_snapshot_entry;

/* *entries is new, released with free(). */
pali_status pl_snapshot_list(const char *out, pl_snapshot_entry **entries, size_t *count, pali_error *err);

#endif
