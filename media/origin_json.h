/* Programs that write JSON into their pictures: where in it each field stands. */
#ifndef SUMI_MEDIA_ORIGIN_JSON_H
#define SUMI_MEDIA_ORIGIN_JSON_H

#include <jansson.h>

#include "media/infotext.h"

/* all: {key of the text: object}. Adds what the first program says whose marks are there, without
 * replacing what *text has, and to a list the LoRAs that it names, as a job names them. *program: its name, or as
 * it was. */
int origin_json_fields(const json_t *all, struct infotext *text, json_t *loras, const char **program,
		       struct error *err);

#endif
