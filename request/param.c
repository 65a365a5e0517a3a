/* Names and values of parameters: finding, checking, canonical form. */
#include "request/param.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/nearest.h"
#include "base/schedule.h"
#include "request/members.h"

static const struct param_word modality_words[] = {
#define X(NAME, name, ...) {#name, PARAM_ALL},
    MODALITY_TABLE(X)
#undef X
    {NULL, 0}};
static const struct param_word rng_words[] = {
    {"torch", PARAM_ALL}, {"philox", PARAM_ALL}, {NULL, 0}};
static const struct param_word precision_words[] = {
    {"auto", PARAM_ALL}, {"exact", PARAM_ALL}, {"half", PARAM_ALL}, {NULL, 0}};
/* The first that a modality knows is its usual one. */
static const struct param_word format_words[] = {{"webp", PARAM_IMAGE | PARAM_VIDEO},
						 {"png", PARAM_IMAGE | PARAM_VIDEO},
						 {"ogg", PARAM_AUDIO},
						 {"wav", PARAM_AUDIO},
						 {NULL, 0}};
static const struct param_word priority_words[] = {
    {"high", PARAM_ALL}, {"normal", PARAM_ALL}, {"batch", PARAM_ALL}, {NULL, 0}};

#define ROW(name, type, concern, modalities, min, max, words, fallback, flags, group, infotext,    \
	    help)                                                                                  \
	{#name,    PARAM_##type, PARAM_##concern, modalities,                                      \
	 min,      max,          words,           fallback,                                        \
	 flags,    PARAM_GROUP_##group, infotext, help,                                            \
	 offsetof(struct job, name)},

const struct param param_table[] = {PARAM_TABLE(ROW){.name = NULL}};

static const char *const group_titles[] = {
#define X(name, title) title,
    PARAM_GROUP_MAP(X)
#undef X
};

const char *param_group_title(enum param_group group)
{
	return group_titles[group];
}

const struct param *param_find(const char *name)
{
	for (const struct param *p = param_table; p->name; p++)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

const struct param *param_named(const char *name)
{
	static const char *const others[][2] = {{"cfg", "cfg_scale"},
						{"guidance", "cfg_scale"},
						{"guidance_scale", "cfg_scale"},
						{"negative", "negative_prompt"},
						{"neg_prompt", "negative_prompt"},
						{"num_inference_steps", "steps"},
						{"sampling_steps", "steps"},
						{"sampler_name", "sampler"},
						{"sampling_method", "sampler"},
						{"schedule", "scheduler"},
						{"schedule_type", "scheduler"},
						{"sd_model", "model"},
						{"checkpoint", "model"},
						{"denoising_strength", "strength"},
						{"init_image", "init"},
						{"init_img", "init"},
						{"variants", "n"},
						{"num_images", "n"},
						{"batch_count", "n"},
						{"tag", "tags"},
						{"seconds", "duration"}};
	char clean[64];
	size_t n = 0;
	for (; name[n] && n < sizeof clean - 1; n++) {
		unsigned char c = (unsigned char)name[n];
		clean[n] = c == '-' || c == ' ' ? '_' : (char)tolower(c);
	}
	clean[n] = '\0';
	const struct param *p = name[n] ? NULL : param_find(clean);
	for (size_t i = 0; !p && !name[n] && i < sizeof others / sizeof others[0]; i++)
		if (strcmp(others[i][0], clean) == 0)
			p = param_find(others[i][1]);
	return p;
}

const char *param_nearest(const char *name)
{
	struct nearest n = nearest_to(name);
	for (const struct param *p = param_table; p->name; p++)
		nearest_try(&n, p->name);
	return n.best;
}

unsigned param_modality(const char *name)
{
	enum modality_index i = modality_index(name);
	return i < MODALITIES ? 1u << i : 0;
}

const char *param_modality_names(unsigned modalities, char *out, size_t size)
{
	size_t used = 0;
	*out = '\0';
	for (unsigned i = 0; i < MODALITIES; i++) {
		bool more = used > 0, last = !(modalities >> (i + 1));
		if (!(modalities >> i & 1))
			continue;
		int n = snprintf(out + used, size - used, "%s%s",
				 !more  ? ""
				 : last ? " and "
					: ", ",
				 modality_names[i]);
		used += (size_t)n < size - used ? (size_t)n : 0;
	}
	return out;
}

const char *param_words(const struct param *p, unsigned modality, char *out, size_t size)
{
	size_t used = 0;
	*out = '\0';
	for (const struct param_word *w = p->words; w->word; w++) {
		char names[40] = "";
		if (!(w->modalities & modality))
			continue;
		bool some = modality == PARAM_ALL && w->modalities != PARAM_ALL;
		if (some)
			param_modality_names(w->modalities, names, sizeof names);
		int n = snprintf(out + used, size - used, "%s%s%s%s%s", used ? ", " : "", w->word,
				 some ? " (" : "", names, some ? ")" : "");
		used += (size_t)n < size - used ? (size_t)n : 0;
	}
	return out;
}

bool param_has_word(const struct param *p, unsigned modality, const char *word)
{
	const struct param_word *w = p->words;
	while (w->word && !(w->modalities & modality && strcmp(w->word, word) == 0))
		w++;
	return w->word != NULL;
}

const char *param_word(const struct param *p, const char *text)
{
	const struct param_word *w = p->words;
	while (w->word && strcasecmp(w->word, text) != 0)
		w++;
	return w->word;
}

const char *param_first_word(const struct param *p, unsigned modality)
{
	const struct param_word *w = p->words;
	while (w->word && !(w->modalities & modality))
		w++;
	return w->word;
}

static bool all_of(const char *text, const char *more)
{
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && !strchr(more, *text))
			return false;
	return true;
}

bool job_id_valid(const char *id)
{
	size_t n = strlen(id);
	return n >= 1 && n <= JOB_ID_MAX && all_of(id, "._:-");
}

static int wrong(const struct param *p, struct error *err, const char *must)
{
	return error_set(err, SUMI_INVALID, "job: field '%s' must be %s", p->name, must);
}

/* ---- one value: checked, and in its canonical JSON type ------------------------------ */

/* A word in the table's own case. */
static int canonical_word(const struct param *p, unsigned modality, const json_t *value,
			  json_t **out, struct error *err)
{
	char list[200];
	const char *text = json_string_value(value);
	if (!text)
		return wrong(p, err, "a text");
	/* NUL characters end no word. */
	const char *word = strlen(text) == json_string_length(value) ? param_word(p, text) : NULL;
	if (!word)
		return error_set(
		    err, SUMI_INVALID, "job: field '%s' must be one of %s", p->name,
		    param_words(p, modality ? modality : PARAM_ALL, list, sizeof list));
	*out = json_string(word);
	return *out ? SUMI_OK : error_set(err, SUMI_NOMEM, "job: no memory");
}

static int check_zone(const char *name, struct error *err)
{
	struct zone *zone;
	int status = zone_load(name, &zone, err);
	if (status) {
		error_prefix(err, "job: field 'tz'");
		return err->status = status == SUMI_NOTFOUND ? SUMI_INVALID : status;
	}
	zone_free(zone);
	return SUMI_OK;
}

static int check_text(const struct param *p, const char *text, size_t size, struct error *err)
{
	int from, to;
	if (strlen(text) != size)
		return wrong(p, err, "text without NUL characters");
	if (p->type == PARAM_URL && strncmp(text, "http://", 7) && strncmp(text, "https://", 8))
		return wrong(p, err, "a URL of http:// or https://");
	if ((double)size < p->min || (p->max > 0 && (double)size > p->max))
		return error_set(err, SUMI_INVALID,
				 "job: field '%s' is %zu bytes long, allowed are %.0f to %.0f",
				 p->name, size, p->min, p->max);
	switch (p->type) {
	case PARAM_ID:
		return all_of(text, "._:-") ? SUMI_OK
					    : wrong(p, err, "made of A-Z a-z 0-9 . _ : - only");
	case PARAM_NAME:
		return all_of(text, "._:/+-")
			   ? SUMI_OK
			   : wrong(p, err, "made of A-Z a-z 0-9 . _ : / + - only");
	case PARAM_LABEL:
		return all_of(text, "._:/+- ")
			   ? SUMI_OK
			   : wrong(p, err, "made of A-Z a-z 0-9 . _ : / + - and spaces only");
	case PARAM_WINDOW:
		return schedule_parse_window(text, &from, &to, err)
			   ? error_prefix(err, "job: field 'window'")
			   : SUMI_OK;
	case PARAM_ZONE:
		return check_zone(text, err);
	case PARAM_EVERY:
		return schedule_check_every(text, err) ? error_prefix(err, "job: field 'every'")
						       : SUMI_OK;
	default:
		return SUMI_OK;
	}
}

static int check_number(const struct param *p, const json_t *value, struct error *err)
{
	if (p->type == PARAM_INT && !json_is_integer(value))
		return wrong(p, err, "a whole number");
	if (!json_is_number(value))
		return wrong(p, err, "a number");
	double v = json_number_value(value);
	if (!(v >= p->min && v <= p->max))
		return error_set(err, SUMI_INVALID,
				 "job: field '%s' is %.15g, allowed are %.15g to %.15g", p->name, v,
				 p->min, p->max);
	return SUMI_OK;
}

/* Times become text in UTC, whatever form they came in. */
static int canonical_time(const struct param *p, json_t *value, json_t **out, struct error *err)
{
	char text[CLOCK_TEXT_SIZE];
	int64_t ms = 0;
	if (json_is_integer(value))
		ms = json_integer_value(value);
	else if (!json_is_string(value))
		return wrong(p, err, "a time like \"2026-01-31T22:00:00Z\"");
	else if (clock_parse(json_string_value(value), &ms, err))
		return error_prefix(err, "job: field '%s'", p->name);
	if (ms <= 0 || ms > INT64_C(4102444800000))
		return error_set(err, SUMI_INVALID, "job: field '%s' is not between 1970 and 2100",
				 p->name);
	clock_text(ms, text);
	*out = json_string(text);
	return SUMI_OK;
}

static int canonical_list(const struct param *p, json_t *value, json_t **out, struct error *err)
{
	if (!json_is_array(value))
		return wrong(p, err, "a list");
	size_t count = json_array_size(value);
	if (count > (size_t)p->max)
		return error_set(err, SUMI_INVALID,
				 "job: field '%s' has %zu entries, allowed are %.0f", p->name,
				 count, p->max);
	json_t *list = json_array();
	for (size_t i = 0; list && i < count; i++) {
		const json_t *entry = json_array_get(value, i);
		const char *text = json_string_value(entry);
		bool ok = text && strlen(text) == json_string_length(entry);
		if (p->type == PARAM_ID_LIST
			? !ok || !job_id_valid(text)
			: !ok || !*text || strlen(text) > 64 || strchr(text, ',')) {
			json_decref(list);
			return wrong(p, err,
				     p->type == PARAM_ID_LIST
					 ? "a list of job ids"
					 : "a list of texts of 1 to 64 bytes without commas");
		}
		bool twice = false;
		for (size_t k = 0; k < json_array_size(list); k++)
			twice =
			    twice || strcmp(json_string_value(json_array_get(list, k)), text) == 0;
		if (!twice)
			json_array_append_new(list, json_string(text));
	}
	*out = list;
	return SUMI_OK;
}

bool param_seed(const json_t *value, uint64_t *seed)
{
	const char *text = json_string_value(value);
	if (json_is_integer(value)) {
		*seed = (uint64_t)json_integer_value(value);
		return json_integer_value(value) >= 0;
	}
	if (!text || !isdigit((unsigned char)*text))
		return false;
	char *end;
	errno = 0;
	*seed = strtoull(text, &end, 10);
	return *end == '\0' && errno == 0;
}

/* -1 means "not given". */
static int canonical_seed(const struct param *p, const json_t *value, json_t **out,
			  struct error *err)
{
	uint64_t seed;
	const char *text = json_string_value(value);
	*out = NULL;
	if ((text && strcmp(text, "-1") == 0) ||
	    (json_is_integer(value) && json_integer_value(value) == -1))
		return SUMI_OK;
	if (!param_seed(value, &seed))
		return wrong(p, err, "a whole number from 0 to 18446744073709551615, or -1");
	*out = param_seed_json(seed);
	return *out ? SUMI_OK : error_set(err, SUMI_NOMEM, "job: no memory");
}

int param_canonical(const struct param *p, unsigned modality, json_t *value, json_t **out,
		    struct error *err)
{
	int status = SUMI_OK;
	*out = NULL;
	if (json_is_null(value))
		return SUMI_OK;
	switch (p->type) {
	case PARAM_SEED:
		return canonical_seed(p, value, out, err);
	case PARAM_WORD:
	case PARAM_RANK:
		return canonical_word(p, modality, value, out, err);
	case PARAM_INT:
	case PARAM_NUMBER:
	case PARAM_AMOUNT:
		status = check_number(p, value, err);
		break;
	case PARAM_BOOL:
		if (!json_is_boolean(value))
			return wrong(p, err, "true or false");
		break;
	case PARAM_TIME:
		status = canonical_time(p, value, out, err);
		break;
	case PARAM_ID_LIST:
	case PARAM_TEXT_LIST:
		status = canonical_list(p, value, out, err);
		break;
	default:
		if (!json_is_string(value))
			return wrong(p, err, "a text");
		status = check_text(p, json_string_value(value), json_string_length(value), err);
	}
	if (status)
		return status;
	if (p->type != PARAM_TIME && p->type != PARAM_ID_LIST && p->type != PARAM_TEXT_LIST)
		*out = json_incref(value);
	return *out ? SUMI_OK : error_set(err, SUMI_NOMEM, "job: no memory");
}

static int list_from_text(const char *text, size_t size, json_t **value)
{
	json_t *list = json_array();
	for (size_t at = 0; list && at < size;) {
		const char *comma = memchr(text + at, ',', size - at);
		size_t n = comma ? (size_t)(comma - text) - at : size - at;
		size_t skip = 0, keep = n;
		while (skip < keep && text[at + skip] == ' ')
			skip++;
		while (keep > skip && text[at + keep - 1] == ' ')
			keep--;
		json_t *entry = json_stringn(text + at + skip, keep - skip);
		if (!entry || json_array_append_new(list, entry)) {
			json_decref(list);
			return SUMI_INVALID;
		}
		at += n + 1;
	}
	*value = list;
	return list ? SUMI_OK : SUMI_NOMEM;
}

static json_t *bool_from_text(const char *text, size_t size)
{
	static const char *const yes[] = {"true", "1", "yes", "on"}, *const no[] = {"false", "0",
										    "no", "off"};
	for (size_t i = 0; i < 4; i++) {
		if (strlen(yes[i]) == size && strncasecmp(yes[i], text, size) == 0)
			return json_true();
		if (strlen(no[i]) == size && strncasecmp(no[i], text, size) == 0)
			return json_false();
	}
	return NULL;
}

int param_from_text(const struct param *p, unsigned modality, const char *text, size_t size,
		    json_t **value, struct error *err)
{
	json_t *raw = NULL;
	*value = NULL;
	switch (p->type) {
	case PARAM_INT:
	case PARAM_NUMBER:
	case PARAM_AMOUNT:
	case PARAM_TIME:
		/* JSON's own grammar of numbers: no locale, no trailing characters. */
		raw = json_loadb(text, size, JSON_DECODE_ANY, NULL);
		if (!json_is_number(raw)) {
			json_decref(raw);
			if (p->type != PARAM_TIME)
				return wrong(p, err,
					     p->type == PARAM_INT ? "a whole number" : "a number");
			raw = json_stringn(text, size);
		}
		break;
	case PARAM_BOOL:
		raw = bool_from_text(text, size);
		if (!raw)
			return wrong(p, err, "true or false");
		break;
	case PARAM_ID_LIST:
	case PARAM_TEXT_LIST:
		if (list_from_text(text, size, &raw))
			return wrong(p, err, "a list of valid UTF-8 texts, separated by commas");
		break;
	default:
		raw = json_stringn(text, size);
	}
	if (!raw)
		return wrong(p, err, "valid UTF-8");
	int status = param_canonical(p, modality, raw, value, err);
	json_decref(raw);
	if (!status && !*value)
		*value = json_null();
	return status;
}

json_t *param_seed_json(uint64_t seed)
{
	char text[24];
	if (seed <= INT64_MAX)
		return json_integer((json_int_t)seed);
	snprintf(text, sizeof text, "%" PRIu64, seed);
	return json_string(text);
}
