/* Jobs that several hosts had a hand in: what of them a store shows in the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "storage/settle.h"
#include "tests/unit/store_helper.h"

static char folder[64];
static struct store *s;
static struct error err;

static int setup(void **state)
{
	(void)state;
	store_test_folder(folder);
	s = store_test_open(folder, STORE_WRITE);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_close(s);
	store_test_remove(folder);
	return 0;
}

/* A job that a lease of this host has begun, with results of the first `variants` variants. */
static void begin(const char *id, int variants)
{
	struct store_job job = {
	    .id = (char *)id, .token = "t1", .created = STORE_TEST_TIME, .variants = 3};
	struct store_attempt attempt = {.job = (char *)id, .token = "t1"};
	store_test_ok(store_job_put(s, &job, &err), &err);
	store_test_ok(store_attempt_begin(s, &attempt, &err), &err);
	for (int k = 0; k < variants; k++) {
		enum store_put outcome;
		struct store_artifact a = {
		    .job = (char *)id, .variant = k, .role = "main", .format = "webp"};
		char data[] = {(char)('a' + k), id[0]};
		store_test_ok(store_artifact_put(s, &a, data, sizeof data, &outcome, &err), &err);
	}
}

static size_t shown_artifacts(const char *id)
{
	struct store_artifact *list;
	size_t count;
	store_test_ok(store_artifacts(s, id, false, &list, &count, &err), &err);
	store_artifacts_free(list, count);
	return count;
}

static size_t shown_jobs(void)
{
	struct store_filter filter = {.limit = 10};
	struct store_page page;
	store_test_ok(store_list(s, &filter, &page, &err), &err);
	size_t count = page.count;
	store_page_free(&page);
	return count;
}

static size_t unsettled_jobs(void)
{
	struct store_pending *list;
	size_t count;
	store_test_ok(store_unsettled(s, &list, &count, &err), &err);
	store_pending_free(list, count);
	return count;
}

/* The queue took variants 0 and 2 from here, 1 from elsewhere. */
static void check_shared(void **state)
{
	(void)state;
	begin("a", 3);
	assert_int_equal(unsettled_jobs(), 1);
	store_test_ok(store_job_settle(s, "a", 5, false, &err), &err);
	assert_int_equal(unsettled_jobs(), 0);
	assert_int_equal(shown_jobs(), 1);
	assert_int_equal(shown_artifacts("a"), 2);
	/* A second time changes nothing. */
	store_test_ok(store_job_settle(s, "a", 0, false, &err), &err);
	assert_int_equal(shown_artifacts("a"), 2);
}

static void check_nothing_here(void **state)
{
	(void)state;
	struct store_attempt *attempts;
	size_t count;
	begin("b", 2);
	store_test_ok(store_job_settle(s, "b", 0, false, &err), &err);
	assert_int_equal(unsettled_jobs(), 0);
	assert_int_equal(shown_jobs(), 0);
	store_test_ok(store_attempts(s, "b", &attempts, &count, &err), &err);
	assert_int_equal(count, 1);
	assert_string_equal(attempts[0].outcome, "superseded");
	store_attempts_free(attempts, count);
}

/* All results came from other hosts, the last word from here: the job is listed here too. */
static void check_winner(void **state)
{
	(void)state;
	begin("c", 0);
	store_test_ok(store_job_settle(s, "c", 0, true, &err), &err);
	assert_int_equal(shown_jobs(), 1);
	assert_int_equal(store_job_settle(s, "nobody", 1, true, &err), SUMI_NOTFOUND);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(check_shared), TEST(check_nothing_here),
					   TEST(check_winner)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
