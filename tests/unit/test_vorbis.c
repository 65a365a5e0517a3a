/* Sound in files: Ogg Vorbis and WAV written and read, hostile files, loudness. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <ogg/ogg.h>

#include "base/files.h"
#include "media/metadata_file.h"
#include "media/sound_file.h"
#include "media/vorbis.h"
#include "media/wav.h"
#include "tests/unit/sound_clips.h"

enum { RATE = 22050 };

static const struct metadata meta = {.infotext = "calm piano\nSteps: 3", .json = "{\"seed\":7}"};

/* Clip k, on the right side (if there is one) clip k + 1; seconds of it. */
static struct sound make_sound(int k, int channels, int seconds)
{
	struct error err;
	struct sound s;
	assert_int_equal(sound_new(&s, RATE, channels, (size_t)RATE * (size_t)seconds, &err), 0);
	for (int c = 0; c < channels; c++) {
		float *clip = sound_clip(k + c, RATE);
		for (size_t i = 0; i < s.length; i++)
			s.samples[(size_t)c * s.length + i] = clip[i % RATE];
		free(clip);
	}
	return s;
}

/* dB between a channel and what is left of it. */
static double fidelity(const struct sound *want, const struct sound *got, int c)
{
	double signal = 0, noise = 0;
	for (size_t i = 0; i < want->length; i++) {
		double a = want->samples[(size_t)c * want->length + i];
		double d = a - got->samples[(size_t)c * got->length + i];
		signal += a * a;
		noise += d * d;
	}
	return 10 * log10(signal / noise);
}

static void round_trip_vorbis(int channels, double quality, double least)
{
	struct error err;
	struct sound want = make_sound(0, channels, 2), got;
	uint8_t *data;
	size_t size;
	assert_int_equal(vorbis_encode(&want, quality, &meta, &data, &size, &err), 0);
	assert_int_equal(vorbis_decode(data, size, "test", &got, &err), 0);
	assert_int_equal(got.rate, RATE);
	assert_int_equal(got.channels, channels);
	assert_int_equal(got.length, want.length);
	for (int c = 0; c < channels; c++)
		assert_true(fidelity(&want, &got, c) > least);
	free(data);
	sound_free(&want);
	sound_free(&got);
}

static void vorbis_round_trips(void **state)
{
	(void)state;
	round_trip_vorbis(1, 60, 12);
	round_trip_vorbis(2, 60, 12);
	round_trip_vorbis(1, 0, 3);
	round_trip_vorbis(2, 100, 20);
}

static void vorbis_is_deterministic_and_says_what_it_is(void **state)
{
	(void)state;
	struct error err;
	struct sound s = make_sound(2, 2, 1);
	struct metadata found, other = {.infotext = meta.infotext, .json = "{\"seed\":8}"};
	uint8_t *first, *second, *third;
	size_t n1, n2, n3;
	assert_int_equal(vorbis_encode(&s, 60, &meta, &first, &n1, &err), 0);
	assert_int_equal(vorbis_encode(&s, 60, &meta, &second, &n2, &err), 0);
	assert_int_equal(vorbis_encode(&s, 60, &other, &third, &n3, &err), 0);
	assert_int_equal(n1, n2);
	assert_memory_equal(first, second, n1);
	/* Bytes 14 to 17 of a page are its stream's serial number. */
	assert_memory_not_equal(first + 14, third + 14, 4);
	assert_int_equal(metadata_read(first, n1, "test", &found, &err), 0);
	assert_string_equal(found.infotext, meta.infotext);
	assert_string_equal(found.json, meta.json);
	metadata_free(&found);
	free(first);
	free(second);
	free(third);
	sound_free(&s);
}

static void wav_says_what_it_is(void **state)
{
	(void)state;
	struct error err;
	struct sound s = make_sound(1, 1, 1), got;
	struct metadata found;
	uint8_t *data;
	size_t size;
	assert_int_equal(wav_encode(&s, &meta, &data, &size, &err), 0);
	assert_int_equal(metadata_read(data, size, "test", &found, &err), 0);
	assert_string_equal(found.infotext, meta.infotext);
	assert_string_equal(found.json, meta.json);
	assert_int_equal(wav_decode(data, size, "test", &got, &err), 0);
	assert_int_equal(got.length, s.length);
	metadata_free(&found);
	sound_free(&got);
	sound_free(&s);
	free(data);
}

static void wav_round_trips(void **state)
{
	(void)state;
	struct error err;
	for (int channels = 1; channels <= 2; channels++) {
		struct sound want = make_sound(3, channels, 1), got;
		uint8_t *data;
		size_t size;
		assert_int_equal(wav_encode(&want, NULL, &data, &size, &err), 0);
		assert_int_equal(size, 44 + want.length * 2 * (size_t)channels);
		assert_int_equal(wav_decode(data, size, "test", &got, &err), 0);
		assert_int_equal(got.length, want.length);
		for (size_t i = 0; i < want.length * (size_t)channels; i++)
			assert_true(fabsf(want.samples[i] - got.samples[i]) <= 1.01f / 32767);
		free(data);
		sound_free(&want);
		sound_free(&got);
	}
}

/* A file cut anywhere, or with any byte turned over, is read or refused; never more. */
static void damaged_files_are_refused_or_read(void **state)
{
	(void)state;
	struct error err;
	struct sound s = make_sound(4, 1, 1), got;
	uint8_t *files[2];
	size_t sizes[2];
	int refused = 0;
	assert_int_equal(vorbis_encode(&s, 0, &meta, &files[0], &sizes[0], &err), 0);
	assert_int_equal(wav_encode(&s, &meta, &files[1], &sizes[1], &err), 0);
	for (int k = 0; k < 2; k++)
		for (size_t at = 0; at < sizes[k]; at += at < 64 ? 1 : 499) {
			uint8_t *copy = malloc(sizes[k]);
			memcpy(copy, files[k], sizes[k]);
			copy[at] ^= 0xff;
			for (int cut = 0; cut < 2; cut++) {
				/* A buffer of its own, so that a byte read too far is noticed. */
				size_t size = cut ? at : sizes[k];
				uint8_t *exact = malloc(size + !size);
				memcpy(exact, cut ? files[k] : copy, size);
				int status = k ? wav_decode(exact, size, "test", &got, &err)
					       : vorbis_decode(exact, size, "test", &got, &err);
				refused += status != 0;
				struct metadata m;
				if (status)
					assert_non_null(strstr(err.text, "test"));
				else
					sound_free(&got);
				if (metadata_read(exact, size, "test", &m, &err) == 0)
					metadata_free(&m);
				free(exact);
			}
			free(copy);
		}
	assert_true(refused > 50);
	free(files[0]);
	free(files[1]);
	sound_free(&s);
}

static void write_file(char path[64], const void *data, size_t size)
{
	struct error err;
	snprintf(path, 64, "/tmp/sumi-sound-%d", (int)getpid());
	assert_int_equal(files_write_durable(path, data, size, &err), 0);
}

/* Two streams one after the other, of which the first says that it is sound and has none: its
 * packets are marked as something else. */
static void a_chain_is_its_first_stream(void **state)
{
	(void)state;
	struct error err;
	struct sound two = make_sound(0, 2, 8), one = make_sound(0, 1, 1), got;
	uint8_t *first, *second;
	size_t first_size, second_size;
	ogg_sync_state sync;
	ogg_page page;
	assert_int_equal(vorbis_encode(&two, 60, NULL, &first, &first_size, &err), 0);
	assert_int_equal(vorbis_encode(&one, 60, NULL, &second, &second_size, &err), 0);
	uint8_t *chain = malloc(first_size + second_size);
	size_t at = 0;
	for (int hollow = 0; hollow < 2; hollow++) {
		ogg_sync_init(&sync);
		memcpy(ogg_sync_buffer(&sync, (long)first_size), first, first_size);
		ogg_sync_wrote(&sync, (long)first_size);
		for (at = 0; ogg_sync_pageout(&sync, &page) == 1; at += (size_t)page.body_len) {
			if (hollow && ogg_page_granulepos(&page) > 0) {
				memset(page.body, 1, (size_t)page.body_len);
				ogg_page_checksum_set(&page);
			}
			memcpy(chain + at, page.header, (size_t)page.header_len);
			at += (size_t)page.header_len;
			memcpy(chain + at, page.body, (size_t)page.body_len);
		}
		ogg_sync_clear(&sync);
		assert_int_equal(at, first_size);
		memcpy(chain + at, second, second_size);
		assert_int_equal(vorbis_decode(chain, at + second_size, "test", &got, &err), 0);
		assert_int_equal(got.channels, 2);
		assert_true(hollow ? got.length < two.length : got.length == two.length);
		for (size_t i = 0; hollow && i < 2 * got.length; i++)
			assert_true(got.samples[i] == 0);
		sound_free(&got);
	}
	free(chain);
	free(first);
	free(second);
	sound_free(&two);
	sound_free(&one);
}

static void a_file_is_limited_in_seconds(void **state)
{
	(void)state;
	struct error err;
	struct sound s = make_sound(0, 1, 1), got;
	uint8_t *data;
	size_t size, more = (size_t)SOUND_RATE_MIN * SOUND_SECONDS_MAX * 2;
	assert_int_equal(wav_encode(&s, NULL, &data, &size, &err), 0);
	sound_free(&s);
	uint8_t *wav = calloc(1, 44 + more + 2);
	memcpy(wav, data, 44);
	free(data);
	for (int beyond = 0; beyond <= 2; beyond += 2) {
		uint32_t rate = SOUND_RATE_MIN, bytes = (uint32_t)more + (uint32_t)beyond,
			 riff = bytes + 36;
		memcpy(wav + 4, &riff, 4);
		memcpy(wav + 24, &rate, 4);
		memcpy(wav + 40, &bytes, 4);
		assert_int_equal(wav_decode(wav, 44 + bytes, "test", &got, &err),
				 beyond ? SUMI_TOOBIG : SUMI_OK);
		if (!beyond)
			sound_free(&got);
	}
	free(wav);
}

static void loading_mixes_and_resamples(void **state)
{
	(void)state;
	struct error err;
	struct sound s, got;
	uint8_t *data;
	size_t size;
	char path[64];
	assert_int_equal(sound_new(&s, RATE, 1, RATE, &err), 0);
	for (int i = 0; i < RATE; i++)
		s.samples[i] = (float)(0.5 * sin(6.283185307179586 * 1000 * i / RATE));
	assert_int_equal(wav_encode(&s, NULL, &data, &size, &err), 0);
	write_file(path, data, size);
	for (int rate = 16000; rate <= 44100; rate += 28100) {
		assert_int_equal(sound_load(path, path, rate, 2, SIZE_MAX / 2, &got, &err), 0);
		assert_int_equal(got.length, rate);
		assert_int_equal(got.channels, 2);
		double worst = 0;
		for (int i = 100; i < rate - 100; i++)
			worst = fmax(worst, fabs(got.samples[rate + i] -
						 0.5 * sin(6.283185307179586 * 1000 * i / rate)));
		assert_true(worst < 2e-3);
		sound_free(&got);
	}
	free(data);
	sound_free(&s);
	write_file(path, "hello, this is no sound", 23);
	assert_int_equal(sound_load(path, path, RATE, 1, 1 << 20, &got, &err), SUMI_UNSUPPORTED);
	assert_non_null(strstr(err.text, path));
	unlink(path);
	assert_int_equal(sound_load(path, path, RATE, 1, 1 << 20, &got, &err), SUMI_NOTFOUND);
}

static double rms_db(const struct sound *s)
{
	double sum = 0;
	for (size_t i = 0; i < s->length * (size_t)s->channels; i++)
		sum += s->samples[i] * (double)s->samples[i];
	return 10 * log10(sum / (double)(s->length * (size_t)s->channels));
}

/* EBU Tech 3341: a sine of 1 kHz at −23 dBFS on both channels is −23 LUFS; so at −16 LUFS
 * its peaks are at −16 dB and its effective value 3 dB lower. */
static void loudness_is_minus_16(void **state)
{
	(void)state;
	struct error err;
	struct sound s;
	/* 1e-6: quieter than what the standard still calls sound. */
	static const double amplitudes[] = {0.01, 1, 1e-6};
	for (int k = 0; k < 3; k++) {
		assert_int_equal(sound_new(&s, 48000, 2, 48000 * 3, &err), 0);
		for (size_t i = 0; i < 2 * s.length; i++)
			s.samples[i] = (float)(amplitudes[k] * sin(6.283185307179586 * 1000 *
								   (double)(i % s.length) / 48000));
		assert_int_equal(sound_normalise(&s, SOUND_CEILING, false, &err), 0);
		assert_true(fabs(rms_db(&s) - (-16 - 3.01)) < 0.15);
		sound_free(&s);
	}
}

/* Short loud strokes over almost nothing: the target cannot be had without limiting. */
static void nothing_clips(void **state)
{
	(void)state;
	struct error err;
	for (int circular = 0; circular < 2; circular++) {
		struct sound s = make_sound(2, 1, 3);
		for (size_t i = 0; i < s.length; i++)
			s.samples[i] *= i % (RATE / 2) < 300 ? 30.0f : 0.3f;
		assert_int_equal(sound_normalise(&s, SOUND_CEILING, circular, &err), 0);
		float peak = 0;
		for (size_t i = 0; i < s.length; i++)
			peak = fmaxf(peak, fabsf(s.samples[i]));
		assert_true(peak <= 0.8913f);
		assert_true(peak > 0.5f);
		sound_free(&s);
	}
}

/* A limiter takes back a part of what the gain gave, so the loudness has to come nearer in turns. */
static void limited_sound_is_as_loud(void **state)
{
	(void)state;
	struct error err;
	for (int k = 0; k < 4; k++) {
		double lufs, peak;
		struct sound s = make_sound(1, 1, 4);
		for (size_t i = 0; i < s.length; i++) {
			double since = (double)(i % (RATE / 4)) / RATE;
			s.samples[i] *= (float)exp(-since * (40 + 20 * k));
		}
		assert_int_equal(sound_normalise(&s, SOUND_CEILING, false, &err), 0);
		assert_int_equal(sound_measure(&s, &lufs, &peak, &err), 0);
		print_message("%.2f LUFS, peak %.3f\n", lufs, peak);
		assert_true(fabs(lufs + 16) < 0.2);
		assert_true(peak <= SOUND_CEILING + 1e-3);
		sound_free(&s);
	}
}

static void silence_is_left_alone(void **state)
{
	(void)state;
	struct error err;
	struct sound s;
	assert_int_equal(sound_new(&s, RATE, 1, RATE, &err), 0);
	assert_int_equal(sound_normalise(&s, SOUND_CEILING, false, &err), 0);
	for (size_t i = 0; i < s.length; i++)
		assert_true(s.samples[i] == 0);
	sound_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(vorbis_round_trips),
	    cmocka_unit_test(vorbis_is_deterministic_and_says_what_it_is),
	    cmocka_unit_test(wav_says_what_it_is),
	    cmocka_unit_test(wav_round_trips),
	    cmocka_unit_test(damaged_files_are_refused_or_read),
	    cmocka_unit_test(a_chain_is_its_first_stream),
	    cmocka_unit_test(a_file_is_limited_in_seconds),
	    cmocka_unit_test(loading_mixes_and_resamples),
	    cmocka_unit_test(loudness_is_minus_16),
	    cmocka_unit_test(nothing_clips),
	    cmocka_unit_test(limited_sound_is_as_loud),
	    cmocka_unit_test(silence_is_left_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
