/* One request on its way through the gateway: who sent it, what its route is, what is answered.
 *
 * A handler runs in a thread of the pool and never sees a socket. It answers, or says that it waits: then
 * it is called again when one of the jobs it waits for has ended, or after a while. */
#ifndef SUMI_GATEWAY_CALL_H
#define SUMI_GATEWAY_CALL_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "gateway/http.h"
#include "gateway/pool.h"
#include "queue/senders.h"
#include "storage/storage.h"

enum { CALL_ARGS_MAX = 3, CALL_JOBS_MAX = 16 };

struct service;
struct call;

typedef void call_handler(struct call *call, struct worker *w);

/* X(NAME, error body of): each API has its own. */
#define DIALECT_MAP(X)                                                                             \
	X(SUMI)                                                                                    \
	X(OPENAI)                                                                                  \
	X(A1111)                                                                                   \
	X(ELEVENLABS)                                                                              \
	X(OLLAMA)                                                                                  \
	X(MCP)

enum dialect {
#define X(name) DIALECT_##name,
	DIALECT_MAP(X)
#undef X
};

enum { ROUTE_OPEN = 1, /* without a key */
       ROUTE_MEDIA = 2, /* <audio src> and <img src> may name it: the key may stand in the query */
       ROUTE_SIGNED = 4, /* an address with a signature needs no key */
       ROUTE_QUICK = 16, /* answered at once, from what is known: the handler has no worker */
       ROUTE_SLOW = 8 /* JSON that may take long: spaces before it keep the connection alive */
};

enum { ROUTE_BODY_UNREAD = 4096 }; /* a body so large is taken where nobody reads it: clients send {} */

struct route {
	const char *method;
	const char *path; /* "jobs/(id)/files/(name)": what stands in brackets becomes an argument */
	enum queue_scope scope;
	size_t body; /* bytes at most; 0: none is taken */
	enum dialect dialect;
	unsigned flags;
	call_handler *handle;
	const char *summary; /* one line, for the OpenAPI document */
	const char *query;   /* names of parameters of the query, separated by spaces; or NULL */
};

/* Who asks. */
struct caller {
	char name[JOB_ID_SIZE]; /* the submitter of its jobs */
	enum queue_scope scope;
	char key[SHA256_HEX_SIZE]; /* the hash of his key; "": none was needed */
	bool all;    /* sees and steers everybody's jobs */
	bool keyless; /* there are no keys at all */
	int64_t jobs; /* that have not ended, at most; 0: no limit */
};

/* What all calls find. */
struct metrics;
struct once;
struct shared {
	const struct config *config;
	struct metrics *metrics;
	struct once *once;
	const char *secret; /* what addresses are signed with; "" while it is not known. It is set once */
};

struct call {
	struct task task; /* first */
	const struct shared *shared;
	struct http_request *http;
	const struct route *route;
	const char *args[CALL_ARGS_MAX];
	struct caller caller;
	struct http_answer answer;
	/* A handler that waits says so, for which jobs, and who goes on. */
	bool waits, streams; /* streams: state is a struct hub_filter, and the hub goes on */
	char jobs[CALL_JOBS_MAX][JOB_ID_SIZE];
	int job_count;
	call_handler *resume;
	/* A handler whose answer is a stream of server-sent events says so before it waits; what stands in piece, from
	 * malloc(), goes out when it returns. Its answer's body is the last of them. */
	bool events;
	char *piece;
	size_t piece_size;
	void *state; /* the handler's, from malloc() */
	/* The service's. */
	struct service *service;
	struct call *next, **link;
	int64_t since, spoken; /* boot clock: handled; something was sent */
	bool again, running;   /* something has happened meanwhile; a handler is at it */
	atomic_bool silent, gone; /* the client may have gone; it has */
	struct stream *stream; /* the hub's */
	char waited[JOB_ID_SIZE], place[64]; /* once.c's */
	bool decided; /* its job has ended: what is answered now is the last word */
};

/* ---- what handlers use ------------------------------------------------------------------- */

/* Answers. json is released; a status is made of that of the error; field may be NULL, then it is the one
 * that the message names. */
void call_json(struct call *call, int status, json_t *json);
void call_text(struct call *call, int status, const char *type, char *body, size_t size);
void call_fail(struct call *call, const struct error *err);
void call_refuse(struct call *call, int status, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The error's body in the dialect; for those who have no call yet. */
void answer_error(struct http_answer *answer, enum dialect dialect, int status, const char *code,
		  const char *field, const char *message);

/* The body as a JSON object or, with list, an array. False: it has been refused. The caller releases it. */
bool call_body(struct call *call, bool list, json_t **out);

/* Whether these fields (NULL-terminated) of a body are texts where they are there. False: one has been refused. */
bool call_texts(struct call *call, const json_t *body, const char *const *names);

/* A count: 1 where none is given, 0 for what is no whole number from 1 to most. */
int call_count(const json_t *value, int most);

/* A parameter of the query; NULL where it is not there. The caller frees it. *ok: false where it has been
 * refused. */
char *call_query(struct call *call, const char *name, bool *ok);

/* The queue; false: it has been refused. */
bool call_queue(struct call *call, struct worker *w, struct queue **queue);

/* Waits for jobs that have been added to call->jobs: resume is called when something has happened. It does not
 * look at the body, which is let go when the client has to be kept waiting. */
void call_wait(struct call *call, call_handler *resume);

/* Whether the caller may see a job of this submitter. */
bool call_owns(const struct call *call, const char *submitter);

/* The address of something below this server: "https://host/jobs/x" from "/jobs/x". The caller frees it. */
char *call_url(const struct call *call, const char *path);

#endif
