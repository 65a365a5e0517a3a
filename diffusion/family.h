/* Families of models: what a pack's model_index.json says that it is, the parts that such packs
 * are made of, and who makes use of them. No name of a model is compared anywhere. */
#ifndef SUMI_DIFFUSION_FAMILY_H
#define SUMI_DIFFUSION_FAMILY_H

#include <jansson.h>
#include <stdbool.h>

#include "diffusion/codec.h"
#include "diffusion/conditioner.h"
#include "diffusion/denoiser.h"
#include "diffusion/preview.h"
#include "diffusion/schedule.h"

/* Who opens a part. */
enum part_use {
	PART_READ,      /* nobody: it is read with others, as a tokenizer is with its encoder */
	PART_TEXTS,     /* the conditioner */
	PART_DENOISER,  /* comes with the pack */
	PART_DISTILLED, /* a denoiser for few steps, opened when it is first asked for */
	PART_MOTION,    /* modules of the denoiser */
	PART_CODEC,     /* latents to pixels and back */
	PART_NOISE,     /* what samplers are told */
	PART_USES
};

enum { PART_FILES = 2 };

struct part {
	const char *folder;
	const char *files[PART_FILES]; /* that must be there, and decide the result */
	const char *weights;           /* a usual name of its weights; NULL: it has none */
	bool optional;
	enum part_use use;
	bool second; /* of text encoders: it is the second of those that have two, to whom halves of files belong */
};

struct family {
	const char *name;
	const char *const *classes; /* pipelines of diffusers, to NULL */
	/* To NULL. Each is opened after those before it, and digests depend on the order: what is
	 * added comes last. */
	const struct part *const *parts;
	const struct conditioner_kind *conditioner;
	const struct denoiser_kind *denoiser;
	const struct codec_kind *codec;
	enum schedule_steps aligned; /* whose steps schedule ays has */
	double cfg_scale;            /* where nobody says; 0: 7.5 */
	const struct preview_map *preview; /* colours of its latents, or NULL */
};

/* Which family a model_index.json means: by its class, and where that is not known or has several
 * families, by the parts that it names. One without a class is of the first family. where: the
 * file, for messages. SUMI_UNSUPPORTED: of none. */
int family_of(const json_t *index, const char *where, const struct family **out, struct error *err);

/* To NULL, the first being the one of packs that do not say. They stand in a file of their own
 * (families.c): a program that brings others defines the table itself. */
extern const struct family *const families[];

/* The folder of the part with that use, which the family has. */
const char *family_folder(const struct family *family, enum part_use use);

/* The part of that folder, or NULL. */
const struct part *family_part(const struct family *family, const char *folder);

#endif
