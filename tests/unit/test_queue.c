/* Every transition of the queue, against a real redis-server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "queue/internal.h"
#include "queue/saved.h"
#include "check.h"
#include "redis_fixture.h"

static struct error err;

static void test_submit_to_done(void **state)
{
	(void)state;
	struct queue_entry entry;
	assert_int_equal(fixture_submit(q, JOB("a", ",\"n\":2,\"seed\":7")), JOB_READY);
	struct queue_lease lease = fixture_claim("w1", "a");
	assert_int_equal(lease.attempt, 1);
	assert_int_equal(lease.job.seed, 7);
	assert_int_equal(fixture_state(q, "a"), JOB_RUNNING);
	must(queue_variant(q, &lease, 1, "{\"file\":\"x\"}", &err), &err);
	must(queue_variant(q, &lease, 1, "{\"file\":\"x\"}", &err), &err);
	assert_int_equal(fixture_finish(&lease), QUEUE_FINISHED);
	must(queue_get(q, "a", &entry, &err), &err);
	assert_int_equal(entry.state, JOB_DONE);
	assert_int_equal(entry.variants, 1);
	assert_int_equal(json_array_size(entry.variant_results), 1);
	assert_string_equal(entry.result_json, "{\"ok\":true}");
	assert_string_equal(entry.worker, "w1");
	queue_entry_clear(&entry);
	queue_lease_clear(&lease);
	fixture_claim("w1", NULL);
}

static void test_same_id_twice(void **state)
{
	(void)state;
	struct queue_stats stats;
	fixture_submit(q, JOB("a", ""));
	fixture_submit(q, JOB("a", ",\"steps\":9"));
	must(queue_stats(q, &stats, &err), &err);
	assert_int_equal(stats.states[JOB_READY], 1);
	assert_int_equal(stats.total_submitted, 1);
	fixture_finish_next("a");
	assert_int_equal(fixture_submit(q, JOB("a", "")), JOB_DONE);
	fixture_claim("w1", NULL);
}

static void test_seed_is_drawn_once(void **state)
{
	(void)state;
	struct queue_entry entry;
	fixture_submit(q, JOB("a", ""));
	must(queue_get(q, "a", &entry, &err), &err);
	assert_true(entry.job.seed <= UINT32_MAX);
	struct queue_lease lease = fixture_claim("w1", "a");
	assert_int_equal(lease.job.seed, entry.job.seed);
	queue_entry_clear(&entry);
	queue_lease_clear(&lease);
}

static void test_release_costs_no_attempt(void **state)
{
	(void)state;
	fixture_submit(q, JOB("a", ",\"max_attempts\":1"));
	fixture_submit(q, JOB("b", ""));
	for (int i = 0; i < 3; i++) {
		struct queue_lease lease =
		    fixture_claim("w1", "a"); /* before b: it keeps its turn */
		assert_int_equal(lease.attempt, 1);
		if (i > 0)
			assert_string_equal(lease.state_json, "{\"step\":4}");
		must(queue_release(q, &lease, "drain", "{\"step\":4}", &err), &err);
		assert_int_equal(queue_release(q, &lease, "drain", NULL, &err), SUMI_LOST);
		queue_lease_clear(&lease);
	}
	fixture_finish_next("a");
}

/* Saved steps belong to one variant, are there for the next worker, and go with the job. */
static void test_saved_steps(void **state)
{
	(void)state;
	void *data;
	size_t size;
	fixture_submit(q, JOB("a", ",\"n\":3"));
	struct queue_lease lease = fixture_claim("w1", "a");
	assert_int_equal(lease.saved_variant, -1);
	must(queue_save(q, &lease, 1, "latents\0", 8, &err), &err);
	must(queue_release(q, &lease, "drain", NULL, &err), &err);
	assert_int_equal(queue_save(q, &lease, 1, "late", 4, &err), SUMI_LOST);
	queue_lease_clear(&lease);
	lease = fixture_claim("w2", "a");
	assert_int_equal(lease.saved_variant, 1);
	assert_int_equal(queue_saved(q, "a", 2, &data, &size, &err), SUMI_NOTFOUND);
	must(queue_saved(q, "a", 1, &data, &size, &err), &err);
	assert_int_equal(size, 8);
	assert_memory_equal(data, "latents\0", 8);
	free(data);
	assert_int_equal(fixture_finish(&lease), QUEUE_FINISHED);
	assert_int_equal(fixture_int("EXISTS {sumi}:saved:a"), 0);
	queue_lease_clear(&lease);
}

static void test_failures_are_retried_then_put_aside(void **state)
{
	(void)state;
	struct queue_failure failure = {.status = SUMI_DEVICE, .text = "the device is on fire"};
	struct queue_dead_letter *letters;
	struct queue_entry entry;
	struct queue_reaped reaped;
	enum job_state after;
	size_t count;
	fixture_submit(q, JOB("a", ",\"max_attempts\":2"));
	struct queue_lease lease = fixture_claim("w1", "a");
	must(queue_fail(q, &lease, &failure, &after, &err), &err);
	assert_int_equal(after, JOB_DELAYED);
	assert_int_equal(queue_fail(q, &lease, &failure, &after, &err), SUMI_LOST);
	queue_lease_clear(&lease);
	must(queue_get(q, "a", &entry, &err), &err);
	assert_within(entry.due_ms - clock_wall_ms(), 2000, 5001);
	queue_entry_clear(&entry);
	freeReplyObject(fixture_command("ZADD {sumi}:delayed 1 a"));
	must(queue_reap(q, 0, &reaped, &err), &err);
	lease = fixture_claim("w1", "a");
	assert_int_equal(lease.failures, 1);
	must(queue_fail(q, &lease, &failure, &after, &err), &err);
	assert_int_equal(after, JOB_FAILED);
	queue_lease_clear(&lease);
	must(queue_get(q, "a", &entry, &err), &err);
	assert_string_equal(entry.error, "the device is on fire");
	assert_string_equal(entry.error_code, "device");
	queue_entry_clear(&entry);
	must(queue_dead_letters(q, 10, &letters, &count, &err), &err);
	assert_int_equal(count, 1);
	assert_string_equal(letters[0].id, "a");
	assert_string_equal(letters[0].reason, "device: the device is on fire");
	queue_dead_letters_free(letters, count);
	/* By hand it begins anew, with all its attempts. */
	must(queue_retry(q, "a", &err), &err);
	lease = fixture_claim("w1", "a");
	assert_int_equal(lease.failures, 0);
	queue_lease_clear(&lease);
}

static void test_final_failure(void **state)
{
	(void)state;
	struct queue_failure failure = {.status = SUMI_INVALID, .text = "no", .final = true};
	enum job_state after;
	fixture_submit(q, JOB("a", ""));
	struct queue_lease lease = fixture_claim("w1", "a");
	must(queue_fail(q, &lease, &failure, &after, &err), &err);
	assert_int_equal(after, JOB_FAILED);
	queue_lease_clear(&lease);
}

static void lapse(const char *id)
{
	freeReplyObject(fixture_command("ZADD {sumi}:running 1 %s", id));
}

static void test_lease_expiry_and_zombie(void **state)
{
	(void)state;
	struct queue_reaped reaped;
	enum queue_hint hint;
	enum job_state after;
	fixture_submit(q, JOB("a", ""));
	must(queue_reap(q, 0, &reaped, &err), &err);
	struct queue_lease old = fixture_claim("w1", "a");
	must(queue_reap(q, 0, &reaped, &err), &err);
	assert_int_equal(reaped.recovered, 0);
	lapse("a");
	must(queue_reap(q, 0, &reaped, &err), &err);
	assert_int_equal(reaped.recovered, 1);
	struct queue_lease new = fixture_claim("w2", "a");
	assert_int_equal(new.crashes, 1);
	assert_int_equal(new.attempt, 2);
	assert_string_not_equal(new.token, old.token);
	/* The first worker was only frozen: everything it tries is refused. */
	struct queue_failure failure = {.status = SUMI_IO, .text = "late"};
	assert_int_equal(queue_beat(q, &old, NULL, &hint, &err), SUMI_LOST);
	assert_int_equal(queue_fail(q, &old, &failure, &after, &err), SUMI_LOST);
	assert_int_equal(queue_release(q, &old, "drain", NULL, &err), SUMI_LOST);
	assert_int_equal(queue_variant(q, &old, 0, "{}", &err), SUMI_LOST);
	assert_int_equal(queue_event(q, &old, "preview", "data", "x", 1, &err), SUMI_LOST);
	must(queue_beat(q, &new, NULL, &hint, &err), &err);
	assert_int_equal(fixture_finish(&new), QUEUE_FINISHED);
	assert_int_equal(fixture_finish(&new), QUEUE_ALREADY);
	assert_int_equal(fixture_finish(&old), QUEUE_SUPERSEDED);
	queue_lease_clear(&old);
	queue_lease_clear(&new);
}

static void test_zombie_that_finishes_first_wins(void **state)
{
	(void)state;
	struct queue_reaped reaped;
	enum queue_hint hint;
	fixture_submit(q, JOB("a", ""));
	struct queue_lease old = fixture_claim("w1", "a");
	must(queue_reap(q, 0, &reaped, &err), &err);
	lapse("a");
	must(queue_reap(q, 0, &reaped, &err), &err);
	struct queue_lease new = fixture_claim("w2", "a");
	assert_int_equal(fixture_finish(&old), QUEUE_FINISHED);
	assert_int_equal(queue_beat(q, &new, NULL, &hint, &err), SUMI_LOST);
	assert_int_equal(fixture_finish(&new), QUEUE_SUPERSEDED);
	assert_int_equal(fixture_int("ZCARD {sumi}:running"), 0);
	assert_int_equal(fixture_int("ZCARD {sumi}:done"), 1);
	queue_lease_clear(&old);
	queue_lease_clear(&new);
}

static void test_poison(void **state)
{
	(void)state;
	struct queue_reaped reaped;
	struct queue_entry entry;
	must(queue_reap(q, 0, &reaped, &err), &err);
	fixture_submit(q, JOB("a", ""));
	for (int crash = 1; crash <= 3; crash++) {
		struct queue_lease lease = fixture_claim("w1", "a");
		queue_lease_clear(&lease);
		lapse("a");
		must(queue_reap(q, 0, &reaped, &err), &err);
		assert_int_equal(reaped.recovered, crash < 3);
		assert_int_equal(reaped.failed, crash == 3);
		if (crash == 2) { /* from the second crash on it waits */
			assert_int_equal(fixture_state(q, "a"), JOB_DELAYED);
			must(queue_retry(q, "a", &err), &err);
			freeReplyObject(fixture_command("HSET {sumi}:job:a crashes 2"));
		}
	}
	must(queue_get(q, "a", &entry, &err), &err);
	assert_int_equal(entry.state, JOB_FAILED);
	assert_int_equal(entry.failures, 0);
	assert_string_equal(entry.error_code, "crashed");
	queue_entry_clear(&entry);
}

static void test_dependencies(void **state)
{
	(void)state;
	assert_int_equal(fixture_submit(q, JOB("c", ",\"after\":[\"a\",\"b\",\"a\"]")),
			 JOB_BLOCKED);
	fixture_submit(q, JOB("a", ""));
	fixture_submit(q, JOB("b", ""));
	fixture_finish_next("a");
	assert_int_equal(fixture_state(q, "c"), JOB_BLOCKED);
	fixture_finish_next("b");
	fixture_finish_next("c");
	/* What is done already is not waited for. */
	assert_int_equal(fixture_submit(q, JOB("d", ",\"after\":[\"a\"]")), JOB_READY);
	assert_int_equal(fixture_int("EXISTS {sumi}:next:a {sumi}:next:b"), 0);
}

static void test_failed_dependencies(void **state)
{
	(void)state;
	struct queue_entry entry;
	struct queue_failure failure = {.status = SUMI_INVALID, .text = "no", .final = true};
	enum job_state after;
	fixture_submit(q, JOB("a", ""));
	fixture_submit(q, JOB("b", ",\"after\":[\"a\"]"));
	fixture_submit(q, JOB("c", ",\"after\":[\"b\"]"));
	struct queue_lease lease = fixture_claim("w1", "a");
	must(queue_fail(q, &lease, &failure, &after, &err), &err);
	queue_lease_clear(&lease);
	must(queue_get(q, "c", &entry, &err), &err);
	assert_int_equal(entry.state, JOB_FAILED);
	assert_string_equal(entry.error_code, "dependency");
	assert_string_equal(entry.error, "job b is failed");
	queue_entry_clear(&entry);
	assert_int_equal(fixture_submit(q, JOB("d", ",\"after\":[\"a\"]")), JOB_FAILED);
	/* Mended from the top, the chain runs. */
	must(queue_retry(q, "a", &err), &err);
	must(queue_retry(q, "b", &err), &err);
	must(queue_retry(q, "c", &err), &err);
	assert_int_equal(fixture_state(q, "c"), JOB_BLOCKED);
	fixture_finish_next("a");
	fixture_finish_next("b");
	fixture_finish_next("c");
}

static void test_circles(void **state)
{
	(void)state;
	struct queue_entry entry;
	fixture_submit(q, JOB("a", ",\"after\":[\"c\"]"));
	fixture_submit(q, JOB("b", ",\"after\":[\"a\",\"x\"]"));
	fixture_submit(q, JOB("far", ",\"after\":[\"b\"]"));
	assert_int_equal(fixture_submit(q, JOB("c", ",\"after\":[\"b\"]")), JOB_FAILED);
	must(queue_get(q, "c", &entry, &err), &err);
	assert_string_equal(entry.error_code, "dependency");
	assert_string_equal(entry.error, "job a, for which it waits, waits for it");
	queue_entry_clear(&entry);
	assert_int_equal(fixture_state(q, "a"), JOB_FAILED);
	assert_int_equal(fixture_state(q, "b"), JOB_FAILED);
	assert_int_equal(fixture_state(q, "far"), JOB_FAILED);
	assert_int_equal(fixture_int("EXISTS {sumi}:next:a {sumi}:next:b {sumi}:next:c {sumi}:next:x"), 0);
	/* Two ways to one job are no circle, in whatever order they come. */
	fixture_submit(q, JOB("end", ",\"after\":[\"left\",\"right\"]"));
	fixture_submit(q, JOB("left", ",\"after\":[\"begin\"]"));
	fixture_submit(q, JOB("right", ",\"after\":[\"begin\",\"left\"]"));
	assert_int_equal(fixture_submit(q, JOB("begin", "")), JOB_READY);
	fixture_finish_next("begin");
	fixture_finish_next("left");
	fixture_finish_next("right");
	fixture_finish_next("end");
}

static void test_cancel_in_each_state(void **state)
{
	(void)state;
	static const char *const jobs[] = {JOB("ready", ""),
					   JOB("delayed", ",\"not_before\":4000000000000"),
					   JOB("blocked", ",\"after\":[\"never\"]")};
	static const char *const ids[] = {"ready", "delayed", "blocked"};
	enum queue_cancel_result result;
	enum queue_hint hint;
	enum job_state after;
	for (size_t i = 0; i < 3; i++) {
		fixture_submit(q, jobs[i]);
		must(queue_cancel(q, ids[i], &result, &err), &err);
		assert_int_equal(result, QUEUE_CANCELLED);
		assert_int_equal(fixture_state(q, ids[i]), JOB_CANCELLED);
		must(queue_cancel(q, ids[i], &result, &err), &err);
		assert_int_equal(result, QUEUE_CANCEL_TOO_LATE);
	}
	assert_int_equal(fixture_int("EXISTS {sumi}:next:never {sumi}:delayed {sumi}:blocked"), 0);
	assert_int_equal(queue_cancel(q, "nobody", &result, &err), SUMI_NOTFOUND);

	fixture_submit(q, JOB("running", ""));
	struct queue_lease lease = fixture_claim("w1", "running");
	must(queue_cancel(q, "running", &result, &err), &err);
	assert_int_equal(result, QUEUE_CANCELLING);
	assert_int_equal(fixture_state(q, "running"), JOB_RUNNING);
	must(queue_beat(q, &lease, NULL, &hint, &err), &err);
	assert_int_equal(hint, QUEUE_STOP_CANCEL);
	struct queue_failure failure = {.status = SUMI_CANCELLED, .text = "cancelled"};
	must(queue_fail(q, &lease, &failure, &after, &err), &err);
	assert_int_equal(after, JOB_CANCELLED);
	queue_lease_clear(&lease);
}

static void test_forget(void **state)
{
	(void)state;
	struct queue_entry entry;
	fixture_submit(q, JOB("a", ""));
	assert_int_equal(queue_forget(q, "a", &err), SUMI_BUSY);
	assert_non_null(strstr(err.text, "ready"));
	fixture_finish_next("a");
	must(queue_forget(q, "a", &err), &err);
	assert_int_equal(queue_get(q, "a", &entry, &err), SUMI_NOTFOUND);
	assert_int_equal(fixture_int("ZCARD {sumi}:done"), 0);
	assert_int_equal(fixture_int("ZCARD {sumi}:tombs"), 1);
	must(queue_forget(q, "a", &err), &err); /* repeated, it does nothing more */
	assert_int_equal(queue_forget(q, "nobody", &err), SUMI_NOTFOUND);

	/* Its id stays taken, and whoever waits for it goes on. */
	freeReplyObject(fixture_command("XADD {sumi}:in * job %s", JOB("a", "")));
	struct queue_admitted admitted;
	must(queue_admit(q, 10, &admitted, &err), &err);
	assert_int_equal(queue_get(q, "a", &entry, &err), SUMI_NOTFOUND);
	assert_int_equal(fixture_submit(q, JOB("b", ",\"after\":[\"a\"]")), JOB_READY);

	/* A recurring job not before its next occurrence is made. */
	fixture_finish_next("b");
	fixture_submit(q, JOB("daily", ",\"every\":\"24h\""));
	fixture_finish_next("daily");
	assert_int_equal(queue_forget(q, "daily", &err), SUMI_BUSY);
	struct queue_reaped reaped;
	must(queue_reap(q, 0, &reaped, &err), &err);
	assert_int_equal(reaped.recurred, 1);
	must(queue_forget(q, "daily", &err), &err);
}

static void test_cancel_overtakes_nothing(void **state)
{
	(void)state;
	struct queue_admitted admitted;
	enum queue_cancel_result result;
	/* Both still lie in the intake. */
	freeReplyObject(fixture_command("XADD {sumi}:in * job %s", JOB("a", "")));
	freeReplyObject(fixture_command("XADD {sumi}:in * op cancel id a"));
	must(queue_admit(q, 10, &admitted, &err), &err);
	assert_int_equal(admitted.jobs, 1);
	assert_int_equal(admitted.operations, 1);
	assert_int_equal(fixture_state(q, "a"), JOB_CANCELLED);
	/* The function finds a job that nobody has admitted yet. */
	freeReplyObject(fixture_command("XADD {sumi}:in * job %s", JOB("b", "")));
	must(queue_cancel(q, "b", &result, &err), &err);
	assert_int_equal(result, QUEUE_CANCELLED);
}

static void test_cancelled_while_its_worker_dies(void **state)
{
	(void)state;
	struct queue_reaped reaped;
	enum queue_cancel_result result;
	fixture_submit(q, JOB("a", ""));
	must(queue_reap(q, 0, &reaped, &err), &err);
	struct queue_lease lease = fixture_claim("w1", "a");
	queue_lease_clear(&lease);
	must(queue_cancel(q, "a", &result, &err), &err);
	lapse("a");
	must(queue_reap(q, 0, &reaped, &err), &err);
	assert_int_equal(fixture_state(q, "a"), JOB_CANCELLED);
}

static void test_claim_is_repeatable(void **state)
{
	(void)state;
	fixture_submit(q, JOB("a", ""));
	fixture_submit(q, JOB("b", ""));
	struct queue_lease lease = fixture_claim("w1", "a");
	/* The reply was lost with the connection: the same command goes out once more. */
	struct command command = {0};
	redisReply *reply = NULL;
	command_script(&command, q, SCRIPT_CLAIM);
	command_text(&command, "w1");
	command_text(&command, lease.token);
	for (int i = 0; i < 4; i++) /* lease, and three empty lists */
		command_int(&command, 0);
	must(script_call(q, SCRIPT_CLAIM, &command, &reply, &err), &err);
	assert_string_equal(reply_text(reply_at(reply, 1)), "a");
	assert_int_equal(fixture_int("ZCARD {sumi}:running"), 1);
	freeReplyObject(reply);
	command_free(&command);
	queue_lease_clear(&lease);
}

static void test_progress_and_events(void **state)
{
	(void)state;
	struct queue_progress progress = {.step = 3, .steps = 20, .eta_s = 1.5};
	struct queue_follower *follower;
	struct queue_event event;
	struct queue_entry entry;
	enum queue_hint hint;
	static const char *const expected[] = {"running", "progress", "preview", "variant", "done"};
	must(queue_follow(q, "a", "0", &follower, &err), &err);
	assert_int_equal(queue_follow_next(follower, 1, &event, &err), SUMI_TIMEOUT);
	fixture_submit(q, JOB("a", ""));
	struct queue_lease lease = fixture_claim("w1", "a");
	must(queue_beat(q, &lease, &progress, &hint, &err), &err);
	must(queue_beat(q, &lease, &progress, &hint, &err), &err); /* no news */
	must(queue_get(q, "a", &entry, &err), &err);
	assert_int_equal(entry.step, 3);
	assert_int_equal(entry.steps, 20);
	assert_true(entry.eta_s == 1.5);
	queue_entry_clear(&entry);
	must(queue_event(q, &lease, "preview", "webp", "\0\xff binary", 9, &err), &err);
	must(queue_variant(q, &lease, 0, "{}", &err), &err);
	fixture_finish(&lease);
	for (size_t i = 0; i < 5; i++) {
		must(queue_follow_next(follower, 5000, &event, &err), &err);
		assert_string_equal(event.event, expected[i]);
		assert_string_equal(event.id, "a");
		if (i == 1)
			assert_string_equal(queue_event_value(&event, "step"), "3");
		if (i == 2) {
			assert_int_equal(event.fields[0].size, 9);
			assert_memory_equal(event.fields[0].value, "\0\xff binary", 9);
		}
		queue_event_clear(&event);
	}
	queue_follow_close(follower);
	queue_lease_clear(&lease);
}

static void test_event_streams_are_bounded(void **state)
{
	(void)state;
	enum queue_hint hint;
	fixture_submit(q, JOB("a", ""));
	struct queue_lease lease = fixture_claim("w1", "a");
	for (int i = 0; i < 300; i++) {
		struct queue_progress progress = {.step = i, .steps = 300};
		must(queue_beat(q, &lease, &progress, &hint, &err), &err);
	}
	assert_int_equal(fixture_int("XLEN {sumi}:ev:a"), 128);
	fixture_finish(&lease);
	assert_within(fixture_int("TTL {sumi}:ev:a"), 1, 86400);
	queue_lease_clear(&lease);
}

static void test_workers(void **state)
{
	(void)state;
	struct queue_worker worker = fixture_worker("w1");
	struct queue_worker_info *list;
	struct queue_stats stats;
	size_t count;
	must(queue_worker_beat(q, &worker, &err), &err);
	fixture_submit(q, JOB("a", ""));
	struct queue_lease lease = fixture_claim("w1", "a");
	must(queue_workers(q, &list, &count, &err), &err);
	assert_int_equal(count, 1);
	assert_string_equal(list[0].name, "w1");
	assert_string_equal(list[0].device, "test");
	assert_string_equal(list[0].job, "a");
	free(list);
	fixture_finish(&lease);
	must(queue_stats(q, &stats, &err), &err);
	assert_int_equal(stats.workers, 1);
	assert_int_equal(stats.workers_busy, 0);
	queue_lease_clear(&lease);
}

static void test_models_that_nobody_has(void **state)
{
	(void)state;
	struct queue_worker worker = fixture_worker("w1");
	struct queue_unserved *list;
	size_t count;
	bool served;
	fixture_submit(q, JOB("a", ",\"model\":\"inkling\""));
	fixture_submit(q, JOB("b", ",\"model\":\"inkling\",\"window\":\"00:00-24:00\""));
	fixture_submit(q, JOB("c", ",\"model\":\"ink\""));
	/* Without any worker the missing model is not the trouble. */
	must(queue_unserved(q, &list, &count, &err), &err);
	assert_int_equal(count, 0);
	free(list);
	must(queue_worker_beat(q, &worker, &err), &err);
	must(queue_unserved(q, &list, &count, &err), &err);
	assert_int_equal(count, 1);
	assert_string_equal(list[0].class, "image/inkling");
	assert_int_equal(list[0].jobs, 2);
	free(list);
	must(queue_served(q, "image", "inkling", &served, &err), &err);
	assert_false(served);
	must(queue_served(q, "image", NULL, &served, &err), &err);
	assert_true(served);
	must(queue_served(q, "audio", NULL, &served, &err), &err);
	assert_false(served);
	fixture_finish_next("c");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_submit_to_done),
	    TEST(test_same_id_twice),
	    TEST(test_seed_is_drawn_once),
	    TEST(test_release_costs_no_attempt),
	    TEST(test_saved_steps),
	    TEST(test_failures_are_retried_then_put_aside),
	    TEST(test_final_failure),
	    TEST(test_lease_expiry_and_zombie),
	    TEST(test_zombie_that_finishes_first_wins),
	    TEST(test_poison),
	    TEST(test_dependencies),
	    TEST(test_failed_dependencies),
	    TEST(test_circles),
	    TEST(test_cancel_in_each_state),
	    TEST(test_forget),
	    TEST(test_cancel_overtakes_nothing),
	    TEST(test_cancelled_while_its_worker_dies),
	    TEST(test_claim_is_repeatable),
	    TEST(test_progress_and_events),
	    TEST(test_event_streams_are_bounded),
	    TEST(test_workers),
	    TEST(test_models_that_nobody_has),
	};
	return cmocka_run_group_tests(tests, NULL, fixture_stop);
}
