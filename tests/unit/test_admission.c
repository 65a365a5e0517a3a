/* What is known of a job's size when it comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "modalities/admission.h"

static struct config config = {.packs = "tests/vectors", .state_dir = "/nonexistent"};

/* With the largest device of so many MiB; 0: nobody knows. */
static int admit(uint64_t mib, const char *json, struct error *err)
{
	struct admission a = {.config = &config, .memory = mib << 20, .device = "a toy"};
	struct job job;
	assert_int_equal(job_parse_json(json, strlen(json), &job, err), SUMI_OK);
	int status = admission_check(&a, &job, err);
	job_clear(&job);
	admission_free(&a);
	return status;
}

#define JOB(more) "{\"modality\":\"image\",\"model\":\"sd1-tiny\",\"prompt\":\"x\"" more "}"

static void test_what_fits_no_device(void **state)
{
	(void)state;
	static const char *const large[] = {
	    JOB(",\"width\":8192,\"height\":8192"),
	    JOB(",\"width\":2048,\"height\":2048,\"hires\":4"),
	    "{\"modality\":\"video\",\"model\":\"motion-tiny\",\"prompt\":\"x\",\"width\":2048,\"height\":2048,\"frames\":64}",
	};
	struct error err;
	for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
		assert_int_equal(admit(64, large[i], &err), SUMI_TOOBIG);
		assert_non_null(strstr(err.text, "GiB, this device has 0.06 (a toy): ask for less"));
		assert_int_equal(admit(0, large[i], &err), SUMI_OK);
		assert_int_equal(admit(1 << 20, large[i], &err), SUMI_OK);
	}
	assert_int_equal(admit(64, JOB(",\"width\":64,\"height\":64"), &err), SUMI_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_fits_no_device)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
