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

struct store *store_test_open(const char *folder, enum store_mode mode)
{
	struct store_options options = {.dir = folder, .mode = mode, .reserve = -1, .ballast = -1};
	struct store *s;
	struct error err = {0};
	store_test_ok(store_open(&options, &s, &err), &err);
	return s;
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
