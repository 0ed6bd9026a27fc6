/* Inside reports: text made safe for HTML, and curves over steps as SVG. */
#ifndef PL_TRAIN_REPORT_CHART_H
#define PL_TRAIN_REPORT_CHART_H

#include "base/text.h"

/* Appends text with what HTML would take for its own escaped, also in attributes; what is no UTF-8, or no character of XML, becomes U+FFFD. */
pali_status pl_html_text(pl_buffer *html, const char *text, pali_error *err);

typedef struct pl_curve {
    const char *name;
    const double *values; /* every `stride`-th, as are the steps */
} pl_curve;

typedef struct pl_chart {
    const char *title;
    const double *steps;    /* [count], `stride` apart */
    size_t count, stride;
    const pl_curve *curves; /* [curve_count], values that are not finite left out */
    size_t curve_count;
    bool log_scale;         /* where all values are positive, and not of one size */
} pl_chart;

/* Appends a <figure>, or nothing where there is no value. Many values are shown faint, with their running mean. */
pali_status pl_chart_append(const pl_chart *chart, pl_buffer *html, pali_error *err);

#endif
