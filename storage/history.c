/* The history: one line of JSON for every job that became visible, in a file a month. It is
 * what a lost database is made from again; a job that stands in it twice counts as it stands
 * last, and {"deleted": ID} takes out what stands before. */
#include "storage/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"

/* ---- writing ---- */

static int job_line(struct store *s, const struct store_job *job, char **line, struct error *err)
{
	struct store_artifact *artifacts = NULL;
	struct store_attempt *attempts = NULL;
	size_t artifact_count = 0, attempt_count = 0;
	json_t *root = NULL, *array = NULL;
	int status = store_artifacts(s, job->id, true, &artifacts, &artifact_count, err);
	if (!status)
		status = store_attempts(s, job->id, &attempts, &attempt_count, err);
	if (status)
		goto done;
	root = json_pack("{s:o, s:[], s:[]}", "job", store_job_json(job), "attempts", "artifacts");
	array = json_object_get(root, "attempts");
	for (size_t i = 0; i < attempt_count; i++)
		json_array_append_new(array, store_attempt_json(&attempts[i]));
	array = json_object_get(root, "artifacts");
	for (size_t i = 0; i < artifact_count; i++)
		json_array_append_new(array,
				      store_columns_json(store_artifact_columns, &artifacts[i]));
	*line = root ? json_dumps(root, JSON_COMPACT) : NULL;
	if (!*line)
		status = error_set(err, SUMI_NOMEM, "no memory for the history of job %s", job->id);
done:
	json_decref(root);
	store_artifacts_free(artifacts, artifact_count);
	store_attempts_free(attempts, attempt_count);
	return status;
}

/* Appends line and a newline under the file's lock. A line that a power cut left without its end
 * is closed first; one that does not fit is taken back. */
static int append_line(const char *path, const char *line, struct error *err)
{
	int status = SUMI_OK;
	int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	if (fd < 0)
		return error_errno(err, "%s", path);
	char *text = NULL, last = '\n';
	struct stat st;
	if (flock(fd, LOCK_EX) != 0 || fstat(fd, &st) != 0 ||
	    (st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) != 1)) {
		status = error_errno(err, "%s", path);
		goto done;
	}
	size_t size = strlen(line) + 2;
	text = malloc(size + 1);
	if (!text) {
		status = error_set(err, SUMI_NOMEM, "%s: no memory for a line", path);
		goto done;
	}
	size = (size_t)sprintf(text, "%s%s\n", last == '\n' ? "" : "\n", line);
	errno = ENOSPC;
	if (write(fd, text, size) != (ssize_t)size || fsync(fd) != 0) {
		status = error_errno(err, "%s", path);
		if (ftruncate(fd, st.st_size) != 0)
			error_prefix(err, "and cannot be cut back");
		goto done;
	}
	if (st.st_size == 0)
		status = files_sync_parent(path, err);
done:
	free(text);
	close(fd);
	return status;
}

int store_history_add(struct store *s, const char *id, struct error *err)
{
	struct store_job job;
	char when[CLOCK_TEXT_SIZE], path[FILES_PATH_MAX], *line = NULL;
	int status = store_job_get(s, id, &job, err);
	if (status)
		return status;
	clock_text(job.finished, when);
	status = files_path(path, err, "%s/history/%.7s.jsonl", s->dir, when);
	if (!status)
		status = job_line(s, &job, &line, err);
	if (!status)
		status = append_line(path, line, err);
	free(line);
	store_job_free(&job);
	return status;
}

int store_history_forget(struct store *s, const char *id, int64_t finished, struct error *err)
{
	char when[CLOCK_TEXT_SIZE], path[FILES_PATH_MAX], line[STORE_ID_MAX + 32];
	int64_t now = clock_wall_ms();
	/* Behind the job's own line, also where the clock went back. */
	clock_text(now > finished ? now : finished, when);
	snprintf(line, sizeof line, "{\"deleted\":\"%.*s\"}", STORE_ID_MAX, id);
	int status = files_path(path, err, "%s/history/%.7s.jsonl", s->dir, when);
	return status ? status : append_line(path, line, err);
}

/* ---- reading ---- */

static int replay_tags(const json_t *object, struct store_job *job, struct error *err)
{
	const json_t *tags = json_object_get(object, "tags");
	size_t count = json_array_size(tags);
	job->tags = count ? calloc(count, sizeof *job->tags) : NULL;
	if (count && !job->tags)
		return error_set(err, SUMI_NOMEM, "no memory for a row");
	int status = SUMI_OK;
	for (size_t i = 0; i < count && !status; i++) {
		const char *tag = json_string_value(json_array_get(tags, i));
		status = store_set_text(&job->tags[i], tag ? tag : "", err);
		job->tag_count = i + 1;
	}
	return status;
}

static int replay_attempts(struct store *s, int64_t key, const json_t *list, const char *where,
			   struct error *err)
{
	int status = SUMI_OK;
	for (size_t i = 0; i < json_array_size(list) && !status; i++) {
		struct store_attempt a = {0};
		status = store_columns_from_json(store_attempt_columns, json_array_get(list, i),
						 where, &a, err);
		if (!status)
			status = store_insert(s, "attempts", store_attempt_columns, &a, "job",
					      DB_VALUES(I(key)), err);
		store_attempt_free(&a);
	}
	return status;
}

static int replay_artifacts(struct store *s, int64_t key, const json_t *list, const char *where,
			    struct error *err)
{
	int status = SUMI_OK;
	for (size_t i = 0; i < json_array_size(list) && !status; i++) {
		struct store_artifact a = {0};
		status = store_columns_from_json(store_artifact_columns, json_array_get(list, i),
						 where, &a, err);
		if (!status)
			status = store_set_text(&a.state, "visible", err);
		if (!status)
			status = store_insert(s, "artifacts", store_artifact_columns, &a, "job",
					      DB_VALUES(I(key)), err);
		store_artifact_free(&a);
	}
	return status;
}

static int replay_line(struct store *s, const char *line, size_t size, const char *where,
		       struct error *err)
{
	json_t *root;
	struct store_job job = {0};
	int64_t key;
	int status = json_read_text(line, size, where, &root, err);
	if (status)
		return status;
	const char *deleted = json_string_value(json_object_get(root, "deleted"));
	if (deleted) {
		status = store_job_delete(s, deleted, err);
		json_decref(root);
		return status;
	}
	const json_t *object = json_object_get(root, "job");
	status = store_columns_from_json(store_job_columns, object, where, &job, err);
	if (!status)
		status = replay_tags(object, &job, err);
	if (!status)
		status = store_check_id(job.id, err);
	if (!status)
		status = store_job_delete(s, job.id, err);
	if (!status)
		status = store_job_insert(s, &job, "visible", &key, err);
	if (!status)
		status = replay_attempts(s, key, json_object_get(root, "attempts"), where, err);
	if (!status)
		status = replay_artifacts(s, key, json_object_get(root, "artifacts"), where, err);
	store_job_free(&job);
	json_decref(root);
	return status;
}

/* A damaged line costs that line alone. */
static int replay_file(struct store *s, const char *path, struct store_report *report,
		       struct error *err)
{
	char *line = NULL;
	size_t capacity = 0;
	ssize_t n;
	int number = 0, status = SUMI_OK;
	FILE *in = fopen(path, "re");
	if (!in)
		return error_errno(err, "%s", path);
	while (!status && (n = getline(&line, &capacity, in)) > 0) {
		char where[FILES_PATH_MAX + 16];
		struct error bad = {0};
		number++;
		if (n == 1)
			continue;
		snprintf(where, sizeof where, "%s:%d", path, number);
		status = db_exec(s, "SAVEPOINT line", err);
		if (status)
			break;
		if (replay_line(s, line, (size_t)n, where, &bad)) {
			store_say(report, true, "%s", bad.text);
			status = db_exec(s, "ROLLBACK TO line", err);
		}
		if (!status)
			status = db_exec(s, "RELEASE line", err);
	}
	if (!status && ferror(in))
		status = error_errno(err, "%s", path);
	free(line);
	fclose(in);
	return status;
}

static int is_month(const struct dirent *e)
{
	const char *dot = strrchr(e->d_name, '.');
	return e->d_name[0] != '.' && dot && strcmp(dot, ".jsonl") == 0;
}

/* The paths of all months in their order; the caller frees each and the list. */
static int list_months(const struct store *s, char ***paths, size_t *count, struct error *err)
{
	char folder[FILES_PATH_MAX], path[FILES_PATH_MAX];
	struct dirent **months = NULL;
	*paths = NULL;
	*count = 0;
	int status = files_path(folder, err, "%s/history", s->dir);
	if (status)
		return status;
	int n = scandir(folder, &months, is_month, alphasort);
	if (n < 0)
		return error_errno(err, "%s", folder);
	*paths = calloc((size_t)n + 1, sizeof **paths);
	if (!*paths)
		status = error_set(err, SUMI_NOMEM, "no memory for %d months", n);
	for (int i = 0; i < n; i++) {
		if (!status)
			status = files_path(path, err, "%s/%s", folder, months[i]->d_name);
		if (!status)
			status = store_set_text(&(*paths)[(*count)++], path, err);
		free(months[i]);
	}
	free(months);
	return status;
}

static void free_months(char **paths, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(paths[i]);
	free(paths);
}

static int each_line(const char *path, int (*each)(void *context, const char *line, struct error *err), void *context,
		     struct error *err)
{
	char *line = NULL;
	size_t capacity = 0;
	int status = SUMI_OK;
	FILE *in = fopen(path, "re");
	if (!in)
		return error_errno(err, "%s", path);
	while (!status && getline(&line, &capacity, in) > 0)
		status = each(context, line, err);
	if (!status && !feof(in))
		status = error_errno(err, "%s", path);
	free(line);
	fclose(in);
	return status;
}

int store_history_lines(struct store *s, int (*each)(void *context, const char *line, struct error *err), void *context,
			struct error *err)
{
	char **months;
	size_t count;
	int status = list_months(s, &months, &count, err);
	for (size_t i = 0; i < count && !status; i++)
		status = each_line(months[i], each, context, err);
	free_months(months, count);
	return status;
}

int store_history_replay(struct store *s, struct store_report *report, struct error *err)
{
	char **months;
	size_t count;
	int status = list_months(s, &months, &count, err);
	if (!status)
		status = db_begin(s, err);
	if (!status) {
		for (size_t i = 0; i < count && !status; i++)
			status = replay_file(s, months[i], report, err);
		status = db_end(s, status, err);
	}
	free_months(months, count);
	return status;
}

/* ---- making it smaller ---- */

/* Whose line it is; "" for one that cannot be read, which stays. */
static void line_id(const char *line, size_t size, char id[STORE_ID_MAX + 1], bool *deleted)
{
	json_t *root = json_loadb(line, size, 0, NULL);
	const char *gone = json_string_value(json_object_get(root, "deleted"));
	const char *text =
	    gone ? gone : json_string_value(json_object_get(json_object_get(root, "job"), "id"));
	*deleted = gone != NULL;
	snprintf(id, STORE_ID_MAX + 1, "%s", text ? text : "");
	json_decref(root);
}

struct pass {
	json_t *last; /* id → number of its last line, 0 where that says it was deleted */
	json_int_t number;
	FILE *out; /* NULL: the first pass, which only looks */
	bool shorter;
};

static int pass_line(struct pass *p, const char *line, size_t size, struct error *err)
{
	char id[STORE_ID_MAX + 1];
	bool deleted;
	line_id(line, size, id, &deleted);
	p->number++;
	if (!p->out)
		return *id && json_object_set_new(p->last, id,
						  json_integer(deleted ? 0 : p->number))
			   ? error_set(err, SUMI_NOMEM, "no memory for the history")
			   : SUMI_OK;
	if (*id && json_integer_value(json_object_get(p->last, id)) != p->number)
		p->shorter = true;
	else
		fwrite(line, 1, size, p->out);
	return SUMI_OK;
}

static int pass_file(struct pass *p, const char *path, struct error *err)
{
	char *line = NULL;
	size_t capacity = 0;
	ssize_t n;
	int status = SUMI_OK;
	FILE *in = fopen(path, "re");
	if (!in)
		return error_errno(err, "%s", path);
	while (!status && (n = getline(&line, &capacity, in)) > 0)
		status = pass_line(p, line, (size_t)n, err);
	if (!status && ferror(in))
		status = error_errno(err, "%s", path);
	free(line);
	fclose(in);
	return status;
}

static int shorten_file(struct pass *p, const char *path, struct error *err)
{
	char *text = NULL;
	size_t size = 0;
	p->shorter = false;
	p->out = open_memstream(&text, &size);
	if (!p->out)
		return error_set(err, SUMI_NOMEM, "no memory for %s", path);
	int status = pass_file(p, path, err);
	if (fclose(p->out) != 0 && !status)
		status = error_set(err, SUMI_NOMEM, "no memory for %s", path);
	if (!status && p->shorter)
		status = files_write_durable(path, text, size, err);
	free(text);
	return status;
}

/* Oldest month first: what says that a job was deleted goes after the job's own line. Nobody appends
 * meanwhile, as that is done in a transaction. */
int store_history_shorten(struct store *s, struct error *err)
{
	struct pass p = {.last = json_object()};
	char **months;
	size_t count;
	int status = list_months(s, &months, &count, err);
	if (!status)
		status = db_begin(s, err);
	if (!status) {
		for (size_t i = 0; i < count && !status; i++)
			status = pass_file(&p, months[i], err);
		p.number = 0;
		for (size_t i = 0; i < count && !status; i++)
			status = shorten_file(&p, months[i], err);
		status = db_end(s, status, err);
	}
	free_months(months, count);
	json_decref(p.last);
	return status;
}
