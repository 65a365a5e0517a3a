#define _GNU_SOURCE /* MAP_ANONYMOUS, madvise */
#include "backends/opencl/arena.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { PAGE = 4096 };
#define GROWTH ((size_t)1 << 20) /* what is made writable at a time */

struct gap {
	size_t from, end;
};

struct arena {
	char *base;
	size_t most, ready, touched; /* reserved; writable; arena_touched() */
	struct gap *gaps;            /* by address; the last one goes to the end */
	size_t count, room, taken;   /* room: for as many gaps as giving all back could make */
};

static size_t up_to(size_t bytes, size_t unit)
{
	return (bytes + unit - 1) / unit * unit;
}

struct arena *arena_new(size_t most)
{
	struct rlimit limit;
	most = most / PAGE * PAGE;
	if (most == 0 || getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY)
		return NULL;
	struct arena *a = calloc(1, sizeof *a);
	struct gap *gaps = malloc(sizeof *gaps);
	void *base = mmap(NULL, most, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (!a || !gaps || base == MAP_FAILED) {
		if (base != MAP_FAILED)
			munmap(base, most);
		free(gaps);
		free(a);
		return NULL;
	}
	gaps[0] = (struct gap){0, most};
	*a = (struct arena){.base = base, .most = most, .gaps = gaps, .count = 1, .room = 1};
	return a;
}

void arena_free(struct arena *a)
{
	if (!a)
		return;
	munmap(a->base, a->most);
	free(a->gaps);
	free(a);
}

/* Room for a gap on either side of each that is taken: giving back cannot fail. */
static int make_room(struct arena *a)
{
	if (a->taken + 2 <= a->room)
		return 0;
	size_t room = 2 * (a->taken + 2);
	struct gap *gaps = realloc(a->gaps, room * sizeof *gaps);
	if (!gaps)
		return -1;
	a->gaps = gaps;
	a->room = room;
	return 0;
}

static int make_writable(struct arena *a, size_t end)
{
	if (end <= a->ready)
		return 0;
	size_t to = up_to(end, GROWTH);
	if (to > a->most)
		to = a->most;
	if (mprotect(a->base + a->ready, to - a->ready, PROT_READ | PROT_WRITE) != 0)
		return -1;
	a->ready = to;
	return 0;
}

void *arena_take(struct arena *a, size_t bytes)
{
	if (bytes == 0 || bytes > a->most || make_room(a))
		return NULL;
	size_t size = up_to(bytes, ARENA_UNIT), i = 0;
	while (i < a->count && a->gaps[i].end - a->gaps[i].from < size)
		i++;
	if (i == a->count || make_writable(a, a->gaps[i].from + size))
		return NULL;
	struct gap *gap = &a->gaps[i];
	char *place = a->base + gap->from;
	gap->from += size;
	if (gap->from > a->touched)
		a->touched = gap->from;
	if (gap->from == gap->end) {
		a->count--;
		memmove(gap, gap + 1, (a->count - i) * sizeof *gap);
	}
	a->taken++;
	return place;
}

void arena_give(struct arena *a, void *place, size_t bytes)
{
	size_t from = (size_t)((char *)place - a->base), end = from + up_to(bytes, ARENA_UNIT), i = 0;
	while (i < a->count && a->gaps[i].from < from)
		i++;
	bool below = i > 0 && a->gaps[i - 1].end == from;
	bool above = i < a->count && a->gaps[i].from == end;
	a->taken--;
	if (below && above) {
		a->gaps[i - 1].end = a->gaps[i].end;
		a->count--;
		memmove(&a->gaps[i], &a->gaps[i + 1], (a->count - i) * sizeof *a->gaps);
	} else if (below) {
		a->gaps[i - 1].end = end;
	} else if (above) {
		a->gaps[i].from = from;
	} else {
		memmove(&a->gaps[i + 1], &a->gaps[i], (a->count - i) * sizeof *a->gaps);
		a->gaps[i] = (struct gap){from, end};
		a->count++;
	}
}

void arena_trim(struct arena *a)
{
	size_t top = a->most;
	for (size_t i = 0; i < a->count; i++) {
		const struct gap *gap = &a->gaps[i];
		bool last = gap->end == a->most;
		size_t from = up_to(gap->from, PAGE), end = last ? a->ready : gap->end / PAGE * PAGE;
		if (end > from)
			madvise(a->base + from, end - from, MADV_DONTNEED);
		if (last)
			top = gap->from;
	}
	a->touched = top;
}

size_t arena_touched(const struct arena *a)
{
	return a->touched;
}
