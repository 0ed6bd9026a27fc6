/* Fuzz target: any bytes as a calibration file, applied where it can be read. */
#include "answer/calibration.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pali_error err = {0};
    pali_calibration *const calibration = pl_calibration_open_memory(data, size, "input", &err);
    if (!calibration != (err.status == PALI_MODEL))
        abort();
    for (int kind = 0; calibration && kind < PALI_CALIBRATED_KINDS; kind++) {
        double last = 0;
        for (int i = 0; i <= 20 && pl_calibration_has(calibration, (pali_calibrated)kind); i++) {
            const double p = pl_calibration_apply(calibration, (pali_calibrated)kind, "cat", i / 20.0);
            if (!(p >= last && p <= 1)) /* rises, and is a probability */
                abort();
            last = p;
        }
    }
    pl_calibration_free(calibration);
    return 0;
}
