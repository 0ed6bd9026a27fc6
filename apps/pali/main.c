/* The pali command: finds the command, reads its options, runs it. */
#include "options.h"
#include "say.h"
#include "use.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

const command *const commands[] = {
    &run_command, &chat_command, &score_command, &embed_command, &batch_command, &inspect_command, &eval_command, &convert_command, &mask_command, &train_command, &data_command, &bench_command, &help_command, &version_command, NULL,
};

const command *find_command(const char *name)
{
    for (const command *const *c = commands; *c; c++)
        if (strcmp((*c)->name, name) == 0)
            return *c;
    return NULL;
}

/*
 * A stream that the caller closed is opened the wrong way round, so that using
 * it fails, and no file of ours takes its number.
 */
static void guard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) == -1)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

static int fail_unknown(const char *name)
{
    const command *nearest = NULL;
    size_t best = 3;
    for (const command *const *c = commands; *c; c++) {
        const size_t distance = edit_distance(name, (*c)->name);
        if (distance < best) {
            best = distance;
            nearest = *c;
        }
    }
    if (nearest)
        return fail_usage(NULL, "there is no command '%s'; did you mean %s?", name, nearest->name);
    if (access(name, F_OK) == 0)
        return fail_usage(NULL, "'%s' is a file, no command; did you mean 'pali run %s PROMPT'?", name, name);
    return fail_usage(NULL, "there is no command '%s'", name);
}

/* The command that the first word asks for; --help and --version are commands as well. */
static const command *choose(const char *word)
{
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return &help_command;
    if (strcmp(word, "--version") == 0)
        return &version_command;
    return find_command(word);
}

/* Commands that compute: the environment has a say in how. */
static bool computes(const command *chosen)
{
    for (const option *const *table = chosen->options; *table; table++)
        for (const option *o = *table; o->name; o++)
            if (o->place == offsetof(settings, threads))
                return true;
    return false;
}

int main(int argc, char **argv)
{
    guard_streams();
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_IGN); /* a file over the limit is a failed write, which is told and cleaned up */
    if (argc < 2)
        return fail_usage(NULL, "a command is missing: run, chat, score, embed, batch, inspect, eval, convert, mask, train, data, bench, help or version");
    const command *const chosen = choose(argv[1]);
    if (!chosen)
        return argv[1][0] == '-' ? fail_usage(NULL, "unknown option %s before the command", argv[1]) : fail_unknown(argv[1]);
    settings given;
    int code = options_parse(chosen, argc - 2, argv + 2, &given);
    if (!code && given.help) {
        options_help(chosen, stdout);
        code = finish_output(0);
    } else if (!code) {
        code = computes(chosen) ? environment_read(&given, chosen) : 0;
        if (!code)
            code = chosen->run(&given);
    }
    options_free(&given);
    return code;
}
