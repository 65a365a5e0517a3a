/* A run's state as bytes, and the rough picture of it.
 *
 *     "sumirun2"  8 bytes
 *     digest      64 bytes, hexadecimal: pack and parameters
 *     latents     count u64, float32 each
 *     sampler     sampler_save()
 *     generator   rng_save()
 *     session     count u64 (0 where the next evaluation needs nothing), float32 each
 *     check       u64, FNV-1a of all before */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/adapters.h"
#include "diffusion/run_internal.h"

static const char magic[8] = {'s', 'u', 'm', 'i', 'r', 'u', 'n', '2'};

static void add_text(struct bytes_writer *w, const char *text)
{
	size_t n = text ? strlen(text) : 0;
	bytes_put_u64(w, n);
	bytes_put(w, text, n);
}

/* No negative prompt may be another thing than an empty one. */
static void add_negative(struct bytes_writer *w, const char *text)
{
	if (text)
		add_text(w, text);
	else
		bytes_put_u64(w, UINT64_MAX);
}

int run_digest(struct run *run, const struct run_params *p, struct error *err)
{
	const struct pack *pack = run->pack;
	struct bytes_writer w = {0};
	size_t frames = (size_t)(p->init_frames ? p->init_frames : p->frames);
	/* What another run made is known by that one's parameters. */
	bool has_init = p->init && !p->last_steps;
	size_t init = has_init ? frames * (size_t)p->height * (size_t)p->width * (size_t)run->latents.colours : 0;
	add_text(&w, pack->info.digest);
	add_text(&w, p->prompt);
	add_negative(&w, p->negative_prompt);
	add_text(&w, p->sampler);
	add_text(&w, p->schedule);
	add_text(&w, p->rng);
	bytes_put_u64(&w, p->seed);
	bytes_put_u32(&w, (uint32_t)p->steps);
	bytes_put_u32(&w, (uint32_t)p->width);
	bytes_put_u32(&w, (uint32_t)p->height);
	bytes_put_u32(&w, (uint32_t)p->frames);
	bytes_put_u32(&w, (uint32_t)p->clip_skip);
	bytes_put_u32(&w, p->fast);
	bytes_put_u32(&w, p->circular);
	bytes_put_u32(&w, (uint32_t)p->window);
	bytes_put_u32(&w, (uint32_t)p->overlap);
	bytes_put_f64(&w, p->cfg_scale);
	bytes_put_f64(&w, p->guidance_rescale);
	bytes_put_f64(&w, p->guidance_start);
	bytes_put_f64(&w, p->guidance_end != 0 ? p->guidance_end : 1);
	bytes_put_u32(&w, (uint32_t)(p->deep_cache > 1 ? p->deep_cache : 1));
	bytes_put_u32(&w, (uint32_t)(p->deep_cache > 1 ? p->deep_cache_level : 0));
	bytes_put_f64(&w, p->eta);
	bytes_put_f64(&w, has_init ? p->strength : 0);
	bytes_put_u64(&w, bytes_hash(BYTES_HASH_START, p->init, init * sizeof(float)));
	if (p->precision && strcmp(p->precision, precision_names[PRECISION_EXACT]) != 0)
		add_text(&w, p->precision);
	run_text_identity(p, &w);
	run_travel_identity(p, &w);
	if (p->tile)
		add_text(&w, p->tile);
	if (p->patch_width || p->patch_height) {
		bytes_put_u32(&w, (uint32_t)p->patch_width);
		bytes_put_u32(&w, (uint32_t)p->patch_height);
		bytes_put_u32(&w, (uint32_t)p->patch_overlap);
	}
	if (p->mask) {
		size_t pixels = (size_t)p->height * (size_t)p->width;
		add_text(&w, p->mask_blend);
		add_text(&w, p->mask_fill);
		bytes_put_u64(&w, bytes_hash(BYTES_HASH_START, p->mask, pixels * sizeof *p->mask));
	}
	if (p->unknown)
		bytes_put_u32(&w, (uint32_t)p->unknown);
	if (p->from_latents || p->last_steps || p->from > 0 || (p->until > 0 && p->until < 1)) {
		bytes_put_u32(&w, p->from_latents);
		bytes_put_u32(&w, (uint32_t)p->last_steps);
		bytes_put_f64(&w, p->from);
		bytes_put_f64(&w, p->until);
	}
	static const struct conditioner_sizes as_it_is;
	if (memcmp(&p->sizes, &as_it_is, sizeof as_it_is) != 0)
		bytes_put(&w, &p->sizes, sizeof p->sizes);
	if (p->image_cfg_scale != 0)
		bytes_put_f64(&w, p->image_cfg_scale);
	adapters_identity(pack->adapters, &w);
	run_controls_identity(run, &w);
	int status = w.failed ? error_set(err, SUMI_NOMEM, "no memory for the digest of a run") : SUMI_OK;
	if (!status)
		sha256_hex(w.data, w.size, run->digest);
	free(w.data);
	return status;
}

int run_store(const struct run *run, size_t n, void **data, size_t *size, struct error *err)
{
	struct bytes_writer w = {0};
	bytes_put(&w, magic, sizeof magic);
	bytes_put(&w, run->digest, SHA256_HEX_SIZE - 1);
	bytes_put_u64(&w, n);
	bytes_put_f32s(&w, run->x, n);
	sampler_save(run->sampler, &w);
	rng_save(&run->rng, &w);
	size_t count = 0;
	const float *kept = !run->session ? NULL : session_kept(run->session, sampler_done(run->sampler), &count);
	bytes_put_u64(&w, count);
	if (kept)
		bytes_put_f32s(&w, kept, count);
	bytes_put_u64(&w, bytes_hash(BYTES_HASH_START, w.data, w.size));
	if (w.failed) {
		free(w.data);
		return error_set(err, SUMI_NOMEM, "no memory to save a run");
	}
	*data = w.data;
	*size = w.size;
	return SUMI_OK;
}

static int check_frame(const struct run *run, const void *data, size_t size, struct error *err)
{
	enum { CHECK = 8, HEAD = sizeof magic + SHA256_HEX_SIZE - 1 };
	if (size < HEAD + CHECK || memcmp(data, magic, sizeof magic) != 0)
		return error_set(err, SUMI_CORRUPT, "saved run: these are not the bytes of one");
	struct bytes_reader end = {.data = (const unsigned char *)data + size - CHECK,
				   .size = CHECK};
	if (bytes_get_u64(&end) != bytes_hash(BYTES_HASH_START, data, size - CHECK))
		return error_set(err, SUMI_CORRUPT,
				 "saved run: damaged, its checksum does not fit");
	if (memcmp((const char *)data + sizeof magic, run->digest, SHA256_HEX_SIZE - 1) != 0)
		return error_set(err, SUMI_INVALID,
				 "saved run: it was made with other parameters or another model");
	return SUMI_OK;
}

int run_load(struct run *run, size_t n, const void *data, size_t size, struct error *err)
{
	int status = check_frame(run, data, size, err);
	if (status)
		return status;
	struct bytes_reader r = {
	    .data = data, .size = size - 8, .at = sizeof magic + SHA256_HEX_SIZE - 1};
	if (bytes_get_u64(&r) != n)
		return error_set(err, SUMI_CORRUPT, "saved run: its latents have another size");
	bytes_get_f32s(&r, run->x, n);
	if ((status = sampler_restore(run->sampler, &r, err)) ||
	    (status = rng_restore(&run->rng, &r, err)))
		return status;
	/* The sampler knows by now how far the run is. */
	size_t count;
	float *kept = session_kept(run->session, sampler_done(run->sampler), &count);
	if (bytes_get_u64(&r) != count)
		return error_set(err, SUMI_CORRUPT,
				 "saved run: what its model goes on from has another size");
	if (kept)
		bytes_get_f32s(&r, kept, count);
	return bytes_complete(&r)
		   ? SUMI_OK
		   : error_set(err, SUMI_CORRUPT, "saved run: it has the wrong length");
}

void run_preview(const struct run *run, uint8_t *out)
{
	const struct preview_map *map = &run->pack->info.preview;
	size_t pixels = (size_t)run->latents.height * (size_t)run->latents.width, count;
	const float *z = run_latents(run, true, &count);
	if (map->channels == run->latents.channels)
		preview_map_apply(map, z, pixels, out);
	else
		preview_plain(z, run->latents.channels, pixels, out);
}
