/* The words of times, in English and Russian. */
#include "cli/when_words.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MINUTE = 60, HOUR = 60 * MINUTE, DAY = 24 * HOUR };

/* A form that ends in * is a beginning. */
static const struct {
	enum when_kind kind;
	int value;
	const char *forms;
} vocabulary[] = {
    {WHEN_NOW, 0, "now сейчас"},
    {WHEN_PLUS, 0, "+ in через"},
    {WHEN_AGO, 0, "ago назад"},
    {WHEN_AT, 0, "at в во к @ t"},
    {WHEN_DAY, 0, "today сегодня"},
    {WHEN_DAY, 1, "tomorrow завтра"},
    {WHEN_DAY, 2, "послезавтра"},
    {WHEN_DAY, -1, "yesterday вчера"},
    {WHEN_DAY, -2, "позавчера"},
    {WHEN_TONIGHT, 0, "tonight"},
    {WHEN_WEEKDAY, 0, "thu thur thurs thursday чт четверг"},
    {WHEN_WEEKDAY, 1, "fri friday пт пятниц*"},
    {WHEN_WEEKDAY, 2, "sat saturday сб суббот*"},
    {WHEN_WEEKDAY, 3, "sun sunday вс воскресень*"},
    {WHEN_WEEKDAY, 4, "mon monday пн понедельник"},
    {WHEN_WEEKDAY, 5, "tue tues tuesday вт вторник"},
    {WHEN_WEEKDAY, 6, "wed wednes wednesday ср сред*"},
    {WHEN_MONTH, 1, "jan january янв*"},
    {WHEN_MONTH, 2, "feb february фев*"},
    {WHEN_MONTH, 3, "mar march мар*"},
    {WHEN_MONTH, 4, "apr april апр*"},
    {WHEN_MONTH, 5, "may май мая"},
    {WHEN_MONTH, 6, "jun june июн*"},
    {WHEN_MONTH, 7, "jul july июл*"},
    {WHEN_MONTH, 8, "aug august авг*"},
    {WHEN_MONTH, 9, "sep sept september сен*"},
    {WHEN_MONTH, 10, "oct october окт*"},
    {WHEN_MONTH, 11, "nov november ноя*"},
    {WHEN_MONTH, 12, "dec december дек*"},
    {WHEN_UNIT, 1, "s sec secs second seconds с сек секунд*"},
    {WHEN_UNIT, MINUTE, "m min mins minute minutes м мин минут*"},
    {WHEN_UNIT, HOUR, "h hr hrs hour hours ч час*"},
    {WHEN_UNIT, HOUR / 2, "полчаса"},
    {WHEN_UNIT, DAY, "d day days д дн дня дней день сут*"},
    {WHEN_UNIT, 7 * DAY, "w wk wks week weeks н нед недел*"},
    {WHEN_COUNT, 1, "half"},
    {WHEN_COUNT, 2, "a an one один одну"},
    {WHEN_COUNT, 3, "полтор*"},
    {WHEN_HALF_OF_DAY, WHEN_AM, "am утра"},
    {WHEN_HALF_OF_DAY, WHEN_PM, "pm"},
    {WHEN_HALF_OF_DAY, WHEN_EVENING, "дня вечера"},
    {WHEN_HALF_OF_DAY, WHEN_NIGHT, "ночи"},
    {WHEN_CLOCK, 12 * 60, "noon midday полдень"},
    {WHEN_CLOCK, 24 * 60, "midnight полночь"},
    {WHEN_OCLOCK, 0, "oclock ч час*"},
    {WHEN_FILLER, 0, "on next this of the на этот эту следующ* года г"},
    {WHEN_FROM, 0, "from between с со"},
    {WHEN_TO, 0, "- to till until and до по"},
    {WHEN_EVERY, 0, "every each кажд*"},
    {WHEN_DAILY, HOUR, "hourly ежечасно"},
    {WHEN_DAILY, DAY, "daily ежедневно"},
    {WHEN_DAILY, 7 * DAY, "weekly еженедельно"},
};

/* ---- a text in words ------------------------------------------------------------- */

static bool is_digit(char c)
{
	return isdigit((unsigned char)c);
}

/* A letter of Latin or Cyrillic, small in *out, ё as е; how many bytes it has, 0: none. */
static size_t letter(const char *p, char out[3])
{
	unsigned char a = (unsigned char)p[0], b = a ? (unsigned char)p[1] : 0;
	memset(out, 0, 3);
	if (isalpha(a)) {
		out[0] = (char)tolower(a);
		return 1;
	}
	if ((a != 0xD0 && a != 0xD1) || (b & 0xC0) != 0x80)
		return 0;
	int code = (a & 0x1F) << 6 | (b & 0x3F);
	if (code >= 0x410 && code < 0x430)
		code += 0x20;
	if (code == 0x401 || code == 0x451)
		code = 0x435;
	out[0] = (char)(0xC0 | code >> 6);
	out[1] = (char)(0x80 | (code & 0x3F));
	return 2;
}

/* The length of a dash between the two ends of a range, "22–06", "22..06"; 0: none. */
static size_t dash(const char *p)
{
	static const char *const dashes[] = {"-", "–", "—", "‒", "−", "..", "…"};
	for (size_t i = 0; i < sizeof dashes / sizeof dashes[0]; i++)
		if (strncmp(p, dashes[i], strlen(dashes[i])) == 0)
			return strlen(dashes[i]);
	return 0;
}

/* A number with what stands between its digits. 1,5 is 1.5. */
static size_t number(const char *p, bool range, char *out, size_t size)
{
	size_t n = 0;
	for (; n < size - 1; n++) {
		bool joint = p[n] && strchr(range ? ":.," : ":.,-", p[n]) && is_digit(p[n + 1]);
		if (!is_digit(p[n]) && !joint)
			break;
		out[n] = p[n] == ',' ? '.' : p[n];
	}
	out[n] = '\0';
	return n;
}

/* "p.m." is pm, "o'clock" oclock. */
static size_t word(const char *p, char *out, size_t size)
{
	size_t n = 0, used = 0, length;
	char small[3];
	for (;; n += length) {
		length = letter(p + n, small);
		if (!length && n && (p[n] == '.' || p[n] == '\'')) {
			length = 1;
			continue;
		}
		if (!length || used + length >= size)
			break;
		memcpy(out + used, small, length);
		used += length;
	}
	out[used] = '\0';
	return n;
}

bool when_split(const char *text, bool range, struct when_words *w)
{
	memset(w, 0, sizeof *w);
	for (const char *p = text; *p;) {
		if (*p == ' ' || *p == ',' || *p == '\t') {
			p++;
			continue;
		}
		if (w->n == WHEN_WORDS_MAX)
			return false;
		char *out = w->at[w->n++];
		size_t n = is_digit(*p) ? number(p, range, out, WHEN_WORD_SIZE)
					: word(p, out, WHEN_WORD_SIZE);
		if (!n && range && (n = dash(p)))
			strcpy(out, "-");
		else if (!n && (*p == '+' || *p == '@') && (n = 1))
			*out = *p;
		if (!n)
			return false;
		p += n;
		if (!range && is_digit(p[-1]) && *p == '.') /* "31.12." */
			p++;
	}
	return true;
}

const char *when_next(const struct when_words *w)
{
	return w->i < w->n ? w->at[w->i] : "";
}

static bool is_one_of(const char *word, const char *forms)
{
	for (const char *p = forms; *p; p += strspn(p, " ")) {
		size_t n = strcspn(p, " ");
		bool begins = p[n - 1] == '*';
		if (begins ? strncmp(word, p, n - 1) == 0
			   : strlen(word) == n && strncmp(word, p, n) == 0)
			return true;
		p += n;
	}
	return false;
}

bool when_take(struct when_words *w, enum when_kind kind, int *value)
{
	const char *next = when_next(w);
	if (!*next)
		return false;
	for (size_t i = 0; i < sizeof vocabulary / sizeof vocabulary[0]; i++)
		if (vocabulary[i].kind == kind && is_one_of(next, vocabulary[i].forms)) {
			if (value)
				*value = vocabulary[i].value;
			w->i++;
			return true;
		}
	return false;
}

/* ---- times of day and lengths ---------------------------------------------------- */

/* The hour by the half of the day that is said with it; −1: there is none such. */
static int hour_of(int hour, int half)
{
	if (hour > 12) /* "13pm" may mean 1 or 15; "в 22 часа вечера" is said */
		return half == WHEN_AM || half == WHEN_PM ? -1 : hour;
	if (half == WHEN_PM || half == WHEN_EVENING)
		return !hour ? -1 : hour < 12 ? hour + 12 : hour;
	if (hour == 12)
		return 0;
	return half == WHEN_NIGHT && hour > 6 ? hour + 12 : hour;
}

/* Two digits, and no third; −1: not so. */
static int two_digits(const char **p)
{
	if (!is_digit((*p)[0]) || !is_digit((*p)[1]) || is_digit((*p)[2]))
		return -1;
	*p += 2;
	return ((*p)[-2] - '0') * 10 + (*p)[-1] - '0';
}

int when_clock(struct when_words *w, bool bare, int *seconds)
{
	size_t before = w->i;
	int minute = 0, half;
	*seconds = 0;
	if (when_take(w, WHEN_CLOCK, &minute))
		return minute;
	const char *p = when_next(w);
	size_t digits = strspn(p, "0123456789");
	if (digits < 1 || digits > 2)
		return -1;
	int hour = atoi(p);
	p += digits;
	bool said = *p != '\0';
	if (*p && ((*p != ':' && *p != '.') || (p++, (minute = two_digits(&p)) < 0)))
		return -1;
	if (*p && (*p != ':' || (p++, (*seconds = two_digits(&p)) < 0) || *p))
		return -1;
	w->i++;
	said |= when_take(w, WHEN_OCLOCK, NULL);
	if (when_take(w, WHEN_HALF_OF_DAY, &half)) {
		hour = hour_of(hour, half);
		said = true;
	}
	if (hour >= 0 && minute < 60 && *seconds < 60 && (said || bare) &&
	    (hour < 24 || (hour == 24 && minute == 0 && *seconds == 0)))
		return hour * 60 + minute;
	w->i = before;
	return -1;
}

bool when_length(struct when_words *w, int64_t *ms)
{
	size_t before = w->i;
	double sum = 0;
	bool any = false;
	for (size_t begin = before;; begin = w->i, any = true) {
		char *end;
		int halves = 2, unit;
		double count = strtod(when_next(w), &end);
		if (is_digit(*when_next(w)) && *end == '\0')
			w->i++;
		else if (when_take(w, WHEN_COUNT, &halves))
			count = halves * 0.5;
		else if (!any)
			count = 1; /* "через час"; "3 часа дня" is a time */
		else
			break;
		if (halves == 1) /* half an hour */
			when_take(w, WHEN_COUNT, NULL);
		if (!when_take(w, WHEN_UNIT, &unit)) {
			w->i = begin;
			break;
		}
		sum += count * unit;
	}
	if (!any || sum > 1e9) {
		w->i = before;
		return false;
	}
	*ms = (int64_t)(sum * 1000 + 0.5);
	return true;
}
