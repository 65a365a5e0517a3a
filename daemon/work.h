/* What execute.c (a job from claim to end) and work.c (its variants) share: a job in work. */
#ifndef SUMI_DAEMON_WORK_H
#define SUMI_DAEMON_WORK_H

#include "base/hash.h"
#include "daemon/answer.h"
#include "daemon/execute.h"
#include "daemon/group.h"
#include "daemon/timings.h"
#include "modalities/modality.h"

#define WORK_FIRST_LIMIT_MS 600000 /* loading a model and compiling its kernels */

struct work {
	struct executor *x;
	struct queue_lease *lease;
	char folder[FILES_PATH_MAX]; /* of the pack */
	uint64_t stamp;              /* of its files when the job was begun */
	struct pack *pack;           /* NULL until it is needed */
	struct answer answer;        /* what an identical job has made */
	bool store_failed;           /* itself, not because of this job */
	bool has_rows;               /* job and attempt stand in the store */
	const struct modality *modality;
	struct timings timings;
	struct group group; /* the variants that are being made */
	bool alone;         /* a step of several failed: no more groups */
	void *saved;        /* group_save()'s of an earlier attempt, or NULL */
	size_t saved_size;
	int variant; /* in work; while steps are made, the group's first */
	int steps;   /* of this variant, once they are made */
	int outputs; /* files of this variant so far */

	json_t *result;                     /* what is told about this variant: array of files */
	char frame_sha256[SHA256_HEX_SIZE]; /* of the frame's file that was stored last, or "" */
	uint64_t seed;
	int64_t longest_ms, step_ms; /* of the steps so far; the last */
	int64_t next_preview_ms;
};

/* Why the loop over steps ended. */
enum stop { STOP_NO, STOP_CANCEL, STOP_PREEMPT, STOP_WINDOW, STOP_DRAIN, STOP_LOST };

/* Tells the heartbeat how far the job is, and that it may be silent for limit_ms now. */
void work_report(struct work *w, int64_t limit_ms, int step, int steps);

/* The name of the pack that makes the job. */
const char *work_model(const struct executor *x, const struct job *job);

/* The job's and the attempt's rows in the store, once. They are written behind the first step:
 * their fsyncs would stand between the sender and its first preview, and what a crash before them
 * loses is the knowledge of an attempt. */
int work_need_rows(struct work *w, struct error *err);

/* Hands status on; notes a failure of the store that the next job would meet too. */
int work_of_store(struct work *w, int status);

/* An init that is no path is the id of a job: its first result is meant. path is where r->init
 * then points. */
int work_find_init(const struct work *w, struct request *r, char path[FILES_PATH_MAX],
		   struct error *err);

/* A sink's output(): into the store and into w->result. context is the work. */
int work_output(void *context, const struct output *o, struct error *err);

/* Tells the queue what w->result says of w->variant. */
int work_tell(struct work *w, struct error *err);

/* Makes the variant that is due, and those that join it; w->variant is the last of them then. */
int work_make_group(struct work *w, enum stop *stop, struct error *err);

#endif
