/* The modality "audio": requests, spectrograms there and back, long clips, loops, and the
 * promise that an interrupted clip is the same clip. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/files.h"
#include "base/json.h"
#include "check.h"
#include "media/ogg.h"
#include "media/vorbis.h"
#include "media/wav.h"
#include "media/webp.h"
#include "modalities/modality.h"
#include "modalities/phase.h"
#include "modalities/spectrogram.h"
#include "tests/unit/sound_clips.h"

#define PACK "tests/vectors/sound-tiny"
#define TURN 6.283185307179586

static struct device *device;
static struct pack *pack;

static struct request request(const char *prompt, double duration)
{
	return (struct request){
	    .modality = "audio",
	    .prompt = prompt,
	    .seed = 7,
	    .cfg_scale = NAN,
	    .quality = NAN,
	    .mask_blur = NAN,
	    .mask_padding = NAN,
	    .strength = NAN,
	    .duration = duration,
	};
}

static int resolve(struct request *r, struct error *err)
{
	return modality_audio.resolve(pack_info_of(pack), r, err);
}

/* ---- requests ---------------------------------------------------------------------- */

static void check_refused(struct request r, const char *says)
{
	struct error err = {0};
	int status = resolve(&r, &err);
	if (status != SUMI_INVALID || !strstr(err.text, says))
		fail_msg("status %d, '%s', wanted '%s'", status, err.text, says);
}

static void bad_requests_get_a_clear_line(void **state)
{
	(void)state;
	struct request r;
	check_refused(request("x", 0.5), "duration is 0.5, allowed are 1 to 300 seconds");
	check_refused(request("x", -1), "duration");
	check_refused(request("x", 300.5), "duration");
	check_refused(request("x", 1e9), "duration");
	check_refused(request("x", NAN), "duration");
	check_refused(request(NULL, 2), "prompt");
	r = request("x", 2);
	r.frames = 16;
	check_refused(r, "frames");
	r = request("x", 2);
	r.fps = 8;
	check_refused(r, "fps");
	r = request("x", 2);
	r.width = 512;
	check_refused(r, "width");
	r = request("x", 2);
	r.format = "webp";
	check_refused(r, "ogg, wav");
	r = request(NULL, 2);
	r.mood = "gloomy";
	check_refused(r, "calm, bright");
}

static void moods_are_checked(void **state)
{
	(void)state;
	struct pack_info info = *pack_info_of(pack);
	struct request r = request(NULL, 2);
	struct error err = {0};
	r.mood = "calm";
	const char *text = "{\"moods\": {\"calm\": {\"prompt\": \"x\", \"temop\": 60}}}";
	assert_int_equal(json_read_text(text, strlen(text), "test", &info.manifest, &err), 0);
	assert_int_equal(modality_audio.resolve(&info, &r, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "'temop' is not known"));
	json_decref(info.manifest);
}

static void moods_fill_what_is_open(void **state)
{
	(void)state;
	struct error err;
	struct request r = request(NULL, 10);
	r.mood = "calm";
	assert_int_equal(resolve(&r, &err), 0);
	assert_string_equal(r.prompt, "calm piano");
	assert_string_equal(r.negative_prompt, "drums");
	assert_true(r.duration == 10);
	/* What was resolved once is resolved to the same again. */
	struct request again = r;
	assert_int_equal(resolve(&again, &err), 0);
	json_t *once = request_json(&r), *twice = request_json(&again);
	assert_non_null(once);
	assert_true(json_equal(once, twice));
	json_decref(once);
	json_decref(twice);
	r = request("rain on a roof", 2);
	r.mood = "calm";
	assert_int_equal(resolve(&r, &err), 0);
	assert_string_equal(r.prompt, "rain on a roof");
	r = request(NULL, 3.4);
	r.mood = "calm";
	r.loop = true;
	assert_int_equal(resolve(&r, &err), 0);
	assert_true(r.duration == 3); /* 60 beats a minute */
	r = request("x", 0);
	assert_int_equal(resolve(&r, &err), 0);
	assert_true(fabs(r.duration - 64 * 256 / 16000.0) < 1e-9);
}

/* ---- sumi.json --------------------------------------------------------------------- */

static int read_block(const char *text, struct spectrogram *s, struct error *err)
{
	struct pack_info info = *pack_info_of(pack);
	assert_int_equal(json_read_text(text, strlen(text), "test", &info.manifest, err), 0);
	int status = spectrogram_read(&info, s, err);
	json_decref(info.manifest);
	return status;
}

static void hostile_blocks_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *block, *says;
	} cases[] = {
	    {"[1]", "must be an object"},
	    {"{\"hop\": 10}", "'hop' is not known"},
	    {"{\"sample_rate\": 0}", "sample_rate"},
	    {"{\"sample_rate\": 1e300}", "sample_rate"},
	    {"{\"n_fft\": 1000000000}", "n_fft"},
	    {"{\"n_fft\": 8821, \"win_length\": 4410}", "n_fft"},
	    {"{\"n_fft\": 65498}",
	     "'n_fft' is 65498; only products of 2, 3, 5 and 7 are fast enough, "
	     "such as 64800"},
	    {"{\"n_fft\": 65522, \"hop_length\": 2205}", "'n_fft'"}, /* 2 · 181² */
	    {"{\"n_fft\": 17646}", "'n_fft'"},                       /* 2 · 3 · 17 · 173 */
	    {"{\"n_fft\": 65536, \"hop_length\": 16}", "64 times hop_length 16"},
	    {"{\"hop_length\": 16}", "64 times hop_length 16"},
	    {"{\"window_columns\": 8192, \"overlap_columns\": 8184}", "overlap_columns"},
	    {"{\"win_length\": 20000}", "win_length"},
	    {"{\"hop_length\": 0}", "hop_length"},
	    {"{\"hop_length\": 4410}", "hop_length"},
	    {"{\"n_mels\": 0}", "n_mels"},
	    {"{\"n_mels\": 100}", "n_mels"},
	    {"{\"mel_scale\": \"bark\"}", "mel_scale"},
	    {"{\"f_max\": 40000}", "f_max"},
	    {"{\"f_min\": 9999.5}", "f_max"},
	    {"{\"power\": 0}", "power"},
	    {"{\"power\": \"a\"}", "power"},
	    {"{\"loud\": \"grey\"}", "loud"},
	    {"{\"low\": 3}", "low"},
	    {"{\"stereo\": 1}", "stereo"},
	    {"{\"phases\": true}", "phases"},
	    {"{\"stereo\": true, \"phases\": \"both\"}", "allowed are apart and together"},
	    {"{\"phases\": \"together\"}", "'phases' is of two channels"},
	    {"{\"stereo\": true, \"red\": \"full\"}", "'red'"},
	    {"{\"stereo\": false, \"red\": \"both\"}", "'red' is of two channels"},
	    {"{\"window_columns\": 100}", "window_columns"},
	    {"{\"window_columns\": -8}", "window_columns"},
	    {"{\"overlap_columns\": 64}", "overlap_columns"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char text[256];
		struct spectrogram s;
		struct error err = {0};
		snprintf(text, sizeof text, "{\"spectrogram\": %s}", cases[i].block);
		int status = read_block(text, &s, &err);
		if (status != SUMI_INVALID || !strstr(err.text, cases[i].says))
			fail_msg("%s: status %d, '%s'", cases[i].block, status, err.text);
	}
}

/* What the block leaves out has the picture's size, and that has other limits. */
static void pictures_have_limits_too(void **state)
{
	(void)state;
	static const int sizes[][2] = {{8, 64}, {64, 2048}};
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct pack_info info = *pack_info_of(pack);
		struct spectrogram s;
		struct error err = {0};
		info.manifest = NULL;
		info.defaults.width = sizes[i][0];
		info.defaults.height = sizes[i][1];
		assert_int_equal(spectrogram_read(&info, &s, &err), SUMI_INVALID);
		assert_non_null(strstr(err.text, "n_mels"));
	}
}

static void defaults_are_riffusions(void **state)
{
	(void)state;
	struct spectrogram s;
	struct error err;
	assert_int_equal(read_block("{}", &s, &err), 0);
	assert_int_equal(s.rate, 44100);
	assert_int_equal(s.hop, 441);
	assert_int_equal(s.window, 4410);
	assert_int_equal(s.n_fft, 17640);
	assert_true(s.low == 0 && s.high == 10000 && s.power == 0.25);
	assert_true(!s.slaney && !s.area_norm && s.black_is_loud && s.low_at_bottom && !s.stereo);
	assert_true(!s.one_phase && !s.both_in_red);
}

/* ---- spectrograms ------------------------------------------------------------------ */

static double convergence(const float *want, const float *got, size_t n)
{
	double distance = 0, norm = 0;
	for (size_t i = 0; i < n; i++) {
		distance += (want[i] - got[i]) * (double)(want[i] - got[i]);
		norm += want[i] * (double)want[i];
	}
	return sqrt(distance / norm);
}

/* Sound → picture → sound → picture: how far the second picture is from the first. */
static double there_and_back(struct spectrogram s, bool circular)
{
	enum { FRAMES = 60 };
	struct error err;
	struct sound sound, again;
	struct spectrogram_shape shape = {
	    .columns = circular ? 64 : FRAMES,
	    .frames = FRAMES,
	    .length = FRAMES * (size_t)s.hop,
	    .circular = circular,
	};
	size_t count = (size_t)s.bands * (size_t)shape.columns * 3;
	float *picture = malloc(count * sizeof *picture), *second = malloc(count * sizeof *second);
	assert_int_equal(sound_new(&sound, s.rate, s.stereo ? 2 : 1, (size_t)s.rate, &err), 0);
	for (int c = 0; c < sound.channels; c++) {
		float *clip = sound_clip(2 * c, s.rate);
		memcpy(sound.samples + (size_t)c * sound.length, clip, sound.length * sizeof *clip);
		free(clip);
	}
	assert_int_equal(spectrogram_of_sound(&s, &shape, &sound, picture, &err), 0);
	assert_int_equal(spectrogram_to_sound(&s, &shape, picture, &again, &err), 0);
	assert_int_equal(again.length, shape.length);
	assert_int_equal(again.channels, sound.channels);
	assert_int_equal(spectrogram_of_sound(&s, &shape, &again, second, &err), 0);
	/* Both as loudness: white pictures of quiet clips would hide every fault. */
	for (size_t i = 0; i < count; i++) {
		bool used = !s.stereo || i % 3 > 0;
		picture[i] = used ? s.black_is_loud ? 1 - picture[i] : picture[i] : 0;
		second[i] = used ? s.black_is_loud ? 1 - second[i] : second[i] : 0;
	}
	double d = convergence(picture, second, count);
	free(picture);
	free(second);
	sound_free(&sound);
	sound_free(&again);
	return d;
}

static void pictures_hold_the_sound(void **state)
{
	(void)state;
	struct error err;
	struct spectrogram s;
	assert_int_equal(spectrogram_read(pack_info_of(pack), &s, &err), 0);
	for (int k = 0; k < 32; k++) {
		s.black_is_loud = k & 1;
		s.low_at_bottom = k & 2;
		s.stereo = k & 4;
		s.one_phase = k & 16;
		double d = there_and_back(s, k & 8);
		print_message("variant %d: %.3f\n", k, d);
		assert_true(d < 0.25);
	}
}

/* Riffusion's own layout: black is loud, low at the bottom, left in green, right in blue. */
static void pictures_lie_as_riffusions(void **state)
{
	(void)state;
	struct error err;
	struct spectrogram s;
	struct sound sound;
	assert_int_equal(spectrogram_read(pack_info_of(pack), &s, &err), 0);
	s.stereo = true;
	struct spectrogram_shape shape = {
	    .columns = 32, .frames = 32, .length = 32 * (size_t)s.hop};
	float *picture = malloc((size_t)s.bands * 32 * 3 * sizeof *picture);
	assert_int_equal(sound_new(&sound, s.rate, 2, (size_t)s.rate, &err), 0);
	for (int i = 0; i < s.rate; i++) {
		sound.samples[i] = (float)sin(TURN * 200 * i / s.rate);
		sound.samples[s.rate + i] = (float)(0.5 * sin(TURN * 6000 * i / s.rate));
	}
	assert_int_equal(spectrogram_of_sound(&s, &shape, &sound, picture, &err), 0);
	int dark[3] = {0};
	for (int c = 0; c < 3; c++)
		for (int y = 0; y < s.bands; y++)
			if (picture[(y * 32 + 16) * 3 + c] < picture[(dark[c] * 32 + 16) * 3 + c])
				dark[c] = y;
	assert_within(dark[1], s.bands * 3 / 4, s.bands - 1);
	assert_within(dark[2], 0, s.bands / 4);
	assert_true(picture[(dark[1] * 32 + 16) * 3 + 1] < 0.5);
	free(picture);
	sound_free(&sound);
}

/* ---- generations ------------------------------------------------------------------- */

struct collected {
	uint8_t *data[4];
	size_t size[4];
	char role[4][16];
	double duration[4];
	int count;
};

static int collect(void *context, const struct output *o, struct error *err)
{
	(void)err;
	struct collected *c = context;
	assert_within(c->count, 0, 3);
	c->data[c->count] = malloc(o->size);
	memcpy(c->data[c->count], o->data, o->size);
	c->size[c->count] = o->size;
	c->duration[c->count] = o->duration;
	snprintf(c->role[c->count++], 16, "%s", o->role);
	return SUMI_OK;
}

static void discard(struct collected *c)
{
	for (int i = 0; i < c->count; i++)
		free(c->data[i]);
}

/* Runs it, saved and begun anew after each step when interrupted is set. */
static struct collected generate(struct request r, bool interrupted)
{
	struct error err = {0};
	struct generation *g = NULL;
	struct collected c = {.count = 0};
	struct sink sink = {.context = &c, .output = collect};
	if (resolve(&r, &err) || modality_audio.begin(pack, &r, NULL, 0, &g, &err))
		fail_msg("%s", err.text);
	while (g->steps_done < g->steps) {
		assert_int_equal(modality_audio.step(g, &err), 0);
		if (!interrupted)
			continue;
		void *saved;
		size_t size;
		int done = g->steps_done;
		assert_int_equal(modality_audio.save(g, &saved, &size, &err), 0);
		modality_audio.free(g);
		if (modality_audio.begin(pack, &r, saved, size, &g, &err))
			fail_msg("%s", err.text);
		assert_int_equal(g->steps_done, done);
		free(saved);
	}
	if (modality_audio.finish(g, &sink, &err))
		fail_msg("%s", err.text);
	modality_audio.free(g);
	return c;
}

static void check_same_when_interrupted(struct request r)
{
	struct collected a = generate(r, false), b = generate(r, true);
	assert_int_equal(a.count, 2);
	assert_int_equal(b.count, 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(a.size[i], b.size[i]);
		assert_memory_equal(a.data[i], b.data[i], a.size[i]);
	}
	discard(&a);
	discard(&b);
}

static void interrupted_clips_are_the_same(void **state)
{
	(void)state;
	struct request r = request("calm piano", 1);
	check_same_when_interrupted(r);
	r.duration = 3.3;
	check_same_when_interrupted(r);
	r.loop = true;
	check_same_when_interrupted(r);
}

/* Both formats have every sample that was asked for; the picture is there beside them. */
static void clips_are_as_long_as_asked(void **state)
{
	(void)state;
	static const double durations[] = {1, 2.5, 7.77};
	struct error err;
	for (int k = 0; k < 6; k++) {
		struct request r = request("calm piano", durations[k / 2]);
		struct sound s;
		r.format = k % 2 ? "wav" : "ogg";
		struct collected c = generate(r, false);
		assert_string_equal(c.role[0], "main");
		assert_string_equal(c.role[1], "spectrogram");
		assert_int_equal(k % 2 ? wav_decode(c.data[0], c.size[0], "test", &s, &err)
				       : vorbis_decode(c.data[0], c.size[0], "test", &s, &err),
				 0);
		assert_int_equal(s.length, lround(durations[k / 2] * 16000));
		assert_true(fabs(c.duration[0] - durations[k / 2]) < 1e-4);
		struct webp_reader *reader;
		assert_int_equal(webp_reader_new(c.data[1], c.size[1], "test", &reader, &err), 0);
		assert_int_equal(webp_reader_info(reader)->height, 64);
		webp_reader_free(reader);
		sound_free(&s);
		discard(&c);
	}
}

static int compare_floats(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x > y) - (x < y);
}

/* How far the wave jumps: from where the four samples before and after would have it
 * (a third difference), at i of a circle. */
static float jump(const struct sound *s, size_t i)
{
	size_t n = s->length;
	const float *x = s->samples;
	return fabsf(x[(i + 1) % n] - 3 * x[i % n] + 3 * x[(i + n - 1) % n] - x[(i + n - 2) % n]);
}

/* Change of the spectrum from frame to frame around the circle, [frames]. */
static float *spectral_flux(const struct sound *s, int frames)
{
	struct error err;
	struct stft *stft;
	struct stft_options o = {.n_fft = 1024, .window = 1024, .hop = 256, .edge = STFT_CIRCLE};
	float *flux = calloc((size_t)frames, sizeof *flux);
	float *m = malloc(2 * 513 * sizeof *m);
	assert_int_equal(stft_new(&o, &stft, &err), 0);
	stft_magnitude(stft, s->samples, s->length, frames - 1, m);
	for (int t = 0; t < frames; t++) {
		float *before = m + (t % 2) * 513, *now = m + (1 - t % 2) * 513;
		stft_magnitude(stft, s->samples, s->length, t, now);
		for (int k = 0; k < 513; k++)
			flux[t] += fabsf(now[k] - before[k]);
	}
	stft_free(stft);
	free(m);
	return flux;
}

/* The seam jumps no more than other places do, and the spectrum changes there no more than
 * elsewhere; the step from the last sample to the first is not larger than a usual one. Where the
 * wave is smooth, the jump is held to so many median steps: coding keeps the step and the slopes
 * beside it within one, of which a third difference may be a few times as much. 0: not smooth. */
static void check_seam(const struct sound *s, float smooth)
{
	int frames = (int)(s->length / 256);
	float *steps = malloc(s->length * sizeof *steps),
	      *jumps = malloc(s->length * sizeof *jumps);
	for (size_t i = 0; i < s->length; i++) {
		steps[i] = fabsf(s->samples[(i + 1) % s->length] - s->samples[i]);
		jumps[i] = jump(s, i);
	}
	float seam = fmaxf(jumps[0], fmaxf(jumps[1], jumps[s->length - 1]));
	float step = steps[s->length - 1];
	qsort(steps, s->length, sizeof *steps, compare_floats);
	qsort(jumps, s->length, sizeof *jumps, compare_floats);
	float median = steps[s->length / 2], most = jumps[s->length - 1 - s->length / 1000];
	float *flux = spectral_flux(s, frames), change = flux[0];
	qsort(flux + 1, (size_t)frames - 1, sizeof *flux, compare_floats);
	print_message(
	    "seam jumps %.5f (elsewhere to %.5f), steps %.5f, median step %.5f; flux %.2f of "
	    "%.2f … %.2f\n",
	    seam, most, step, median, change, flux[1], flux[frames - 1]);
	assert_true(median > 0 && seam <= (smooth > 0 ? smooth * median : most));
	assert_true(step <= median);
	assert_true(change <= flux[frames - 1]);
	free(steps);
	free(jumps);
	free(flux);
}

/* A chord whose tones do not fit the loop; its own repetition would click. */
static void smooth_loops_have_no_seam(void **state)
{
	(void)state;
	struct error err;
	struct spectrogram s;
	struct sound chord, loop, coded;
	assert_int_equal(spectrogram_read(pack_info_of(pack), &s, &err), 0);
	struct spectrogram_shape shape = {
	    .columns = 128, .frames = 125, .length = 125 * (size_t)s.hop, .circular = true};
	float *picture = malloc((size_t)s.bands * 128 * 3 * sizeof *picture);
	assert_int_equal(sound_new(&chord, s.rate, 1, shape.length, &err), 0);
	for (size_t i = 0; i < chord.length; i++)
		for (int k = 0; k < 3; k++)
			chord.samples[i] +=
			    (float)(0.2 * sin(TURN * (300.3 + 117.7 * k) * (double)i / s.rate));
	assert_int_equal(spectrogram_of_sound(&s, &shape, &chord, picture, &err), 0);
	assert_int_equal(spectrogram_to_sound(&s, &shape, picture, &loop, &err), 0);
	assert_int_equal(sound_normalise(&loop, SOUND_CEILING, true, &err), 0);
	check_seam(&loop, 1);
	uint8_t *data;
	size_t size;
	assert_int_equal(ogg_encode(&loop, 60, true, NULL, &data, &size, &err), 0);
	assert_int_equal(vorbis_decode(data, size, "test", &coded, &err), 0);
	check_seam(&coded, 2);
	free(data);
	free(picture);
	sound_free(&chord);
	sound_free(&loop);
	sound_free(&coded);
}

static void loops_have_no_seam(void **state)
{
	(void)state;
	struct error err;
	for (int k = 0; k < 8; k++) {
		struct request r = request("calm piano", k / 2 == 0 ? 1 : 1.7 * (k / 2));
		struct sound s;
		r.seed = (uint64_t)k;
		r.loop = true;
		r.format = k % 2 ? "ogg" : "wav";
		struct collected c = generate(r, false);
		assert_int_equal(k % 2 ? vorbis_decode(c.data[0], c.size[0], "test", &s, &err)
				       : wav_decode(c.data[0], c.size[0], "test", &s, &err),
				 0);
		assert_int_equal(s.length % 256, 0);
		assert_true(fabs((double)s.length / 16000 - r.duration) <= 128.5 / 16000);
		check_seam(&s, 0);
		sound_free(&s);
		discard(&c);
	}
}

/* At the lowest quality Vorbis adds much to peaks. */
static void coded_clips_do_not_clip(void **state)
{
	(void)state;
	struct error err;
	for (int k = 0; k < 4; k++) {
		struct request r = request("calm piano", 2);
		struct sound s;
		double lufs, peak;
		r.seed = (uint64_t)k;
		r.quality = 0;
		r.loop = k & 1;
		struct collected c = generate(r, false);
		assert_int_equal(vorbis_decode(c.data[0], c.size[0], "test", &s, &err), 0);
		assert_int_equal(sound_measure(&s, &lufs, &peak, &err), 0);
		print_message("%.2f LUFS, peak %.3f\n", lufs, peak);
		assert_true(peak <= 1);
		sound_free(&s);
		discard(&c);
	}
}

static void write_clip(char path[64])
{
	struct error err;
	struct sound s = {.rate = 22050, .channels = 1, .length = 22050};
	uint8_t *data;
	size_t size;
	s.samples = sound_clip(2, 22050);
	snprintf(path, 64, "/tmp/sumi-init-%d", (int)getpid());
	assert_int_equal(vorbis_encode(&s, 60, NULL, &data, &size, &err), 0);
	assert_int_equal(files_write_durable(path, data, size, &err), 0);
	free(data);
	sound_free(&s);
}

static void clips_begin_from_clips(void **state)
{
	(void)state;
	char path[64];
	struct error err;
	struct generation *g;
	struct request r = request("calm piano", 2);
	write_clip(path);
	struct collected plain = generate(r, false);
	r.init = path;
	r.init_file = path;
	r.strength = 0.5;
	check_same_when_interrupted(r);
	struct collected half = generate(r, false);
	r.strength = 0.9;
	struct collected more = generate(r, false);
	assert_true(half.size[0] != plain.size[0] ||
		    memcmp(half.data[0], plain.data[0], half.size[0]));
	assert_true(half.size[0] != more.size[0] ||
		    memcmp(half.data[0], more.data[0], half.size[0]));
	discard(&plain);
	discard(&half);
	discard(&more);
	assert_int_equal(files_write_durable(path, "not a sound", 11, &err), 0);
	assert_int_equal(resolve(&r, &err), 0);
	assert_int_equal(modality_audio.begin(pack, &r, NULL, 0, &g, &err), SUMI_UNSUPPORTED);
	assert_non_null(strstr(err.text, path));
	unlink(path);
}

static void previews_fit_any_room(void **state)
{
	(void)state;
	enum { ROOM = 300 };
	struct error err;
	struct generation *g;
	struct request r = request("calm piano", 9);
	int width, height;
	uint8_t *rgb = malloc(ROOM * 3);
	assert_int_equal(resolve(&r, &err), 0);
	assert_int_equal(modality_audio.begin(pack, &r, NULL, 0, &g, &err), 0);
	assert_int_equal(modality_audio.preview(g, rgb, ROOM, &width, &height, &err), 0);
	assert_int_equal(height, 8);
	assert_within(width, 16, ROOM / 8);
	modality_audio.free(g);
	free(rgb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(bad_requests_get_a_clear_line),
	    cmocka_unit_test(moods_are_checked),
	    cmocka_unit_test(moods_fill_what_is_open),
	    cmocka_unit_test(hostile_blocks_are_refused),
	    cmocka_unit_test(pictures_have_limits_too),
	    cmocka_unit_test(defaults_are_riffusions),
	    cmocka_unit_test(pictures_hold_the_sound),
	    cmocka_unit_test(pictures_lie_as_riffusions),
	    cmocka_unit_test(interrupted_clips_are_the_same),
	    cmocka_unit_test(clips_are_as_long_as_asked),
	    cmocka_unit_test(loops_have_no_seam),
	    cmocka_unit_test(smooth_loops_have_no_seam),
	    cmocka_unit_test(coded_clips_do_not_clip),
	    cmocka_unit_test(clips_begin_from_clips),
	    cmocka_unit_test(previews_fit_any_room),
	};
	struct error err = {0};
	if (device_open(NULL, &device, &err) || pack_open(device, PACK, &pack, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	pack_close(pack);
	device_close(device);
	return failed;
}
