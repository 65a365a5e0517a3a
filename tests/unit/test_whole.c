/* Whether what drivers keep is all there. */
#define _GNU_SOURCE /* ElfW */
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "backends/opencl/whole.h"
#include "base/files.h"
#include "check.h"

static char scratch[64];

/* The smallest object: a head, the sections' names, and a table of two sections. */
struct object {
	ElfW(Ehdr) head;
	char names[16];
	ElfW(Shdr) sections[2];
};

static struct object whole_object(void)
{
	struct object o;
	memset(&o, 0, sizeof o);
	memcpy(o.head.e_ident, ELFMAG, SELFMAG);
	o.head.e_ident[EI_CLASS] = sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32;
	o.head.e_shoff = offsetof(struct object, sections);
	o.head.e_shentsize = sizeof o.sections[0];
	o.head.e_shnum = 2;
	o.head.e_shstrndx = 1;
	o.sections[1].sh_type = SHT_STRTAB;
	o.sections[1].sh_offset = offsetof(struct object, names);
	o.sections[1].sh_size = sizeof o.names;
	return o;
}

static int look(const void *data, size_t size, struct error *err)
{
	char path[128];
	snprintf(path, sizeof path, "%s/object", scratch);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	fclose(f);
	int fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	int status = cl_whole_object(fd, err);
	close(fd);
	return status;
}

static void sees_what_is_missing(void **state)
{
	(void)state;
	struct error err;
	struct object o = whole_object();
	assert_int_equal(look(&o, sizeof o, &err), SUMI_OK);
	for (size_t size = 0; size < sizeof o; size++)
		assert_int_equal(look(&o, size, &err), SUMI_CORRUPT);

	/* The length is right, and nothing stands in the last part. */
	for (size_t size = 0; size <= offsetof(struct object, sections[1]); size++) {
		struct object lost = {.names = ""};
		memcpy(&lost, &o, size);
		assert_int_equal(look(&lost, sizeof lost, &err), SUMI_CORRUPT);
	}
}

static void believes_no_number(void **state)
{
	(void)state;
	struct error err;
#define WRONG(field, value)                                                                        \
	do {                                                                                       \
		struct object o = whole_object();                                                  \
		o.field = (value);                                                                 \
		assert_int_equal(look(&o, sizeof o, &err), SUMI_CORRUPT);                          \
	} while (0)
	WRONG(head.e_ident[0], 'x');
	WRONG(head.e_ident[EI_CLASS], ELFCLASSNONE);
	WRONG(head.e_shoff, sizeof(struct object));
	WRONG(head.e_shoff, (ElfW(Off)) - 1);
	WRONG(head.e_shnum, 3);
	WRONG(head.e_shnum, 0xFFFF);
	WRONG(head.e_shnum, 0);
	WRONG(head.e_shentsize, 0);
	WRONG(head.e_shentsize, 0xFFFF);
	WRONG(head.e_shstrndx, 2);
	WRONG(head.e_shstrndx, 0);
	WRONG(sections[1].sh_offset, (ElfW(Off)) - 1);
	WRONG(sections[1].sh_size, sizeof(struct object));
#undef WRONG
}

static void run(const char *command)
{
	char line[512];
	snprintf(line, sizeof line, "cd %s && %s", scratch, command);
	assert_int_equal(system(line), 0);
}

static void looks_at_folders(void **state)
{
	(void)state;
	static const struct {
		const char *harm, *mend, *reason; /* NULL: none */
	} cases[] = {
	    {"true", "true", NULL},
	    {": > kept/a/k/tempfile_x.so; : > kept/tempfile_y.so", "rm kept/a/k/temp* kept/temp*",
	     NULL},
	    {": > kept/a/last_accessed; : > kept/a/x.bc", "rm kept/a/last* kept/a/x.bc", NULL},
	    {"ln -s nowhere kept/a/l; ln -s k.so kept/a/k/l.so", "rm kept/a/l kept/a/k/l.so", NULL},
	    {"mv kept keep", "mv keep kept", NULL},
	    {": > kept/a/k/x.so", "rm kept/a/k/x.so", "kept/a/k/x.so: it is empty"},
	    {"mkfifo kept/a/k/x", "rm kept/a/k/x", "kept/a/k/x: it is no file"},
	    {"ln -s /dev/zero kept/a/x", "rm kept/a/x", "kept/a/x: it is no file"},
	    {"mkdir kept/a/x.so", "rmdir kept/a/x.so", "kept/a/x.so: it is no file"},
	    {"mkdir kept/a/x.bc", "rmdir kept/a/x.bc", "kept/a/x.bc: it is no file"},
	    {"mv kept keep; : > kept", "rm kept; mv keep kept", "kept: it is no folder"},
	};
	struct object o = whole_object();
	struct error err;
	char folder[128], path[160];
	snprintf(folder, sizeof folder, "%s/kept", scratch);
	snprintf(path, sizeof path, "%s/a/k", folder);
	assert_int_equal(files_make_dirs(path, 0700, &err), SUMI_OK);
	snprintf(path, sizeof path, "%s/a/k/k.so", folder);
	assert_int_equal(files_write_own(path, &o, sizeof o, &err), SUMI_OK);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		run(cases[i].harm);
		err = (struct error){0};
		int status = cl_whole(folder, &err);
		if ((status == SUMI_OK) != !cases[i].reason ||
		    (cases[i].reason && !strstr(err.text, cases[i].reason)))
			fail_msg("%s: %d %s", cases[i].harm, status, err.text);
		assert_int_equal(cl_whole(folder, NULL), status);
		run(cases[i].mend);
	}
}

static int make_scratch(void **state)
{
	(void)state;
	strcpy(scratch, "/tmp/sumi-whole-XXXXXX");
	return mkdtemp(scratch) ? 0 : -1;
}

static int remove_scratch(void **state)
{
	(void)state;
	files_remove_tree(scratch);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sees_what_is_missing),
	    cmocka_unit_test(believes_no_number),
	    cmocka_unit_test(looks_at_folders),
	};
	return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
