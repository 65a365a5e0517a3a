/* The connection to Redis: opening it, opening it again, scripts, and whether the server
 * behind it can be trusted with a queue. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/embed.h"
#include "queue/internal.h"

#define RETRY_FIRST_MS 20
#define RETRY_MOST_MS 1000

static const struct {
	const char *file;
	int oom;
} scripts[] = {
#define X(name, file, oom) {file, oom},
    QUEUE_SCRIPT_MAP(X)
#undef X
};

static struct timeval timeval_ms(int ms)
{
	return (struct timeval){.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
}

static int plain_open(const struct queue *queue, const char *host, int port, redisContext **out,
		      struct error *err)
{
	const struct queue_url *url = &queue->url;
	struct timeval timeout = timeval_ms(queue->connect_ms);
	redisContext *c;
	if (url->kind == URL_TLS) {
		int fd, status = tls_open(host, port, queue->ca_file, queue->connect_ms, &fd, err);
		if (status)
			return status;
		c = redisConnectFd(fd);
	} else if (url->kind == URL_UNIX) {
		c = redisConnectUnixWithTimeout(url->path, timeout);
	} else {
		c = redisConnectWithTimeout(host, port, timeout);
	}
	*out = c;
	if (!c)
		return error_set(err, SUMI_NOMEM, "redis: no memory");
	if (c->err) {
		int status = error_set(err, SUMI_CONNECT, "%s", c->errstr);
		redisFree(c);
		*out = NULL;
		return status;
	}
	fcntl(c->fd, F_SETFD, FD_CLOEXEC);
	redisSetTimeout(c, timeval_ms(queue->command_ms));
	if (url->kind == URL_TCP || url->kind == URL_SENTINEL)
		redisEnableKeepAlive(c);
	return SUMI_OK;
}

const char *link_problem(const redisContext *c)
{
	/* hiredis tells a timeout in the words of the socket. */
	bool silent = strcmp(c->errstr, strerror(EAGAIN)) == 0;
	if (c->err == REDIS_ERR_PROTOCOL)
		return "what answers there is no Redis: name one in `redis` of sumi.conf";
	return silent ? "it accepts connections and does not answer" : c->errstr;
}

/* A command on a fresh connection; NULL with err filled when it fails. */
static redisReply *ask(redisContext *c, struct error *err, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	redisReply *reply = redisvCommand(c, format, ap);
	va_end(ap);
	if (!reply)
		error_set(err, SUMI_CONNECT, "%s", link_problem(c));
	else if (reply->type == REDIS_REPLY_ERROR) {
		reply_error(reply, err);
		freeReplyObject(reply);
		reply = NULL;
	}
	return reply;
}

static int sign_in(const struct queue *queue, redisContext *c, struct error *err)
{
	const struct queue_url *url = &queue->url;
	redisReply *reply = NULL;
	struct error why = {0};
	if (*url->password || *url->user) {
		reply = *url->user ? ask(c, &why, "AUTH %s %s", url->user, url->password)
				   : ask(c, &why, "AUTH %s", url->password);
		if (!reply)
			return error_set(err, why.status, "signing in: %s", why.text);
		freeReplyObject(reply);
	}
	if (url->db) {
		reply = ask(c, &why, "SELECT %d", url->db);
		if (!reply)
			return error_set(err, why.status, "database %d: %s", url->db, why.text);
		freeReplyObject(reply);
	}
	return SUMI_OK;
}

/* Asks the Sentinels in turn for the master, and the master whether it is one. */
static int sentinel_open(const struct queue *queue, redisContext **out, struct error *err)
{
	const struct queue_url *url = &queue->url;
	error_set(err, SUMI_CONNECT, "no Sentinel answers");
	for (int i = 0; i < url->hosts; i++) {
		redisContext *sentinel;
		if (plain_open(queue, url->host[i], url->port[i], &sentinel, err))
			continue;
		redisReply *reply =
		    ask(sentinel, err, "SENTINEL get-master-addr-by-name %s", url->master);
		redisFree(sentinel);
		char host[256] = "";
		int port = 0;
		if (reply && reply->elements == 2) {
			reply_copy(reply_at(reply, 0), host, sizeof host);
			port = (int)reply_int(reply_at(reply, 1));
		} else if (reply) {
			error_set(err, SUMI_CONNECT, "Sentinel %s knows no master '%s'",
				  url->host[i], url->master);
		}
		freeReplyObject(reply);
		if (!port || plain_open(queue, host, port, out, err))
			continue;
		if (sign_in(queue, *out, err) == SUMI_OK && (reply = ask(*out, err, "ROLE"))) {
			bool master = reply_is(reply_at(reply, 0), "master");
			freeReplyObject(reply);
			if (master)
				return SUMI_OK;
			error_set(err, SUMI_CONNECT, "%s:%d is not the master any more", host,
				  port);
		}
		redisFree(*out);
		*out = NULL;
	}
	return err ? err->status : SUMI_CONNECT;
}

int link_open(const struct queue *queue, redisContext **out, struct error *err)
{
	struct error why = {0};
	char where[400];
	*out = NULL;
	int status;
	if (queue->url.kind == URL_SENTINEL) {
		status = sentinel_open(queue, out, &why);
	} else {
		status = plain_open(queue, queue->url.host[0], queue->url.port[0], out, &why);
		if (status == SUMI_OK && (status = sign_in(queue, *out, &why)) != SUMI_OK) {
			redisFree(*out);
			*out = NULL;
		}
	}
	if (status == SUMI_OK)
		return SUMI_OK;
	url_describe(&queue->url, where, sizeof where);
	return error_set(err, status, "redis at %s: %s", where, why.text);
}

void link_drop(struct queue *queue)
{
	if (queue->redis)
		redisFree(queue->redis);
	queue->redis = NULL;
}

static void copy_line(const char *info, const char *name, char *out, size_t size)
{
	const char *p = strstr(info, name);
	*out = '\0';
	if (p)
		snprintf(out, size, "%.*s", (int)strcspn(p + strlen(name), "\r\n"),
			 p + strlen(name));
}

/* One try. Notices that the server is another process than last time. */
static int connect_once(struct queue *queue, struct error *err)
{
	char run_id[64];
	int status = link_open(queue, &queue->redis, err);
	if (status)
		return status;
	redisReply *reply = ask(queue->redis, err, "INFO server");
	if (!reply) {
		link_drop(queue);
		return err ? err->status : SUMI_CONNECT;
	}
	copy_line(reply_text(reply), "run_id:", run_id, sizeof run_id);
	freeReplyObject(reply);
	if (strcmp(run_id, queue->run_id) != 0) {
		queue->generation += *queue->run_id != '\0';
		strcpy(queue->run_id, run_id);
	}
	return SUMI_OK;
}

int link_need(struct queue *queue, struct error *err)
{
	struct error why = {0};
	if (queue->redis)
		return SUMI_OK;
	int64_t end = clock_boot_ms() + queue->patience_ms, wait = RETRY_FIRST_MS;
	for (;;) {
		int status = connect_once(queue, &why);
		if (status == SUMI_OK)
			return SUMI_OK;
		if (status == SUMI_PERM && *queue->run_id)
			status = SUMI_CONNECT; /* it let us in before: somebody changes its users */
		if (status != SUMI_CONNECT || clock_boot_ms() + wait >= end)
			return error_set(err, status, "%s", why.text);
		clock_sleep_ms(wait);
		wait = wait * 2 < RETRY_MOST_MS ? wait * 2 : RETRY_MOST_MS;
	}
}

int link_reply(struct queue *queue, redisReply **reply, struct error *err)
{
	if (redisGetReply(queue->redis, (void **)reply) == REDIS_OK) {
		queue->refusal = (*reply)->type == REDIS_REPLY_ERROR ? reply_refusal(*reply) : NULL;
		return SUMI_OK;
	}
	char where[400];
	url_describe(&queue->url, where, sizeof where);
	error_set(err, SUMI_CONNECT, "redis at %s: %s", where,
		  link_problem(queue->redis));
	link_drop(queue);
	*reply = NULL;
	return SUMI_CONNECT;
}

/* One command, sent again on a new connection where the old one broke. *reply may be an
 * error reply, but none that says "not now". */
static int exchange(struct queue *queue, struct command *command, redisReply **reply,
		    struct error *err)
{
	int64_t end = clock_boot_ms() + queue->patience_ms;
	int64_t wait = RETRY_FIRST_MS;
	for (;;) {
		int status = link_need(queue, err);
		if (status == SUMI_OK)
			status = link_append(queue, command, err);
		if (status)
			return status;
		status = link_reply(queue, reply, err);
		if (status == SUMI_OK) {
			bool later = (*reply)->type == REDIS_REPLY_ERROR &&
				     reply_error(*reply, err) == SUMI_CONNECT;
			if (!later)
				return SUMI_OK;
			freeReplyObject(*reply);
			*reply = NULL;
			link_drop(queue); /* loading, or a replica since the failover */
		}
		if (queue->once || clock_boot_ms() + wait >= end)
			return SUMI_CONNECT;
		clock_sleep_ms(wait);
		wait = wait * 2 < RETRY_MOST_MS ? wait * 2 : RETRY_MOST_MS;
	}
}

static int errors_out(redisReply **reply, const struct command *asked, struct error *err)
{
	if ((*reply)->type != REDIS_REPLY_ERROR)
		return SUMI_OK;
	int status = reply_error_of(*reply, asked, err);
	freeReplyObject(*reply);
	*reply = NULL;
	return status;
}

int link_call(struct queue *queue, struct command *command, redisReply **reply, struct error *err)
{
	int status = exchange(queue, command, reply, err);
	return status ? status : errors_out(reply, command, err);
}

int link_tell(struct queue *queue, struct command *command, struct error *err)
{
	redisReply *reply;
	int status = link_call(queue, command, &reply, err);
	command_free(command);
	if (!status)
		freeReplyObject(reply);
	return status;
}

/* ---- scripts -------------------------------------------------------------------------- */

/* The script as Redis shall have it; the caller frees it. */
static char *script_text(enum queue_script script, size_t *size, struct error *err)
{
	const char *common = embedded_text(embedded_lua, "common.lua");
	const char *body = embedded_text(embedded_lua, scripts[script].file);
	const char *first = scripts[script].oom ? "#!lua flags=allow-oom\n" : "#!lua\n";
	if (!common || !body) {
		error_set(err, SUMI_INTERNAL, "script %s is not built in", scripts[script].file);
		return NULL;
	}
	*size = strlen(first) + strlen(common) + strlen(body);
	char *text = malloc(*size + 1);
	if (text)
		snprintf(text, *size + 1, "%s%s%s", first, common, body);
	else
		error_set(err, SUMI_NOMEM, "script %s: no memory", scripts[script].file);
	return text;
}

/* The names of the scripts, which are their SHA-1. So nothing has to be sent at the start:
 * the server mostly has them already. */
static int name_scripts(struct queue *queue, struct error *err)
{
	for (int i = 0; i < SCRIPT_COUNT; i++) {
		unsigned char digest[20];
		size_t size;
		char *text = script_text((enum queue_script)i, &size, err);
		if (!text)
			return err ? err->status : SUMI_NOMEM;
		EVP_Digest(text, size, digest, NULL, EVP_sha1(), NULL);
		free(text);
		for (size_t k = 0; k < sizeof digest; k++)
			snprintf(queue->sha[i] + 2 * k, 3, "%02x", digest[k]);
	}
	return SUMI_OK;
}

static int script_load(struct queue *queue, enum queue_script script, struct error *err)
{
	struct command command = {0};
	redisReply *reply = NULL;
	size_t size;
	char *text = script_text(script, &size, err);
	if (!text)
		return err ? err->status : SUMI_NOMEM;
	command_text(&command, "SCRIPT");
	command_text(&command, "LOAD");
	command_add(&command, text, size);
	int status = link_call(queue, &command, &reply, err);
	if (status == SUMI_OK && !reply_is(reply, queue->sha[script]))
		status = error_set(err, SUMI_INTERNAL, "redis names it %s, not %s",
				   reply_text(reply), queue->sha[script]);
	if (status)
		error_prefix(err, "script %s", scripts[script].file);
	freeReplyObject(reply);
	command_free(&command);
	free(text);
	return status;
}

int script_load_all(struct queue *queue, struct error *err)
{
	int status = SUMI_OK;
	for (int i = 0; i < SCRIPT_COUNT && status == SUMI_OK; i++)
		status = script_load(queue, (enum queue_script)i, err);
	return status;
}

int script_call(struct queue *queue, enum queue_script script, struct command *command,
		redisReply **reply, struct error *err)
{
	for (int tries = 0;; tries++) {
		int status = exchange(queue, command, reply, err);
		if (status)
			return status;
		if (tries == 3 || strncmp(reply_text(*reply), "NOSCRIPT", 8) != 0)
			return errors_out(reply, command, err);
		freeReplyObject(*reply);
		*reply = NULL;
		status = script_load(queue, script, err);
		if (status)
			return status;
	}
}

/* ---- opening and checking -------------------------------------------------------------- */

int queue_open(const struct queue_options *options, struct queue **out, struct error *err)
{
	*out = NULL;
	struct queue *queue = calloc(1, sizeof *queue);
	if (!queue)
		return error_set(err, SUMI_NOMEM, "queue: no memory");
	/* hiredis writes without MSG_NOSIGNAL: a Redis that goes away must not end the program. */
	struct sigaction pipe;
	if (sigaction(SIGPIPE, NULL, &pipe) == 0 && pipe.sa_handler == SIG_DFL)
		signal(SIGPIPE, SIG_IGN);
	queue->connect_ms = options->connect_ms ? options->connect_ms : 2000;
	queue->command_ms = options->command_ms ? options->command_ms : 5000;
	queue->patience_ms = options->patience_ms ? options->patience_ms : 5000;
	if (queue->patience_ms < 0)
		queue->patience_ms = 0;
	queue->max_attempts = options->max_attempts;
	queue->check = options->check;
	queue->settle = options->settle;
	queue->check_context = options->check_context;
	queue->stored = options->stored;
	queue->stored_context = options->stored_context;
	queue->prefix = strdup(options->prefix ? options->prefix : QUEUE_PREFIX);
	queue->ca_file = options->ca_file ? strdup(options->ca_file) : NULL;
	strcpy(queue->bell_cursor, "0-0");
	queue->wound_ms = -1;
	int status = url_parse(options->url, &queue->url, err);
	if (status == SUMI_OK && (!queue->prefix || strlen(queue->prefix) > 128))
		status = error_set(err, SUMI_INVALID, "queue: the prefix is longer than 128 bytes");
	if (status == SUMI_OK)
		status = name_scripts(queue, err);
	if (status == SUMI_OK)
		status = link_need(queue, err);
	if (status) {
		queue_close(queue);
		return status;
	}
	*out = queue;
	return SUMI_OK;
}

void queue_set_max_attempts(struct queue *queue, int max_attempts)
{
	queue->max_attempts = max_attempts;
}

void queue_set_patience(struct queue *queue, int patience_ms)
{
	queue->patience_ms = patience_ms;
}

void queue_close(struct queue *queue)
{
	if (!queue)
		return;
	link_drop(queue);
	freeReplyObject(queue->rung);
	if (queue->bell)
		redisFree(queue->bell);
	for (size_t i = 0; i < queue->zone_count; i++)
		free(queue->zones[i]);
	free(queue->zones);
	free(queue->prefix);
	free(queue->ca_file);
	free(queue);
}

const char *queue_refusal(const struct queue *queue)
{
	return queue->refusal;
}

uint64_t queue_generation(const struct queue *queue)
{
	return queue->generation;
}

static int64_t info_int(const char *info, const char *name)
{
	char text[32];
	copy_line(info, name, text, sizeof text);
	return strtoll(text, NULL, 10);
}

/* CONFIG may be forbidden to us by a hosting service: then *out stays "". */
static int config_value(struct queue *queue, const char *name, char *out, size_t size,
			struct error *err)
{
	struct command command = {0};
	redisReply *reply = NULL;
	*out = '\0';
	command_text(&command, "CONFIG");
	command_text(&command, "GET");
	command_text(&command, name);
	int status = exchange(queue, &command, &reply, err);
	if (status == SUMI_OK)
		reply_copy(reply_at(reply, 1), out, size);
	freeReplyObject(reply);
	command_free(&command);
	return status;
}

int queue_server(struct queue *queue, struct queue_server *server, struct error *err)
{
	struct command command = {0};
	redisReply *reply = NULL;
	char word[32];
	memset(server, 0, sizeof *server);
	command_text(&command, "INFO");
	int status = link_call(queue, &command, &reply, err);
	command_free(&command);
	if (status)
		return status;
	const char *info = reply_text(reply);
	copy_line(info, "redis_version:", server->version, sizeof server->version);
	copy_line(info, "valkey_version:", word, sizeof word);
	server->valkey = *word != '\0';
	snprintf(server->product, sizeof server->product, "%s %s", server->valkey ? "Valkey" : "Redis",
		 server->valkey ? word : server->version);
	copy_line(info, "run_id:", server->run_id, sizeof server->run_id);
	copy_line(info, "maxmemory_policy:", server->eviction, sizeof server->eviction);
	copy_line(info, "\nrole:", server->role, sizeof server->role);
	server->used_memory = info_int(info, "used_memory:");
	server->max_memory = info_int(info, "\nmaxmemory:");
	server->uptime_s = info_int(info, "uptime_in_seconds:");
	server->aof = info_int(info, "aof_enabled:") == 1;
	copy_line(info, "aof_last_write_status:", word, sizeof word);
	server->aof_ok = strcmp(word, "ok") == 0;
	copy_line(info, "rdb_last_bgsave_status:", word, sizeof word);
	server->rdb_ok = strcmp(word, "ok") == 0;
	freeReplyObject(reply);
	status = config_value(queue, "save", server->save, sizeof server->save, err);
	if (status == SUMI_OK)
		status = config_value(queue, "stop-writes-on-bgsave-error", word, sizeof word, err);
	server->stops_at_failed_save = *server->save && strcmp(word, "yes") == 0;
	if (status == SUMI_OK)
		status =
		    config_value(queue, "appendfsync", server->fsync, sizeof server->fsync, err);
	return status;
}

const char *link_refusal(struct queue *queue)
{
	struct command command = {0};
	redisReply *reply = NULL;
	bool once = queue->once;
	queue->once = true;
	queue->refusal = NULL; /* where the connection breaks, nothing is refused */
	command_script(&command, queue, SCRIPT_FORGET);
	command_text(&command, ""); /* no job's id */
	int status = script_call(queue, SCRIPT_FORGET, &command, &reply, NULL);
	queue->once = once;
	freeReplyObject(reply);
	command_free(&command);
	return status ? queue->refusal : NULL;
}

int queue_check_server(struct queue *queue, char *warning, size_t warning_size, struct error *err)
{
	struct queue_server server;
	*warning = '\0';
	int status = queue_server(queue, &server, err);
	if (status)
		return status;
	const char *client = server.valkey ? "valkey-cli" : "redis-cli";
	const char *file = server.valkey ? "valkey.conf" : "redis.conf";
	if (strtol(server.version, NULL, 10) < 7)
		return error_set(err, SUMI_UNSUPPORTED,
				 "redis is version %s, sumi needs 7.0 or later", server.version);
	if (strcmp(server.eviction, "noeviction") != 0)
		return error_set(
		    err, SUMI_UNSUPPORTED,
		    "redis would throw jobs away when its memory is full (maxmemory-policy is "
		    "%s). Mend it: %s CONFIG SET maxmemory-policy noeviction, and the same in %s",
		    server.eviction, client, file);
	if (strcmp(server.role, "master") != 0)
		return error_set(err, SUMI_UNSUPPORTED, "redis is a %s: name its master in the URL",
				 server.role);
	if (link_refusal(queue) && strcmp(queue->refusal, QUEUE_REFUSES_USER) == 0)
		return error_set(err, SUMI_UNSUPPORTED,
				 "redis forbids its user to write. Mend it: %s ACL SETUSER NAME "
				 "+@all -@admin '~%s*'",
				 client, queue->prefix);
	if (server.aof && !server.aof_ok)
		snprintf(warning, warning_size,
			 "redis cannot write its append-only file (disk full?): jobs may be lost");
	else if (!server.aof && !*server.save)
		snprintf(warning, warning_size,
			 "redis keeps nothing on disk: a restart loses all jobs. Mend it: %s "
			 "CONFIG SET appendonly yes, and the same in %s",
			 client, file);
	else if (!server.aof)
		snprintf(
		    warning, warning_size,
		    "redis writes snapshots only (save %s): a power cut loses the jobs since the "
		    "last one. Mend it: %s CONFIG SET appendonly yes, and the same in %s",
		    server.save, client, file);
	return SUMI_OK;
}
