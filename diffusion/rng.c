/* Random numbers of the diffusion core: MT19937 and Philox4x32-10, and their normals. */
#include "diffusion/rng.h"

#include <math.h>
#include <string.h>

#define STATE_VERSION 1u
#define MT_SHIFT 397
#define PI 3.14159265358979323846

static const struct {
	const char *name;
	enum rng_kind kind;
} names[] = {
    {"torch", RNG_TORCH}, {"cpu", RNG_TORCH},   {"philox", RNG_PHILOX},
    {"nv", RNG_PHILOX},   {"cuda", RNG_PHILOX},
};

int rng_kind_from_name(const char *name, enum rng_kind *kind, struct error *err)
{
	if (!name)
		name = "torch";
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (strcmp(names[i].name, name) == 0) {
			*kind = names[i].kind;
			return SUMI_OK;
		}
	}
	return error_set(err, SUMI_INVALID, "unknown rng '%.40s': use torch or philox", name);
}

void rng_init(struct rng *rng, enum rng_kind kind, uint64_t seed)
{
	memset(rng, 0, sizeof *rng);
	rng->kind = kind;
	rng->seed = seed;
	if (kind != RNG_TORCH)
		return;
	rng->mt[0] = (uint32_t)seed;
	for (uint32_t i = 1; i < RNG_MT_WORDS; i++)
		rng->mt[i] = 1812433253u * (rng->mt[i - 1] ^ rng->mt[i - 1] >> 30) + i;
	rng->mt_used = RNG_MT_WORDS;
}

static void mt_refill(struct rng *rng)
{
	uint32_t *mt = rng->mt;
	for (int i = 0; i < RNG_MT_WORDS; i++) {
		uint32_t next = mt[(i + 1) % RNG_MT_WORDS];
		uint32_t y = (mt[i] & 0x80000000u) | (next & 0x7fffffffu);
		mt[i] = mt[(i + MT_SHIFT) % RNG_MT_WORDS] ^ y >> 1 ^ (next & 1 ? 0x9908b0dfu : 0);
	}
	rng->mt_used = 0;
}

uint32_t rng_mt_next(struct rng *rng)
{
	if (rng->mt_used >= RNG_MT_WORDS)
		mt_refill(rng);
	uint32_t y = rng->mt[rng->mt_used++];
	y ^= y >> 11;
	y ^= y << 7 & 0x9d2c5680u;
	y ^= y << 15 & 0xefc60000u;
	return y ^ y >> 18;
}

/* [0, 1) with 24 bits, as ATen makes floats. */
static float uniform24(struct rng *rng)
{
	return (float)(rng_mt_next(rng) & 0xffffffu) * 0x1p-24f;
}

/* [0, 1) with 53 bits; the first word is the high one. */
static double uniform53(struct rng *rng)
{
	uint64_t high = rng_mt_next(rng);
	uint64_t bits = high << 32 | rng_mt_next(rng);
	return (double)(bits & ((UINT64_C(1) << 53) - 1)) * 0x1p-53;
}

/* ATen's normal_fill_16: Box–Muller between element j and j + 8, in float32. */
static void normal_fill_16(float *data)
{
	for (int j = 0; j < 8; j++) {
		float u1 = 1.0f - data[j];
		float theta = (float)(2.0 * PI) * data[j + 8];
		float radius = sqrtf(-2.0f * (float)log(u1));
		data[j] = radius * (float)cos(theta);
		data[j + 8] = radius * (float)sin(theta);
	}
}

static void torch_fill(struct rng *rng, float *out, size_t count)
{
	for (size_t i = 0; i < count; i++)
		out[i] = uniform24(rng);
	for (size_t i = 0; i + 16 <= count; i += 16)
		normal_fill_16(out + i);
	if (count % 16 == 0)
		return;
	/* The last 16 are drawn anew, also those that were ready. */
	out += count - 16;
	for (int i = 0; i < 16; i++)
		out[i] = uniform24(rng);
	normal_fill_16(out);
}

/* Below 16 elements ATen draws one by one, in double, and keeps every second normal. */
static double torch_normal(struct rng *rng)
{
	if (rng->spare_set) {
		rng->spare_set = false;
		return rng->spare;
	}
	double u1 = uniform53(rng), u2 = uniform53(rng);
	double radius = sqrt(-2.0 * log1p(-u2)), theta = 2.0 * PI * u1;
	rng->spare = radius * sin(theta);
	rng->spare_set = true;
	return radius * cos(theta);
}

void rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
	uint32_t c[4], k[2] = {key[0], key[1]};
	memcpy(c, counter, sizeof c);
	for (int round = 0; round < 10; round++) {
		uint64_t a = (uint64_t)c[0] * 0xd2511f53u, b = (uint64_t)c[2] * 0xcd9e8d57u;
		c[0] = (uint32_t)(b >> 32) ^ c[1] ^ k[0];
		c[1] = (uint32_t)b;
		c[2] = (uint32_t)(a >> 32) ^ c[3] ^ k[1];
		c[3] = (uint32_t)a;
		k[0] += 0x9e3779b9u;
		k[1] += 0xbb67ae85u;
	}
	memcpy(out, c, sizeof c);
}

/* cuRAND's Box–Muller, its constants in float32; the sine is the value that CUDA's
 * torch.randn takes first. */
static void philox_fill(struct rng *rng, float *out, size_t count)
{
	const double scale = 2.3283064e-10f, turn = (float)(2.3283064e-10 * 6.2831855);
	const uint32_t key[2] = {(uint32_t)rng->seed, (uint32_t)(rng->seed >> 32)};
	for (size_t i = 0; i < count; i++) {
		uint32_t counter[4] = {rng->draws, 0, (uint32_t)i, (uint32_t)((uint64_t)i >> 32)};
		uint32_t word[4];
		rng_philox(counter, key, word);
		double u = word[0] * scale + scale / 2, v = word[1] * turn + turn / 2;
		out[i] = (float)(sqrt(-2.0 * log(u)) * sin(v));
	}
	rng->draws++;
}

void rng_randn(struct rng *rng, float *out, size_t count)
{
	if (rng->kind == RNG_PHILOX) {
		philox_fill(rng, out, count);
	} else if (count >= 16) {
		torch_fill(rng, out, count);
	} else {
		for (size_t i = 0; i < count; i++)
			out[i] = (float)torch_normal(rng);
	}
}

void rng_save(const struct rng *rng, struct bytes_writer *w)
{
	bytes_put_u32(w, STATE_VERSION);
	bytes_put_u32(w, (uint32_t)rng->kind);
	bytes_put_u64(w, rng->seed);
	for (int i = 0; i < RNG_MT_WORDS; i++)
		bytes_put_u32(w, rng->mt[i]);
	bytes_put_u32(w, rng->mt_used);
	bytes_put_u32(w, rng->spare_set);
	bytes_put_f64(w, rng->spare);
	bytes_put_u32(w, rng->draws);
}

int rng_restore(struct rng *rng, struct bytes_reader *r, struct error *err)
{
	struct rng fresh = {0};
	uint32_t version = bytes_get_u32(r);
	if (version != STATE_VERSION)
		return error_set(err, SUMI_CORRUPT, "generator state: version %u, expected %u",
				 version, STATE_VERSION);
	uint32_t kind = bytes_get_u32(r);
	fresh.seed = bytes_get_u64(r);
	for (int i = 0; i < RNG_MT_WORDS; i++)
		fresh.mt[i] = bytes_get_u32(r);
	fresh.mt_used = bytes_get_u32(r);
	uint32_t spare_set = bytes_get_u32(r);
	fresh.spare = bytes_get_f64(r);
	fresh.draws = bytes_get_u32(r);
	if (r->failed)
		return error_set(err, SUMI_CORRUPT, "generator state: cut off");
	if (kind > RNG_PHILOX || fresh.mt_used > RNG_MT_WORDS || spare_set > 1 ||
	    !isfinite(fresh.spare))
		return error_set(err, SUMI_CORRUPT, "generator state: a field is out of range");
	fresh.kind = (enum rng_kind)kind;
	fresh.spare_set = spare_set;
	*rng = fresh;
	return SUMI_OK;
}
