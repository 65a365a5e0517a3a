/* An allocator that fails once. */
#include "tests/unit/failing_memory.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *at, size_t size);
void __real_free(void *at);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **at, size_t alignment, size_t size);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *at, size_t size);
void __wrap_free(void *at);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **at, size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);

static bool counting;
static size_t made, fail_at; /* allocations since counting began; the one that fails, 0: none */
static long standing;        /* of those made while counting: not freed yet */

/* Which they are: what libc allocated for us is freed by us as well. Open addressing. */
enum { SLOTS = 1 << 17 };
static void *slots[SLOTS];
static char removed; /* &removed: a slot that was taken and is free again */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static size_t slot_of(const void *at)
{
	return (size_t)(((uintptr_t)at >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 47);
}

static void note(void *at)
{
	size_t i = slot_of(at);
	pthread_mutex_lock(&lock);
	while (slots[i] && slots[i] != &removed)
		i = (i + 1) % SLOTS;
	slots[i] = at;
	standing++;
	pthread_mutex_unlock(&lock);
}

static void forget(const void *at)
{
	size_t i = slot_of(at);
	pthread_mutex_lock(&lock);
	while (slots[i] && slots[i] != at)
		i = (i + 1) % SLOTS;
	if (slots[i]) {
		slots[i] = &removed;
		standing--;
	}
	pthread_mutex_unlock(&lock);
}

static bool fails(void)
{
	return counting && __atomic_add_fetch(&made, 1, __ATOMIC_SEQ_CST) == fail_at;
}

static void *got(void *at)
{
	if (at && counting)
		note(at);
	return at;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : got(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : got(__real_calloc(count, size));
}

void *__wrap_realloc(void *at, size_t size)
{
	if (fails())
		return NULL;
	if (at)
		forget(at);
	return got(__real_realloc(at, size));
}

void __wrap_free(void *at)
{
	if (at)
		forget(at);
	__real_free(at);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return fails() ? NULL : got(__real_aligned_alloc(alignment, size));
}

int __wrap_posix_memalign(void **at, size_t alignment, size_t size)
{
	if (fails())
		return 12; /* ENOMEM */
	int status = __real_posix_memalign(at, alignment, size);
	if (!status)
		got(*at);
	return status;
}

char *__wrap_strndup(const char *text, size_t size)
{
	size_t n = strnlen(text, size);
	char *copy = __wrap_malloc(n + 1);
	if (copy) {
		memcpy(copy, text, n);
		copy[n] = '\0';
	}
	return copy;
}

char *__wrap_strdup(const char *text)
{
	return __wrap_strndup(text, SIZE_MAX - 1);
}

static int attempt(failing_function *f, void *context, size_t at, struct error *err)
{
	memset(err, 0, sizeof *err);
	made = 0;
	fail_at = at;
	counting = true;
	int status = f(context, err);
	counting = false;
	return status;
}

size_t failing_loop(const char *name, size_t stride, failing_function *f, void *context)
{
	struct error err;
	if (attempt(f, context, 0, &err))
		fail_msg("%s: %s", name, err.text);
	size_t count = made;
	for (size_t n = 1; n <= count; n += stride) {
		memset(slots, 0, sizeof slots);
		standing = 0;
		int status = attempt(f, context, n, &err);
		if (status > 0 || (status && !*err.text))
			fail_msg("%s: allocation %zu of %zu: status %d with \"%s\"", name, n, count,
				 status, err.text);
		if (standing != 0)
			fail_msg("%s: allocation %zu of %zu: %ld others stand after it (%s)", name,
				 n, count, standing, status ? err.text : "it succeeded");
	}
	return count;
}
