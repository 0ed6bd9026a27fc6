/* The smallest user of an installed pali: what any status means. */
#include <pali/status.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
    puts(pali_status_text(PALI_INPUT));
    return strcmp(pali_status_text(PALI_INPUT), "input unusable") != 0;
}
