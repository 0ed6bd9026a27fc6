/* pali help, pali version. */
#include "options.h"
#include "say.h"

#include <string.h>

static int print_commands(void)
{
    printf("Usage: pali COMMAND [options]\n\nPaliGemma: ask about pictures, from C.\n\nCommands:\n");
    for (const command *const *c = commands; *c; c++)
        printf("  %-8s %s\n", (*c)->name, (*c)->summary);
    printf("\n'pali help COMMAND' tells the options of a command.\n\n"
           "Environment:\n"
           "  PALI_MODEL    the model where -m names none\n"
           "  PALI_THREADS  threads where --threads says nothing\n"
           "  PALI_PIN      1: as --pin\n"
           "  PALI_CPU      the highest kernel level to use, such as ref or avx2\n"
           "  NO_COLOR      no colour on the terminal\n\n"
           "Exit codes: 0 done, 1 failed while running, 2 wrong usage, 3 model unusable,\n"
           "4 input unusable, 5 out of memory, 130 interrupted.\n");
    return finish_output(0);
}

static int help(const settings *given)
{
    if (given->operands.count == 0)
        return print_commands();
    if (given->operands.count > 1)
        return fail_usage(&help_command, "one command at a time; found %zu", given->operands.count);
    const command *const of = find_command(given->operands.items[0]);
    if (!of)
        return fail_usage(NULL, "there is no command '%s'", given->operands.items[0]);
    options_help(of, stdout);
    return finish_output(0);
}

static int version(const settings *given)
{
    if (given->operands.count)
        return fail_usage(&version_command, "no argument expected, found '%s'", given->operands.items[0]);
    printf("pali %s\n", pali_version());
    return finish_output(0);
}

const command help_command = {
    .name = "help",
    .operands = "[COMMAND]",
    .summary = "tell how a command is used",
    .about = "Lists the commands, or tells the options of one.",
    .examples = "  pali help run\n",
    .options = (const option *const[]){common_options, NULL},
    .run = help,
};

const command version_command = {
    .name = "version",
    .operands = "",
    .summary = "tell the version",
    .about = "Prints the version of pali.",
    .examples = "",
    .options = (const option *const[]){common_options, NULL},
    .run = version,
};
