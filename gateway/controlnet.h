/* The ControlNet extension of AUTOMATIC1111's API: what its requests and its lists share. */
#ifndef SUMI_GATEWAY_CONTROLNET_H
#define SUMI_GATEWAY_CONTROLNET_H

#include "gateway/work.h"
#include "modalities/control_units.h"

/* The units of a request's alwayson_scripts as the job's `controls`; what other scripts ask for is refused. init:
 * the picture in base64 of units that bring none; NULL: those are refused. False: it has been refused. */
bool controlnet_read(struct call *call, struct worker *w, const json_t *body, const json_t *init,
		     json_t *fields);

/* How a picture of another shape comes to a size: the extension's Just Resize, Crop and Resize, Resize and Fill. */
enum controlnet_fit { CONTROLNET_STRETCH, CONTROLNET_CROP, CONTROLNET_FILL };

/* The map of a picture's bytes in this size, as a PNG that the caller frees. p NULL: the picture itself; settings as
 * for preprocess(). SUMI_TOOBIG for what would take too long here. */
int controlnet_map(const void *data, size_t size, const char *where, const struct preprocessor *p,
		   const double *settings, enum controlnet_fit fit, int width, int height, uint8_t **png,
		   size_t *png_size, struct error *err);

#endif
