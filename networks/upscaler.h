/* Networks that make pictures larger, in one file each as people download them: ESRGAN and its kin
 * (RRDB, arXiv:1809.00219), Real-ESRGAN's compact one (SRVGG, arXiv:2107.10833), SPAN (arXiv:2311.12770). Which it is, how
 * large and by how much it enlarges is told from its tensors. */
#ifndef SUMI_NETWORKS_UPSCALER_H
#define SUMI_NETWORKS_UPSCALER_H

#include <stdint.h>

#include "backends/backend.h"

struct upscaler;

struct upscaler_info {
	const char *architecture; /* "RRDB", "SRVGG", "SPAN" */
	int scale;                /* how many times as wide and as high pictures become */
	double resize;            /* what the file wants done to the result: 1, or 0.5 */
	int multiple;             /* width and height of what is enlarged must be multiples of it */
	int margin; /* pixels from which on others can change nothing; 0: all of them can */
};

/* What a file's tensors say, of which nothing is loaded. Errors as of upscaler_open(). */
int upscaler_read(const char *path, struct upscaler_info *out, struct error *err);

/* Loads a file (safetensors, a torch archive, ncnn's NAME.param) onto the device, which must outlive
 * it. SUMI_UNSUPPORTED where its tensors are of no network that is known here, SUMI_INVALID where
 * they contradict each other. The caller closes *out. */
int upscaler_open(struct device *device, const char *path, struct upscaler **out,
		  struct error *err);
void upscaler_close(struct upscaler *u); /* NULL is fine */

const struct upscaler_info *upscaler_info(const struct upscaler *u);

/* picture: host, [h, w, 3] in 0 … 1; out: host, [h·scale, w·scale, 3], about 0 … 1, not clamped. */
int upscaler_run(const struct upscaler *u, const float *picture, int h, int w, float *out,
		 struct error *err);

/* Bytes of temporaries that enlarging h × w pixels takes on the device at its peak. */
uint64_t upscaler_memory(const struct upscaler *u, int h, int w);

#endif
