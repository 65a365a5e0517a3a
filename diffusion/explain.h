/* What a run would make of its texts, as JSON for people and programs. */
#ifndef SUMI_DIFFUSION_EXPLAIN_H
#define SUMI_DIFFUSION_EXPLAIN_H

#include <jansson.h>

#include "diffusion/run.h"

/* {"syntax", "model", "evaluations", "prompt": [part, …], "negative_prompt": [part] or null, "notes": [text]}
 * part:  {"weight", "texts": [{"text", "evaluations": [[first, last], …], "chunks": [chunk, …]}]}
 * chunk: {"room", "tokens": [{"text", "id", "weight", "embedding"?}]}
 * by the first text encoder's tokenizer; the pack's weights are not opened. Errors as run_text_check(). */
int prompt_explain(const struct pack_info *info, const struct run_params *params, json_t **out,
		   struct error *err);

#endif
