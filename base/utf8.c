/* UTF-8: checking, decoding, encoding. */
#include "base/utf8.h"

#include <string.h>

size_t utf8_decode(const char *text, size_t size, uint32_t *code)
{
	const unsigned char *s = (const unsigned char *)text;
	if (size == 0)
		return 0;
	if (s[0] < 0x80) {
		*code = s[0];
		return 1;
	}
	size_t length = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
	if (s[0] < 0xC2 || s[0] > 0xF4 || size < length)
		return 0;
	uint32_t c = s[0] & (0xFFu >> (length + 1));
	for (size_t i = 1; i < length; i++) {
		if ((s[i] & 0xC0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3F);
	}
	static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
	if (c < smallest[length] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
		return 0;
	*code = c;
	return length;
}

size_t utf8_encode(uint32_t code, char out[4])
{
	if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
		return 0;
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	for (size_t i = length - 1; i > 0; i--) {
		out[i] = (char)(0x80 | (code & 0x3F));
		code >>= 6;
	}
	out[0] = (char)((0xF00u >> length & 0xF0) | code);
	return length;
}

bool utf8_valid(const char *text, size_t size)
{
	for (size_t i = 0; i < size;) {
		uint32_t code;
		size_t n = utf8_decode(text + i, size - i, &code);
		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

bool utf8_shows(uint32_t code)
{
	static const struct {
		uint32_t first, last;
	} obeyed[] = {
	    {0x00, 0x1F},     {0x7F, 0x9F},     /* C0, DEL, C1 */
	    {0x061C, 0x061C}, {0x200E, 0x200F}, /* marks of direction */
	    {0x2028, 0x2029},                   /* separators of lines and paragraphs */
	    {0x202A, 0x202E}, {0x2066, 0x2069}, /* embeddings, overrides, isolates */
	    {0xFEFF, 0xFEFF}, {0xFFF9, 0xFFFB}, /* byte order mark, annotations */
	    {0xE0000, 0xE007F},                 /* tags, which nobody sees */
	};
	for (size_t i = 0; i < sizeof obeyed / sizeof obeyed[0]; i++)
		if (code >= obeyed[i].first && code <= obeyed[i].last)
			return false;
	return true;
}

void utf8_make_printable(char *text)
{
	char *to = text, *end = text + strlen(text);
	while (text < end) {
		uint32_t code = 0;
		size_t n = utf8_decode(text, (size_t)(end - text), &code);
		if (n && utf8_shows(code)) {
			memmove(to, text, n);
			to += n;
		} else {
			*to++ = code == '\n' || code == '\t' ? ' ' : '?';
		}
		text += n ? n : 1;
		while (!n && text < end && ((unsigned char)*text & 0xC0) == 0x80)
			text++; /* one mark for all of a broken character */
	}
	*to = '\0';
}
