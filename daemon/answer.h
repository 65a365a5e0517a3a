/* Identical requests: a job that asks for what a finished one has made already is answered from
 * the store, without the model. */
#ifndef SUMI_DAEMON_ANSWER_H
#define SUMI_DAEMON_ANSWER_H

#include "diffusion/catalogue.h"
#include "modalities/modality.h"
#include "storage/storage.h"

struct answer {
	char digest[SHA256_HEX_SIZE]; /* of all that decides the job's result; "" : not known */
	char from[STORE_ID_MAX + 1];  /* the job whose results these are */
	struct store_artifact *files; /* owned; of all variants */
	size_t count;                 /* 0: the job must be made */
};

struct answer_query {
	struct store *store;
	const struct catalogue *catalogue;
	const char *folder; /* of the pack */
	uint64_t stamp;     /* catalogue_stamp() of it */
	const struct modality *modality;
	const struct request *request; /* of variant 0, as it came */
	int variants;
	int64_t newest_ms, oldest_ms; /* wall clock: when the finished job may have ended */
};

/* Fills *answer, which the caller clears. What stands in the way (a request that cannot be
 * resolved, a missing or damaged file) is no error: then there is no answer. */
void answer_find(const struct answer_query *query, struct answer *answer);
void answer_clear(struct answer *answer); /* the files; the digest stays */

/* Hands the files of one variant to the sink. */
int answer_emit(const struct answer *answer, int variant, const struct sink *sink,
		struct error *err);

#endif
