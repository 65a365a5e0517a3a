/* Ways to a Redis of one's own: TCP with a password, TLS, Sentinel. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/files.h"
#include "queue/private_redis.h"
#include "queue/queue.h"

static struct error err;
static char dir[64];
static pid_t servers[4];
static size_t server_count;

static void shell(const char *format, const char *argument)
{
	char command[1024];
	snprintf(command, sizeof command, format, argument);
	assert_int_equal(system(command), 0);
}

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/sumi-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	server_count = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	while (server_count) {
		kill(servers[--server_count], SIGKILL);
		waitpid(servers[server_count], NULL, 0);
	}
	shell("rm -rf %s", dir);
	return 0;
}

/* A port that was free a moment ago. */
static int free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
	close(fd);
	return ntohs(a.sin_port);
}

/* redis-server with these lines as its configuration. */
static void start(const char *name, bool sentinel, const char *config)
{
	char path[FILES_PATH_MAX], log[FILES_PATH_MAX];
	snprintf(path, sizeof path, "%s/%s.conf", dir, name);
	snprintf(log, sizeof log, "%s/%s.log", dir, name);
	assert_int_equal(files_write_durable(path, config, strlen(config), &err), SUMI_OK);
	pid_t pid = fork();
	if (pid == 0) {
		char program[FILES_PATH_MAX];
		if (private_redis_program(NULL, program, &err) == SUMI_OK)
			execl(program, program, path, "--logfile", log, "--dir", dir,
			      sentinel ? "--sentinel" : NULL, (char *)NULL);
		_exit(127);
	}
	servers[server_count++] = pid;
}

static int open_with(const char *url, const char *ca_file, int patience_ms, struct queue **q)
{
	struct queue_options options = {.url = url, .ca_file = ca_file, .patience_ms = patience_ms};
	return queue_open(&options, q, &err);
}

/* A job goes in and comes back, with events larger than one TLS record. */
static void use(struct queue *q)
{
	static char big[60000];
	static const char *const classes[] = {"image/"};
	const char json[] = "{\"id\":\"a\",\"modality\":\"image\",\"prompt\":\"fog\"}";
	struct queue_worker worker = {.name = "w", .classes = classes, .class_count = 1};
	struct queue_admitted admitted;
	struct queue_lease lease;
	struct queue_follower *follower;
	struct queue_event event;
	struct job job;
	bool rang;
	assert_int_equal(job_parse_json(json, strlen(json), &job, &err), SUMI_OK);
	assert_int_equal(queue_submit(q, &job, &err), SUMI_OK);
	job_clear(&job);
	assert_int_equal(queue_doorbell(q, 5000, &rang, &err), SUMI_OK);
	assert_true(rang);
	assert_int_equal(queue_admit(q, 10, &admitted, &err), SUMI_OK);
	assert_int_equal(queue_claim(q, &worker, 60000, &lease, &err), SUMI_OK);
	assert_int_equal(queue_follow(q, "a", "$", &follower, &err), SUMI_OK);
	memset(big, 'x', sizeof big);
	for (int i = 0; i < 20; i++)
		assert_int_equal(queue_event(q, &lease, "preview", "webp", big, sizeof big, &err),
				 SUMI_OK);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(queue_follow_next(follower, 5000, &event, &err), SUMI_OK);
		assert_int_equal(event.fields[0].size, sizeof big);
		assert_memory_equal(event.fields[0].value, big, sizeof big);
		queue_event_clear(&event);
	}
	queue_follow_close(follower);
	queue_lease_clear(&lease);
}

static void test_password(void **state)
{
	(void)state;
	char config[256], url[128];
	struct queue *q;
	int port = free_port();
	snprintf(config, sizeof config,
		 "port %d\nbind 127.0.0.1\nsave \"\"\nuser default off\n"
		 "user ann on >s3cret/word ~* &* +@all\n",
		 port);
	start("plain", false, config);
	snprintf(url, sizeof url, "redis://ann:s3cret%%2Fword@127.0.0.1:%d/3", port);
	assert_int_equal(open_with(url, NULL, 20000, &q), SUMI_OK);
	use(q);
	queue_close(q);
	snprintf(url, sizeof url, "redis://ann:wrong@127.0.0.1:%d", port);
	assert_int_equal(open_with(url, NULL, -1, &q), SUMI_PERM);
	assert_null(strstr(err.text, "wrong@"));
	assert_non_null(strstr(err.text, "signing in"));
}

static void test_tls(void **state)
{
	(void)state;
	char config[512], url[128], ca[128];
	struct queue *q;
	int port = free_port();
	if (system("command -v openssl >/dev/null")) {
		print_message("skip TLS: openssl is not installed\n");
		skip();
	}
	for (int i = 0; i < 2; i++) {
		snprintf(ca, sizeof ca, "%s/%s", dir, i ? "other" : "own");
		shell(
		    "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext "
		    "subjectAltName=DNS:localhost -keyout %1$s.key -out %1$s.crt 2>/dev/null",
		    ca);
	}
	snprintf(config, sizeof config,
		 "port 0\ntls-port %d\nbind 127.0.0.1\nsave \"\"\ntls-auth-clients no\n"
		 "tls-cert-file %s/own.crt\ntls-key-file %s/own.key\ntls-ca-cert-file %s/own.crt\n",
		 port, dir, dir, dir);
	start("tls", false, config);
	snprintf(url, sizeof url, "rediss://localhost:%d", port);
	snprintf(ca, sizeof ca, "%s/own.crt", dir);
	assert_int_equal(open_with(url, ca, 20000, &q), SUMI_OK);
	use(q);
	queue_close(q);
	/* A certificate that nobody has signed for us, and one of another host. */
	snprintf(ca, sizeof ca, "%s/other.crt", dir);
	assert_int_equal(open_with(url, ca, -1, &q), SUMI_CONNECT);
	assert_non_null(strstr(err.text, "certificate"));
	snprintf(ca, sizeof ca, "%s/own.crt", dir);
	snprintf(url, sizeof url, "rediss://127.0.0.1:%d", port);
	assert_int_equal(open_with(url, ca, -1, &q), SUMI_CONNECT);
}

static void test_sentinel(void **state)
{
	(void)state;
	char config[512], url[256];
	struct queue *q;
	int master = free_port(), sentinel = free_port(), nobody = free_port();
	snprintf(config, sizeof config, "port %d\nbind 127.0.0.1\nsave \"\"\n", master);
	start("master", false, config);
	snprintf(config, sizeof config,
		 "port %d\nbind 127.0.0.1\nsentinel monitor ink 127.0.0.1 %d 1\n", sentinel,
		 master);
	start("sentinel", true, config);
	/* The first one named does not answer. */
	snprintf(url, sizeof url, "redis+sentinel://127.0.0.1:%d,127.0.0.1:%d/ink/0", nobody,
		 sentinel);
	assert_int_equal(open_with(url, NULL, 20000, &q), SUMI_OK);
	use(q);
	queue_close(q);
	snprintf(url, sizeof url, "redis+sentinel://127.0.0.1:%d/water", sentinel);
	assert_int_equal(open_with(url, NULL, -1, &q), SUMI_CONNECT);
	assert_non_null(strstr(err.text, "knows no master 'water'"));
}

static void test_nobody_there(void **state)
{
	(void)state;
	char url[64];
	struct queue *q;
	snprintf(url, sizeof url, "redis://127.0.0.1:%d", free_port());
	assert_int_equal(open_with(url, NULL, -1, &q), SUMI_CONNECT);
	assert_memory_equal(err.text, "redis at redis://127.0.0.1:", 27);
	assert_null(q);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_password),
	    TEST(test_tls),
	    TEST(test_sentinel),
	    TEST(test_nobody_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
