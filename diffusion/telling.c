/* Prompts to what is told at each evaluation. */
#include "diffusion/telling.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 77 * 60 };

static int no_memory(struct error *err)
{
	return error_set(err, SUMI_NOMEM, "no memory for the texts of a run");
}

/* ---- making ---- */

static int encode_voice(struct conditioner *c, const struct telling_input *in,
			const struct prompt_part *part, bool negative, struct telling_voice *v,
			struct error *err)
{
	const char *const absent[1] = {NULL};
	struct conditioner_input input = in->of;
	input.texts = negative && !in->negative ? absent : (const char *const *)part->texts;
	input.n = part->count;
	input.times = part->times;
	input.negative = negative;
	v->at = malloc((size_t)in->calls * sizeof *v->at);
	if (!v->at)
		return no_memory(err);
	memcpy(v->at, part->at, (size_t)in->calls * sizeof *v->at);
	return conditioner_encode(c, &input, &v->said, err);
}

static int add_voices(struct conditioner *c, const struct telling_input *in, const struct prompt *p,
		      bool negative, struct telling *t, struct error *err)
{
	int status = SUMI_OK;
	for (int i = 0; i < p->count && !status; i++) {
		t->weights[t->count] = negative ? 0 : p->parts[i].weight;
		status = encode_voice(c, in, &p->parts[i], negative, &t->voices[t->count++], err);
	}
	return status;
}

/* Whether both are texts alone, cut where a text without syntax is cut. */
static int are_plain(struct conditioner *c, const struct telling_input *in, bool *plain,
		     struct error *err)
{
	const char *const texts[2] = {in->negative, in->prompt};
	enum prompt_syntax syntax = in->of.syntax;
	int status = prompt_tell_plain(syntax, in->negative ? in->negative : "", true, plain, err);
	if (!status && *plain)
		status = prompt_tell_plain(syntax, in->prompt, false, plain, err);
	if (status || !*plain)
		return status;
	struct conditioner_input both = in->of;
	both.texts = in->guided ? texts : texts + 1;
	both.n = in->guided ? 2 : 1;
	return conditioner_plain(c, &both, plain, err);
}

static void note_changes(struct telling *t)
{
	for (int k = 1; k < t->calls; k++)
		t->changes[k] = !telling_is_same(t, k, k - 1);
}

int telling_make(struct conditioner *c, const struct telling_input *in, struct telling **out,
		 struct error *err)
{
	enum prompt_syntax syntax = in->of.syntax;
	struct prompt prompt = {0}, negative = {0};
	struct telling *t = NULL;
	bool plain;
	*out = NULL;
	int status = are_plain(c, in, &plain, err);
	if (status || plain)
		return status;
	t = calloc(1, sizeof *t);
	if (!t || !(t->changes = calloc((size_t)in->calls, sizeof *t->changes))) {
		free(t);
		return no_memory(err);
	}
	t->calls = in->calls;
	t->negative = in->guided;
	int steps = in->all_calls > in->calls ? in->all_calls : in->calls;
	status = prompt_read(syntax, in->prompt, false, steps, &prompt, err);
	if (!status && in->guided)
		status = prompt_read(syntax, in->negative ? in->negative : "", true, steps,
				     &negative, err);
	if (!status)
		status = add_voices(c, in, &negative, true, t, err);
	if (!status)
		status = add_voices(c, in, &prompt, false, t, err);
	prompt_free(&prompt);
	prompt_free(&negative);
	if (status) {
		telling_free(t);
		return status;
	}
	note_changes(t);
	*out = t;
	return SUMI_OK;
}

void telling_free(struct telling *t)
{
	if (!t)
		return;
	for (int i = 0; i < t->count; i++) {
		conditions_free(&t->voices[i].said);
		free(t->voices[i].at);
	}
	free(t->changes);
	free(t);
}

/* ---- telling ---- */

bool telling_is_single(const struct telling *t)
{
	return t->count == 1 + t->negative && t->weights[t->count - 1] == 1;
}

bool telling_is_same(const struct telling *t, int a, int b)
{
	for (int i = 0; i < t->count; i++)
		if (t->voices[i].at[a] != t->voices[i].at[b])
			return false;
	return true;
}

/* Rows of a tensor: of the negative prompt, of the longest part, and of all together. */
struct lengths {
	int negative, parts, all;
};

static int common_multiple(int a, int b)
{
	int x = a, y = b;
	while (y) {
		int rest = x % y;
		x = y;
		y = rest;
	}
	return a / x * b;
}

static struct lengths lengths_of(const struct telling *t, int tensor)
{
	struct lengths l = {0};
	for (int i = 0; i < t->count; i++) {
		int rows = t->voices[i].said.tensors[tensor].rows;
		if (i == 0 && t->negative)
			l.negative = rows;
		else if (rows > l.parts)
			l.parts = rows;
	}
	l.all = l.negative ? common_multiple(l.negative, l.parts) : l.parts;
	return l;
}

/* One of a tensor's texts in `rows` rows, and these over and over. */
static void copy_text(const struct condition *from, int text, float *to, int rows, int all)
{
	size_t width = (size_t)from->width, own = (size_t)from->rows;
	const float *values = from->values + (size_t)text * own * width;
	for (size_t r = 0; r < (size_t)all; r++) {
		size_t at = r % (size_t)rows;
		memcpy(to + r * width, values + (at < own ? at : own - 1) * width,
		       width * sizeof *to);
	}
}

int telling_at(const struct telling *t, int call, struct conditions *out, struct error *err)
{
	const struct conditions *model = &t->voices[0].said;
	int status = SUMI_OK;
	*out = (struct conditions){.n = t->count};
	for (int k = 0; k < model->count && !status; k++) {
		struct lengths l = lengths_of(t, k);
		struct condition *c;
		if (l.all > ROWS_MAX)
			status = error_set(err, SUMI_TOOBIG,
					   "the prompt has %d rows of tokens, the negative one %d: "
					   "together they are too long, make one of them shorter",
					   l.parts, l.negative);
		else
			status = conditions_add(out, model->tensors[k].name, l.all,
						model->tensors[k].width, &c, err);
		for (int i = 0; i < t->count && !status; i++) {
			const struct telling_voice *v = &t->voices[i];
			copy_text(&v->said.tensors[k], v->at[call],
				  c->values + (size_t)i * (size_t)l.all * (size_t)c->width,
				  i == 0 && t->negative ? l.negative : l.parts, l.all);
		}
	}
	if (status)
		conditions_free(out);
	return status;
}
