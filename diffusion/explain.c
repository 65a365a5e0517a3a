/* Prompts, taken apart and shown. */
#include "diffusion/explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/embeddings.h"
#include "diffusion/pack_internal.h"
#include "diffusion/prompt_chunks.h"
#include "diffusion/prompt_compel.h"

enum { LONG_RUN = 1000 }; /* in which every text comes that has a step */

struct explaining {
	enum prompt_syntax syntax;
	const struct run_params *p;
	struct conditioner *conditioner;
	int evaluations;
	json_t *notes;
};

static void note(struct explaining *x, const char *format, const char *text)
{
	char line[512];
	snprintf(line, sizeof line, format, text);
	json_array_append_new(x->notes, json_string(line));
}

/* ---- chunks ---- */

static json_t *tokens_json(const struct prompt_chunks *c, int chunk, char *const *spelt)
{
	json_t *list = json_array();
	int length = c->tokens.length, row = chunk * length, last = length - 1;
	/* The end's mark stands behind the last token, and padding behind that. */
	int32_t end = c->tokens.ids[row + last];
	while (last > 1 && c->tokens.ids[row + last - 1] == end && !(c->vectors && c->vectors[row + last - 1]))
		last--;
	for (int i = row + 1; i < row + last; i++) {
		int vector = c->vectors ? c->vectors[i] : 0;
		json_t *o = json_pack("{s:s, s:i, s:f}", "text", vector ? "" : spelt[i], "id",
				      vector ? -1 : (int)c->tokens.ids[i], "weight",
				      c->weights ? (double)c->weights[i] : 1.0);
		if (vector)
			json_object_set_new(o, "embedding", json_integer(vector));
		json_array_append_new(list, o);
	}
	return list;
}

static int chunks_json(struct explaining *x, const char *text, json_t **out, struct error *err)
{
	const struct tokenizer *t;
	struct prompt_chunks c = {0};
	char **spelt = NULL;
	const struct conditioner_input in = {.texts = &text,
					     .n = 1,
					     .syntax = x->syntax,
					     .words = embeddings_words(x->p->embeddings)};
	int status = conditioner_chunks(x->conditioner, &in, &t, &c, err);
	size_t n = (size_t)c.tokens.chunks * (size_t)c.tokens.length;
	if (!status)
		status = tokenizer_spell(t, c.tokens.ids, n, &spelt, err);
	*out = status ? NULL : json_array();
	for (int k = 0; k < c.tokens.chunks && !status; k++)
		json_array_append_new(*out, json_pack("{s:i, s:o}", "room", c.tokens.length - 2,
						      "tokens", tokens_json(&c, k, spelt)));
	for (size_t i = 0; spelt && i < n; i++)
		free(spelt[i]);
	free(spelt);
	prompt_chunks_free(&c);
	return status;
}

/* ---- texts ---- */

static json_t *ranges_json(const struct prompt *p, const struct prompt_part *part, int text)
{
	json_t *list = json_array();
	for (int i = 0; i < p->steps; i++) {
		if (part->at[i] != text)
			continue;
		int from = i;
		while (i + 1 < p->steps && part->at[i + 1] == text)
			i++;
		json_array_append_new(list, json_pack("[i, i]", from + 1, i + 1));
	}
	return list;
}

/* BREAK that breaks nothing, as its weight is no longer its own. */
static void note_words(struct explaining *x, const char *text)
{
	struct prompt_segments s;
	if (prompt_segments_read(x->syntax, text, &s, NULL))
		return;
	for (size_t i = 0; i < s.count; i++)
		if (x->syntax == PROMPT_A1111 && !s.rows[i].breaks &&
		    prompt_find_word(s.rows[i].text, strlen(s.rows[i].text), 0, "BREAK") != SIZE_MAX)
			note(x, "%s", "BREAK within weighted brackets breaks nothing: it is a word there");
	prompt_segments_free(&s);
}

static int part_json(struct explaining *x, const struct prompt *p, const struct prompt_part *part,
		     json_t **out, struct error *err)
{
	json_t *texts = json_array();
	int status = SUMI_OK;
	for (int k = 0; k < part->count && !status; k++) {
		json_t *chunks;
		if ((status = chunks_json(x, part->texts[k], &chunks, err)))
			break;
		json_array_append_new(texts, json_pack("{s:s, s:o, s:o}", "text", part->texts[k],
						       "evaluations", ranges_json(p, part, k),
						       "chunks", chunks));
		note_words(x, part->texts[k]);
	}
	*out = json_pack("{s:f, s:o}", "weight", part->weight, "texts", texts);
	return status;
}

static bool has_text(const struct prompt_part *part, const char *text)
{
	for (int k = 0; k < part->count; k++)
		if (strcmp(part->texts[k], text) == 0)
			return true;
	return false;
}

/* What would come in a longer run, and in this one does not. */
static void note_late(struct explaining *x, const char *text, bool negative, const struct prompt *p)
{
	struct prompt longer;
	if (prompt_read(x->syntax, text, negative, LONG_RUN, &longer, NULL))
		return;
	for (int i = 0; i < longer.count && i < p->count; i++)
		for (int k = 0; k < longer.parts[i].count; k++)
			if (!has_text(&p->parts[i], longer.parts[i].texts[k]))
				note(x, "never comes, the run is shorter: %.300s",
				     longer.parts[i].texts[k]);
	prompt_free(&longer);
}

static int prompt_json(struct explaining *x, const char *text, bool negative, json_t **out,
		       struct error *err)
{
	struct prompt p;
	int status = prompt_read(x->syntax, text, negative, x->evaluations, &p, err);
	*out = status ? NULL : json_array();
	for (int i = 0; i < p.count && !status; i++) {
		json_t *part;
		status = part_json(x, &p, &p.parts[i], &part, err);
		json_array_append_new(*out, part);
	}
	if (!status)
		note_late(x, text, negative, &p);
	prompt_free(&p);
	return status;
}

/* ---- notes ---- */

/* Tags that are none: LoRAs' have been taken out of a prompt before. */
static void note_tags(struct explaining *x, const char *text, bool negative)
{
	char tag[96];
	for (const char *at = text; (at = strchr(at, '<')); at++) {
		size_t word = strspn(at + 1, "abcdefghijklmnopqrstuvwxyz"), end = strcspn(at, ">");
		if (!word || at[1 + word] != ':')
			continue;
		snprintf(tag, sizeof tag, "%.*s", (int)(at[end] ? end + 1 : end), at);
		if (!at[end])
			note(x, "'%.90s' is words: it has no end", tag);
		else if (negative)
			note(x, "'%.90s' is words: in a negative prompt no tag counts", tag);
		else
			note(x, "'%.90s' is words: of such tags <lora:NAME:WEIGHT> counts", tag);
	}
}

static int note_prompt(struct explaining *x, const char *text, bool negative, struct error *err)
{
	bool weighted, plain;
	int status = prompt_tell_plain(PROMPT_A1111, text, negative, &plain, err);
	if (status)
		return status;
	const char *which = negative ? "the negative prompt" : "the prompt";
	if (x->syntax == PROMPT_DIFFUSERS && !plain)
		note(x, "brackets and the like in %s are words: prompt_syntax is diffusers", which);
	if (x->syntax == PROMPT_COMFY && !plain &&
	    (prompt_find_word(text, strlen(text), 0, "AND") != SIZE_MAX ||
	     prompt_find_word(text, strlen(text), 0, "BREAK") != SIZE_MAX || strchr(text, '[')))
		note(x, "[ ], AND and BREAK in %s are words: prompt_syntax is comfy", which);
	note_tags(x, text, negative);
	if (x->syntax == PROMPT_COMPEL && compel_blends(text))
		note(x, "of the texts that .blend() mixes in %s, the first is shown", which);
	if (x->syntax == PROMPT_A1111 && !negative &&
	    prompt_count_parts(x->syntax, text, &weighted) == 1 && weighted)
		note(x, "the number at the end is a weight of %s, not a word: with a comma behind it "
			"it would be one", which);
	if (x->syntax == PROMPT_A1111 && negative &&
	    prompt_find_word(text, strlen(text), 0, "AND") != SIZE_MAX)
		note(x, "AND is a word in %s", which);
	return SUMI_OK;
}

static int explain(struct explaining *x, json_t **prompt, json_t **negative, struct error *err)
{
	const struct run_params *p = x->p;
	bool weighted;
	int parts = prompt_count_parts(x->syntax, p->prompt, &weighted);
	int status = prompt_json(x, p->prompt, false, prompt, err);
	if (!status)
		status = note_prompt(x, p->prompt, false, err);
	if (status || !p->negative_prompt)
		return status;
	status = note_prompt(x, p->negative_prompt, true, err);
	if (status)
		return status;
	if (p->cfg_scale == 1 && parts == 1 && !weighted)
		note(x, "%s", "the negative prompt has no say: cfg_scale is 1");
	return prompt_json(x, p->negative_prompt, true, negative, err);
}

int prompt_explain(const struct pack_info *info, const struct run_params *p, json_t **out,
		   struct error *err)
{
	struct explaining x = {.p = p};
	json_t *prompt = NULL, *negative = NULL;
	*out = NULL;
	int status = run_text_check(info, p, err);
	if (!status)
		status = prompt_syntax_of(p->prompt_syntax, &x.syntax, err);
	if (!status)
		status = run_evaluations(info, p, &x.evaluations, err);
	if (!status)
		status = conditioner_open(info->family->conditioner, NULL, info, &x.conditioner, err);
	if (status)
		return status;
	x.notes = json_array();
	status = explain(&x, &prompt, &negative, err);
	if (!status)
		*out = json_pack("{s:s, s:s, s:i, s:o, s:o, s:O}", "syntax",
				 prompt_syntax_names[x.syntax], "model", info->name, "evaluations",
				 x.evaluations, "prompt", prompt, "negative_prompt",
				 negative ? negative : json_null(), "notes", x.notes);
	else {
		json_decref(prompt);
		json_decref(negative);
	}
	json_decref(x.notes);
	conditioner_close(x.conditioner);
	return status || *out ? status : error_set(err, SUMI_NOMEM, "out of memory");
}
