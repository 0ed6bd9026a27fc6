/* Machines that are made up: trees of /proc, /sys and cgroups in a temporary folder. */
#ifndef TESTS_BASE_MADE_UP_H
#define TESTS_BASE_MADE_UP_H

extern char made_up_root[64];

/* Setup and teardown of a cmocka test: an empty tree. */
int made_up_begin(void **state);
int made_up_end(void **state);

/* Writes made_up_root/path, making the folders. */
void made_up_put(const char *path, const char *text);

#endif
