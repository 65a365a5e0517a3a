/* One value of a parameter: checked, canonical, and out of text. */
#include "request/value.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/model_file.h"
#include "base/schedule.h"

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

int value_wrong(const struct param *p, struct error *err, const char *must)
{
	return error_set(err, SUMI_INVALID, "job: field '%s' must be %s", p->name, must);
}

/* ---- one value: checked, and in its canonical JSON type ------------------------------ */

/* A word in the table's own case. */
static int canonical_word(const struct param *p, unsigned modality, const json_t *value,
			  json_t **out, struct error *err)
{
	char list[320];
	const char *text = json_string_value(value);
	if (!text)
		return value_wrong(p, err, "a text");
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

/* A hash that is none must not be taken for the id of a result. */
static int check_file(const struct param *p, const char *text, struct error *err)
{
	char name[SHA256_HEX_SIZE];
	if (strncmp(text, "sha256:", 7) != 0 || strchr(text, '/') || sha256_is_name(text, name))
		return SUMI_OK;
	return error_set(err, SUMI_INVALID,
			 "job: field '%s': '%.80s' is no SHA-256: sha256: and 64 hexadecimal digits",
			 p->name, text);
}

static int check_text(const struct param *p, const char *text, size_t size, struct error *err)
{
	int from, to;
	if (strlen(text) != size)
		return value_wrong(p, err, "text without NUL characters");
	if (p->type == PARAM_URL && strncmp(text, "http://", 7) && strncmp(text, "https://", 8))
		return value_wrong(p, err, "a URL of http:// or https://");
	if ((double)size < p->min || (p->max > 0 && (double)size > p->max))
		return error_set(err, SUMI_INVALID,
				 "job: field '%s' is %zu bytes long, allowed are %.0f to %.0f",
				 p->name, size, p->min, p->max);
	switch (p->type) {
	case PARAM_FILE:
		return check_file(p, text, err);
	case PARAM_ID:
		return all_of(text, "._:-") ? SUMI_OK
					    : value_wrong(p, err, "made of A-Z a-z 0-9 . _ : - only");
	case PARAM_NAME:
		return all_of(text, "._:/+-")
			   ? SUMI_OK
			   : value_wrong(p, err, "made of A-Z a-z 0-9 . _ : / + - only");
	case PARAM_LABEL:
		return all_of(text, "._:/+- ")
			   ? SUMI_OK
			   : value_wrong(p, err, "made of A-Z a-z 0-9 . _ : / + - and spaces only");
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

/* JSON has one kind of number: 20.0 is 20. */
static bool is_whole(const json_t *value)
{
	double v = json_real_value(value);
	return json_is_real(value) && fabs(v) < 9007199254740992.0 && v == floor(v);
}

static int check_number(const struct param *p, const json_t *value, struct error *err)
{
	if (p->type == PARAM_INT && !json_is_integer(value) && !is_whole(value))
		return value_wrong(p, err, "a whole number");
	if (!json_is_number(value))
		return value_wrong(p, err, "a number");
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
		return value_wrong(p, err, "a time like \"2026-01-31T22:00:00Z\"");
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
		return value_wrong(p, err, "a list");
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
			return value_wrong(p, err,
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
	return list ? SUMI_OK : error_set(err, SUMI_NOMEM, "job: no memory");
}

bool param_seed(const json_t *value, uint64_t *seed)
{
	const char *text = json_string_value(value);
	if (json_is_integer(value)) {
		*seed = (uint64_t)json_integer_value(value);
		return json_integer_value(value) >= 0;
	}
	if (is_whole(value) && json_real_value(value) >= 0) { /* JavaScript may write a point */
		*seed = (uint64_t)json_real_value(value);
		return true;
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
	if ((text && strcmp(text, "-1") == 0) || (json_is_number(value) && json_number_value(value) == -1))
		return SUMI_OK;
	if (!param_seed(value, &seed))
		return value_wrong(p, err, "a whole number from 0 to 18446744073709551615, or -1");
	*out = param_seed_json(seed);
	return *out ? SUMI_OK : error_set(err, SUMI_NOMEM, "job: no memory");
}

/* A hash in one way of writing it. */
static json_t *canonical_file(json_t *value)
{
	char name[SHA256_HEX_SIZE];
	return sha256_is_name(json_string_value(value), name) ? json_string(name) : json_incref(value);
}

/* A text that is none of a choice's words, where others are allowed. */
static bool is_other_text(const struct param *p, const json_t *value)
{
	return p->flags & PARAM_OTHERS && json_is_string(value) && !param_word(p, json_string_value(value));
}

/* People name a model by its file; a path is left alone. */
static json_t *canonical_model(json_t *value)
{
	const char *text = json_string_value(value);
	return strchr(text, '/') ? json_incref(value) : json_stringn(text, model_name_length(text));
}

int value_canonical(const struct param *p, unsigned modality, json_t *value, json_t **out,
		    struct error *err)
{
	int status = SUMI_OK;
	*out = NULL;
	if (json_is_null(value))
		return SUMI_OK;
	switch (is_other_text(p, value) ? PARAM_TEXT : p->type) {
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
			return value_wrong(p, err, "true or false");
		break;
	case PARAM_TIME:
		status = canonical_time(p, value, out, err);
		break;
	case PARAM_ID_LIST:
	case PARAM_TEXT_LIST:
		return canonical_list(p, value, out, err);
	default:
		if (!json_is_string(value))
			return value_wrong(p, err, "a text");
		status = check_text(p, json_string_value(value), json_string_length(value), err);
	}
	if (status)
		return status;
	if (p->type == PARAM_INT && is_whole(value))
		*out = json_integer((json_int_t)json_real_value(value));
	else if (p->type != PARAM_TIME)
		*out = p->type == PARAM_FILE	    ? canonical_file(value)
		       : p->flags & PARAM_FILED ? canonical_model(value)
						: json_incref(value);
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

int value_from_text(const struct param *p, unsigned modality, const char *text, size_t size,
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
				return value_wrong(p, err,
					     p->type == PARAM_INT ? "a whole number" : "a number");
			raw = json_stringn(text, size);
		}
		break;
	case PARAM_BOOL:
		raw = bool_from_text(text, size);
		if (!raw)
			return value_wrong(p, err, "true or false");
		break;
	case PARAM_ID_LIST:
	case PARAM_TEXT_LIST:
		if (list_from_text(text, size, &raw))
			return value_wrong(p, err, "a list of valid UTF-8 texts, separated by commas");
		break;
	default:
		raw = json_stringn(text, size);
	}
	if (!raw)
		return value_wrong(p, err, "valid UTF-8");
	int status = value_canonical(p, modality, raw, value, err);
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
