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
	struct catalogue catalogue;
	bool listed;
	const struct pack_info *whole; /* of the packs, the one whose weights were looked at last */
};

void admission_free(struct admission *a); /* what it holds, not a itself */

/* The pack that would make the job here, or NULL. Borrowed. */
const struct pack_info *admission_pack(struct admission *a, const struct job *job);

/* A pack by its name, or NULL. Borrowed. */
const struct pack_info *admission_named(struct admission *a, const char *name);

/* SUMI_INVALID (or what resolving met) for a job that the pack of its name, or the default one,
 * would refuse, and for samplers and schedules that nobody knows. Where the pack is not installed
 * here, whoever has it says the rest. */
int admission_check(struct admission *a, const struct job *job, struct error *err);

/* The same in the form that the queue asks in: context is the struct admission. */
int admission_ask(void *context, const struct job *job, struct error *err);

#endif
