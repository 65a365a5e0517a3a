/* Pictures and latents in another size. */
#ifndef SUMI_BASE_RESAMPLE_H
#define SUMI_BASE_RESAMPLE_H

#include <stdint.h>

#include "base/status.h"

/* How an output pixel is made of input pixels. */
enum resample {
	/* Points of the input as torch's interpolate has them: smaller pictures leave pixels out, and
	 * beyond the edges the last pixel stands. */
	RESAMPLE_NEAREST,       /* the one in which an output pixel begins */
	RESAMPLE_NEAREST_EXACT, /* the one in which its middle lies */
	RESAMPLE_LINEAR,
	RESAMPLE_CUBIC, /* a = −0.75 */
	/* Kernels that grow with what becomes smaller, as PIL has them, and torch with antialias; beyond
	 * the edges is nothing. */
	RESAMPLE_SMOOTH_LINEAR,
	RESAMPLE_SMOOTH_CUBIC, /* a = −0.5 */
	RESAMPLE_LANCZOS,      /* three lobes */
};

/* in [height, width, channels] → out [out_height, out_width, channels], columns first, as PIL does it.
 * out is not clamped: cubic kernels overshoot. SUMI_NOMEM. */
int resample(enum resample how, const float *in, int height, int width, int channels, float *out,
	     int out_height, int out_width, struct error *err);

/* The same of bytes, each rounded after either way, as PIL has them. */
int resample_bytes(enum resample how, const uint8_t *in, int height, int width, int channels,
		   uint8_t *out, int out_height, int out_width, struct error *err);

#endif
