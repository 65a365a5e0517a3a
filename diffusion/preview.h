/* A rough picture of latents without a model: each colour as a sum of the channels. */
#ifndef SUMI_DIFFUSION_PREVIEW_H
#define SUMI_DIFFUSION_PREVIEW_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define PREVIEW_CHANNELS_MAX 128

struct preview_map {
	int channels;                          /* of the latents; 0: there is no map */
	float matrix[PREVIEW_CHANNELS_MAX][3]; /* red, green, blue in −1 … 1 of a channel's 1 */
	float bias[3];                         /* of latents that are 0 */
};

/* How the latents of families look. */
extern const struct preview_map preview_stable_diffusion, preview_stable_diffusion_xl;

/* Field "preview" of sumi.json, {"matrix": [channels rows of 3], "bias": [3]}. Where it is
 * missing: the usual one, if that has as many channels, else none; NULL: there is none. where names
 * the file. */
int preview_map_read(const json_t *manifest, const char *where, int channels,
		     const struct preview_map *usual, struct preview_map *out, struct error *err);

/* z [pixels, channels] → rgb [pixels, 3] */
void preview_map_apply(const struct preview_map *map, const float *z, size_t pixels, uint8_t *rgb);

/* The same for latents of any number of channels that nobody has told the colours of: light and two
 * colours are three sums of the channels, each spread over what it reaches in this picture. Shapes
 * are seen, their colours mean nothing. */
void preview_plain(const float *z, int channels, size_t pixels, uint8_t *rgb);

#endif
