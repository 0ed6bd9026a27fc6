#include "model/save_items.h"

pali_status pl_save_npz(pl_saving *saving, const char *path, pali_error *err)
{
    (void)saving;
    return pl_fail(err, PALI_FAILED, "%s: not written yet", path);
}
