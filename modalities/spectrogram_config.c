/* The block "spectrogram" of a pack's sumi.json. Packs come from strangers: everything that
 * sizes memory or divides is checked. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "modalities/fft.h"
#include "modalities/spectrogram.h"

enum { BANDS_MIN = 8, BANDS_MAX = 1024, N_FFT_MAX = 65536 };
enum { WINDOW_MIN = 16, WINDOW_MAX = 8192 }; /* columns */
/* A second of sound is transformed in n_fft / hop_length times its samples; Riffusion's 40. */
enum { REDUNDANCY_MAX = 64 };
/* Riffusion's 17640 has the factor 7. */
enum { FACTOR_MAX = 7 };

static const char *const known[] = {
    "sample_rate", "hop_length", "win_length",     "n_fft",           "n_mels",    "mel_scale",
    "mel_norm",    "f_min",      "f_max",          "power",           "max_value", "loud",
    "low",         "stereo",     "red",            "phases",          "window_columns",
    "overlap_columns", NULL};

/* A field that is one of two words; *second tells which. */
static int want_choice(const json_t *o, const char *where, const char *key, const char *first,
		       const char *other, bool *second, struct error *err)
{
	const char *word = NULL;
	int status = json_want_string(o, where, key, &word, err);
	if (status || !word)
		return status;
	*second = strcmp(word, other) == 0;
	if (!*second && strcmp(word, first) != 0)
		return error_set(err, SUMI_INVALID,
				 "%s: field '%s' is '%.40s', allowed are %s and %s", where, key,
				 word, first, other);
	return SUMI_OK;
}

static int want_int(const json_t *o, const char *where, const char *key, int64_t min, int64_t max,
		    int *value, struct error *err)
{
	int64_t wide = *value;
	int status = json_want_int(o, where, key, min, max, &wide, err);
	*value = (int)wide;
	return status;
}

static int quick_below(int n)
{
	while (n % 2 || fft_largest_factor(n) > FACTOR_MAX)
		n--;
	return n;
}

static int read_layout(const json_t *o, const char *where, struct spectrogram *s, struct error *err)
{
	int status;
	if ((status = want_int(o, where, "sample_rate", SOUND_RATE_MIN, 96000, &s->rate, err)) ||
	    (status = want_int(o, where, "n_fft", 64, N_FFT_MAX, &s->n_fft, err)) ||
	    (status = want_int(o, where, "win_length", 32, s->n_fft, &s->window, err)) ||
	    (status = want_int(o, where, "hop_length", 16, s->window / 2, &s->hop, err)) ||
	    (status = want_int(o, where, "n_mels", BANDS_MIN, BANDS_MAX, &s->bands, err)))
		return status;
	/* One that the file leaves out may still not fit those that it gives. */
	if (s->n_fft % 2 || s->window > s->n_fft || s->hop > s->window / 2)
		return error_set(
		    err, SUMI_INVALID,
		    "%s: n_fft %d must be even and at least win_length %d, and that at least "
		    "twice hop_length %d",
		    where, s->n_fft, s->window, s->hop);
	if (fft_largest_factor(s->n_fft) > FACTOR_MAX)
		return error_set(err, SUMI_INVALID,
				 "%s: field 'n_fft' is %d; only products of 2, 3, 5 and 7 are fast "
				 "enough, such as %d",
				 where, s->n_fft, quick_below(s->n_fft));
	if (s->n_fft / REDUNDANCY_MAX > s->hop)
		return error_set(err, SUMI_INVALID,
				 "%s: n_fft %d is more than %d times hop_length %d: each second "
				 "would be transformed too often",
				 where, s->n_fft, REDUNDANCY_MAX, s->hop);
	return SUMI_OK;
}

static int read_scale(const json_t *o, const char *where, struct spectrogram *s, struct error *err)
{
	double half = s->rate / 2.0;
	bool white = false, top = false;
	int status;
	if ((status = want_choice(o, where, "mel_scale", "htk", "slaney", &s->slaney, err)) ||
	    (status = want_choice(o, where, "mel_norm", "none", "slaney", &s->area_norm, err)) ||
	    (status = json_want_number(o, where, "f_min", 0, half, &s->low, err)) ||
	    (status = json_want_number(o, where, "f_max", 0, half, &s->high, err)) ||
	    (status = json_want_number(o, where, "power", 0.05, 4, &s->power, err)) ||
	    (status = json_want_number(o, where, "max_value", 0, 1e12, &s->max_value, err)) ||
	    (status = want_choice(o, where, "loud", "black", "white", &white, err)) ||
	    (status = want_choice(o, where, "low", "bottom", "top", &top, err)) ||
	    (status = json_want_bool(o, where, "stereo", &s->stereo, err)) ||
	    (status = want_choice(o, where, "red", "empty", "both", &s->both_in_red, err)) ||
	    (status = want_choice(o, where, "phases", "apart", "together", &s->one_phase, err)))
		return status;
	if (!s->stereo && (s->both_in_red || s->one_phase))
		return error_set(err, SUMI_INVALID, "%s: field '%s' is of two channels, and 'stereo' is not true", where,
				 s->one_phase ? "phases" : "red");
	s->black_is_loud = !white;
	s->low_at_bottom = !top;
	if (s->high > half)
		s->high = half;
	if (s->high - s->low < 1)
		return error_set(err, SUMI_INVALID,
				 "%s: field 'f_max' is %g, not above f_min, which is %g", where,
				 s->high, s->low);
	return SUMI_OK;
}

static int read_window(const json_t *o, const char *where, const struct pack_info *info,
		       struct spectrogram *s, struct error *err)
{
	int status =
	    want_int(o, where, "window_columns", WINDOW_MIN, WINDOW_MAX, &s->window_columns, err);
	if (status)
		return status;
	/* Left out, they are the picture's, which has other limits. */
	if (s->bands < BANDS_MIN || s->bands > BANDS_MAX || s->window_columns < WINDOW_MIN ||
	    s->window_columns > WINDOW_MAX)
		return error_set(err, SUMI_INVALID,
				 "%s: a picture of %dx%d; allowed are %d to %d window_columns and "
				 "%d to %d n_mels",
				 where, s->window_columns, s->bands, WINDOW_MIN, WINDOW_MAX,
				 BANDS_MIN, BANDS_MAX);
	s->overlap_columns = s->window_columns / 2 / info->latents.scale * info->latents.scale;
	/* Each column is painted window / (window - overlap) times. */
	int most = s->window_columns - info->latents.scale, eighths = s->window_columns / 8 * 7;
	status = want_int(o, where, "overlap_columns", 0, most < eighths ? most : eighths,
			  &s->overlap_columns, err);
	if (status)
		return status;
	if (s->bands % info->latents.scale || s->window_columns % info->latents.scale ||
	    s->overlap_columns % info->latents.scale)
		return error_set(err, SUMI_INVALID,
				 "%s: n_mels %d, window_columns %d and overlap_columns %d must be "
				 "multiples of %d",
				 where, s->bands, s->window_columns, s->overlap_columns,
				 info->latents.scale);
	return SUMI_OK;
}

int spectrogram_read(const struct pack_info *info, struct spectrogram *s, struct error *err)
{
	char where[256];
	const json_t *o = json_object_get(info->manifest, "spectrogram");
	snprintf(where, sizeof where, "%.200s/sumi.json, spectrogram", info->path);
	*s = (struct spectrogram){
	    .rate = 44100,
	    .hop = 441,
	    .window = 4410,
	    .n_fft = 17640,
	    .bands = info->defaults.height,
	    .high = 10000,
	    .power = 0.25,
	    .black_is_loud = true,
	    .low_at_bottom = true,
	    .window_columns = info->defaults.width,
	};
	if (o && !json_is_object(o))
		return error_set(err, SUMI_INVALID, "%s: must be an object", where);
	const char *stranger = o ? json_unknown_field(o, known) : NULL;
	if (stranger)
		return error_set(err, SUMI_INVALID, "%s: field '%.60s' is not known", where,
				 stranger);
	int status = read_layout(o, where, s, err);
	if (!status)
		status = read_scale(o, where, s, err);
	return status ? status : read_window(o, where, info, s, err);
}
