/* One server over one append-only file, whatever the one that is there does: it is stopped, loads,
 * is busy, shuts down, or its daemon is gone. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "base/clock.h"
#include "queue/private_redis.h"
#include "redis_fixture.h"

static char dir[64];
static struct private_redis first;
static struct error err;
static int asked; /* how often a wait asked whether to go on */

static bool goes_on(void *context)
{
	(void)context;
	asked++;
	return true;
}

static struct private_redis_options quick(void)
{
	return (struct private_redis_options){
	    .state_dir = dir, .start_timeout_ms = 300, .waiting = goes_on};
}

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/sumi-test-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[128];
	(void)state;
	if (first.pid > 0)
		kill(first.pid, SIGCONT);
	private_redis_stop(&first, 5000);
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command);
}

static void start_first(const char *program)
{
	struct private_redis_options options = {
	    .state_dir = dir, .program = program, .start_timeout_ms = 30000};
	must(private_redis_start(&options, &first, &err), &err);
	assert_true(first.child);
}

static void path_of(const char *name, char path[FILES_PATH_MAX])
{
	must(files_path(path, &err, "%s/redis/%s", dir, name), &err);
}

/* A half of a transaction at the end of the live file: who mends it, cuts it off. */
static off_t tear_file(bool check, off_t want)
{
	char path[FILES_PATH_MAX];
	struct stat st;
	path_of("appendonlydir/appendonly.aof.1.incr.aof", path);
	if (!check) {
		int fd = open(path, O_WRONLY | O_APPEND);
		assert_int_equal(write(fd, "*1\r\n$5\r\nMULTI\r\n", 15), 15);
		close(fd);
	}
	assert_int_equal(stat(path, &st), 0);
	if (check)
		assert_int_equal(st.st_size, want);
	return st.st_size;
}

/* A second daemon gets nothing, says who holds the folder, and touches nothing. */
static void refuses_a_second(void)
{
	struct private_redis second;
	struct private_redis_options options = quick();
	char pid[32], socket[FILES_PATH_MAX];
	struct stat before, after;
	off_t size = tear_file(false, 0);
	path_of("redis.sock", socket);
	assert_int_equal(stat(socket, &before), 0);
	asked = 0;
	assert_int_equal(private_redis_start(&options, &second, &err), SUMI_BUSY);
	snprintf(pid, sizeof pid, "pid %ld", (long)first.pid);
	assert_non_null(strstr(err.text, pid));
	assert_true(asked > 0);
	assert_int_equal(second.pid, 0);
	tear_file(true, size);
	assert_int_equal(stat(socket, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(kill(first.pid, 0), 0);
}

static void test_stopped(void **state)
{
	(void)state;
	struct private_redis second;
	struct private_redis_options options = quick();
	start_first(NULL);
	kill(first.pid, SIGSTOP);
	refuses_a_second();
	kill(first.pid, SIGCONT);
	must(private_redis_start(&options, &second, &err), &err);
	assert_int_equal(second.pid, first.pid);
	assert_false(second.child);
	assert_true(private_redis_alive(&second));
}

/* Either of the two guards holds alone: a server that an older version started has no lock, and
 * one that has just been started no file with its pid yet. */
static void test_each_guard_alone(void **state)
{
	(void)state;
	char path[FILES_PATH_MAX], old[FILES_PATH_MAX];
	struct private_redis second;
	struct private_redis_options options = quick();
	start_first(NULL);
	kill(first.pid, SIGSTOP);
	path_of("redis.lock", path);
	assert_int_equal(unlink(path), 0);
	refuses_a_second();
	kill(first.pid, SIGCONT);
	private_redis_stop(&first, 5000);
	start_first(NULL);
	kill(first.pid, SIGSTOP);
	path_of("redis.pid", path);
	path_of("redis.pid.old", old);
	assert_int_equal(rename(path, old), 0);
	assert_int_equal(private_redis_start(&options, &second, &err), SUMI_BUSY);
	assert_non_null(strstr(err.text, "holds the lock"));
	assert_int_equal(rename(old, path), 0);
}

/* The number of a dead server means nothing, whoever has it now. */
static void test_a_pid_that_went_to_another(void **state)
{
	(void)state;
	char path[FILES_PATH_MAX], text[32];
	start_first(NULL);
	kill(first.pid, SIGKILL);
	while (private_redis_alive(&first))
		clock_sleep_ms(1);
	path_of("redis.pid", path);
	snprintf(text, sizeof text, "%ld\n", (long)getpid());
	must(files_write_durable(path, text, strlen(text), &err), &err);
	start_first(NULL);
}

/* A server that the daemon's death left, dead and not buried by anybody, takes signals. */
static void test_a_dead_server_that_was_adopted(void **state)
{
	(void)state;
	struct private_redis second;
	struct private_redis_options options = quick();
	start_first(NULL);
	must(private_redis_start(&options, &second, &err), &err);
	assert_false(second.child);
	kill(first.pid, SIGKILL);
	siginfo_t info;
	assert_int_equal(waitid(P_PID, (id_t)first.pid, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(kill(first.pid, 0), 0);
	assert_false(private_redis_alive(&second));
}

/* A program that adds options of its own, which are for tests: slow to load a key, and so on. */
static const char *server_with(const char *options)
{
	static char path[FILES_PATH_MAX];
	char text[2 * FILES_PATH_MAX], program[FILES_PATH_MAX];
	must(private_redis_program(NULL, program, &err), &err);
	must(files_path(path, &err, "%s/server", dir), &err);
	snprintf(text, sizeof text, "#!/bin/sh\nexec %s \"$@\" %s\n", program, options);
	must(files_write_durable(path, text, strlen(text), &err), &err);
	assert_int_equal(chmod(path, 0755), 0);
	return path;
}

/* A server that loads looks up from it after every 1024 keys. */
enum { KEYS = 20000 };
#define SLOW_TO_LOAD "--key-load-delay 150" /* µs a key: 3 s */

static void fill(int count)
{
	redisContext *c = redisConnectUnix(first.socket);
	assert_non_null(c);
	for (int i = 0; i < count; i++)
		redisAppendCommand(c, "SET key-%d value", i);
	for (int i = 0; i < count; i++) {
		redisReply *reply = NULL;
		assert_int_equal(redisGetReply(c, (void **)&reply), REDIS_OK);
		freeReplyObject(reply);
	}
	redisFree(c);
}

static pid_t starter(const char *program)
{
	struct private_redis_options options = {
	    .state_dir = dir, .program = program, .start_timeout_ms = 30000};
	pid_t pid = fork();
	if (pid == 0) {
		struct private_redis r;
		_exit(private_redis_start(&options, &r, &err) ? 1 : 0);
	}
	return pid;
}

static bool server_answers(const char *want)
{
	char socket[FILES_PATH_MAX];
	path_of("redis.sock", socket);
	redisContext *c = redisConnectUnix(socket);
	redisReply *reply = c && !c->err ? redisCommand(c, "PING") : NULL;
	bool yes = reply && strncmp(reply->str, want, strlen(want)) == 0;
	freeReplyObject(reply);
	if (c)
		redisFree(c);
	return yes;
}

/* While the first loads (its daemon was killed), a second daemon waits, longer than it would for
 * one that hangs, is asked meanwhile whether to go on, and takes it over. */
static void test_loading(void **state)
{
	(void)state;
	struct private_redis second;
	struct private_redis_options options = quick();
	int status;
	start_first(NULL);
	fill(KEYS);
	private_redis_stop(&first, 5000);
	pid_t pid = starter(server_with(SLOW_TO_LOAD));
	while (!server_answers("LOADING"))
		clock_sleep_ms(1);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	asked = 0;
	options.start_timeout_ms = 1500;
	must(private_redis_start(&options, &second, &err), &err);
	assert_false(second.child);
	assert_true(asked > 5);
	redisContext *c = redisConnectUnix(second.socket);
	redisReply *size = redisCommand(c, "DBSIZE");
	assert_int_equal(size->integer, KEYS);
	freeReplyObject(size);
	redisFree(c);
	private_redis_stop(&second, 5000);
}

static bool gives_up(void *context)
{
	(void)context;
	return ++asked < 3;
}

/* Who waits may change its mind; the server that loads goes on for the next one. */
static void test_gives_up_waiting(void **state)
{
	(void)state;
	struct private_redis_options options = quick();
	start_first(NULL);
	fill(KEYS);
	private_redis_stop(&first, 5000);
	options.program = server_with(SLOW_TO_LOAD);
	options.waiting = gives_up;
	asked = 0;
	assert_int_equal(private_redis_start(&options, &first, &err), SUMI_CANCELLED);
	assert_int_equal(asked, 3);
	assert_true(private_redis_alive(&first));
}

/* Busy with a script for seconds: alive, so it is waited for. */
static void test_busy(void **state)
{
	(void)state;
	struct private_redis second;
	struct private_redis_options options = quick();
	start_first(NULL);
	redisContext *c = redisConnectUnix(first.socket);
	freeReplyObject(redisCommand(c, "CONFIG SET lua-time-limit 50"));
	redisAppendCommand(c, "EVAL %s 0", "local t = redis.call('TIME') "
					   "repeat local n = redis.call('TIME') "
					   "until n[1] - t[1] + (n[2] - t[2]) / 1e6 > 1.5");
	int done = 0;
	while (!done)
		redisBufferWrite(c, &done);
	while (!server_answers("BUSY"))
		clock_sleep_ms(1);
	must(private_redis_start(&options, &second, &err), &err);
	assert_int_equal(second.pid, first.pid);
	redisFree(c);
}

/* On its way out, and slow at it: the folder is its own until it is gone. */
static void test_shutting_down(void **state)
{
	(void)state;
	struct private_redis second;
	struct private_redis_options options = quick();
	start_first(NULL);
	kill(first.pid, SIGSTOP);
	kill(first.pid, SIGTERM);
	refuses_a_second();
	pid_t pid = fork(); /* who wakes it in a while */
	if (pid == 0) {
		clock_sleep_ms(400);
		kill(first.pid, SIGCONT);
		_exit(0);
	}
	options.start_timeout_ms = 30000;
	must(private_redis_start(&options, &second, &err), &err);
	assert_true(second.child);
	assert_false(private_redis_alive(&first));
	waitpid(pid, NULL, 0);
	first = second;
}

static void test_finds_the_program(void **state)
{
	(void)state;
	char path[FILES_PATH_MAX], found[FILES_PATH_MAX], *old = strdup(getenv("PATH"));
	struct private_redis_options options = quick();
	struct private_redis none;
	setenv("PATH", dir, 1);
	assert_int_equal(private_redis_start(&options, &none, &err), SUMI_NOTFOUND);
	assert_non_null(strstr(err.text, "apt-get install redis-server"));
	assert_non_null(strstr(err.text, "valkey"));
	static const char *const names[] = {"valkey-server", "redis-server"};
	for (int i = 0; i < 2; i++) { /* where both are there, the second is taken */
		must(files_path(path, &err, "%s/%s", dir, names[i]), &err);
		must(files_write_durable(path, "#!/bin/sh\n", 10, &err), &err);
		assert_int_equal(chmod(path, 0755), 0);
		must(private_redis_program(NULL, found, &err), &err);
		assert_string_equal(found, path);
	}
	assert_int_equal(private_redis_program("other-server", found, &err), SUMI_NOTFOUND);
	setenv("PATH", old, 1);
	free(old);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_stopped),
	    TEST(test_each_guard_alone),
	    TEST(test_a_pid_that_went_to_another),
	    TEST(test_a_dead_server_that_was_adopted),
	    TEST(test_loading),
	    TEST(test_gives_up_waiting),
	    TEST(test_busy),
	    TEST(test_shutting_down),
	    TEST(test_finds_the_program),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
