/* OpenCL devices: finding them, opening one, what is peculiar to each, and the table of
 * operations. */
#include "backends/opencl/opencl.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/opencl/ahead.h"
#include "backends/opencl/cache.h"
#include "backends/opencl/internal.h"
#include "base/memory.h"

#define MAX_PLATFORMS 16
#define MAX_DEVICES 64

struct place {
	cl_platform_id platform;
	cl_device_id id;
};

static void device_text(cl_device_id id, cl_device_info what, char *out, size_t size)
{
	char text[4096] = "";
	if (clGetDeviceInfo(id, what, sizeof text - 1, text, NULL) != CL_SUCCESS)
		text[0] = '\0';
	snprintf(out, size, "%.*s", (int)size - 1, text);
}

static bool has_extension(cl_device_id id, const char *name)
{
	size_t size = 0, n = strlen(name);
	bool found = false;
	if (clGetDeviceInfo(id, CL_DEVICE_EXTENSIONS, 0, NULL, &size) || size == 0)
		return false;
	char *all = calloc(1, size + 1);
	if (!all)
		return false;
	if (clGetDeviceInfo(id, CL_DEVICE_EXTENSIONS, size, all, NULL) == CL_SUCCESS)
		for (char *p = all; (p = strstr(p, name)) && !found; p += n)
			found = (p == all || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0');
	free(all);
	return found;
}

/* Why the last look found no device, or "". */
static char missing[sizeof((struct device_health *)0)->missing];
static bool device_found;

/* The drivers that the loader is told of, by the names of their files. */
static void installed_drivers(char *out, size_t size)
{
	const char *vendors = getenv("OCL_ICD_VENDORS");
	DIR *dir = opendir(vendors && *vendors ? vendors : "/etc/OpenCL/vendors");
	out[0] = '\0';
	if (!dir)
		return;
	for (const struct dirent *e; (e = readdir(dir));) {
		size_t n = strlen(e->d_name), used = strlen(out);
		if (n > 4 && strcmp(e->d_name + n - 4, ".icd") == 0)
			snprintf(out + used, size - used, "%s%s", used ? ", " : "", e->d_name);
	}
	closedir(dir);
}

static void no_platform(cl_int code)
{
	char drivers[200];
	installed_drivers(drivers, sizeof drivers);
	if (!drivers[0])
		snprintf(missing, sizeof missing, "no OpenCL driver is installed");
	else
		snprintf(missing, sizeof missing,
			 "the installed drivers (%s) do not start (%s): their packages may be "
			 "broken",
			 drivers, code ? cl_error_name(code) : "no platform");
}

static void note_missing(const char *platform, const char *reason)
{
	size_t used = strlen(missing);
	snprintf(missing + used, sizeof missing - used, "%s%.60s: %s", used ? "; " : "", platform,
		 reason);
}

/* The parts of a device without which it is of no use; NULL: it has all. */
static const char *unusable(cl_device_id id)
{
	static const struct {
		cl_device_info what;
		const char *lack;
	} needs[] = {{CL_DEVICE_AVAILABLE, "its device is not available"},
		     {CL_DEVICE_COMPILER_AVAILABLE, "its device has no compiler"},
		     {CL_DEVICE_ENDIAN_LITTLE, "its device is big-endian"}};
	for (int i = 0; i < CL_COUNT(needs); i++) {
		cl_bool there = CL_FALSE;
		clGetDeviceInfo(id, needs[i].what, sizeof there, &there, NULL);
		if (!there)
			return needs[i].lack;
	}
	return NULL;
}

static int find_on(cl_platform_id platform, struct place places[MAX_DEVICES], int n)
{
	cl_device_id ids[MAX_DEVICES];
	cl_uint count = 0;
	char name[128] = "";
	clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof name - 1, name, NULL);
	cl_int code = clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, MAX_DEVICES, ids, &count);
	if (code || count == 0)
		note_missing(name, code ? cl_error_name(code) : "it has no device");
	for (cl_uint i = 0; !code && i < count && i < MAX_DEVICES && n < MAX_DEVICES; i++) {
		const char *lack = unusable(ids[i]);
		if (lack)
			note_missing(name, lack);
		else
			places[n++] = (struct place){platform, ids[i]};
	}
	return n;
}

/* Every usable device in the loader's order; usable means available, little-endian and
 * with a compiler. Returns how many. */
static int find_places(struct place places[MAX_DEVICES])
{
	cl_platform_id platforms[MAX_PLATFORMS];
	cl_uint count = 0;
	int n = 0;
	cl_cache_prepare();
	cl_ahead_prepare(cl_program_keep);
	cl_cache_enter();
	missing[0] = '\0';
	cl_int code = clGetPlatformIDs(MAX_PLATFORMS, platforms, &count);
	if (code || count == 0) /* to the loader an error, not to us */
		no_platform(code);
	for (cl_uint p = 0; !code && p < count && p < MAX_PLATFORMS; p++)
		n = find_on(platforms[p], places, n);
	cl_cache_leave();
	device_found = n > 0;
	return n;
}

void opencl_health(struct device_health *out)
{
	*out = (struct device_health){.missing = ""};
	snprintf(out->set_aside, sizeof out->set_aside, "%s", cl_cache_set_aside());
	snprintf(out->cache, sizeof out->cache, "%s", cl_cache_trouble());
	if (!device_found)
		snprintf(out->missing, sizeof out->missing, "%s", missing);
}

static void describe(const struct place *place, int index, struct device_info *info)
{
	*info = (struct device_info){0};
	device_text(place->id, CL_DEVICE_NAME, info->name, sizeof info->name);
	device_text(place->id, CL_DRIVER_VERSION, info->driver, sizeof info->driver);
	clGetPlatformInfo(place->platform, CL_PLATFORM_NAME, sizeof info->platform - 1,
			  info->platform, NULL);
	snprintf(info->selector, sizeof info->selector, "opencl:%d", index);
	cl_ulong memory = 0, max_alloc = 0;
	cl_uint units = 0;
	cl_device_type type = 0;
	clGetDeviceInfo(place->id, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof memory, &memory, NULL);
	clGetDeviceInfo(place->id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof max_alloc, &max_alloc,
			NULL);
	clGetDeviceInfo(place->id, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof units, &units, NULL);
	clGetDeviceInfo(place->id, CL_DEVICE_TYPE, sizeof type, &type, NULL);
	info->memory = memory;
	info->max_alloc = max_alloc;
	info->compute_units = (int)units;
	info->is_cpu = (type & CL_DEVICE_TYPE_CPU) != 0;
	if (info->is_cpu && memory_limit() < info->memory) /* drivers see the whole machine */
		info->memory = memory_limit();
	info->has_f16 = true; /* storage: vload_half is in every OpenCL C */
}

int opencl_list(struct device_info *out, int max, struct error *err)
{
	(void)err;
	struct place places[MAX_DEVICES];
	int n = find_places(places);
	for (int i = 0; i < n && i < max; i++)
		describe(&places[i], i, &out[i]);
	return n;
}

/* cl_nv_device_attribute_query, cl_intel_required_subgroup_size: not in every cl_ext.h */
#define COMPUTE_CAPABILITY_MAJOR_NV 0x4000
#define COMPUTE_CAPABILITY_MINOR_NV 0x4001
#define SUB_GROUP_SIZES_INTEL 0x4108

/* The matrix instructions that mma.cl knows, and the words of SUMI_KERNELS for their
 * emulation. */
static const struct matrix_instruction {
	const char *emulated, *options;
} matrix_instructions[] = {
    {"mma-emulated", "-D MMA_NVIDIA -D MMA_TERMS=16"},
    {"mma8-emulated", "-D MMA_NVIDIA -D MMA_TERMS=8"},
    {"xmx-emulated", "-D MMA_INTEL -D MMA_LANES=8"},
    {"xmx16-emulated", "-D MMA_INTEL -D MMA_LANES=16"},
};

/* mma.sync of f16 by PTX: m16n8k8 from compute capability 7.5 on, m16n8k16 from 8.0.
 * Intel's has as many columns as the smallest subgroup has lanes. */
static const char *find_mma(cl_device_id id, const struct cl_quirks *q)
{
	cl_uint major = 0, minor = 0;
	size_t sizes[16] = {0}, size = 0;
	if (q->nvidia && has_extension(id, "cl_nv_device_attribute_query")) {
		clGetDeviceInfo(id, COMPUTE_CAPABILITY_MAJOR_NV, sizeof major, &major, NULL);
		clGetDeviceInfo(id, COMPUTE_CAPABILITY_MINOR_NV, sizeof minor, &minor, NULL);
		if (major >= 8)
			return matrix_instructions[0].options;
		return major == 7 && minor >= 5 ? matrix_instructions[1].options : NULL;
	}
	if (!has_extension(id, "cl_intel_subgroup_matrix_multiply_accumulate") ||
	    clGetDeviceInfo(id, SUB_GROUP_SIZES_INTEL, sizeof sizes, sizes, &size) || size == 0)
		return NULL;
	size_t least = sizes[0];
	for (size_t i = 1; i < size / sizeof *sizes; i++)
		least = sizes[i] < least ? sizes[i] : least;
	return least == 8    ? matrix_instructions[2].options
	       : least == 16 ? matrix_instructions[3].options
			     : NULL;
}

/* Kernels of CPUs: vectors of so many numbers; what may stand behind it is in precision.c. */
static const struct cpu_kernels {
	const char *word;
	int lanes; /* 0: as the processor has them */
} cpu_kernels[] = {{"cpu16", 16}, {"cpu8", 8}, {"cpu", 0}};

/* SUMI_KERNELS: one of cpu_kernels, gpu, gpu-winograd (wherever it is possible), or the emulation
 * of a matrix instruction. SUMI_INVALID for any other word: what is asked for is never left out in
 * silence. */
static int force_kernels(struct cl_quirks *q, const char *forced, struct error *err)
{
	if (!forced || !*forced)
		return SUMI_OK;
	q->winograd_forced = strcmp(forced, "gpu-winograd") == 0;
	if (strcmp(forced, "gpu") == 0 || q->winograd_forced) {
		q->cpu_kernels = false;
		return SUMI_OK;
	}
	for (int i = 0; i < CL_COUNT(matrix_instructions); i++)
		if (strcmp(forced, matrix_instructions[i].emulated) == 0) {
			q->cpu_kernels = false;
			q->mma_emulated = true;
			q->mma = matrix_instructions[i].options;
			return SUMI_OK;
		}
	size_t size = strcspn(forced, "-");
	for (int i = 0; i < CL_COUNT(cpu_kernels); i++) {
		const struct cpu_kernels *k = &cpu_kernels[i];
		if (strlen(k->word) != size || strncmp(forced, k->word, size) != 0 ||
		    !cl_dot_word_known(forced + size, k->lanes))
			continue;
		q->cpu_kernels = true;
		q->lanes = k->lanes ? k->lanes : q->lanes;
		return SUMI_OK;
	}
	return error_set(
	    err, SUMI_INVALID,
	    "SUMI_KERNELS=%.64s: there are no such kernels (docs/performance.md lists them)",
	    forced);
}

/* Everything that differs between drivers and devices, in this one place. */
static int cl_quirks_read(struct cl_device *d, struct error *err)
{
	struct cl_quirks *q = &d->quirks;
	const struct device_info *info = &d->base.info;
	char vendor[128], version[128];
	device_text(d->id, CL_DEVICE_VENDOR, vendor, sizeof vendor);
	cl_uint native = 0;
	cl_bool unified = CL_FALSE;
	clGetDeviceInfo(d->id, CL_DEVICE_HOST_UNIFIED_MEMORY, sizeof unified, &unified, NULL);
	clGetDeviceInfo(d->id, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof q->max_work_group,
			&q->max_work_group, NULL);
	q->pocl = strcmp(info->platform, "Portable Computing Language") == 0;
	q->oclgrind = strcmp(info->platform, "Oclgrind") == 0;
	q->nvidia = strstr(vendor, "NVIDIA") != NULL;
	/* PoCL 4 to 6 takes any line of assembler for a call of a function of its own, which no
	 * program has by name, as assembler has none either: it ends the process or builds
	 * something else. */
	device_text(d->id, CL_DRIVER_VERSION, version, sizeof version);
	long major = strtol(version, NULL, 10);
	q->nameless_calls = q->pocl && major >= 4 && major <= 6;
	q->host_memory = info->is_cpu && unified;
	q->cpu_kernels = info->is_cpu;
	q->mma = find_mma(d->id, q);
	clGetDeviceInfo(d->id, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, sizeof native, &native, NULL);
	q->lanes = native >= 16 ? 16 : 8;
	int status = force_kernels(q, getenv("SUMI_KERNELS"), err);
	if (!q->cpu_kernels)
		q->lanes = 8; /* their panels */
	snprintf(q->options, sizeof q->options, "-cl-std=CL1.2 -cl-mad-enable -D LANES=%d%s%s",
		 q->lanes, q->nameless_calls ? " -D NAMELESS_CALLS" : "",
		 /* it compiles what a kernel does several times, and prints its warnings on our stderr */
		 q->pocl ? " -D BODIES_APART -w" : "");
	/* Half the bytes to move pays on GPUs; CPUs convert at a cost and have the room. */
	d->base.activation_dtype = q->cpu_kernels ? DTYPE_F32 : DTYPE_F16;
	return status;
}

static void cl_close(struct device *base)
{
	struct cl_device *d = cl_device_of(base);
	if (d->queue)
		clFinish(d->queue);
	cl_cache_leave();
	if (d->programs)
		cl_cache_proved();
	cl_ahead_end();
	cl_programs_free(d);
	cl_pool_trim(d);
	cl_marks_free(d->marks);
	if (d->queue)
		clReleaseCommandQueue(d->queue);
	if (d->context)
		clReleaseContext(d->context);
	arena_free(d->arena);
	free(d);
}

static int op_buffer_new(struct device *d, size_t bytes, struct buffer **out, struct error *err)
{
	return cl_buffer_new(cl_device_of(d), bytes, out, err);
}

static int op_buffer_of(struct device *d, const void *data, size_t bytes, struct buffer **out,
			struct error *err)
{
	return cl_buffer_new_of(cl_device_of(d), data, bytes, out, err);
}

static void op_buffer_free(struct device *d, struct buffer *b)
{
	cl_buffer_free(cl_device_of(d), b);
}

static int op_write(struct device *d, struct buffer *b, size_t offset, const void *data,
		    size_t bytes, struct error *err)
{
	return cl_buffer_write(cl_device_of(d), b, offset, data, bytes, err);
}

static int op_read(struct device *d, const struct buffer *b, size_t offset, void *data,
		   size_t bytes, struct error *err)
{
	return cl_buffer_read(cl_device_of(d), b, offset, data, bytes, err);
}

static int op_sync(struct device *base, struct error *err)
{
	struct cl_device *d = cl_device_of(base);
	cl_int code = clFinish(d->queue);
	cl_cache_leave();
	return code ? cl_fail(err, "clFinish", base->info.name, code) : SUMI_OK;
}

static uint64_t op_done(struct device *d)
{
	return cl_marks_done(cl_device_of(d)->marks);
}

static void op_trim(struct device *d)
{
	cl_memory_trim(cl_device_of(d));
}

static int cl_supports(const struct device *d, enum device_op op, const void *args,
		       struct error *err)
{
	const struct cl_device *own = (const struct cl_device *)d;
	if (op == OP_CONV2D)
		return cl_conv_supports(own, args, err);
	return op == OP_ATTENTION ? cl_attention_supports(own, args, err) : SUMI_OK;
}

static const struct device_ops cl_device_ops = {
    .close = cl_close,
    .buffer_new = op_buffer_new,
    .buffer_of = op_buffer_of,
    .buffer_free = op_buffer_free,
    .write = op_write,
    .read = op_read,
    .sync = op_sync,
    .trim = op_trim,
    .done = op_done,
    .weight_new = cl_weight_new,
    .weight_free = cl_weight_free,
    .weight_rescale = cl_weight_rescale,
    .weight_layout = cl_weight_layout,
    .weight_packed_size = cl_weight_packed_size,
    .weight_pack = cl_weight_pack,
    .takes_format = cl_takes_format,
    .conv2d = cl_conv2d,
    .linear = cl_linear,
    .attention = cl_attention,
    .group_norm = cl_group_norm,
    .layer_norm = cl_layer_norm,
    .axpby = cl_axpby,
    .embedding = cl_embedding,
    .timestep = cl_timestep,
    .permute = cl_permute,
    .takes_precision = cl_takes_precision,
    .prepare_precision = cl_foresee_half,
    .joins_beside = cl_joins_beside,
    .folds_beside = cl_folds_beside,
    .weight_fold = cl_weight_fold,
    .supports = cl_supports,
};

int opencl_open(int index, struct device **out, struct error *err)
{
	struct place places[MAX_DEVICES];
	int n = find_places(places), status;
	*out = NULL;
	if (index < 0 || index >= n)
		return error_set(err, SUMI_NOTFOUND, "there is no OpenCL device %d", index);
	struct cl_device *d = calloc(1, sizeof *d);
	if (!d)
		return error_set(err, SUMI_NOMEM, "no memory for an OpenCL device");
	d->base.ops = &cl_device_ops;
	d->platform = places[index].platform;
	d->id = places[index].id;
	describe(&places[index], index, &d->base.info);
	status = cl_quirks_read(d, err);
	if (status != SUMI_OK)
		goto fail;
	/* oclgrind sees what leaves a buffer only where the buffer is the driver's own. */
	if (d->quirks.host_memory && d->quirks.cpu_kernels && !d->quirks.oclgrind)
		d->arena = arena_new(d->base.info.memory);
	char cache[FILES_PATH_MAX];
	if (files_cache_dir(cache, NULL) != SUMI_OK ||
	    files_path(d->cache_dir, NULL, "%s/programs", cache) != SUMI_OK)
		d->cache_dir[0] = '\0'; /* no home, no cache */

	cl_context_properties properties[] = {CL_CONTEXT_PLATFORM,
					      (cl_context_properties)d->platform, 0};
	cl_int code;
	d->context = clCreateContext(properties, 1, &d->id, NULL, NULL, &code);
	if (!d->context) {
		status = cl_fail(err, "clCreateContext", d->base.info.name, code);
		goto fail;
	}
	d->queue = clCreateCommandQueue(d->context, d->id, 0, &code);
	if (!d->queue) {
		status = cl_fail(err, "clCreateCommandQueue", d->base.info.name, code);
		goto fail;
	}
	d->marks = cl_marks_new();
	*out = &d->base;
	return SUMI_OK;
fail:
	cl_close(&d->base);
	return status;
}

bool opencl_is_damaged(void)
{
	return cl_cache_is_damaged();
}

bool opencl_died(pid_t pid, bool by_itself)
{
	return cl_cache_died(pid, by_itself);
}
