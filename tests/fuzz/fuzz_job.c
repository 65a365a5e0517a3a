/* A job as JSON: what is taken is written as JSON that reads back the same. */
#include <stdlib.h>
#include <string.h>

#include "request/job.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct job job, back;
	struct error err = {0};
	char *first = NULL, *second = NULL;
	int status = job_parse_json((const char *)data, size, &job, &err);
	fuzz_outcome(status, &err);
	if (status)
		return 0;
	fuzz_outcome(job_check(&job, &err), &err);
	status = job_complete(&job, &err);
	fuzz_outcome(status, &err);
	fuzz_require(!status && job.id && job_id_valid(job.id), "a job that is read has an id");
	fuzz_require(job_to_json(&job, &first, &err) == SUMI_OK, "a job can be written");
	fuzz_require(job_parse_json(first, strlen(first), &back, &err) == SUMI_OK,
		     "what was written can be read");
	fuzz_require(job_to_json(&back, &second, &err) == SUMI_OK && strcmp(first, second) == 0,
		     "a job reads back as it was written");
	job_clear(&back);
	job_clear(&job);
	free(first);
	free(second);
	return 0;
}
