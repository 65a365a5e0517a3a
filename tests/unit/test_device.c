/* Devices: choosing one, memory and its pool, the cache of programs, and what
 * failures get. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "backends/opencl/cache.h"
#include "backends/opencl/internal.h"
#include "check.h"

static char scratch[64]; /* a folder of this run */

/* The first OpenCL device with programs/ in cache_dir; skips where there is none. */
static struct device *open_opencl(const char *cache_dir)
{
	struct device *d = NULL;
	struct device_info list[4];
	struct error err;
	setenv("SUMI_CACHE_DIR", cache_dir, 1);
	if (device_list(list, 4, &err) < 2)
		skip();
	if (device_open("opencl:0", &d, &err) != SUMI_OK)
		fail_msg("%s", err.text);
	return d;
}

static struct tensor tensor_of(struct buffer *b, size_t rows, int c)
{
	return (struct tensor){.buffer = b, .rows = rows, .c = c, .ld = c};
}

/* y = 2·x on eight numbers; builds one program. */
static void double_it(struct device *d)
{
	float x[8], y[8];
	struct buffer *b = NULL;
	struct error err = {0};
	for (int i = 0; i < 8; i++)
		x[i] = (float)i - 3.5f;
	assert_int_equal(device_buffer_new(d, sizeof x, &b, &err), SUMI_OK);
	assert_int_equal(device_write(d, b, 0, x, sizeof x, &err), SUMI_OK);
	struct tensor t = tensor_of(b, 2, 4);
	struct axpby_args a = {.a = t, .y = t, .alpha = 2};
	if (device_axpby(d, &a, &err) != SUMI_OK ||
	    device_read(d, b, 0, y, sizeof y, &err) != SUMI_OK)
		fail_msg("%s", err.text);
	for (int i = 0; i < 8; i++)
		assert_true(y[i] == 2 * x[i]);
	device_buffer_free(d, b);
}

/* Who asks whether it hangs sees what was sent come to its end, and on the scalar device each row. */
static void tells_what_is_done(void **state)
{
	(void)state;
	enum { TIMES = 20 * CL_MARKS };
	static const float w[4] = {1, 2, 3, 4};
	struct error err = {0};
	struct buffer *b = NULL;
	struct weight *weight = NULL;
	struct device *d = open_opencl(scratch);
	assert_int_equal(device_buffer_new(d, 4 * sizeof(float), &b, &err), SUMI_OK);
	struct tensor t = tensor_of(b, 2, 2);
	struct axpby_args a = {.a = t, .y = t, .alpha = 0};
	uint64_t before = device_done(d);
	for (int i = 0; i < TIMES; i++)
		assert_int_equal(device_axpby(d, &a, &err), SUMI_OK);
	assert_int_equal(device_sync(d, &err), SUMI_OK);
	assert_true(device_done(d) > before);
	device_buffer_free(d, b);
	device_close(d);

	assert_int_equal(device_open("reference", &d, &err), SUMI_OK);
	assert_int_equal(device_buffer_new(d, 16 * sizeof(float), &b, &err), SUMI_OK);
	struct weight_desc desc = {.dtype = DTYPE_F32, .cout = 2, .cin = 2, .kernel = 1, .data = w};
	assert_int_equal(device_weight_new(d, &desc, &weight, &err), SUMI_OK);
	float zeros[16] = {0};
	assert_int_equal(device_write(d, b, 0, zeros, sizeof zeros, &err), SUMI_OK);
	struct tensor x = {.buffer = b, .rows = 4, .c = 2, .ld = 4}, y = {.buffer = b, .offset = 2, .rows = 4, .c = 2, .ld = 4};
	struct linear_args l = {.x = x, .y = y, .n = 1, .weight = weight};
	before = device_done(d);
	assert_int_equal(device_linear(d, &l, &err), SUMI_OK);
	assert_int_equal(device_done(d), before + 4);
	device_weight_free(d, weight);
	device_buffer_free(d, b);
	device_close(d);
}

/* What a buffer is made of may go away at once, and all of it counts as memory in use. */
static void makes_buffers_of_data(void **state)
{
	(void)state;
	struct device *devices[2] = {open_opencl(scratch), NULL};
	struct error err = {0};
	assert_int_equal(device_open("reference", &devices[1], &err), SUMI_OK);
	for (int i = 0; i < 2; i++) {
		struct device *d = devices[i];
		struct buffer *b = NULL;
		size_t before = d->bytes_in_use;
		for (size_t bytes = 1; bytes < 9000; bytes = bytes * 3 + 1) {
			unsigned char *data = malloc(bytes), *back = calloc(1, bytes);
			for (size_t k = 0; k < bytes; k++)
				data[k] = (unsigned char)(k * 7 + bytes);
			unsigned char *copy = malloc(bytes);
			memcpy(copy, data, bytes);
			if (device_buffer_of(d, data, bytes, &b, &err))
				fail_msg("%s", err.text);
			memset(data, 0, bytes);
			free(data);
			assert_within(d->bytes_in_use - before, bytes, bytes + 128);
			assert_int_equal(device_read(d, b, 0, back, bytes, &err), SUMI_OK);
			assert_memory_equal(back, copy, bytes);
			assert_int_equal(device_write(d, b, bytes - 1, "x", 1, &err), SUMI_OK);
			assert_int_equal(device_write(d, b, bytes, "x", 1, &err), SUMI_INVALID);
			device_buffer_free(d, b);
			assert_int_equal(d->bytes_in_use, before);
			free(copy);
			free(back);
		}
		device_close(d);
	}
}

static void selects_by_name_and_index(void **state)
{
	(void)state;
	struct device *d = NULL;
	struct error err = {0};
	const char *const reference[] = {"reference", "SCALAR", "lar Ref"};
	for (int i = 0; i < 3; i++) {
		assert_int_equal(device_open(reference[i], &d, &err), SUMI_OK);
		assert_string_equal(d->info.selector, "reference");
		device_close(d);
	}
	const char *const wrong[] = {"opencl:99", "opencl:-1", "opencl:", "no such device"};
	for (int i = 0; i < 4; i++) {
		int status = device_open(wrong[i], &d, &err);
		if (status == SUMI_OK)
			fail_msg("'%s' opened %s", wrong[i], d->info.name);
		assert_int_equal(status, SUMI_NOTFOUND);
		assert_null(d);
		assert_non_null(strstr(err.text, wrong[i]));
		assert_non_null(strstr(err.text, "reference"));
	}
	char absurd[5000];
	memset(absurd, 'x', sizeof absurd - 1);
	absurd[sizeof absurd - 1] = '\0';
	assert_int_equal(device_open(absurd, &d, &err), SUMI_NOTFOUND);
	assert_int_equal(device_open("\xff", &d, &err), SUMI_NOTFOUND);
	device_close(NULL);
}

static void prefers_opencl(void **state)
{
	(void)state;
	struct device *first = open_opencl(scratch), *d = NULL;
	struct error err;
	const char *const automatic[] = {NULL, "", "auto"};
	for (int i = 0; i < 3; i++) {
		assert_int_equal(device_open(automatic[i], &d, &err), SUMI_OK);
		assert_int_equal(strncmp(d->info.selector, "opencl:", 7), 0);
		device_close(d);
	}
	/* A part of the name, whatever its case. */
	char part[6] = "";
	snprintf(part, sizeof part, "%.5s", first->info.name);
	for (char *p = part; *p; p++)
		*p = (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
	assert_int_equal(device_open(part, &d, &err), SUMI_OK);
	assert_string_equal(d->info.selector, "opencl:0");
	device_close(d);
	device_close(first);
}

/* The loader reads its list of drivers once, so a machine without any is another process. */
static void lives_without_opencl(void **state)
{
	(void)state;
	char self[4096] = "", command[4300], line[256] = "";
	assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
	snprintf(command, sizeof command, "OCL_ICD_VENDORS=/nonexistent '%s' --list", self);
	FILE *f = popen(command, "r");
	assert_non_null(f);
	char *got = fgets(line, sizeof line, f);
	int status = pclose(f);
	assert_non_null(got);
	assert_int_equal(status, 0);
	assert_string_equal(line, "1 reference\n");
}

static int list_devices(void)
{
	struct device_info list[4];
	struct error err;
	struct device *d;
	int n = device_list(list, 4, &err);
	if (n < 1 || device_open(NULL, &d, &err) != SUMI_OK)
		return 1;
	printf("%d %s\n", n, d->info.selector);
	device_close(d);
	return 0;
}

/* The only file in <cache>/programs. */
static void cached_program(const char *cache, char path[512])
{
	char dir[300];
	snprintf(dir, sizeof dir, "%s/programs", cache);
	DIR *d = opendir(dir);
	assert_non_null(d);
	int files = 0;
	for (struct dirent *e; (e = readdir(d));)
		if (e->d_name[0] != '.') {
			snprintf(path, 512, "%s/%.200s", dir, e->d_name);
			files++;
		}
	closedir(d);
	assert_int_equal(files, 1);
}

/* Opens the device, runs the one program, and says whether it came from the disk. */
static bool runs_from_cache(const char *cache)
{
	struct device *d = open_opencl(cache);
	double_it(d);
	double_it(d); /* the second time from memory */
	struct cl_device *cl = cl_device_of(d);
	assert_int_equal(cl->programs_built + cl->programs_loaded, 1);
	bool loaded = cl->programs_loaded == 1;
	device_close(d);
	return loaded;
}

static void keeps_programs_on_disk(void **state)
{
	(void)state;
	char cache[128], path[512];
	snprintf(cache, sizeof cache, "%s/programs-test", scratch);
	assert_false(runs_from_cache(cache));
	assert_true(runs_from_cache(cache));
	cached_program(cache, path);
	char dir[300];
	struct stat st;
	snprintf(dir, sizeof dir, "%s/programs", cache);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 077, 0); /* binaries that are run: nobody else's to write */

	/* A flipped bit, a file cut short, one of nothing, one of something else: rebuilt,
	 * and good the next time. */
	const char *const damage[] = {
	    "printf X | dd of='%s' bs=1 seek=200 conv=notrunc 2>/dev/null",
	    "printf X | dd of='%s' bs=1 seek=3 conv=notrunc 2>/dev/null",
	    "truncate -s 1000 '%s'",
	    "truncate -s 65 '%s'",
	    ": > '%s'",
	    "echo something else > '%s'",
	    /* Written by others, perhaps; no file at all; a file of no end. */
	    "chmod 664 '%s'",
	    "chmod 646 '%s'",
	    "f='%s'; mv $f $f.real; ln -s $f.real $f; rm -f $f.real.gone",
	    "f='%s'; rm -f $f $f.real; mkfifo $f",
	    "f='%s'; rm $f; mkdir $f",
	    "f='%s'; rm $f; ln -s /dev/zero $f",
	    "truncate -s 100G '%s'"};
	for (size_t i = 0; i < sizeof damage / sizeof *damage; i++) {
		char command[700];
		snprintf(command, sizeof command, damage[i], path);
		assert_int_equal(system(command), 0);
		assert_false(runs_from_cache(cache));
		assert_true(runs_from_cache(cache));
	}
}

/* A binary whose hash is right but that no driver made. */
static void survives_a_foreign_binary(void **state)
{
	(void)state;
	char cache[128], path[512], command[1300];
	snprintf(cache, sizeof cache, "%s/foreign-test", scratch);
	assert_false(runs_from_cache(cache));
	cached_program(cache, path);
	snprintf(command, sizeof command,
		 "h=$(printf 'not a binary' | sha256sum | cut -c1-64) && "
		 "printf '%%s\\nnot a binary' \"$h\" > '%s'",
		 path);
	assert_int_equal(system(command), 0);
	assert_false(runs_from_cache(cache));
}

/* One that another user has made; root's are trusted. */
static void loads_no_programs_of_others(void **state)
{
	(void)state;
	char cache[128], path[512];
	if (geteuid() != 0)
		skip(); /* nobody else can give files away */
	snprintf(cache, sizeof cache, "%s/others-test", scratch);
	assert_false(runs_from_cache(cache));
	cached_program(cache, path);
	assert_int_equal(chown(path, 12345, 12345), 0);
	assert_false(runs_from_cache(cache));
	assert_true(runs_from_cache(cache));
}

/* Where the folder cannot be made, another one serves, and that is said. */
static void runs_without_a_cache(void **state)
{
	(void)state;
	char cache[128], temporary[128];
	struct device_health health;
	snprintf(temporary, sizeof temporary, "%s/temporary", scratch);
	assert_int_equal(mkdir(temporary, 0700), 0);
	setenv("TMPDIR", temporary, 1);
	snprintf(cache, sizeof cache, "%s/a-file", scratch);
	FILE *f = fopen(cache, "w");
	assert_non_null(f);
	fclose(f);
	assert_false(runs_from_cache(cache));
	assert_true(runs_from_cache(cache));
	device_health(&health);
	assert_non_null(strstr(health.cache, cache));
	assert_non_null(strstr(health.cache, temporary));
	assert_string_equal(health.missing, "");
	unsetenv("TMPDIR");
	snprintf(cache, sizeof cache, "%s/a-folder", scratch);
	assert_false(runs_from_cache(cache));
	device_health(&health);
	assert_string_equal(health.cache, "");
}

static void pools_buffers(void **state)
{
	(void)state;
	struct device *d = open_opencl(scratch);
	struct cl_device *cl = cl_device_of(d);
	struct buffer *a, *b, *c;
	struct error err;
	arena_free(cl->arena);
	cl->arena = NULL; /* as on a GPU */
	assert_int_equal(device_buffer_new(d, 1000000, &a, &err), SUMI_OK);
	assert_int_equal(device_buffer_new(d, 3000, &b, &err), SUMI_OK);
	cl_mem first = a->mem;
	size_t peak = d->bytes_peak;
	assert_true(d->bytes_in_use >= 1003000 + 2 * CL_BUFFER_SLACK);
	device_buffer_free(d, a);
	assert_true(d->bytes_in_use < 1000000);
	if (!cl->quirks.oclgrind) {
		/* A similar size gets the same memory, a very different one does not. */
		assert_int_equal(device_buffer_new(d, 950000, &c, &err), SUMI_OK);
		assert_ptr_equal(c->mem, first);
		device_buffer_free(d, c);
		assert_int_equal(device_buffer_new(d, 5000, &c, &err), SUMI_OK);
		assert_ptr_not_equal(c->mem, first);
		device_buffer_free(d, c);
	}
	/* The pool's rule (memory.c). */
	for (int i = 1; i < 40; i++) {
		assert_int_equal(device_buffer_new(d, (size_t)i * 100000, &c, &err), SUMI_OK);
		peak = d->bytes_peak;
		device_buffer_free(d, c);
		assert_true(d->bytes_in_use + cl->pool_bytes <= peak + peak / 8);
	}
	device_buffer_free(d, b);
	device_buffer_free(d, NULL);
	assert_int_equal(d->bytes_in_use, 0);
	device_trim(d);
	assert_int_equal(cl->pool_bytes, 0);
	assert_null(cl->pool);
	device_close(d);
}

/* Where memory is the host's, sizes that differ share it; what has no place there is the driver's. */
static void shares_host_memory(void **state)
{
	(void)state;
	struct device *d = open_opencl(scratch);
	struct cl_device *cl = cl_device_of(d);
	struct buffer *a, *b;
	struct error err;
	char text[16] = "ink";
	if (!cl->arena) {
		device_close(d);
		skip();
	}
	for (int i = 0; i < 40; i++) {
		size_t bytes = (size_t)(40 - i) * 100000;
		assert_int_equal(device_buffer_new(d, bytes, &a, &err), SUMI_OK);
		assert_int_equal(device_write(d, a, bytes - 4, text, 4, &err), SUMI_OK);
		assert_true(arena_touched(cl->arena) <= 40 * 100000 + 512);
		device_buffer_free(d, a);
	}
	assert_int_equal(cl->pool_bytes, 0);
	double_it(d);
	device_trim(d);
	assert_int_equal(arena_touched(cl->arena), 0);
	assert_int_equal(d->bytes_peak, 0);
	arena_free(cl->arena);
	cl->arena = arena_new(1 << 20);
	assert_int_equal(device_buffer_new(d, 900000, &a, &err), SUMI_OK);
	assert_int_equal(device_buffer_new(d, 900000, &b, &err), SUMI_OK);
	assert_non_null(a->place);
	assert_null(b->place);
	assert_int_equal(device_write(d, a, 899996, "sum", 4, &err), SUMI_OK);
	assert_int_equal(device_write(d, b, 899996, text, 4, &err), SUMI_OK);
	assert_int_equal(device_read(d, a, 899996, text, 4, &err), SUMI_OK);
	assert_string_equal(text, "sum");
	device_buffer_free(d, b);
	device_buffer_free(d, a);
	assert_int_equal(d->bytes_in_use, 0);
	device_close(d);
}

static void refuses_too_much_memory(void **state)
{
	(void)state;
	struct error err = {0};
	struct buffer *b = NULL;
	struct device *devices[2] = {NULL, open_opencl(scratch)};
	assert_int_equal(device_open("reference", &devices[0], &err), SUMI_OK);
	for (int i = 0; i < 2; i++) {
		const size_t sizes[] = {(size_t)1 << 50, SIZE_MAX, SIZE_MAX - 10};
		for (int k = 0; k < 3; k++) {
			assert_int_equal(device_buffer_new(devices[i], sizes[k], &b, &err),
					 SUMI_NOMEM);
			assert_null(b);
			assert_non_null(strstr(err.text, "bytes"));
		}
		assert_int_equal(device_buffer_new(devices[i], 0, &b, &err), SUMI_INVALID);
		assert_int_equal(devices[i]->bytes_in_use, 0);
		double_it(devices[i]); /* and it goes on */
	}
	device_close(devices[1]);
	device_close(devices[0]);
}

static void keeps_to_its_buffers(void **state)
{
	(void)state;
	struct error err = {0};
	char data[64] = "ink";
	struct device *devices[2] = {NULL, open_opencl(scratch)};
	assert_int_equal(device_open("reference", &devices[0], &err), SUMI_OK);
	for (int i = 0; i < 2; i++) {
		struct buffer *b;
		assert_int_equal(device_buffer_new(devices[i], 32, &b, &err), SUMI_OK);
		assert_int_equal(device_write(devices[i], b, 28, data, 4, &err), SUMI_OK);
		assert_int_equal(device_write(devices[i], b, 29, data, 4, &err), SUMI_INVALID);
		assert_int_equal(device_write(devices[i], b, 33, data, 0, &err), SUMI_INVALID);
		assert_int_equal(device_read(devices[i], b, SIZE_MAX, data, 2, &err), SUMI_INVALID);
		assert_int_equal(device_read(devices[i], b, 1, data, SIZE_MAX, &err), SUMI_INVALID);
		memset(data, 0, sizeof data);
		assert_int_equal(device_read(devices[i], b, 28, data, 4, &err), SUMI_OK);
		assert_string_equal(data, "ink");
		assert_int_equal(device_sync(devices[i], &err), SUMI_OK);
		device_buffer_free(devices[i], b);
	}
	device_close(devices[1]);
	device_close(devices[0]);
}

static void says_why_a_kernel_does_not_build(void **state)
{
	(void)state;
	struct device *d = open_opencl(scratch);
	struct cl_device *cl = cl_device_of(d);
	struct error err = {0};
	cl_kernel kernel = NULL;
	int status = cl_kernel_get(cl, "elementwise.cl", "permute",
				   "-D PERMUTE -D V=4 -D BITS=sumi", &kernel, &err);
	assert_int_equal(status, SUMI_DEVICE);
	assert_null(kernel);
	assert_non_null(strstr(err.text, "clBuildProgram(elementwise.cl)"));
	assert_non_null(strstr(err.text, "sumi")); /* the compiler's own words */
	assert_null(strchr(err.text, '\n'));
	status = cl_kernel_get(cl, "elementwise.cl", "no_kernel", "-D PERMUTE -D V=4 -D BITS=uint",
			       &kernel, &err);
	assert_int_equal(status, SUMI_DEVICE);
	assert_non_null(strstr(err.text, "clCreateKernel(no_kernel): CL_INVALID_KERNEL_NAME"));
	assert_int_equal(cl_kernel_get(cl, "none.cl", "x", "", &kernel, &err), SUMI_INTERNAL);

	/* A work-group that no device can run. */
	status = cl_kernel_get(cl, "elementwise.cl", "permute", "-D PERMUTE -D V=4 -D BITS=uint",
			       &kernel, &err);
	assert_int_equal(status, SUMI_OK);
	const struct cl_arg args[] = {
	    arg_buffer(NULL), arg_ulong(0), arg_ulong(0), arg_buffer(NULL), arg_ulong(0),
	    arg_ulong(0),     arg_ulong(0), arg_ulong(1), arg_ulong(1),     arg_ulong(0)};
	struct cl_range range = {.dims = 1, .global = {1 << 24}, .local = {1 << 24}};
	status = cl_launch(cl, kernel, &range, args, CL_COUNT(args), &err);
	assert_int_equal(status, SUMI_DEVICE);
	assert_non_null(strstr(err.text, "clEnqueueNDRangeKernel(permute): CL_INVALID_WORK"));
	double_it(d);
	device_close(d);
}

/* One matrix product by hand: what the oracle itself is measured by. */
static void reference_knows_its_sums(void **state)
{
	(void)state;
	struct error err = {0};
	struct device *d;
	struct buffer *x, *y, *bias;
	struct weight *w;
	const float data[] = {1, 2, 3, 4, 5, 6}, b[] = {0.5f, -1};
	const float rows[] = {1, 0, -1, 2, 1, 0};
	float got[4];
	assert_int_equal(device_open("reference", &d, &err), SUMI_OK);
	struct weight_desc desc = {.data = rows, .cout = 2, .cin = 3, .kernel = 1};
	assert_int_equal(device_weight_new(d, &desc, &w, &err), SUMI_OK);
	assert_int_equal(device_buffer_new(d, sizeof data, &x, &err), SUMI_OK);
	assert_int_equal(device_buffer_new(d, sizeof got, &y, &err), SUMI_OK);
	assert_int_equal(device_buffer_new(d, sizeof b, &bias, &err), SUMI_OK);
	device_write(d, x, 0, data, sizeof data, &err);
	device_write(d, bias, 0, b, sizeof b, &err);
	struct linear_args a = {.x = tensor_of(x, 2, 3),
				.y = tensor_of(y, 2, 2),
				.n = 1,
				.weight = w,
				.bias = bias};
	assert_int_equal(device_linear(d, &a, &err), SUMI_OK);
	device_read(d, y, 0, got, sizeof got, &err);
	const float want[] = {-1.5f, 3, -1.5f, 12};
	assert_memory_equal(got, want, sizeof got);
	device_weight_free(d, w);

	/* A 3×3 convolution of a picture of one row: taps that fall outside count nothing. */
	const float taps[] = {9, 9, 9, 1, 10, 100, 9, 9, 9};
	desc = (struct weight_desc){.data = taps, .cout = 1, .cin = 1, .kernel = 3};
	assert_int_equal(device_weight_new(d, &desc, &w, &err), SUMI_OK);
	struct conv2d_args c = {
	    .x = tensor_of(x, 4, 1), .y = tensor_of(y, 4, 1), .weight = w, .stride = 1};
	c.in = c.out = (struct grid){1, 1, 1, 4};
	assert_int_equal(device_conv2d(d, &c, &err), SUMI_OK);
	device_read(d, y, 0, got, sizeof got, &err);
	const float line[] = {210, 321, 432, 43};
	assert_memory_equal(got, line, sizeof got);
	/* Stride 2 with the border at the end only: windows begin at 0 and 2, the row above
	 * the picture does not exist, so the kernel's first row meets it. */
	c.in = (struct grid){1, 1, 2, 2};
	c.out = (struct grid){1, 1, 1, 1};
	c.y.rows = 1;
	c.stride = 2;
	c.pad_end = true;
	assert_int_equal(device_conv2d(d, &c, &err), SUMI_OK);
	device_read(d, y, 0, got, sizeof got[0], &err);
	assert_true(got[0] == 9 * 1 + 9 * 2 + 1 * 3 + 10 * 4);
	device_weight_free(d, w);
	device_buffer_free(d, bias);
	device_buffer_free(d, y);
	device_buffer_free(d, x);
	device_close(d);
}

/* What a user has set stays; cl_cache_prepare() comes again when the folder is another. */
static void tells_drivers_what_nobody_chose(void **state)
{
	static const char *const told[][3] = {{"POCL_WORK_GROUP_SPECIALIZATION", "0", "1"},
					      {"POCL_WORK_GROUP_METHOD", "auto", "loopvec"}};
	char folder[96];
	(void)state;
	for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
		const char *variable = told[i][0];
		unsetenv(variable);
		snprintf(folder, sizeof folder, "%s/told%zu", scratch, i);
		setenv("SUMI_CACHE_DIR", folder, 1);
		cl_cache_prepare();
		assert_string_equal(getenv(variable), told[i][1]);
		setenv(variable, told[i][2], 1);
		snprintf(folder, sizeof folder, "%s/chosen%zu", scratch, i);
		setenv("SUMI_CACHE_DIR", folder, 1);
		cl_cache_prepare();
		assert_string_equal(getenv(variable), told[i][2]);
		unsetenv(variable);
	}
}

/* A program made by one of PoCL's methods is not taken for the other's. */
static void keeps_methods_apart(void **state)
{
	static const char variable[] = "POCL_WORK_GROUP_METHOD";
	char cache[128];
	(void)state;
	snprintf(cache, sizeof cache, "%s/methods-test", scratch);
	unsetenv(variable);
	struct device *d = open_opencl(cache);
	bool pocl = cl_device_of(d)->quirks.pocl;
	device_close(d);
	assert_false(runs_from_cache(cache));
	setenv(variable, "loops", 1);
	assert_int_equal(runs_from_cache(cache), !pocl);
	assert_true(runs_from_cache(cache));
	unsetenv(variable);
	setenv("SUMI_CACHE_DIR", scratch, 1);
	cl_cache_prepare();
}

static int make_scratch(void **state)
{
	(void)state;
	snprintf(scratch, sizeof scratch, "/tmp/sumi-device-XXXXXX");
	return mkdtemp(scratch) ? 0 : -1;
}

static int remove_scratch(void **state)
{
	(void)state;
	char command[128];
	snprintf(command, sizeof command, "rm -r '%s'", scratch);
	return system(command);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--list") == 0)
		return list_devices();
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(selects_by_name_and_index),
	    cmocka_unit_test(tells_what_is_done),
	    cmocka_unit_test(makes_buffers_of_data),
	    cmocka_unit_test(prefers_opencl),
	    cmocka_unit_test(lives_without_opencl),
	    cmocka_unit_test(keeps_programs_on_disk),
	    cmocka_unit_test(survives_a_foreign_binary),
	    cmocka_unit_test(loads_no_programs_of_others),
	    cmocka_unit_test(runs_without_a_cache),
	    cmocka_unit_test(pools_buffers),
	    cmocka_unit_test(shares_host_memory),
	    cmocka_unit_test(refuses_too_much_memory),
	    cmocka_unit_test(keeps_to_its_buffers),
	    cmocka_unit_test(says_why_a_kernel_does_not_build),
	    cmocka_unit_test(reference_knows_its_sums),
	    cmocka_unit_test(tells_drivers_what_nobody_chose),
	    cmocka_unit_test(keeps_methods_apart),
	};
	return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
