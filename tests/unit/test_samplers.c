/* Every sampler's trajectory against diffusers', and saving between any two calls. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "diffusion/guidance.h"
#include "diffusion/sampler.h"
#include "diffusion/schedule.h"
#include "modalities/labels.h"
#include "tests/unit/vector_file.h"

#define N 64
#define TOLERANCE 1e-4

struct fixture {
	struct tensor_file *file;
	json_t *rows;
	float wave[N], noise[N], clean[N];
};

static void load(const struct tensor_file *file, const char *name, float out[N])
{
	size_t count;
	float *values = vector_copy(file, name, &count);
	assert_int_equal(count, N);
	memcpy(out, values, N * sizeof *out);
	free(values);
}

static int open_vectors(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);
	assert_non_null(f);
	f->file = vector_file_open("samplers.safetensors");
	f->rows = vector_json_open("samplers.json");
	load(f->file, "wave", f->wave);
	load(f->file, "noise", f->noise);
	load(f->file, "clean", f->clean);
	*state = f;
	return 0;
}

static int close_vectors(void **state)
{
	struct fixture *f = *state;
	tensors_close(f->file);
	json_decref(f->rows);
	free(f);
	return 0;
}

/* The model of the vectors; every operation in float32, in this order. */
static void model(const struct fixture *f, const float *x, double timestep, float *out)
{
	float t = (float)timestep;
	for (int i = 0; i < N; i++)
		out[i] = (0.7f * x[i] + f->wave[i]) - 0.05f * (t / 1000.0f);
}

static const char *text_of(const json_t *row, const char *key)
{
	return json_string_value(json_object_get(row, key));
}

static int whole_of(const json_t *row, const char *key)
{
	return (int)json_integer_value(json_object_get(row, key));
}

/* The sampler that a row describes, at the row's start. */
static struct sampler *sampler_of(const json_t *row)
{
	struct sampler_config config;
	struct sampler *s = NULL;
	struct error err = {0};
	json_t *file = json_copy(json_object_get(row, "config"));
	json_object_set_new(file, "_class_name", json_string(text_of(row, "class")));
	if (sampler_config_from_json(file, text_of(row, "name"), &config, &err))
		fail_msg("%s", err.text);
	json_decref(file);
	assert_string_equal(config.sampler, text_of(row, "sampler"));
	const json_t *eta = json_object_get(json_object_get(row, "arguments"), "eta");
	const json_t *tokens = json_object_get(json_object_get(row, "arguments"), "tokens");
	const json_t *mu = json_object_get(json_object_get(row, "arguments"), "mu");
	if (eta)
		config.eta = json_number_value(eta);
	if (tokens)
		config.flow.tokens = json_number_value(tokens);
	if (mu)
		config.flow.mu = json_number_value(mu);
	const char *schedule = text_of(json_object_get(row, "arguments"), "schedule");
	const char *table = text_of(json_object_get(row, "arguments"), "table");
	if (schedule && sampler_parse_sigmas(schedule, &config.sigmas, &err))
		fail_msg("%s", err.text);
	if (table && strcmp(table, "sdxl") == 0)
		config.aligned = STEPS_STABLE_DIFFUSION_XL;
	int steps = whole_of(row, "steps");
	if (sampler_new(NULL, &config, steps, &s, &err))
		fail_msg("%s: %s", text_of(row, "name"), err.text);
	sampler_config_free(&config);
	return s;
}

static void start(struct sampler *s, const json_t *row)
{
	struct error err = {0};
	int steps = whole_of(row, "steps"), begin = whole_of(row, "begin");
	double kept = steps - (double)begin / whole_of(row, "order");
	if (begin > 0 && sampler_start(s, (kept + 0.01) / steps, &err))
		fail_msg("%s: %s", text_of(row, "name"), err.text);
	assert_int_equal(sampler_calls(s), whole_of(row, "calls"));
}

static void begin_latents(const struct fixture *f, const struct sampler *s, const json_t *row,
			  float x[N])
{
	if (whole_of(row, "begin") > 0) {
		sampler_add_noise(s, f->clean, f->noise, x, N);
		return;
	}
	for (int i = 0; i < N; i++)
		x[i] = f->noise[i] * sampler_init_noise_sigma(s);
}

static void advance(const struct fixture *f, struct sampler *s, int call, float x[N],
		    struct rng *rng)
{
	float input[N], output[N];
	struct error err = {0};
	sampler_scale_input(s, call, x, input, N);
	model(f, input, sampler_timestep(s, call), output);
	if (sampler_step(s, call, output, x, N, rng, &err))
		fail_msg("%s, call %d: %s", sampler_name(s), call, err.text);
}

static double tolerance_of(const char *name)
{
	/* Starts at an alpha of 2.4e-9, where PNDM multiplies x by 6222 and subtracts nearly as
	 * much: diffusers in float32 is 8e-4 away from itself in float64. */
	return strcmp(name, "pndm.4") == 0 ? 2e-3 : TOLERANCE;
}

static void near(const json_t *row, const char *what, int call, const float *got, const float *want)
{
	double distance = vector_distance(got, want, N);
	if (!(distance <= tolerance_of(text_of(row, "name"))))
		fail_msg("%s: %s of call %d is off by %.3g", text_of(row, "name"), what, call,
			 distance);
}

static void check_timesteps(const struct fixture *f, const struct sampler *s, const json_t *row)
{
	char name[64];
	size_t count;
	snprintf(name, sizeof name, "%s.timesteps", text_of(row, "name"));
	float *want = vector_copy(f->file, name, &count);
	assert_int_equal(sampler_calls(s), count);
	for (size_t i = 0; i < count; i++)
		if (!(fabs(sampler_timestep(s, (int)i) - want[i]) <= 1e-3))
			fail_msg("%s: timestep %zu is %g, want %g", text_of(row, "name"), i,
				 sampler_timestep(s, (int)i), (double)want[i]);
	free(want);
}

static void trajectories_equal_diffusers(void **state)
{
	const struct fixture *f = *state;
	const json_t *row;
	size_t index;
	json_array_foreach(f->rows, index, row)
	{
		char name[64];
		size_t count, inputs_count, start_count;
		float x[N], input[N];
		struct rng rng;
		struct sampler *s = sampler_of(row);
		check_timesteps(f, s, row);
		start(s, row);
		int calls = sampler_calls(s);
		snprintf(name, sizeof name, "%s.samples", text_of(row, "name"));
		float *samples = vector_copy(f->file, name, &count);
		assert_int_equal(count, calls * N);
		snprintf(name, sizeof name, "%s.inputs", text_of(row, "name"));
		float *inputs = vector_copy_maybe(f->file, name, &inputs_count);
		snprintf(name, sizeof name, "%s.start", text_of(row, "name"));
		float *begun = vector_copy_maybe(f->file, name, &start_count);
		double sigma = json_number_value(json_object_get(row, "init_noise_sigma"));
		if (!(fabs(sampler_init_noise_sigma(s) - sigma) <= TOLERANCE * sigma))
			fail_msg("%s: init_noise_sigma is %g, want %g", text_of(row, "name"),
				 (double)sampler_init_noise_sigma(s), sigma);
		begin_latents(f, s, row, x);
		if (begun)
			near(row, "start", 0, x, begun);
		rng_init(&rng, RNG_TORCH, 99);
		for (int call = 0; call < calls; call++) {
			sampler_scale_input(s, call, x, input, N);
			if (inputs)
				near(row, "input", call, input, inputs + call * N);
			advance(f, s, call, x, &rng);
			near(row, "sample", call, x, samples + call * N);
		}
		free(samples);
		free(inputs);
		free(begun);
		sampler_free(s);
	}
	assert_true(index >= 450);
}

/* One without a row would be held to nothing. */
static void every_sampler_has_trajectories(void **state)
{
	const struct fixture *f = *state;
	const json_t *row;
	size_t index;
	for (int i = 0; sampler_name_at(i); i++) {
		bool found = false;
		json_array_foreach(f->rows, index, row)
			found = found || strcmp(text_of(row, "sampler"), sampler_name_at(i)) == 0;
		if (!found)
			fail_msg("%s has no trajectory in samplers.json", sampler_name_at(i));
	}
}

static void save_all(const struct sampler *s, const struct rng *rng, struct bytes_writer *w)
{
	*w = (struct bytes_writer){0};
	sampler_save(s, w);
	rng_save(rng, w);
	assert_false(w->failed);
}

/* Runs a row, leaving the process (so to speak) after each call. */
static void run_interrupted(const struct fixture *f, const json_t *row, float x[N])
{
	struct rng rng;
	struct error err = {0};
	struct sampler *s = sampler_of(row);
	start(s, row);
	int calls = sampler_calls(s);
	begin_latents(f, s, row, x);
	rng_init(&rng, RNG_TORCH, 99);
	for (int call = 0; call <= calls; call++) {
		struct bytes_writer saved, again;
		save_all(s, &rng, &saved);
		sampler_free(s);
		memset(&rng, 0xaa, sizeof rng);
		s = sampler_of(row);
		start(s, row);
		struct bytes_reader r = {.data = saved.data, .size = saved.size};
		if (sampler_restore(s, &r, &err) || rng_restore(&rng, &r, &err))
			fail_msg("%s, call %d: %s", text_of(row, "name"), call, err.text);
		assert_true(bytes_complete(&r));
		assert_int_equal(sampler_done(s), call);
		save_all(s, &rng, &again);
		assert_int_equal(saved.size, again.size);
		assert_memory_equal(saved.data, again.data, saved.size);
		free(saved.data);
		free(again.data);
		if (call < calls)
			advance(f, s, call, x, &rng);
	}
	sampler_free(s);
}

static void saved_runs_give_the_same_bytes(void **state)
{
	const struct fixture *f = *state;
	const json_t *row;
	size_t index;
	json_array_foreach(f->rows, index, row)
	{
		float x[N], y[N];
		struct rng rng;
		struct sampler *s = sampler_of(row);
		start(s, row);
		begin_latents(f, s, row, x);
		rng_init(&rng, RNG_TORCH, 99);
		for (int call = 0; call < sampler_calls(s); call++)
			advance(f, s, call, x, &rng);
		run_interrupted(f, row, y);
		assert_memory_equal(x, y, sizeof x);
		size_t n;
		assert_non_null(sampler_denoised(s, &n));
		assert_int_equal(n, N);
		sampler_free(s);
	}
}

static struct sampler *quick(const char *name, int steps)
{
	struct sampler_config config;
	struct sampler *s = NULL;
	struct error err = {0};
	sampler_config_init(&config);
	config.betas = BETAS_SCALED_LINEAR;
	config.beta_start = 0.00085;
	config.beta_end = 0.012;
	sampler_config_for_latents(&config);
	if (sampler_new(name, &config, steps, &s, &err))
		fail_msg("%s: %s", name, err.text);
	return s;
}

static void bad_steps_change_nothing(void **state)
{
	const struct fixture *f = *state;
	struct sampler *s = quick("euler_a", 4);
	struct error err = {0};
	struct rng rng, kept;
	float x[N], bad[N];
	rng_init(&rng, RNG_TORCH, 3);
	kept = rng;
	memcpy(x, f->noise, sizeof x);
	memcpy(bad, f->noise, sizeof bad);
	bad[17] = NAN;
	assert_int_equal(sampler_step(s, 0, bad, x, N, &rng, &err), SUMI_DEVICE);
	assert_non_null(strstr(err.text, "NaN"));
	bad[17] = INFINITY;
	assert_int_equal(sampler_step(s, 0, bad, x, N, &rng, &err), SUMI_DEVICE);
	assert_int_equal(sampler_step(s, 1, f->wave, x, N, &rng, &err), SUMI_INTERNAL);
	assert_memory_equal(x, f->noise, sizeof x);
	struct bytes_writer before = {0}, after = {0};
	rng_save(&kept, &before);
	rng_save(&rng, &after);
	assert_int_equal(after.size, before.size);
	assert_memory_equal(after.data, before.data, before.size);
	free(before.data);
	free(after.data);
	assert_int_equal(sampler_done(s), 0);
	for (int call = 0; call < 4; call++)
		advance(f, s, call, x, &rng);
	assert_int_equal(sampler_step(s, 4, f->wave, x, N, &rng, &err), SUMI_INTERNAL);
	assert_int_equal(sampler_start(s, 0.5, &err), SUMI_INTERNAL);
	sampler_free(s);
}

/* Whether the sampler takes the schedule for that prediction; if so, it ends in numbers. */
static bool schedule_runs(const struct fixture *f, const char *name, const char *schedule,
			  enum noise_prediction prediction, int steps)
{
	struct sampler_config config;
	struct sampler *s = NULL;
	struct error err = {0};
	struct rng rng;
	float x[N];
	sampler_config_init(&config);
	sampler_config_for_latents(&config);
	config.skip_prk_steps = true;
	config.prediction = prediction;
	assert_int_equal(sampler_parse_sigmas(schedule, &config.sigmas, &err), SUMI_OK);
	if (sampler_new(name, &config, steps, &s, &err)) {
		assert_int_equal(err.status, SUMI_INVALID);
		assert_true(strstr(err.text, "has no sigmas") ||
			    (prediction == PREDICTION_FLOW && strstr(err.text, "flow matching")));
		return false;
	}
	rng_init(&rng, RNG_PHILOX, 3);
	for (int j = 0; j < N; j++)
		x[j] = f->noise[j] * sampler_init_noise_sigma(s);
	for (int call = 0; call < sampler_calls(s); call++)
		advance(f, s, call, x, &rng);
	for (int j = 0; j < N; j++)
		if (!isfinite(x[j]))
			fail_msg("%s, %s, %d steps: %g", name, schedule, steps, (double)x[j]);
	sampler_free(s);
	return true;
}

static void every_schedule_runs(void **state)
{
	int run[2] = {0};
	for (int i = 0; sampler_name_at(i); i++)
		for (int k = 0; sampler_sigmas_name_at(k); k++)
			for (int steps = 1; steps <= 30; steps += steps < 4 ? 1 : 13)
				for (int flow = 0; flow < 2; flow++)
					run[flow] += schedule_runs(
					    *state, sampler_name_at(i), sampler_sigmas_name_at(k),
					    flow ? PREDICTION_FLOW : PREDICTION_EPSILON, steps);
	assert_true(run[0] >= 500 && run[1] >= 300);
}

static void names_are_understood(void **state)
{
	(void)state;
	static const struct {
		const char *text, *name;
		enum schedule_sigmas sigmas;
	} good[] = {
	    {"euler_a", "euler_a", SIGMAS_DEFAULT},
	    {"Euler a", "euler_a", SIGMAS_DEFAULT},
	    {"k_euler_a", "euler_a", SIGMAS_DEFAULT},
	    {"k_euler_ancestral", "euler_a", SIGMAS_DEFAULT},
	    {"Euler", "euler", SIGMAS_DEFAULT},
	    {"DPM++ 2M", "dpmpp_2m", SIGMAS_DEFAULT},
	    {"DPM++ 2M Karras", "dpmpp_2m", SIGMAS_KARRAS},
	    {"DPM++ 2M SDE Exponential", "dpmpp_2m_sde", SIGMAS_EXPONENTIAL},
	    {"dpmpp_2m_sde_gpu", "dpmpp_2m_sde", SIGMAS_DEFAULT},
	    {"k_dpmpp_2m", "dpmpp_2m", SIGMAS_DEFAULT},
	    {"euler SGM Uniform", "euler", SIGMAS_SGM_UNIFORM},
	    {"DPM++ 2M AYS", "dpmpp_2m", SIGMAS_AYS},
	    {"Euler Align Your Steps", "euler", SIGMAS_AYS_A1111},
	    {"PLMS", "pndm", SIGMAS_DEFAULT},
	    {"uni_pc", "unipc", SIGMAS_DEFAULT},
	    {"UniPC", "unipc", SIGMAS_DEFAULT},
	    {"Heun", "heun", SIGMAS_DEFAULT},
	    {"DPM2", "dpm2", SIGMAS_DEFAULT},
	    {"DPM2 Karras", "dpm2", SIGMAS_KARRAS},
	    {"dpm_2", "dpm2", SIGMAS_DEFAULT},
	    {"k_dpm_2", "dpm2", SIGMAS_DEFAULT},
	    {"DPM2 a Karras", "dpm2_a", SIGMAS_KARRAS},
	    {"dpm_2_ancestral", "dpm2_a", SIGMAS_DEFAULT},
	    {"k_dpm_2_a", "dpm2_a", SIGMAS_DEFAULT},
	    {"LMS", "lms", SIGMAS_DEFAULT},
	    {"LMS Karras", "lms", SIGMAS_KARRAS},
	    {"k_lms", "lms", SIGMAS_DEFAULT},
	    {"DEIS", "deis", SIGMAS_DEFAULT},
	    {"DPM++ 2S", "dpmpp_2s", SIGMAS_DEFAULT},
	    {"dpmpp_2s", "dpmpp_2s", SIGMAS_DEFAULT},
	    {"DPM++ 2S Karras", "dpmpp_2s", SIGMAS_KARRAS},
	    {"LCM", "lcm", SIGMAS_DEFAULT},
	};
	static const char *const bad[] = {
	    "",
	    "k",
	    "karras",
	    "eulerr",
	    "DPM++ 3M",
	    "Euler a Karrass",
	    ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")};
	struct error err = {0};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		const char *name = NULL;
		enum schedule_sigmas sigmas = SIGMAS_DEFAULT;
		if (sampler_parse_name(good[i].text, &name, &sigmas, &err))
			fail_msg("%s", err.text);
		assert_string_equal(name, good[i].name);
		assert_int_equal(sigmas, good[i].sigmas);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		const char *name = NULL;
		enum schedule_sigmas sigmas = SIGMAS_DEFAULT;
		assert_int_equal(sampler_parse_name(bad[i], &name, &sigmas, &err), SUMI_INVALID);
		assert_non_null(strstr(err.text, "dpmpp_2m_sde"));
		assert_null(name);
	}
	for (int i = 0; sampler_name_at(i); i++) {
		const char *name = NULL;
		enum schedule_sigmas sigmas = SIGMAS_DEFAULT;
		assert_int_equal(sampler_parse_name(sampler_name_at(i), &name, &sigmas, &err),
				 SUMI_OK);
		assert_string_equal(name, sampler_name_at(i));
		bool offered = false;
		for (int k = 0; label_sampler_at(k); k++)
			offered |= strcmp(label_sampler_at(k), label_of_sampler(sampler_name_at(i))) == 0;
		if (!offered)
			fail_msg("%s has no label of A1111's", sampler_name_at(i));
		assert_int_equal(sampler_parse_name(label_of_sampler(sampler_name_at(i)), &name, &sigmas, &err), SUMI_OK);
		assert_string_equal(name, sampler_name_at(i));
	}
}

static void check_alphas(const struct fixture *f, const char *name, struct schedule_alphas params)
{
	float *alphas = malloc((size_t)params.train_steps * sizeof *alphas), *want;
	struct error err = {0};
	size_t count;
	assert_non_null(alphas);
	if (schedule_alphas_cumprod(&params, alphas, &err))
		fail_msg("%s", err.text);
	want = vector_copy(f->file, name, &count);
	assert_int_equal(count, 28);
	for (size_t i = 0; i < count; i++)
		if (!(fabsf(alphas[i * 37] - want[i]) <= 2e-6f * want[i] + 1e-9f))
			fail_msg("%s[%zu] is %.9g, want %.9g", name, i, (double)alphas[i * 37],
				 (double)want[i]);
	free(want);
	free(alphas);
}

static void alphas_equal_diffusers(void **state)
{
	const struct fixture *f = *state;
	struct schedule_alphas p = {.train_steps = 1000,
				    .betas = BETAS_SCALED_LINEAR,
				    .beta_start = 0.00085,
				    .beta_end = 0.012};
	check_alphas(f, "alphas_cumprod.scaled_linear", p);
	p.zero_terminal_snr = true;
	check_alphas(f, "alphas_cumprod.zero_snr", p);
	p.zero_terminal_snr = false;
	p.betas = BETAS_SQUAREDCOS;
	check_alphas(f, "alphas_cumprod.cosine", p);
	p.betas = BETAS_LINEAR;
	p.beta_start = 0.0001;
	p.beta_end = 0.02;
	check_alphas(f, "alphas_cumprod.linear", p);
}

/* scipy.stats.beta.ppf(p, 0.6, 0.6). */
static void beta_quantiles_equal_scipy(void **state)
{
	(void)state;
	static const double want[][2] = {
	    {0.001, 1.855873851745199e-05}, {0.01, 0.00086123882154290593},
	    {0.1, 0.039584405588780847},    {0.25, 0.17568037865269498},
	    {0.4, 0.36270099075321433},     {0.5, 0.50000000000000011},
	    {0.6, 0.63729900924678562},     {0.75, 0.82431962134730496},
	    {0.9, 0.96041559441121915},     {0.99, 0.99913876117845712},
	    {0.999, 0.99998144126148258},
	};
	for (size_t i = 0; i < sizeof want / sizeof *want; i++)
		assert_true(fabs(schedule_beta_quantile(want[i][0], 0.6) - want[i][1]) < 1e-12);
}

/* Against the formula, by hand: std of cond is 1, of the guided values 3. */
static void guidance_combines(void **state)
{
	(void)state;
	const float uncond[3] = {0, 0, 0}, cond[3] = {-1, 0, 1};
	float out[3];
	struct error err = {0};
	assert_int_equal(guidance_combine(uncond, cond, 3, 3, 0, out, &err), SUMI_OK);
	assert_true(out[0] == -3 && out[1] == 0 && out[2] == 3);
	assert_int_equal(guidance_combine(uncond, cond, 3, 3, 0.5, out, &err), SUMI_OK);
	assert_true(fabsf(out[0] + 2) < 1e-6f && out[1] == 0 && fabsf(out[2] - 2) < 1e-6f);
	memcpy(out, cond, sizeof out);
	assert_int_equal(guidance_combine(uncond, out, 3, 1, 1, out, &err), SUMI_OK);
	assert_memory_equal(out, cond, sizeof out);
	assert_int_equal(guidance_combine(uncond, uncond, 3, 5, 1, out, &err), SUMI_OK);
	assert_memory_equal(out, uncond, sizeof out);
	const double bad[][2] = {{NAN, 0}, {INFINITY, 0}, {5000, 0}, {3, NAN}, {3, 2}};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(guidance_combine(uncond, cond, 3, bad[i][0], bad[i][1], out, &err),
				 SUMI_INVALID);
	const float broken[3] = {0, NAN, 0};
	assert_int_equal(guidance_combine(uncond, broken, 3, 3, 0, out, &err), SUMI_DEVICE);
	assert_non_null(strstr(err.text, "value 1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(trajectories_equal_diffusers),
	    cmocka_unit_test(every_sampler_has_trajectories),
	    cmocka_unit_test(saved_runs_give_the_same_bytes),
	    cmocka_unit_test(bad_steps_change_nothing),
	    cmocka_unit_test(every_schedule_runs),
	    cmocka_unit_test(guidance_combines),
	    cmocka_unit_test(names_are_understood),
	    cmocka_unit_test(alphas_equal_diffusers),
	    cmocka_unit_test(beta_quantiles_equal_scipy),
	};
	return cmocka_run_group_tests(tests, open_vectors, close_vectors);
}
