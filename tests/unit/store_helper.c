/* A store in a folder of its own for the tests of storage/. */
#define _XOPEN_SOURCE 700 /* nftw */
#include "tests/unit/store_helper.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

char store_test_dir[64];

void store_test_ok(int status, const struct error *err)
{
	if (status)
		fail_msg("status %d: %s", status, err->text);
}

void store_test_folder(char out[64])
{
	/* In memory where that is at hand: these tests kill processes, not machines. */
	const char *root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	snprintf(out, 64, "%s/sumi-test-store-XXXXXX", root);
	assert_non_null(mkdtemp(out));
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void store_test_remove(const char *folder)
{
	assert_int_equal(nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}

int store_test_setup(void **state)
{
	(void)state;
	store_test_folder(store_test_dir);
	return 0;
}

int store_test_teardown(void **state)
{
	(void)state;
	store_test_remove(store_test_dir);
	return 0;
}

struct store *store_test_open(const char *folder, enum store_mode mode)
{
	struct store_options options = {.dir = folder, .mode = mode, .reserve = -1, .ballast = -1};
	struct store *s;
	struct error err = {0};
	store_test_ok(store_open(&options, &s, &err), &err);
	return s;
}

struct store *store_test_begin(void)
{
	return store_test_open(store_test_dir, STORE_WRITE);
}

int store_test_try(enum store_mode mode, struct error *err)
{
	struct store_options options = {.dir = store_test_dir, .mode = mode, .reserve = -1};
	struct store *s;
	int status = store_open(&options, &s, err);
	if (!status)
		store_close(s);
	return status;
}

void store_test_sql(const char *sql)
{
	char path[128], *message = NULL;
	sqlite3 *db;
	snprintf(path, sizeof path, "%s/sumi.db", store_test_dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s: %s", sql, message);
	sqlite3_close(db);
}

void store_test_state(struct store *s, const char *id, const char *want)
{
	struct store_job job;
	struct error err = {0};
	store_test_ok(store_job_get(s, id, &job, &err), &err);
	assert_string_equal(job.state, want);
	store_job_free(&job);
}

size_t store_test_visible(struct store *s)
{
	struct store_page page;
	struct store_filter filter = {.limit = 1000};
	struct error err = {0};
	store_test_ok(store_list(s, &filter, &page, &err), &err);
	size_t n = page.count;
	store_page_free(&page);
	return n;
}

size_t store_test_found(struct store *s, const char *text)
{
	struct store_page page;
	struct store_filter filter = {.text = text};
	struct error err = {0};
	store_test_ok(store_list(s, &filter, &page, &err), &err);
	size_t n = page.count;
	store_page_free(&page);
	return n;
}

void store_test_done(struct store *s, const char *id, int64_t at, const struct store_job *fields)
{
	struct store_job job = fields ? *fields : (struct store_job){0};
	struct error err = {0};
	job.id = (char *)id;
	job.created = STORE_TEST_TIME + at;
	job.started = job.created + 1000;
	job.modality = job.modality ? job.modality : "image";
	job.model = job.model ? job.model : "ink";
	job.prompt = job.prompt ? job.prompt : "mountains in fog";
	store_test_ok(store_job_put(s, &job, &err), &err);
	if (job.state && strcmp(job.state, "done") != 0) {
		store_test_ok(
		    store_job_ended(s, id, job.state, job.error, job.created + 5000, &err), &err);
		return;
	}
	store_test_ok(store_job_stored(s, id, "token", NULL, job.created + 5000, &err), &err);
	store_test_ok(store_job_visible(s, id, &err), &err);
}
