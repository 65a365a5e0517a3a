/* Controls as the ControlNet extension of stable-diffusion-webui calls and writes them: "ControlNet 0" of infotexts. */
#ifndef SUMI_MODALITIES_CONTROL_UNITS_H
#define SUMI_MODALITIES_CONTROL_UNITS_H

#include <jansson.h>
#include <stdbool.h>

#include "media/preprocess.h"

/* A preprocessor as the extension calls it. */
struct control_module {
	const char *name;
	const char *map; /* as a job's controls call it */
	bool whole;      /* of networks that see a picture as a whole, whatever its shape */
};

extern const struct control_module control_modules[]; /* ends with name == NULL */

/* By its name, in any case, with an explanation in brackets behind it or not; NULL: it is none of ours. */
const struct control_module *control_module(const char *name);

/* Who makes its map; NULL: the picture is the map. */
const struct preprocessor *control_maker(const struct control_module *m);

/* The value of "ControlNet N": a control with its network's name, that one's SHA-256, and the result's size. False
 * where it does not fit, or a name holds what the extension's reader would take for a mark. */
bool control_unit_write(const json_t *control, const char *sha256, int width, int height, char *out,
			size_t size);

/* Such a value, or one of the extension's years before 2024, as a control without its picture: a new object. NULL where
 * it is none. Modules of others stand under "module", what maps are called under "preprocess". */
json_t *control_unit_read(const char *text);

#endif
