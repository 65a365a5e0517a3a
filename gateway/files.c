/* Files of jobs, whole or in part. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/handlers.h"
#include "gateway/jobs.h"

/* Whether a list of tags such as `"abc", W/"def"` has this one, between its quotes. */
static bool has_tag(const char *list, const char *sha256)
{
	size_t n = strlen(sha256);
	for (const char *at = list; at && (at = strstr(at, sha256)); at += n)
		if (at > list && at[-1] == '"' && at[n] == '"')
			return true;
	return list && strcmp(list, "*") == 0;
}

/* Of If-Range: this very tag, and no weak one, which may stand for other bytes. */
static bool is_tag(const char *text, const char *sha256)
{
	size_t n = strlen(sha256);
	return strlen(text) == n + 2 && text[0] == '"' && text[n + 1] == '"' && memcmp(text + 1, sha256, n) == 0;
}

static int open_file(const char *path, int64_t bytes, int *fd, struct error *err)
{
	struct stat st;
	int status = files_open_regular(path, fd, err);
	if (!status && (fstat(*fd, &st) || st.st_size != bytes)) {
		close(*fd);
		status = error_set(err, SUMI_CORRUPT, "the file is damaged on the server");
	}
	/* Where it lies is nobody's business. */
	return status ? error_set(err, status, "the file of this result is not there") : SUMI_OK;
}

/* The types that sumi's files have; static, as an answer outlives the row. */
static const char *known_type(const char *mime)
{
	static const char *const types[] = {"image/webp", "image/png",  "image/jpeg", "audio/ogg",
					    "audio/wav", "audio/mpeg",  "video/webm", "image/gif",  "model/gltf-binary"};
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
		if (mime && strcmp(types[i], mime) == 0)
			return types[i];
	return "application/octet-stream";
}

/* The bytes never change under their name; a browser shows them and runs nothing in them. */
static void answer_bytes(struct call *call, const char *sha256, const char *mime, const char *path,
			 int64_t bytes)
{
	struct http_answer *answer = &call->answer;
	const struct head *head = &call->http->head;
	const char *condition = head_value(head, "if-range");
	bool whole = condition && !is_tag(condition, sha256);
	struct error err;
	int fd;
	int64_t first, last;
	http_header(answer, "ETag: \"%s\"", sha256);
	http_header(answer, "Cache-Control: private, max-age=31536000, immutable");
	http_header(answer, "Accept-Ranges: bytes");
	http_header(answer, "Content-Security-Policy: sandbox; default-src 'none'");
	http_header(answer, "Cross-Origin-Resource-Policy: %s",
		    call->route->flags & ROUTE_MEDIA ? "cross-origin" : "same-origin");
	answer->type = known_type(mime);
	if (has_tag(head_value(head, "if-none-match"), sha256)) {
		answer->status = 304;
		return;
	}
	if (open_file(path, bytes, &fd, &err)) {
		*answer = (struct http_answer){.fd = -1};
		call_fail(call, &err);
		return;
	}
	answer->status = head_range(whole ? NULL : head_value(head, "range"), bytes, &first, &last);
	if (answer->status == 416) {
		close(fd);
		http_header(answer, "Content-Range: bytes */%lld", (long long)bytes);
		return;
	}
	if (answer->status == 206)
		http_header(answer, "Content-Range: bytes %lld-%lld/%lld", (long long)first,
			    (long long)last, (long long)bytes);
	answer->fd = fd;
	answer->offset = first;
	answer->length = last - first + 1;
}

void files_answer(struct call *call, const struct store_artifact *a)
{
	answer_bytes(call, a->sha256, a->mime, a->path, a->bytes);
}

/* The file that the route names; NULL: it has been refused. */
static const struct store_artifact *find_file(struct call *call, struct worker *w, struct found *f)
{
	struct error err;
	char name[JOBS_FILE_NAME_SIZE];
	if (jobs_find(call, w, call->args[0], f, &err)) {
		call_fail(call, &err);
		return NULL;
	}
	for (size_t i = 0; i < f->file_count; i++) {
		jobs_file_name(&f->files[i], name);
		if (strcmp(name, call->args[1]) == 0)
			return &f->files[i];
	}
	if (f->file_count)
		call_refuse(call, 404, NULL, "%.64s has no file '%.90s' on this host", call->args[0], call->args[1]);
	else if (jobs_no_file(call, f, call->args[0], &err))
		call_fail(call, &err);
	jobs_clear(f);
	return NULL;
}

void files_send(struct call *call, struct worker *w)
{
	struct found f;
	const struct store_artifact *a = find_file(call, w, &f);
	if (!a)
		return;
	files_answer(call, a);
	jobs_clear(&f);
}

void files_answer_thumb(struct call *call, struct worker *w, const struct store_artifact *a)
{
	struct store *store;
	struct error err;
	char path[FILES_PATH_MAX], tag[SHA256_HEX_SIZE + 8], name[JOBS_FILE_NAME_SIZE];
	jobs_file_name(a, name);
	if (worker_store(w, &store, &err)) {
		call_fail(call, &err);
	} else if (store_thumb_find(store, a, path)) {
		snprintf(tag, sizeof tag, "%s-thumb", a->sha256);
		answer_bytes(call, tag, "image/webp", path, a->thumb);
	} else {
		call_refuse(call, 404, NULL, "there is no thumbnail of '%.90s'", name);
	}
}

void files_send_thumb(struct call *call, struct worker *w)
{
	struct found f;
	const struct store_artifact *a = find_file(call, w, &f);
	if (!a)
		return;
	files_answer_thumb(call, w, a);
	jobs_clear(&f);
}
