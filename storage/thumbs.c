/* Thumbnails: files of their own under the name of what they show. They can be made again, so nothing
 * but a list suffers where one is missing. */
#include "storage/internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "media/thumbnail.h"

#define RESULT_MAX (256 << 20) /* bytes of a result that a thumbnail is made of later */

/* What lies there; 0 where nothing does. */
static int64_t bytes_of(const char *path)
{
	struct stat st;
	return lstat(path, &st) == 0 && S_ISREG(st.st_mode) ? st.st_size : 0;
}

int store_thumb_put(struct store *s, struct store_artifact *a, const void *data, size_t size,
		    struct error *err)
{
	char path[FILES_PATH_MAX];
	uint8_t *webp;
	size_t webp_size;
	struct error none;
	a->thumb = 0;
	if (strcmp(a->role, "main") != 0)
		return SUMI_OK;
	int status = thumbnail_make(data, size, a->sha256, &webp, &webp_size, &none);
	/* A result without one is a result. */
	if (status)
		return status == SUMI_NOMEM ? error_set(err, status, "%s", none.text) : SUMI_OK;
	status = store_thumb_path(s, a->sha256, path, err);
	if (!status && bytes_of(path) != (int64_t)webp_size &&
	    !(status = store_space(s, "thumbs", (int64_t)webp_size, err)))
		status = store_write_file(s, "thumbs", a->sha256, path, webp, webp_size, err);
	if (!status)
		a->thumb = (int64_t)webp_size;
	free(webp);
	return status;
}

bool store_thumb_find(const struct store *s, const struct store_artifact *a, char path[FILES_PATH_MAX])
{
	return a->thumb > 0 && store_thumb_path(s, a->sha256, path, NULL) == SUMI_OK &&
	       bytes_of(path) == a->thumb;
}

/* ---- rows whose thumbnail is missing ---------------------------------------------------------- */

static int next_missing(struct store *s, int64_t *id, bool look, struct store_artifact *a, bool *found,
			struct error *err)
{
	sqlite3_stmt *statement;
	char path[FILES_PATH_MAX], columns[512], sql[1024];
	bool row;
	*found = false;
	store_column_list(store_artifact_columns, "a", columns);
	snprintf(sql, sizeof sql,
		 "SELECT a.id, %s FROM artifacts a "
		 "WHERE a.id > ? AND a.role = 'main'%s ORDER BY a.id",
		 columns, look ? "" : " AND a.thumb = 0");
	int status = db_query(s, &statement, err, sql, I(*id));
	while (!status && !*found && !(status = db_step(s, statement, &row, err)) && row) {
		*id = sqlite3_column_int64(statement, 0);
		status = store_read_columns(statement, 1, store_artifact_columns, a, err);
		if (!status && !store_thumb_find(s, a, path))
			*found = true;
		else
			store_artifact_free(a);
	}
	sqlite3_finalize(statement);
	return status;
}

static int make_missing(struct store *s, int64_t id, struct store_artifact *a, struct error *err)
{
	char path[FILES_PATH_MAX], *data;
	size_t size;
	struct error none;
	int64_t before = a->thumb;
	int status = store_artifact_path(s, a->sha256, a->format, path, err);
	/* A result that is missing is told elsewhere. */
	if (status || files_read_regular(path, RESULT_MAX, &data, &size, &none))
		return status;
	status = store_thumb_put(s, a, data, size, err);
	free(data);
	if (status || a->thumb == before || (status = db_begin(s, err)))
		return status;
	status = db_run(s, err, "UPDATE artifacts SET thumb = ?2 WHERE id = ?1", I(id), I(a->thumb));
	return db_end(s, status, err);
}

int store_thumbs_fill(struct store *s, bool look, int64_t *after, int limit, struct error *err)
{
	bool found = true;
	int status = SUMI_OK;
	for (int i = 0; i < limit && found && !status; i++) {
		struct store_artifact a = {0};
		status = next_missing(s, after, look, &a, &found, err);
		if (!status && found)
			status = make_missing(s, *after, &a, err);
		store_artifact_free(&a);
	}
	if (!found)
		*after = INT64_MAX;
	return status;
}
