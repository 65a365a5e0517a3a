/* Whether what is kept between two runs is all there: what drivers keep, as far as that can be seen
 * from outside, and sumi's own programs. */
#ifndef SUMI_BACKENDS_OPENCL_WHOLE_H
#define SUMI_BACKENDS_OPENCL_WHOLE_H

#include <stddef.h>

#include "base/hash.h"
#include "base/status.h"

/* Looks at all in a folder: compiled kernels (*.so) are whole object files, and what is neither a
 * file nor a folder does not stand there. SUMI_CORRUPT names what does not hold, by its path; a
 * folder that is not there is whole. */
int cl_whole(const char *folder, struct error *err);

/* Whether an open file is a whole object of this machine's kind: it begins as one, and the table of
 * its sections, which linkers put behind everything else, and their names lie within it. */
int cl_whole_object(int fd, struct error *err);

/* What stands in a file of CACHE/programs before the program: its SHA-256 and a newline. */
#define CL_PROGRAM_HEAD SHA256_HEX_SIZE

/* The program in such a file's bytes, *program_size of them; NULL: it is not the one that was kept. */
const void *cl_whole_program(const void *data, size_t size, size_t *program_size);

#endif
