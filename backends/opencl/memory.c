/* Device memory: buffers, and what hands the memory of freed ones out again: on devices whose memory is the
 * host's an arena, whose rule stands in arena.h; on others, and for what has no place there, the pool.
 *
 * The pool's rule: what is in use plus what is pooled never exceeds the most that was
 * ever in use at once by more than an eighth. Without the eighth, one small allocation
 * at the peak would drive out a large buffer that the next step wants again. It holds for all
 * memory, and for that which comes back to the pool by itself: an eighth of a model's weights is
 * more than a step takes. */
#include <stdlib.h>
#include <string.h>

#include "backends/opencl/cache.h"
#include "backends/opencl/internal.h"

static void list_push(struct buffer **list, struct buffer *b)
{
	b->prev = NULL;
	b->next = *list;
	if (*list)
		(*list)->prev = b;
	*list = b;
}

static void list_remove(struct buffer **list, struct buffer *b)
{
	if (b->prev)
		b->prev->next = b->next;
	else
		*list = b->next;
	if (b->next)
		b->next->prev = b->prev;
}

/* Sixteen classes an octave: similar sizes share a class, at most 1/16 is wasted. */
static size_t size_class(size_t bytes)
{
	size_t step = 4096;
	while (step * 32 <= bytes)
		step *= 2;
	return cl_round_up(bytes, step);
}

static void count_use(struct cl_device *d, struct buffer *b)
{
	list_push(&d->live, b);
	d->base.bytes_in_use += b->capacity;
	if (d->base.bytes_in_use > d->base.bytes_peak)
		d->base.bytes_peak = d->base.bytes_in_use;
	if (!b->pooled)
		return;
	d->pooled_in_use += b->capacity;
	if (d->pooled_in_use > d->pooled_peak)
		d->pooled_peak = d->pooled_in_use;
}

static void pool_drop(struct cl_device *d, struct buffer *b)
{
	list_remove(&d->pool, b);
	d->pool_bytes -= b->capacity;
	clReleaseMemObject(b->mem);
	free(b);
}

void cl_pool_trim(struct cl_device *d)
{
	for (struct buffer *b = d->pool, *next; b; b = next) {
		next = b->next;
		pool_drop(d, b);
	}
	d->pooled_peak = d->pooled_in_use;
}

void cl_memory_trim(struct cl_device *d)
{
	clFinish(d->queue);
	cl_pool_trim(d);
	if (d->arena)
		arena_trim(d->arena);
	d->base.bytes_peak = d->base.bytes_in_use;
}

/* The smallest pooled buffer that fits without wasting more than a quarter. */
static struct buffer *pool_take(struct cl_device *d, size_t capacity)
{
	struct buffer *best = NULL;
	for (struct buffer *b = d->pool; b; b = b->next)
		if (b->capacity >= capacity && b->capacity - capacity <= capacity / 4 &&
		    (!best || b->capacity < best->capacity))
			best = b;
	if (best) {
		list_remove(&d->pool, best);
		d->pool_bytes -= best->capacity;
	}
	return best;
}

/* What the pool may hold beside so much in use. */
static size_t pool_room(size_t in_use, size_t peak, size_t share)
{
	size_t ceiling = in_use > peak ? in_use : peak;
	return ceiling + ceiling / share - in_use;
}

/* Makes room for capacity new bytes, pooled ones or not, under the pool's rule: the longest unused
 * go first. */
static void pool_shrink(struct cl_device *d, size_t capacity, bool pooled)
{
	size_t room = pool_room(d->base.bytes_in_use + capacity, d->base.bytes_peak, 8);
	size_t own = pool_room(d->pooled_in_use + (pooled ? capacity : 0), d->pooled_peak, 1);
	struct buffer *last = d->pool;
	while (last && last->next)
		last = last->next;
	while (last && d->pool_bytes > (room < own ? room : own)) {
		struct buffer *before = last->prev;
		pool_drop(d, last);
		last = before;
	}
}

static int create(struct cl_device *d, cl_mem_flags flags, size_t bytes, size_t capacity,
		  void *host, bool pooled, struct buffer **out, struct error *err)
{
	struct buffer *b = calloc(1, sizeof *b);
	if (!b)
		return error_set(err, SUMI_NOMEM, "no memory for a buffer of %zu bytes", bytes);
	cl_int code;
	b->mem = clCreateBuffer(d->context, flags, capacity, host, &code);
	if (code && d->pool) {
		clFinish(d->queue); /* a released buffer is gone when its last command is */
		cl_pool_trim(d);
		b->mem = clCreateBuffer(d->context, flags, capacity, host, &code);
	}
	if (code) {
		free(b);
		return error_set(err, SUMI_NOMEM, "clCreateBuffer(%zu bytes; %zu in use on %s): %s",
				 bytes, d->base.bytes_in_use, d->base.info.name,
				 cl_error_name(code));
	}
	b->head.bytes = bytes;
	b->capacity = capacity;
	b->pooled = pooled;
	count_use(d, b);
	*out = b;
	return SUMI_OK;
}

static cl_mem_flags flags_of(const struct cl_device *d)
{
	return CL_MEM_READ_WRITE | (d->quirks.host_memory ? CL_MEM_ALLOC_HOST_PTR : 0);
}

/* A driver may promise more than it can hold and fail at the first use: what cannot
 * be must be refused here. */
static int check_size(const struct cl_device *d, size_t bytes, struct error *err)
{
	if (bytes == 0)
		return error_set(err, SUMI_INVALID, "a buffer of 0 bytes was asked for");
	if (bytes > d->base.info.max_alloc - CL_BUFFER_SLACK)
		return error_set(
		    err, SUMI_NOMEM, "a buffer of %zu bytes: %s allows at most %llu in one piece",
		    bytes, d->base.info.name, (unsigned long long)d->base.info.max_alloc);
	return SUMI_OK;
}

/* The queue is in order: who gets a place again stands behind those who still use it. */
static bool new_in_arena(struct cl_device *d, size_t bytes, struct buffer **out)
{
	struct error ignored;
	size_t capacity = cl_round_up(bytes + CL_BUFFER_SLACK, ARENA_UNIT);
	void *place = d->arena && capacity <= d->base.info.max_alloc ? arena_take(d->arena, capacity) : NULL;
	if (!place)
		return false;
	if (create(d, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, bytes, capacity, place, false, out, &ignored)) {
		arena_give(d->arena, place, capacity);
		return false;
	}
	(*out)->place = place;
	return true;
}

int cl_buffer_new(struct cl_device *d, size_t bytes, struct buffer **out, struct error *err)
{
	*out = NULL;
	int status = check_size(d, bytes, err);
	if (status)
		return status;
	/* oclgrind sees what leaves a buffer only where the buffer really ends. */
	size_t capacity = bytes + CL_BUFFER_SLACK;
	if (!d->quirks.oclgrind)
		capacity = size_class(capacity);
	if (capacity > d->base.info.max_alloc)
		capacity = bytes + CL_BUFFER_SLACK;
	struct buffer *b;
	if (new_in_arena(d, bytes, out))
		return SUMI_OK;
	b = pool_take(d, capacity);
	if (b) {
		b->head.bytes = bytes;
		count_use(d, b);
		*out = b;
		return SUMI_OK;
	}
	pool_shrink(d, capacity, true);
	return create(d, flags_of(d), bytes, capacity, NULL, true, out, err);
}

int cl_buffer_new_fixed(struct cl_device *d, size_t bytes, struct buffer **out, struct error *err)
{
	*out = NULL;
	int status = check_size(d, bytes, err);
	if (status)
		return status;
	pool_shrink(d, bytes + CL_BUFFER_SLACK, false);
	return create(d, flags_of(d), bytes, bytes + CL_BUFFER_SLACK, NULL, false, out, err);
}

int cl_buffer_new_of(struct cl_device *d, const void *data, size_t bytes, struct buffer **out,
		     struct error *err)
{
	*out = NULL;
	int status = check_size(d, bytes, err);
	if (status)
		return status;
	/* The driver copies the slack too. */
	char *host = calloc(1, bytes + CL_BUFFER_SLACK);
	if (!host)
		return error_set(err, SUMI_NOMEM, "no memory for a buffer of %zu bytes", bytes);
	memcpy(host, data, bytes);
	pool_shrink(d, bytes + CL_BUFFER_SLACK, false);
	status = create(d, flags_of(d) | CL_MEM_COPY_HOST_PTR, bytes, bytes + CL_BUFFER_SLACK, host,
			false, out, err);
	free(host);
	return status;
}

int cl_buffer_wrap(struct cl_device *d, void *host, size_t bytes, struct buffer **out,
		   struct error *err)
{
	*out = NULL;
	int status = check_size(d, bytes, err);
	if (status)
		return status;
	return create(d, CL_MEM_READ_ONLY | CL_MEM_USE_HOST_PTR, bytes, bytes + CL_BUFFER_SLACK,
		      host, false, out, err);
}

void cl_buffer_free(struct cl_device *d, struct buffer *b)
{
	if (!b)
		return;
	list_remove(&d->live, b);
	d->base.bytes_in_use -= b->capacity;
	if (b->pooled) {
		d->pooled_in_use -= b->capacity;
		list_push(&d->pool, b);
		d->pool_bytes += b->capacity;
		return;
	}
	clReleaseMemObject(b->mem);
	if (b->place)
		arena_give(d->arena, b->place, b->capacity);
	free(b);
}

static int check_range(const struct buffer *b, const char *verb, size_t offset, size_t bytes,
		       struct error *err)
{
	if (offset > b->head.bytes || bytes > b->head.bytes - offset)
		return error_set(err, SUMI_INVALID,
				 "%s of %zu bytes at %zu leaves the buffer of %zu bytes", verb,
				 bytes, offset, b->head.bytes);
	return SUMI_OK;
}

int cl_buffer_write(struct cl_device *d, struct buffer *b, size_t offset, const void *data,
		    size_t bytes, struct error *err)
{
	int status = check_range(b, "write", offset, bytes, err);
	if (status || bytes == 0)
		return status;
	cl_int code =
	    clEnqueueWriteBuffer(d->queue, b->mem, CL_TRUE, offset, bytes, data, 0, NULL, NULL);
	cl_cache_leave(); /* the queue is in order: what was enqueued before has run */
	return code ? cl_fail(err, "clEnqueueWriteBuffer", d->base.info.name, code) : SUMI_OK;
}

int cl_buffer_read(struct cl_device *d, const struct buffer *b, size_t offset, void *data,
		   size_t bytes, struct error *err)
{
	int status = check_range(b, "read", offset, bytes, err);
	if (status || bytes == 0)
		return status;
	cl_int code =
	    clEnqueueReadBuffer(d->queue, b->mem, CL_TRUE, offset, bytes, data, 0, NULL, NULL);
	cl_cache_leave();
	return code ? cl_fail(err, "clEnqueueReadBuffer", d->base.info.name, code) : SUMI_OK;
}

int cl_buffer_map(struct cl_device *d, struct buffer *b, void **host, struct error *err)
{
	cl_int code;
	*host = clEnqueueMapBuffer(d->queue, b->mem, CL_TRUE, CL_MAP_WRITE_INVALIDATE_REGION, 0,
				   b->head.bytes, 0, NULL, NULL, &code);
	return code ? cl_fail(err, "clEnqueueMapBuffer", d->base.info.name, code) : SUMI_OK;
}

int cl_buffer_unmap(struct cl_device *d, struct buffer *b, void *host, struct error *err)
{
	cl_int code = clEnqueueUnmapMemObject(d->queue, b->mem, host, 0, NULL, NULL);
	return code ? cl_fail(err, "clEnqueueUnmapMemObject", d->base.info.name, code) : SUMI_OK;
}
