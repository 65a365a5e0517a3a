/* Jobs that a worker makes beside the one that it holds: which it gets, and how they live. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "queue/saved.h"
#include "tests/unit/redis_fixture.h"

static struct error err;

#define SHAPE ",\"width\":128,\"height\":128,\"steps\":4"

static int claim_beside(const struct queue_lease *fellow, struct queue_lease *lease)
{
	struct queue_worker seat = fixture_worker("w1:1");
	return queue_claim_fellow(q, &seat, fellow, lease, &err);
}

static void refused(const struct queue_lease *fellow)
{
	struct queue_lease lease;
	assert_int_equal(claim_beside(fellow, &lease), SUMI_NOTFOUND);
}

static void test_two_at_once(void **state)
{
	(void)state;
	enum queue_hint hint;
	enum queue_cancel_result cancelled;
	struct queue_lease a, b, c;
	struct queue_worker_info *workers;
	size_t count;
	struct queue_worker worker = fixture_worker("w1");
	must(queue_worker_beat(q, &worker, &err), &err);
	fixture_submit(q, JOB("a", SHAPE ",\"submitter\":\"one\""));
	fixture_submit(q, JOB("b", SHAPE ",\"submitter\":\"two\",\"seed\":5,\"cfg_scale\":3"));
	fixture_submit(q, JOB("c", SHAPE ",\"n\":1"));
	a = fixture_claim("w1", "a");
	assert_int_equal(a.waiting, 2);
	must(claim_beside(&a, &b), &err);
	assert_string_equal(b.id, "b");
	assert_string_equal(b.worker, "w1:1");
	assert_int_equal(b.lease_ms, a.lease_ms);
	assert_int_equal(fixture_state(q, "b"), JOB_RUNNING);
	struct queue_worker seat = fixture_worker("w1:2");
	must(queue_claim_fellow(q, &seat, &a, &c, &err), &err);
	assert_string_equal(c.id, "c");

	/* Each lives by itself; the worker is one. */
	struct queue_progress step = {.step = 1, .steps = 4};
	must(queue_beat(q, &a, &step, &hint, &err), &err);
	must(queue_beat(q, &b, &step, &hint, &err), &err);
	must(queue_cancel(q, "b", &cancelled, &err), &err);
	must(queue_beat(q, &b, &step, &hint, &err), &err);
	assert_int_equal(hint, QUEUE_STOP_CANCEL);
	must(queue_beat(q, &a, &step, &hint, &err), &err);
	assert_int_equal(hint, QUEUE_GO_ON);
	must(queue_workers(q, &workers, &count, &err), &err);
	assert_int_equal(count, 1);
	assert_string_equal(workers[0].name, "w1");
	assert_string_equal(workers[0].job, "a");
	free(workers);

	/* An urgent job asks the worker, not its seats. */
	fixture_submit(q, JOB("high", ",\"priority\":\"high\""));
	must(queue_beat(q, &c, &step, &hint, &err), &err);
	assert_int_equal(hint, QUEUE_GO_ON);
	must(queue_beat(q, &a, &step, &hint, &err), &err);
	assert_int_equal(hint, QUEUE_STOP_PREEMPT);
	assert_int_equal(fixture_finish(&a), QUEUE_FINISHED);
	assert_int_equal(fixture_finish(&c), QUEUE_FINISHED);
	assert_int_equal(fixture_int("EXISTS {sumi}:worker:w1:1 {sumi}:worker:w1:2"), 1);
	queue_lease_clear(&a);
	queue_lease_clear(&b);
	queue_lease_clear(&c);
}

static void test_only_what_fits(void **state)
{
	(void)state;
	static const char *const others[] = {
	    JOB("b", ",\"width\":64,\"height\":128,\"steps\":4"),
	    JOB("b", ",\"width\":128,\"steps\":4"),
	    JOB("b", ",\"width\":128,\"height\":128,\"steps\":5"),
	    JOB("b", SHAPE ",\"fast\":true"),
	    JOB("b", SHAPE ",\"model\":\"ink\""),
	    JOB("b", SHAPE ",\"n\":2"),
	    JOB("b", SHAPE ",\"priority\":\"batch\""),
	};
	fixture_teardown(NULL);
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		fixture_setup(NULL);
		fixture_submit(q, JOB("a", SHAPE));
		fixture_submit(q, others[i]);
		/* Nor is one that waits for its turn passed over. */
		fixture_submit(q, JOB("z", SHAPE ",\"priority\":\"batch\""));
		struct queue_lease a = fixture_claim("w1", "a");
		refused(&a);
		assert_int_equal(fixture_state(q, "b"), JOB_READY);
		assert_int_equal(fixture_state(q, "z"), JOB_READY);
		queue_lease_clear(&a);
		fixture_teardown(NULL);
	}
	fixture_setup(NULL);
}

static void test_not_what_was_begun_or_crashed(void **state)
{
	(void)state;
	struct queue_lease b;
	fixture_submit(q, JOB("b", SHAPE));
	b = fixture_claim("w2", "b");
	must(queue_save(q, &b, 0, "steps", 5, &err), &err);
	must(queue_release(q, &b, "preempted", NULL, &err), &err);
	queue_lease_clear(&b);
	fixture_submit(q, JOB("a", SHAPE ",\"priority\":\"high\""));
	struct queue_lease a = fixture_claim("w1", "a");
	freeReplyObject(fixture_command("HSET {sumi}:job:a prio 1"));
	refused(&a);
	must(queue_saved_drop(q, "b", &err), &err);
	freeReplyObject(fixture_command("HSET {sumi}:job:b crashes 1"));
	refused(&a);
	freeReplyObject(fixture_command("HSET {sumi}:job:b crashes 0"));
	freeReplyObject(fixture_command("HSET {sumi}:job:a crashes 1"));
	refused(&a);
	freeReplyObject(fixture_command("HSET {sumi}:job:a crashes 0"));
	must(queue_pause(q, "", &err), &err);
	refused(&a);
	must(queue_resume(q, &err), &err);
	must(claim_beside(&a, &b), &err);
	queue_lease_clear(&a);
	queue_lease_clear(&b);
}

static void test_not_what_may_not_crash_once(void **state)
{
	(void)state;
	struct queue_lease a, b;
	fixture_submit(q, JOB("a", SHAPE ",\"max_attempts\":1"));
	fixture_submit(q, JOB("b", SHAPE));
	a = fixture_claim("w1", "a");
	refused(&a);
	assert_int_equal(fixture_finish(&a), QUEUE_FINISHED);
	queue_lease_clear(&a);
	fixture_submit(q, JOB("c", SHAPE ",\"max_attempts\":1"));
	b = fixture_claim("w1", "b");
	refused(&b);
	assert_int_equal(fixture_state(q, "c"), JOB_READY);
	queue_lease_clear(&b);
}

static void test_a_free_worker_comes_first(void **state)
{
	(void)state;
	struct queue_lease b;
	struct queue_worker other = fixture_worker("w2");
	must(queue_worker_beat(q, &other, &err), &err);
	fixture_submit(q, JOB("a", SHAPE));
	fixture_submit(q, JOB("b", SHAPE));
	struct queue_lease a = fixture_claim("w1", "a");
	refused(&a);
	must(queue_worker_leave(q, "w2", &err), &err);
	must(claim_beside(&a, &b), &err);
	queue_lease_clear(&a);
	queue_lease_clear(&b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_two_at_once),
	    TEST(test_only_what_fits),
	    TEST(test_not_what_was_begun_or_crashed),
	    TEST(test_not_what_may_not_crash_once),
	    TEST(test_a_free_worker_comes_first),
	};
	return cmocka_run_group_tests(tests, NULL, fixture_stop);
}
