#include "support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

char rows_path[64], output_path[64], notes_path[64];
static char folder[32];

const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/pali-batch-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    strcpy(rows_path, in_folder("rows.jsonl"));
    strcpy(output_path, in_folder("out.jsonl"));
    strcpy(notes_path, in_folder("out.jsonl.run"));
    return 0;
}

int remove_folder(void **state)
{
    (void)state;
    forget_output();
    unlink(rows_path);
    return rmdir(folder);
}

void write_bytes(const char *path, const char *bytes, size_t size)
{
    FILE *const file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

void write_text(const char *path, const char *text)
{
    write_bytes(path, text, strlen(text));
}

char *read_text(const char *path, size_t *size)
{
    FILE *const file = fopen(path, "rb");
    size_t used = 0, capacity = 1 << 16;
    char *text = malloc(capacity);
    assert_non_null(text);
    for (size_t got; file && (got = fread(text + used, 1, capacity - used - 1, file)) > 0;) {
        used += got;
        if (used + 1 == capacity)
            text = realloc(text, capacity *= 2);
        assert_non_null(text);
    }
    text[used] = '\0';
    if (file)
        fclose(file);
    if (size)
        *size = used;
    return text;
}

void forget_output(void)
{
    unlink(output_path);
    unlink(notes_path);
}

char *mixed_rows(size_t count)
{
    char *const text = calloc(count + 1, 512), *end = text, here[256];
    assert_non_null(text);
    assert_non_null(getcwd(here, sizeof here));
    static const char *const prompts[] = {"caption en", "detect cat ; dog", "", "answer en what is on the table?", "ocr"};
    for (size_t i = 0; i < count; i++) {
        const char *const picture = i / 2 % 3 == 1 ? "b" : "a";
        if (i % 11 == 7)
            end += sprintf(end, "{\"image\": \"none-%zu.png\", \"prompt\": \"ocr\", \"id\": %zu}\n", i, i);
        else if (i % 11 == 9)
            end += sprintf(end, "no JSON\n\n  \t\n");
        else if (i % 5 == 4)
            end += sprintf(end, "{\"id\": [%zu], \"image\": [\"%s/" PICTURES "a.png\", \"%s/" PICTURES "%s.png\"], \"prefix\": \"%s\"}\n", i, here, here, picture, prompts[i % 5]);
        else
            end += sprintf(end, "{\"id\": \"%zu\", \"image\": \"%s/" PICTURES "%s.png\", \"prompt\": \"%s\"}\n", i, here, picture, prompts[i % 5]);
    }
    return text;
}

pali_batch_report run_batch(pali_model *model, const pali_batch_options *options)
{
    pali_batch_report report = {.size = sizeof report};
    pali_error err = {0};
    if (pali_batch(model, rows_path, output_path, options, &report, &err) != PALI_OK)
        fail_msg("%s", err.message);
    return report;
}
