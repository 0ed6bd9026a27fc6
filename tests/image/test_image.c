/* Pictures: decoding, refusing, resizing and preprocessing against published values; encoding read back. */
#include "support.h"

int main(void)
{
    return run_decode_tests() + run_refuse_tests() + run_resize_tests() + run_preprocess_tests() + run_encode_tests() + run_preview_tests();
}
