/* Samplers: reading scheduler_config.json. */
#include "diffusion/sampler.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/json.h"
#include "weights/checkpoint.h"
#include "base/utf8.h"

#define CONFIG_FILE_MAX (1u << 20)

static const struct {
	const char *class_name, *sampler;
} classes[] = {
    {"DDPMScheduler", "ddpm"},
    {"DDIMScheduler", "ddim"},
    {"PNDMScheduler", "pndm"},
    {"EulerDiscreteScheduler", "euler"},
    {"EulerAncestralDiscreteScheduler", "euler_a"},
    {"HeunDiscreteScheduler", "heun"},
    {"DPMSolverMultistepScheduler", "dpmpp_2m"},
    {"DPMSolverSinglestepScheduler", "dpmpp_2s"},
    {"KDPM2DiscreteScheduler", "dpm2"},
    {"KDPM2AncestralDiscreteScheduler", "dpm2_a"},
    {"LMSDiscreteScheduler", "lms"},
    {"DEISMultistepScheduler", "deis"},
    {"UniPCMultistepScheduler", "unipc"},
    {"LCMScheduler", "lcm"},
    {"TCDScheduler", "tcd"},
    {"DDPMParallelScheduler", "ddpm"}, /* the same but for calls that take several steps */
    {"DDIMParallelScheduler", "ddim"},
    {"FlowMatchEulerDiscreteScheduler", "euler"},
    {"FlowMatchHeunDiscreteScheduler", "heun"},
};

struct word {
	const char *text;
	int value;
};

static const struct word beta_words[] = {
    {"linear", BETAS_LINEAR},
    {"scaled_linear", BETAS_SCALED_LINEAR},
    {"squaredcos_cap_v2", BETAS_SQUAREDCOS},
    {NULL, 0},
};
static const struct word prediction_words[] = {
    {"epsilon", PREDICTION_EPSILON},
    {"v_prediction", PREDICTION_V},
    {"sample", PREDICTION_SAMPLE},
    {"original_sample", PREDICTION_SAMPLE},
    {"flow_prediction", PREDICTION_FLOW},
    {NULL, 0},
};
static const struct word spacing_words[] = {
    {"leading", SPACING_LEADING},
    {"trailing", SPACING_TRAILING},
    {"linspace", SPACING_LINSPACE},
    {NULL, 0},
};
static const struct word variance_words[] = {
    {"fixed_small", VARIANCE_FIXED_SMALL},
    {"fixed_small_log", VARIANCE_FIXED_SMALL_LOG},
    {"fixed_large", VARIANCE_FIXED_LARGE},
    {NULL, 0},
};
static const struct word shift_words[] = {{"exponential", 0}, {"linear", 1}, {NULL, 0}};
static const struct word final_words[] = {{"zero", 0}, {"sigma_min", 1}, {NULL, 0}};

/* diffusers maps the solver types of one class to those of the other in from_config(). */
enum { SOLVER_HEUN = 1, SOLVER_BH1 = 2 };
static const struct word solver_words[] = {
    {"midpoint", 0}, {"heun", SOLVER_HEUN}, {"bh1", SOLVER_BH1},
    {"bh2", 0},      {"logrho", 0},         {NULL, 0},
};

enum { ALGORITHM_ODE, ALGORITHM_SDE, ALGORITHM_NOISE };
static const struct word algorithm_words[] = {
    {"dpmsolver++", ALGORITHM_ODE},
    {"deis", ALGORITHM_ODE},
    {"sde-dpmsolver++", ALGORITHM_SDE},
    {"dpmsolver", ALGORITHM_NOISE},
    {NULL, 0},
};

/* Fields that other schedulers have and that would change the result. The value given here
 * is the one that changes nothing; NULL stands for false. */
static const struct {
	const char *key, *harmless;
} refused[] = {
    {"invert_sigmas", NULL},
    {"stochastic_sampling", NULL},
    {"interpolation_type", "linear"},
    {"timestep_type", "discrete"},
};

/* Options that somebody here reads, and those that change nothing where they are: of dynamic
 * thresholding and stochastic steps, which are refused or have no part in these classes. */
static const char *const known[] = {
    "_class_name",
    "_diffusers_version",
    "_use_default_values",
    "beta_schedule",
    "prediction_type",
    "timestep_spacing",
    "final_sigmas_type",
    "solver_type",
    "algorithm_type",
    "variance_type",
    "beta_start",
    "beta_end",
    "sigma_min",
    "sigma_max",
    "clip_sample_range",
    "lambda_min_clipped",
    "timestep_scaling",
    "num_train_timesteps",
    "steps_offset",
    "solver_order",
    "original_inference_steps",
    "rescale_betas_zero_snr",
    "thresholding",
    "skip_prk_steps",
    "lower_order_final",
    "euler_at_final",
    "use_karras_sigmas",
    "use_exponential_sigmas",
    "use_beta_sigmas",
    "use_lu_lambdas",
    "predict_x0",
    "clip_sample",
    "set_alpha_to_one",
    "trained_betas",
    "disable_corrector",
    "use_flow_sigmas",
    "use_dynamic_shifting",
    "interpolation_type",
    "timestep_type",
    "dynamic_thresholding_ratio",
    "sample_max_value",
    "flow_shift",
    "time_shift_type",
    "shift",
    "base_shift",
    "max_shift",
    "base_image_seq_len",
    "max_image_seq_len",
    "shift_terminal",
    "invert_sigmas",
    "stochastic_sampling",
    NULL,
};

void sampler_config_init(struct sampler_config *config)
{
	*config = (struct sampler_config){
	    .train_steps = 1000,
	    .clip_sample_range = 1,
	    .eta = -1,
	    .solver_order = 2,
	    .lambda_min_clipped = -HUGE_VAL,
	    .original_steps = 50,
	    .timestep_scaling = 10,
	    .flow = {.shift = 1,
		     .mu = NAN,
		     .base_shift = 0.5,
		     .max_shift = 1.15,
		     .base_tokens = 256,
		     .max_tokens = 4096},
	};
}

void sampler_config_free(struct sampler_config *config)
{
	free(config->trained_betas);
	config->trained_betas = NULL;
}

void sampler_config_for_latents(struct sampler_config *config)
{
	config->steps_offset = 1;
	config->clip_sample = CHOICE_NO;
}

/* Leaves *value alone when the field is missing. */
static int want_word(const json_t *root, const char *where, const char *key,
		     const struct word *words, int *value, struct error *err)
{
	const char *text = NULL;
	int status = json_want_string(root, where, key, &text, err);
	if (status || !text)
		return status;
	for (const struct word *w = words; w->text; w++) {
		if (strcmp(w->text, text) == 0) {
			*value = w->value;
			return SUMI_OK;
		}
	}
	return error_set(err, SUMI_UNSUPPORTED, "%s: field '%s' is '%.60s', which is not supported",
			 where, key, text);
}

static int want_choice(const json_t *root, const char *where, const char *key,
		       enum sampler_choice *value, struct error *err)
{
	const json_t *field = json_object_get(root, key);
	bool yes = false;
	int status = json_want_bool(root, where, key, &yes, err);
	if (!status && field && !json_is_null(field))
		*value = yes ? CHOICE_YES : CHOICE_NO;
	return status;
}

/* DPM-Solver's class says by a word which of several samplers it is; others carry the word along.
 */
static int set_algorithm(struct sampler_config *c, const char *where, int algorithm,
			 struct error *err)
{
	static const struct {
		const char *ode, *sde;
	} pairs[] = {{"dpmpp_2m", "dpmpp_2m_sde"}, {"dpmpp_2s", "dpmpp_2s_sde"}};
	/* DEIS takes the word for its own one. */
	if (algorithm == ALGORITHM_NOISE && !(c->sampler && strcmp(c->sampler, "deis") == 0))
		return error_set(err, SUMI_UNSUPPORTED,
				 "%s: field 'algorithm_type' is 'dpmsolver', which is not "
				 "supported: use dpmsolver++",
				 where);
	for (size_t i = 0; c->sampler && i < sizeof pairs / sizeof *pairs; i++)
		if (algorithm == ALGORITHM_SDE && strcmp(c->sampler, pairs[i].ode) == 0)
			c->sampler = pairs[i].sde;
	return SUMI_OK;
}

static int read_words(const json_t *root, const char *where, struct sampler_config *c,
		      struct error *err)
{
	int betas = c->betas, prediction = c->prediction, spacing = c->spacing,
	    variance = c->variance;
	int final = 0, solver = 0, algorithm = ALGORITHM_ODE;
	const struct {
		const char *key;
		const struct word *words;
		int *value;
	} fields[] = {
	    {"beta_schedule", beta_words, &betas},
	    {"prediction_type", prediction_words, &prediction},
	    {"timestep_spacing", spacing_words, &spacing},
	    {"final_sigmas_type", final_words, &final},
	    {"solver_type", solver_words, &solver},
	    {"algorithm_type", algorithm_words, &algorithm},
	};
	/* The last three are of the solver: a class that is not known has words of its own. */
	size_t count = sizeof fields / sizeof *fields;
	if (!c->sampler && *c->class_name)
		count -= 3;
	for (size_t i = 0; i < count; i++) {
		int status =
		    want_word(root, where, fields[i].key, fields[i].words, fields[i].value, err);
		if (status)
			return status;
	}
	/* Only DDPM looks at it; DPM++ files carry other words there. */
	if (c->sampler && strcmp(c->sampler, "ddpm") == 0) {
		int status =
		    want_word(root, where, "variance_type", variance_words, &variance, err);
		if (status)
			return status;
	}
	c->betas = (enum schedule_betas)betas;
	c->prediction = (enum noise_prediction)prediction;
	c->spacing = (enum schedule_spacing)spacing;
	c->variance = (enum sampler_variance)variance;
	c->final_sigma_min = final;
	c->solver_heun = solver == SOLVER_HEUN;
	c->solver_bh1 = solver == SOLVER_BH1;
	return set_algorithm(c, where, algorithm, err);
}

static int read_numbers(const json_t *root, const char *where, struct sampler_config *c,
			struct error *err)
{
	const struct {
		const char *key;
		double min, max;
		double *value;
	} numbers[] = {
	    {"beta_start", 1e-9, 0.999, &c->beta_start},
	    {"beta_end", 1e-9, 0.9999, &c->beta_end},
	    {"sigma_min", 0, 1e6, &c->sigma_min},
	    {"sigma_max", 0, 1e6, &c->sigma_max},
	    {"clip_sample_range", 1e-6, 1e6, &c->clip_sample_range},
	    {"lambda_min_clipped", -1e6, 1e6, &c->lambda_min_clipped},
	    {"timestep_scaling", 0, 1e6, &c->timestep_scaling},
	};
	int64_t train = c->train_steps, offset = 0, order = c->solver_order;
	int64_t original = c->original_steps;
	const struct {
		const char *key;
		int64_t min, max, *value;
	} wholes[] = {
	    {"num_train_timesteps", 2, SCHEDULE_TRAIN_STEPS_MAX, &train},
	    {"steps_offset", 0, SCHEDULE_TRAIN_STEPS_MAX, &offset},
	    {"solver_order", 1, SOLVER_ORDER_MAX, &order},
	    {"original_inference_steps", 1, SCHEDULE_TRAIN_STEPS_MAX, &original},
	};
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		int status = json_want_number(root, where, numbers[i].key, numbers[i].min,
					      numbers[i].max, numbers[i].value, err);
		if (status)
			return status;
	}
	for (size_t i = 0; i < sizeof wholes / sizeof *wholes; i++) {
		int status = json_want_int(root, where, wholes[i].key, wholes[i].min, wholes[i].max,
					   wholes[i].value, err);
		if (status)
			return status;
	}
	c->train_steps = (int)train;
	c->steps_offset = (int)offset;
	c->solver_order = (int)order;
	c->original_steps = (int)original;
	return SUMI_OK;
}

/* What the classes begin with that know flow matching alone, also those that nobody here is named
 * after. */
#define FLOW_CLASSES "FlowMatch"

/* Flow matching has classes of its own, or is a way of the multistep solvers. */
static int read_flow(const json_t *root, const char *where, struct sampler_config *c,
		     struct error *err)
{
	struct noise_flow *f = &c->flow;
	bool of_class = strncmp(c->class_name, FLOW_CLASSES, sizeof FLOW_CLASSES - 1) == 0;
	bool sigmas = false;
	int linear = 0;
	const struct {
		const char *key;
		double min, max;
		double *value;
	} numbers[] = {
	    {of_class ? "shift" : "flow_shift", 1e-6, 1e6, &f->shift},
	    {"base_shift", -100, 100, &f->base_shift},
	    {"max_shift", -100, 100, &f->max_shift},
	    {"base_image_seq_len", 0, 1e9, &f->base_tokens},
	    {"max_image_seq_len", 1, 1e9, &f->max_tokens},
	    {"shift_terminal", 0, 0.999, &f->terminal},
	};
	int status = SUMI_OK;
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers && !status; i++)
		status = json_want_number(root, where, numbers[i].key, numbers[i].min,
					  numbers[i].max, numbers[i].value, err);
	if (status || (status = json_want_bool(root, where, "use_flow_sigmas", &sigmas, err)) ||
	    (status = json_want_bool(root, where, "use_dynamic_shifting", &f->dynamic, err)) ||
	    (status = want_word(root, where, "time_shift_type", shift_words, &linear, err)))
		return status;
	f->linear = linear;
	if (of_class)
		c->prediction = PREDICTION_FLOW;
	else if (sigmas != (c->prediction == PREDICTION_FLOW))
		return error_set(err, SUMI_UNSUPPORTED,
				 "%s: use_flow_sigmas and prediction_type flow_prediction go together "
				 "only",
				 where);
	if (f->dynamic && c->prediction != PREDICTION_FLOW)
		return error_set(err, SUMI_UNSUPPORTED,
				 "%s: use_dynamic_shifting is for flow matching only", where);
	return SUMI_OK;
}

static int read_flags(const json_t *root, const char *where, struct sampler_config *c,
		      struct error *err)
{
	bool karras = false, exponential = false, beta = false, lu = false, predict_x0 = true;
	const struct {
		const char *key;
		bool *value;
	} flags[] = {
	    {"rescale_betas_zero_snr", &c->zero_terminal_snr},
	    {"thresholding", &c->thresholding},
	    {"skip_prk_steps", &c->skip_prk_steps},
	    {"euler_at_final", &c->euler_at_final},
	    {"use_karras_sigmas", &karras},
	    {"use_exponential_sigmas", &exponential},
	    {"use_beta_sigmas", &beta},
	    {"use_lu_lambdas", &lu},
	    {"predict_x0", &predict_x0},
	};
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		int status = json_want_bool(root, where, flags[i].key, flags[i].value, err);
		if (status)
			return status;
	}
	if (karras + exponential + beta > 1)
		return error_set(err, SUMI_INVALID,
				 "%s: only one of use_karras_sigmas, use_exponential_sigmas and "
				 "use_beta_sigmas can be true",
				 where);
	if (!predict_x0)
		return error_set(err, SUMI_UNSUPPORTED, "%s: predict_x0 false is not supported",
				 where);
	c->file_sigmas = karras        ? SIGMAS_KARRAS
			 : lu          ? SIGMAS_LU
			 : exponential ? SIGMAS_EXPONENTIAL
			 : beta        ? SIGMAS_BETA
				       : SIGMAS_DEFAULT;
	const struct {
		const char *key;
		enum sampler_choice *value;
	} choices[] = {{"clip_sample", &c->clip_sample},
		       {"set_alpha_to_one", &c->set_alpha_to_one},
		       {"lower_order_final", &c->lower_order_final}};
	for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
		int status = want_choice(root, where, choices[i].key, choices[i].value, err);
		if (status)
			return status;
	}
	return SUMI_OK;
}

static int read_lists(const json_t *root, const char *where, struct sampler_config *c,
		      struct error *err)
{
	const json_t *betas = json_object_get(root, "trained_betas"), *entry;
	const json_t *skipped = json_object_get(root, "disable_corrector");
	size_t i;
	if (betas && !json_is_null(betas)) {
		if (!json_is_array(betas) || json_array_size(betas) != (size_t)c->train_steps)
			return error_set(
			    err, SUMI_INVALID,
			    "%s: field 'trained_betas' must be a list of num_train_timesteps (%d) "
			    "numbers",
			    where, c->train_steps);
		c->trained_betas = malloc((size_t)c->train_steps * sizeof *c->trained_betas);
		if (!c->trained_betas)
			return error_set(err, SUMI_NOMEM, "%s: no memory for 'trained_betas'",
					 where);
		json_array_foreach(betas, i, entry)
		{
			if (!json_is_number(entry))
				return error_set(
				    err, SUMI_INVALID,
				    "%s: field 'trained_betas', entry %zu: not a number", where, i);
			c->trained_betas[i] = (float)json_number_value(entry);
		}
	}
	if (!skipped || json_is_null(skipped))
		return SUMI_OK;
	if (!json_is_array(skipped))
		return error_set(err, SUMI_INVALID, "%s: field 'disable_corrector' must be a list",
				 where);
	json_array_foreach(skipped, i, entry)
	{
		json_int_t step = json_is_integer(entry) ? json_integer_value(entry) : -1;
		if (step < 0 || step > 63)
			return error_set(
			    err, SUMI_INVALID,
			    "%s: field 'disable_corrector', entry %zu: allowed are 0 to 63", where,
			    i);
		c->no_corrector |= UINT64_C(1) << step;
	}
	return SUMI_OK;
}

static int refuse_others(const json_t *root, const char *where, struct error *err)
{
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		const json_t *field = json_object_get(root, refused[i].key);
		bool harmless = !field || json_is_null(field) || json_is_false(field);
		if (!harmless && refused[i].harmless && json_is_string(field))
			harmless = strcmp(json_string_value(field), refused[i].harmless) == 0;
		if (!harmless)
			return error_set(err, SUMI_UNSUPPORTED,
					 "%s: this value of '%s' is not supported", where,
					 refused[i].key);
	}
	return SUMI_OK;
}

static void note_unknown(const json_t *root, struct sampler_config *config)
{
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)root, key, value)
	{
		const char *const *name = known;
		while (*name && strcmp(*name, key) != 0)
			name++;
		if (*name || json_is_null(value) || json_is_false(value))
			continue;
		snprintf(config->unknown, sizeof config->unknown, "%.63s", key);
		utf8_make_printable(config->unknown);
		return;
	}
}

int sampler_config_from_json(const json_t *root, const char *where, struct sampler_config *config,
			     struct error *err)
{
	sampler_config_init(config);
	if (!json_is_object(root))
		return error_set(err, SUMI_INVALID, "%s: not a JSON object", where);
	const char *class_name = NULL;
	int status = json_want_string(root, where, "_class_name", &class_name, err);
	if (status)
		return status;
	if (class_name) {
		snprintf(config->class_name, sizeof config->class_name, "%.63s", class_name);
		utf8_make_printable(config->class_name);
	}
	for (size_t i = 0; class_name && i < sizeof classes / sizeof *classes; i++)
		if (strcmp(classes[i].class_name, class_name) == 0)
			config->sampler = classes[i].sampler;
	status = refuse_others(root, where, err);
	if (!status)
		status = read_words(root, where, config, err);
	if (!status)
		status = read_numbers(root, where, config, err);
	if (!status)
		status = read_flow(root, where, config, err);
	if (!status)
		status = read_flags(root, where, config, err);
	if (!status)
		status = read_lists(root, where, config, err);
	if (!status)
		note_unknown(root, config);
	if (status)
		sampler_config_free(config);
	return status;
}

/* Overwrites -Infinity and Infinity outside of strings by null and spaces. */
static void blank_infinities(char *text, size_t size)
{
	static const char *const words[] = {"-Infinity", "Infinity"};
	bool in_string = false;
	for (size_t i = 0; i < size; i++) {
		if (in_string && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			in_string = !in_string;
		for (size_t w = 0; !in_string && w < sizeof words / sizeof *words; w++) {
			size_t n = strlen(words[w]);
			if (size - i < n || memcmp(text + i, words[w], n) != 0)
				continue;
			memset(text + i, ' ', n);
			memcpy(text + i, "null", 4);
			break;
		}
	}
}

int sampler_config_read(const char *path, struct sampler_config *config, struct error *err)
{
	char *text;
	size_t size;
	json_t *root = NULL;
	sampler_config_init(config);
	char file[FILES_PATH_MAX];
	const char *rest;
	if (source_split(path, file, &rest) && *rest) {
		int told = part_json_read(path, CONFIG_FILE_MAX, &root, err);
		if (!told)
			told = sampler_config_from_json(root, path, config, err);
		json_decref(root);
		return told;
	}
	int status = files_read_regular(path, CONFIG_FILE_MAX, &text, &size, err);
	if (status)
		return status;
	blank_infinities(text, size);
	status = json_read_bounded(text, size, JSON_EXPANSION * CONFIG_FILE_MAX, path, &root, err);
	free(text);
	if (!status)
		status = sampler_config_from_json(root, path, config, err);
	json_decref(root);
	return status;
}
