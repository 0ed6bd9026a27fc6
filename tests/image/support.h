/* What the tests of pictures share: files, checksums, the synthetic picture, the golden table. */
#ifndef PALI_TESTS_IMAGE_SUPPORT_H
#define PALI_TESTS_IMAGE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "image/resize.h"

#define IMAGE_DATA "tests/data/image/"
#define IMAGE_PHOTOS "../shared/data/images/"

/* The parts of test_image, each run as a group of its own. */
int run_decode_tests(void);
int run_refuse_tests(void);
int run_resize_tests(void);
int run_preprocess_tests(void);
int run_encode_tests(void);
int run_preview_tests(void);

/* The kernels of a level (NULL: the best there is), with three threads; stays until the program ends. */
const pl_hands *hands_of(const char *level);

/* CRC-32 as in zlib and Python's zlib.crc32. */
uint32_t crc32_of(const void *bytes, size_t size);
uint32_t image_crc(const pl_image *image);

/* A file's bytes in a heap block of exactly its size; fails the test when missing. */
unsigned char *read_bytes(const char *folder, const char *name, size_t *size);

/* v(x,y,c) = (37x + 59y + 101c + 13*((x*y) mod 17)) mod 256; the caller frees it. */
pl_image synthetic_image(size_t width, size_t height);

/* Reads a table of one record a line; calls `row` with the words of each whose first word is `kind`. Returns their number. */
enum { MAX_WORDS = 16 };
size_t for_each_golden(const char *file, const char *kind, void (*row)(char **words, size_t count, void *context), void *context);

#endif
