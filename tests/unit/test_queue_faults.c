/* What goes wrong around the queue: entries that cannot be read, a full memory, scripts that
 * Redis has forgotten, a server killed, restarted or rewound, jobs that are purged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/clock.h"
#include "queue/aof.h"
#include "queue/internal.h"
#include "redis_fixture.h"

static struct error err;

static struct queue_lease claim(const char *worker_name)
{
	struct queue_lease lease;
	struct queue_worker worker = fixture_worker(worker_name);
	must(queue_claim(q, &worker, 60000, &lease, &err), &err);
	return lease;
}

static enum queue_finish_result finish(const char *id, const char *token, const char *job_json)
{
	struct queue_finish f = {
	    .id = id, .token = token, .worker = "w1", .job_json = job_json, .result_json = "{}"};
	enum queue_finish_result result;
	must(queue_finish(q, &f, &result, &err), &err);
	return result;
}

static void test_bad_entries_become_dead_letters(void **state)
{
	(void)state;
	static const char *const letters_wanted[] = {
	    /* latest first */
	    "cancel: there is no job nobody",
	    "unknown op: write cancel, retry, pause or resume",
	    "op cancel needs the field id",
	    "the field 'job' must stand alone",
	    "job: field 'prompt' must be valid UTF-8",
	    "job: unknown field 'colour'",
	    "job:1:1: '[' or '{' expected near 'nonsense'",
	};
	struct queue_admitted admitted;
	struct queue_dead_letter *letters;
	size_t count;
	freeReplyObject(fixture_command("XADD {sumi}:in * job nonsense"));
	freeReplyObject(
	    fixture_command("XADD {sumi}:in * id mine modality image prompt x colour red"));
	freeReplyObject(
	    fixture_command("XADD {sumi}:in * modality image prompt %b", "\xff\x00", (size_t)2));
	freeReplyObject(fixture_command("XADD {sumi}:in * job %s id a", JOB("a", "")));
	freeReplyObject(fixture_command("XADD {sumi}:in * op cancel"));
	freeReplyObject(fixture_command("XADD {sumi}:in * op explode id a"));
	freeReplyObject(fixture_command("XADD {sumi}:in * op cancel id nobody"));
	freeReplyObject(fixture_command("XADD {sumi}:in * id good modality image prompt x"));
	must(queue_admit(q, 100, &admitted, &err), &err);
	assert_int_equal(admitted.jobs, 1);
	assert_int_equal(admitted.rejected, 6);
	assert_int_equal(fixture_int("XLEN {sumi}:in"), 0);
	must(queue_dead_letters(q, 100, &letters, &count, &err), &err);
	assert_int_equal(count, sizeof letters_wanted / sizeof letters_wanted[0]);
	for (size_t i = 0; i < count; i++)
		if (i < count - 1) /* the last is worded by the JSON library */
			assert_string_equal(letters[i].reason, letters_wanted[i]);
		else
			assert_memory_equal(letters[i].reason, "job:1:", 6);
	assert_string_equal(letters[5].id, "mine");
	assert_string_equal(
	    letters[5].text,
	    "{\"id\":\"mine\",\"modality\":\"image\",\"prompt\":\"x\",\"colour\":\"red\"}");
	queue_dead_letters_free(letters, count);
	/* Whoever follows that id hears of it. */
	struct queue_follower *follower;
	struct queue_event event;
	must(queue_follow(q, "mine", "0", &follower, &err), &err);
	must(queue_follow_next(follower, 1000, &event, &err), &err);
	assert_string_equal(event.event, "rejected");
	assert_string_equal(queue_event_value(&event, "reason"), "job: unknown field 'colour'");
	queue_event_clear(&event);
	queue_follow_close(follower);
}

static void test_operations_through_the_intake(void **state)
{
	(void)state;
	struct queue_admitted admitted;
	fixture_submit(q, JOB("a", ""));
	freeReplyObject(fixture_command("XADD {sumi}:in * op pause reason lunch"));
	freeReplyObject(fixture_command("XADD {sumi}:in * op cancel id a"));
	must(queue_admit(q, 100, &admitted, &err), &err);
	assert_int_equal(admitted.operations, 2);
	assert_int_equal(fixture_int("EXISTS {sumi}:paused"), 1);
	assert_int_equal(fixture_state(q, "a"), JOB_CANCELLED);
	freeReplyObject(fixture_command("XADD {sumi}:in * op retry id a"));
	freeReplyObject(fixture_command("XADD {sumi}:in * op resume"));
	must(queue_admit(q, 100, &admitted, &err), &err);
	assert_int_equal(fixture_int("EXISTS {sumi}:paused"), 0);
	assert_int_equal(fixture_state(q, "a"), JOB_READY);
}

static void test_two_daemons_admit_one_intake(void **state)
{
	(void)state;
	struct queue *other = fixture_queue();
	struct job jobs[40];
	struct queue_admitted mine, others;
	size_t sent;
	for (int i = 0; i < 40; i++) {
		const char json[] = "{\"modality\":\"image\",\"prompt\":\"x\"}";
		must(job_parse_json(json, strlen(json), &jobs[i], &err), &err);
	}
	must(queue_submit_many(q, jobs, 40, &sent, &err), &err);
	assert_int_equal(sent, 40);
	/* One has read the entries when the other takes them. */
	redisReply *entries = fixture_command("XRANGE {sumi}:in - +");
	must(queue_admit(other, 25, &others, &err), &err);
	must(queue_admit(q, 100, &mine, &err), &err);
	assert_int_equal(others.jobs, 25);
	assert_int_equal(mine.jobs, 15);
	for (size_t i = 0; i < entries->elements; i++)
		assert_int_equal(
		    fixture_int("XDEL {sumi}:in %s", entries->element[i]->element[0]->str), 0);
	freeReplyObject(entries);
	for (int i = 0; i < 40; i++)
		job_clear(&jobs[i]);
	queue_close(other);
}

static void test_full_memory(void **state)
{
	(void)state;
	enum queue_hint hint;
	enum job_state after;
	struct queue_failure failure = {.status = SUMI_IO, .text = "x"};
	struct job job;
	const char *json = JOB("c", "");
	fixture_submit(q, JOB("a", ""));
	fixture_submit(q, JOB("b", ""));
	struct queue_lease a = claim("w1"), b = claim("w2");
	must(job_parse_json(json, strlen(json), &job, &err), &err);
	freeReplyObject(fixture_command("CONFIG SET maxmemory 1"));
	assert_int_equal(queue_submit(q, &job, &err), SUMI_FULL);
	/* What runs is told of all the same. */
	must(queue_beat(q, &a, NULL, &hint, &err), &err);
	must(queue_fail(q, &b, &failure, &after, &err), &err);
	assert_int_equal(finish(a.id, a.token, NULL), QUEUE_FINISHED);
	freeReplyObject(fixture_command("CONFIG SET maxmemory 0"));
	must(queue_submit(q, &job, &err), &err);
	job_clear(&job);
	queue_lease_clear(&a);
	queue_lease_clear(&b);
}

static void test_scripts_that_redis_forgot(void **state)
{
	(void)state;
	struct queue_admitted admitted;
	freeReplyObject(fixture_command("SCRIPT FLUSH"));
	/* In a pipeline … */
	freeReplyObject(fixture_command("XADD {sumi}:in * job %s", JOB("a", "")));
	must(queue_admit(q, 1, &admitted, &err), &err);
	assert_int_equal(admitted.jobs, 1);
	assert_int_equal(fixture_state(q, "a"), JOB_READY);
	/* … and in a single call. */
	freeReplyObject(fixture_command("SCRIPT FLUSH"));
	struct queue_lease lease = claim("w1");
	assert_string_equal(lease.id, "a");
	queue_lease_clear(&lease);
}

static void test_redis_killed_and_restarted(void **state)
{
	(void)state;
	enum queue_hint hint;
	struct queue_reaped reaped;
	bool rang;
	fixture_submit(q, JOB("a", ""));
	struct queue_lease lease = claim("w1");
	must(queue_reap(q, 60000, &reaped, &err), &err);
	must(queue_doorbell(q, 1, &rang, &err), &err);
	assert_int_equal(queue_generation(q), 0);
	redis_fixture_crash();
	must(queue_beat(q, &lease, NULL, &hint, &err), &err);
	assert_int_equal(queue_generation(q), 1);
	/* The lease ran out while the server was away: nobody takes the job over before its
	 * worker has had the time to beat. */
	freeReplyObject(fixture_command("ZADD {sumi}:running 1 a"));
	must(queue_reap(q, 60000, &reaped, &err), &err);
	assert_int_equal(reaped.recovered, 0);
	must(queue_beat(q, &lease, NULL, &hint, &err), &err);
	assert_int_equal(finish(lease.id, lease.token, NULL), QUEUE_FINISHED);
	/* The blocking connection was torn too: it says so once, and then works. */
	if (queue_doorbell(q, 1, &rang, &err))
		must(queue_doorbell(q, 1, &rang, &err), &err);
	queue_lease_clear(&lease);
}

static void test_redis_away(void **state)
{
	(void)state;
	struct queue *hasty;
	struct queue_stats stats;
	struct queue_options options = {.url = redis_fixture_url(), .patience_ms = -1};
	must(queue_open(&options, &hasty, &err), &err);
	redis_fixture_kill();
	assert_int_equal(queue_stats(hasty, &stats, &err), SUMI_CONNECT);
	assert_non_null(strstr(err.text, "redis at unix:///tmp/"));
	redis_fixture_revive();
	must(queue_stats(hasty, &stats, &err), &err);
	queue_close(hasty);
}

static void test_redis_that_lost_the_job(void **state)
{
	(void)state;
	struct queue_entry entry;
	struct queue_lease lease;
	struct queue_worker worker = fixture_worker("w1");
	const char *json = JOB("lost", ",\"submitter\":\"ann\"");
	assert_int_equal(finish("lost", "token1", json), QUEUE_FINISHED);
	must(queue_get(q, "lost", &entry, &err), &err);
	assert_int_equal(entry.state, JOB_DONE);
	assert_string_equal(entry.job.submitter, "ann");
	queue_entry_clear(&entry);
	assert_int_equal(finish("lost", "token1", json), QUEUE_ALREADY);
	assert_int_equal(finish("lost", "token2", json), QUEUE_SUPERSEDED);
	/* Without a description there is nothing to enter. */
	struct queue_finish f = {.id = "other", .token = "t", .worker = "w"};
	enum queue_finish_result result;
	assert_int_equal(queue_finish(q, &f, &result, &err), SUMI_NOTFOUND);
	/* Rewound to before its claim: the result counts, and it is not run again. */
	fixture_submit(q, JOB("back", ""));
	assert_int_equal(finish("back", "token3", NULL), QUEUE_FINISHED);
	assert_int_equal(queue_claim(q, &worker, 1000, &lease, &err), SUMI_NOTFOUND);
}

static void test_trim(void **state)
{
	(void)state;
	struct queue_trim_options options = {.max_count = 2};
	struct queue_entry entry;
	struct queue_admitted admitted;
	size_t purged;
	static const char *const ids[] = {"a", "b", "c"};
	for (size_t i = 0; i < 3; i++) {
		char json[128];
		snprintf(json, sizeof json, JOB("%s", ""), ids[i]);
		fixture_submit(q, json);
		finish(ids[i], "t", NULL);
		freeReplyObject(fixture_command("ZADD {sumi}:done %d %s", 1000 + (int)i, ids[i]));
	}
	options.max_age_ms = INT64_C(4000000000000);
	must(queue_trim(q, &options, &purged, &err), &err);
	assert_int_equal(purged, 1);
	assert_int_equal(queue_get(q, "a", &entry, &err), SUMI_NOTFOUND);
	options = (struct queue_trim_options){.max_count = 100, .max_age_ms = 1000};
	must(queue_trim(q, &options, &purged, &err), &err);
	assert_int_equal(purged, 2);
	assert_int_equal(fixture_int("EXISTS {sumi}:ev:a {sumi}:ev:b {sumi}:ev:c"), 0);
	/* Tombstones: neither sending nor finishing it again brings it back. */
	freeReplyObject(fixture_command("XADD {sumi}:in * job %s", JOB("a", "")));
	must(queue_admit(q, 10, &admitted, &err), &err);
	assert_int_equal(admitted.duplicates, 1);
	assert_int_equal(finish("a", "t2", JOB("a", "")), QUEUE_SUPERSEDED);
	assert_int_equal(fixture_submit(q, JOB("d", ",\"after\":[\"a\"]")), JOB_READY);
	assert_int_equal(queue_retry(q, "a", &err), SUMI_INVALID);
	/* And they go in their turn. */
	freeReplyObject(fixture_command("ZADD {sumi}:tombs 1 a 1 b 1 c"));
	must(queue_trim(q, &options, &purged, &err), &err);
	assert_int_equal(fixture_int("EXISTS {sumi}:job:a {sumi}:tombs"), 0);
}

static void test_a_stored_job_that_cannot_be_read(void **state)
{
	(void)state;
	struct queue_lease lease;
	struct queue_worker worker = fixture_worker("w1");
	fixture_submit(q, JOB("a", ""));
	fixture_submit(q, JOB("b", ""));
	freeReplyObject(fixture_command("HSET {sumi}:job:a job {\"from\":\"version9\"}"));
	must(queue_claim(q, &worker, 60000, &lease, &err), &err);
	assert_string_equal(lease.id, "b");
	redisReply *reply = fixture_command("HGET {sumi}:job:a state");
	assert_string_equal(reply->str, "failed");
	freeReplyObject(reply);
	queue_lease_clear(&lease);
}

static void test_jobs_deleted_by_hand(void **state)
{
	(void)state;
	struct queue_reaped reaped;
	fixture_submit(q, JOB("running", ",\"priority\":\"high\""));
	struct queue_lease lease = claim("w1");
	queue_lease_clear(&lease);
	fixture_submit(q, JOB("ready", ",\"priority\":\"high\",\"deadline\":4000000000000"));
	fixture_submit(q, JOB("delayed", ",\"not_before\":4000000000000"));
	fixture_submit(q, JOB("well", ""));
	freeReplyObject(
	    fixture_command("DEL {sumi}:job:running {sumi}:job:ready {sumi}:job:delayed"));
	freeReplyObject(fixture_command("ZADD {sumi}:running 1 running"));
	freeReplyObject(fixture_command("ZADD {sumi}:delayed 1 delayed"));
	freeReplyObject(fixture_command("ZADD {sumi}:deadline 1 ready"));
	must(queue_reap(q, 0, &reaped, &err), &err);
	lease = claim("w1");
	assert_string_equal(lease.id, "well");
	assert_int_equal(fixture_int("EXISTS {sumi}:delayed {sumi}:deadline {sumi}:job:ready"), 0);
	queue_lease_clear(&lease);
}

static void test_server_check(void **state)
{
	(void)state;
	char warning[256];
	must(queue_check_server(q, warning, sizeof warning, &err), &err);
	assert_string_equal(warning, "");
	freeReplyObject(fixture_command("CONFIG SET maxmemory-policy allkeys-lru"));
	assert_int_equal(queue_check_server(q, warning, sizeof warning, &err), SUMI_UNSUPPORTED);
	assert_non_null(strstr(err.text, "CONFIG SET maxmemory-policy noeviction"));
	freeReplyObject(fixture_command("CONFIG SET maxmemory-policy noeviction"));
	freeReplyObject(fixture_command("CONFIG SET appendonly no"));
	must(queue_check_server(q, warning, sizeof warning, &err), &err);
	assert_non_null(strstr(warning, "CONFIG SET appendonly yes"));
	freeReplyObject(fixture_command("CONFIG SET appendonly yes"));
}

static void test_private_server(void **state)
{
	(void)state;
	struct private_redis_options options = {.state_dir = redis_fixture_dir()};
	struct private_redis second = {0};
	struct stat st;
	/* A daemon that comes back finds the server that its predecessor left. */
	must(private_redis_start(&options, &second, &err), &err);
	assert_int_equal(second.pid, redis_fixture_pid());
	assert_false(second.child);
	assert_true(private_redis_alive(&second));
	assert_int_equal(stat(second.dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	redisReply *port = fixture_command("CONFIG GET port");
	assert_string_equal(port->element[1]->str, "0");
	freeReplyObject(port);
	/* A stale socket and no server. */
	options.state_dir = "/tmp/sumi-test-no-redis";
	options.program = "redis-server-that-is-not-there";
	assert_int_equal(private_redis_start(&options, &second, &err), SUMI_NOTFOUND);
	assert_non_null(strstr(err.text, "apt-get install redis-server"));
	assert_int_equal(system("rm -r /tmp/sumi-test-no-redis"), 0);
}

static int64_t mended(const char *name, const char *aof, size_t size, char **left)
{
	char folder[FILES_PATH_MAX], path[FILES_PATH_MAX];
	static const char manifest[] = "file a.rdb seq 1 type b\nfile old.aof seq 1 type i\n"
				       "file new.aof seq 2 type i\n";
	int64_t cut;
	must(files_path(folder, &err, "%s/%s", redis_fixture_dir(), name), &err);
	must(files_path(path, &err, "%s/appendonlydir", folder), &err);
	must(files_make_dirs(path, 0700, &err), &err);
	must(files_path(path, &err, "%s/appendonlydir/appendonly.aof.manifest", folder), &err);
	must(files_write_durable(path, manifest, strlen(manifest), &err), &err);
	must(files_path(path, &err, "%s/appendonlydir/new.aof", folder), &err);
	must(files_write_durable(path, aof, size, &err), &err);
	must(aof_mend(folder, &cut, &err), &err);
	must(files_read(path, 1000, left, NULL, &err), &err);
	return cut;
}

#define SET "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n"
#define MULTI "*1\r\n$5\r\nMULTI\r\n"
#define EXEC "*1\r\n$4\r\nEXEC\r\n"

static void test_append_only_file_after_a_power_cut(void **state)
{
	(void)state;
	static const struct {
		const char *whole, *torn;
		size_t torn_size;
		bool kept; /* not ours to judge */
	} cases[] = {
	    {SET MULTI SET EXEC, "", 0, false},
	    {SET, "*3\r\n$3\r\nSE", 11, false},
	    {SET, MULTI SET "*3\r\n$3", 15 + 27 + 6, false},
	    {SET, MULTI SET, 15 + 27, false},
	    {SET MULTI SET EXEC, MULTI, 15, false},
	    {SET "#TS:1\r\n" SET, "#TS", 3, true},
	    {SET, "\0\0\0\0\0", 5, false},
	    {SET, MULTI "\0\0\0", 15 + 3, false},
	    {SET, "rubbish" SET, 7 + 27, true},
	    {"", MULTI, 15, false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char aof[256], name[16], *left;
		size_t size = strlen(cases[i].whole);
		memcpy(aof, cases[i].whole, size);
		memcpy(aof + size, cases[i].torn, cases[i].torn_size);
		snprintf(name, sizeof name, "aof%zu", i);
		int64_t cut = mended(name, aof, size + cases[i].torn_size, &left);
		assert_int_equal(cut, cases[i].kept ? 0 : cases[i].torn_size);
		assert_memory_equal(left, cases[i].whole, size);
		free(left);
	}
}

static void test_urls(void **state)
{
	(void)state;
	static const char *const bad[] = {"",
					  "localhost",
					  "http://x",
					  "redis://x:port",
					  "redis://x:99999",
					  "redis://x/zero",
					  "redis://%zz@x",
					  "redis://[::1",
					  "unix://relative",
					  "redis+sentinel://a,b"};
	struct queue_url url;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(url_parse(bad[i], &url, &err), SUMI_INVALID);
	must(url_parse("redis://ann:p%40ss@[::1]:7000/3", &url, &err), &err);
	assert_string_equal(url.host[0], "::1");
	assert_string_equal(url.user, "ann");
	assert_string_equal(url.password, "p@ss");
	assert_int_equal(url.port[0], 7000);
	assert_int_equal(url.db, 3);
	char shown[400];
	url_describe(&url, shown, sizeof shown);
	assert_null(strstr(shown, "p@ss"));
	must(url_parse("rediss://:secret@cache.example.org", &url, &err), &err);
	assert_int_equal(url.kind, URL_TLS);
	assert_int_equal(url.port[0], 6379);
	assert_string_equal(url.user, "");
	must(url_parse("redis+sentinel://a:1,b,c:3/mymaster/2", &url, &err), &err);
	assert_int_equal(url.hosts, 3);
	assert_int_equal(url.port[1], 26379);
	assert_string_equal(url.host[2], "c");
	assert_string_equal(url.master, "mymaster");
	assert_int_equal(url.db, 2);
	must(url_parse("unix:///run/redis.sock?db=4", &url, &err), &err);
	assert_string_equal(url.path, "/run/redis.sock");
	assert_int_equal(url.db, 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_bad_entries_become_dead_letters),
	    TEST(test_operations_through_the_intake),
	    TEST(test_two_daemons_admit_one_intake),
	    TEST(test_full_memory),
	    TEST(test_scripts_that_redis_forgot),
	    TEST(test_redis_killed_and_restarted),
	    TEST(test_redis_away),
	    TEST(test_redis_that_lost_the_job),
	    TEST(test_trim),
	    TEST(test_a_stored_job_that_cannot_be_read),
	    TEST(test_jobs_deleted_by_hand),
	    TEST(test_server_check),
	    TEST(test_private_server),
	    TEST(test_append_only_file_after_a_power_cut),
	    cmocka_unit_test(test_urls),
	};
	return cmocka_run_group_tests(tests, NULL, fixture_stop);
}
