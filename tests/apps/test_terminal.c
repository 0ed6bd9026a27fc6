/*
 * Asking the terminal what it shows: the variables of known terminals, and the
 * question to one, played by this test on the other end of a pseudo-terminal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../apps/pali/terminal.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static void set_names(const char *const names[][2])
{
    static const char *const all[] = {"TERM", "TERM_PROGRAM", "TMUX", "KITTY_WINDOW_ID", "LC_TERMINAL"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        unsetenv(all[i]);
    for (; (*names)[0]; names++)
        setenv((*names)[0], (*names)[1], 1);
}

static void test_names(void **state)
{
    (void)state;
    static const struct { const char *names[4][2]; int kind; } cases[] = {
        {{{0}}, -1},
        {{{"TERM", "xterm-256color"}}, -1},
        {{{"TERM", "xterm-kitty"}}, PALI_PREVIEW_KITTY},
        {{{"TERM", "xterm-256color"}, {"KITTY_WINDOW_ID", "1"}}, PALI_PREVIEW_KITTY},
        {{{"TERM_PROGRAM", "ghostty"}}, PALI_PREVIEW_KITTY},
        {{{"TERM_PROGRAM", "iTerm.app"}}, PALI_PREVIEW_ITERM2},
        {{{"TERM_PROGRAM", "WezTerm"}}, PALI_PREVIEW_ITERM2},
        {{{"LC_TERMINAL", "iTerm2"}}, PALI_PREVIEW_ITERM2},
        {{{"TERM", "xterm-kitty"}, {"TMUX", "/tmp/tmux"}}, -1},
        {{{"TERM", "screen-256color"}, {"KITTY_WINDOW_ID", "1"}}, -1},
        {{{"TERM", "tmux-256color"}, {"LC_TERMINAL", "iTerm2"}}, -1},
        {{{"KITTY_WINDOW_ID", ""}}, -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pali_preview kind = PALI_PREVIEW_SIXEL;
        set_names(cases[i].names);
        const bool found = terminal_names_preview(&kind);
        assert_int_equal(found ? (int)kind : -1, cases[i].kind);
    }
}

static void test_replies(void **state)
{
    (void)state;
    const char *const with[] = {"\033[?62;4c", "\033[?4c", "\033[?1;2;4;22c", "keys\033[?63;1;4c more"};
    const char *const without[] = {"", "\033[?62;22c", "\033[?64;14;40c", "\033[?62;4", "4c", "\033[?c", "\033[?;4c", "\033[?62:4c"};
    for (size_t i = 0; i < sizeof with / sizeof *with; i++)
        assert_true(terminal_reads_sixel(with[i]));
    for (size_t i = 0; i < sizeof without / sizeof *without; i++)
        assert_false(terminal_reads_sixel(without[i]));
}

/* In a session of its own whose terminal is `slave`: 0 when sixels are found and the terminal is as it was. */
static int ask(const char *name, int timeout_ms)
{
    setsid();
    const int fd = open(name, O_RDWR);
    struct termios before, after;
    if (fd < 0 || ioctl(fd, TIOCSCTTY, 0) != 0 || tcgetattr(fd, &before) != 0)
        return 10;
    signal(SIGTTOU, SIG_IGN);
    tcsetpgrp(fd, getpgrp());
    const bool found = terminal_asks_sixel(fd, timeout_ms);
    if (tcgetattr(fd, &after) != 0 || after.c_lflag != before.c_lflag || after.c_cc[VMIN] != before.c_cc[VMIN])
        return 11;
    return found ? 0 : 1;
}

/* What the question ends with when the terminal answers so (NULL: not at all). */
static int played(const char *reply)
{
    const int master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    char name[64];
    strncpy(name, ptsname(master), sizeof name - 1);
    name[sizeof name - 1] = '\0';
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(ask(name, reply ? 5000 : 50));
    char question[8] = "";
    size_t used = 0;
    while (used < 3) {
        const ssize_t got = read(master, question + used, 3 - used);
        if (got > 0)
            used += (size_t)got;
        else
            usleep(1000); /* nobody has opened the other end yet */
    }
    assert_memory_equal(question, "\033[c", 3);
    if (reply)
        assert_int_equal(write(master, reply, strlen(reply)), strlen(reply));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    close(master);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_questions(void **state)
{
    (void)state;
    assert_int_equal(played("\033[?62;4;22c"), 0);
    assert_int_equal(played("\033[?62;22c"), 1);
    assert_int_equal(played(NULL), 1);
}

/* A pipe is no terminal: nothing is asked. */
static void test_no_terminal(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_false(terminal_asks_sixel(ends[1], 1000));
    size_t width = 0, height = 0;
    terminal_size(ends[1], &width, &height);
    assert_int_equal(width, 80 * 8);
    assert_int_equal(height, 21 * 16);
    close(ends[1]);
    char byte;
    assert_int_equal(read(ends[0], &byte, 1), 0);
    close(ends[0]);
}

static void test_size(void **state)
{
    (void)state;
    const int master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(master >= 0);
    const struct { struct winsize size; size_t width, height; } cases[] = {
        {{.ws_col = 100, .ws_row = 43, .ws_xpixel = 1000, .ws_ypixel = 860}, 1000, 800},
        {{.ws_col = 100, .ws_row = 43}, 800, 640},
        {{.ws_col = 10, .ws_row = 1, .ws_xpixel = 50, .ws_ypixel = 9}, 50, 9},
        {{0}, 640, 336},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t width, height;
        assert_int_equal(ioctl(master, TIOCSWINSZ, &cases[i].size), 0);
        terminal_size(master, &width, &height);
        assert_int_equal(width, cases[i].width);
        assert_int_equal(height, cases[i].height);
    }
    close(master);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),       cmocka_unit_test(test_replies), cmocka_unit_test(test_questions),
        cmocka_unit_test(test_no_terminal), cmocka_unit_test(test_size),
    };
    return cmocka_run_group_tests_name("apps: terminal", tests, NULL, NULL);
}
