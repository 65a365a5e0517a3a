/* From a picture to sound: brightness → mel bands → magnitudes → phases; and back. */
#include "modalities/spectrogram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "modalities/mel.h"
#include "modalities/phase.h"

/* From integrated phases six iterations come nearer than librosa's and torchaudio's
 * Griffin-Lim do in 32 (docs/audio.md). */
enum { ITERATIONS = 6 };
/* More of them would lead the channels' phases away from each other again. */
enum { LENT_ITERATIONS = 1 };
#define MOMENTUM 0.99

static struct mel_options mel_options(const struct spectrogram *s)
{
	return (struct mel_options){
	    .sample_rate = s->rate,
	    .n_fft = s->n_fft,
	    .bands = s->bands,
	    .low = s->low,
	    .high = s->high,
	    .slaney = s->slaney,
	    .area_norm = s->area_norm,
	};
}

/* ---- pictures and bands ------------------------------------------------------------ */

static size_t pixel(const struct spectrogram *s, int columns, int band, int column)
{
	int row = s->low_at_bottom ? s->bands - 1 - band : band;
	return ((size_t)row * (size_t)columns + (size_t)column) * 3;
}

/* The picture's brightness for a channel at a place between columns. */
static float brightness(const struct spectrogram *s, const struct spectrogram_shape *shape,
			const float *picture, int channel, int band, double at)
{
	int left = (int)at, right = left + 1 < shape->columns ? left + 1
				    : shape->circular         ? 0
							      : left;
	float part = (float)(at - left), value[2];
	for (int i = 0; i < 2; i++) {
		const float *p = picture + pixel(s, shape->columns, band, i ? right : left);
		value[i] = s->stereo ? p[1 + channel] : (p[0] + p[1] + p[2]) / 3;
	}
	float v = value[0] + (value[1] - value[0]) * part;
	return s->black_is_loud ? 1 - v : v;
}

/* Sound's frame as a place in the picture. */
static double column_of_frame(const struct spectrogram_shape *shape, int frame)
{
	return shape->circular ? (double)frame * shape->columns / shape->frames : frame;
}

static void read_bands(const struct spectrogram *s, const struct spectrogram_shape *shape,
		       const float *picture, int channel, int frame, float *bands)
{
	double at = column_of_frame(shape, frame), power = 1 / s->power;
	for (int b = 0; b < s->bands; b++) {
		float v = brightness(s, shape, picture, channel, b, at);
		bands[b] = v > 0 ? (float)pow(v < 1 ? v : 1, power) : 0;
	}
}

/* ---- to sound ---------------------------------------------------------------------- */

/* [frames, bins] of one channel, for a transform of n_fft numbers. */
static int magnitudes_of(const struct spectrogram *s, const struct spectrogram_shape *shape,
			 const float *picture, int channel, int n_fft, int bins, float *out,
			 struct error *err)
{
	struct mel_options options = mel_options(s);
	struct mel *mel;
	int status = mel_new(&options, &mel, err);
	if (status)
		return status;
	float *bands = malloc((size_t)s->bands * sizeof *bands);
	float *all = malloc((size_t)mel_bins(mel) * sizeof *all);
	if (!bands || !all)
		status = error_set(err, SUMI_NOMEM, "no memory for a spectrum");
	for (int f = 0; f < shape->frames && !status; f++) {
		read_bands(s, shape, picture, channel, f, bands);
		status = mel_invert(mel, bands, all, err);
		if (!status)
			phase_regrid(all, s->n_fft, n_fft, bins, out + (size_t)f * (size_t)bins);
	}
	free(bands);
	free(all);
	mel_free(mel);
	return status;
}

static struct phase_options phase_options(const struct spectrogram *s, const struct spectrogram_shape *shape)
{
	struct phase_options o = {
	    .stft = {.n_fft = phase_transform(s->window, s->n_fft),
		     .window = s->window,
		     .hop = s->hop,
		     .edge = shape->circular ? STFT_CIRCLE : STFT_ZERO},
	    .frames = shape->frames,
	    .length = shape->length,
	    .iterations = ITERATIONS,
	    .momentum = MOMENTUM,
	    .blurred = true,
	};
	o.bins = (int)ceil(s->high * o.stft.n_fft / s->rate) + 1;
	if (o.bins > o.stft.n_fft / 2 + 1)
		o.bins = o.stft.n_fft / 2 + 1;
	return o;
}

/* Each channel by itself. magnitudes: room for one. */
static int apart_to_sound(const struct spectrogram *s, const struct spectrogram_shape *shape, const float *picture,
			  const struct phase_options *o, float *magnitudes, struct sound *out, struct error *err)
{
	int status = SUMI_OK;
	for (int c = 0; c < out->channels && !status; c++) {
		status = magnitudes_of(s, shape, picture, c, o->stft.n_fft, o->bins, magnitudes, err);
		if (!status)
			status = phase_reconstruct(o, magnitudes, out->samples + (size_t)c * out->length, err);
	}
	return status;
}

/* Phases that are found once, for what both channels have together: what stands between the speakers stays
 * there, and added up to one channel nothing is lost. magnitudes: room for three, those of both channels and
 * of the two together. */
static int together_to_sound(const struct spectrogram *s, const struct spectrogram_shape *shape, const float *picture,
			     const struct phase_options *o, float *magnitudes, struct sound *out, struct error *err)
{
	size_t one = (size_t)o->frames * (size_t)o->bins;
	float *both = magnitudes + 2 * one, *left = out->samples, *right = left + out->length;
	struct phase_options of_channel = *o;
	int status;
	for (int c = 0; c < 2; c++)
		if ((status = magnitudes_of(s, shape, picture, c, o->stft.n_fft, o->bins, magnitudes + (size_t)c * one, err)))
			return status;
	for (size_t i = 0; i < one; i++)
		both[i] = sqrtf((magnitudes[i] * magnitudes[i] + magnitudes[one + i] * magnitudes[one + i]) / 2);
	if ((status = phase_reconstruct(o, both, right, err)))
		return status;
	of_channel.like = right;
	of_channel.iterations = LENT_ITERATIONS;
	if ((status = phase_reconstruct(&of_channel, magnitudes, left, err)))
		return status;
	return phase_reconstruct(&of_channel, magnitudes + one, right, err);
}

int spectrogram_to_sound(const struct spectrogram *s, const struct spectrogram_shape *shape,
			 const float *picture, struct sound *out, struct error *err)
{
	int status = sound_new(out, s->rate, s->stereo ? 2 : 1, shape->length, err);
	if (status)
		return status;
	struct phase_options o = phase_options(s, shape);
	bool together = s->stereo && s->one_phase;
	size_t count = (size_t)o.frames * (size_t)o.bins * (together ? 3 : 1);
	float *magnitudes = malloc(count * sizeof *magnitudes);
	if (!magnitudes)
		status = error_set(err, SUMI_NOMEM, "no memory for a spectrum of %d frames", o.frames);
	else
		status = (together ? together_to_sound : apart_to_sound)(s, shape, picture, &o, magnitudes, out, err);
	free(magnitudes);
	if (status)
		sound_free(out);
	return status;
}

/* ---- from sound -------------------------------------------------------------------- */

/* Bands of one channel, [frames, bands], of the sound repeated to `length` samples. */
static int bands_of(const struct spectrogram *s, const struct sound *sound, int channel,
		    size_t length, int frames, enum stft_edge edge, float *bands, struct error *err)
{
	struct stft_options options = {
	    .n_fft = s->n_fft, .window = s->window, .hop = s->hop, .edge = edge};
	struct mel_options filters = mel_options(s);
	struct stft *stft = NULL;
	struct mel *mel = NULL;
	size_t bins = (size_t)s->n_fft / 2 + 1;
	float *samples = malloc(length * sizeof *samples);
	float *spectrum = malloc(bins * sizeof *spectrum);
	int status = SUMI_OK;
	if (!samples || !spectrum)
		status = error_set(err, SUMI_NOMEM, "no memory for %zu samples", length);
	if (!status && !(status = stft_new(&options, &stft, err)))
		status = mel_new(&filters, &mel, err);
	for (size_t i = 0; i < length && !status; i++)
		samples[i] = sound->samples[(size_t)channel * sound->length + i % sound->length];
	for (int f = 0; f < frames && !status; f++) {
		stft_magnitude(stft, samples, length, f, spectrum);
		mel_apply(mel, spectrum, bands + (size_t)f * (size_t)s->bands);
	}
	stft_free(stft);
	mel_free(mel);
	free(samples);
	free(spectrum);
	return status;
}

/* One channel's bands into the picture; a column lies where its frame does. channel -1: of both together. */
static void paint(const struct spectrogram *s, const struct spectrogram_shape *shape,
		  const float *bands, int frames, float loudest, int channel, float *picture)
{
	for (int x = 0; x < shape->columns; x++) {
		double at = shape->circular ? (double)x * frames / shape->columns : x;
		int left = (int)at, right = (left + 1) % frames;
		float part = (float)(at - left);
		for (int b = 0; b < s->bands; b++) {
			float v0 = bands[(size_t)left * (size_t)s->bands + (size_t)b];
			float v1 = bands[(size_t)right * (size_t)s->bands + (size_t)b];
			float v =
			    powf(fminf((v0 + (v1 - v0) * part) / loudest, 1), (float)s->power);
			float *p = picture + pixel(s, shape->columns, b, x);
			v = s->black_is_loud ? 1 - v : v;
			if (s->stereo)
				p[1 + channel] = v;
			else
				p[0] = p[1] = p[2] = v;
		}
	}
}

int spectrogram_of_sound(const struct spectrogram *s, const struct spectrogram_shape *shape,
			 const struct sound *sound, float *picture, struct error *err)
{
	int frames = shape->circular ? shape->frames : shape->columns, status = SUMI_OK;
	size_t length = (size_t)frames * (size_t)s->hop, one = (size_t)frames * (size_t)s->bands;
	enum stft_edge edge = shape->circular ? STFT_CIRCLE : STFT_REFLECT;
	float loudest = 1e-9f;
	bool both = s->stereo && s->both_in_red;
	float *bands = malloc(one * (size_t)(sound->channels + both) * sizeof *bands);
	if (!bands)
		return error_set(err, SUMI_NOMEM, "no memory for a spectrogram of %d columns",
				 frames);
	memset(picture, 0, (size_t)s->bands * (size_t)shape->columns * 3 * sizeof *picture);
	for (int c = 0; c < sound->channels && !status; c++)
		status = bands_of(s, sound, c, length, frames, edge, bands + (size_t)c * one, err);
	for (size_t i = 0; i < one * (size_t)sound->channels && !status; i++)
		loudest = fmaxf(loudest, bands[i]);
	if (s->max_value > 0)
		loudest = (float)s->max_value;
	for (int c = 0; c < sound->channels && !status; c++)
		paint(s, shape, bands + (size_t)c * one, frames, loudest, c, picture);
	if (!status && both) {
		for (size_t i = 0; i < one; i++)
			bands[2 * one + i] = sqrtf((bands[i] * bands[i] + bands[one + i] * bands[one + i]) / 2);
		paint(s, shape, bands + 2 * one, frames, loudest, -1, picture);
	}
	free(bands);
	return status;
}
