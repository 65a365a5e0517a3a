/* styles.csv, and a file of lines: around a prompt, and drawn in it. */
#include <stdlib.h>
#include <string.h>

#include "modalities/wildcards.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char text[] = "{\"modality\": \"image\", \"prompt\": \"a __w__\", \"style\": \"s, t\", "
				   "\"negative_prompt\": \"b\", \"n\": 2, \"seed\": 3}";
	struct fuzz_part rest = {data, size}, styles = fuzz_next(&rest);
	struct job job;
	struct error err = {0};
	fuzz_file("models/styles.csv", styles.data, styles.size);
	fuzz_file("models/wildcards/w.txt", rest.data, rest.size);
	if (job_parse_json(text, strlen(text), &job, &err))
		fuzz_require(false, "the job can be read");
	int status = wildcards_resolve("", fuzz_folder(), &job, SIZE_MAX, &err);
	fuzz_outcome(status, &err);
	fuzz_require(status || json_array_size(job.texts) == 2, "each variant has its texts");
	job_clear(&job);
	return 0;
}
