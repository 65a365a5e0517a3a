/* A queue that holds very much: no script does more than a bounded number of commands, because Redis
 * serves nobody else meanwhile, and all the same everything is done in the end.
 *
 * Counted is what MONITOR shows of each script. With SUMI_MANY=1000000 (`make soak`) so many jobs are
 * taken, and how long the scripts take is told by SLOWLOG instead (those above 0.2 ms; it has their
 * commands too); with SUMI_ONLY=PATTERN only for some of the tests. */
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

#define MANY 1000
#define SLOW_MOST 100000 /* scripts that are looked at */
#define COMMANDS_MOST 600 /* of one script: 250, and the last job that it began with */

static struct error err;
static int many = MANY;
static bool timed; /* by SLOWLOG */
static redisContext *monitor;

/* ---- watching the scripts ------------------------------------------------------------------ */

static void watch_begin(void)
{
	if (timed) {
		freeReplyObject(fixture_command("CONFIG SET slowlog-log-slower-than 200"));
		freeReplyObject(fixture_command("CONFIG SET slowlog-max-len %d", SLOW_MOST));
		freeReplyObject(fixture_command("SLOWLOG RESET"));
		return;
	}
	monitor = redisConnectUnix(redis_fixture_url() + strlen("unix://"));
	redisReply *ok = redisCommand(monitor, "MONITOR");
	assert_non_null(ok);
	freeReplyObject(ok);
}

static int by_value(const void *a, const void *b)
{
	long long x = *(const long long *)a, y = *(const long long *)b;
	return x < y ? -1 : x > y;
}

static void report_slow(const char *what)
{
	static long long us[SLOW_MOST];
	size_t scripts = 0;
	redisReply *log = fixture_command("SLOWLOG GET %d", SLOW_MOST);
	for (size_t i = 0; i < log->elements; i++) {
		const redisReply *e = log->element[i];
		if (strcmp(e->element[3]->element[0]->str, "EVALSHA") != 0)
			continue;
		us[scripts++] = e->element[2]->integer;
	}
	freeReplyObject(log);
	if (scripts == 0) {
		printf("%-46s none above 0.2 ms\n", what);
		return;
	}
	qsort(us, scripts, sizeof *us, by_value);
	printf("%-46s %6zu scripts: p50 %.2f, p99 %.2f, longest %.2f ms\n", what, scripts,
	       (double)us[scripts / 2] / 1e3, (double)us[scripts * 99 / 100] / 1e3,
	       (double)us[scripts - 1] / 1e3);
}

/* The commands of the largest script since watch_begin(). */
static void watch_end(const char *what)
{
	int most = 0, now = 0, scripts = 0;
	if (timed) {
		report_slow(what);
		return;
	}
	freeReplyObject(fixture_command("ECHO that-was-all"));
	for (bool last = false; !last;) {
		redisReply *line;
		assert_int_equal(redisGetReply(monitor, (void **)&line), REDIS_OK);
		if (strstr(line->str, " lua] "))
			now++;
		else if (strstr(line->str, "\"EVALSHA\""))
			now = 0, scripts++;
		last = strstr(line->str, "that-was-all") != NULL;
		most = now > most ? now : most;
		freeReplyObject(line);
	}
	redisFree(monitor);
	assert_true(scripts > 0);
	if (most > COMMANDS_MOST)
		fail_msg("%s: a script of %d commands", what, most);
}

/* ---- filling -------------------------------------------------------------------------------- */

/* Sends `count` jobs, whose flat fields are a format with the number, the same number again (%d or
 * %s are not needed twice), and admits them. */
static void fill(int count, void (*describe)(int i, char *fields, size_t size))
{
	enum { CHUNK = 500 };
	struct queue_admitted admitted;
	redisContext *c = redisConnectUnix(redis_fixture_url() + strlen("unix://"));
	for (int at = 0; at < count; at += CHUNK) {
		int n = count - at < CHUNK ? count - at : CHUNK;
		for (int i = at; i < at + n; i++) {
			char fields[6000], command[6200];
			describe(i, fields, sizeof fields);
			snprintf(command, sizeof command,
				 "XADD {sumi}:in * modality image prompt x %s", fields);
			assert_int_equal(redisAppendCommand(c, command), REDIS_OK);
		}
		for (int i = 0; i < n; i++) {
			redisReply *reply;
			assert_int_equal(redisGetReply(c, (void **)&reply), REDIS_OK);
			assert_int_not_equal(reply->type, REDIS_REPLY_ERROR);
			freeReplyObject(reply);
		}
		must(queue_admit(q, CHUNK, &admitted, &err), &err);
		assert_int_equal(admitted.rejected, 0);
	}
	redisFree(c);
}

static void plain(int i, char *fields, size_t size)
{
	snprintf(fields, size, "id j%d submitter s%d", i, i);
}

static void dependant(int i, char *fields, size_t size)
{
	snprintf(fields, size, "id j%d after first", i);
}

/* After 64 jobs, of which "first" is one. */
static void dependant_of_many(int i, char *fields, size_t size)
{
	int used = snprintf(fields, size, "id j%d after first", i);
	for (int k = 1; k < 64; k++)
		used += snprintf(fields + used, size - (size_t)used, ",other-%d", k);
}

/* Each after the next, so that the last one closes a circle, or none. */
static void in_a_row(int i, char *fields, size_t size)
{
	snprintf(fields, size, "id j%d after j%d", i, i + 1);
}

static void chained(int i, char *fields, size_t size)
{
	if (i == 0)
		snprintf(fields, size, "id j0 after first");
	else
		snprintf(fields, size, "id j%d after j%d", i, i - 1);
}

static void later(int i, char *fields, size_t size)
{
	snprintf(fields, size, "id j%d not_before 4000000000000 submitter s%d", i, i % 7);
}

static void with_deadline(int i, char *fields, size_t size)
{
	snprintf(fields, size, "id j%d deadline 4000000000000", i);
}

/* Windows that are closed at the time that set_minutes() sets: 00:00 to 00:01 in all zones. */
static void in_a_window(int i, char *fields, size_t size)
{
	int from = 60 + i % 600, to = from + 1 + i / 600 % 600;
	snprintf(fields, size, "id j%d priority %s tz UTC window %02d:%02d-%02d:%02d", i,
		 i % 2 ? "high" : "normal", from / 60, from % 60, to / 60, to % 60);
}

static void recurring(int i, char *fields, size_t size)
{
	snprintf(fields, size, "id j%d every 24h", i);
}

static void first_job(int i, char *fields, size_t size)
{
	(void)i;
	snprintf(fields, size, "id first");
}

static int64_t count_of(const char *state)
{
	return fixture_int("ZCARD {sumi}:%s", state);
}

/* The clockwork, until a state has so many jobs. */
static void wind_until(const char *state, int64_t wanted)
{
	struct queue_reaped reaped;
	for (int i = 0; i < 100000 && count_of(state) != wanted; i++)
		must(queue_reap(q, 0, &reaped, &err), &err);
	assert_int_equal(count_of(state), wanted);
}

/* The score of every member of a zset: it is long due. */
static void all_due(const char *key)
{
	freeReplyObject(fixture_command("ZUNIONSTORE {sumi}:%s 1 {sumi}:%s WEIGHTS 0", key, key));
}

/* ---- cases ---------------------------------------------------------------------------------- */

static void test_finish_with_dependants(void **state)
{
	(void)state;
	fill(1, first_job);
	fill(many, dependant);
	struct queue_lease lease = fixture_claim("w1", "first");
	watch_begin();
	assert_int_equal(fixture_finish(&lease), QUEUE_FINISHED);
	wind_until("ready", many);
	watch_end("finish a job for which many wait");
	assert_int_equal(count_of("blocked"), 0);
	assert_int_equal(fixture_int("EXISTS {sumi}:settling {sumi}:next:first"), 0);
	queue_lease_clear(&lease);
}

static void test_failure_with_dependants_of_many(void **state)
{
	(void)state;
	enum queue_cancel_result result;
	int count = many / 3;
	fill(1, first_job);
	fill(count, dependant_of_many);
	watch_begin();
	must(queue_cancel(q, "first", &result, &err), &err);
	wind_until("failed", count);
	watch_end("cancel a job for which many wait, each for 64");
	assert_int_equal(count_of("blocked"), 0);
	assert_int_equal(count_of("awaiting"), 0);
	assert_int_equal(fixture_int("EXISTS {sumi}:next:other-1 {sumi}:next:other-63"), 0);
}

static void test_failure_along_a_chain(void **state)
{
	(void)state;
	enum queue_cancel_result result;
	fill(1, first_job);
	fill(many, chained);
	watch_begin();
	must(queue_cancel(q, "first", &result, &err), &err);
	wind_until("failed", many);
	watch_end("cancel the first of a chain");
	assert_int_equal(count_of("blocked"), 0);
}

static void test_a_long_circle(void **state)
{
	(void)state;
	struct queue_admitted admitted;
	char text[128];
	fill(many, in_a_row); /* … → jN, which comes last and goes back to the first */
	watch_begin();
	snprintf(text, sizeof text, "XADD {sumi}:in * modality image prompt x id j%d after j0", many);
	freeReplyObject(fixture_command(text));
	must(queue_admit(q, 10, &admitted, &err), &err);
	wind_until("failed", many + 1);
	watch_end("close a circle of many");
	assert_int_equal(fixture_int("EXISTS {sumi}:circles {sumi}:circle:open {sumi}:circle:seen"), 0);
}

static void test_claims(void **state)
{
	(void)state;
	struct queue_entry *list;
	struct queue_stats stats;
	size_t count;
	fill(many, plain);
	watch_begin();
	struct queue_lease lease = fixture_claim("w1", "j0");
	assert_int_equal(fixture_finish(&lease), QUEUE_FINISHED);
	queue_lease_clear(&lease);
	must(queue_stats(q, &stats, &err), &err);
	assert_int_equal(stats.states[JOB_READY], many - 1);
	must(queue_list(q, JOB_READY, (size_t)many - 11, 20, &list, &count, &err), &err);
	assert_int_equal(count, 10);
	queue_list_free(list, count);
	watch_end("claim, finish, list: a sender for each job");
}

static void test_deadlines_at_a_claim(void **state)
{
	(void)state;
	fill(many, with_deadline);
	for (int i = 0; i < many; i++)
		freeReplyObject(fixture_command("HSET {sumi}:job:j%d deadline 1", i));
	watch_begin();
	for (int i = 0; i < 100000 && count_of("ready"); i++)
		fixture_claim("w1", NULL);
	watch_end("claim where all deadlines have passed");
	assert_int_equal(count_of("failed"), many);
}

static void test_deadlines_and_delays(void **state)
{
	(void)state;
	fill(many, later);
	all_due("delayed");
	watch_begin();
	wind_until("ready", many);
	watch_end("promote many delayed jobs");
	freeReplyObject(fixture_command("FLUSHALL"));
	fill(many, with_deadline);
	all_due("deadline");
	watch_begin();
	wind_until("failed", many);
	watch_end("many deadlines pass");
}

static void test_leases(void **state)
{
	(void)state;
	int count = many / 3;
	fill(count, plain);
	for (int i = 0; i < count; i++) {
		char name[16];
		struct queue_lease lease;
		snprintf(name, sizeof name, "w%d", i);
		struct queue_worker worker = fixture_worker(name);
		must(queue_claim(q, &worker, 60000, &lease, &err), &err);
		queue_lease_clear(&lease);
	}
	all_due("running");
	watch_begin();
	wind_until("ready", count);
	watch_end("take over many leases");
}

static void test_purge(void **state)
{
	(void)state;
	struct queue_trim_options options = {.max_age_ms = 1000, .tombstone_ms = 1000};
	enum queue_cancel_result result;
	size_t purged, sum = 0;
	fill(many, plain);
	for (int i = 0; i < many; i++) {
		char id[16];
		snprintf(id, sizeof id, "j%d", i);
		must(queue_cancel(q, id, &result, &err), &err);
	}
	all_due("cancelled");
	watch_begin();
	for (int i = 0; i < 100000 && sum < (size_t)many; i++) {
		must(queue_trim(q, &options, &purged, &err), &err);
		sum += purged;
	}
	assert_int_equal(sum, many);
	all_due("tombs");
	for (int i = 0; i < 100000 && count_of("tombs"); i++)
		must(queue_trim(q, &options, &purged, &err), &err);
	watch_end("purge many jobs, and forget them");
	assert_int_equal(fixture_int("EXISTS {sumi}:job:j0 {sumi}:job:j%d", many - 1), 0);
}

/* A window for each job, all closed, and behind them one that is open. */
static void test_windows(void **state)
{
	(void)state;
	enum queue_hint hint;
	char text[256];
	time_t now = (time_t)(clock_wall_ms() / 1000);
	/* Closed is what begins in an hour: the zone's clock is not ours to set. */
	int minute = (int)(now % 86400 / 60);
	fill(1, first_job);
	struct queue_lease first = fixture_claim("w1", "first"), lease;
	fill(many, in_a_window);
	/* Those that may be open now are taken away. */
	for (int i = 0; i < many; i++) {
		int from = 60 + i % 600, to = from + 1 + i / 600 % 600;
		enum queue_cancel_result result;
		snprintf(text, sizeof text, "j%d", i);
		if (minute + 10 >= from && minute < to + 10)
			must(queue_cancel(q, text, &result, &err), &err);
	}
	snprintf(text, sizeof text,
		 "XADD {sumi}:in * id open modality image prompt x priority batch tz UTC window %s",
		 "00:00-24:00");
	freeReplyObject(fixture_command(text));
	struct queue_admitted admitted;
	must(queue_admit(q, 10, &admitted, &err), &err);
	watch_begin();
	struct queue_worker worker = fixture_worker("w2");
	int status = SUMI_NOTFOUND;
	for (int i = 0; i < 10000 && status; i++)
		status = queue_claim(q, &worker, 60000, &lease, &err);
	must(status, &err);
	assert_string_equal(lease.id, "open");
	must(queue_beat(q, &first, NULL, &hint, &err), &err);
	assert_int_equal(hint, QUEUE_GO_ON);
	watch_end("claim and beat, a closed window for each job");
	queue_lease_clear(&lease);
	queue_lease_clear(&first);
}

static void test_workers(void **state)
{
	(void)state;
	enum queue_hint hint;
	static const char *const classes[] = {"image/", "image/ink"};
	int count = many < 5000 ? many : 5000;
	fill(1, first_job);
	struct queue_lease lease = fixture_claim("w1", "first");
	for (int i = 0; i < count; i++) {
		char name[32];
		snprintf(name, sizeof name, "host%d.0", i);
		struct queue_worker worker = {.name = name, .classes = classes, .class_count = 2};
		must(queue_worker_beat(q, &worker, &err), &err);
	}
	assert_int_equal(fixture_submit(q, JOB("urgent", ",\"priority\":\"high\"")), JOB_READY);
	watch_begin();
	must(queue_beat(q, &lease, NULL, &hint, &err), &err);
	assert_int_equal(hint, QUEUE_GO_ON);
	watch_end("beat among many workers");
	queue_lease_clear(&lease);
}

static void test_recurring(void **state)
{
	(void)state;
	struct queue_reaped reaped;
	int count = many / 3;
	size_t sum = 0;
	fill(count, recurring);
	watch_begin();
	for (int i = 0; i < count; i++) {
		struct queue_lease lease;
		struct queue_worker worker = fixture_worker("w1");
		must(queue_claim(q, &worker, 60000, &lease, &err), &err);
		assert_int_equal(fixture_finish(&lease), QUEUE_FINISHED);
		queue_lease_clear(&lease);
	}
	for (int i = 0; i < 100000 && sum < (size_t)count; i++) {
		must(queue_reap(q, 0, &reaped, &err), &err);
		sum += reaped.recurred;
	}
	watch_end("next occurrences of many");
	assert_int_equal(count_of("delayed"), count);
}

/* A queue as versions before wrote it. */
static void test_upgrade(void **state)
{
	(void)state;
	fill(many, plain);
	freeReplyObject(fixture_command("DEL {sumi}:ready {sumi}:classes {sumi}:heads:image/"));
	freeReplyObject(fixture_command("SADD {sumi}:queues image/"));
	freeReplyObject(fixture_command("SADD {sumi}:windows:image/ %s", ""));
	watch_begin();
	wind_until("ready", many);
	watch_end("take over a queue of an earlier version");
	struct queue_reaped reaped;
	must(queue_reap(q, 0, &reaped, &err), &err);
	assert_int_equal(fixture_int("EXISTS {sumi}:queues {sumi}:windows:image/"), 0);
	fixture_finish_next("j0");
	assert_int_equal(count_of("ready"), many - 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_finish_with_dependants),
	    TEST(test_failure_with_dependants_of_many),
	    TEST(test_failure_along_a_chain),
	    TEST(test_a_long_circle),
	    TEST(test_claims),
	    TEST(test_deadlines_at_a_claim),
	    TEST(test_deadlines_and_delays),
	    TEST(test_leases),
	    TEST(test_purge),
	    TEST(test_windows),
	    TEST(test_workers),
	    TEST(test_recurring),
	    TEST(test_upgrade),
	};
	const char *size = getenv("SUMI_MANY");
	timed = size != NULL;
	many = size ? (int)strtol(size, NULL, 10) : MANY;
	cmocka_set_test_filter(getenv("SUMI_ONLY"));
	return cmocka_run_group_tests(tests, NULL, fixture_stop);
}
