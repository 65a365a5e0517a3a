/* Videos whose text changes on the way: between two frames that have a text each, those between are told a mixture
 * of both, and begin with a mixture of both seeds' noise. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/run_internal.h"

/* Where a frame lies: between stop `at` and the next one, `part` of the way; stop 0 is the prompt, in front of all
 * that travel names. */
struct between {
	int at;
	float part;
};

static int frame_of(const struct run_params *p, int stop)
{
	return stop ? p->travel[stop - 1].frame : 0;
}

static struct between place(const struct run_params *p, int frame)
{
	struct between b = {0, 0};
	while (b.at < p->travel_count && frame_of(p, b.at + 1) <= frame)
		b.at++;
	if (b.at < p->travel_count) {
		int from = frame_of(p, b.at), to = frame_of(p, b.at + 1);
		b.part = (float)(frame - from) / (float)(to - from);
	}
	return b;
}

/* ---- checks ------------------------------------------------------------------------ */

/* *plain stays false where it is. */
static int check_plain(const struct run_params *p, const char *text, bool negative, bool *plain, struct error *err)
{
	enum prompt_syntax syntax;
	if (!text || !*plain || prompt_syntax_of(p->prompt_syntax, &syntax, NULL))
		return SUMI_OK;
	return prompt_tell_plain(syntax, text, negative, plain, err);
}

static int check_texts(const struct run_params *p, struct error *err)
{
	bool plain = true;
	int status = check_plain(p, p->prompt, false, &plain, err);
	if (!status)
		status = check_plain(p, p->negative_prompt, true, &plain, err);
	for (int i = 0; i < p->travel_count && !status; i++)
		status = check_plain(p, p->travel[i].prompt, false, &plain, err);
	if (!status && !plain)
		status = error_set(err, SUMI_INVALID,
				   "travel goes together with texts alone, without weights, parts or changes (prompt_syntax "
				   "diffusers takes those as words)");
	return status;
}

int run_travel_check(const struct pack_info *info, const struct run_params *p, struct error *err)
{
	if (!p->travel_count)
		return SUMI_OK;
	if (p->travel_count < 0 || p->travel_count > RUN_TRAVEL_MAX)
		return error_set(err, SUMI_INVALID, "travel has %d stops, allowed are up to %d", p->travel_count, RUN_TRAVEL_MAX);
	for (int i = 0; i < p->travel_count; i++) {
		int after = i ? p->travel[i - 1].frame + 1 : 0;
		/* Its motion modules know frames of nearly one noise, and make nothing of two. */
		if (p->travel[i].seeded && info->noise_shared > 0)
			return error_set(err, SUMI_INVALID,
					 "travel, entry %d: frames of model %s share their noise, which cannot go over to another "
					 "seed's: leave out seed",
					 i + 1, info->name);
		if (p->travel[i].frame < after || p->travel[i].frame >= p->frames)
			return error_set(err, SUMI_INVALID,
					 "travel, entry %d: frame is %d, allowed are %d to %d: each behind the one before it, "
					 "and within the video",
					 i + 1, p->travel[i].frame, after, p->frames - 1);
	}
	int status = check_texts(p, err);
	if (status)
		return status;
	if (p->init || p->control_count)
		return error_set(err, SUMI_INVALID, "travel does not go together with %s", p->init ? "init" : "controls");
	if (p->guidance_start > 0 || (p->guidance_end != 0 && p->guidance_end < 1))
		return error_set(err, SUMI_INVALID, "travel is guided from beginning to end: leave out guidance_start and "
						    "guidance_end");
	return SUMI_OK;
}

void run_travel_identity(const struct run_params *p, struct bytes_writer *out)
{
	for (int i = 0; i < p->travel_count; i++) {
		const struct run_travel *t = &p->travel[i];
		bytes_put_u32(out, (uint32_t)t->frame);
		bytes_put_u64(out, strlen(t->prompt));
		bytes_put(out, t->prompt, strlen(t->prompt));
		bytes_put_u64(out, t->seeded ? t->seed : p->seed);
	}
}

/* ---- texts ------------------------------------------------------------------------- */

/* One frame's rows of a tensor, of two stops' texts. */
static void mix_rows(const struct condition *own, const struct condition *next, float part, float *to)
{
	size_t n = (size_t)own->rows * (size_t)own->width;
	for (size_t i = 0; i < n; i++)
		to[i] = part > 0 ? own->values[i] + part * (next->values[i] - own->values[i]) : own->values[i];
}

/* One tensor of each frame: the negative text's for all, then the stops'. */
static void spread(const struct run_params *p, int texts, const struct conditions *stops, const struct conditions *negative,
		   int tensor, float *to)
{
	const struct condition *no = texts > 1 ? &negative->tensors[tensor] : NULL;
	size_t one = (size_t)stops[0].tensors[tensor].rows * (size_t)stops[0].tensors[tensor].width;
	for (int f = 0; no && f < p->frames; f++, to += one)
		memcpy(to, no->values, one * sizeof *to);
	for (int f = 0; f < p->frames; f++, to += one) {
		struct between b = place(p, f);
		int next = b.at < p->travel_count ? b.at + 1 : b.at;
		mix_rows(&stops[b.at].tensors[tensor], &stops[next].tensors[tensor], b.part, to);
	}
}

static int join_stops(const struct run_params *p, int texts, const struct conditions *stops,
		      const struct conditions *negative, struct conditions *said, struct error *err)
{
	int status = SUMI_OK;
	*said = (struct conditions){.n = texts * p->frames};
	for (int k = 0; k < stops[0].count && !status; k++) {
		const struct condition *from = &stops[0].tensors[k];
		struct condition *c;
		for (int i = 0; i <= p->travel_count + (texts > 1) && !status; i++) {
			const struct conditions *other = i <= p->travel_count ? &stops[i] : negative;
			if (other->count != stops[0].count || other->tensors[k].rows != from->rows)
				status = error_set(err, SUMI_INVALID, "travel: this model's texts have as many rows as they "
								      "have words, which cannot be mixed");
		}
		if (!status)
			status = conditions_add(said, from->name, from->rows, from->width, &c, err);
		if (!status)
			spread(p, texts, stops, negative, k, c->values);
	}
	if (status)
		conditions_free(said);
	return status;
}

int run_travel_encode(struct conditioner *c, const struct conditioner_input *of, const struct run_params *p, int texts,
		      struct conditions *said, struct error *err)
{
	struct conditions stops[RUN_TRAVEL_MAX + 1] = {0}, negative = {0};
	struct conditioner_input in = *of;
	int status = SUMI_OK;
	in.n = 1;
	if (texts > 1) {
		in.texts = &p->negative_prompt;
		status = conditioner_encode(c, &in, &negative, err);
	}
	for (int i = 0; i <= p->travel_count && !status; i++) {
		in.texts = i ? &p->travel[i - 1].prompt : &p->prompt;
		status = conditioner_encode(c, &in, &stops[i], err);
	}
	if (!status)
		status = join_stops(p, texts, stops, &negative, said, err);
	conditions_free(&negative);
	for (int i = 0; i <= p->travel_count; i++)
		conditions_free(&stops[i]);
	return status;
}

/* ---- noise ------------------------------------------------------------------------- */

/* One frame of noise [channels, frames, pixels] goes over to another's, along the sphere on which both lie. */
static void turn_frame(const struct latent_spec *s, int frame, float part, const float *other, float *x)
{
	size_t pixels = (size_t)s->height * (size_t)s->width;
	double aa = 0, bb = 0, ab = 0;
	for (int k = 0; k < s->channels; k++) {
		size_t at = ((size_t)k * (size_t)s->frames + (size_t)frame) * pixels;
		for (size_t i = at; i < at + pixels; i++) {
			aa += (double)x[i] * x[i];
			bb += (double)other[i] * other[i];
			ab += (double)x[i] * other[i];
		}
	}
	double angle = acos(fmax(-1, fmin(1, ab / sqrt(aa * bb)))), whole = sin(angle);
	double own = whole > 1e-4 ? sin((1 - part) * angle) / whole : 1 - part;
	double theirs = whole > 1e-4 ? sin(part * angle) / whole : part;
	for (int k = 0; k < s->channels; k++) {
		size_t at = ((size_t)k * (size_t)s->frames + (size_t)frame) * pixels;
		for (size_t i = at; i < at + pixels; i++)
			x[i] = (float)(own * x[i] + theirs * other[i]);
	}
}

static uint64_t seed_of(const struct run_params *p, int stop)
{
	return stop && p->travel[stop - 1].seeded ? p->travel[stop - 1].seed : p->seed;
}

static void copy_frame(const struct latent_spec *s, int frame, const float *from, float *to)
{
	size_t pixels = (size_t)s->height * (size_t)s->width;
	for (int k = 0; k < s->channels; k++) {
		size_t at = ((size_t)k * (size_t)s->frames + (size_t)frame) * pixels;
		memcpy(to + at, from + at, pixels * sizeof *to);
	}
}

int run_travel_noise(struct run *run, const struct run_params *p, void (*draw)(struct run *run, float *noise),
		     struct error *err)
{
	const struct latent_spec *s = &run->latents;
	struct rng kept = run->rng;
	size_t n = run_values(run);
	float *all = p->travel_count ? malloc((size_t)(p->travel_count + 1) * n * sizeof *all) : NULL;
	if (!p->travel_count)
		return SUMI_OK;
	if (!all)
		return error_set(err, SUMI_NOMEM, "no memory for the noise of %d texts", p->travel_count + 1);
	/* What each stop's seed alone would begin with. */
	memcpy(all, run->x, n * sizeof *all);
	for (int k = 1; k <= p->travel_count; k++) {
		rng_init(&run->rng, kept.kind, seed_of(p, k));
		draw(run, all + (size_t)k * n);
	}
	run->rng = kept;
	for (int f = 0; f < s->frames; f++) {
		struct between b = place(p, f);
		copy_frame(s, f, all + (size_t)b.at * n, run->x);
		if (b.part > 0 && seed_of(p, b.at) != seed_of(p, b.at + 1))
			turn_frame(s, f, b.part, all + (size_t)(b.at + 1) * n, run->x);
	}
	free(all);
	return SUMI_OK;
}
