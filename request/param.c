/* The table of parameters: names, words, modalities. */
#include "request/param.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/nearest.h"
#include "base/schedule.h"
#include "request/members.h"

static const struct param_word modality_words[] = {
#define X(NAME, name, ...) {#name, PARAM_ALL},
    MODALITY_TABLE(X)
#undef X
    {NULL, 0}};
static const struct param_word rng_words[] = {
    {"torch", PARAM_ALL}, {"philox", PARAM_ALL}, {NULL, 0}};
static const struct param_word precision_words[] = {
    {"auto", PARAM_ALL}, {"exact", PARAM_ALL}, {"half", PARAM_ALL}, {"int8", PARAM_ALL}, {NULL, 0}};
static const struct param_word syntax_words[] = {
    {"a1111", PARAM_ALL}, {"comfy", PARAM_ALL}, {"diffusers", PARAM_ALL}, {"compel", PARAM_ALL}, {NULL, 0}};
/* The first that a modality knows is its usual one. */
static const struct param_word format_words[] = {{"glb", PARAM_WORLD},
						 {"webp", PARAM_IMAGE | PARAM_VIDEO | PARAM_FILM | PARAM_WORLD},
						 {"png", PARAM_IMAGE | PARAM_VIDEO | PARAM_WORLD},
						 {"height.png", PARAM_WORLD},
						 {"ogg", PARAM_AUDIO},
						 {"wav", PARAM_AUDIO},
						 {"mp3", PARAM_AUDIO},
						 {"webm", PARAM_VIDEO | PARAM_FILM},
						 {"jpeg", PARAM_IMAGE},
						 {NULL, 0}};
static const struct param_word mask_from_words[] = {
    {"light", PARAM_IMAGE}, {"alpha", PARAM_IMAGE}, {"drawn", PARAM_IMAGE}, {NULL, 0}};
static const struct param_word mask_blend_words[] = {{"a1111", PARAM_IMAGE},
						     {"comfy", PARAM_IMAGE},
						     {"diffusers", PARAM_IMAGE},
						     {"soft", PARAM_IMAGE},
						     {NULL, 0}};
static const struct param_word mask_fill_words[] = {{"original", PARAM_IMAGE},
						    {"fill", PARAM_IMAGE},
						    {"noise", PARAM_IMAGE},
						    {"nothing", PARAM_IMAGE},
						    {NULL, 0}};
static const struct param_word hires_words[] = {{"latent", PARAM_IMAGE},
						{"latent_antialiased", PARAM_IMAGE},
						{"latent_bicubic", PARAM_IMAGE},
						{"latent_bicubic_antialiased", PARAM_IMAGE},
						{"latent_nearest", PARAM_IMAGE},
						{"latent_nearest_exact", PARAM_IMAGE},
						{"lanczos", PARAM_IMAGE},
						{"nearest", PARAM_IMAGE},
						{NULL, 0}};
static const struct param_word tile_words[] = {
    {"x", PARAM_IMAGE | PARAM_VIDEO | PARAM_WORLD}, {"y", PARAM_IMAGE | PARAM_VIDEO | PARAM_WORLD}, {"both", PARAM_IMAGE | PARAM_VIDEO | PARAM_WORLD}, {NULL, 0}};
static const struct param_word priority_words[] = {
    {"high", PARAM_ALL}, {"normal", PARAM_ALL}, {"batch", PARAM_ALL}, {NULL, 0}};

static const struct param text_members[] = {
    {.name = "prompt", .type = PARAM_TEXT, .min = 1, .max = 8 * PARAM_KIB, .flags = PARAM_NEEDED,
     .help = "in its place"},
    {.name = "negative_prompt", .type = PARAM_TEXT, .min = 0, .max = 8 * PARAM_KIB,
     .help = "in the negative one's place"},
    {.name = NULL}};

/* A name is that of a file in a folder of ours; weights as in stable-diffusion-webui. */
static const struct param lora_members[] = {
    {.name = "name", .type = PARAM_TEXT, .min = 1, .max = 128, .flags = PARAM_NEEDED,
     .help = "its file's name without the ending"},
    {.name = "weight", .type = PARAM_NUMBER, .min = -16, .max = 16, .fallback = "1",
     .help = "how strongly it counts"},
    {.name = "te_weight", .type = PARAM_NUMBER, .min = -16, .max = 16,
     .help = "the same for text encoders; weight when not given"},
    {.name = "dyn", .type = PARAM_INT, .min = 1, .max = 4096,
     .help = "of its ranks the first so many alone"},
    {.name = NULL}};

static const struct param_word control_words[] = {
    {"none", PARAM_ALL},   {"canny", PARAM_ALL}, {"lineart", PARAM_ALL},  {"scribble", PARAM_ALL},
    {"luminance", PARAM_ALL}, {"blur", PARAM_ALL},  {"tile", PARAM_ALL},     {"depth", PARAM_ALL},
    {"pose", PARAM_ALL},   {"normal", PARAM_ALL}, {"segments", PARAM_ALL}, {"softedge", PARAM_ALL},
    {"lines", PARAM_ALL},  {"like", PARAM_ALL},   {"face", PARAM_ALL},     {NULL, 0}};

static const struct param control_members[] = {
    {.name = "preprocess", .type = PARAM_WORD, .modalities = PARAM_ALL, .words = control_words, .fallback = "none",
     .flags = PARAM_COLON,
     .help = "canny, lineart, scribble, luminance, blur: the map that is made of the picture; the others: "
	     "what the picture is a map of"},
    {.name = "image", .type = PARAM_FILE, .min = 1, .max = 4096, .flags = PARAM_NEEDED | PARAM_COLON,
     .help = "the picture: a file, result (its id, or ID-2) or SHA-256"},
    {.name = "strength", .type = PARAM_NUMBER, .min = -10, .max = 10, .fallback = "1",
     .flags = PARAM_COLON, .help = "how strongly it counts"},
    {.name = "start", .type = PARAM_AMOUNT, .min = 0, .max = 1, .flags = PARAM_COLON,
     .help = "part of the run from which on it counts; 0 when not given"},
    {.name = "end", .type = PARAM_AMOUNT, .min = 0, .max = 1, .flags = PARAM_COLON,
     .help = "part of the run up to which it counts; 1 when not given or 0"},
    {.name = "model", .type = PARAM_TEXT, .min = 1, .max = 128,
     .help = "the network's file's name without the ending; the first for such maps when not given"},
    {.name = "mask", .type = PARAM_FILE, .min = 1, .max = 4096,
     .help = "of an IP-Adapter: where it counts, white; as image"},
    {.name = "joined", .type = PARAM_BOOL,
     .help = "of an IP-Adapter: seen as one with the picture before it, whose strength, start, end and mask count"},
    {.name = "guess", .type = PARAM_BOOL,
     .help = "the prompt's half alone follows it, and less towards the top"},
    {.name = NULL}};

static const struct param travel_members[] = {
    {.name = "frame", .type = PARAM_INT, .min = 0, .max = REQUEST_FRAMES_MAX - 1, .flags = PARAM_NEEDED | PARAM_COLON,
     .help = "the first that has this text alone, from 0"},
    {.name = "prompt", .type = PARAM_TEXT, .min = 1, .max = 8 * PARAM_KIB, .flags = PARAM_NEEDED | PARAM_COLON,
     .help = "what it shows from there on"},
    {.name = "seed", .type = PARAM_SEED, .min = -1,
     .help = "of the noise to which it goes over, of models whose frames share none; the video's when not given"},
    {.name = NULL}};

static const struct param scene_members[] = {
    {.name = "video", .type = PARAM_FILE, .min = 1, .max = 4096, .flags = PARAM_NEEDED | PARAM_COLON,
     .help = "an animation or a picture as WebP: a result (its id, or ID-2), a file or SHA-256"},
    {.name = "frames", .type = PARAM_INT, .min = 1, .max = 4096, .flags = PARAM_COLON,
     .help = "so many pictures of it; a still stands so long; all when not given"},
    {.name = "fade", .type = PARAM_INT, .min = 0, .max = 1024, .flags = PARAM_COLON,
     .help = "of its first pictures so many blend with the last of the scene before; 0: a cut"},
    {.name = NULL}};

static const struct param music_members[] = {
    {.name = "sound", .type = PARAM_FILE, .min = 1, .max = 4096, .flags = PARAM_NEEDED | PARAM_COLON,
     .help = "a clip as Ogg Vorbis or WAV: a result, a file or SHA-256"},
    {.name = "seconds", .type = PARAM_AMOUNT, .min = 0, .max = 3600, .flags = PARAM_COLON,
     .help = "until the next begins; all of it when not given"},
    {.name = "tempo", .type = PARAM_AMOUNT, .min = 0, .max = 400, .flags = PARAM_COLON,
     .help = "its beats a minute: it begins on one of them"},
    {.name = "pause", .type = PARAM_AMOUNT, .min = 0, .max = 3600,
     .help = "seconds of silence before it"},
    {.name = NULL}};

#define ROW(name, type, concern, modalities, min, max, of, fallback, flags, group, infotext, help) \
	{#name,    PARAM_##type, PARAM_##concern, modalities,                                      \
	 min,      max,          {.words = of},   fallback,                                        \
	 flags,    PARAM_GROUP_##group, infotext, help,                                            \
	 offsetof(struct job, name)},

const struct param param_table[] = {PARAM_TABLE(ROW){.name = NULL}};

static const char *const group_titles[] = {
#define X(name, title) title,
    PARAM_GROUP_MAP(X)
#undef X
};

const char *param_group_title(enum param_group group)
{
	return group_titles[group];
}

const struct param *param_find(const char *name)
{
	for (const struct param *p = param_table; p->name; p++)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

const struct param *param_named(const char *name)
{
	static const char *const others[][2] = {{"cfg", "cfg_scale"},
						{"guidance", "cfg_scale"},
						{"guidance_scale", "cfg_scale"},
						{"negative", "negative_prompt"},
						{"neg_prompt", "negative_prompt"},
						{"num_inference_steps", "steps"},
						{"sampling_steps", "steps"},
						{"sampler_name", "sampler"},
						{"sampling_method", "sampler"},
						{"schedule", "scheduler"},
						{"schedule_type", "scheduler"},
						{"sd_model", "model"},
						{"checkpoint", "model"},
						{"denoising_strength", "strength"},
						{"init_image", "init"},
						{"init_img", "init"},
						{"mask_image", "mask"},
						{"hr_scale", "hires"},
						{"hires_upscale", "hires"},
						{"hr_second_pass_steps", "hires_steps"},
						{"hr_upscaler", "hires_upscaler"},
						{"tiling", "tile"},
						{"styles", "style"},
						{"upscale_by", "upscale"},
						{"postprocess_upscale_by", "upscale"},
						{"postprocess_upscaler", "upscaler"},
						{"inpaint_full_res", "only_masked"},
						{"inpaint_full_res_padding", "mask_padding"},
						{"image_guidance_scale", "image_cfg_scale"},
						{"variants", "n"},
						{"num_images", "n"},
						{"batch_count", "n"},
						{"tag", "tags"},
						{"control", "controls"},
						{"controlnet", "controls"},
						{"seconds", "duration"}};
	char clean[64];
	size_t n = 0;
	for (; name[n] && n < sizeof clean - 1; n++) {
		unsigned char c = (unsigned char)name[n];
		clean[n] = c == '-' || c == ' ' ? '_' : (char)tolower(c);
	}
	clean[n] = '\0';
	const struct param *p = name[n] ? NULL : param_find(clean);
	for (size_t i = 0; !p && !name[n] && i < sizeof others / sizeof others[0]; i++)
		if (strcmp(others[i][0], clean) == 0)
			p = param_find(others[i][1]);
	return p;
}

const char *param_nearest(const char *name)
{
	struct nearest n = nearest_to(name);
	for (const struct param *p = param_table; p->name; p++)
		nearest_try(&n, p->name);
	return n.best;
}

unsigned param_modality(const char *name)
{
	enum modality_index i = modality_index(name);
	return i < MODALITIES ? 1u << i : 0;
}

const char *param_modality_names(unsigned modalities, char *out, size_t size)
{
	size_t used = 0;
	*out = '\0';
	for (unsigned i = 0; i < MODALITIES; i++) {
		bool more = used > 0, last = !(modalities >> (i + 1));
		if (!(modalities >> i & 1))
			continue;
		int n = snprintf(out + used, size - used, "%s%s",
				 !more  ? ""
				 : last ? " and "
					: ", ",
				 modality_names[i]);
		used += (size_t)n < size - used ? (size_t)n : 0;
	}
	return out;
}

const char *param_words(const struct param *p, unsigned modality, char *out, size_t size)
{
	size_t used = 0;
	*out = '\0';
	for (const struct param_word *w = p->words; w->word; w++) {
		char names[40] = "";
		if (!(w->modalities & modality))
			continue;
		bool some = modality == PARAM_ALL && w->modalities != PARAM_ALL;
		if (some)
			param_modality_names(w->modalities, names, sizeof names);
		int n = snprintf(out + used, size - used, "%s%s%s%s%s", used ? ", " : "", w->word,
				 some ? " (" : "", names, some ? ")" : "");
		used += (size_t)n < size - used ? (size_t)n : 0;
	}
	return out;
}

bool param_has_word(const struct param *p, unsigned modality, const char *word)
{
	const struct param_word *w = p->words;
	while (w->word && !(w->modalities & modality && strcmp(w->word, word) == 0))
		w++;
	return w->word != NULL;
}

const char *param_first_word(const struct param *p, unsigned modality)
{
	const struct param_word *w = p->words;
	while (w->word && !(w->modalities & modality))
		w++;
	return w->word;
}

/* In the order of hires_words[]. */
static const char *const hires_labels[] = {"Latent",
					   "Latent (antialiased)",
					   "Latent (bicubic)",
					   "Latent (bicubic antialiased)",
					   "Latent (nearest)",
					   "Latent (nearest-exact)",
					   "Lanczos",
					   "Nearest"};
_Static_assert(sizeof hires_labels / sizeof *hires_labels + 1 == sizeof hires_words / sizeof *hires_words,
	       "each word has a label");

const char *param_hires_label(const char *word)
{
	for (size_t i = 0; hires_words[i].word; i++)
		if (strcmp(word, hires_words[i].word) == 0)
			return hires_labels[i];
	return NULL;
}

const char *param_hires_word(const char *label)
{
	for (size_t i = 0; hires_words[i].word; i++)
		if (strcasecmp(label, hires_labels[i]) == 0)
			return hires_words[i].word;
	return NULL;
}

const char *param_word(const struct param *p, const char *text)
{
	const struct param_word *w = p->words;
	while (w->word && strcasecmp(w->word, text) != 0)
		w++;
	/* As pages write them, too. */
	return w->word || p->words != hires_words ? w->word : param_hires_word(text);
}
