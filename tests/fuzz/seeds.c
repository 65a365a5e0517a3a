/* Writes the seeds of the fuzz targets: build/fuzz/seeds/TARGET/N, small valid inputs made of the
 * test vectors and by sumi's own writers. usage: seeds FOLDER */
#define _GNU_SOURCE /* ElfW */
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jpeglib.h>

#include "backends/opencl/whole.h"
#include "base/files.h"
#include "base/hash.h"
#include "diffusion/sampler.h"
#include "media/exif.h"
#include "media/landscape.h"
#include "media/png.h"
#include "media/vorbis.h"
#include "media/wav.h"
#include "media/webm.h"
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
	static const char tensors[] =
	    "{\"__metadata__\":{\"a\":\"b\"},\"x\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]},"
	    "\"y\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[8,16]}}";
	struct bytes_writer w = {0};
	uint64_t head = sizeof tensors - 1;
	bytes_put(&w, &head, sizeof head);
	bytes_put(&w, tensors, sizeof tensors - 1);
	bytes_put(&w, "0123456789abcdef", 16);
	seed("safetensors", w.data, w.size);
	free(w.data);
}

/* A file of tensors, as far as names go, and what stands beside it; names ends with NULL. */
static void seed_names(const char *side, const char *const *names)
{
	char header[8192] = "{", *at = header + 1;
	int count = 0;
	for (; names[count]; count++)
		at += snprintf(at, (size_t)(header + sizeof header - at),
			       "%s\"%s\":{\"dtype\":\"F8_E4M3\",\"shape\":[3,4],"
			       "\"data_offsets\":[%d,%d]}",
			       count ? "," : "", names[count], 12 * count, 12 * count + 12);
	at += snprintf(at, 2, "}");
	struct bytes_writer w = {0};
	uint64_t size = (uint64_t)(at - header);
	bytes_put(&w, side, strlen(side));
	bytes_put(&w, &size, sizeof size);
	bytes_put(&w, header, (size_t)size);
	for (int i = 0; i < count; i++)
		bytes_put(&w, "0123456789ab", 12);
	seed("checkpoint", w.data, w.size);
	free(w.data);
}

static const char *const looks[][8] = {
    {"body.0.block1.weight", "body.1.block1.weight", "body.2.block1.weight", "body.2.in_conv.weight",
     "conv_in.weight", NULL},
    {"image_proj.norm.bias", "image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight",
     "ip_adapter.1.to_v_ip.weight", "ip_adapter.3.to_k_ip.weight", NULL},
    {"image_proj.latents", "image_proj.layers.0.0.to_q.weight", "image_proj.layers.0.1.1.weight",
     "image_proj.proj_in.weight", "ip_adapter.1.to_k_ip.weight", NULL},
    {"vision_model.embeddings.patch_embedding.weight", "vision_model.embeddings.position_embedding.weight",
     "vision_model.encoder.layers.0.mlp.fc1.weight", "vision_model.encoder.layers.0.self_attn.q_proj.weight",
     "visual_projection.weight", NULL},
};

/* A model of before diffusers, and networks that see pictures. */
static void seed_checkpoint(void)
{
	static const char *const names[] = {
	    "cond_stage_model.model.positional_embedding",
	    "cond_stage_model.model.text_projection",
	    "cond_stage_model.model.token_embedding.weight",
	    "cond_stage_model.model.transformer.resblocks.0.attn.in_proj_weight",
	    "cond_stage_model.model.transformer.resblocks.0.ln_1.weight",
	    "cond_stage_model.model.transformer.resblocks.1.ln_1.weight",
	    "first_stage_model.decoder.conv_in.weight",
	    "first_stage_model.decoder.conv_out.weight",
	    "first_stage_model.decoder.up.0.block.0.conv2.weight",
	    "first_stage_model.decoder.up.0.block.0.norm1.weight",
	    "model.diffusion_model.input_blocks.0.0.weight",
	    "model.diffusion_model.input_blocks.1.0.in_layers.2.weight",
	    "model.diffusion_model.input_blocks.1.1.proj_in.weight",
	    "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
	    "model.diffusion_model.input_blocks.2.0.op.weight",
	    "model.diffusion_model.label_emb.0.0.weight",
	    "model.diffusion_model.middle_block.1.proj_in.weight",
	    "model.diffusion_model.out.2.weight",
	    "model.diffusion_model.output_blocks.0.0.in_layers.2.weight",
	    "model.diffusion_model.time_embed.0.scale_weight",
	    "model.diffusion_model.time_embed.0.weight",
	    "v_pred",
	    NULL,
	};
	seed_names("{\"config\":{\"unet\":{\"attention_head_dim\":2}}}\x1e", names);
	for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++)
		seed_names("\x1e", looks[i]);
	static const char *const upscalers[] = {"compact", "bare"};
	for (size_t i = 0; i < sizeof upscalers / sizeof upscalers[0]; i++) {
		char path[64];
		snprintf(path, sizeof path, "tests/vectors/upscalers/%s.safetensors", upscalers[i]);
		seed_files("upscaler", NULL, 0, (const char *const[]){path, NULL});
	}
	static const char *const adapters[] = {"tucker", "loha_tucker",  "lokr_both",
					       "dora",   "peft_dora", "original_names", "peft_config"};
	for (size_t i = 0; i < sizeof adapters / sizeof adapters[0]; i++) {
		char path[64];
		snprintf(path, sizeof path, "tests/vectors/adapters/%s.safetensors", adapters[i]);
		seed_files("adapter", NULL, 0, (const char *const[]){path, NULL});
	}
	seed_text("adapter", "mid_block.resnets.0.conv12\nmid.*(conv|norm)[1-9]\\d{1,2}$");
}

static void seed_archives(void)
{
	seed_files("gguf", NULL, 0, (const char *const[]){"tests/vectors/files.gguf", NULL});
	seed_files("torch", NULL, 0, (const char *const[]){"tests/vectors/archive.ckpt", NULL});
	seed_files("torch", NULL, 0,
		   (const char *const[]){"tests/vectors/archive-2019.ckpt", NULL});
}

static void seed_ncnn(void)
{
	static const char model[] = "7767517\n4 4\nInput in 0 1 in\n"
				    "Convolution c 1 1 in a 0=2 1=1 5=1 6=6\nPReLU p 1 1 a b 0=2\n"
				    "Interp i 1 1 b out 0=3 1=0.5 2=0.5\n"
				    "\x1e\0\0\0\0AAAABBBBCCCCAAAABBBBCCCCDDDDEEEEFFFFGGGG";
	seed("ncnn", model, sizeof model - 1);
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

/* A program behind its hash, and the object that this program was made of. */
static void seed_kept(void)
{
	char program[CL_PROGRAM_HEAD + 4];
	memcpy(program + CL_PROGRAM_HEAD, "\x7f" "ELF", 4);
	sha256_hex(program + CL_PROGRAM_HEAD, 4, program);
	program[CL_PROGRAM_HEAD - 1] = '\n';
	seed("kept", program, sizeof program);
	struct {
		ElfW(Ehdr) head;
		ElfW(Shdr) names;
	} object;
	memset(&object, 0, sizeof object);
	memcpy(object.head.e_ident, ELFMAG, SELFMAG);
	object.head.e_ident[EI_CLASS] = sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32;
	object.head.e_shoff = sizeof object.head;
	object.head.e_shentsize = sizeof object.names;
	object.head.e_shnum = 1;
	object.names.sh_type = SHT_STRTAB;
	seed("kept", &object, sizeof object);
}

#define INFOTEXT                                                                                   \
	"a lone tree\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, Schedule type: "       \
	"Karras, CFG scale: 7, Seed: 1, Size: 8x8, Hashes: {\"a\": \"b\"}, Note: \"x, y\""

static void seed_landscape(const struct metadata *meta)
{
	static const float heights[4] = {0, 0.5f, 0.5f, 1};
	static const uint8_t rgb[4 * 3];
	struct landscape l = {.width = 2, .height = 2, .heights = heights, .rgb = rgb, .relief = 0.3, .sea_level = 0.2};
	struct error err = {0};
	uint8_t *data;
	size_t size;
	for (int joined = 0; joined < 2; joined++) {
		l.joined_x = l.joined_y = joined;
		check(gltf_encode(&l, meta, &data, &size, &err), &err);
		seed("gltf", data, size);
		free(data);
	}
}

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
	seed("preview", data, size);
	free(data);
	check(files_read("tests/vectors/start.jpg", 1 << 20, (char **)&data, &size, &err), &err);
	seed("jpeg", data, size);
	free(data);
	for (int i = 0; i < 2; i++, options.lossless = false, options.quality = 50) {
		check(webp_encode(rgb, SIDE, SIDE, &options, &meta, &data, &size, &err), &err);
		seed("webp", data, size);
		seed("preview", data, size);
		free(data);
	}
	check(webp_animation_new(SIDE, SIDE, &moving, &animation, &err), &err);
	for (int i = 0; i < 3; i++, rgb[i * 5] ^= 0xFF)
		check(webp_animation_add(animation, rgb, &err), &err);
	check(webp_animation_finish(animation, &meta, &data, &size, &err), &err);
	webp_animation_free(animation);
	seed("webp", data, size);
	free(data);
	for (int i = 0; i < 2; i++) {
		struct vp9_options coded = {.lossless = i, .quality = 50, .fps = 8};
		struct webm *film;
		check(webm_new(SIDE, SIDE, &coded, &film, &err), &err);
		check(webm_add(film, rgb, true, &err), &err);
		check(webm_finish(film, i ? &sound : NULL, 10, &meta, &data, &size, &err), &err);
		webm_free(film);
		seed("webm", data, size);
		free(data);
	}
	seed_landscape(&meta);
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

/* Replies for fuzz_replies.c, whose place there stands before them; words between '|': "*2" begins an
 * array, ":1" is a number, "+OK" a state, "-ERR" an error, "~" nothing, "/" a connection that breaks
 * off; any other is a text. */
#define SIGNED_IN "+OK|+OK|"
#define CONNECTED SIGNED_IN "run_id:a|"
static const char *const replies[] = {
    "\0" SIGNED_IN,
    "\1*2|h|6379|/|" SIGNED_IN "*3|master|:0|*0",
    "\2" CONNECTED "redis_version:7.0.15\nmaxmemory_policy:noeviction\naof_enabled:1\nrole:master|"
    "*2|save|3600 1|*2|stop|yes|*2|appendfsync|everysec",
    "\3" CONNECTED "*14|state|running|job|{\"modality\":\"image\",\"prompt\":\"fog\"}|created|1|eta|2.5|"
    "variants|1|v0|{\"a\":1}|worker|host.0",
    "\4" CONNECTED "*1|a|*4|state|ready|job|{\"modality\":\"image\",\"prompt\":\"fog\"}",
    "\5" CONNECTED ":1|:2|:3|:4|:5|:6|:7|:8|:9|:10|*2|done|5|~",
    "\6" CONNECTED "*2|1700000000|5|*2|host.0|1700000000000|*6|gpu|host|~|12|~|~",
    "\7" CONNECTED "*1|host.0|:1",
    "\10" CONNECTED "*2|0|*4|image/|5|video/ink|7",
    "\11" CONNECTED "role:master|*0",
    "\12" CONNECTED "*1|*2|1-1|*8|kind|rejected|id|a|reason|x|job|{}",
    "\13" SIGNED_IN "*0|*1|*2|{sumi}:ev|*1|*2|1-1|*6|id|a|event|done|step|4",
    "\14" SIGNED_IN "*1|*2|{sumi}:in|*1|*2|1-0|*6|modality|image|prompt|fog|id|a|/|" CONNECTED
    "admitted|:1",
    "\15" CONNECTED "*7|:1|:0|:0|:-1|*1|a|:0|:1|*3|{\"modality\":\"image\",\"prompt\":\"fog\"}|1|draw",
    "\16" CONNECTED "*11|job|a|{\"modality\":\"image\",\"prompt\":\"fog\"}|1|0|0|~|*0|1|-1|0",
    "\17" CONNECTED "*2|ok|~|+OK",
    "\20" CONNECTED "ok|finished|*2|failed|1",
    "\21" CONNECTED "*2|0|bytes",
    "\22" CONNECTED "bytes",
    "\23" CONNECTED "*1|0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "\24" CONNECTED "*2|0|*1|{sumi}:input:a|:1|*2|:1|:0",
    "\25" CONNECTED "*2|cancelled|last-1|ok",
    "\26" CONNECTED "-NOSCRIPT no|+OK|*2|:1|*2|a|b",
    /* Numbers and nothings where texts belong. */
    "\3" CONNECTED "*8|state|done|job|:1|variants|1|v0|~",
    "\4" CONNECTED "*2|:1|~|*4|state|:1|job|~|*0",
    "\13" SIGNED_IN "*0|*1|*2|{sumi}:ev|*1|*2|:1|*6|~|a|event|:2|id|*0",
    "\14" SIGNED_IN "*1|*2|{sumi}:in|*1|*2|~|*4|:1|~|*0|:2|/|" CONNECTED "~",
    "\15" CONNECTED "*7|:1|:0|:0|:-1|*2|:1|~|:0|:1",
    "\16" CONNECTED "*11|job|:1|~|a|b|c|~|*1|:1|:2|*0|*0",
};

static void seed_replies(const char *words)
{
	struct bytes_writer w = {0};
	bytes_put(&w, words++, 1);
	while (*words) {
		char text[512];
		size_t n = strcspn(words, "|");
		int size = strchr("*:+-", *words) ? snprintf(text, sizeof text, "%.*s\r\n", (int)n, words)
			   : *words == '~'	  ? snprintf(text, sizeof text, "$-1\r\n")
			   : *words == '/'	  ? snprintf(text, sizeof text, "%c", FUZZ_CUT)
						  : snprintf(text, sizeof text, "$%zu\r\n%.*s\r\n", n,
							     (int)n, words);
		bytes_put(&w, text, (size_t)size);
		words += n + (words[n] == '|');
	}
	seed("replies", w.data, w.size);
	free(w.data);
}

/* {target, text} */
static const char *const texts[][2] = {
    {"infotext", INFOTEXT},
    {"prompt", "a (((house:1.3)) [on] \\(x\\) [a:(b:2):0.4] BREAK [c|d|] AND e: f :-.5"},
    {"wildcards", "# n\na:\n- x # c\nb:\n  c: [y, \"z\\\"\"]\n  d:\n    - 'it''s'\n"},
    {"wildcards", "{\"a\": {\"b\": [\"x\", \"y\"]}, \"c\": \"z\"}"},
    {"styles", "name,prompt,negative_prompt\r\ns,\"film, {prompt}, \"\"x\"\"\",bad\r\nt,oil,\r\n\x1e# no\r\nred\r\n2::blue {a|b}\n"},
    {"dynamic", "a __x__ {2$$ and $$a|3::{b|c}|__y__} {1-$$__zz__} \\{d|e\\}\x1eq {r|s} __x__"},
    {"prompt", "foo ((((lol (cat:666) attack):1e2))) [x::3][y: 2 ] (a:1_0) embedding:b"},
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
    {"http", "\4GET /jobs/a%20b/files/1.webp?x=%41+b HTTP/1.1\r\nHost: a.b:80\r\nRange: bytes=0-9\r\nConnection: close\r\n\r\n"},
    {"http", "\4POST /jobs HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 12\r\nExpect: 100-continue\r\nAuthorization: Bearer x\r\n\r\n"},
    {"http", "\4POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {"http", "\1q=a%20b&c=d+e&q"},
    {"http", "\1bytes=5-10"},
    {"http", "\00511ff\r\n"},
    {"http", "\2multipart/form-data; boundary=\"x\"\x1e--x\r\nContent-Disposition: form-data; name=\"image\"; "
	     "filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\ndata\r\n--x--\r\n"},
    {"http", "\3data:image/png;base64,aGVsbG8="},
    {"times", "2026-01-31T22:00:00Z"},
    {"times", "2026-01-31T22:00:00.250+03:00"},
    {"times", "22:00-06:00"},
    {"times", "22:00"},
    {"times", "90m"},
    {"times", "tomorrow at 6pm"},
    {"times", "в 6 часов вечера"},
    {"times", "10 pm to 6:30 am"},
    {"times", "каждый день в 6"},
    {"times", "31 декабря 2026, 22:00"},
    {"times", "через полтора часа"},
    {"url", "rediss://user:p%40ss@[::1]:6380/3"},
    {"url", "redis+sentinel://a:26379,b/master/0"},
    {"url", "unix:///run/redis.sock"},
    {"encode", "a watercolour painting of misty mountains, акварель"},
    {"aof", "file appendonly.aof.1.incr.aof seq 1 type i\n"
	    "\x1e*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\na"
	    "\r\n$1\r\nb\r\n*1\r\n$4\r\nEXEC\r\n*2\r\n$3\r\nDEL"},
    /* Of a vocabulary the first 256 are the bytes; a small one leaves most out. */
    {"tokenizer", "{\"a\": 0, \"b\": 1, \"a</w>\": 2, \"b</w>\": 3, \"ab\": 4, \"ab</w>\": 5, \"\u0120a\": 6, "
		  "\"<|startoftext|>\": 7, \"<|endoftext|>\": 8}\x1e#version: 0.2\na b\na b</w>\n\x1e"
		  "{\"model_max_length\": 8, \"do_lower_case\": true, \"bos_token\": {\"content\": \"<|startoftext|>\"}}"
		  "\x1e{\"eos_token\": \"<|endoftext|>\", \"pad_token\": \"<|endoftext|>\"}\x1e" "ab b (a:1.2)"},
    {"history", "{\"job\": {\"id\": \"a\", \"state\": \"done\", \"modality\": \"image\", "
		"\"created\": \"2026-01-31T22:00:00.000Z\", \"variants\": 1, \"tags\": [\"x\"]}, "
		"\"attempts\": [], \"artifacts\": []}\n"},
    {"story", "{\"prompt_map\":{\"0\":\"(a:1.2)\",\"32\":\"b\"},\"prompt_fixed_ratio\":0.8,\"head_prompt\":\"h\",\"seed\":[7],"
	      "\"n_prompt\":[\"x\"],\"scheduler\":\"k_dpmpp_2m\",\"path\":\"m\"}"},
    {"story", "{\"prompt\":[\"a\",\"b\"],\"seed\":[1,2],\"steps\":25}"},
    {"story", "head\n0: a\n8: b\n80: [c]\ntail\n"},
    {"words", "{\"kinds\":[{\"kind\":\"subject\",\"values\":[{\"name\":\"sea\",\"en\":[\"the sea\"],\"near\":[\"sea\"],"
	      "\"without\":[\"time\"]}]},{\"kind\":\"motion\",\"values\":[{\"name\":\"w\",\"when\":{\"kind\":\"subject\","
	      "\"of\":[\"sea\"]}}]},{\"kind\":\"mood\",\"values\":[{\"name\":\"calm\"}]}]}\x1eThe whale, море sea"},
    {"story", "title: The drop\nfps: 8\n\nseconds: 2.5\nmood: calm\ncfg: 3\nAn ink drop.\n\n"
	      "переход: наплыв\nблизко: да\nbeats: no\n# x\nМоре: рассвет\n\ntext: size: 32x48\n"},
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
	seed_checkpoint();
	seed_archives();
	seed_ncnn();
	seed_media();
	for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++)
		seed_replies(replies[i]);
	seed_kept();
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		seed_text(texts[i][0], texts[i][1]);
	if (access("/usr/share/zoneinfo/Europe/Berlin", R_OK) == 0)
		seed_files("zone", NULL, 0,
			   (const char *const[]){"/usr/share/zoneinfo/Europe/Berlin", NULL});
	return 0;
}
