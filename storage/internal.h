/* What the files of storage/ share: the connection, statements, tables of columns. */
#ifndef SUMI_STORAGE_INTERNAL_H
#define SUMI_STORAGE_INTERNAL_H

#include <jansson.h>
#include <sqlite3.h>

#include "storage/storage.h"

#define STORE_DB_NAME "sumi.db"
#define STORE_APPLICATION_ID 0x73756d69 /* "sumi" */
#define STORE_KEY_SHIFT 20              /* jobs.key: created << 20 | number */

struct store {
	sqlite3 *db;
	enum store_mode mode;
	int lock;                 /* open file, or -1 */
	int64_t reserve, ballast; /* bytes, 0: none */
	char dir[FILES_PATH_MAX];
};

/* ---- db.c ---- */

/* The error of the connection's last call, in sumi's words. */
int db_error(struct store *s, struct error *err);

/* A value to bind. */
struct db_value {
	enum { DB_TEXT, DB_INT, DB_REAL } kind;
	const char *text; /* NULL: SQL's NULL */
	int64_t integer;
	double real;
};
#define T(x) ((struct db_value){.kind = DB_TEXT, .text = (x)})
#define I(x) ((struct db_value){.kind = DB_INT, .integer = (int64_t)(x)})
#define R(x) ((struct db_value){.kind = DB_REAL, .real = (x)})
#define DB_VALUES(...)                                                                             \
	(const struct db_value[]){__VA_ARGS__},                                                    \
	    sizeof((const struct db_value[]){__VA_ARGS__}) / sizeof(struct db_value)

/* Prepares and binds; texts are borrowed until the statement is finalised. */
int db_query_values(struct store *s, sqlite3_stmt **out, struct error *err, const char *sql,
		    const struct db_value *values, size_t count);
/* Runs a statement that gives no rows. */
int db_run_values(struct store *s, struct error *err, const char *sql,
		  const struct db_value *values, size_t count);
/* The first column of the only row; *value stays as it is when there is no row. */
int db_int_values(struct store *s, int64_t *value, struct error *err, const char *sql,
		  const struct db_value *values, size_t count);
#define db_query(s, out, err, sql, ...) db_query_values(s, out, err, sql, DB_VALUES(__VA_ARGS__))
#define db_run(s, err, sql, ...) db_run_values(s, err, sql, DB_VALUES(__VA_ARGS__))
#define db_int(s, value, err, sql, ...) db_int_values(s, value, err, sql, DB_VALUES(__VA_ARGS__))

int db_exec(struct store *s, const char *sql, struct error *err);
/* *row: whether there is one. */
int db_step(struct store *s, sqlite3_stmt *statement, bool *row, struct error *err);

/* Begins a transaction that may write; db_end() commits it when status is 0 and rolls it back
 * when not, and returns what came of it. */
int db_begin(struct store *s, struct error *err);
int db_end(struct store *s, int status, struct error *err);

/* ---- open.c ---- */

/* Opens DIR/name; store_open() with its usual name, store_rebuild() with another. */
int store_open_named(const struct store_options *options, const char *name, struct store **out,
		     struct error *err);

/* Writers share a lock on DIR/store.lock, a rebuild wants it alone. The caller closes *fd.
 * SUMI_BUSY. */
int store_lock(const char *dir, bool alone, int *fd, struct error *err);

/* ---- migrate.c ---- */

/* Brings the tables up to date, or for a reading store checks that they are. */
int store_migrate(struct store *s, const char *name, struct error *err);

/* ---- rows.c: one table of columns a struct, for SQL, JSON and freeing alike ---- */

struct store_column {
	const char *name; /* of the SQL column and the JSON field */
	enum store_kind {
		KIND_TEXT,   /* char * */
		KIND_JSON,   /* char *, an object in JSON */
		KIND_INT,    /* int */
		KIND_FLAG,   /* bool; in JSON only where it is true */
		KIND_BYTES,  /* int64_t */
		KIND_TIME,   /* int64_t, ISO 8601 in JSON */
		KIND_REAL,   /* double */
		KIND_SEED,   /* uint64_t */
		KIND_SHA256, /* char[SHA256_HEX_SIZE] */
	} kind;
	size_t offset;
};
/* Each ends with a NULL name. */
extern const struct store_column store_job_columns[];
extern const struct store_column store_attempt_columns[];
extern const struct store_column store_artifact_columns[];
extern const struct store_column store_model_columns[];

/* "t.a, t.b, …" into out. */
void store_column_list(const struct store_column *columns, const char *table, char out[512]);
/* Reads a row's columns, from number first on, into *row, which was all zero. */
int store_read_columns(sqlite3_stmt *statement, int first, const struct store_column *columns,
		       void *row, struct error *err);
json_t *store_columns_json(const struct store_column *columns, const void *row);
/* The reverse; where names the line in messages. */
int store_columns_from_json(const struct store_column *columns, const json_t *object,
			    const char *where, void *row, struct error *err);
/* INSERT of a whole row: the columns of the table, then the extra ones named in `extra`
 * ("job, publish") with their values. */
int store_insert(struct store *s, const char *table, const struct store_column *columns,
		 const void *row, const char *extra, const struct db_value *values, size_t count,
		 struct error *err);

/* Copies a text into *slot, freeing what stood there. */
int store_set_text(char **slot, const char *text, struct error *err);

/* The JSON with sorted keys and without spaces, a new string; NULL stays NULL. where names it in messages. */
int store_canonical_json(const char *text, const char *where, char **out, struct error *err);

/* Makes room for one more element of size bytes in *list, a NULL or malloc'd array of count
 * elements, and clears it; NULL when there is no memory. */
void *store_grow(void *list, size_t count, size_t size);

/* ---- files.c ---- */

extern const char *const store_file_folders[]; /* ends in NULL */

/* Where such a file lies, of format's ending. */
int store_artifact_path(const struct store *s, const char *sha256, const char *format,
			char out[FILES_PATH_MAX], struct error *err);
int store_thumb_path(const struct store *s, const char *sha256, char out[FILES_PATH_MAX],
		     struct error *err);
int store_blob_path(const struct store *s, const char *sha256, char out[FILES_PATH_MAX],
		    struct error *err);

/* Writes DIR/folder/ab/cd/…, named by sha256, so that it is there whole or not at all, also after a
 * power cut. folder: one of store_file_folders[]. */
int store_write_file(const struct store *s, const char *folder, const char *sha256,
		     const char *path, const void *data, size_t size, struct error *err);
/* The same for a file that is there: who renamed it may have died before he could say so. */
int store_sync_names(const char *file, struct error *err);

struct store_file {
	const char *path, *sha256, *format;
	int64_t bytes, changed; /* milliseconds since 1970 */
};
typedef int store_file_function(void *context, const struct store_file *file, struct error *err);
/* Calls back for every file under DIR/folder that is named by a SHA-256 and an ending. */
int store_walk_files(struct store *s, const char *folder, store_file_function *each, void *context,
		     struct error *err);
/* The same for what was being written in DIR/folder/tmp, without the name and the ending. */
int store_walk_temps(struct store *s, const char *folder, store_file_function *each, void *context,
		     struct error *err);
/* As store_walk_files() under DIR/artifacts. */
int store_walk_artifacts(struct store *s, store_file_function *each, void *context,
			 struct error *err);

struct stat;
int64_t store_changed_ms(const struct stat *st);

/* ---- jobs.c ---- */

int store_check_id(const char *id, struct error *err);
/* *key of a job, SUMI_NOTFOUND. */
int store_job_key(struct store *s, const char *id, int64_t *key, struct error *err);
/* The same in a transaction of its own, which is open when it returns SUMI_OK: db_end(). */
int store_job_begin(struct store *s, const char *id, int64_t *key, struct error *err);
/* Inserts a job's row with a new key, and its tags. Inside a transaction. */
int store_job_insert(struct store *s, const struct store_job *job, const char *publish,
		     int64_t *key, struct error *err);
/* Gives a job these tags alone. Inside a transaction. */
int store_put_tags(struct store *s, int64_t key, char *const *tags, size_t count, struct error *err);
/* Deletes a job's rows, if there are any. Inside a transaction. */
int store_job_delete(struct store *s, const char *id, struct error *err);

/* ---- ends.c ---- */

/* Reads rows of id, token, time to their end and finalises the statement. The caller frees *list
 * with store_pending_free(). */
int store_read_pending(struct store *s, sqlite3_stmt *statement, struct store_pending **list,
		       size_t *count, struct error *err);

/* ---- artifacts.c ---- */

/* How many rows name a file. */
int store_rows_of(struct store *s, const char *sha256, int64_t *rows, struct error *err);

/* Removes a file unless a row needs it. Inside a transaction. *gone: it was there and is not. */
int store_drop_unnamed(struct store *s, const char *sha256, const char *path, bool *gone,
		       struct error *err);

/* ---- thumbs.c ---- */

/* Makes the thumbnail of a main result whose bytes these are and says in a->thumb how large it is; 0 for
 * what has none. */
int store_thumb_put(struct store *s, struct store_artifact *a, const void *data, size_t size,
		    struct error *err);

/* ---- history.c ---- */

/* Appends the job as it will stand when it is visible. Durable when it returns. */
int store_history_add(struct store *s, const char *id, struct error *err);
/* Appends that a job, which ended at that time, was deleted. Durable when it returns. */
int store_history_forget(struct store *s, const char *id, int64_t finished, struct error *err);
/* Takes out lines of jobs that were deleted since, and those that a later line replaces. */
int store_history_shorten(struct store *s, struct error *err);
/* Enters all jobs of DIR/history into an empty database, inside a transaction of its own.
 * Lines that cannot be read are reported and left out. */
int store_history_replay(struct store *s, struct store_report *report, struct error *err);

/* Calls back with every line, month by month. */
int store_history_lines(struct store *s, int (*each)(void *context, const char *line, struct error *err), void *context,
			struct error *err);

/* ---- report.c ---- */

/* One line of a report, which may be NULL. */
void store_say(struct store_report *report, bool problem, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- check.c ---- */

#define STORE_FILES_AT_ONCE 256 /* rows read under one lock */
/* The next rows of artifacts behind row *id, with job, variant, sha256, bytes and path: no lock is
 * held while files are looked at. *count is below STORE_FILES_AT_ONCE at the end. The caller frees
 * each, also after a failure. */
int store_next_files(struct store *s, int64_t *id, struct store_artifact *list, size_t *count,
		     struct error *err);
/* Every artifact's row against its file, with hashes against its bytes. */
int store_check_files(struct store *s, bool hashes, struct store_report *report, struct error *err);

/* ---- lost.c ---- */

#define STORE_LOST_NAME STORE_DB_NAME ".lost" /* there: the database began beside files that are not its */

/* Notes, before a database is made in DIR, that there are files already. */
int store_note_lost(const char *dir, struct error *err);
/* A rebuild has brought them back. */
int store_found_again(const char *dir, struct error *err);

/* Which files without rows stay. The caller clears it. */
struct store_keeping {
	struct store *store;
	bool lost;
	json_t *names; /* SHA-256s of the history, true: of what a job started from; NULL: nobody has asked */
};
struct store_keeping store_keeping(struct store *s);
/* input: as something that jobs start from, else as a result. A history that cannot be read is an error: then nobody knows. */
int store_keeps(struct store_keeping *k, const char *sha256, bool input, bool *keeps, struct error *err);
void store_keeping_clear(struct store_keeping *k);

/* ---- blobs.c ---- */

/* Removes blobs that no artifact was made from, as store_collect() does. */
int store_collect_blobs(struct store *s, struct store_keeping *keeping, int64_t older_than_ms, const struct store_needs *needs,
			struct store_collected *out, struct error *err);

/* Whether every blob that an artifact was made from is there and, with hashes, each holds its bytes. */
int store_check_blobs(struct store *s, bool hashes, struct store_report *report, struct error *err);

#endif
