/* Spectra against librosa's and torch's; Griffin–Lim against theirs, at equal iterations. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "modalities/phase.h"
#include "tests/unit/sound_clips.h"
#include "tests/unit/vector_file.h"

#define SPECTRUM_TOLERANCE 1e-5 /* of the loudest bin */

static json_t *facts;
static struct tensor_file *vectors;

static double number(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static struct stft_options layout_options(const json_t *layout, enum stft_edge edge)
{
	return (struct stft_options){
	    .n_fft = (int)number(layout, "n_fft"),
	    .window = (int)number(layout, "window"),
	    .hop = (int)number(layout, "hop"),
	    .edge = edge,
	};
}

/* [frames, bins] of a clip, 1 + rate/hop frames. */
static float *clip_magnitudes(const struct stft_options *o, const float *samples, int rate,
			      int *frames)
{
	struct error err;
	struct stft *stft;
	*frames = 1 + rate / o->hop;
	float *out = malloc((size_t)*frames * (size_t)(o->n_fft / 2 + 1) * sizeof *out);
	assert_non_null(out);
	assert_int_equal(stft_new(o, &stft, &err), 0);
	sound_magnitudes(stft, samples, (size_t)rate, *frames, o->n_fft / 2 + 1, out);
	stft_free(stft);
	return out;
}

static void clips_are_the_vectors(void **state)
{
	(void)state;
	for (int k = 0; k < 20; k++) {
		char name[32];
		size_t count;
		snprintf(name, sizeof name, "clip.%d.first64", k);
		float *want = vector_copy(vectors, name, &count), *got = sound_clip(k, 22050);
		assert_int_equal(count, 64);
		assert_true(vector_distance(got, want, 64) < 1e-5);
		free(want);
		free(got);
	}
}

static void compare_spectrum(const char *name, const json_t *o)
{
	char key[64];
	size_t count, i;
	int frames, rate = (int)number(o, "sample_rate"), every = (int)number(o, "every_bin");
	enum stft_edge edge = strstr(name, "reflect") ? STFT_REFLECT : STFT_ZERO;
	struct stft_options options = layout_options(o, edge);
	int bins = options.n_fft / 2 + 1, kept = (bins + every - 1) / every;
	json_t *frame;
	snprintf(key, sizeof key, "stft.%s", name);
	float *want = vector_copy(vectors, key, &count);
	float *got = malloc(count * sizeof *got),
	      *samples = sound_clip((int)number(o, "clip"), rate);
	float *all = clip_magnitudes(&options, samples, rate, &frames);
	double sum = 0;
	json_array_foreach(json_object_get(o, "frames"), i, frame) for (int k = 0; k < kept; k++)
	    got[i * (size_t)kept + (size_t)k] =
		all[(size_t)json_integer_value(frame) * (size_t)bins + (size_t)(k * every)];
	assert_int_equal(count, json_array_size(json_object_get(o, "frames")) * (size_t)kept);
	for (size_t k = 0; k < (size_t)frames * (size_t)bins; k++)
		sum += all[k];
	print_message("%s: %.2g\n", name, vector_distance(got, want, count));
	assert_true(vector_distance(got, want, count) <= SPECTRUM_TOLERANCE);
	assert_true(fabs(sum / number(o, "sum") - 1) <= SPECTRUM_TOLERANCE);
	free(want);
	free(got);
	free(samples);
	free(all);
}

static void spectra_are_librosas(void **state)
{
	(void)state;
	const char *name;
	json_t *o;
	int n = 0;
	json_object_foreach(json_object_get(facts, "stft"), name, o)
	{
		compare_spectrum(name, o);
		n++;
	}
	assert_int_equal(n, 4);
}

static double convergence(const float *want, const float *got, size_t n)
{
	double distance = 0, norm = 0;
	for (size_t i = 0; i < n; i++) {
		distance += (want[i] - got[i]) * (double)(want[i] - got[i]);
		norm += want[i] * (double)want[i];
	}
	return sqrt(distance / norm);
}

/* Spectral convergence, measured with the layout's transform although the iterations may
 * see a shorter one. */
static double griffin_lim(const json_t *layout, int clip)
{
	int frames, again, rate = (int)number(layout, "sample_rate");
	struct stft_options full = layout_options(layout, STFT_ZERO);
	struct error err;
	struct phase_options o = {
	    .stft = full,
	    .length = (size_t)rate,
	    .iterations = (int)number(layout, "iterations"),
	    .momentum = number(layout, "momentum"),
	};
	float *samples = sound_clip(clip, rate);
	float *want = clip_magnitudes(&full, samples, rate, &frames);
	o.stft.n_fft = phase_transform(full.window, full.n_fft);
	o.frames = frames;
	o.bins = o.stft.n_fft / 2 + 1;
	float *thinned = malloc((size_t)frames * (size_t)o.bins * sizeof *thinned);
	for (int t = 0; t < frames; t++)
		phase_regrid(want + (size_t)t * (size_t)(full.n_fft / 2 + 1), full.n_fft,
			     o.stft.n_fft, o.bins, thinned + (size_t)t * (size_t)o.bins);
	assert_int_equal(phase_reconstruct(&o, thinned, samples, &err), 0);
	float *got = clip_magnitudes(&full, samples, rate, &again);
	double c = convergence(want, got, (size_t)frames * (size_t)(full.n_fft / 2 + 1));
	free(samples);
	free(want);
	free(thinned);
	free(got);
	return c;
}

static void compare_griffin_lim(const char *name)
{
	const json_t *layout = json_object_get(json_object_get(facts, "griffin_lim"), name);
	json_t *row;
	size_t i;
	int better = 0;
	json_array_foreach(json_object_get(layout, "clips"), i, row)
	{
		double got = griffin_lim(layout, (int)i);
		double librosa = number(row, "librosa"), torch = number(row, "torchaudio");
		print_message("%s clip %zu: %.4f, librosa %.4f, torchaudio %.4f\n", name, i, got,
			      librosa, torch);
		better += got <= librosa && got <= torch;
	}
	assert_int_equal(i, 20);
	assert_int_equal(better, 20);
}

static void griffin_lim_is_as_good_as_theirs(void **state)
{
	(void)state;
	compare_griffin_lim("small");
}

/* A window of 4,410 in 17,640 numbers: 4,608 say as much. */
static void griffin_lim_of_long_transforms(void **state)
{
	(void)state;
	compare_griffin_lim("wide");
}

static void same_input_same_samples(void **state)
{
	(void)state;
	const json_t *layout = json_object_get(json_object_get(facts, "griffin_lim"), "small");
	double first = griffin_lim(layout, 4);
	for (int i = 0; i < 3; i++)
		assert_true(griffin_lim(layout, 4) == first);
}

/* What a model paints of a hiss is smooth. It must hiss, and not click once a frame. */
static void flat_spectra_hiss(void **state)
{
	(void)state;
	enum { HOP = 256, FRAMES = 64, LENGTH = HOP * FRAMES, BINS = 513 };
	struct error err;
	struct phase_options o = {
	    .stft = {.n_fft = 1024, .window = 1024, .hop = HOP},
	    .frames = FRAMES,
	    .bins = BINS,
	    .length = LENGTH,
	    .iterations = 32,
	    .momentum = 0.99,
	    .blurred = true,
	};
	float *samples = malloc(LENGTH * sizeof *samples), peak = 0;
	float *magnitudes = malloc(BINS * FRAMES * sizeof *magnitudes);
	double power = 0;
	for (int i = 0; i < BINS * FRAMES; i++)
		magnitudes[i] = 1;
	assert_int_equal(phase_reconstruct(&o, magnitudes, samples, &err), 0);
	for (int i = HOP; i < LENGTH - HOP; i++) {
		peak = fmaxf(peak, fabsf(samples[i]));
		power += samples[i] * (double)samples[i] / (LENGTH - 2 * HOP);
	}
	print_message("crest factor %.1f\n", peak / sqrt(power));
	assert_true(peak < 7 * sqrt(power));
	free(samples);
	free(magnitudes);
}

/* A tone that fits the circle goes on across its seam. */
static void circles_have_no_seam(void **state)
{
	(void)state;
	enum { HOP = 256, FRAMES = 64, LENGTH = HOP * FRAMES };
	struct error err;
	struct stft *stft;
	struct phase_options o = {
	    .stft = {.n_fft = 1024, .window = 1024, .hop = HOP, .edge = STFT_CIRCLE},
	    .frames = FRAMES,
	    .bins = 513,
	    .length = LENGTH,
	    .iterations = 32,
	    .momentum = 0.99,
	};
	float *samples = malloc(LENGTH * sizeof *samples);
	float *magnitudes = malloc(513 * FRAMES * sizeof *magnitudes);
	for (int i = 0; i < LENGTH; i++)
		samples[i] = (float)(0.5 * sin(6.283185307179586 * 333 * i / LENGTH));
	assert_int_equal(stft_new(&o.stft, &stft, &err), 0);
	sound_magnitudes(stft, samples, LENGTH, FRAMES, 513, magnitudes);
	assert_int_equal(phase_reconstruct(&o, magnitudes, samples, &err), 0);
	double largest = 0;
	for (int i = 1; i < LENGTH; i++)
		largest = fmax(largest, fabs(samples[i] - samples[i - 1]));
	assert_true(largest > 0.01);
	assert_true(fabs(samples[0] - samples[LENGTH - 1]) <= largest);
	stft_free(stft);
	free(samples);
	free(magnitudes);
}

/* Harmonics that all begin in step are a pulse: on a circle it would tick once a lap. */
static void circles_begin_without_a_pulse(void **state)
{
	(void)state;
	enum { HOP = 256, FRAMES = 64, LENGTH = HOP * FRAMES, HARMONICS = 70 };
	struct error err;
	struct stft *stft;
	struct phase_options o = {
	    .stft = {.n_fft = 1024, .window = 1024, .hop = HOP, .edge = STFT_CIRCLE},
	    .frames = FRAMES,
	    .bins = 513,
	    .length = LENGTH,
	    .iterations = 6,
	    .momentum = 0.99,
	    .blurred = true,
	};
	float *samples = calloc(LENGTH, sizeof *samples), peak = 0;
	float *magnitudes = malloc(513 * FRAMES * sizeof *magnitudes);
	double power = 0;
	for (int k = 1; k <= HARMONICS; k++)
		for (int i = 0; i < LENGTH; i++)
			samples[i] +=
			    (float)cos(6.283185307179586 *
				       ((double)(i * 83L * k % LENGTH) / LENGTH + 0.37 * k * k));
	assert_int_equal(stft_new(&o.stft, &stft, &err), 0);
	sound_magnitudes(stft, samples, LENGTH, FRAMES, 513, magnitudes);
	assert_int_equal(phase_reconstruct(&o, magnitudes, samples, &err), 0);
	for (int i = 0; i < LENGTH; i++)
		power += samples[i] * (double)samples[i] / LENGTH;
	for (int i = -4; i <= 4; i++)
		peak = fmaxf(peak, fabsf(samples[(i + LENGTH) % LENGTH]));
	print_message("at the seam %.1f times the usual\n", peak / sqrt(power));
	assert_true(peak < 4 * sqrt(power));
	stft_free(stft);
	free(samples);
	free(magnitudes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(clips_are_the_vectors),
	    cmocka_unit_test(spectra_are_librosas),
	    cmocka_unit_test(griffin_lim_is_as_good_as_theirs),
	    cmocka_unit_test(griffin_lim_of_long_transforms),
	    cmocka_unit_test(same_input_same_samples),
	    cmocka_unit_test(flat_spectra_hiss),
	    cmocka_unit_test(circles_have_no_seam),
	    cmocka_unit_test(circles_begin_without_a_pulse),
	};
	facts = vector_json_open("audio.json");
	vectors = vector_file_open("audio.safetensors");
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	json_decref(facts);
	tensors_close(vectors);
	return failed;
}
