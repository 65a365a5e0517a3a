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
	command_format(command, "%s%s%s", queue->prefix, name, id ? id : "");
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

/* Error replies that are not the command's fault, in the words of a person who can do something about
 * them. refusal: why Redis takes no writes, for jobs that wait for it. */
static const struct answer {
	const char *start;
	int status;
	const char *refusal, *text;
} answers[] = {
    {"MISCONF", SUMI_FULL, QUEUE_REFUSES_DISK,
     "it cannot write to its disk and takes nothing more: make room there (df), or mend the "
     "disk; it goes on by itself then, and nothing is lost"},
    {"OOM", SUMI_FULL, QUEUE_REFUSES_MEMORY,
     "its memory is full and it takes nothing more: raise maxmemory (redis-cli CONFIG SET "
     "maxmemory), or let jobs end; it goes on by itself then, and nothing is lost"},
    {"READONLY", SUMI_CONNECT, QUEUE_REFUSES_REPLICA,
     "it is a replica, which takes no writes: name its master in `redis` of sumi.conf"},
    {"NOREPLICAS", SUMI_CONNECT, QUEUE_REFUSES_REPLICAS,
     "it has too few replicas to take writes (min-replicas-to-write): start them"},
    {"MASTERDOWN", SUMI_CONNECT, NULL, "it is a replica whose master is away"},
    {"CLUSTERDOWN", SUMI_CONNECT, NULL, "its cluster is down"},
    {"LOADING", SUMI_CONNECT, NULL, "it is still loading its data from disk"},
    {"BUSY ", SUMI_CONNECT, NULL, "it is busy with a script of somebody else's"},
    {"TRYAGAIN", SUMI_CONNECT, NULL, "its cluster is moving keys"},
    {"ERR max number of clients", SUMI_CONNECT, NULL,
     "it has as many clients as it takes (maxclients)"},
    {"NOAUTH", SUMI_PERM, NULL, "it wants a password: redis://user:password@host in `redis`"},
    {"NOPERM", SUMI_CONNECT, QUEUE_REFUSES_USER, FORBIDDEN},
    {"ERR The user executing the script", SUMI_CONNECT, QUEUE_REFUSES_USER, FORBIDDEN},
    {"WRONGPASS", SUMI_PERM, NULL, "it does not take this user name and password"},
    {"MOVED", SUMI_UNSUPPORTED, NULL, NULL},
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

int reply_error(const redisReply *reply, struct error *err)
{
	const struct answer *a = find_answer(reply);
	if (a && a->text)
		return error_set(err, a->status, "redis: %s", a->text);
	/* A script's error carries the script's digest behind its text. What no script was written
	 * for is a key that somebody has put in another shape. */
	const char *end = strstr(reply->str, " script: ");
	int status = a ? a->status : SUMI_INTERNAL;
	if (!a && (end || strncmp(reply->str, "WRONGTYPE", 9) == 0))
		status = SUMI_CORRUPT;
	return error_set(err, status, "redis: %.*s", end ? (int)(end - reply->str) : 300,
			 reply->str);
}
