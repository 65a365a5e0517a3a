/* Artifact files: content addressing, the order at the end of a job under SIGKILL at every
 * crash point, collecting, full disks. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/files.h"
#include "storage/blobs.h"
#include "storage/keep.h"
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
	umount2(folder, MNT_DETACH); /* check_full_disk that failed halfway; else there is none */
	store_test_remove(folder);
	return 0;
}

static void put_job(struct store *s, const char *id, const char *token)
{
	struct error err = {0};
	struct store_job job = {.id = (char *)id,
				.token = (char *)token,
				.prompt = "fog",
				.variants = 2,
				.created = STORE_TEST_TIME};
	store_test_ok(store_job_put(s, &job, &err), &err);
}

static enum store_put put(struct store *s, const char *id, int variant, const char *data)
{
	struct error err = {0};
	enum store_put outcome;
	struct store_artifact a = {.job = (char *)id,
				   .variant = variant,
				   .role = "main",
				   .format = "webp",
				   .mime = "image/webp",
				   .created = 5};
	store_test_ok(store_artifact_put(s, &a, data, strlen(data), &outcome, &err), &err);
	assert_int_equal(a.bytes, strlen(data));
	assert_int_equal(strlen(a.sha256), 64);
	return outcome;
}

static void finish(struct store *s, const char *id, const char *token)
{
	struct error err = {0};
	store_test_ok(store_job_stored(s, id, token, NULL, STORE_TEST_TIME + 9, &err), &err);
	store_test_ok(store_job_visible(s, id, &err), &err);
}

/* Number of artifacts of a job, and in *text the contents of the first. */
static size_t artifacts(struct store *s, const char *id, bool all, char text[64])
{
	struct store_artifact *list;
	struct error err = {0};
	size_t count;
	store_test_ok(store_artifacts(s, id, all, &list, &count, &err), &err);
	for (size_t i = 0; i < count; i++)
		assert_true(list[i].present);
	if (count > 0 && text) {
		char *data;
		store_test_ok(files_read(list[0].path, 63, &data, NULL, &err), &err);
		strcpy(text, data);
		free(data);
	}
	store_artifacts_free(list, count);
	return count;
}

static int files_in(const char *sub)
{
	char command[128], line[32] = "";
	snprintf(command, sizeof command, "find %s/%s -type f 2>/dev/null | wc -l", folder, sub);
	FILE *p = popen(command, "r");
	assert_non_null(p);
	assert_non_null(fgets(line, sizeof line, p));
	pclose(p);
	return atoi(line);
}

static void check_put(void **state)
{
	(void)state;
	struct store *s = store_test_open(folder, STORE_WRITE);
	struct error err = {0};
	char text[64];
	enum store_put outcome;
	put_job(s, "a", "t1");
	assert_int_equal(put(s, "a", 0, "one"), STORE_PUT_NEW);
	assert_int_equal(put(s, "a", 0, "one"), STORE_PUT_SAME);
	assert_int_equal(put(s, "a", 0, "two"), STORE_PUT_REPLACED);
	assert_int_equal(put(s, "a", 1, "two"), STORE_PUT_NEW); /* one file, two rows */
	assert_int_equal(artifacts(s, "a", false, NULL), 0);
	assert_int_equal(artifacts(s, "a", true, text), 2);
	assert_string_equal(text, "two");
	assert_int_equal(files_in("artifacts"), 2); /* "one" waits for the collector */
	store_test_ok(store_variant_visible(s, "a", 0, &err), &err);
	assert_int_equal(artifacts(s, "a", false, NULL), 1);
	assert_int_equal(put(s, "a", 0, "three"), STORE_PUT_SUPERSEDED);
	assert_int_equal(put(s, "a", 0, "two"), STORE_PUT_SAME);
	assert_int_equal(files_in("artifacts"), 2); /* the loser's file is gone at once */
	finish(s, "a", "t1");
	assert_int_equal(artifacts(s, "a", false, NULL), 2);
	assert_int_equal(put(s, "a", 1, "late"), STORE_PUT_SUPERSEDED);
	assert_int_equal(put(s, "a", 2, "new"), STORE_PUT_SUPERSEDED);
	assert_int_equal(artifacts(s, "a", true, text), 2);

	struct store_artifact bad = {.job = "a", .role = "main", .format = "../x"};
	assert_int_equal(store_artifact_put(s, &bad, "x", 1, &outcome, &err), SUMI_INVALID);
	bad.format = "webp";
	bad.job = "nobody";
	assert_int_equal(store_artifact_put(s, &bad, "x", 1, &outcome, &err), SUMI_NOTFOUND);
	assert_int_equal(files_in("artifacts"), 2);
	store_close(s);
}

/* A file that went missing, or has other bytes, is written again by the same result. */
static void check_lost_comes_back(void **state)
{
	static const char *const harms[] = {"-delete", "-exec sh -c 'printf eno >{}' \\;"};
	struct store *s = store_test_open(folder, STORE_WRITE);
	char command[160], text[64];
	(void)state;
	put_job(s, "a", "t1");
	put(s, "a", 0, "one");
	finish(s, "a", "t1");
	for (size_t i = 0; i < sizeof harms / sizeof harms[0]; i++) {
		snprintf(command, sizeof command, "find %s/artifacts -type f %s", folder, harms[i]);
		assert_int_equal(system(command), 0);
		assert_int_equal(put(s, "a", 0, "one"), STORE_PUT_SAME);
		assert_int_equal(artifacts(s, "a", false, text), 1);
		assert_string_equal(text, "one");
	}
	store_close(s);
}

/* ---- crash points ---- */

/* What a worker does, from the claim to the end; any number of times. */
static void work(void)
{
	struct error err = {0};
	struct store *s = store_test_open(folder, STORE_WRITE);
	struct store_attempt attempt = {.job = "job", .token = "t1", .started = 1};
	put_job(s, "job", "t1");
	store_test_ok(store_attempt_begin(s, &attempt, &err), &err);
	put(s, "job", 0, "first result");
	put(s, "job", 1, "second result");
	finish(s, "job", "t1");
	store_close(s);
}

/* What the daemon does when it starts again: the queue took every stored job. */
static void recover(void)
{
	struct error err = {0};
	struct store *s = store_test_open(folder, STORE_WRITE);
	struct store_pending *pending;
	size_t count;
	struct store_collected collected;
	store_test_ok(store_pending(s, &pending, &count, &err), &err);
	for (size_t i = 0; i < count; i++)
		store_test_ok(store_job_visible(s, pending[i].id, &err), &err);
	store_pending_free(pending, count);
	store_test_ok(store_collect(s, 0, NULL, &collected, &err), &err);
	store_close(s);
}

static void assert_whole(void)
{
	struct error err = {0};
	struct store *s = store_test_open(folder, STORE_WRITE);
	struct store_page page;
	struct store_filter filter = {0};
	char text[64];
	store_test_ok(store_list(s, &filter, &page, &err), &err);
	assert_int_equal(page.count, 1);
	assert_string_equal(page.jobs[0].state, "done");
	assert_int_equal(page.jobs[0].attempts, 1);
	store_page_free(&page);
	assert_int_equal(artifacts(s, "job", false, text), 2);
	assert_string_equal(text, "first result");
	store_test_ok(store_check(s, true, NULL, &err), &err);
	store_close(s);
	assert_int_equal(files_in("artifacts"), 2);
}

static void crash_at(const char *point)
{
	pid_t pid = fork();
	if (pid == 0) {
		setenv("SUMI_CRASH_AT", point, 1);
		work();
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void check_crash_points(void **state)
{
	(void)state;
	static const char *const points[] = {
	    "temp_written", "temp_synced",    "renamed",    "folder_synced",   "renamed:2",
	    "artifact_row", "artifact_row:2", "job_stored", "history_written", "job_visible",
	};
	for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
		/* Recovery, then the job's next run. */
		crash_at(points[i]);
		recover();
		work();
		recover();
		assert_whole();
		/* The next run, before anything was collected. */
		store_test_remove(folder);
		store_test_folder(folder);
		crash_at(points[i]);
		work();
		recover();
		assert_whole();
		/* The history knows all of it. */
		struct store_options options = {.dir = folder, .reserve = -1};
		struct error err = {0};
		struct store_report report = {0};
		store_test_ok(store_rebuild(&options, NULL, &report, &err), &err);
		assert_int_equal(report.problems, 0);
		assert_whole();
		store_test_remove(folder);
		store_test_folder(folder);
	}
}

/* ---- collecting ---- */

static void write_file(const char *name, const char *text)
{
	char path[192];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void check_collect(void **state)
{
	(void)state;
	struct error err = {0};
	struct store_collected c;
	struct store *s = store_test_open(folder, STORE_WRITE);
	put_job(s, "a", "t1");
	put(s, "a", 0, "one");
	put(s, "a", 0, "two"); /* leaves "one" without a row */
	put(s, "a", 1, "three");
	put_job(s, "ended", "t1");
	store_test_ok(store_job_ended(s, "ended", "cancelled", NULL, 0, &err), &err);
	write_file("artifacts/tmp/left.abc", "half");
	write_file("artifacts/README", "not ours");

	store_test_ok(store_collect(s, 3600 * 1000, NULL, &c, &err), &err);
	assert_int_equal(c.temps + c.orphans, 0); /* all of it is young */
	store_test_ok(store_collect(s, 0, NULL, &c, &err), &err);
	assert_int_equal(c.temps, 1);
	assert_int_equal(c.orphans, 1);
	assert_int_equal(c.bytes, 4 + 3);
	assert_int_equal(files_in("artifacts"), 3);
	assert_int_equal(artifacts(s, "a", true, NULL), 2);
	store_close(s);
	s = store_test_open(folder, STORE_READ);
	assert_int_equal(store_collect(s, 0, NULL, &c, &err), SUMI_PERM);
	store_close(s);
}

#define STRAY "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* A result without a row that a line of the history names stays, though the line is cut; where the history cannot be read,
 * nobody knows and all stays. */
static void check_named_stays(void **state)
{
	(void)state;
	struct error err = {0};
	struct store_collected c;
	char command[400];
	struct store *s = store_test_open(folder, STORE_WRITE);
	snprintf(command, sizeof command, "mkdir -p %s/artifacts/01/23 %s/thumbs/01/23 %s/history/2020-01.jsonl", folder, folder, folder);
	assert_int_equal(system(command), 0);
	write_file("artifacts/01/23/" STRAY ".webp", "lost");
	write_file("thumbs/01/23/" STRAY ".webp", "small");
	write_file("history/2020-02.jsonl", "{\"artifacts\":[{\"sha256\":\"" STRAY "\",");
	assert_int_equal(store_collect(s, -1000, NULL, &c, &err), SUMI_IO);
	assert_non_null(strstr(err.text, "2020-01.jsonl"));
	snprintf(command, sizeof command, "rmdir %s/history/2020-01.jsonl", folder);
	assert_int_equal(system(command), 0);
	store_test_ok(store_collect(s, -1000, NULL, &c, &err), &err);
	assert_int_equal(c.kept, 1); /* its thumbnail is no result of its own */
	assert_int_equal(c.orphans + c.thumbs, 0);
	write_file("history/2020-02.jsonl", "");
	store_test_ok(store_collect(s, -1000, NULL, &c, &err), &err);
	assert_int_equal(c.kept, 0);
	assert_int_equal(c.orphans, 1);
	assert_int_equal(c.thumbs, 1);
	store_close(s);
}

/* People put a large disk under one of the folders. */
static void check_other_disk(void **state)
{
	(void)state;
	char disk[] = "/var/tmp/sumi-blobs-XXXXXX", path[FILES_PATH_MAX], sha256[SHA256_HEX_SIZE];
	struct error err = {0};
	struct store_collected c;
	struct stat here, there;
	if (!mkdtemp(disk) || stat(disk, &there) || stat(folder, &here) || here.st_dev == there.st_dev) {
		print_message("skip a disk of its own: /var/tmp is none apart from %s\n", folder);
		rmdir(disk);
		return;
	}
	struct store *s = store_test_open(folder, STORE_WRITE);
	snprintf(path, sizeof path, "%s/blobs", folder);
	assert_int_equal(symlink(disk, path), 0);
	sha256_hex("input", 5, sha256);
	store_test_ok(store_blob_put(s, sha256, "input", 5, path, &err), &err);
	/* What is left there is found there. */
	write_file("blobs/tmp/left.abc", "half");
	store_test_ok(store_collect(s, 0, NULL, &c, &err), &err);
	assert_int_equal(c.temps, 1);
	store_close(s);
	/* A reserve between what is free on the two: one of them is too full, whichever it is. */
	int64_t of_rows = files_free_space(folder), of_blobs = files_free_space(disk);
	struct store_options options = {.dir = folder, .mode = STORE_WRITE, .reserve = (of_rows + of_blobs) / 2, .ballast = -1};
	snprintf(path, sizeof path, "%s%s: ", folder, of_blobs < of_rows ? "/blobs" : "");
	store_test_ok(store_open(&options, &s, &err), &err);
	assert_int_equal(store_space(s, NULL, 0, &err), SUMI_FULL);
	assert_int_equal(strncmp(err.text, path, strlen(path)), 0);
	store_close(s);
	files_remove_tree(disk);
}

/* ---- full disks ---- */

static void check_reserve(void **state)
{
	(void)state;
	struct store_options options = {
	    .dir = folder, .reserve = (int64_t)1 << 60, .ballast = 4096};
	struct error err = {0};
	struct store *s;
	enum store_put outcome;
	store_test_ok(store_open(&options, &s, &err), &err);
	assert_int_equal(store_space(s, NULL, 0, &err), SUMI_FULL);
	assert_non_null(strstr(err.text, "free some space"));
	put_job(s, "a", "t");
	struct store_artifact a = {.job = "a", .role = "main", .format = "webp"};
	assert_int_equal(store_artifact_put(s, &a, "x", 1, &outcome, &err), SUMI_FULL);
	assert_int_equal(store_ballast_fill(s, &err), SUMI_FULL);
	assert_int_equal(files_in("artifacts"), 0);
	store_close(s);
}

static void check_ballast(void **state)
{
	(void)state;
	struct store_options options = {.dir = folder, .reserve = -1, .ballast = 8192};
	struct error err = {0};
	struct store *s;
	struct stat st;
	char path[128];
	snprintf(path, sizeof path, "%s/ballast", folder);
	store_test_ok(store_open(&options, &s, &err), &err);
	store_test_ok(store_ballast_fill(s, &err), &err);
	store_test_ok(store_ballast_fill(s, &err), &err);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 8192);
	assert_true(st.st_blocks * 512 >= 8192);
	store_test_ok(store_ballast_drop(s, &err), &err);
	store_test_ok(store_ballast_drop(s, &err), &err);
	assert_int_equal(access(path, F_OK), -1);
	store_close(s);
}

/* Fills the file system of folder to the last byte. */
static void fill_disk(void)
{
	char path[128], block[512] = {1};
	snprintf(path, sizeof path, "%s/filler", folder);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	assert_true(fd >= 0);
	while (write(fd, block, sizeof block) > 0)
		;
	close(fd);
}

static void check_full_disk(void **state)
{
	(void)state;
	if (getuid() != 0 || mount("tmpfs", folder, "tmpfs", 0, "size=2m") != 0)
		skip();
	struct store_options options = {.dir = folder, .reserve = -1, .ballast = 256 << 10};
	struct error err = {0};
	struct store *s;
	enum store_put outcome;
	char *big = calloc(1, 3 << 20), path[128];
	store_test_ok(store_open(&options, &s, &err), &err);
	store_test_ok(store_ballast_fill(s, &err), &err);
	assert_int_equal(files_in("ballast"), 1);
	put_job(s, "a", "t");
	put(s, "a", 0, "fits");
	struct store_artifact a = {.job = "a", .variant = 1, .role = "main", .format = "webp"};
	int status = store_artifact_put(s, &a, big, 3 << 20, &outcome, &err);
	assert_int_equal(status, SUMI_FULL);
	assert_int_equal(files_in("artifacts"), 1); /* nothing half-written */

	fill_disk();
	struct store_job job = {.id = "b", .prompt = big, .created = STORE_TEST_TIME};
	memset(big, 'x', 1 << 20);
	assert_int_equal(store_job_put(s, &job, &err), SUMI_FULL);
	assert_non_null(strstr(err.text, "free some space"));
	assert_int_equal(files_in("ballast"), 0);
	finish(s, "a", "t"); /* in the ballast's room */
	assert_int_equal(artifacts(s, "a", false, NULL), 1);
	fill_disk();
	assert_int_equal(store_job_put(s, &job, &err), SUMI_FULL);
	assert_int_equal(store_ballast_fill(s, &err), SUMI_FULL);
	assert_int_equal(artifacts(s, "a", false, NULL), 1);

	/* The cause gone, all goes on. */
	snprintf(path, sizeof path, "%s/filler", folder);
	assert_int_equal(unlink(path), 0);
	store_test_ok(store_ballast_fill(s, &err), &err);
	put_job(s, "c", "t");
	put(s, "c", 0, "again");
	finish(s, "c", "t");
	store_test_ok(store_check(s, true, NULL, &err), &err);
	store_close(s);
	free(big);
	assert_int_equal(umount(folder), 0);
}

/* Full to the last byte, and another program has eaten the ballast: deleting makes room all the same. */
static void check_delete_without_room(void **state)
{
	(void)state;
	enum { LARGE = 400 << 10 };
	if (getuid() != 0 || mount("tmpfs", folder, "tmpfs", 0, "size=2m") != 0)
		skip();
	struct store_options options = {.dir = folder, .reserve = -1, .ballast = 64 << 10};
	struct store_removed removed = {0};
	struct error err = {0};
	struct store *s;
	enum store_put outcome;
	bool changed;
	char *large = calloc(1, LARGE);
	store_test_ok(store_open(&options, &s, &err), &err);
	store_test_ok(store_ballast_fill(s, &err), &err);
	put_job(s, "a", "t");
	put(s, "a", 0, "of both");
	struct store_artifact own = {.job = "a", .variant = 1, .role = "main", .format = "webp", .mime = "image/webp"};
	store_test_ok(store_artifact_put(s, &own, large, LARGE, &outcome, &err), &err);
	finish(s, "a", "t");
	put_job(s, "b", "t");
	put(s, "b", 0, "of both");
	finish(s, "b", "t");
	fill_disk();
	assert_int_equal(store_star(s, "a", true, &changed, &err), SUMI_FULL);
	fill_disk();
	assert_int_equal(store_star(s, "a", true, &changed, &err), SUMI_FULL);
	store_test_ok(store_remove(s, "a", &removed, &err), &err);
	assert_true(removed.jobs == 1 && removed.files == 1 && removed.bytes == LARGE);
	assert_int_equal(files_in("artifacts"), 1); /* which b has too */
	assert_int_equal(artifacts(s, "b", false, NULL), 1);
	store_test_ok(store_check(s, true, NULL, &err), &err);
	store_close(s);
	free(large);
	assert_int_equal(umount(folder), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static int said;
static char last_said[2048];

static void say(void *context, const char *text)
{
	(void)context;
	said++;
	snprintf(last_said, sizeof last_said, "%s", text);
}

static int look(struct store *s)
{
	struct error err = {0};
	struct store_report report = {.line = say};
	said = 0;
	int status = store_check(s, true, &report, &err);
	assert_int_equal(report.problems, said);
	assert_int_equal(status, said ? SUMI_CORRUPT : SUMI_OK);
	return report.blobs;
}

/* Whether results can be made again hangs on what they were made from. */
static void check_blobs(void **state)
{
	(void)state;
	struct store *s = store_test_open(folder, STORE_WRITE);
	struct error err = {0};
	char path[FILES_PATH_MAX], sha256[SHA256_HEX_SIZE], metadata[128];
	enum store_put outcome;
	sha256_hex("photo", 5, sha256);
	snprintf(metadata, sizeof metadata, "{\"init\":\"%s\"}", sha256);
	store_test_ok(store_blob_put(s, sha256, "photo", 5, path, &err), &err);
	put_job(s, "made", "1");
	struct store_artifact a = {.job = "made",
				   .role = "main",
				   .format = "webp",
				   .mime = "image/webp",
				   .metadata = metadata,
				   .created = 5};
	store_test_ok(store_artifact_put(s, &a, "picture", 7, &outcome, &err), &err);
	assert_int_equal(look(s), 1);
	assert_int_equal(said, 0);
	store_test_ok(files_write_durable(path, "phot0", 5, &err), &err);
	assert_int_equal(look(s), 1);
	assert_int_equal(said, 1);
	assert_non_null(strstr(last_said, ".input: the bytes are not what was stored"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(look(s), 0);
	assert_int_equal(said, 1);
	assert_non_null(strstr(last_said, "job made: the file that it was made from is missing"));
	/* A result with the same bytes serves as well. */
	assert_int_equal(put(s, "made", 1, "photo"), STORE_PUT_NEW);
	assert_int_equal(look(s), 0);
	assert_int_equal(said, 0);
	store_close(s);
}

static bool needs_all(void *context, const char *sha256)
{
	return strcmp(context, sha256) == 0;
}

/* What a waiting job starts from stays, though no result was made from it yet. */
static void check_needed_blobs(void **state)
{
	(void)state;
	struct store *s = store_test_open(folder, STORE_WRITE);
	struct error err = {0};
	char one[FILES_PATH_MAX], two[FILES_PATH_MAX], sha256[SHA256_HEX_SIZE], other[SHA256_HEX_SIZE];
	struct store_collected c;
	sha256_hex("one", 3, sha256);
	sha256_hex("two", 3, other);
	store_test_ok(store_blob_put(s, sha256, "one", 3, one, &err), &err);
	store_test_ok(store_blob_put(s, other, "two", 3, two, &err), &err);
	struct store_needs needs = {needs_all, sha256};
	store_test_ok(store_collect(s, -1000, &needs, &c, &err), &err);
	assert_int_equal(c.blobs, 1);
	assert_int_equal(access(one, F_OK), 0);
	assert_int_not_equal(access(two, F_OK), 0);
	store_test_ok(store_collect(s, -1000, NULL, &c, &err), &err);
	assert_int_equal(c.blobs, 1);
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(check_put),          TEST(check_lost_comes_back), TEST(check_collect),
	    TEST(check_named_stays),
	    TEST(check_other_disk),
	    TEST(check_crash_points), TEST(check_reserve),         TEST(check_ballast),
	    TEST(check_full_disk),    TEST(check_delete_without_room), TEST(check_blobs),           TEST(check_needed_blobs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
