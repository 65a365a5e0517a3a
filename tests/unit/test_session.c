/* What a run knows of its denoiser, with a denoiser that only notes what it is asked: channels beside
 * the latents, guidance, features that are kept, windows, several sessions at once. And what the
 * UNet's own table says by its configs alone. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "diffusion/deep_cache.h"
#include "diffusion/family.h"
#include "diffusion/pack.h"
#include "diffusion/session.h"
#include "diffusion/windows.h"

enum { IN = 9, OUT = 4, BESIDE = IN - OUT, SIDE = 6, WIDE = 20, PIXELS = SIDE * SIDE };
enum { STEPS = 7 };

/* ---- a denoiser that notes ---- */

static struct asked {
	int inputs, text;
	bool shallow;
	float timestep, first[IN];
} asked[64];
static int asked_count, sessions_open;

static int fake_in, fake_levels;
static bool fake_fails;

static void fake_spec(const struct denoiser *d, struct denoiser_spec *out)
{
	(void)d;
	*out = (struct denoiser_spec){.in = fake_in, .out = OUT, .levels = fake_levels};
}

struct fake_session {
	struct denoiser_session base;
	int pixels, texts;
};

static int fake_prepare(struct denoiser *d, const struct denoiser_plan *plan,
			const struct conditions *said, struct denoiser_session **out,
			struct error *err)
{
	(void)said;
	if (fake_fails)
		return error_set(err, SUMI_DEVICE, "it does not want to");
	struct fake_session *s = calloc(1, sizeof *s);
	assert_non_null(s);
	s->base.denoiser = d;
	s->pixels = plan->frames * plan->h * plan->w;
	s->texts = plan->texts;
	sessions_open++;
	*out = &s->base;
	return SUMI_OK;
}

static void fake_end(struct denoiser_session *s)
{
	sessions_open--;
	free(s);
}

/* Of each pixel alone: the latents, a tenth of all that is beside them, and the text's number. */
static int fake_evaluate(const struct denoiser_input *in, int count, struct error *err)
{
	(void)err;
	for (int i = 0; i < count; i++) {
		const struct fake_session *s = (const struct fake_session *)in[i].session;
		struct asked *a = &asked[asked_count++];
		assert_true(asked_count < (int)(sizeof asked / sizeof *asked));
		*a = (struct asked){.inputs = count,
				    .text = in[i].text,
				    .shallow = in[i].shallow,
				    .timestep = in[i].timestep};
		memcpy(a->first, in[i].latents, (size_t)fake_in * sizeof(float));
		for (int text = 1, at = 0; text <= s->texts; text++) {
			if (in[i].text && in[i].text != text)
				continue;
			for (int p = 0; p < s->pixels; p++)
				for (int k = 0; k < OUT; k++) {
					const float *x = in[i].latents + p * fake_in;
					float sum = x[k] + (float)text;
					for (int b = OUT; b < fake_in; b++)
						sum += x[b] / 10;
					in[i].prediction[at++] = sum;
				}
		}
	}
	return SUMI_OK;
}

static bool fake_joins(const struct denoiser_session *a, const struct denoiser_session *b)
{
	return ((const struct fake_session *)a)->pixels == ((const struct fake_session *)b)->pixels;
}

static struct denoiser_kind fake_kind = {
    .name = "fake",
    .spec = fake_spec,
    .prepare = fake_prepare,
    .end = fake_end,
    .evaluate = fake_evaluate,
    .joins = fake_joins,
};
static struct denoiser fake = {&fake_kind}, other = {&fake_kind};

static struct sampler *sampler;
static float latents[WIDE * SIDE * OUT], beside[WIDE * SIDE * BESIDE], out[WIDE * SIDE * OUT];

/* With guidance in calls 2 … 4, or without. */
static struct session *begin_with(struct denoiser *d, bool guided, int level)
{
	struct error err = {0};
	struct session *s;
	struct denoiser_plan plan = {
	    .frames = 1, .h = SIDE, .w = SIDE, .texts = guided ? 2 : 1, .level = level};
	struct guidance g = {.on = guided, .from = 2, .to = 5, .scale = 3};
	struct conditions said = {.n = plan.texts};
	if (session_new(d, &plan, &said, &g, sampler, &s, &err))
		fail_msg("%s", err.text);
	return s;
}

static struct session_call call_of(int number)
{
	return (struct session_call){
	    .number = number, .latents = latents, .beside = beside, .prediction = out};
}

static int reset(void **state)
{
	(void)state;
	asked_count = 0;
	fake_in = IN;
	fake_levels = 3;
	fake_fails = false;
	for (size_t i = 0; i < sizeof latents / sizeof *latents; i++)
		latents[i] = (float)(i % 37) - 18;
	for (size_t i = 0; i < sizeof beside / sizeof *beside; i++)
		beside[i] = (float)(i % 23) - 11;
	return 0;
}

static int nothing_is_left(void **state)
{
	(void)state;
	return sessions_open;
}

/* ---- plain ---- */

static void test_more_than_the_latents(void **state)
{
	struct error err = {0};
	(void)state;
	struct session *s = begin_with(&fake, false, 0);
	struct session_call call = call_of(0);
	assert_int_equal(session_predict(s, &call, &err), 0);
	assert_memory_equal(asked[0].first, latents, OUT * sizeof(float));
	assert_memory_equal(asked[0].first + OUT, beside, BESIDE * sizeof(float));
	for (int p = 0; p < PIXELS; p++) {
		float sum = latents[p * OUT] + 1;
		for (int b = 0; b < BESIDE; b++)
			sum += beside[p * BESIDE + b] / 10;
		assert_true(out[p * OUT] == sum);
	}
	call.beside = NULL;
	assert_int_equal(session_predict(s, &call, &err), SUMI_INVALID);
	assert_string_equal(err.text, "the denoiser takes 9 channels, 5 of them beside the latents, "
				      "and is shown none");
	session_free(s);
	/* Where it takes no more, it sees the very latents. */
	fake_in = OUT;
	s = begin_with(&fake, false, 0);
	call = call_of(0);
	assert_int_equal(session_predict(s, &call, &err), 0);
	for (int i = 0; i < PIXELS * OUT; i++)
		assert_true(out[i] == latents[i] + 1);
	session_free(s);
}

/* Texts are 1 and 2, and so are the parts that they add. */
static void test_guidance(void **state)
{
	struct error err = {0};
	(void)state;
	fake_in = OUT;
	struct session *s = begin_with(&fake, true, 0);
	for (int i = 0; i < STEPS; i++) {
		struct session_call call = call_of(i);
		bool both = i >= 2 && i < 5;
		assert_int_equal(session_predict(s, &call, &err), 0);
		assert_int_equal(asked[i].text, both ? 0 : 2);
		assert_true(asked[i].timestep == (float)sampler_timestep(sampler, i));
		float want = both ? 1 + 3 * (2 - 1) : 2;
		for (int k = 0; k < PIXELS * OUT; k++)
			assert_true(fabsf(out[k] - latents[k] - want) < 1e-5f);
	}
	session_free(s);
}

static void test_what_joins(void **state)
{
	struct error err = {0};
	(void)state;
	struct session *a = begin_with(&fake, true, 0), *b = begin_with(&fake, false, 0);
	struct session *far = begin_with(&other, false, 0), *deep = begin_with(&fake, false, 1);
	float second[PIXELS * OUT];
	assert_true(session_joins(a, b));
	assert_false(session_joins(a, far));
	fake_kind.joins = NULL;
	assert_false(session_joins(a, b));
	fake_kind.joins = fake_joins;
	assert_int_equal(deep_cache_wrap(&deep, 2, &err), 0);
	assert_false(session_joins(a, deep));
	assert_false(session_joins(deep, deep));
	struct session *both[] = {a, b};
	struct session_call calls[] = {call_of(3), call_of(6)};
	calls[1].prediction = second;
	assert_int_equal(session_predict_together(both, calls, 2, &err), 0);
	assert_int_equal(asked_count, 2); /* and in one evaluation: */
	assert_int_equal(asked[1].inputs, 2);
	assert_true(asked[1].timestep == (float)sampler_timestep(sampler, 6));
	float together[PIXELS * OUT];
	memcpy(together, out, sizeof together);
	struct session_call alone = call_of(3);
	assert_int_equal(session_predict(a, &alone, &err), 0);
	assert_memory_equal(together, out, sizeof together);
	assert_true(second[0] != together[0]);
	session_free(a);
	session_free(b);
	session_free(far);
	session_free(deep);
}

static void test_refused(void **state)
{
	struct error err = {0};
	struct session *s;
	struct conditions said = {.n = 1};
	struct guidance g = {.on = false};
	struct denoiser_plan plan = {.frames = 1, .h = SIDE, .w = SIDE, .texts = 1, .level = 4};
	(void)state;
	assert_int_equal(session_new(&fake, &plan, &said, &g, sampler, &s, &err), SUMI_INVALID);
	assert_string_equal(err.text, "deep_cache_level is 4, this model has 1 to 3");
	fake_levels = 0;
	plan.level = 1;
	assert_int_equal(session_new(&fake, &plan, &said, &g, sampler, &s, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "deep_cache"));
	plan.level = 0;
	fake_fails = true;
	assert_int_equal(session_new(&fake, &plan, &said, &g, sampler, &s, &err), SUMI_DEVICE);
	assert_null(s);
}

/* ---- wrappers ---- */

static void test_features(void **state)
{
	struct error err = {0};
	(void)state;
	const char want[] = "W.WW.WW"; /* every third, and where guidance begins and ends */
	float seen = 0;
	struct session *s = begin_with(&fake, true, 1);
	size_t count;
	assert_null(session_kept(s, 1, &count));
	assert_int_equal(count, 0);
	assert_int_equal(deep_cache_wrap(&s, 3, &err), 0);
	for (int i = 0; i < STEPS; i++) {
		float *kept = session_kept(s, i, &count);
		assert_int_equal(count, want[i] == 'W' ? 0 : PIXELS * OUT);
		if (kept)
			assert_true(kept[0] == seen); /* of the last whole one */
		latents[0] = (float)i;
		if (want[i] == 'W')
			seen = latents[0];
		struct session_call call = call_of(i);
		assert_int_equal(session_predict(s, &call, &err), 0);
		assert_int_equal(asked_count, i + 1);
		assert_int_equal(asked[i].shallow, want[i] == '.');
	}
	assert_null(session_kept(s, STEPS, &count));
	session_free(s);
	/* Another one goes on before call 4: what call 3 saw is seen once more. */
	s = begin_with(&fake, true, 1);
	assert_int_equal(deep_cache_wrap(&s, 3, &err), 0);
	float *kept = session_kept(s, 4, &count);
	memset(kept, 0, count * sizeof *kept);
	kept[0] = 50;
	struct session_call call = call_of(4);
	asked_count = 0;
	assert_int_equal(session_predict(s, &call, &err), 0);
	assert_int_equal(asked_count, 2);
	assert_false(asked[0].shallow);
	assert_true(asked[0].first[0] == 50);
	assert_true(asked[0].timestep == (float)sampler_timestep(sampler, 3));
	assert_true(asked[1].shallow);
	assert_true(asked[1].first[0] == latents[0]);
	session_free(s);
}

/* A denoiser that looks at each pixel alone gives the same in windows, beyond the seam too, and with
 * what stands beside each column. */
static void test_windows(void **state)
{
	static const struct {
		struct windows_shape shape;
		int count;
	} rows[] = {
	    {{WIDE, SIDE, 2, false, false}, 5},	 {{WIDE, SIDE, 2, true, false}, 5},
	    {{SIDE, SIDE, 2, false, false}, 1},	 {{SIDE, SIDE, 0, true, false}, 2},
	    {{WIDE, SIDE, 5, false, false}, 15}, {{SIDE, WIDE, 2, false, true}, 5},
	    {{SIDE, SIDE, 2, true, true}, 4},	 {{SIDE + 4, SIDE + 2, 2, false, true}, 4},
	};
	struct error err = {0};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct session *s = begin_with(&fake, true, 0);
		const struct windows_shape *shape = &rows[i].shape;
		assert_int_equal(windows_wrap(&s, shape, &err), 0);
		assert_int_equal(s->plan.w, shape->width);
		assert_int_equal(s->plan.h, shape->height);
		assert_false(session_joins(s, s));
		struct session_call call = call_of(3);
		asked_count = 0;
		assert_int_equal(session_predict(s, &call, &err), 0);
		assert_int_equal(asked_count, rows[i].count);
		for (int p = 0; p < shape->height * shape->width; p++)
			for (int k = 0; k < OUT; k++) {
				float sum = latents[p * OUT + k] + 4; /* guided: 1 + 3·(2 − 1) */
				for (int b = 0; b < BESIDE; b++)
					sum += beside[p * BESIDE + b] / 10;
				assert_true(fabsf(out[p * OUT + k] - sum) < 1e-4f);
			}
		call.beside = NULL;
		assert_int_equal(session_predict(s, &call, &err), SUMI_INVALID);
		session_free(s);
	}
}

/* ---- the UNet's table ---- */

static void test_configs_say_as_much_as_the_network(void **state)
{
	static const char *const packs[] = {"sd1-tiny", "levels-tiny", "motion-tiny", "sound-tiny"};
	struct error err = {0};
	struct device *device;
	(void)state;
	assert_int_equal(device_open("reference", &device, &err), 0);
	for (size_t i = 0; i < sizeof packs / sizeof *packs; i++) {
		char path[64];
		struct pack_info info;
		struct denoiser *both[2];
		struct denoiser_spec spec[2];
		uint64_t bytes[2];
		snprintf(path, sizeof path, "tests/vectors/%s", packs[i]);
		assert_int_equal(pack_info_read_plain(path, &info, &err), 0);
		for (int k = 0; k < 2; k++) {
			struct denoiser_needs needs = {0};
			struct denoiser_plan plan = {
			    .frames = 6, .h = 8, .w = 8, .texts = 2, .tokens = 77, .level = 1};
			assert_int_equal(denoiser_open(info.family->denoiser, k ? device : NULL,
						       &info, "unet", &both[k], &err),
					 0);
			spec[k] = denoiser_spec(both[k]);
			bytes[k] = both[k]->kind->memory(both[k], &plan, DTYPE_F32, &needs);
			assert_true(needs.text > 0 && needs.largest > 0);
			assert_true(bytes[k] > needs.text + needs.largest);
		}
		assert_int_equal(spec[0].in, spec[1].in);
		assert_int_equal(spec[0].out, spec[1].out);
		assert_int_equal(spec[0].levels, spec[1].levels);
		assert_int_equal(spec[0].embeds_guidance, spec[1].embeds_guidance);
		assert_int_equal(spec[0].out, info.latents.channels);
		assert_int_equal(bytes[0], bytes[1]);
		denoiser_close(both[0]);
		denoiser_close(both[1]);
		pack_info_free(&info);
	}
	denoiser_close(NULL);
	device_close(device);
}

static int make_sampler(void **state)
{
	struct error err;
	struct sampler_config config;
	(void)state;
	sampler_config_init(&config);
	return sampler_new("euler", &config, STEPS, &sampler, &err);
}

static int free_sampler(void **state)
{
	(void)state;
	sampler_free(sampler);
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, reset, nothing_is_left)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_more_than_the_latents),
	    TEST(test_guidance),
	    TEST(test_what_joins),
	    TEST(test_refused),
	    TEST(test_features),
	    TEST(test_windows),
	    TEST(test_configs_say_as_much_as_the_network),
	};
	return cmocka_run_group_tests(tests, make_sampler, free_sampler);
}
