/* How a model is told what to make: texts become conditions. One table of functions a kind of
 * model; what is behind it (tokenizers, encoders, what they gave last) nobody else sees. */
#ifndef SUMI_DIFFUSION_CONDITIONER_H
#define SUMI_DIFFUSION_CONDITIONER_H

#include "backends/backend.h"
#include "diffusion/conditions.h"
#include "diffusion/prompt_chunks.h"

struct pack_info;
struct conditioner;

/* Words that stand for vectors of an encoder (textual inversion). */
struct conditioner_words {
	struct prompt_words words;
	const float *vectors; /* [count, width of the encoder] */
	int count;
};

enum { CONDITIONER_TEXTS_MAX = PROMPT_TEXTS_MAX };

/* What a model that was told of pictures' sizes in training is told of this one; 0: as it is. */
struct conditioner_sizes {
	int original_width, original_height; /* before it was cut */
	int crop_left, crop_top;             /* what was cut off */
	int target_width, target_height;
};

struct conditioner_input {
	const char *const *texts; /* [n], UTF-8; NULL: not given, which may be another thing than "" */
	int n;                    /* the prompt is the last one */
	int clip_skip;            /* layers left out at an encoder's end */
	int width, height;        /* pixels of the picture */
	const struct conditioner_sizes *sizes; /* what models are told of them; NULL: that they are all */
	enum prompt_syntax syntax; /* of weights and chunks; the first is that of a text alone */
	/* Texts that stand for one another are weighed together, each so many times: [n], or NULL where
	 * they have nothing in common. They are the prompt's, or the negative one's. */
	const int *times;
	bool negative;
	const struct conditioner_words *words; /* [encoders], in the kind's order; NULL: none */
};

/* What is known from the configs alone. */
struct conditioner_shape {
	int tokens;    /* rows of a usual text's tokens, when memory is planned */
	int width;     /* channels of a token */
	int pooled;    /* channels of the pooled text; 0: there is none */
	int ids;       /* numbers about the picture; 0: there are none */
	int clip_skip; /* the most layers that may be left out */
};

struct conditioner_kind {
	const char *name;
	int encoders;      /* that know syntaxes and vectors; 0: a text is a text */
	const void *parts; /* what the functions must know of the family */
	/* info: whose parts they are, read and borrowed until close; the device likewise. */
	int (*open)(const struct conditioner_kind *kind, struct device *device,
		    const struct pack_info *info, struct conditioner **out, struct error *err);
	int (*shape)(const struct conditioner_kind *kind, const struct pack_info *info,
		     struct conditioner_shape *out, struct error *err);
	/* Whether a text that is not given is another thing than an empty one. NULL: never. */
	bool (*tells_absent)(const struct conditioner_kind *kind, const struct pack_info *info);
	/* Encoders are loaded when they are first needed, or before; what is known of earlier
	 * texts stays when they go. NULL: there is nothing that could. */
	int (*load)(struct conditioner *c, struct error *err);
	void (*unload)(struct conditioner *c);
	/* As a denoiser's; what is known of earlier texts goes. */
	int (*adapt)(struct conditioner *c, struct error *err);
	/* out is zeroed, and released by the caller also after a failure. */
	int (*encode)(struct conditioner *c, const struct conditioner_input *in,
		      struct conditions *out, struct error *err);
	/* conditioner_chunks() of a kind with encoders. */
	int (*chunks)(struct conditioner *c, const struct conditioner_input *in,
		      const struct tokenizer **tokenizer, struct prompt_chunks *out, struct error *err);
	/* Whether the texts become what they would without any syntax. NULL: always. */
	int (*plain)(struct conditioner *c, const struct conditioner_input *in, bool *plain,
		     struct error *err);
	void (*close)(struct conditioner *c);
};

/* What every kind's own state begins with. */
struct conditioner {
	const struct conditioner_kind *kind;
	void (*make_room)(void *user); /* called before encoders come onto the device; or NULL */
	void *user;
};

/* The caller closes *out before the device and the info. */
int conditioner_open(const struct conditioner_kind *kind, struct device *device,
		     const struct pack_info *info, struct conditioner **out, struct error *err);
void conditioner_close(struct conditioner *c); /* NULL is fine */

/* SUMI_INVALID or SUMI_UNSUPPORTED where a config is wrong. */
int conditioner_shape_read(const struct conditioner_kind *kind, const struct pack_info *info,
			   struct conditioner_shape *out, struct error *err);

/* Whether a text that is not given is another thing than an empty one, as the pack says. */
bool conditioner_tells_absent(const struct conditioner_kind *kind, const struct pack_info *info);

/* Puts the encoders onto the device, and takes them off it. conditioner_encode() loads what it
 * lacks. */
int conditioner_load(struct conditioner *c, struct error *err);
void conditioner_unload(struct conditioner *c);

/* Who is told that encoders are about to come. */
void conditioner_set_room(struct conditioner *c, void (*make_room)(void *user), void *user);

/* Texts to conditions, which the caller frees; nothing is left in *out after a failure. The same
 * texts give the same bytes, whatever was encoded before. */
int conditioner_encode(struct conditioner *c, const struct conditioner_input *in,
		       struct conditions *out, struct error *err);

/* Whether those texts, which prompt_tell_plain() calls so, become what they would without any syntax. */
int conditioner_plain(struct conditioner *c, const struct conditioner_input *in, bool *plain,
		      struct error *err);

/* How the first of the texts is cut for the first encoder, whose tokenizer is borrowed: nothing is encoded.
 * SUMI_UNSUPPORTED for a kind that knows no syntax. The caller releases *out. */
int conditioner_chunks(struct conditioner *c, const struct conditioner_input *in,
		       const struct tokenizer **tokenizer, struct prompt_chunks *out,
		       struct error *err);

/* CLIP's text model: tokens are its last state. */
extern const struct conditioner_kind conditioner_clip;

/* Two of them: tokens are the last states but one, side by side; the pooled text is the second
 * one's; ids are the picture's sizes. */
extern const struct conditioner_kind conditioner_clip_pair;

/* The second of them alone. */
extern const struct conditioner_kind conditioner_clip_second;

#endif
