/* What a weight foretells is built by other processes, and their end is nobody else's. Each test has a
 * process of its own: helpers are started once, before a driver is first called. */
#define _GNU_SOURCE /* sched_getaffinity */
#include <dirent.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* With what it keeps to itself: the table of what is wanted. */
#include "backends/opencl/ahead.c"

enum { GOOD, BAD, NO_DEVICE, NO_HELPER };

#define REQUIRE(condition)                                                                         \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			return BAD;                                                                \
		}                                                                                  \
	} while (0)

static char scratch[64];

/* Programs that are cached. */
static int programs(void)
{
	char path[128];
	int count = 0;
	snprintf(path, sizeof path, "%s/programs", getenv("SUMI_CACHE_DIR"));
	DIR *dir = opendir(path);
	for (struct dirent *e; dir && (e = readdir(dir));)
		count += strlen(e->d_name) > 4 &&
			 strcmp(e->d_name + strlen(e->d_name) - 4, ".bin") == 0;
	if (dir)
		closedir(dir);
	return count;
}

/* The helpers of this process. */
static int helpers(pid_t *pids, int most)
{
	char path[64];
	int count = 0;
	snprintf(path, sizeof path, "/proc/self/task/%ld/children", (long)getpid());
	FILE *f = fopen(path, "r");
	for (long pid; f && count < most && fscanf(f, "%ld", &pid) == 1;)
		pids[count++] = (pid_t)pid;
	if (f)
		fclose(f);
	return count;
}

/* Row 3 of a table of rows of their numbers, twice: table and positions are the same. */
static int look_up(struct device *d, struct weight *table)
{
	struct error err = {0};
	struct buffer *b = NULL;
	float y[16];
	int32_t id = 3;
	REQUIRE(device_buffer_new(d, sizeof y, &b, &err) == SUMI_OK);
	struct embedding_args a = {.table = table,
				   .position = table,
				   .ids = &id,
				   .y = {.buffer = b, .rows = 1, .c = 16, .ld = 16},
				   .n = 1};
	REQUIRE(device_embedding(d, &a, &err) == SUMI_OK);
	REQUIRE(device_read(d, b, 0, y, sizeof y, &err) == SUMI_OK);
	for (int i = 0; i < 16; i++)
		REQUIRE(y[i] > 2.9f && y[i] < 3.1f);
	device_buffer_free(d, b);
	return GOOD;
}

/* stop: signal that the helpers get as soon as they have something to do; 0: they are waited for. */
static int run(int stop)
{
	struct error err = {0};
	struct device *d = NULL;
	struct weight *table = NULL;
	float numbers[4][16];
	pid_t pids[8];
	if (device_open("opencl:0", &d, &err) != SUMI_OK)
		return NO_DEVICE;
	int count = helpers(pids, 8);
	if (count == 0 || !d->info.is_cpu || cl_device_of(d)->quirks.oclgrind) {
		device_close(d);
		return NO_HELPER;
	}
	for (int r = 0; r < 4; r++)
		for (int i = 0; i < 16; i++)
			numbers[r][i] = (float)r;
	struct weight_desc desc = {
	    .data = numbers, .dtype = DTYPE_F32, .cout = 4, .cin = 16, .kernel = 1, .table = true};
	REQUIRE(device_weight_new(d, &desc, &table, &err) == SUMI_OK);
	for (int i = 0; i < count && stop; i++)
		kill(pids[i], stop);
	/* The table's own program, and that of the norm which follows one. */
	for (int i = 0; i < 6000 && !stop && programs() < 2; i++)
		usleep(10000);
	REQUIRE(look_up(d, table) == GOOD);
	struct cl_device *cl = cl_device_of(d);
	if (!stop)
		REQUIRE(cl->programs_built == 0 && cl->programs_loaded == 1);
	REQUIRE(cl->programs_built + cl->programs_loaded == 1);
	device_weight_free(d, table);
	device_close(d);
	REQUIRE(helpers(pids, 8) == 0);
	return GOOD;
}

/* The order of the program of these files; 0: it is not wanted. */
static int order_of(const char *files)
{
	for (int i = 0; i < ahead.table->count; i++)
		if (strcmp(ahead.table->jobs[i].files, files) == 0)
			return ahead.table->jobs[i].order;
	return 0;
}

/* In half precision a first step needs no exact convolution: a small decoder may, afterwards. */
static int run_half(int stop)
{
	static const char exact[] = "tile_cpu.cl+winograd_both_cpu.cl+winograd_cpu.cl";
	static const char half[] = "tile_cpu.cl+matrix_cpu.cl+dot_cpu.cl+winograd_both_cpu.cl+winograd_dot_cpu.cl";
	static const float numbers[9 * 16 * 16];
	struct error err = {0};
	struct device *d = NULL;
	struct weight *first = NULL, *second = NULL;
	struct weight_desc desc = {
	    .data = numbers, .dtype = DTYPE_F16, .cout = 16, .cin = 16, .kernel = 3};
	pid_t pids[8];
	setenv("SUMI_KERNELS", "cpu8-emulated", 1);
	if (device_open("opencl:0", &d, &err) != SUMI_OK)
		return NO_DEVICE;
	int count = helpers(pids, 8);
	for (int i = 0; i < count; i++)
		kill(pids[i], stop); /* nothing is built */
	if (count == 0 || !d->info.is_cpu || cl_device_of(d)->quirks.oclgrind) {
		device_close(d);
		return NO_HELPER;
	}
	REQUIRE(device_weight_new(d, &desc, &first, &err) == SUMI_OK);
	REQUIRE(order_of(exact) > 0 && order_of(exact) < AHEAD_LATER && order_of(half) == 0);
	REQUIRE(device_set_precision(d, PRECISION_HALF, &err) == SUMI_OK);
	REQUIRE(order_of(half) > order_of(exact) && order_of(half) < AHEAD_LATER);
	ahead.table->count = 0;
	desc.dtype = DTYPE_F32;
	REQUIRE(device_weight_new(d, &desc, &second, &err) == SUMI_OK);
	REQUIRE(order_of(half) > 0 && order_of(half) < AHEAD_LATER);
	REQUIRE(order_of(exact) >= AHEAD_LATER);
	device_weight_free(d, first);
	device_weight_free(d, second);
	device_close(d);
	return GOOD;
}

static void in_a_process(int (*run)(int stop), const char *name, int stop)
{
	char cache[128];
	int status = 0;
	cpu_set_t cores;
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		snprintf(cache, sizeof cache, "%s/%s", scratch, name);
		setenv("SUMI_CACHE_DIR", cache, 1);
		_exit(run(stop));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	bool alone = sched_getaffinity(0, sizeof cores, &cores) == 0 && CPU_COUNT(&cores) == 1;
	if (WEXITSTATUS(status) == NO_DEVICE || (WEXITSTATUS(status) == NO_HELPER && alone))
		skip();
	assert_int_equal(WEXITSTATUS(status), GOOD);
}

static void builds_what_a_weight_foretells(void **state)
{
	(void)state;
	in_a_process(run, "built", 0);
}

static void survives_a_helper_that_dies(void **state)
{
	(void)state;
	in_a_process(run, "killed", SIGKILL);
}

/* What ends a session of a terminal must not cut what is being written. */
static void helpers_end_with_their_process_only(void **state)
{
	(void)state;
	in_a_process(run, "interrupted", SIGINT);
}

static void half_precision_comes_first(void **state)
{
	(void)state;
	in_a_process(run_half, "half", SIGKILL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(builds_what_a_weight_foretells),
	    cmocka_unit_test(survives_a_helper_that_dies),
	    cmocka_unit_test(helpers_end_with_their_process_only),
	    cmocka_unit_test(half_precision_comes_first),
	};
	snprintf(scratch, sizeof scratch, "/tmp/sumi-ahead-XXXXXX");
	if (!mkdtemp(scratch))
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	char command[128];
	snprintf(command, sizeof command, "rm -rf '%s'", scratch);
	return system(command) != 0 || failed;
}
