/* A database that was lost, or replaced by an older one, knows nothing of files whose rows it had. They are what
 * `sumi db rebuild` brings back, so nobody collects them. */
#include "storage/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"

enum { STOP = 1 }; /* no status: ends a walk */

static int on_any(void *context, const struct store_file *file, struct error *err)
{
	(void)file;
	(void)err;
	*(bool *)context = true;
	return STOP;
}

bool store_has_files(const char *dir)
{
	struct store s = {.lock = -1};
	struct error ignored;
	bool any = false;
	if (!files_path(s.dir, &ignored, "%s", dir))
		store_walk_artifacts(&s, on_any, &any, &ignored);
	return any;
}

static int mark_path(const char *dir, char out[FILES_PATH_MAX], struct error *err)
{
	return files_path(out, err, "%s/" STORE_LOST_NAME, dir);
}

bool store_is_lost(const char *dir)
{
	char path[FILES_PATH_MAX];
	return mark_path(dir, path, NULL) == SUMI_OK && access(path, F_OK) == 0;
}

int store_note_lost(const char *dir, struct error *err)
{
	static const char text[] = "sumi.db was gone when there were files in artifacts/: they stay until sumi db rebuild\n";
	char path[FILES_PATH_MAX];
	struct stat st;
	int status = files_path(path, err, "%s/" STORE_DB_NAME, dir);
	if (status || (stat(path, &st) == 0 && st.st_size > 0) || !store_has_files(dir))
		return status;
	if (!(status = mark_path(dir, path, err)))
		status = files_write_durable(path, text, sizeof text - 1, err);
	return status;
}

int store_found_again(const char *dir, struct error *err)
{
	char path[FILES_PATH_MAX];
	int status = mark_path(dir, path, err);
	if (!status && unlink(path) != 0 && errno != ENOENT)
		status = error_errno(err, "%s", path);
	return status;
}

/* ---- what the history says ---- */

static int note_line(void *context, const char *line, struct error *err)
{
	json_t *jobs = context, *root = json_loads(line, 0, NULL);
	const char *gone = json_string_value(json_object_get(root, "deleted"));
	const char *id = gone ? gone : json_string_value(json_object_get(json_object_get(root, "job"), "id"));
	json_t *names = json_array();
	bool made = json_array_size(json_object_get(root, "artifacts")) > 0;
	/* Its files, and what they were made from, wherever the line names that. */
	for (const char *p = line; made && *p;) {
		size_t n = strspn(p, "0123456789abcdef");
		if (n == SHA256_HEX_SIZE - 1)
			json_array_append_new(names, json_stringn(p, n));
		p += n ? n : 1;
	}
	int failed = id ? json_object_set(jobs, id, names) : 0;
	json_decref(names);
	json_decref(root);
	return failed ? error_set(err, SUMI_NOMEM, "no memory for the history") : SUMI_OK;
}

static int read_names(struct store_keeping *k, struct error *err)
{
	const char *id;
	json_t *jobs = json_object(), *names, *name;
	size_t i;
	int status = store_history_lines(k->store, note_line, jobs, err);
	k->names = json_object();
	json_object_foreach(jobs, id, names)
		json_array_foreach(names, i, name)
			json_object_set_new(k->names, json_string_value(name), json_true());
	json_decref(jobs);
	return status;
}

bool store_keeps(struct store_keeping *k, const char *sha256)
{
	struct error ignored;
	if (k->lost)
		return true;
	if (!k->names && read_names(k, &ignored))
		k->lost = true; /* nobody knows */
	return k->lost || json_object_get(k->names, sha256);
}

struct store_keeping store_keeping(struct store *s)
{
	return (struct store_keeping){.store = s, .lost = store_is_lost(s->dir)};
}

void store_keeping_clear(struct store_keeping *k)
{
	json_decref(k->names);
	k->names = NULL;
}

/* ---- what is told ---- */

struct strays {
	struct store_keeping keeping;
	int count;
};

static int count_stray(void *context, const struct store_file *file, struct error *err)
{
	struct strays *c = context;
	int64_t rows = 0;
	int status = store_rows_of(c->keeping.store, file->sha256, &rows, err);
	c->count += !status && rows == 0 && store_keeps(&c->keeping, file->sha256);
	return status;
}

int store_check_strays(struct store *s, struct store_report *report, struct error *err)
{
	struct strays c = {.keeping = store_keeping(s)};
	int status = store_walk_artifacts(s, count_stray, &c, err);
	if (!status && c.count)
		store_say(report, true, "%s/artifacts: %d file%s of jobs that the database does not know: it was lost, or is an "
			  "older one", s->dir, c.count, c.count == 1 ? " is" : "s are");
	store_keeping_clear(&c.keeping);
	return status;
}
