/* What a device lacks is known before a run begins: device_supports(), and models that ask it while
 * they are opened. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "networks/text_encoder.h"
#include "networks/unet.h"
#include "networks/vae.h"

/* The reference device without attention. */
static struct device *poor_device(struct device_ops *ops)
{
	struct device *d;
	struct error err;
	assert_int_equal(device_open("reference", &d, &err), 0);
	*ops = *d->ops;
	ops->attention = NULL;
	d->ops = ops;
	return d;
}

static struct tensor shape(int h, int w, int c)
{
	return (struct tensor){.rows = (size_t)h * (size_t)w, .c = c, .ld = c, .dtype = DTYPE_F32};
}

static void expect(int got, int want, const struct error *err, const char *says)
{
	assert_int_equal(got, want);
	if (want && !strstr(err->text, says))
		fail_msg("\"%s\" does not say \"%s\"", err->text, says);
}

static void test_missing_operation(void **state)
{
	(void)state;
	struct device_ops ops;
	struct device *d = poor_device(&ops);
	struct error err;
	struct attention_args a = {.n = 1, .heads = 1, .scale = 1};
	struct linear_args l = {.x = shape(1, 4, 8), .y = shape(1, 4, 8), .n = 1};
	a.q = a.k = a.v = a.y = shape(1, 4, 8);
	expect(device_supports(d, OP_ATTENTION, &a, &err), SUMI_UNSUPPORTED, &err,
	       "attention: scalar reference cannot do it");
	expect(device_supports(d, OP_LINEAR, &l, &err), 0, &err, "");
	device_close(d);
}

/* The operation refuses in the same words. */
static void test_operation_asks_too(void **state)
{
	(void)state;
	struct device_ops ops;
	struct device *d = poor_device(&ops);
	struct error err;
	struct buffer *b;
	struct attention_args a = {.n = 1, .heads = 1, .scale = 1};
	assert_int_equal(device_buffer_new(d, 4 * 4 * 8 * sizeof(float), &b, &err), 0);
	a.q = shape(1, 4, 8);
	a.q.buffer = b;
	a.k = a.v = a.y = a.q;
	a.y.offset = 32;
	expect(device_attention(d, &a, &err), SUMI_UNSUPPORTED, &err, "cannot do it");
	device_buffer_free(d, b);
	device_close(d);
}

static void test_limits_of_opencl(void **state)
{
	(void)state;
	struct device_info info;
	struct device *d;
	struct error err;
	if (device_list(&info, 1, &err) < 2) {
		print_message("skip test_limits_of_opencl: there is no OpenCL device here\n");
		skip();
	}
	setenv("SUMI_KERNELS", "cpu16", 1);
	assert_int_equal(device_open(info.selector, &d, &err), 0);
	struct conv2d_args c = {.x = shape(32768, 32768, 2), .y = shape(32768, 32768, 2)};
	c.in = c.out = (struct grid){1, 1, 32768, 32768};
	struct attention_args a = {.n = 1, .heads = 1, .scale = 1};
	expect(device_supports(d, OP_CONV2D, &c, &err), SUMI_TOOBIG, &err, "use tiles");
	c.in.d = 2;
	expect(device_supports(d, OP_CONV2D, &c, &err), SUMI_UNSUPPORTED, &err, "2 planes");
	c.x = c.y = shape(4096, 4096, 64);
	c.in = c.out = (struct grid){1, 1, 4096, 4096};
	expect(device_supports(d, OP_CONV2D, &c, &err), 0, &err, "");
	a.q = a.k = a.v = a.y = shape(1, 4, 512);
	expect(device_supports(d, OP_ATTENTION, &a, &err), 0, &err, "");
	a.q = a.k = a.v = a.y = shape(1, 4, 8192);
	expect(device_supports(d, OP_ATTENTION, &a, &err), SUMI_UNSUPPORTED, &err,
	       "8192 channels a head");
	a.heads = 16;
	expect(device_supports(d, OP_ATTENTION, &a, &err), 0, &err, "");
	device_close(d);
	unsetenv("SUMI_KERNELS");
}

static void test_models_ask(void **state)
{
	(void)state;
	struct device_ops ops;
	struct device *d = poor_device(&ops);
	struct error err;
	struct text_encoder *te;
	struct unet *u;
	struct vae *vae;
	expect(text_encoder_open(d, "tests/vectors/sd1-tiny/text_encoder", false, &te, &err),
	       SUMI_UNSUPPORTED, &err, "text_model.encoder");
	expect(unet_open(d, "tests/vectors/sd1-tiny/unet", &u, &err), SUMI_UNSUPPORTED, &err,
	       "attentions.0': attention: scalar reference cannot do it");
	expect(vae_open(d, "tests/vectors/sd1-tiny/vae", &vae, &err), SUMI_UNSUPPORTED, &err,
	       "mid_block.attentions.0");
	/* One that needs none. */
	expect(vae_open(d, "tests/vectors/taesd-tiny/vae", &vae, &err), 0, &err, "");
	vae_close(vae);
	device_close(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_missing_operation),
	    cmocka_unit_test(test_operation_asks_too),
	    cmocka_unit_test(test_limits_of_opencl),
	    cmocka_unit_test(test_models_ask),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
