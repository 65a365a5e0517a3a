/* Inside the queue: the connection, commands as bytes of the protocol, scripts. */
#ifndef SUMI_QUEUE_INTERNAL_H
#define SUMI_QUEUE_INTERNAL_H

#include <hiredis/hiredis.h>
#include <stdarg.h>

#include "queue/queue.h"

/* X(NAME, file, "1" when it must also run while Redis is out of memory: it frees memory, or
 * records what must not be lost). */
#define QUEUE_SCRIPT_MAP(X)                                                                        \
	X(ADMIT, "admit.lua", 0)                                                                   \
	X(REJECT, "reject.lua", 1)                                                                 \
	X(CLAIM, "claim.lua", 0)                                                                   \
	X(BEAT, "beat.lua", 1)                                                                     \
	X(EVENT, "event.lua", 0)                                                                   \
	X(VARIANT, "variant.lua", 1)                                                               \
	X(SAVE, "save.lua", 0)                                                                     \
	X(FINISH, "finish.lua", 1)                                                                 \
	X(FAIL, "fail.lua", 1)                                                                     \
	X(RELEASE, "release.lua", 1)                                                               \
	X(CANCEL, "cancel.lua", 1)                                                                 \
	X(RETRY, "retry.lua", 0)                                                                   \
	X(PAUSE, "pause.lua", 1)                                                                   \
	X(REAP, "reap.lua", 1)                                                                     \
	X(TRIM, "trim.lua", 1)                                                                     \
	X(FORGET, "forget.lua", 1)                                                                 \
	X(WORKER, "worker.lua", 1)                                                                 \
	X(DIED, "died.lua", 1)                                                                     \
	X(INPUT, "input.lua", 1)

enum queue_script {
#define X(name, file, oom) SCRIPT_##name,
	QUEUE_SCRIPT_MAP(X)
#undef X
	    SCRIPT_COUNT
};

/* ---- where Redis is (queue/url.c) ----------------------------------------------------- */

#define URL_MAX_SENTINELS 8

enum url_kind { URL_TCP, URL_TLS, URL_UNIX, URL_SENTINEL };

struct queue_url {
	enum url_kind kind;
	char host[URL_MAX_SENTINELS][256]; /* [0] alone except for Sentinel */
	int port[URL_MAX_SENTINELS];
	int hosts;
	char path[108]; /* of a Unix socket */
	char master[128];
	char user[128], password[256];
	int db;
};
int url_parse(const char *text, struct queue_url *url, struct error *err);
/* The URL without its password, for messages. */
void url_describe(const struct queue_url *url, char *out, size_t size);

/* ---- TLS (queue/tls.c) ---------------------------------------------------------------- */

/* Connects, shakes hands, checks the certificate, and gives a plain socket whose other end
 * a thread of its own carries through TLS. Closing the socket ends the thread. */
int tls_open(const char *host, int port, const char *ca_file, int timeout_ms, int *fd,
	     struct error *err);

/* ---- the connection (queue/connect.c) ------------------------------------------------- */

#define RUNG_MAX 16 /* entries that the doorbell reads at once */

struct queue {
	struct queue_url url;
	char *prefix, *ca_file;
	int connect_ms, command_ms, patience_ms;
	int max_attempts; /* 0: as the table has it */
	int (*check)(void *context, const struct job *job, struct error *err);
	int (*settle)(void *context, struct job *job, struct error *err);
	void *check_context;
	enum queue_stored (*stored)(void *context, const char *name);
	void *stored_context;
	redisContext *redis; /* NULL: not connected */
	redisContext *bell;  /* blocks in queue_doorbell() */
	char bell_cursor[QUEUE_CURSOR_SIZE];
	redisReply *rung; /* what it last heard, for queue_admit() to begin with; or NULL */
	char run_id[64];
	uint64_t generation;
	char sha[SCRIPT_COUNT][41];
	char **zones; /* [zone_count] that windows of waiting jobs name: "Europe/Moscow" */
	size_t zone_count;
	int64_t claim_class, claim_place; /* where the search for a job goes on, see claim.lua */
	/* When the clockwork was wound last, by Redis' clock; 0: it could not; −1: never. */
	int64_t wound_ms;
	/* A command that did not reach Redis is not sent again: what it says is not so any more. */
	bool once;
	const char *refusal; /* why Redis has refused the last write, or NULL */
};

/* A connection, authenticated and on the right database; the caller frees *out. */
int link_open(const struct queue *queue, redisContext **out, struct error *err);

/* queue->redis is connected, or the reason why it cannot be. Tries for patience_ms. */
int link_need(struct queue *queue, struct error *err);
void link_drop(struct queue *queue);

/* What went wrong on a connection, for people. */
const char *link_problem(const redisContext *c);

/* One command in Redis' protocol. Begin with {0}; release with command_free(). */
struct command {
	char *data;
	size_t size, room, count;
	size_t key, key_size; /* where the first key stands in data; 0: there is none */
	bool failed; /* out of memory on the way */
};
void command_add(struct command *command, const void *data, size_t size);
void command_text(struct command *command, const char *text); /* NULL counts as "" */
void command_int(struct command *command, int64_t value);
void command_number(struct command *command, double value); /* NaN: "" */
void command_format(struct command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The prefix and a name: a key. */
void command_key(struct command *command, const struct queue *queue, const char *name,
		 const char *id);
/* EVALSHA of a script with its one key, the prefix; arguments follow. */
void command_script(struct command *command, const struct queue *queue, enum queue_script script);
void command_free(struct command *command);

/* Sends without waiting; the reply comes with link_reply(). */
int link_append(struct queue *queue, struct command *command, struct error *err);
/* The next reply; the connection is dropped when there is none. Error replies too are replies. */
int link_reply(struct queue *queue, redisReply **reply, struct error *err);

/* Sends one command and waits; connects again and repeats it where the connection broke.
 * An error reply becomes an error. The caller frees *reply. */
int link_call(struct queue *queue, struct command *command, redisReply **reply, struct error *err);
/* The same where the answer says nothing; the command is freed. */
int link_tell(struct queue *queue, struct command *command, struct error *err);

/* The same for a script. begin: command_script() and all arguments. The script is loaded
 * where Redis does not have it. */
int script_call(struct queue *queue, enum queue_script script, struct command *command,
		redisReply **reply, struct error *err);
/* For pipelines, which cannot load in between. */
int script_load_all(struct queue *queue, struct error *err);

/* An error reply of Redis as status and message. */
int reply_error(const redisReply *reply, struct error *err);
/* The same where the key that was asked for is known. */
int reply_error_at(const redisReply *reply, const char *key, size_t key_size, struct error *err);
int reply_error_of(const redisReply *reply, const struct command *asked, struct error *err);
/* One of the QUEUE_REFUSES_… when Redis takes no writes, else NULL. */
const char *reply_refusal(const redisReply *reply);

/* Why Redis refuses a write, found out by one that changes nothing; NULL where it does not. */
const char *link_refusal(struct queue *queue);

/* ---- replies --------------------------------------------------------------------------- */

/* Text of a string, status or nil reply ("" for anything else). */
const char *reply_text(const redisReply *reply);
size_t reply_size(const redisReply *reply); /* of that text, which may hold NULs */
/* An entry of the stream of events; its texts are borrowed from the reply. */
void reply_event(const redisReply *entry, struct queue_event *event);
int64_t reply_int(const redisReply *reply); /* integer, or text that is one; else 0 */
bool reply_is(const redisReply *reply, const char *word);
const redisReply *reply_at(const redisReply *reply, size_t index); /* NULL past the end */
void reply_copy(const redisReply *reply, char *out, size_t size);

/* ---- shared by the files of transitions ------------------------------------------------ */

/* What the queue must know beside the job itself. */
struct job_entry_facts {
	int64_t due;     /* ms since 1970; 0: at once */
	bool seed_drawn; /* later occurrences draw their own */
};
/* Appends the fields that enter() in common.lua reads. */
void job_arguments(struct command *command, const struct job *job, const char *json,
		   const struct job_entry_facts *facts);

/* The call of admit.lua that enters a job, completed and settled (queue/intake.c). kind: "in" with the entry of the intake
 * that it lay in, "recur" with the id of the job that it follows. The caller clears the command also after an error. */
int admit_command(struct queue *queue, const char *kind, const char *entry, struct job *job, struct command *command,
		  struct error *err);

/* Random 0…1. */
double random_unit(void);

/* Makes the next occurrence of a recurring job that has ended (queue/recur.c). */
int recur(struct queue *queue, const char *id, struct error *err);

/* ---- inputs.c ---- */

enum { INPUT_NAME_SIZE = 160 };

/* What the queue calls a file that a job starts from while that waits: its SHA-256, or "result:ID-2";
 * "" for a path and for what is no name of a result. It has no spaces. */
void input_name(const char *value, char out[INPUT_NAME_SIZE]);

#endif
