/* Reference vectors for the unit tests. */
#include "tests/unit/vector_file.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

struct tensor_file *vector_file_open(const char *name)
{
	char path[256];
	struct tensor_file *file = NULL;
	struct error err = {0};
	snprintf(path, sizeof path, "tests/vectors/%s", name);
	if (tensors_open(path, &file, &err))
		fail_msg("%s", err.text);
	return file;
}

json_t *vector_json_open(const char *name)
{
	char path[256];
	json_t *root = NULL;
	struct error err = {0};
	snprintf(path, sizeof path, "tests/vectors/%s", name);
	if (json_read_file(path, 64u << 20, &root, &err))
		fail_msg("%s", err.text);
	return root;
}

float *vector_copy_maybe(const struct tensor_file *file, const char *name, size_t *count)
{
	const struct tensor_entry *entry = tensors_find(file, name);
	*count = 0;
	if (!entry)
		return NULL;
	assert_string_equal(entry->format->name, "F32");
	float *copy = malloc(entry->bytes ? entry->bytes : 1);
	assert_non_null(copy);
	assert_int_equal(tensors_read(file, entry, copy, NULL), SUMI_OK);
	*count = entry->bytes / sizeof *copy;
	return copy;
}

float *vector_copy(const struct tensor_file *file, const char *name, size_t *count)
{
	float *copy = vector_copy_maybe(file, name, count);
	if (!copy)
		fail_msg("%s: no tensor '%s'", tensors_path(file), name);
	return copy;
}

double vector_distance(const float *got, const float *want, size_t count)
{
	double worst = 0, largest = 0;
	for (size_t i = 0; i < count; i++) {
		if (!isfinite(got[i]) || !isfinite(want[i]))
			return HUGE_VAL;
		worst = fmax(worst, fabs((double)got[i] - want[i]));
		largest = fmax(largest, fabs((double)want[i]));
	}
	return largest > 0 ? worst / largest : worst;
}

double vector_latents_distance(const struct tensor_file *file, const char *name, const float *got,
			       size_t count)
{
	size_t want_count, pixels = count / 4;
	float *want = vector_copy(file, name, &want_count), *planes = malloc(count * sizeof *planes);
	assert_int_equal(want_count, count);
	assert_non_null(planes);
	for (size_t i = 0; i < count; i++)
		planes[i] = got[i % pixels * 4 + i / pixels];
	double distance = vector_distance(planes, want, count);
	free(planes);
	free(want);
	return distance;
}
