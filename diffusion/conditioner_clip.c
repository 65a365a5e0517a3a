/* Texts through CLIP's text models: one of them, or two side by side as Stable Diffusion XL has
 * them, or the second alone as its refiner has it (github.com/huggingface/diffusers,
 * pipelines/stable_diffusion_xl). */
#include "diffusion/conditioner.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "diffusion/adapters.h"
#include "diffusion/pack.h"
#include "diffusion/text_memory.h"
#include "networks/text_encoder.h"
#include "networks/tokenizer.h"
#include "weights/checkpoint.h"

enum {
	TEXTS_BYTES = 8 << 20, /* some 34 texts of Stable Diffusion 1.5 */
	TEXTS_MAX = 2,
	ENCODERS_MAX = 2,
	IDS_MAX = 6,
	INDEX_LIMIT = 1 << 20,
};

/* What a family makes of them. */
struct clip_parts {
	int count;
	struct {
		const char *encoder, *tokenizer; /* folders of a pack */
	} rows[ENCODERS_MAX];
	bool penultimate; /* tokens are the last state but one, as it is */
	bool pooled;      /* the last encoder's, projected; and sizes as ids */
};

struct clip {
	struct conditioner base;
	const struct clip_parts *parts;
	const struct pack_info *info; /* borrowed */
	struct device *device;        /* borrowed */
	struct text_config config[ENCODERS_MAX];
	struct tokenizer *tokenizer[ENCODERS_MAX];
	struct text_encoder *encoder[ENCODERS_MAX]; /* NULL: not loaded */
	struct text_memory *texts;                  /* what they gave last */
	bool zeros;  /* a text that is not given is no text, and not an empty one */
	bool scored; /* the last of the ids says how beautiful the picture is, not how large */
};

/* What the pipeline's own settings say. */
static bool index_says(const struct pack_info *info, const char *field, bool fallback)
{
	char path[FILES_PATH_MAX];
	json_t *index = NULL;
	if (pack_part(info, "model_index.json", path, NULL) ||
	    part_json_read(path, INDEX_LIMIT, &index, NULL))
		return fallback;
	const json_t *value = json_object_get(index, field);
	bool says = json_is_boolean(value) ? json_is_true(value) : fallback;
	json_decref(index);
	return says;
}

static bool is_scored(const struct clip_parts *parts, const struct pack_info *info)
{
	return parts->pooled && index_says(info, "requires_aesthetics_score", false);
}

static int id_count(bool scored)
{
	return scored ? IDS_MAX - 1 : IDS_MAX;
}

/* ---- opening ---- */

static int read_config(const struct pack_info *info, const char *part, struct text_config *out,
		       struct error *err)
{
	char folder[FILES_PATH_MAX];
	int status = pack_part(info, part, folder, err);
	return status ? status : text_config_read(folder, out, err);
}

static int clip_shape(const struct conditioner_kind *kind, const struct pack_info *info,
		      struct conditioner_shape *out, struct error *err)
{
	const struct clip_parts *parts = kind->parts;
	struct text_config c;
	int status = SUMI_OK;
	*out = (struct conditioner_shape){0};
	for (int e = 0; e < parts->count && !status; e++) {
		if ((status = read_config(info, parts->rows[e].encoder, &c, err)))
			break;
		out->width += c.width;
		if (e == 0 || c.tokens < out->tokens)
			out->tokens = c.tokens;
		if (e == 0 || c.layers <= out->clip_skip)
			out->clip_skip = c.layers - 1;
		if (parts->pooled) {
			out->pooled = c.projection;
			out->ids = id_count(is_scored(parts, info));
		}
	}
	return status;
}

static void clip_unload(struct conditioner *c)
{
	struct clip *clip = (struct clip *)c;
	for (int e = 0; e < ENCODERS_MAX; e++) {
		text_encoder_close(clip->encoder[e]);
		clip->encoder[e] = NULL;
	}
}

static bool projects(const struct clip *clip, int e)
{
	return clip->parts->pooled && e == clip->parts->count - 1;
}

static int load(struct clip *clip, int e, struct error *err)
{
	char folder[FILES_PATH_MAX];
	struct overlays on;
	if (clip->encoder[e])
		return SUMI_OK;
	if (clip->base.make_room)
		clip->base.make_room(clip->base.user);
	int status = pack_part(clip->info, clip->parts->rows[e].encoder, folder, err);
	return status ? status
		      : text_encoder_open_with(
			    clip->device, folder, projects(clip, e),
			    adapters_on(clip->info, clip->parts->rows[e].encoder, &on),
			    &clip->encoder[e], err);
}

static int clip_load(struct conditioner *c, struct error *err)
{
	struct clip *clip = (struct clip *)c;
	int status = SUMI_OK;
	for (int e = 0; e < clip->parts->count && !status; e++)
		if (!(status = load(clip, e, err)))
			text_encoder_rest(clip->encoder[e]); /* until there is a text */
	return status;
}

static void clip_close(struct conditioner *c)
{
	struct clip *clip = (struct clip *)c;
	clip_unload(c);
	for (int e = 0; e < ENCODERS_MAX; e++)
		tokenizer_close(clip->tokenizer[e]);
	text_memory_free(clip->texts);
	free(clip);
}

static bool tells_absent(const struct conditioner_kind *kind, const struct pack_info *info)
{
	(void)kind;
	return index_says(info, "force_zeros_for_empty_prompt", true);
}

static int open_tokenizers(struct clip *clip, struct error *err)
{
	char folder[FILES_PATH_MAX];
	int status = SUMI_OK;
	for (int e = 0; e < clip->parts->count && !status; e++) {
		status = read_config(clip->info, clip->parts->rows[e].encoder, &clip->config[e],
				     err);
		if (!status)
			status = pack_part(clip->info, clip->parts->rows[e].tokenizer, folder, err);
		if (!status)
			status = tokenizer_open(folder, &clip->tokenizer[e], err);
	}
	/* What they give stands side by side, token for token. */
	if (!status && clip->parts->count > 1 &&
	    tokenizer_length(clip->tokenizer[0]) != tokenizer_length(clip->tokenizer[1]))
		status = error_set(err, SUMI_INVALID,
				   "%s: %s cuts texts at %d tokens, %s at %d: they must agree "
				   "(model_max_length)",
				   clip->info->path, clip->parts->rows[0].tokenizer,
				   tokenizer_length(clip->tokenizer[0]),
				   clip->parts->rows[1].tokenizer,
				   tokenizer_length(clip->tokenizer[1]));
	return status;
}

static int clip_open(const struct conditioner_kind *kind, struct device *device,
		     const struct pack_info *info, struct conditioner **out, struct error *err)
{
	struct clip *clip = calloc(1, sizeof *clip);
	if (!clip)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", info->path);
	*clip = (struct clip){
	    .base.kind = kind, .parts = kind->parts, .info = info, .device = device};
	int status = text_memory_new(TEXTS_BYTES, &clip->texts, err);
	if (!status)
		status = open_tokenizers(clip, err);
	if (status) {
		clip_close(&clip->base);
		return status;
	}
	clip->zeros = conditioner_tells_absent(kind, info);
	clip->scored = is_scored(clip->parts, info);
	*out = &clip->base;
	return SUMI_OK;
}

/* ---- encoding ---- */

/* One text by one encoder. */
struct piece {
	struct tokens tokens;
	bool none; /* all of it is zeros */
};

/* Token ids of all texts, padded to the same number of chunks. */
static int tokenize(const struct clip *clip, const struct conditioner_input *in,
		    struct piece pieces[ENCODERS_MAX][TEXTS_MAX], struct error *err)
{
	int chunks = 1, all = clip->parts->count * in->n, status = SUMI_OK;
	for (int i = 0; i < 2 * all && !status; i++) { /* once more when the longest is known */
		int e = i % all / in->n, k = i % in->n;
		const char *text = in->texts[k] ? in->texts[k] : "";
		struct piece *p = &pieces[e][k];
		tokens_free(&p->tokens);
		p->none = clip->zeros && !in->texts[k];
		status = tokenizer_encode(clip->tokenizer[e], text, strlen(text), chunks,
					  &p->tokens, err);
		if (!status && p->tokens.chunks > chunks)
			chunks = p->tokens.chunks;
	}
	return status;
}

/* What encoder e gives for a text, [rows, width] and behind it the pooled embedding where it
 * projects one, from the encoder or from its last results. scratch: floats of a pooled row for each
 * chunk. */
static int embed(struct clip *clip, int e, const struct tokens *tokens, int clip_skip, float *out,
		 size_t floats, float *scratch, struct error *err)
{
	size_t count = (size_t)tokens->chunks * (size_t)tokens->length;
	size_t width = (size_t)clip->config[e].width;
	struct text_key key = {.encoder = e,
			       .ids = tokens->ids,
			       .count = count,
			       .clip_skip = clip_skip,
			       .floats = floats};
	const float *known = text_memory_find(clip->texts, &key);
	if (known) {
		memcpy(out, known, floats * sizeof *out);
		return SUMI_OK;
	}
	struct text_input in = {
	    .ids = tokens->ids,
	    .n = tokens->chunks,
	    .tokens = tokens->length,
	    .clip_skip = clip_skip,
	    .penultimate = clip->parts->penultimate,
	    .pooled = scratch,
	};
	int status = load(clip, e, err);
	if (!status)
		status = text_encoder_forward(clip->encoder[e], &in, out, err);
	if (status)
		return status;
	text_encoder_rest(clip->encoder[e]);
	/* A long text is pooled by its first chunk, as others do it. */
	if (scratch)
		memcpy(out + count * width, scratch, (floats - count * width) * sizeof *out);
	text_memory_keep(clip->texts, &key, out);
	return SUMI_OK;
}

/* Encoder e's part of all texts, from channel `first` of the tokens on. */
static int encode_part(struct clip *clip, int e, const struct conditioner_input *in,
		       const struct piece *pieces, int first, struct condition *tokens,
		       struct condition *pooled, struct error *err)
{
	size_t rows = (size_t)tokens->rows, width = (size_t)clip->config[e].width;
	size_t more = projects(clip, e) ? (size_t)pooled->width : 0;
	size_t floats = rows * width + more;
	float *text = malloc(floats * sizeof *text), *scratch = NULL;
	int status = SUMI_OK;
	if (more)
		scratch = malloc((size_t)pieces[0].tokens.chunks * more * sizeof *scratch);
	if (!text || (more && !scratch))
		status = error_set(err, SUMI_NOMEM, "no memory for the text's embeddings");
	for (int i = 0; i < in->n && !status; i++) {
		float *to = tokens->values + (size_t)i * rows * (size_t)tokens->width + first;
		if (pieces[i].none)
			continue;
		if ((status = embed(clip, e, &pieces[i].tokens, in->clip_skip, text, floats,
				    scratch, err)))
			break;
		for (size_t r = 0; r < rows; r++)
			memcpy(to + r * (size_t)tokens->width, text + r * width,
			       width * sizeof *text);
		if (more)
			memcpy(pooled->values + (size_t)i * more, text + rows * width,
			       more * sizeof *text);
	}
	free(scratch);
	free(text);
	return status;
}

/* The size that the picture had, the corner that was cut out of it, and the size that it shall
 * have: as for pictures that nobody has scaled or cut. Or instead of that size a score, which is
 * higher for the prompt than for what shall not be. */
static void fill_ids(const struct conditioner_input *in, bool scored, struct condition *ids)
{
	float h = (float)in->height, w = (float)in->width;
	for (int i = 0; i < in->n; i++) {
		float score = i == in->n - 1 ? 6.0f : 2.5f;
		const float row[IDS_MAX] = {h, w, 0, 0, scored ? score : h, w};
		memcpy(ids->values + i * ids->width, row, (size_t)ids->width * sizeof *row);
	}
}

static int clip_encode(struct conditioner *c, const struct conditioner_input *in,
		       struct conditions *out, struct error *err)
{
	struct clip *clip = (struct clip *)c;
	const struct clip_parts *parts = clip->parts;
	struct piece pieces[ENCODERS_MAX][TEXTS_MAX] = {{{.none = false}}};
	struct condition *tokens = NULL, *pooled = NULL, *ids = NULL;
	int width = 0, first = 0, status;
	if (in->n < 1 || in->n > TEXTS_MAX)
		return error_set(err, SUMI_INVALID, "%d texts, allowed are 1 to %d", in->n,
				 TEXTS_MAX);
	if ((status = tokenize(clip, in, pieces, err)))
		goto done;
	for (int e = 0; e < parts->count; e++)
		width += clip->config[e].width;
	const struct tokens *one = &pieces[0][0].tokens;
	status = conditions_add(out, CONDITION_TOKENS, one->chunks * one->length, width, &tokens,
				err);
	if (!status && parts->pooled) {
		status = conditions_add(out, CONDITION_POOLED, 1,
					clip->config[parts->count - 1].projection, &pooled, err);
		if (!status)
			status = conditions_add(out, CONDITION_IDS, 1, id_count(clip->scored), &ids,
						err);
		if (!status)
			fill_ids(in, clip->scored, ids);
	}
	for (int e = 0; e < parts->count && !status; e++) {
		status = encode_part(clip, e, in, pieces[e], first, tokens, pooled, err);
		first += clip->config[e].width;
	}
done:
	for (int e = 0; e < ENCODERS_MAX; e++)
		for (int i = 0; i < TEXTS_MAX; i++)
			tokens_free(&pieces[e][i].tokens);
	return status;
}

/* ---- kinds ---- */

static const struct clip_parts one = {
    .count = 1,
    .rows = {{"text_encoder", "tokenizer"}},
};

static const struct clip_parts pair = {
    .count = 2,
    .rows = {{"text_encoder", "tokenizer"}, {"text_encoder_2", "tokenizer_2"}},
    .penultimate = true,
    .pooled = true,
};

static const struct clip_parts second = {
    .count = 1,
    .rows = {{"text_encoder_2", "tokenizer_2"}},
    .penultimate = true,
    .pooled = true,
};

#define CLIP(title, its_parts)                                                                      \
	.name = title, .parts = its_parts, .open = clip_open, .shape = clip_shape,                 \
	.load = clip_load, .unload = clip_unload, .encode = clip_encode, .close = clip_close

const struct conditioner_kind conditioner_clip = {CLIP("clip", &one)};
const struct conditioner_kind conditioner_clip_pair = {
    CLIP("clip-pair", &pair),
    .tells_absent = tells_absent,
};
const struct conditioner_kind conditioner_clip_second = {
    CLIP("clip-second", &second),
    .tells_absent = tells_absent,
};
