/* The bar, the lines and the objects of pali train. */
#include "train_say.h"
#include "say.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

train_say train_say_start(const settings *given)
{
    return (train_say){.given = given, .bar = !given->quiet && isatty(STDERR_FILENO)};
}

/* ---- The bar ---------------------------------------------------------- */

static size_t terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20 ? size.ws_col : 80;
}

/* "950", "12.3k": tokens a second in few characters. */
static const char *rate_text(double rate, char text[16])
{
    if (rate < 1000)
        snprintf(text, 16, "%.0f", rate);
    else
        snprintf(text, 16, "%.1fk", rate < 1e9 ? rate / 1000 : 1e6);
    return text;
}

enum { FIGURES = 160 };

/* Appends as much as there is room for. */
__attribute__((format(printf, 2, 3))) static void add(char figures[FIGURES], const char *format, ...)
{
    const size_t length = strlen(figures);
    va_list args;
    va_start(args, format);
    vsnprintf(figures + length, FIGURES - length, format, args);
    va_end(args);
}

static void add_loss(char figures[FIGURES], const char *what, double loss)
{
    add(figures, fabs(loss) < 1e5 ? "%s %.4f" : "%s %.3g", what, loss);
}

const char *train_bar_text(const pali_train_event *event, size_t columns, char text[256])
{
    enum { WIDTH = 24 };
    char figures[FIGURES] = "", rate[16], left[48];
    add_loss(figures, " loss", event->loss);
    if (isfinite(event->held_out))
        add_loss(figures, "  held out", event->held_out);
    if (event->tokens_per_second > 0)
        add(figures, "  %s tokens/s", rate_text(event->tokens_per_second, rate));
    if (event->seconds_left >= 0)
        add(figures, "  %s left", time_text(event->seconds_left, left));
    const double part = event->steps && event->step < event->steps ? (double)event->step / (double)event->steps : 1;
    char bar[WIDTH + 4] = " [";
    memset(bar + 2, ' ', WIDTH);
    memset(bar + 2, '#', (size_t)(part * WIDTH));
    strcpy(bar + 2 + WIDTH, "]");
    char steps[64];
    snprintf(steps, sizeof steps, "step %llu of %llu", (unsigned long long)event->step, (unsigned long long)event->steps);
    const bool fits = strlen(steps) + strlen(bar) + strlen(figures) < columns;
    snprintf(text, columns < 256 ? columns : 256, "%s%s%s", steps, fits ? bar : "", figures); /* one column stays free: no terminal wraps */
    return text;
}

static void hide(train_say *say)
{
    if (say->shown) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
    say->shown = false;
}

static void draw(train_say *say, const pali_train_event *event)
{
    const double time = now();
    char text[256];
    if (event->step < event->steps && time - say->drawn < 0.1)
        return;
    fprintf(stderr, "\r\033[K%s", train_bar_text(event, terminal_columns(), text));
    fflush(stderr);
    say->shown = true;
    say->drawn = time;
}

/* ---- Lines ------------------------------------------------------------ */

static void print_step(const pali_train_event *e)
{
    char left[48];
    printf("step %llu of %llu: loss %.5f, rate %.3g, gradients %.3g", (unsigned long long)e->step, (unsigned long long)e->steps, e->loss, e->learning_rate, e->gradient_norm);
    if (e->tokens_per_second > 0)
        printf(", %.0f tokens/s", e->tokens_per_second);
    if (e->seconds_left >= 0)
        printf(", %s left", time_text(e->seconds_left, left));
    putchar('\n');
}

/* A text on one line, whatever it holds. */
static void print_quoted(const char *what, const char *text)
{
    printf("  %-8s ", what);
    for (const char *c = text ? text : ""; *c; c++)
        if (*c == '\n')
            fputs("\\n", stdout);
        else
            putchar((unsigned char)*c < 0x20 || *c == 0x7f ? ' ' : *c);
    putchar('\n');
}

static void print_event(const train_say *say, const pali_train_event *e)
{
    const unsigned long long step = e->step;
    switch (e->kind) {
    case PALI_TRAIN_NOTE:
        note(say->given, "%s", e->text);
        break;
    case PALI_TRAIN_WARNING:
        fail(0, "%s", e->text);
        break;
    case PALI_TRAIN_STEP:
        print_step(e);
        break;
    case PALI_TRAIN_EVALUATED:
        printf("step %llu: held-out loss %.5f%s\n", step, e->held_out, e->best ? ", the best so far" : "");
        break;
    case PALI_TRAIN_SAMPLE:
        printf("step %llu: sample\n", step);
        print_quoted("prompt", e->prefix);
        print_quoted("expected", e->expected);
        print_quoted("answer", e->text);
        break;
    case PALI_TRAIN_SAVED:
        printf("step %llu: saved %s%s\n", step, e->text, e->best ? ", the best so far" : "");
        break;
    }
    fflush(stdout);
}

/* ---- Objects ---------------------------------------------------------- */

static void set_text(json_t *object, const char *key, const char *text)
{
    if (text)
        json_object_set_new(object, key, json_text(text));
}

static void print_event_json(const pali_train_event *e)
{
    static const char *const names[] = {"note", "warning", "step", "evaluated", "sample", "saved"};
    json_t *const object = json_pack("{s:s, s:I, s:I}", "event", names[e->kind], "step", (json_int_t)e->step, "steps", (json_int_t)e->steps);
    if (e->kind == PALI_TRAIN_STEP) {
        json_object_set_new(object, "examples", json_integer((json_int_t)e->examples));
        json_object_set_new(object, "loss", json_number(e->loss));
        json_object_set_new(object, "learning_rate", json_number(e->learning_rate));
        json_object_set_new(object, "gradient_norm", json_number(e->gradient_norm));
        json_object_set_new(object, "tokens_per_second", json_number(e->tokens_per_second));
        json_object_set_new(object, "seconds", json_number(e->seconds));
    } else if (e->kind == PALI_TRAIN_EVALUATED) {
        json_object_set_new(object, "held_out", json_number(e->held_out));
        json_object_set_new(object, "best", json_boolean(e->best));
    } else if (e->kind == PALI_TRAIN_SAMPLE) {
        set_text(object, "prefix", e->prefix);
        set_text(object, "expected", e->expected);
        set_text(object, "answer", e->text);
    } else if (e->kind == PALI_TRAIN_SAVED) {
        set_text(object, "path", e->text);
        json_object_set_new(object, "best", json_boolean(e->best));
    } else
        set_text(object, "text", e->text);
    print_json(object);
    fflush(stdout);
}

void train_say_event(void *context, const pali_train_event *event)
{
    train_say *const say = context;
    say->step = event->step;
    say->steps = event->steps;
    const bool is_step = event->kind == PALI_TRAIN_STEP;
    if (is_step && say->bar)
        draw(say, event);
    /* On a terminal the bar says what the lines of the log would. */
    const bool wanted = !is_step || (event->logged && (say->given->json || !say->bar || !isatty(STDOUT_FILENO)));
    if (!wanted)
        return;
    hide(say);
    if (say->given->json)
        print_event_json(event);
    else
        print_event(say, event);
}

void train_say_end(train_say *say)
{
    hide(say);
}

/* ---- Operands --------------------------------------------------------- */

int train_operands(const command *of, const settings *given, size_t first, const char **recipe, const char ***list, size_t *count)
{
    *recipe = NULL;
    *count = 0;
    *list = calloc(given->operands.count + 1, sizeof **list);
    if (!*list)
        return fail(PALI_MEMORY, "out of memory");
    for (size_t i = first; i < given->operands.count; i++) {
        const char *const operand = given->operands.items[i];
        if (strchr(operand, '='))
            (*list)[(*count)++] = operand;
        else if (*recipe)
            return fail_usage(of, "found '%s' after the recipe '%s', expected KEY=VALUE", operand, *recipe);
        else if (*count)
            return fail_usage(of, "found '%s', expected KEY=VALUE (a recipe comes before them)", operand);
        else
            *recipe = operand;
    }
    return 0;
}
