/* A job in work: what execute.c (from claim to end), team.c (steps that are made together), work.c
 * (its variants) and conclude.c (its end) share. */
#ifndef SUMI_DAEMON_WORK_H
#define SUMI_DAEMON_WORK_H

#include "base/hash.h"
#include "daemon/answer.h"
#include "daemon/executor.h"
#include "daemon/group.h"
#include "daemon/timings.h"
#include "modalities/enlarge.h"
#include "modalities/modality.h"
#include "request/files.h"

#define WORK_FIRST_LIMIT_MS 600000 /* loading a model and compiling its kernels */

/* Why the loop over steps ended. */
enum stop { STOP_NO, STOP_CANCEL, STOP_PREEMPT, STOP_WINDOW, STOP_DRAIN, STOP_LOST };

/* What makes the job. */
struct work_place {
	char folder[FILES_PATH_MAX]; /* of the pack */
	uint64_t stamp;              /* of its files when the job was begun */
	struct pack *pack;           /* NULL until it is needed */
	struct adapter_list *adapters; /* on it, the leader's; NULL: none */
	struct control_list *networks; /* of its controls; NULL: none */
	struct enlargers enlargers;    /* networks that make it larger */
};

/* The files that it names: what it starts from. */
struct work_files {
	struct request_places places;
	bool awaited; /* one was asked for, of other hosts, and has not come */
};

/* What store and queue know of it, and what they have refused. */
struct work_marks {
	bool rows;         /* job and attempt stand in the store */
	bool store_failed; /* itself, not because of this job */
	bool untold;       /* the queue would not take what became of it, as is logged */
	bool unsaved;      /* a state of it did not fit into the queue, as is logged */
};

/* How long it takes. */
struct work_pace {
	int64_t claimed_us;          /* monotonic */
	int64_t longest_ms, step_ms; /* of the steps so far; the last */
	int64_t next_preview_ms;
	struct timings timings;
};

/* The variant in work; while steps are made, the first of them. */
struct work_variant {
	int number;
	int steps;   /* once they are made */
	int outputs; /* files of it so far */
	uint64_t seed;
	json_t *result;                     /* what is told about it: array of files */
	char frame_sha256[SHA256_HEX_SIZE]; /* of the frame's file that was stored last, or "" */
};

struct work {
	struct executor *x;
	struct queue_lease *lease;
	const struct modality *modality;
	struct work_place place;
	struct work_files files;
	struct work_marks marks;
	struct work_pace pace;
	struct work_variant variant;
	struct answer answer; /* what an identical job has made */
	struct {
		void *data; /* group_save()'s of an earlier attempt, or NULL */
		size_t size;
	} saved;
	const struct group
	    *group; /* that its variants are in while they are made; NULL: none yet */
	bool alone; /* a step of several failed: no more groups */
};

/* The lease is held from now on: it is told and extended. */
void work_claimed(struct work *w);

/* Tells the heartbeat how far the job is, and that it may be silent for limit_ms now. */
void work_report(struct work *w, int64_t limit_ms, int step, int steps);

/* What stands against the next step: the sender's word, an urgent job, the window, the lease, the
 * end of the worker. */
enum stop work_should_stop(struct work *w);

/* The name of the pack that makes the job. */
const char *work_model(const struct executor *x, const struct job *job);

/* The job's and the attempt's rows in the store, once. They are written behind the first step:
 * their fsyncs would stand between the sender and its first preview, and what a crash before them
 * loses is the knowledge of an attempt. */
int work_need_rows(struct work *w, struct error *err);

/* Hands status on; notes a failure of the store that the next job would meet too. */
int work_of_store(struct work *w, int status);

/* Finds the files that r names and lets r say what they are, by SHA-256, and where. What r then points
 * to lives as long as w. */
int work_find_files(struct work *w, struct request *r, struct error *err);

/* What the job's prompts become, where nobody has drawn it yet. */
int work_settle(struct work *w, struct error *err);

/* Looks for the results of an identical job: w->answer.count is 0 where there are none. */
void work_find_answer(struct work *w);

/* Begins a variant, or goes on with it where an earlier attempt left it; the caller frees *g. */
int work_begin(struct work *w, int variant, struct generation **g, uint64_t *seed,
	       struct error *err);

/* After each step of its variants in w->group: saves them, writes the rows, tells progress and
 * previews. us: how long the step took. SUMI_LOST. */
int work_stepped(struct work *w, int64_t us, struct error *err);

/* A sink's output(): into the store and into w->variant.result. context is the work. */
int work_output(void *context, const struct output *o, struct error *err);

/* Tells the queue what w->variant.result says of it. */
int work_tell(struct work *w, struct error *err);

/* Decodes a variant whose steps are made, and tells its result. */
int work_finish(struct work *w, const struct group_member *m, struct error *err);

#endif
