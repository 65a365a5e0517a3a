/* The heartbeat of a job whose step takes longer than it may be silent for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "daemon/beat.h"
#include "redis_fixture.h"

enum { LEASE_MS = 300, LIMIT_MS = 200, LONG_MS = 1000, PATIENCE_MS = 60000 };

static struct error err;

static atomic_int works, told;

/* What the device has done: more at each look, while it works. */
static uint64_t done(void *context)
{
	static uint64_t pieces;
	(void)context;
	pieces += (uint64_t)atomic_load(&works);
	return pieces;
}

static void alive(void *context)
{
	(void)context;
	atomic_fetch_add(&told, 1);
}

/* When the lease of job a ends, by Redis' clock. */
static int64_t ends(void)
{
	redisReply *reply = fixture_command("ZSCORE {sumi}:running a");
	int64_t at = reply->str ? strtoll(reply->str, NULL, 10) : 0;
	freeReplyObject(reply);
	return at;
}

static void test_work_within_a_step_counts(void **state)
{
	(void)state;
	struct queue_worker worker = fixture_worker("w1");
	struct beat_options options = {.queue = {.url = redis_fixture_url()}, .worker = &worker, .lease_ms = LEASE_MS,
				       .done = done, .alive = alive};
	struct beat *beat;
	fixture_submit(q, JOB("a", ""));
	struct queue_lease lease = fixture_claim("w1", "a");
	lease.lease_ms = LEASE_MS;
	must(beat_start(&options, &beat, &err), &err);
	atomic_store(&works, 1);
	beat_lease(beat, &lease, LIMIT_MS);
	int64_t begin = clock_boot_ms(), first = 0;
	while (clock_boot_ms() < begin + PATIENCE_MS && (!first || ends() < first + LONG_MS)) {
		clock_sleep_ms(20);
		if (clock_boot_ms() > begin + 2 * LIMIT_MS && !first)
			first = ends();
	}
	assert_true(first > 0 && ends() >= first + LONG_MS);
	assert_true(atomic_load(&told) > 0);
	atomic_store(&works, 0);
	int64_t before, after = ends();
	begin = clock_boot_ms();
	do {
		before = after;
		clock_sleep_ms(3 * LIMIT_MS);
		after = ends();
	} while (before != after && clock_boot_ms() < begin + PATIENCE_MS);
	assert_int_equal(before, after); /* it hangs */
	beat_release(beat);
	beat_stop(beat);
	queue_lease_clear(&lease);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_work_within_a_step_counts),
	};
	return cmocka_run_group_tests(tests, NULL, fixture_stop);
}
