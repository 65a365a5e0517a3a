/* What a run's texts say to its denoiser: as they stand there, or by the syntax that they are written in. */
#include <stdio.h>
#include <string.h>

#include "diffusion/embeddings.h"
#include "diffusion/run_internal.h"

static enum prompt_syntax syntax_of(const struct run_params *p)
{
	enum prompt_syntax syntax;
	prompt_syntax_of(p->prompt_syntax, &syntax, NULL); /* run_text_check() has read it */
	return syntax;
}

/* Every text that a prompt becomes must be readable. How many evaluations there will be decides only
 * which of them come. */
static int check_prompt(enum prompt_syntax syntax, const char *text, bool negative, int steps,
			struct error *err)
{
	struct prompt prompt;
	int status = prompt_read(syntax, text, negative, steps, &prompt, err);
	for (int i = 0; i < prompt.count && !status; i++)
		for (int k = 0; k < prompt.parts[i].count && !status; k++) {
			struct prompt_segments s;
			status = prompt_segments_read(syntax, prompt.parts[i].texts[k], &s, err);
			prompt_segments_free(&s);
		}
	prompt_free(&prompt);
	return status;
}

int run_text_count(const struct run_params *p, bool guided)
{
	bool weighted;
	int parts = prompt_count_parts(syntax_of(p), p->prompt, &weighted);
	return guided || weighted || parts > 1 ? 1 + parts : 1;
}

/* Several parts are several texts; a denoiser that embeds its guidance is told one. */
static int check_parts(const struct pack_info *info, const struct run_params *p, struct error *err)
{
	struct denoiser *denoiser;
	if (run_text_count(p, false) == 1)
		return SUMI_OK;
	for (int i = 0; i < p->control_count; i++)
		if (p->controls[i].guess)
			return error_set(err, SUMI_INVALID,
					 "a control that guesses does not go together with a "
					 "prompt of several parts (AND)");
	int status = denoiser_open(info->family->denoiser, NULL, info,
				   pack_denoiser_part(info, p->fast), &denoiser, err);
	if (status)
		return status;
	if (denoiser_spec(denoiser).embeds_guidance)
		status = error_set(err, SUMI_INVALID,
				   "prompt: this model guides itself and takes one part of weight 1: "
				   "AND and a weight at the end have no place (prompt_syntax "
				   "diffusers takes them as words)");
	denoiser_close(denoiser);
	return status;
}

int run_text_check(const struct pack_info *info, const struct run_params *p, struct error *err)
{
	enum prompt_syntax syntax;
	int status = prompt_syntax_of(p->prompt_syntax, &syntax, err);
	if (!status)
		status = run_travel_check(info, p, err);
	if (status || syntax == PROMPT_DIFFUSERS)
		return status;
	if (info->family->conditioner->encoders == 0)
		return error_set(err, SUMI_INVALID,
				 "prompt_syntax is %s: texts of model %s have none but diffusers",
				 p->prompt_syntax, info->name);
	status = check_prompt(syntax, p->prompt, false, p->steps, err);
	if (!status && p->negative_prompt)
		status = check_prompt(syntax, p->negative_prompt, true, p->steps, err);
	return status ? status : check_parts(info, p, err);
}

int run_encode_text(struct run *run, const struct run_params *p, int texts, struct conditions *said,
		    struct error *err)
{
	const char *const both[2] = {p->negative_prompt, p->prompt};
	struct conditioner *conditioner = run->pack->conditioner;
	struct telling_input in = {
	    .prompt = p->prompt,
	    .negative = p->negative_prompt,
	    .of = {.clip_skip = p->clip_skip,
		   .width = p->width,
		   .height = p->height,
		   .sizes = &p->sizes,
		   .syntax = syntax_of(p),
		   .words = embeddings_words(p->embeddings)},
	    .calls = sampler_calls(run->sampler),
	    .all_calls = sampler_calls_from_noise(run->sampler),
	    .guided = texts > 1,
	};
	*said = (struct conditions){0};
	if (p->travel_count) {
		in.of.syntax = PROMPT_DIFFUSERS;
		return run_travel_encode(conditioner, &in.of, p, texts, said, err);
	}
	if (in.of.syntax != PROMPT_DIFFUSERS) {
		int status = telling_make(conditioner, &in, &run->telling, err);
		if (status || run->telling)
			return status;
	}
	in.of.syntax = PROMPT_DIFFUSERS;
	in.of.texts = texts > 1 ? both : both + 1;
	in.of.n = texts > 1 ? 2 : 1;
	return conditioner_encode(conditioner, &in.of, said, err);
}

bool run_has_syntax(const struct run *run)
{
	return run->telling != NULL;
}

/* A text that may be cut at a comma is as long as a chunk at least. */
static bool may_differ(enum prompt_syntax syntax, const char *text, bool negative,
		       struct bytes_writer *out)
{
	enum { CHUNK = 75 };
	bool plain;
	if (!text)
		return false;
	if (prompt_tell_plain(syntax, text, negative, &plain, NULL) != SUMI_OK)
		out->failed = true;
	return !plain || strlen(text) > CHUNK;
}

void run_text_identity(const struct run_params *p, struct bytes_writer *out)
{
	enum prompt_syntax syntax = syntax_of(p);
	if (syntax != PROMPT_DIFFUSERS && (may_differ(syntax, p->prompt, false, out) ||
					   may_differ(syntax, p->negative_prompt, true, out)))
		bytes_put(out, p->prompt_syntax, strlen(p->prompt_syntax));
	embeddings_identity(p->embeddings, out);
}
