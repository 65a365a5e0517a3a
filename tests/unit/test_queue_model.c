/* A random walk through the queue with workers that are killed, frozen and woken, and a Redis
 * that is killed and loses what it wrote last: whatever happens, every job stands in exactly one
 * place, the one that its state names, and is finished exactly once. Each seed is a walk of its own
 * and always the same one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "redis_fixture.h"

#define JOBS 60
#define WORKERS 4
#define ZOMBIES 16
#define STEPS 2500
#define CHECK_EVERY 25

struct model_job {
	bool sent;
	int finished; /* times that QUEUE_FINISHED was returned */
	char winner[QUEUE_TOKEN_SIZE];
	int after; /* index of the job it waits for, or −1 */
	int seen;  /* places where check() has found it */
	char place[16];
};

struct model {
	uint64_t random;
	struct queue *q;
	struct model_job jobs[JOBS];
	int sent;
	struct queue_lease held[WORKERS]; /* id "" when idle */
	struct queue_lease zombies[ZOMBIES];
	int zombie_count;
	bool paused;
};

static struct error err;

/* xorshift64* (Vigna 2016) */
static uint32_t draw(struct model *m, uint32_t below)
{
	m->random ^= m->random >> 12;
	m->random ^= m->random << 25;
	m->random ^= m->random >> 27;
	return (uint32_t)((m->random * UINT64_C(2685821657736338717)) >> 33) % below;
}

static void job_name(int i, char out[16])
{
	snprintf(out, 16, "j%d", i);
}

static int job_index(const char *id)
{
	return (int)strtol(id + 1, NULL, 10);
}

static void submit(struct model *m, int i)
{
	static const char *const priorities[] = {"high", "normal", "batch"};
	struct model_job *j = &m->jobs[i];
	char after[16] = "";
	if (!j->sent)
		j->after = i > 0 && draw(m, 4) == 0 ? (int)draw(m, (uint32_t)i) : -1;
	if (j->after >= 0)
		snprintf(after, sizeof after, "j%d", j->after);
	redisReply *reply = fixture_command(
	    "XADD {sumi}:in * id j%d modality image prompt x priority %s submitter s%d after %s "
	    "not_before %s max_attempts 2",
	    i, priorities[i % 3], i % 4, after, i % 5 == 0 ? "4000000000000" : "1");
	freeReplyObject(reply);
	j->sent = true;
}

static enum queue_finish_result assert_finish(struct model *m, const char *id, const char *token)
{
	char json[80];
	enum queue_finish_result result;
	snprintf(json, sizeof json, "{\"id\":\"%s\",\"modality\":\"image\",\"prompt\":\"x\"}", id);
	struct queue_finish f = {
	    .id = id, .token = token, .worker = "w", .result_json = "{}", .job_json = json};
	must(queue_finish(m->q, &f, &result, &err), &err);
	return result;
}

static void note_finish(struct model *m, const struct queue_lease *lease)
{
	enum queue_finish_result result = assert_finish(m, lease->id, lease->token);
	struct model_job *j = &m->jobs[job_index(lease->id)];
	if (result == QUEUE_FINISHED) {
		j->finished++;
		strcpy(j->winner, lease->token);
	} else if (result == QUEUE_ALREADY) {
		assert_string_equal(j->winner, lease->token);
	}
}

static void forget(struct queue_lease *lease)
{
	queue_lease_clear(lease);
}

/* The worker's process is gone; its lease may come back as that of a zombie. */
static void kill_worker(struct model *m, struct queue_lease *lease)
{
	freeReplyObject(fixture_command("ZADD {sumi}:running XX 1 %s", lease->id));
	if (m->zombie_count == ZOMBIES) {
		forget(lease);
		return;
	}
	m->zombies[m->zombie_count++] = *lease;
	memset(lease, 0, sizeof *lease);
}

static void work(struct model *m, int w)
{
	struct queue_lease *lease = &m->held[w];
	struct queue_failure failure = {.status = SUMI_DEVICE, .text = "x", .jitter = 0.5};
	enum queue_hint hint;
	enum job_state after;
	char name[16];
	int status;
	if (!*lease->id) {
		snprintf(name, sizeof name, "w%d", w);
		struct queue_worker worker = fixture_worker(name);
		status = queue_claim(m->q, &worker, 600000, lease, &err);
		assert_true(status == SUMI_OK || status == SUMI_NOTFOUND);
		assert_false(status == SUMI_OK && m->paused);
		return;
	}
	switch (draw(m, 8)) {
	case 0:
		kill_worker(m, lease);
		return;
	case 1:
		status = queue_fail(m->q, lease, &failure, &after, &err);
		assert_true(status == SUMI_OK || status == SUMI_LOST);
		break;
	case 2:
		status = queue_release(m->q, lease, "drain", NULL, &err);
		assert_true(status == SUMI_OK || status == SUMI_LOST);
		break;
	case 3:
	case 4:
		note_finish(m, lease);
		break;
	default:
		status = queue_beat(m->q, lease, NULL, &hint, &err);
		assert_true(status == SUMI_OK || status == SUMI_LOST);
		if (status == SUMI_OK && hint == QUEUE_STOP_CANCEL) {
			failure.status = SUMI_CANCELLED;
			must(queue_fail(m->q, lease, &failure, &after, &err), &err);
			assert_int_equal(after, JOB_CANCELLED);
		} else if (status == SUMI_OK) {
			return;
		}
	}
	forget(lease);
}

static void wake_zombie(struct model *m)
{
	if (!m->zombie_count)
		return;
	int i = (int)draw(m, (uint32_t)m->zombie_count);
	struct queue_lease *z = &m->zombies[i];
	enum queue_hint hint;
	if (draw(m, 2))
		note_finish(m, z);
	else
		(void)queue_beat(m->q, z, NULL, &hint, &err);
	if (draw(m, 3) == 0) {
		forget(z);
		*z = m->zombies[--m->zombie_count];
		memset(&m->zombies[m->zombie_count], 0, sizeof *z);
	}
}

/* Somebody cancels or retries any job, in whatever state it is. */
static void meddle(struct model *m)
{
	char id[16];
	enum queue_cancel_result result;
	if (!m->sent)
		return;
	job_name((int)draw(m, (uint32_t)m->sent), id);
	if (draw(m, 3)) {
		int status = queue_retry(m->q, id, &err);
		assert_true(status == SUMI_OK || status == SUMI_INVALID || status == SUMI_NOTFOUND);
	} else {
		must(queue_cancel(m->q, id, &result, &err), &err);
	}
}

static void clockwork(struct model *m)
{
	struct queue_admitted admitted;
	struct queue_reaped reaped;
	must(queue_admit(m->q, 3, &admitted, &err), &err);
	if (draw(m, 3) == 0) { /* time passes for one delayed job */
		redisReply *first = fixture_command("ZRANGE {sumi}:delayed 0 0");
		if (first->elements)
			freeReplyObject(
			    fixture_command("ZADD {sumi}:delayed 1 %s", first->element[0]->str));
		freeReplyObject(first);
	}
	must(queue_reap(m->q, 0, &reaped, &err), &err);
}

/* Killed, or cut off from the power with what it wrote last lost. Then the workers do what
 * they do when they see another server: they assert what they have finished; and senders
 * that are not sure send again. */
static void crash_redis(struct model *m)
{
	if (draw(m, 2)) {
		redis_fixture_crash();
		return;
	}
	redis_fixture_rewind(draw(m, 20000));
	m->paused = fixture_int("EXISTS {sumi}:paused") == 1;
	for (int i = 0; i < m->sent; i++) {
		struct model_job *j = &m->jobs[i];
		char id[16];
		job_name(i, id);
		submit(m, i);
		if (!j->finished || assert_finish(m, id, j->winner) != QUEUE_SUPERSEDED)
			continue;
		/* Back at an end that it had come to before somebody had it tried again. */
		enum job_state state = fixture_state(m->q, id);
		assert_true(state == JOB_FAILED || state == JOB_CANCELLED);
		j->finished = 0;
	}
}

static void step(struct model *m)
{
	switch (draw(m, 16)) {
	case 0:
		if (m->sent < JOBS)
			submit(m, m->sent++);
		break;
	case 1:
		if (m->sent)
			submit(m, (int)draw(m, (uint32_t)m->sent)); /* once more */
		break;
	case 2:
		wake_zombie(m);
		break;
	case 3:
		if (draw(m, 4) == 0)
			meddle(m);
		break;
	case 4:
	case 5:
	case 6:
		clockwork(m);
		break;
	case 7:
		if (draw(m, 10) == 0) {
			m->paused = !m->paused;
			must(m->paused ? queue_pause(m->q, "", &err) : queue_resume(m->q, &err),
			     &err);
		} else if (draw(m, 40) == 0) {
			crash_redis(m);
		}
		break;
	default:
		work(m, (int)draw(m, WORKERS));
	}
}

/* ---- what must always hold --------------------------------------------------------------- */

static void note_members(struct model *m, const char *key, const char *place)
{
	redisReply *ids = fixture_command("ZRANGE {sumi}:%s 0 -1", key);
	for (size_t i = 0; i < ids->elements; i++) {
		struct model_job *j = &m->jobs[job_index(ids->element[i]->str)];
		j->seen++;
		snprintf(j->place, sizeof j->place, "%s", place);
	}
	freeReplyObject(ids);
}

static void check_job(struct model *m, int i)
{
	struct model_job *j = &m->jobs[i];
	redisReply *h = fixture_command("HMGET {sumi}:job:j%d state token winner", i);
	const char *state = h->element[0]->str, *token = h->element[1]->str;
	if (!state) { /* still in the intake */
		assert_int_equal(j->seen, 0);
	} else {
		if (j->seen != 1 || strcmp(j->place, state) != 0)
			fail_msg("job j%d is %s, found in %d places, last %s", i, state, j->seen,
				 j->place);
		assert_int_equal(token != NULL, strcmp(state, "running") == 0);
		assert_int_equal(j->finished, strcmp(state, "done") == 0);
		if (j->finished)
			assert_string_equal(h->element[2]->str, j->winner);
		if (strcmp(state, "blocked") == 0)
			assert_true(j->after >= 0 && m->jobs[j->after].finished == 0);
	}
	freeReplyObject(h);
}

/* What stands in `ready` stands in the queue of its class too, and is counted there. */
static void check_ready(void)
{
	int64_t all = fixture_int("ZCARD {sumi}:ready");
	assert_int_equal(fixture_int("ZCARD {sumi}:ready:image/"), all);
	assert_int_equal(fixture_int("EXISTS {sumi}:classes"), all > 0);
	assert_int_equal(fixture_int("EXISTS {sumi}:heads:image/"), all > 0);
	if (all == 0)
		return;
	redisReply *count = fixture_command("HGET {sumi}:classes image/");
	assert_int_equal(strtoll(count->str, NULL, 10), all);
	redisReply *head = fixture_command("ZRANGE {sumi}:heads:image/ 0 -1 WITHSCORES");
	redisReply *first = fixture_command("ZRANGE {sumi}:ready 0 0 WITHSCORES");
	assert_int_equal(head->elements, 2);
	assert_string_equal(head->element[1]->str, first->element[1]->str);
	freeReplyObject(count);
	freeReplyObject(head);
	freeReplyObject(first);
}

static void check(struct model *m)
{
	static const char *const places[] = {"ready", "delayed", "blocked",  "running",
					     "done",  "failed",  "cancelled"};
	for (int i = 0; i < JOBS; i++)
		m->jobs[i].seen = 0;
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
		note_members(m, places[i], places[i]);
	check_ready();
	for (int i = 0; i < m->sent; i++)
		check_job(m, i);
	/* No worker is said to be at a job that is another's. */
	for (int w = 0; w < WORKERS; w++) {
		redisReply *h = fixture_command("HMGET {sumi}:worker:w%d job token", w);
		if (h->element[0]->str) {
			redisReply *token =
			    fixture_command("HGET {sumi}:job:%s token", h->element[0]->str);
			assert_string_equal(token->str, h->element[1]->str);
			freeReplyObject(token);
		}
		freeReplyObject(h);
	}
}

/* Everyone behaves from now on: every job must come to its end. */
static void drain(struct model *m)
{
	struct queue_admitted admitted;
	struct queue_reaped reaped;
	struct queue_stats stats;
	for (int w = 0; w < WORKERS; w++)
		forget(&m->held[w]);
	while (m->zombie_count)
		forget(&m->zombies[--m->zombie_count]);
	redisReply *running = fixture_command("ZRANGE {sumi}:running 0 -1");
	for (size_t i = 0; i < running->elements; i++)
		freeReplyObject(
		    fixture_command("ZADD {sumi}:running 1 %s", running->element[i]->str));
	freeReplyObject(running);
	must(queue_resume(m->q, &err), &err);
	m->paused = false;
	for (int round = 0; round < 10 * JOBS; round++) {
		must(queue_admit(m->q, 1000, &admitted, &err), &err);
		redisReply *delayed = fixture_command("ZRANGE {sumi}:delayed 0 -1");
		for (size_t i = 0; i < delayed->elements; i++)
			freeReplyObject(
			    fixture_command("ZADD {sumi}:delayed 1 %s", delayed->element[i]->str));
		freeReplyObject(delayed);
		must(queue_reap(m->q, 0, &reaped, &err), &err);
		struct queue_worker worker = fixture_worker("w0");
		if (queue_claim(m->q, &worker, 600000, &m->held[0], &err) == SUMI_OK) {
			note_finish(m, &m->held[0]);
			forget(&m->held[0]);
		}
	}
	must(queue_stats(m->q, &stats, &err), &err);
	assert_int_equal(stats.intake, 0);
	assert_int_equal(stats.states[JOB_DONE] + stats.states[JOB_FAILED] +
			     stats.states[JOB_CANCELLED],
			 m->sent);
	assert_int_equal(stats.total_submitted, m->sent);
}

static void walk(uint64_t seed)
{
	struct model *m = calloc(1, sizeof *m);
	struct queue_reaped reaped;
	redis_fixture_stop(); /* on a new file: a rewind must not bring back an earlier walk */
	redis_fixture_start();
	m->random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
	m->q = fixture_queue();
	must(queue_reap(m->q, 0, &reaped, &err), &err);
	for (int i = 0; i < STEPS; i++) {
		step(m);
		if (i % CHECK_EVERY == 0)
			check(m);
	}
	drain(m);
	check(m);
	assert_int_equal(m->sent, JOBS);
	queue_close(m->q);
	free(m);
}

static void test_walk_1(void **state)
{
	(void)state;
	walk(1);
}

static void test_walk_2(void **state)
{
	(void)state;
	walk(2);
}

static void test_walk_3(void **state)
{
	(void)state;
	walk(3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_walk_1),
	    cmocka_unit_test(test_walk_2),
	    cmocka_unit_test(test_walk_3),
	};
	return cmocka_run_group_tests(tests, NULL, fixture_stop);
}
