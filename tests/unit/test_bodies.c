/* What a kernel of matrices does is compiled once: PoCL would put it into each function that may launch it,
 * which took more than half of a cold start. */
#define _GNU_SOURCE /* ElfW */
#include <fcntl.h>
#include <ftw.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "backends/opencl/internal.h"
#include "base/files.h"

static char scratch[] = "/tmp/sumi-bodies-XXXXXX", object[512];

/* nftw() takes no context. */
static int look(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	if (type == FTW_F && strcmp(path + at->base, "gemm.so") == 0)
		snprintf(object, sizeof object, "%s", path);
	return 0;
}

/* How long the functions of an object file are together, and the longest of them. */
static void measure(const char *data, size_t size, size_t *all, size_t *longest)
{
	const ElfW(Ehdr) *head = (const void *)data;
	assert_true(size > sizeof *head && head->e_shoff + head->e_shnum * sizeof(ElfW(Shdr)) <= size);
	const ElfW(Shdr) *sections = (const void *)(data + head->e_shoff);
	*all = *longest = 0;
	for (int s = 0; s < head->e_shnum; s++) {
		if (sections[s].sh_type != SHT_SYMTAB)
			continue;
		assert_true(sections[s].sh_offset + sections[s].sh_size <= size);
		const ElfW(Sym) *symbols = (const void *)(data + sections[s].sh_offset);
		for (size_t i = 0; i < sections[s].sh_size / sizeof *symbols; i++) {
			if ((symbols[i].st_info & 15) != STT_FUNC)
				continue;
			*all += symbols[i].st_size;
			*longest = symbols[i].st_size > *longest ? symbols[i].st_size : *longest;
		}
	}
}

static void a_kernel_is_compiled_once(void **state)
{
	struct error err = {0};
	struct device *d = NULL;
	cl_kernel kernel = NULL;
	char *data = NULL;
	size_t size = 0, all, longest;
	(void)state;
	if (device_open("opencl:0", &d, &err) != SUMI_OK)
		skip();
	if (!cl_device_of(d)->quirks.pocl || !cl_device_of(d)->quirks.cpu_kernels) {
		device_close(d);
		skip();
	}
	assert_int_equal(cl_kernel_get(cl_device_of(d), "tile_cpu.cl+gather_cpu.cl+beside_cpu.cl+gemm_cpu.cl",
				       "gemm", "-D ACT=f32 -D WEIGHT=f32", &kernel, &err),
			 SUMI_OK);
	device_close(d);
	nftw(scratch, look, 16, FTW_PHYS);
	assert_true(object[0]);
	assert_int_equal(files_read(object, 1 << 24, &data, &size, &err), SUMI_OK);
	measure(data, size, &all, &longest);
	free(data);
	assert_true(longest > 0);
	assert_true(all - longest < longest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_kernel_is_compiled_once)};
	if (!mkdtemp(scratch))
		return 1;
	setenv("SUMI_CACHE_DIR", scratch, 1);
	unsetenv("SUMI_KERNELS");
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	char command[64];
	snprintf(command, sizeof command, "rm -rf '%s'", scratch);
	return system(command) != 0 || failed;
}
