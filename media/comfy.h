/* ComfyUI's graphs: nodes by number or name, each {"class_type", "inputs"}; an input is a value or a
 * link [node, slot]. A text that nodes compute is not known from the graph. */
#ifndef SUMI_MEDIA_COMFY_H
#define SUMI_MEDIA_COMFY_H

#include <jansson.h>

#include "media/infotext.h"

/* Bytes that a parsed graph may take. */
#define COMFY_MEMORY (64 << 20)

/* The graph within a value: itself, or what stands under "prompt", as an object or as a text of one.
 * A new reference, or NULL. */
json_t *comfy_graph(const json_t *value);

/* {"class_types", "samplers": [{"node", "class", "seed" …, "positive", "negative"}], "checkpoints",
 * "loras": [[name, strength]], "size": [[w, h]]}, a new reference; NULL: no memory. "positive" is null
 * where nodes compute the text. */
json_t *comfy_summary(const json_t *graph);

/* Adds to *text what the graph's sampler that begins from noise says, by the names of an infotext, and to a list the
 * LoRAs between it and its model, as a job names them. */
int comfy_fields(const json_t *graph, struct infotext *text, json_t *loras, struct error *err);

#endif
