/* Whether what is kept is all there. PoCL opens what it finds: it waits at a pipe for somebody
 * who writes, and its version 7 takes a kernel that is empty or cut for one that does nothing. */
#define _GNU_SOURCE /* ElfW */
#include "backends/opencl/whole.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NATIVE = sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32, MAX_OPEN = 16 };

/* PoCL makes a file under such a name, and gives it its own when it is written. */
#define UNFINISHED "tempfile"

static bool lies_within(uint64_t offset, uint64_t bytes, uint64_t size)
{
	return offset <= size && bytes <= size - offset;
}

int cl_whole_object(int fd, struct error *err)
{
	ElfW(Ehdr) head;
	ElfW(Shdr) names;
	struct stat st;
	if (fstat(fd, &st) != 0)
		return error_errno(err, "its size");
	uint64_t size = (uint64_t)st.st_size;
	if (size == 0)
		return error_set(err, SUMI_CORRUPT, "it is empty");
	if (pread(fd, &head, sizeof head, 0) != sizeof head ||
	    memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != NATIVE)
		return error_set(err, SUMI_CORRUPT, "it does not begin as an object file does");
	if (head.e_shentsize != sizeof names || head.e_shstrndx >= head.e_shnum ||
	    !lies_within(head.e_shoff, (uint64_t)head.e_shnum * sizeof names, size))
		return error_set(err, SUMI_CORRUPT, "its end is missing");
	off_t at = (off_t)(head.e_shoff + (uint64_t)head.e_shstrndx * sizeof names);
	if (pread(fd, &names, sizeof names, at) != sizeof names || names.sh_type != SHT_STRTAB ||
	    !lies_within(names.sh_offset, names.sh_size, size))
		return error_set(err, SUMI_CORRUPT, "its end is not that of an object file");
	return SUMI_OK;
}

const void *cl_whole_program(const void *data, size_t size, size_t *program_size)
{
	const char *text = data;
	char hex[SHA256_HEX_SIZE];
	if (size <= CL_PROGRAM_HEAD || text[CL_PROGRAM_HEAD - 1] != '\n')
		return NULL;
	*program_size = size - CL_PROGRAM_HEAD;
	sha256_hex(text + CL_PROGRAM_HEAD, *program_size, hex);
	return memcmp(hex, text, CL_PROGRAM_HEAD - 1) == 0 ? text + CL_PROGRAM_HEAD : NULL;
}

/* nftw() takes no context. */
static _Thread_local struct error *why;

static bool is_named(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);
	return n > m && strcmp(name + n - m, suffix) == 0;
}

static int look_at_object(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) /* else it has gone meanwhile, or we lack descriptors */
		return errno == EACCES || errno == EIO
			   ? error_set(why, SUMI_CORRUPT, "it cannot be read")
			   : SUMI_OK;
	int status = cl_whole_object(fd, why);
	close(fd);
	return status;
}

static int look(const char *path, const struct stat *found, int type, struct FTW *at)
{
	const char *name = path + at->base;
	struct stat st = *found;
	int status = SUMI_OK;
	if ((type == FTW_SL || type == FTW_NS) && stat(path, &st) != 0)
		return SUMI_OK; /* a link to nothing; gone */
	bool object = is_named(name, ".so"), folder = S_ISDIR(st.st_mode);
	if (at->level == 0 && !folder)
		status = error_set(why, SUMI_CORRUPT, "it is no folder");
	else if (type == FTW_DNR)
		status = error_set(why, SUMI_CORRUPT, "it cannot be read");
	else if (folder ? at->level > 0 && (object || is_named(name, ".bc")) : !S_ISREG(st.st_mode))
		status = error_set(why, SUMI_CORRUPT, "it is no file");
	else if (!folder && object && strncmp(name, UNFINISHED, strlen(UNFINISHED)) != 0)
		status = look_at_object(path);
	return status ? error_prefix(why, "%s", path) : SUMI_OK;
}

int cl_whole(const char *folder, struct error *err)
{
	struct error ignored;
	why = err ? err : &ignored;
	int status = nftw(folder, look, MAX_OPEN, FTW_PHYS);
	/* nftw() itself fails where the folder is not there, or goes while it is read. */
	return status == SUMI_CORRUPT ? status : SUMI_OK;
}
