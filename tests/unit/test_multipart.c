/* Names in the headers of a form's parts. tests/e2e/gateway_more.py sends whole forms. */
#include "tests/unit/check.h"

#include <stdio.h>
#include <string.h>

#include "gateway/multipart.h"

/* The first part behind this disposition: NULL where the form cannot be read. */
static const struct multipart_part *read_part(const char *disposition)
{
	static struct multipart form;
	static char body[4096];
	struct error err;
	int size = snprintf(body, sizeof body, "--b\r\nContent-Disposition: form-data; %s\r\n\r\nabc\r\n--b--\r\n", disposition);
	if (multipart_parse("multipart/form-data; boundary=b", body, (size_t)size, &form, &err))
		return NULL;
	assert_int_equal(form.count, 1);
	assert_true(form.parts[0].size == 3 && memcmp(form.parts[0].data, "abc", 3) == 0);
	return &form.parts[0];
}

static void test_names(void **state)
{
	static const struct {
		const char *disposition, *name;
		bool file;
	} cases[] = {
	    {"name=\"image\"", "image", false},
	    {"name=image;filename=a.png", "image", true},
	    {"NAME=\"image\"; FileName=\"a.png\"", "image", true},
	    /* what stands in another's quotes */
	    {"filename=\"a; name=mask; b.png\"; name=\"image\"", "image", true},
	    {"filename=\"a\\\"; name=\\\"mask.png\"; name=\"image\"", "image", true},
	    {"name=\"a; filename=b\"", "a; filename=b", false},
	    {"name=\"a\\\"b\"", "a\"b", false},
	    /* a file is one, however it is called */
	    {"name=\"image\"; filename=\"\"", "image", true},
	    {"name=\"image\"; filename=\"C:\\dir\\\"", "image", true},
	    {"name=\"image\"; filename=\"\xd0\xba\xf0\x9f\x98\x80.png\"", "image", true},
	    {"name=\"image\"; filename*=UTF-8''a.png", "image", true},
	    /* words that only begin or end like those */
	    {"xname=\"mask\"; name=\"image\"; filenames=a", "image", false},
	    {"name; name=\"image\"", "image", false},
	    {"name=\"image\"; name=\"mask\"", "image", false},
	};
	static const char *const none[] = {"filename=\"a; name=mask\"", "name=\"image", "name = \"image\"", "name*=UTF-8''image", "",
					   "name=\"0123456789012345678901234567890123456789012345678901234567890123\""};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct multipart_part *part = read_part(cases[i].disposition);
		assert_non_null(part);
		assert_string_equal(part->name, cases[i].name);
		assert_int_equal(part->file, cases[i].file);
	}
	for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
		assert_null(read_part(none[i]));
}

static void test_long_filename(void **state)
{
	char disposition[3200];
	(void)state;
	snprintf(disposition, sizeof disposition, "name=\"image\"; filename=\"%03000d.png\"", 1);
	const struct multipart_part *part = read_part(disposition);
	assert_true(part && part->file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_long_filename),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
