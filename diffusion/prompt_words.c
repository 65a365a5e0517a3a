/* What all that read prompts share: characters, words, and what they hand on. */
#include "diffusion/prompt.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"

bool prompt_is_space(unsigned c)
{
	return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
	       c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
	       c == 0x202f || c == 0x205f || c == 0x3000;
}

static bool is_digit(unsigned c)
{
	return utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_ND;
}

int prompt_digit(unsigned code)
{
	unsigned zero = code;
	if (code < 0x80)
		return isdigit((int)code) ? (int)(code - '0') : -1;
	if (!is_digit(code))
		return -1;
	while (is_digit(zero - 1)) /* they stand in rows of ten */
		zero--;
	return (int)((code - zero) % 10);
}

void prompt_plain_number(const char *text, size_t size, char *out, size_t room)
{
	size_t used = 0, n;
	uint32_t code;
	for (size_t i = 0; i < size && used + 1 < room; i += n ? n : 1) {
		n = utf8_decode(text + i, size - i, &code);
		int digit = n ? prompt_digit(code) : -1;
		out[used++] = digit < 0 ? text[i] : (char)('0' + digit);
	}
	out[used] = '\0';
}

static bool is_word(unsigned c)
{
	if (c < 0x80)
		return isalnum((int)c) || c == '_';
	switch (utf8proc_category((utf8proc_int32_t)c)) {
	case UTF8PROC_CATEGORY_LU:
	case UTF8PROC_CATEGORY_LL:
	case UTF8PROC_CATEGORY_LT:
	case UTF8PROC_CATEGORY_LM:
	case UTF8PROC_CATEGORY_LO:
	case UTF8PROC_CATEGORY_ND:
	case UTF8PROC_CATEGORY_NL:
	case UTF8PROC_CATEGORY_NO:
		return true;
	default:
		return false;
	}
}

/* The character that ends before text[at], 0 at the beginning. */
unsigned prompt_before(const char *text, size_t at)
{
	uint32_t code = 0;
	size_t from = at;
	while (from > 0 && at - from < 4) {
		from--;
		if (((unsigned char)text[from] & 0xC0) != 0x80)
			break;
	}
	return from < at && utf8_decode(text + from, at - from, &code) ? code : 0;
}

static unsigned behind(const char *text, size_t size, size_t at)
{
	uint32_t code = 0;
	return utf8_decode(text + at, size - at, &code) ? code : 0;
}

size_t prompt_find_word(const char *text, size_t size, size_t from, const char *word)
{
	size_t n = strlen(word);
	for (size_t i = from; i + n <= size; i++)
		if (memcmp(text + i, word, n) == 0 && !is_word(prompt_before(text, i)) &&
		    !is_word(behind(text, size, i + n)))
			return i;
	return SIZE_MAX;
}

void prompt_segments_free(struct prompt_segments *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->rows[i].text);
	free(s->rows);
	*s = (struct prompt_segments){0};
}
