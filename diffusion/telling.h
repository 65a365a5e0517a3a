/* What a denoiser is told on its way: a negative prompt and the parts of a prompt, of which each may be
 * another text at other evaluations. */
#ifndef SUMI_DIFFUSION_TELLING_H
#define SUMI_DIFFUSION_TELLING_H

#include "diffusion/conditioner.h"
#include "diffusion/prompt.h"

enum { TELLING_TEXTS_MAX = 1 + PROMPT_PARTS_MAX };

/* The texts that stand for one another, encoded. */
struct telling_voice {
	struct conditions said; /* owned */
	int *at;                /* [calls]: which of them; owned */
};

struct telling {
	struct telling_voice voices[TELLING_TEXTS_MAX]; /* the negative prompt's first, where it is told */
	double weights[TELLING_TEXTS_MAX];              /* of parts; the negative one's is 0 */
	int count, calls;
	bool negative; /* the first is the negative prompt */
	bool *changes; /* [calls]: something is another text than at the call before; owned */
};

struct telling_input {
	const char *prompt, *negative; /* negative NULL: not given */
	struct conditioner_input of;   /* all but the texts */
	int calls, all_calls;          /* that are made, and that a whole run would make */
	bool guided;                   /* the negative prompt is told too */
};

/* *out is NULL where the prompts are what they would be without any syntax: then they are encoded as texts.
 * SUMI_INVALID names what cannot be read. The caller frees *out. */
int telling_make(struct conditioner *c, const struct telling_input *in, struct telling **out,
		 struct error *err);
void telling_free(struct telling *t); /* NULL is fine */

/* What is told at a call, as a run's texts: the negative prompt and the parts, in this order. Parts of fewer
 * rows get more of their last; where the negative prompt's rows are not as many as theirs, both are said
 * several times over, which is as if each was said alone. The caller frees *out. */
int telling_at(const struct telling *t, int call, struct conditions *out, struct error *err);

/* Whether the same is told at two calls. */
bool telling_is_same(const struct telling *t, int a, int b);

/* Whether the prompt is one part of weight 1. */
bool telling_is_single(const struct telling *t);

#endif
