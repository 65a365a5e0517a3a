/* LoRAs that are named within a prompt, as stable-diffusion-webui has them: <lora:NAME>,
 * <lora:NAME:0.8>, <lora:NAME:TEXT:DENOISER>, <lora:NAME:te=0.5:unet=0.8:dyn=16>. */
#ifndef SUMI_REQUEST_LORA_TAGS_H
#define SUMI_REQUEST_LORA_TAGS_H

#include <jansson.h>
#include <stddef.h>

#include "base/status.h"

/* Where a job's prompt holds such tags, *out becomes a copy of its fields without them in the prompt and
 * with them at the end of `loras`, the caller's; else it stays NULL. SUMI_INVALID names a tag that
 * cannot be read. */
int lora_tags_take(const json_t *fields, json_t **out, struct error *err);

/* A canonical list as tags, each behind a space; what does not fit in size bytes is left out. */
void lora_tags_text(const json_t *loras, char *out, size_t size);

#endif
