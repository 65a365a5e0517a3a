/* UTF-8: checking, decoding, encoding (RFC 3629: no surrogates, nothing overlong). */
#ifndef SUMI_BASE_UTF8_H
#define SUMI_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes the character at text[0…size) into *code. Returns its length, 0 when the bytes are
 * not UTF-8 or size is 0. */
size_t utf8_decode(const char *text, size_t size, uint32_t *code);

/* Writes code, at most 4 bytes. Returns the length, 0 for what is no character. */
size_t utf8_encode(uint32_t code, char out[4]);

bool utf8_valid(const char *text, size_t size);

/* Whether a terminal shows a character and obeys nothing: no control character (C0, DEL, C1), no
 * line or paragraph separator, nothing that turns the direction of what follows. */
bool utf8_shows(uint32_t code);

/* Replaces in place what a terminal would obey or cannot show: what utf8_shows() refuses and what
 * is not UTF-8 become '?', line breaks and tabs a space. It never grows. */
void utf8_make_printable(char *text);

#endif
