/* Entries of the intake that are no jobs: whoever waits for their id, by whatever loop he has for
 * jobs that fail, hears of it, and may send the id again. */
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

static void admit(size_t rejected)
{
	struct queue_admitted admitted;
	must(queue_admit(q, 100, &admitted, &err), &err);
	assert_int_equal(admitted.rejected, rejected);
	assert_int_equal(fixture_int("XLEN {sumi}:in"), 0);
}

static void assert_field(const char *id, const char *field, const char *wanted)
{
	redisReply *reply = fixture_command("HGET {sumi}:job:%s %s", id, field);
	if (!wanted)
		assert_int_equal(reply->type, REDIS_REPLY_NIL);
	else
		assert_string_equal(reply->str, wanted);
	freeReplyObject(reply);
}

static void test_flat_and_json(void **state)
{
	(void)state;
	struct queue_entry entry, *list;
	size_t count;
	freeReplyObject(fixture_command(
	    "XADD {sumi}:in * id clip modality audio mood calm prompt %s duration 1000", "slow"));
	freeReplyObject(fixture_command("XADD {sumi}:in * job %s", JOB("pic", ",\"steps\":0")));
	freeReplyObject(fixture_command("XADD {sumi}:in * job %s", "{\"id\":7,\"modality\":1}"));
	admit(3);
	assert_field("clip", "state", "failed");
	assert_field("clip", "error_code", "rejected");
	assert_field("pic", "state", "failed");
	assert_field("7", "state", "failed");
	must(queue_get(q, "clip", &entry, &err), &err);
	assert_int_equal(entry.state, JOB_FAILED);
	assert_non_null(strstr(entry.error, "duration"));
	assert_string_equal(entry.job.modality, "audio");
	assert_string_equal(entry.job.prompt, "slow");
	assert_true(entry.finished_ms > 0 && entry.created_ms > 0);
	queue_entry_clear(&entry);
	must(queue_list(q, JOB_FAILED, 0, 10, &list, &count, &err), &err);
	assert_int_equal(count, 3);
	queue_list_free(list, count);
	/* Events: what was wrong, and the end that every follower knows. */
	struct queue_follower *follower;
	struct queue_event event;
	must(queue_follow(q, "pic", "0", &follower, &err), &err);
	must(queue_follow_next(follower, 1000, &event, &err), &err);
	assert_string_equal(event.event, "rejected");
	queue_event_clear(&event);
	must(queue_follow_next(follower, 1000, &event, &err), &err);
	assert_string_equal(event.event, "failed");
	assert_string_equal(queue_event_value(&event, "code"), "rejected");
	queue_event_clear(&event);
	queue_follow_close(follower);
}

static void test_the_id_is_free_again(void **state)
{
	(void)state;
	freeReplyObject(fixture_command("XADD {sumi}:in * id a modality image prompt x steps no"));
	admit(1);
	assert_int_equal(queue_retry(q, "a", &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "send it again"));
	freeReplyObject(fixture_command("XADD {sumi}:in * id a modality image prompt y steps no"));
	admit(1); /* wrong once more */
	assert_int_equal(fixture_int("ZCARD {sumi}:failed"), 1);
	assert_int_equal(fixture_submit(q, JOB("a", "")), JOB_READY);
	assert_int_equal(fixture_int("ZCARD {sumi}:failed"), 0);
	assert_field("a", "error", NULL);
	fixture_finish_next("a");
	/* A bad entry under the id of a job that is one changes nothing. */
	freeReplyObject(fixture_command("XADD {sumi}:in * id a modality image prompt x steps no"));
	admit(1);
	assert_int_equal(fixture_state(q, "a"), JOB_DONE);
}

static void test_what_waits_for_it_fails(void **state)
{
	(void)state;
	assert_int_equal(fixture_submit(q, JOB("next", ",\"after\":[\"a\"]")), JOB_BLOCKED);
	freeReplyObject(fixture_command("XADD {sumi}:in * id a modality image prompt x steps no"));
	admit(1);
	assert_int_equal(fixture_state(q, "next"), JOB_FAILED);
	assert_int_equal(fixture_submit(q, JOB("late", ",\"after\":[\"a\"]")), JOB_FAILED);
}

static void test_ids_that_no_job_may_have(void **state)
{
	(void)state;
	static const char odd[] = "two words";
	freeReplyObject(
	    fixture_command("XADD {sumi}:in * id %s modality image prompt x", odd));
	freeReplyObject(fixture_command("XADD {sumi}:in * op explode id b"));
	freeReplyObject(fixture_command("XADD {sumi}:in * modality image prompt x steps no"));
	admit(3);
	assert_field(odd, "state", "failed");
	/* It stands in no list, and goes by itself. */
	assert_int_equal(fixture_int("ZCARD {sumi}:failed"), 0);
	assert_true(fixture_int("TTL {sumi}:job:%s", odd) > 0);
	assert_int_equal(fixture_int("EXISTS {sumi}:job:b"), 0);
}

static void test_it_goes_like_others(void **state)
{
	(void)state;
	struct queue_trim_options options = {.max_age_ms = 1000};
	size_t purged;
	freeReplyObject(fixture_command("XADD {sumi}:in * id a modality image prompt x steps no"));
	admit(1);
	freeReplyObject(fixture_command("ZADD {sumi}:failed 1 a"));
	must(queue_trim(q, &options, &purged, &err), &err);
	assert_int_equal(purged, 1);
	assert_int_equal(fixture_int("EXISTS {sumi}:job:a {sumi}:ev:a"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_flat_and_json),
	    TEST(test_the_id_is_free_again),
	    TEST(test_what_waits_for_it_fails),
	    TEST(test_ids_that_no_job_may_have),
	    TEST(test_it_goes_like_others),
	};
	return cmocka_run_group_tests(tests, NULL, fixture_stop);
}
