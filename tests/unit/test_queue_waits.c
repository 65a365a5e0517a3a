/* A Redis that takes no writes: said in words, nobody's fault, and over when it is over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "queue/internal.h"
#include "redis_fixture.h"

static struct error err;

/* Whatever Redis answers when it will not, or not now: no word of its own reaches a person, and none of it
 * is the command's fault. */
static void test_answers_in_words(void **state)
{
	(void)state;
	static const struct {
		const char *answer;
		int status;
		const char *words;
	} cases[] = {
	    {"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist on disk.",
	     SUMI_FULL, "disk"},
	    {"MISCONF Errors writing to the AOF file: No space left on device", SUMI_FULL, "disk"},
	    {"OOM command not allowed when used memory > 'maxmemory'.", SUMI_FULL, "maxmemory"},
	    {"READONLY You can't write against a read only replica.", SUMI_CONNECT, "replica"},
	    {"NOREPLICAS Not enough good replicas to write.", SUMI_CONNECT, "replicas"},
	    {"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
	     SUMI_CONNECT, "replica"},
	    {"LOADING Redis is loading the dataset in memory", SUMI_CONNECT, "loading"},
	    {"ERR max number of clients reached", SUMI_CONNECT, "clients"},
	    {"NOPERM this user has no permissions to run the 'evalsha' command", SUMI_CONNECT,
	     "ACL SETUSER"},
	    {"ERR The user executing the script can't run this command or subcommand script: 0123, on "
	     "@user_script:1.",
	     SUMI_CONNECT, "ACL SETUSER"},
	    {"NOAUTH Authentication required.", SUMI_PERM, "password"},
	    {"OOM command not allowed when used memory > 'maxmemory'. script: 0123, on @user_script:3.",
	     SUMI_FULL, "maxmemory"},
	    {"WRONGTYPE Operation against a key holding the wrong kind of value", SUMI_CORRUPT, "kind"},
	    {"WRONGTYPE Operation against a key holding the wrong kind of value [at {sumi}:ev] script: 01, on @user_script:3.",
	     SUMI_CORRUPT, "redis: key {sumi}:ev: another kind of value lies there than sumi keeps: move it away (redis-cli "
			   "RENAME '{sumi}:ev' OTHER), or set another `prefix` in sumi.conf"},
	    {"ERR hash value is not an integer [at {sumi}:meta] script: 01, on @user_script:3.", SUMI_CORRUPT,
	     "key {sumi}:meta: there stands something else than a number"},
	    {"ERR user_script:9: attempt to compare nil with number script: 01, on @user_script:9.", SUMI_CORRUPT,
	     "is not as sumi keeps it (ERR user_script:9: attempt to compare nil with number)"},
	    {"CLUSTERDOWN The cluster is down", SUMI_CONNECT, "CLUSTER INFO"},
	    {"MOVED 3999 10.0.0.7:6381", SUMI_UNSUPPORTED, "name that in `redis` of sumi.conf (MOVED 3999 10.0.0.7:6381)"},
	    {"ASK 3999 10.0.0.7:6381", SUMI_CONNECT, "moving keys"},
	    {"CROSSSLOT Keys in request don't hash to the same slot", SUMI_UNSUPPORTED, "braces"},
	    {"ERR unknown command 'XADD', with args beginning with: 'a' ", SUMI_UNSUPPORTED, "Redis 7.0 or later"},
	    {"ERR Unknown Redis command called from script [at {sumi}:in] script: 01, on @user_script:3.", SUMI_UNSUPPORTED,
	     "Redis 7.0 or later or Valkey"},
	    {"ERR Error compiling script (new function): user_script:1: unexpected symbol near '#'", SUMI_UNSUPPORTED, "7.0"},
	    {"ERR AUTH <password> called without any password configured for the default user.", SUMI_PERM, "no password"},
	    {"DENIED Redis is running in protected mode because protected mode is enabled", SUMI_PERM, "protected-mode"},
	    {"ERR DB index is out of range", SUMI_INVALID, "no such database"},
	    {"OOM command not allowed when used memory > 'maxmemory'. [at {sumi}:in] script: 0123, on @user_script:3.",
	     SUMI_FULL, "maxmemory"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char text[400], code[16];
		snprintf(text, sizeof text, "%s", cases[i].answer);
		snprintf(code, sizeof code, "%.*s", (int)strcspn(text, " "), text);
		redisReply reply = {
		    .type = REDIS_REPLY_ERROR, .str = text, .len = strlen(text)};
		assert_int_equal(reply_error(&reply, &err), cases[i].status);
		assert_non_null(strstr(err.text, cases[i].words));
		assert_null(strchr(err.text, '\n'));
		if (cases[i].status == SUMI_FULL || cases[i].status == SUMI_CONNECT)
			assert_null(strstr(err.text, code));
	}
}

/* Leases that end while nobody can extend them. */
static void test_no_lease_ends_for_it(void **state)
{
	(void)state;
	struct queue_reaped reaped;
	enum queue_hint hint;
	struct queue *hasty;
	struct queue_options options = {.url = redis_fixture_url(), .patience_ms = -1};
	must(queue_open(&options, &hasty, &err), &err);
	fixture_submit(q, JOB("a", ""));
	struct queue_lease lease = fixture_claim("w1", "a");
	must(queue_reap(hasty, 60000, &reaped, &err), &err);
	freeReplyObject(fixture_command("ZADD {sumi}:running 1 a"));
	freeReplyObject(fixture_command("HSET {sumi}:meta hold 0"));
	freeReplyObject(fixture_command("REPLICAOF 127.0.0.1 1"));
	assert_int_equal(queue_reap(hasty, 60000, &reaped, &err), SUMI_CONNECT);
	freeReplyObject(fixture_command("REPLICAOF NO ONE"));
	must(queue_reap(hasty, 60000, &reaped, &err), &err);
	assert_int_equal(reaped.recovered, 0);
	must(queue_beat(q, &lease, NULL, &hint, &err), &err);
	/* Nor where the clockwork stood for another reason. */
	freeReplyObject(fixture_command("ZADD {sumi}:running 1 a"));
	freeReplyObject(fixture_command("HSET {sumi}:meta hold 0"));
	hasty->wound_ms -= 40000;
	must(queue_reap(hasty, 60000, &reaped, &err), &err);
	assert_int_equal(reaped.recovered, 0);
	/* A worker that is really dead is not waited for longer than that. */
	freeReplyObject(fixture_command("HSET {sumi}:meta hold 0"));
	must(queue_reap(hasty, 60000, &reaped, &err), &err);
	assert_int_equal(reaped.recovered, 1);
	queue_lease_clear(&lease);
	queue_close(hasty);
}

static void waits(const char *id, const char *wanted)
{
	struct queue_troubles troubles;
	struct queue_entry entry;
	char why[QUEUE_WAITS_SIZE];
	must(queue_get(q, id, &entry, &err), &err);
	must(queue_troubles(q, &troubles, &err), &err);
	queue_waits(&troubles, &entry, why);
	assert_string_equal(why, wanted);
	queue_entry_clear(&entry);
}

static void test_what_a_job_waits_for(void **state)
{
	(void)state;
	fixture_submit(q, JOB("a", ""));
	struct queue_lease lease = fixture_claim("w1", "a");
	waits("a", "");
	must(queue_hold(q, &lease, QUEUE_WAITS_DISK, &err), &err);
	queue_lease_clear(&lease);
	waits("a", QUEUE_WAITS_DISK);
	struct queue_entry entry;
	must(queue_get(q, "a", &entry, &err), &err);
	assert_int_equal(entry.attempts + entry.crashes + entry.failures, 0);
	queue_entry_clear(&entry);
	/* Somebody has room. */
	lease = fixture_claim("w1", "a");
	waits("a", "");
	must(queue_release(q, &lease, "drain", NULL, &err), &err);
	queue_lease_clear(&lease);
	waits("a", "");
	/* One worker of two has none; then neither. */
	struct queue_worker one = fixture_worker("w1"), two = fixture_worker("w2");
	one.waits = QUEUE_WAITS_DISK;
	must(queue_worker_beat(q, &one, &err), &err);
	must(queue_worker_beat(q, &two, &err), &err);
	waits("a", "");
	two.waits = QUEUE_WAITS_DISK;
	must(queue_worker_beat(q, &two, &err), &err);
	waits("a", QUEUE_WAITS_DISK);
	/* Redis itself. */
	freeReplyObject(fixture_command("CONFIG SET maxmemory 1"));
	waits("a", QUEUE_REFUSES_MEMORY);
	freeReplyObject(fixture_command("CONFIG SET maxmemory 0"));
	freeReplyObject(fixture_command("REPLICAOF 127.0.0.1 1"));
	waits("a", QUEUE_REFUSES_REPLICA);
	freeReplyObject(fixture_command("REPLICAOF NO ONE"));
	freeReplyObject(fixture_command("CONFIG SET min-replicas-to-write 1"));
	waits("a", QUEUE_REFUSES_REPLICAS);
	freeReplyObject(fixture_command("CONFIG SET min-replicas-to-write 0"));
	freeReplyObject(fixture_command("ACL SETUSER default -@scripting"));
	waits("a", QUEUE_REFUSES_USER);
	char warning[256];
	assert_int_equal(queue_check_server(q, warning, sizeof warning, &err), SUMI_UNSUPPORTED);
	assert_non_null(strstr(err.text, "ACL SETUSER"));
	freeReplyObject(fixture_command("ACL SETUSER default +@all"));
	two.waits = NULL;
	must(queue_worker_beat(q, &two, &err), &err);
	waits("a", "");
	fixture_finish_next("a");
	waits("a", "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_answers_in_words),
	    TEST(test_no_lease_ends_for_it),
	    TEST(test_what_a_job_waits_for),
	};
	return cmocka_run_group_tests(tests, NULL, fixture_stop);
}
