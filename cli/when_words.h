/* The words of times, in English and Russian: what stands behind one another in "tomorrow at 6pm",
 * "через 2 часа", "22:00–06:00". */
#ifndef SUMI_CLI_WHEN_WORDS_H
#define SUMI_CLI_WHEN_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WHEN_WORDS_MAX = 16, WHEN_WORD_SIZE = 32 };

enum when_kind {
	WHEN_NOW,
	WHEN_PLUS,    /* "+", "in", "через" */
	WHEN_AGO,
	WHEN_AT,
	WHEN_DAY,     /* days from today */
	WHEN_TONIGHT,
	WHEN_WEEKDAY, /* 0 is Thursday: 1970 began with one */
	WHEN_MONTH,   /* 1 to 12 */
	WHEN_UNIT,    /* its seconds */
	WHEN_COUNT,   /* halves: "a", "half" */
	WHEN_HALF_OF_DAY, /* enum when_half */
	WHEN_CLOCK,   /* minutes of the day: "noon" */
	WHEN_OCLOCK,
	WHEN_FILLER,  /* says nothing: "next", "of" */
	WHEN_FROM,
	WHEN_TO,
	WHEN_EVERY,
	WHEN_DAILY,   /* seconds: "hourly" */
};

enum when_half { WHEN_AM, WHEN_PM, WHEN_EVENING, WHEN_NIGHT };

/* A text in words: numbers with what stands in them ("18:30", "31.12.2026"), and words in small letters. */
struct when_words {
	char at[WHEN_WORDS_MAX][WHEN_WORD_SIZE];
	size_t n, i; /* how many, and the next to be read */
};

/* False: too many or too long ones. range: a hyphen between numbers is a word, "22-06". */
bool when_split(const char *text, bool range, struct when_words *w);

/* The next word, "" behind the last. */
const char *when_next(const struct when_words *w);

/* Takes the next word if it is of that kind; *value (may be NULL): what the table says. */
bool when_take(struct when_words *w, enum when_kind kind, int *value);

/* "6:00", "18.30", "6pm", "6:30 am", "6 вечера", "noon" → minutes of the day, 0 to 1440, and seconds beside
 * them; −1: none, and nothing is taken. bare: an hour alone will do. */
int when_clock(struct when_words *w, bool bare, int *seconds);

/* "2h", "1 week", "half an hour", "полтора часа" one after the other; false: none, and nothing is taken. */
bool when_length(struct when_words *w, int64_t *ms);

#endif
