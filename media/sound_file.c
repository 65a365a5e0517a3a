/* Sound from files: format by the first bytes, mixing of channels, another sample rate. */
#include "media/sound_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "media/format.h"
#include "media/vorbis.h"
#include "media/wav.h"

/* ---- channels and rate ------------------------------------------------------------- */

static int mix(struct sound *s, int channels, struct error *err)
{
	struct sound out;
	if (channels == s->channels)
		return SUMI_OK;
	int status = sound_new(&out, s->rate, channels, s->length, err);
	if (status)
		return status;
	for (size_t i = 0; i < s->length; i++) {
		float left = s->samples[i],
		      right = s->channels == 2 ? s->samples[s->length + i] : left;
		out.samples[i] = (left + right) / 2;
		if (channels == 2)
			out.samples[s->length + i] = out.samples[i];
	}
	sound_free(s);
	*s = out;
	return SUMI_OK;
}

/* Half the width of the interpolating kernel, in samples of the lower rate. */
enum { REACH = 16, TABLE = 512 };

/* A sinc under a Hann window at distances 0 … REACH, TABLE values a sample. */
static float *make_kernel(void)
{
	float *k = malloc((REACH * TABLE + 2) * sizeof *k);
	for (int i = 0; k && i < REACH * TABLE + 2; i++) {
		double x = (double)i / TABLE, turn = 3.141592653589793 * x;
		double window = x < REACH ? 0.5 + 0.5 * cos(turn / REACH) : 0;
		k[i] = (float)(i == 0 ? 1 : sin(turn) / turn * window);
	}
	return k;
}

static void resample_channel(const float *in, size_t length, double step, const float *kernel,
			     float *out, size_t out_length)
{
	double narrow = step > 1 ? 1 / step : 1; /* of the kernel: what the lower rate can hold */
	for (size_t i = 0; i < out_length; i++) {
		double at = (double)i * step, reach = REACH / narrow, sum = 0;
		long first = (long)ceil(at - reach), last = (long)floor(at + reach);
		for (long k = first < 0 ? 0 : first; k <= last && k < (long)length; k++)
			sum += in[k] * kernel[(int)(fabs((double)k - at) * narrow * TABLE + 0.5)];
		out[i] = (float)(sum * narrow);
	}
}

static int resample(struct sound *s, int rate, struct error *err)
{
	struct sound out;
	if (rate == s->rate)
		return SUMI_OK;
	size_t length = (size_t)((double)s->length * rate / s->rate + 0.5);
	int status = sound_new(&out, rate, s->channels, length, err);
	float *kernel = status ? NULL : make_kernel();
	if (status)
		return status;
	if (!kernel) {
		sound_free(&out);
		return error_set(err, SUMI_NOMEM, "no memory for another sample rate");
	}
	for (int c = 0; c < s->channels; c++)
		resample_channel(s->samples + (size_t)c * s->length, s->length,
				 (double)s->rate / rate, kernel, out.samples + (size_t)c * length,
				 length);
	free(kernel);
	sound_free(s);
	*s = out;
	return SUMI_OK;
}

/* ---- files ------------------------------------------------------------------------- */

static const struct kind {
	int (*check)(const void *data, size_t size, const char *where, struct error *err);
	int (*decode)(const void *data, size_t size, const char *where, struct sound *out,
		      struct error *err);
} kinds[FORMATS + 1] = {
    [FORMAT_OGG] = {vorbis_check, vorbis_decode},
    [FORMAT_WAV] = {wav_check, wav_decode},
};

static const struct kind *kind_of(const void *data, size_t size, const char *where,
				  struct error *err)
{
	const struct kind *kind = &kinds[format_of(data, size)];
	if (kind->check)
		return kind;
	error_set(err, SUMI_UNSUPPORTED, "%s: is neither an Ogg Vorbis nor a WAV file", where);
	return NULL;
}

int sound_decode(const void *data, size_t size, const char *where, struct sound *out,
		 struct error *err)
{
	const struct kind *kind = kind_of(data, size, where, err);
	int status = kind ? kind->check(data, size, where, err) : SUMI_UNSUPPORTED;
	if (!status)
		status = kind->decode(data, size, where, out, err);
	if (!status && out->length == 0)
		status = error_set(err, SUMI_INVALID, "%s: holds no sound", where);
	return status;
}

int sound_check(const void *data, size_t size, const char *where, struct error *err)
{
	struct sound sound = {0};
	int status = sound_decode(data, size, where, &sound, err);
	sound_free(&sound);
	return status;
}

/* What is needed for the first `most` samples at another rate, with what the kernel reaches. */
static void cut(struct sound *s, int rate, size_t most)
{
	double step = (double)s->rate / rate;
	double need = ceil((double)most * step + (REACH + 1) * (step > 1 ? step : 1));
	if (need >= (double)s->length)
		return;
	for (int c = 1; c < s->channels; c++)
		memmove(s->samples + (size_t)c * (size_t)need,
			s->samples + (size_t)c * s->length, (size_t)need * sizeof *s->samples);
	s->length = (size_t)need;
}

int sound_load(const char *path, const char *where, int rate, int channels, size_t most, struct sound *out,
	       struct error *err)
{
	char *data;
	size_t size;
	*out = (struct sound){0};
	int status = files_read(path, SOUND_FILE_MAX, &data, &size, err);
	if (status)
		return status;
	status = sound_decode(data, size, where, out, err);
	free(data);
	if (!status)
		cut(out, rate, most);
	if (!status && !(status = mix(out, channels, err)))
		status = resample(out, rate, err);
	if (status)
		sound_free(out);
	return status;
}
