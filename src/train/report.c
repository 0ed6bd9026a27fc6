/*
 * The page is built in memory and written at once. Everything that comes from
 * outside goes through pl_html_text; pictures become small JPEGs in data: URIs.
 */
#include "train/report.h"

#include "answer/location.h"
#include "base/file.h"
#include "image/encode.h"
#include "image/preview.h"
#include "train/report_chart.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PICTURE_SIDE = 320, PICTURE_QUALITY = 85 };

/* Colours of boxes: what was to be said, what was. */
#define EXPECTED "c2"
#define ANSWERED "c1"

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n";

static const char style[] =
    "<style>\n"
    ":root{color-scheme:light dark;--page:#fff;--card:#f6f7f9;--text:#1b1f24;--quiet:#5d6672;--rule:#dfe3e8;--c0:#2563c9;--c1:#c2570c;--c2:#15803d;--c3:#8b3fc4;--c4:#b4233c;--c5:#0e7c86}\n"
    "@media(prefers-color-scheme:dark){:root{--page:#14171b;--card:#1d2127;--text:#e6e9ed;--quiet:#99a3af;--rule:#323841;--c0:#7db0ff;--c1:#f5a25d;--c2:#67cf8b;--c3:#cb9bf5;--c4:#f58a9b;--c5:#5fd0da}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;padding:2rem 1.25rem 4rem;max-width:75rem;background:var(--page);color:var(--text);font:16px/1.5 system-ui,sans-serif}\n"
    "h1{font-size:1.6rem;margin:0 0 1rem;overflow-wrap:anywhere}h2{font-size:1.15rem;margin:2.5rem 0 .75rem}\n"
    ".state{font-size:.85rem;font-weight:600;vertical-align:.25em;margin-left:.5rem;padding:.15rem .6rem;border:1px solid var(--rule);border-radius:1rem;color:var(--quiet)}\n"
    ".facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(13rem,1fr));gap:.25rem 1.5rem;margin:0}\n"
    ".facts div{padding:.35rem 0;border-bottom:1px solid var(--rule)}dt{color:var(--quiet);font-size:.85rem}dd{margin:0;overflow-wrap:anywhere}\n"
    ".curves{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(28rem,100%),1fr));gap:1.25rem}\n"
    "figure{margin:0;padding:.75rem 1rem;background:var(--card);border-radius:.5rem}figcaption{display:flex;flex-wrap:wrap;gap:.1rem 1rem;margin-bottom:.25rem}\n"
    ".key{font-size:.9rem;color:var(--quiet)}.key b{color:var(--text);font-variant-numeric:tabular-nums}.key::before{content:\"\";display:inline-block;width:.9em;height:.2em;margin-right:.4em;vertical-align:.25em;background:var(--c)}\n"
    ".c0{--c:var(--c0)}.c1{--c:var(--c1)}.c2{--c:var(--c2)}.c3{--c:var(--c3)}.c4{--c:var(--c4)}.c5{--c:var(--c5)}\n"
    "svg{display:block;width:100%;height:auto}svg text{fill:var(--quiet);font:12px system-ui,sans-serif}.grid{stroke:var(--rule)}\n"
    "polyline{fill:none;stroke:var(--c);stroke-linejoin:round}.line{stroke-width:2}.raw{stroke-width:1;opacity:.3}circle{fill:var(--c)}\n"
    ".samples{display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));gap:1.25rem}\n"
    ".sample{padding:.75rem;background:var(--card);border-radius:.5rem}.sample svg{max-height:20rem;margin-bottom:.5rem}\n"
    ".box{fill:none;stroke:var(--c);stroke-width:2.5;vector-effect:non-scaling-stroke}.box.c2{stroke-dasharray:6 4}.sample dt.key::before{height:.7em;vertical-align:-.05em}\n"
    ".sample dt{margin-top:.35rem}.sample dd,pre{white-space:pre-wrap}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse}th,td{padding:.35rem 1.25rem .35rem 0;text-align:left;border-bottom:1px solid var(--rule)}th{color:var(--quiet);font-weight:500;font-size:.85rem}td.n{text-align:right;font-variant-numeric:tabular-nums}\n"
    "pre{margin:0;padding:1rem;background:var(--card);border-radius:.5rem;overflow-x:auto;font:.85rem/1.5 ui-monospace,monospace}\n"
    "</style>\n";

static pali_status put(pl_buffer *html, const char *markup, pali_error *err)
{
    return pl_buffer_append(html, markup, strlen(markup), err);
}

/* Markup, text, markup. */
static pali_status put_text(pl_buffer *html, const char *before, const char *text, const char *after, pali_error *err)
{
    pali_status status = put(html, before, err);
    if (status == PALI_OK)
        status = pl_html_text(html, text, err);
    return status == PALI_OK ? put(html, after, err) : status;
}

static pali_status put_top(const pl_report *report, pl_buffer *html, pali_error *err)
{
    const char *const title = report->title ? report->title : "Training";
    pali_status status = put(html, head, err);
    if (status == PALI_OK)
        status = put_text(html, "<title>", title, "</title>\n", err);
    if (status == PALI_OK)
        status = put(html, style, err);
    if (status == PALI_OK)
        status = put_text(html, "</head>\n<body>\n<h1>", title, "", err);
    if (status == PALI_OK && report->state)
        status = put_text(html, " <span class=\"state\">", report->state, "</span>", err);
    if (status == PALI_OK)
        status = put(html, "</h1>\n<dl class=\"facts\">\n", err);
    for (size_t i = 0; status == PALI_OK && i < report->fact_count; i++) {
        status = put_text(html, "<div><dt>", report->facts[i].name, "</dt>", err);
        if (status == PALI_OK)
            status = put_text(html, "<dd>", report->facts[i].value, "</dd></div>\n", err);
    }
    return status == PALI_OK ? put(html, "</dl>\n", err) : status;
}

/* ---- Curves ----------------------------------------------------------- */

static const double *column_of(const pl_log_table *table, const char *name)
{
    for (size_t c = 1; c < table->columns; c++)
        if (strcmp(table->names[c], name) == 0)
            return table->values + c;
    return NULL;
}

/* The chart that column `first` begins: all columns with its title. */
static pali_status put_chart(const pl_report *report, const pl_log_table *table, size_t first, pl_buffer *html, pali_error *err)
{
    const char *const title = report->columns[first].chart;
    pl_curve *const curves = pl_new(report->column_count, sizeof *curves, "charts", err);
    size_t count = 0;
    for (size_t c = first; curves && c < report->column_count; c++) {
        const pl_log_column *const column = &report->columns[c];
        const double *const values = column->chart && strcmp(column->chart, title) == 0 ? column_of(table, column->name) : NULL;
        if (values)
            curves[count++] = (pl_curve){.name = column->name, .values = values};
    }
    const pl_chart chart = {.title = title, .steps = table->values, .count = table->rows, .stride = table->columns, .curves = curves, .curve_count = count,
                            .log_scale = report->columns[first].log_scale};
    const pali_status status = curves ? pl_chart_append(&chart, html, err) : PALI_MEMORY;
    free(curves);
    return status;
}

/* Has a column before this one the same chart? */
static bool is_drawn(const pl_report *report, size_t column)
{
    bool drawn = false;
    for (size_t c = 0; c < column && !drawn; c++)
        drawn = report->columns[c].chart && strcmp(report->columns[c].chart, report->columns[column].chart) == 0;
    return drawn;
}

static pali_status put_curves(const pl_report *report, pl_buffer *html, pali_error *err)
{
    pl_log_table table;
    if (!report->metrics || !pl_is_file(report->metrics))
        return PALI_OK;
    pali_status status = pl_log_read(report->metrics, &table, err);
    if (status != PALI_OK)
        return status;
    status = put(html, "<h2>Curves</h2>\n<div class=\"curves\">\n", err);
    for (size_t c = 0; status == PALI_OK && c < report->column_count; c++)
        if (report->columns[c].chart && !is_drawn(report, c))
            status = put_chart(report, &table, c, html, err);
    if (status == PALI_OK)
        status = put(html, "</div>\n", err);
    pl_log_table_free(&table);
    return status;
}

/* ---- Samples ---------------------------------------------------------- */

/* Frames around what an answer says is there, over a picture of this size. */
static pali_status put_boxes(const char *answer, size_t width, size_t height, const char *color, pl_buffer *html, pali_error *err)
{
    pl_location_list found = {0};
    pali_status status = answer ? pl_locations_of_text(answer, &found, err) : PALI_OK;
    for (size_t i = 0; status == PALI_OK && i < found.count; i++) {
        const pali_box b = found.items[i].box;
        if (found.items[i].valid)
            status = pl_buffer_printf(html, err, "<rect class=\"box %s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>\n", color, (double)b.x1 * (double)width,
                                      (double)b.y1 * (double)height, (double)(b.x2 - b.x1) * (double)width, (double)(b.y2 - b.y1) * (double)height);
    }
    pl_location_list_free(&found);
    return status;
}

static pali_status put_picture(const pl_report_sample *sample, pl_buffer *html, pali_error *err)
{
    static const pl_encode_options jpeg = {.format = PL_FORMAT_JPEG, .quality = PICTURE_QUALITY};
    pl_image small = {0};
    pl_buffer bytes = {0};
    pali_status status = pl_image_fit(sample->picture, PICTURE_SIDE, PICTURE_SIDE, &small, err);
    if (status == PALI_OK) {
        const pl_raster raster = pl_raster_of(&small);
        status = pl_image_encode(&raster, &jpeg, "picture", &bytes, err);
    }
    if (status == PALI_OK)
        status = pl_buffer_printf(html, err, "<svg viewBox=\"0 0 %zu %zu\" role=\"img\"", small.width, small.height);
    if (status == PALI_OK)
        status = put_text(html, " aria-label=\"", sample->prefix ? sample->prefix : sample->score ? sample->score : "sample", "\"><image width=\"100%\" height=\"100%\" href=\"data:image/jpeg;base64,", err);
    if (status == PALI_OK)
        status = pl_base64_append(html, (const unsigned char *)bytes.data, bytes.length, err);
    if (status == PALI_OK)
        status = put(html, "\"/>\n", err);
    if (status == PALI_OK)
        status = put_boxes(sample->expected, small.width, small.height, EXPECTED, html, err);
    if (status == PALI_OK)
        status = put_boxes(sample->answer, small.width, small.height, ANSWERED, html, err);
    if (status == PALI_OK)
        status = put(html, "</svg>\n", err);
    free(bytes.data);
    pl_image_free(&small);
    return status;
}

static pali_status put_sample(const pl_report_sample *sample, pl_buffer *html, pali_error *err)
{
    const struct {
        const char *before, *value;
    } lines[] = {{"<dt>Prompt</dt><dd>", sample->prefix},
                 {"<dt class=\"key " EXPECTED "\">Expected</dt><dd>", sample->expected},
                 {"<dt class=\"key " ANSWERED "\">Answer</dt><dd>", sample->answer},
                 {"<dt>Score</dt><dd>", sample->score}};
    pali_status status = put(html, "<div class=\"sample\">\n", err);
    if (status == PALI_OK && sample->picture)
        status = put_picture(sample, html, err);
    if (status == PALI_OK)
        status = put(html, "<dl>", err);
    for (size_t i = 0; status == PALI_OK && i < sizeof lines / sizeof *lines; i++)
        if (lines[i].value)
            status = put_text(html, lines[i].before, lines[i].value, "</dd>", err);
    return status == PALI_OK ? put(html, "</dl>\n</div>\n", err) : status;
}

static pali_status put_samples(const pl_report *report, pl_buffer *html, pali_error *err)
{
    if (!report->sample_count)
        return PALI_OK;
    pali_status status = pl_buffer_printf(html, err, "<h2>Samples at step %llu</h2>\n<div class=\"samples\">\n", (unsigned long long)report->samples_step);
    for (size_t i = 0; status == PALI_OK && i < report->sample_count; i++)
        status = put_sample(&report->samples[i], html, err);
    return status == PALI_OK ? put(html, "</div>\n", err) : status;
}

/* ---- Checkpoints and recipe ------------------------------------------- */

static pali_status put_snapshots(const pl_report *report, pl_buffer *html, pali_error *err)
{
    if (!report->snapshot_count)
        return PALI_OK;
    pali_status status = put(html, "<h2>Checkpoints</h2>\n<div class=\"wide\"><table>\n<tr><th>Folder</th><th>Step</th><th>Held-out loss</th><th></th></tr>\n", err);
    for (size_t i = 0; status == PALI_OK && i < report->snapshot_count; i++) {
        const pl_report_snapshot *const s = &report->snapshots[i];
        char score[32] = "";
        if (!isnan(s->score))
            snprintf(score, sizeof score, "%.5g", s->score);
        status = put_text(html, "<tr><td>", s->name, "</td>", err);
        if (status == PALI_OK)
            status = pl_buffer_printf(html, err, "<td class=\"n\">%llu</td><td class=\"n\">%s</td><td>%s</td></tr>\n", (unsigned long long)s->step, score,
                                      s->last && s->best ? "last, best" : s->last ? "last" : s->best ? "best" : "");
    }
    return status == PALI_OK ? put(html, "</table></div>\n", err) : status;
}

pali_status pl_report_write(const pl_report *report, const char *path, pali_error *err)
{
    pl_buffer html = {0};
    pali_status status = put_top(report, &html, err);
    if (status == PALI_OK)
        status = put_curves(report, &html, err);
    if (status == PALI_OK)
        status = put_samples(report, &html, err);
    if (status == PALI_OK)
        status = put_snapshots(report, &html, err);
    if (status == PALI_OK && report->recipe)
        status = put_text(&html, "<h2>Recipe</h2>\n<pre>", report->recipe, "</pre>\n", err);
    if (status == PALI_OK)
        status = put(&html, "</body>\n</html>\n", err);
    if (status == PALI_OK)
        status = pl_file_write(path, html.data, html.length, err);
    free(html.data);
    return status;
}
