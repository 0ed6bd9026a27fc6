/*
 * TensorBoard's event files: TFRecords (length, its masked CRC-32C, bytes,
 * their masked CRC-32C; tensorflow/core/lib/io/record_writer.h) of Event
 * messages (tensorboard/compat/proto/event.proto), of which scalars are made here.
 */
#ifndef PL_TRAIN_LOG_EVENTS_H
#define PL_TRAIN_LOG_EVENTS_H

#include "base/text.h"

typedef struct pl_scalar {
    const char *tag;
    float value;
} pl_scalar;

/* Appends the record that a file begins with. */
pali_status pl_events_begin(pl_buffer *out, double wall, pali_error *err);

/* Appends one record with all scalars of a step. */
pali_status pl_events_scalars(pl_buffer *out, uint64_t step, double wall, const pl_scalar *scalars, size_t count, pali_error *err);

/* How many bytes of a file are whole records up to and with `step`; the rest is to be cut off. */
size_t pl_events_until(const void *bytes, size_t size, uint64_t step);

#endif
