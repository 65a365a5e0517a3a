/* A denoiser: noisy latents, a time and what the texts say to a prediction. Each kind of network is
 * one table of functions; what it keeps for one run (the text's keys and values, which frames see
 * each other) is a session. Whole runs talk to it through diffusion/session.h. */
#ifndef SUMI_DIFFUSION_DENOISER_H
#define SUMI_DIFFUSION_DENOISER_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/backend.h"
#include "diffusion/conditioner.h"

struct control;
struct control_use;
struct pack_info;

struct denoiser_spec {
	int out; /* channels of the latents, of its prediction too */
	int in;  /* that it takes: the latents', and behind them what else it is shown (inpainting) */
	int levels; /* from which shallow evaluations can go on: 1 … levels; 0: there are none */
	bool embeds_guidance; /* takes the scale of guidance as an input: one evaluation does */
};

/* What stands beside its latents. */
enum denoiser_beside {
	BESIDE_NOTHING,
	BESIDE_MASK,    /* what is made anew, and the latents of the rest: inpainting */
	BESIDE_PICTURE, /* the latents of a picture that is to be changed: instruct-pix2pix */
	BESIDE_UNKNOWN,
};

/* What a session is for. */
struct denoiser_plan {
	int frames, h, w; /* of the latents */
	unsigned wrap;    /* edges that are one (networks/pass.h) */
	bool circular;    /* the last frame is followed by the first */
	bool travels;     /* said has texts · frames texts, those of each frame */
	int texts;        /* 2: an unconditional one and the prompt's, in this order; 1: this one */
	int tokens;       /* of each; memory() alone asks for it */
	int level;        /* evaluations may be shallow, from this level on; 0: none is */
	double guidance;  /* its scale, for those that embed it */
	const struct control_use *controls; /* networks that steer it by pictures; borrowed, as long as the
					       session */
	int control_count;
};

struct denoiser_needs {
	uint64_t text;    /* bytes that a session keeps from beginning to end */
	uint64_t largest; /* of one piece */
	uint64_t products; /* multiplications of an evaluation; 0: not counted */
};

/* How the frames of a video are made; a run draws their first noise by it. */
struct denoiser_frames {
	bool together;      /* they know of each other: … */
	int window, stride; /* … in windows of so many, each so far behind the last; 0: all at once */
};

/* What every kind's own state begins with, and its sessions. */
struct denoiser {
	const struct denoiser_kind *kind;
};

struct denoiser_session {
	struct denoiser *denoiser; /* borrowed */
	struct denoiser_frames frames;
};

/* One evaluation: the same latents seen with each text. */
struct denoiser_input {
	struct denoiser_session *session;
	const float *latents; /* host, [frames, h, w, in] */
	float timestep;
	int text;          /* 1 … plan.texts: this one alone; 0: all */
	bool shallow;      /* from what the last whole evaluation of the session left */
	const float *strengths; /* of the plan's controls in this evaluation, 0: not asked; may be NULL where
				   there are none */
	float *prediction; /* host, [texts seen, frames, h, w, out] */
};

struct denoiser_kind {
	const char *name;

	/* part: the folder of the pack that holds it. The device is borrowed until close; NULL:
	 * only the configs are read, for spec() and memory(). */
	int (*open)(const struct denoiser_kind *kind, struct device *device,
		    const struct pack_info *info, const char *part, struct denoiser **out,
		    struct error *err);
	void (*close)(struct denoiser *denoiser);

	/* The size of latents that the small files of a part propose; nothing is opened. */
	int (*size)(const struct pack_info *info, const char *part, int *height, int *width,
		    struct error *err);

	void (*spec)(const struct denoiser *denoiser, struct denoiser_spec *out);

	/* Whether what a conditioner makes is what it wants: SUMI_INVALID with both. */
	int (*accepts)(const struct denoiser *denoiser, const struct conditioner_shape *shape,
		       struct error *err);

	/* SUMI_INVALID where a network that sees a picture is not for it. NULL: none is. */
	int (*takes)(const struct denoiser *denoiser, const struct control *control,
		     struct error *err);

	/* Bytes that an evaluation takes at its peak, the session's included, with activations of
	 * this type; 0 where it cannot be said. needs may be NULL. */
	uint64_t (*memory)(const struct denoiser *denoiser, const struct denoiser_plan *plan,
			   enum dtype dtype, struct denoiser_needs *needs);

	/* Whether a device supports every operation of that: what device_supports() says of the first
	 * that it does not. NULL: nothing is asked. */
	int (*supported)(const struct denoiser *denoiser, const struct denoiser_plan *plan,
			 const struct device *device, struct error *err);

	/* said: of plan.texts texts, not needed after the call. The session is ended before the
	 * denoiser is closed. */
	int (*prepare)(struct denoiser *denoiser, const struct denoiser_plan *plan,
		       const struct conditions *said, struct denoiser_session **out,
		       struct error *err);
	void (*end)(struct denoiser_session *session);

	/* Several inputs at once, whose sessions all join the first: each gets, bit for bit, what
	 * it would get alone. */
	int (*evaluate)(const struct denoiser_input *in, int count, struct error *err);

	/* Whether two sessions of one denoiser can be evaluated together. NULL: none can. */
	bool (*joins)(const struct denoiser_session *a, const struct denoiser_session *b);

	/* What lies beside its weights from now on, by info->adapters, which stay there
	 * (adapters_thin()); none: nothing, which never fails. NULL: adapters are folded into weights
	 * when they are opened. */
	int (*adapt)(struct denoiser *denoiser, const struct pack_info *info, const char *part,
		     struct error *err);

	/* Others will need memory before the next evaluation. NULL: it has none to give. */
	void (*rest)(const struct denoiser *denoiser);
};

/* UNet2DConditionModel, with the pack's motion modules where it has some. */
extern const struct denoiser_kind denoiser_unet;

int denoiser_open(const struct denoiser_kind *kind, struct device *device,
		  const struct pack_info *info, const char *part, struct denoiser **out,
		  struct error *err);
void denoiser_close(struct denoiser *denoiser); /* NULL is fine */
struct denoiser_spec denoiser_spec(const struct denoiser *denoiser);
void denoiser_rest(const struct denoiser *denoiser);

int denoiser_accepts(const struct denoiser *denoiser, const struct conditioner_shape *shape,
		     struct error *err);

/* Told by the channels alone. */
enum denoiser_beside denoiser_beside(const struct denoiser_spec *spec);

int denoiser_takes(const struct denoiser *denoiser, const struct control *control, struct error *err);

/* SUMI_INVALID for a level of shallow evaluations that it has not. */
int denoiser_check_level(const struct denoiser_spec *spec, int level, struct error *err);

#endif
