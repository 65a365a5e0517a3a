/* Scheduler configs: what is refused, what is flow, and files as they occur in the wild. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "diffusion/sampler.h"

/* What a config with one odd field gets: an error that names the field. */
static void bad_configs_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text, *word;
	} bad[] = {
	    {"[]", "object"},
	    {"{\"num_train_timesteps\": 1}", "num_train_timesteps"},
	    {"{\"num_train_timesteps\": 1e3}", "num_train_timesteps"},
	    {"{\"num_train_timesteps\": 99999999999}", "num_train_timesteps"},
	    {"{\"beta_start\": -1}", "beta_start"},
	    {"{\"beta_end\": \"high\"}", "beta_end"},
	    {"{\"beta_schedule\": \"sigmoid\"}", "beta_schedule"},
	    {"{\"prediction_type\": \"flow_prediction\"}", "prediction_type"},
	    {"{\"prediction_type\": 5}", "prediction_type"},
	    {"{\"use_dynamic_shifting\": true}", "use_dynamic_shifting"},
	    {"{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\", \"shift\": 0}", "shift"},
	    {"{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\", \"invert_sigmas\": true}",
	     "invert_sigmas"},
	    {"{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\", \"stochastic_sampling\": true}",
	     "stochastic_sampling"},
	    {"{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\", \"time_shift_type\": \"odd\"}",
	     "time_shift_type"},
	    {"{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\", \"shift_terminal\": 1}",
	     "shift_terminal"},
	    {"{\"timestep_spacing\": \"odd\"}", "timestep_spacing"},
	    {"{\"use_flow_sigmas\": true}", "use_flow_sigmas"},
	    {"{\"use_karras_sigmas\": true, \"use_beta_sigmas\": true}", "use_karras_sigmas"},
	    {"{\"use_karras_sigmas\": 1}", "use_karras_sigmas"},
	    {"{\"trained_betas\": [0.1, 0.2]}", "trained_betas"},
	    {"{\"trained_betas\": [0.1, null], \"num_train_timesteps\": 2}", "entry 1"},
	    {"{\"disable_corrector\": [64]}", "disable_corrector"},
	    {"{\"disable_corrector\": 1}", "disable_corrector"},
	    {"{\"solver_order\": 4}", "solver_order"},
	    {"{\"timestep_type\": \"continuous\"}", "timestep_type"},
	    {"{\"_class_name\": \"DDPMScheduler\", \"variance_type\": \"learned\"}",
	     "variance_type"},
	    {"{\"algorithm_type\": \"dpmsolver\"}", "algorithm_type"},
	    {"{\"clip_sample\": \"no\"}", "clip_sample"},
	    {"{\"_class_name\": 1}", "_class_name"},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct sampler_config config;
		struct error err = {0};
		json_t *root = NULL;
		assert_int_equal(json_read_text(bad[i].text, strlen(bad[i].text), "t", &root, &err),
				 SUMI_OK);
		int status = sampler_config_from_json(root, "scheduler_config.json", &config, &err);
		if (!status || !strstr(err.text, bad[i].word))
			fail_msg("%s: status %d, '%s'", bad[i].text, status, err.text);
		assert_true(status == SUMI_INVALID || status == SUMI_UNSUPPORTED);
		json_decref(root);
	}
}

static int try_new(const char *text, const char *name, int steps, struct error *err)
{
	struct sampler_config config;
	struct sampler *s = NULL;
	json_t *root = NULL;
	assert_int_equal(json_read_text(text, strlen(text), "t", &root, err), SUMI_OK);
	int status = sampler_config_from_json(root, "scheduler_config.json", &config, err);
	json_decref(root);
	if (status)
		fail_msg("%s", err->text);
	status = sampler_new(name, &config, steps, &s, err);
	sampler_config_free(&config);
	sampler_free(s);
	return status;
}

/* A class that no sampler is named after is still one of flow matching. */
static void every_flow_class_is_flow(void **state)
{
	(void)state;
	static const char *const names[] = {"FlowMatchEulerDiscreteScheduler",
					    "FlowMatchHeunDiscreteScheduler",
					    "FlowMatchLCMScheduler"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct sampler_config config;
		struct error err = {0};
		json_t *root = json_pack("{s:s, s:f}", "_class_name", names[i], "shift", 3.0);
		assert_int_equal(sampler_config_from_json(root, "t", &config, &err), SUMI_OK);
		assert_int_equal(config.prediction, PREDICTION_FLOW);
		assert_true(config.flow.shift == 3);
		sampler_config_free(&config);
		json_decref(root);
	}
}

static void impossible_runs_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *config, *name;
		int steps, status;
		const char *word;
	} bad[] = {
	    {"{}", "euler", 0, SUMI_INVALID, "steps"},
	    {"{}", "euler", -5, SUMI_INVALID, "steps"},
	    {"{}", "euler", 1001, SUMI_INVALID, "steps"},
	    {"{}", NULL, 5, SUMI_UNSUPPORTED, "class"},
	    {"{\"_class_name\": \"SASolverScheduler\"}", NULL, 5, SUMI_UNSUPPORTED, "SASolver"},
	    {"{\"_class_name\": \"KDPM2DiscreteScheduler\", \"prediction_type\": \"sample\"}", NULL,
	     5, SUMI_UNSUPPORTED, "dpm2"},
	    {"{\"lambda_min_clipped\": 100}", "dpmpp_2s", 4, SUMI_INVALID, "lambda_min_clipped"},
	    {"{}", "nope", 5, SUMI_INVALID, "nope"},
	    {"{}", "ddim karras", 5, SUMI_INVALID, "karras"},
	    {"{}", "lcm", 51, SUMI_INVALID, "50"},
	    {"{\"original_inference_steps\": 2000}", "lcm", 4, SUMI_INVALID, "original"},
	    {"{\"thresholding\": true}", "ddim", 4, SUMI_UNSUPPORTED, "thresholding"},
	    {"{\"prediction_type\": \"sample\"}", "pndm", 4, SUMI_UNSUPPORTED, "pndm"},
	    {"{}", "pndm", 3, SUMI_INVALID, "skip_prk_steps"},
	    {"{\"steps_offset\": 1}", "ddim", 1000, SUMI_INVALID, "timestep"},
	    {"{\"rescale_betas_zero_snr\": true, \"timestep_spacing\": \"trailing\"}", "ddim", 4,
	     SUMI_INVALID, "rescale_betas_zero_snr"},
	    {"{\"lower_order_final\": false}", "unipc", 4, SUMI_UNSUPPORTED, "lower_order_final"},
	    {"{\"num_train_timesteps\": 2, \"trained_betas\": [0, 0.1]}", "ddim", 1, SUMI_INVALID,
	     "beta 0"},
	    {"{\"num_train_timesteps\": 2, \"trained_betas\": [0.1, 1.5]}", "ddim", 1, SUMI_INVALID,
	     "beta 1"},
	    {"{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\"}", "euler_a", 4, SUMI_INVALID,
	     "flow matching"},
	    {"{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\"}", "ddim", 4, SUMI_INVALID,
	     "flow matching"},
	    {"{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\", \"use_dynamic_shifting\": true}",
	     NULL, 4, SUMI_INVALID, "size of the latents"},
	    {"{\"_class_name\": \"FlowMatchEulerDiscreteScheduler\", \"shift_terminal\": 0.1}", NULL,
	     1, SUMI_INVALID, "shift_terminal"},
	    {"{\"use_flow_sigmas\": true, \"prediction_type\": \"flow_prediction\", "
	     "\"final_sigmas_type\": \"sigma_min\"}",
	     "dpmpp_2m", 4, SUMI_UNSUPPORTED, "final_sigmas_type"},
	    {"{\"sigma_min\": 20, \"sigma_max\": 2}", "euler karras", 4, SUMI_INVALID, "sigma_min"},
	    {"{\"lambda_min_clipped\": 100}", "dpmpp_2m", 4, SUMI_INVALID, "lambda_min_clipped"},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct error err = {0};
		int status = try_new(bad[i].config, bad[i].name, bad[i].steps, &err);
		if (status != bad[i].status || !strstr(err.text, bad[i].word))
			fail_msg("%s %s: status %d, '%s'", bad[i].config,
				 bad[i].name ? bad[i].name : "", status, err.text);
	}
	struct sampler_config config;
	struct sampler *s;
	struct error err = {0};
	sampler_config_init(&config);
	sampler_config_for_latents(&config);
	assert_int_equal(sampler_new("dpmpp_2m", &config, 10, &s, &err), SUMI_OK);
	assert_int_equal(sampler_start(s, NAN, &err), SUMI_INVALID);
	assert_int_equal(sampler_start(s, 1.5, &err), SUMI_INVALID);
	assert_int_equal(sampler_start(s, 0.05, &err), SUMI_INVALID);
	assert_int_equal(sampler_start(s, 0.35, &err), SUMI_OK);
	assert_int_equal(sampler_calls(s), 3);
	sampler_free(s);
}

/* The files that occur in the wild: Python's -Infinity, fields of other classes. */
static void real_files_are_read(void **state)
{
	(void)state;
	static const char text[] =
	    "{\"_class_name\": \"DPMSolverMultistepScheduler\", \"algorithm_type\": "
	    "\"sde-dpmsolver++\","
	    "\"lambda_min_clipped\": -Infinity, \"note\": \"-Infinity \\\" Infinity\","
	    "\"variance_type\": null, \"interpolation_type\": \"linear\", \"use_karras_sigmas\": "
	    "true,"
	    "\"use_flow_sigmas\": false, \"solver_type\": \"midpoint\", \"clip_sample\": false}";
	struct sampler_config config;
	struct error err = {0};
	char path[] = "/tmp/sumi-scheduler-XXXXXX";
	int fd = mkstemp(path);
	FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	if (sampler_config_read(path, &config, &err))
		fail_msg("%s", err.text);
	remove(path);
	assert_string_equal(config.sampler, "dpmpp_2m_sde");
	assert_int_equal(config.prediction, PREDICTION_EPSILON);
	assert_int_equal(config.file_sigmas, SIGMAS_KARRAS);
	assert_true(isinf(config.lambda_min_clipped));
	assert_int_equal(config.clip_sample, CHOICE_NO);
	sampler_config_free(&config);
	assert_int_equal(sampler_config_read("tests/vectors/nowhere.json", &config, &err),
			 SUMI_NOTFOUND);
	sampler_config_free(&config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(bad_configs_are_refused),
	    cmocka_unit_test(every_flow_class_is_flow),
	    cmocka_unit_test(impossible_runs_are_refused),
	    cmocka_unit_test(real_files_are_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
