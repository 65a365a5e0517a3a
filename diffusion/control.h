/* Networks that see a picture and steer a denoiser with what they see (ControlNet). A kind is a row of a
 * table; which denoiser it is for, and how it is asked, its denoiser's own file knows. */
#ifndef SUMI_DIFFUSION_CONTROL_H
#define SUMI_DIFFUSION_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "backends/backend.h"
#include "base/hash.h"
#include "networks/controlnet.h"

enum control_type { CONTROL_NET };

struct control {
	enum control_type type;
	char sha256[SHA256_HEX_SIZE]; /* of its weights' file; empty where only configs were read */
	uint64_t bytes;               /* of weights in its files */
	struct controlnet *net;       /* NULL: its configs alone are known */
	struct controlnet_config net_config;
};

/* path: a folder as diffusers writes it, or a file. device NULL: only configs are read. SUMI_INVALID, and what it is,
 * where it is no such network. */
int control_open(struct device *device, const char *path, struct control **out, struct error *err);
void control_close(struct control *control); /* NULL is fine */
void control_rest(const struct control *control);

/* What it is called: "ControlNet". */
const char *control_word(const struct control *control);

/* {"kind", "family", "context", "bytes"}, a new reference; NULL: no memory. */
json_t *control_json(const struct control *control);

/* How a run uses one. */
struct control_use {
	struct control *control;
	const float *picture; /* host, [height, width, 3] in 0…1; needed until a session is prepared */
	int height, width;
	double strength;
	double start, end; /* part of the run */
	bool guess;        /* the prompt alone is steered, and weaker towards the top */
};

/* Whether it counts in evaluation `call` of so many, as diffusers has it: all of the evaluation's share of the
 * run lies between start and end. */
bool control_is_on(const struct control_use *use, int call, int calls);

#endif
