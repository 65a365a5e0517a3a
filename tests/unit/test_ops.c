/* Every operation, at awkward shapes and in every dtype, against the scalar reference.
 *
 * SUMI_TEST_DEVICE  run on this device only (a selector; default: every OpenCL device)
 * SUMI_KERNELS      only kernels of this shape: a name in flavours
 *                   (default: gpu on GPUs, on CPUs all of them)
 * SUMI_TEST_OPS     only operations whose name contains this
 * SUMI_TEST_SMALL   1: only the smallest cases, dense F32 and sliced F16, for oclgrind */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/ops_harness.h"

#define MAX_DEVICES 8

#define LINEAR (1u << OPS_LINEAR)
#define ATTENTION (1u << OPS_ATTENTION)
#define PRODUCTS (1u << OPS_CONV2D | LINEAR)
#define MATRIX (PRODUCTS | ATTENTION)

/* Shapes of kernels. cpu16 and those after gpu run the operations that they have kernels of
 * their own for; the rest is the same as with cpu8 and gpu. Half precision is run with its
 * instruction and without it, small in the other width. The emulations of matrix instructions take
 * f16; the second and third differ from the first in their layouts only: small cases see them
 * all. A program for each format of weights takes seconds to build: those of two widths are. Of int8
 * only what it multiplies in whole numbers is run, of all formats in one width; the rest is half's. Other
 * processors' instructions differ in their tile alone, and are long to compile: each is run by what is
 * made of that, with one dtype of activations. */
static const struct flavour {
	const char *name;
	unsigned operations; /* bits of enum ops_kind */
	bool f16_only, small, formats;
	enum precision precision; /* skipped where the device has no such */
	const char *kernels;      /* SUMI_KERNELS; NULL: the name up to a colon */
} flavours[] = {
    {"cpu8", ~0u, false, false, false, PRECISION_EXACT, NULL},
    {"cpu16", MATRIX, false, false, true, PRECISION_EXACT, NULL},
    {"cpu8-half", MATRIX, false, true, false, PRECISION_HALF, "cpu8"},
    {"cpu16-half", MATRIX, false, false, false, PRECISION_HALF, "cpu16"},
    {"cpu8-emulated", MATRIX, false, true, false, PRECISION_HALF, NULL},
    {"cpu16-emulated", MATRIX, false, false, false, PRECISION_HALF, NULL},
    {"cpu8-int8", PRODUCTS, false, true, true, PRECISION_INT8, "cpu8"},
    {"cpu16-int8", PRODUCTS, false, false, true, PRECISION_INT8, "cpu16"},
    {"cpu8-emulated:int8", PRODUCTS, false, true, true, PRECISION_INT8, NULL},
    {"cpu16-emulated:int8", PRODUCTS, false, true, true, PRECISION_INT8, NULL},
    {"cpu8-arm-emulated", LINEAR, true, true, false, PRECISION_HALF, NULL},
    {"cpu8-arm-sdot-emulated:int8", LINEAR, true, true, false, PRECISION_INT8, NULL},
    {"cpu8-arm-matrix-emulated", LINEAR | ATTENTION, true, true, false, PRECISION_HALF, NULL},
    {"cpu16-amx-emulated", MATRIX, true, true, false, PRECISION_HALF, NULL},
    {"cpu16-amx-emulated:int8", LINEAR, true, true, false, PRECISION_INT8, NULL},
    {"cpu16-amx-split-emulated", LINEAR, true, true, false, PRECISION_HALF, NULL},
    {"cpu8-arm-matrix-emulated:int8", LINEAR, true, true, false, PRECISION_INT8, NULL},
    {"gpu", ~0u, false, false, true, PRECISION_EXACT, NULL},
    {"gpu-winograd", 1u << OPS_CONV2D, false, false, false, PRECISION_EXACT, NULL},
    {"mma-emulated", MATRIX, true, false, false, PRECISION_EXACT, NULL},
    {"xmx-emulated", MATRIX, true, true, false, PRECISION_EXACT, NULL},
    {"xmx16-emulated", MATRIX, true, true, false, PRECISION_EXACT, NULL},
};
#define FLAVOURS (int)(sizeof flavours / sizeof *flavours)
#define MAX_TESTS (MAX_DEVICES * FLAVOURS * OPS_KINDS)

/* One cmocka test: an operation on a device with one shape of kernels. */
struct plan {
	char name[96]; /* letters, digits and underscores: the runner's patterns count on it */
	char selector[32];
	const struct flavour *flavour;
	enum ops_kind kind;
};

static struct plan plans[MAX_TESTS];
static struct device *oracle, *device; /* device: that of device_key */
static char device_key[64];

/* The device of a plan, kept open over the tests that share it. */
static void need_device(const struct plan *p)
{
	struct error err;
	char key[64];
	snprintf(key, sizeof key, "%s %s", p->selector, p->flavour->name);
	if (device && strcmp(key, device_key) == 0)
		return;
	device_close(device);
	device = NULL;
	const char *kernels = p->flavour->kernels ? p->flavour->kernels : p->flavour->name;
	char shape[32];
	snprintf(shape, sizeof shape, "%.*s", (int)strcspn(kernels, ":"), kernels);
	setenv("SUMI_KERNELS", shape, 1);
	if (device_open(p->selector, &device, &err) != SUMI_OK)
		fail_msg("%s", err.text);
	device_key[0] = '\0';
	if (device_set_precision(device, p->flavour->precision, &err) != SUMI_OK) {
		print_message("skip %s: %s\n", p->name, err.text);
		skip();
	}
	snprintf(device_key, sizeof device_key, "%s", key);
}

/* Runs one case on the oracle and twice on the device (once where that is slow and looks for
 * races anyway); says what is wrong, if anything. */
static bool case_passes(enum ops_kind kind, const struct ops_case *c, const struct ops_variant *v)
{
	bool once = getenv("SUMI_TEST_SMALL") != NULL;
	struct ops_result want = {0}, got = {0}, again = {0};
	struct error err;
	char what[256], why[512];
	bool good = false;
	struct ops_variant rounded = *v;
	rounded.quantised = device->precision == PRECISION_INT8 ? ops_quantised(kind, c) : 0;
	ops_describe(c, v, what, sizeof what);
	if (ops_run(kind, c, &rounded, oracle, &want, &err) || ops_run(kind, c, v, device, &got, &err) ||
	    (!once && ops_run(kind, c, v, device, &again, &err))) {
		print_error("%s %s: %s\n", ops_tables[kind].name, what, err.text);
		goto done;
	}
	good = ops_compare(kind, device->precision, rounded.quantised > 0, &got, &want, why, sizeof why);
	if (!good) {
		print_error("%s %s: %s\n", ops_tables[kind].name, what, why);
	} else if (!once && memcmp(got.bytes, again.bytes, got.size) != 0) {
		print_error("%s %s: a second run gave other bytes\n", ops_tables[kind].name, what);
		good = false;
	}
done:
	ops_result_free(&again);
	ops_result_free(&got);
	ops_result_free(&want);
	return good;
}

static void test_plan(void **state)
{
	const struct plan *p = *state;
	const struct ops_table *table = &ops_tables[p->kind];
	bool small = p->flavour->small || getenv("SUMI_TEST_SMALL");
	int bad = 0, run = 0;
	need_device(p);
	for (int i = 0; i < table->count; i++) {
		if (small && !(table->cases[i].flags & OPS_SMALL))
			continue;
		bool format = table->cases[i].flags & OPS_FORMAT;
		bool whole = ops_quantised(p->kind, &table->cases[i]) > 0;
		if ((format && !p->flavour->formats) ||
		    (p->flavour->precision == PRECISION_INT8 && !whole))
			continue;
		/* Small: dense and sliced, with a dtype each where there are two. */
		bool f16_only = p->flavour->f16_only;
		int first = f16_only ? 1 : 0, step = format ? 4 : f16_only ? 2 : small ? 3 : 1;
		for (int variant = first; variant < 4; variant += step) {
			struct ops_variant v = {.dtype = variant & 1 ? DTYPE_F16 : DTYPE_F32,
						.slices = (variant & 2) != 0};
			run++;
			bad += !case_passes(p->kind, &table->cases[i], &v);
		}
	}
	assert_int_not_equal(run, 0);
	assert_int_equal(bad, 0);
}

/* Does SUMI_KERNELS ask for it? */
static bool is_of(const struct flavour *f, const char *kernels)
{
	size_t n = strcspn(f->name, ":");
	return strlen(kernels) == n && strncmp(f->name, kernels, n) == 0;
}

/* Appends the tests of a device: on CPUs all shapes of kernels are run, on GPUs theirs. */
static int add_plans(int n, const char *selector, bool is_cpu)
{
	const char *only = getenv("SUMI_TEST_OPS"), *kernels = getenv("SUMI_KERNELS");
	for (int f = 0; f < FLAVOURS; f++)
		for (int k = 0; k < OPS_KINDS && n < MAX_TESTS; k++) {
			if ((only && !strstr(ops_tables[k].name, only)) ||
			    (kernels ? !is_of(&flavours[f], kernels)
				     : !is_cpu && strcmp("gpu", flavours[f].name) != 0) ||
			    !(flavours[f].operations >> k & 1))
				continue;
			struct plan *p = &plans[n++];
			p->flavour = &flavours[f];
			p->kind = (enum ops_kind)k;
			snprintf(p->selector, sizeof p->selector, "%s", selector);
			snprintf(p->name, sizeof p->name, "%s_%s_%s", ops_tables[k].name, selector,
				 flavours[f].name);
			for (char *c = p->name; *c; c++)
				if (strchr(": -", *c))
					*c = '_';
		}
	return n;
}

static void no_device(void **state)
{
	(void)state;
	print_message("there is no OpenCL device here\n");
	skip();
}

int main(void)
{
	struct CMUnitTest tests[MAX_TESTS];
	struct device_info list[MAX_DEVICES];
	struct error err;
	char cache[256];
	const char *build = getenv("BUILD"), *only = getenv("SUMI_TEST_DEVICE");
	snprintf(cache, sizeof cache, "%.200s/test-cache", build ? build : "build");
	setenv("SUMI_CACHE_DIR", cache, 0);

	int n = 0, devices = device_list(list, MAX_DEVICES, &err);
	if (devices < 0 || device_open("reference", &oracle, &err) != SUMI_OK) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	for (int i = 0; i < devices && i < MAX_DEVICES && !only; i++)
		if (strcmp(list[i].selector, "reference") != 0)
			n = add_plans(n, list[i].selector, list[i].is_cpu);
	if (only) {
		struct device *d;
		if (device_open(only, &d, &err) != SUMI_OK) {
			fprintf(stderr, "%s\n", err.text);
			return 1;
		}
		n = add_plans(n, only, d->info.is_cpu);
		device_close(d);
	}
	for (int i = 0; i < n; i++)
		tests[i] = (struct CMUnitTest){plans[i].name, test_plan, NULL, NULL, &plans[i]};
	if (n == 0)
		tests[n++] =
		    (struct CMUnitTest){"ops_without_a_device", no_device, NULL, NULL, NULL};
	int failed = _cmocka_run_group_tests("ops", tests, (size_t)n, NULL, NULL);
	device_close(device);
	device_close(oracle);
	return failed;
}
