/* The database: migrations, jobs, attempts, listings, search, readers beside writers, damage,
 * backup and rebuild. */
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
#include "modalities/webp.h"
#include "storage/storage.h"
#include "tests/unit/store_helper.h"

static char folder[64];

static int setup(void **state)
{
	(void)state;
	store_test_folder(folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_test_remove(folder);
	return 0;
}

static struct store *open_store(void)
{
	return store_test_open(folder, STORE_WRITE);
}

static int try_open(enum store_mode mode, struct error *err)
{
	struct store_options options = {.dir = folder, .mode = mode, .reserve = -1};
	struct store *s;
	int status = store_open(&options, &s, err);
	if (!status)
		store_close(s);
	return status;
}

/* SQL past the store, on the file itself. */
static void raw(const char *sql)
{
	char path[128], *message = NULL;
	sqlite3 *db;
	snprintf(path, sizeof path, "%s/sumi.db", folder);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s: %s", sql, message);
	sqlite3_close(db);
}

/* ---- opening ---- */

static void check_open(void **state)
{
	(void)state;
	struct error err = {0};
	assert_int_equal(try_open(STORE_READ, &err), SUMI_NOTFOUND);
	assert_non_null(strstr(err.text, "start sumid"));
	store_close(open_store());
	assert_int_equal(try_open(STORE_READ, &err), 0);
	assert_int_equal(try_open(STORE_WRITE, &err), 0);

	struct store *s = store_test_open(folder, STORE_READ);
	struct store_job job = {.id = "a"};
	assert_int_equal(store_job_put(s, &job, &err), SUMI_PERM);
	store_close(s);
}

static void check_newer_refused(void **state)
{
	(void)state;
	struct error err = {0};
	store_close(open_store());
	raw("PRAGMA user_version = 9999");
	assert_int_equal(try_open(STORE_WRITE, &err), SUMI_UNSUPPORTED);
	assert_non_null(strstr(err.text, "newer"));
	assert_int_equal(try_open(STORE_READ, &err), SUMI_UNSUPPORTED);
}

static void check_foreign_refused(void **state)
{
	(void)state;
	struct error err = {0};
	raw("CREATE TABLE others (x)");
	assert_int_equal(try_open(STORE_WRITE, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "not sumi's"));
}

static void check_migrations(void **state)
{
	(void)state;
	struct error err = {0};
	char path[128];
	raw(embedded_text(embedded_sql, "001_store.sql"));
	raw("PRAGMA application_id = 1937075561; PRAGMA user_version = 1;"
	    "INSERT INTO jobs (key, id, state, publish, prompt, priority, variants, created, "
	    "started,"
	    " finished) VALUES (1048576, 'old', 'done', 'visible', 'an old castle', 0, 1, 1, 1, "
	    "1)");
	assert_int_equal(try_open(STORE_READ, &err), SUMI_UNSUPPORTED);
	assert_non_null(strstr(err.text, "older"));
	struct store *s = open_store();
	struct store_page page;
	struct store_filter filter = {.text = "castles"};
	store_test_ok(store_list(s, &filter, &page, &err), &err);
	assert_int_equal(page.count, 1);
	assert_string_equal(page.jobs[0].id, "old");
	store_page_free(&page);
	assert_int_equal(store_check(s, true, NULL, &err), 0);
	store_close(s);
	snprintf(path, sizeof path, "%s/sumi.db.version1", folder);
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

/* Several processes that open an empty folder at once all get a whole database. */
static void check_open_race(void **state)
{
	(void)state;
	pid_t pids[6];
	for (int i = 0; i < 6; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			struct error err = {0};
			_exit(try_open(STORE_WRITE, &err) == 0 ? 0 : 1);
		}
	}
	for (int i = 0; i < 6; i++) {
		int status;
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
}

/* ---- jobs ---- */

static void check_job_fields(void **state)
{
	(void)state;
	struct store *s = open_store();
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

static void assert_state(struct store *s, const char *id, const char *want)
{
	struct store_job job;
	struct error err = {0};
	store_test_ok(store_job_get(s, id, &job, &err), &err);
	assert_string_equal(job.state, want);
	store_job_free(&job);
}

static size_t visible_jobs(struct store *s)
{
	struct store_page page;
	struct store_filter filter = {.limit = 1000};
	struct error err = {0};
	store_test_ok(store_list(s, &filter, &page, &err), &err);
	size_t n = page.count;
	store_page_free(&page);
	return n;
}

static void check_states(void **state)
{
	(void)state;
	struct store *s = open_store();
	struct error err = {0};
	struct store_pending *pending;
	size_t count;
	struct store_job job = {.id = "a", .token = "t1", .created = STORE_TEST_TIME};
	store_test_ok(store_job_put(s, &job, &err), &err);
	assert_int_equal(visible_jobs(s), 0);
	assert_int_equal(store_job_visible(s, "a", &err), SUMI_INVALID);
	store_test_ok(store_job_stored(s, "a", "t1", NULL, STORE_TEST_TIME + 1, &err), &err);
	assert_int_equal(visible_jobs(s), 0);
	store_test_ok(store_pending(s, &pending, &count, &err), &err);
	assert_int_equal(count, 1);
	assert_string_equal(pending[0].id, "a");
	assert_string_equal(pending[0].token, "t1");
	store_pending_free(pending, count);

	/* What is stored stays so, whoever starts or fails it now. */
	store_test_ok(store_job_put(s, &job, &err), &err);
	store_test_ok(store_job_ended(s, "a", "failed", "late", 0, &err), &err);
	assert_state(s, "a", "done");
	assert_int_equal(visible_jobs(s), 0);
	store_test_ok(store_job_visible(s, "a", &err), &err);
	store_test_ok(store_job_visible(s, "a", &err), &err);
	assert_int_equal(visible_jobs(s), 1);
	store_test_ok(store_pending(s, &pending, &count, &err), &err);
	assert_int_equal(count, 0);
	store_pending_free(pending, count);
	store_test_ok(store_job_superseded(s, "a", "t1", &err), &err);
	assert_int_equal(visible_jobs(s), 1);

	/* Failed, retried, done. */
	job.id = "b";
	store_test_ok(store_job_put(s, &job, &err), &err);
	store_test_ok(store_job_ended(s, "b", "failed", "no memory", STORE_TEST_TIME + 2, &err),
		      &err);
	assert_state(s, "b", "failed");
	assert_int_equal(visible_jobs(s), 2);
	job.token = "t2";
	store_test_ok(store_job_put(s, &job, &err), &err);
	assert_state(s, "b", "running");
	assert_int_equal(visible_jobs(s), 1);
	store_test_ok(store_job_stored(s, "b", "t2", NULL, 0, &err), &err);
	store_test_ok(store_job_visible(s, "b", &err), &err);
	assert_state(s, "b", "done");

	/* Superseded by another host, but only what this lease stored. */
	job.id = "c";
	job.token = "t3";
	store_test_ok(store_job_put(s, &job, &err), &err);
	store_test_ok(store_job_stored(s, "c", "t3", NULL, 0, &err), &err);
	store_test_ok(store_job_superseded(s, "c", "older", &err), &err);
	store_test_ok(store_pending(s, &pending, &count, &err), &err);
	assert_int_equal(count, 1);
	store_pending_free(pending, count);
	store_test_ok(store_job_superseded(s, "c", "t3", &err), &err);
	assert_int_equal(store_job_visible(s, "c", &err), SUMI_INVALID);
	assert_int_equal(visible_jobs(s), 2);
	store_close(s);
}

static void check_attempts(void **state)
{
	(void)state;
	struct store *s = open_store();
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
	struct store *s = open_store();
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
	struct store *s = open_store();
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

static size_t found(struct store *s, const char *text)
{
	struct store_page page;
	struct store_filter filter = {.text = text};
	struct error err = {0};
	store_test_ok(store_list(s, &filter, &page, &err), &err);
	size_t n = page.count;
	store_page_free(&page);
	return n;
}

static void check_search(void **state)
{
	(void)state;
	struct store *s = open_store();
	struct error err = {0};
	store_test_done(s, "a", 0, &(struct store_job){.prompt = "Watercolour mountains in fog"});
	store_test_done(s, "b", 1,
			&(struct store_job){
			    .prompt = "космический порт в туманности, одинокий корабль у доков"});
	store_test_done(s, "c", 2, &(struct store_job){.prompt = "Горный перевал; ёлки в снегу"});
	store_test_done(s, "d", 3, &(struct store_job){.prompt = "crème brûlée, \"still life\""});
	assert_int_equal(found(s, "mountain"), 1);
	assert_int_equal(found(s, "FOG watercolour"), 1);
	assert_int_equal(found(s, "fog sea"), 0);
	assert_int_equal(found(s, "waterc*"), 1);
	assert_int_equal(found(s, "waterc"), 0);
	assert_int_equal(found(s, "Корабль"), 1);
	assert_int_equal(found(s, "корабли"), 1);
	assert_int_equal(found(s, "туманность порт"), 1);
	assert_int_equal(found(s, "КОСМИЧЕСКИЙ"), 1);
	assert_int_equal(found(s, "гор*"), 1);
	assert_int_equal(found(s, "creme BRULEE"), 1);
	/* Nothing that people type is an operator or an error. */
	assert_int_equal(found(s, "\"still"), 1);
	assert_int_equal(found(s, "fog OR sea"), 0);
	assert_int_equal(found(s, "prompt:fog"), 0);
	assert_int_equal(found(s, "(fog) AND -* ^fog"), 0);
	assert_int_equal(found(s, "fog )"), 1);
	assert_int_equal(found(s, "🎨"), 0);
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
	assert_int_equal(found(s, "words"), 0);
	assert_int_equal(found(s, "thought"), 1);
	store_test_ok(store_check(s, true, NULL, &err), &err);
	store_close(s);
}

/* ---- several processes ---- */

static void write_jobs(int writer, int count)
{
	struct store *s = open_store();
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
	store_close(open_store());
	pid_t pids[2];
	for (int w = 0; w < 2; w++)
		if ((pids[w] = fork()) == 0)
			write_jobs(w, 40);
	struct store *s = store_test_open(folder, STORE_READ);
	size_t last = 0;
	while (last < 80) {
		size_t n = visible_jobs(s);
		assert_true(n >= last && n <= 80);
		last = n;
		if (waitpid(-1, NULL, WNOHANG) < 0) { /* both are gone */
			assert_int_equal(visible_jobs(s), 80);
			break;
		}
	}
	store_close(s);
	for (int w = 0; w < 2; w++)
		waitpid(pids[w], NULL, 0);
	s = open_store();
	assert_int_equal(visible_jobs(s), 80);
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
	struct store *s = open_store();
	store_test_done(s, "a", 0, &(struct store_job){.prompt = "before"});
	store_close(s);
	snprintf(path, sizeof path, "%s/sumi.db", folder);
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
	snprintf(path, sizeof path, "%s/sumi.db-journal", folder);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size > 0);
	s = store_test_open(folder, STORE_READ);
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
	struct store *s = open_store();
	store_test_done(s, "a", 0, NULL);
	store_close(s);
	snprintf(path, sizeof path, "%s/sumi.db", folder);
	assert_int_equal(chmod(path, 0444), 0);
	snprintf(path, sizeof path, "%s/sumi.db-journal", folder);
	chmod(path, 0444);
	assert_int_equal(chmod(folder, 0555), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct error err = {0};
		if (getuid() == 0 && setuid(65534) != 0)
			_exit(9);
		struct store_options options = {.dir = folder, .mode = STORE_READ};
		if (store_open(&options, &s, &err) != 0 || visible_jobs(s) != 1)
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
	chmod(folder, 0755);
	assert_int_equal(status, 0);
}

/* ---- damage, backup, rebuild ---- */

static void overwrite(const char *name, long offset, size_t size)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%s", folder, name);
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
	struct store_options options = {.dir = folder, .reserve = -1};
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
	struct store *s = open_store();
	fill_varied(s);
	char *before = snapshot(s);
	store_close(s);

	struct store_options options = {.dir = folder, .reserve = -1};
	char moved[FILES_PATH_MAX];
	snprintf(moved, sizeof moved, "%s/sumi.db", folder);
	assert_int_equal(unlink(moved), 0); /* lost altogether is no worse than broken */
	store_test_ok(store_rebuild(&options, moved, NULL, &err), &err);
	assert_string_equal(moved, "");
	s = open_store();
	assert_int_equal(store_rebuild(&options, NULL, NULL, &err), SUMI_BUSY);
	assert_non_null(strstr(err.text, "stop sumid"));
	store_close(s);
	overwrite("sumi.db", 0, 512);
	assert_int_equal(try_open(STORE_WRITE, &err), SUMI_CORRUPT);
	assert_non_null(strstr(err.text, "sumi db rebuild"));
	assert_int_equal(try_open(STORE_READ, &err), SUMI_CORRUPT);
	rebuild(&lines, &report);
	assert_int_equal(report.problems, 0);
	assert_int_equal(report.jobs, 30);
	assert_int_equal(report.artifacts, 50);
	s = open_store();
	char *after = snapshot(s);
	assert_string_equal(before, after);
	assert_int_equal(found(s, "туманность"), 15);
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
	struct store *s = open_store();
	store_test_done(s, "a", 0, NULL);
	char path[128];
	snprintf(path, sizeof path, "%s/history/2026-09.jsonl", folder);
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
	s = open_store();
	assert_int_equal(visible_jobs(s), 2);
	assert_state(s, "b", "done");
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
	struct store *s = open_store();
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
	snprintf(command, sizeof command, "rm -r %s/history", folder);
	assert_int_equal(system(command), 0);
	rebuild(&lines, &report);
	assert_int_equal(report.problems, 1);
	assert_int_equal(report.jobs, 1);
	s = open_store();
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
	struct store *s = open_store();
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
	overwrite(list[0].path + strlen(folder) + 1, 0, 3);
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
	raw("UPDATE jobs SET prompt = 'other' WHERE id = 'v2'");
	s = store_test_open(folder, STORE_READ);
	assert_int_equal(store_check(s, false, &report, &err), SUMI_CORRUPT);
	assert_int_equal(report.problems, 3);
	store_close(s);
	overwrite("sumi.db", 3 * 4096, 4 * 4096);
	s = store_test_open(folder, STORE_READ);
	assert_int_equal(store_check(s, false, &report, &err), SUMI_CORRUPT);
	assert_non_null(strstr(err.text, "sumi db rebuild"));
	store_close(s);
}

static void check_backup_and_vacuum(void **state)
{
	(void)state;
	struct error err = {0};
	char path[128], target[128];
	struct store *s = open_store();
	fill_varied(s);
	char *before = snapshot(s);
	snprintf(path, sizeof path, "%s/copy.db", folder);
	store_test_ok(store_backup(s, path, &err), &err);
	assert_int_equal(store_backup(s, path, &err), SUMI_EXISTS);
	store_test_ok(store_vacuum(s, &err), &err);
	store_close(s);
	snprintf(target, sizeof target, "%s/sumi.db", folder);
	assert_int_equal(rename(path, target), 0);
	s = open_store();
	char *after = snapshot(s);
	assert_string_equal(before, after);
	free(before);
	free(after);
	store_close(s);
	s = store_test_open(folder, STORE_READ);
	assert_int_equal(store_vacuum(s, &err), SUMI_PERM);
	assert_int_equal(store_backup(s, "/nonexistent/x.db", &err), SUMI_NOTFOUND);
	store_close(s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

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
	    TEST(check_pages),
	    TEST(check_search),
	    TEST(check_readers_and_writers),
	    TEST(check_killed_writer),
	    TEST(check_read_only_folder),
	    TEST(check_rebuild),
	    TEST(check_rebuild_damaged_history),
	    TEST(check_rebuild_from_files),
	    TEST(check_damage_is_found),
	    TEST(check_backup_and_vacuum),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
