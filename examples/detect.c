/* detect.c MODEL IMAGE THINGS [OUT.png]: where things are ("cat ; dog"), as numbers and, if wanted, as a picture. */
#include <pali/pali.h>

#include <stdio.h>

static void print(const pali_answer *answer)
{
    for (size_t i = 0; i < pali_answer_object_count(answer); i++) {
        const pali_object *object = pali_answer_object(answer, i);
        const pali_box box = object->pixels; /* of the picture; object->box has parts of its sides */
        printf("%s: x %.0f to %.0f, y %.0f to %.0f\n", object->label, box.x1, box.x2, box.y1, box.y2);
    }
}

/* The answer drawn onto its picture, into a file whose name says the format. */
static pali_status draw(const pali_answer *answer, const pali_image *image, const char *path, pali_error *err)
{
    pali_image *drawn = pali_answer_draw(answer, image, NULL, err);
    if (drawn)
        pali_image_save(drawn, path, NULL, err);
    pali_image_free(drawn);
    return err->status;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: detect MODEL IMAGE THINGS [OUT.png]\n");
        return PALI_USAGE;
    }
    pali_error err = {0};
    pali_model *model = pali_model_open(argv[1], NULL, &err);
    pali_session *session = model ? pali_session_new(model, NULL, &err) : NULL;
    pali_image *image = session ? pali_image_open(argv[2], &err) : NULL;
    pali_answer *answer = NULL;
    if (image) {
        char prompt[1024]; /* "detect " makes the answer a list of well-formed boxes */
        snprintf(prompt, sizeof prompt, "detect %s", argv[3]);
        answer = pali_ask(session, &image, 1, prompt, NULL, &err);
    }
    if (answer)
        print(answer);
    if (answer && argc > 4)
        draw(answer, image, argv[4], &err);
    if (err.status != PALI_OK)
        fprintf(stderr, "detect: %s\n", err.message);
    /* The session goes before its model. Each of these may be NULL. */
    pali_answer_free(answer);
    pali_image_free(image);
    pali_session_free(session);
    pali_model_free(model);
    return (int)err.status;
}
