/* Fuzz target: any bytes as the rows of a batch, each read as a question. */
#include "batch/rows.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const pl_row_defaults defaults[] = {{0}, {.prompt = "caption en", .frames = 2, .stride = 3}};
    char *const text = malloc(size + 1);
    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    pl_row_file file = {0};
    (void)pl_row_file_take(&file, text, size, 1 + size % 2, 2, NULL);
    pl_row before = {0};
    for (size_t i = 0; i < file.count; i++) {
        pl_row row;
        pali_error err = {0};
        const pali_status status = pl_row_read(&file, i, &defaults[i % 2], &row, &err);
        if (status == PALI_OK) {
            for (size_t image = 0; image < pl_row_image_count(&row); image++)
                if (pl_row_path_of(&row, image) >= row.path_count)
                    abort();
            if (!pl_row_same_images(&row, &row) || !row.prompt)
                abort();
            (void)pl_row_same_images(&before, &row);
            pl_row_free(&before);
            before = row;
        } else {
            if (!err.message[0])
                abort();
            pl_row_free(&row);
        }
    }
    pl_row_free(&before);
    pl_row_file_close(&file);
    return 0;
}
