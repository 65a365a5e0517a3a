/* Listings of the database page by page, and search. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "storage/storage.h"
#include "tests/unit/store_helper.h"

/* ---- listings ---- */

enum { LISTED = 300 }; /* no multiple of 7 */

/* Job i's properties, the same for filling and for checking. */
static const char *modality_of(int i)
{
	return (const char *[]){"image", "video", "audio"}[i % 3];
}

static const char *model_of(int i)
{
	return i % 10 == 0 ? "rare" : "ink";
}

static const char *state_of(int i)
{
	return i % 7 == 0 ? "failed" : "done";
}

static const char *prompt_of(int i)
{
	return i % 4 == 0 ? "red castle at dawn" : "blue sea at night";
}

static void fill_listing(struct store *s)
{
	for (int i = 0; i < LISTED; i++) {
		char id[32], *tags[] = {i % 5 == 0 ? "five" : "other", "every"};
		/* Entered in another order than created; two of them in each millisecond. */
		int n = i * 7 % LISTED;
		snprintf(id, sizeof id, "job%d", n);
		tags[0] = n % 5 == 0 ? "five" : "other";
		struct store_job job = {.modality = (char *)modality_of(n),
					.model = (char *)model_of(n),
					.state = (char *)state_of(n),
					.prompt = (char *)prompt_of(n),
					.submitter = n % 2 ? "odd" : "even",
					.tags = tags,
					.tag_count = 2};
		store_test_done(s, id, n / 2 * 2000, &job);
	}
}

static bool matches(int i, const struct store_filter *f)
{
	int64_t created = STORE_TEST_TIME + i / 2 * 2000;
	return (!f->modality || strcmp(f->modality, modality_of(i)) == 0) &&
	       (!f->model || strcmp(f->model, model_of(i)) == 0) &&
	       (!f->state || strcmp(f->state, state_of(i)) == 0) &&
	       (!f->submitter || strcmp(f->submitter, i % 2 ? "odd" : "even") == 0) &&
	       (!f->tag || (strcmp(f->tag, "five") == 0 && i % 5 == 0) ||
		strcmp(f->tag, "every") == 0) &&
	       (!f->text || strncmp(prompt_of(i), f->text, 3) == 0) &&
	       (!f->since || created >= f->since) && (!f->until || created < f->until);
}

static void check_pages(void **state)
{
	(void)state;
	struct store *s = store_test_begin();
	fill_listing(s);
	const struct store_filter filters[] = {
	    {0},
	    {.state = "failed"},
	    {.modality = "audio", .state = "done"},
	    {.model = "rare", .modality = "image", .state = "failed"},
	    {.tag = "five"},
	    {.tag = "five", .state = "failed"},
	    {.tag = "every", .submitter = "odd"},
	    {.text = "red"},
	    {.text = "blue", .tag = "five", .modality = "video"},
	    {.since = STORE_TEST_TIME + 100000, .until = STORE_TEST_TIME + 200000},
	    {.text = "red", .since = STORE_TEST_TIME + 2000, .until = STORE_TEST_TIME + 290000},
	    {.state = "cancelled"},
	    {.tag = "never"},
	};
	for (size_t k = 0; k < sizeof filters / sizeof filters[0]; k++) {
		struct store_filter f = filters[k];
		bool seen[LISTED] = {false};
		int64_t last = INT64_MAX;
		size_t total = 0, want = 0, pages = 0;
		f.limit = 7;
		do {
			struct store_page page;
			struct error err = {0};
			store_test_ok(store_list(s, &f, &page, &err), &err);
			assert_true(page.count <= 7);
			for (size_t j = 0; j < page.count; j++) {
				int i = atoi(page.jobs[j].id + 3);
				assert_false(seen[i]);
				seen[i] = true;
				assert_true(matches(i, &filters[k]));
				assert_true(page.jobs[j].created <= last);
				last = page.jobs[j].created;
				assert_int_equal(page.jobs[j].tag_count, 2);
			}
			total += page.count;
			f.before = page.next;
			store_page_free(&page);
			assert_true(++pages < 100);
		} while (f.before);
		for (int i = 0; i < LISTED; i++)
			want += matches(i, &filters[k]);
		assert_int_equal(total, want);
	}
	store_close(s);
}

static void check_search(void **state)
{
	(void)state;
	struct store *s = store_test_begin();
	struct error err = {0};
	store_test_done(s, "a", 0, &(struct store_job){.prompt = "Watercolour mountains in fog"});
	store_test_done(s, "b", 1,
			&(struct store_job){
			    .prompt = "космический порт в туманности, одинокий корабль у доков"});
	store_test_done(s, "c", 2, &(struct store_job){.prompt = "Горный перевал; ёлки в снегу"});
	store_test_done(s, "d", 3, &(struct store_job){.prompt = "crème brûlée, \"still life\""});
	assert_int_equal(store_test_found(s, "mountain"), 1);
	assert_int_equal(store_test_found(s, "FOG watercolour"), 1);
	assert_int_equal(store_test_found(s, "fog sea"), 0);
	assert_int_equal(store_test_found(s, "waterc*"), 1);
	assert_int_equal(store_test_found(s, "waterc"), 0);
	assert_int_equal(store_test_found(s, "Корабль"), 1);
	assert_int_equal(store_test_found(s, "корабли"), 1);
	assert_int_equal(store_test_found(s, "туманность порт"), 1);
	assert_int_equal(store_test_found(s, "КОСМИЧЕСКИЙ"), 1);
	assert_int_equal(store_test_found(s, "гор*"), 1);
	assert_int_equal(store_test_found(s, "creme BRULEE"), 1);
	/* Nothing that people type is an operator or an error. */
	assert_int_equal(store_test_found(s, "\"still"), 1);
	assert_int_equal(store_test_found(s, "fog OR sea"), 0);
	assert_int_equal(store_test_found(s, "prompt:fog"), 0);
	assert_int_equal(store_test_found(s, "(fog) AND -* ^fog"), 0);
	assert_int_equal(store_test_found(s, "fog )"), 1);
	assert_int_equal(store_test_found(s, "🎨"), 0);
	struct store_page page;
	struct store_filter nothing = {.text = " \"* "};
	assert_int_equal(store_list(s, &nothing, &page, &err), SUMI_INVALID);
	nothing.text = "\xff";
	assert_int_equal(store_list(s, &nothing, &page, &err), SUMI_INVALID);

	/* The index follows a changed prompt. */
	struct store_job job = {.id = "e", .prompt = "first words", .created = STORE_TEST_TIME + 9};
	store_test_ok(store_job_put(s, &job, &err), &err);
	job.prompt = "second thoughts";
	store_test_ok(store_job_put(s, &job, &err), &err);
	store_test_ok(store_job_ended(s, "e", "failed", NULL, 0, &err), &err);
	assert_int_equal(store_test_found(s, "words"), 0);
	assert_int_equal(store_test_found(s, "thought"), 1);
	store_test_ok(store_check(s, true, NULL, &err), &err);
	store_close(s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, store_test_setup, store_test_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(check_pages),
	    TEST(check_search),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
