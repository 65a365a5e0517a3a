/* Embeddings by name, and for the encoders of a pack. */
#include "diffusion/embeddings.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "diffusion/family.h"
#include "diffusion/pack.h"
#include "networks/config.h"
#include "weights/embedding.h"

struct row {
	char word[EMBEDDING_WORD_MAX + 1]; /* as a prompt names it */
	char sha256[SHA256_HEX_SIZE];
	struct embedding_file file;
};

struct embeddings {
	struct row rows[EMBEDDINGS_MAX];
	int count;
	struct prompt_word words[EMBEDDINGS_ENCODERS][EMBEDDINGS_MAX];
	float *vectors[EMBEDDINGS_ENCODERS];
	struct conditioner_words of[EMBEDDINGS_ENCODERS];
};

/* ---- what a text names ---- */

static bool is_letter(char c)
{
	return isalnum((unsigned char)c) || (c & 0x80);
}

/* Whether a name stands in a text for itself, in any case. */
static bool stands_in(const char *text, const char *name)
{
	size_t n = strlen(name);
	for (const char *at = text; text && n && *at; at++) {
		if (strncasecmp(at, name, n) != 0)
			continue;
		bool joined = (at > text && is_letter(at[-1]) && is_letter(name[0])) ||
			      (is_letter(at[n]) && is_letter(name[n - 1]));
		if (!joined)
			return true;
	}
	return false;
}

/* The next "embedding:NAME" of a text: its name, and *from behind it; false: there is none. */
static bool next_mark(const char *text, size_t *from, const char **name, size_t *size)
{
	const char *mark = text ? strstr(text + *from, prompt_embedding_mark) : NULL;
	if (!mark)
		return false;
	*name = mark + strlen(prompt_embedding_mark);
	*size = prompt_embedding_name(*name, strlen(*name));
	/* Brackets and a weight that close behind it are none of it. */
	for (size_t i = 0; i < *size; i++)
		if (strchr("():,", (*name)[i]))
			*size = i;
	*from = (size_t)(*name + *size - text);
	return true;
}

static bool is_marked(const char *text, const char *word)
{
	const char *name;
	size_t from = 0, size;
	while (next_mark(text, &from, &name, &size))
		if (prompt_word_is(word, name, size))
			return true;
	return false;
}

struct search {
	enum prompt_syntax syntax;
	const char *texts[2];
	const struct pack_info *info;
	struct embeddings *found;
	char other[sizeof(((struct error *)0)->text)]; /* why the last file of a word that is named was passed by */
	char passed[EMBEDDING_WORD_MAX + 1];
	char names[PLACES_NAMES_SIZE]; /* that there are */
	uint64_t stamp;
};

static bool is_named(const struct search *s, const char *word)
{
	for (int i = 0; i < 2; i++)
		if (s->syntax == PROMPT_COMFY ? is_marked(s->texts[i], word)
					      : stands_in(s->texts[i], word))
			return true;
	return false;
}

/* ---- for a pack ---- */

/* A family's text encoder. */
static const struct part *encoder_part(const struct family *family, int encoder)
{
	const struct part *const *at = family->parts;
	while ((*at)->use != PART_TEXTS || encoder-- > 0)
		at++;
	return *at;
}

/* Which of a file's halves an encoder takes; -1: none. */
static int half_of(const struct embedding_file *file, const struct pack_info *info, int encoder)
{
	bool second = encoder_part(info->family, encoder)->second;
	bool pair = info->family->conditioner->encoders > 1;
	if (!pair && !second)
		return file->halves ? -1 : 0;
	return file->halves ? second : pair ? -1 : 0;
}

static int check_fit(const struct embedding_file *file, const char *word,
		     const struct pack_info *info, struct error *err)
{
	const char *family = embedding_family(file);
	for (int e = 0; e < info->family->conditioner->encoders; e++) {
		char folder[FILES_PATH_MAX];
		struct text_config config;
		int half = half_of(file, info, e);
		int status = pack_part(info, encoder_part(info->family, e)->folder, folder, err);
		if (!status)
			status = text_config_read(folder, &config, err);
		if (status)
			return status;
		if (half < 0 || file->half[half].width != config.width)
			return error_set(err, SUMI_INVALID,
					 "embedding %s (vectors of %d%s%s%s) is not for model %s, "
					 "whose text encoder takes %d",
					 word, file->half[half < 0 ? 0 : half].width,
					 file->halves ? " and another encoder's" : "",
					 family ? ": " : "", family ? family : "", info->name,
					 config.width);
	}
	return SUMI_OK;
}

static bool is_found(const struct embeddings *e, const char *word)
{
	for (int i = 0; i < e->count; i++)
		if (strcasecmp(e->rows[i].word, word) == 0)
			return true;
	return false;
}

static int take(struct search *s, const char *word, const char *path, struct embedding_file *file,
		struct error *err)
{
	struct embeddings *e = s->found;
	if (e->count == EMBEDDINGS_MAX)
		return error_set(err, SUMI_INVALID, "prompt: it names more than %d embeddings",
				 EMBEDDINGS_MAX);
	struct row *row = &e->rows[e->count];
	int status = sha256_file(path, row->sha256, err);
	if (status)
		return status;
	snprintf(row->word, sizeof row->word, "%s", word);
	row->file = *file;
	*file = (struct embedding_file){0};
	e->count++;
	return SUMI_OK;
}

/* A file under one of its words. */
static int consider(struct search *s, const char *word, const char *path, struct error *err)
{
	struct embedding_file file;
	struct error why = {0};
	if (is_found(s->found, word))
		return SUMI_OK;
	int status = embedding_open(path, &file, err);
	if (!status && check_fit(&file, word, s->info, &why)) {
		snprintf(s->other, sizeof s->other, "%s", why.text);
		snprintf(s->passed, sizeof s->passed, "%s", word);
	} else if (!status) {
		status = take(s, word, path, &file, err);
	}
	embedding_close(&file);
	return status;
}

static int look(void *context, const char *name, const char *path, struct error *err)
{
	struct search *s = context;
	struct embedding_file file;
	struct error ignored;
	char own[EMBEDDING_WORD_MAX + 1] = "";
	places_gather(s->names, name);
	/* What nobody names may be damaged. */
	if (embedding_open(path, &file, &ignored) == SUMI_OK)
		memcpy(own, file.word, sizeof own);
	embedding_close(&file);
	int status = is_named(s, name) ? consider(s, name, path, err) : SUMI_OK;
	if (!status && own[0] && is_named(s, own))
		status = consider(s, own, path, err);
	return status;
}

/* ---- lists ---- */

static int make_lists(struct embeddings *e, const struct pack_info *info, struct error *err)
{
	for (int k = 0; k < info->family->conditioner->encoders; k++) {
		size_t all = 0, width = 0, at = 0;
		for (int i = 0; i < e->count; i++) {
			width = (size_t)e->rows[i].file.half[half_of(&e->rows[i].file, info, k)].width;
			all += (size_t)e->rows[i].file.count;
		}
		e->vectors[k] = malloc(all * width * sizeof *e->vectors[k]);
		if (!e->vectors[k])
			return error_set(err, SUMI_NOMEM, "no memory for embeddings");
		for (int i = 0; i < e->count; i++) {
			const struct embedding_file *f = &e->rows[i].file;
			memcpy(e->vectors[k] + at * width, f->half[half_of(f, info, k)].values,
			       (size_t)f->count * width * sizeof(float));
			e->words[k][i] = (struct prompt_word){e->rows[i].word, f->count, (int)at};
			at += (size_t)f->count;
		}
		e->of[k] = (struct conditioner_words){{e->words[k], e->count}, e->vectors[k], (int)all};
	}
	return SUMI_OK;
}

/* Every word that ComfyUI's mark names must be there. */
static int check_marks(const struct search *s, struct error *err)
{
	for (int i = 0; i < 2 && s->syntax == PROMPT_COMFY; i++) {
		const char *name;
		size_t from = 0, size;
		while (next_mark(s->texts[i], &from, &name, &size)) {
			bool found = false;
			for (int k = 0; k < s->found->count; k++)
				found |= prompt_word_is(s->found->rows[k].word, name, size);
			if (!found && s->other[0] && prompt_word_is(s->passed, name, size))
				return error_set(err, SUMI_INVALID, "%s", s->other);
			if (!found)
				return error_set(err, SUMI_NOTFOUND,
						 "there is no embedding '%.*s'; there %s%s",
						 (int)(size < 80 ? size : 80), name,
						 places_there(s->names), s->names);
		}
	}
	return SUMI_OK;
}

int embeddings_look(const char *path, struct embedding_summary *out, struct error *err)
{
	struct embedding_file e;
	int status = embedding_open(path, &e, err);
	if (status)
		return status;
	*out = (struct embedding_summary){.vectors = e.count, .width = e.half[0].width};
	snprintf(out->word, sizeof out->word, "%s", e.word);
	embedding_close(&e);
	return SUMI_OK;
}

int embeddings_visit(const char *paths, const char *state_dir, place_file_visit *visit, void *context,
		     struct error *err)
{
	return places_visit_files(EMBEDDINGS_FOLDER, paths, state_dir, visit, context, err);
}

int embeddings_find(const char *paths, const char *state_dir, enum prompt_syntax syntax,
		    const char *prompt, const char *negative, const struct pack_info *info,
		    struct embeddings **out, struct error *err)
{
	struct search s = {.syntax = syntax, .texts = {prompt, negative}, .info = info};
	*out = NULL;
	if (info->family->conditioner->encoders == 0 || !paths)
		return SUMI_OK;
	s.found = calloc(1, sizeof *s.found);
	if (!s.found)
		return error_set(err, SUMI_NOMEM, "out of memory");
	int status = embeddings_visit(paths, state_dir, look, &s, err);
	if (!status)
		status = check_marks(&s, err);
	if (!status && s.other[0] && !is_found(s.found, s.passed))
		status = error_set(err, SUMI_INVALID, "%s", s.other);
	if (!status && s.found->count)
		status = make_lists(s.found, info, err);
	if (status || !s.found->count)
		embeddings_close(s.found);
	else
		*out = s.found;
	return status;
}

void embeddings_close(struct embeddings *e)
{
	if (!e)
		return;
	for (int i = 0; i < e->count; i++)
		embedding_close(&e->rows[i].file);
	for (int k = 0; k < EMBEDDINGS_ENCODERS; k++)
		free(e->vectors[k]);
	free(e);
}

const struct conditioner_words *embeddings_words(const struct embeddings *e)
{
	return e ? e->of : NULL;
}

void embeddings_identity(const struct embeddings *e, struct bytes_writer *out)
{
	for (int i = 0; e && i < e->count; i++) {
		bytes_put(out, e->rows[i].word, strlen(e->rows[i].word));
		bytes_put(out, e->rows[i].sha256, SHA256_HEX_SIZE - 1);
	}
}

json_t *embeddings_json(const struct embeddings *e)
{
	json_t *list = e ? json_array() : NULL;
	for (int i = 0; e && i < e->count; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:i}", "name", e->rows[i].word,
						      "sha256", e->rows[i].sha256, "vectors",
						      e->rows[i].file.count));
	return list;
}

static int add_stamp(void *context, const char *name, const char *path, struct error *err)
{
	struct search *s = context;
	(void)name;
	(void)err;
	s->stamp = pack_stamp_add(s->stamp, path);
	return SUMI_OK;
}

uint64_t embeddings_stamp(const char *paths, const char *state_dir)
{
	struct search s = {0};
	embeddings_visit(paths, state_dir, add_stamp, &s, NULL);
	return s.stamp;
}
