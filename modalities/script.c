/* Stories from themes. */
#include "modalities/script.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <utf8proc.h>

#include "base/bytes.h"
#include "base/json.h"

#define WORDS_FILE "words.json"

enum { WORDS_BYTES = 1 << 20, THEME_WORDS = 64, WORD_BYTES = 64, STRANGERS = 4 };

/* What a theme says of a kind. */
struct meant {
	const char *kind;
	const json_t *value; /* borrowed */
};

struct script {
	const struct script_order *order;
	const char *language;
	bool russian;
	json_t *kinds; /* all packs' */
	uint64_t lot;
	struct meant known[THEME_WORDS];
	int known_count;
	char strangers[STRANGERS][WORD_BYTES]; /* words that no pack knows */
	int stranger_count;
	const json_t *style, *palette;
	const json_t *moods[3];
	int mood_count;
};

/* One scene's values; NULL: it is not said. */
struct shot {
	const json_t *subject, *weather, *time, *palette;
};

/* ---- lots -------------------------------------------------------------------------- */

/* SplitMix64. */
static uint64_t draw(struct script *s, uint64_t below)
{
	uint64_t z = s->lot += UINT64_C(0x9E3779B97F4A7C15);
	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return (z ^ z >> 31) % below;
}

/* ---- what packs say ---------------------------------------------------------------- */

static int check_kinds(const json_t *kinds, const char *path, struct error *err)
{
	size_t i, k;
	json_t *kind, *value;
	json_array_foreach((json_t *)kinds, i, kind)
	{
		const json_t *values = json_object_get(kind, "values");
		if (!json_is_string(json_object_get(kind, "kind")) || !json_array_size(values))
			return error_set(err, SUMI_INVALID, "%s: kinds, entry %zu: has no 'kind' or no 'values'", path, i + 1);
		json_array_foreach((json_t *)values, k, value)
			if (!json_is_string(json_object_get(value, "name")))
				return error_set(err, SUMI_INVALID, "%s: kinds, entry %zu: value %zu has no 'name'", path, i + 1,
						 k + 1);
	}
	return SUMI_OK;
}

/* Adds what a folder's words say; a pack without them is fine. */
static int add_words(struct script *s, const char *folder, struct error *err)
{
	char path[FILES_PATH_MAX];
	json_t *root = NULL;
	if (!folder[0])
		return SUMI_OK;
	int status = files_path(path, err, "%s/" WORDS_FILE, folder);
	if (!status && access(path, F_OK) != 0)
		return SUMI_OK;
	if (!status)
		status = json_read_file(path, WORDS_BYTES, &root, err);
	if (!status)
		status = check_kinds(json_object_get(root, "kinds"), path, err);
	if (!status)
		json_array_extend(s->kinds, json_object_get(root, "kinds"));
	json_decref(root);
	return status;
}

static const json_t *values_of(const struct script *s, const char *kind)
{
	size_t i;
	json_t *k;
	json_array_foreach(s->kinds, i, k)
		if (strcmp(json_string_value(json_object_get(k, "kind")), kind) == 0)
			return json_object_get(k, "values");
	return NULL;
}

static const char *name_of(const json_t *value)
{
	return value ? json_string_value(json_object_get(value, "name")) : NULL;
}

static bool holds(const json_t *list, const char *word)
{
	size_t i;
	json_t *one;
	json_array_foreach((json_t *)list, i, one)
		if (word && json_is_string(one) && strcmp(json_string_value(one), word) == 0)
			return true;
	return false;
}

/* One of a value's synonyms in the story's language; its name where it has none. */
static const char *say(struct script *s, const json_t *value)
{
	const json_t *words = json_object_get(value, s->language);
	const char *word = json_array_size(words)
			       ? json_string_value(json_array_get(words, draw(s, json_array_size(words))))
			       : NULL;
	return word ? word : name_of(value);
}

static const json_t *any_of(struct script *s, const char *kind)
{
	const json_t *values = values_of(s, kind);
	return values ? json_array_get(values, draw(s, json_array_size(values))) : NULL;
}

/* ---- the theme --------------------------------------------------------------------- */

/* The value whose beginning of a word is the longest that this word begins with. */
static struct meant meaning_of(const struct script *s, const char *word)
{
	struct meant best = {NULL, NULL};
	size_t longest = 0, i, j, k;
	json_t *kind, *value, *near;
	json_array_foreach(s->kinds, i, kind)
		json_array_foreach(json_object_get(kind, "values"), j, value)
			json_array_foreach(json_object_get(value, "near"), k, near)
	{
		const char *stem = json_string_value(near);
		size_t n = stem ? strlen(stem) : 0;
		if (n > longest && strncmp(word, stem, n) == 0) {
			longest = n;
			best = (struct meant){json_string_value(json_object_get(kind, "kind")), value};
		}
	}
	return best;
}

bool script_means(const struct pack_info *info, const char *kind, const char *word, char *name, size_t size)
{
	struct script s = {.kinds = json_array()};
	struct error ignored;
	utf8proc_uint8_t *small = NULL;
	struct meant m = {NULL, NULL};
	if (s.kinds && add_words(&s, info->path, &ignored) == SUMI_OK &&
	    utf8proc_map((const utf8proc_uint8_t *)word, 0, &small,
			 UTF8PROC_NULLTERM | UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD) >= 0)
		m = meaning_of(&s, (const char *)small);
	bool means = m.kind && strcmp(m.kind, kind) == 0;
	if (means)
		snprintf(name, size, "%s", name_of(m.value));
	free(small);
	json_decref(s.kinds);
	return means;
}

/* Words that join others. */
static bool is_small(const char *word)
{
	static const char *const small[] = {
	    "a", "an", "the", "of", "in", "on", "at", "and", "or", "with", "to", "from", "by", "is", "are", "was", "into", "over",
	    "under", "its", "his", "her", "their", "that", "this", "for", "as", "и", "в", "на", "с", "со", "под", "над", "из", "о",
	    "об", "по", "к", "у", "не", "за", "как", "что", "это", "для", "во", "от", "до", NULL};
	for (size_t i = 0; small[i]; i++)
		if (strcmp(small[i], word) == 0)
			return true;
	return false;
}

static void take_word(struct script *s, const char *word)
{
	struct meant m = meaning_of(s, word);
	if (m.kind) {
		bool there = s->known_count == THEME_WORDS;
		for (int i = 0; i < s->known_count; i++)
			there |= s->known[i].value == m.value;
		if (!there)
			s->known[s->known_count++] = m;
		return;
	}
	if (is_small(word) || s->stranger_count == STRANGERS)
		return;
	snprintf(s->strangers[s->stranger_count++], WORD_BYTES, "%s", word);
}

/* In small letters, word by word. */
static int read_theme(struct script *s, struct error *err)
{
	utf8proc_uint8_t *text = NULL;
	size_t at = 0;
	if (utf8proc_map((const utf8proc_uint8_t *)s->order->theme, 0, &text,
			 UTF8PROC_NULLTERM | UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD) < 0)
		return error_set(err, SUMI_INVALID, "the theme is not UTF-8");
	while (text[at]) {
		char word[WORD_BYTES];
		size_t n = 0;
		utf8proc_int32_t code;
		utf8proc_ssize_t step;
		for (; text[at] && (step = utf8proc_iterate(text + at, -1, &code)) > 0; at += (size_t)step) {
			utf8proc_category_t c = utf8proc_category(code);
			bool letter = c <= UTF8PROC_CATEGORY_LO || c == UTF8PROC_CATEGORY_ND || (n && code == '-');
			if (c == UTF8PROC_CATEGORY_CN || !letter || n + (size_t)step >= sizeof word)
				break;
			memcpy(word + n, text + at, (size_t)step);
			n += (size_t)step;
			s->russian |= code >= 0x400 && code < 0x530;
		}
		word[n] = '\0';
		if (n)
			take_word(s, word);
		else
			at++;
	}
	free(text);
	return SUMI_OK;
}

/* The number-th value of a kind that the theme names, or NULL. */
static const json_t *themed(const struct script *s, const char *kind, int number)
{
	for (int i = 0; i < s->known_count; i++)
		if (strcmp(s->known[i].kind, kind) == 0 && number-- == 0)
			return s->known[i].value;
	return NULL;
}

static int count_themed(const struct script *s, const char *kind)
{
	int n = 0;
	while (themed(s, kind, n))
		n++;
	return n;
}

/* ---- scenes ------------------------------------------------------------------------ */

/* What goes through the whole film. */
static void choose_frame(struct script *s)
{
	const json_t *style = themed(s, "style", 0);
	s->style = style ? style : any_of(s, "style");
	s->palette = themed(s, "palette", 0);
	for (int i = 0; i < 3; i++) {
		const json_t *mood = themed(s, "mood", i);
		for (int tries = 0; !mood && values_of(s, "mood") && tries < 16; tries++) {
			mood = any_of(s, "mood");
			for (int k = 0; k < s->mood_count; k++)
				mood = s->moods[k] == mood ? NULL : mood;
		}
		if (mood)
			s->moods[s->mood_count++] = mood;
	}
}

/* The theme's subjects one after the other, each with another beside it where it lasts. */
static const json_t *choose_subject(struct script *s, int k)
{
	int n = s->order->scenes, themes = count_themed(s, "subject");
	if (!themes)
		return any_of(s, "subject");
	int which = k * themes / n, first = (which * n + themes - 1) / themes;
	return (k - first) % 3 == 1 && k + 1 < n ? any_of(s, "subject") : themed(s, "subject", which);
}

/* A day passes, unless the theme names an hour; weather comes and goes. */
static struct shot choose_shot(struct script *s, int k)
{
	struct shot shot = {.subject = choose_subject(s, k), .palette = s->palette};
	const json_t *without = json_object_get(shot.subject, "without"), *times = values_of(s, "time");
	if (times && !holds(without, "time")) {
		const json_t *time = themed(s, "time", 0);
		shot.time = time ? time : json_array_get(times, (size_t)k * json_array_size(times) / (size_t)s->order->scenes);
	}
	if (!holds(without, "weather")) {
		const json_t *weather = themed(s, "weather", 0);
		shot.weather = weather ? weather : draw(s, 2) ? any_of(s, "weather") : NULL;
	}
	if (!shot.palette && draw(s, 3) == 0)
		shot.palette = any_of(s, "palette");
	return shot;
}

/* The first motion whose condition holds. */
static const json_t *motion_of(const struct script *s, const struct shot *shot)
{
	const struct meant has[] = {{"subject", shot->subject}, {"weather", shot->weather}, {"time", shot->time},
				    {"style", s->style}, {"palette", shot->palette}};
	const json_t *values = values_of(s, "motion");
	size_t i;
	json_t *value;
	json_array_foreach((json_t *)values, i, value)
	{
		const json_t *when = json_object_get(value, "when");
		const char *kind = json_string_value(json_object_get(when, "kind"));
		if (!when)
			return value;
		for (size_t k = 0; kind && k < sizeof has / sizeof has[0]; k++)
			if (strcmp(has[k].kind, kind) == 0 && holds(json_object_get(when, "of"), name_of(has[k].value)))
				return value;
	}
	return NULL;
}

static const char *field(const struct script *s, const char *english, const char *russian)
{
	return s->russian ? russian : english;
}

/* "the sea in fog at dawn, watercolour, golden tones" */
static void write_text(struct script *s, FILE *out, const struct shot *shot, const char *subject)
{
	fputs(subject ? subject : say(s, shot->subject), out);
	if (shot->weather)
		fprintf(out, " %s", say(s, shot->weather));
	if (shot->time)
		fprintf(out, " %s", say(s, shot->time));
	if (s->style)
		fprintf(out, ", %s", say(s, s->style));
	if (shot->palette)
		fprintf(out, ", %s", say(s, shot->palette));
	fputc('\n', out);
}

static void write_scene(struct script *s, FILE *out, int k, const struct shot *shot, const struct shot *before)
{
	int n = s->order->scenes, piece = s->mood_count ? k * s->mood_count / n : 0;
	const json_t *motion = motion_of(s, shot);
	fprintf(out, "\n%s: %g\n", field(s, "seconds", "секунды"), 3 + (double)draw(s, 5) / 2);
	if (s->mood_count && (k == 0 || (k - 1) * s->mood_count / n != piece))
		fprintf(out, "%s: %s\n", field(s, "mood", "настроение"), name_of(s->moods[piece]));
	if (before && before->subject != shot->subject)
		fprintf(out, "%s: %s\n", field(s, "transition", "переход"), field(s, "fade", "наплыв"));
	if (motion)
		fprintf(out, "%s: %s\n", field(s, "motion", "движение"), say(s, motion));
	write_text(s, out, shot, NULL);
}

/* A word of the theme that nobody here paints: the scene that it would be, as a comment. */
static void write_stranger(struct script *s, FILE *out, const char *word, const struct shot *shot)
{
	fprintf(out, s->russian ? "\n# «%s»: этого модели здесь не рисуют; с другой моделью уберите знак # ниже.\n# "
				: "\n# \"%s\": no pack here paints this; with one that does, take the # below away.\n# ",
		word);
	write_text(s, out, shot, word);
}

static void write_head(const struct script *s, FILE *out)
{
	fprintf(out, s->russian ? "# История для sumi film, сцен: %d. Её можно править.\n" : "# A story of %d scene%s for sumi film, to be edited.\n",
		s->order->scenes, s->order->scenes == 1 ? "" : "s");
	fputs(s->known_count ? field(s, "# Of the theme the packs know:", "# Из темы модели знают:")
			     : field(s, "# Of the theme the packs know nothing.", "# Из темы модели не знают ничего."),
	      out);
	for (int i = 0; i < s->known_count; i++)
		fprintf(out, "%s %s (%s)", i ? "," : "", name_of(s->known[i].value), s->known[i].kind);
	fprintf(out, "\n%s: ", field(s, "title", "название"));
	for (const char *p = s->order->theme; *p; p++)
		fputc((unsigned char)*p < 0x20 ? ' ' : *p, out);
	fputc('\n', out);
}

static void write_all(struct script *s, FILE *out)
{
	struct shot before = {NULL, NULL, NULL, NULL};
	int n = s->order->scenes;
	write_head(s, out);
	for (int k = 0, told = 0; k < n; k++) {
		struct shot shot = choose_shot(s, k);
		write_scene(s, out, k, &shot, k ? &before : NULL);
		while (told < s->stranger_count && (k + 1) * s->stranger_count >= (told + 1) * n)
			write_stranger(s, out, s->strangers[told++], &shot);
		before = shot;
	}
}

int script_write(const struct script_order *order, char **text, struct error *err)
{
	struct script *s = calloc(1, sizeof *s);
	size_t size;
	*text = NULL;
	if (!s || !(s->kinds = json_array())) {
		free(s);
		return error_set(err, SUMI_NOMEM, "out of memory");
	}
	s->order = order;
	s->lot = bytes_hash(BYTES_HASH_START, order->theme, strlen(order->theme)) ^ order->seed;
	int status = add_words(s, order->video->base, err);
	if (!status)
		status = add_words(s, order->video->path, err);
	if (!status && order->audio)
		status = add_words(s, order->audio->path, err);
	if (!status && !values_of(s, "subject"))
		status = error_set(err, SUMI_NOTFOUND, "model %s does not say what it can paint (%s): give another by --model",
				   order->video->name, WORDS_FILE);
	if (!status)
		status = read_theme(s, err);
	if (order->language)
		s->russian = strcmp(order->language, "ru") == 0;
	s->language = s->russian ? "ru" : "en";
	FILE *out = status ? NULL : open_memstream(text, &size);
	if (out) {
		choose_frame(s);
		write_all(s, out);
	}
	if (!status && (!out || fclose(out) != 0))
		status = error_set(err, SUMI_NOMEM, "no memory for a story");
	json_decref(s->kinds);
	free(s);
	return status;
}
