/* Bare samples of another rate: tones that both rates hold stay what they are, those that the new one does not are gone. */
#include "tests/unit/check.h"

#include <math.h>
#include <stdlib.h>

#include "media/pcm.h"

enum { FROM = 44100, SECOND = 44100 };

static void tone(struct sound *s, int channels, double hertz)
{
	struct error err;
	assert_int_equal(sound_new(s, FROM, channels, SECOND / 2, &err), 0);
	for (size_t i = 0; i < s->length * (size_t)channels; i++)
		s->samples[i] = (float)(0.5 * cos(6.283185307179586 * hertz * (double)(i % s->length) / FROM));
}

/* The largest distance to what the tone is at the new rate, but for the ends, where it begins out of nothing. */
static double distance(const struct sound *s, int rate, double hertz, double loud)
{
	uint8_t *data;
	size_t size;
	struct error err;
	double most = 0;
	assert_int_equal(pcm_encode(s, rate, &data, &size, &err), 0);
	assert_int_equal(size, 2 * (size_t)ceil((double)s->length * rate / s->rate));
	for (size_t i = (size_t)rate / 100; i < size / 2 - (size_t)rate / 100; i++) {
		double value = (int16_t)(data[2 * i] | data[2 * i + 1] << 8) / 32767.0;
		most = fmax(most, fabs(value - loud * cos(6.283185307179586 * hertz * (double)i / rate)));
	}
	free(data);
	return most;
}

static void test_rates(void **state)
{
	static const int rates[] = {8000, 16000, 22050, 24000, 32000, 44100, 48000};
	struct sound s;
	(void)state;
	for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
		assert_true(pcm_has_rate(rates[i]));
		for (int channels = 1; channels <= 2; channels++) {
			tone(&s, channels, 1000);
			assert_true(distance(&s, rates[i], 1000, 0.5) < 2e-3);
			sound_free(&s);
		}
		if (rates[i] > 32000)
			continue;
		tone(&s, 1, 0.65 * rates[i]);
		assert_true(distance(&s, rates[i], 0, 0) < 2e-3);
		sound_free(&s);
	}
	assert_false(pcm_has_rate(0) || pcm_has_rate(44101) || pcm_has_rate(-8000));
}

static void test_ends(void **state)
{
	struct sound s;
	uint8_t *data;
	size_t size;
	struct error err;
	(void)state;
	assert_int_equal(sound_new(&s, FROM, 2, 3, &err), 0);
	float loud[] = {2, 0, -2, 2, 0.5f, -2};
	for (size_t i = 0; i < 6; i++)
		s.samples[i] = loud[i];
	assert_int_equal(pcm_encode(&s, FROM, &data, &size, &err), 0);
	const uint8_t full[] = {0xff, 0x7f, 0x00, 0x20, 0x01, 0x80};
	assert_int_equal(size, 6);
	assert_memory_equal(data, full, 6);
	free(data);
	sound_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rates), cmocka_unit_test(test_ends)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
