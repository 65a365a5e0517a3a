/* Choosing and opening a device, and the checked calls for memory and weights. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/implement.h"
#include "backends/opencl/opencl.h"
#include "backends/reference/reference.h"

#define MAX_DEVICES 64

const char *const precision_names[PRECISIONS] = {"exact", "half", "int8"};

int precision_of(const char *name, enum precision *out, struct error *err)
{
	for (int i = 0; i < PRECISIONS; i++)
		if (strcmp(name, precision_names[i]) == 0) {
			*out = (enum precision)i;
			return SUMI_OK;
		}
	return error_set(err, SUMI_INVALID, "precision '%.40s' is none of exact, half, int8", name);
}

int device_list(struct device_info *out, int max, struct error *err)
{
	int n = opencl_list(out, max, err);
	if (n < 0)
		return n;
	if (n < max)
		reference_info(&out[n]);
	return n + 1;
}

/* Higher is better: GPUs by their memory, then other accelerators, CPUs, the reference. */
static uint64_t rank(const struct device_info *info)
{
	if (strcmp(info->selector, "reference") == 0)
		return 0;
	return info->is_cpu ? 1 : 2 + info->memory;
}

static bool contains_any_case(const char *text, const char *part)
{
	for (; *text; text++) {
		size_t i = 0;
		while (part[i] &&
		       tolower((unsigned char)text[i]) == tolower((unsigned char)part[i]))
			i++;
		if (!part[i])
			return true;
	}
	return false;
}

static int choose(const struct device_info *list, int n, const char *selector)
{
	int best = -1;
	if (!selector || !*selector || strcmp(selector, "auto") == 0) {
		for (int i = 0; i < n; i++)
			if (best < 0 || rank(&list[i]) > rank(&list[best]))
				best = i;
		return best;
	}
	for (int i = 0; i < n; i++)
		if (strcmp(list[i].selector, selector) == 0)
			return i;
	for (int i = 0; i < n; i++)
		if (contains_any_case(list[i].name, selector))
			return i;
	return -1;
}

static int not_found(const struct device_info *list, int n, const char *selector, struct error *err)
{
	char all[300] = "";
	for (int i = 0; i < n; i++) {
		size_t used = strlen(all);
		snprintf(all + used, sizeof all - used, "%s%s (%.40s)", i ? ", " : "",
			 list[i].selector, list[i].name);
	}
	return error_set(err, SUMI_NOTFOUND, "no device matches '%.60s'; there is %s", selector,
			 all);
}

int device_match(const struct device_info *list, int n, const char *selector, struct error *err)
{
	int i = choose(list, n, selector);
	return i < 0 ? not_found(list, n, selector, err) : i;
}

int device_open(const char *selector, struct device **out, struct error *err)
{
	struct device_info *list = calloc(MAX_DEVICES, sizeof *list);
	*out = NULL;
	if (!list)
		return error_set(err, SUMI_NOMEM, "no memory for the list of devices");
	int n = device_list(list, MAX_DEVICES, err), status = n;
	if (n < 0)
		goto done;
	if (n > MAX_DEVICES)
		n = MAX_DEVICES;
	status = device_match(list, n, selector, err);
	if (status >= 0)
		status = rank(&list[status]) == 0 ? reference_open(out, err)
						  : opencl_open(status, out, err);
done:
	free(list);
	return status;
}

void device_health(struct device_health *out)
{
	opencl_health(out);
}

bool device_is_damaged(void)
{
	return opencl_is_damaged();
}

bool device_died(pid_t pid, bool by_itself)
{
	return opencl_died(pid, by_itself);
}

void device_close(struct device *d)
{
	if (d)
		d->ops->close(d);
}

int device_buffer_new(struct device *d, size_t bytes, struct buffer **out, struct error *err)
{
	*out = NULL;
	return d->ops->buffer_new(d, bytes, out, err);
}

int device_buffer_of(struct device *d, const void *data, size_t bytes, struct buffer **out,
		     struct error *err)
{
	*out = NULL;
	if (d->ops->buffer_of)
		return d->ops->buffer_of(d, data, bytes, out, err);
	int status = d->ops->buffer_new(d, bytes, out, err);
	if (!status && (status = d->ops->write(d, *out, 0, data, bytes, err))) {
		d->ops->buffer_free(d, *out);
		*out = NULL;
	}
	return status;
}

void device_buffer_free(struct device *d, struct buffer *b)
{
	if (b)
		d->ops->buffer_free(d, b);
}

static int check_range(const struct buffer *b, const char *verb, size_t offset, size_t bytes,
		       struct error *err)
{
	size_t size = buffer_head(b)->bytes;
	if (offset > size || bytes > size - offset)
		return error_set(err, SUMI_INVALID,
				 "%s of %zu bytes at %zu leaves the buffer of %zu bytes", verb,
				 bytes, offset, size);
	return SUMI_OK;
}

int device_write(struct device *d, struct buffer *b, size_t offset, const void *data, size_t bytes,
		 struct error *err)
{
	int status = check_range(b, "write", offset, bytes, err);
	device_did(d);
	return status || bytes == 0 ? status : d->ops->write(d, b, offset, data, bytes, err);
}

int device_read(struct device *d, const struct buffer *b, size_t offset, void *data, size_t bytes,
		struct error *err)
{
	int status = check_range(b, "read", offset, bytes, err);
	return status || bytes == 0 ? status : d->ops->read(d, b, offset, data, bytes, err);
}

int device_sync(struct device *d, struct error *err)
{
	return d->ops->sync(d, err);
}

int device_set_precision(struct device *d, enum precision precision, struct error *err)
{
	int status = SUMI_OK;
	if (precision != PRECISION_EXACT && !d->ops->takes_precision)
		return error_set(err, SUMI_UNSUPPORTED,
				 "%s computes exactly only: leave the precision at exact",
				 d->info.name);
	if (precision != PRECISION_EXACT)
		status = d->ops->takes_precision(d, precision, err);
	if (status)
		return status;
	d->precision = precision;
	if (precision != PRECISION_EXACT && d->ops->prepare_precision)
		d->ops->prepare_precision(d);
	return SUMI_OK;
}

enum precision device_usual_precision(struct device *d)
{
	struct error ignored;
	bool half = d->ops->takes_precision &&
		    d->ops->takes_precision(d, PRECISION_HALF, &ignored) == SUMI_OK;
	return half ? PRECISION_HALF : PRECISION_EXACT;
}

uint64_t device_done(struct device *d)
{
	uint64_t done = atomic_load_explicit(&d->pieces, memory_order_relaxed);
	return d->ops->done ? done + d->ops->done(d) : done;
}

void device_trim(struct device *d)
{
	if (d->ops->trim)
		d->ops->trim(d);
}

bool device_takes_format(const struct device *d, enum dtype dtype, int kernel)
{
	if (!format_info(dtype))
		return false;
	if (d->ops->takes_format)
		return d->ops->takes_format(d, dtype, kernel);
	return dtype == DTYPE_F32 || dtype == DTYPE_F16 || dtype == DTYPE_BF16;
}

static int check_format(const struct device *d, const struct weight_desc *desc, struct error *err)
{
	const struct block_format *f = format_info(desc->dtype);
	if (!f)
		return error_set(err, SUMI_INVALID, "weight: dtype %d is none", (int)desc->dtype);
	if (desc->cin % f->block != 0)
		return error_set(err, SUMI_INVALID,
				 "weight: rows of %d are no whole blocks of %s, which have %d",
				 desc->cin, f->name, f->block);
	if (f->block > 1 && desc->kernel != 1)
		return error_set(err, SUMI_UNSUPPORTED,
				 "weight: blocks of %s run across the taps of a kernel of size %d",
				 f->name, desc->kernel);
	if (!device_takes_format(d, desc->dtype, desc->kernel))
		return error_set(err, SUMI_UNSUPPORTED, "weight: %s does not take %s", d->info.name,
				 f->name);
	return SUMI_OK;
}

static int check_weight(const struct device *d, const struct weight_desc *desc, struct error *err)
{
	if (!desc->data && !desc->packed)
		return error_set(err, SUMI_INVALID, "weight: no data");
	if (desc->cout < 1 || desc->cin < 1)
		return error_set(err, SUMI_INVALID, "weight: a shape of [%d, %d]", desc->cout,
				 desc->cin);
	if (desc->kernel != 1 && desc->kernel != 3)
		return error_set(err, SUMI_UNSUPPORTED,
				 "weight: kernel size %d (1 or 3 can be used)", desc->kernel);
	if ((desc->geglu || desc->table) && desc->kernel != 1)
		return error_set(err, SUMI_INVALID, "weight: a %s cannot have kernel size 3",
				 desc->table ? "table" : "GEGLU layer");
	if (desc->geglu && (desc->table || desc->cout % 2))
		return error_set(err, SUMI_INVALID,
				 "weight: a GEGLU layer needs an even number of rows, not %d",
				 desc->cout);
	if (desc->scales && desc->table)
		return error_set(err, SUMI_INVALID, "weight: a table has no scales");
	return check_format(d, desc, err);
}

int device_weight_new(struct device *d, const struct weight_desc *desc, struct weight **out,
		      struct error *err)
{
	*out = NULL;
	int status = check_weight(d, desc, err);
	if (status)
		return status;
	if (!d->ops->weight_new)
		return error_set(err, SUMI_UNSUPPORTED, "weights on %s", d->info.name);
	device_did(d);
	return d->ops->weight_new(d, desc, out, err);
}

void device_weight_free(struct device *d, struct weight *w)
{
	if (w)
		d->ops->weight_free(d, w);
}

bool device_rescales(const struct device *d)
{
	return d->ops->weight_rescale != NULL;
}

int device_weight_rescale(struct device *d, struct weight *w, const float *scales, struct error *err)
{
	if (!device_rescales(d))
		return error_set(err, SUMI_UNSUPPORTED, "other factors of a weight's rows on %s", d->info.name);
	return d->ops->weight_rescale(d, w, scales, err);
}

bool device_weight_layout(const struct device *d, char out[WEIGHT_LAYOUT_SIZE])
{
	if (d->ops->weight_layout)
		d->ops->weight_layout(d, out);
	return d->ops->weight_layout != NULL;
}

size_t device_weight_packed_size(const struct device *d, const struct weight_desc *desc)
{
	return d->ops->weight_packed_size(d, desc);
}

int device_weight_pack(struct device *d, const struct weight_desc *desc, void *out,
		       struct error *err)
{
	int status = desc->data ? check_weight(d, desc, err)
				: error_set(err, SUMI_INVALID, "weight: no data to pack");
	if (!status)
		d->ops->weight_pack(d, desc, out);
	return status;
}
