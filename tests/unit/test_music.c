/* Whole clips as files: stereo, the shortest and the longest, loudness and peaks as they are
 * measured on what was written. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* The header takes the tag "error" for itself. */
#define error ebur128_error
#include <ebur128.h>
#undef error

#include "base/files.h"
#include "base/json.h"
#include "media/vorbis.h"
#include "media/wav.h"
#include "media/webp.h"
#include "diffusion/pack.h"
#include "modalities/modality.h"

#define PACK "tests/vectors/sound-tiny"

static struct device *device;
static char folder[] = "/tmp/sumi-music-XXXXXX"; /* a copy of the pack, in stereo */

static const char *const parts[] = {"model_index.json", "scheduler", "text_encoder",
				    "tokenizer",        "unet",      "vae"};

static void path_of(const char *name, char out[512])
{
	snprintf(out, 512, "%s/%s", folder, name);
}

static int make_stereo_pack(void)
{
	char here[256], from[512], to[512];
	struct error err = {0};
	json_t *manifest;
	if (!mkdtemp(folder) || !getcwd(here, sizeof here) ||
	    json_read_file(PACK "/sumi.json", 1 << 20, &manifest, &err))
		return -1;
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		snprintf(from, sizeof from, "%s/" PACK "/%s", here, parts[i]);
		path_of(parts[i], to);
		if (symlink(from, to) != 0)
			return -1;
	}
	json_object_set_new(json_object_get(manifest, "spectrogram"), "stereo", json_true());
	path_of("sumi.json", to);
	int failed = json_dump_file(manifest, to, 0);
	json_decref(manifest);
	return failed;
}

static void remove_stereo_pack(void)
{
	char path[512];
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		path_of(parts[i], path);
		unlink(path);
	}
	path_of("sumi.json", path);
	unlink(path);
	rmdir(folder);
}

static struct request request(double duration)
{
	return (struct request){
	    .modality = "audio",
	    .prompt = "calm piano",
	    .seed = 7,
	    .cfg_scale = NAN,
	    .quality = NAN,
	    .mask_blur = NAN,
	    .mask_padding = NAN,
	    .strength = NAN,
	    .duration = duration,
	};
}

/* The sound as it stands in the file, and what the picture beside it says of itself. */
struct clip {
	struct sound sound;
	struct webp_info picture;
	bool wav;
};

static int collect(void *context, const struct output *o, struct error *err)
{
	struct clip *c = context;
	struct webp_reader *reader;
	if (strcmp(o->role, "main") == 0)
		return c->wav ? wav_decode(o->data, o->size, "test", &c->sound, err)
			      : vorbis_decode(o->data, o->size, "test", &c->sound, err);
	int status = webp_reader_new(o->data, o->size, "test", &reader, err);
	if (status)
		return status;
	c->picture = *webp_reader_info(reader);
	webp_reader_free(reader);
	return SUMI_OK;
}

static struct clip generate(const char *pack_folder, struct request r)
{
	struct error err = {0};
	struct pack *pack;
	struct generation *g = NULL;
	struct clip c = {.wav = r.format && strcmp(r.format, "wav") == 0};
	struct sink sink = {.context = &c, .output = collect};
	if (pack_open(device, pack_folder, &pack, &err) ||
	    modality_audio.resolve(pack_info_of(pack), &r, &err) ||
	    modality_audio.begin(pack, &r, NULL, 0, &g, &err))
		fail_msg("%s", err.text);
	while (g->steps_done < g->steps)
		if (modality_audio.step(g, &err))
			fail_msg("%s", err.text);
	if (modality_audio.finish(g, &sink, &err))
		fail_msg("%s", err.text);
	modality_audio.free(g);
	pack_close(pack);
	return c;
}

/* Integrated loudness in LUFS (EBU R 128) and the largest true peak in dB, by libebur128. */
static void measure(const struct sound *s, double *loudness, double *peak)
{
	ebur128_state *e = ebur128_init((unsigned)s->channels, (unsigned long)s->rate,
					EBUR128_MODE_I | EBUR128_MODE_TRUE_PEAK);
	float *frames = malloc(s->length * (size_t)s->channels * sizeof *frames);
	assert_non_null(e);
	for (size_t i = 0; i < s->length; i++)
		for (int c = 0; c < s->channels; c++)
			frames[i * (size_t)s->channels + (size_t)c] =
			    s->samples[(size_t)c * s->length + i];
	assert_int_equal(ebur128_add_frames_float(e, frames, s->length), EBUR128_SUCCESS);
	assert_int_equal(ebur128_loudness_global(e, loudness), EBUR128_SUCCESS);
	*peak = -INFINITY;
	for (int c = 0; c < s->channels; c++) {
		double one;
		assert_int_equal(ebur128_true_peak(e, (unsigned)c, &one), EBUR128_SUCCESS);
		*peak = fmax(*peak, 20 * log10(one));
	}
	ebur128_destroy(&e);
	free(frames);
}

static void check_loudness(const struct sound *s, const char *what)
{
	double loudness, peak;
	measure(s, &loudness, &peak);
	print_message("%s: %.2f LUFS, %.2f dBTP\n", what, loudness, peak);
	assert_true(fabs(loudness + 16) < 0.5);
	/* −1 dB was the limit before the file's own loss. */
	assert_true(peak < 0);
}

static void written_files_have_the_loudness(void **state)
{
	(void)state;
	for (int k = 0; k < 8; k++) {
		char what[64];
		struct request r = request(k & 4 ? 1 : 4);
		r.loop = k & 2;
		r.format = k & 1 ? "wav" : "ogg";
		r.seed = (uint64_t)k;
		struct clip c = generate(k < 4 ? folder : PACK, r);
		snprintf(what, sizeof what, "%s, %g s%s", r.format, r.duration,
			 r.loop ? ", loop" : "");
		check_loudness(&c.sound, what);
		sound_free(&c.sound);
	}
}

static void stereo_comes_through(void **state)
{
	(void)state;
	struct request r = request(2);
	for (int k = 0; k < 2; k++) {
		r.format = k ? "wav" : "ogg";
		struct clip c = generate(folder, r);
		size_t n = c.sound.length;
		double both = 0, sides = 0;
		assert_int_equal(c.sound.channels, 2);
		assert_int_equal(n, 32000);
		for (size_t i = 0; i < n; i++) {
			double left = c.sound.samples[i], right = c.sound.samples[n + i];
			both += left * left + right * right;
			sides += (left - right) * (left - right);
		}
		assert_true(both > 0 && sides > 0.1 * both);
		sound_free(&c.sound);
	}
	/* A mono pack makes mono files. */
	struct clip c = generate(PACK, request(1));
	assert_int_equal(c.sound.channels, 1);
	sound_free(&c.sound);
}

static void the_shortest_and_the_longest(void **state)
{
	(void)state;
	struct clip c = generate(PACK, request(1));
	assert_int_equal(c.sound.length, 16000);
	assert_int_equal(c.picture.width, 64); /* the model knows whole windows */
	sound_free(&c.sound);
	struct request r = request(300);
	r.steps = 1;
	c = generate(PACK, r);
	assert_int_equal(c.sound.length, 300 * 16000);
	/* 18,752 columns are more than WebP has room for: every other one. */
	assert_int_equal(c.picture.width, 9376);
	assert_int_equal(c.picture.height, 64);
	check_loudness(&c.sound, "five minutes");
	/* The end sounds like the beginning: no window was left out. */
	double energy[5] = {0};
	for (size_t i = 0; i < c.sound.length; i++)
		energy[i / (60 * 16000)] += c.sound.samples[i] * (double)c.sound.samples[i];
	for (int k = 1; k < 5; k++)
		assert_true(energy[k] > energy[0] / 4 && energy[k] < energy[0] * 4);
	sound_free(&c.sound);
}

/* The further from the clip to start from, the less is left of it. */
static void strength_says_how_far(void **state)
{
	(void)state;
	char path[512];
	struct error err = {0};
	struct request r = request(2);
	struct clip first = generate(PACK, r);
	uint8_t *data;
	size_t size;
	double distance[2];
	assert_int_equal(vorbis_encode(&first.sound, 60, NULL, &data, &size, &err), 0);
	path_of("first.ogg", path);
	assert_int_equal(files_write_durable(path, data, size, &err), 0);
	r.init = path;
	r.init_file = path;
	r.seed = 8;
	r.steps = 10;
	/* Against the farthest: a run that starts from noise of the same seed. */
	r.strength = 1;
	struct clip far = generate(PACK, r);
	for (int k = 0; k < 2; k++) {
		r.strength = k ? 0.8 : 0.1;
		struct clip c = generate(PACK, r);
		assert_int_equal(c.sound.length, first.sound.length);
		distance[k] = 0;
		for (size_t i = 0; i < c.sound.length; i++)
			distance[k] += pow(c.sound.samples[i] - far.sound.samples[i], 2);
		sound_free(&c.sound);
	}
	print_message("from noise's clip: %.1f at 0.1, %.1f at 0.8\n", distance[0], distance[1]);
	assert_true(distance[0] > distance[1] && distance[1] > 0);
	unlink(path);
	free(data);
	sound_free(&first.sound);
	sound_free(&far.sound);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(stereo_comes_through),
	    cmocka_unit_test(written_files_have_the_loudness),
	    cmocka_unit_test(the_shortest_and_the_longest),
	    cmocka_unit_test(strength_says_how_far),
	};
	struct error err = {0};
	if (make_stereo_pack()) {
		fprintf(stderr, "%s: no copy of the pack\n", folder);
		return 1;
	}
	if (device_open(NULL, &device, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	device_close(device);
	remove_stereo_pack();
	return failed;
}
