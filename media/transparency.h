/* Pictures with transparency as colours and alpha apart, for what knows colours alone. */
#ifndef SUMI_MEDIA_TRANSPARENCY_H
#define SUMI_MEDIA_TRANSPARENCY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Whether some pixel of rgba [count, 4] lets the background be seen. The lowest bit of alpha counts for nothing: some
 * programs hide their texts there. */
bool transparency_seen(const uint8_t *rgba, size_t count);

/* rgba [h, w, 4] → rgb [h, w, 3] and alpha [h, w], 0 … 1, the caller's. Where nothing is seen of a colour it is that of
 * what is seen beside it, some pixels far: a filter over it brings no border to what is seen. SUMI_NOMEM. */
int transparency_split(const uint8_t *rgba, int h, int w, float **rgb, float **alpha, struct error *err);

/* alpha [h, w] made larger by a cubic kernel and laid behind rgb [out_h, out_w, 3]: *rgba [out_h, out_w, 4], the caller's.
 * SUMI_NOMEM. */
int transparency_join(const uint8_t *rgb, const float *alpha, int h, int w, int out_h, int out_w, uint8_t **rgba,
		      struct error *err);

#endif
