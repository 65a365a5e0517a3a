/* The tokenizer's files. They come from anywhere: every entry is checked before it is used. */
#include "networks/tokenizer_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/json.h"

#define VOCAB_FILE_MAX (16u << 20) /* vocab.json, merges.txt */
#define CONFIG_FILE_MAX (1u << 20) /* the others */
#define VOCAB_MAX (1 << 20) /* also the greatest id + 1 */
#define PIECE_MAX 1024      /* bytes of one entry */
#define SPECIALS_MAX 4096
#define LENGTH_DEFAULT 77
#define LENGTH_MAX 4096

/* What is needed while loading. */
struct loader {
	struct tokenizer *t;
	char vocab_path[FILES_PATH_MAX];
	json_t *vocab;  /* token → id */
	json_t *config; /* tokenizer_config.json or NULL */
	json_t *map;    /* special_tokens_map.json or NULL */
};

static int read_optional(const char *folder, const char *name, json_t **root, struct error *err)
{
	char path[FILES_PATH_MAX];
	struct error own = {0};
	int status = files_path(path, err, "%s/%s", folder, name);
	if (status)
		return status;
	status = json_read_file(path, CONFIG_FILE_MAX, root, &own);
	if (status == SUMI_NOTFOUND)
		return SUMI_OK;
	if (!status && !json_is_object(*root))
		status = error_set(&own, SUMI_INVALID, "%s: not a JSON object", path);
	if (status && err)
		*err = own;
	return status;
}

/* ---- vocabulary ---- */

static int check_ids(struct loader *l, struct error *err)
{
	const char *key;
	json_t *value;
	json_object_foreach(l->vocab, key, value)
	{
		json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
		if (id < 0 || id >= VOCAB_MAX)
			return error_set(err, SUMI_INVALID,
					 "%s: token '%.60s': not an id of 0 to %d", l->vocab_path,
					 key, VOCAB_MAX - 1);
		if (strlen(key) > PIECE_MAX)
			return error_set(err, SUMI_INVALID,
					 "%s: the token of id %d is longer than %d bytes",
					 l->vocab_path, (int)id, PIECE_MAX);
		if (id >= l->t->vocab_size)
			l->t->vocab_size = (int)id + 1;
	}
	return SUMI_OK;
}

static int check_vocab(struct loader *l, struct error *err)
{
	const char *path = l->vocab_path, *key;
	json_t *value;
	if (!json_is_object(l->vocab) || json_object_size(l->vocab) == 0)
		return error_set(err, SUMI_INVALID, "%s: must be an object of token: id", path);
	if (json_object_size(l->vocab) > VOCAB_MAX)
		return error_set(err, SUMI_TOOBIG, "%s: more than %d tokens", path, VOCAB_MAX);
	int status = check_ids(l, err);
	if (status)
		return status;
	unsigned char *seen = calloc((size_t)l->t->vocab_size, 1);
	if (!seen)
		return error_set(err, SUMI_NOMEM, "no memory for the vocabulary");
	json_object_foreach(l->vocab, key, value)
	{
		json_int_t id = json_integer_value(value);
		if (seen[id]) {
			status =
			    error_set(err, SUMI_INVALID, "%s: token '%.60s': id %d is taken twice",
				      path, key, (int)id);
			break;
		}
		seen[id] = 1;
	}
	free(seen);
	return status;
}

static int32_t id_of(const struct loader *l, const char *token)
{
	const json_t *value = json_object_get(l->vocab, token);
	return value ? (int32_t)json_integer_value(value) : -1;
}

/* GPT-2's table of the bytes as printable characters: those that are printable stand for
 * themselves, the others follow from U+0100 on. */
static void map_bytes(struct loader *l)
{
	int next = 256;
	for (int b = 0; b < 256; b++) {
		bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
		utf8proc_int32_t point = printable ? b : next++;
		char piece[16];
		utf8proc_ssize_t n = utf8proc_encode_char(point, (utf8proc_uint8_t *)piece);
		memcpy(piece + n, "", 1);
		l->t->byte_ids[b][0] = id_of(l, piece);
		memcpy(piece + n, "</w>", 5);
		l->t->byte_ids[b][1] = id_of(l, piece);
	}
}

/* Bytes that the vocabulary lacks become the unknown token. */
static void map_unknown_bytes(struct tokenizer *t)
{
	for (int b = 0; b < 256; b++)
		for (int end = 0; end < 2; end++)
			if (t->byte_ids[b][end] < 0)
				t->byte_ids[b][end] = t->unk;
}

/* ---- merges ---- */

/* "left right" of one line, which is cut into its parts. */
static int add_merge(struct loader *l, const char *path, int number, char *line, uint32_t rank,
		     struct error *err)
{
	char *space = strchr(line, ' '), joined[2 * PIECE_MAX + 1];
	if (!space || space == line || !space[1] || strchr(space + 1, ' '))
		return error_set(err, SUMI_INVALID,
				 "%s:%d: not two tokens with a space between them", path, number);
	*space = '\0';
	const char *parts[2] = {line, space + 1};
	int32_t ids[2];
	for (int i = 0; i < 2; i++) {
		ids[i] = strlen(parts[i]) > PIECE_MAX ? -1 : id_of(l, parts[i]);
		if (ids[i] < 0)
			return error_set(err, SUMI_INVALID,
					 "%s:%d: token '%.60s' is not in vocab.json", path, number,
					 parts[i]);
	}
	snprintf(joined, sizeof joined, "%s%s", parts[0], parts[1]);
	int32_t id = id_of(l, joined);
	if (id < 0)
		return error_set(err, SUMI_INVALID,
				 "%s:%d: the merged token '%.60s' is not in vocab.json", path,
				 number, joined);
	struct tokenizer_merge *place = tokenizer_merge_place(l->t, ids[0], ids[1]);
	if (place->rank != TOKENIZER_NO_RANK)
		return error_set(err, SUMI_INVALID, "%s:%d: the same merge as before", path,
				 number);
	*place = (struct tokenizer_merge){ids[0], ids[1], id, rank};
	return SUMI_OK;
}

static int load_merges(struct loader *l, const char *path, char *text, size_t size,
		       struct error *err)
{
	size_t lines = 1, capacity = 64;
	if (memchr(text, '\0', size))
		return error_set(err, SUMI_INVALID, "%s: contains a NUL byte", path);
	for (size_t i = 1; i < size; i++)
		lines += text[i] == '\n' && text[i - 1] != '\n';
	if (lines > VOCAB_MAX)
		return error_set(err, SUMI_TOOBIG, "%s: more than %d lines", path, VOCAB_MAX);
	while (capacity < 2 * lines)
		capacity *= 2;
	l->t->merges = malloc(capacity * sizeof *l->t->merges);
	if (!l->t->merges)
		return error_set(err, SUMI_NOMEM, "no memory for the merges");
	l->t->merge_mask = (uint32_t)(capacity - 1);
	for (size_t i = 0; i < capacity; i++)
		l->t->merges[i].rank = TOKENIZER_NO_RANK;
	uint32_t rank = 0;
	char *line = text;
	for (int number = 1; line; number++) {
		char *end = strchr(line, '\n'), *next = end ? end + 1 : NULL;
		if (end)
			*end = '\0';
		else
			end = line + strlen(line);
		if (end > line && end[-1] == '\r')
			end[-1] = '\0';
		if (*line && !(number == 1 && strncmp(line, "#version", 8) == 0)) {
			int status = add_merge(l, path, number, line, rank++, err);
			if (status)
				return status;
		}
		line = next;
	}
	return SUMI_OK;
}

static int read_merges(struct loader *l, const char *folder, struct error *err)
{
	char path[FILES_PATH_MAX], *text;
	size_t size;
	int status = files_path(path, err, "%s/merges.txt", folder);
	if (!status)
		status = files_read_regular(path, VOCAB_FILE_MAX, &text, &size, err);
	if (status)
		return status;
	status = load_merges(l, path, text, size, err);
	free(text);
	return status;
}

/* ---- special tokens ---- */

/* Registers a token once; a second time only its id is checked. */
static int add_special(struct loader *l, const char *text, int32_t id, bool normalized,
		       struct error *err)
{
	struct tokenizer *t = l->t;
	if (!*text || strlen(text) > PIECE_MAX)
		return error_set(err, SUMI_INVALID,
				 "%s: a special token is empty or longer than %d bytes",
				 l->vocab_path, PIECE_MAX);
	for (int i = 0; i < t->special_count; i++)
		if (strcmp(t->specials[i].text, text) == 0)
			return SUMI_OK;
	if (t->special_count >= SPECIALS_MAX)
		return error_set(err, SUMI_TOOBIG, "%s: more than %d special tokens", l->vocab_path,
				 SPECIALS_MAX);
	struct tokenizer_special *grown =
	    realloc(t->specials, ((size_t)t->special_count + 1) * sizeof *grown);
	if (!grown)
		return error_set(err, SUMI_NOMEM, "no memory for the special tokens");
	t->specials = grown;
	struct tokenizer_special *s = &grown[t->special_count];
	*s = (struct tokenizer_special){
	    .text = strdup(text), .size = strlen(text), .id = id, .normalized = normalized};
	if (!s->text)
		return error_set(err, SUMI_NOMEM, "no memory for the special tokens");
	t->special_count++;
	if (id >= t->vocab_size)
		t->vocab_size = id + 1;
	return tokenizer_normalise(text, s->size, &s->points, &s->point_count, err);
}

/* tokenizer_config.json's "added_tokens_decoder": id → description. */
static int add_decoder_tokens(struct loader *l, struct error *err)
{
	static const char *const where = "tokenizer_config.json";
	const json_t *decoder = json_object_get(l->config, "added_tokens_decoder");
	const char *key;
	json_t *entry;
	if (!decoder || json_is_null(decoder))
		return SUMI_OK;
	if (!json_is_object(decoder))
		return error_set(err, SUMI_INVALID, "%s: 'added_tokens_decoder' must be an object",
				 where);
	json_object_foreach((json_t *)decoder, key, entry)
	{
		char *end;
		long id = strtol(key, &end, 10);
		const char *text = NULL;
		bool normalized = true, single = false, special = false;
		int status = json_want_string(entry, where, "content", &text, err);
		if (!status)
			status = json_want_bool(entry, where, "special", &special, err);
		normalized = !special;
		if (!status)
			status = json_want_bool(entry, where, "normalized", &normalized, err);
		if (!status)
			status = json_want_bool(entry, where, "single_word", &single, err);
		if (status)
			return status;
		if (*end || end == key || id < 0 || id >= VOCAB_MAX || !text)
			return error_set(err, SUMI_INVALID,
					 "%s: added token '%.40s' has no id or content", where,
					 key);
		if (single)
			return error_set(err, SUMI_UNSUPPORTED,
					 "%s: added token '%.40s': single_word", where, key);
		int32_t known = id_of(l, text);
		if (known >= 0 && known != id)
			return error_set(err, SUMI_INVALID,
					 "%s: added token '%.40s' is id %d in vocab.json", where,
					 key, (int)known);
		status = add_special(l, text, (int32_t)id, normalized, err);
		if (status)
			return status;
	}
	return SUMI_OK;
}

/* A special token stands in a file as a text or as an object with "content". */
static int want_special(const json_t *root, const char *where, const char *key, const char **text,
			bool *normalized, struct error *err)
{
	const json_t *value = json_object_get(root, key);
	if (!json_is_object(value))
		return root ? json_want_string(root, where, key, text, err) : SUMI_OK;
	*normalized = false;
	int status = json_want_string(value, where, "content", text, err);
	return status ? status : json_want_bool(value, where, "normalized", normalized, err);
}

static int find_special(struct loader *l, const char *key, const char *fallback, int32_t *id,
			struct error *err)
{
	static const char *const names[2] = {"tokenizer_config.json", "special_tokens_map.json"};
	const json_t *roots[2] = {l->config, l->map};
	const char *text = fallback;
	bool normalized = false;
	/* The later file wins, unless the first one is of the newer kind that lists all tokens. */
	bool newer = json_object_get(l->config, "added_tokens_decoder") != NULL;
	for (int i = 0; i < 2; i++) {
		int status = want_special(roots[newer ? 1 - i : i], names[newer ? 1 - i : i], key,
					  &text, &normalized, err);
		if (status)
			return status;
	}
	*id = id_of(l, text);
	for (int i = 0; i < l->t->special_count; i++)
		if (*id < 0 && strcmp(l->t->specials[i].text, text) == 0)
			*id = l->t->specials[i].id;
	if (*id < 0)
		return error_set(err, SUMI_INVALID, "%s: special token '%.60s' (%s) is missing",
				 l->vocab_path, text, key);
	return add_special(l, text, *id, normalized, err);
}

static int read_specials(struct loader *l, const char *folder, struct error *err)
{
	static const char *const end_of_text = "<|endoftext|>";
	struct tokenizer *t = l->t;
	int64_t length = LENGTH_DEFAULT;
	int status = read_optional(folder, "tokenizer_config.json", &l->config, err);
	if (!status)
		status = read_optional(folder, "special_tokens_map.json", &l->map, err);
	if (!status && l->config)
		status = json_want_int(l->config, "tokenizer_config.json", "model_max_length", 3,
				       LENGTH_MAX, &length, err);
	if (!status)
		status = add_decoder_tokens(l, err);
	if (!status)
		status = find_special(l, "bos_token", "<|startoftext|>", &t->bos, err);
	if (!status)
		status = find_special(l, "eos_token", end_of_text, &t->eos, err);
	if (!status)
		status = find_special(l, "unk_token", end_of_text, &t->unk, err);
	if (!status)
		status = find_special(l, "pad_token", end_of_text, &t->pad, err);
	t->length = (int)length;
	return status;
}

/* ---- all of it ---- */

int tokenizer_open(const char *folder, struct tokenizer **out, struct error *err)
{
	struct loader l = {0};
	*out = NULL;
	l.t = calloc(1, sizeof *l.t);
	if (!l.t)
		return error_set(err, SUMI_NOMEM, "no memory for the tokenizer");
	int status = files_path(l.vocab_path, err, "%s/vocab.json", folder);
	if (!status)
		status = json_read_file(l.vocab_path, VOCAB_FILE_MAX, &l.vocab, err);
	if (!status)
		status = check_vocab(&l, err);
	if (!status)
		status = read_merges(&l, folder, err);
	if (!status)
		status = read_specials(&l, folder, err);
	if (!status) {
		map_bytes(&l);
		map_unknown_bytes(l.t);
	}
	json_decref(l.vocab);
	json_decref(l.config);
	json_decref(l.map);
	if (status) {
		tokenizer_close(l.t);
		return status;
	}
	*out = l.t;
	return SUMI_OK;
}

void tokenizer_close(struct tokenizer *t)
{
	if (!t)
		return;
	for (int i = 0; i < t->special_count; i++) {
		free(t->specials[i].text);
		free(t->specials[i].points);
	}
	free(t->specials);
	free(t->merges);
	free(t);
}
