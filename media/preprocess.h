/* Maps of pictures that networks were trained to follow: edges, lines, brightness. None needs a model. */
#ifndef SUMI_MEDIA_PREPROCESS_H
#define SUMI_MEDIA_PREPROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum { PREPROCESS_SETTINGS = 2 };

struct preprocessor {
	const char *name;
	const char *help; /* one line */
	/* What can be set, in the order of the ControlNet extension's thresholds; without a name there is none. */
	struct preprocess_setting {
		const char *name;
		double min, max, usual;
	} settings[PREPROCESS_SETTINGS];
	/* preprocess(), with settings that stand. */
	int (*make)(const uint8_t *rgb, int width, int height, const double *settings, uint8_t *out,
		    struct error *err);
};

/* The map of rgb [height, width, 3] → out, the same, another memory. settings [PREPROCESS_SETTINGS]: one outside its
 * limits is the usual one; NULL: all are. SUMI_NOMEM. */
int preprocess(const struct preprocessor *p, const uint8_t *rgb, int width, int height,
	       const double *settings, uint8_t *out, struct error *err);

extern const struct preprocessor preprocessors[]; /* ends with name == NULL */

/* NULL for a name that is none. */
const struct preprocessor *preprocessor_find(const char *name);

/* Edges as OpenCV's Canny() finds them (3×3 Sobel, |x| + |y|, of colours the steepest), white on black;
 * out [height, width]. SUMI_NOMEM. */
int canny(const uint8_t *rgb, int width, int height, int low, int high, uint8_t *out, struct error *err);

#endif
