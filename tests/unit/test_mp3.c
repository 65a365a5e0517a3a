/* MP3 by LAME: frames of one rate that last as long as the sound, behind a tag with what the file was made of; tags that are cut off or lie. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "media/id3.h"
#include "media/metadata_file.h"
#include "media/mp3.h"
#include "tests/unit/check.h"

/* Samples that LAME's own frame leaves to a player: those of all frames without what it says stands before and after. */
static long told_samples(const uint8_t *frame, size_t size)
{
	enum { SIDE_END = 4 + 32, FRAMES = 8, DELAY = 141 };
	for (size_t i = 4; i <= SIDE_END && i + DELAY + 3 <= size; i++)
		if (memcmp(frame + i, "Info", 4) == 0) {
			const uint8_t *info = frame + i, *d = info + DELAY;
			long count = (long)info[FRAMES] << 24 | info[FRAMES + 1] << 16 | info[FRAMES + 2] << 8 | info[FRAMES + 3];
			long each = frame[1] & 8 ? 1152 : 576; /* of MPEG 1, of its extensions to lower rates */
			return count * each - (d[0] << 4 | d[1] >> 4) - ((d[1] & 15) << 8 | d[2]);
		}
	return -1;
}

static void test_frames_and_texts(void **state)
{
	static const int rates[] = {8000, 16000, 22050, 44100, 96000};
	struct metadata meta = {.infotext = (char[]){"calm\nSteps: 2"}, .json = (char[]){"{\"prompt\": \"тихо\"}"}}, told;
	struct error err = {0};
	(void)state;
	if (!mp3_is_there())
		skip();
	for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++)
		for (int channels = 1; channels <= 2; channels++) {
			struct sound s;
			uint8_t *data, *again;
			size_t size, n;
			assert_int_equal(sound_new(&s, rates[i], channels, (size_t)rates[i], &err), 0);
			for (size_t k = 0; k < s.length * (size_t)channels; k++)
				s.samples[k] = (float)sin((double)k * 0.1) / 2;
			assert_int_equal(mp3_encode_quality(&s, 60, &meta, &data, &size, &err), 0);
			assert_int_equal(mp3_encode_quality(&s, 60, &meta, &again, &n, &err), 0);
			assert_int_equal(n, size);
			assert_memory_equal(data, again, size);
			assert_memory_equal(data, "ID3\4\0\0", 6);
			size_t tag = 10 + ((size_t)data[8] << 7 | data[9]);
			assert_true(tag < size && data[tag] == 0xff && (data[tag + 1] & 0xe6) == 0xe2);
			/* What players take off is what is too much: the clip lasts as long as the sound. */
			assert_int_equal(told_samples(data + tag, size - tag), rates[i] == 96000 ? 44100 : rates[i]);
			assert_int_equal(metadata_read(data, size, "x", &told, &err), 0);
			assert_string_equal(told.infotext, meta.infotext);
			assert_string_equal(told.json, meta.json);
			metadata_free(&told);
			free(data);
			free(again);
			sound_free(&s);
		}
}

/* Without the library too: what is cut off has no texts, what is too long for its tag none either. */
static void test_damaged_tags(void **state)
{
	struct metadata meta = {.infotext = (char[]){"a"}, .json = (char[]){"{}"}};
	struct bytes_writer w = {0};
	struct error err = {0};
	(void)state;
	id3_put(&w, &meta);
	bytes_put(&w, "\xff\xfb", 2);
	for (size_t n = 0; n <= w.size; n++) {
		struct file_texts texts = {0};
		assert_int_equal(mp3_read_texts(w.data, n, "x", &texts, &err), 0);
		assert_int_equal(texts.count, n >= w.size - 2 ? 2 : n >= 10 + 10 + 1 + 11 + 1 ? 1 : 0);
		texts_free(&texts);
	}
	for (size_t at = 0; at < w.size; at++) {
		struct file_texts texts = {0};
		uint8_t was = w.data[at];
		w.data[at] ^= 0x7f;
		(void)mp3_read_texts(w.data, w.size, "x", &texts, &err);
		assert_true(texts.count <= 2);
		w.data[at] = was;
		texts_free(&texts);
	}
	free(w.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_frames_and_texts),
	    cmocka_unit_test(test_damaged_tags),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
