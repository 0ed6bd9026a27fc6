/* segment.c MODEL IMAGE THINGS [OUT]: the exact pixels of things ("cat ; dog"), each mask into OUT-1.png, OUT-2.png, ... */
#include <pali/mask.h>
#include <pali/pali.h>

#include <stdio.h>

/* One object's mask: how much of the picture it is, its run lengths as COCO writes them, its file. */
static pali_status tell(const pali_object *object, size_t number, const char *out, pali_error *err)
{
    char *counts = pali_mask_rle(object->mask, err);
    if (!counts)
        return err->status;
    const double all = (double)pali_mask_width(object->mask) * (double)pali_mask_height(object->mask);
    printf("%s: %.1f %% of the picture, RLE %s\n", object->label, 100 * (double)pali_mask_area(object->mask) / all, counts);
    pali_free(counts);
    char path[1024];
    snprintf(path, sizeof path, "%s-%zu.png", out ? out : "", number);
    return out ? pali_mask_save(object->mask, path, err) : PALI_OK;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: segment MODEL IMAGE THINGS [OUT]\n");
        return PALI_USAGE;
    }
    pali_error err = {0};
    pali_model *model = pali_model_open(argv[1], NULL, &err);
    pali_session *session = model ? pali_session_new(model, NULL, &err) : NULL;
    pali_image *image = session ? pali_image_open(argv[2], &err) : NULL;
    pali_answer *answer = NULL;
    if (image) {
        char prompt[1024]; /* "segment " makes the answer a list of boxes with masks */
        snprintf(prompt, sizeof prompt, "segment %s", argv[3]);
        answer = pali_ask(session, &image, 1, prompt, NULL, &err);
    }
    for (size_t i = 0; answer && err.status == PALI_OK && i < pali_answer_object_count(answer); i++) {
        const pali_object *object = pali_answer_object(answer, i);
        if (object->mask)
            tell(object, i + 1, argc > 4 ? argv[4] : NULL, &err);
        else
            printf("%s: no mask; this model comes without a mask codec\n", object->label);
    }
    if (err.status != PALI_OK)
        fprintf(stderr, "segment: %s\n", err.message);
    /* The session goes before its model. Each of these may be NULL. */
    pali_answer_free(answer);
    pali_image_free(image);
    pali_session_free(session);
    pali_model_free(model);
    return (int)err.status;
}
