/* The reference device: memory, weights, and its table of operations. */
#include "backends/reference/reference.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/reference/internal.h"
#include "base/memory.h"

static void count_use(struct device *d, size_t bytes)
{
	d->bytes_in_use += bytes;
	if (d->bytes_in_use > d->bytes_peak)
		d->bytes_peak = d->bytes_in_use;
}

static int new_buffer(struct device *d, size_t bytes, struct buffer **out, struct error *err)
{
	if (bytes == 0)
		return error_set(err, SUMI_INVALID, "a buffer of 0 bytes was asked for");
	struct buffer *b = NULL;
	if (bytes <= d->info.max_alloc)
		b = malloc(sizeof *b + bytes);
	if (!b)
		return error_set(err, SUMI_NOMEM, "no memory for a buffer of %zu bytes", bytes);
	b->head.bytes = bytes;
	count_use(d, bytes);
	*out = b;
	return SUMI_OK;
}

static void free_buffer(struct device *d, struct buffer *b)
{
	d->bytes_in_use -= b->head.bytes;
	free(b);
}

static int write_buffer(struct device *d, struct buffer *b, size_t offset, const void *data,
			size_t bytes, struct error *err)
{
	(void)d, (void)err;
	memcpy(b->data + offset, data, bytes);
	return SUMI_OK;
}

static int read_buffer(struct device *d, const struct buffer *b, size_t offset, void *data,
		       size_t bytes, struct error *err)
{
	(void)d, (void)err;
	memcpy(data, b->data + offset, bytes);
	return SUMI_OK;
}

static int sync_device(struct device *d, struct error *err)
{
	(void)d, (void)err;
	return SUMI_OK;
}

static size_t weight_bytes(const struct weight_head *head)
{
	size_t count = (size_t)head->cout * (size_t)head->cin;
	return count * (size_t)head->kernel * (size_t)head->kernel * sizeof(float);
}

static int new_weight(struct device *d, const struct weight_desc *desc, struct weight **out,
		      struct error *err)
{
	struct weight_head head = {desc->dtype,  desc->cout,  desc->cin,
				   desc->kernel, desc->geglu, desc->table};
	struct weight *w = malloc(sizeof *w + weight_bytes(&head));
	float *row = malloc(weight_bytes(&head) / (size_t)desc->cout);
	if (!w || !row) {
		free(row);
		free(w);
		return error_set(err, SUMI_NOMEM, "no memory for a weight of [%d, %d]", desc->cout,
				 desc->cin);
	}
	w->head = head;
	size_t taps = (size_t)desc->kernel * (size_t)desc->kernel, cin = (size_t)desc->cin;
	size_t bytes = format_row_bytes(desc->dtype, cin * taps);
	for (size_t o = 0; o < (size_t)desc->cout; o++) {
		format_expand(desc->dtype, (const char *)desc->data + o * bytes, cin * taps, row);
		for (size_t i = 0; i < cin; i++)
			for (size_t t = 0; t < taps; t++)
				w->data[(o * taps + t) * cin + i] =
				    row[i * taps + t] * (desc->scales ? desc->scales[o] : 1);
	}
	free(row);
	count_use(d, weight_bytes(&head));
	*out = w;
	return SUMI_OK;
}

static void free_weight(struct device *d, struct weight *w)
{
	d->bytes_in_use -= weight_bytes(&w->head);
	free(w);
}

static bool takes_format(const struct device *d, enum dtype dtype, int kernel)
{
	(void)d, (void)dtype, (void)kernel;
	return true;
}

static void close_device(struct device *d)
{
	free(d);
}

static const struct device_ops reference_ops = {
    .close = close_device,
    .buffer_new = new_buffer,
    .buffer_free = free_buffer,
    .write = write_buffer,
    .read = read_buffer,
    .sync = sync_device,
    .weight_new = new_weight,
    .weight_free = free_weight,
    .takes_format = takes_format,
    .conv2d = reference_conv2d,
    .linear = reference_linear,
    .group_norm = reference_group_norm,
    .layer_norm = reference_layer_norm,
    .attention = reference_attention,
    .axpby = reference_axpby,
    .embedding = reference_embedding,
    .timestep = reference_timestep,
    .permute = reference_permute,
};

void reference_info(struct device_info *info)
{
	*info = (struct device_info){.is_cpu = true, .has_f16 = true, .compute_units = 1};
	snprintf(info->name, sizeof info->name, "scalar reference");
	snprintf(info->platform, sizeof info->platform, "reference");
	snprintf(info->driver, sizeof info->driver, "%s", SUMI_VERSION);
	snprintf(info->selector, sizeof info->selector, "reference");
	info->memory = memory_limit();
	info->max_alloc = info->memory;
}

int reference_open(struct device **out, struct error *err)
{
	struct device *d = calloc(1, sizeof *d);
	*out = d;
	if (!d)
		return error_set(err, SUMI_NOMEM, "no memory for the reference device");
	d->ops = &reference_ops;
	d->activation_dtype = DTYPE_F32;
	reference_info(&d->info);
	return SUMI_OK;
}
