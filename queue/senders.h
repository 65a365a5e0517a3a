/* Who may send through a gateway: keys, and what their owners have under way. All of it lies in Redis, so
 * that every gateway of a queue knows the same. */
#ifndef SUMI_QUEUE_SENDERS_H
#define SUMI_QUEUE_SENDERS_H

#include "base/hash.h"
#include "queue/queue.h"

/* X(NAME, word): what a key is good for; each may do what those before it may. */
#define QUEUE_SCOPE_MAP(X)                                                                         \
	X(READ, "read")                                                                            \
	X(SUBMIT, "submit")                                                                        \
	X(ADMIN, "admin")

enum queue_scope {
#define X(name, word) QUEUE_SCOPE_##name,
	QUEUE_SCOPE_MAP(X)
#undef X
	    QUEUE_SCOPES
};

const char *queue_scope_word(enum queue_scope scope);
int queue_scope_from_word(const char *word); /* -1 for a word that is none */

struct queue_key {
	char name[JOB_ID_SIZE];      /* the submitter of its jobs */
	char sha256[SHA256_HEX_SIZE]; /* of the key: 32 random bytes need no salt */
	enum queue_scope scope;
	double rate;      /* requests a second that send work; 0: no limit */
	int64_t jobs;     /* that have not ended, at most; 0: no limit */
	int64_t created;  /* ms since 1970 */
};

/* SUMI_EXISTS where one of that name is there. */
int queue_key_add(struct queue *queue, const struct queue_key *key, struct error *err);
/* SUMI_NOTFOUND. */
int queue_key_revoke(struct queue *queue, const char *name, struct error *err);
/* By name; what cannot be read is left out. The caller frees *keys. */
int queue_keys(struct queue *queue, struct queue_key **keys, size_t *count, struct error *err);

/* Notes that a sender is about to send jobs, before they are sent. */
int queue_sent_note(struct queue *queue, const char *sender, const char *const *ids, size_t count, struct error *err);
/* Whether the sender has sent it within a week: so long it may lie in the intake. */
int queue_sent_by(struct queue *queue, const char *sender, const char *id, bool *sent,
		  struct error *err);
/* Those that have not ended, the last sent first; at most so many. */
int queue_sent_list(struct queue *queue, const char *sender, char (*ids)[JOB_ID_SIZE], size_t most,
		    size_t *count, struct error *err);
/* How many of the sender's jobs have not ended. */
int queue_sent_alive(struct queue *queue, const char *sender, size_t *alive, struct error *err);

/* Remembers a text under a name for a while, unless one is remembered already (*made false); held is what
 * stands. */
int queue_remember(struct queue *queue, const char *name, const char *text, int64_t seconds, char *held,
		   size_t size, bool *made, struct error *err);
/* A text that may change: remembered whatever stood there, and read back ("": none). */
int queue_remember_now(struct queue *queue, const char *name, const char *text, int64_t seconds,
		       struct error *err);
int queue_recall(struct queue *queue, const char *name, char *text, size_t size, struct error *err);
/* So long from now on; 0: no longer. */
int queue_remember_longer(struct queue *queue, const char *name, int64_t seconds, struct error *err);

#endif
