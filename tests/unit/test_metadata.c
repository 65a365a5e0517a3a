/* Metadata of Ogg Vorbis files: comments read back, foreign and damaged files refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <ogg/ogg.h>
#include <vorbis/vorbisenc.h>

#include "media/metadata_file.h"

/* The header pages of a Vorbis file with these comments, NULL: none. */
static size_t vorbis_file(const char *infotext, const char *json, uint8_t **data)
{
	vorbis_info info;
	vorbis_comment comments;
	vorbis_dsp_state dsp;
	ogg_stream_state stream;
	ogg_packet packets[3];
	ogg_page page;
	size_t size = 0;
	*data = malloc(1 << 20);
	vorbis_info_init(&info);
	assert_int_equal(vorbis_encode_init_vbr(&info, 1, 22050, 0.3f), 0);
	vorbis_comment_init(&comments);
	vorbis_comment_add_tag(&comments, "TITLE", "other");
	if (infotext)
		vorbis_comment_add_tag(&comments, METADATA_OGG_INFOTEXT, infotext);
	if (json)
		vorbis_comment_add_tag(&comments, METADATA_OGG_JSON, json);
	vorbis_analysis_init(&dsp, &info);
	vorbis_analysis_headerout(&dsp, &comments, &packets[0], &packets[1], &packets[2]);
	ogg_stream_init(&stream, 4711);
	for (int i = 0; i < 3; i++)
		ogg_stream_packetin(&stream, &packets[i]);
	while (ogg_stream_flush(&stream, &page)) {
		assert_true(size + (size_t)page.header_len + (size_t)page.body_len <= 1 << 20);
		memcpy(*data + size, page.header, (size_t)page.header_len);
		size += (size_t)page.header_len;
		memcpy(*data + size, page.body, (size_t)page.body_len);
		size += (size_t)page.body_len;
	}
	ogg_stream_clear(&stream);
	vorbis_dsp_clear(&dsp);
	vorbis_comment_clear(&comments);
	vorbis_info_clear(&info);
	return size;
}

static void check_ogg(void **state)
{
	(void)state;
	uint8_t *data;
	struct metadata m;
	struct error err = {0};
	char *json = malloc(70000); /* more than one page */
	memset(json, 'x', 69999);
	json[69999] = '\0';
	size_t size = vorbis_file("calm piano, «тихо»\nSteps: 4, Seed: 1, Mood: calm", json, &data);
	assert_int_equal(metadata_read(data, size, "a.ogg", &m, &err), 0);
	assert_string_equal(m.infotext, "calm piano, «тихо»\nSteps: 4, Seed: 1, Mood: calm");
	assert_string_equal(m.json, json);
	metadata_free(&m);
	assert_int_equal(metadata_read(data, size / 2, "cut.ogg", &m, &err), SUMI_CORRUPT);
	assert_non_null(strstr(err.text, "cut.ogg"));
	free(data);
	free(json);

	size = vorbis_file(NULL, NULL, &data);
	assert_int_equal(metadata_read(data, size, "bare.ogg", &m, &err), SUMI_NOTFOUND);
	free(data);
	size = vorbis_file("\xff\xfe", NULL, &data);
	assert_int_equal(metadata_read(data, size, "odd.ogg", &m, &err), SUMI_CORRUPT);
	free(data);
}

/* Ogg with something else inside, as Opus files are. */
static void check_not_vorbis(void **state)
{
	(void)state;
	ogg_stream_state stream;
	ogg_page page;
	uint8_t file[256];
	struct metadata m;
	struct error err = {0};
	ogg_packet packet = {.packet = (unsigned char *)"OpusHead\1\2", .bytes = 10, .b_o_s = 1};
	ogg_stream_init(&stream, 1);
	ogg_stream_packetin(&stream, &packet);
	assert_int_not_equal(ogg_stream_flush(&stream, &page), 0);
	memcpy(file, page.header, (size_t)page.header_len);
	memcpy(file + page.header_len, page.body, (size_t)page.body_len);
	size_t size = (size_t)(page.header_len + page.body_len);
	ogg_stream_clear(&stream);
	assert_int_equal(metadata_read(file, size, "a.opus", &m, &err), SUMI_UNSUPPORTED);
}

static void check_damaged_ogg(void **state)
{
	(void)state;
	uint8_t *data;
	uint32_t r = 7;
	size_t size = vorbis_file("text", "{}", &data);
	for (int round = 0; round < 500; round++) {
		size_t n = round < 100 ? size * (size_t)round / 100 : size;
		uint8_t *copy = malloc(n + !n);
		memcpy(copy, data, n);
		for (int flip = 0; round >= 100 && flip < 1 + round % 4; flip++) {
			r = r * 1664525u + 1013904223u;
			copy[(r >> 8) % (round % 2 ? 200 : n)] ^= (uint8_t)(1u << (r >> 29));
		}
		struct metadata m;
		if (metadata_read(copy, n, "t", &m, NULL) == 0)
			assert_string_equal(m.infotext, "text"); /* pages carry checksums */
		metadata_free(&m);
		free(copy);
	}
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(check_ogg),
	    cmocka_unit_test(check_not_vorbis),
	    cmocka_unit_test(check_damaged_ogg),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
