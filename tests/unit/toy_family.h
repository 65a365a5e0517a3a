/* A family for tests, and what of it a test computes by hand. */
#ifndef SUMI_TESTS_TOY_FAMILY_H
#define SUMI_TESTS_TOY_FAMILY_H

#include <stddef.h>

#include "diffusion/family.h"

enum { CHANNELS = 16, SCALE = 4, HIDDEN = 24, LETTERS = 8, TONES = 4 };

#define TOY_WEIGHTS "model.safetensors"

extern const struct family toy_family;

/* How often its denoiser was told that nobody runs it for now. */
extern int toy_rests;

/* What its encoders say of a text: [rows, LETTERS], and added to out [TONES]. */
void toy_letters(const char *text, int rows, float *out);
void toy_tones(const char *text, float *out);

/* What the denoiser's first layer hears of that, [HIDDEN], and number k of it at a time. */
void toy_hear(const float *tokens, int rows, const float *pooled, float *out);
float toy_at_time(float said, int k, float timestep);

/* The first colour of the pixel that latent i stands for, in rows of so many. */
size_t toy_place(int width, size_t i);

#endif
