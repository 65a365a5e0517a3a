/* Random numbers of the diffusion core: the two streams that the field's seeds mean.
 *
 * RNG_TORCH is torch's generator on the CPU: MT19937 (Matsumoto and Nishimura 1998) seeded
 * with the low 32 bits of the seed, turned into normals as ATen does
 * (aten/src/ATen/native/cpu/DistributionTemplates.h and core/DistributionsHelper.h). The
 * integers are exact; the normals equal torch's to 2e-6, because its vectorised log and cos
 * differ from libm's in the last bit.
 *
 * RNG_PHILOX is what torch.randn gives on CUDA, and A1111 under "RNG: CPU emulating NV":
 * Philox4x32-10 (Salmon et al. 2011), counter (draw, 0, element, 0), key = seed. A real GPU
 * gives these numbers while a tensor has no more elements than the card has threads, which
 * holds for the latents of ordinary pictures. */
#ifndef SUMI_DIFFUSION_RNG_H
#define SUMI_DIFFUSION_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

enum rng_kind { RNG_TORCH, RNG_PHILOX };

#define RNG_MT_WORDS 624

struct rng {
	enum rng_kind kind;
	uint64_t seed;
	uint32_t mt[RNG_MT_WORDS]; /* RNG_TORCH: the present block */
	uint32_t mt_used;          /* words of it that were given out, RNG_MT_WORDS: all */
	bool spare_set;            /* a second normal of a pair that was drawn one by one */
	double spare;
	uint32_t draws; /* RNG_PHILOX: calls of rng_randn so far */
};

/* "torch" (also NULL, "cpu") and "philox" (also "nv", "cuda") → kind; SUMI_INVALID with the
 * list of names for any other word. */
int rng_kind_from_name(const char *name, enum rng_kind *kind, struct error *err);

/* Begins the stream of a seed; RNG_TORCH looks at its low 32 bits only. */
void rng_init(struct rng *rng, enum rng_kind kind, uint64_t seed);

/* The next 32 bits of the MT19937 stream. */
uint32_t rng_mt_next(struct rng *rng);

/* Ten rounds of Philox4x32. */
void rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* Fills out [count] with normals, as one call of torch.randn for that many elements: calls
 * are not interchangeable (16 and 16 elements are not the same as 32). */
void rng_randn(struct rng *rng, float *out, size_t count);

/* Appends the state to w: the same bytes on every machine. */
void rng_save(const struct rng *rng, struct bytes_writer *w);

/* Reads what rng_save() wrote. SUMI_CORRUPT for other bytes; rng is then as it was. */
int rng_restore(struct rng *rng, struct bytes_reader *r, struct error *err);

#endif
