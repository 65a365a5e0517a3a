/* What a prompt says beside its words: weights, texts that change on the way, several at once. Each
 * program that people write prompts for reads them otherwise; docs/prompts.md is the table. Pure
 * functions of a text: no tokenizer, no model. */
#ifndef SUMI_DIFFUSION_PROMPT_H
#define SUMI_DIFFUSION_PROMPT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum prompt_syntax {
	PROMPT_DIFFUSERS, /* a text is a text */
	PROMPT_A1111,
	PROMPT_COMFY,
	PROMPT_COMPEL,
	PROMPT_SYNTAXES
};

extern const char *const prompt_syntax_names[PROMPT_SYNTAXES];

/* NULL is diffusers. SUMI_INVALID lists the names. */
int prompt_syntax_of(const char *name, enum prompt_syntax *out, struct error *err);

enum {
	PROMPT_PARTS_MAX = 8,   /* joined by AND */
	PROMPT_TEXTS_MAX = 64,  /* that a part becomes, one after the other */
	PROMPT_DEPTH_MAX = 256, /* brackets in brackets */
};

/* A part of a prompt: the texts that stand for it at the run's evaluations. */
struct prompt_part {
	double weight;                       /* as a share of guidance */
	char *texts[PROMPT_TEXTS_MAX];       /* each another one; owned */
	int times[PROMPT_TEXTS_MAX];         /* entries of the schedule that are this text */
	int count;
	int *at; /* [steps]: which text stands at an evaluation; owned */
};

struct prompt {
	struct prompt_part parts[PROMPT_PARTS_MAX];
	int count, steps;
};

/* Reads a prompt for a run of so many evaluations; a negative one has no AND. SUMI_INVALID names
 * what cannot be read. The caller releases *out, which is empty after a failure. */
int prompt_read(enum prompt_syntax syntax, const char *text, bool negative, int steps,
		struct prompt *out, struct error *err);
void prompt_free(struct prompt *p); /* zeroed ones are fine */

/* Parts of a prompt without its schedules; weighted: whether one has another weight than 1. */
int prompt_count_parts(enum prompt_syntax syntax, const char *text, bool *weighted);

/* Words of one weight. */
struct prompt_segment {
	char *text; /* owned */
	double weight;
	bool breaks; /* here a chunk ends */
};

struct prompt_segments {
	struct prompt_segment *rows; /* owned */
	size_t count, capacity;
};

/* One of a part's texts as words of their weights. SUMI_INVALID for a weight that is no number or beyond
 * reason. The caller releases *out, which is empty after a failure. */
int prompt_segments_read(enum prompt_syntax syntax, const char *text, struct prompt_segments *out,
			 struct error *err);
void prompt_segments_free(struct prompt_segments *s); /* zeroed ones are fine */

/* *plain: whether the text says nothing but its words: one part of weight 1, one text, one segment. A text
 * that cannot be read says more. SUMI_NOMEM. */
int prompt_tell_plain(enum prompt_syntax syntax, const char *text, bool negative, bool *plain, struct error *err);

/* Unicode's white space as Python's regular expressions have it. */
bool prompt_is_space(unsigned code);

/* The character that ends before text[at], 0 at the beginning. */
unsigned prompt_before(const char *text, size_t at);

/* The value of a decimal digit of any script, which count in weights as they do for Python; -1: it is none. */
int prompt_digit(unsigned code);

/* A number whose digits may be such ones, with plain ones, cut at room. */
void prompt_plain_number(const char *text, size_t size, char *out, size_t room);

/* The first word (AND, BREAK) of the text at or behind `from` that stands for itself, as \b has it; size:
 * of the text. SIZE_MAX: there is none. */
size_t prompt_find_word(const char *text, size_t size, size_t from, const char *word);

#endif
