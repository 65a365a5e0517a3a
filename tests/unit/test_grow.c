/* Arrays that grow: when they move, and what they hold then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/grow.h"

static void rooms_double(void **state)
{
	(void)state;
	int *all = NULL;
	size_t room = 0;
	for (int i = 0; i < 100; i++) {
		size_t before = room;
		all = grow_room(all, (size_t)i, &room, 3, sizeof *all);
		assert_non_null(all);
		assert_int_equal(room, i == 0 ? 3 : (size_t)i == before ? 2 * before : before);
		all[i] = i;
	}
	for (int i = 0; i < 100; i++)
		assert_int_equal(all[i], i);
	free(all);
}

/* Each place can be written to: the sanitizers see it. */
static void a_count_is_enough(void **state)
{
	(void)state;
	int *all = NULL;
	for (int i = 0; i < 100; i++) {
		int *next = grow_by_count(all, (size_t)i, sizeof *all);
		assert_non_null(next);
		if (i & (i - 1))
			assert_ptr_equal(next, all); /* moves at powers of two alone */
		all = next;
		all[i] = i;
	}
	for (int i = 0; i < 100; i++)
		assert_int_equal(all[i], i);
	free(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rooms_double),
	    cmocka_unit_test(a_count_is_enough),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
