/* Texts through CLIP's text models. */
#include "diffusion/conditioner.h"

#include <stdlib.h>
#include <string.h>

#include "diffusion/pack.h"
#include "diffusion/text_memory.h"
#include "networks/text_encoder.h"
#include "networks/tokenizer.h"

/* Some 34 texts of Stable Diffusion 1.5. */
enum { TEXTS_BYTES = 8 << 20 };

enum { TEXTS_MAX = 2 };

/* The folders of a pack. */
struct clip_parts {
	const char *encoder, *tokenizer;
};

struct clip {
	struct conditioner base;
	const struct pack_info *info; /* borrowed */
	struct device *device;        /* borrowed */
	struct tokenizer *tokenizer;
	struct text_encoder *encoder;
	struct text_memory *texts; /* what it gave last */
};

static int clip_shape(const struct conditioner_kind *kind, const struct pack_info *info,
		      struct conditioner_shape *out, struct error *err)
{
	const struct clip_parts *parts = kind->parts;
	char folder[FILES_PATH_MAX];
	struct text_config config;
	int status = pack_part(info, parts->encoder, folder, err);
	if (!status)
		status = text_config_read(folder, &config, err);
	if (!status)
		*out = (struct conditioner_shape){.tokens = config.tokens,
						  .width = config.width,
						  .clip_skip = config.layers - 1};
	return status;
}

static void clip_close(struct conditioner *c)
{
	struct clip *clip = (struct clip *)c;
	text_memory_free(clip->texts);
	text_encoder_close(clip->encoder);
	tokenizer_close(clip->tokenizer);
	free(clip);
}

static int clip_open(const struct conditioner_kind *kind, struct device *device,
		     const struct pack_info *info, struct conditioner **out, struct error *err)
{
	const struct clip_parts *parts = kind->parts;
	char folder[FILES_PATH_MAX];
	struct clip *clip = calloc(1, sizeof *clip);
	if (!clip)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", info->path);
	*clip = (struct clip){.base.kind = kind, .info = info, .device = device};
	int status = text_memory_new(TEXTS_BYTES, &clip->texts, err);
	if (!status && !(status = pack_part(info, parts->encoder, folder, err)))
		status = text_encoder_open(device, folder, &clip->encoder, err);
	if (!status && !(status = pack_part(info, parts->tokenizer, folder, err)))
		status = tokenizer_open(folder, &clip->tokenizer, err);
	if (status)
		clip_close(&clip->base);
	else
		*out = &clip->base;
	return status;
}

/* ---- encoding ---- */

/* Token ids of all texts, padded to the same number of chunks. */
static int tokenize(const struct tokenizer *tokenizer, const struct conditioner_input *in,
		    struct tokens *tokens, struct error *err)
{
	int chunks = 1, status = SUMI_OK;
	for (int pass = 0; pass < 2 && !status; pass++)
		for (int i = 0; i < in->n && !status; i++) {
			const char *text = in->texts[i] ? in->texts[i] : "";
			tokens_free(&tokens[i]);
			status = tokenizer_encode(tokenizer, text, strlen(text), chunks, &tokens[i],
						  err);
			if (!status && tokens[i].chunks > chunks)
				chunks = tokens[i].chunks;
		}
	return status;
}

/* The embedding of a text, [chunks·length, width], from the encoder or from its last results. */
static int embed(struct clip *clip, const struct tokens *tokens, int clip_skip, float *out,
		 size_t floats, struct error *err)
{
	struct text_key key = {
	    .ids = tokens->ids,
	    .count = (size_t)tokens->chunks * (size_t)tokens->length,
	    .clip_skip = clip_skip,
	    .floats = floats,
	};
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
	};
	int status = text_encoder_forward(clip->encoder, &in, out, err);
	if (!status)
		text_memory_keep(clip->texts, &key, out);
	return status;
}

static int clip_encode(struct conditioner *c, const struct conditioner_input *in,
		       struct conditions *out, struct error *err)
{
	struct clip *clip = (struct clip *)c;
	int width = text_encoder_config(clip->encoder)->width;
	struct tokens tokens[TEXTS_MAX] = {{0}};
	if (in->n < 1 || in->n > TEXTS_MAX)
		return error_set(err, SUMI_INVALID, "%d texts, allowed are 1 to %d", in->n,
				 TEXTS_MAX);
	int status = tokenize(clip->tokenizer, in, tokens, err);
	if (!status) {
		int rows = tokens[0].chunks * tokens[0].length;
		size_t one = (size_t)rows * (size_t)width;
		float *values = conditions_add(out, CONDITION_TOKENS, rows, width, err);
		status = values ? SUMI_OK : SUMI_NOMEM;
		for (int i = 0; i < in->n && !status; i++)
			status = embed(clip, &tokens[i], in->clip_skip, values + (size_t)i * one,
				       one, err);
	}
	for (int i = 0; i < in->n; i++)
		tokens_free(&tokens[i]);
	return status;
}

static const struct clip_parts usual = {"text_encoder", "tokenizer"};

const struct conditioner_kind conditioner_clip = {
    .name = "clip",
    .parts = &usual,
    .open = clip_open,
    .shape = clip_shape,
    .encode = clip_encode,
    .close = clip_close,
};
