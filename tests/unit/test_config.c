/* sumi.conf: what a line may hold, and what is refused by line and key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/config.h"

static char path[] = "/tmp/sumi-config-XXXXXX";

static int load(const char *text, size_t size, struct config *config, struct error *err)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, size, f), size);
	fclose(f);
	*err = (struct error){0};
	return config_load(path, config, err);
}

static void reads_settings(void **state)
{
	(void)state;
	static const char text[] = "\xef\xbb\xbf# a comment\r\n"
				   "[queue]\n"
				   "; another one\n"
				   "  redis=unix:///run/a#b;c\t; the service's\n"
				   "packs = /srv/my models:/opt\n"
				   "reserve = 1.5 gib\r\n"
				   "input_memory = 512MB\n"
				   "keep_done = 2w\n"
				   "precision = HALF\n"
				   "listen = 127.0.0.1:80, unix:/run/s [::1]:http\n"
				   "origins = https://example.org:8443, http://x\n"
				   "lease = 90s\n"
				   "keep_results = 90d | 50G\n"
				   "batch = 7 \n"
				   "model_audio =\n"
				   "log = Debug";
	struct config c;
	struct error err;
	if (load(text, sizeof text - 1, &c, &err))
		fail_msg("%s", err.text);
	assert_string_equal(c.redis, "unix:///run/a#b;c");
	assert_string_equal(c.packs, "/srv/my models:/opt");
	assert_int_equal(c.reserve_bytes, (int64_t)3 << 29);
	assert_int_equal(c.lease_ms, 90000);
	assert_int_equal(c.input_memory, 512 << 20);
	assert_int_equal(c.keep_done_ms, 14 * INT64_C(86400000));
	assert_string_equal(c.precision, "half");
	assert_int_equal(c.keep_results.age_ms, 90 * INT64_C(86400000));
	assert_int_equal(c.keep_results.bytes, (int64_t)50 << 30);
	assert_int_equal(c.batch, 7);
	assert_string_equal(c.models[MODALITY_AUDIO], "");
	assert_string_equal(c.models[MODALITY_IMAGE], "ink"); /* the default */
	assert_string_equal(c.log, "debug");
}

/* The end of a line that is too long is not taken for another line. */
static void long_lines_are_told(void **state)
{
	(void)state;
	char text[1024];
	struct config c;
	struct error err;
	bool read = false, refused = false;
	for (int n = 100; n < 800; n++) {
		int size = snprintf(text, sizeof text, "\npacks = /%0*d\nbatch = 3\n", n - 1, 7);
		if (load(text, (size_t)size, &c, &err) == SUMI_OK) {
			assert_int_equal(strlen(c.packs), n);
			assert_int_equal(c.batch, 3);
			assert_false(refused);
			read = true;
		} else {
			assert_int_equal(err.status, SUMI_TOOBIG);
			assert_non_null(strstr(err.text, ":2: the line is longer than"));
			refused = true;
		}
	}
	assert_true(read && refused);
}

static void refuses_wrong_lines(void **state)
{
	(void)state;
	static const struct {
		const char *text, *message;
	} wrong[] = {
	    {"lease\n", ":1: not 'key = value'"},
	    {"[queue\n", ":1: not 'key = value'"},
	    {"\n\nleese = 30s\n", ":3: there is no setting 'leese', did you mean lease?"},
	    {"xyzzy = 1\n", ":1: there is no setting 'xyzzy' (sumid"},
	    {"log = verbose\n", ":1: log: 'verbose' is not"},
	    {"precision = full\n", "precision is 'full'"},
	    {"packs = models\n", "packs: 'models': a folder must begin with /"},
	    {"packs = /srv:~/models\n", "packs: '~/models': a folder must begin with /"},
	    {"weight_cache_dir = w\n", "weight_cache_dir: 'w': a folder"},
	    {"state_dir = here\n", "state_dir: 'here': a folder"},
	    {"prefix =\n", "prefix is empty"},
	    {"prefix = a b:\n", "prefix: 'a b:'"},
	    {"prefix = sumi*\n", "prefix: 'sumi*'"},
	    {"listen = localhost\n", "listen: 'localhost' is neither"},
	    {"listen = 127.0.0.1:7860, 1.2.3.4:65536\n", "listen: '1.2.3.4:65536': a port"},
	    {"listen = unix:\n", "listen: 'unix:' is neither"},
	    {"public_url = sumi.example.org\n", "public_url: 'sumi.example.org' is no address"},
	    {"public_url = ftp://x\n", "public_url: 'ftp://x' is no"},
	    {"origins = *\n", "origins: '*' is no origin"},
	    {"origins = https://a.org, https://b.org/\n", "origins: 'https://b.org/' is no origin"},
	    {"origins = example.org\n", "origins: 'example.org' is no"},
	    {"notify_secret = whsec_!!!\n", "notify_secret: what follows whsec_"},
	    {" = 3\n", ":1: there is no setting ''"},
	    {"lease = soon\n", ":1: lease: 'soon' is not a duration"},
	    {"log = loud\n", ":1: log: 'loud'"},
	    {"batch = 4 or 5\n", ":1: batch: '4 or 5' is not a whole number"},
	    {"batch = -1\n", ":1: batch: "},
	    {"batch = 99999999999999999999\n", ":1: batch: "},
	    {"reserve = many\n", ":1: reserve: 'many' is not a size"},
	    {"reserve = -1\n", ":1: reserve: "},
	    {"reserve = nan\n", ":1: reserve: "},
	    {"reserve = inf\n", ":1: reserve: "},
	    {"reserve = 9000000T\n", ":1: reserve: "}, /* 2^63 is 8388608T */
	    {"keep_results = 90d 80d\n", ":1: keep_results: '90d 80d' is neither"},
	    {"keep_results = 5X\n", ":1: keep_results: "},
	    {"keep_results = 90\n", ":1: keep_results: '90' is neither"},
	    {"keep_results = -1d\n", ":1: keep_results: "},
	    {"lease = 100ms\n", "lease must be at least"},
	    {"input_dirs = /srv/in:home/in\n", "input_dirs: 'home/in': a folder must begin with /"},
	    {"input_dirs = /srv/in::/x\n", "input_dirs: '': a folder"},
	    {"max_attempts = 0\n", "max_attempts must be at least"},
	    {"max_attempts = 101\n", "max_attempts must be at most"},
	    {"batch = 2\nlog = info\nbatch = 4\n", ":3: batch: stands in line 1 already"},
	    {"batch = 2\nbatch = 2\n", ":2: batch: stands in line 1 already"},
	    {"[a]\nbatch = 2\n[b]\nbatch = 4\n", ":4: batch: stands in line 2 already"},
	    {"packs = /a\n  /b\n", ":2: packs: stands in line 1 already: leave one of them, on one line"},
	};
	struct config c;
	struct error err;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		int status = load(wrong[i].text, strlen(wrong[i].text), &c, &err);
		if (status != SUMI_INVALID || !strstr(err.text, wrong[i].message))
			fail_msg("case %zu: status %d, '%s' does not say '%s'", i, status, err.text,
				 wrong[i].message);
	}
	assert_int_equal(config_load("/nonexistent/sumi.conf", &c, &err), SUMI_NOTFOUND);
}

static int make_file(void **state)
{
	(void)state;
	static const char *const unset[] = {"SUMI_REDIS", "SUMI_WEIGHT_CACHE",
					    "SUMI_WEIGHT_CACHE_DIR"};
	for (size_t i = 0; i < sizeof unset / sizeof *unset; i++)
		unsetenv(unset[i]);
	setenv("SUMI_STATE_DIR", "/tmp", 1);
	int fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_settings),
	    cmocka_unit_test(long_lines_are_told),
	    cmocka_unit_test(refuses_wrong_lines),
	};
	return cmocka_run_group_tests(tests, make_file, remove_file);
}
