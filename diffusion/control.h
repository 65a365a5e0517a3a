/* Networks that see a picture and steer a denoiser with what they see (ControlNet, IP-Adapter). A kind is a row of a
 * table; which denoiser it is for, and how it is asked, its denoiser's own file knows. */
#ifndef SUMI_DIFFUSION_CONTROL_H
#define SUMI_DIFFUSION_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "backends/backend.h"
#include "base/hash.h"
#include "diffusion/look.h"
#include "networks/controlnet.h"
#include "networks/t2i_adapter.h"

enum control_type {
	CONTROL_NET,  /* ControlNet: follows a map, pixel by pixel */
	CONTROL_T2I,  /* T2I-Adapter: likewise, by what it says once for all steps */
	CONTROL_LOOK, /* IP-Adapter: sees a picture as a whole, beside the text */
};

struct control {
	enum control_type type;
	char sha256[SHA256_HEX_SIZE]; /* of its weights' file; empty where only configs were read */
	uint64_t bytes;               /* of weights in its files */
	struct controlnet *net;       /* NULL: its configs alone are known */
	struct controlnet_config net_config;
	struct t2i_adapter *t2i; /* likewise of CONTROL_T2I */
	struct t2i_config t2i_config;
	struct look *look; /* of CONTROL_LOOK; else NULL */
};

/* path: a folder as diffusers writes it, or a file. encoder: of an IP-Adapter its image encoder, as for
 * look_open(). device NULL: only configs are read. SUMI_INVALID, and what it is, where it is no such
 * network. */
int control_open(struct device *device, const char *path, const char *encoder, struct control **out,
		 struct error *err);
void control_close(struct control *control); /* NULL is fine */
void control_rest(const struct control *control);

/* What it is called: "ControlNet". */
const char *control_word(const struct control *control);

/* {"kind", "family", "context", "bytes"}, a new reference; NULL: no memory. */
json_t *control_json(const struct control *control);

/* How a run uses one. */
struct control_use {
	struct control *control;
	const float *picture; /* host, in 0…1, needed until a session is prepared: [height, width, 3]; of an
				 IP-Adapter [side, side, 3] of its encoder */
	const float *mask; /* of an IP-Adapter: host, [height, width] in 0…1, likewise; NULL: all of it */
	int height, width; /* of the result */
	double strength;
	double start, end; /* part of the run */
	bool joined;       /* of an IP-Adapter, as in struct run_control */
	int kind;          /* of the map, CONTROL_KIND_ANY or as ControlNets for several count them */
	bool guess;        /* the prompt alone is steered, and weaker towards the top */
};

/* Numbers of a use's picture. */
size_t control_picture_values(const struct control_use *use);

enum { CONTROL_KIND_ANY = -1 };

/* SUMI_INVALID for what such a network does not know: a guess, a mask, or that kind of map. */
int control_check_use(const struct control *control, bool guess, bool mask, int kind, struct error *err);

/* What a picture's sides have to be multiples of; 0: it does not matter. */
int control_multiple(const struct control *control);

/* Whether it counts in evaluation `call` of so many, as diffusers has it: all of the evaluation's share of the
 * run lies between start and end. */
bool control_is_on(const struct control_use *use, int call, int calls);

#endif
