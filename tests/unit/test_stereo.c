/* Two channels: their picture as the corpus has it, phases that are lent, and a stage that stays. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "modalities/phase.h"
#include "modalities/spectrogram.h"
#include "tests/unit/sound_clips.h"
#include "tests/unit/vector_file.h"

/* Of 255: bytes are rounded, and what is nearly silent is lifted by the power, with the arithmetic's own error. */
#define PICTURE_TOLERANCE 1.0
#define LENT_TOLERANCE 1e-5 /* of the loudest sample */

enum { RATE = 22050 };

static const struct spectrogram layout = {.rate = RATE, .hop = 441, .window = 1024, .n_fft = 1024, .bands = 64, .low = 30,
					  .high = 10000, .power = 0.35, .low_at_bottom = true, .stereo = true,
					  .both_in_red = true};
static struct tensor_file *vectors;

/* As the corpus of the music pack has it in numpy, to the rounding of its bytes. */
static void pictures_of_two_channels_are_the_corpus(void **state)
{
	(void)state;
	enum { BANDS = 64, FRAMES = 50 };
	struct error err;
	struct sound sound;
	struct spectrogram_shape shape = {.columns = FRAMES, .frames = FRAMES, .length = RATE, .circular = true};
	size_t count;
	float *want = vector_copy(vectors, "picture", &count), worst = 0;
	float *picture = malloc(BANDS * FRAMES * 3 * sizeof *picture);
	float *left = sound_clip(2, RATE), *right = sound_clip(4, RATE);
	assert_int_equal(count, BANDS * FRAMES * 3);
	assert_int_equal(sound_new(&sound, RATE, 2, RATE, &err), 0);
	for (int i = 0; i < RATE; i++) {
		sound.samples[i] = left[i];
		sound.samples[RATE + i] = 0.5f * right[i];
	}
	assert_int_equal(spectrogram_of_sound(&layout, &shape, &sound, picture, &err), 0);
	for (size_t i = 0; i < count; i++)
		worst = fmaxf(worst, fabsf(255 * picture[i] - want[i]));
	print_message("beside the corpus's picture: %.3f of 255\n", (double)worst);
	assert_true(worst < PICTURE_TOLERANCE);
	free(want);
	free(picture);
	free(left);
	free(right);
	sound_free(&sound);
}

/* What stands somewhere between the speakers stays there, and both channels added are what they were:
 * phases that each channel finds for itself lose it. */
static void phases_together_keep_the_stage(void **state)
{
	(void)state;
	enum { FRAMES = 60 };
	struct error err;
	struct sound sound, again;
	struct spectrogram s = layout;
	double kept[2];
	struct spectrogram_shape shape = {.columns = FRAMES, .frames = FRAMES, .length = FRAMES * (size_t)s.hop};
	float *picture = malloc((size_t)s.bands * FRAMES * 3 * sizeof *picture);
	float *one = sound_clip(3, s.rate), *other = sound_clip(8, s.rate);
	assert_int_equal(sound_new(&sound, s.rate, 2, (size_t)s.rate, &err), 0);
	for (int i = 0; i < s.rate; i++) {
		sound.samples[i] = one[i] + 0.4f * other[i];
		sound.samples[s.rate + i] = 0.4f * one[i] + other[i];
	}
	assert_int_equal(spectrogram_of_sound(&s, &shape, &sound, picture, &err), 0);
	for (int k = 0; k < 2; k++) {
		double sum = 0, sides = 0;
		s.one_phase = k;
		assert_int_equal(spectrogram_to_sound(&s, &shape, picture, &again, &err), 0);
		for (size_t i = 0; i < again.length; i++) {
			double l = again.samples[i], r = again.samples[again.length + i];
			sum += (l + r) * (l + r) / 2;
			sides += l * l + r * r;
		}
		kept[k] = sum / sides;
		sound_free(&again);
	}
	print_message("of the power both channels keep added: apart %.2f, together %.2f\n", kept[0], kept[1]);
	assert_true(kept[1] > 0.8 && kept[1] > kept[0]);
	free(picture);
	free(one);
	free(other);
	sound_free(&sound);
}

/* Phases that another signal lends: what torch makes of its angles and these magnitudes. */
static void phases_are_lent(void **state)
{
	(void)state;
	struct error err;
	struct stft_options stft = {.n_fft = 1024, .window = 1024, .hop = 256, .edge = STFT_ZERO};
	struct stft *transform;
	float *like = sound_clip(3, 22050), *clip = sound_clip(2, 22050), *samples = malloc(22050 * sizeof *samples);
	size_t count;
	float *want = vector_copy(vectors, "lent", &count);
	struct phase_options o = {.stft = stft, .bins = 513, .length = 22050, .iterations = 1, .momentum = 0.99, .like = like};
	o.frames = 1 + 22050 / stft.hop;
	float *magnitudes = malloc((size_t)o.frames * 513 * sizeof *magnitudes);
	assert_int_equal(stft_new(&stft, &transform, &err), 0);
	sound_magnitudes(transform, clip, 22050, o.frames, 513, magnitudes);
	stft_free(transform);
	assert_int_equal(count, (22050 + 15) / 16);
	assert_int_equal(phase_reconstruct(&o, magnitudes, samples, &err), 0);
	for (size_t i = 0; i < count; i++)
		samples[i] = samples[16 * i];
	double d = vector_distance(samples, want, count);
	print_message("lent phases: %.2g\n", d);
	assert_true(d < LENT_TOLERANCE);
	free(like);
	free(clip);
	free(samples);
	free(want);
	free(magnitudes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pictures_of_two_channels_are_the_corpus),
	    cmocka_unit_test(phases_together_keep_the_stage),
	    cmocka_unit_test(phases_are_lent),
	};
	vectors = vector_file_open("stereo.safetensors");
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	tensors_close(vectors);
	return failed;
}
