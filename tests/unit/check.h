/* What tests ask beside cmocka's own questions. */
#ifndef SUMI_TESTS_CHECK_H
#define SUMI_TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* low ≤ value ≤ high, of whole numbers of any kind below 2^63. (cmocka's own question of that
 * kind has other names from version to version.) */
#define assert_within(value, low, high)                                                            \
	assert_within_at((intmax_t)(value), (intmax_t)(low), (intmax_t)(high), #value, __FILE__,   \
			 __LINE__)

static inline void assert_within_at(intmax_t value, intmax_t low, intmax_t high, const char *what,
				    const char *file, int line)
{
	if (value >= low && value <= high)
		return;
	print_error("%s is %jd, not within %jd and %jd\n", what, value, low, high);
	_fail(file, line);
}

#endif
