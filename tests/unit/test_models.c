/* Text encoder, UNet and autoencoders against the stages that float32 diffusers dumped
 * (tests/vectors/README.md), on every device of this machine. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/files.h"
#include "networks/text_encoder.h"
#include "networks/unet.h"
#include "networks/vae.h"
#include "tests/unit/vector_file.h"
#include "check.h"

/* Largest difference, relative to the largest value of the stage. */
#define TOLERANCE 1e-4
/* The same with activations stored as half floats, whose own step is 1e-3. */
#define HALF_TOLERANCE 2e-2

static const char *const packs[] = {"sd1-tiny", "sd1-odd",     "sd2-tiny",
				    "snr-tiny", "levels-tiny", "taesd-tiny"};
enum { PACKS = sizeof packs / sizeof packs[0] };

static struct device *devices[2];
static int device_count;

/* What a test checks a forward pass with. */
struct stage_check {
	struct tensor_file *dump;
	const char *prefix; /* of the dump's names: "unet." */
	struct device *device;
	bool *seen; /* by entry of the dump */
	double worst;
	char worst_name[128];
};

/* --- layouts --- */

/* torch's [n, c, pixels] to [n, pixels, c]. */
static float *channels_last(const float *x, size_t n, size_t c, size_t pixels)
{
	float *y = malloc(n * c * pixels * sizeof *y);
	assert_non_null(y);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < c; k++)
			for (size_t p = 0; p < pixels; p++)
				y[(i * pixels + p) * c + k] = x[(i * c + k) * pixels + p];
	return y;
}

/* A tensor of the dump in our layout; the caller frees it. shape may be NULL. */
static float *load(const struct tensor_file *dump, const char *name, int shape[4])
{
	size_t count;
	float *x = vector_copy(dump, name, &count);
	const struct tensor_entry *e = tensors_find(dump, name);
	if (shape)
		for (int i = 0; i < 4; i++)
			shape[i] = i < e->rank ? (int)e->shape[i] : 1;
	if (e->rank != 4)
		return x;
	float *y = channels_last(x, (size_t)e->shape[0], (size_t)e->shape[1],
				 (size_t)(e->shape[2] * e->shape[3]));
	free(x);
	return y;
}

static bool has(const struct tensor_file *dump, const char *name)
{
	return tensors_find(dump, name) != NULL;
}

static struct tensor_file *open_dump(const char *pack)
{
	char name[64];
	snprintf(name, sizeof name, "%s.safetensors", pack);
	return vector_file_open(name);
}

static const char *folder(const char *pack, const char *part)
{
	static char path[128];
	snprintf(path, sizeof path, "tests/vectors/%s/%s", pack, part);
	return path;
}

static bool has_part(const struct tensor_file *dump, const char *prefix)
{
	for (size_t i = 0; i < tensors_count(dump); i++)
		if (strncmp(tensors_at(dump, i)->name, prefix, strlen(prefix)) == 0)
			return true;
	return false;
}

/* --- comparing --- */

static void note(struct stage_check *check, const char *name, const float *got)
{
	int shape[4];
	float *want = load(check->dump, name, shape);
	size_t count = (size_t)shape[0] * (size_t)shape[1] * (size_t)shape[2] * (size_t)shape[3];
	double distance = vector_distance(got, want, count);
	free(want);
	check->seen[tensors_find(check->dump, name) - tensors_at(check->dump, 0)] = true;
	if (!(distance <= check->worst)) {
		check->worst = distance;
		snprintf(check->worst_name, sizeof check->worst_name, "%s", name);
	}
}

/* Compares a stage with the dump's tensor of that name, if it has one. Failing in here
 * would jump out of the forward pass, so that is left to check_end(). */
static void on_stage(void *user, const char *name, const struct map *x)
{
	struct stage_check *check = user;
	char full[256];
	snprintf(full, sizeof full, "%s%s", check->prefix, name);
	if (!has(check->dump, full))
		snprintf(full, sizeof full, "%smodule.%s", check->prefix, name);
	const struct tensor_entry *e = tensors_find(check->dump, full);
	size_t count = x->t.rows * (size_t)x->t.c;
	if (!e)
		return;
	if (e->bytes != count * sizeof(float)) {
		check->worst = HUGE_VAL;
		snprintf(check->worst_name, sizeof check->worst_name, "size of %s", name);
		return;
	}
	float *got = malloc(count * sizeof *got);
	struct pass p = pass_begin(check->device, NULL, NULL);
	pass_download(&p, x, got);
	if (p.status)
		check->worst = HUGE_VAL;
	else
		note(check, full, got);
	free(got);
}

static struct stage_check check_begin(struct tensor_file *dump, const char *prefix,
				      struct device *device)
{
	struct stage_check check = {.dump = dump, .prefix = prefix, .device = device};
	check.seen = calloc(tensors_count(dump), sizeof *check.seen);
	assert_non_null(check.seen);
	return check;
}

/* Stages of the dump that have no tensor of their own here: they are fused with what
 * stands beside them, or are inputs. */
static bool is_fused(const char *name)
{
	static const char *const parts[] = {
	    ".in",
	    ".in.",
	    ".time_emb_proj",
	    ".conv1",
	    ".resnets.0.norm1",
	    ".attn1",
	    ".attn2",
	    ".ff",
	    ".0.norm1",
	    ".ids",
	    ".pooled",
	    "dec.layer.0",
	    "dec.layer.18",
	    "dec.layer.5",
	    "dec.layer.10",
	    "dec.layer.15",
	    "enc.layer.14",
	};
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		const char *at = strstr(name, parts[i]);
		size_t n = strlen(parts[i]);
		if (at && (at[n] == '\0' || parts[i][n - 1] == '.'))
			return true;
	}
	return false;
}

/* Every stage under the prefix must have been compared, and be close. */
static void check_end(struct stage_check *check, const char *pack)
{
	for (size_t i = 0; i < tensors_count(check->dump); i++) {
		const char *name = tensors_at(check->dump, i)->name;
		if (strncmp(name, check->prefix, strlen(check->prefix)) == 0 && !check->seen[i] &&
		    !is_fused(name))
			fail_msg("%s: stage %s was not compared", pack, name);
	}
	free(check->seen);
	double allowed = check->device->activation_dtype == DTYPE_F16 ? HALF_TOLERANCE : TOLERANCE;
	if (!(check->worst <= allowed))
		fail_msg("%s on %s: %s differs by %g", pack, check->device->info.name,
			 check->worst_name, check->worst);
}

static struct tap tap_of(struct stage_check *check)
{
	return (struct tap){.call = on_stage, .user = check};
}

#define assert_ok(call, err)                                                                       \
	do {                                                                                       \
		if (call)                                                                          \
			fail_msg("%s", (err).text);                                                \
	} while (0)

/* --- text encoder --- */

static void encode(struct text_encoder *te, const struct text_input *in, struct stage_check *check,
		   const char *name)
{
	struct error err = {0};
	size_t count = (size_t)in->n * (size_t)in->tokens * (size_t)text_encoder_config(te)->width;
	float *out = malloc(count * sizeof *out);
	assert_non_null(out);
	assert_ok(text_encoder_forward(te, in, out, &err), err);
	if (has(check->dump, name))
		note(check, name, out);
	free(out);
}

static void check_text(const char *pack, struct device *device)
{
	struct error err = {0};
	struct tensor_file *dump = open_dump(pack);
	struct text_encoder *te;
	assert_ok(text_encoder_open(device, folder(pack, "text_encoder"), false, &te, &err), err);
	static const char *const sides[] = {"text", "negative"};
	for (int side = 0; side < 2; side++) {
		char name[64];
		size_t count;
		snprintf(name, sizeof name, "%s.", sides[side]);
		struct stage_check check = check_begin(dump, name, device);
		char ids_name[64], last[64], skipped[64];
		snprintf(ids_name, sizeof ids_name, "%s.ids", sides[side]);
		snprintf(last, sizeof last, "%s.last_hidden", sides[side]);
		snprintf(skipped, sizeof skipped, "%s.penultimate_ln", sides[side]);
		float *numbers = vector_copy(dump, ids_name, &count);
		int32_t *ids = malloc(count * sizeof *ids);
		assert_non_null(ids);
		for (size_t i = 0; i < count; i++)
			ids[i] = (int32_t)numbers[i];
		struct text_input in = {
		    .ids = ids, .n = 1, .tokens = (int)count, .tap = tap_of(&check)};
		encode(te, &in, &check, last);
		in.clip_skip = 1;
		if (text_encoder_config(te)->layers > 1)
			encode(te, &in, &check, skipped);
		free(ids);
		free(numbers);
		check_end(&check, pack);
	}
	text_encoder_close(te);
	tensors_close(dump);
}

/* The second encoder of Stable Diffusion XL: each state, and the projected one of the text's end,
 * also of two rows at once. */
static void check_projected(struct device *device)
{
	struct error err = {0};
	struct tensor_file *dump = open_dump("sdxl-tiny");
	struct text_encoder *te;
	assert_ok(text_encoder_open(device, folder("sdxl-tiny", "text_encoder_2"), true, &te, &err),
		  err);
	const struct text_config *config = text_encoder_config(te);
	size_t count, width = (size_t)config->projection;
	float *numbers = vector_copy(dump, "text.2.ids", &count);
	float *negative = vector_copy(dump, "negative.2.ids", &count);
	int32_t ids[2 * 77];
	assert_int_equal(count, 77);
	for (size_t i = 0; i < 2 * count; i++)
		ids[i] = (int32_t)(i < count ? negative[i] : numbers[i - count]);
	float *out = malloc(2 * count * (size_t)config->width * sizeof *out), pooled[2 * 24];
	struct stage_check check = check_begin(dump, "text.2.", device);
	struct text_input in = {.ids = ids + 77,
				.n = 1,
				.tokens = 77,
				.penultimate = true,
				.pooled = pooled,
				.tap = tap_of(&check)};
	assert_ok(text_encoder_forward(te, &in, out, &err), err);
	note(&check, "text.2.pooled", pooled);
	note(&check, "text.2.hidden.2", out); /* of 3 layers */
	in.tap.call = NULL;
	in.ids = ids;
	in.n = 2;
	assert_ok(text_encoder_forward(te, &in, out, &err), err);
	note(&check, "pair.negative.pooled", pooled);
	note(&check, "text.2.pooled", pooled + width);
	check_end(&check, "sdxl-tiny");
	text_encoder_close(te);
	assert_ok(text_encoder_open(device, folder("sdxl-tiny", "text_encoder_2"), false, &te, &err),
		  err);
	assert_int_equal(text_encoder_forward(te, &in, out, &err), SUMI_INVALID);
	text_encoder_close(te);
	free(out);
	free(negative);
	free(numbers);
	tensors_close(dump);
}

/* --- UNet --- */

/* What stands beside the time: of one text, or of two with the same ids. */
static float *embed_added(struct unet *unet, struct tensor_file *dump, const char *first,
			  const char *second, const char *ids_name)
{
	struct error err = {0};
	int shape[4], ids_shape[4], n = second ? 2 : 1;
	float *ids = load(dump, ids_name, ids_shape), *one = load(dump, first, shape);
	float *other = load(dump, second ? second : first, NULL);
	size_t count = (size_t)shape[1], id_count = (size_t)ids_shape[1];
	float *pooled = malloc(2 * count * sizeof *pooled);
	float *both = malloc(2 * id_count * sizeof *both);
	float *out = malloc(2 * (size_t)unet_config(unet)->time_width * sizeof *out);
	memcpy(pooled, one, count * sizeof *pooled);
	memcpy(pooled + count, other, count * sizeof *pooled);
	memcpy(both, ids, id_count * sizeof *ids);
	memcpy(both + id_count, ids, id_count * sizeof *ids);
	assert_ok(unet_embed_added(unet, pooled, (int)count, both, (int)id_count, n, out, &err),
		  err);
	assert_int_equal(unet_embed_added(unet, pooled, (int)count, both, (int)id_count - 1, n, out,
					  &err),
			 SUMI_INVALID);
	free(both);
	free(pooled);
	free(other);
	free(one);
	free(ids);
	return out;
}

/* One call with batch 1, every stage. */
static void check_unet_stages(const char *pack, struct unet *unet, struct tensor_file *dump,
			      struct device *device)
{
	struct error err = {0};
	struct stage_check check = check_begin(dump, "unet.", device);
	int shape[4], text_shape[4];
	float *latents = load(dump, "unet.in.sample", shape);
	float *context = load(dump, "unet.in.context", text_shape);
	float *timestep = load(dump, "unet.in.timestep", NULL);
	float *cond = has(dump, "unet.in.time_cond") ? load(dump, "unet.in.time_cond", NULL) : NULL;
	float *added = has(dump, "unet.in.pooled")
			   ? embed_added(unet, dump, "unet.in.pooled", NULL, "unet.in.ids")
			   : NULL;
	if (added)
		note(&check, "unet.add_embedding", added);
	float *out = malloc((size_t)(shape[0] * shape[1] * shape[2] * shape[3]) * sizeof *out);
	struct unet_text *text;
	assert_ok(unet_text_new(unet, context, 1, text_shape[1], &text, &err), err);
	struct unet_input in = {.latents = latents,
				.n = 1,
				.h = shape[2],
				.w = shape[3],
				.timesteps = timestep,
				.time_cond = cond,
				.added = added,
				.text = text,
				.tap = tap_of(&check)};
	assert_ok(unet_forward(unet, &in, out, &err), err);
	note(&check, "unet.out", out);
	unet_text_free(text);
	free(out);
	free(added);
	free(cond);
	free(timestep);
	free(context);
	free(latents);
	check_end(&check, pack);
}

/* The first call of a run: unconditional and conditional in one batch. */
static void check_unet_batch(const char *pack, struct unet *unet, struct tensor_file *dump,
			     struct device *device)
{
	struct error err = {0};
	int shape[4], text_shape[4];
	float *latents = load(dump, "run.unet_in.0", shape);
	if (shape[0] != 2) { /* a distilled model, run without guidance */
		free(latents);
		return;
	}
	struct stage_check check = check_begin(dump, "run.unet_out.", device);
	bool pair = has(dump, "pair.tokens");
	float *positive = load(dump, pair ? "pair.tokens" : "text.last_hidden", text_shape);
	float *negative =
	    load(dump, pair ? "pair.negative.tokens" : "negative.last_hidden", NULL);
	float *added = pair ? embed_added(unet, dump, "pair.negative.pooled", "pair.pooled",
					  "run.ids")
			    : NULL;
	size_t half = (size_t)text_shape[1] * (size_t)text_shape[2];
	float *context = malloc(2 * half * sizeof *context);
	memcpy(context, negative, half * sizeof *context);
	memcpy(context + half, positive, half * sizeof *context);
	float *timesteps = load(dump, "run.timesteps", NULL);
	float both[] = {timesteps[0], timesteps[0]};
	float *out = malloc((size_t)(shape[0] * shape[1] * shape[2] * shape[3]) * sizeof *out);
	struct unet_text *text;
	assert_ok(unet_text_new(unet, context, 2, text_shape[1], &text, &err), err);
	struct unet_input in = {.latents = latents,
				.n = 2,
				.h = shape[2],
				.w = shape[3],
				.timesteps = both,
				.added = added,
				.text = text};
	assert_ok(unet_forward(unet, &in, out, &err), err);
	note(&check, "run.unet_out.0", out);
	unet_text_free(text);
	free(out);
	free(added);
	free(timesteps);
	free(context);
	free(negative);
	free(positive);
	free(latents);
	check_end(&check, pack);
}

static void check_unet(const char *pack, struct device *device)
{
	struct error err = {0};
	struct tensor_file *dump = open_dump(pack);
	struct unet *unet;
	assert_ok(unet_open(device, folder(pack, "unet"), &unet, &err), err);
	check_unet_stages(pack, unet, dump, device);
	check_unet_batch(pack, unet, dump, device);
	unet_close(unet);
	tensors_close(dump);
}

/* --- autoencoders --- */

static void check_decoder(const char *pack, struct vae *vae, struct tensor_file *dump,
			  struct device *device)
{
	struct error err = {0};
	const struct vae_config *c = vae_config(vae);
	struct stage_check check = check_begin(dump, "vae.dec.", device);
	int shape[4], out_shape[4];
	float *latents = load(dump, "vae.dec.in", shape);
	float *want = load(dump, "vae.dec.out", out_shape);
	float *out = malloc((size_t)(out_shape[1] * out_shape[2] * out_shape[3]) * sizeof *out);
	struct vae_input in = {
	    .values = latents, .n = 1, .h = shape[2], .w = shape[3], .tap = tap_of(&check)};
	assert_int_equal(out_shape[2], shape[2] * c->scale);
	assert_ok(vae_decode(vae, &in, out, &err), err);
	note(&check, "vae.dec.out", out);
	free(out);
	free(want);
	free(latents);
	check_end(&check, pack);
}

static void check_encoder(const char *pack, struct vae *vae, struct tensor_file *dump,
			  struct device *device)
{
	struct error err = {0};
	const struct vae_config *c = vae_config(vae);
	struct stage_check check = check_begin(dump, "vae.enc.", device);
	int shape[4];
	float *picture = load(dump, "vae.enc.in", shape);
	size_t count = (size_t)(shape[2] / c->scale) * (size_t)(shape[3] / c->scale) *
		       (size_t)c->latent_channels;
	float *mean = malloc(count * sizeof *mean), *deviation = malloc(count * sizeof *deviation);
	struct vae_input in = {
	    .values = picture, .n = 1, .h = shape[2], .w = shape[3], .tap = tap_of(&check)};
	assert_ok(vae_encode(vae, &in, mean, deviation, &err), err);
	for (size_t i = 0; i < count; i++)
		deviation[i] = expf(0.5f * deviation[i]); /* it was the variance's logarithm */
	if (c->kind == VAE_KL) {
		note(&check, "vae.enc.mean", mean);
		note(&check, "vae.enc.std", deviation);
	} else {
		note(&check, "vae.enc.out", mean);
	}
	free(mean);
	free(deviation);
	free(picture);
	check_end(&check, pack);
}

static void check_vae(const char *pack, struct device *device)
{
	struct error err = {0};
	struct tensor_file *dump = open_dump(pack);
	struct vae *vae = NULL;
	assert_ok(vae_open(device, folder(pack, "vae"), &vae, &err), err);
	if (has_part(dump, "vae.")) {
		check_decoder(pack, vae, dump, device);
		check_encoder(pack, vae, dump, device);
	}
	vae_close(vae);
	tensors_close(dump);
}

/* --- the tests --- */

static void on_all(void (*check)(const char *pack, struct device *device), const char *more)
{
	for (int d = 0; d < device_count; d++) {
		size_t before = devices[d]->bytes_in_use;
		for (int i = 0; i < PACKS; i++)
			check(packs[i], devices[d]);
		if (more)
			check(more, devices[d]);
		assert_int_equal(devices[d]->bytes_in_use, before);
	}
}

static void test_text_encoders(void **state)
{
	(void)state;
	on_all(check_text, NULL);
	for (int d = 0; d < device_count; d++)
		check_projected(devices[d]);
}

static void test_unets(void **state)
{
	(void)state;
	on_all(check_unet, "sdxl-tiny");
	on_all(check_unet, "cut-tiny");
	on_all(check_unet, "plain-tiny");
}

static void test_vaes(void **state)
{
	(void)state;
	on_all(check_vae, NULL);
}

static void test_half_activations(void **state)
{
	(void)state;
	for (int d = 0; d < device_count; d++) {
		enum dtype own = devices[d]->activation_dtype;
		devices[d]->activation_dtype = DTYPE_F16;
		check_text("sd1-tiny", devices[d]);
		check_unet("sd1-tiny", devices[d]);
		check_projected(devices[d]);
		check_unet("sdxl-tiny", devices[d]);
		check_vae("sd1-tiny", devices[d]);
		check_vae("taesd-tiny", devices[d]);
		devices[d]->activation_dtype = own;
	}
}

static int open_devices(void **state)
{
	(void)state;
	struct error err = {0};
	struct device_info infos[8];
	if (device_open("reference", &devices[0], &err)) {
		print_error("%s\n", err.text);
		return -1;
	}
	device_count = 1;
	int count = device_list(infos, 8, &err);
	if (count > 1 && strcmp(infos[0].selector, "reference") != 0) {
		if (device_open(infos[0].selector, &devices[1], &err)) {
			print_error("%s\n", err.text);
			return -1;
		}
		device_count = 2;
	}
	return 0;
}

static int close_devices(void **state)
{
	(void)state;
	for (int i = 0; i < device_count; i++)
		device_close(devices[i]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_text_encoders), cmocka_unit_test(test_unets),
	    cmocka_unit_test(test_vaes),          cmocka_unit_test(test_half_activations),
	};
	return cmocka_run_group_tests(tests, open_devices, close_devices);
}
