/* One line of output. */
#ifndef PL_BATCH_LINE_H
#define PL_BATCH_LINE_H

#include "batch/runner.h"

/* The JSON of what became of a row, without a newline; new, freed with free. Bytes of it depend on nothing but the answer (and, if asked for, its timings). */
char *pl_batch_line(const pl_outcome *outcome, bool timings, pali_error *err);

/* PALI_USAGE unless the line is that of the row. */
pali_status pl_batch_line_check(const json_t *line, const pl_row *row, pali_error *err);

#endif
