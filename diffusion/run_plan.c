/* What a run will need, before it needs it: windows of frames, tiles, memory. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "diffusion/run_internal.h"
#include "networks/pass.h"

/* Bytes below which no tensor is cut further for the sake of an operation. */
#define LEAST (UINT64_C(1) << 20)

unsigned run_wrap(const struct run_params *p)
{
	static const struct {
		const char *word;
		unsigned wrap;
	} words[] = {{"x", WRAP_X}, {"y", WRAP_Y}, {"both", WRAP_X | WRAP_Y}};
	for (size_t i = 0; p->tile && i < sizeof words / sizeof words[0]; i++)
		if (strcmp(words[i].word, p->tile) == 0)
			return words[i].wrap;
	return 0;
}

/* What coding a picture may always take. */
#define CODING (UINT64_C(1) << 30)

/* What coding a picture shall take at most: half of the device's memory, and half of a denoiser that was made
 * small. 0: anything. */
static uint64_t most_of_coding(const struct pack *pack)
{
	uint64_t most = pack->device->info.memory / 2, denoiser = pack->bytes[PART_DENOISER];
	uint64_t small = denoiser / 2 > CODING ? denoiser / 2 : CODING;
	return pack->in_blocks && (most == 0 || small < most) ? small : most;
}

/* In pieces where the whole picture would take more than that, or a larger buffer than the device
 * gives. What is in use at the moment does not count: the same run must give the
 * same bytes. false: not even a small tile fits. */
static bool plan_pieces(const struct pack *pack, struct codec_job *job, bool encoding)
{
	const struct device_info *d = &pack->device->info;
	struct codec *codec = pack->codec;
	enum dtype dtype = pack->device->activation_dtype;
	const struct codec_job whole = *job;
	uint64_t bytes = most_of_coding(pack);
	struct error ignored;
	if (!codec_plan(codec, job, encoding, bytes, d->max_alloc, dtype))
		return false;
	/* What is too large for its operations goes in smaller pieces too. */
	uint64_t most = codec_largest(codec, job);
	while (codec_supported(codec, job, encoding, &ignored) == SUMI_TOOBIG && (most /= 2) > LEAST) {
		*job = whole;
		if (!codec_plan(codec, job, encoding, bytes, most, dtype))
			break;
	}
	return true; /* what is not supported in any pieces is refused by that: run_plan_supported() */
}

/* Windows of the width are decoded in tiles of their size, and a circle as one. */
static int window_tile(const struct run *run, int width)
{
	int window = run->window.w, height = run->latents.height;
	int tile = window > height ? window : height;
	return width > tile && tile >= CODEC_TILE_MIN ? tile : 0;
}

int run_plan_decode(const struct run *run, struct codec_job *job, struct error *err)
{
	const struct device_info *d = &run->pack->device->info;
	*job = (struct codec_job){
	    .frames = 1, .height = run->latents.height, .width = run->latents.width, .wrap = run->wrap};
	if (run->window.w) {
		job->circular = run->window.circular;
		int margin = job->circular ? run->pack->codec->reach : 0;
		job->tile = window_tile(run, job->width + 2 * margin);
		return SUMI_OK;
	}
	if (!plan_pieces(run->pack, job, false))
		return error_set(err, SUMI_TOOBIG,
				 "%s has too little memory to decode even a small tile: %llu MiB",
				 d->name, (unsigned long long)(d->memory >> 20));
	return SUMI_OK;
}

struct latent_spec run_plan_latents(const struct pack_info *info, const struct run_params *p)
{
	struct latent_spec spec = info->latents;
	spec.frames = p->frames;
	spec.height = p->height / spec.scale;
	spec.width = p->width / spec.scale;
	return spec;
}

struct denoiser_plan run_plan_denoiser(const struct pack_info *info, const struct run_params *p,
				       const struct denoiser_spec *spec, int tokens)
{
	return (struct denoiser_plan){
	    .frames = p->frames,
	    .h = (p->patch_height ? p->patch_height : p->height) / info->latents.scale,
	    .w = (p->window ? p->window : p->patch_width ? p->patch_width : p->width) / info->latents.scale,
	    /* A circle of patches has no edges that are one within any of them. */
	    .wrap = run_wrap(p) & ~((p->patch_width ? WRAP_X : 0u) | (p->patch_height ? WRAP_Y : 0u)),
	    .circular = p->circular,
	    .travels = p->travel_count > 0,
	    .texts = spec->embeds_guidance ? 1 : run_text_count(p, p->cfg_scale != 1),
	    .tokens = tokens,
	    .level = p->deep_cache < 2     ? 0
		     : p->deep_cache_level ? p->deep_cache_level
					   : 1,
	    .guidance = p->cfg_scale,
	};
}

/* Bytes of one step, and some of those by name; 0 where the pack's configs cannot be read. known, tokens:
 * where they are loaded already; NULL, 0: their configs are read. */
static uint64_t step_memory(const struct pack_info *info, const struct denoiser *known, int tokens,
			    const struct run_params *p, enum dtype dtype,
			    struct denoiser_needs *needs)
{
	struct denoiser *read = NULL;
	struct conditioner_shape texts = {.tokens = tokens};
	struct error ignored;
	if (!known && denoiser_open(info->family->denoiser, NULL, info,
				    pack_denoiser_part(info, p->fast), &read, &ignored))
		return 0;
	const struct denoiser *denoiser = known ? known : read;
	uint64_t bytes = 0;
	if (tokens || !conditioner_shape_read(info->family->conditioner, info, &texts, &ignored)) {
		struct denoiser_spec spec = denoiser_spec(denoiser);
		struct denoiser_plan plan = run_plan_denoiser(info, p, &spec, texts.tokens);
		struct control_use uses[RUN_CONTROLS_MAX];
		if (!run_read_controls(p, uses, &ignored)) {
			plan.controls = uses;
			plan.control_count = p->control_count;
			bytes = denoiser->kind->memory(denoiser, &plan, dtype, needs);
			run_drop_controls(uses, p->control_count);
		}
	}
	denoiser_close(read);
	return bytes;
}

/* Of the denoiser of such a run. */
static uint64_t weight_bytes(const struct pack *pack, const struct run_params *p)
{
	return pack->bytes[p->fast && pack->info.has_fast ? PART_DISTILLED : PART_DENOISER];
}

uint64_t run_plan_step(const struct pack *pack, const struct run_params *p,
		       struct denoiser_needs *needs)
{
	const struct denoiser *known =
	    pack->denoisers[p->fast && pack->info.has_fast ? 1 : 0].open;
	return step_memory(&pack->info, known, pack->texts.tokens, p, pack->device->activation_dtype, needs);
}

/* What the device says of the first operation of a step that it does not support. */
static int supports_step(struct pack *pack, const struct run_params *p, struct error *err)
{
	const struct pack_info *info = &pack->info;
	struct denoiser *read = NULL, *known = pack->denoisers[p->fast && info->has_fast ? 1 : 0].open;
	int status = known ? SUMI_OK
			   : denoiser_open(info->family->denoiser, NULL, info,
					   pack_denoiser_part(info, p->fast), &read, err);
	const struct denoiser *denoiser = known ? known : read;
	if (!status && denoiser->kind->supported) {
		struct denoiser_spec spec = denoiser_spec(denoiser);
		struct denoiser_plan plan = run_plan_denoiser(info, p, &spec, pack->texts.tokens);
		status = denoiser->kind->supported(denoiser, &plan, pack->device, err);
	}
	denoiser_close(read);
	return status;
}

static int init_frames(const struct run_params *p)
{
	return !p->init ? 0 : p->init_frames ? p->init_frames : p->frames;
}

/* What the run takes of the host's memory: latents of the sampler, pictures as floats while they
 * are decoded and read, and once more as bytes while they are written. */
static uint64_t host_bytes(const struct pack_info *info, const struct run_params *p)
{
	enum { LATENTS = 9 };
	const struct latent_spec *spec = &info->latents;
	uint64_t pixels = (uint64_t)p->width * (uint64_t)p->height, colours = (uint64_t)spec->colours;
	uint64_t latents = pixels / (uint64_t)(spec->scale * spec->scale) *
			   (uint64_t)spec->channels * (uint64_t)p->frames;
	uint64_t shown = pixels * 3 * sizeof(float) * (uint64_t)p->control_count;
	for (int i = 0; i < p->control_count; i++)
		shown += p->controls[i].mask ? pixels * sizeof(float) : 0;
	return latents * sizeof(float) * LATENTS + pixels * colours * (sizeof(float) + 1) + shown +
	       (p->init ? pixels * (uint64_t)init_frames(p) * colours * sizeof(float) : 0);
}

/* Bytes that decoding a frame takes on the device; UINT64_MAX where it cannot be done. */
static uint64_t decode_bytes(const struct pack *pack, const struct run_params *p)
{
	int scale = pack->info.latents.scale;
	struct codec_job job = {.frames = 1,
				.height = p->height / scale,
				.width = (p->window ? p->window : p->width) / scale,
				.wrap = run_wrap(p)};
	if (!p->window && !plan_pieces(pack, &job, false))
		return UINT64_MAX;
	return codec_memory(pack->codec, &job, false, pack->device->activation_dtype);
}

struct codec_job run_plan_encode(const struct pack *pack, const struct run_params *p)
{
	int scale = pack->info.latents.scale;
	struct codec_job job = {.frames = init_frames(p),
				.height = p->height / scale,
				.width = p->width / scale,
				.circular = p->window && p->circular,
				.wrap = run_wrap(p),
				.window = p->window / scale};
	/* What fits in no pieces either is refused by its size as one. */
	if (!p->window)
		(void)plan_pieces(pack, &job, true);
	return job;
}

int run_plan_supported(struct pack *pack, const struct run_params *p, struct error *err)
{
	int scale = pack->info.latents.scale, status = supports_step(pack, p, err);
	struct codec_job job = {.frames = 1,
				.height = p->height / scale,
				.width = (p->window ? p->window : p->width) / scale,
				.wrap = run_wrap(p)};
	if (!status && (p->window || plan_pieces(pack, &job, false)))
		status = codec_supported(pack->codec, &job, false, err);
	if (!status && p->init) {
		job = run_plan_encode(pack, p);
		status = codec_supported(pack->codec, &job, true, err);
	}
	return status ? error_prefix(err, "%dx%d", p->width, p->height) : SUMI_OK;
}

/* Bytes that encoding the pictures takes that the run starts from. */
static uint64_t encode_bytes(const struct pack *pack, const struct run_params *p)
{
	if (!p->init)
		return 0;
	struct codec_job job = run_plan_encode(pack, p);
	return codec_memory(pack->codec, &job, true, pack->device->activation_dtype);
}

static uint64_t largest_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* "a video of 16 frames of 512x512 needs 3.10 GiB in one piece, this device has 2.00 (NAME)…" */
static int too_large(const struct run_params *p, uint64_t need, const char *how, const char *what,
		     uint64_t there, const char *name, struct error *err)
{
	char frames[48] = "";
	if (p->frames > 1)
		snprintf(frames, sizeof frames, "a video of %d frames of ", p->frames);
	return error_set(err, SUMI_TOOBIG,
			 "%s%dx%d needs %.2f GiB%s, this %s has %.2f (%s): ask for less", frames,
			 p->width, p->height, (double)need / (1 << 30), how, what,
			 (double)there / (1 << 30), name);
}

int run_fits_step(const struct pack_info *info, const struct run_params *p, uint64_t memory, const char *device,
		  struct error *err)
{
	struct denoiser_needs needs = {0};
	uint64_t least = step_memory(info, NULL, 0, p, DTYPE_F16, &needs);
	return least > memory ? too_large(p, least, "", "device", memory, device, err) : SUMI_OK;
}

/* Less than this cannot do: parts that need not be there at once, and what operations take for
 * themselves, are not counted. */
int run_plan_fits(struct pack *pack, const struct run_params *p, struct error *err)
{
	const struct device_info *d = &pack->device->info;
	struct denoiser_needs needs = {0};
	if (d->memory == 0)
		return SUMI_OK;
	uint64_t step = run_plan_step(pack, p, &needs);
	uint64_t weights = weight_bytes(pack, p) + run_control_bytes(NULL, p), host = host_bytes(&pack->info, p);
	uint64_t decode = decode_bytes(pack, p), machine = memory_limit();
	if (decode == UINT64_MAX)
		return error_set(err, SUMI_TOOBIG,
				 "this device has %.2f GiB (%s), too little to decode even a small "
				 "tile of %dx%d",
				 (double)d->memory / (1 << 30), d->name, p->width, p->height);
	uint64_t pictures = largest_of(decode, encode_bytes(pack, p));
	uint64_t need = largest_of(step + weights, pictures) + (d->is_cpu ? host : 0);
	if (need > d->memory)
		return too_large(p, need, "", "device", d->memory, d->name, err);
	if (d->max_alloc > 0 && needs.largest > d->max_alloc)
		return too_large(p, needs.largest, " in one piece", "device", d->max_alloc, d->name,
				 err);
	if (host > machine)
		return too_large(p, host, " beside the device", "machine", machine, "all of it",
				 err);
	/* What others use may be free later: that is worth another try. The device's own buffers
	 * that are at rest serve again. */
	uint64_t at_rest = pack->device->bytes_peak - pack->device->bytes_in_use;
	uint64_t now = memory_free("");
	uint64_t more = (d->is_cpu ? largest_of(step, pictures) : 0) + host;
	if (now < UINT64_MAX - at_rest && more > now + at_rest)
		return error_set(err, SUMI_NOMEM,
				 "%dx%d needs %.2f GiB beside the model, %.2f are free now on this "
				 "machine",
				 p->width, p->height, (double)more / (1 << 30),
				 (double)(now + at_rest) / (1 << 30));
	return SUMI_OK;
}

uint64_t run_memory(const struct pack_info *info, const struct run_params *p)
{
	char folder[FILES_PATH_MAX];
	struct codec *codec;
	struct denoiser_needs needs = {0};
	const struct family *family = info->family;
	int scale = info->latents.scale;
	struct codec_job job = {.frames = 1,
				.height = p->height / scale,
				.width = (p->window ? p->window : p->width) / scale,
				.wrap = run_wrap(p)};
	uint64_t step = step_memory(info, NULL, 0, p, DTYPE_F32, &needs), decode = 0;
	if (pack_part(info, family_folder(family, PART_CODEC), folder, NULL) == 0 &&
	    codec_open(family->codec, NULL, folder, NULL, &codec, NULL) == 0) {
		decode = needs.text + codec_memory(codec, &job, false, DTYPE_F32);
		codec_close(codec);
	}
	return step > decode ? step : decode;
}

uint64_t run_products(const struct pack_info *info, const struct run_params *p)
{
	struct denoiser_needs needs = {0};
	return step_memory(info, NULL, 0, p, DTYPE_F32, &needs) ? needs.products : 0;
}
