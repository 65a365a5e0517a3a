/* Weights that a file holds in blocks stay so on a device, and are multiplied as such. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/vector_file.h"
#include "weights/loader.h"

/* The tensors of files.gguf are [2, 256]. */
enum { COUT = 2, CIN = 256, TOKENS = 3 };

static char folder[] = "/tmp/sumi-quantised-XXXXXX";

/* What the loader finds in a folder: the vectors' file under the name of a model's weights. */
static int open_folder(void **state)
{
	char cwd[512], from[640], to[128];
	(void)state;
	if (!mkdtemp(folder) || !getcwd(cwd, sizeof cwd))
		return -1;
	snprintf(from, sizeof from, "%s/tests/vectors/files.gguf", cwd);
	snprintf(to, sizeof to, "%s/model.safetensors", folder);
	return symlink(from, to);
}

static int remove_folder(void **state)
{
	char path[128];
	(void)state;
	snprintf(path, sizeof path, "%s/model.safetensors", folder);
	unlink(path);
	return rmdir(folder);
}

struct model {
	struct device *device;
	struct weights *files;
	struct weight_set set;
	struct error err;
};

static struct loader begin(struct model *m, const char *selector)
{
	if (device_open(selector, &m->device, &m->err))
		fail_msg("%s", m->err.text);
	if (weights_open(folder, &m->files, &m->err))
		fail_msg("%s", m->err.text);
	m->set.device = m->device;
	return (struct loader){.files = m->files, .set = &m->set, .err = &m->err};
}

static void end(struct model *m)
{
	weight_set_clear(&m->set);
	weights_close(m->files);
	device_close(m->device);
	*m = (struct model){0};
}

/* x·Wᵀ of the layer for x[t, i] = cos(t + i). */
static void multiply(struct model *m, const struct linear_layer *layer, float *out)
{
	float in[TOKENS * CIN];
	struct linear_args a = {.n = 1, .weight = layer->weight};
	for (int i = 0; i < TOKENS * CIN; i++)
		in[i] = cosf((float)(i / CIN + i % CIN));
	a.x = (struct tensor){.rows = TOKENS, .c = layer->cin, .ld = layer->cin};
	a.y = a.x;
	a.y.c = a.y.ld = layer->cout;
	if (device_buffer_of(m->device, in, sizeof in, &a.x.buffer, &m->err) ||
	    device_buffer_new(m->device, sizeof *out * TOKENS * (size_t)layer->cout, &a.y.buffer,
			      &m->err) ||
	    device_linear(m->device, &a, &m->err) ||
	    device_read(m->device, a.y.buffer, 0, out, sizeof *out * TOKENS * (size_t)layer->cout,
			&m->err))
		fail_msg("%s", m->err.text);
	device_buffer_free(m->device, a.x.buffer);
	device_buffer_free(m->device, a.y.buffer);
}

/* The rows of want (NAME.weight of files.safetensors) one after the other against the product. */
static void expect_product(struct model *m, const struct linear_layer *layer,
			   const char *const *names, double tolerance)
{
	struct tensor_file *want = vector_file_open("files.safetensors");
	float *got = malloc(sizeof *got * TOKENS * (size_t)layer->cout);
	assert_non_null(got);
	multiply(m, layer, got);
	for (int o = 0; o < layer->cout; o++) {
		char name[32];
		size_t count;
		snprintf(name, sizeof name, "%s.weight", names[o / COUT]);
		float *values = vector_copy(want, name, &count);
		for (int t = 0; t < TOKENS; t++) {
			double sum = 0, size = 0, is = (double)got[t * layer->cout + o];
			for (int c = 0; c < CIN; c++) {
				double v = (double)values[o % COUT * CIN + c];
				sum += cos(t + c) * v;
				size += fabs(v);
			}
			if (!(fabs(is - sum) <= tolerance * size + 1e-7))
				fail_msg("%s, row %d: %g, should be %g", name, o, is, sum);
		}
		free(values);
	}
	free(got);
	tensors_close(want);
}

/* What a weight of that shape takes on the device as f16. */
static size_t bytes_of_f16(struct device *d)
{
	static const uint16_t zeros[COUT * CIN];
	struct weight_desc desc = {.data = zeros, .cout = COUT, .cin = CIN, .kernel = 1};
	struct weight *w = NULL;
	struct error err;
	size_t before = d->bytes_in_use, after;
	desc.dtype = DTYPE_F16;
	assert_int_equal(device_weight_new(d, &desc, &w, &err), 0);
	after = d->bytes_in_use;
	device_weight_free(d, w);
	return after - before;
}

/* Every format through the reference, which knows them all. */
static void test_every_format(void **state)
{
	static const char *const names[] = {"Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1",   "Q2_K",
					    "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"};
	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct model m = {0};
		struct loader l = begin(&m, "reference");
		struct linear_layer layer;
		char name[32];
		load_linear(&l, &layer, COUT, CIN, LOAD_NO_BIAS, "%s", names[i]);
		assert_int_equal(loader_end(&l), 0);
		snprintf(name, sizeof name, "%s.weight", names[i]);
		const struct weight_tensor *t = weights_find(m.files, name);
		assert_int_equal(t->stored_bytes, format_row_bytes(t->stored, COUT * CIN));
		assert_true(t->stored_bytes * 3 < t->bytes * 2); /* bytes: as f16 */
		expect_product(&m, &layer, &names[i], 1e-7);
		end(&m);
	}
}

static void test_memory(void **state)
{
	static const struct {
		const char *name;
		double most; /* of what f16 takes, panels' ends included */
	} rows[] = {{"Q8_0", 0.65}, {"Q4_K", 0.45}};
	struct device_info info;
	struct error err;
	(void)state;
	if (device_list(&info, 1, &err) < 2) {
		print_message("skip test_memory: there is no OpenCL device here\n");
		skip();
	}
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct model m = {0};
		struct loader l = begin(&m, info.selector);
		struct linear_layer layer;
		load_linear(&l, &layer, COUT, CIN, LOAD_NO_BIAS, "%s", rows[i].name);
		assert_int_equal(loader_end(&l), 0);
		double own = (double)m.device->bytes_in_use;
		if (!(own <= rows[i].most * (double)bytes_of_f16(m.device)))
			fail_msg("%s takes %g bytes, f16 %zu", rows[i].name, own,
				 bytes_of_f16(m.device));
		expect_product(&m, &layer, &rows[i].name, 1e-6);
		end(&m);
	}
}

/* The same weight as float32, as the reference reads it. */
static void load_expanded(struct model *m, struct linear_layer *layer, const char *name)
{
	char full[32];
	snprintf(full, sizeof full, "%s.weight", name);
	const struct weight_tensor *t = weights_find(m->files, full);
	float *values = malloc(sizeof *values * COUT * CIN);
	struct weight_desc desc = {.data = values, .cout = COUT, .cin = CIN, .kernel = 1};
	desc.dtype = DTYPE_F32;
	assert_non_null(values);
	*layer = (struct linear_layer){.cin = CIN, .cout = COUT};
	if (weights_read_floats(t, values, COUT * CIN, &m->err) ||
	    device_weight_new(m->device, &desc, &layer->weight, &m->err))
		fail_msg("%s", m->err.text);
	free(values);
}

/* Expanding in a kernel is no arithmetic of its own: the bytes are those of the expanded weight. */
static void test_same_bytes(void **state)
{
	static const char *const names[] = {"Q8_0", "Q4_K"};
	struct device_info info;
	struct error err;
	(void)state;
	if (device_list(&info, 1, &err) < 2) {
		print_message("skip test_same_bytes: there is no OpenCL device here\n");
		skip();
	}
	setenv("SUMI_KERNELS", "cpu16", 1);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct model m = {0};
		struct loader l = begin(&m, info.selector);
		struct linear_layer layer, expanded;
		float got[TOKENS * COUT], want[TOKENS * COUT];
		load_linear(&l, &layer, COUT, CIN, LOAD_NO_BIAS, "%s", names[i]);
		assert_int_equal(loader_end(&l), 0);
		load_expanded(&m, &expanded, names[i]);
		multiply(&m, &layer, got);
		multiply(&m, &expanded, want);
		assert_memory_equal(got, want, sizeof got);
		device_weight_free(m.device, expanded.weight);
		end(&m);
	}
	unsetenv("SUMI_KERNELS");
}

/* Layers that are stacked stay as they are where they agree, and become f16 where not. */
static void test_stacks(void **state)
{
	static const struct {
		const char *names[2];
		double tolerance;
	} rows[] = {{{"Q4_K", "Q4_K"}, 1e-7}, {{"Q4_K", "Q6_K"}, 1e-3}};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct model m = {0};
		struct loader l = begin(&m, "reference");
		struct linear_layer layer;
		struct stack_part parts[2];
		for (int k = 0; k < 2; k++) {
			snprintf(parts[k].name, sizeof parts[k].name, "%s", rows[i].names[k]);
			parts[k].cout = COUT;
		}
		load_linear_stack(&l, &layer, parts, 2, CIN, LOAD_NO_BIAS);
		assert_int_equal(loader_end(&l), 0);
		expect_product(&m, &layer, rows[i].names, rows[i].tolerance);
		end(&m);
	}
}

/* Numbers of eight bits with scales, as a safetensors file: by rows, and one for all. */
static void write_scaled(const char *path)
{
	static const char header[] =
	    "{\"rows.weight\":{\"dtype\":\"I8\",\"shape\":[2,256],\"data_offsets\":[0,512]},"
	    "\"rows.weight_scale\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[512,520]},"
	    "\"one.weight\":{\"dtype\":\"F8_E4M3\",\"shape\":[2,256],\"data_offsets\":[520,1032]},"
	    "\"one.scale_weight\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[1032,1036]}}  ";
	static const float scales[] = {0.01f, -0.5f, 0.25f};
	unsigned char data[1036];
	uint64_t length = sizeof header - 1;
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	for (int i = 0; i < 512; i++) {
		data[i] = (unsigned char)(i * 37);
		data[520 + i] = (unsigned char)(i * 29 % 120);
	}
	memcpy(data + 512, scales, 8);
	memcpy(data + 1032, scales + 2, 4);
	fwrite(&length, 8, 1, f);
	fwrite(header, length, 1, f);
	fwrite(data, sizeof data, 1, f);
	assert_int_equal(fclose(f), 0);
}

/* The layer's products against those of the numbers that the loader's float32 are. */
static void expect_scaled(struct model *m, const struct linear_layer *layer, const char *const *names,
			  int count)
{
	float *got = malloc(sizeof *got * TOKENS * (size_t)layer->cout), want[COUT * CIN];
	assert_non_null(got);
	multiply(m, layer, got);
	for (int i = 0; i < count; i++) {
		char full[32];
		snprintf(full, sizeof full, "%s.weight", names[i]);
		const struct weight_tensor *t = weights_find(m->files, full);
		assert_true(t->scaled);
		assert_int_equal(t->stored_bytes, COUT * CIN);
		assert_int_equal(weights_read_floats(t, want, COUT * CIN, &m->err), 0);
		for (int o = 0; o < COUT; o++)
			for (int k = 0; k < TOKENS; k++) {
				double sum = 0, size = 0;
				double is = (double)got[k * layer->cout + i * COUT + o];
				for (int c = 0; c < CIN; c++) {
					sum += cos(k + c) * (double)want[o * CIN + c];
					size += fabs((double)want[o * CIN + c]);
				}
				if (!(fabs(is - sum) <= 1e-6 * size))
					fail_msg("%s, row %d: %g, should be %g", names[i], o, is,
						 sum);
			}
	}
	free(got);
}

static void test_scales(void **state)
{
	static const char *const names[] = {"rows", "one", "rows"};
	char own[] = "/tmp/sumi-scaled-XXXXXX", path[64];
	(void)state;
	assert_non_null(mkdtemp(own));
	snprintf(path, sizeof path, "%s/model.safetensors", own);
	write_scaled(path);
	for (int i = 0; i < 2; i++) {
		struct model m = {0};
		struct loader l = begin(&m, "reference");
		struct linear_layer layer, stack;
		struct stack_part parts[2] = {{.cout = COUT}, {.cout = COUT}};
		weights_close(m.files);
		assert_int_equal(weights_open(own, &m.files, &m.err), 0);
		l.files = m.files;
		load_linear(&l, &layer, COUT, CIN, LOAD_NO_BIAS, "%s", names[i]);
		/* Stacked with its like, and with one of another format. */
		snprintf(parts[0].name, sizeof parts[0].name, "%s", names[0]);
		snprintf(parts[1].name, sizeof parts[1].name, "%s", names[i ? 1 : 2]);
		load_linear_stack(&l, &stack, parts, 2, CIN, LOAD_NO_BIAS);
		assert_int_equal(loader_end(&l), 0);
		expect_scaled(&m, &layer, &names[i], 1);
		if (i == 0)
			expect_scaled(&m, &stack, (const char *const[]){names[0], names[2]}, 2);
		end(&m);
	}
	unlink(path);
	rmdir(own);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_format),
	    cmocka_unit_test(test_memory),
	    cmocka_unit_test(test_same_bytes),
	    cmocka_unit_test(test_stacks),
	    cmocka_unit_test(test_scales),
	};
	char cache[256];
	const char *build = getenv("BUILD");
	snprintf(cache, sizeof cache, "%.200s/test-cache", build ? build : "build");
	setenv("SUMI_CACHE_DIR", cache, 0);
	return cmocka_run_group_tests(tests, open_folder, remove_folder);
}
