/* EBML, written and read. */
#include "media/ebml.h"

#include <string.h>

/* ---- writing ----------------------------------------------------------------------- */

/* Big-endian, the lowest so many bytes. */
static void put_number(struct bytes_writer *w, uint64_t value, int bytes)
{
	unsigned char b[8];
	for (int i = 0; i < bytes; i++)
		b[i] = (unsigned char)(value >> 8 * (bytes - 1 - i));
	bytes_put(w, b, (size_t)bytes);
}

static int bytes_of(uint64_t value)
{
	int n = 1;
	while (n < 8 && value >> 8 * n)
		n++;
	return n;
}

static void put_id(struct bytes_writer *w, uint32_t id)
{
	put_number(w, id, bytes_of(id));
}

/* A length has seven bits a byte; all of them set would mean that it is not known. */
static void put_size(struct bytes_writer *w, uint64_t size)
{
	int n = 1;
	while (n < 8 && size >= (UINT64_C(1) << 7 * n) - 1)
		n++;
	put_number(w, size | UINT64_C(1) << 7 * n, n);
}

void ebml_bytes(struct bytes_writer *w, uint32_t id, const void *data, size_t size)
{
	put_id(w, id);
	put_size(w, size);
	bytes_put(w, data, size);
}

void ebml_text(struct bytes_writer *w, uint32_t id, const char *text)
{
	ebml_bytes(w, id, text, strlen(text));
}

static void put_uint(struct bytes_writer *w, uint32_t id, uint64_t value, int bytes)
{
	put_id(w, id);
	put_size(w, (uint64_t)bytes);
	put_number(w, value, bytes);
}

void ebml_uint(struct bytes_writer *w, uint32_t id, uint64_t value)
{
	put_uint(w, id, value, bytes_of(value));
}

void ebml_uint8(struct bytes_writer *w, uint32_t id, uint64_t value)
{
	put_uint(w, id, value, 8);
}

void ebml_float(struct bytes_writer *w, uint32_t id, double value)
{
	uint64_t bits;
	memcpy(&bits, &value, sizeof bits);
	put_uint(w, id, bits, 8);
}

void ebml_master(struct bytes_writer *w, uint32_t id, struct bytes_writer *inner)
{
	ebml_bytes(w, id, inner->data, inner->size);
	w->failed |= inner->failed;
	inner->size = 0;
}

void ebml_head(struct bytes_writer *w, uint32_t id, uint64_t size)
{
	put_id(w, id);
	put_number(w, size | UINT64_C(1) << 56, 8);
}

/* ---- reading ----------------------------------------------------------------------- */

/* Bytes of a number by its first: as many as zeros stand before the first set bit, and one. */
static int length_of(uint8_t first)
{
	int n = 1;
	while (n <= 8 && !(first & 0x100 >> n))
		n++;
	return n;
}

/* Bytes as they lie there; false where they are not all there. */
static bool take(struct ebml_reader *r, int bytes, uint64_t *value)
{
	if ((size_t)bytes > r->size - r->at)
		return false;
	*value = 0;
	for (int i = 0; i < bytes; i++)
		*value = *value << 8 | r->data[r->at++];
	return true;
}

bool ebml_varying(struct ebml_reader *r, uint64_t *value)
{
	int n = r->at < r->size ? length_of(r->data[r->at]) : 9;
	if (n > 8 || !take(r, n, value))
		return false;
	*value &= (UINT64_C(1) << 7 * n) - 1;
	return true;
}

int ebml_next(struct ebml_reader *r, struct ebml_element *e)
{
	enum { ID_BYTES = 4 };
	uint64_t id, size;
	if (r->at == r->size)
		return 0;
	int n = length_of(r->data[r->at]);
	if (n > ID_BYTES || !take(r, n, &id))
		return -1;
	int m = r->at < r->size ? length_of(r->data[r->at]) : 9;
	if (!ebml_varying(r, &size))
		return -1;
	*e = (struct ebml_element){.id = (uint32_t)id, .data = r->data + r->at};
	e->open = size == (UINT64_C(1) << 7 * m) - 1;
	if (!e->open && size > r->size - r->at)
		return -1;
	e->size = e->open ? r->size - r->at : (size_t)size;
	r->at += e->size;
	return 1;
}

struct ebml_reader ebml_inside(const struct ebml_element *e)
{
	return (struct ebml_reader){.data = e->data, .size = e->size};
}

uint64_t ebml_number(const struct ebml_element *e)
{
	struct ebml_reader r = ebml_inside(e);
	uint64_t value = 0;
	if (e->size <= 8)
		take(&r, (int)e->size, &value);
	return value;
}
