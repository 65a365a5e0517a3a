/* What becomes of the jobs of a worker whose supervisor saw it end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/redis_fixture.h"

static struct error err;

#define SHAPE ",\"width\":128,\"height\":128,\"steps\":4"
#define LONG_MS 600000 /* a lease that does not end by itself here */
#define SEATS 3

static struct queue_lease claim_long(const char *name, const char *id)
{
	struct queue_lease lease;
	struct queue_worker worker = fixture_worker(name);
	must(queue_claim(q, &worker, LONG_MS, &lease, &err), &err);
	assert_string_equal(lease.id, id);
	return lease;
}

static size_t died(const char *name, enum queue_spare spare)
{
	size_t held;
	must(queue_worker_died(q, name, SEATS, spare, &held, &err), &err);
	return held;
}

static struct queue_reaped reap(void)
{
	struct queue_reaped r;
	/* As after a restart of Redis, when leases are held. */
	must(queue_reap(q, LONG_MS, &r, &err), &err);
	return r;
}

static void looks(const char *id, enum job_state state, int attempts, int crashes)
{
	struct queue_entry e;
	must(queue_get(q, id, &e, &err), &err);
	assert_int_equal(e.state, state);
	assert_int_equal(e.attempts, attempts);
	assert_int_equal(e.crashes, crashes);
	queue_entry_clear(&e);
}

/* At once and as crashes, also those of its seats; the dead one's words do not count any more. */
static void test_leases_end(void **state)
{
	(void)state;
	enum queue_hint hint;
	struct queue_lease b;
	fixture_submit(q, JOB("a", SHAPE));
	fixture_submit(q, JOB("b", SHAPE));
	fixture_submit(q, JOB("c", SHAPE));
	struct queue_lease a = claim_long("w1", "a");
	struct queue_worker seat = fixture_worker("w1:1");
	must(queue_claim_fellow(q, &seat, &a, &b, &err), &err);
	struct queue_lease c = claim_long("w2", "c");
	reap();
	looks("a", JOB_RUNNING, 1, 0);
	assert_int_equal(died("w1", QUEUE_SPARE_NONE), 2);
	assert_int_equal(reap().recovered, 2);
	looks("a", JOB_READY, 1, 1);
	looks("b", JOB_READY, 1, 1);
	looks("c", JOB_RUNNING, 1, 0);
	assert_int_equal(queue_beat(q, &a, NULL, &hint, &err), SUMI_LOST);
	assert_int_equal(queue_beat(q, &b, NULL, &hint, &err), SUMI_LOST);
	assert_int_equal(died("w1", QUEUE_SPARE_NONE), 0);
	/* Its successor bears its name, and keeps what it has. */
	struct queue_lease again = claim_long("w1", "a");
	reap();
	looks("a", JOB_RUNNING, 2, 1);
	queue_lease_clear(&a);
	queue_lease_clear(&b);
	queue_lease_clear(&c);
	queue_lease_clear(&again);
}

/* Jobs that died of damaged caches pay nothing, but not for ever: the job may be what kills. */
static void test_spared_twice(void **state)
{
	(void)state;
	fixture_submit(q, JOB("a", ",\"max_attempts\":1"));
	for (int i = 0; i < 2; i++) {
		struct queue_lease a = claim_long("w1", "a");
		assert_int_equal(died("w1", QUEUE_SPARE_CACHES), 1);
		looks("a", JOB_READY, 0, 0);
		queue_lease_clear(&a);
	}
	struct queue_lease a = claim_long("w1", "a");
	assert_int_equal(died("w1", QUEUE_SPARE_CACHES), 1);
	assert_int_equal(reap().failed, 1);
	looks("a", JOB_FAILED, 1, 1);
	queue_lease_clear(&a);
}

/* A worker that leaves a job which nobody wants costs those beside it nothing, however often. */
static void test_left(void **state)
{
	(void)state;
	fixture_submit(q, JOB("a", ",\"max_attempts\":1"));
	for (int i = 0; i < 4; i++) {
		struct queue_lease a = claim_long("w1", "a");
		assert_int_equal(died("w1", QUEUE_SPARE_LEFT), 1);
		reap();
		looks("a", JOB_READY, 0, 0);
		queue_lease_clear(&a);
	}
}

/* A lease that has passed on to another worker is not the dead one's. */
static void test_another_holds_it(void **state)
{
	(void)state;
	fixture_submit(q, JOB("a", ""));
	struct queue_lease a = claim_long("w1", "a");
	must(queue_release(q, &a, "drain", NULL, &err), &err);
	struct queue_lease other = claim_long("w2", "a");
	/* As a claim leaves it whose release was lost: */
	freeReplyObject(fixture_command("HSET {sumi}:worker:w1 job a token %s", a.token));
	assert_int_equal(died("w1", QUEUE_SPARE_NONE), 0);
	assert_int_equal(died("w1", QUEUE_SPARE_CACHES), 0);
	reap();
	looks("a", JOB_RUNNING, 1, 0);
	assert_int_equal(fixture_finish(&other), QUEUE_FINISHED);
	queue_lease_clear(&a);
	queue_lease_clear(&other);
}

/* Cancelled while its worker died: cancelled it is. */
static void test_cancelled_meanwhile(void **state)
{
	(void)state;
	static const char *const ids[] = {"a", "b", "c"}; /* a spare each */
	enum queue_cancel_result result;
	fixture_submit(q, JOB("a", ""));
	fixture_submit(q, JOB("b", ""));
	fixture_submit(q, JOB("c", ""));
	for (int i = QUEUE_SPARE_NONE; i <= QUEUE_SPARE_LEFT; i++) {
		struct queue_lease lease = claim_long("w1", ids[i]);
		must(queue_cancel(q, ids[i], &result, &err), &err);
		assert_int_equal(died("w1", (enum queue_spare)i), 1);
		reap();
		assert_int_equal(fixture_state(q, ids[i]), JOB_CANCELLED);
		queue_lease_clear(&lease);
	}
}

/* What somebody wrote into Redis by hand stops nothing. */
static void test_damaged_keys(void **state)
{
	(void)state;
	freeReplyObject(fixture_command("SET {sumi}:worker:w1 text"));
	freeReplyObject(fixture_command("HSET {sumi}:worker:w1:1 job gone token x"));
	freeReplyObject(fixture_command("SET {sumi}:job:odd text"));
	freeReplyObject(fixture_command("HSET {sumi}:worker:w1:2 job odd token x"));
	assert_int_equal(died("w1", QUEUE_SPARE_CACHES), 0);
	assert_int_equal(died("w1", QUEUE_SPARE_NONE), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_leases_end),          TEST(test_spared_twice), TEST(test_left), TEST(test_another_holds_it),
	    TEST(test_cancelled_meanwhile), TEST(test_damaged_keys),
	};
	return cmocka_run_group_tests(tests, NULL, fixture_stop);
}
