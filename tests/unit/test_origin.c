/* Which program made a file, and with what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/files.h"
#include "base/json.h"
#include "media/metadata_file.h"
#include "media/origin.h"

#define REAL "../shared/real/"

static void add(struct file_texts *t, enum text_place place, const char *key, const char *text)
{
	assert_int_equal(texts_add_any(t, place, key, text, strlen(text), NULL), 0);
}

static void want(const struct origin *o, const char *key, const char *value)
{
	const char *got = infotext_get(&o->text, key);
	if (value && (!got || strcmp(got, value) != 0))
		fail_msg("%s: '%s', expected '%s'", key, got ? got : "(nothing)", value);
	if (!value)
		assert_null(got);
}

/* ---- files of other people's programs ---- */

static const char *now;

static void same_text(const char *what, const char *got, const char *expected)
{
	if (strcmp(got ? got : "", expected ? expected : "") != 0)
		fail_msg("%s: %s is '%s', expected '%s'", now, what, got ? got : "(nothing)",
			 expected);
}

static void same_infotext(const struct infotext *text, const json_t *expected)
{
	const char *key;
	json_t *value;
	same_text("prompt", text->prompt, json_string_value(json_object_get(expected, "prompt")));
	same_text("negative prompt", text->negative_prompt,
		  json_string_value(json_object_get(expected, "negative_prompt")));
	json_object_foreach(json_object_get(expected, "fields"), key, value)
	{
		const char *got = infotext_get(text, key);
		if (json_is_string(value)) {
			same_text(key, got, json_string_value(value));
			continue;
		}
		json_t *parsed = NULL;
		assert_non_null(got);
		assert_int_equal(json_read_text(got, strlen(got), now, &parsed, NULL), 0);
		if (!json_equal(parsed, value))
			fail_msg("%s: %s is %s", now, key, got);
		json_decref(parsed);
	}
}

static void same_json(const char *what, const json_t *got, const json_t *expected)
{
	if (json_equal(got, expected))
		return;
	char *a = json_dumps(got, JSON_ENCODE_ANY), *b = json_dumps(expected, JSON_ENCODE_ANY);
	fail_msg("%s: %s is\n%s\nexpected\n%s", now, what, a ? a : "(nothing)", b);
}

/* Beside a graph an infotext may be one of two that differ: it is looked at by itself. */
static void check_picture(const char *path, const json_t *expected)
{
	char *data;
	size_t size;
	struct file_texts texts;
	struct origin o;
	struct error err = {0};
	assert_int_equal(files_read(path, 1 << 24, &data, &size, &err), 0);
	if (texts_read(data, size, path, &texts, &err) || origin_read(&texts, &o, &err))
		fail_msg("%s", err.text);
	const json_t *infotext = json_object_get(expected, "infotext");
	const json_t *json = json_object_get(expected, "json"), *of_key;
	const json_t *graph = json_object_get(expected, "comfy");
	assert_non_null(o.program);
	if (infotext) {
		struct infotext text;
		assert_non_null(o.infotext);
		assert_int_equal(infotext_parse(o.infotext, strlen(o.infotext), &text, &err), 0);
		same_infotext(&text, infotext);
		infotext_free(&text);
	}
	if (graph)
		same_json("the graph", o.graph, graph);
	else
		assert_null(o.graph);
	const char *key;
	if ((of_key = json_object_get(o.json, "UserComment")) && json) {
		same_json("the comment", of_key, json);
	} else {
		json_t *value;
		json_object_foreach((json_t *)json, key, value)
		{
			same_json(key, json_object_get(o.json, key), value);
		}
	}
	origin_clear(&o);
	texts_free(&texts);
	free(data);
}

static void check_real(void **state)
{
	(void)state;
	json_t *all, *expected;
	const char *name;
	char path[512];
	if (access(REAL "pictures/EXPECTED.json", F_OK) != 0)
		skip();
	char *data;
	size_t size;
	struct error err = {0};
	if (files_read(REAL "pictures/EXPECTED.json", 1 << 24, &data, &size, &err) ||
	    json_read_foreign(data, size, 64 << 20, "EXPECTED.json", &all, &err))
		fail_msg("%s", err.text);
	free(data);
	assert_true(json_object_size(all) > 50);
	json_object_foreach(all, name, expected)
	{
		now = name;
		snprintf(path, sizeof path, REAL "pictures/%s", name);
		check_picture(path, expected);
	}
	json_decref(all);
}

/* ---- texts as programs write them ---- */

static struct origin read_one(enum text_place place, const char *key, const char *text)
{
	struct file_texts t = {0};
	struct origin o;
	struct error err = {0};
	add(&t, place, key, text);
	if (origin_read(&t, &o, &err))
		fail_msg("%s", err.text);
	texts_free(&t);
	return o;
}

/* Each: where the text stands, and of what it says program, prompt, negative prompt, seed, steps,
 * sampler, CFG scale, size, model. NULL: it does not say. */
static const struct {
	enum text_place place;
	const char *key, *text, *program, *prompt, *negative, *seed, *steps, *sampler, *cfg, *size, *model;
} forms[] = {
    {TEXT_PNG, "parameters",
     "{\"prompt\":\"a cat\",\"negative_prompt\":\"dog\",\"steps\":30,\"guidance_scale\":4.0,"
     "\"seed\":\"77\",\"sampler\":\"dpmpp_2m_sde_gpu\",\"scheduler\":\"karras\","
     "\"resolution\":\"(1152, 896)\",\"base_model\":\"m_v8\",\"metadata_scheme\":\"fooocus\"}",
     "Fooocus", "a cat", "dog", "77", "30", "dpmpp_2m_sde_gpu", "4.0", "1152x896", "m_v8"},
    {TEXT_EXIF, "UserComment",
     "{\"Prompt\":\"a cat\",\"Negative\":\"\",\"steps\":8,\"cfg\":2,\"width\":1024,\"height\":768,"
     "\"seed\":3,\"sampler_name\":\"euler\",\"base_model_name\":\"x.safetensors\"}",
     "RuinedFooocus", "a cat", "", "3", "8", "euler", "2", "1024x768", "x.safetensors"},
    {TEXT_PNG, "invokeai_metadata",
     "{\"app_version\":\"5.0\",\"positive_prompt\":\"a cat\",\"negative_prompt\":\"dog\",\"seed\":5,"
     "\"steps\":12,\"cfg_scale\":7.5,\"scheduler\":\"euler_a\",\"width\":512,\"height\":640,"
     "\"model\":{\"name\":\"dream\",\"hash\":\"blake3:1\"}}",
     "InvokeAI", "a cat", "dog", "5", "12", "euler_a", "7.5", "512x640", "dream"},
    {TEXT_PNG, "sd-metadata",
     "{\"model\":\"stable diffusion\",\"model_weights\":\"sd-1.4\",\"image\":{\"prompt\":[{\"prompt\":"
     "\"a cat\",\"weight\":1.0}],\"steps\":50,\"cfg_scale\":7.5,\"seed\":9,\"width\":512,"
     "\"height\":512,\"sampler\":\"k_lms\"}}",
     "InvokeAI", "a cat", NULL, "9", "50", "k_lms", "7.5", "512x512", "sd-1.4"},
    {TEXT_PNG, "Dream", "\"a \"big\" cat\" -s50 -S42 -W512 -H768 -C7.5 -A k_euler_a", "InvokeAI",
     "a \"big\" cat", NULL, "42", "50", "k_euler_a", "7.5", "512x768", NULL},
    {TEXT_XMP, "exif:UserComment",
     "{\"c\":\"a cat\",\"uc\":\"dog\",\"seed\":11,\"steps\":20,\"scale\":4.5,\"sampler\":\"Euler A\","
     "\"size\":\"768x512\",\"model\":\"sd_v1.5_f16.ckpt\",\"v2\":{\"seed\":11}}",
     "Draw Things", "a cat", "dog", "11", "20", "Euler A", "4.5", "768x512", "sd_v1.5_f16.ckpt"},
    {TEXT_HIDDEN, "",
     "{\"Comment\":\"{\\\"prompt\\\":\\\"a cat\\\",\\\"uc\\\":\\\"dog\\\",\\\"seed\\\":2,\\\"steps\\\":28,"
     "\\\"scale\\\":5,\\\"sampler\\\":\\\"k_euler\\\",\\\"width\\\":832,\\\"height\\\":1216}\","
     "\"Source\":\"v3\",\"Software\":\"NovelAI\"}",
     "NovelAI", "a cat", "dog", "2", "28", "k_euler", "5", "832x1216", "v3"},
    {TEXT_PNG, "metadata",
     "{\"prompt\":\"a cat\",\"negative_prompt\":\"dog\",\"resolution\":\"832 x 1216\",\"seed\":1,"
     "\"guidance_scale\":7,\"num_inference_steps\":28,\"sampler\":\"Euler a\","
     "\"Model\":{\"Model\":\"animag\"}}",
     "Hugging Face space", "a cat", "dog", "1", "28", "Euler a", "7", "832x1216", "animag"},
    {TEXT_COMMENT, "", "a cat\nNegative prompt: dog\nSteps: 9, Seed: 8, Size: 64x32, App: SD.Next",
     "SD.Next", "a cat", "dog", "8", "9", NULL, NULL, "64x32", NULL},
    {TEXT_PLAIN, "",
     "Parameters          : a cat...Negative prompt: .Steps: 4, Sampler: Euler, CFG scale: 1.0, "
     "Seed: 6, Size: 64x32, Civitai resources: [{\"a\":\"b, c\"},{\"d\":[1,2]}]",
     "Civitai", "a cat", "", "6", "4", "Euler", "1.0", "64x32", NULL},
};

static void check_forms(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		struct origin o = read_one(forms[i].place, forms[i].key, forms[i].text);
		now = forms[i].program;
		same_text("program", o.program, forms[i].program);
		same_text("prompt", o.text.prompt, forms[i].prompt);
		same_text("negative prompt", o.text.negative_prompt, forms[i].negative);
		want(&o, "Seed", forms[i].seed);
		want(&o, "Steps", forms[i].steps);
		want(&o, "Sampler", forms[i].sampler);
		want(&o, "CFG scale", forms[i].cfg);
		want(&o, "Size", forms[i].size);
		want(&o, "Model", forms[i].model);
		origin_clear(&o);
	}
}

/* Python writes NaN; texts that nodes compute are not known; links may go round. */
static void check_graph(void **state)
{
	(void)state;
	struct origin o = read_one(
	    TEXT_PNG, "prompt",
	    "{\"1\":{\"class_type\":\"KSampler\",\"inputs\":{\"seed\":18446744073709551615,\"steps\":4,"
	    "\"cfg\":1.5,\"denoise\":1.0,\"positive\":[\"2\",0],\"negative\":[\"4\",1],"
	    "\"latent_image\":[\"9\",0]},\"is_changed\":[NaN]},"
	    "\"2\":{\"class_type\":\"CLIPTextEncode\",\"inputs\":{\"text\":[\"3\",0]}},"
	    "\"3\":{\"class_type\":\"StringConcatenate\",\"inputs\":{\"string_a\":\"a\",\"string_b\":\"b\"}},"
	    "\"4\":{\"class_type\":\"ControlNetApplyAdvanced\",\"inputs\":{\"positive\":[\"2\",0],"
	    "\"negative\":[\"5\",0]}},"
	    "\"5\":{\"class_type\":\"CLIPTextEncode\",\"inputs\":{\"text\":[\"6\",0]}},"
	    "\"6\":{\"class_type\":\"PrimitiveString\",\"inputs\":{\"value\":\"dog\"}},"
	    "\"7\":{\"class_type\":\"Loop\",\"inputs\":{\"conditioning\":[\"7\",0]}}}");
	want(&o, "Seed", "18446744073709551615");
	want(&o, "CFG scale", "1.5");
	want(&o, "Denoising strength", NULL);
	assert_null(o.text.prompt);
	assert_string_equal(o.text.negative_prompt, "dog");
	const json_t *s = json_array_get(json_object_get(o.graph, "samplers"), 0);
	assert_true(json_is_null(json_object_get(s, "positive")));
	origin_clear(&o);
	o = read_one(TEXT_PNG, "prompt",
		     "{\"1\":{\"class_type\":\"KSampler\",\"inputs\":{\"seed\":1,\"latent_image\":[\"9\",0],"
		     "\"positive\":[\"7\",0]}},\"7\":{\"class_type\":\"Loop\",\"inputs\":{\"conditioning\":"
		     "[\"7\",0]}},\"8\":{\"class_type\":\"CLIPTextEncode\",\"inputs\":{\"text\":[\"8\",0]}}}");
	assert_null(o.text.prompt);
	origin_clear(&o);
}

/* An infotext that knows nothing gives way to the graph beside it; one that knows does not. */
static void check_liar(void **state)
{
	(void)state;
	static const char graph[] =
	    "{\"1\":{\"class_type\":\"KSampler\",\"inputs\":{\"seed\":77,\"steps\":30,\"sampler_name\":"
	    "\"euler\",\"latent_image\":[\"2\",0]}},\"2\":{\"class_type\":\"EmptyLatentImage\",\"inputs\":"
	    "{\"width\":640,\"height\":384}}}";
	struct file_texts t = {0};
	struct origin o;
	add(&t, TEXT_PNG, "parameters",
	    "x\nSteps: 20, Sampler: unknown, CFG scale: 8.0, Seed: 0, Size: 512x512, Model: unknown");
	add(&t, TEXT_PNG, "prompt", graph);
	assert_int_equal(origin_read(&t, &o, NULL), 0);
	assert_string_equal(o.program, "ComfyUI");
	want(&o, "Seed", "77");
	want(&o, "Size", "640x384");
	want(&o, "Steps", "30");
	origin_clear(&o);
	texts_free(&t);
	add(&t, TEXT_PNG, "parameters", "x\nSteps: 20, Sampler: Euler a, Seed: 5, Size: 512x512");
	add(&t, TEXT_PNG, "prompt", graph);
	assert_int_equal(origin_read(&t, &o, NULL), 0);
	want(&o, "Seed", "5");
	assert_non_null(o.graph);
	origin_clear(&o);
	texts_free(&t);
}

/* What is nobody's is nothing, and no error. */
static void check_nothing(void **state)
{
	(void)state;
	static const char *const texts[] = {"", "a holiday", "{", "{}", "[1,2]", "{\"a\":1}",
					    "{\"prompt\":{\"1\":{\"class_type\":5}}}",
					    "{\"prompt\":\"{\"}", "workflow:{\"nodes\":[]}", "null"};
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct origin o = read_one(TEXT_EXIF, "UserComment", texts[i]);
		if (o.program)
			fail_msg("'%s' is taken for %s's", texts[i], o.program);
		origin_clear(&o);
	}
}

/* ---- where texts stand ---- */

static size_t put_chunk(uint8_t *out, const char *type, const void *data, size_t size)
{
	uint8_t head[8] = {(uint8_t)(size >> 24), (uint8_t)(size >> 16), (uint8_t)(size >> 8),
			   (uint8_t)size};
	memcpy(head + 4, type, 4);
	memcpy(out, head, 8);
	memcpy(out + 8, data, size);
	uint32_t sum = __builtin_bswap32((uint32_t)crc32(0, out + 4, (uInt)size + 4));
	memcpy(out + 8 + size, &sum, 4);
	return size + 12;
}

/* RGBA whose alpha hides a text. */
static size_t put_png(uint8_t *out, const char *mark, const uint8_t *hidden, size_t size)
{
	enum { SIDE = 64 };
	static uint8_t rows[SIDE][1 + 4 * SIDE], bits[SIDE * SIDE], packed[1 << 15];
	static const uint8_t header[13] = {0, 0, 0, SIDE, 0, 0, 0, SIDE, 8, 6};
	uint8_t message[SIDE * SIDE / 8] = {0};
	memcpy(message, mark, 15);
	message[17] = (uint8_t)(size * 8 >> 8);
	message[18] = (uint8_t)(size * 8);
	if (size <= sizeof message - 19)
		memcpy(message + 19, hidden, size);
	for (size_t i = 0; i < sizeof bits; i++)
		bits[i] = message[i / 8] >> (7 - i % 8) & 1;
	for (size_t i = 0; i < sizeof bits; i++) /* column after column */
		rows[i % SIDE][1 + 4 * (i / SIDE) + 3] = 254 | bits[i];
	uLongf n = sizeof packed;
	assert_int_equal(compress(packed, &n, (const Bytef *)rows, sizeof rows), Z_OK);
	memcpy(out, "\x89PNG\r\n\x1a\n", 8);
	size_t at = 8;
	at += put_chunk(out + at, "IHDR", header, sizeof header);
	at += put_chunk(out + at, "tEXt", "Title\0before", 12);
	at += put_chunk(out + at, "IDAT", packed, n);
	at += put_chunk(out + at, "tEXt", "Comment\0behind", 14);
	at += put_chunk(out + at, "iTXt", "XML:com.adobe.xmp\0\0\0\0\0<exif:UserComment><rdf:Alt>"
					  "<rdf:li xml:lang=\"x\">in &lt;XMP&gt;</rdf:li></rdf:Alt>"
					  "</exif:UserComment>", 22 + 89 - 1);
	return at + put_chunk(out + at, "IEND", "", 0);
}

static void same_place(const struct file_texts *t, enum text_place place, const char *key,
		       const char *expected)
{
	now = text_place_name(place);
	same_text(key, texts_find(t, place, key), expected);
}

static void check_png_places(void **state)
{
	(void)state;
	static uint8_t file[1 << 16], packed[256];
	struct file_texts t;
	struct error err = {0};
	z_stream z = {.next_in = (Bytef *)"hidden and packed", .avail_in = 17, .next_out = packed,
		      .avail_out = sizeof packed};
	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, 0), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	size_t size = put_png(file, "stealth_pngcomp", packed, z.total_out);
	if (texts_read(file, size, "t", &t, &err))
		fail_msg("%s", err.text);
	same_place(&t, TEXT_PNG, "Title", "before");
	same_place(&t, TEXT_PNG, "Comment", "behind");
	same_place(&t, TEXT_XMP, "exif:UserComment", "in <XMP>");
	same_place(&t, TEXT_HIDDEN, "", "hidden and packed");
	texts_free(&t);
	size = put_png(file, "stealth_pnginfo", (const uint8_t *)"as it is", 8);
	assert_int_equal(texts_read(file, size, "t", &t, &err), 0);
	same_place(&t, TEXT_HIDDEN, "", "as it is");
	texts_free(&t);
	/* A length beyond the picture. */
	size = put_png(file, "stealth_pnginfo", (const uint8_t *)"", 8000);
	assert_int_equal(texts_read(file, size, "t", &t, &err), 0);
	assert_null(texts_find(&t, TEXT_HIDDEN, ""));
	texts_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(check_real),	cmocka_unit_test(check_forms),
	    cmocka_unit_test(check_graph),	cmocka_unit_test(check_liar),
	    cmocka_unit_test(check_nothing),	cmocka_unit_test(check_png_places),
	};
	return cmocka_run_group_tests_name("origin", tests, NULL, NULL);
}
