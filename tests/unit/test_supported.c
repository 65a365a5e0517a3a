/* What a device does not support is known before a run begins: of its steps and of its pictures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "diffusion/run.h"

static struct error err;
static struct device *device;
static struct pack *pack;
static struct device_ops ops;
static const struct device_ops *real_ops;
static enum device_op refused; /* where it has more rows … */
static size_t most_rows;       /* … than so many */
static int status_of_refusal, enqueued;

static int supports(const struct device *d, enum device_op op, const void *args, struct error *e)
{
	const struct conv2d_args *conv = args;
	const struct attention_args *attention = args;
	const struct layer_norm_args *norm = args;
	size_t rows = op == OP_CONV2D ? conv->y.rows : op == OP_ATTENTION ? attention->q.rows : norm->x.rows;
	if (op != refused || rows <= most_rows)
		return SUMI_OK;
	return error_set(e, status_of_refusal, "%zu rows are too many for %s", rows, d->info.name);
}

static int count_conv(struct device *d, const struct conv2d_args *a, struct error *e)
{
	enqueued++;
	return real_ops->conv2d(d, a, e);
}



static int set_up(void **state)
{
	(void)state;
	assert_int_equal(device_open("reference", &device, &err), SUMI_OK);
	assert_int_equal(pack_open(device, "tests/vectors/sd1-tiny", &pack, &err), SUMI_OK);
	real_ops = device->ops;
	ops = *real_ops;
	ops.supports = supports;
	ops.conv2d = count_conv;
	device->ops = &ops;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	pack_close(pack);
	device->ops = real_ops;
	device_close(device);
	return 0;
}

static struct run_params params(void)
{
	return (struct run_params){.prompt = "x", .seed = 7, .steps = 1, .cfg_scale = 4, .sampler = "euler",
				   .schedule = "default", .rng = "torch", .width = 64, .height = 64,
				   .frames = 1, .guidance_end = 1};
}

static void refuse(enum device_op op, size_t rows, int status)
{
	refused = op;
	most_rows = rows;
	status_of_refusal = status;
	enqueued = 0;
}

static void assert_refused(const char *why)
{
	struct run_params p = params();
	struct run *run = NULL;
	int status = run_check(pack, &p, &err);
	assert_int_equal(status, status_of_refusal);
	assert_non_null(strstr(err.text, why));
	assert_non_null(strstr(err.text, "64x64: "));
	assert_int_equal(run_begin(pack, &p, &run, &err), status_of_refusal);
	assert_null(run);
	assert_int_equal(enqueued, 0);
}

/* 8 × 8 latents, seen with two texts. */
static void test_steps(void **state)
{
	(void)state;
	struct run_params p = params();
	refuse(OP_ATTENTION, 127, SUMI_UNSUPPORTED);
	assert_refused("128 rows are too many for ");
	refuse(OP_LAYER_NORM, 127, SUMI_UNSUPPORTED);
	assert_refused("128 rows are too many for ");
	refuse(OP_CONV2D, 127, SUMI_UNSUPPORTED);
	assert_refused("128 rows are too many for ");
	refuse(OP_ATTENTION, 128, SUMI_UNSUPPORTED);
	assert_int_equal(run_check(pack, &p, &err), SUMI_OK);
}

static void test_pictures(void **state)
{
	(void)state;
	refuse(OP_CONV2D, 64 * 64 - 1, SUMI_UNSUPPORTED);
	assert_refused("4096 rows are too many for ");
}

/* What is too large as a whole goes in pieces, whatever memory there is. */
static void test_pieces(void **state)
{
	(void)state;
	struct run_params p = params();
	p.width = p.height = 256;
	refuse(OP_CONV2D, 200 * 256, SUMI_TOOBIG);
	if (run_check(pack, &p, &err))
		fail_msg("%s", err.text);
	refuse(OP_CONV2D, 8 * 8, SUMI_TOOBIG);
	assert_int_equal(run_check(pack, &p, &err), SUMI_TOOBIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_steps),
	    cmocka_unit_test(test_pictures),
	    cmocka_unit_test(test_pieces),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
