/* The tokenizer: from text to words, and from ids to chunks. */
#include "networks/tokenizer_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- normalising ---- */

/* Unicode's White_Space, which is what \s means in the tokenizers library. */
static bool is_space(utf8proc_int32_t c)
{
	return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
	       c == 0x205f || c == 0x3000;
}

/* NFC, then lower case character by character. One character grows: a capital I with dot
 * becomes i and a combining dot (SpecialCasing.txt). */
int tokenizer_normalise(const char *text, size_t size, utf8proc_int32_t **points, size_t *count,
			struct error *err)
{
	const utf8proc_option_t options = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
	const utf8proc_uint8_t *bytes = (const utf8proc_uint8_t *)text;
	utf8proc_ssize_t room = utf8proc_decompose(bytes, (utf8proc_ssize_t)size, NULL, 0, options);
	*points = NULL;
	*count = 0;
	if (room < 0)
		return error_set(err, SUMI_INVALID, "text: %s", utf8proc_errmsg(room));
	utf8proc_int32_t *composed = malloc(((size_t)room + 1) * sizeof *composed);
	utf8proc_int32_t *lower = malloc((2 * (size_t)room + 1) * sizeof *lower);
	if (!composed || !lower) {
		free(composed);
		free(lower);
		return error_set(err, SUMI_NOMEM, "no memory for the prompt's characters");
	}
	utf8proc_decompose(bytes, (utf8proc_ssize_t)size, composed, room, options);
	utf8proc_ssize_t n = utf8proc_normalize_utf32(composed, room, options);
	size_t filled = 0;
	for (utf8proc_ssize_t i = 0; i < n; i++) {
		lower[filled++] = composed[i] == 0x130 ? 'i' : utf8proc_tolower(composed[i]);
		if (composed[i] == 0x130)
			lower[filled++] = 0x307;
	}
	free(composed);
	*points = lower;
	*count = filled;
	return SUMI_OK;
}

/* ---- words ---- */

enum kind { KIND_SPACE, KIND_LETTER, KIND_NUMBER, KIND_OTHER };

static enum kind kind_of(utf8proc_int32_t c)
{
	if (is_space(c))
		return KIND_SPACE;
	switch (utf8proc_category(c)) {
	case UTF8PROC_CATEGORY_LU:
	case UTF8PROC_CATEGORY_LL:
	case UTF8PROC_CATEGORY_LT:
	case UTF8PROC_CATEGORY_LM:
	case UTF8PROC_CATEGORY_LO:
		return KIND_LETTER;
	case UTF8PROC_CATEGORY_ND:
	case UTF8PROC_CATEGORY_NL:
	case UTF8PROC_CATEGORY_NO:
		return KIND_NUMBER;
	default:
		return KIND_OTHER;
	}
}

static bool starts_with(const utf8proc_int32_t *points, size_t count, const char *ascii)
{
	size_t n = strlen(ascii);
	if (n > count)
		return false;
	for (size_t i = 0; i < n; i++)
		if (points[i] != ascii[i])
			return false;
	return true;
}

/* The length of the word at the start of points (count > 0), by the pattern
 * <\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
 * The byte-level step behind it splits the two marks once more, into "<|", word and "|>". */
static size_t word_length(const utf8proc_int32_t *points, size_t count)
{
	static const char *const endings[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
	if (starts_with(points, count, "<|startoftext|>") ||
	    starts_with(points, count, "<|endoftext|>"))
		return 2;
	for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
		if (starts_with(points, count, endings[i]))
			return strlen(endings[i]);
	enum kind kind = kind_of(points[0]);
	size_t n = 1;
	if (kind == KIND_NUMBER)
		return n;
	while (n < count && kind_of(points[n]) == kind)
		n++;
	return n;
}

/* Words of normalised text without special tokens in it. */
static int encode_words(const struct tokenizer *t, const utf8proc_int32_t *points, size_t count,
			struct tokenizer_ids *out, struct error *err)
{
	int status = SUMI_OK;
	unsigned char *bytes = malloc(4 * count + 1);
	size_t mark_end = 0; /* where the "|>" of a mark ends */
	if (!bytes)
		return error_set(err, SUMI_NOMEM, "no memory for the prompt's characters");
	for (size_t i = 0; i < count && !status;) {
		size_t n = word_length(points + i, count - i), size = 0;
		if (starts_with(points + i, count - i, "<|startoftext|>"))
			mark_end = i + strlen("<|startoftext|>");
		else if (starts_with(points + i, count - i, "<|endoftext|>"))
			mark_end = i + strlen("<|endoftext|>");
		if (i < mark_end && i + n > mark_end)
			n = mark_end - i;
		for (size_t k = i; k < i + n; k++)
			size += (size_t)utf8proc_encode_char(points[k], bytes + size);
		if (kind_of(points[i]) != KIND_SPACE)
			status = tokenizer_encode_word(t, bytes, size, out, err);
		i += n;
	}
	free(bytes);
	return status;
}

/* ---- special tokens ---- */

/* The longest special token at the start of normalised text, or NULL. */
static const struct tokenizer_special *
special_in_points(const struct tokenizer *t, const utf8proc_int32_t *points, size_t count)
{
	const struct tokenizer_special *best = NULL;
	for (int i = 0; i < t->special_count; i++) {
		const struct tokenizer_special *s = &t->specials[i];
		if (s->normalized && s->point_count && s->point_count <= count &&
		    (!best || s->point_count > best->point_count) &&
		    memcmp(points, s->points, s->point_count * sizeof *points) == 0)
			best = s;
	}
	return best;
}

static const struct tokenizer_special *special_in_text(const struct tokenizer *t, const char *text,
						       size_t size)
{
	const struct tokenizer_special *best = NULL;
	for (int i = 0; i < t->special_count; i++) {
		const struct tokenizer_special *s = &t->specials[i];
		if (!s->normalized && s->size <= size && (!best || s->size > best->size) &&
		    memcmp(text, s->text, s->size) == 0)
			best = s;
	}
	return best;
}

/* Text between special tokens of the raw kind. */
static int encode_between(const struct tokenizer *t, const char *text, size_t size,
			  struct tokenizer_ids *out, struct error *err)
{
	utf8proc_int32_t *points;
	size_t count, start = 0;
	int status = tokenizer_normalise(text, size, &points, &count, err);
	for (size_t i = 0; i < count && !status;) {
		const struct tokenizer_special *s = special_in_points(t, points + i, count - i);
		if (!s) {
			i++;
			continue;
		}
		status = encode_words(t, points + start, i - start, out, err);
		if (!status)
			status = tokenizer_push_id(out, s->id, err);
		i = start = i + s->point_count;
	}
	if (!status)
		status = encode_words(t, points + start, count - start, out, err);
	free(points);
	return status;
}

static int encode_text(const struct tokenizer *t, const char *text, size_t size,
		       struct tokenizer_ids *out, struct error *err)
{
	int status = SUMI_OK;
	size_t start = 0;
	for (size_t i = 0; i < size && !status;) {
		const struct tokenizer_special *s = special_in_text(t, text + i, size - i);
		if (!s) {
			i++;
			continue;
		}
		if (i > start)
			status = encode_between(t, text + start, i - start, out, err);
		if (!status)
			status = tokenizer_push_id(out, s->id, err);
		i = start = i + s->size;
	}
	if (!status && size > start)
		status = encode_between(t, text + start, size - start, out, err);
	return status;
}

/* ---- chunks ---- */

static int check_utf8(const char *text, size_t size, struct error *err)
{
	for (size_t i = 0; i < size;) {
		utf8proc_int32_t c;
		utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)text + i,
						      (utf8proc_ssize_t)(size - i), &c);
		if (n < 1)
			return error_set(err, SUMI_INVALID,
					 "prompt: byte %zu (0x%02x) is not valid UTF-8", i,
					 (unsigned char)text[i]);
		i += (size_t)n;
	}
	return SUMI_OK;
}

static int make_chunks(const struct tokenizer *t, const struct tokenizer_ids *ids, int min_chunks,
		       struct tokens *out, struct error *err)
{
	size_t room = (size_t)t->length - 2, count = ids->count;
	size_t chunks = count ? (count + room - 1) / room : 1;
	if (min_chunks > 0 && chunks < (size_t)min_chunks)
		chunks = (size_t)min_chunks;
	int32_t *row = calloc(chunks * (size_t)t->length, sizeof *row);
	if (!row)
		return error_set(err, SUMI_NOMEM, "no memory for the prompt's tokens");
	*out = (struct tokens){row, (int)chunks, t->length, (int)count};
	for (size_t c = 0; c < chunks; c++, row += t->length) {
		size_t from = c * room, n = from < count ? count - from : 0;
		if (n > room)
			n = room;
		tokenizer_row(t, n ? ids->ids + from : NULL, n, row);
	}
	return SUMI_OK;
}

void tokenizer_row(const struct tokenizer *t, const int32_t *ids, size_t n, int32_t *row)
{
	row[0] = t->bos;
	if (n)
		memcpy(row + 1, ids, n * sizeof *row);
	row[n + 1] = t->eos;
	for (size_t i = n + 2; i < (size_t)t->length; i++)
		row[i] = t->pad;
}

static int encode_checked(const struct tokenizer *t, const char *text, size_t size,
			  struct tokenizer_ids *ids, struct error *err)
{
	if (size > TOKENIZER_TEXT_MAX)
		return error_set(err, SUMI_TOOBIG, "prompt: %zu bytes, allowed are %d", size,
				 TOKENIZER_TEXT_MAX);
	int status = check_utf8(text, size, err);
	return status ? status : encode_text(t, text, size, ids, err);
}

int tokenizer_pieces(const struct tokenizer *t, const char *text, size_t size, int32_t **ids,
		     size_t *count, struct error *err)
{
	struct tokenizer_ids all = {0};
	int status = encode_checked(t, text, size, &all, err);
	if (status)
		free(all.ids);
	*ids = status ? NULL : all.ids;
	*count = status ? 0 : all.count;
	return status;
}

int tokenizer_encode(const struct tokenizer *t, const char *text, size_t size, int min_chunks,
		     struct tokens *out, struct error *err)
{
	struct tokenizer_ids ids = {0};
	*out = (struct tokens){0};
	if (min_chunks > TOKENIZER_TEXT_MAX)
		return error_set(err, SUMI_TOOBIG, "prompt: %d chunks, allowed are %d", min_chunks,
				 TOKENIZER_TEXT_MAX);
	int status = encode_checked(t, text, size, &ids, err);
	if (!status)
		status = make_chunks(t, &ids, min_chunks, out, err);
	free(ids.ids);
	return status;
}

void tokens_free(struct tokens *tokens)
{
	free(tokens->ids);
	*tokens = (struct tokens){0};
}

int tokenizer_length(const struct tokenizer *t)
{
	return t->length;
}

int tokenizer_vocab_size(const struct tokenizer *t)
{
	return t->vocab_size;
}
