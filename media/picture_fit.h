/* Pictures from files in another size, as PIL makes them. */
#ifndef SUMI_MEDIA_PICTURE_FIT_H
#define SUMI_MEDIA_PICTURE_FIT_H

#include <stdint.h>

#include "base/status.h"

/* Reads a picture's file, cuts off what width × height of its shape does not hold (centred), and scales it by
 * Lanczos' kernel. *rgb [height, width, 3], the caller's; messages name the file as `where`. */
int picture_fit(const char *path, const char *where, int width, int height, uint8_t **rgb,
		struct error *err);

#endif
