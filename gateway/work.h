/* A job that a client waits for: sent, or found again, and its results as the client shall have them. */
#ifndef SUMI_GATEWAY_WORK_H
#define SUMI_GATEWAY_WORK_H

#include "gateway/jobs.h"

/* Those that one API has sent for a caller are kept apart, where that API has a word for all of them: "sdapi". */
#define WORK_SENDER_SIZE (JOB_ID_SIZE + 16)
void work_sender(const struct call *call, const char *api, char out[WORK_SENDER_SIZE]);

/* Sends the job, unless a request like this one has, and goes on with finish when something has happened.
 * Clears the job. */
void work_start(struct call *call, struct worker *w, struct job *job, call_handler *finish);

/* In finish: true, and *f to be cleared, when the job is done. Else the call waits on, or has been answered with
 * why there is nothing. */
bool work_done(struct call *call, struct worker *w, struct found *f);

/* The bytes of the file of variant k (0, …) with role "main". The caller frees *data. */
int work_result(const struct call *call, const struct found *f, int variant, char **data, size_t *size,
		const struct store_artifact **file, struct error *err);

/* The address of a result that needs no key for a day. The caller frees it. */
char *work_url(const struct call *call, const struct store_artifact *file);

/* A picture or sound that the client sent: into the queue, and its SHA-256 into the field of this name,
 * such as `init`. */
int work_input(struct worker *w, const char *name, const void *data, size_t size, json_t *fields,
	       struct error *err);

/* A picture that stands in the request as `name`, checked and sent as `field`. False: it has been refused, with this status where
 * it is the picture's fault. */
bool work_picture(struct call *call, struct worker *w, const char *name, const char *field, const void *data, size_t size,
		  json_t *fields, int refusal);
/* The same from base64, with or without what stands before it in a data: address. */
bool work_picture_text(struct call *call, struct worker *w, const char *name, const char *field, const char *text,
		       json_t *fields, int refusal);

/* A model that living workers have; others, such as the names that clients have built in, are left out, so
 * that it is the usual one. */
void work_model(struct worker *w, const char *wanted, const char *modality, json_t *fields);

#endif
