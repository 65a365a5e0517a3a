/* Whole generations against what diffusers made with the same packs, and the promise that a
 * run may be interrupted anywhere: saved, freed, restored and finished, it gives the same
 * bytes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/files.h"
#include "base/json.h"
#include "diffusion/run.h"
#include "networks/tokenizer.h"
#include "networks/vae.h"
#include "tests/unit/vector_file.h"

#define LATENTS_TOLERANCE 1e-4 /* of the largest latent, after any step */
#define PICTURE_PSNR 60.0      /* dB */

static struct device *devices[2];
static int device_count, banded;

struct reference {
	const char *name;
	struct tensor_file *dump;
	json_t *facts;
	char folder[FILES_PATH_MAX];
	char *prompt, *negative;
	struct run_params params;
};

/* The reference cuts prompts at the model's length, this core goes on in a second chunk:
 * shorten the prompt, character by character, until it is one chunk. */
static void shorten(struct reference *r)
{
	char path[FILES_PATH_MAX];
	struct error err;
	struct tokenizer *t;
	struct tokens tokens;
	assert_int_equal(files_path(path, &err, "%s/tokenizer", r->folder), 0);
	if (access(path, F_OK) != 0)
		assert_int_equal(files_path(path, &err, "%s/tokenizer_2", r->folder), 0);
	assert_int_equal(tokenizer_open(path, &t, &err), 0);
	for (;;) {
		assert_int_equal(
		    tokenizer_encode(t, r->prompt, strlen(r->prompt), 1, &tokens, &err), 0);
		int chunks = tokens.chunks;
		tokens_free(&tokens);
		if (chunks == 1)
			break;
		size_t n = strlen(r->prompt);
		do {
			n--;
		} while (n > 0 && ((unsigned char)r->prompt[n] & 0xC0) == 0x80);
		r->prompt[n] = '\0';
	}
	tokenizer_close(t);
}

static void load_reference(struct reference *r, const char *name)
{
	char file[128], path[FILES_PATH_MAX];
	struct error err;
	memset(r, 0, sizeof *r);
	r->name = name;
	snprintf(file, sizeof file, "%s.safetensors", name);
	r->dump = vector_file_open(file);
	snprintf(path, sizeof path, "tests/vectors/%s.json", name);
	assert_int_equal(json_read_file(path, 1 << 20, &r->facts, &err), 0);
	snprintf(r->folder, sizeof r->folder, "tests/vectors/%s", name);
	r->prompt = strdup(json_string_value(json_object_get(r->facts, "prompt")));
	r->negative = strdup(json_string_value(json_object_get(r->facts, "negative_prompt")));
	shorten(r);
	r->params = (struct run_params){
	    .prompt = r->prompt,
	    .negative_prompt = r->negative,
	    .seed = (uint64_t)json_integer_value(json_object_get(r->facts, "seed")),
	    .steps = (int)json_integer_value(json_object_get(r->facts, "steps")),
	    .cfg_scale = json_number_value(json_object_get(r->facts, "guidance_scale")),
	    .width = (int)json_integer_value(json_object_get(r->facts, "width")),
	    .height = (int)json_integer_value(json_object_get(r->facts, "height")),
	    .frames = 1,
	};
}

static void free_reference(struct reference *r)
{
	tensors_close(r->dump);
	json_decref(r->facts);
	free(r->prompt);
	free(r->negative);
}

static double latents_error(const struct run *run, const struct tensor_file *dump, const char *name,
			    int h, int w, int c)
{
	size_t count, have;
	float *want = vector_copy(dump, name, &count);
	const float *got = run_latents(run, false, &have);
	double worst = 0, largest = 0;
	assert_int_equal(count, have);
	for (int k = 0; k < c; k++)
		for (int i = 0; i < h * w; i++) {
			double a = want[k * h * w + i], b = got[i * c + k];
			worst = fmax(worst, fabs(a - b));
			largest = fmax(largest, fabs(a));
		}
	free(want);
	return worst / largest;
}

static double picture_psnr(struct run *run, const struct reference *r)
{
	size_t count, pixels = (size_t)(r->params.width * r->params.height);
	float *want = vector_copy(r->dump, "run.image", &count);
	float *got = malloc(pixels * 3 * sizeof *got);
	struct error err;
	double sum = 0;
	assert_int_equal(count, pixels * 3);
	assert_int_equal(run_decode(run, 0, got, &err), 0);
	for (size_t k = 0; k < 3; k++)
		for (size_t i = 0; i < pixels; i++)
			sum += pow((double)want[k * pixels + i] - (double)got[i * 3 + k], 2);
	free(want);
	free(got);
	return sum > 0 ? -10 * log10(sum / (double)(pixels * 3)) : INFINITY;
}

/* With less memory than the picture takes as one it is decoded in bands, and is the same. Returns whether
 * that could be. */
static bool follow_in_bands(struct device *device, struct run *run, const struct reference *r)
{
	char folder[FILES_PATH_MAX];
	struct error err = {0};
	struct vae_config c;
	struct vae_bands bands;
	uint64_t memory = device->info.memory;
	enum dtype dtype = device->activation_dtype;
	if (files_path(folder, &err, "%s/vae", r->folder) || vae_config_read(folder, &c, &err))
		fail_msg("%s", err.text);
	int h = r->params.height / c.scale, w = r->params.width / c.scale;
	uint64_t bytes = vae_memory(&c, 1, h, w, dtype) - 1;
	if (!vae_plan_bands(&c, h, w, false, bytes, 0, dtype, &bands))
		return false;
	device->info.memory = bytes * 2 + 1;
	double psnr = picture_psnr(run, r);
	device->info.memory = memory;
	if (!(psnr >= PICTURE_PSNR))
		fail_msg("%s on %s in bands: %.1f dB", r->name, device->info.selector, psnr);
	return true;
}

/* rows: of the latents in the dump. */
static void follow(struct device *device, const char *name, bool negative, const char *rows)
{
	struct reference r;
	struct error err = {0};
	struct pack *pack;
	struct run *run;
	load_reference(&r, name);
	if (!negative)
		r.params.negative_prompt = NULL;
	if (pack_open(device, r.folder, &pack, &err) || run_begin(pack, &r.params, &run, &err))
		fail_msg("%s: %s", name, err.text);
	int scale = pack_info_of(pack)->latents.scale, c = pack_info_of(pack)->latents.channels;
	assert_int_equal(run_steps(run), json_integer_value(json_object_get(r.facts, "calls")));
	for (int i = 0; i < run_steps(run); i++) {
		char tensor[64];
		if (run_step(run, &err))
			fail_msg("%s step %d: %s", name, i, err.text);
		snprintf(tensor, sizeof tensor, "%s.latents.%d", rows, i);
		double e = latents_error(run, r.dump, tensor, r.params.height / scale,
					 r.params.width / scale, c);
		if (!(e < LATENTS_TOLERANCE))
			fail_msg("%s on %s, step %d: latents off by %.2e", name,
				 device->info.selector, i, e);
	}
	double psnr = negative ? picture_psnr(run, &r) : PICTURE_PSNR;
	if (!(psnr >= PICTURE_PSNR))
		fail_msg("%s on %s: %.1f dB", name, device->info.selector, psnr);
	if (negative)
		banded += follow_in_bands(device, run, &r);
	run_free(run);
	pack_close(pack);
	free_reference(&r);
}

static void whole_pictures(void **state)
{
	static const char *const packs[] = {"sd1-tiny", "sd1-odd",     "sd2-tiny",
					    "snr-tiny", "levels-tiny", "taesd-tiny", "sdxl-tiny",
					    "cut-tiny", "plain-tiny"};
	(void)state;
	for (int d = 0; d < device_count; d++) {
		for (size_t i = 0; i < sizeof packs / sizeof packs[0]; i++)
			follow(devices[d], packs[i], true, "run");
		/* No negative prompt is another thing there than an empty one. */
		follow(devices[d], "sdxl-tiny", false, "absent");
	}
	assert_true(banded >= 5 * device_count);
}

/* rows: of the latents in the dump; times: the steps of which the last ones are run. */
static void follow_image(const char *name, bool negative, const char *rows, int times)
{
	struct reference r;
	struct error err = {0};
	struct pack *pack;
	struct run *run;
	size_t count;
	load_reference(&r, name);
	float *torch = vector_copy(r.dump, "vae.enc.in", &count);
	float *init = malloc(count * sizeof *init);
	for (size_t k = 0; k < 3; k++)
		for (size_t i = 0; i < count / 3; i++)
			init[i * 3 + k] = torch[k * (count / 3) + i];
	const struct tensor_entry *in = tensors_find(r.dump, "vae.enc.in");
	r.params.height = (int)in->shape[2];
	r.params.width = (int)in->shape[3];
	r.params.init = init;
	r.params.steps *= times;
	r.params.strength = json_number_value(json_object_get(r.facts, "strength"));
	if (!negative)
		r.params.negative_prompt = NULL;
	if (pack_open(devices[0], r.folder, &pack, &err) || run_begin(pack, &r.params, &run, &err))
		fail_msg("%s", err.text);
	int scale = pack_info_of(pack)->latents.scale, i = 0;
	for (; run_steps_done(run) < run_steps(run); i++) {
		char tensor[64];
		assert_int_equal(run_step(run, &err), 0);
		snprintf(tensor, sizeof tensor, "%s.latents.%d", rows, i);
		double e =
		    latents_error(run, r.dump, tensor, r.params.height / scale,
				  r.params.width / scale, pack_info_of(pack)->latents.channels);
		if (!(e < LATENTS_TOLERANCE))
			fail_msg("%s step %d: latents off by %.2e", name, i, e);
	}
	char beyond[64];
	snprintf(beyond, sizeof beyond, "%s.latents.%d", rows, i);
	assert_true(i > 0);
	assert_null(tensors_find(r.dump, beyond));
	run_free(run);
	pack_close(pack);
	free(torch);
	free(init);
	free_reference(&r);
}

static void image_to_image(void **state)
{
	(void)state;
	follow_image("levels-tiny", true, "i2i", 2);
	/* To it no negative prompt is an empty one. */
	follow_image("refiner-tiny", true, "refine", 1);
	follow_image("refiner-tiny", false, "absent", 1);
}

/* A run that is taken apart after every step, its device and pack with it. */
static void interrupted(const char *sampler)
{
	struct reference r;
	struct error err = {0};
	struct pack *pack;
	struct run *run, *other;
	void *saved = NULL;
	size_t size = 0, count, pixels;
	load_reference(&r, "taesd-tiny");
	r.params.sampler = sampler;
	r.params.eta = 0.5;
	pixels = (size_t)(r.params.width * r.params.height) * 3;
	float *straight = malloc(pixels * sizeof *straight),
	      *pieces = malloc(pixels * sizeof *pieces);
	assert_int_equal(pack_open(devices[0], r.folder, &pack, &err), 0);
	if (run_begin(pack, &r.params, &run, &err))
		fail_msg("%s: %s", sampler, err.text);
	if (run_save(run, &saved, &size, &err))
		fail_msg("%s: %s", sampler, err.text);
	for (int i = 0; i < run_steps(run); i++) {
		if (run_step(run, &err))
			fail_msg("%s: %s", sampler, err.text);
		if (run_restore(pack, &r.params, saved, size, &other, &err))
			fail_msg("%s, step %d: %s", sampler, i, err.text);
		free(saved);
		assert_int_equal(run_steps_done(other), i);
		assert_int_equal(run_step(other, &err), 0);
		assert_int_equal(run_save(other, &saved, &size, &err), 0);
		const float *b = run_latents(other, false, &count);
		assert_memory_equal(run_latents(run, false, &count), b, count * sizeof *b);
		if (i + 1 == run_steps(run))
			assert_int_equal(run_decode(other, 0, pieces, &err), 0);
		run_free(other);
	}
	assert_int_equal(run_decode(run, 0, straight, &err), 0);
	assert_memory_equal(straight, pieces, pixels * sizeof *pieces);
	free(saved);
	free(straight);
	free(pieces);
	run_free(run);
	pack_close(pack);
	free_reference(&r);
}

static void interrupted_runs(void **state)
{
	static const char *const samplers[] = {"ddpm",     "ddim",         "pndm", "euler",
					       "euler_a",  "heun",         "lcm",  "tcd",
					       "dpmpp_2m", "dpmpp_2m_sde", "unipc"};
	(void)state;
	for (size_t i = 0; i < sizeof samplers / sizeof samplers[0]; i++)
		interrupted(samplers[i]);
}

static void refused_states(void **state)
{
	struct reference r;
	struct error err = {0};
	struct pack *pack;
	struct run *run;
	unsigned char *saved;
	size_t size;
	(void)state;
	load_reference(&r, "taesd-tiny");
	assert_int_equal(pack_open(devices[0], r.folder, &pack, &err), 0);
	assert_int_equal(run_begin(pack, &r.params, &run, &err), 0);
	assert_int_equal(run_step(run, &err), 0);
	assert_int_equal(run_save(run, (void **)&saved, &size, &err), 0);
	run_free(run);
	struct run_params other = r.params;
	other.seed++;
	assert_int_equal(run_restore(pack, &other, saved, size, &run, &err), SUMI_INVALID);
	assert_null(run);
	other = r.params;
	assert_string_equal(other.negative_prompt, "");
	other.negative_prompt = NULL;
	assert_int_equal(run_restore(pack, &other, saved, size, &run, &err), SUMI_INVALID);
	for (size_t n = 0; n < size; n += 37)
		assert_int_equal(run_restore(pack, &r.params, saved, n, &run, &err), SUMI_CORRUPT);
	for (size_t n = 0; n < size; n += 41) {
		saved[n] ^= 4;
		assert_int_equal(run_restore(pack, &r.params, saved, size, &run, &err),
				 SUMI_CORRUPT);
		saved[n] ^= 4;
	}
	assert_int_equal(run_restore(pack, &r.params, saved, size, &run, &err), 0);
	run_free(run);
	free(saved);
	pack_close(pack);
	free_reference(&r);
}

/* A pack of links to sd1-tiny, but for the numbers of its VAE, all of which are NaN or, too large, the largest bfloat16. */
static void break_vae(const char *root, bool too_large)
{
	static const char *const parts[] = {"model_index.json", "scheduler",    "text_encoder",
					    "tokenizer",        "unet",         "vae/config.json"};
	static const char weights[] = "vae/diffusion_pytorch_model.safetensors";
	char from[FILES_PATH_MAX], to[FILES_PATH_MAX], *data;
	struct error err;
	size_t size;
	snprintf(to, sizeof to, "%s/vae", root);
	assert_int_equal(files_make_dirs(to, 0700, &err), 0);
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		snprintf(from, sizeof from, "tests/vectors/sd1-tiny/%s", parts[i]);
		char *target = realpath(from, NULL);
		assert_non_null(target);
		snprintf(to, sizeof to, "%s/%s", root, parts[i]);
		assert_int_equal(symlink(target, to), 0);
		free(target);
	}
	snprintf(from, sizeof from, "tests/vectors/sd1-tiny/%s", weights);
	snprintf(to, sizeof to, "%s/%s", root, weights);
	assert_int_equal(files_read(from, 64 << 20, &data, &size, &err), 0);
	size_t header = 8 + (unsigned char)data[0] + ((size_t)(unsigned char)data[1] << 8) +
			((size_t)(unsigned char)data[2] << 16);
	char *broken = malloc(2 * size);
	size_t end = 8;
	assert_non_null(broken);
	for (size_t i = 8; i < header; i++) {
		if (too_large && memcmp(data + i, "F16", 3) == 0)
			broken[end++] = 'B';
		broken[end++] = data[i];
	}
	for (size_t i = 0; i < 8; i++)
		broken[i] = (char)((end - 8) >> 8 * i & 0xff);
	memset(broken + end, too_large ? 0x7f : 0xff, size - header);
	assert_int_equal(files_write_durable(to, broken, end + size - header, &err), 0);
	free(broken);
	free(data);
}

static int decode_broken(bool too_large, struct error *err)
{
	char root[] = "/tmp/sumi-run-XXXXXX", command[64];
	struct pack *pack = NULL;
	struct run *run = NULL;
	struct run_params p = {
	    .prompt = "fog", .steps = 1, .cfg_scale = 1, .width = 64, .height = 64, .frames = 1};
	float *out = malloc(64 * 64 * 3 * sizeof *out);
	assert_non_null(out);
	assert_non_null(mkdtemp(root));
	break_vae(root, too_large);
	int status = pack_open(devices[0], root, &pack, err);
	status = status ? status : run_begin(pack, &p, &run, err);
	status = status ? status : run_step(run, err);
	status = status ? status : run_decode(run, 0, out, err);
	run_free(run);
	pack_close(pack);
	free(out);
	snprintf(command, sizeof command, "rm -r %s", root);
	assert_int_equal(system(command), 0);
	return status;
}

static void a_broken_decoder_paints_nothing(void **state)
{
	(void)state;
	struct error err = {0};
	assert_int_equal(decode_broken(true, &err), SUMI_DEVICE);
	assert_non_null(strstr(err.text, "the autoencoder gave "));
}

/* By the file and the tensor, before anything is computed with it. */
static void weights_that_are_no_numbers_are_refused(void **state)
{
	(void)state;
	struct error err = {0};
	assert_int_equal(decode_broken(false, &err), SUMI_INVALID);
	if (!strstr(err.text, "vae/diffusion_pytorch_model.safetensors: a number of tensor '") ||
	    !strstr(err.text, "is NaN or infinite"))
		fail_msg("%s", err.text);
}

static void refused_parameters(void **state)
{
	static const struct {
		int width, height, steps;
		double cfg_scale;
		const char *prompt, *sampler;
		const char *says;
	} rows[] = {
	    {63, 64, 4, 1, "x", NULL, "multiples of 8"},
	    {64, 0, 4, 1, "x", NULL, "multiples of 8"},
	    {64, -8, 4, 1, "x", NULL, "multiples of 8"},
	    {1 << 20, 64, 4, 1, "x", NULL, "8192"},
	    {64, 64, 0, 1, "x", NULL, "steps"},
	    {64, 64, 4, (double)NAN, "x", NULL, "cfg_scale"},
	    {64, 64, 4, 1, "a\xff", NULL, "UTF-8"},
	    {64, 64, 4, 1, "x", "nonsense", "nonsense"},
	};
	struct reference r;
	struct error err = {0};
	struct pack *pack;
	struct run *run;
	(void)state;
	load_reference(&r, "sd1-tiny");
	assert_int_equal(pack_open(devices[0], r.folder, &pack, &err), 0);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct run_params p = r.params;
		p.width = rows[i].width;
		p.height = rows[i].height;
		p.steps = rows[i].steps;
		p.cfg_scale = rows[i].cfg_scale;
		p.prompt = rows[i].prompt;
		p.sampler = rows[i].sampler;
		assert_int_equal(run_begin(pack, &p, &run, &err), SUMI_INVALID);
		assert_null(run);
		if (!strstr(err.text, rows[i].says))
			fail_msg("row %zu: %s", i, err.text);
	}
	pack_close(pack);
	free_reference(&r);
}

/* As a decoder or an encoder of a large picture leaves it. */
static void leave_at_rest(struct device *d)
{
	struct buffer *b;
	struct error err;
	assert_int_equal(device_buffer_new(d, (size_t)128 << 20, &b, &err), SUMI_OK);
	device_buffer_free(d, b);
	assert_true(d->bytes_peak - d->bytes_in_use >= (size_t)128 << 20);
}

static void steps_begin_with_memory_given_back(void **state)
{
	(void)state;
	struct reference r;
	struct pack *pack;
	struct run *run;
	struct error err;
	void *data = NULL;
	size_t size = 0;
	if (device_count < 2)
		skip();
	struct device *d = devices[1];
	load_reference(&r, "sd1-tiny");
	assert_int_equal(pack_open(d, r.folder, &pack, &err), 0);
	leave_at_rest(d);
	assert_int_equal(run_begin(pack, &r.params, &run, &err), 0);
	assert_true(d->bytes_peak - d->bytes_in_use < (size_t)64 << 20);
	assert_int_equal(run_step(run, &err), 0);
	assert_int_equal(run_save(run, &data, &size, &err), 0);
	run_free(run);
	leave_at_rest(d);
	assert_int_equal(run_restore(pack, &r.params, data, size, &run, &err), 0);
	assert_true(d->bytes_peak - d->bytes_in_use < (size_t)64 << 20);
	free(data);
	run_free(run);
	pack_close(pack);
	free_reference(&r);
}

static int open_devices(void **state)
{
	struct error err;
	(void)state;
	if (device_open("reference", &devices[device_count], &err))
		return -1;
	device_count++;
	if (device_open("opencl:0", &devices[device_count], &err) == 0)
		device_count++;
	return 0;
}

static int close_devices(void **state)
{
	(void)state;
	while (device_count)
		device_close(devices[--device_count]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(whole_pictures),     cmocka_unit_test(image_to_image),
	    cmocka_unit_test(interrupted_runs),   cmocka_unit_test(refused_states),
	    cmocka_unit_test(refused_parameters), cmocka_unit_test(a_broken_decoder_paints_nothing),
	    cmocka_unit_test(weights_that_are_no_numbers_are_refused),
	    cmocka_unit_test(steps_begin_with_memory_given_back),
	};
	return cmocka_run_group_tests(tests, open_devices, close_devices);
}
