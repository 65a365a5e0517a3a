/* Saved states as bytes. */
#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

void bytes_put(struct bytes_writer *w, const void *data, size_t size)
{
	if (w->failed || size == 0)
		return;
	if (size > w->capacity - w->size) {
		size_t capacity = w->capacity ? w->capacity : 256;
		while (capacity - w->size < size) {
			if (capacity > SIZE_MAX / 2) {
				w->failed = true;
				return;
			}
			capacity *= 2;
		}
		unsigned char *grown = realloc(w->data, capacity);
		if (!grown) {
			w->failed = true;
			return;
		}
		w->data = grown;
		w->capacity = capacity;
	}
	memcpy(w->data + w->size, data, size);
	w->size += size;
}

void bytes_put_u32(struct bytes_writer *w, uint32_t value)
{
	unsigned char b[4];
	for (int i = 0; i < 4; i++)
		b[i] = (unsigned char)(value >> 8 * i);
	bytes_put(w, b, sizeof b);
}

void bytes_put_u64(struct bytes_writer *w, uint64_t value)
{
	bytes_put_u32(w, (uint32_t)value);
	bytes_put_u32(w, (uint32_t)(value >> 32));
}

void bytes_put_f64(struct bytes_writer *w, double value)
{
	uint64_t bits;
	memcpy(&bits, &value, sizeof bits);
	bytes_put_u64(w, bits);
}

void bytes_put_f32s(struct bytes_writer *w, const float *values, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t bits;
		memcpy(&bits, &values[i], sizeof bits);
		bytes_put_u32(w, bits);
	}
}

void bytes_get(struct bytes_reader *r, void *data, size_t size)
{
	if (r->failed || size > r->size - r->at) {
		r->failed = true;
		memset(data, 0, size);
		return;
	}
	memcpy(data, r->data + r->at, size);
	r->at += size;
}

uint32_t bytes_get_u32(struct bytes_reader *r)
{
	unsigned char b[4];
	uint32_t value = 0;
	bytes_get(r, b, sizeof b);
	for (int i = 0; i < 4; i++)
		value |= (uint32_t)b[i] << 8 * i;
	return value;
}

uint64_t bytes_get_u64(struct bytes_reader *r)
{
	uint64_t low = bytes_get_u32(r);
	return low | (uint64_t)bytes_get_u32(r) << 32;
}

double bytes_get_f64(struct bytes_reader *r)
{
	uint64_t bits = bytes_get_u64(r);
	double value;
	memcpy(&value, &bits, sizeof value);
	return value;
}

void bytes_get_f32s(struct bytes_reader *r, float *values, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t bits = bytes_get_u32(r);
		memcpy(&values[i], &bits, sizeof bits);
	}
}

bool bytes_complete(const struct bytes_reader *r)
{
	return !r->failed && r->at == r->size;
}

uint64_t bytes_hash(uint64_t hash, const void *data, size_t size)
{
	const unsigned char *p = data;
	for (size_t i = 0; i < size; i++)
		hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
	return hash;
}
