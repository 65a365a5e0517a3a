/* Writes the seeds of the fuzz targets: build/fuzz/seeds/TARGET/N, small valid inputs made of the
 * test vectors and by sumi's own writers. usage: seeds FOLDER */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jpeglib.h>

#include "base/files.h"
#include "diffusion/sampler.h"
#include "media/exif.h"
#include "media/png.h"
#include "media/vorbis.h"
#include "media/wav.h"
#include "media/webp.h"
#include "media/xmp.h"
#include "tests/fuzz/fuzz.h"

static const char *root;
static int number;

static void check(int status, const struct error *err)
{
	if (!status)
		return;
	fprintf(stderr, "seeds: %s\n", err->text);
	exit(1);
}

static void seed(const char *target, const void *data, size_t size)
{
	char path[FILES_PATH_MAX];
	struct error err = {0};
	check(files_path(path, &err, "%s/%s", root, target), &err);
	check(files_make_dirs(path, 0755, &err), &err);
	check(files_path(path, &err, "%s/%s/%d", root, target, ++number), &err);
	FILE *f = fopen(path, "w");
	if (!f || fwrite(data, 1, size, f) != size || fclose(f) != 0) {
		perror(path);
		exit(1);
	}
}

static void seed_text(const char *target, const char *text)
{
	seed(target, text, strlen(text));
}

/* A head of bytes, then files with FUZZ_CUT between them. */
static void seed_files(const char *target, const void *head, size_t head_size,
		       const char *const *paths)
{
	struct bytes_writer w = {0};
	const unsigned char cut = FUZZ_CUT;
	struct error err = {0};
	bytes_put(&w, head, head_size);
	for (int i = 0; paths[i]; i++) {
		char *text;
		size_t size;
		check(files_read(paths[i], 8 << 20, &text, &size, &err), &err);
		if (i > 0)
			bytes_put(&w, &cut, 1);
		bytes_put(&w, text, size);
		free(text);
	}
	seed(target, w.data, w.size);
	free(w.data);
}

static const char *const packs[] = {"sd1-tiny", "sd2-tiny", "levels-tiny", "sound-tiny",
				    "snr-tiny", "taesd-tiny", NULL};

static void seed_packs(void)
{
	static const char *const models[] = {"text_encoder", "vae", "motion_adapter", "unet"};
	char path[4][256];
	for (int i = 0; packs[i]; i++) {
		const char *one[] = {path[0], NULL};
		for (int k = 0; k < 4; k++) {
			unsigned char kind = (unsigned char)k;
			snprintf(path[0], sizeof path[0], "tests/vectors/%s/%s/config.json",
				 k == 2 ? "motion-tiny" : packs[i], models[k]);
			if (access(path[0], R_OK) == 0)
				seed_files("models", &kind, 1, one);
		}
		snprintf(path[0], sizeof path[0],
			 "tests/vectors/%s/scheduler/scheduler_config.json", packs[i]);
		if (access(path[0], R_OK) != 0)
			continue;
		for (int name = 0; sampler_name_at(name); name++)
			seed_files("scheduler", (unsigned char[]){(unsigned char)name, 6}, 2, one);
	}
	seed_files("pack", NULL, 0,
		   (const char *const[]){"tests/vectors/sound-tiny/sumi.json",
					 "tests/vectors/sound-tiny/model_index.json",
					 "tests/vectors/sound-tiny/scheduler/scheduler_config.json",
					 NULL});
	seed_files("pack", NULL, 0,
		   (const char *const[]){"models/ink/sumi.json", "models/ink/model_index.json",
					 "models/ink/scheduler/scheduler_config.json", NULL});
	seed_files("safetensors", NULL, 0,
		   (const char *const[]){"tests/vectors/rng.safetensors", NULL});
	seed_files("tokenizer", NULL, 0,
		   (const char *const[]){"tests/vectors/sd1-tiny/tokenizer/vocab.json",
					 "tests/vectors/sd1-tiny/tokenizer/merges.txt",
					 "tests/vectors/sd1-tiny/tokenizer/tokenizer_config.json",
					 "tests/vectors/sd1-tiny/tokenizer/special_tokens_map.json",
					 NULL});
}

static void seed_samplers(void)
{
	struct sampler_config config = {0};
	struct error err = {0};
	float x[4] = {1, 2, 3, 4}, output[4] = {0.5f};
	check(sampler_config_read("tests/vectors/sd1-tiny/scheduler/scheduler_config.json", &config,
				  &err),
	      &err);
	for (int name = 0; sampler_name_at(name); name++) {
		struct sampler *sampler;
		struct bytes_writer w = {0};
		struct rng rng;
		rng_init(&rng, RNG_TORCH, 1);
		check(sampler_new(sampler_name_at(name), &config, 6, &sampler, &err), &err);
		for (int call = 0; call < 3; call++)
			check(sampler_step(sampler, call, output, x, 4, &rng, &err), &err);
		bytes_put(&w, (unsigned char[]){(unsigned char)name, 5}, 2);
		sampler_save(sampler, &w);
		seed("sampler_state", w.data, w.size);
		free(w.data);
		sampler_free(sampler);
	}
	sampler_config_free(&config);
}

static void seed_jpeg(const uint8_t *rgb, int side, bool progressive)
{
	struct jpeg_compress_struct c;
	struct jpeg_error_mgr errors;
	unsigned char *data = NULL;
	unsigned long size = 0;
	c.err = jpeg_std_error(&errors);
	jpeg_create_compress(&c);
	jpeg_mem_dest(&c, &data, &size);
	c.image_width = c.image_height = (JDIMENSION)side;
	c.input_components = 3;
	c.in_color_space = JCS_RGB;
	jpeg_set_defaults(&c);
	if (progressive)
		jpeg_simple_progression(&c);
	jpeg_start_compress(&c, TRUE);
	for (int y = 0; y < side; y++) {
		JSAMPROW row = (JSAMPROW)(rgb + y * side * 3);
		jpeg_write_scanlines(&c, &row, 1);
	}
	jpeg_finish_compress(&c);
	jpeg_destroy_compress(&c);
	seed("jpeg", data, size);
	free(data);
}

#define INFOTEXT                                                                                   \
	"a lone tree\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, Schedule type: "       \
	"Karras, CFG scale: 7, Seed: 1, Size: 8x8, Hashes: {\"a\": \"b\"}, Note: \"x, y\""

static void seed_media(void)
{
	enum { SIDE = 8, SAMPLES = 2000 };
	static uint8_t rgb[SIDE * SIDE * 3];
	static float samples[SAMPLES];
	struct metadata meta = {.infotext = INFOTEXT, .json = "{\"prompt\": \"дерево\"}"};
	struct webp_options options = {.lossless = true};
	struct webp_animation_options moving = {.picture = options, .frame_ms = 100};
	struct webp_animation *animation;
	struct sound sound = {.samples = samples, .length = SAMPLES, .channels = 1, .rate = 8000};
	struct error err = {0};
	uint8_t *data;
	char *xmp;
	unsigned char *exif;
	size_t size;
	struct bytes_writer w = {0};
	for (size_t i = 0; i < sizeof rgb; i++)
		rgb[i] = (uint8_t)(i * 37);
	for (int i = 0; i < SAMPLES; i++)
		samples[i] = (float)((i * 7919) % 1000) / 2000 - 0.25f;
	seed_jpeg(rgb, SIDE, false);
	seed_jpeg(rgb, SIDE, true);
	check(png_encode(rgb, SIDE, SIDE, &meta, &data, &size, &err), &err);
	seed("png", data, size);
	free(data);
	check(files_read("tests/vectors/start.jpg", 1 << 20, (char **)&data, &size, &err), &err);
	seed("jpeg", data, size);
	free(data);
	for (int i = 0; i < 2; i++, options.lossless = false, options.quality = 50) {
		check(webp_encode(rgb, SIDE, SIDE, &options, &meta, &data, &size, &err), &err);
		seed("webp", data, size);
		free(data);
	}
	check(webp_animation_new(SIDE, SIDE, &moving, &animation, &err), &err);
	for (int i = 0; i < 3; i++, rgb[i * 5] ^= 0xFF)
		check(webp_animation_add(animation, rgb, &err), &err);
	check(webp_animation_finish(animation, &meta, &data, &size, &err), &err);
	webp_animation_free(animation);
	seed("webp", data, size);
	free(data);
	check(wav_encode(&sound, &meta, &data, &size, &err), &err);
	seed("wav", data, size);
	free(data);
	check(vorbis_encode(&sound, 10, &meta, &data, &size, &err), &err);
	seed("vorbis", data, size);
	free(data);
	check(xmp_write(&meta, &xmp, &size, &err), &err);
	bytes_put(&w, "\0", 1);
	bytes_put(&w, xmp, size);
	seed("packets", w.data, w.size);
	free(xmp);
	w.size = 0;
	check(exif_write(&meta, &exif, &size, &err), &err);
	bytes_put(&w, "\1", 1);
	bytes_put(&w, exif, size);
	seed("packets", w.data, w.size);
	free(exif);
	free(w.data);
}

/* {target, text} */
static const char *const texts[][2] = {
    {"infotext", INFOTEXT},
    {"job", "{\"modality\": \"image\", \"prompt\": \"fog\", \"seed\": 18446744073709551615, \"n\": 2, "
	    "\"cfg_scale\": 7.5, \"tags\": [\"a\"], \"window\": \"22:00-06:00\", \"priority\": \"high\"}"},
    {"origin", "\0{\"1\": {\"class_type\": \"KSampler\", \"inputs\": {\"seed\": 7, \"steps\": 4, \"cfg\": 8.0, "
	       "\"sampler_name\": \"euler\", \"latent_image\": [\"3\", 0], \"positive\": [\"2\", 0]}}, "
	       "\"2\": {\"class_type\": \"CLIPTextEncode\", \"inputs\": {\"text\": \"a\"}}, \"3\": "
	       "{\"class_type\": \"EmptyLatentImage\", \"inputs\": {\"width\": 512, \"height\": NaN}}}"},
    {"origin", "\1{\"prompt\": \"a\", \"metadata_scheme\": \"fooocus\", \"resolution\": \"(64, 32)\"}"},
    {"origin", "\2{\"sui_image_params\": {\"prompt\": \"a\", \"seed\": 1, \"width\": 64}}\x1e" INFOTEXT},
    {"origin", "\3{\"Comment\": \"{\\\"uc\\\": \\\"b\\\", \\\"seed\\\": 2}\", \"Source\": \"v3\"}"},
    {"origin", "\4\"a cat\" -s50 -S42 -W512 -H768 -C7.5 -Ak_euler_a"},
    {"origin", "\6Prompt: {\"1\": {\"class_type\": \"KSamplerAdvanced\", \"inputs\": {}}}"},
    {"origin", "\10Parameters : a..Negative prompt: b.Steps: 4, SDCPP: {\"a\": [1, \"}\"]}, Seed: 6"},
    {"lists", "\1prompt;seed;not_before\n\"a\nb\";7,5;tomorrow 6:00\n"},
    {"lists", "\4sep=,\nPrompt,CFG scale,page\nfog,7.5,12\n"},
    {"lists", "\5# night\n--prompt \"a \\\"b\" --seed 3 --batch_size 2 --n_iter 3\nfog over a lake\n"},
    {"lists", "\2[\"one\", {\"prompt\": \"two\", \"cfg\": 3, \"deadline\": \"+2h\"}]"},
    {"job", "{\"modality\": \"audio\", \"mood\": \"calm\", \"duration\": 10, \"every\": \"24h\", "
	    "\"not_before\": \"2026-01-31T22:00:00Z\", \"notify\": \"http://localhost/\"}"},
    {"flat", "modality\x1e" "video\x1e" "prompt\x1e" "ink\x1e" "frames\x1e" "8\x1e" "loop\x1e"
	     "true\x1e" "after\x1e" "a,b\x1e" "id\x1e" "x-1"},
    {"conf", "# a comment\nstate_dir = /tmp/x\nlease = 30s\nredis = unix:///tmp/r.sock\n"},
    {"conf", "devices = opencl:0, reference\nmodel_memory = 4G\nbatch = 2\nlog = debug\n"},
    {"times", "2026-01-31T22:00:00Z"},
    {"times", "2026-01-31T22:00:00.250+03:00"},
    {"times", "22:00-06:00"},
    {"times", "22:00"},
    {"times", "90m"},
    {"url", "rediss://user:p%40ss@[::1]:6380/3"},
    {"url", "redis+sentinel://a:26379,b/master/0"},
    {"url", "unix:///run/redis.sock"},
    {"encode", "a watercolour painting of misty mountains, акварель"},
    {"aof", "file appendonly.aof.1.incr.aof seq 1 type i\n"
	    "\x1e*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\na"
	    "\r\n$1\r\nb\r\n*1\r\n$4\r\nEXEC\r\n*2\r\n$3\r\nDEL"},
    {"history", "{\"job\": {\"id\": \"a\", \"state\": \"done\", \"modality\": \"image\", "
		"\"created\": \"2026-01-31T22:00:00.000Z\", \"variants\": 1, \"tags\": [\"x\"]}, "
		"\"attempts\": [], \"artifacts\": []}\n"},
};

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: seeds FOLDER\n");
		return 2;
	}
	root = argv[1];
	seed_packs();
	seed_samplers();
	seed_media();
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		seed_text(texts[i][0], texts[i][1]);
	if (access("/usr/share/zoneinfo/Europe/Berlin", R_OK) == 0)
		seed_files("zone", NULL, 0,
			   (const char *const[]){"/usr/share/zoneinfo/Europe/Berlin", NULL});
	return 0;
}
