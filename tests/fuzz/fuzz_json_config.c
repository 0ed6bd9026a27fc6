/* Fuzz target: any bytes as a configuration file, asked for fields of every kind. */
#include "formats/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const fields[] = {"a", "text_config", "text_config.hidden_size", "text_config.rope.theta", "vision_config.image_size",
        "image_mean", "model_type", "a.b.c.d", "size.height", "", ".", "..", "text_config."};
    pl_json *json = pl_json_open_memory(data, size, "input", NULL);
    for (size_t i = 0; json && i < sizeof fields / sizeof *fields; i++) {
        pali_error err = {0};
        size_t whole;
        int64_t integer;
        double number, three[3];
        bool flag;
        const char *string;
        (void)pl_json_has(json, fields[i]);
        (void)pl_json_is_null(json, fields[i]);
        (void)pl_json_get_size(json, fields[i], &whole, &err);
        (void)pl_json_get_i64(json, fields[i], &integer, &err);
        (void)pl_json_get_f64(json, fields[i], &number, &err);
        (void)pl_json_get_f64s(json, fields[i], three, 3, &err);
        (void)pl_json_get_bool(json, fields[i], &flag, &err);
        (void)pl_json_get_string(json, fields[i], &string, &err);
        (void)pl_json_refuse(json, fields[i], "something", &err);
    }
    pl_json_close(json);
    return 0;
}
