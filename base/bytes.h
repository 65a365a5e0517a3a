/* Saved states as bytes: little-endian numbers, written into a buffer that grows and read
 * back with bounds. Both sides keep going after a failure and report it once at the end,
 * so that the code that lists the fields stays a list. */
#ifndef SUMI_BASE_BYTES_H
#define SUMI_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zero-initialise. data belongs to the user of the writer: free() it. */
struct bytes_writer {
	unsigned char *data;
	size_t size, capacity;
	bool failed; /* out of memory: data is not complete */
};

/* Each appends to the buffer, or sets failed. */
void bytes_put(struct bytes_writer *w, const void *data, size_t size);
void bytes_put_u32(struct bytes_writer *w, uint32_t value);
void bytes_put_u64(struct bytes_writer *w, uint64_t value);
void bytes_put_f64(struct bytes_writer *w, double value);
void bytes_put_f32s(struct bytes_writer *w, const float *values, size_t count);

struct bytes_reader {
	const unsigned char *data; /* borrowed */
	size_t size, at;
	bool failed; /* ran past the end; what was read since is zero */
};

/* Each takes the next bytes, or gives zeros and sets failed where they are not all there. */
void bytes_get(struct bytes_reader *r, void *data, size_t size);
uint32_t bytes_get_u32(struct bytes_reader *r);
uint64_t bytes_get_u64(struct bytes_reader *r);
double bytes_get_f64(struct bytes_reader *r);
void bytes_get_f32s(struct bytes_reader *r, float *values, size_t count);

/* True when everything was read and nothing is left. */
bool bytes_complete(const struct bytes_reader *r);

/* FNV-1a (64 bits), to tell states apart; not for anything that an enemy could forge. */
#define BYTES_HASH_START UINT64_C(0xcbf29ce484222325)
uint64_t bytes_hash(uint64_t hash, const void *data, size_t size);

#endif
