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

/* How often a line names each SHA-256, but where it says what a result's own is. */
static int count_names(const char *line, const json_t *artifacts, json_t *names)
{
	char name[SHA256_HEX_SIZE];
	json_t *artifact;
	size_t i;
	int failed = 0;
	for (const char *p = line; *p;) {
		size_t n = strspn(p, "0123456789abcdef");
		if (n == sizeof name - 1) {
			memcpy(name, p, n);
			name[n] = 0;
			failed |= json_object_set_new(names, name, json_integer(json_integer_value(json_object_get(names, name)) + 1));
		}
		p += n ? n : 1;
	}
	json_array_foreach(artifacts, i, artifact)
	{
		const char *own = json_string_value(json_object_get(artifact, "sha256"));
		const json_t *found = own ? json_object_get(names, own) : NULL;
		if (found)
			failed |= json_object_set_new(names, own, json_integer(json_integer_value(found) - 1));
	}
	return failed;
}

/* Of a job its last line counts, and each line that cannot be read. */
static int note_line(void *context, const char *line, struct error *err)
{
	json_error_t why = {0}; /* where there is no memory it is often not filled */
	json_t *jobs = context, *root = json_loads(line, 0, &why), *names = json_object();
	const char *gone = json_string_value(json_object_get(root, "deleted"));
	const char *id = gone ? gone : json_string_value(json_object_get(json_object_get(root, "job"), "id"));
	const json_t *artifacts = json_object_get(root, "artifacts");
	int failed = !root && (!*why.text || json_error_code(&why) == json_error_out_of_memory);
	if (!root)
		id = line;
	if (!root || json_array_size(artifacts) > 0)
		failed |= count_names(line, artifacts, names);
	if (id)
		failed |= json_object_set(jobs, id, names);
	json_decref(names);
	json_decref(root);
	return failed ? error_set(err, SUMI_NOMEM, "no memory for the history") : SUMI_OK;
}

static int read_names(struct store_keeping *k, struct error *err)
{
	const char *id, *name;
	json_t *jobs = json_object(), *names, *times;
	int status = store_history_lines(k->store, note_line, jobs, err);
	json_t *all = json_object();
	bool failed = !jobs || !all;
	json_object_foreach(jobs, id, names)
		json_object_foreach(names, name, times)
			failed |= json_object_set_new(all, name,
						      json_boolean(json_integer_value(times) > 0 ||
								   json_is_true(json_object_get(all, name)))) != 0;
	json_decref(jobs);
	if (!status && failed)
		status = error_set(err, SUMI_NOMEM, "no memory for the history");
	if (status)
		json_decref(all);
	else
		k->names = all;
	return status;
}

int store_keeps(struct store_keeping *k, const char *sha256, bool input, bool *keeps, struct error *err)
{
	int status = k->lost || k->names ? SUMI_OK : read_names(k, err);
	const json_t *named = k->lost ? NULL : json_object_get(k->names, sha256);
	*keeps = status || k->lost || (input ? json_is_true(named) : named != NULL);
	return status;
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
	bool keeps = false;
	int status = store_rows_of(c->keeping.store, file->sha256, &rows, err);
	if (!status && rows == 0)
		status = store_keeps(&c->keeping, file->sha256, false, &keeps, err);
	c->count += !status && keeps;
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
