/* A stranger's client: the examples of queue/PROTOCOL.md, word for word, against a queue whose
 * daemon and worker are played by this test. */
#define _GNU_SOURCE /* asprintf */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/files.h"
#include "redis_fixture.h"

static struct error err;
static char bin[FILES_PATH_MAX];
static const char *client; /* NULL: there is none */

/* Example number n of a language, written to a file; with `from` (or NULL) replaced once by `to`. */
static void extract(const char *language, int n, const char *from, const char *to,
		    char path[FILES_PATH_MAX])
{
	char fence[32], *text, *at;
	must(files_read("queue/PROTOCOL.md", 1 << 20, &text, NULL, &err), &err);
	snprintf(fence, sizeof fence, "```%s\n", language);
	for (at = strstr(text, fence); at && n > 0; n--)
		at = strstr(at + 1, fence);
	assert_non_null(at);
	at += strlen(fence);
	char *end = strstr(at, "```");
	assert_non_null(end);
	must(files_path(path, &err, "%s/example.%s", redis_fixture_dir(), language), &err);
	*end = '\0';
	char *found = from ? strstr(at, from) : end;
	assert_non_null(found);
	char *example = NULL;
	int size = asprintf(&example, "%.*s%s%s", (int)(found - at), at, from ? to : "",
			    found + (from ? strlen(from) : 0));
	assert_true(size > 0);
	must(files_write_durable(path, example, (size_t)size, &err), &err);
	free(example);
	free(text);
}

/* redis-cli or Valkey's, as the system has it. */
static const char *find_client(void)
{
	if (system("command -v redis-cli >/dev/null") == 0)
		return "redis-cli";
	if (system("command -v valkey-cli >/dev/null") == 0)
		return "valkey-cli";
	print_message("skip examples of a shell: neither redis-cli nor valkey-cli is installed\n");
	return NULL;
}

/* A redis-cli that finds this test's server where the example says nothing of one. */
static void make_cli(void)
{
	char path[FILES_PATH_MAX], text[FILES_PATH_MAX];
	must(files_path(bin, &err, "%s/bin", redis_fixture_dir()), &err);
	must(files_make_dirs(bin, 0700, &err), &err);
	must(files_path(path, &err, "%s/redis-cli", bin), &err);
	must(files_path(text, &err, "#!/bin/sh\nPATH=${PATH#*:}\nexec %s -s %s \"$@\"\n",
			client, redis_fixture_url() + strlen("unix://")),
	     &err);
	must(files_write_durable(path, text, strlen(text), &err), &err);
	assert_int_equal(chmod(path, 0755), 0);
}

static pid_t start(const char *program, const char *script)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char path[2 * FILES_PATH_MAX];
		snprintf(path, sizeof path, "%s:%s", bin, getenv("PATH"));
		setenv("PATH", path, 1);
		setenv("REDIS_URL", redis_fixture_url(), 1);
		alarm(60);
		execlp(program, program, script, (char *)NULL);
		_exit(127);
	}
	return pid;
}

static void work_once(void)
{
	struct queue_admitted admitted;
	struct queue_lease lease;
	struct queue_worker worker = fixture_worker("w1");
	must(queue_admit(q, 100, &admitted, &err), &err);
	if (queue_claim(q, &worker, 60000, &lease, &err))
		return;
	for (int k = 0; k < lease.job.n; k++)
		must(queue_variant(q, &lease, k, "[{\"role\":\"main\",\"sha256\":\"ab\"}]", &err),
		     &err);
	struct queue_finish finish = {.id = lease.id, .token = lease.token, .worker = "w1"};
	enum queue_finish_result result;
	must(queue_finish(q, &finish, &result, &err), &err);
	queue_lease_clear(&lease);
}

/* Runs an example and plays the daemon until it has ended; its exit status. */
static int run_changed(const char *program, const char *language, int n, const char *from,
		       const char *to)
{
	char path[FILES_PATH_MAX];
	int status;
	bool rang;
	make_cli();
	extract(language, n, from, to, path);
	pid_t pid = start(program, path);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		must(queue_doorbell(q, 20, &rang, &err), &err);
		work_once();
	}
	work_once(); /* what it has sent last */
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void run_example(const char *program, const char *language, int n)
{
	assert_int_equal(run_changed(program, language, n, NULL, NULL), 0);
}

static void test_shell_sends_and_follows(void **state)
{
	(void)state;
	if (!client)
		skip();
	run_example("sh", "sh", 0);
	struct queue_entry entry;
	must(queue_get(q, "hello-1", &entry, &err), &err);
	assert_int_equal(entry.state, JOB_DONE);
	assert_int_equal(entry.job.seed, 7);
	assert_int_equal(entry.variants, 2);
	queue_entry_clear(&entry);
}

static void test_shell_steers(void **state)
{
	(void)state;
	if (!client)
		skip();
	run_example("sh", "sh", 2);
	struct queue_stats stats;
	must(queue_stats(q, &stats, &err), &err);
	assert_int_equal(stats.total_cancelled, 1);
	assert_false(stats.paused);
	assert_int_equal(stats.dead_letters, 0);
	/* Tried again it was due at once. */
	assert_int_equal(fixture_state(q, "hello-3"), JOB_DONE);
}

/* A job that is refused ends the example like one that fails. */
static void test_shell_hears_of_a_refusal(void **state)
{
	(void)state;
	if (!client)
		skip();
	assert_int_equal(run_changed("sh", "sh", 0, "seed 7 n 2", "seed 7 n 1000"), 1);
	assert_int_equal(fixture_state(q, "hello-1"), JOB_FAILED);
}

/* A Python that has redis-py, or NULL. */
static const char *python(void)
{
	static const char *const candidates[] = {"python3", "/usr/bin/python3"};
	char command[128];
	for (size_t i = 0; i < 2; i++) {
		snprintf(command, sizeof command, "%s -c 'import redis' 2>/dev/null",
			 candidates[i]);
		if (system(command) == 0)
			return candidates[i];
	}
	print_message("skip examples in Python: redis-py is not installed\n");
	return NULL;
}

static void test_python(void **state)
{
	(void)state;
	if (!python())
		skip(); /* no redis-py */
	run_example(python(), "python", 0);
	assert_int_equal(fixture_state(q, "hello-2"), JOB_DONE);
}

static void test_python_hears_of_a_refusal(void **state)
{
	(void)state;
	if (!python())
		skip();
	assert_int_equal(run_changed(python(), "python", 0, "\"image\"", "\"perfume\""), 1);
	assert_int_equal(fixture_state(q, "hello-2"), JOB_FAILED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	client = find_client();
	const struct CMUnitTest tests[] = {
	    TEST(test_shell_sends_and_follows),
	    TEST(test_shell_steers),
	    TEST(test_shell_hears_of_a_refusal),
	    TEST(test_python),
	    TEST(test_python_hears_of_a_refusal),
	};
	return cmocka_run_group_tests(tests, NULL, fixture_stop);
}
