/* The queue of a server that others run, copied out of it and into it. */
#include "queue/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "queue/internal.h"
#include "queue/private_redis.h"

enum {
	SILENT_MS = 60000, /* a server that forks and writes says nothing for a while */
	STOP_MS = 30000,
	BATCH = 200,
	PIECE = 1 << 16
};

#define FOLDER "redis/appendonlydir"
#define BASE "appendonly.aof.1.base.rdb"

/* ---- the server's copy of itself ---- */

static int read_some(int fd, char *data, size_t size, size_t *got, struct error *err)
{
	for (;;) {
		struct pollfd in = {.fd = fd, .events = POLLIN};
		int ready = poll(&in, 1, SILENT_MS);
		if (ready == 0)
			return error_set(err, SUMI_TIMEOUT,
					 "the server sends nothing of its copy for %d s",
					 SILENT_MS / 1000);
		ssize_t n = ready < 0 ? -1 : read(fd, data, size);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return error_set(err, SUMI_CONNECT,
					 "the connection broke while the server sent its copy");
		*got = (size_t)n;
		return SUMI_OK;
	}
}

/* "$123\r\n", and empty lines before it by which the server says that it is at it. */
static int read_size(int fd, long long *size, struct error *err)
{
	char line[256];
	size_t n = 0, got;
	int status;
	while (!(status = read_some(fd, line + n, 1, &got, err))) {
		if (line[n] != '\n') {
			n += n + 1 < sizeof line;
			continue;
		}
		line[n] = '\0';
		if (n > 1)
			break;
		n = 0;
	}
	char *end;
	*size = status || line[0] != '$' ? -1 : strtoll(line + 1, &end, 10);
	if (!status && *size < 0)
		status = error_set(err, SUMI_UNSUPPORTED,
				   "the server gives no copy of itself (SYNC: %.100s)", line);
	return status;
}

static int receive(int fd, const char *path, struct error *err)
{
	long long left = 0;
	char *piece = malloc(PIECE);
	int status = piece ? read_size(fd, &left, err) : error_set(err, SUMI_NOMEM, "no memory");
	FILE *out = status ? NULL : fopen(path, "wbe");
	if (!status && !out)
		status = error_errno(err, "%s", path);
	while (!status && left > 0) {
		size_t got, most = left < PIECE ? (size_t)left : PIECE;
		status = read_some(fd, piece, most, &got, err);
		if (!status && fwrite(piece, 1, got, out) != got)
			status = error_errno(err, "%s", path);
		left -= status ? 0 : (long long)got;
	}
	if (out && fclose(out) != 0 && !status)
		status = error_errno(err, "%s", path);
	free(piece);
	return status;
}

/* Into the folder of a private server, which then loads it. */
static int sync_to(struct queue *queue, const char *dir, struct error *err)
{
	static const char ask[] = "*1\r\n$4\r\nSYNC\r\n", manifest[] = "file " BASE " seq 1 type b\n";
	char folder[FILES_PATH_MAX], path[FILES_PATH_MAX];
	redisContext *c = NULL;
	int status = files_path(folder, err, "%s/" FOLDER, dir);
	if (!status)
		status = files_make_dirs(folder, 0700, err);
	if (!status)
		status = files_path(path, err, "%s/" BASE, folder);
	if (!status)
		status = link_open(queue, &c, err);
	if (!status && write(c->fd, ask, sizeof ask - 1) != (ssize_t)sizeof ask - 1)
		status = error_errno(err, "asking for a copy");
	if (!status)
		status = receive(c->fd, path, err);
	if (c)
		redisFree(c);
	if (!status)
		status = files_path(path, err, "%s/appendonly.aof.manifest", folder);
	return status ? status : files_write_durable(path, manifest, sizeof manifest - 1, err);
}

/* ---- keys from one server to another ---- */

/* A server over dir/redis. Sockets have short names: it knows the folder by a link, /tmp/…/name. */
static int start(const char *links, const char *name, const char *dir, struct private_redis *server,
		 redisContext **c, struct error *err)
{
	char link[FILES_PATH_MAX], absolute[FILES_PATH_MAX];
	struct private_redis_options options = {.state_dir = link};
	*c = NULL;
	int status = files_path(link, err, "%s/%s", links, name);
	if (!status)
		status = files_path(absolute, err, "%s", dir);
	if (!status)
		status = files_make_absolute(absolute, err);
	if (!status && symlink(absolute, link) != 0)
		status = error_errno(err, "%s", link);
	if (!status)
		status = private_redis_start(&options, server, err);
	if (status)
		return status;
	*c = redisConnectUnix(server->socket);
	if (!*c || (*c)->err)
		return error_set(err, SUMI_CONNECT, "%s: %s", server->socket,
				 *c ? (*c)->errstr : "no memory");
	return SUMI_OK;
}

static void stop(struct private_redis *server, redisContext *c)
{
	if (c)
		redisFree(c);
	if (server->pid > 0)
		private_redis_stop(server, STOP_MS);
}

static int checked(redisContext *c, redisReply *reply, struct error *err)
{
	if (!reply)
		return error_set(err, SUMI_CONNECT, "%s", c->errstr);
	return reply->type == REDIS_REPLY_ERROR ? reply_error(reply, err) : SUMI_OK;
}

/* The prefix as a pattern: what a pattern would take otherwise is escaped. */
static void make_pattern(const char *prefix, char out[300])
{
	size_t n = 0;
	for (const char *p = prefix; *p && n < 290; p++) {
		if (strchr("*?[]^\\", *p))
			out[n++] = '\\';
		out[n++] = *p;
	}
	strcpy(out + n, "*");
}

struct copying {
	redisContext *from, *to;
};

/* A key that has gone meanwhile (a time to live) is left out. */
static int put_key(struct copying *c, const redisReply *key, struct error *err)
{
	redisReply *ttl = NULL, *dump = NULL, *put = NULL;
	int status = redisGetReply(c->from, (void **)&ttl) == REDIS_OK ? SUMI_OK : SUMI_CONNECT;
	if (!status && redisGetReply(c->from, (void **)&dump) != REDIS_OK)
		status = SUMI_CONNECT;
	if (status)
		error_set(err, status, "%s", c->from->errstr);
	if (!status && !(status = checked(c->from, dump, err)) && dump->type == REDIS_REPLY_STRING) {
		long long left = ttl && ttl->integer > 0 ? ttl->integer : 0;
		put = redisCommand(c->to, "RESTORE %b %lld %b REPLACE", reply_text(key), reply_size(key), left,
				   dump->str, dump->len);
		status = checked(c->to, put, err);
	}
	freeReplyObject(ttl);
	freeReplyObject(dump);
	freeReplyObject(put);
	return status;
}

static int copy_page(struct copying *c, const redisReply *page, struct error *err)
{
	int status = SUMI_OK;
	for (size_t i = 0; i < page->elements; i++) {
		const redisReply *key = page->element[i];
		redisAppendCommand(c->from, "PTTL %b", reply_text(key), reply_size(key));
		redisAppendCommand(c->from, "DUMP %b", reply_text(key), reply_size(key));
	}
	for (size_t i = 0; i < page->elements && !status; i++)
		status = put_key(c, page->element[i], err);
	return status;
}

/* A pass over all keys of a prefix. */
static int each_page(redisContext *c, const char *prefix,
		     int (*act)(void *context, const redisReply *page, struct error *err),
		     void *context, struct error *err)
{
	char pattern[300], cursor[32] = "0";
	int status = SUMI_OK;
	make_pattern(prefix, pattern);
	do {
		redisReply *reply =
		    redisCommand(c, "SCAN %s MATCH %s COUNT %d", cursor, pattern, BATCH);
		status = checked(c, reply, err);
		if (!status && (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2))
			status = error_set(err, SUMI_INTERNAL, "SCAN: an answer that is none");
		if (!status)
			status = act(context, reply->element[1], err);
		if (!status)
			reply_copy(reply_at(reply, 0), cursor, sizeof cursor);
		freeReplyObject(reply);
	} while (!status && strcmp(cursor, "0") != 0);
	return status;
}

static int on_copy(void *context, const redisReply *page, struct error *err)
{
	return copy_page(context, page, err);
}

static int on_count(void *context, const redisReply *page, struct error *err)
{
	(void)err;
	*(size_t *)context += page->elements;
	return SUMI_OK;
}

static int on_remove(void *context, const redisReply *page, struct error *err)
{
	redisContext *c = context;
	int status = SUMI_OK;
	for (size_t i = 0; i < page->elements && !status; i++) {
		const redisReply *key = page->element[i];
		redisReply *reply = redisCommand(c, "UNLINK %b", reply_text(key), reply_size(key));
		status = checked(c, reply, err);
		freeReplyObject(reply);
	}
	return status;
}

/* The workers of then are not those of now. */
static int copy_keys(redisContext *from, redisContext *to, const char *prefix, struct error *err)
{
	struct copying c = {from, to};
	int status = each_page(from, prefix, on_copy, &c, err);
	redisReply *reply = status ? NULL : redisCommand(to, "DEL %sworkers", prefix);
	if (!status)
		status = checked(to, reply, err);
	freeReplyObject(reply);
	return status;
}

/* What a server leaves in its folder beside its data. */
static void tidy(const char *dir)
{
	static const char *const names[] = {"redis.log", "redis.pid", "redis.lock", "redis.sock"};
	char path[FILES_PATH_MAX];
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (files_path(path, NULL, "%s/redis/%s", dir, names[i]) == SUMI_OK)
			unlink(path);
}

static int make_links(char out[32], struct error *err)
{
	strcpy(out, "/tmp/sumi-copy-XXXXXX");
	return mkdtemp(out) ? SUMI_OK : error_errno(err, "%s", out);
}

static void drop_links(const char *links)
{
	static const char *const names[] = {"whole", "own"};
	char path[FILES_PATH_MAX];
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (files_path(path, NULL, "%s/%s", links, names[i]) == SUMI_OK)
			unlink(path);
	rmdir(links);
}

int queue_copy_out(struct queue *queue, const char *state_dir, struct error *err)
{
	char all[FILES_PATH_MAX], links[32] = "";
	struct private_redis whole = {0}, own = {0};
	redisContext *from = NULL, *to = NULL;
	int status = files_path(all, err, "%s/whole.part", state_dir);
	if (!status)
		status = sync_to(queue, all, err);
	if (!status)
		status = make_links(links, err);
	if (!status)
		status = start(links, "whole", all, &whole, &from, err);
	if (!status)
		status = start(links, "own", state_dir, &own, &to, err);
	if (!status) {
		redisReply *reply = redisCommand(from, "SELECT %d", queue->url.db);
		status = checked(from, reply, err);
		freeReplyObject(reply);
	}
	if (!status)
		status = copy_keys(from, to, queue->prefix, err);
	stop(&whole, from);
	stop(&own, to);
	tidy(state_dir);
	files_remove_tree(all);
	drop_links(links);
	return status ? error_prefix(err, "the queue") : SUMI_OK;
}

static int make_room(struct queue *queue, redisContext *to, bool replace, struct error *err)
{
	struct queue_stats stats;
	size_t keys = 0;
	int status = queue_stats(queue, &stats, err);
	if (!status && stats.workers)
		return error_set(err, SUMI_BUSY,
				 "%lld workers serve that queue: stop every sumid that does",
				 (long long)stats.workers);
	if (!status)
		status = each_page(to, queue->prefix, on_count, &keys, err);
	if (!status && keys && !replace)
		return error_set(err, SUMI_INVALID,
				 "the server has keys that begin with %s: --force removes them",
				 queue->prefix);
	return status ? status : each_page(to, queue->prefix, on_remove, to, err);
}

int queue_copy_in(struct queue *queue, const char *state_dir, bool replace, struct error *err)
{
	char links[32] = "";
	struct private_redis own = {0};
	redisContext *from = NULL, *to = NULL;
	int status = link_open(queue, &to, err);
	if (!status)
		status = make_room(queue, to, replace, err);
	if (!status)
		status = make_links(links, err);
	if (!status)
		status = start(links, "own", state_dir, &own, &from, err);
	if (!status)
		status = copy_keys(from, to, queue->prefix, err);
	stop(&own, from);
	drop_links(links);
	if (to)
		redisFree(to);
	return status ? error_prefix(err, "the queue") : SUMI_OK;
}
