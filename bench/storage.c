/* How long a page of 50 jobs takes over a store of many finished ones, by filter and depth.
 *
 *     build/bench/storage [ROWS] [DIR]      1,000,000 rows, a new folder under /tmp
 *
 * DIR is kept, and used again as it is when it has a database. The rows are made by SQL in one
 * transaction: the store's own way in, fsyncs and all, is measured apart. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/clock.h"
#include "storage/storage.h"

#define REPEAT 200
#define FIRST_MS 1700000000000ll

/* Prompts of two languages, a rare model, a rare state, a tag in a hundred. */
static const char fill_sql[] =
    "BEGIN IMMEDIATE;"
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %lld) "
    "INSERT INTO jobs (key, id, state, publish, modality, model, prompt, submitter, params, digest,"
    " token, priority, variants, created, started, finished) "
    "SELECT (%lld + i * 1000) << 20, printf('01JBENCH%%018d', i), "
    "CASE WHEN i %% 1000 = 0 THEN 'failed' ELSE 'done' END, 'visible', "
    "CASE i %% 10 WHEN 0 THEN 'audio' WHEN 1 THEN 'video' ELSE 'image' END, "
    "CASE WHEN i %% 5000 = 7 THEN 'rare' ELSE 'ink' END, "
    "CASE i %% 4 WHEN 0 THEN 'watercolour mountains in fog, number ' "
    "WHEN 1 THEN 'космический порт в туманности, номер ' WHEN 2 THEN 'a calm sea at night ' "
    "ELSE 'neon city skyline in the rain ' END || i || "
    "CASE WHEN i %% 20000 = 3 THEN ' lighthouse' ELSE '' END, "
    "'user' || (i %% 7), json_object('seed', i, 'steps', 20, 'width', 512, 'height', 512), "
    "printf('%%064x', i), 'token', 0, 1, %lld + i * 1000, %lld + i * 1000 + 10, "
    "%lld + i * 1000 + 5000 FROM n;"
    "INSERT INTO tags (name) VALUES ('night'), ('all');"
    "INSERT INTO job_tags (tag, job) SELECT 1, key FROM jobs WHERE (key >> 20) %% 100000 = 0;"
    "INSERT INTO job_tags (tag, job) SELECT 2, key FROM jobs;"
    "INSERT INTO artifacts (job, variant, role, number, format, mime, sha256, bytes, width, height,"
    " duration, seed, infotext, state, created) SELECT key, 0, 'main', 0, 'webp', 'image/webp', "
    "printf('%%064x', key), 300000, 512, 512, 0, key, prompt, 'visible', created FROM jobs;"
    "INSERT INTO prompts (prompts) VALUES ('rebuild');"
    "COMMIT;";

static int fill(const char *dir, long long rows)
{
	char path[FILES_PATH_MAX], *message = NULL;
	char sql[sizeof fill_sql + 200];
	sqlite3 *db;
	snprintf(path, sizeof path, "%s/sumi.db", dir);
	snprintf(sql, sizeof sql, fill_sql, rows, FIRST_MS, FIRST_MS, FIRST_MS, FIRST_MS);
	if (sqlite3_open(path, &db) != SQLITE_OK ||
	    sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
		fprintf(stderr, "%s: %s\n", path, message ? message : "cannot be opened");
		sqlite3_close(db);
		return 1;
	}
	sqlite3_close(db);
	return 0;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Reads pages one behind the other, from the first on. */
static int measure(struct store *s, const char *name, struct store_filter filter)
{
	static double ms[REPEAT];
	int64_t before = filter.before;
	int got = 0;
	for (int i = 0; i < REPEAT; i++) {
		struct store_page page;
		struct error err = {0};
		int64_t start = clock_mono_us();
		if (store_list(s, &filter, &page, &err)) {
			fprintf(stderr, "%s: %s\n", name, err.text);
			return 1;
		}
		ms[i] = (double)(clock_mono_us() - start) / 1000;
		if (i == 0)
			got = (int)page.count;
		filter.before = page.next ? page.next : before;
		store_page_free(&page);
	}
	qsort(ms, REPEAT, sizeof *ms, by_size);
	printf("storage.list  %-28s p50 %8.2f ms  p99 %8.2f ms  max %8.2f ms  %d rows\n", name,
	       ms[REPEAT / 2], ms[REPEAT * 99 / 100], ms[REPEAT - 1], got);
	return 0;
}

static int measure_all(struct store *s, long long rows)
{
	const struct {
		const char *name;
		struct store_filter filter;
	} cases[] = {
	    {"newest", {0}},
	    {"middle", {.before = (FIRST_MS + rows * 500) << 20}},
	    {"state done", {.state = "done"}},
	    {"state failed", {.state = "failed"}},
	    {"rare model", {.model = "rare"}},
	    {"done and rare model", {.state = "done", .model = "rare"}},
	    {"audio of one user", {.modality = "audio", .submitter = "user3"}},
	    {"tag", {.tag = "night"}},
	    {"tag of all, failed", {.tag = "all", .state = "failed"}},
	    {"an hour of the past",
	     {.since = FIRST_MS + rows * 300, .until = FIRST_MS + rows * 310}},
	    {"text: mountains fog", {.text = "mountains fog"}},
	    {"text: lighthouse", {.text = "lighthouse"}},
	    {"text: lighthouse mountains", {.text = "lighthouse mountains"}},
	    {"text: туманность", {.text = "туманность"}},
	    {"text: wat*", {.text = "wat*"}},
	    {"text: mountains, failed", {.text = "mountains", .state = "failed"}},
	    {"text: calm, audio", {.text = "calm", .modality = "audio"}},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		if (measure(s, cases[i].name, cases[i].filter))
			return 1;
	return 0;
}

/* A whole job with one result of 300 KB, as a worker enters it. */
static int measure_writes(struct store *s)
{
	static char data[300000];
	struct error err = {0};
	enum { JOBS = 50 };
	int64_t start = clock_mono_us();
	for (int i = 0; i < JOBS; i++) {
		char id[64];
		enum store_put outcome;
		snprintf(id, sizeof id, "write-%d-%lld", i, (long long)start);
		memcpy(data, id, sizeof id);
		struct store_job job = {.id = id, .prompt = "fog", .token = "t"};
		struct store_attempt attempt = {.job = id, .token = "t"};
		struct store_artifact a = {.job = id, .role = "main", .format = "webp"};
		if (store_job_put(s, &job, &err) || store_attempt_begin(s, &attempt, &err) ||
		    store_artifact_put(s, &a, data, sizeof data, &outcome, &err) ||
		    store_job_stored(s, id, "t", NULL, 0, &err) || store_job_visible(s, id, &err)) {
			fprintf(stderr, "%s\n", err.text);
			return 1;
		}
	}
	printf("storage.write a job with one result: %.2f ms\n",
	       (double)(clock_mono_us() - start) / 1000 / JOBS);
	return 0;
}

int main(int argc, char **argv)
{
	long long rows = argc > 1 ? atoll(argv[1]) : 1000000;
	char folder[] = "/tmp/sumi-bench-store-XXXXXX", path[FILES_PATH_MAX];
	const char *dir = argc > 2 ? argv[2] : mkdtemp(folder);
	struct store_options options = {.dir = dir, .reserve = -1, .ballast = -1};
	struct store *s;
	struct error err = {0};
	if (!dir || files_path(path, &err, "%s/sumi.db", dir))
		return 1;
	bool filled = access(path, F_OK) == 0;
	if (store_open(&options, &s, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	int64_t start = clock_mono_us();
	if (!filled && fill(dir, rows)) {
		store_close(s);
		return 1;
	}
	if (!filled)
		printf("storage.fill  %lld rows in %.1f s\n", rows,
		       (double)(clock_mono_us() - start) / 1e6);
	int failed = measure_all(s, rows) || measure_writes(s);
	store_close(s);
	if (argc <= 2)
		printf("storage       the database is in %s\n", dir);
	return failed;
}
