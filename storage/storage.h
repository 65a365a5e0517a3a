/* The store of one host: rows in SQLite, files beside them.
 *
 *     DIR/sumi.db                         jobs, attempts, artifacts, models, search
 *     DIR/artifacts/ab/cd/abcd….webp      results, named by their SHA-256
 *     DIR/thumbs/ab/cd/abcd….webp         small pictures of results, by the name of the result
 *     DIR/blobs/ab/cd/abcd….input         what artifacts were made from, named in the same way
 *     DIR/{artifacts,thumbs,blobs}/tmp/   files that are being written: each may be a mount of its own
 *     DIR/history/2026-11.jsonl           one line a finished job: what `db rebuild` reads
 *     DIR/ballast                         room kept for the database when the disk is full
 *
 * The end of a variant and of a job, each step durable before the next, each repeatable:
 *
 *     store_artifact_put      file written, fsynced, renamed; row `stored`
 *     store_job_stored        the job's row says done and waits for the queue
 *         (the queue's finish)
 *     store_job_visible       listings show it
 *
 * After a crash store_pending() names the jobs that stand between the last two. Crash points
 * (base/crashpoint.h), in this order (those of deleting stand in keep.c): temp_written, temp_synced, renamed, folder_synced,
 * artifact_row, job_stored, history_written, job_visible.
 *
 * A struct store is one connection: one thread at a time, never carried over fork. Texts are
 * UTF-8; times are milliseconds since 1970, 0 meaning "not yet". */
#ifndef SUMI_STORAGE_STORAGE_H
#define SUMI_STORAGE_STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/files.h"
#include "base/hash.h"
#include "base/status.h"

#define STORE_ID_MAX 128            /* bytes of a job id: [A-Za-z0-9._:-], no dot first */
#define STORE_PAGE_MAX 1000         /* rows of one page of a listing */
#define STORE_RESERVE (256ll << 20) /* default for store_options.reserve */
#define STORE_BALLAST (8ll << 20)   /* default for store_options.ballast */

struct store;

enum store_mode {
	STORE_WRITE, /* makes what is missing, migrates */
	STORE_READ,  /* changes nothing; SUMI_NOTFOUND when there is no database yet */
};

struct store_options {
	const char *dir; /* the state directory */
	enum store_mode mode;
	int64_t reserve; /* bytes of the disk left to others; 0: STORE_RESERVE; <0: none */
	int64_t ballast; /* bytes; 0: STORE_BALLAST; <0: none */
	int busy_ms;     /* how long to wait for another writer; 0: 60 s */
};

/* SUMI_CORRUPT names `sumi db check` and `sumi db rebuild`; SUMI_UNSUPPORTED is a database of a
 * newer sumi; SUMI_FULL, SUMI_PERM, SUMI_IO as they say. All functions below return these too. */
int store_open(const struct store_options *options, struct store **out, struct error *err);
void store_close(struct store *s); /* NULL is fine */

/* ---- jobs ---- */

/* A row. For writing, strings are borrowed; what a reading function returns is owned by the
 * struct and goes with store_job_free(). NULL strings are "not known" and leave what the row
 * has when a job is put again. */
struct store_job {
	char *id;
	char *state;    /* "running", "done", "failed", "cancelled"; read only: the writing
			   functions set it */
	char *modality; /* "image", "video", "audio" */
	char *model;    /* name of the pack */
	char *prompt;
	char *negative_prompt;
	char *submitter;
	char *params; /* the whole job as JSON; kept in canonical form (sorted keys) */
	char *digest; /* of the resolved request, for store_find_digest(); may be NULL */
	char *token;  /* the lease that wrote last */
	char *error;  /* why it failed */
	char **tags;  /* tag_count strings */
	size_t tag_count;
	int priority;
	int variants;  /* how many results were asked for */
	int attempts;  /* read only: rows of attempts */
	int artifacts; /* read only: results that stand in the store */
	int64_t created, started, finished;
	bool starred; /* read only: store_star() sets it */
	int64_t key;  /* read only: place in the order of listings, newest highest */
};
void store_job_free(struct store_job *job); /* what it holds, not job itself */

/* The job as an object of the schema's names plus id, state, times, tags; NULL: no memory. */
json_t *store_job_json(const struct store_job *job);

/* Enters a job when a worker starts it, or brings its row up to date; one that had failed or
 * was cancelled runs again. A job that is stored or done stays as it is. */
int store_job_put(struct store *s, const struct store_job *job, struct error *err);

struct store_attempt {
	char *job;
	int n;       /* 1, 2, …; store_attempt_begin() sets it */
	char *token; /* of the lease; one attempt a token */
	char *worker, *host, *device, *driver, *version;
	char *model_digest;
	char *outcome; /* "running", "done", "failed", "crashed", "released", "cancelled",
			  "superseded" */
	char *error;
	char *timings; /* JSON: stage → milliseconds */
	int64_t started, ended;
};
void store_attempt_free(struct store_attempt *a);
json_t *store_attempt_json(const struct store_attempt *a);

/* Begins an attempt; the same job and token again is the same attempt. Attempts of the job that
 * still run are closed as "crashed". */
int store_attempt_begin(struct store *s, struct store_attempt *a, struct error *err);
/* Closes it with outcome, error and timings (each may be NULL except outcome). */
int store_attempt_end(struct store *s, const char *job, const char *token, const char *outcome,
		      const char *error, const char *timings, int64_t ended, struct error *err);

/* ---- artifacts ---- */

struct store_artifact {
	char *job;
	int variant;  /* 0 … variants-1 */
	char *role;   /* "main", "spectrogram", "frame" */
	int number;   /* of several with one role: the frame; else 0 */
	char *format; /* "webp": the file's extension */
	char *mime;
	char sha256[SHA256_HEX_SIZE];
	int64_t bytes;
	int width, height;
	double duration; /* seconds */
	uint64_t seed;
	char *infotext, *metadata; /* as they stand in the file */
	char *state;               /* "stored", "visible" */
	int64_t created;
	int64_t thumb; /* bytes of its thumbnail, 0: none; read only */
	char *path;   /* absolute; read only */
	bool present; /* read only: the file is there with that size */
};
/* Where its thumbnail lies; false where there is none. */
bool store_thumb_find(const struct store *s, const struct store_artifact *a, char path[FILES_PATH_MAX]);
void store_artifact_free(struct store_artifact *a);
json_t *store_artifact_json(const struct store_artifact *a);

enum store_put {
	STORE_PUT_NEW,        /* stored */
	STORE_PUT_SAME,       /* this very result stood there already */
	STORE_PUT_REPLACED,   /* another result stood there that nobody had seen */
	STORE_PUT_SUPERSEDED, /* another result is visible already; it stays, this one is dropped */
};

/* Writes the file durably, then a thumbnail (of pictures and sounds whose role is main), then the row. a says job (which must have been put), variant,
 * role, number, format, mime, sizes, seed and texts; sha256, bytes and created (if 0) are filled
 * in. Repeating it with the same bytes changes nothing. SUMI_FULL before anything is
 * written when the disk's reserve would be touched. */
int store_artifact_put(struct store *s, struct store_artifact *a, const void *data, size_t size,
		       enum store_put *outcome, struct error *err);

/* Shows the results of one variant before the whole job is done. */
int store_variant_visible(struct store *s, const char *job, int variant, struct error *err);

/* ---- the end of a job ---- */

/* All artifacts are in: the job waits for the queue's word. Its attempt is closed as "done".
 * A job that is visible already stays as it is. */
int store_job_stored(struct store *s, const char *id, const char *token, const char *timings,
		     int64_t finished, struct error *err);
/* The queue took the result (or had it already from here). Also writes the history line. */
int store_job_visible(struct store *s, const char *id, struct error *err);
/* A job ends before all results are there: state is "failed" or "cancelled"; visible at once, and
 * with it what results there are. A job that is done stays done. */
int store_job_ended(struct store *s, const char *id, const char *state, const char *error,
		    int64_t finished, struct error *err);

struct store_pending {
	char *id, *token;
	int64_t finished;
};
/* Jobs that are stored and not yet visible, oldest first: replay the queue's finish for each
 * before claiming anything. The caller frees *list with store_pending_free(). */
int store_pending(struct store *s, struct store_pending **list, size_t *count, struct error *err);
void store_pending_free(struct store_pending *list, size_t count);

/* ---- reading ---- */

struct store_filter {
	const char *state, *modality, *model, *tag, *submitter; /* NULL: any */
	const char *text;     /* words of the prompt, all of them; "wor*" for beginnings */
	int64_t since, until; /* created, since ≤ t < until; 0: open */
	int64_t before;       /* key of the last row of the page before; 0: the first page */
	int limit;            /* rows, 0: 50; at most STORE_PAGE_MAX */
	bool starred;         /* only starred ones */
	bool all;             /* also what is not visible (running, waiting for the queue) */
};

struct store_page {
	struct store_job *jobs; /* newest first */
	size_t count;
	int64_t next; /* store_filter.before of the next page; 0: this was the last */
};
int store_list(struct store *s, const struct store_filter *filter, struct store_page *page,
	       struct error *err);
void store_page_free(struct store_page *page);

/* SUMI_NOTFOUND when the store does not know the job. */
int store_job_get(struct store *s, const char *id, struct store_job *job, struct error *err);
/* The newest visible done job whose digest is this: an identical request's result. */
int store_find_digest(struct store *s, const char *digest, struct store_job *job,
		      struct error *err);

/* By variant, role, number. all: also what is not visible. */
int store_artifacts(struct store *s, const char *job, bool all, struct store_artifact **list,
		    size_t *count, struct error *err);
void store_artifacts_free(struct store_artifact *list, size_t count);

int store_attempts(struct store *s, const char *job, struct store_attempt **list, size_t *count,
		   struct error *err);
void store_attempts_free(struct store_attempt *list, size_t count);

/* Whether listings show a job; false for one that is not there. */
int store_shows(struct store *s, const char *id, bool *visible, struct error *err);
/* Those of a list of ids that they do not show, a new list. */
int store_unshown(struct store *s, const json_t *ids, json_t **out, struct error *err);
/* How many they show, in one state or (NULL) in all. */
int store_count_jobs(struct store *s, const char *state, int64_t *count, struct error *err);

struct store_counts {
	int64_t done, failed, cancelled; /* visible jobs */
	int64_t artifacts, bytes;        /* visible artifacts and the sum of their sizes */
};
int store_count(struct store *s, struct store_counts *counts, struct error *err);

/* ---- models ---- */

struct store_model {
	char *name, *digest, *modality;
	char *info; /* JSON of the pack's description, or NULL */
	int64_t first_used, last_used;
};
int store_model_put(struct store *s, const struct store_model *m, struct error *err);
int store_models(struct store *s, struct store_model **list, size_t *count, struct error *err);
void store_models_free(struct store_model *list, size_t count);

/* ---- upkeep ---- */

/* SUMI_FULL, with figures and what to do, unless need more bytes fit beside the reserve: into a folder of
 * files, NULL: the database's. Each may lie on a disk of its own, and all of them keep the reserve. Ask it
 * before claiming a job. */
int store_space(struct store *s, const char *folder, int64_t need, struct error *err);
/* Whether a result could be stored now: writes a small file as results are written, and removes it, and
 * begins to write to the database. Ask it where something has failed. */
int store_probe(struct store *s, struct error *err);
/* The ballast file keeps room for the database's last rows: a write that finds the disk full drops
 * it by itself, so that the next try succeeds. Fill it at the start and every now and then; it
 * stays away, with SUMI_FULL, until store_space() is content. Both may be repeated. */
int store_ballast_fill(struct store *s, struct error *err);
int store_ballast_drop(struct store *s, struct error *err);

/* Makes thumbnails that are missing, at most limit of them, behind artifact *after (0: from the first):
 * those of rows that have none, with look also those whose file is gone. *after is INT64_MAX at the end. */
int store_thumbs_fill(struct store *s, bool look, int64_t *after, int limit, struct error *err);

struct store_collected {
	int temps, orphans, thumbs, blobs; /* files removed; thumbs: of results that are gone */
	int64_t bytes;
	int kept; /* results and inputs without rows of a database that was lost or is an older one: they wait for a rebuild */
};
/* Who beside the store needs a blob: jobs that wait. */
struct store_needs {
	bool (*is_needed)(void *context, const char *sha256);
	void *context;
};
/* Removes temp files, artifacts that no row names and blobs that neither an artifact names nor needs
 * (NULL: nobody) knows of, each only if it has not changed for older_than_ms (an hour is safe: nobody
 * writes a file for that long). */
int store_collect(struct store *s, int64_t older_than_ms, const struct store_needs *needs,
		  struct store_collected *out, struct error *err);

/* `sumi db …`. Findings go to report, one line each, as they are found; it may be NULL. */
struct store_report {
	void *context;
	void (*line)(void *context, const char *text);
	int problems;        /* counted by check and rebuild */
	int jobs, artifacts; /* looked at by check, brought back by rebuild */
	int blobs;           /* looked at by check: what artifacts were made from */
};
/* SQLite's integrity check, the search index, every row's file, what it was made from and, with
 * hashes, their bytes.
 * SUMI_CORRUPT when report->problems is not 0. Works on a read-only store. */
int store_check(struct store *s, bool hashes, struct store_report *report, struct error *err);
/* What of that takes no long time: SQLite's quick check and the rows that refer to others; then
 * whether every row's file is there with its size. Findings go to report alone. */
int store_check_tables(struct store *s, struct store_report *report, struct error *err);
int store_check_present(struct store *s, struct store_report *report, struct error *err);
/* Files that no row names and the history does, or that were there before the database was. */
int store_check_strays(struct store *s, struct store_report *report, struct error *err);
/* Whether there are files of results in DIR, with a database or without. */
bool store_has_files(const char *dir);
/* Whether the database in DIR began beside files that are not its own, and nobody has rebuilt it. */
bool store_is_lost(const char *dir);
/* A consistent copy of the database (not of the files) while it is in use. path must not exist. */
int store_backup(struct store *s, const char *path, struct error *err);
/* Gives unused room back to the disk, and takes deleted jobs out of the history. */
int store_vacuum(struct store *s, struct error *err);
/* Moves the database aside (its new path in moved, which may be NULL; empty: there was none) and
 * makes it anew from the history and the metadata inside the artifact files. SUMI_BUSY while
 * somebody has it open for writing. */
int store_rebuild(const struct store_options *options, char moved[FILES_PATH_MAX],
		  struct store_report *report, struct error *err);

#endif
