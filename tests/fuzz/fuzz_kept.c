/* Compiled kernels in a cache: a driver's objects, and sumi's own programs. */
#define _GNU_SOURCE /* memfd_create() */
#include <sys/mman.h>
#include <unistd.h>

#include "backends/opencl/whole.h"
#include "tests/fuzz/fuzz.h"

static int file;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	file = memfd_create("object", MFD_CLOEXEC);
	return file < 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t program_size = 0;
	struct error err = {0};
	const void *program = cl_whole_program(data, size, &program_size);
	fuzz_require(!program || program_size + CL_PROGRAM_HEAD == size,
		     "all of it is the program");
	fuzz_require(ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == (ssize_t)size,
		     "no room for a file");
	fuzz_outcome(cl_whole_object(file, &err), &err);
	return 0;
}
