/* What makes its steps together: variants of a job, of several jobs. And the saved state of those
 * of one job: that of one as the modality wrote it, of several
 *
 *     "sumigrp1"   8 bytes
 *     count        u64
 *     for each: variant u64, size u64, the modality's bytes
 *
 * in the host's byte order (a state is only read on hosts of one kind; another begins anew). */
#ifndef SUMI_DAEMON_GROUP_H
#define SUMI_DAEMON_GROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "modalities/modality.h"

#define GROUP_MAX TOGETHER_MAX

struct group_member {
	const void *owner; /* whose: the job's work */
	int variant;
	uint64_t seed;
	struct generation *g; /* owned */
};

struct group {
	struct group_member members[GROUP_MAX];
	int count;
};

/* Lets all members of an owner go; the others keep their order. */
void group_remove(struct group *group, const void *owner);

/* Lets all members go but the first. */
void group_keep_first(struct group *group);

/* How many members an owner has, and where the first of them stands. */
int group_count(const struct group *group, const void *owner, int *first);

/* The owner's member that has made the fewest steps: it says how far the job is. NULL: it has no
 * members. */
const struct generation *group_last(const struct group *group, const void *owner);

/* The next step of every member that has one left. */
int group_step(struct group *group, struct error *err);

/* The state of the members of an owner, who has one at least. The caller frees *data. */
int group_save(const struct group *group, const void *owner, void **data, size_t *size,
	       struct error *err);

/* The part of what group_save() wrote under `saved` (the group's first variant) that belongs to
 * `variant`; it lies in data. False: there is none, or data is damaged. */
bool group_find(const void *data, size_t size, int saved, int variant, const void **part,
		size_t *part_size);

#endif
