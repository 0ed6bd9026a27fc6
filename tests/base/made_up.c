/* Files of machines that are made up. */
#include "base/made_up.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

char made_up_root[64];

int made_up_begin(void **state)
{
    (void)state;
    snprintf(made_up_root, sizeof made_up_root, "/tmp/pali-machine-XXXXXX");
    return mkdtemp(made_up_root) ? 0 : -1;
}

int made_up_end(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof command, "rm -r '%s'", made_up_root);
    return system(command);
}

void made_up_put(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof full, "%s%s", made_up_root, path);
    for (char *slash = strchr(full + strlen(made_up_root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        assert_true(mkdir(full, 0755) == 0 || errno == EEXIST);
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}
