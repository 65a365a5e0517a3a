/* The database: opening and migrations, jobs, attempts, models; readers beside writers. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/embed.h"
#include "storage/storage.h"
#include "tests/unit/store_helper.h"

/* ---- opening ---- */

static void check_open(void **state)
{
	(void)state;
	struct error err = {0};
	assert_int_equal(store_test_try(STORE_READ, &err), SUMI_NOTFOUND);
	assert_non_null(strstr(err.text, "start sumid"));
	store_close(store_test_begin());
	assert_int_equal(store_test_try(STORE_READ, &err), 0);
	assert_int_equal(store_test_try(STORE_WRITE, &err), 0);

	struct store *s = store_test_open(store_test_dir, STORE_READ);
	struct store_job job = {.id = "a"};
	assert_int_equal(store_job_put(s, &job, &err), SUMI_PERM);
	store_close(s);
}

static void check_newer_refused(void **state)
{
	(void)state;
	struct error err = {0};
	store_close(store_test_begin());
	store_test_sql("PRAGMA user_version = 9999");
	assert_int_equal(store_test_try(STORE_WRITE, &err), SUMI_UNSUPPORTED);
	assert_non_null(strstr(err.text, "newer"));
	assert_int_equal(store_test_try(STORE_READ, &err), SUMI_UNSUPPORTED);
}

static void check_foreign_refused(void **state)
{
	(void)state;
	struct error err = {0};
	store_test_sql("CREATE TABLE others (x)");
	assert_int_equal(store_test_try(STORE_WRITE, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "not sumi's"));
}

static void check_migrations(void **state)
{
	(void)state;
	struct error err = {0};
	char path[128];
	store_test_sql(embedded_text(embedded_sql, "001_store.sql"));
	store_test_sql(
	    "PRAGMA application_id = 1937075561; PRAGMA user_version = 1;"
	    "INSERT INTO jobs (key, id, state, publish, prompt, priority, variants, created, "
	    "started,"
	    " finished) VALUES (1048576, 'old', 'done', 'visible', 'an old castle', 0, 1, 1, 1, "
	    "1)");
	assert_int_equal(store_test_try(STORE_READ, &err), SUMI_UNSUPPORTED);
	assert_non_null(strstr(err.text, "older"));
	struct store *s = store_test_begin();
	struct store_page page;
	struct store_filter filter = {.text = "castles"};
	store_test_ok(store_list(s, &filter, &page, &err), &err);
	assert_int_equal(page.count, 1);
	assert_string_equal(page.jobs[0].id, "old");
	store_page_free(&page);
	assert_int_equal(store_check(s, true, NULL, &err), 0);
	store_close(s);
	snprintf(path, sizeof path, "%s/sumi.db.version1", store_test_dir);
	assert_int_equal(access(path, R_OK), 0);

	/* Every number from 1 on is there once. */
	for (int version = 1;; version++) {
		int found = 0, higher = 0;
		for (const struct embedded_file *f = embedded_sql; f->name; f++) {
			found += atoi(f->name) == version;
			higher += atoi(f->name) >= version;
		}
		if (!higher)
			break;
		assert_int_equal(found, 1);
	}
}

/* Several processes that open a folder at once, empty or of an older version, all get a whole
 * database. */
static void open_at_once(void)
{
	pid_t pids[8];
	for (int i = 0; i < 8; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			struct error err = {0};
			int status = store_test_try(STORE_WRITE, &err);
			if (status)
				fprintf(stderr, "open: %d: %s\n", status, err.text);
			_exit(status ? 1 : 0);
		}
	}
	int failed = 0;
	for (int i = 0; i < 8; i++) {
		int status;
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		failed += status != 0;
	}
	assert_int_equal(failed, 0);
}

static void check_open_race(void **state)
{
	(void)state;
	char path[128];
	snprintf(path, sizeof path, "%s/sumi.db", store_test_dir);
	for (int round = 0; round < 100; round++) {
		open_at_once();
		assert_int_equal(unlink(path), 0);
	}
	store_test_sql(embedded_text(embedded_sql, "001_store.sql"));
	store_test_sql("PRAGMA application_id = 1937075561; PRAGMA user_version = 1");
	open_at_once();
	/* What was kept is of the version that it is named after. */
	sqlite3 *old;
	snprintf(path, sizeof path, "%s/sumi.db.version1", store_test_dir);
	assert_int_equal(sqlite3_open(path, &old), SQLITE_OK);
	sqlite3_stmt *asked;
	assert_int_equal(sqlite3_prepare_v2(old, "PRAGMA user_version", -1, &asked, NULL), 0);
	assert_int_equal(sqlite3_step(asked), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int(asked, 0), 1);
	sqlite3_finalize(asked);
	sqlite3_close(old);
}

/* ---- jobs ---- */

static void check_job_fields(void **state)
{
	(void)state;
	struct store *s = store_test_begin();
	struct error err = {0};
	char *tags[] = {"b-tag", "горы", "b-tag"};
	struct store_job in = {.id = "01J:x.y-z_9",
			       .modality = "image",
			       .model = "ink",
			       .prompt = "горы, \"fog\"",
			       .negative_prompt = "blurry",
			       .submitter = "me",
			       .params = "{\"z\": 1, \"a\": [1.5, \"x\"]}",
			       .digest = "d1",
			       .token = "t1",
			       .tags = tags,
			       .tag_count = 3,
			       .priority = -5,
			       .variants = 4,
			       .created = STORE_TEST_TIME,
			       .started = STORE_TEST_TIME + 7};
	struct store_job out;
	store_test_ok(store_job_put(s, &in, &err), &err);
	store_test_ok(store_job_put(s, &in, &err), &err);
	store_test_ok(store_job_get(s, in.id, &out, &err), &err);
	assert_string_equal(out.state, "running");
	assert_string_equal(out.prompt, in.prompt);
	assert_string_equal(out.params, "{\"a\":[1.5,\"x\"],\"z\":1}");
	assert_int_equal(out.tag_count, 2);
	assert_string_equal(out.tags[0], "b-tag");
	assert_string_equal(out.tags[1], "горы");
	assert_int_equal(out.priority, -5);
	assert_int_equal(out.variants, 4);
	assert_int_equal(out.created, STORE_TEST_TIME);

	json_t *json = store_job_json(&out);
	assert_string_equal(json_string_value(json_object_get(json, "created")),
			    "2026-09-21T14:13:20.000Z");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "params"), "z")),
			 1);
	assert_int_equal(json_array_size(json_object_get(json, "tags")), 2);
	assert_null(json_object_get(json, "finished"));
	json_decref(json);
	store_job_free(&out);

	/* NULL leaves a field alone. */
	struct store_job less = {.id = in.id, .model = "other", .created = 1};
	store_test_ok(store_job_put(s, &less, &err), &err);
	store_test_ok(store_job_get(s, in.id, &out, &err), &err);
	assert_string_equal(out.model, "other");
	assert_string_equal(out.prompt, in.prompt);
	assert_int_equal(out.created, STORE_TEST_TIME);
	assert_int_equal(out.tag_count, 2);
	store_job_free(&out);

	assert_int_equal(store_job_get(s, "nobody", &out, &err), SUMI_NOTFOUND);
	struct store_job bad = {.id = "../x"};
	assert_int_equal(store_job_put(s, &bad, &err), SUMI_INVALID);
	bad = (struct store_job){.id = "x", .params = "{"};
	assert_int_equal(store_job_put(s, &bad, &err), SUMI_INVALID);
	bad = (struct store_job){.id = "x", .created = -4};
	assert_int_equal(store_job_put(s, &bad, &err), SUMI_INVALID);
	store_close(s);
}

static void check_states(void **state)
{
	(void)state;
	struct store *s = store_test_begin();
	struct error err = {0};
	struct store_pending *pending;
	size_t count;
	struct store_job job = {.id = "a", .token = "t1", .created = STORE_TEST_TIME};
	store_test_ok(store_job_put(s, &job, &err), &err);
	assert_int_equal(store_test_visible(s), 0);
	assert_int_equal(store_job_visible(s, "a", &err), SUMI_INVALID);
	store_test_ok(store_job_stored(s, "a", "t1", NULL, STORE_TEST_TIME + 1, &err), &err);
	assert_int_equal(store_test_visible(s), 0);
	store_test_ok(store_pending(s, &pending, &count, &err), &err);
	assert_int_equal(count, 1);
	assert_string_equal(pending[0].id, "a");
	assert_string_equal(pending[0].token, "t1");
	store_pending_free(pending, count);

	/* What is stored stays so, whoever starts or fails it now. */
	store_test_ok(store_job_put(s, &job, &err), &err);
	store_test_ok(store_job_ended(s, "a", "failed", "late", 0, &err), &err);
	store_test_state(s, "a", "done");
	assert_int_equal(store_test_visible(s), 0);
	store_test_ok(store_job_visible(s, "a", &err), &err);
	store_test_ok(store_job_visible(s, "a", &err), &err);
	assert_int_equal(store_test_visible(s), 1);
	store_test_ok(store_pending(s, &pending, &count, &err), &err);
	assert_int_equal(count, 0);
	store_pending_free(pending, count);

	/* Failed, retried, done. */
	job.id = "b";
	store_test_ok(store_job_put(s, &job, &err), &err);
	store_test_ok(store_job_ended(s, "b", "failed", "no memory", STORE_TEST_TIME + 2, &err),
		      &err);
	store_test_state(s, "b", "failed");
	assert_int_equal(store_test_visible(s), 2);
	job.token = "t2";
	store_test_ok(store_job_put(s, &job, &err), &err);
	store_test_state(s, "b", "running");
	assert_int_equal(store_test_visible(s), 1);
	store_test_ok(store_job_stored(s, "b", "t2", NULL, 0, &err), &err);
	store_test_ok(store_job_visible(s, "b", &err), &err);
	store_test_state(s, "b", "done");
	store_close(s);
}

static void check_attempts(void **state)
{
	(void)state;
	struct store *s = store_test_begin();
	struct error err = {0};
	struct store_attempt *list;
	size_t count;
	struct store_job job = {.id = "a", .created = STORE_TEST_TIME};
	struct store_attempt a = {.job = "a",
				  .token = "t1",
				  .worker = "w0",
				  .device = "PoCL",
				  .driver = "3.1",
				  .version = "0.1",
				  .started = 1000};
	assert_int_equal(store_attempt_begin(s, &a, &err), SUMI_NOTFOUND);
	store_test_ok(store_job_put(s, &job, &err), &err);
	store_test_ok(store_attempt_begin(s, &a, &err), &err);
	store_test_ok(store_attempt_begin(s, &a, &err), &err);
	assert_int_equal(a.n, 1);
	store_test_ok(store_attempt_end(s, "a", "t1", "failed", "device lost", NULL, 2000, &err),
		      &err);
	a.token = "t2";
	store_test_ok(store_attempt_begin(s, &a, &err), &err);
	assert_int_equal(a.n, 2);
	a.token = "t3"; /* t2 never said goodbye */
	a.started = 3000;
	store_test_ok(store_attempt_begin(s, &a, &err), &err);
	assert_int_equal(a.n, 3);
	store_test_ok(
	    store_job_stored(s, "a", "t3", "{\"steps\": 900, \"decode\": 30}", 4000, &err), &err);
	assert_int_equal(store_attempt_end(s, "a", "t3", "done", NULL, "{", 0, &err), SUMI_INVALID);

	store_test_ok(store_attempts(s, "a", &list, &count, &err), &err);
	assert_int_equal(count, 3);
	assert_string_equal(list[0].outcome, "failed");
	assert_string_equal(list[0].error, "device lost");
	assert_string_equal(list[1].outcome, "crashed");
	assert_int_equal(list[1].ended, 3000);
	assert_string_equal(list[2].outcome, "done");
	assert_string_equal(list[2].timings, "{\"decode\":30,\"steps\":900}");
	assert_string_equal(list[2].device, "PoCL");
	assert_int_equal(list[2].ended, 4000);
	store_attempts_free(list, count);
	store_close(s);
}

static void check_digest_and_models(void **state)
{
	(void)state;
	struct store *s = store_test_begin();
	struct error err = {0};
	struct store_job job;
	store_test_done(s, "one", 0, &(struct store_job){.digest = "d"});
	store_test_done(s, "two", 1, &(struct store_job){.digest = "d"});
	store_test_done(s, "bad", 2, &(struct store_job){.digest = "d", .state = "failed"});
	store_test_ok(store_find_digest(s, "d", &job, &err), &err);
	assert_string_equal(job.id, "two");
	store_job_free(&job);
	assert_int_equal(store_find_digest(s, "e", &job, &err), SUMI_NOTFOUND);

	struct store_model *models, m = {.name = "ink",
					 .digest = "abc",
					 .modality = "image",
					 .first_used = 5,
					 .last_used = 6};
	size_t count;
	store_test_ok(store_model_put(s, &m, &err), &err);
	m.first_used = m.last_used = 9;
	m.modality = NULL;
	store_test_ok(store_model_put(s, &m, &err), &err);
	store_test_ok(store_models(s, &models, &count, &err), &err);
	assert_int_equal(count, 1);
	assert_int_equal(models[0].first_used, 5);
	assert_int_equal(models[0].last_used, 9);
	assert_string_equal(models[0].modality, "image");
	store_models_free(models, count);
	struct store_counts counts;
	store_test_ok(store_count(s, &counts, &err), &err);
	assert_int_equal(counts.done, 2);
	assert_int_equal(counts.failed, 1);
	assert_int_equal(counts.artifacts, 0);
	store_close(s);
}

/* ---- several processes ---- */

static void write_jobs(int writer, int count)
{
	struct store *s = store_test_begin();
	for (int i = 0; i < count; i++) {
		char id[32];
		snprintf(id, sizeof id, "w%d-%d", writer, i);
		store_test_done(s, id, i, NULL);
	}
	store_close(s);
	_exit(0);
}

static void check_readers_and_writers(void **state)
{
	(void)state;
	store_close(store_test_begin());
	pid_t pids[2];
	for (int w = 0; w < 2; w++)
		if ((pids[w] = fork()) == 0)
			write_jobs(w, 40);
	struct store *s = store_test_open(store_test_dir, STORE_READ);
	size_t last = 0;
	while (last < 80) {
		size_t n = store_test_visible(s);
		assert_true(n >= last && n <= 80);
		last = n;
		if (waitpid(-1, NULL, WNOHANG) < 0) { /* both are gone */
			assert_int_equal(store_test_visible(s), 80);
			break;
		}
	}
	store_close(s);
	for (int w = 0; w < 2; w++)
		waitpid(pids[w], NULL, 0);
	s = store_test_begin();
	assert_int_equal(store_test_visible(s), 80);
	struct error err = {0};
	store_test_ok(store_check(s, true, NULL, &err), &err);
	store_close(s);
}

/* A writer that is killed in the middle of a transaction, its pages half in the file: whoever
 * comes next, a reader too, sees the state before it. */
static void check_killed_writer(void **state)
{
	(void)state;
	char path[128];
	struct stat st;
	struct store *s = store_test_begin();
	store_test_done(s, "a", 0, &(struct store_job){.prompt = "before"});
	store_close(s);
	snprintf(path, sizeof path, "%s/sumi.db", store_test_dir);
	pid_t pid = fork();
	if (pid == 0) {
		sqlite3 *db;
		sqlite3_open(path, &db);
		sqlite3_exec(
		    db,
		    "PRAGMA journal_mode = TRUNCATE; PRAGMA cache_size = 1; BEGIN IMMEDIATE;"
		    "UPDATE jobs SET prompt = 'after', error = hex(zeroblob(100000));"
		    "CREATE TABLE big (x); INSERT INTO big VALUES (zeroblob(400000));",
		    NULL, NULL, NULL);
		raise(SIGKILL);
	}
	waitpid(pid, NULL, 0);
	snprintf(path, sizeof path, "%s/sumi.db-journal", store_test_dir);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size > 0);
	s = store_test_open(store_test_dir, STORE_READ);
	struct store_job job;
	struct error err = {0};
	store_test_ok(store_job_get(s, "a", &job, &err), &err);
	assert_string_equal(job.prompt, "before");
	store_job_free(&job);
	store_test_ok(store_check(s, true, NULL, &err), &err);
	store_close(s);
}

static void check_read_only_folder(void **state)
{
	(void)state;
	char path[128];
	struct store *s = store_test_begin();
	store_test_done(s, "a", 0, NULL);
	store_close(s);
	snprintf(path, sizeof path, "%s/sumi.db", store_test_dir);
	assert_int_equal(chmod(path, 0444), 0);
	snprintf(path, sizeof path, "%s/sumi.db-journal", store_test_dir);
	chmod(path, 0444);
	assert_int_equal(chmod(store_test_dir, 0555), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct error err = {0};
		if (getuid() == 0 && setuid(65534) != 0)
			_exit(9);
		struct store_options options = {.dir = store_test_dir, .mode = STORE_READ};
		if (store_open(&options, &s, &err) != 0 || store_test_visible(s) != 1)
			_exit(1);
		struct store_report report = {0};
		if (store_check(s, true, &report, &err) != 0)
			_exit(2);
		store_close(s);
		options.mode = STORE_WRITE;
		_exit(store_open(&options, &s, &err) == SUMI_PERM ? 0 : 3);
	}
	int status;
	waitpid(pid, &status, 0);
	chmod(store_test_dir, 0755);
	assert_int_equal(status, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, store_test_setup, store_test_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(check_open),
	    TEST(check_newer_refused),
	    TEST(check_foreign_refused),
	    TEST(check_migrations),
	    TEST(check_open_race),
	    TEST(check_job_fields),
	    TEST(check_states),
	    TEST(check_attempts),
	    TEST(check_digest_and_models),
	    TEST(check_readers_and_writers),
	    TEST(check_killed_writer),
	    TEST(check_read_only_folder),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
