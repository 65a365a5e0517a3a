/* Pictures from files in another size, as PIL makes them. */
#ifndef SUMI_MEDIA_PICTURE_FIT_H
#define SUMI_MEDIA_PICTURE_FIT_H

#include <stdint.h>

#include "base/status.h"

/* Reads a picture's file, cuts off what width × height of its shape does not hold (centred), and scales it by
 * Lanczos' kernel. *rgb [height, width, 3], the caller's; messages name the file as `where`. */
int picture_fit(const char *path, const char *where, int width, int height, uint8_t **rgb,
		struct error *err);

/* The same of pixels [h, w, 3] → out [height, width, 3]; and without regard to their shape. */
int picture_crop(const uint8_t *rgb, int w, int h, const char *where, int width, int height, uint8_t *out,
		 struct error *err);
int picture_stretch(const uint8_t *rgb, int w, int h, const char *where, int width, int height,
		    uint8_t *out, struct error *err);

/* The same of a file as CLIPImageProcessor has it: the short side becomes `side` pixels (bicubic), the middle of the other
 * is cut out. *rgb [side, side, 3]. */
int picture_seen(const char *path, const char *where, int side, uint8_t **rgb, struct error *err);

/* Light of a picture, scaled by Lanczos' kernel whatever its shape is. *out [height, width]. */
int picture_light(const char *path, const char *where, int width, int height, uint8_t **out,
		  struct error *err);

#endif
