/* The queue on Redis: one connection, one function per transition.
 *
 *     submit → intake ─admit→ ready | delayed | blocked ─claim→ running ─finish→ done
 *
 * Keys, states and the words of the protocol are in queue/PROTOCOL.md; every transition is
 * one Lua script of queue/lua/. A struct queue serves one thread at a time: a heartbeat
 * thread opens its own. Functions that talk to Redis reconnect on their own and try again
 * for options.patience_ms, then return SUMI_CONNECT; all of them may be repeated safely. */
#ifndef SUMI_QUEUE_QUEUE_H
#define SUMI_QUEUE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "queue/job.h"

#define QUEUE_TOKEN_SIZE 40
#define QUEUE_NAME_SIZE 65
#define QUEUE_CURSOR_SIZE 48
#define QUEUE_PREFIX "{sumi}:"
#define QUEUE_MAX_CLASSES 256
#define QUEUE_CLASS_SIZE 192 /* of "modality/model" */

struct queue;

/* What a store says of a file that a job starts from. */
enum queue_stored { QUEUE_NOT_STORED, QUEUE_STORED, QUEUE_MAY_BE_STORED /* where nobody can look from here */ };

struct queue_options {
	const char *url;     /* redis://user:password@host:6379/0, rediss://…, unix:///path,
				redis+sentinel://host:port,host:port/master/0 */
	const char *prefix;  /* NULL: QUEUE_PREFIX; must hold a {tag} on Redis Cluster */
	const char *ca_file; /* rediss: NULL: the system's certificates */
	int connect_ms;      /* 0: 2000 */
	int command_ms;      /* 0: 5000 */
	int patience_ms;     /* how long a call tries to reconnect; 0: 5000, −1: not at all */
	int max_attempts;    /* of jobs that do not say; 0: as the table of parameters has it */
	/* Asked of each job that queue_admit() could read and that says nothing wrong of itself; a
	 * failure is its rejection, err the reason. NULL: nobody is asked. */
	int (*check)(void *context, const struct job *job, struct error *err);
	/* Told of each job that has passed and whose seed is drawn, but not of one that comes again and draws
	 * anew: sets what it finds out in it. A failure is the job's rejection. NULL: nobody. */
	int (*settle)(void *context, struct job *job, struct error *err);
	void *check_context; /* of both */
	/* Asked where a file lies that a job names by its SHA-256 or as a result, and that the queue has not: what
	 * lies nowhere is refused (queue/sources.h). NULL: that is left to the worker. */
	enum queue_stored (*stored)(void *context, const char *name);
	void *stored_context;
};

/* Whether a URL can be read: SUMI_INVALID says what one looks like. Connects to nothing. */
int queue_url_check(const char *url, struct error *err);

/* Connects. The caller closes *out. */
int queue_open(const struct queue_options *options, struct queue **out, struct error *err);
/* options.patience_ms anew: whoever would not wait for a server may not want to lose what he is about either. */
void queue_set_patience(struct queue *queue, int patience_ms);
void queue_close(struct queue *queue); /* NULL is fine */

/* options.max_attempts anew. */
void queue_set_max_attempts(struct queue *queue, int max_attempts);

/* Refuses (SUMI_UNSUPPORTED, with the command that mends it) a server that may lose jobs by
 * eviction, is too old, or forbids this user to write; fills warning (or "") where nothing is kept on disk. */
int queue_check_server(struct queue *queue, char *warning, size_t warning_size, struct error *err);

/* What queue_check_server() and `sumi doctor` look at. */
struct queue_server {
	char version[32]; /* of Redis, or of the one that it is compatible with */
	char product[48]; /* "Redis 7.0.15", "Valkey 8.1.4" */
	char run_id[64], eviction[32], role[16], save[128], fsync[16];
	bool valkey, aof, aof_ok, rdb_ok;
	bool stops_at_failed_save; /* refuses writes while its last snapshot could not be written */
	int64_t used_memory, max_memory; /* bytes; max 0: unlimited */
	int64_t uptime_s;
};
int queue_server(struct queue *queue, struct queue_server *server, struct error *err);

/* Counts up when Redis came back as another process (restart, failover): then whoever
 * finished jobs lately asserts them again with queue_finish(). Checked at reconnect. */
uint64_t queue_generation(const struct queue *queue);

/* ---- senders ---------------------------------------------------------------------- */

/* One XADD to the intake. A job without id is given one (job_complete). */
int queue_submit(struct queue *queue, struct job *job, struct error *err);

/* The same for many, pipelined. *sent says how many stand in the intake, also on failure. */
int queue_submit_many(struct queue *queue, struct job *jobs, size_t count, size_t *sent,
		      struct error *err);

enum queue_cancel_result { QUEUE_CANCELLED, QUEUE_CANCELLING, QUEUE_CANCEL_TOO_LATE };
/* A waiting job at once, a running one at its next beat; of a recurring job that has ended the
 * occurrence that is to come. SUMI_NOTFOUND for an id that no one has sent. */
int queue_cancel(struct queue *queue, const char *id, enum queue_cancel_result *result,
		 struct error *err);
/* The same; last: the occurrence with which a series ends, or "". */
int queue_cancel_series(struct queue *queue, const char *id, enum queue_cancel_result *result,
			char last[JOB_ID_SIZE], struct error *err);

/* Failed and cancelled jobs begin anew, a delayed one is due now. SUMI_INVALID for other
 * states, SUMI_NOTFOUND, also of a film one of whose parts was deleted before it was made. */
int queue_retry(struct queue *queue, const char *id, struct error *err);

/* Forgets a job that has ended, as queue_trim() does with old ones: its id stays taken. SUMI_BUSY
 * for one that has not ended, or whose next occurrence is not made yet; SUMI_NOTFOUND. */
int queue_forget(struct queue *queue, const char *id, struct error *err);

/* Paused: nothing is claimed; what runs goes on. */
int queue_pause(struct queue *queue, const char *reason, struct error *err);
int queue_resume(struct queue *queue, struct error *err);

/* Fields of jobs with ids that lie in the intake, at most so many, the first sent first. The caller releases *jobs, on failure too. */
int queue_lying(struct queue *queue, size_t most, json_t **jobs, struct error *err);

/* ---- the intake and the clockwork: any daemon, any number of them -------------------- */

struct queue_admitted {
	size_t jobs, duplicates, operations, rejected;
};
/* Takes up to limit entries out of the intake. Entries that cannot be read go to the dead
 * letters with the reason. */
int queue_admit(struct queue *queue, size_t limit, struct queue_admitted *admitted,
		struct error *err);

struct queue_reaped {
	size_t promoted;  /* delayed → ready */
	size_t recovered; /* leases that ended: to be run again */
	size_t failed;    /* crashed too often, or past their deadline */
	size_t recurred;  /* next occurrences made */
	int64_t next_ms;  /* ms until the next delayed job or lease is due; −1: none */
};
/* Promotes, takes over ended leases, enforces deadlines, makes next occurrences. Call it
 * about once a second. For hold_ms after a restart of Redis, or after a call that failed, no lease
 * is taken over: nobody could beat. Does a part where there is very much to do, within 200 ms or so. */
int queue_reap(struct queue *queue, int64_t hold_ms, struct queue_reaped *reaped,
	       struct error *err);

struct queue_trim_options {
	int64_t max_age_ms;   /* final jobs older than this; 0: 30 days */
	int64_t max_count;    /* of each final state; 0: 1,000,000 */
	int64_t tombstone_ms; /* how long a purged id is remembered; 0: 90 days */
	size_t limit;         /* jobs a call; 0: 1000 */
};
int queue_trim(struct queue *queue, const struct queue_trim_options *options, size_t *purged,
	       struct error *err);

/* Blocks until something may be claimed or admitted, or timeout_ms. *rang says which.
 * Uses a connection of its own. */
int queue_doorbell(struct queue *queue, int timeout_ms, bool *rang, struct error *err);

/* ---- workers ------------------------------------------------------------------------ */

/* What keeps a worker from taking jobs, and Redis from taking writes: "waits: …". */
#define QUEUE_WAITS_DISK "disk full"
#define QUEUE_WAITS_STORE "results cannot be written (its log says why)"
#define QUEUE_REFUSES_DISK "disk full: redis cannot write to its own"
#define QUEUE_REFUSES_MEMORY "memory full: redis has reached its maxmemory"
#define QUEUE_REFUSES_REPLICA "redis is a replica, which takes no writes"
#define QUEUE_REFUSES_REPLICAS "redis has too few replicas to take writes"
#define QUEUE_REFUSES_USER "redis forbids its user to write"

/* Why Redis refused the last command of this queue that it was asked for; NULL where it did not. */
const char *queue_refusal(const struct queue *queue);

/* What monitoring asks of a worker. */
struct queue_figures {
	int64_t memory, memory_used; /* bytes of its device; 0: not known */
	int64_t steps;               /* that it has made since it lives */
};

struct queue_worker {
	const char *name;           /* unique: "host.0"; ≤ 64 of [A-Za-z0-9._:-] */
	const char *const *classes; /* "image/ink"; "image/" takes jobs that name no model */
	size_t class_count;
	const char *device; /* for people; may be NULL */
	const char *host;   /* may be NULL */
	int64_t pid;
	const char *trouble; /* what people should know of it, such as that it is slow; may be NULL */
	const char *waits;   /* why it takes no jobs now; may be NULL */
	struct queue_figures figures;
};

/* Tells that a worker lives and what it can do; at least every 5 s, idle or busy. */
int queue_worker_beat(struct queue *queue, const struct queue_worker *worker, struct error *err);
int queue_worker_leave(struct queue *queue, const char *name, struct error *err);

/* The process of a worker has ended, and its supervisor saw it: the leases that it and its seats
 * ("name:1" … "name:<seats>") held end now, and the next queue_reap() counts a crash for each job,
 * unless it is spared: given back without cost, or cancelled where somebody asked for that. *held: jobs
 * that it had. May be repeated, until another worker bears the name. */
enum queue_spare {
	QUEUE_SPARE_NONE,
	QUEUE_SPARE_CACHES, /* it died of damage that is mended already: the first two times */
	QUEUE_SPARE_LEFT    /* it left a job that nobody wants any more: however often */
};
int queue_worker_died(struct queue *queue, const char *name, int seats, enum queue_spare spare,
		      size_t *held, struct error *err);

struct queue_lease {
	char id[JOB_ID_SIZE];
	char token[QUEUE_TOKEN_SIZE];
	char worker[QUEUE_NAME_SIZE];
	struct job job;
	int64_t attempt; /* 1… */
	int64_t failures, crashes;
	int64_t lease_ms;       /* as asked for at claim */
	int64_t created_ms;     /* when the job was admitted, Redis' clock */
	uint64_t variants_done; /* bit k: variant k has its result already */
	int64_t waiting;        /* jobs of its class that waited when it was claimed */
	int64_t saved_variant;  /* whose steps queue_saved() has; −1: nobody's */
	char *state_json;       /* what the last worker left with queue_release(), or NULL */
};
void queue_lease_clear(struct queue_lease *lease);

/* The best job that this worker can do now. SUMI_NOTFOUND when there is none (also while
 * paused). The caller clears *lease. */
int queue_claim(struct queue *queue, const struct queue_worker *worker, int64_t lease_ms,
		struct queue_lease *lease, struct error *err);

/* One more for the same worker, to be made beside the fellow that it holds: the best job that it
 * can do now, if that one has the fellow's class, priority and shape, one variant and nothing made
 * of it. SUMI_NOTFOUND: the best is another one, there is none, or another worker is free. seat:
 * as the worker, but with a name of its own that no worker has and that holds no job. */
int queue_claim_fellow(struct queue *queue, const struct queue_worker *seat,
		       const struct queue_lease *fellow, struct queue_lease *lease,
		       struct error *err);

struct queue_progress {
	int64_t variant, step, steps;
	double eta_s; /* NaN: unknown */
};
enum queue_hint {
	QUEUE_GO_ON,
	QUEUE_STOP_CANCEL,  /* then queue_fail(SUMI_CANCELLED) */
	QUEUE_STOP_PREEMPT, /* an urgent job waits: save, queue_release("preempted") */
	QUEUE_STOP_WINDOW   /* the window has closed: save, queue_release("window") */
};
/* Extends the lease and tells progress (NULL: none to tell). Of the lease it needs id, token,
 * worker and lease_ms. SUMI_LOST when the lease is not ours any more: stop, write nothing. */
int queue_beat(struct queue *queue, const struct queue_lease *lease,
	       const struct queue_progress *progress, enum queue_hint *hint, struct error *err);

/* One more event of a running job, such as a preview; data may be binary, at most 64 KiB.
 * SUMI_LOST as above. */
int queue_event(struct queue *queue, const struct queue_lease *lease, const char *event,
		const char *name, const void *data, size_t size, struct error *err);

struct queue_event_field {
	const char *name, *value; /* of a received event, value is NUL-terminated, and may hold
				     NULs before that */
	size_t size;
};
/* The same with several fields, 64 KiB in all. */
int queue_event_fields(struct queue *queue, const struct queue_lease *lease, const char *event,
		       const struct queue_event_field *fields, size_t count, struct error *err);

/* Result number `variant` is there; result_json describes its files. Repeating is harmless. */
int queue_variant(struct queue *queue, const struct queue_lease *lease, int variant,
		  const char *result_json, struct error *err);

enum queue_finish_result {
	QUEUE_FINISHED,
	QUEUE_ALREADY,   /* this very lease finished it before */
	QUEUE_SUPERSEDED /* another lease finished it first, or it ended in another way */
};
struct queue_finish {
	const char *id, *token, *worker;
	const char *job_json;    /* lets a job that Redis forgot be entered again; may be NULL */
	const char *result_json; /* may be NULL */
};
/* The first finisher wins, with or without a living lease. */
int queue_finish(struct queue *queue, const struct queue_finish *finish,
		 enum queue_finish_result *result, struct error *err);

struct queue_failure {
	int status;       /* SUMI_CANCELLED ends a job that is being cancelled */
	const char *text; /* one line for a person */
	bool final;       /* no retry would help (bad parameters) */
	double jitter;    /* 0…1, random */
};
/* *after: where the job stands now: delayed, failed or cancelled. */
int queue_fail(struct queue *queue, const struct queue_lease *lease,
	       const struct queue_failure *failure, enum job_state *after, struct error *err);

/* Gives a running job back without costing it an attempt. reason: "drain", "preempted",
 * "window". state_json (may be NULL) is handed to the next worker. */
int queue_release(struct queue *queue, const struct queue_lease *lease, const char *reason,
		  const char *state_json, struct error *err);
/* The same because of something that is not the job's fault and must be mended first, such as
 * QUEUE_WAITS_DISK: the job says so until it is claimed again. */
int queue_hold(struct queue *queue, const struct queue_lease *lease, const char *reason,
	       struct error *err);

/* ---- looking ------------------------------------------------------------------------ */

struct queue_entry {
	char id[JOB_ID_SIZE];
	enum job_state state;
	struct job job;
	int64_t created_ms, updated_ms, started_ms, finished_ms; /* 0: not yet */
	int64_t due_ms; /* delayed: when it is due; ready: when its window opens; 0: none */
	int64_t attempts, failures, crashes;
	int64_t variant, step, steps; /* progress of the running attempt */
	double eta_s;                 /* NaN: unknown */
	int64_t variants;             /* results so far */
	bool cancelling;
	char worker[QUEUE_NAME_SIZE];
	char error_code[32];
	char held[64];           /* why it was given back, or "": see queue_hold() */
	char *error;             /* one line, or NULL */
	char *result_json;       /* of finish, or NULL */
	json_t *variant_results; /* array of what queue_variant() told, in order; may be empty */
};
void queue_entry_clear(struct queue_entry *entry);

/* SUMI_NOTFOUND for an id that Redis does not know (any more). */
int queue_get(struct queue *queue, const char *id, struct queue_entry *entry, struct error *err);

/* Jobs of one state: running by lease, ready by turn, delayed by time, final ones latest
 * first. *entries is an array of *count to be freed with queue_list_free(). */
int queue_list(struct queue *queue, enum job_state state, size_t offset, size_t limit,
	       struct queue_entry **entries, size_t *count, struct error *err);
void queue_list_free(struct queue_entry *entries, size_t count);

/* The two halves of it: ids alone, a new list of texts; and those of a list that are there. */
int queue_ids(struct queue *queue, enum job_state state, size_t offset, size_t limit, json_t **ids,
	      struct error *err);
int queue_get_all(struct queue *queue, const json_t *ids, struct queue_entry **entries, size_t *count,
		  struct error *err);

struct queue_stats {
	int64_t intake; /* entries not yet admitted */
	int64_t states[JOB_STATES];
	int64_t dead_letters;
	int64_t inputs, input_bytes; /* files that jobs start from */
	int64_t workers, workers_busy;
	bool paused;
	char pause_reason[128];
	/* since the keys exist */
	int64_t total_submitted, total_done, total_failed, total_cancelled, total_retried,
	    total_crashed;
};
int queue_stats(struct queue *queue, struct queue_stats *stats, struct error *err);

struct queue_worker_info {
	char name[QUEUE_NAME_SIZE];
	char device[128], host[64];
	char job[JOB_ID_SIZE]; /* "" when idle */
	char trouble[512];     /* "" where all is well */
	char waits[64];        /* why it takes no jobs now, or "" */
	int64_t pid, seen_ms_ago;
	struct queue_figures figures;
};
/* Workers heard of in the last 15 s; the caller frees *workers. */
int queue_workers(struct queue *queue, struct queue_worker_info **workers, size_t *count,
		  struct error *err);

/* The device with the most memory among those of living workers, asked anew every few seconds: its bytes and its name.
 * *most 0: one of them does not say how much it has, or there is none. *next_ms, of the clock that now_ms is of, is when
 * that is done again, and begins with 0; until then, and where Redis does not answer, all stays as it is. */
void queue_look_for_room(struct queue *queue, int64_t now_ms, int64_t *next_ms, uint64_t *most, char *name,
			 size_t name_size);

/* What the living workers can do, each class with a space before and behind it (" image/ink image/ ");
 * NULL where none lives. The caller frees it. */
int queue_classes(struct queue *queue, char **classes, struct error *err);

/* Whether a living worker does jobs of this modality and model (NULL: those that name none).
 * Where no worker lives at all that is the trouble, and this says yes. */
int queue_served(struct queue *queue, const char *modality, const char *model, bool *served,
		 struct error *err);

struct queue_unserved {
	char class[QUEUE_CLASS_SIZE]; /* "image/ink"; "image/" for jobs that name no model */
	int64_t jobs;
};
/* How many jobs are ready, by class; at most so many classes. The caller frees *list. */
int queue_waiting(struct queue *queue, size_t most, struct queue_unserved **list, size_t *count,
		  struct error *err);

/* Jobs that are ready and that none of the living workers can do; none where no worker lives. Of
 * more than a thousand classes about so many. The caller frees *list. */
int queue_unserved(struct queue *queue, struct queue_unserved **list, size_t *count,
		   struct error *err);

/* What keeps jobs waiting although it should not: looked up once for many jobs. */
struct queue_troubles {
	char server[64];  /* why Redis takes no writes, or "" */
	char workers[64]; /* why none of the living workers takes jobs, or "" */
};
int queue_troubles(struct queue *queue, struct queue_troubles *troubles, struct error *err);

/* The state that a job is in; −1: nobody has sent it. */
int queue_state(struct queue *queue, const char *id, int *state, struct error *err);

/* Whether anybody has sent a job of this id; one that was purged counts. */
int queue_knows(struct queue *queue, const char *id, bool *known, struct error *err);

#define QUEUE_WAITS_SIZE 256
/* Why a job that has not ended does not go on, "" where there is no reason but its turn, its time or
 * other jobs. */
void queue_waits(const struct queue_troubles *troubles, const struct queue_entry *entry,
		 char out[QUEUE_WAITS_SIZE]);
/* For which jobs a blocked one waits, and which of them nobody has sent. */
int queue_waits_after(struct queue *queue, const struct job *job, char out[QUEUE_WAITS_SIZE],
		      struct error *err);

struct queue_dead_letter {
	char entry[QUEUE_CURSOR_SIZE];
	int64_t at_ms;        /* since 1970 */
	char kind[16];        /* "rejected": could not be read; "failed": a job was put aside */
	char id[JOB_ID_SIZE]; /* "" where none could be read */
	char *reason, *text;  /* text: the intake entry or the job, as JSON */
};
/* The latest first; the caller frees with queue_dead_letters_free(). */
int queue_dead_letters(struct queue *queue, size_t limit, struct queue_dead_letter **letters,
		       size_t *count, struct error *err);
void queue_dead_letters_free(struct queue_dead_letter *letters, size_t count);

/* ---- following ---------------------------------------------------------------------- */

struct queue_event {
	char cursor[QUEUE_CURSOR_SIZE]; /* Redis' id of the event: "1732312462103-0" */
	char id[JOB_ID_SIZE];
	const char *event; /* "ready", "running", "progress", "preview", "variant", "done", … */
	struct queue_event_field fields[16];
	size_t field_count;
	void *reply; /* owner of the strings */
};
void queue_event_clear(struct queue_event *event);
const char *queue_event_value(const struct queue_event *event, const char *name); /* or NULL */

struct queue_follower;
/* Follows one job, or with id NULL the state changes of all. from: "0" for all that is
 * kept, "$" for new ones, or a cursor. Opens a connection of its own. */
int queue_follow(struct queue *queue, const char *id, const char *from, struct queue_follower **out,
		 struct error *err);
/* SUMI_TIMEOUT when nothing happened for timeout_ms. The caller clears *event. */
int queue_follow_next(struct queue_follower *follower, int timeout_ms, struct queue_event *event,
		      struct error *err);
void queue_follow_close(struct queue_follower *follower);

#endif
