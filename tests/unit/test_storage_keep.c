/* Stars and deleting: rows, files, words of the search, the history; SIGKILL at every step. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "storage/keep.h"
#include "tests/unit/store_helper.h"

/* A done job with one file. */
static void make(struct store *s, const char *id, int64_t at, const char *data, const char *tag)
{
	struct error err = {0};
	char *tags[] = {(char *)tag, "common"};
	struct store_job job = {.id = (char *)id,
				.prompt = "mountains in fog",
				.tags = tags,
				.tag_count = 2,
				.created = STORE_TEST_TIME + at};
	struct store_artifact a = {.job = (char *)id, .role = "main", .format = "webp"};
	enum store_put outcome;
	store_test_ok(store_job_put(s, &job, &err), &err);
	store_test_ok(store_artifact_put(s, &a, data, strlen(data), &outcome, &err), &err);
	store_test_ok(store_job_stored(s, id, "t", NULL, STORE_TEST_TIME + at + 5000, &err), &err);
	store_test_ok(store_job_visible(s, id, &err), &err);
}

static int files(void)
{
	char command[128], line[32] = "";
	snprintf(command, sizeof command, "find %s/artifacts -type f | wc -l", store_test_dir);
	FILE *p = popen(command, "r");
	assert_non_null(p);
	assert_non_null(fgets(line, sizeof line, p));
	pclose(p);
	return atoi(line);
}

static void check_sound(struct store *s)
{
	struct error err = {0};
	store_test_ok(store_check(s, true, NULL, &err), &err);
}

static int64_t bytes(struct store *s)
{
	struct error err = {0};
	int64_t total = -1;
	store_test_ok(store_result_bytes(s, &total, &err), &err);
	return total;
}

static void check_remove(void **state)
{
	(void)state;
	struct store *s = store_test_begin();
	struct error err = {0};
	struct store_removed out = {0};
	make(s, "a", 0, "shared", "only-a");
	make(s, "b", 1, "shared", "only-b");
	make(s, "c", 2, "own", "only-c");
	assert_int_equal(files(), 2);
	assert_int_equal(bytes(s), 9);
	assert_int_equal(store_test_found(s, "mountains"), 3);

	store_test_ok(store_remove(s, "a", &out, &err), &err);
	assert_int_equal(out.jobs, 1);
	assert_int_equal(out.files, 0); /* b has it too */
	store_test_ok(store_remove(s, "c", &out, &err), &err);
	assert_int_equal(out.files, 1);
	assert_int_equal(out.bytes, 3);
	assert_int_equal(store_test_found(s, "mountains"), 1);
	assert_int_equal(bytes(s), 6);
	store_test_ok(store_remove(s, "b", &out, &err), &err);
	assert_int_equal(out.jobs, 3);
	assert_int_equal(out.bytes, 9);
	assert_int_equal(files(), 0);
	assert_int_equal(store_test_found(s, "mountains"), 0);
	assert_int_equal(store_remove(s, "b", &out, &err), SUMI_NOTFOUND);
	check_sound(s);
	store_close(s);
	store_test_sql("CREATE TABLE proof (n INTEGER CHECK (n = 0));"
		       "INSERT INTO proof SELECT count(*) FROM tags;"
		       "INSERT INTO proof SELECT count(*) FROM job_tags;"
		       "INSERT INTO proof SELECT count(*) FROM attempts;"
		       "INSERT INTO proof SELECT count(*) FROM artifacts; DROP TABLE proof");
}

static void check_rebuild_forgets(void **state)
{
	(void)state;
	struct store *s = store_test_begin();
	struct error err = {0};
	struct store_removed out = {0};
	struct store_report report = {0};
	struct store_options options = {.dir = store_test_dir, .reserve = -1, .ballast = -1};
	char moved[FILES_PATH_MAX];
	bool changed;
	make(s, "gone", 0, "1", "x");
	make(s, "stays", 1, "2", "x");
	make(s, "twice", 2, "3", "x");
	store_test_ok(store_star(s, "stays", true, &changed, &err), &err);
	assert_true(changed);
	store_test_ok(store_star(s, "stays", true, &changed, &err), &err);
	assert_false(changed);
	assert_int_equal(store_star(s, "nobody", true, &changed, &err), SUMI_NOTFOUND);
	store_test_ok(store_remove(s, "gone", &out, &err), &err);
	store_test_ok(store_remove(s, "twice", &out, &err), &err);
	/* Made once more since, and so behind the line that says it was deleted. */
	make(s, "twice", clock_wall_ms() - STORE_TEST_TIME, "3", "x");
	store_close(s);
	store_test_ok(store_rebuild(&options, moved, &report, &err), &err);
	assert_int_equal(report.problems, 0);
	s = store_test_begin();
	assert_int_equal(store_test_visible(s), 2);
	struct store_filter filter = {.starred = true};
	struct store_page page;
	store_test_ok(store_list(s, &filter, &page, &err), &err);
	assert_int_equal(page.count, 1);
	assert_string_equal(page.jobs[0].id, "stays");
	assert_true(page.jobs[0].starred);
	store_page_free(&page);
	store_close(s);
}

static long history_lines(const char *word)
{
	char command[160], line[32] = "";
	snprintf(command, sizeof command, "cat %s/history/*.jsonl | grep -c %s", store_test_dir,
		 word);
	FILE *p = popen(command, "r");
	assert_non_null(p);
	assert_non_null(fgets(line, sizeof line, p));
	pclose(p);
	return atol(line);
}

/* The history of what was deleted goes with a vacuum; the rest, and what cannot be read, stays. */
static void check_vacuum_forgets(void **state)
{
	(void)state;
	struct store *s = store_test_begin();
	struct error err = {0};
	struct store_removed out = {0};
	struct store_report report = {0};
	struct store_options options = {.dir = store_test_dir, .reserve = -1, .ballast = -1};
	char command[128];
	bool changed;
	make(s, "gone", 0, "1", "x");
	make(s, "stays", 1, "2", "x");
	store_test_ok(store_star(s, "stays", true, &changed, &err), &err);
	store_test_ok(store_remove(s, "gone", &out, &err), &err);
	snprintf(command, sizeof command, "echo torn >> %s/history/2026-09.jsonl", store_test_dir);
	assert_int_equal(system(command), 0);
	assert_int_equal(history_lines("gone"), 2);
	assert_int_equal(history_lines("stays"), 2);
	store_test_ok(store_vacuum(s, &err), &err);
	assert_int_equal(history_lines("gone"), 0);
	assert_int_equal(history_lines("stays"), 1);
	assert_int_equal(history_lines("torn"), 1);
	store_close(s);
	store_test_ok(store_rebuild(&options, NULL, &report, &err), &err);
	s = store_test_begin();
	assert_int_equal(store_test_visible(s), 1);
	store_close(s);
}

static void check_oldest(void **state)
{
	(void)state;
	struct store *s = store_test_begin();
	struct error err = {0};
	struct store_pending *list;
	size_t count;
	bool changed;
	make(s, "third", 3000, "3", "x");
	make(s, "first", 1000, "1", "x");
	make(s, "second", 2000, "2", "x");
	struct store_job failed = {.state = "failed", .error = "no"};
	store_test_done(s, "empty", 0, &failed);
	store_test_ok(store_star(s, "first", true, &changed, &err), &err);
	store_test_ok(store_oldest(s, INT64_MAX, true, 0, 10, &list, &count, &err), &err);
	assert_int_equal(count, 2);
	assert_string_equal(list[0].id, "second");
	assert_string_equal(list[1].id, "third");
	store_pending_free(list, count);
	store_test_ok(store_oldest(s, INT64_MAX, true, 1, 10, &list, &count, &err), &err);
	assert_int_equal(count, 1);
	assert_string_equal(list[0].id, "third");
	store_pending_free(list, count);
	store_test_ok(
	    store_oldest(s, STORE_TEST_TIME + 7000, false, 0, 10, &list, &count, &err), &err);
	assert_int_equal(count, 1);
	assert_string_equal(list[0].id, "empty");
	store_pending_free(list, count);
	store_close(s);
}

/* Killed anywhere, deleting leaves no row without its file, and doing it again ends it. */
static void check_crashes(void **state)
{
	static const char *const points[] = {"history_forgotten", "rows_removed", "files_removed"};
	(void)state;
	for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
		struct error err = {0};
		struct store_removed out = {0};
		struct store_collected collected;
		struct store *s = store_test_begin();
		make(s, "a", (int64_t)i, "data", "x");
		store_close(s);
		pid_t child = fork();
		if (child == 0) {
			setenv("SUMI_CRASH_AT", points[i], 1);
			s = store_test_begin();
			store_remove(s, "a", &out, &err);
			_exit(0);
		}
		int result;
		waitpid(child, &result, 0);
		assert_true(WIFSIGNALED(result));
		s = store_test_begin();
		check_sound(s);
		int status = store_remove(s, "a", &out, &err);
		assert_true(status == SUMI_OK || status == SUMI_NOTFOUND);
		store_test_ok(store_collect(s, -1000, NULL, &collected, &err), &err);
		assert_int_equal(store_test_visible(s), 0);
		assert_int_equal(files(), 0);
		check_sound(s);
		store_close(s);
	}
}

static size_t tagged(struct store *s, const char *tag)
{
	struct error err = {0};
	struct store_page page;
	struct store_filter filter = {.tag = tag};
	store_test_ok(store_list(s, &filter, &page, &err), &err);
	size_t count = page.count;
	store_page_free(&page);
	return count;
}

/* Other tags, also behind a rebuild; places. */
static void check_tags(void **state)
{
	struct error err = {0};
	struct store_options options = {.dir = store_test_dir, .reserve = -1, .ballast = -1};
	char *tags[] = {"beach", "evening"}, at[8];
	(void)state;
	struct store *s = store_test_begin();
	make(s, "a", 1, "one", "night");
	make(s, "b", 2, "two", "night");
	store_test_ok(store_tags_set(s, "a", tags, 2, &err), &err);
	assert_true(tagged(s, "night") == 1 && tagged(s, "common") == 1 && tagged(s, "beach") == 1);
	store_test_ok(store_tags_set(s, "b", NULL, 0, &err), &err);
	assert_true(tagged(s, "night") == 0 && tagged(s, "common") == 0 && tagged(s, "evening") == 1);
	assert_int_equal(store_tags_set(s, "none", tags, 1, &err), SUMI_NOTFOUND);
	store_test_ok(store_place(s, "x", at, sizeof at, &err), &err);
	assert_string_equal(at, "");
	store_test_ok(store_place_set(s, "x", "1-0", &err), &err);
	store_test_ok(store_place_set(s, "x", "2-0", &err), &err);
	store_test_ok(store_place(s, "x", at, sizeof at, &err), &err);
	assert_string_equal(at, "2-0");
	store_close(s);
	store_test_ok(store_rebuild(&options, NULL, NULL, &err), &err);
	s = store_test_begin();
	assert_true(tagged(s, "night") == 0 && tagged(s, "beach") == 1);
	check_sound(s);
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(check_remove, store_test_setup, store_test_teardown),
	    cmocka_unit_test_setup_teardown(check_rebuild_forgets, store_test_setup,
					    store_test_teardown),
	    cmocka_unit_test_setup_teardown(check_vacuum_forgets, store_test_setup,
					    store_test_teardown),
	    cmocka_unit_test_setup_teardown(check_oldest, store_test_setup, store_test_teardown),
	    cmocka_unit_test_setup_teardown(check_tags, store_test_setup, store_test_teardown),
	    cmocka_unit_test_setup_teardown(check_crashes, store_test_setup, store_test_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
