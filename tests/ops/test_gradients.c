/*
 * Every op's backward against finite differences of its forward, in double
 * (tests/ops/double). The loss is a random projection of the output. 1e-7 is
 * allowed; what is measured is 2e-9, and a wrong or missing term does
 * not come near to either.
 */
#include "ops/double/slope.h"
#include "ops/gradient_run.h"

#include <ctype.h>
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define STEP 1e-4
#define TOLERANCE 1e-7

static double loss_of_run(void *run)
{
    return gradient_run_loss(run);
}

static double worst_error;

static void test_finite_differences(void **state)
{
    gradient_run run;
    assert_int_equal(sizeof(float), 8);
    gradient_run_init(&run, *state, &(pl_context){.kernels = pl_kernels_get("ref", NULL)});
    /* ops that stand apart while recording give what they give together */
    const double loss = gradient_run_loss(&run), recorded = gradient_run_backward(&run);
    if (!(fabs(loss - recorded) <= 1e-12 * (1 + fabs(loss))))
        fail_msg("%s %s: %.17g while recording, %.17g without", run.c->op, run.c->what, recorded, loss);
    for (size_t input = 0; input < run.inputs; input++)
        if (run.gradient[input]) {
            const double error = slope_error(loss_of_run, &run, run.value[input], run.gradient[input], run.count[input], run.c->slow ? 4 : 40, STEP);
            if (!(error <= TOLERANCE))
                fail_msg("%s %s: gradient of %s is off by %.3g", run.c->op, run.c->what, run.c->inputs[input].name, error);
            worst_error = fmax(worst_error, error);
        }
    gradient_run_free(&run);
}

/* ---- The list is complete --------------------------------------------- */

static bool is_listed(const char *op)
{
    /* the second is for answers of few ids */
    static const char *const without_gradient[] = {"pl_op_rope_angles", "pl_op_linear_softcap_part"};
    for (size_t i = 0; i < sizeof without_gradient / sizeof *without_gradient; i++)
        if (strcmp(op, without_gradient[i]) == 0)
            return true;
    for (size_t i = 0; i < gradient_case_count; i++)
        if (strcmp(op, gradient_cases[i].op) == 0)
            return true;
    return false;
}

/* Every function pl_op_... that a header declares; they stand at the beginning of a line after their type. */
static size_t check_header(const char *path)
{
    char line[512];
    size_t found = 0;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        const char *at = strncmp(line, "void pl_op_", 11) == 0 ? line + 5 : NULL;
        if (!at)
            continue;
        char op[64] = "";
        for (size_t n = 0; n + 1 < sizeof op && (isalnum((unsigned char)at[n]) || at[n] == '_'); n++)
            op[n] = at[n];
        if (!is_listed(op))
            fail_msg("%s: %s has no case in tests/ops/gradient_cases.c", path, op);
        found++;
    }
    fclose(file);
    return found;
}

static void test_every_op_is_there(void **state)
{
    (void)state;
    size_t found = 0;
    DIR *folder = opendir("src/ops");
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder));) {
        char path[300];
        snprintf(path, sizeof path, "src/ops/%s", entry->d_name);
        if (strchr(entry->d_name, '.') && strcmp(strrchr(entry->d_name, '.'), ".h") == 0)
            found += check_header(path);
    }
    closedir(folder);
    assert_true(found >= 25);
}

enum { MOST_TESTS = 200 };

int main(void)
{
    static struct CMUnitTest tests[MOST_TESTS] = {{.name = "every op of the headers has a case", .test_func = test_every_op_is_there}};
    static char names[MOST_TESTS][120];
    assert_true(gradient_case_count < MOST_TESTS);
    size_t count = 1;
    for (size_t i = 0; i < gradient_case_count; i++) {
        const gradient_case *c = &gradient_cases[i];
        snprintf(names[i], sizeof names[i], "%s %s", c->op, c->what);
        if (!c->large)
            tests[count++] = (struct CMUnitTest){.name = names[i], .test_func = test_finite_differences, .initial_state = (void *)c};
    }
    const int failed = _cmocka_run_group_tests("gradients", tests, count, NULL, NULL);
    print_message("worst relative error %.1e\n", worst_error);
    return failed;
}
