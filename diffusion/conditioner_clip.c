/* Texts through CLIP's text models: one of them, or two side by side as Stable Diffusion XL has
 * them, or the second alone as its refiner has it (github.com/huggingface/diffusers,
 * pipelines/stable_diffusion_xl). */
#include "diffusion/conditioner.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/json.h"
#include "diffusion/adapters.h"
#include "diffusion/pack.h"
#include "diffusion/prompt_terms.h"
#include "diffusion/text_memory.h"
#include "networks/text_encoder.h"
#include "networks/tokenizer.h"
#include "weights/checkpoint.h"

enum {
	TEXTS_BYTES = 8 << 20, /* some 34 texts of Stable Diffusion 1.5 */
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

static int clip_adapt(struct conditioner *c, struct error *err)
{
	struct clip *clip = (struct clip *)c;
	char folder[FILES_PATH_MAX];
	struct overlays on;
	int status = SUMI_OK;
	text_memory_clear(clip->texts);
	for (int e = 0; e < clip->parts->count && !status; e++) {
		const char *part = clip->parts->rows[e].encoder;
		if (!clip->encoder[e])
			continue;
		status = pack_part(clip->info, part, folder, err);
		if (!status)
			status = text_encoder_adapt(clip->encoder[e], folder,
						    adapters_on(clip->info, part, &on), err);
	}
	return status;
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
	struct prompt_chunks chunks;
	struct prompt_terms terms; /* of compel's syntax: what is encoded; chunks shows it */
	bool none; /* all of it is zeros */
};

static const struct conditioner_words *words_of(const struct conditioner_input *in, int e)
{
	return in->words && in->words[e].words.count ? &in->words[e] : NULL;
}

static void piece_free(struct piece *p)
{
	prompt_chunks_free(&p->chunks);
	prompt_terms_free(&p->terms);
}

static int cut_text(const struct clip *clip, int e, const struct conditioner_input *in,
		    const char *text, int chunks, struct piece *p, struct error *err)
{
	const struct conditioner_words *w = words_of(in, e);
	struct prompt_chunks *out = &p->chunks;
	if (in->syntax == PROMPT_COMPEL) {
		int status = prompt_terms_make(text, clip->tokenizer[e], w ? &w->words : NULL, chunks, &p->terms,
					       err);
		*out = p->terms.whole;
		p->terms.whole = (struct prompt_chunks){0};
		return status;
	}
	if (in->syntax == PROMPT_DIFFUSERS && !w)
		return tokenizer_encode(clip->tokenizer[e], text, strlen(text), chunks,
					&out->tokens, err);
	return prompt_chunks_make(in->syntax, text, clip->tokenizer[e], w ? &w->words : NULL,
				  chunks, out, err);
}

/* Token ids of all texts, padded to the same number of chunks. */
static int tokenize(const struct clip *clip, const struct conditioner_input *in,
		    struct piece (*pieces)[CONDITIONER_TEXTS_MAX], struct error *err)
{
	int chunks = 1, all = clip->parts->count * in->n, status = SUMI_OK;
	for (int i = 0; i < 2 * all && !status; i++) { /* once more when the longest is known */
		int e = i % all / in->n, k = i % in->n;
		struct piece *p = &pieces[e][k];
		if (p->chunks.tokens.ids && p->chunks.tokens.chunks == chunks)
			continue;
		piece_free(p);
		p->none = clip->zeros && !in->texts[k];
		status = cut_text(clip, e, in, in->texts[k] ? in->texts[k] : "", chunks, p, err);
		if (!status && p->chunks.tokens.chunks > chunks)
			chunks = p->chunks.tokens.chunks;
	}
	return status;
}

/* Of the vectors that stand among the ids. */
static uint64_t hash_added(const struct conditioner_words *w, const struct prompt_chunks *c,
			   size_t count, size_t width)
{
	uint64_t hash = bytes_hash(BYTES_HASH_START, c->vectors, count * sizeof *c->vectors);
	return bytes_hash(hash, w->vectors, (size_t)w->count * width * sizeof *w->vectors);
}

/* What encoder e gives for a text, [rows, width] and behind it the pooled embedding where it
 * projects one, from the encoder or from its last results. scratch: floats of a pooled row for each
 * chunk. */
static int embed(struct clip *clip, int e, const struct conditioner_input *input,
		 const struct prompt_chunks *chunks, float *out, size_t floats, float *scratch,
		 struct error *err)
{
	const struct tokens *tokens = &chunks->tokens;
	const struct conditioner_words *w = chunks->vectors ? words_of(input, e) : NULL;
	size_t count = (size_t)tokens->chunks * (size_t)tokens->length;
	size_t width = (size_t)clip->config[e].width;
	struct text_key key = {.encoder = e,
			       .ids = tokens->ids,
			       .count = count,
			       .clip_skip = input->clip_skip,
			       .added = w ? hash_added(w, chunks, count, width) : 0,
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
	    .clip_skip = input->clip_skip,
	    .penultimate = clip->parts->penultimate,
	    .pooled = scratch,
	    .vectors = w ? chunks->vectors : NULL,
	    .added = w ? w->vectors : NULL,
	    .added_count = w ? w->count : 0,
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

/* Room for what an encoder gives for a text of so many chunks. */
struct given {
	float *text;    /* [rows, width], and behind it the pooled embedding */
	float *scratch; /* NULL: none is pooled */
	size_t floats, more;
};

static int open_given(const struct clip *clip, int e, int chunks, size_t more, struct given *out,
		      struct error *err)
{
	size_t rows = (size_t)chunks * (size_t)tokenizer_length(clip->tokenizer[e]);
	*out = (struct given){.more = more};
	out->floats = rows * (size_t)clip->config[e].width + more;
	out->text = malloc(out->floats * sizeof *out->text);
	out->scratch = more ? malloc((size_t)chunks * more * sizeof *out->scratch) : NULL;
	return out->text && (!more || out->scratch)
		   ? SUMI_OK
		   : error_set(err, SUMI_NOMEM, "no memory for the text's embeddings");
}

static void close_given(struct given *g)
{
	free(g->scratch);
	free(g->text);
}

/* ---- weights ---- */

/* A part of the texts' tokens: encoder e's channels. */
struct slab {
	float *values; /* of the first text's first channel */
	size_t length, chunks, stride, width;
	int n;
};

static float *slab_row(const struct slab *s, int text, size_t row)
{
	return s->values + ((size_t)text * s->chunks * s->length + row) * s->stride;
}

static double slab_sum(const struct slab *s, int text, size_t chunk)
{
	double sum = 0;
	for (size_t r = 0; r < s->length; r++) {
		const float *row = slab_row(s, text, chunk * s->length + r);
		for (size_t i = 0; i < s->width; i++)
			sum += row[i];
	}
	return sum;
}

static void scale_row(const struct slab *s, int text, size_t row, float factor)
{
	float *values = slab_row(s, text, row);
	for (size_t i = 0; i < s->width; i++)
		values[i] *= factor;
}

/* stable-diffusion-webui: rows times their weights, then all of a chunk so that its mean is as it was;
 * that of all the texts that stand for one another. */
static void weigh_a1111(const struct slab *s, const struct conditioner_input *in,
			const struct piece *pieces)
{
	for (size_t c = 0; c < s->chunks; c++) {
		double before = 0, after = 0;
		bool weighted = false;
		for (int t = 0; t < s->n; t++) {
			const float *weights = pieces[t].chunks.weights;
			int times = in->times ? in->times[t] : 1;
			before += times * slab_sum(s, t, c);
			for (size_t r = c * s->length; weights && r < (c + 1) * s->length; r++)
				if (weights[r] != 1) {
					scale_row(s, t, r, weights[r]);
					weighted = true;
				}
			after += times * slab_sum(s, t, c);
		}
		for (int t = 0; t < s->n && weighted && after != 0; t++)
			for (size_t r = c * s->length; r < (c + 1) * s->length; r++)
				scale_row(s, t, r, (float)(before / after));
	}
}

/* ComfyUI: from what the empty text is at that place to what the text is there, and beyond. */
static void weigh_comfy(const struct slab *s, const struct piece *pieces, const float *empty)
{
	for (int t = 0; t < s->n; t++)
		for (size_t r = 0; pieces[t].chunks.weights && r < s->chunks * s->length; r++) {
			float weight = pieces[t].chunks.weights[r], *row = slab_row(s, t, r);
			const float *zero = empty + r % s->length * s->width;
			for (size_t i = 0; i < s->width && weight != 1; i++)
				row[i] = (row[i] - zero[i]) * weight + zero[i];
		}
}

/* The first chunk of a text without any syntax; the caller closes *given in any case. */
static int embed_plain(struct clip *clip, int e, const struct conditioner_input *in, const char *text,
		       struct given *given, struct error *err)
{
	struct prompt_chunks plain = {0};
	size_t more = projects(clip, e) ? (size_t)clip->config[e].projection : 0;
	int status = tokenizer_encode(clip->tokenizer[e], text, strlen(text), 1, &plain.tokens, err);
	plain.tokens.chunks = 1;
	if (!status)
		status = open_given(clip, e, 1, more, given, err);
	if (!status)
		status = embed(clip, e, in, &plain, given->text, given->floats, given->scratch, err);
	prompt_chunks_free(&plain);
	return status;
}

static int weigh(struct clip *clip, int e, const struct conditioner_input *in,
		 const struct piece *pieces, const struct slab *s, struct error *err)
{
	struct given given = {0};
	bool weighted = false;
	for (int t = 0; t < s->n; t++)
		weighted |= pieces[t].chunks.weights != NULL;
	if (!weighted)
		return SUMI_OK;
	if (in->syntax != PROMPT_COMFY) {
		weigh_a1111(s, in, pieces);
		return SUMI_OK;
	}
	int status = embed_plain(clip, e, in, "", &given, err);
	if (!status)
		weigh_comfy(s, pieces, given.text);
	close_given(&given);
	return status;
}

/* compel: each term from the empty text and beyond, times its share. */
static void add_term(const struct slab *s, int text, const struct prompt_term *t, const float *values,
		     const float *empty)
{
	for (size_t r = 0; r < (size_t)t->chunks.tokens.chunks * s->length; r++) {
		float *row = slab_row(s, text, (size_t)t->at * s->length + r);
		const float *from = values + r * s->width, *zero = empty + r % s->length * s->width;
		float weight = t->chunks.weights ? t->chunks.weights[r] : 1, factor = (float)t->factor;
		for (size_t i = 0; i < s->width; i++)
			row[i] += factor * (weight == 1 ? from[i] : (from[i] - zero[i]) * weight + zero[i]);
	}
}

/* A text's terms added up; its pooled embedding is that of all it says, marks and all, as compel has it. */
static int embed_terms(struct clip *clip, int e, const struct conditioner_input *in, int text, const struct piece *p,
		       const struct slab *s, struct given *g, float *pooled, struct error *err)
{
	struct given empty = {0}, whole = {0};
	int status = embed_plain(clip, e, in, "", &empty, err);
	for (size_t r = 0; r < s->chunks * s->length; r++)
		memset(slab_row(s, text, r), 0, s->width * sizeof *s->values);
	for (size_t k = 0; k < p->terms.count && !status; k++) {
		const struct prompt_term *t = &p->terms.rows[k];
		size_t floats = (size_t)t->chunks.tokens.chunks * s->length * s->width + g->more;
		status = embed(clip, e, in, &t->chunks, g->text, floats, g->scratch, err);
		if (!status)
			add_term(s, text, t, g->text, empty.text);
	}
	if (!status && g->more && !(status = embed_plain(clip, e, in, in->texts[text] ? in->texts[text] : "", &whole,
							 err)))
		memcpy(pooled, whole.text + s->length * s->width, g->more * sizeof *pooled);
	close_given(&whole);
	close_given(&empty);
	return status;
}

/* Encoder e's part of all texts, from channel `first` of the tokens on. */
static int encode_part(struct clip *clip, int e, const struct conditioner_input *in,
		       const struct piece *pieces, int first, struct condition *tokens,
		       struct condition *pooled, struct error *err)
{
	size_t rows = (size_t)tokens->rows, width = (size_t)clip->config[e].width;
	size_t length = (size_t)tokenizer_length(clip->tokenizer[e]);
	struct slab slab = {.values = tokens->values + first,
			    .length = length,
			    .chunks = rows / length,
			    .stride = (size_t)tokens->width,
			    .width = width,
			    .n = in->n};
	struct given g = {0};
	int status = open_given(clip, e, (int)slab.chunks,
				projects(clip, e) ? (size_t)pooled->width : 0, &g, err);
	for (int i = 0; i < in->n && !status; i++) {
		if (pieces[i].none)
			continue;
		if (in->syntax == PROMPT_COMPEL) {
			status = embed_terms(clip, e, in, i, &pieces[i], &slab, &g,
					     g.more ? pooled->values + (size_t)i * g.more : NULL, err);
			continue;
		}
		if ((status = embed(clip, e, in, &pieces[i].chunks, g.text, g.floats, g.scratch,
				    err)))
			break;
		for (size_t r = 0; r < rows; r++)
			memcpy(slab_row(&slab, i, r), g.text + r * width, width * sizeof *g.text);
		if (g.more)
			memcpy(pooled->values + (size_t)i * g.more, g.text + rows * width,
			       g.more * sizeof *g.text);
	}
	close_given(&g);
	return status || in->syntax == PROMPT_COMPEL ? status : weigh(clip, e, in, pieces, &slab, err);
}

/* The size that the picture had, the corner that was cut out of it, and the size that it shall
 * have: as for pictures that nobody has scaled or cut. Or instead of that size a score, which is
 * higher for the prompt than for what shall not be. */
static int or_else(int value, int otherwise)
{
	return value ? value : otherwise;
}

static void fill_ids(const struct conditioner_input *in, bool scored, struct condition *ids)
{
	const struct conditioner_sizes *sizes = in->sizes, none = {0};
	if (!sizes)
		sizes = &none;
	float h = (float)or_else(sizes->original_height, in->height);
	float w = (float)or_else(sizes->original_width, in->width);
	float top = (float)sizes->crop_top, left = (float)sizes->crop_left;
	float target_h = (float)or_else(sizes->target_height, in->height);
	float target_w = (float)or_else(sizes->target_width, in->width);
	for (int i = 0; i < in->n; i++) {
		bool prompt = in->times ? !in->negative : i == in->n - 1;
		float score = prompt ? 6.0f : 2.5f;
		const float row[IDS_MAX] = {h, w, top, left, scored ? score : target_h, target_w};
		memcpy(ids->values + i * ids->width, row, (size_t)ids->width * sizeof *row);
	}
}

static int add_conditions(const struct clip *clip, const struct conditioner_input *in, int rows,
			  struct conditions *out, struct condition **tokens,
			  struct condition **pooled, struct error *err)
{
	const struct clip_parts *parts = clip->parts;
	struct condition *ids;
	int width = 0;
	for (int e = 0; e < parts->count; e++)
		width += clip->config[e].width;
	int status = conditions_add(out, CONDITION_TOKENS, rows, width, tokens, err);
	if (status || !parts->pooled)
		return status;
	status = conditions_add(out, CONDITION_POOLED, 1, clip->config[parts->count - 1].projection,
				pooled, err);
	if (!status)
		status = conditions_add(out, CONDITION_IDS, 1, id_count(clip->scored), &ids, err);
	if (!status)
		fill_ids(in, clip->scored, ids);
	return status;
}

static int clip_encode(struct conditioner *c, const struct conditioner_input *in,
		       struct conditions *out, struct error *err)
{
	struct clip *clip = (struct clip *)c;
	struct piece(*pieces)[CONDITIONER_TEXTS_MAX];
	struct condition *tokens = NULL, *pooled = NULL;
	int first = 0, most = in->times ? CONDITIONER_TEXTS_MAX : 2, status;
	if (in->n < 1 || in->n > most)
		return error_set(err, SUMI_INVALID, "%d texts, allowed are 1 to %d", in->n, most);
	pieces = calloc(ENCODERS_MAX, sizeof *pieces);
	if (!pieces)
		return error_set(err, SUMI_NOMEM, "no memory for the text's embeddings");
	status = tokenize(clip, in, pieces, err);
	const struct tokens *one = &pieces[0][0].chunks.tokens;
	if (!status)
		status = add_conditions(clip, in, one->chunks * one->length, out, &tokens, &pooled,
					err);
	for (int e = 0; e < clip->parts->count && !status; e++) {
		status = encode_part(clip, e, in, pieces[e], first, tokens, pooled, err);
		first += clip->config[e].width;
	}
	for (int e = 0; e < ENCODERS_MAX; e++)
		for (int i = 0; i < CONDITIONER_TEXTS_MAX; i++)
			piece_free(&pieces[e][i]);
	free(pieces);
	return status;
}

static int clip_chunks(struct conditioner *c, const struct conditioner_input *in,
		       const struct tokenizer **tokenizer, struct prompt_chunks *out,
		       struct error *err)
{
	const struct clip *clip = (const struct clip *)c;
	struct piece p = {0};
	*tokenizer = clip->tokenizer[0];
	int status = cut_text(clip, 0, in, in->texts[0], 1, &p, err);
	*out = p.chunks;
	prompt_terms_free(&p.terms);
	return status;
}

static int clip_plain(struct conditioner *c, const struct conditioner_input *in, bool *plain,
		      struct error *err)
{
	const struct clip *clip = (const struct clip *)c;
	int status = SUMI_OK;
	*plain = true;
	for (int i = 0; i < clip->parts->count * in->n && *plain && !status; i++) {
		int e = i / in->n;
		const char *text = in->texts[i % in->n];
		const struct conditioner_words *w = words_of(in, e);
		if (text)
			status = prompt_chunks_plain(in->syntax, text, clip->tokenizer[e],
						     w ? &w->words : NULL, plain, err);
	}
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

#define CLIP(title, its_parts, its_encoders)                                                       \
	.name = title, .parts = its_parts, .encoders = its_encoders, .open = clip_open,            \
	.shape = clip_shape, .load = clip_load, .unload = clip_unload, .adapt = clip_adapt,          \
	.encode = clip_encode, .plain = clip_plain, .chunks = clip_chunks, .close = clip_close

const struct conditioner_kind conditioner_clip = {CLIP("clip", &one, 1)};
const struct conditioner_kind conditioner_clip_pair = {
    CLIP("clip-pair", &pair, 2),
    .tells_absent = tells_absent,
};
const struct conditioner_kind conditioner_clip_second = {
    CLIP("clip-second", &second, 1),
    .tells_absent = tells_absent,
};
