/* Pictures in the terminal: kitty, iTerm2, sixel where the terminal can, else blocks. */
#ifndef SUMI_CLI_PREVIEW_H
#define SUMI_CLI_PREVIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Whether stderr is a terminal that pictures can be drawn to. */
bool preview_possible(void);

/* A WebP (of an animation the first frame) or PNG as [height, width, 3] bytes, which the caller
 * frees. */
int preview_decode(const void *data, size_t size, uint8_t **rgb, int *width, int *height,
		   struct error *err);

/* Draws it at most `rows` rows high to stderr; *drawn is the number of rows that it took, so that the
 * caller can draw over it. */
int preview_draw(const void *data, size_t size, int rows, int *drawn, struct error *err);

#endif
