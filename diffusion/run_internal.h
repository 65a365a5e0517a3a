/* The state of a run, shared by run.c and run_state.c. */
#ifndef SUMI_DIFFUSION_RUN_INTERNAL_H
#define SUMI_DIFFUSION_RUN_INTERNAL_H

#include <stdint.h>

#include "diffusion/control.h"
#include "base/bytes.h"
#include "diffusion/pack_internal.h"
#include "diffusion/run.h"
#include "diffusion/session.h"
#include "diffusion/telling.h"

#define RUN_SIDE_MAX 8192
#define RUN_WINDOWED_MAX 65536 /* columns, where the model sees a window of them */
#define RUN_CACHE_MAX 10       /* evaluations for which features may be reused */
#define RUN_FRAMES_MAX 1024

/* The part of the width that the models see at once; w is 0 where they see all. */
struct window {
	int w; /* latent pixels */
	bool circular;
};

struct run {
	struct pack *pack; /* borrowed */
	struct sampler *sampler;
	struct denoiser *denoiser; /* of the pack, until it is given back */
	struct session *session;   /* with it */
	struct telling *telling;   /* what the session is told on the way; NULL: what was said at first */
	struct control_use controls[RUN_CONTROLS_MAX]; /* of the pack, until they are given back */
	int control_count;
	float *control_shown[RUN_CONTROLS_MAX]; /* copies of their pictures, where sessions are prepared on the way */
	struct rng rng;
	char digest[SHA256_HEX_SIZE]; /* of pack and parameters: what a saved state must fit */
	struct latent_spec latents;
	enum precision precision;
	uint64_t step_bytes; /* of the device's memory, beside the weights */
	float *x;          /* [c, frames, h, w] */
	float *prediction; /* [c, frames, h, w] */
	float *denoised;   /* [frames, h, w, c], what run_latents() gives out */
	float *model_in;   /* [frames, h, w, c] */
	float *model_out;  /* [frames, h, w, c] */
	struct window window;
	unsigned wrap; /* edges that are one (networks/pass.h) */
	enum denoiser_beside shown; /* beside the latents */
	struct inpaint *inpaint;    /* NULL: nothing is shown, and nothing stays */
	struct lift *lift;          /* NULL: all channels are painted */
};

/* [c, f, h, w] → [f, h, w, c], and how many they are. */
size_t run_values(const struct run *run);
void run_to_models(const struct run *run, const float *x, float *out);
void run_from_models(const struct run *run, const float *in, float *x); /* and back */

/* Around what is asked of the device: it computes in the run's precision. */
void run_enter(const struct run *run);
void run_leave(const struct run *run);

/* ---- run_codec.c ---- */

/* Pictures as latents [c, f, h, w]: a sample of what the codec says, drawn from the run's generator, or
 * with `plain` its mean as the autoencoder itself has it. p->init are the pictures. */
int run_encode(struct run *run, const struct run_params *p, bool plain, float *out,
	       struct error *err);

/* The same of pictures, by a plan of run_plan_encode(). */
int run_encode_pictures(struct run *run, const struct codec_job *job, const float *pictures, bool plain,
			float *out, struct error *err);

/* Latents [h, w, c] of a frame as pixels [height, width, colours], about −1…1. */
int run_decode_latents(struct run *run, const float *latents, float *out, struct error *err);

/* x [c, f, h, w] becomes p's latents, with the noise that the first step expects where some is added;
 * noise is scratch of that size. */
void run_go_on(struct run *run, const struct run_params *p, float *x, float *noise);

/* Each frame's noise, and the part of it that they share. */
void run_draw_noise(struct run *run, float *noise);

/* ---- run_inpaint.c: masks, and models that are shown a picture ---- */

/* What such a run must be told: SUMI_INVALID. */
int run_inpaint_check(enum denoiser_beside shown, const struct run_params *p, struct error *err);

/* Makes run->inpaint where the run has one. */
int run_inpaint_new(struct run *run, const struct run_params *p, struct error *err);
void run_inpaint_free(struct inpaint *inpaint); /* NULL is fine */

/* The first latents, and what is needed later: the same from the same parameters. run->rng is fresh. */
int run_inpaint_first(struct run *run, const struct run_params *p, struct error *err);

/* Around one evaluation: the x that the model sees (owned by the run); run->prediction, which becomes
 * what the model would say if it knew what stays; run->x after the step. */
const float *run_inpaint_seen(struct run *run, int call);
void run_inpaint_answer(struct run *run, int call);
void run_inpaint_settle(struct run *run, int call);

/* [f, h, w, in − out] or NULL */
const float *run_inpaint_beside(const struct run *run);

/* ---- run_lift.c: channels that a picture lacks ---- */

/* Makes run->lift where the run has one. */
int run_lift_new(struct run *run, const struct run_params *p, struct error *err);
void run_lift_free(struct lift *lift); /* NULL is fine */

/* run->prediction becomes what the model would say if it knew the channels that are known. */
int run_lift_answer(struct run *run, int call, struct error *err);

/* FreeNoise (arXiv:2310.15169) as diffusers' "shuffle_context": frames of x [c, frames, pixels]
 * behind the first window are replaced by shuffled earlier ones, the order drawn from rng. */
void run_shuffle_noise(struct rng *rng, float *x, int c, int frames, size_t pixels,
		       const struct denoiser_frames *together);

/* Mixed noise (arXiv:2305.10474, eq. 3): share, 0…1, of the variance of x [c, frames, pixels]
 * becomes the same for all frames, drawn from rng after x was. common [c, pixels] is scratch. */
void run_share_noise(struct rng *rng, float *x, float *common, int c, int frames, size_t pixels,
		     float share);

/* The networks of a run's controls by their configs alone, for plans; to be dropped. */
int run_read_controls(const struct run_params *p, struct control_use uses[RUN_CONTROLS_MAX],
		      struct error *err);
void run_drop_controls(struct control_use *uses, int count);

/* Bytes of the weights of those that the pack has not on its device; of all for NULL. */
uint64_t run_control_bytes(const struct pack *pack, const struct run_params *p);

/* The networks of a run's controls, into run->controls, from the pack or opened now. */
int run_take_controls(struct run *run, const struct run_params *p, struct error *err);
void run_give_controls(struct run *run);

/* SUMI_INVALID for numbers out of their range, and for a network that is not for the pack's denoiser; by
 * configs alone. */
int run_check_controls(const struct pack_info *info, const struct run_params *p, struct error *err);

/* Appends what of those that were taken decides the result; nothing where there are none. */
void run_controls_identity(const struct run *run, struct bytes_writer *out);

/* Edges that are one, as networks/pass.h has them; 0 also for a word that is none. */
unsigned run_wrap(const struct run_params *p);

/* What a session for such a run is prepared for. tokens: of a text, for memory() alone. */
struct denoiser_plan run_plan_denoiser(const struct pack_info *info, const struct run_params *p,
				       const struct denoiser_spec *spec, int tokens);

/* ---- run_travel.c: texts that change from frame to frame ---- */

/* SUMI_INVALID for stops that do not follow each other, and for what they do not go together with. */
int run_travel_check(const struct pack_info *info, const struct run_params *p, struct error *err);

/* The texts of each frame: *said has texts · frames of them. of: all but the texts. */
int run_travel_encode(struct conditioner *c, const struct conditioner_input *of, const struct run_params *p, int texts,
		      struct conditions *said, struct error *err);

/* run->x, the noise of the run's own seed, goes over to those of the stops' seeds. draw: what drew it. */
int run_travel_noise(struct run *run, const struct run_params *p, void (*draw)(struct run *run, float *noise),
		     struct error *err);

/* Appends what of it decides the result; nothing where there is none. */
void run_travel_identity(const struct run_params *p, struct bytes_writer *out);

/* ---- run_text.c: what the texts become ---- */

/* How many texts an evaluation is told: of several parts, or of one of another weight than 1, what each
 * changes is asked for without guidance too. */
int run_text_count(const struct run_params *p, bool guided);

/* What `texts` texts of the run say: run->telling where they do more than stand there, else *said. */
int run_encode_text(struct run *run, const struct run_params *p, int texts, struct conditions *said,
		    struct error *err);

/* Appends what of their syntax decides results. */
void run_text_identity(const struct run_params *p, struct bytes_writer *out);

/* The latents of such a run. */
struct latent_spec run_plan_latents(const struct pack_info *info, const struct run_params *p);

/* How a frame is decoded. SUMI_TOOBIG. */
int run_plan_decode(const struct run *run, struct codec_job *job, struct error *err);

/* Bytes that a step takes on the device, and some of those by name; 0: it cannot be said. */
uint64_t run_plan_step(const struct pack *pack, const struct run_params *p,
		       struct denoiser_needs *needs);

/* How the pictures are encoded that a run starts from. */
struct codec_job run_plan_encode(const struct pack *pack, const struct run_params *p);

/* SUMI_TOOBIG, with the figures, when a step or the decoding would need more than the device has, or
 * more in one piece than it gives. */
int run_plan_fits(struct pack *pack, const struct run_params *p, struct error *err);

/* What the device says of the first operation of the run, its steps and its pictures, that it does not
 * support. */
int run_plan_supported(struct pack *pack, const struct run_params *p, struct error *err);

/* Of everything that decides the result, into run->digest. */
int run_digest(struct run *run, const struct run_params *p, struct error *err);

/* run_save() and the second half of run_restore(); n: values of the latents. */
int run_store(const struct run *run, size_t n, void **data, size_t *size, struct error *err);
int run_load(struct run *run, size_t n, const void *data, size_t size, struct error *err);

#endif
