/* Programs: built from the embedded sources, kept in memory for the device's life and on
 * disk for the next process.
 *
 * An entry of the disk cache is cache_dir/<key>.bin: the 64 hex digits of the SHA-256 of
 * what follows, a newline, the driver's binary. The key is the SHA-256 of everything that
 * the binary depends on. An entry that does not hold what it says, or that somebody else may have
 * written, is rebuilt. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/opencl/ahead.h"
#include "backends/opencl/cache.h"
#include "backends/opencl/internal.h"
#include "backends/opencl/whole.h"
#include "base/embed.h"
#include "base/hash.h"

#define BINARY_LIMIT ((size_t)64 << 20)

struct cl_kernel_entry {
	struct cl_kernel_entry *next;
	cl_kernel kernel;
	char name[];
};

struct cl_program_entry {
	struct cl_program_entry *next;
	cl_program program;
	struct cl_kernel_entry *kernels;
	bool known; /* some process has built it before */
	char key[]; /* file, '\n', options */
};

const char *cl_dtype_word(enum dtype dtype)
{
	return format_info(dtype)->name;
}

/* Compilers' logs are long: the first error line and what follows fits into err. */
static int build_failed(struct cl_device *d, cl_program program, const char *file, cl_int code,
			struct error *err)
{
	size_t size = 0;
	char *log = NULL;
	clGetProgramBuildInfo(program, d->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &size);
	if (size > 1 && (log = calloc(1, size + 1)))
		clGetProgramBuildInfo(program, d->id, CL_PROGRAM_BUILD_LOG, size, log, NULL);
	const char *first = log ? strstr(log, "error") : NULL;
	while (first && first > log && first[-1] != '\n')
		first--;
	error_set(err, SUMI_DEVICE, "clBuildProgram(%s) on %.60s: %s: %.300s", file,
		  d->base.info.name, cl_error_name(code),
		  first ? first
		  : log ? log
			: "no log");
	free(log);
	return SUMI_DEVICE;
}

static int cache_path(const struct cl_device *d, const char *source, const char *options,
		      char path[FILES_PATH_MAX], struct error *err)
{
	char settings[CL_SETTINGS_SIZE] = "";
	if (d->quirks.pocl)
		cl_cache_settings(settings);
	const char *const parts[] = {source,		   options,	settings, d->base.info.name,
				     d->base.info.driver, d->base.info.platform};
	size_t size = 0, at = 0;
	for (int i = 0; i < CL_COUNT(parts); i++)
		size += strlen(parts[i]) + 1;
	char *all = malloc(size);
	if (!all)
		return error_set(err, SUMI_NOMEM, "no memory for a program's key");
	for (int i = 0; i < CL_COUNT(parts); i++) {
		size_t n = strlen(parts[i]) + 1;
		memcpy(all + at, parts[i], n);
		at += n;
	}
	char hex[SHA256_HEX_SIZE];
	sha256_hex(all, size, hex);
	free(all);
	return files_path(path, err, "%s/%s.bin", d->cache_dir, hex);
}

/* A program from the disk cache, or NULL for any reason: the source is always there. */
static cl_program load_binary(struct cl_device *d, const char *path, const char *options)
{
	char *data = NULL;
	size_t size = 0;
	cl_program program = NULL;
	if (files_read_own(path, BINARY_LIMIT, &data, &size, NULL) != SUMI_OK)
		return NULL;
	size_t binary_size;
	cl_int accepted, code;
	const unsigned char *binary = cl_whole_program(data, size, &binary_size);
	if (!binary)
		goto done;
	program = clCreateProgramWithBinary(d->context, 1, &d->id, &binary_size, &binary, &accepted,
					    &code);
	if (!program)
		goto done;
	if (code || accepted ||
	    clBuildProgram(program, 1, &d->id, options, NULL, NULL) != CL_SUCCESS) {
		clReleaseProgram(program);
		program = NULL;
	}
done:
	free(data);
	return program;
}

/* Not being able to keep a binary costs time at the next start, nothing else: silent. */
static void save_binary(struct cl_device *d, cl_program program, const char *path)
{
	size_t size = 0;
	if (clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL) ||
	    size == 0 || size > BINARY_LIMIT - CL_PROGRAM_HEAD)
		return;
	char *data = malloc(CL_PROGRAM_HEAD + size);
	if (!data)
		return;
	unsigned char *binary = (unsigned char *)data + CL_PROGRAM_HEAD;
	if (clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL) == 0) {
		sha256_hex(binary, size, data);
		data[CL_PROGRAM_HEAD - 1] = '\n';
		if (files_make_dirs(d->cache_dir, 0700, NULL) == SUMI_OK)
			files_write_own(path, data, CL_PROGRAM_HEAD + size, NULL);
	}
	free(data);
}

static int build_source(struct cl_device *d, const char *file, const char *source,
			const char *options, cl_program *out, struct error *err)
{
	cl_int code;
	cl_program program = clCreateProgramWithSource(d->context, 1, &source, NULL, &code);
	if (!program)
		return cl_fail(err, "clCreateProgramWithSource", file, code);
	code = clBuildProgram(program, 1, &d->id, options, NULL, NULL);
	if (code) {
		int status = build_failed(d, program, file, code, err);
		clReleaseProgram(program);
		return status;
	}
	*out = program;
	return SUMI_OK;
}

/* common.cl and the files that the '+' in files separate, each with line numbers of its
 * own for the compiler's messages. The caller frees *out. */
static int source_join(const char *files, char **out, struct error *err)
{
	const char *common = embedded_text(embedded_kernels, "common.cl");
	char *source = common ? strdup(common) : NULL;
	while (source && *files) {
		char name[64];
		size_t n = strcspn(files, "+");
		snprintf(name, sizeof name, "%.*s", (int)n, files);
		files += n + (files[n] == '+');
		const char *text = embedded_text(embedded_kernels, name);
		if (!text) {
			free(source);
			return error_set(err, SUMI_INTERNAL, "kernels/%s is not built in", name);
		}
		size_t size = strlen(source) + strlen(text) + 16;
		char *longer = realloc(source, size);
		if (!longer)
			free(source);
		else
			snprintf(longer + strlen(longer), size - strlen(longer), "\n#line 1\n%s",
				 text);
		source = longer;
	}
	*out = source;
	return source ? SUMI_OK
		      : error_set(err, SUMI_NOMEM, "no memory for the source of %s", files);
}

static int program_make(struct cl_device *d, const char *file, const char *extra,
			struct cl_program_entry *out, struct error *err)
{
	size_t options_size = strlen(d->quirks.options) + strlen(extra) + 2;
	char *source = NULL, *options = malloc(options_size);
	int status = source_join(file, &source, err);
	if (!source)
		goto done;
	if (!options) {
		status = error_set(err, SUMI_NOMEM, "no memory for the options of %s", file);
		goto done;
	}
	snprintf(options, options_size, "%s %s", d->quirks.options, extra);

	cl_cache_enter(); /* until it has run, see cl_launch() */
	char path[FILES_PATH_MAX] = "";
	if (d->cache_dir[0] && cache_path(d, source, options, path, NULL) == SUMI_OK) {
		out->known = access(path, F_OK) == 0;
		if (!out->known)
			cl_ahead_take(d, file, extra);
		out->program = load_binary(d, path, options);
		if (out->program) {
			d->programs_loaded++;
			goto done;
		}
	}
	status = build_source(d, file, source, options, &out->program, err);
	if (status == SUMI_OK) {
		d->programs_built++;
		if (path[0])
			save_binary(d, out->program, path);
	} else if (out->known) {
		cl_cache_blame();
	}
done:
	free(source);
	free(options);
	return status;
}

static int program_get(struct cl_device *d, const char *file, const char *options,
		       struct cl_program_entry **out, struct error *err)
{
	size_t n = strlen(file);
	for (struct cl_program_entry *p = d->programs; p; p = p->next)
		if (strncmp(p->key, file, n) == 0 && p->key[n] == '\n' &&
		    strcmp(p->key + n + 1, options) == 0) {
			*out = p;
			return SUMI_OK;
		}
	size_t size = n + strlen(options) + 2;
	struct cl_program_entry *p = calloc(1, sizeof *p + size);
	if (!p)
		return error_set(err, SUMI_NOMEM, "no memory for program %s", file);
	snprintf(p->key, size, "%s\n%s", file, options);
	int status = program_make(d, file, options, p, err);
	if (status) {
		free(p);
		return status;
	}
	p->next = d->programs;
	d->programs = p;
	*out = p;
	return SUMI_OK;
}

int cl_kernel_get(struct cl_device *d, const char *file, const char *name, const char *options,
		  cl_kernel *kernel, struct error *err)
{
	struct cl_program_entry *p = NULL;
	if (d->foreseeing) {
		cl_ahead_want(d, file, options, d->foreseeing);
		return error_set(err, SUMI_CANCELLED, "%s is foreseen", file);
	}
	int status = program_get(d, file, options, &p, err);
	if (!p)
		return status;
	for (struct cl_kernel_entry *k = p->kernels; k; k = k->next)
		if (strcmp(k->name, name) == 0) {
			*kernel = k->kernel;
			return SUMI_OK;
		}
	struct cl_kernel_entry *k = calloc(1, sizeof *k + strlen(name) + 1);
	if (!k)
		return error_set(err, SUMI_NOMEM, "no memory for kernel %s", name);
	memcpy(k->name, name, strlen(name) + 1);
	cl_int code;
	k->kernel = clCreateKernel(p->program, name, &code);
	if (!k->kernel) {
		free(k);
		if (p->known)
			cl_cache_blame();
		return cl_fail(err, "clCreateKernel", name, code);
	}
	k->next = p->kernels;
	p->kernels = k;
	*kernel = k->kernel;
	return SUMI_OK;
}

int cl_program_keep(struct cl_device *d, const char *file, const char *options)
{
	struct cl_program_entry made = {0};
	int status = program_make(d, file, options, &made, NULL);
	if (made.program)
		clReleaseProgram(made.program);
	return status;
}

void cl_programs_free(struct cl_device *d)
{
	while (d->programs) {
		struct cl_program_entry *p = d->programs;
		d->programs = p->next;
		while (p->kernels) {
			struct cl_kernel_entry *k = p->kernels;
			p->kernels = k->next;
			clReleaseKernel(k->kernel);
			free(k);
		}
		clReleaseProgram(p->program);
		free(p);
	}
}
