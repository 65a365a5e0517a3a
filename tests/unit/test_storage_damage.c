/* What happened to the database: damage that is found, a rebuild from history and files, backup. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "media/webp.h"
#include "storage/backup.h"
#include "storage/keep.h"
#include "storage/storage.h"
#include "tests/unit/store_helper.h"

/* ---- damage, backup, rebuild ---- */

static void overwrite(const char *name, long offset, size_t size)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%s", store_test_dir, name);
	FILE *f = fopen(path, "r+b");
	assert_non_null(f);
	fseek(f, offset, SEEK_SET);
	for (size_t i = 0; i < size; i++)
		fputc(0xA5, f);
	assert_int_equal(fclose(f), 0);
}

/* Jobs with tags, attempts and results, in every state. */
static void fill_varied(struct store *s)
{
	struct error err = {0};
	char *tags[] = {"night", "ночь"};
	for (int i = 0; i < 30; i++) {
		char id[32], token[32], data[64];
		snprintf(id, sizeof id, "v%d", i);
		snprintf(token, sizeof token, "token%d", i);
		struct store_job job = {.id = id,
					.modality = "image",
					.model = "ink",
					.prompt = i % 2 ? "туманность" : "mountains",
					.params = "{\"seed\":1}",
					.digest = id,
					.token = token,
					.tags = tags,
					.tag_count = (size_t)(i % 3),
					.variants = 2,
					.created = STORE_TEST_TIME + i * 86400000ll,
					.started = STORE_TEST_TIME + i * 86400000ll + 5};
		struct store_attempt a = {.job = id, .token = token, .device = "d", .started = 77};
		store_test_ok(store_job_put(s, &job, &err), &err);
		store_test_ok(store_attempt_begin(s, &a, &err), &err);
		if (i % 6 == 5) {
			store_test_ok(
			    store_job_ended(s, id, "failed", "why", job.created + 9, &err), &err);
			continue;
		}
		for (int v = 0; v < 2; v++) {
			enum store_put outcome;
			snprintf(data, sizeof data, "bytes of %d/%d", i, v);
			struct store_artifact art = {.job = id,
						     .variant = v,
						     .role = "main",
						     .format = "webp",
						     .mime = "image/webp",
						     .width = 64,
						     .height = 64,
						     .duration = 0.1,
						     .seed = UINT64_MAX - (uint64_t)i,
						     .infotext = "text",
						     .metadata = "{\"b\": 1, \"a\": 0.1}",
						     .created = 12345 + i};
			store_test_ok(
			    store_artifact_put(s, &art, data, strlen(data), &outcome, &err), &err);
			assert_int_equal(outcome, STORE_PUT_NEW);
		}
		store_test_ok(store_job_stored(s, id, token, "{\"x\":1}", job.created + 9, &err),
			      &err);
		store_test_ok(store_job_visible(s, id, &err), &err);
	}
}

/* Everything that listings can show, as one text. */
static char *snapshot(struct store *s)
{
	struct store_page page;
	struct store_filter filter = {.limit = 1000};
	struct error err = {0};
	json_t *all = json_array();
	store_test_ok(store_list(s, &filter, &page, &err), &err);
	for (size_t i = 0; i < page.count; i++) {
		struct store_artifact *artifacts;
		struct store_attempt *attempts;
		size_t n, m;
		json_array_append_new(all, store_job_json(&page.jobs[i]));
		store_test_ok(store_artifacts(s, page.jobs[i].id, false, &artifacts, &n, &err),
			      &err);
		for (size_t k = 0; k < n; k++)
			json_array_append_new(all, store_artifact_json(&artifacts[k]));
		store_artifacts_free(artifacts, n);
		store_test_ok(store_attempts(s, page.jobs[i].id, &attempts, &m, &err), &err);
		for (size_t k = 0; k < m; k++)
			json_array_append_new(all, store_attempt_json(&attempts[k]));
		store_attempts_free(attempts, m);
	}
	store_page_free(&page);
	char *text = json_dumps(all, JSON_INDENT(1) | JSON_SORT_KEYS);
	json_decref(all);
	return text;
}

static void on_line(void *context, const char *text)
{
	(void)text;
	++*(int *)context;
}

static void rebuild(int *lines, struct store_report *report)
{
	struct store_options options = {.dir = store_test_dir, .reserve = -1};
	struct error err = {0};
	char moved[FILES_PATH_MAX];
	*lines = 0;
	*report = (struct store_report){.context = lines, .line = on_line};
	store_test_ok(store_rebuild(&options, moved, report, &err), &err);
	assert_non_null(strstr(moved, "sumi.db.broken-"));
	assert_int_equal(unlink(moved), 0);
}

static void check_rebuild(void **state)
{
	(void)state;
	int lines;
	struct store_report report;
	struct error err = {0};
	struct store *s = store_test_begin();
	fill_varied(s);
	char *before = snapshot(s);
	store_close(s);

	struct store_options options = {.dir = store_test_dir, .reserve = -1};
	char moved[FILES_PATH_MAX];
	snprintf(moved, sizeof moved, "%s/sumi.db", store_test_dir);
	assert_int_equal(unlink(moved), 0); /* lost altogether is no worse than broken */
	store_test_ok(store_rebuild(&options, moved, NULL, &err), &err);
	assert_string_equal(moved, "");
	s = store_test_begin();
	assert_int_equal(store_rebuild(&options, NULL, NULL, &err), SUMI_BUSY);
	assert_non_null(strstr(err.text, "stop sumid"));
	store_close(s);
	overwrite("sumi.db", 0, 512);
	assert_int_equal(store_test_try(STORE_WRITE, &err), SUMI_CORRUPT);
	assert_non_null(strstr(err.text, "sumi db rebuild"));
	assert_int_equal(store_test_try(STORE_READ, &err), SUMI_CORRUPT);
	rebuild(&lines, &report);
	assert_int_equal(report.problems, 0);
	assert_int_equal(report.jobs, 30);
	assert_int_equal(report.artifacts, 50);
	s = store_test_begin();
	char *after = snapshot(s);
	assert_string_equal(before, after);
	assert_int_equal(store_test_found(s, "туманность"), 15);
	store_test_ok(store_check(s, true, &report, &err), &err);
	store_close(s);
	free(before);
	free(after);
}

/* A torn or damaged line costs that job alone; what was appended later is whole. */
static void check_rebuild_damaged_history(void **state)
{
	(void)state;
	int lines;
	struct store_report report;
	struct store *s = store_test_begin();
	store_test_done(s, "a", 0, NULL);
	char path[128];
	snprintf(path, sizeof path, "%s/history/2026-09.jsonl", store_test_dir);
	FILE *f = fopen(path, "a");
	fputs("{\"job\":{\"id\":\"torn", f);
	fclose(f);
	store_test_done(s, "b", 1, &(struct store_job){.state = "failed"});
	store_test_done(s, "b", 1, NULL);
	store_close(s);
	f = fopen(path, "a");
	fputs("{\"job\":{\"id\":\"../evil\",\"state\":\"done\",\"created\":\"2026-01-01\"}}\n"
	      "{\"job\":{\"id\":\"x\",\"state\":\"odd\",\"created\":\"2026-01-01\"}}\n[]\n\n",
	      f);
	fclose(f);
	rebuild(&lines, &report);
	assert_int_equal(report.problems, 4);
	assert_int_equal(lines, 4);
	s = store_test_begin();
	assert_int_equal(store_test_visible(s), 2);
	store_test_state(s, "b", "done");
	store_close(s);
}

/* Without a history, the files themselves say what they are. */
static void check_rebuild_from_files(void **state)
{
	(void)state;
	int lines;
	struct store_report report;
	struct error err = {0};
	char command[128];
	uint8_t rgb[8 * 8 * 3] = {0}, *data;
	size_t size;
	struct metadata meta = {
	    "fog\nSteps: 4, Seed: 9, Size: 8x8",
	    "{\"modality\":\"image\",\"model\":\"ink\",\"prompt\":\"fog at sea\","
	    "\"seed\":9,\"width\":8,\"height\":8}"};
	struct webp_options options = {.lossless = true};
	store_test_ok(webp_encode(rgb, 8, 8, &options, &meta, &data, &size, &err), &err);
	struct store *s = store_test_begin();
	struct store_job job = {.id = "a", .prompt = "fog at sea", .created = STORE_TEST_TIME};
	struct store_artifact a = {.job = "a", .role = "main", .format = "webp"};
	enum store_put outcome;
	store_test_ok(store_job_put(s, &job, &err), &err);
	store_test_ok(store_artifact_put(s, &a, data, size, &outcome, &err), &err);
	free(data);
	a.variant = 1; /* no metadata: reported, left where it is */
	store_test_ok(store_artifact_put(s, &a, "plain", 5, &outcome, &err), &err);
	store_test_ok(store_job_stored(s, "a", NULL, NULL, 0, &err), &err);
	store_test_ok(store_job_visible(s, "a", &err), &err);
	store_close(s);
	snprintf(command, sizeof command, "rm -r %s/history", store_test_dir);
	assert_int_equal(system(command), 0);
	rebuild(&lines, &report);
	assert_int_equal(report.problems, 1);
	assert_int_equal(report.jobs, 1);
	s = store_test_begin();
	struct store_page page;
	struct store_filter filter = {.text = "sea"};
	store_test_ok(store_list(s, &filter, &page, &err), &err);
	assert_int_equal(page.count, 1);
	assert_string_equal(page.jobs[0].model, "ink");
	struct store_artifact *list;
	store_test_ok(store_artifacts(s, page.jobs[0].id, false, &list, &size, &err), &err);
	assert_int_equal(size, 1);
	assert_true(list[0].present);
	assert_int_equal(list[0].seed, 9);
	assert_string_equal(list[0].infotext, meta.infotext);
	store_artifacts_free(list, size);
	store_page_free(&page);
	store_close(s);
}

static void check_damage_is_found(void **state)
{
	(void)state;
	int lines = 0;
	struct store_report report = {.context = &lines, .line = on_line};
	struct error err = {0};
	struct store *s = store_test_begin();
	fill_varied(s);
	store_test_ok(store_check(s, true, &report, &err), &err);
	assert_int_equal(report.problems, 0);
	assert_int_equal(report.jobs, 30);
	assert_int_equal(report.artifacts, 50);

	/* A missing file, one of another size, one with other bytes of the same size. */
	struct store_artifact *list;
	size_t count;
	store_test_ok(store_artifacts(s, "v0", false, &list, &count, &err), &err);
	assert_true(list[0].present);
	assert_int_equal(unlink(list[0].path), 0);
	assert_int_equal(truncate(list[1].path, 3), 0);
	store_artifacts_free(list, count);
	store_test_ok(store_artifacts(s, "v1", false, &list, &count, &err), &err);
	overwrite(list[0].path + strlen(store_test_dir) + 1, 0, 3);
	store_artifacts_free(list, count);
	store_test_ok(store_artifacts(s, "v0", false, &list, &count, &err), &err);
	assert_false(list[0].present);
	assert_false(list[1].present);
	store_artifacts_free(list, count);
	assert_int_equal(store_check(s, false, &report, &err), SUMI_CORRUPT);
	assert_int_equal(report.problems, 2);
	assert_int_equal(store_check(s, true, &report, &err), SUMI_CORRUPT);
	assert_int_equal(report.problems, 3);
	assert_int_equal(lines, 5);
	store_close(s);

	/* A search index that does not fit the rows, then damaged pages. */
	store_test_sql("UPDATE jobs SET prompt = 'other' WHERE id = 'v2'");
	s = store_test_open(store_test_dir, STORE_READ);
	assert_int_equal(store_check(s, false, &report, &err), SUMI_CORRUPT);
	assert_int_equal(report.problems, 3);
	store_close(s);
	overwrite("sumi.db", 3 * 4096, 4 * 4096);
	s = store_test_open(store_test_dir, STORE_READ);
	assert_int_equal(store_check(s, false, &report, &err), SUMI_CORRUPT);
	assert_non_null(strstr(err.text, "sumi db rebuild"));
	store_close(s);
}

static void check_backup_and_vacuum(void **state)
{
	(void)state;
	struct error err = {0};
	char path[128], target[128];
	struct store *s = store_test_begin();
	fill_varied(s);
	char *before = snapshot(s);
	snprintf(path, sizeof path, "%s/copy.db", store_test_dir);
	store_test_ok(store_backup(s, path, &err), &err);
	assert_int_equal(store_backup(s, path, &err), SUMI_EXISTS);
	store_test_ok(store_vacuum(s, &err), &err);
	store_close(s);
	snprintf(target, sizeof target, "%s/sumi.db", store_test_dir);
	assert_int_equal(rename(path, target), 0);
	s = store_test_begin();
	char *after = snapshot(s);
	assert_string_equal(before, after);
	free(before);
	free(after);
	store_close(s);
	s = store_test_open(store_test_dir, STORE_READ);
	assert_int_equal(store_vacuum(s, &err), SUMI_PERM);
	assert_int_equal(store_backup(s, "/nonexistent/x.db", &err), SUMI_NOTFOUND);
	store_close(s);
}

/* The word of a format ends the file's name; one of two words is whole in a copy too. */
static void check_names_of_formats(void **state)
{
	static const char *const wrong[] = {"",	     ".png",   "png.",	"a..b",
					    "a.b.c", "a/../b", "Webp", "abcdefghi"};
	struct error err = {0};
	struct store_artifact a = {.job = "a", .role = "main", .format = "height.png"};
	struct store_job job = {.id = "a", .prompt = "dunes", .created = STORE_TEST_TIME};
	struct store_report report = {0};
	enum store_put outcome;
	char copy[128];
	(void)state;
	struct store *s = store_test_begin();
	store_test_ok(store_job_put(s, &job, &err), &err);
	store_test_ok(store_artifact_put(s, &a, "tops", 4, &outcome, &err), &err);
	store_test_ok(store_job_stored(s, "a", NULL, NULL, 0, &err), &err);
	store_test_ok(store_job_visible(s, "a", &err), &err);
	a.variant = 1;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		a.format = (char *)wrong[i];
		assert_int_equal(store_artifact_put(s, &a, "x", 1, &outcome, &err), SUMI_INVALID);
	}
	snprintf(copy, sizeof copy, "%s/copy", store_test_dir);
	assert_int_equal(mkdir(copy, 0700), 0);
	store_test_ok(store_copy(s, copy, &report, &err), &err);
	assert_int_equal(report.artifacts, 1);
	assert_int_equal(report.problems, 0);
	store_close(s);
}

/* sumid makes a new database where there is none: what is there is nobody's, and stays. */
static void check_lost(void **state)
{
	(void)state;
	int lines;
	char path[FILES_PATH_MAX], command[256];
	struct error err = {0};
	struct store_report report;
	struct store_collected c;
	/* The database gone or empty, with its history and without. */
	for (int way = 0; way < 4; way++) {
		struct store *s = store_test_begin();
		if (way == 0)
			fill_varied(s);
		char *before = snapshot(s);
		store_close(s);
		assert_false(store_is_lost(store_test_dir));
		snprintf(path, sizeof path, "%s/sumi.db", store_test_dir);
		assert_int_equal(way % 2 ? truncate(path, 0) : unlink(path), 0);
		if (way >= 2) {
			snprintf(command, sizeof command, "rm -r %s/history", store_test_dir);
			assert_int_equal(system(command), 0);
		}
		assert_true(store_has_files(store_test_dir));
		store_close(store_test_begin()); /* and once more, as a daemon that is started twice */
		s = store_test_begin();
		assert_true(store_is_lost(store_test_dir));
		store_test_ok(store_collect(s, 0, NULL, &c, &err), &err);
		assert_int_equal(c.orphans, 0);
		assert_int_equal(c.kept, 50);
		report = (struct store_report){0};
		assert_int_equal(store_check(s, true, &report, &err), SUMI_CORRUPT);
		assert_int_equal(report.problems, 1);
		store_close(s);
		if (way < 2) {
			rebuild(&lines, &report);
			assert_int_equal(report.problems, 0);
			s = store_test_begin();
			char *after = snapshot(s);
			assert_string_equal(before, after);
			assert_false(store_is_lost(store_test_dir));
			store_test_ok(store_collect(s, 0, NULL, &c, &err), &err);
			assert_int_equal(c.orphans + c.kept, 0);
			store_close(s);
			free(after);
		} else {
			store_test_sql("DELETE FROM jobs");
			snprintf(path, sizeof path, "%s/sumi.db.lost", store_test_dir);
			assert_int_equal(unlink(path), 0); /* for the next way */
		}
		free(before);
	}
}

/* A copy of yesterday knows nothing of today: the history does. What was deleted is in neither. */
static void check_older(void **state)
{
	(void)state;
	int lines;
	char command[256];
	struct error err = {0};
	struct store_report report;
	struct store_collected c;
	struct store *s = store_test_begin();
	store_close(s);
	snprintf(command, sizeof command, "cp %s/sumi.db %s/old", store_test_dir, store_test_dir);
	assert_int_equal(system(command), 0);
	s = store_test_begin();
	fill_varied(s);
	struct store_removed removed = {0};
	store_test_ok(store_remove(s, "v0", &removed, &err), &err);
	store_close(s);
	snprintf(command, sizeof command, "cp %s/old %s/sumi.db", store_test_dir, store_test_dir);
	assert_int_equal(system(command), 0);
	snprintf(command, sizeof command, "mkdir -p %s/artifacts/2d/71 && printf x > %s/artifacts/2d/71/"
		 "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881.webp", store_test_dir, store_test_dir);
	assert_int_equal(system(command), 0); /* of a crash: nobody knows that one */
	s = store_test_begin();
	assert_false(store_is_lost(store_test_dir));
	store_test_ok(store_collect(s, 0, NULL, &c, &err), &err);
	assert_int_equal(c.kept, 48);
	assert_int_equal(c.orphans, 1);
	report = (struct store_report){0};
	assert_int_equal(store_check(s, true, &report, &err), SUMI_CORRUPT);
	store_close(s);
	rebuild(&lines, &report);
	assert_int_equal(report.jobs, 29);
	s = store_test_begin();
	store_test_ok(store_check(s, true, NULL, &err), &err);
	store_close(s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, store_test_setup, store_test_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(check_rebuild),
	    TEST(check_rebuild_damaged_history),
	    TEST(check_rebuild_from_files),
	    TEST(check_damage_is_found),
	    TEST(check_lost),
	    TEST(check_older),
	    TEST(check_backup_and_vacuum), TEST(check_names_of_formats),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
