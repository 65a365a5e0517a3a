/* Who may ask: keys, and what a browser says of the page that asks. */
#ifndef SUMI_GATEWAY_ACCESS_H
#define SUMI_GATEWAY_ACCESS_H

#include "gateway/call.h"

struct access {
	const struct config *config;
	bool known; /* the keys have been read once */
	char secret[65]; /* of signatures; "" until it is known */
	struct queue_key *keys;
	size_t count;
	struct access_bucket {
		char name[JOB_ID_SIZE];
		double tokens;
		int64_t at; /* boot clock */
	} *buckets;
	size_t bucket_count;
};

/* New keys take the place of the old ones; takes over the array. */
void access_set_keys(struct access *a, struct queue_key *keys, size_t count);
void access_clear(struct access *a);

/* 0 and *caller, or the status to refuse the request with, and why. */
int access_check(struct access *a, const struct http_request *r, const struct route *route,
		 const char *const *args, struct caller *caller, const char **why);

/* Whether that caller would get in still: a key is revoked while its owner waits, or the first one is made. */
bool access_holds(const struct access *a, const struct caller *caller);

/* Takes one from the caller's allowance; 0, or the seconds until there is one again. */
int access_take(struct access *a, const struct caller *caller);

#define ACCESS_SIGNATURE_SIZE 65
/* Of a file's address, until a moment (seconds since 1970). False where there is no secret. */
bool access_sign(const char *secret, const char *job, const char *file, int64_t until,
		 char out[ACCESS_SIGNATURE_SIZE]);

/* Whether pages of this origin may use the gateway: those of its own host, and those in `origins`. */
bool access_origin_listed(const struct config *config, const char *origin);

#endif
