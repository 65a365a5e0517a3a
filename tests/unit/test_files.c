/* Whole-file reads and their bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/files.h"

static char dir[] = "/tmp/sumi-files-XXXXXX";

static void reads_what_it_wrote(void **state)
{
	(void)state;
	char path[64], *data;
	size_t size;
	struct error err;
	snprintf(path, sizeof path, "%s/file", dir);
	assert_int_equal(files_write_durable(path, "ink\0wash", 8, &err), SUMI_OK);
	assert_int_equal(files_read(path, 8, &data, &size, &err), SUMI_OK);
	assert_int_equal(size, 8);
	assert_memory_equal(data, "ink\0wash", 9);
	free(data);
	assert_int_equal(files_read(path, 7, &data, &size, &err), SUMI_TOOBIG);
	assert_null(data);
	assert_int_equal(files_read(dir, 7, &data, &size, &err), SUMI_INVALID);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(files_read(path, 7, &data, &size, &err), SUMI_NOTFOUND);
}

/* A pipe does not say how much is in it. */
static int read_pipe(const char *text, size_t limit, char **data, size_t *size)
{
	int ends[2];
	char path[32];
	struct error err;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], text, strlen(text)), strlen(text));
	close(ends[1]);
	snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
	int status = files_read(path, limit, data, size, &err);
	close(ends[0]);
	return status;
}

static void reads_pipes_up_to_the_limit(void **state)
{
	(void)state;
	char *data;
	size_t size;
	for (size_t limit = 8; limit < 10; limit++) {
		assert_int_equal(read_pipe("ink wash", limit, &data, &size), SUMI_OK);
		assert_int_equal(size, 8);
		assert_string_equal(data, "ink wash");
		free(data);
	}
	/* Half of what was sent is something else than what was sent. */
	assert_int_equal(read_pipe("ink wash", 7, &data, &size), SUMI_TOOBIG);
	assert_null(data);
}

static void refuses_what_is_no_file(void **state)
{
	(void)state;
	static const mode_t kinds[] = {S_IFIFO, S_IFSOCK, S_IFDIR};
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		char path[64], *data;
		struct error err;
		snprintf(path, sizeof path, "%s/odd", dir);
		int made = kinds[i] == S_IFDIR ? mkdir(path, 0700)
					       : mknod(path, kinds[i] | 0600, 0);
		assert_int_equal(made, 0);
		assert_int_equal(files_read_regular(path, 9, &data, NULL, &err), SUMI_INVALID);
		assert_non_null(strstr(err.text, "is not a regular file"));
		assert_int_equal(remove(path), 0);
	}
}

/* What /proc has says that it is empty, and what a pipe holds is longer than one read. */
static void reads_to_the_end_whatever_the_size(void **state)
{
	(void)state;
	struct error err;
	char *data;
	size_t size;
	assert_int_equal(files_read("/proc/self/comm", 64, &data, &size, &err), SUMI_OK);
	assert_int_equal(size, strlen(data));
	assert_non_null(strstr("test_files\n", data));
	free(data);
	assert_int_equal(files_read("/proc/self/comm", 3, &data, &size, &err), SUMI_TOOBIG);
	static const size_t limits[] = {49999, 50000, 50001, 1 << 20};
	char *text = malloc(50001);
	memset(text, 'x', 50000);
	text[50000] = '\0';
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		int status = read_pipe(text, limits[i], &data, &size);
		assert_int_equal(status, i ? SUMI_OK : SUMI_TOOBIG);
		if (i)
			assert_string_equal(data, text);
		free(data);
	}
	free(text);
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_what_it_wrote),
	    cmocka_unit_test(reads_pipes_up_to_the_limit),
	    cmocka_unit_test(refuses_what_is_no_file),
	    cmocka_unit_test(reads_to_the_end_whatever_the_size),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
