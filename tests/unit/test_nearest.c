/* Which known word a misspelt one may stand for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/nearest.h"

static const char *const known[] = {"steps",	"sampler", "scheduler", "seed", "size", "negative_prompt",
				    "prompt",	"mood",	   "mode",	"init", "n",	"a-word-that-has-more-letters-than-any",
				    "strength", "format"};

static const char *found(const char *given, bool shortened)
{
	struct nearest n = nearest_to(given);
	n.shortened = shortened;
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		nearest_try(&n, known[i]);
	return n.best;
}

static void letters_may_be_wrong_missing_added_or_swapped(void **state)
{
	(void)state;
	assert_string_equal(found("stpes", false), "steps");
	assert_string_equal(found("smapler", false), "sampler");
	assert_string_equal(found("shceduller", false), "scheduler");
	assert_string_equal(found("strenth", false), "strength");
	assert_string_equal(found("fromat", false), "format");
	assert_string_equal(found("prompts!", false), "prompt");
	assert_string_equal(found("sed", false), "seed");
	assert_string_equal(found("intt", false), "init");
}

/* A short word may have one letter wrong, a longer one two; the nearer word wins, and of two the first. */
static void what_is_far_is_nobody(void **state)
{
	(void)state;
	assert_null(found("sx", false));
	assert_null(found("xeex", false));
	assert_string_equal(found("xeed", false), "seed");
	assert_null(found("xxxpler", false));
	assert_string_equal(found("xxmpler", false), "sampler");
	assert_string_equal(found("moed", false), "mood");
	assert_null(found("", false));
	assert_null(found("m", false)); /* one letter for another is another word */
}

static void a_beginning_counts_where_it_may(void **state)
{
	(void)state;
	assert_null(found("negative", false));
	assert_string_equal(found("negative", true), "negative_prompt");
	assert_string_equal(found("sc", true), "scheduler");
	assert_null(found("s", true));
}

static void long_words_have_no_neighbours(void **state)
{
	(void)state;
	assert_null(found("a-word-that-has-more-letters-than-an", false));
	assert_null(found("a-word-that-has-more-letters-than-any-and-more-than-that", true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(letters_may_be_wrong_missing_added_or_swapped),
	    cmocka_unit_test(what_is_far_is_nobody),
	    cmocka_unit_test(a_beginning_counts_where_it_may),
	    cmocka_unit_test(long_words_have_no_neighbours),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
