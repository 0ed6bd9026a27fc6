/* Maps, reads and whole-or-nothing writes, against each way in which a path can be wrong. */
#include "base/file.h"
#include "base/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/pali-file-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[4][320];
    static size_t turn;
    char *out = path[turn++ % 4];
    snprintf(out, sizeof path[0], "%s/%s", folder, name);
    return out;
}

static size_t files_in_folder(void)
{
    size_t count = 0;
    DIR *listing = opendir(folder);
    assert_non_null(listing);
    for (struct dirent *entry; (entry = readdir(listing));)
        count += entry->d_name[0] != '.';
    closedir(listing);
    return count;
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    DIR *listing = opendir(folder);
    for (struct dirent *entry; (entry = readdir(listing));)
        if (entry->d_name[0] != '.' && unlink(in_folder(entry->d_name)) != 0)
            rmdir(in_folder(entry->d_name));
    closedir(listing);
    return rmdir(folder);
}

/* Of a folder that is there, and of one that is to be made below it: the same disk. */
static void room_of_a_folder(void **state)
{
    (void)state;
    const uint64_t room = pl_folder_room(folder);
    assert_true(room < UINT64_MAX);
    const uint64_t below = pl_folder_room(in_folder("not/made/yet")), here = pl_folder_room("not-made-yet/either");
    assert_true(below > room / 2 && below < UINT64_MAX && here < UINT64_MAX);
    assert_true(pl_folder_room(in_folder("not/made/yet/")) < UINT64_MAX && pl_folder_room("/not-made-yet") < UINT64_MAX && pl_folder_room("") < UINT64_MAX);
}

static void written_mapped_and_read_back(void **state)
{
    (void)state;
    pali_error err = {0};
    static unsigned char bytes[100000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 31 >> 3);
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, sizeof bytes};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const char *path = in_folder("weights");
        assert_int_equal(pl_file_write(path, bytes, sizes[i], &err), PALI_OK); /* also over the last one */

        pl_map map;
        assert_int_equal(pl_map_open(&map, path, PALI_MODEL, &err), PALI_OK);
        assert_int_equal(map.size, sizes[i]);
        assert_string_equal(map.path, path);
        assert_true((map.data == NULL) == (sizes[i] == 0));
        if (map.size)
            assert_memory_equal(map.data, bytes, sizes[i]);
        /* Advice may be given about any range; what is dropped comes back. */
        pl_map_will_need(&map, 0, SIZE_MAX);
        pl_map_will_need(&map, sizes[i], 10);
        pl_map_drop(&map, 5000, 10);
        pl_map_drop(&map, SIZE_MAX, SIZE_MAX);
        pl_map_drop(&map, 1, SIZE_MAX);
        if (map.size)
            assert_memory_equal(map.data, bytes, sizes[i]);
        pl_map_close(&map);
        assert_null(map.data);
        pl_map_close(&map);

        size_t size = 99;
        char *text = pl_file_read(path, sizes[i], &size, PALI_INPUT, &err); /* the limit itself is allowed */
        assert_non_null(text);
        assert_int_equal(size, sizes[i]);
        assert_memory_equal(text, bytes, size);
        assert_int_equal(text[size], '\0');
        free(text);
    }
    assert_int_equal(files_in_folder(), 1); /* no temporary file stays */
}

static void assert_not_read(const char *path, const char *reason)
{
    for (pali_status status = PALI_MODEL; status <= PALI_INPUT; status++) {
        pali_error err = {0};
        pl_map map;
        assert_int_equal(pl_map_open(&map, path, status, &err), status);
        assert_int_equal(err.status, status);
        assert_ptr_equal(strstr(err.message, path), err.message);
        assert_non_null(strstr(err.message, reason));
        assert_null(map.data);
        assert_null(map.path);

        err = (pali_error){0};
        size_t size;
        assert_null(pl_file_read(path, 1000, &size, status, &err));
        assert_int_equal(err.status, status);
        assert_ptr_equal(strstr(err.message, path), err.message);
        assert_non_null(strstr(err.message, reason));
    }
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    assert_not_read(in_folder("missing"), "No such file");
    assert_not_read(in_folder("missing/too"), "No such file");
    assert_not_read(folder, "found a folder, expected a regular file");
    assert_not_read("/dev/null", "found a special file, expected a regular file");
    const char *pipe = in_folder("pipe");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_not_read(pipe, "found a special file, expected a regular file"); /* and does not wait for a writer */
    assert_int_equal(unlink(pipe), 0);
}

static void larger_than_the_limit_is_refused_unread(void **state)
{
    (void)state;
    pali_error err = {0};
    const char *path = in_folder("large");
    assert_int_equal(pl_file_write(path, "12345", 5, &err), PALI_OK);
    size_t size;
    assert_null(pl_file_read(path, 4, &size, PALI_INPUT, &err));
    assert_int_equal(err.status, PALI_INPUT);
    assert_non_null(strstr(err.message, "found 5 bytes, expected at most 4"));
    /* A hole of many terabytes: memory is not even asked for. */
    assert_int_equal(truncate(path, (off_t)1 << 42), 0);
    assert_null(pl_file_read(path, 1 << 20, &size, PALI_INPUT, &err));
    assert_int_equal(err.status, PALI_INPUT);
    assert_int_equal(unlink(path), 0);
}

static char *read_standard_input(const char *bytes, size_t length, size_t limit, size_t *size, pali_error *err)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], bytes, length), length);
    close(ends[1]);
    const int kept = dup(STDIN_FILENO);
    dup2(ends[0], STDIN_FILENO);
    char *text = pl_file_read("-", limit, size, PALI_INPUT, err);
    dup2(kept, STDIN_FILENO);
    close(kept);
    close(ends[0]);
    return text;
}

static void a_dash_is_standard_input(void **state)
{
    (void)state;
    pali_error err = {0};
    size_t size;
    char bytes[5000];
    memset(bytes, 'i', sizeof bytes);
    char *text = read_standard_input(bytes, sizeof bytes, sizeof bytes, &size, &err);
    assert_non_null(text);
    assert_int_equal(size, sizeof bytes);
    assert_memory_equal(text, bytes, size);
    assert_int_equal(text[size], '\0');
    free(text);
    assert_null(read_standard_input(bytes, sizeof bytes, sizeof bytes - 1, &size, &err));
    assert_int_equal(err.status, PALI_INPUT);
    assert_non_null(strstr(err.message, "expected at most"));
}

static void a_failed_write_leaves_what_was_there(void **state)
{
    (void)state;
    pali_error err = {0};
    const size_t files = files_in_folder();
    assert_int_equal(pl_file_write(in_folder("missing/out"), "x", 1, &err), PALI_FAILED);
    assert_non_null(strstr(err.message, "missing/out: cannot write: No such file"));
    assert_int_equal(pl_file_write(folder, "x", 1, &err), PALI_FAILED);
    assert_non_null(strstr(err.message, "it is a folder"));

    /* A disk that is full half-way: no file may become longer than 1,000 bytes. */
    const char *path = in_folder("kept");
    static const char bytes[4000];
    assert_int_equal(pl_file_write(path, "before", 6, &err), PALI_OK);
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    const struct rlimit small = {.rlim_cur = 1000, .rlim_max = limit.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    const pali_status status = pl_file_write(path, bytes, sizeof bytes, &err);
    setrlimit(RLIMIT_FSIZE, &limit);
    assert_int_equal(status, PALI_FAILED);
    assert_non_null(strstr(err.message, "kept: cannot write: File too large"));
    size_t size;
    char *text = pl_file_read(path, 100, &size, PALI_INPUT, &err);
    assert_non_null(text);
    assert_string_equal(text, "before");
    free(text);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(files_in_folder(), files); /* nor does half a file stay */
}

/* A rename onto a device would replace it by a file: as root, /dev/null itself. */
static void a_pipe_is_written_to_not_replaced(void **state)
{
    (void)state;
    pali_error err = {0};
    const char *path = in_folder("pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    const int reader = open(path, O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    assert_int_equal(pl_file_write(path, "through", 7, &err), PALI_OK);
    char got[8] = "";
    assert_int_equal(read(reader, got, sizeof got), 7);
    assert_string_equal(got, "through");
    close(reader);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_true(S_ISFIFO(info.st_mode));
    assert_int_equal(unlink(path), 0);
}

static void files_folders_and_paths(void **state)
{
    (void)state;
    pali_error err = {0};
    const char *path = in_folder("there");
    assert_int_equal(pl_file_write(path, "", 0, &err), PALI_OK);
    assert_true(pl_is_file(path));
    assert_false(pl_is_folder(path));
    assert_true(pl_is_folder(folder));
    assert_false(pl_is_file(folder));
    assert_false(pl_is_file("/dev/null"));
    assert_false(pl_is_file(in_folder("missing")));
    assert_false(pl_is_folder(in_folder("missing")));

    static const char *const joined[][3] = {{"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"/", "b", "/b"}, {"", "b", "/b"}};
    for (size_t i = 0; i < 3; i++) {
        char *whole = pl_path_join(joined[i][0], joined[i][1], &err);
        assert_string_equal(whole, joined[i][2]);
        free(whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(room_of_a_folder),
        cmocka_unit_test(written_mapped_and_read_back),
        cmocka_unit_test(what_is_no_file_is_refused),
        cmocka_unit_test(larger_than_the_limit_is_refused_unread),
        cmocka_unit_test(a_dash_is_standard_input),
        cmocka_unit_test(a_failed_write_leaves_what_was_there),
        cmocka_unit_test(a_pipe_is_written_to_not_replaced),
        cmocka_unit_test(files_folders_and_paths),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
