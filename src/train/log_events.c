/* Protocol buffers by hand: a tag is (field << 3) | kind; 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes. */
#include "train/log_events.h"

#include "base/checksum.h"

#include <stdlib.h>
#include <string.h>

enum {
    EVENT_WALL_TIME = 1 << 3 | 1,
    EVENT_STEP = 2 << 3 | 0,
    EVENT_FILE_VERSION = 3 << 3 | 2,
    EVENT_SUMMARY = 5 << 3 | 2,
    SUMMARY_VALUE = 1 << 3 | 2,
    VALUE_TAG = 1 << 3 | 2,
    VALUE_SIMPLE = 2 << 3 | 5,
    RECORD_HEAD = 12, /* length and its checksum */
    RECORD_TAIL = 4,
};

static uint32_t masked(const void *bytes, size_t size)
{
    const uint32_t checksum = pl_crc32c(0, bytes, size);
    return (checksum >> 15 | checksum << 17) + 0xa282ead8;
}

static pali_status put_little(pl_buffer *out, uint64_t value, size_t bytes, pali_error *err)
{
    unsigned char little[8];
    for (size_t i = 0; i < bytes; i++)
        little[i] = (unsigned char)(value >> 8 * i);
    return pl_buffer_append(out, little, bytes, err);
}

static uint64_t little(const unsigned char *at, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = bytes; i-- > 0;)
        value = value << 8 | at[i];
    return value;
}

static pali_status put_varint(pl_buffer *out, uint64_t value, pali_error *err)
{
    unsigned char bytes[10];
    size_t count = 0;
    do {
        bytes[count++] = (unsigned char)((value & 127) | (value > 127 ? 128 : 0));
        value >>= 7;
    } while (value);
    return pl_buffer_append(out, bytes, count, err);
}

static pali_status put_bytes(pl_buffer *out, unsigned tag, const void *bytes, size_t size, pali_error *err)
{
    pali_status status = put_varint(out, tag, err);
    if (status == PALI_OK)
        status = put_varint(out, size, err);
    return status == PALI_OK && size ? pl_buffer_append(out, bytes, size, err) : status;
}

static pali_status put_record(pl_buffer *out, const pl_buffer *event, pali_error *err)
{
    unsigned char length[8];
    for (size_t i = 0; i < 8; i++)
        length[i] = (unsigned char)((uint64_t)event->length >> 8 * i);
    pali_status status = pl_buffer_append(out, length, sizeof length, err);
    if (status == PALI_OK)
        status = put_little(out, masked(length, sizeof length), 4, err);
    if (status == PALI_OK)
        status = pl_buffer_append(out, event->data, event->length, err);
    return status == PALI_OK ? put_little(out, masked(event->data, event->length), 4, err) : status;
}

static pali_status put_time(pl_buffer *event, double wall, pali_error *err)
{
    uint64_t bits;
    memcpy(&bits, &wall, sizeof bits);
    const pali_status status = put_varint(event, EVENT_WALL_TIME, err);
    return status == PALI_OK ? put_little(event, bits, 8, err) : status;
}

pali_status pl_events_begin(pl_buffer *out, double wall, pali_error *err)
{
    static const char version[] = "brain.Event:2";
    pl_buffer event = {0};
    pali_status status = put_time(&event, wall, err);
    if (status == PALI_OK)
        status = put_bytes(&event, EVENT_FILE_VERSION, version, strlen(version), err);
    if (status == PALI_OK)
        status = put_record(out, &event, err);
    free(event.data);
    return status;
}

static pali_status put_scalar(pl_buffer *summary, const pl_scalar *scalar, pali_error *err)
{
    pl_buffer value = {0};
    uint32_t bits;
    memcpy(&bits, &scalar->value, sizeof bits);
    pali_status status = put_bytes(&value, VALUE_TAG, scalar->tag, strlen(scalar->tag), err);
    if (status == PALI_OK)
        status = put_varint(&value, VALUE_SIMPLE, err);
    if (status == PALI_OK)
        status = put_little(&value, bits, 4, err);
    if (status == PALI_OK)
        status = put_bytes(summary, SUMMARY_VALUE, value.data, value.length, err);
    free(value.data);
    return status;
}

pali_status pl_events_scalars(pl_buffer *out, uint64_t step, double wall, const pl_scalar *scalars, size_t count, pali_error *err)
{
    pl_buffer event = {0}, summary = {0};
    pali_status status = put_time(&event, wall, err);
    if (status == PALI_OK)
        status = put_varint(&event, EVENT_STEP, err);
    if (status == PALI_OK)
        status = put_varint(&event, step, err);
    for (size_t i = 0; status == PALI_OK && i < count; i++)
        status = put_scalar(&summary, &scalars[i], err);
    if (status == PALI_OK)
        status = put_bytes(&event, EVENT_SUMMARY, summary.data, summary.length, err);
    if (status == PALI_OK)
        status = put_record(out, &event, err);
    free(summary.data);
    free(event.data);
    return status;
}

static bool take_varint(const unsigned char **at, const unsigned char *end, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; *at < end && shift < 64; shift += 7) {
        const unsigned char byte = *(*at)++;
        *value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return true;
    }
    return false;
}

/* The step of an Event, 0 where it has none; false if it is no message. */
static bool step_of(const unsigned char *at, size_t size, uint64_t *step)
{
    const unsigned char *const end = at + size;
    *step = 0;
    while (at < end) {
        uint64_t tag, length;
        if (!take_varint(&at, end, &tag))
            return false;
        const unsigned kind = tag & 7;
        if (tag == EVENT_STEP)
            return take_varint(&at, end, step);
        if (kind == 0 && !take_varint(&at, end, &length))
            return false;
        if (kind == 2 && !take_varint(&at, end, &length))
            return false;
        const uint64_t skip = kind == 1 ? 8 : kind == 5 ? 4 : kind == 2 ? length : 0;
        if ((kind != 0 && kind != 1 && kind != 2 && kind != 5) || skip > (uint64_t)(end - at))
            return false;
        at += skip;
    }
    return true;
}

size_t pl_events_until(const void *bytes, size_t size, uint64_t step)
{
    const unsigned char *const begin = bytes;
    size_t at = 0;
    while (size - at >= RECORD_HEAD + RECORD_TAIL) {
        const unsigned char *const record = begin + at;
        const uint64_t length = little(record, 8);
        uint64_t found;
        if (little(record + 8, 4) != masked(record, 8) || length > size - at - RECORD_HEAD - RECORD_TAIL)
            break;
        if (little(record + RECORD_HEAD + length, 4) != masked(record + RECORD_HEAD, (size_t)length) || !step_of(record + RECORD_HEAD, (size_t)length, &found) || found > step)
            break;
        at += RECORD_HEAD + (size_t)length + RECORD_TAIL;
    }
    return at;
}
