/* The palette; contrast as the Web Content Accessibility Guidelines 2.1 define it. */
#include "answer/colour.h"

#include <math.h>

static const pl_colour palette[PL_COLOUR_COUNT / 2] = {
    {86, 180, 233},  /* sky blue */
    {230, 159, 0},   /* orange */
    {0, 158, 115},   /* bluish green */
    {204, 121, 167}, /* reddish purple */
    {240, 228, 66},  /* yellow */
    {213, 94, 0},    /* vermillion */
    {0, 114, 178},   /* blue */
};

static unsigned char paler(unsigned char channel)
{
    return (unsigned char)((channel + 255) / 2);
}

pl_colour pl_colour_at(size_t i)
{
    i %= PL_COLOUR_COUNT;
    const pl_colour full = palette[i % (PL_COLOUR_COUNT / 2)];
    return i < PL_COLOUR_COUNT / 2 ? full : (pl_colour){paler(full.r), paler(full.g), paler(full.b)};
}

static double linear(unsigned char channel)
{
    const double c = channel / 255.0;
    return c <= 0.04045 ? c / 12.92 : pow((c + 0.055) / 1.055, 2.4);
}

double pl_colour_luminance(pl_colour colour)
{
    return 0.2126 * linear(colour.r) + 0.7152 * linear(colour.g) + 0.0722 * linear(colour.b);
}

double pl_colour_contrast(pl_colour a, pl_colour b)
{
    const double x = pl_colour_luminance(a) + 0.05, y = pl_colour_luminance(b) + 0.05;
    return x > y ? x / y : y / x;
}

pl_colour pl_colour_text_on(pl_colour colour)
{
    const pl_colour black = {0, 0, 0}, white = {255, 255, 255};
    return pl_colour_contrast(colour, black) >= pl_colour_contrast(colour, white) ? black : white;
}
