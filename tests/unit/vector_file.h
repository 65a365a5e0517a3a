/* Reference vectors of tests/vectors/ for the unit tests; see the README there. Tests run in
 * the project's root. */
#ifndef SUMI_TESTS_VECTOR_FILE_H
#define SUMI_TESTS_VECTOR_FILE_H

#include <jansson.h>
#include <stddef.h>

#include "weights/tensors.h"

/* Opens tests/vectors/NAME; fails the test when it cannot be read. */
struct tensor_file *vector_file_open(const char *name);
json_t *vector_json_open(const char *name);

/* A copy of an F32 tensor's numbers, which the caller frees; fails the test when it is not
 * there. NULL with *count 0 from the second, which allows it to be missing. */
float *vector_copy(const struct tensor_file *file, const char *name, size_t *count);
float *vector_copy_maybe(const struct tensor_file *file, const char *name, size_t *count);

/* The largest |got − want| over the largest |want|; infinite when a number is not finite. */
double vector_distance(const float *got, const float *want, size_t count);

/* The same of latents [pixels, 4] and a dump's [4, pixels] of that name. */
double vector_latents_distance(const struct tensor_file *file, const char *name, const float *got,
			       size_t count);

#endif
