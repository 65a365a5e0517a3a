/* Mel filter banks and their inverse, against librosa's. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "modalities/mel.h"
#include "modalities/phase.h"
#include "tests/unit/sound_clips.h"
#include "tests/unit/vector_file.h"

#define BANK_TOLERANCE 1e-5 /* of the largest weight */

static json_t *facts;
static struct tensor_file *vectors;

static double number(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static struct mel *open_bank(const char *name)
{
	const json_t *o = json_object_get(json_object_get(facts, "mel"), name);
	struct error err = {0};
	struct mel *mel;
	struct mel_options options = {
	    .sample_rate = (int)number(o, "sample_rate"),
	    .n_fft = (int)number(o, "n_fft"),
	    .bands = (int)number(o, "bands"),
	    .low = number(o, "low"),
	    .high = number(o, "high"),
	    .slaney = !json_is_true(json_object_get(o, "htk")),
	    .area_norm = json_is_string(json_object_get(o, "norm")),
	};
	assert_non_null(o);
	assert_int_equal(mel_new(&options, &mel, &err), 0);
	return mel;
}

static void compare_bank(const char *name)
{
	char key[64];
	size_t bands, count;
	struct mel *mel = open_bank(name);
	snprintf(key, sizeof key, "mel.%s.start", name);
	float *starts = vector_copy(vectors, key, &bands);
	snprintf(key, sizeof key, "mel.%s.count", name);
	float *counts = vector_copy(vectors, key, &bands);
	snprintf(key, sizeof key, "mel.%s.values", name);
	float *values = vector_copy(vectors, key, &count), *row = values;
	double worst = 0, largest = 0;
	assert_true(bands > 0 && count > 0);
	for (size_t i = 0; i < bands; i++) {
		int start, n;
		const float *got = mel_band(mel, (int)i, &start, &n);
		/* Compared bin by bin: at a triangle's foot rounding decides whether a bin counts.
		 */
		for (int k = 0; k < mel_bins(mel); k++) {
			int want_at = k - (int)starts[i], got_at = k - start;
			double want = want_at >= 0 && want_at < (int)counts[i] ? row[want_at] : 0;
			double have = got_at >= 0 && got_at < n ? got[got_at] : 0;
			worst = fmax(worst, fabs(want - have));
			largest = fmax(largest, want);
		}
		row += (int)counts[i];
	}
	print_message("%s: worst %.2g of %.3g\n", name, worst, largest);
	assert_true(worst <= BANK_TOLERANCE * largest);
	free(starts);
	free(counts);
	free(values);
	mel_free(mel);
}

static void banks_are_librosas(void **state)
{
	(void)state;
	const char *name;
	json_t *bank;
	int n = 0;
	json_object_foreach(json_object_get(facts, "mel"), name, bank)
	{
		compare_bank(name);
		n++;
	}
	assert_int_equal(n, 5);
}

/* How far F·inverse(bands) is from the bands, over several frames. */
static double residual(const struct mel *mel, const float *bands, int frames, int count)
{
	float *magnitudes = malloc((size_t)mel_bins(mel) * sizeof *magnitudes);
	float *again = malloc((size_t)count * sizeof *again);
	double distance = 0, norm = 0;
	struct error err;
	for (int f = 0; f < frames; f++) {
		const float *want = bands + (size_t)f * (size_t)count;
		assert_int_equal(mel_invert(mel, want, magnitudes, &err), 0);
		for (int k = 0; k < mel_bins(mel); k++)
			assert_true(magnitudes[k] >= 0);
		mel_apply(mel, magnitudes, again);
		for (int i = 0; i < count; i++) {
			distance += (again[i] - want[i]) * (double)(again[i] - want[i]);
			norm += want[i] * (double)want[i];
		}
	}
	free(magnitudes);
	free(again);
	return sqrt(distance / norm);
}

static double clip_residual(const char *bank, const json_t *layout, const struct mel *mel, int clip)
{
	struct error err;
	struct stft *stft;
	struct stft_options o = {
	    .n_fft = (int)number(layout, "n_fft"),
	    .window = (int)number(layout, "window"),
	    .hop = (int)number(layout, "hop"),
	    .edge = STFT_REFLECT,
	};
	const json_t *facts_of = json_object_get(json_object_get(facts, "mel"), bank);
	int rate = (int)number(layout, "sample_rate"), bins = o.n_fft / 2 + 1, frames = 40;
	int bands = (int)number(facts_of, "bands");
	float *clip_samples = sound_clip(clip, rate);
	float *magnitudes = malloc((size_t)bins * (size_t)(1 + rate / o.hop) * sizeof *magnitudes);
	float *mels = malloc((size_t)bands * (size_t)frames * sizeof *mels);
	assert_int_equal(stft_new(&o, &stft, &err), 0);
	sound_magnitudes(stft, clip_samples, rate, frames, bins, magnitudes);
	for (int f = 0; f < frames; f++)
		mel_apply(mel, magnitudes + (size_t)f * (size_t)bins,
			  mels + (size_t)f * (size_t)bands);
	double r = residual(mel, mels, frames, bands);
	stft_free(stft);
	free(clip_samples);
	free(magnitudes);
	free(mels);
	return r;
}

/* The figures of librosa's NNLS, or where there are none, of torchaudio's least squares. */
static void inverse_is_as_good_as_nnls(void **state)
{
	(void)state;
	const char *name;
	json_t *rows, *row;
	size_t i;
	json_object_foreach(json_object_get(facts, "inverse_mel"), name, rows)
	{
		const char *layout = strncmp(name, "wide", 4) == 0 ? "wide" : "small";
		const json_t *sizes =
		    json_object_get(json_object_get(facts, "griffin_lim"), layout);
		struct mel *mel = open_bank(name);
		json_array_foreach(rows, i, row)
		{
			const json_t *best = json_object_get(row, "nnls");
			double want =
			    json_number_value(best ? best : json_object_get(row, "lstsq"));
			int clip = (int)number(row, "clip");
			double got = clip_residual(name, sizes, mel, clip);
			print_message("%s clip %d: %.2g, theirs %.2g\n", name, clip, got, want);
			/* The file has six decimals. */
			assert_true(got <= fmax(want, 1e-5));
		}
		mel_free(mel);
	}
}

/* What a model paints need not be any sound's spectrum: every second band silent cannot be
 * had with triangles that overlap. The nearest is still found: no projected gradient step
 * may get nearer. */
static void impossible_bands_get_the_nearest(void **state)
{
	(void)state;
	struct error err;
	struct mel *mel = open_bank("small.slaney");
	enum { BANDS = 128 };
	float bands[BANDS], again[BANDS];
	float *s = malloc((size_t)mel_bins(mel) * sizeof *s);
	double optimality = 0;
	for (int i = 0; i < BANDS; i++)
		bands[i] = i % 2 ? 1.0f : 0;
	assert_int_equal(mel_invert(mel, bands, s, &err), 0);
	mel_apply(mel, s, again);
	/* Karush–Kuhn–Tucker: Fᵀ(Fs − m) is zero where s > 0, and not negative elsewhere. */
	double *gradient = calloc((size_t)mel_bins(mel), sizeof *gradient);
	for (int i = 0; i < BANDS; i++) {
		int start, count;
		const float *w = mel_band(mel, i, &start, &count);
		for (int k = 0; k < count; k++)
			gradient[start + k] += w[k] * (double)(again[i] - bands[i]);
	}
	for (int k = 0; k < mel_bins(mel); k++) {
		optimality = fmax(optimality, -gradient[k]);
		if (s[k] > 1e-4)
			optimality = fmax(optimality, gradient[k]);
	}
	assert_true(optimality < 1e-4);
	free(gradient);
	free(s);
	mel_free(mel);
}

static void silence_stays_silence(void **state)
{
	(void)state;
	struct error err;
	struct mel *mel = open_bank("small.htk");
	float bands[80] = {0};
	float *s = malloc((size_t)mel_bins(mel) * sizeof *s);
	assert_int_equal(mel_invert(mel, bands, s, &err), 0);
	for (int k = 0; k < mel_bins(mel); k++)
		assert_true(s[k] == 0);
	free(s);
	mel_free(mel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(banks_are_librosas),
	    cmocka_unit_test(inverse_is_as_good_as_nnls),
	    cmocka_unit_test(impossible_bands_get_the_nearest),
	    cmocka_unit_test(silence_stays_silence),
	};
	facts = vector_json_open("audio.json");
	vectors = vector_file_open("audio.safetensors");
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	json_decref(facts);
	tensors_close(vectors);
	return failed;
}
