/* Music and sounds: a run that paints a mel spectrogram, and the sound of it.
 *
 * Clips longer than the model's window are one run whose windows overlap; a loop is one
 * whose windows go around in a circle, and so do its spectra, phases and samples. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "media/mp3.h"
#include "media/ogg.h"
#include "media/picture.h"
#include "media/sound_file.h"
#include "media/wav.h"
#include "media/webp.h"
#include "modalities/modality.h"
#include "modalities/moods.h"
#include "modalities/request.h"
#include "modalities/single_run.h"
#include "modalities/spectrogram.h"

#define FADE_SECONDS 0.005 /* at the ends of what is no loop */
#define SPECTROGRAM_QUALITY 90

enum { COLUMNS_MAX = 65536 };


/* ---- resolving --------------------------------------------------------------------- */

static int round_up(int value, int multiple)
{
	return (value + multiple - 1) / multiple * multiple;
}

static struct spectrogram_shape shape_of(const struct pack_info *info, const struct spectrogram *s,
					 const struct request *r)
{
	struct spectrogram_shape shape = {.circular = r->loop};
	double frames = r->duration * s->rate / s->hop;
	if (r->loop) {
		shape.frames = (int)round(frames);
		shape.length = (size_t)shape.frames * (size_t)s->hop;
		shape.columns = round_up(shape.frames - info->latents.scale / 2, info->latents.scale);
	} else {
		shape.frames = (int)ceil(frames);
		shape.length = (size_t)round(r->duration * s->rate);
		/* The model knows whole windows: a shorter clip is the beginning of one. */
		shape.columns = round_up(shape.frames, info->latents.scale);
		if (shape.columns < s->window_columns)
			shape.columns = s->window_columns;
	}
	return shape;
}

static int resolve_duration(const struct pack_info *info, const struct spectrogram *s,
			    const struct mood *mood, struct request *r, struct error *err)
{
	if (r->duration == 0)
		r->duration = fmax(REQUEST_DURATION_MIN, (double)s->window_columns * s->hop / s->rate);
	if (!(r->duration >= REQUEST_DURATION_MIN && r->duration <= REQUEST_DURATION_MAX))
		return error_set(err, SUMI_INVALID, "duration is %g, allowed are %g to %g seconds",
				 r->duration, REQUEST_DURATION_MIN, REQUEST_DURATION_MAX);
	/* A loop of whole beats keeps its rhythm where it begins again. */
	if (r->loop && mood->tempo > 0) {
		double beat = 60 / mood->tempo, beats = round(r->duration / beat);
		beats = fmax(beats, ceil(REQUEST_DURATION_MIN / beat));
		r->duration = fmin(beats, floor(REQUEST_DURATION_MAX / beat)) * beat;
	}
	if (r->duration * s->rate / s->hop + s->window_columns > COLUMNS_MAX)
		return error_set(err, SUMI_TOOBIG,
				 "duration %g: more than %d columns of %d samples", r->duration,
				 COLUMNS_MAX, s->hop);
	if (shape_of(info, s, r).columns < info->latents.scale)
		return error_set(
		    err, SUMI_INVALID,
		    "a loop of %g s has less than %d columns of %d samples: give a longer "
		    "duration",
		    r->duration, info->latents.scale, s->hop);
	return SUMI_OK;
}

static int audio_resolve(const struct pack_info *info, struct request *r, struct error *err)
{
	struct spectrogram s;
	struct mood mood;
	if (strcmp(info->modality, modality_names[MODALITY_AUDIO]) != 0)
		return error_set(
		    err, SUMI_INVALID,
		    "model %s makes no sound: its sumi.json must say \"modality\": \"audio\"",
		    info->name);
	int status;
	if ((status = spectrogram_read(info, &s, err)) ||
	    (status = mood_find(info, r->mood, &mood, err)))
		return status;
	if (!r->prompt)
		r->prompt = mood.prompt;
	if (!r->negative_prompt)
		r->negative_prompt = mood.negative_prompt;
	if ((r->width && r->width != s.window_columns) || (r->height && r->height != s.bands))
		return error_set(
		    err, SUMI_INVALID,
		    "width and height of a spectrogram are the model's, %dx%d: give duration",
		    s.window_columns, s.bands);
	r->width = s.window_columns;
	r->height = s.bands;
	if ((status = request_resolve(info, r, err)) ||
	    (status = resolve_duration(info, &s, &mood, r, err)))
		return status;
	if ((status = request_resolve_end(r, PARAM_AUDIO, err)))
		return status;
	if (r->loop && strcmp(r->format, "mp3") == 0)
		return error_set(err, SUMI_INVALID,
				 "format mp3 has silence at both ends, so that a loop would be none: say ogg or wav");
	return SUMI_OK;
}

/* ---- beginning --------------------------------------------------------------------- */

struct audio_start {
	struct spectrogram spectrogram;
	struct spectrogram_shape shape;
};

/* The clip to start from as a picture in −1 … 1. */
static int load_init(const struct single_run_start *start, const struct request *r, float **out,
		     struct error *err)
{
	const struct audio_start *a = start->context;
	const struct spectrogram *s = &a->spectrogram;
	size_t count = (size_t)s->bands * (size_t)a->shape.columns * 3;
	size_t most = ((size_t)a->shape.columns + 1) * (size_t)s->hop + (size_t)s->n_fft;
	struct sound sound;
	int status = sound_load(r->init_file, r->init, s->rate, s->stereo ? 2 : 1, most, &sound, err);
	if (status)
		return status;
	*out = malloc(count * sizeof **out);
	if (!*out)
		status = error_set(err, SUMI_NOMEM, "no memory for the spectrogram of init");
	else
		status = spectrogram_of_sound(s, &a->shape, &sound, *out, err);
	for (size_t i = 0; i < count && !status; i++)
		(*out)[i] = (*out)[i] * 2 - 1;
	sound_free(&sound);
	return status;
}

static int audio_begin(struct pack *pack, const struct request *r, const void *saved,
		       size_t saved_size, struct generation **out, struct error *err)
{
	const struct pack_info *info = pack_info_of(pack);
	struct audio_start a;
	int status = spectrogram_read(info, &a.spectrogram, err);
	/* Told before the work, by the machine that would do it. */
	if (!status && strcmp(r->format, "mp3") == 0 && !mp3_is_there())
		status = error_set(err, SUMI_UNSUPPORTED, "format mp3: there is no " MP3_LIBRARY " here (Debian: libmp3lame0)");
	if (status)
		return status;
	a.shape = shape_of(info, &a.spectrogram, r);
	struct single_run_start start = {
	    .modality = &modality_audio,
	    .load_init = load_init,
	    .context = &a,
	    .width = a.shape.columns,
	    .window = a.spectrogram.window_columns,
	    .overlap = a.spectrogram.overlap_columns,
	    .saved = saved,
	    .saved_size = saved_size,
	};
	return single_run_begin(pack, r, &start, out, err);
}

/* The spectrogram as it forms; of a long clip every so many columns. */
static int audio_preview(const struct generation *g, uint8_t *rgb, size_t max_pixels, int *width,
			 int *height, struct error *err)
{
	const struct single_run *audio = (const struct single_run *)g;
	const struct pack_info *info = pack_info_of(audio->pack);
	struct spectrogram s;
	int status = spectrogram_read(info, &s, err);
	if (status)
		return status;
	int columns = shape_of(info, &s, &audio->request).columns / info->latents.scale;
	int rows = s.bands / info->latents.scale, step = 1;
	while ((size_t)(columns / step) * (size_t)rows > max_pixels && step < columns)
		step++;
	*width = columns / step;
	*height = rows;
	uint8_t *whole = malloc((size_t)columns * (size_t)rows * 3);
	if (!whole)
		return error_set(err, SUMI_NOMEM, "no memory for a preview");
	run_preview(audio->run, whole);
	for (int y = 0; y < rows; y++)
		for (int x = 0; x < *width; x++)
			memcpy(rgb + ((size_t)y * (size_t)*width + (size_t)x) * 3,
			       whole + ((size_t)y * (size_t)columns + (size_t)(x * step)) * 3, 3);
	free(whole);
	return SUMI_OK;
}

/* ---- finishing --------------------------------------------------------------------- */

/* What is cut out of a longer sound begins and ends without a click. */
static void fade_ends(struct sound *sound)
{
	size_t n = (size_t)(FADE_SECONDS * sound->rate);
	for (int c = 0; c < sound->channels; c++) {
		float *x = sound->samples + (size_t)c * sound->length;
		for (size_t i = 0; i < n && i < sound->length; i++) {
			float f = (float)(0.5 - 0.5 * cos(3.141592653589793 * ((double)i + 0.5) /
							  (double)n));
			x[i] *= f;
			x[sound->length - 1 - i] *= f;
		}
	}
}

/* How much the wave moves from sample i − 1 to sample i, and how sharply it bends there. */
static float unrest(const struct sound *s, size_t i)
{
	size_t n = s->length;
	float sum = 0;
	for (int c = 0; c < s->channels; c++) {
		const float *x = s->samples + (size_t)c * n;
		float a = x[(i + n - 2) % n], b = x[(i + n - 1) % n], d = x[i % n],
		      e = x[(i + 1) % n];
		sum += fabsf(d - b) + fabsf(d - 2 * b + a) + fabsf(e - 2 * d + b);
	}
	return sum;
}

/* A loop is cut where the wave is calmest within half a column of its beginning: what a player
 * or an encoder adds at the ends then disturbs least. */
static int cut_at_rest(struct sound *s, int hop, struct error *err)
{
	size_t n = s->length, around = (size_t)hop / 2, cut = 0;
	for (size_t k = 1; k <= 2 * around; k++) {
		size_t at = k <= around ? k : n - (k - around);
		if (unrest(s, at) < unrest(s, cut))
			cut = at;
	}
	float *turned = malloc(n * sizeof *turned);
	if (!turned)
		return error_set(err, SUMI_NOMEM, "no memory for %zu samples", n);
	for (int c = 0; c < s->channels; c++) {
		float *x = s->samples + (size_t)c * n;
		memcpy(turned, x + cut, (n - cut) * sizeof *x);
		memcpy(turned + n - cut, x, cut * sizeof *x);
		memcpy(x, turned, n * sizeof *x);
	}
	free(turned);
	return SUMI_OK;
}

static int emit_sound(const struct single_run *audio, struct sound *sound, const struct sink *sink,
		      struct error *err)
{
	const struct request *r = &audio->request;
	struct metadata meta = {.infotext = audio->infotext, .json = audio->metadata};
	struct output o = {
	    .role = "main",
	    .format = r->format,
	    .duration = (double)sound->length / sound->rate,
	};
	uint8_t *data;
	int status = strcmp(r->format, "wav") == 0   ? wav_encode(sound, &meta, &data, &o.size, err)
		     : strcmp(r->format, "mp3") == 0 ? mp3_encode_quality(sound, r->quality, &meta, &data, &o.size, err)
						     : ogg_encode(sound, r->quality, r->loop, &meta, &data, &o.size, err);
	if (status)
		return status;
	o.data = data;
	status = single_run_emit(audio, &o, sink, err);
	free(data);
	return status;
}

/* What the clip is made of; columns that WebP has no room for are left out evenly. */
static int emit_spectrogram(const struct single_run *audio, const float *picture, int columns,
			    int rows, const struct sink *sink, struct error *err)
{
	struct metadata meta = {.infotext = audio->infotext, .json = audio->metadata};
	struct webp_options options = {.quality = SPECTROGRAM_QUALITY};
	int step = (columns + WEBP_MAX_SIDE - 1) / WEBP_MAX_SIDE, width = columns / step;
	struct output o = {
	    .role = "spectrogram",
	    .format = "webp",
	    .width = width,
	    .height = rows,
	};
	uint8_t *data, *rgb = malloc((size_t)width * (size_t)rows * 3);
	if (!rgb)
		return error_set(err, SUMI_NOMEM, "no memory for a spectrogram of %dx%d", width,
				 rows);
	for (int y = 0; y < rows; y++)
		for (int x = 0; x < width; x++)
			picture_to_bytes(picture +
					     ((size_t)y * (size_t)columns + (size_t)(x * step)) * 3,
					 rgb + ((size_t)y * (size_t)width + (size_t)x) * 3, 3);
	int status = webp_encode(rgb, width, rows, &options, &meta, &data, &o.size, err);
	free(rgb);
	if (status)
		return status;
	o.data = data;
	status = single_run_emit(audio, &o, sink, err);
	free(data);
	return status;
}

static int audio_finish(struct generation *g, const struct sink *sink, struct error *err)
{
	struct single_run *audio = (struct single_run *)g;
	const struct pack_info *info = pack_info_of(audio->pack);
	struct spectrogram s;
	struct sound sound = {0};
	int status = spectrogram_read(info, &s, err);
	if (status)
		return status;
	struct spectrogram_shape shape = shape_of(info, &s, &audio->request);
	float *picture = malloc((size_t)s.bands * (size_t)shape.columns * 3 * sizeof *picture);
	if (!picture)
		return error_set(err, SUMI_NOMEM, "no memory for a spectrogram of %d columns",
				 shape.columns);
	if ((status = run_decode(audio->run, 0, picture, err)) ||
	    (status = spectrogram_to_sound(&s, &shape, picture, &sound, err)))
		goto done;
	if (!shape.circular)
		fade_ends(&sound);
	else if ((status = cut_at_rest(&sound, s.hop, err)))
		goto done;
	if ((status = sound_normalise(&sound, SOUND_CEILING, shape.circular, err)) ||
	    (status = emit_sound(audio, &sound, sink, err)))
		goto done;
	status = emit_spectrogram(audio, picture, shape.columns, s.bands, sink, err);
done:
	sound_free(&sound);
	free(picture);
	return status;
}

const struct modality modality_audio = {
    .resolve = audio_resolve,
    .begin = audio_begin,
    .check_file = sound_check,
    .step = single_run_step,
    .save = single_run_save,
    .preview = audio_preview,
    .finish = audio_finish,
    .free = single_run_free,
};
