/* Which program made a file, and with what: from the texts in it, whoever wrote them.
 *
 * Read are A1111's infotext (its forks, sd.cpp, Civitai, Stability Matrix and others write it too) and the
 * JSON of ComfyUI, SwarmUI, InvokeAI, Fooocus, RuinedFooocus, NovelAI, Draw Things, Easy Diffusion and
 * spaces of Hugging Face. Whatever a program calls a field, here it has an infotext's name. */
#ifndef SUMI_MEDIA_ORIGIN_H
#define SUMI_MEDIA_ORIGIN_H

#include <jansson.h>

#include "media/infotext.h"
#include "media/texts.h"

struct origin {
	const char *program;  /* "A1111", "ComfyUI", …; NULL: no text says how the file was made */
	struct infotext text; /* prompt, negative prompt, fields */
	json_t *json;         /* what it wrote as JSON: {key of the text: value}; NULL: nothing */
	json_t *graph;        /* of ComfyUI, as comfy_summary() has it; NULL: none */
	json_t *loras;        /* that it names outside of its prompt: [{"name", "weight", "te_weight"}] */
	char *infotext;       /* as it stands in the file; NULL: none */
};

/* Nothing recognised is no error. The caller clears *origin. */
int origin_read(const struct file_texts *texts, struct origin *origin, struct error *err);
void origin_clear(struct origin *origin); /* what it holds, not origin itself */

#endif
