/* WebM: what is written is found where the file says that it is, and read back; what is damaged is
 * refused in a line. */
#define _GNU_SOURCE /* memmem() */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "media/ebml.h"
#include "media/metadata_file.h"
#include "media/thumbnail.h"
#include "media/webm.h"
#include "check.h"

enum { WIDTH = 50, HEIGHT = 34, PIXELS = WIDTH * HEIGHT, PICTURES = 21, RATE = 22050 };

static void must(int status, const struct error *err)
{
	if (status)
		fail_msg("%s", err->text);
}

#define TEXT "birds, «птицы»\nSteps: 4, Seed: 1"
#define JSON "{\"prompt\":\"birds\"}"

static void paint(int k, uint8_t rgb[3 * PIXELS])
{
	for (int i = 0; i < PIXELS; i++) {
		int x = i % WIDTH, y = i / WIDTH;
		rgb[3 * i] = (uint8_t)(x * 5 + k);
		rgb[3 * i + 1] = (uint8_t)(y * 7 - k);
		rgb[3 * i + 2] = (uint8_t)(x + y + 3 * k);
	}
}

/* A film of ten pictures a second whose scene changes at the ninth; sound of so many samples, 0: none. */
static size_t make(bool lossless, size_t samples, uint8_t **data)
{
	struct vp9_options options = {.lossless = lossless, .quality = 90, .fps = 10};
	struct metadata meta = {.infotext = TEXT, .json = JSON};
	struct sound sound = {.rate = RATE};
	struct error err = {0};
	struct webm *w;
	uint8_t rgb[3 * PIXELS];
	size_t size;
	must(webm_new(WIDTH, HEIGHT, &options, &w, &err), &err);
	for (int k = 0; k < PICTURES; k++) {
		paint(k, rgb);
		must(webm_add(w, rgb, k == 9, &err), &err);
	}
	if (samples)
		must(sound_new(&sound, RATE, 2, samples, &err), &err);
	for (size_t i = 0; i < 2 * samples; i++)
		sound.samples[i] = 0.3f * sinf((float)i * 0.05f);
	must(webm_finish(w, samples ? &sound : NULL, 60, &meta, data, &size, &err), &err);
	webm_free(w);
	sound_free(&sound);
	return size;
}

static struct ebml_element child(const struct ebml_element *of, uint32_t id)
{
	struct ebml_reader r = ebml_inside(of);
	struct ebml_element e;
	int got;
	while ((got = ebml_next(&r, &e)) == 1)
		if (e.id == id)
			return e;
	fail_msg("no element %x, %d", (unsigned)id, got);
	return e;
}

static struct ebml_element segment_of(const uint8_t *data, size_t size)
{
	struct ebml_element file = {.data = data, .size = size};
	assert_int_equal(child(&file, EBML_HEADER).data - data, 5);
	struct ebml_element segment = child(&file, WEBM_SEGMENT);
	assert_ptr_equal(segment.data + segment.size, data + size);
	return segment;
}

static double real(struct ebml_element e)
{
	double value;
	uint64_t bits = ebml_number(&e);
	memcpy(&value, &bits, sizeof value);
	return value;
}

/* The id of what stands at a place of the segment. */
static uint32_t id_at(const struct ebml_element *segment, uint64_t at)
{
	struct ebml_reader r = {.data = segment->data, .size = segment->size, .at = at};
	struct ebml_element e;
	assert_within(at, 0, segment->size - 1);
	assert_int_equal(ebml_next(&r, &e), 1);
	return e.id;
}

static void places_are_where_the_file_says(void **state)
{
	(void)state;
	uint8_t *data;
	size_t size = make(false, 2 * RATE + 777, &data), seeks = 0, cues = 0;
	struct ebml_element segment = segment_of(data, size), e, head = child(&segment, WEBM_SEEK_HEAD),
			    index = child(&segment, WEBM_CUES), info = child(&segment, WEBM_INFO);
	for (struct ebml_reader r = ebml_inside(&head); ebml_next(&r, &e) == 1; seeks++) {
		struct ebml_element id = child(&e, WEBM_SEEK_ID), at = child(&e, WEBM_SEEK_POSITION);
		assert_int_equal(id_at(&segment, ebml_number(&at)), ebml_number(&id));
	}
	assert_int_equal(seeks, 4);
	for (struct ebml_reader r = ebml_inside(&index); ebml_next(&r, &e) == 1; cues++) {
		static const uint64_t keys[] = {0, 900};
		struct ebml_element time = child(&e, WEBM_CUE_TIME), place = child(&e, WEBM_CUE_PLACE),
				    at = child(&place, WEBM_CUE_CLUSTER);
		assert_within(cues, 0, 1);
		assert_int_equal(ebml_number(&time), keys[cues]);
		assert_int_equal(id_at(&segment, ebml_number(&at)), WEBM_CLUSTER);
	}
	assert_int_equal(cues, 2);
	assert_true(fabs(real(child(&info, WEBM_DURATION)) - 2100) < 1e-9);
	free(data);
	/* Sound that is longer than the pictures counts. */
	size = make(false, 3 * RATE, &data);
	segment = segment_of(data, size);
	info = child(&segment, WEBM_INFO);
	assert_true(fabs(real(child(&info, WEBM_DURATION)) - 3000) < 1e-9);
	free(data);
}

/* Each track's blocks in order, pictures a tenth of a second apart; no sound begins behind its end. */
static void blocks_come_in_order(void **state)
{
	(void)state;
	enum { SAMPLES = 2 * RATE + 777 };
	uint8_t *data;
	size_t size = make(false, SAMPLES, &data);
	struct ebml_element segment = segment_of(data, size), cluster, block, inner;
	uint64_t pictures = 0, sounds = 0, last = 0, track, discard = 0;
	for (struct ebml_reader r = ebml_inside(&segment); ebml_next(&r, &cluster) == 1;) {
		struct ebml_reader blocks = ebml_inside(&cluster);
		while (cluster.id == WEBM_CLUSTER && ebml_next(&blocks, &block) == 1) {
			bool group = block.id == WEBM_BLOCK_GROUP;
			if (block.id == WEBM_TIMESTAMP)
				continue;
			struct ebml_element rest = group ? child(&block, WEBM_DISCARD) : block;
			discard = group ? ebml_number(&rest) : discard;
			inner = group ? child(&block, WEBM_BLOCK) : block;
			struct ebml_reader b = ebml_inside(&inner);
			struct ebml_element began = child(&cluster, WEBM_TIMESTAMP);
			assert_true(ebml_varying(&b, &track));
			uint64_t ms = ebml_number(&began) + (uint64_t)(b.data[b.at] << 8 | b.data[b.at + 1]);
			assert_true(ms >= last);
			last = ms;
			if (track == 1)
				assert_int_equal(ms, 100 * pictures++);
			else
				sounds++;
			assert_true(track == 1 || ms * RATE / 1000 < SAMPLES);
		}
	}
	assert_int_equal(pictures, PICTURES);
	assert_true(sounds > 20);
	assert_within(discard, 1, 1000000000 / RATE * 2048);
	free(data);
}

static void equal_films_have_equal_bytes(void **state)
{
	(void)state;
	for (int lossless = 0; lossless < 2; lossless++) {
		uint8_t *a, *b;
		size_t n = make(lossless, RATE, &a), m = make(lossless, RATE, &b);
		assert_int_equal(n, m);
		assert_memory_equal(a, b, n);
		free(a);
		free(b);
	}
}

static void the_first_picture_comes_back(void **state)
{
	(void)state;
	uint8_t rgb[3 * PIXELS];
	paint(0, rgb);
	for (int lossless = 0; lossless < 2; lossless++) {
		struct error err = {0};
		uint8_t *data, *got;
		int width, height, worst = 0;
		size_t size = make(lossless, 0, &data);
		must(webm_first_picture(data, size, "a.webm", &got, &width, &height, &err), &err);
		assert_int_equal(width, WIDTH);
		assert_int_equal(height, HEIGHT);
		for (int i = 0; i < 3 * PIXELS; i++)
			worst = abs(got[i] - rgb[i]) > worst ? abs(got[i] - rgb[i]) : worst;
		assert_within(worst, 0, lossless ? 0 : 40); /* colours stand for four pixels, which wrap here */
		free(got);
		must(thumbnail_make(data, size, "a.webm", &got, &size, &err), &err);
		free(got);
		free(data);
	}
}

/* A film of the pictures of another keeps their times, and its sound as it stands there. */
static void a_film_is_taken_over(void **state)
{
	(void)state;
	struct error err = {0};
	uint8_t *data, *copy, *rgb, *again;
	int64_t ms[PICTURES] = {0}, at;
	int width, height, k = 0;
	size_t size = make(true, RATE, &data);
	struct webm_reader *a, *b;
	struct webm *w;
	must(webm_reader_new(data, size, "a.webm", &a, &err), &err);
	const struct webm_film *film = webm_reader_film(a);
	assert_int_equal(film->frames, PICTURES);
	assert_int_equal(film->sounds, 1);
	assert_true(fabs(film->fps - 10) < 1e-6);
	struct webm_taken taken = {.ms = ms, .end_ms = film->end_ms + 400};
	must(webm_reader_sound(a, &taken.sound, &err), &err);
	must(webm_new(WIDTH, HEIGHT, &(struct vp9_options){.lossless = true, .fps = film->fps}, &w, &err), &err);
	while (webm_reader_next(a, &rgb, &width, &height, &ms[k], &err) == SUMI_OK) {
		uint8_t was[3 * PIXELS];
		paint(k, was);
		assert_memory_equal(rgb, was, sizeof was);
		assert_int_equal(ms[k], 100 * k);
		ms[k] += k > 5 ? 333 : 0; /* of no even pace */
		must(webm_add(w, rgb, false, &err), &err);
		free(rgb);
		k++;
	}
	assert_int_equal(k, PICTURES);
	must(webm_finish_taken(w, &taken, NULL, &copy, &size, &err), &err);
	webm_free(w);
	must(webm_reader_new(copy, size, "b.webm", &b, &err), &err);
	const struct webm_sound *was = taken.sound, *is;
	must(webm_reader_sound(b, &is, &err), &err);
	assert_int_equal(webm_reader_film(b)->end_ms, taken.end_ms);
	assert_int_equal(is->count, was->count);
	assert_string_equal(is->codec, "A_VORBIS");
	assert_int_equal(is->private_size, was->private_size);
	assert_memory_equal(is->private, was->private, is->private_size);
	for (size_t i = 0; i < is->count; i++) {
		assert_int_equal(is->packets[i].ms, was->packets[i].ms);
		assert_int_equal(is->packets[i].discard_ns, was->packets[i].discard_ns);
		assert_int_equal(is->packets[i].size, was->packets[i].size);
		assert_memory_equal(is->packets[i].data, was->packets[i].data, is->packets[i].size);
	}
	assert_true(is->packets[is->count - 1].discard_ns > 0);
	for (k = 0; webm_reader_next(b, &again, &width, &height, &at, &err) == SUMI_OK; k++) {
		assert_int_equal(at, ms[k]);
		free(again);
	}
	assert_int_equal(k, PICTURES);
	webm_reader_free(a);
	webm_reader_free(b);
	free(data);
	free(copy);
}

static void texts_come_back(void **state)
{
	(void)state;
	struct error err = {0};
	struct metadata m;
	uint8_t *data;
	size_t size = make(false, 0, &data);
	must(metadata_read(data, size, "a.webm", &m, &err), &err);
	assert_string_equal(m.infotext, TEXT);
	assert_string_equal(m.json, JSON);
	metadata_free(&m);
	free(data);
}

static void a_cut_file_is_refused(void **state)
{
	(void)state;
	uint8_t *data, *rgb = NULL;
	int width, height;
	size_t size = make(false, 0, &data);
	for (size_t n = 0; n < size; n += n < 900 ? 1 : 41) {
		struct error err = {0};
		struct file_texts texts = {0};
		uint8_t *cut = malloc(n ? n : 1); /* of its own: reading behind it is seen */
		memcpy(cut, data, n);
		assert_int_equal(webm_read_texts(cut, n, "cut.webm", &texts, &err), SUMI_CORRUPT);
		assert_non_null(strstr(err.text, "cut.webm"));
		assert_int_equal(webm_first_picture(cut, n, "cut.webm", &rgb, &width, &height, &err), SUMI_CORRUPT);
		texts_free(&texts);
		free(cut);
	}
	free(data);
}

static void tracks_have_numbers(void **state)
{
	(void)state;
	static const uint8_t number[] = {0xD7, 0x81, 1};
	struct error err;
	uint8_t *data, *rgb = NULL;
	int width, height;
	size_t size = make(false, 0, &data);
	uint8_t *at = memmem(data, size, number, sizeof number);
	assert_non_null(at);
	at[2] = 0;
	assert_int_equal(webm_first_picture(data, size, "none.webm", &rgb, &width, &height, &err), SUMI_CORRUPT);
	assert_null(strstr(err.text, "no picture")); /* its tracks are damaged, not its blocks */
	free(data);
}

static void bad_films_are_refused(void **state)
{
	(void)state;
	struct error err;
	struct webm *w;
	uint8_t *data;
	size_t size;
	struct vp9_options options = {.quality = 90, .fps = 10};
	assert_int_equal(webm_new(0, 16, &options, &w, &err), SUMI_INVALID);
	assert_int_equal(webm_new(16, 20000, &options, &w, &err), SUMI_INVALID);
	options.quality = NAN;
	assert_int_equal(webm_new(16, 16, &options, &w, &err), SUMI_INVALID);
	options.quality = 90;
	options.fps = 0;
	assert_int_equal(webm_new(16, 16, &options, &w, &err), SUMI_INVALID);
	options.fps = 10;
	must(webm_new(16, 16, &options, &w, &err), &err);
	assert_int_equal(webm_finish(w, NULL, 0, NULL, &data, &size, &err), SUMI_INVALID);
	webm_free(w);
}

/* Lengths of one to eight bytes, and one that is not known. */
static void elements_are_read(void **state)
{
	(void)state;
	static const uint8_t longest[] = {0xA3, 0x01, 0, 0, 0, 0, 0, 0, 1, 7}, open[] = {0x1F, 0x43, 0xB6, 0x75, 0xFF, 1, 2},
			     none[] = {0xA3, 0x00, 1}, beyond[] = {0xA3, 0x82, 1}, id[] = {0x08, 0x81, 1};
	struct ebml_reader r = {.data = longest, .size = sizeof longest};
	struct ebml_element e;
	assert_int_equal(ebml_next(&r, &e), 1);
	assert_int_equal(e.size, 1);
	assert_int_equal(ebml_number(&e), 7);
	assert_int_equal(ebml_next(&r, &e), 0);
	r = (struct ebml_reader){.data = open, .size = sizeof open};
	assert_int_equal(ebml_next(&r, &e), 1);
	assert_true(e.open && e.id == WEBM_CLUSTER && e.size == 2);
	r = (struct ebml_reader){.data = none, .size = sizeof none};
	assert_int_equal(ebml_next(&r, &e), -1);
	r = (struct ebml_reader){.data = beyond, .size = sizeof beyond};
	assert_int_equal(ebml_next(&r, &e), -1);
	r = (struct ebml_reader){.data = id, .size = sizeof id};
	assert_int_equal(ebml_next(&r, &e), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(places_are_where_the_file_says),
	    cmocka_unit_test(blocks_come_in_order),
	    cmocka_unit_test(equal_films_have_equal_bytes),
	    cmocka_unit_test(the_first_picture_comes_back),
cmocka_unit_test(a_film_is_taken_over), cmocka_unit_test(texts_come_back),
	    cmocka_unit_test(a_cut_file_is_refused),
	    cmocka_unit_test(tracks_have_numbers),
	    cmocka_unit_test(bad_films_are_refused),
	    cmocka_unit_test(elements_are_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
