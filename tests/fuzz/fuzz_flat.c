/* A job as flat fields of an intake entry: names and values in turn, FUZZ_CUT between them. */
#include "request/job.h"
#include "tests/fuzz/fuzz.h"

enum { FIELDS = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_part rest = {data, size};
	struct job_text fields[FIELDS];
	struct job job;
	struct error err = {0};
	size_t count = 0;
	while (rest.size && count < FIELDS) {
		struct fuzz_part name = fuzz_next(&rest), value = fuzz_next(&rest);
		fields[count++] = (struct job_text){(const char *)name.data, name.size,
						    (const char *)value.data, value.size};
	}
	int status = job_parse_flat(fields, count, &job, &err);
	fuzz_outcome(status, &err);
	if (!status) {
		fuzz_outcome(job_check(&job, &err), &err);
		job_clear(&job);
	}
	return 0;
}
