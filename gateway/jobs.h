/* Jobs as the APIs see them: sending, finding, describing. */
#ifndef SUMI_GATEWAY_JOBS_H
#define SUMI_GATEWAY_JOBS_H

#include "gateway/call.h"

/* What is known of a job that the caller may see. */
struct found {
	bool queued, stored;      /* entry is filled; row is */
	bool sent;                /* it lies in the intake still */
	struct queue_entry entry;
	struct store_job row;
	struct store_artifact *files; /* of this host, those that count */
	size_t file_count;
};
/* SUMI_NOTFOUND also for a job of somebody else's. The caller clears *f. */
int jobs_find(struct call *call, struct worker *w, const char *id, struct found *f,
	      struct error *err);
void jobs_clear(struct found *f);
enum job_state jobs_state(const struct found *f);

/* The first variant's result; NULL where it is not on this host. Borrowed. */
const struct store_artifact *jobs_main_file(const struct found *f);

/* Id, state, fields, progress, files with their addresses; a new object. */
json_t *jobs_document(const struct call *call, const char *id, const struct found *f);

/* "2.webp", "1-frame-3.png": what a file of a job is called in its address. */
#define JOBS_FILE_NAME_SIZE 96
void jobs_file_name(const struct store_artifact *a, char out[JOBS_FILE_NAME_SIZE]);

/* SUMI_NOTFOUND, and why there is no file of a job that was found: it is not made yet, never will be, or lies on another
 * host. */
int jobs_no_file(const struct call *call, const struct found *f, const char *id, struct error *err);

/* Answers with a file, or the part of it that is asked for; or with a small picture of it. */
void files_answer(struct call *call, const struct store_artifact *a);
void files_answer_thumb(struct call *call, struct worker *w, const struct store_artifact *a);

/* A job of the caller's from fields, which are released: checked, with its submitter, and with nothing in
 * it that is somebody else's; without an id, where none was given (once.h). The caller clears *job. */
int jobs_prepare(struct call *call, struct worker *w, json_t *fields, struct job *job,
		 struct error *err);

/* Sends jobs; false where that has been refused. */
bool jobs_submit(struct call *call, struct worker *w, struct job *jobs, size_t count);

#endif
