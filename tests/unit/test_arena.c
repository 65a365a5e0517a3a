/* Places of buffers that come and go (backends/opencl/arena.c). */
#define _GNU_SOURCE /* mincore */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "backends/opencl/arena.h"

#define MIB ((size_t)1 << 20)

/* Pages of a range that are memory of this process. */
static size_t resident(const void *from, size_t bytes)
{
	unsigned char seen[1024];
	size_t pages = bytes / 4096, count = 0;
	assert_true(pages <= sizeof seen);
	assert_int_equal(mincore((void *)(uintptr_t)from, bytes, seen), 0);
	for (size_t i = 0; i < pages; i++)
		count += seen[i] & 1;
	return count;
}

static void takes_the_lowest_place(void **state)
{
	(void)state;
	struct arena *a = arena_new(64 * MIB);
	assert_non_null(a);
	char *x = arena_take(a, 1000), *y = arena_take(a, 5000), *z = arena_take(a, 1);
	assert_ptr_equal(y, x + 1024);
	assert_ptr_equal(z, y + 5120);
	assert_int_equal(arena_touched(a), 1024 + 5120 + 256);
	memset(x, 1, 1000);
	arena_give(a, y, 5000);
	char *small = arena_take(a, 2000), *large = arena_take(a, 6000);
	assert_ptr_equal(small, y);
	assert_ptr_equal(large, z + 256);
	arena_give(a, small, 2000); /* joins what is left of y */
	assert_ptr_equal(arena_take(a, 5120), y);
	assert_null(arena_take(a, 0));
	assert_null(arena_take(a, 64 * MIB));
	assert_null(arena_take(a, SIZE_MAX));
	for (int i = 0; i < 1000; i++)
		assert_int_equal(x[i], 1);
	arena_free(a);
	arena_free(NULL);
}

/* As a step does it: the same again takes no more. */
static void touches_the_same_again(void **state)
{
	(void)state;
	struct arena *a = arena_new(64 * MIB);
	void *places[64];
	size_t sizes[64], touched = 0;
	assert_non_null(a);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < 64; i++) {
			sizes[i] = 1 + (i * 7919 + 13) % 100000;
			places[i] = arena_take(a, sizes[i]);
			assert_non_null(places[i]);
			if (i % 3 == 1)
				arena_give(a, places[i - 1], sizes[i - 1]);
		}
		for (size_t i = 64; i-- > 0;)
			if (i % 3 != 0 || i == 63)
				arena_give(a, places[i], sizes[i]);
		assert_true(round == 0 || touched == arena_touched(a));
		touched = arena_touched(a);
	}
	arena_trim(a);
	assert_int_equal(arena_touched(a), 0); /* all came back and is one */
	assert_non_null(arena_take(a, 64 * MIB));
	assert_null(arena_take(a, 1));
	arena_free(a);
}

static void gives_memory_back(void **state)
{
	(void)state;
	struct arena *a = arena_new(64 * MIB);
	assert_non_null(a);
	char *x = arena_take(a, MIB), *y = arena_take(a, MIB), *z = arena_take(a, MIB);
	memset(x, 1, MIB);
	memset(y, 2, MIB);
	memset(z, 3, MIB);
	arena_give(a, x, MIB);
	arena_give(a, z, MIB);
	assert_int_equal(resident(x, 3 * MIB), 3 * MIB / 4096);
	arena_trim(a);
	assert_int_equal(resident(x, MIB), 0);
	assert_int_equal(resident(y, MIB), MIB / 4096);
	assert_int_equal(resident(z, MIB), 0);
	assert_int_equal(arena_touched(a), 2 * MIB);
	assert_int_equal(y[0] + y[MIB - 1], 4);
	assert_ptr_equal(arena_take(a, MIB), x);
	memset(x, 4, MIB);
	arena_free(a);
}

/* Where addresses are limited, the rest of the process needs them. */
static void leaves_limited_addresses_alone(void **state)
{
	(void)state;
	struct rlimit old, limit;
	assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
	if (old.rlim_cur != RLIM_INFINITY)
		skip();
	limit = (struct rlimit){(rlim_t)1 << 50, old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
	struct arena *a = arena_new(MIB);
	assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
	assert_null(a);
	assert_null(arena_new(SIZE_MAX));
	assert_null(arena_new(100));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(takes_the_lowest_place),
	    cmocka_unit_test(touches_the_same_again),
	    cmocka_unit_test(gives_memory_back),
	    cmocka_unit_test(leaves_limited_addresses_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
