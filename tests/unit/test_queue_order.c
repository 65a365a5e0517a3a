/* Which job is next and when: priorities, fairness, classes, time, windows, urgent jobs,
 * recurrence; against a real redis-server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "check.h"
#include "redis_fixture.h"

static struct error err;

static void test_routing(void **state)
{
	(void)state;
	static const char *const big[] = {"image/big", "audio/"};
	struct queue_worker worker = {.name = "w2", .classes = big, .class_count = 2};
	struct queue_lease lease;
	fixture_submit(q, JOB("a", ",\"model\":\"big\""));
	fixture_claim("w1", NULL);
	must(queue_claim(q, &worker, 60000, &lease, &err), &err);
	assert_string_equal(lease.id, "a");
	queue_lease_clear(&lease);
	fixture_submit(q, JOB("b", ""));
	assert_int_equal(queue_claim(q, &worker, 60000, &lease, &err), SUMI_NOTFOUND);
	fixture_finish_next("b");
}

static void test_priorities(void **state)
{
	(void)state;
	fixture_submit(q, JOB("batch", ",\"priority\":\"batch\""));
	fixture_submit(q, JOB("normal", ""));
	fixture_submit(q, JOB("model", ",\"model\":\"ink\""));
	fixture_submit(q, JOB("high", ",\"priority\":\"high\""));
	fixture_finish_next("high");
	fixture_finish_next("normal");
	fixture_finish_next("model");
	fixture_finish_next("batch");
}

static void test_fair_between_senders(void **state)
{
	(void)state;
	fixture_submit(q, JOB("a1", ",\"submitter\":\"ann\""));
	fixture_submit(q, JOB("a2", ",\"submitter\":\"ann\""));
	fixture_submit(q, JOB("a3", ",\"submitter\":\"ann\""));
	fixture_submit(q, JOB("b1", ",\"submitter\":\"bob\""));
	fixture_submit(q, JOB("b2", ",\"submitter\":\"bob\""));
	fixture_finish_next("a1");
	fixture_finish_next("b1");
	fixture_finish_next("a2");
	/* A third sender comes late: its turn is now, not after all the others and not before. */
	fixture_submit(q, JOB("c1", ",\"submitter\":\"cid\""));
	fixture_finish_next("b2");
	fixture_finish_next("c1");
	fixture_finish_next("a3");
	fixture_claim("w1", NULL);
}

static void test_listing_of_ready_jobs_is_their_order(void **state)
{
	(void)state;
	static const char *const order[] = {"high", "a1", "b1", "a2"};
	struct queue_entry *entries;
	size_t count;
	fixture_submit(q, JOB("a1", ",\"submitter\":\"ann\""));
	fixture_submit(q, JOB("a2", ",\"submitter\":\"ann\""));
	fixture_submit(q, JOB("b1", ",\"submitter\":\"bob\""));
	fixture_submit(q, JOB("high", ",\"priority\":\"high\",\"model\":\"ink\""));
	must(queue_list(q, JOB_READY, 0, 10, &entries, &count, &err), &err);
	assert_int_equal(count, 4);
	for (size_t i = 0; i < 4; i++)
		assert_string_equal(entries[i].id, order[i]);
	queue_list_free(entries, count);
	must(queue_list(q, JOB_READY, 1, 2, &entries, &count, &err), &err);
	assert_int_equal(count, 2);
	assert_string_equal(entries[0].id, "a1");
	assert_string_equal(entries[1].id, "b1");
	queue_list_free(entries, count);
}

static void test_not_before(void **state)
{
	(void)state;
	struct queue_reaped reaped;
	char json[256], time[CLOCK_TEXT_SIZE];
	clock_text(clock_wall_ms() + 3600000, time);
	snprintf(json, sizeof json, JOB("later", ",\"not_before\":\"%s\""), time);
	assert_int_equal(fixture_submit(q, json), JOB_DELAYED);
	must(queue_reap(q, 0, &reaped, &err), &err);
	assert_int_equal(reaped.promoted, 0);
	assert_true(reaped.next_ms > 3500000 && reaped.next_ms <= 3600000);
	fixture_claim("w1", NULL);
	/* The hour passes. */
	freeReplyObject(fixture_command("ZADD {sumi}:delayed 1 later"));
	must(queue_reap(q, 0, &reaped, &err), &err);
	assert_int_equal(reaped.promoted, 1);
	fixture_finish_next("later");
}

static void test_retry_now_of_a_delayed_job(void **state)
{
	(void)state;
	fixture_submit(q, JOB("later", ",\"not_before\":\"2099-01-01\""));
	must(queue_retry(q, "later", &err), &err);
	fixture_finish_next("later");
	assert_int_equal(queue_retry(q, "later", &err), SUMI_INVALID);
	assert_int_equal(queue_retry(q, "nobody", &err), SUMI_NOTFOUND);
	/* One that still lies in the intake. */
	freeReplyObject(fixture_command(
	    "XADD {sumi}:in * id sent modality image prompt x not_before 2099-01-01"));
	must(queue_retry(q, "sent", &err), &err);
	fixture_finish_next("sent");
}

/* A window around now, and one on the other side of the day, in UTC. */
static void window_text(char out[16], bool open)
{
	unsigned now = (unsigned)(clock_wall_ms() / 60000 % 1440);
	unsigned start = (now + (open ? 1440 - 120 : 600)) % 1440, end = (start + 240) % 1440;
	snprintf(out, 16, "%02u:%02u-%02u:%02u", start / 60 % 24, start % 60, end / 60 % 24,
		 end % 60);
}

static void test_windows(void **state)
{
	(void)state;
	char open[16], shut[16], json[256];
	enum queue_hint hint;
	window_text(open, true);
	window_text(shut, false);
	snprintf(json, sizeof json, JOB("shut", ",\"window\":\"%s\",\"tz\":\"UTC\""), shut);
	assert_int_equal(fixture_submit(q, json), JOB_READY);
	struct queue_entry entry;
	must(queue_get(q, "shut", &entry, &err), &err);
	assert_within(entry.due_ms - clock_wall_ms(), 598 * 60000, 600 * 60000);
	queue_entry_clear(&entry);
	fixture_claim("w1", NULL);
	snprintf(json, sizeof json, JOB("open", ",\"window\":\"%s\",\"tz\":\"UTC\""), open);
	fixture_submit(q, json);
	struct queue_lease lease = fixture_claim("w1", "open");
	must(queue_beat(q, &lease, NULL, &hint, &err), &err);
	assert_int_equal(hint, QUEUE_GO_ON);
	/* Six o'clock strikes: the window is another one. */
	freeReplyObject(fixture_command("HSET {sumi}:job:open window |%s@UTC", shut));
	must(queue_beat(q, &lease, NULL, &hint, &err), &err);
	assert_int_equal(hint, QUEUE_STOP_WINDOW);
	queue_lease_clear(&lease);
	fixture_claim("w1", NULL);
}

static void test_deadlines(void **state)
{
	(void)state;
	struct queue_reaped reaped;
	enum queue_hint hint;
	enum job_state after;
	struct queue_failure failure = {.status = SUMI_CANCELLED, .text = "cancelled"};
	fixture_submit(q, JOB("waits", ",\"deadline\":4000000000000"));
	fixture_submit(q, JOB("runs", ",\"deadline\":4000000000000,\"priority\":\"high\""));
	struct queue_lease lease = fixture_claim("w1", "runs");
	freeReplyObject(fixture_command("ZADD {sumi}:deadline 1 waits 1 runs"));
	must(queue_reap(q, 0, &reaped, &err), &err);
	assert_int_equal(reaped.failed, 1);
	assert_int_equal(fixture_state(q, "waits"), JOB_FAILED);
	must(queue_beat(q, &lease, NULL, &hint, &err), &err);
	assert_int_equal(hint, QUEUE_STOP_CANCEL);
	must(queue_fail(q, &lease, &failure, &after, &err), &err);
	assert_int_equal(after, JOB_FAILED);
	queue_lease_clear(&lease);
	/* Past its deadline already when it is claimed. */
	fixture_submit(q, JOB("past", ",\"deadline\":4000000000000"));
	freeReplyObject(fixture_command("HSET {sumi}:job:past deadline 1"));
	fixture_claim("w1", NULL);
	assert_int_equal(fixture_state(q, "past"), JOB_FAILED);
}

static void test_pause(void **state)
{
	(void)state;
	struct queue_stats stats;
	fixture_submit(q, JOB("a", ""));
	must(queue_pause(q, "moving house", &err), &err);
	fixture_claim("w1", NULL);
	must(queue_stats(q, &stats, &err), &err);
	assert_true(stats.paused);
	assert_string_equal(stats.pause_reason, "moving house");
	must(queue_resume(q, &err), &err);
	fixture_finish_next("a");
}

static void test_preemption(void **state)
{
	(void)state;
	enum queue_hint hint;
	struct queue_worker one = fixture_worker("w1"), two = fixture_worker("w2");
	must(queue_worker_beat(q, &one, &err), &err);
	fixture_submit(q, JOB("batch", ",\"priority\":\"batch\""));
	struct queue_lease batch = fixture_claim("w1", "batch");
	must(queue_beat(q, &batch, NULL, &hint, &err), &err);
	assert_int_equal(hint, QUEUE_GO_ON);
	fixture_submit(q, JOB("normal", ""));
	must(queue_beat(q, &batch, NULL, &hint, &err), &err);
	assert_int_equal(hint, QUEUE_GO_ON);
	fixture_submit(q, JOB("high", ",\"priority\":\"high\""));
	/* As long as another worker is free nobody has to stop. */
	must(queue_worker_beat(q, &two, &err), &err);
	must(queue_beat(q, &batch, NULL, &hint, &err), &err);
	assert_int_equal(hint, QUEUE_GO_ON);
	must(queue_worker_leave(q, "w2", &err), &err);
	must(queue_beat(q, &batch, NULL, &hint, &err), &err);
	assert_int_equal(hint, QUEUE_STOP_PREEMPT);
	must(queue_release(q, &batch, "preempted", "{\"step\":3}", &err), &err);
	queue_lease_clear(&batch);
	fixture_finish_next("high");
	fixture_finish_next("normal");
	batch = fixture_claim("w1", "batch");
	assert_string_equal(batch.state_json, "{\"step\":3}");
	queue_lease_clear(&batch);
}

/* Urgent is urgent, whatever else a job asks for, as soon as it could begin. */
static void test_urgent_jobs_with_conditions_preempt_too(void **state)
{
	(void)state;
	static const struct {
		const char *id, *condition;
		bool windowed, open;
		enum queue_hint hint;
	} cases[] = {
	    {"shut", "", true, false, QUEUE_GO_ON}, /* it could not begin */
	    {"open", "", true, true, QUEUE_STOP_PREEMPT},
	    {"past", ",\"not_before\":\"2020-01-01\"", false, false, QUEUE_STOP_PREEMPT},
	    {"next", ",\"after\":[\"open\"]", false, false, QUEUE_STOP_PREEMPT},
	};
	enum queue_hint hint;
	struct queue_worker one = fixture_worker("w1");
	must(queue_worker_beat(q, &one, &err), &err);
	fixture_submit(q, JOB("batch", ",\"priority\":\"batch\""));
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char text[16], window[64] = "", json[256];
		struct queue_lease batch = fixture_claim("w1", "batch");
		window_text(text, cases[i].open);
		if (cases[i].windowed)
			snprintf(window, sizeof window, ",\"window\":\"%s\",\"tz\":\"UTC\"", text);
		snprintf(json, sizeof json, JOB("%s", ",\"priority\":\"high\"%s%s"), cases[i].id,
			 window, cases[i].condition);
		assert_int_equal(fixture_submit(q, json), JOB_READY);
		must(queue_beat(q, &batch, NULL, &hint, &err), &err);
		assert_int_equal(hint, cases[i].hint);
		must(queue_release(q, &batch, "preempted", NULL, &err), &err);
		queue_lease_clear(&batch);
		if (hint == QUEUE_STOP_PREEMPT)
			fixture_finish_next(cases[i].id);
	}
	/* A job that waits for another is urgent from the moment that that is done. */
	fixture_submit(q, JOB("last", ",\"priority\":\"high\",\"after\":[\"slow\"]"));
	struct queue_lease batch = fixture_claim("w1", "batch");
	must(queue_beat(q, &batch, NULL, &hint, &err), &err);
	assert_int_equal(hint, QUEUE_GO_ON);
	fixture_submit(q, JOB("slow", ""));
	struct queue_lease slow = fixture_claim("w2", "slow");
	assert_int_equal(fixture_finish(&slow), QUEUE_FINISHED);
	must(queue_beat(q, &batch, NULL, &hint, &err), &err);
	assert_int_equal(hint, QUEUE_STOP_PREEMPT);
	queue_lease_clear(&slow);
	queue_lease_clear(&batch);
}

static void test_one_urgent_job_stops_one_worker(void **state)
{
	(void)state;
	enum queue_hint hint;
	struct queue_worker one = fixture_worker("w1"), two = fixture_worker("w2");
	must(queue_worker_beat(q, &one, &err), &err);
	must(queue_worker_beat(q, &two, &err), &err);
	fixture_submit(q, JOB("normal", ""));
	struct queue_lease normal = fixture_claim("w1", "normal");
	fixture_submit(q, JOB("batch", ",\"priority\":\"batch\""));
	struct queue_lease batch = fixture_claim("w2", "batch");
	fixture_submit(q, JOB("high", ",\"priority\":\"high\""));
	must(queue_beat(q, &normal, NULL, &hint, &err), &err);
	assert_int_equal(hint, QUEUE_GO_ON); /* the batch job yields first */
	must(queue_beat(q, &batch, NULL, &hint, &err), &err);
	assert_int_equal(hint, QUEUE_STOP_PREEMPT);
	must(queue_beat(q, &normal, NULL, &hint, &err), &err);
	assert_int_equal(hint, QUEUE_GO_ON);
	queue_lease_clear(&normal);
	queue_lease_clear(&batch);
}

static void test_recurring(void **state)
{
	(void)state;
	struct queue_reaped reaped;
	struct queue_entry *entries, entry;
	enum queue_cancel_result result;
	size_t count;
	fixture_submit(q, JOB("tick", ",\"every\":\"1h\""));
	must(queue_get(q, "tick", &entry, &err), &err);
	fixture_finish_next("tick");
	must(queue_reap(q, 0, &reaped, &err), &err);
	assert_int_equal(reaped.recurred, 1);
	must(queue_reap(q, 0, &reaped, &err), &err);
	assert_int_equal(reaped.recurred, 0);
	must(queue_list(q, JOB_DELAYED, 0, 10, &entries, &count, &err), &err);
	assert_int_equal(count, 1);
	assert_int_equal(entries[0].job.not_before, entry.created_ms + 3600000);
	assert_int_equal(job_series_length(entries[0].id), 4);
	assert_int_not_equal(entries[0].job.seed, entry.job.seed);
	/* Cancelling an occurrence ends the series. */
	must(queue_cancel(q, entries[0].id, &result, &err), &err);
	must(queue_reap(q, 0, &reaped, &err), &err);
	assert_int_equal(reaped.recurred, 0);
	assert_int_equal(fixture_int("ZCARD {sumi}:delayed"), 0);
	queue_list_free(entries, count);
	queue_entry_clear(&entry);
}

static void test_recurring_daily_begins_at_its_time(void **state)
{
	(void)state;
	assert_int_equal(fixture_submit(q, JOB("night", ",\"every\":\"22:00\",\"tz\":\"UTC\"")),
			 JOB_DELAYED);
	struct queue_entry entry;
	must(queue_get(q, "night", &entry, &err), &err);
	assert_int_equal(entry.due_ms / 1000 % 86400, 22 * 3600);
	queue_entry_clear(&entry);
}

static void test_doorbell(void **state)
{
	(void)state;
	struct queue_admitted admitted;
	bool rang;
	must(queue_doorbell(q, 1, &rang, &err), &err);
	assert_false(rang);
	freeReplyObject(fixture_command("XADD {sumi}:in * job %s", JOB("a", "")));
	must(queue_doorbell(q, 5000, &rang, &err), &err);
	assert_true(rang);
	must(queue_admit(q, 10, &admitted, &err), &err);
	must(queue_doorbell(q, 5000, &rang, &err), &err);
	assert_true(rang); /* a is ready */
	must(queue_doorbell(q, 1, &rang, &err), &err);
	assert_false(rang);
}

static void ring(int jobs)
{
	bool rang;
	for (int i = 0; i < jobs; i++)
		freeReplyObject(fixture_command("XADD {sumi}:in * modality image prompt p%d", i));
	must(queue_doorbell(q, 5000, &rang, &err), &err);
	assert_true(rang);
}

/* What the doorbell read is a beginning, not all that there is, and may be old. */
static void test_admitting_what_rang(void **state)
{
	(void)state;
	struct queue *other = fixture_queue();
	struct queue_admitted admitted;
	ring(3);
	must(queue_admit(q, 100, &admitted, &err), &err);
	assert_int_equal(admitted.jobs, 3);
	ring(40);
	must(queue_admit(q, 100, &admitted, &err), &err);
	assert_int_equal(admitted.jobs, 40);
	ring(2);
	must(queue_admit(other, 100, &admitted, &err), &err);
	assert_int_equal(admitted.jobs, 2);
	must(queue_admit(q, 100, &admitted, &err), &err);
	assert_int_equal(admitted.jobs + admitted.duplicates + admitted.rejected, 0);
	ring(2);
	freeReplyObject(fixture_command("SCRIPT FLUSH"));
	must(queue_admit(q, 100, &admitted, &err), &err);
	assert_int_equal(admitted.jobs, 2);
	queue_close(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_routing),
	    TEST(test_priorities),
	    TEST(test_fair_between_senders),
	    TEST(test_listing_of_ready_jobs_is_their_order),
	    TEST(test_not_before),
	    TEST(test_retry_now_of_a_delayed_job),
	    TEST(test_windows),
	    TEST(test_deadlines),
	    TEST(test_pause),
	    TEST(test_preemption),
	    TEST(test_urgent_jobs_with_conditions_preempt_too),
	    TEST(test_one_urgent_job_stops_one_worker),
	    TEST(test_recurring),
	    TEST(test_recurring_daily_begins_at_its_time),
	    TEST(test_doorbell),
	    TEST(test_admitting_what_rang),
	};
	return cmocka_run_group_tests(tests, NULL, fixture_stop);
}
