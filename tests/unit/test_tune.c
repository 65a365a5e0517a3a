/* The tuner of the GPU's matrix product, on a device that plays a GPU: it remembers, it
 * believes only what it knows, and what it chooses computes the right thing. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "backends/opencl/matrix.h"
#include "backends/opencl/tune.h"
#include "base/files.h"

#define ROWS 70
#define COLS 33
#define DEPTH 20

static char cache[] = "/tmp/sumi-tune-XXXXXX";

/* A file in cache/tuning that holds a tile ("tile …"), or a way of convolutions. */
static void tuning_file(bool tile, char path[FILES_PATH_MAX])
{
	char folder[FILES_PATH_MAX], *data = NULL, each[FILES_PATH_MAX];
	assert_int_equal(files_path(folder, NULL, "%s/tuning", cache), 0);
	DIR *d = opendir(folder);
	assert_non_null(d);
	int files = 0;
	for (struct dirent *e; (e = readdir(d));) {
		if (e->d_name[0] == '.')
			continue;
		assert_int_equal(files_path(each, NULL, "%s/%s", folder, e->d_name), 0);
		assert_int_equal(files_read(each, 80, &data, NULL, NULL), 0);
		if ((strncmp(data, "tile ", 5) == 0) == tile) {
			memcpy(path, each, FILES_PATH_MAX);
			files++;
		}
		free(data);
	}
	closedir(d);
	assert_int_equal(files, 1);
}

/* Opens the device, multiplies two matrices, and returns the row that did it, from 1. */
static int multiply(int *programs)
{
	static float x[ROWS * DEPTH], w[COLS * DEPTH], y[ROWS * COLS];
	struct device *d = NULL;
	struct error err = {0};
	struct buffer *bx = NULL, *by = NULL;
	struct weight *weight = NULL;
	for (int i = 0; i < ROWS * DEPTH; i++)
		x[i] = (float)(i % 17) - 8;
	for (int i = 0; i < COLS * DEPTH; i++)
		w[i] = (float)(i % 13) - 6;
	struct weight_desc desc = {.data = w, .cout = COLS, .cin = DEPTH, .kernel = 1};
	assert_int_equal(device_open("opencl:0", &d, &err), 0);
	assert_int_equal(device_buffer_new(d, sizeof x, &bx, &err), 0);
	assert_int_equal(device_buffer_new(d, sizeof y, &by, &err), 0);
	assert_int_equal(device_write(d, bx, 0, x, sizeof x, &err), 0);
	assert_int_equal(device_weight_new(d, &desc, &weight, &err), 0);
	struct linear_args args = {
	    .x = {.buffer = bx, .rows = ROWS, .c = DEPTH, .ld = DEPTH},
	    .y = {.buffer = by, .rows = ROWS, .c = COLS, .ld = COLS},
	    .n = 1,
	    .weight = weight,
	};
	assert_int_equal(device_linear(d, &args, &err), 0);
	assert_int_equal(device_read(d, by, 0, y, sizeof y, &err), 0);
	for (int r = 0; r < ROWS; r++)
		for (int c = 0; c < COLS; c++) {
			float want = 0; /* small integers: exact in any order */
			for (int k = 0; k < DEPTH; k++)
				want += x[r * DEPTH + k] * w[c * DEPTH + k];
			assert_true(y[r * COLS + c] == want);
		}
	int row = cl_device_of(d)->tuned[TUNE_GEMM][DTYPE_F32][0];
	*programs = cl_device_of(d)->programs_built + cl_device_of(d)->programs_loaded;
	device_weight_free(d, weight);
	device_buffer_free(d, by);
	device_buffer_free(d, bx);
	device_close(d);
	return row;
}

static void test_tries_once_and_remembers(void **state)
{
	(void)state;
	char path[FILES_PATH_MAX];
	int programs = 0;
	int first = multiply(&programs);
	assert_true(first > 0);
	assert_true(programs >= 2); /* the default and a candidate */
	tuning_file(true, path);
	assert_int_equal(multiply(&programs), first);
	assert_int_equal(programs, 1); /* no trial */
}

static void test_takes_a_remembered_candidate(void **state)
{
	(void)state;
	char path[FILES_PATH_MAX];
	int programs = 0;
	tuning_file(true, path);
	static const char *const rows[] = {"tile default\n", "tile PLAIN 32 64 16 4 4\n"};
	for (int i = 0; i < 2; i++) {
		assert_int_equal(files_write_durable(path, rows[i], strlen(rows[i]), NULL), 0);
		assert_int_equal(multiply(&programs), 1 + i);
		assert_int_equal(programs, 1);
	}
}

static void test_does_not_believe_a_damaged_file(void **state)
{
	(void)state;
	/* The last is a row that this device cannot take. */
	static const char *const damaged[] = {
	    "", "tile default", "tile 1 1 1 0 0\n", "tile default\nx",
	    "tile NVIDIA 64 64 32 32 32\n"};
	char path[FILES_PATH_MAX], *data = NULL;
	int programs = 0;
	tuning_file(true, path);
	for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
		assert_int_equal(files_write_durable(path, damaged[i], strlen(damaged[i]), NULL),
				 0);
		assert_true(multiply(&programs) > 0);
		assert_true(programs >= 2); /* tried again */
		assert_int_equal(files_read(path, 80, &data, NULL, NULL), 0);
		assert_string_not_equal(data, damaged[i]);
		free(data);
	}
}

/* A 3×3 convolution of ones by ones: every output counts the pixels and channels below it. */
static unsigned char convolve(void)
{
	enum { SIDE = 5, CIN = 8, COUT = 3 };
	static float x[SIDE * SIDE * CIN], w[COUT * CIN * 9], y[SIDE * SIDE * COUT];
	struct device *d = NULL;
	struct error err = {0};
	struct buffer *bx = NULL, *by = NULL;
	struct weight *weight = NULL;
	for (size_t i = 0; i < sizeof x / sizeof *x; i++)
		x[i] = 1;
	for (size_t i = 0; i < sizeof w / sizeof *w; i++)
		w[i] = 1;
	struct weight_desc desc = {.data = w, .cout = COUT, .cin = CIN, .kernel = 3};
	assert_int_equal(device_open("opencl:0", &d, &err), 0);
	assert_int_equal(device_buffer_new(d, sizeof x, &bx, &err), 0);
	assert_int_equal(device_buffer_new(d, sizeof y, &by, &err), 0);
	assert_int_equal(device_write(d, bx, 0, x, sizeof x, &err), 0);
	assert_int_equal(device_weight_new(d, &desc, &weight, &err), 0);
	struct conv2d_args args = {
	    .x = {.buffer = bx, .rows = SIDE * SIDE, .c = CIN, .ld = CIN},
	    .y = {.buffer = by, .rows = SIDE * SIDE, .c = COUT, .ld = COUT},
	    .in = {1, 1, SIDE, SIDE},
	    .out = {1, 1, SIDE, SIDE},
	    .weight = weight,
	    .stride = 1,
	};
	assert_int_equal(device_conv2d(d, &args, &err), 0);
	assert_int_equal(device_read(d, by, 0, y, sizeof y, &err), 0);
	for (int i = 0; i < SIDE * SIDE; i++) {
		int rows = i / SIDE % (SIDE - 1) ? 3 : 2, columns = i % SIDE % (SIDE - 1) ? 3 : 2;
		assert_true(y[i * COUT] == (float)(rows * columns * CIN));
	}
	unsigned char way = cl_device_of(d)->tuned[TUNE_CONV][DTYPE_F32][0];
	device_weight_free(d, weight);
	device_buffer_free(d, by);
	device_buffer_free(d, bx);
	device_close(d);
	return way;
}

static void test_tries_winograd_and_remembers(void **state)
{
	(void)state;
	char path[FILES_PATH_MAX], *data = NULL;
	static const char *const ways[] = {"plain\n", "winograd\n"};
	unsigned char chosen[2];
	assert_true(convolve() > 0);
	tuning_file(false, path);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(files_write_durable(path, ways[i], strlen(ways[i]), NULL), 0);
		chosen[i] = convolve();
	}
	assert_int_not_equal(chosen[0], chosen[1]);
	assert_int_equal(files_write_durable(path, "Winograd", 8, NULL), 0);
	assert_true(convolve() > 0); /* tried again */
	assert_int_equal(files_read(path, 80, &data, NULL, NULL), 0);
	assert_true(strcmp(data, ways[0]) == 0 || strcmp(data, ways[1]) == 0);
	free(data);
}

/* A picture's bytes must not depend on what is computed beside it, and the ways round
 * differently. */
static void test_the_way_is_one_pictures(void **state)
{
	(void)state;
	struct device *d = NULL;
	struct error err = {0};
	assert_int_equal(device_open("opencl:0", &d, &err), 0);
	const unsigned char *ways = cl_device_of(d)->tuned[TUNE_CONV][DTYPE_F32];
	const struct weight weight = {.head = {.cout = 64, .kernel = 3}};
	struct gemm_job job = {.out = {1, 1, 32, 32}, .weight = &weight, .side = 3};
	job.stride = 1;
	const struct variant *alone = conv_choose(cl_device_of(d), &job);
	assert_true(ways[0] > 0);
	job.out.n = 1000;
	assert_ptr_equal(conv_choose(cl_device_of(d), &job), alone);
	for (int class = 1; class < TUNE_CLASSES; class ++)
		assert_int_equal(ways[class], 0);
	device_close(d);
}

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(cache))
		return -1;
	setenv("SUMI_CACHE_DIR", cache, 1);
	setenv("SUMI_KERNELS", "gpu", 1);
	setenv("SUMI_TUNE", "1", 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	char command[64];
	snprintf(command, sizeof command, "rm -rf %s", cache);
	return system(command);
}

static int trials;

static enum trial_result told(struct cl_device *d, const void *how)
{
	(void)d;
	trials++;
	return *(const enum trial_result *)how;
}

static enum trial_result ends(struct cl_device *d, const void *how)
{
	(void)d;
	(void)how;
	_exit(7);
}

/* What a driver can do is tried once; what ends the process, twice. */
static void tries_once(void **state)
{
	(void)state;
	static const struct {
		enum trial_result result;
		bool can;
		int trials; /* for two questions */
	} cases[] = {{TRIAL_RIGHT, true, 1}, {TRIAL_WRONG, false, 1}, {TRIAL_FAILED, false, 2}};
	struct cl_device d = {.quirks.lanes = 8};
	char what[32];
	for (int i = 0; i < CL_COUNT(cases); i++) {
		snprintf(what, sizeof what, "case %d", i);
		trials = 0;
		assert_true(tune_tried(&d, what, told, &cases[i].result) == cases[i].can);
		assert_true(tune_tried(&d, what, told, &cases[i].result) == cases[i].can);
		assert_int_equal(trials, cases[i].trials);
	}
	/* Another driver is another question. */
	strcpy(d.base.info.driver, "newer");
	trials = 0;
	assert_false(tune_tried(&d, "case 0", told, &cases[1].result));
	assert_int_equal(trials, 1);

	for (int deaths = 0; deaths < 3; deaths++) {
		int status = 0;
		fflush(NULL);
		pid_t child = fork();
		if (child == 0)
			_exit(tune_tried(&d, "deadly", ends, NULL));
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(WEXITSTATUS(status), deaths < 2 ? 7 : 0);
	}
	assert_false(tune_tried(&d, "deadly", told, &cases[0].result));
	assert_int_equal(trials, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_tries_once_and_remembers),
	    cmocka_unit_test(test_takes_a_remembered_candidate),
	    cmocka_unit_test(test_does_not_believe_a_damaged_file),
	    cmocka_unit_test(test_tries_winograd_and_remembers),
	    cmocka_unit_test(test_the_way_is_one_pictures),
	    cmocka_unit_test(tries_once),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
