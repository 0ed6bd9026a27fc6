/* All rows looked through before a step is made: how many pictures, how long the texts. */
#include "train/example.h"

#include "formats/jsonl.h"
#include "train/row_pictures.h"
#include "train/row_text.h"

#include <stdlib.h>

/* Every answer that a row has, as ids. */
static pali_status survey_texts(const pl_dataset *dataset, pl_place place, const json_t *row, pl_data_survey *survey, double *ids, pali_error *err)
{
    const pl_data_options *const o = pl_dataset_options(dataset);
    pali_status status = PALI_OK;
    size_t count = 1;
    for (size_t i = 0; status == PALI_OK && i < count; i++) {
        pl_scene scene = {.unseen = true};
        pl_row_text text = {0};
        status = pl_row_text_read(dataset, place, row, &scene, i, &text, err);
        pl_example example = {.prefix = text.prefix, .suffix = text.suffix};
        if (status == PALI_OK)
            status = pl_example_encode(o, &example, err);
        if (status == PALI_OK) {
            survey->texts++;
            survey->truncated += example.cut > 0;
            survey->silent += example.prefix_count >= example.count;
            survey->ids_most = pl_max(survey->ids_most, example.count);
            *ids += (double)example.count;
            count = text.alternatives;
        }
        free(example.ids);
        pl_row_text_free(&text);
    }
    return status;
}

/* Has a row what its texts are made of? */
static pali_status find_texts(const pl_dataset *dataset, pl_place place, const json_t *row, pali_error *err)
{
    pl_scene scene = {.unseen = true};
    pl_row_text text = {0};
    const pali_status status = pl_row_text_read(dataset, place, row, &scene, 0, &text, err);
    pl_row_text_free(&text);
    return status;
}

/* Pictures are counted, or texts, or both; a row's texts are looked for in any case. */
typedef struct wanted {
    bool pictures, texts;
} wanted;

static pali_status survey_row(const pl_dataset *dataset, pl_place place, wanted want, pl_data_survey *survey, double *ids, pali_error *err)
{
    size_t length;
    char *const line = pl_dataset_read(dataset, place.source, place.row, &length, err);
    if (!line)
        return pl_status_of(err, PALI_FAILED);
    json_t *row = NULL;
    pl_row_pictures pictures = {0};
    pali_status status = pl_jsonl_parse(line, length, &row, err);
    free(line);
    if (status == PALI_OK)
        status = pl_row_pictures_read(dataset, place.source, row, &pictures, err);
    if (status == PALI_OK && want.pictures)
        status = pl_row_pictures_find(dataset, place.source, &pictures, err);
    if (status == PALI_OK)
        status = want.texts ? survey_texts(dataset, place, row, survey, ids, err) : find_texts(dataset, place, row, err);
    if (status == PALI_OK && want.texts && pl_dataset_options(dataset)->form == PL_DATA_PREFIX_LM)
        survey->patches |= json_object_get(row, "patches") != NULL;
    if (want.pictures) {
        survey->rows++;
        if (status == PALI_INPUT && survey->bad++ == 0) {
            survey->first_bad = *err;
            pl_error_prefix(&survey->first_bad, "%s:%zu", pl_dataset_path(dataset, place.source), pl_dataset_line(dataset, place.source, place.row));
        }
        if (status == PALI_OK) {
            survey->pictures += pl_row_pictures_count(&pictures);
            survey->pictures_most = pl_max(survey->pictures_most, pl_row_pictures_count(&pictures));
        }
    }
    free(pictures.names);
    json_decref(row);
    return status == PALI_INPUT ? PALI_OK : status; /* a bad row is that row's own matter, and its turn's */
}

pali_status pl_dataset_survey(const pl_dataset *dataset, size_t texts, pl_data_survey *survey, pali_error *err)
{
    *survey = (pl_data_survey){0};
    const size_t sources = pl_dataset_options(dataset)->source_count;
    uint64_t rows = 0;
    for (size_t source = 0; source < sources; source++)
        rows += pl_dataset_rows(dataset, source);
    const bool all = texts >= rows;
    double ids = 0;
    pali_error why = {0};
    pali_status status = PALI_OK;
    for (size_t source = 0; status == PALI_OK && source < sources; source++)
        for (size_t row = 0; status == PALI_OK && row < pl_dataset_rows(dataset, source); row++)
            status = survey_row(dataset, (pl_place){.source = source, .row = row}, (wanted){.pictures = true, .texts = all}, survey, &ids, &why);
    for (uint64_t n = 0; status == PALI_OK && !all && n < texts; n++) /* a sample in the order of the run */
        status = survey_row(dataset, pl_dataset_place(dataset, n), (wanted){.texts = true}, survey, &ids, &why);
    survey->complete = all;
    survey->ids_mean = survey->texts ? ids / (double)survey->texts : 0;
    if (status != PALI_OK && err)
        *err = why;
    return status;
}
