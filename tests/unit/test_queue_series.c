/* Jobs that belong together: occurrences of a recurring one, of which any may be named to end the
 * series; jobs that wait for one that nobody has sent. */
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

static void wind(void)
{
	struct queue_reaped reaped;
	must(queue_reap(q, 0, &reaped, &err), &err);
}

/* The occurrence that is to come: the only delayed job. */
static void next_id(char id[JOB_ID_SIZE])
{
	redisReply *ids = fixture_command("ZRANGE {sumi}:delayed 0 -1");
	assert_int_equal(ids->elements, 1);
	snprintf(id, JOB_ID_SIZE, "%s", ids->element[0]->str);
	freeReplyObject(ids);
}

static void cancel(const char *id, enum queue_cancel_result wanted, const char *series_end)
{
	enum queue_cancel_result result;
	char last[JOB_ID_SIZE];
	must(queue_cancel_series(q, id, &result, last, &err), &err);
	assert_int_equal(result, wanted);
	assert_string_equal(last, series_end);
}

static void assert_over(void)
{
	wind();
	wind();
	static const char *const live[] = {"ready", "delayed", "running", "recur"};
	for (size_t i = 0; i < sizeof live / sizeof live[0]; i++)
		assert_int_equal(fixture_int("ZCARD {sumi}:%s", live[i]), 0);
	assert_int_equal(fixture_int("EXISTS {sumi}:series"), 0);
}

#define NIGHTLY JOB("nightly", ",\"every\":\"24h\"")

static void test_the_first_name_ends_a_series(void **state)
{
	(void)state;
	char next[JOB_ID_SIZE];
	fixture_submit(q, NIGHTLY);
	fixture_finish_next("nightly");
	wind();
	next_id(next);
	cancel("nightly", QUEUE_CANCELLED, next);
	assert_int_equal(fixture_state(q, next), JOB_CANCELLED);
	assert_int_equal(fixture_state(q, "nightly"), JOB_DONE);
	cancel("nightly", QUEUE_CANCEL_TOO_LATE, "");
	assert_over();
}

static void test_an_occurrence_ends_it_too(void **state)
{
	(void)state;
	char next[JOB_ID_SIZE], later[JOB_ID_SIZE];
	fixture_submit(q, NIGHTLY);
	cancel("nightly", QUEUE_CANCELLED, "nightly");
	assert_over();
	freeReplyObject(fixture_command("FLUSHALL"));
	fixture_submit(q, NIGHTLY);
	fixture_finish_next("nightly");
	wind();
	next_id(next);
	must(queue_retry(q, next, &err), &err); /* now */
	fixture_finish_next(next);
	wind();
	next_id(later);
	cancel(next, QUEUE_CANCELLED, later); /* an older one names it as well */
	assert_over();
}

static void test_between_two_occurrences(void **state)
{
	(void)state;
	fixture_submit(q, NIGHTLY);
	fixture_finish_next("nightly");
	cancel("nightly", QUEUE_CANCELLED, "nightly");
	assert_int_equal(fixture_state(q, "nightly"), JOB_DONE);
	assert_over();
}

/* Its result came before its worker heard that nobody wants it any more. */
static void test_a_running_occurrence(void **state)
{
	(void)state;
	fixture_submit(q, NIGHTLY);
	struct queue_lease lease = fixture_claim("w1", "nightly");
	cancel("nightly", QUEUE_CANCELLING, "nightly");
	assert_int_equal(fixture_finish(&lease), QUEUE_FINISHED);
	queue_lease_clear(&lease);
	assert_over();
	/* Tried again, it goes on. */
	freeReplyObject(fixture_command("FLUSHALL"));
	fixture_submit(q, NIGHTLY);
	cancel("nightly", QUEUE_CANCELLED, "nightly");
	must(queue_retry(q, "nightly", &err), &err);
	fixture_finish_next("nightly");
	wind();
	assert_int_equal(fixture_int("ZCARD {sumi}:delayed"), 1);
}

static void assert_failed(const char *id, const char *why)
{
	struct queue_entry entry;
	must(queue_get(q, id, &entry, &err), &err);
	assert_int_equal(entry.state, JOB_FAILED);
	assert_string_equal(entry.error, why);
	queue_entry_clear(&entry);
}

static void test_a_job_that_nobody_sends(void **state)
{
	(void)state;
	fixture_submit(q, JOB("there", ",\"not_before\":4000000000000"));
	assert_int_equal(fixture_submit(q, JOB("a", ",\"after\":[\"there\",\"missing\"]")), JOB_BLOCKED);
	assert_int_equal(fixture_submit(q, JOB("b", ",\"after\":[\"there\"]")), JOB_BLOCKED);
	assert_int_equal(fixture_int("ZCARD {sumi}:awaiting"), 1);
	wind();
	assert_int_equal(fixture_state(q, "a"), JOB_BLOCKED);
	freeReplyObject(fixture_command("ZADD {sumi}:awaiting 1 a"));
	wind();
	assert_failed("a", "job missing, for which it waits, was not sent within a day");
	assert_int_equal(fixture_state(q, "b"), JOB_BLOCKED);
	/* With a deadline that passes before. */
	fixture_submit(q, JOB("c", ",\"after\":[\"missing\"],\"deadline\":4000000000000"));
	freeReplyObject(fixture_command("ZADD {sumi}:deadline 1 c"));
	wind();
	assert_failed("c", "not started before its deadline: it waits for job missing, which nobody has sent");
	/* One that is sent in time ends the waiting for it. */
	fixture_submit(q, JOB("d", ",\"after\":[\"late\"]"));
	fixture_submit(q, JOB("late", ",\"not_before\":4000000000000"));
	freeReplyObject(fixture_command("ZADD {sumi}:awaiting 1 d"));
	wind();
	assert_int_equal(fixture_state(q, "d"), JOB_BLOCKED);
	assert_int_equal(fixture_int("ZCARD {sumi}:awaiting"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_the_first_name_ends_a_series),
	    TEST(test_an_occurrence_ends_it_too),
	    TEST(test_between_two_occurrences),
	    TEST(test_a_running_occurrence),
	    TEST(test_a_job_that_nobody_sends),
	};
	return cmocka_run_group_tests(tests, NULL, fixture_stop);
}
