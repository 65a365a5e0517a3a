/* Putting a model's weights onto a device. */
#include "weights/loader.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/formatted.h"
#include "base/grow.h"
/* --- what lies on the device --- */

/* Grows a list of pointers by one. */
static int grow(void **list, size_t count, struct error *err)
{
	void *larger = grow_by_count(*list, count, sizeof(void *));
	if (!larger)
		return error_set(err, SUMI_NOMEM, "out of memory while loading weights");
	*list = larger;
	return SUMI_OK;
}

static int set_weight(struct weight_set *set, const struct weight_desc *desc, struct weight **out,
		      struct error *err)
{
	*out = NULL;
	int status = grow((void **)&set->weights, set->weight_count, err);
	if (!status)
		status = device_weight_new(set->device, desc, out, err);
	if (!status)
		set->weights[set->weight_count++] = *out;
	return status;
}

static int set_buffer(struct weight_set *set, const float *data, size_t count, struct buffer **out,
		      struct error *err)
{
	int status = grow((void **)&set->buffers, set->buffer_count, err);
	if (!status)
		status = device_buffer_of(set->device, data, count * sizeof *data, out, err);
	if (!status)
		set->buffers[set->buffer_count++] = *out;
	return status;
}

void weight_set_clear(struct weight_set *set)
{
	for (size_t i = 0; i < set->weight_count; i++)
		device_weight_free(set->device, set->weights[i]);
	for (size_t i = 0; i < set->buffer_count; i++)
		device_buffer_free(set->device, set->buffers[i]);
	thin_set_clear(&set->thin, set->device);
	/* Commands that still run may read the mapping. */
	if (set->packed)
		device_sync(set->device, NULL);
	packed_free(set->packed);
	free(set->weights);
	free(set->buffers);
	*set = (struct weight_set){.device = set->device};
}

/* --- packed weights --- */

/* Whether the weight of that name is kept in its packed form; if so desc->packed is set. What is
 * kept is the files'; what adapters changed is made each time. */
static bool find_packed(struct loader *l, const char *name, struct weight_desc *desc, bool adapted)
{
	if (!l->begun) {
		l->begun = true;
		l->packed = packed_open(l->set->device, l->files, l->part ? l->part : "");
		if (l->packed)
			l->set->packed = packed_link(l->packed, l->set->packed);
	}
	if (!adapted)
		return packed_find(l->packed, name, desc);
	packed_pass(l->packed, name);
	return false;
}

int loader_end(struct loader *l)
{
	if (!l->status && l->files)
		l->status = weights_check(l->files, l->err);
	if (!l->status)
		packed_complete(l->packed);
	return l->status;
}

/* --- one tensor --- */

void loader_fail(struct loader *l, int status, const char *format, ...)
{
	FORMATTED(text, sizeof l->err->text, format);
	if (!l->status)
		l->status = error_set(l->err, status, "%s", text);
}

void weight_name(char out[WEIGHT_NAME_MAX], const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	vsnprintf(out, WEIGHT_NAME_MAX, format, ap);
	va_end(ap);
}

/* The tensor NAMEsuffix with the wanted shape, or NULL with the loader failed. A shape may
 * end in ones: 1×1 convolutions and linear layers are written either way. */
static const struct weight_tensor *take(struct loader *l, const char *name, const char *suffix,
					const int *shape, int rank)
{
	char full[WEIGHT_NAME_MAX];
	snprintf(full, sizeof full, "%s%s", name, suffix);
	const struct weight_tensor *e = weights_find(l->files, full);
	if (!e) {
		loader_fail(l, SUMI_INVALID, "%s: tensor '%s' is missing, %s demands it",
			    weights_folder(l->files), full, weights_config(l->files));
		return NULL;
	}
	const char *path = weights_path_of(e);
	bool same = e->rank >= rank;
	for (int i = 0; same && i < e->rank; i++)
		same = e->shape[i] == (i < rank ? shape[i] : 1);
	if (!same) {
		int64_t wanted[TENSOR_RANK_MAX];
		char has[80], wants[80];
		for (int i = 0; i < rank; i++)
			wanted[i] = shape[i];
		loader_fail(l, SUMI_INVALID, "%s: tensor '%s' has the shape %s, %s demands %s",
			    path, full, tensor_shape_text(e->shape, e->rank, has, sizeof has),
			    weights_config(l->files),
			    tensor_shape_text(wanted, rank, wants, sizeof wants));
		return NULL;
	}
	if (!e->usable) {
		loader_fail(l, SUMI_UNSUPPORTED,
			    e->unscaled ? "%s: tensor '%s' has the dtype %s, and no scales of its rows stand "
					  "beside it (NAME.weight_scale): it was quantised for another program"
					: "%s: tensor '%s' has the dtype %s, of which no weights can be made",
			    path, full, e->format);
		return NULL;
	}
	return e;
}

/* What the device will hold of a matrix: it stays as it stands in the file where that can be. */
static enum dtype choose_format(const struct loader *l, const struct weight_tensor *e, int kernel)
{
	return device_takes_format(l->set->device, e->stored, kernel) ? e->stored : e->dtype;
}

/* Whether the device is to multiply by the tensor's factors: it holds what they belong to. */
static bool keeps_scales(const struct weight_tensor *e, enum dtype dtype)
{
	return e->scaled && dtype == e->stored;
}

/* A tensor as e->dtype or e->stored. */
static int read_as(const struct weight_tensor *e, enum dtype dtype, void *out, struct error *err)
{
	return dtype == e->dtype ? weights_read(e, out, err) : weights_read_stored(e, out, err);
}

static int check_numbers(const struct weight_tensor *e, enum dtype dtype, const void *values, struct error *err)
{
	return weights_check_finite(e, dtype, values, e->bytes / dtype_size(e->dtype), err);
}

/* A tensor as it is read, in new memory, which the caller frees; NULL with the loader failed. */
static void *read_entry(struct loader *l, const struct weight_tensor *e, enum dtype dtype)
{
	size_t bytes = dtype == e->dtype ? e->bytes : e->stored_bytes;
	void *data = malloc(bytes ? bytes : 1);
	if (!data)
		loader_fail(l, SUMI_NOMEM, "out of memory while loading '%s'", e->name);
	else if (!l->status)
		l->status = read_as(e, dtype, data, l->err);
	if (!l->status)
		return data;
	free(data);
	return NULL;
}

/* The same as float32 into out [count]. */
static void read_floats(struct loader *l, const struct weight_tensor *e, float *out, size_t count)
{
	if (!l->status)
		l->status = weights_read_floats(e, out, count, l->err);
	if (!l->status)
		l->status = weights_check_finite(e, DTYPE_F32, out, count, l->err);
}

/* Reads [c] from the file into out as float32. */
static void read_vector(struct loader *l, float *out, int c, const char *name, const char *suffix)
{
	const struct weight_tensor *e = take(l, name, suffix, &c, 1);
	if (e)
		read_floats(l, e, out, (size_t)c);
}

static void add_vector(struct loader *l, struct buffer **out, int c, float delta, const char *name,
		       const char *suffix)
{
	if (l->status || !l->files)
		return;
	float *values = calloc((size_t)c, sizeof *values);
	if (!values) {
		loader_fail(l, SUMI_NOMEM, "out of memory while loading '%s%s'", name, suffix);
		return;
	}
	read_vector(l, values, c, name, suffix);
	for (int i = 0; i < c; i++)
		values[i] += delta;
	if (!l->status)
		l->status = set_buffer(l->set, values, (size_t)c, out, l->err);
	free(values);
}

void load_vector(struct loader *l, struct buffer **out, int c, float delta, const char *format, ...)
{
	FORMATTED(name, WEIGHT_NAME_MAX, format);
	add_vector(l, out, c, delta, name, "");
}

void load_values(struct loader *l, float *out, const int *shape, int rank, const char *name)
{
	if (l->status || !l->files)
		return;
	const struct weight_tensor *e = take(l, name, "", shape, rank);
	size_t count = 1;
	for (int i = 0; i < rank; i++)
		count *= (size_t)shape[i];
	if (e)
		read_floats(l, e, out, count);
}

/* Uploads one tensor as a weight. */
static void add_weight(struct loader *l, struct weight **out, const struct weight_tensor *e,
		       struct weight_desc *desc)
{
	void *data = NULL;
	float *scales = NULL;
	/* Rows that are looked up are not scaled any more. */
	desc->dtype = desc->table && e->scaled ? e->dtype : choose_format(l, e, desc->kernel);
	if (!find_packed(l, e->name, desc, e->changed)) {
		desc->data = data = read_entry(l, e, desc->dtype);
		if (!data)
			return;
		/* A row of a table that no prompt looks up does no harm. */
		if (!desc->table)
			l->status = check_numbers(e, desc->dtype, data, l->err);
		if (l->status)
			goto done;
		packed_add(l->packed, e->name, desc);
	}
	if (keeps_scales(e, desc->dtype)) {
		desc->scales = scales = malloc((size_t)desc->cout * sizeof *scales);
		if (!scales)
			loader_fail(l, SUMI_NOMEM, "out of memory while loading '%s'", e->name);
		else
			weights_scales(e, scales);
	}
	if (l->status)
		goto done;
	l->status = set_weight(l->set, desc, out, l->err);
	if (l->status)
		error_prefix(l->err, "%s: tensor '%.100s'", weights_folder(l->files), e->name);
done:
	free(scales);
	free(data);
}

/* --- layers --- */

/* A place for what may lie on a layer of these parts, where the set adapts. */
static void add_thin(struct loader *l, const struct thin **out, const struct stack_part *parts,
		     int count, int cin, int kernel)
{
	int first = 0;
	if (l->status || !l->files || !l->set->adapts)
		return;
	struct thin *t = thin_new(&l->set->thin, count);
	if (!t) {
		loader_fail(l, SUMI_NOMEM, "out of memory while loading '%s'", parts[0].name);
		return;
	}
	t->cin = cin;
	t->kernel = kernel;
	for (int i = 0; i < count; first += parts[i++].cout) {
		t->parts[i] = (struct thin_part){.first = first, .cout = parts[i].cout};
		weight_name(t->parts[i].name, "%s.weight", parts[i].name);
	}
	*out = t;
}

static void add_own_thin(struct loader *l, const struct thin **out, const int *shape, int kernel,
			 unsigned flags, const char *name)
{
	struct stack_part part = {.cout = shape[0]};
	weight_name(part.name, "%s", name);
	if (!(flags & LOAD_TABLE))
		add_thin(l, out, &part, 1, shape[1], kernel);
}

static void add_matrix(struct loader *l, struct weight **weight, struct buffer **bias,
		       const int *shape, int rank, unsigned flags, const char *name)
{
	if (l->status || !l->files)
		return;
	const struct weight_tensor *e = take(l, name, ".weight", shape, rank);
	if (!e)
		return;
	struct weight_desc desc = {.cout = shape[0],
				   .cin = shape[1],
				   .kernel = rank == 4 ? shape[2] : 1,
				   .geglu = flags & LOAD_GEGLU,
				   .table = flags & LOAD_TABLE};
	add_weight(l, weight, e, &desc);
	if (!(flags & (LOAD_NO_BIAS | LOAD_TABLE)))
		add_vector(l, bias, shape[0], 0, name, ".bias");
}

void load_linear(struct loader *l, struct linear_layer *out, int cout, int cin, unsigned flags,
		 const char *format, ...)
{
	FORMATTED(name, WEIGHT_NAME_MAX, format);
	*out = (struct linear_layer){.cin = cin, .cout = cout};
	const int shape[] = {cout, cin};
	add_matrix(l, &out->weight, &out->bias, shape, 2, flags, name);
	add_own_thin(l, &out->thin, shape, 1, flags, name);
}

void load_conv(struct loader *l, struct conv_layer *out, int cout, int cin, int kernel,
	       unsigned flags, const char *format, ...)
{
	FORMATTED(name, WEIGHT_NAME_MAX, format);
	*out = (struct conv_layer){.cin = cin, .cout = cout, .kernel = kernel};
	const int shape[] = {cout, cin, kernel, kernel};
	add_matrix(l, &out->weight, &out->bias, shape, kernel == 1 ? 2 : 4, flags, name);
	add_own_thin(l, &out->thin, shape, kernel, flags, name);
}

void load_made_conv(struct loader *l, struct conv_layer *out, int cout, int cin, int kernel,
		    const float *weights, const float *bias)
{
	struct weight_desc desc = {
	    .data = weights, .dtype = DTYPE_F32, .cout = cout, .cin = cin, .kernel = kernel};
	*out = (struct conv_layer){.cin = cin, .cout = cout, .kernel = kernel};
	if (!l->status && l->files)
		l->status = set_weight(l->set, &desc, &out->weight, l->err);
	if (!l->status && l->files)
		l->status = set_buffer(l->set, bias, (size_t)cout, &out->bias, l->err);
}

void load_prelu(struct loader *l, struct conv_layer *conv, const char *bias, const char *slopes,
		float slope)
{
	if (l->status || !l->files)
		return;
	size_t c = (size_t)conv->cout;
	float *values = malloc(2 * c * sizeof *values);
	if (!values) {
		loader_fail(l, SUMI_NOMEM, "out of memory while loading '%s'", bias);
		return;
	}
	for (size_t i = 0; i < c; i++)
		values[c + i] = slope;
	read_vector(l, values, conv->cout, bias, "");
	if (slopes && !l->status)
		read_vector(l, values + c, conv->cout, slopes, "");
	if (!l->status)
		l->status = set_buffer(l->set, values, 2 * c, &conv->bias, l->err);
	free(values);
}

void load_norm(struct loader *l, struct norm_layer *out, int c, int groups, double epsilon,
	       const char *format, ...)
{
	FORMATTED(name, WEIGHT_NAME_MAX, format);
	*out = (struct norm_layer){.c = c, .groups = groups, .epsilon = (float)epsilon};
	if (groups && c % groups != 0)
		loader_fail(l, SUMI_INVALID, "%s: the %d channels of '%s' do not form %d groups, as %s demands",
			    weights_folder(l->files), c, name, groups, weights_config(l->files));
	add_vector(l, &out->gamma, c, 0, name, ".weight");
	add_vector(l, &out->beta, c, 0, name, ".bias");
}

/* --- stacks --- */

/* The common format of the parts: that in the file where they agree, else that of their numbers,
 * else float32. */
static enum dtype stack_dtype(struct loader *l, const struct stack_part *parts, int count, int cin)
{
	enum dtype stored = DTYPE_F32, dtype = DTYPE_F32;
	bool same_stored = true, same = true;
	for (int i = 0; i < count; i++) {
		const int shape[] = {parts[i].cout, cin};
		const struct weight_tensor *e = take(l, parts[i].name, ".weight", shape, 2);
		if (!e)
			return DTYPE_F32;
		enum dtype own = choose_format(l, e, 1);
		same_stored = same_stored && (i == 0 || own == stored);
		same = same && (i == 0 || e->dtype == dtype);
		stored = own;
		dtype = e->dtype;
	}
	return same_stored ? stored : same ? dtype : DTYPE_F32;
}

static int read_rows(const struct weight_tensor *e, enum dtype dtype, void *out, struct error *err)
{
	int status = read_as(e, dtype, out, err);
	return status ? status : check_numbers(e, dtype, out, err);
}

/* The parts' rows one after the other in one piece of memory, which the caller frees; NULL with
 * the loader failed. */
static char *stack_rows(struct loader *l, const struct weight_desc *desc,
			const struct stack_part *parts, int count)
{
	size_t row = format_row_bytes(desc->dtype, (size_t)desc->cin);
	char *data = malloc((size_t)desc->cout * row), *at = data;
	if (!data)
		loader_fail(l, SUMI_NOMEM, "out of memory while loading '%s'", parts[0].name);
	for (int i = 0; i < count && !l->status; i++) {
		const int shape[] = {parts[i].cout, desc->cin};
		const struct weight_tensor *e = take(l, parts[i].name, ".weight", shape, 2);
		if (!e)
			break;
		if (desc->dtype == e->dtype || desc->dtype == choose_format(l, e, 1))
			l->status = read_rows(e, desc->dtype, at, l->err);
		else
			read_floats(l, e, (float *)(void *)at, (size_t)shape[0] * (size_t)shape[1]);
		at += (size_t)parts[i].cout * row;
	}
	if (!l->status)
		return data;
	free(data);
	return NULL;
}

/* The factors of the parts' rows [desc->cout] in new memory, which the caller frees; NULL: no part
 * has any, or the loader has failed. */
static float *stack_scales(struct loader *l, const struct weight_desc *desc,
			   const struct stack_part *parts, int count)
{
	float *scales = malloc((size_t)desc->cout * sizeof *scales), *at = scales;
	bool any = false;
	if (!scales)
		loader_fail(l, SUMI_NOMEM, "out of memory while loading '%s'", parts[0].name);
	for (int i = 0; i < count && !l->status; at += parts[i++].cout) {
		const int shape[] = {parts[i].cout, desc->cin};
		const struct weight_tensor *e = take(l, parts[i].name, ".weight", shape, 2);
		for (int r = 0; r < parts[i].cout; r++)
			at[r] = 1;
		if (e && keeps_scales(e, desc->dtype)) {
			weights_scales(e, at);
			any = true;
		}
	}
	if (any && !l->status)
		return scales;
	free(scales);
	return NULL;
}

static bool stack_adapted(struct loader *l, const struct stack_part *parts, int count)
{
	char name[WEIGHT_NAME_MAX + 8];
	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof name, "%s.weight", parts[i].name);
		const struct weight_tensor *e = weights_find(l->files, name);
		if (e && e->changed)
			return true;
	}
	return false;
}

static void stack_weights(struct loader *l, struct linear_layer *out,
			  const struct stack_part *parts, int count)
{
	char *data = NULL;
	struct weight_desc desc = {.dtype = stack_dtype(l, parts, count, out->cin),
				   .cout = out->cout,
				   .cin = out->cin,
				   .kernel = 1};
	if (l->status)
		return;
	if (!find_packed(l, parts[0].name, &desc, stack_adapted(l, parts, count))) {
		desc.data = data = stack_rows(l, &desc, parts, count);
		if (!data)
			return;
		packed_add(l->packed, parts[0].name, &desc);
	}
	float *scales = stack_scales(l, &desc, parts, count);
	desc.scales = scales;
	if (l->status)
		goto done;
	l->status = set_weight(l->set, &desc, &out->weight, l->err);
	if (l->status)
		error_prefix(l->err, "%s: tensor '%s.weight'", weights_folder(l->files),
			     parts[0].name);
done:
	free(scales);
	free(data);
}

static void stack_biases(struct loader *l, struct linear_layer *out, const struct stack_part *parts,
			 int count)
{
	float *values = malloc((size_t)out->cout * sizeof *values), *at = values;
	if (!values) {
		loader_fail(l, SUMI_NOMEM, "out of memory while loading '%s'", parts[0].name);
		return;
	}
	for (int i = 0; i < count && !l->status; i++) {
		read_vector(l, at, parts[i].cout, parts[i].name, ".bias");
		at += parts[i].cout;
	}
	if (!l->status)
		l->status = set_buffer(l->set, values, (size_t)out->cout, &out->bias, l->err);
	free(values);
}

void load_linear_stack(struct loader *l, struct linear_layer *out, const struct stack_part *parts,
		       int count, int cin, unsigned flags)
{
	*out = (struct linear_layer){.cin = cin};
	for (int i = 0; i < count; i++)
		out->cout += parts[i].cout;
	if (l->status || !l->files)
		return;
	stack_weights(l, out, parts, count);
	if (!l->status && !(flags & LOAD_NO_BIAS))
		stack_biases(l, out, parts, count);
	add_thin(l, &out->thin, parts, count, cin, 1);
}
