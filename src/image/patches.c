/* Cutting the square picture into the rows that the patch embedding takes. */
#include "image/preprocess.h"

void pl_patches(const float *pixels, size_t side, size_t patch, float *rows)
{
    const size_t grid = side / patch;
    for (size_t top = 0; top < grid * patch; top += patch)
        for (size_t left = 0; left < grid * patch; left += patch)
            for (size_t c = 0; c < 3; c++)
                for (size_t y = top; y < top + patch; y++)
                    for (size_t x = left; x < left + patch; x++)
                        *rows++ = pixels[3 * (y * side + x) + c];
}
