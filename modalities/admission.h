/* What can be known of a job before anything of it is made: whether the pack that would make it
 * here can. */
#ifndef SUMI_MODALITIES_ADMISSION_H
#define SUMI_MODALITIES_ADMISSION_H

#include <stdbool.h>

#include "base/config.h"
#include "diffusion/catalogue.h"
#include "request/job.h"

/* Begin with {.config = …}; the packs are listed when the first job comes. */
struct admission {
	const struct config *config; /* borrowed */
	bool others; /* other hosts may make the job, with another default pack than this one's */
	bool deep;   /* look into the weights too, once a pack */
	uint64_t memory;  /* bytes of the largest device that could make it; 0: not known */
	char device[128]; /* its name */
	struct catalogue catalogue;
	bool listed;
	char fine[256];                /* a combination of parameters that was found to go together */
	uint64_t adapters;             /* stamp of those that were found to fit, and their pack */
	const struct pack_info *whole; /* of the packs, the one whose weights were looked at last */
};

/* What it holds, not a itself, which lists the packs anew if it is asked again. */
void admission_free(struct admission *a);

/* The pack that would make the job here, or NULL. Borrowed. */
const struct pack_info *admission_pack(struct admission *a, const struct job *job);

/* How many packs are here. */
int admission_packs(struct admission *a);

/* A pack by its name, or NULL. Borrowed. */
const struct pack_info *admission_named(struct admission *a, const char *name);

/* SUMI_INVALID (or what resolving met) for a job that the pack of its name, or the default one,
 * would refuse, and for samplers and schedules that nobody knows. Where the pack is not installed
 * here, whoever has it says the rest. */
int admission_check(struct admission *a, const struct job *job, struct error *err);

/* That the strength which a job leaves open leaves a step: asked when the picture that it starts from has been looked
 * for, so that what is wrong with that is said first. */
int admission_strength(struct admission *a, const struct job *job, struct error *err);

/* Of what admission_check() asks the sizes alone, for who learns of memory and device after that. */
int admission_fits(struct admission *a, const struct job *job, struct error *err);

/* SUMI_NOTFOUND where no pack could make the job and no other host may have one: its model is not installed, or there
 * is none for its modality. */
int admission_installed(struct admission *a, const struct job *job, struct error *err);

/* SUMI_INVALID for a file that is named by a path: one answer for all that may not be read, so that it
 * tells nobody which paths there are. name: the parameter's. */
int admission_refuse_path(const char *name, const char *path, struct error *err);

/* admission_check() in the form that the queue asks in, for jobs as they come: context is the struct
 * admission. Paths are refused where no worker reads any. */
int admission_ask(void *context, const struct job *job, struct error *err);

/* What its prompts become (modalities/wildcards.h), drawn once and for all; where another host may know
 * better it is left to that. Context as above. */
int admission_settle(void *context, struct job *job, struct error *err);

#endif
