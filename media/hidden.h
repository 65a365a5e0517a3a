/* Texts in the lowest bits of a picture's pixels, as "stealth PNG info" (NovelAI, and extensions of
 * stable-diffusion-webui) hides them: column after column, in alpha or in red, green, blue. */
#ifndef SUMI_MEDIA_HIDDEN_H
#define SUMI_MEDIA_HIDDEN_H

#include <stdint.h>

#include "media/texts.h"

/* rgba [height, width, 4]. Adds the text where there is one. Most pictures hide nothing, and what only
 * begins like such a text is none. */
int hidden_read(const uint8_t *rgba, size_t width, size_t height, struct file_texts *texts,
		struct error *err);

#endif
