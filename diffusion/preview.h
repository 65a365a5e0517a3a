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

/* Field "preview" of sumi.json, {"matrix": [channels rows of 3], "bias": [3]}. Where it is
 * missing: Stable Diffusion 1's for four channels, else none. where names the file. */
int preview_map_read(const json_t *manifest, const char *where, int channels,
		     struct preview_map *out, struct error *err);

/* z [pixels, channels] → rgb [pixels, 3] */
void preview_map_apply(const struct preview_map *map, const float *z, size_t pixels, uint8_t *rgb);

/* The same for latents of any number of channels that nobody has told the colours of: light and two
 * colours are three sums of the channels, each spread over what it reaches in this picture. Shapes are
 * seen, their colours mean nothing. */
void preview_plain(const float *z, int channels, size_t pixels, uint8_t *rgb);

#endif
