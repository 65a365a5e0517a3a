/* The sound of a film. */
#include "modalities/film_sound.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "media/sound_file.h"
#include "request/files.h"

#define FADE_IN 0.02  /* seconds: the first beat keeps its attack */
#define FADE_OUT 0.5  /* under the clip that comes next */
#define FADE_LAST 1.0 /* at the film's end */

enum { LOOKS = 100 /* a second: how finely beats are looked for */ };

/* ---- beats ------------------------------------------------------------------------- */

/* How much louder it becomes from look to look, [looks]; the caller frees it. */
static float *risings(const struct sound *s, size_t looks)
{
	size_t hop = (size_t)s->rate / LOOKS;
	float *out = calloc(looks ? looks : 1, sizeof *out);
	double before = 0;
	for (size_t k = 0; out && k < looks; k++) {
		double energy = 0;
		for (int c = 0; c < s->channels; c++)
			for (size_t i = 0; i < hop; i++) {
				double x = s->samples[(size_t)c * s->length + k * hop + i];
				energy += x * x;
			}
		double loud = log(energy / (double)hop + 1e-4);
		out[k] = k && loud > before ? (float)(loud - before) : 0;
		before = loud;
	}
	return out;
}

size_t film_first_beat(const struct sound *clip, double tempo)
{
	double beat = 60 / tempo * LOOKS, best = 0;
	size_t hop = (size_t)clip->rate / LOOKS, looks = clip->length / hop, found = 0;
	float *rises = risings(clip, looks);
	for (size_t o = 0; rises && (double)o < beat && (double)o + beat < (double)looks; o++) {
		double sum = 0, at = (double)o;
		int count = 0;
		for (; at < (double)looks; at += beat, count++)
			sum += rises[(size_t)at];
		if (sum / count > best) {
			best = sum / count;
			found = o;
		}
	}
	free(rises);
	return found * hop;
}

/* ---- clips ------------------------------------------------------------------------- */

static const char *path_of(const struct request *r, size_t clip, const char **where)
{
	const json_t *o = json_array_get(r->music, clip);
	*where = json_string_value(json_object_get(o, "sound"));
	return request_file_path(r, *where);
}

static double number_of(const struct request *r, size_t clip, const char *name)
{
	return json_number_value(json_object_get(json_array_get(r->music, clip), name));
}

/* What the first clip is like: the film's sound. */
static int first_kind(const struct request *r, int *rate, int *channels, struct error *err)
{
	const char *where, *path = path_of(r, 0, &where);
	struct sound first;
	char *data;
	size_t size;
	if (!path)
		return error_set(err, SUMI_INTERNAL, "music: nobody has looked for its files");
	int status = files_read(path, SOUND_FILE_MAX, &data, &size, err);
	if (status)
		return status;
	status = sound_decode(data, size, where, &first, err);
	free(data);
	if (status)
		return status;
	*rate = first.rate;
	*channels = first.channels;
	sound_free(&first);
	return SUMI_OK;
}

/* 1 within a clip of so many samples, less where it comes and goes. */
static float gain(size_t i, size_t length, size_t in, size_t out)
{
	double g = 1;
	if (i < in)
		g = ((double)i + 0.5) / (double)in;
	if (length - i <= out)
		g *= ((double)(length - i) - 0.5) / (double)out;
	return (float)g;
}

/* Adds a clip from one sample of the film on; it is heard for so many more than `seconds` say where it goes
 * under the next. */
static int add_clip(const struct request *r, size_t clip, size_t from, size_t heard, bool last, struct sound *film,
		    struct error *err)
{
	const char *where, *path = path_of(r, clip, &where);
	double tempo = number_of(r, clip, "tempo"), beat = tempo > 0 ? 60 / tempo : 0;
	size_t out = (size_t)((last ? FADE_LAST : FADE_OUT) * film->rate), in = (size_t)(FADE_IN * film->rate);
	struct sound s;
	if (!path)
		return error_set(err, SUMI_INTERNAL, "music: nobody has looked for its files");
	heard += last ? 0 : out;
	if (heard > film->length - from)
		heard = film->length - from;
	int status = sound_load(path, where, film->rate, film->channels,
				heard + (size_t)(beat * film->rate) + 1, &s, err);
	if (status)
		return status;
	size_t skip = tempo > 0 ? film_first_beat(&s, tempo) : 0;
	if (heard > s.length - skip)
		heard = s.length - skip;
	in = in < heard / 2 ? in : heard / 2;
	out = out < heard / 2 ? out : heard / 2;
	for (int c = 0; c < film->channels; c++)
		for (size_t i = 0; i < heard; i++)
			film->samples[(size_t)c * film->length + from + i] +=
			    gain(i, heard, in, out) * s.samples[(size_t)c * s.length + skip + i];
	sound_free(&s);
	return SUMI_OK;
}

/* Samples that a clip has until the next; without a word of it as long as it is. */
static int length_of(const struct request *r, size_t clip, int rate, size_t *out, struct error *err)
{
	double seconds = number_of(r, clip, "seconds");
	const char *where, *path = path_of(r, clip, &where);
	struct sound s;
	if (seconds > 0) {
		*out = (size_t)(seconds * rate + 0.5);
		return SUMI_OK;
	}
	int status = sound_load(path, where, rate, 1, (size_t)SOUND_SECONDS_MAX * (size_t)rate, &s, err);
	*out = status ? 0 : s.length;
	sound_free(&s);
	return status;
}

int film_sound(const struct request *r, double seconds, struct sound *out, struct error *err)
{
	int rate = 0, channels = 0;
	size_t from = 0, count = json_array_size(r->music);
	*out = (struct sound){0};
	int status = first_kind(r, &rate, &channels, err);
	if (!status)
		status = sound_new(out, rate, channels, (size_t)(seconds * rate + 0.5), err);
	for (size_t k = 0; k < count && !status && from < out->length; k++) {
		size_t heard;
		bool last = k + 1 == count;
		from += (size_t)(number_of(r, k, "pause") * rate + 0.5);
		if (from >= out->length)
			break;
		status = length_of(r, k, rate, &heard, err);
		if (!status)
			status = add_clip(r, k, from, heard, last || from + heard >= out->length, out, err);
		from += heard;
	}
	return status;
}
