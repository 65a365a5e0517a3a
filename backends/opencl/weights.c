/* Weights: packed once into the layout that the kernels read, see struct weight. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/opencl/ahead.h"

/* The output channel in a column of a panel; -1: none. */
static int channel_of(const struct weight_head *head, int panel, int column, int columns)
{
	int half = columns / 2, channel;
	if (!head->geglu) {
		channel = panel * columns + column;
		return channel < head->cout ? channel : -1;
	}
	channel = panel * half + column % half;
	if (channel >= head->cout / 2)
		return -1;
	return column < half ? channel : channel + head->cout / 2;
}

enum { COLUMNS_MOST = 64 }; /* of a panel, or of a narrow weight */

#define PACK_CHANNELS 64 /* input channels at a time: their 9 taps of a panel fit into L1 */

/* A panel of [taps][cin][columns] from rows of [cin][taps], numbers of `unit` bytes (a
 * constant where it is called: the copies become single moves). One column at a time and few
 * input channels at a time: reads in order, and writes that stay in the cache. The panel is
 * zero before. */
static inline void pack_panel(const char *source, char *out, const int *channels, size_t columns,
			      size_t cin, size_t taps, size_t unit)
{
	for (size_t first = 0; first < cin; first += PACK_CHANNELS) {
		size_t end = first + PACK_CHANNELS < cin ? first + PACK_CHANNELS : cin;
		for (size_t c = 0; c < columns; c++) {
			if (channels[c] < 0)
				continue;
			const char *row = source + (size_t)channels[c] * cin * taps * unit;
			for (size_t i = first; i < end; i++)
				for (size_t t = 0; t < taps; t++)
					memcpy(out + ((t * cin + i) * columns + c) * unit,
					       row + (i * taps + t) * unit, unit);
		}
	}
}

/* Bytes of what zero_at counts. */
static size_t unit_of(enum dtype dtype)
{
	return format_info(dtype)->block > 1 ? 1 : dtype_size(dtype);
}

/* One panel. */
static void pack_columns(const struct weight *w, const void *source, char *out,
			 const int *channels, size_t columns)
{
	const struct block_format *f = format_info(w->head.dtype);
	size_t side = (size_t)w->head.kernel, cin = (size_t)w->head.cin, taps = side * side;
	if (f->block > 1)
		cl_pack_blocks(f, source, cin / (size_t)f->block, (unsigned char *)out, channels,
			       columns);
	else if (f->bytes == 4)
		pack_panel(source, out, channels, columns, cin, taps, 4);
	else if (f->bytes == 2)
		pack_panel(source, out, channels, columns, cin, taps, 2);
	else
		pack_panel(source, out, channels, columns, cin, taps, 1);
}

static void pack(const struct weight *w, const void *source, void *out, int columns)
{
	int panels = w->narrow ? 1 : w->panels;
	size_t step = w->zero_at / (size_t)panels * unit_of(w->head.dtype);
	char *at = out;
	int channels[COLUMNS_MOST];
	if (w->narrow)
		columns = w->head.cout;
	/* Only the last panel has columns to spare. */
	memset(at + step * (size_t)(panels - 1), 0, step);
	for (int p = 0; p < panels; p++) {
		for (int c = 0; c < columns; c++)
			channels[c] = channel_of(&w->head, p, c, columns);
		pack_columns(w, source, at + step * (size_t)p, channels, (size_t)columns);
	}
}

/* Whether a panel would be filled up. */
static bool is_narrow(const struct cl_device *d, const struct weight_desc *desc)
{
	return d->quirks.cpu_kernels && format_info(desc->dtype)->block == 1 && !desc->geglu && !desc->table &&
	       desc->cout <= COLUMNS_MOST && desc->cout % matrix_panel(d) != 0;
}

/* Everything but the buffer; returns the bytes that it takes. */
static size_t plan(const struct cl_device *d, const struct weight_desc *desc, struct weight *w)
{
	int columns = matrix_panel(d);
	size_t size = unit_of(desc->dtype), zeros = 0;
	/* In what zero_at counts: a row of one column. */
	size_t row = format_row_bytes(desc->dtype, (size_t)desc->cin) / size;
	*w = (struct weight){.head = {.dtype = desc->dtype,
				      .cout = desc->cout,
				      .cin = desc->cin,
				      .kernel = desc->kernel,
				      .geglu = desc->geglu,
				      .table = desc->table}};
	w->zero_at = (size_t)desc->cout * row;
	w->narrow = desc->few && is_narrow(d, desc);
	if (w->narrow) {
		w->panels = (desc->cout + columns / 2 - 1) / (columns / 2);
		w->zero_at *= (size_t)(desc->kernel * desc->kernel);
		zeros = ((desc->kernel > 1 ? (size_t)desc->cin : 0) + (size_t)columns) * sizeof(float);
	} else if (!desc->table) {
		int width = desc->geglu ? columns / 2 : columns;
		w->panels = ((desc->geglu ? desc->cout / 2 : desc->cout) + width - 1) / width;
		w->zero_at = (size_t)w->panels * (size_t)(desc->kernel * desc->kernel) * row *
			     (size_t)columns;
		zeros = ((size_t)desc->cin + (size_t)columns) * sizeof(float);
	}
	return w->zero_at * size + zeros;
}

/* Raise it with every change of plan() or pack(): files with older bytes are then left alone. */
enum { LAYOUT_VERSION = 1 };

void cl_weight_layout(const struct device *d, char out[WEIGHT_LAYOUT_SIZE])
{
	snprintf(out, WEIGHT_LAYOUT_SIZE, "opencl, panels of %d, layout %d",
		 matrix_panel((const struct cl_device *)d), LAYOUT_VERSION);
}

size_t cl_weight_packed_size(const struct device *d, const struct weight_desc *desc)
{
	struct weight w;
	return plan((const struct cl_device *)d, desc, &w);
}

void cl_weight_pack(const struct device *d, const struct weight_desc *desc, void *out)
{
	struct weight w;
	const struct cl_device *own = (const struct cl_device *)d;
	size_t bytes = plan(own, desc, &w), used = w.zero_at * unit_of(desc->dtype);
	size_t row = used / (size_t)desc->cout;
	const struct block_format *f = format_info(desc->dtype);
	if (desc->table && f->block > 1)
		for (int i = 0; i < desc->cout; i++)
			cl_pack_blocks(f, desc->data, (size_t)(desc->cin / f->block),
				       (unsigned char *)out + row * (size_t)i, &i, 1);
	else if (desc->table)
		memcpy(out, desc->data, used);
	else
		pack(&w, desc->data, out, matrix_panel(own));
	memset((char *)out + used, 0, bytes - used);
}

static int upload(struct cl_device *d, const struct weight_desc *desc, size_t bytes,
		  struct buffer *buffer, struct error *err)
{
	void *host = NULL;
	int status = cl_buffer_map(d, buffer, &host, err);
	if (status)
		return status;
	if (desc->packed)
		memcpy(host, desc->packed, bytes);
	else
		cl_weight_pack(&d->base, desc, host);
	return cl_buffer_unmap(d, buffer, host, err);
}

int cl_weight_new(struct device *base, const struct weight_desc *desc, struct weight **out,
		  struct error *err)
{
	struct cl_device *d = cl_device_of(base);
	int status;
	*out = NULL;
	struct weight *w = calloc(1, sizeof *w);
	if (!w)
		return error_set(err, SUMI_NOMEM, "no memory for a weight");
	size_t bytes = plan(d, desc, w);
	if (desc->packed && d->quirks.host_memory) {
		/* Kernels only read weights: the pages may be a file's. */
		status = cl_buffer_wrap(d, (void *)(uintptr_t)desc->packed, bytes, &w->buffer, err);
	} else {
		status = cl_buffer_new_fixed(d, bytes, &w->buffer, err);
		if (!status)
			status = upload(d, desc, bytes, w->buffer, err);
	}
	if (!status && desc->scales)
		status = cl_buffer_new_of(d, desc->scales,
					  (size_t)desc->cout * sizeof *desc->scales, &w->scales,
					  err);
	if (status) {
		cl_buffer_free(d, w->scales);
		cl_buffer_free(d, w->buffer);
		free(w);
		return status;
	}
	cl_foresee(d, w);
	*out = w;
	return SUMI_OK;
}

int cl_weight_rescale(struct device *d, struct weight *w, const float *scales, struct error *err)
{
	if (!w->scales)
		return error_set(err, SUMI_INTERNAL, "a weight without factors of its rows gets others");
	return cl_buffer_write(cl_device_of(d), w->scales, 0, scales, (size_t)w->head.cout * sizeof *scales, err);
}

void cl_weight_free(struct device *d, struct weight *w)
{
	if (!w)
		return;
	cl_buffer_free(cl_device_of(d), w->scales);
	cl_buffer_free(cl_device_of(d), w->buffer);
	free(w);
}

const struct buffer *cl_weight_rows(const struct weight *w)
{
	return w->buffer;
}
