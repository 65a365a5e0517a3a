/* Commands as bytes of Redis' protocol (RESP 2), and what comes back. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/internal.h"

#define HEAD 16 /* room before the arguments for "*123\r\n" */

static char *more(struct command *command, size_t size)
{
	if (command->failed)
		return NULL;
	if (!command->data)
		command->size = HEAD;
	if (command->size + size > command->room) {
		size_t room = (command->size + size) * 2;
		char *data = realloc(command->data, room);
		if (!data) {
			command->failed = true;
			return NULL;
		}
		command->data = data;
		command->room = room;
	}
	command->size += size;
	return command->data + command->size - size;
}

void command_add(struct command *command, const void *data, size_t size)
{
	char head[32];
	int n = snprintf(head, sizeof head, "$%zu\r\n", size);
	char *at = more(command, (size_t)n + size + 2);
	if (!at)
		return;
	memcpy(at, head, (size_t)n);
	if (size)
		memcpy(at + n, data, size);
	memcpy(at + n + size, "\r\n", 2);
	command->count++;
}

void command_text(struct command *command, const char *text)
{
	command_add(command, text, text ? strlen(text) : 0);
}

void command_int(struct command *command, int64_t value)
{
	char text[24];
	command_add(command, text, (size_t)snprintf(text, sizeof text, "%lld", (long long)value));
}

void command_number(struct command *command, double value)
{
	char text[40];
	command_add(command, text,
		    isnan(value) ? 0 : (size_t)snprintf(text, sizeof text, "%.3f", value));
}

void command_format(struct command *command, const char *format, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, format);
	int n = vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof text)
		command->failed = true;
	else
		command_add(command, text, (size_t)n);
}

void command_key(struct command *command, const struct queue *queue, const char *name,
		 const char *id)
{
	size_t length = strlen(queue->prefix) + strlen(name) + (id ? strlen(id) : 0);
	command_format(command, "%s%s%s", queue->prefix, name, id ? id : "");
	if (!command->key && !command->failed) {
		command->key = command->size - 2 - length;
		command->key_size = length;
	}
}

void command_script(struct command *command, const struct queue *queue, enum queue_script script)
{
	command_text(command, "EVALSHA");
	command_add(command, queue->sha[script], 40);
	command_text(command, "1");
	command_text(command, queue->prefix);
}

void command_free(struct command *command)
{
	free(command->data);
	memset(command, 0, sizeof *command);
}

int link_append(struct queue *queue, struct command *command, struct error *err)
{
	if (command->failed || !command->count)
		return error_set(err, SUMI_NOMEM, "redis: no memory for a command");
	char head[HEAD + 1];
	int n = snprintf(head, sizeof head, "*%zu\r\n", command->count);
	char *start = command->data + HEAD - n;
	memcpy(start, head, (size_t)n);
	if (redisAppendFormattedCommand(queue->redis, start, command->size - (size_t)(HEAD - n)) !=
	    REDIS_OK)
		return error_set(err, SUMI_NOMEM, "redis: no memory for a command");
	return SUMI_OK;
}

const char *reply_text(const redisReply *reply)
{
	if (reply && (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS ||
		      reply->type == REDIS_REPLY_ERROR))
		return reply->str;
	return "";
}

size_t reply_size(const redisReply *reply)
{
	return reply && reply_text(reply) == reply->str ? (size_t)reply->len : 0;
}

int64_t reply_int(const redisReply *reply)
{
	if (reply && reply->type == REDIS_REPLY_INTEGER)
		return reply->integer;
	return strtoll(reply_text(reply), NULL, 10);
}

bool reply_is(const redisReply *reply, const char *word)
{
	return strcmp(reply_text(reply), word) == 0;
}

const redisReply *reply_at(const redisReply *reply, size_t index)
{
	return reply && reply->type == REDIS_REPLY_ARRAY && index < reply->elements
		   ? reply->element[index]
		   : NULL;
}

void reply_copy(const redisReply *reply, char *out, size_t size)
{
	snprintf(out, size, "%s", reply_text(reply));
}

#define FORBIDDEN                                                                                  \
	"its user may not do what sumi needs: redis-cli ACL SETUSER NAME +@all -@admin "           \
	"'~{sumi}:*'; it goes on by itself then"
#define TOO_OLD "it cannot do what sumi needs, Redis 7.0 or later or Valkey: see its version with redis-cli INFO server"
#define NO_NUMBER "there stands something else than a number that sumi keeps"

/* Error replies in the words of a person who can do something about them. refusal: why Redis takes no
 * writes, for jobs that wait for it. */
static const struct answer {
	const char *start;
	int status;
	const char *refusal, *text;
	bool quoted; /* its own words say more */
} answers[] = {
    {"MISCONF", SUMI_FULL, QUEUE_REFUSES_DISK,
     "it cannot write to its disk and takes nothing more: make room there (df), or mend the "
     "disk; it goes on by itself then, and nothing is lost", false},
    {"OOM", SUMI_FULL, QUEUE_REFUSES_MEMORY,
     "its memory is full and it takes nothing more: raise maxmemory (redis-cli CONFIG SET "
     "maxmemory), or let jobs end; it goes on by itself then, and nothing is lost", false},
    {"READONLY", SUMI_CONNECT, QUEUE_REFUSES_REPLICA,
     "it is a replica, which takes no writes: name its master in `redis` of sumi.conf", false},
    {"NOREPLICAS", SUMI_CONNECT, QUEUE_REFUSES_REPLICAS,
     "it has too few replicas to take writes (min-replicas-to-write): start them", false},
    {"MASTERDOWN", SUMI_CONNECT, NULL, "it is a replica whose master is away: name its master in `redis` of sumi.conf",
     false},
    {"CLUSTERDOWN", SUMI_CONNECT, NULL, "its cluster is down: see redis-cli CLUSTER INFO", false},
    {"LOADING", SUMI_CONNECT, NULL, "it is still loading its data from disk", false},
    {"BUSY ", SUMI_CONNECT, NULL, "it is busy with a script of somebody else's", false},
    {"TRYAGAIN", SUMI_CONNECT, NULL, "its cluster is moving keys", false},
    {"ERR max number of clients", SUMI_CONNECT, NULL,
     "it has as many clients as it takes (maxclients)", false},
    {"NOAUTH", SUMI_PERM, NULL, "it wants a password: redis://user:password@host in `redis`", false},
    {"NOPERM", SUMI_CONNECT, QUEUE_REFUSES_USER, FORBIDDEN, false},
    {"ERR The user executing the script", SUMI_CONNECT, QUEUE_REFUSES_USER, FORBIDDEN, false},
    {"WRONGPASS", SUMI_PERM, NULL, "it does not take this user name and password", false},
    {"ERR AUTH", SUMI_PERM, NULL, "it wants no password: leave that out of `redis` in sumi.conf", false},
    {"ERR Client sent AUTH", SUMI_PERM, NULL, "it wants no password: leave that out of `redis` in sumi.conf", false},
    {"DENIED", SUMI_PERM, NULL,
     "it takes nobody from other machines (protected mode): give it a password, or CONFIG SET protected-mode no", false},
    {"ERR DB index", SUMI_INVALID, NULL, "it has no such database: see `databases` in redis.conf", false},
    {"ERR invalid DB index", SUMI_INVALID, NULL, "it has no such database: see `databases` in redis.conf", false},
    {"ERR SELECT is not allowed", SUMI_INVALID, NULL, "a cluster has database 0 alone: leave it out of `redis`", false},
    {"MOVED", SUMI_UNSUPPORTED, NULL,
     "it is a node of a cluster, and the queue's keys lie at another: name that in `redis` of sumi.conf", true},
    {"ASK ", SUMI_CONNECT, NULL, "its cluster is moving keys", false},
    {"CROSSSLOT", SUMI_UNSUPPORTED, NULL,
     "it is a cluster, where keys must lie together: let `prefix` in sumi.conf have braces, as {sumi}: has", false},
    {"ERR unknown command", SUMI_UNSUPPORTED, NULL, TOO_OLD, true},
    {"ERR unknown subcommand", SUMI_UNSUPPORTED, NULL, TOO_OLD, true},
    {"ERR Unknown subcommand", SUMI_UNSUPPORTED, NULL, TOO_OLD, true},
    {"ERR Unknown Redis command", SUMI_UNSUPPORTED, NULL, TOO_OLD, true},
    {"ERR Error compiling script", SUMI_UNSUPPORTED, NULL, TOO_OLD, true},
    {"ERR Error running script", SUMI_UNSUPPORTED, NULL, TOO_OLD, true},
    {"WRONGTYPE", SUMI_CORRUPT, NULL, "another kind of value lies there than sumi keeps", false},
    {"ERR value is not", SUMI_CORRUPT, NULL, NO_NUMBER, false},
    {"ERR hash value is not", SUMI_CORRUPT, NULL, NO_NUMBER, false},
    {"ERR increment", SUMI_CORRUPT, NULL, NO_NUMBER, false},
    {"ERR user_script", SUMI_CORRUPT, NULL, "what lies in the queue is not as sumi keeps it", true},
};

static const struct answer *find_answer(const redisReply *reply)
{
	for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
		if (strncmp(reply->str, answers[i].start, strlen(answers[i].start)) == 0)
			return &answers[i];
	return NULL;
}

const char *reply_refusal(const redisReply *reply)
{
	const struct answer *a = find_answer(reply);
	return a ? a->refusal : NULL;
}

/* What is none of sumi's at a key of sumi's is moved, not thrown away: nobody knows whose it is. */
static int fail_at_key(const struct answer *a, const char *key, int size, struct error *err)
{
	if (!size)
		return error_set(err, a->status, "redis: %s: set another `prefix` in sumi.conf", a->text);
	return error_set(err, a->status,
			 "redis: key %.*s: %s: move it away (redis-cli RENAME '%.*s' OTHER), or set another `prefix` in "
			 "sumi.conf",
			 size, key, a->text, size, key);
}

int reply_error_at(const redisReply *reply, const char *key, size_t key_size, struct error *err)
{
	const struct answer *a = find_answer(reply);
	/* A script's error carries the script's digest behind its text, and before that the key. */
	const char *script = strstr(reply->str, " script: "), *at = strstr(reply->str, " [at ");
	const char *end = script ? script : reply->str + strlen(reply->str);
	const char *last = at && at < end ? strchr(at, ']') : NULL;
	if (last) {
		key = at + 5;
		key_size = (size_t)(last - key);
		end = at;
	}
	int length = (int)(end - reply->str) < 300 ? (int)(end - reply->str) : 300;
	if (a && a->status == SUMI_CORRUPT && !a->quoted)
		return fail_at_key(a, key, key_size < 200 ? (int)key_size : 200, err);
	if (a)
		return error_set(err, a->status, a->quoted ? "redis: %s (%.*s)" : "redis: %s", a->text, length, reply->str);
	/* What no script was written for is a key that somebody has put in another shape. */
	return error_set(err, script ? SUMI_CORRUPT : SUMI_INTERNAL, "redis: %.*s", length, reply->str);
}

int reply_error_of(const redisReply *reply, const struct command *asked, struct error *err)
{
	return reply_error_at(reply, asked->key ? asked->data + asked->key : NULL, asked->key_size, err);
}

int reply_error(const redisReply *reply, struct error *err)
{
	return reply_error_at(reply, NULL, 0, err);
}
