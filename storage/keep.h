/* Results that are to stay, and results that go: stars, deleting, what is oldest. */
#ifndef SUMI_STORAGE_KEEP_H
#define SUMI_STORAGE_KEEP_H

#include "storage/storage.h"

/* A starred job is never among the oldest. It survives `db rebuild`. *changed: it was not so
 * before. SUMI_NOTFOUND. */
int store_star(struct store *s, const char *id, bool starred, bool *changed, struct error *err);

/* These tags and no others. SUMI_NOTFOUND. */
int store_tags_set(struct store *s, const char *id, char *const *tags, size_t count, struct error *err);

/* How far somebody has come, by name: what was set last, "" where nothing was. */
int store_place(struct store *s, const char *name, char *at, size_t size, struct error *err);
int store_place_set(struct store *s, const char *name, const char *at, struct error *err);

struct store_removed {
	int jobs, files;
	int64_t bytes; /* of the files that are gone: one that another job has too stays */
};

/* Deletes a job with its attempts, results, tags and words of the search; what is done is added
 * to *out. First the history says so, then the rows go, then the files: a crash between leaves
 * files that nobody names, which store_collect() finds, and never a row without its file. Only where
 * the disk is too full for that, and the ballast gone, files that no other job has go first. Harmless
 * to repeat. SUMI_NOTFOUND. */
int store_remove(struct store *s, const char *id, struct store_removed *out, struct error *err);

/* Visible jobs that are not starred and ended before a moment, the longest ago first, at most
 * limit behind the first `skip`; with_files: only those that have results here. The caller frees
 * *list with store_pending_free(). */
int store_oldest(struct store *s, int64_t ended_before, bool with_files, int skip, int limit,
		 struct store_pending **list, size_t *count, struct error *err);

/* What the results of a job are called where a job says what it starts from: "ID", "ID-2",
 * "ID-1-frame-3", and their SHA-256s. The caller frees *names with store_names_free(). */
int store_result_names(struct store *s, const char *id, char ***names, size_t *count,
		       struct error *err);
void store_names_free(char **names, size_t count);

/* What the results take on the disk. */
int store_result_bytes(struct store *s, int64_t *bytes, struct error *err);

#endif
