/* Whether what drivers keep between two runs is all there, as far as that can be seen from outside.
 */
#ifndef SUMI_BACKENDS_OPENCL_WHOLE_H
#define SUMI_BACKENDS_OPENCL_WHOLE_H

#include "base/status.h"

/* Looks at all in a folder: compiled kernels (*.so) are whole object files, and what is neither a
 * file nor a folder does not stand there. SUMI_CORRUPT names what does not hold, by its path within
 * the folder; a folder that is not there is whole. */
int cl_whole(const char *folder, struct error *err);

/* Whether an open file is a whole object of this machine's kind: it begins as one, and the table of
 * its sections, which linkers put behind everything else, and their names lie within it. */
int cl_whole_object(int fd, struct error *err);

#endif
