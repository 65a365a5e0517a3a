/* Prompts as the compel library reads them: words+ and words--, (several words)1.3, ("one", "other").blend(0.7, 0.3),
 * ("one", "other").and(). */
#ifndef SUMI_DIFFUSION_PROMPT_COMPEL_H
#define SUMI_DIFFUSION_PROMPT_COMPEL_H

#include "diffusion/prompt.h"

/* Texts of which one is made, each with its share. */
struct compel_part {
	struct compel_text {
		struct prompt_segments segments;
		double share;
	} *texts; /* owned */
	size_t count;
	double weight;
};

/* Parts stand one behind the other. */
struct compel_prompt {
	struct compel_part *parts; /* owned */
	size_t count;
};

/* SUMI_INVALID for what sumi does not do (.swap(), LoRAs by withLora()), and for what compel refuses or leaves out:
 * text behind .blend() and .and(), weights that are too many, too few or none. The caller releases *out, which is
 * empty after a failure. */
int compel_read(const char *text, struct compel_prompt *out, struct error *err);
void compel_free(struct compel_prompt *p); /* zeroed ones are fine */

/* Whether texts are mixed in it. */
bool compel_blends(const char *text);

#endif
