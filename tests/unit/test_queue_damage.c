/* Keys and hashes of a shape that the queue never wrote: wherever one lies, whatever a script meets of
 * it is put aside or left out, and the jobs beside it go their way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "redis_fixture.h"

static struct error err;

/* Where the job "bad" stands when it is damaged. */
static void be_ready(void)
{
	fixture_submit(q, JOB("bad", ",\"priority\":\"high\",\"deadline\":4000000000000"));
}

static void be_delayed(void)
{
	fixture_submit(q, JOB("bad", ",\"not_before\":4000000000000"));
}

static void be_blocked(void)
{
	fixture_submit(q, JOB("bad", ",\"after\":[\"well\",\"unknown\"]"));
}

static void be_running(void)
{
	be_ready();
	struct queue_lease lease = fixture_claim("w9", "bad");
	queue_lease_clear(&lease);
}

static void be_ended(void)
{
	enum queue_cancel_result result;
	be_ready();
	must(queue_cancel(q, "bad", &result, &err), &err);
}

static void be_recurring(void)
{
	fixture_submit(q, JOB("bad", ",\"priority\":\"high\",\"every\":\"24h\""));
	fixture_finish_next("bad");
}

static void (*const places[])(void) = {be_ready,   be_delayed, be_blocked,
				       be_running, be_ended,   be_recurring};

static const char *const fields[] = {
    "state", "job",    "class",    "window",       "submitter", "after",    "every",
    "prio",  "cost",   "deadline", "max_attempts", "attempts",  "failures", "crashes",
    "variants", "created", "due",   "waits",        "score",     "worker",   "token"};

/* Everything that may meet the job; the time of all that waits has come. */
static void live(void)
{
	static const char *const zsets[] = {"delayed",  "running", "deadline",
					    "awaiting", "done",    "cancelled", "failed"};
	struct queue_reaped reaped;
	struct queue_trim_options options = {.max_age_ms = 1000};
	struct queue_stats stats;
	struct queue_entry *list, entry;
	enum queue_cancel_result result;
	size_t count, purged;
	for (size_t i = 0; i < sizeof zsets / sizeof zsets[0]; i++) {
		redisReply *reply =
		    fixture_command("ZADD {sumi}:%s XX 1 bad", zsets[i]);
		freeReplyObject(reply);
	}
	for (int i = 0; i < 3; i++)
		must(queue_reap(q, 0, &reaped, &err), &err);
	must(queue_stats(q, &stats, &err), &err);
	for (int s = 0; s < JOB_STATES; s++) {
		must(queue_list(q, (enum job_state)s, 0, 10, &list, &count, &err), &err);
		queue_list_free(list, count);
	}
	if (queue_get(q, "bad", &entry, &err) == SUMI_OK)
		queue_entry_clear(&entry);
	/* The one beside it is claimed, whatever comes of the damaged one, and what waits for it
	 * is released. */
	struct queue_worker worker = fixture_worker("w1");
	struct queue_lease lease;
	bool met = false;
	for (int i = 0; i < 4 && queue_claim(q, &worker, 60000, &lease, &err) == SUMI_OK; i++) {
		met |= strcmp(lease.id, "well") == 0;
		assert_int_equal(fixture_finish(&lease), QUEUE_FINISHED);
		queue_lease_clear(&lease);
	}
	assert_true(met);
	assert_int_equal(fixture_state(q, "well"), JOB_DONE);
	queue_cancel(q, "bad", &result, &err);
	assert_int_not_equal(err.status, SUMI_INTERNAL);
	queue_retry(q, "bad", &err);
	must(queue_reap(q, 0, &reaped, &err), &err);
	must(queue_trim(q, &options, &purged, &err), &err);
	/* The intake goes on behind an entry of the same id. */
	struct queue_admitted admitted;
	freeReplyObject(fixture_command("XADD {sumi}:in * job %s", JOB("bad", "")));
	freeReplyObject(fixture_command("XADD {sumi}:in * id torn id bad modality image"));
	freeReplyObject(fixture_command("XADD {sumi}:in * op retry id bad"));
	freeReplyObject(fixture_command("XADD {sumi}:in * op cancel id bad"));
	freeReplyObject(fixture_command("XADD {sumi}:in * job %s", JOB("behind", "")));
	must(queue_admit(q, 100, &admitted, &err), &err);
	assert_int_equal(fixture_int("XLEN {sumi}:in"), 0);
	assert_int_equal(fixture_state(q, "behind"), JOB_READY);
	fixture_finish_next("behind");
	must(queue_reap(q, 0, &reaped, &err), &err);
}

static void begin(size_t place)
{
	freeReplyObject(fixture_command("FLUSHALL"));
	fixture_submit(q, JOB("well", ""));
	places[place]();
}

static void test_keys_that_are_no_hash(void **state)
{
	(void)state;
	static const char *const keys[] = {"job", "ev", "saved", "next"};
	for (size_t p = 0; p < sizeof places / sizeof places[0]; p++)
		for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
			begin(p);
			freeReplyObject(fixture_command("DEL {sumi}:%s:bad", keys[k]));
			freeReplyObject(fixture_command("SET {sumi}:%s:bad text", keys[k]));
			live();
			begin(p);
			freeReplyObject(fixture_command("DEL {sumi}:%s:bad", keys[k]));
			live();
		}
}

static void test_fields(void **state)
{
	(void)state;
	for (size_t p = 0; p < sizeof places / sizeof places[0]; p++)
		for (size_t f = 0; f < sizeof fields / sizeof fields[0]; f++) {
			begin(p);
			freeReplyObject(fixture_command("HDEL {sumi}:job:bad %s", fields[f]));
			live();
			begin(p);
			freeReplyObject(
			    fixture_command("HSET {sumi}:job:bad %s %s", fields[f], "not this"));
			live();
			begin(p);
			freeReplyObject(
			    fixture_command("HSET {sumi}:job:bad %s %b", fields[f], "\x00\xff", (size_t)2));
			live();
		}
}

/* What waits for others, when one of those ends while it is damaged. */
static void test_a_damaged_dependant(void **state)
{
	(void)state;
	for (size_t f = 0; f < sizeof fields / sizeof fields[0]; f++) {
		freeReplyObject(fixture_command("FLUSHALL"));
		fixture_submit(q, JOB("well", ""));
		fixture_submit(q, JOB("bad", ",\"after\":[\"well\"]"));
		fixture_submit(q, JOB("good", ",\"after\":[\"well\"]"));
		freeReplyObject(fixture_command("HDEL {sumi}:job:bad %s", fields[f]));
		fixture_finish_next("well");
		assert_int_equal(fixture_state(q, "good"), JOB_READY);
	}
}

static void test_ids_without_jobs(void **state)
{
	(void)state;
	static const char *const zsets[] = {"ready",    "delayed", "blocked",   "running", "deadline",
					    "awaiting", "done",    "cancelled", "failed",  "recur",
					    "tombs",    "ready:image/"};
	static const char *const ids[] = {"ghost", "", "two words", "a\nb"};
	for (size_t z = 0; z < sizeof zsets / sizeof zsets[0]; z++) {
		begin(0);
		for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
			freeReplyObject(fixture_command("ZADD {sumi}:%s 0 %s", zsets[z], ids[i]));
		freeReplyObject(fixture_command("RPUSH {sumi}:settling ghost"));
		freeReplyObject(fixture_command("RPUSH {sumi}:circles ghost"));
		freeReplyObject(fixture_command("ZADD {sumi}:heads:image/ 0 %s", "|nonsense"));
		freeReplyObject(fixture_command("ZADD {sumi}:heads:image/ 0 %s",
						"|00:00-24:00@Nowhere/At-all"));
		live();
	}
}

static void test_a_worker_that_is_none(void **state)
{
	(void)state;
	struct queue_worker_info *workers;
	struct queue_unserved *unserved;
	enum queue_hint hint;
	size_t count;
	bool served;
	begin(0);
	struct queue_lease lease = fixture_claim("w1", "bad");
	freeReplyObject(fixture_command("ZADD {sumi}:workers 4000000000000 broken"));
	freeReplyObject(fixture_command("SET {sumi}:worker:broken text"));
	must(queue_workers(q, &workers, &count, &err), &err);
	assert_int_equal(count, 2);
	free(workers);
	must(queue_served(q, "image", NULL, &served, &err), &err);
	must(queue_unserved(q, &unserved, &count, &err), &err);
	free(unserved);
	fixture_submit(q, JOB("urgent", ",\"priority\":\"high\""));
	must(queue_beat(q, &lease, NULL, &hint, &err), &err);
	queue_lease_clear(&lease);
}

/* Who reads of it is told which key, by a command of its own and from within a script. */
static void test_the_key_is_named(void **state)
{
	(void)state;
	struct queue_stats stats;
	enum queue_cancel_result result;
	fixture_submit(q, JOB("a", ""));
	freeReplyObject(fixture_command("SET {sumi}:failed text"));
	assert_int_equal(queue_stats(q, &stats, &err), SUMI_CORRUPT);
	assert_non_null(strstr(err.text, "RENAME '{sumi}:failed' OTHER"));
	freeReplyObject(fixture_command("DEL {sumi}:failed"));
	freeReplyObject(fixture_command("HSET {sumi}:counters cancelled text"));
	assert_int_equal(queue_cancel(q, "a", &result, &err), SUMI_CORRUPT);
	assert_non_null(strstr(err.text, "key {sumi}:counters: there stands something else than a number"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_keys_that_are_no_hash),
	    TEST(test_fields),
	    TEST(test_a_damaged_dependant),
	    TEST(test_ids_without_jobs),
	    TEST(test_a_worker_that_is_none),
	    TEST(test_the_key_is_named),
	};
	return cmocka_run_group_tests(tests, NULL, fixture_stop);
}
