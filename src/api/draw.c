/* pali_answer_draw: an answer's objects onto their picture. */
#include "api/handles.h"

#include "answer/overlay.h"

#include <stdlib.h>
#include <string.h>

/* An object as it is drawn, on a picture of any size; false for one without area. */
static bool mark_of(const pali_object *object, const pl_image *image, pl_mark *mark)
{
    const double width = (double)image->width, height = (double)image->height;
    const pali_box box = object->box;
    *mark = (pl_mark){
        .left = box.x1 * width,
        .top = box.y1 * height,
        .right = box.x2 * width,
        .bottom = box.y2 * height,
        .label = object->label,
        .confidence = object->confidence,
        .mask = object->mask ? object->mask->pixels.bits : NULL,
    };
    return box.x2 > box.x1 && box.y2 > box.y1;
}

static pali_status check_masks(const pali_answer *answer, const pl_image *image, pali_error *err)
{
    for (size_t i = 0; i < answer->objects.count; i++) {
        const pali_mask *const mask = answer->objects.items[i].mask;
        if (mask && (mask->pixels.width != image->width || mask->pixels.height != image->height))
            return pl_fail(err, PALI_USAGE, "pali_answer_draw: found a picture of %zu x %zu pixels, expected %zu x %zu, the size of the answer's masks",
                           image->width, image->height, mask->pixels.width, mask->pixels.height);
    }
    return PALI_OK;
}

static pali_status draw(const pali_answer *answer, pl_image *image, const pali_draw_options *options, pali_error *err)
{
    const size_t objects = answer->objects.count;
    pl_mark *const marks = pl_new(objects, sizeof *marks, "drawing", err);
    if (!marks)
        return PALI_MEMORY;
    size_t count = 0;
    for (size_t i = 0; i < objects; i++)
        count += mark_of(&answer->objects.items[i], image, &marks[count]);
    const pl_overlay_options how = {
        .line_width = options->line_width,
        .font_size = options->font_size,
        .mask_opacity = options->mask_opacity,
        .no_labels = options->no_labels,
    };
    const pali_status status = pl_overlay_draw(image, marks, count, &how, err);
    free(marks);
    return status;
}

pali_image *pali_answer_draw(const pali_answer *answer, const pali_image *image, const pali_draw_options *options, pali_error *err)
{
    if (pl_need(answer, "pali_answer_draw", "answer", err) != PALI_OK || pl_need(image, "pali_answer_draw", "image", err) != PALI_OK)
        return NULL;
    pali_draw_options own;
    pl_take_options(&own, sizeof own, options);
    if (check_masks(answer, &image->pixels, err) != PALI_OK)
        return NULL;
    pali_image *const copy = pali_image_from_rgb(image->pixels.rgb, image->pixels.width, image->pixels.height, err);
    if (copy && draw(answer, &copy->pixels, &own, err) == PALI_OK)
        return copy;
    pali_image_free(copy);
    return NULL;
}
