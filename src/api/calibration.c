/* pali_calibration_*: curves from scores to probabilities. */
#include "api/handles.h"

#include "answer/calibration.h"

pali_calibration *pali_calibration_open(const char *path, const pali_model *model, pali_error *err)
{
    pali_model_info info;
    if (pl_need(path, "pali_calibration_open", "path", err) != PALI_OK || pl_need(model, "pali_calibration_open", "model", err) != PALI_OK ||
        pali_model_describe(model, &info, err) != PALI_OK)
        return NULL;
    pali_calibration *const calibration = pl_calibration_open(path, err);
    if (!calibration || pl_calibration_check(calibration, &info, err) == PALI_OK)
        return calibration;
    pl_calibration_free(calibration);
    return NULL;
}

double pali_calibration_apply(const pali_calibration *calibration, pali_calibrated kind, const char *label, double score)
{
    const bool known = calibration && (size_t)kind < PALI_CALIBRATED_KINDS;
    return known ? pl_calibration_apply(calibration, kind, label, score) : score;
}

void pali_calibration_free(pali_calibration *calibration)
{
    pl_calibration_free(calibration);
}
