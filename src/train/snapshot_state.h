/*
 * Inside snapshots: the folder state/ of one, with sizes and checksums, so that
 * one that a disk has lost a part of is not taken for whole.
 */
#ifndef PL_TRAIN_SNAPSHOT_STATE_H
#define PL_TRAIN_SNAPSHOT_STATE_H

#include "train/snapshot.h"

#define PL_STATE_FOLDER "state"
#define PL_STATE_TENSORS "tensors.safetensors"

/* Makes state/ in the folder `path`. */
pali_status pl_snapshot_state_write(const char *path, const pl_snapshot *snapshot, pali_error *err);

/* Reads state.json of a snapshot and checks its files; *notes is new. PALI_MODEL where something is missing or damaged. */
pali_status pl_snapshot_state_check(const char *path, uint64_t *step, json_t **notes, pali_error *err);

#endif
