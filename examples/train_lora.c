/* train_lora.c MODEL ROWS.jsonl OUT [KEY=VALUE...]: teaches a model by an adapter (LoRA), and says how the loss falls. */
#include <pali/train.h>

#include <stdio.h>
#include <stdlib.h>

/* Each setting is "key=value"; the caller frees it. */
static char *setting(const char *key, const char *value)
{
    const int length = snprintf(NULL, 0, "%s=%s", key, value);
    char *const text = malloc((size_t)length + 1);
    if (text)
        sprintf(text, "%s=%s", key, value);
    return text;
}

static void listen(void *context, const pali_train_event *event)
{
    (void)context;
    if (event->kind == PALI_TRAIN_STEP && event->logged)
        printf("step %llu of %llu: loss %.4f\n", (unsigned long long)event->step, (unsigned long long)event->steps, event->loss);
    else if (event->kind == PALI_TRAIN_SAVED)
        printf("saved: %s\n", event->text);
}

int main(int argc, char **argv)
{
    enum { OWN = 5, MOST = 64 };
    if (argc < 4 || argc - 4 + OWN > MOST) {
        fprintf(stderr, "usage: train_lora MODEL ROWS.jsonl OUT [KEY=VALUE...]\n");
        return PALI_USAGE;
    }
    char *const own[3] = {setting("model", argv[1]), setting("data", argv[2]), setting("out", argv[3])};
    const char *settings[MOST] = {own[0], own[1], own[2], "lora.rank=8", "log_every=1"};
    for (int i = 4; i < argc; i++)
        settings[OWN + i - 4] = argv[i]; /* such as lr=1e-3, epochs=20, batch=8 */

    pali_error err = {0};
    const pali_train_options options = {.size = sizeof options, .listen = listen};
    pali_trainer *const trainer = own[0] && own[1] && own[2] ? pali_trainer_new(NULL, settings, (size_t)(OWN + argc - 4), &options, &err) : NULL;
    pali_status status = trainer ? pali_trainer_run(trainer, &err) : err.status ? err.status : PALI_MEMORY;
    if (status != PALI_OK)
        fprintf(stderr, "train_lora: %s\n", err.message);
    else
        printf("ask it: pali run -m %s --lora %s/last PICTURE PROMPT\n", argv[1], argv[3]);
    pali_trainer_free(trainer);
    for (size_t i = 0; i < 3; i++)
        free(own[i]);
    return (int)status;
}
