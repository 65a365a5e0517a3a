/* A redis-server for tests. */
#include "redis_fixture.h"

#include <glob.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

static struct private_redis server;
static char dir[64];
static redisContext *plain;

static void close_plain(void)
{
	if (plain)
		redisFree(plain);
	plain = NULL;
}

void redis_fixture_revive(void)
{
	struct error err = {0};
	struct private_redis_options options = {.state_dir = dir, .start_timeout_ms = 30000};
	must(private_redis_start(&options, &server, &err), &err);
}

void redis_fixture_start(void)
{
	if (!*dir) {
		strcpy(dir, "/tmp/sumi-test-XXXXXX");
		assert_non_null(mkdtemp(dir));
		redis_fixture_revive();
	}
	freeReplyObject(fixture_command("CONFIG SET maxmemory 0"));
	freeReplyObject(fixture_command("FLUSHALL"));
}

void redis_fixture_stop(void)
{
	char command[128];
	close_plain();
	private_redis_stop(&server, 5000);
	if (!*dir)
		return;
	snprintf(command, sizeof command, "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
	*dir = '\0';
}

void redis_fixture_kill(void)
{
	close_plain();
	kill(server.pid, SIGKILL);
	while (private_redis_alive(&server))
		clock_sleep_ms(1);
}

void redis_fixture_crash(void)
{
	/* While it waits for an fsync, Redis answers before it has written. */
	freeReplyObject(fixture_command("CONFIG SET appendfsync always"));
	freeReplyObject(fixture_command("SET written 1"));
	redis_fixture_kill();
	redis_fixture_revive();
}

void redis_fixture_rewind(size_t bytes)
{
	glob_t found;
	char pattern[160];
	struct stat st;
	redis_fixture_kill();
	snprintf(pattern, sizeof pattern, "%s/redis/appendonlydir/*.incr.aof", dir);
	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	const char *path = found.gl_pathv[found.gl_pathc - 1];
	assert_int_equal(stat(path, &st), 0);
	off_t left = st.st_size > (off_t)bytes ? st.st_size - (off_t)bytes : 0;
	assert_int_equal(truncate(path, left), 0);
	globfree(&found);
	redis_fixture_revive();
}

const char *redis_fixture_url(void)
{
	return server.url;
}

pid_t redis_fixture_pid(void)
{
	return server.pid;
}

const char *redis_fixture_dir(void)
{
	return dir;
}

struct queue *q;

int fixture_setup(void **state)
{
	(void)state;
	redis_fixture_start();
	q = fixture_queue();
	return 0;
}

int fixture_teardown(void **state)
{
	(void)state;
	queue_close(q);
	return 0;
}

int fixture_stop(void **state)
{
	(void)state;
	redis_fixture_stop();
	return 0;
}

struct queue *fixture_queue(void)
{
	struct error err = {0};
	struct queue *q;
	struct queue_options options = {.url = server.url, .patience_ms = 20000};
	must(queue_open(&options, &q, &err), &err);
	return q;
}

redisReply *fixture_command(const char *format, ...)
{
	va_list ap;
	if (!plain)
		plain = redisConnectUnix(server.socket);
	assert_non_null(plain);
	va_start(ap, format);
	redisReply *reply = redisvCommand(plain, format, ap);
	va_end(ap);
	assert_non_null(reply);
	if (reply->type == REDIS_REPLY_ERROR)
		fail_msg("%s: %s", format, reply->str);
	return reply;
}

int64_t fixture_int(const char *format, ...)
{
	va_list ap;
	if (!plain)
		plain = redisConnectUnix(server.socket);
	va_start(ap, format);
	redisReply *reply = redisvCommand(plain, format, ap);
	va_end(ap);
	assert_non_null(reply);
	assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
	int64_t value = reply->integer;
	freeReplyObject(reply);
	return value;
}

void must_at(int status, const struct error *err, const char *file, int line)
{
	if (status)
		print_error("%s (%s)\n", err->text, status_word(status));
	_assert_int_equal(status, 0, file, line);
}

struct queue_worker fixture_worker(const char *name)
{
	static const char *const classes[] = {"image/ink", "image/"};
	return (struct queue_worker){.name = name,
				     .classes = classes,
				     .class_count = 2,
				     .pid = 1,
				     .device = "test",
				     .host = "here"};
}

enum job_state fixture_state(struct queue *q, const char *id)
{
	struct error err = {0};
	struct queue_entry entry;
	must(queue_get(q, id, &entry, &err), &err);
	enum job_state state = entry.state;
	queue_entry_clear(&entry);
	return state;
}

enum job_state fixture_submit(struct queue *q, const char *json)
{
	struct error err = {0};
	struct job job;
	struct queue_admitted admitted;
	char id[JOB_ID_SIZE];
	must(job_parse_json(json, strlen(json), &job, &err), &err);
	must(queue_submit(q, &job, &err), &err);
	snprintf(id, sizeof id, "%s", job.id);
	job_clear(&job);
	must(queue_admit(q, 1000, &admitted, &err), &err);
	return fixture_state(q, id);
}

struct queue_lease fixture_claim(const char *name, const char *id)
{
	struct error err = {0};
	struct queue_lease lease;
	struct queue_worker worker = fixture_worker(name);
	int status = queue_claim(q, &worker, 60000, &lease, &err);
	if (!id) {
		assert_int_equal(status, SUMI_NOTFOUND);
		return lease;
	}
	must(status, &err);
	assert_string_equal(lease.id, id);
	return lease;
}

enum queue_finish_result fixture_finish(const struct queue_lease *lease)
{
	struct error err = {0};
	struct queue_finish f = {.id = lease->id,
				 .token = lease->token,
				 .worker = lease->worker,
				 .result_json = "{\"ok\":true}"};
	enum queue_finish_result result;
	must(queue_finish(q, &f, &result, &err), &err);
	return result;
}

void fixture_finish_next(const char *id)
{
	struct queue_lease lease = fixture_claim("w1", id);
	assert_int_equal(fixture_finish(&lease), QUEUE_FINISHED);
	queue_lease_clear(&lease);
}
