/* The job's schema as one table, and what is made from it: parsing, limits, canonical JSON. */
#include "queue/job.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/ulid.h"
#include "queue/schedule.h"

#define EVERY_SUFFIX_SIZE 17 /* ".20261122T220000Z" behind the ids of later occurrences */
#define INT63_MAX 9223372036854775807.0
#define KIB 1024

static const char *const modality_words[] = {"image", "video", "audio", NULL};
static const char *const rng_words[] = {"torch", "philox", NULL};
static const char *const format_words[] = {"webp", "png", "ogg", "wav", NULL};
static const char *const priority_words[] = {"high", "normal", "batch", NULL};

#define ROW(name, type, min, max, words, fallback, render, help)                                   \
	{                                                                                          \
#name, type, min, max, words, fallback, render, help, offsetof(struct job, name)   \
	}

const struct job_field job_fields[] = {
    ROW(id, JOB_ID, 1, JOB_ID_MAX, NULL, NULL, false,
	"the sender's own id; sending it twice makes one job; a ULID when not given"),
    ROW(modality, JOB_WORD, 0, 0, modality_words, NULL, true, "what is to be made; required"),
    ROW(prompt, JOB_TEXT, 1, 8 * KIB, NULL, NULL, true, "what it shall show; required"),
    ROW(negative_prompt, JOB_TEXT, 0, 8 * KIB, NULL, NULL, true, "what it shall not show"),
    ROW(model, JOB_NAME, 1, 128, NULL, NULL, true, "model pack; the worker's own when not given"),
    ROW(seed, JOB_INT, -1, INT63_MAX, NULL, "-1", true,
	"-1 draws one and records it; variant k uses seed + k"),
    ROW(n, JOB_INT, 1, 64, NULL, "1", true, "variants"),
    ROW(steps, JOB_INT, 1, 1000, NULL, NULL, true, "sampler steps"),
    ROW(cfg_scale, JOB_NUMBER, 0, 100, NULL, NULL, true, "weight of the prompt; 1 is unguided"),
    ROW(guidance_rescale, JOB_NUMBER, 0, 1, NULL, NULL, true,
	"against overexposure by high cfg_scale"),
    ROW(guidance_start, JOB_NUMBER, 0, 1, NULL, NULL, true,
	"part of the run from which on it is guided; 0 when not given"),
    ROW(guidance_end, JOB_NUMBER, 0, 1, NULL, NULL, true,
	"part of the run up to which it is guided; 1 when not given or 0"),
    ROW(deep_cache, JOB_INT, 1, 10, NULL, NULL, true,
	"every so many steps run the whole model, the others its top; 1 is off"),
    ROW(deep_cache_level, JOB_INT, 1, 64, NULL, NULL, true,
	"with deep_cache: skip connections of that top; 1 when not given"),
    ROW(sampler, JOB_NAME, 1, 64, NULL, NULL, true, "sampler, such as euler or dpm++2m"),
    ROW(scheduler, JOB_NAME, 1, 64, NULL, NULL, true, "spacing of the steps, such as karras"),
    ROW(rng, JOB_WORD, 0, 0, rng_words, NULL, true, "source of the noise"),
    ROW(eta, JOB_NUMBER, 0, 1, NULL, NULL, true, "noise added in each step of DDIM and TCD"),
    ROW(clip_skip, JOB_INT, 0, 12, NULL, NULL, true, "layers of the text encoder left out"),
    ROW(fast, JOB_BOOL, 0, 0, NULL, NULL, true, "use the pack's distilled model"),
    ROW(width, JOB_INT, 16, 8192, NULL, NULL, true, "pixels"),
    ROW(height, JOB_INT, 16, 8192, NULL, NULL, true, "pixels"),
    ROW(format, JOB_WORD, 0, 0, format_words, NULL, true, "kind of file"),
    ROW(quality, JOB_NUMBER, 0, 100, NULL, NULL, true, "of a lossy format"),
    ROW(lossless, JOB_BOOL, 0, 0, NULL, NULL, true, "lossless WebP"),
    ROW(init, JOB_TEXT, 1, 4096, NULL, NULL, true, "start from this artifact (its id) or file"),
    ROW(strength, JOB_NUMBER, 0, 1, NULL, NULL, true, "with init: how much is made anew"),
    ROW(duration, JOB_NUMBER, 1, 300, NULL, NULL, true, "audio: seconds"),
    ROW(mood, JOB_NAME, 1, 64, NULL, NULL, true, "audio: a row of the pack's table"),
    ROW(frames, JOB_INT, 2, 64, NULL, NULL, true, "video: pictures"),
    ROW(fps, JOB_INT, 1, 60, NULL, NULL, true, "video: pictures a second"),
    ROW(loop, JOB_BOOL, 0, 0, NULL, NULL, true, "the end joins the beginning"),
    ROW(reverse, JOB_BOOL, 0, 0, NULL, NULL, true, "video: backwards"),
    ROW(boomerang, JOB_BOOL, 0, 0, NULL, NULL, true, "video: forwards, then backwards"),
    ROW(loop_count, JOB_INT, 0, 65535, NULL, NULL, true,
	"video: how often a player shows it; 0: for ever"),
    ROW(priority, JOB_RANK, 0, 0, priority_words, "normal", false,
	"high goes first and may interrupt; batch waits for all others"),
    ROW(not_before, JOB_TIME, 0, 0, NULL, NULL, false, "earliest start"),
    ROW(deadline, JOB_TIME, 0, 0, NULL, NULL, false, "fails when not done by then"),
    ROW(window, JOB_WINDOW, 1, 32, NULL, NULL, false,
	"time of day in which it runs; unfinished, it goes on the next day"),
    ROW(tz, JOB_ZONE, 1, SCHEDULE_ZONE_SIZE - 1, NULL, NULL, false,
	"time zone of window and every; the daemon's when not given"),
    ROW(every, JOB_EVERY, 1, 32, NULL, NULL, false, "again after a duration, or daily at a time"),
    ROW(after, JOB_ID_LIST, 1, JOB_MAX_AFTER, NULL, NULL, false,
	"waits for these jobs; fails when one of them does"),
    ROW(max_attempts, JOB_INT, 1, 100, NULL, "3", false,
	"failures, and apart from them crashes, until it is put aside"),
    ROW(tags, JOB_TEXT_LIST, 1, JOB_MAX_TAGS, NULL, NULL, false, "words to find it by"),
    ROW(notify, JOB_TEXT, 8, 1024, NULL, NULL, false, "http(s) URL that is told of the end"),
    ROW(submitter, JOB_ID, 1, JOB_ID_MAX, NULL, "anonymous", false,
	"who sends it; senders of one priority take turns"),
    {NULL, JOB_TEXT, 0, 0, NULL, NULL, false, NULL, 0}};

static const char *const state_words[] = {
#define X(name, word) word,
    JOB_STATE_MAP(X)
#undef X
};

const char *job_state_word(enum job_state state)
{
	return (unsigned)state < JOB_STATES ? state_words[state] : "unknown";
}

int job_state_from_word(const char *word)
{
	for (int i = 0; i < JOB_STATES; i++)
		if (strcmp(state_words[i], word) == 0)
			return i;
	return -1;
}

bool job_state_is_final(enum job_state state)
{
	return state == JOB_DONE || state == JOB_FAILED || state == JOB_CANCELLED;
}

const struct job_field *job_field_find(const char *name)
{
	for (const struct job_field *f = job_fields; f->name; f++)
		if (strcmp(f->name, name) == 0)
			return f;
	return NULL;
}

/* Levenshtein's distance, for texts shorter than 32 bytes. */
static size_t distance(const char *a, const char *b)
{
	size_t row[33], n = strlen(b);
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0];
		row[0] = i + 1;
		for (size_t j = 1; j <= n; j++) {
			size_t change = diagonal + (a[i] != b[j - 1]);
			diagonal = row[j];
			size_t shift = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
			row[j] = change < shift ? change : shift;
		}
	}
	return row[n];
}

const char *job_field_nearest(const char *name)
{
	const char *best = NULL;
	size_t size = strlen(name), least = size < 5 ? 2 : 3;
	if (size >= 32)
		return NULL;
	for (const struct job_field *f = job_fields; f->name; f++) {
		size_t d = distance(name, f->name);
		if (d < least && d < strlen(f->name)) {
			least = d;
			best = f->name;
		}
	}
	return best;
}

static int unknown_field(const char *name, struct error *err)
{
	char shown[41];
	snprintf(shown, sizeof shown, "%s", name);
	for (char *p = shown; *p; p++)
		if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7F)
			*p = '?';
	const char *nearest = job_field_nearest(name);
	if (nearest)
		return error_set(err, SUMI_INVALID, "job: unknown field '%s' (did you mean '%s'?)",
				 shown, nearest);
	return error_set(err, SUMI_INVALID, "job: unknown field '%s'", shown);
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

size_t job_series_length(const char *id)
{
	static const char shape[] = ".00000000T000000Z";
	size_t n = strlen(id);
	if (n <= EVERY_SUFFIX_SIZE)
		return n;
	const char *tail = id + n - EVERY_SUFFIX_SIZE;
	for (size_t i = 0; shape[i]; i++)
		if (shape[i] == '0' ? !isdigit((unsigned char)tail[i]) : tail[i] != shape[i])
			return n;
	return n - EVERY_SUFFIX_SIZE;
}

static int wrong(const struct job_field *f, struct error *err, const char *must)
{
	return error_set(err, SUMI_INVALID, "job: field '%s' must be %s", f->name, must);
}

/* ---- one value: checked, and in its canonical JSON type ------------------------------ */

static int check_words(const struct job_field *f, const char *text, struct error *err)
{
	char list[200] = "";
	size_t used = 0;
	for (const char *const *w = f->words; *w; w++) {
		if (strcmp(*w, text) == 0)
			return SUMI_OK;
		int n = snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", *w);
		used += (size_t)n < sizeof list - used ? (size_t)n : 0;
	}
	return error_set(err, SUMI_INVALID, "job: field '%s' must be one of %s", f->name, list);
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

static int check_text(const struct job_field *f, const char *text, size_t size, struct error *err)
{
	int from, to;
	if (strlen(text) != size)
		return wrong(f, err, "text without NUL characters");
	if ((double)size < f->min || (f->max > 0 && (double)size > f->max))
		return error_set(err, SUMI_INVALID,
				 "job: field '%s' is %zu bytes long, allowed are %.0f to %.0f",
				 f->name, size, f->min, f->max);
	switch (f->type) {
	case JOB_ID:
		return all_of(text, "._:-") ? SUMI_OK
					    : wrong(f, err, "made of A-Z a-z 0-9 . _ : - only");
	case JOB_NAME:
		return all_of(text, "._:/+-")
			   ? SUMI_OK
			   : wrong(f, err, "made of A-Z a-z 0-9 . _ : / + - only");
	case JOB_WORD:
	case JOB_RANK:
		return check_words(f, text, err);
	case JOB_WINDOW:
		return schedule_parse_window(text, &from, &to, err)
			   ? error_prefix(err, "job: field 'window'")
			   : SUMI_OK;
	case JOB_ZONE:
		return check_zone(text, err);
	case JOB_EVERY:
		return schedule_check_every(text, err) ? error_prefix(err, "job: field 'every'")
						       : SUMI_OK;
	default:
		return SUMI_OK;
	}
}

static int check_number(const struct job_field *f, const json_t *value, struct error *err)
{
	if (f->type == JOB_INT && !json_is_integer(value))
		return wrong(f, err, "a whole number");
	if (!json_is_number(value))
		return wrong(f, err, "a number");
	double v = json_number_value(value);
	if (!(v >= f->min && v <= f->max))
		return error_set(err, SUMI_INVALID,
				 "job: field '%s' is %.15g, allowed are %.15g to %.15g", f->name, v,
				 f->min, f->max);
	return SUMI_OK;
}

/* Times become text in UTC, whatever form they came in. */
static int canonical_time(const struct job_field *f, json_t *value, json_t **out, struct error *err)
{
	char text[CLOCK_TEXT_SIZE];
	int64_t ms = 0;
	if (json_is_integer(value))
		ms = json_integer_value(value);
	else if (!json_is_string(value))
		return wrong(f, err, "a time like \"2026-01-31T22:00:00Z\"");
	else if (clock_parse(json_string_value(value), &ms, err))
		return error_prefix(err, "job: field '%s'", f->name);
	if (ms <= 0 || ms > INT64_C(4102444800000))
		return error_set(err, SUMI_INVALID, "job: field '%s' is not between 1970 and 2100",
				 f->name);
	clock_text(ms, text);
	*out = json_string(text);
	return SUMI_OK;
}

static int canonical_list(const struct job_field *f, json_t *value, json_t **out, struct error *err)
{
	if (!json_is_array(value))
		return wrong(f, err, "a list");
	size_t count = json_array_size(value);
	if (count > (size_t)f->max)
		return error_set(err, SUMI_INVALID,
				 "job: field '%s' has %zu entries, allowed are %.0f", f->name,
				 count, f->max);
	json_t *list = json_array();
	for (size_t i = 0; list && i < count; i++) {
		const json_t *entry = json_array_get(value, i);
		const char *text = json_string_value(entry);
		bool ok = text && strlen(text) == json_string_length(entry);
		if (f->type == JOB_ID_LIST
			? !ok || !job_id_valid(text)
			: !ok || !*text || strlen(text) > 64 || strchr(text, ',')) {
			json_decref(list);
			return wrong(f, err,
				     f->type == JOB_ID_LIST
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

/* *out: a new reference, NULL where the value means "not given". */
static int canonical(const struct job_field *f, json_t *value, json_t **out, struct error *err)
{
	int status = SUMI_OK;
	*out = NULL;
	if (json_is_null(value))
		return SUMI_OK;
	switch (f->type) {
	case JOB_INT:
	case JOB_NUMBER:
		status = check_number(f, value, err);
		break;
	case JOB_BOOL:
		if (!json_is_boolean(value))
			return wrong(f, err, "true or false");
		break;
	case JOB_TIME:
		status = canonical_time(f, value, out, err);
		break;
	case JOB_ID_LIST:
	case JOB_TEXT_LIST:
		status = canonical_list(f, value, out, err);
		break;
	default:
		if (!json_is_string(value))
			return wrong(f, err, "a text");
		status = check_text(f, json_string_value(value), json_string_length(value), err);
	}
	if (status)
		return status;
	if (f->type != JOB_TIME && f->type != JOB_ID_LIST && f->type != JOB_TEXT_LIST)
		*out = json_incref(value);
	return *out ? SUMI_OK : error_set(err, SUMI_NOMEM, "job: no memory");
}

static int list_from_text(const char *text, size_t size, json_t **value)
{
	json_t *list = json_array();
	for (size_t at = 0; list && at < size;) {
		const char *comma = memchr(text + at, ',', size - at);
		size_t n = comma ? (size_t)(comma - text) - at : size - at;
		while (n > 0 && text[at] == ' ')
			at++, n--;
		json_t *entry = json_stringn(text + at, n);
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
		if (strlen(yes[i]) == size && memcmp(yes[i], text, size) == 0)
			return json_true();
		if (strlen(no[i]) == size && memcmp(no[i], text, size) == 0)
			return json_false();
	}
	return NULL;
}

int job_field_value(const struct job_field *f, const char *text, size_t size, json_t **value,
		    struct error *err)
{
	json_t *raw = NULL;
	*value = NULL;
	switch (f->type) {
	case JOB_INT:
	case JOB_NUMBER:
	case JOB_TIME:
		/* JSON's own grammar of numbers: no locale, no trailing characters. */
		raw = json_loadb(text, size, JSON_DECODE_ANY, NULL);
		if (!json_is_number(raw)) {
			json_decref(raw);
			if (f->type != JOB_TIME)
				return wrong(f, err,
					     f->type == JOB_INT ? "a whole number" : "a number");
			raw = json_stringn(text, size);
		}
		break;
	case JOB_BOOL:
		raw = bool_from_text(text, size);
		if (!raw)
			return wrong(f, err, "true or false");
		break;
	case JOB_ID_LIST:
	case JOB_TEXT_LIST:
		if (list_from_text(text, size, &raw))
			return wrong(f, err, "a list of valid UTF-8 texts, separated by commas");
		break;
	default:
		raw = json_stringn(text, size);
	}
	if (!raw)
		return wrong(f, err, "valid UTF-8");
	int status = canonical(f, raw, value, err);
	json_decref(raw);
	return status;
}

/* ---- the whole job ------------------------------------------------------------------- */

static void fill_list(const json_t *list, const char **out, size_t *count)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		out[(*count)++] = json_string_value(json_array_get(list, i));
}

/* Sets the field's place in the struct from its canonical value. */
static void fill(struct job *job, const struct job_field *f, const json_t *value)
{
	void *at = (char *)job + f->offset;
	int64_t rank = 0;
	switch (f->type) {
	case JOB_INT:
		*(int64_t *)at = json_integer_value(value);
		break;
	case JOB_NUMBER:
		*(double *)at = json_number_value(value);
		break;
	case JOB_BOOL:
		*(bool *)at = json_is_true(value);
		break;
	case JOB_TIME:
		clock_parse(json_string_value(value), at, NULL);
		break;
	case JOB_RANK:
		while (strcmp(f->words[rank], json_string_value(value)) != 0)
			rank++;
		*(int64_t *)at = rank;
		break;
	case JOB_ID_LIST:
		fill_list(value, job->after, &job->after_count);
		break;
	case JOB_TEXT_LIST:
		fill_list(value, job->tags, &job->tag_count);
		break;
	default:
		*(const char **)at = json_string_value(value);
	}
}

static void fill_fallback(struct job *job, const struct job_field *f)
{
	void *at = (char *)job + f->offset;
	json_t *value = NULL;
	if (f->type == JOB_NUMBER)
		*(double *)at = NAN;
	if (!f->fallback)
		return;
	if (f->type == JOB_ID) /* borrowed from the table, which outlives the job */
		*(const char **)at = f->fallback;
	else if (job_field_value(f, f->fallback, strlen(f->fallback), &value, NULL) == SUMI_OK)
		fill(job, f, value);
	json_decref(value);
}

/* What concerns more than one field. */
static int check_together(const struct job *job, struct error *err)
{
	if (!job->modality)
		return error_set(err, SUMI_INVALID,
				 "job: field 'modality' is missing: image, video or audio");
	/* A mood brings its own. */
	if (!job->prompt && !job->mood)
		return error_set(err, SUMI_INVALID, "job: field 'prompt' is missing");
	if (job->deadline && job->deadline <= job->not_before)
		return error_set(err, SUMI_INVALID,
				 "job: field 'deadline' is not later than 'not_before'");
	if (job->every && job->id && job_series_length(job->id) + EVERY_SUFFIX_SIZE > JOB_ID_MAX)
		return error_set(err, SUMI_INVALID,
				 "job: field 'id' of a recurring job is longer than %d bytes",
				 JOB_ID_MAX - EVERY_SUFFIX_SIZE);
	if (job->every && job->after_count)
		return error_set(err, SUMI_INVALID,
				 "job: fields 'every' and 'after' exclude each other");
	if (job->notify && strncmp(job->notify, "http://", 7) &&
	    strncmp(job->notify, "https://", 8))
		return error_set(err, SUMI_INVALID,
				 "job: field 'notify' must be an http or https URL");
	for (size_t i = 0; job->id && i < job->after_count; i++)
		if (strcmp(job->after[i], job->id) == 0)
			return error_set(err, SUMI_INVALID,
					 "job: field 'after' names the job itself");
	return SUMI_OK;
}

int job_parse_object(const json_t *object, struct job *job, struct error *err)
{
	int status = SUMI_OK;
	const char *key;
	json_t *value;
	memset(job, 0, sizeof *job);
	if (!json_is_object(object))
		return error_set(err, SUMI_INVALID, "job: must be a JSON object");
	json_object_foreach((json_t *)object, key, value)
	{
		if (!job_field_find(key))
			return unknown_field(key, err);
	}
	job->fields = json_object();
	if (!job->fields)
		return error_set(err, SUMI_NOMEM, "job: no memory");
	for (const struct job_field *f = job_fields; f->name; f++) {
		json_t *given = json_object_get(object, f->name), *clean = NULL;
		if (given && (status = canonical(f, given, &clean, err)) != SUMI_OK)
			goto fail;
		if (!clean) {
			fill_fallback(job, f);
			continue;
		}
		fill(job, f, clean);
		if (json_object_set_new(job->fields, f->name, clean)) {
			status = error_set(err, SUMI_NOMEM, "job: no memory");
			goto fail;
		}
	}
	status = check_together(job, err);
	if (status == SUMI_OK)
		return SUMI_OK;
fail:
	job_clear(job);
	return status;
}

int job_parse_json(const char *text, size_t size, struct job *job, struct error *err)
{
	json_t *root;
	memset(job, 0, sizeof *job);
	if (size > JOB_JSON_MAX)
		return error_set(err, SUMI_TOOBIG, "job: %zu bytes of JSON, allowed are %d", size,
				 JOB_JSON_MAX);
	int status = json_read_text(text, size, "job", &root, err);
	if (status)
		return status;
	status = job_parse_object(root, job, err);
	json_decref(root);
	return status;
}

static int add_flat(json_t *object, const struct job_text *t, struct error *err)
{
	char name[64];
	json_t *value;
	snprintf(name, sizeof name, "%.*s", (int)(t->name_size < 63 ? t->name_size : 63), t->name);
	const struct job_field *f = t->name_size < 63 ? job_field_find(name) : NULL;
	if (!f)
		return unknown_field(name, err);
	if (json_object_get(object, name))
		return error_set(err, SUMI_INVALID, "job: field '%s' stands there twice", name);
	int status = job_field_value(f, t->value, t->value_size, &value, err);
	if (status)
		return status;
	return json_object_set_new(object, name, value)
		   ? error_set(err, SUMI_NOMEM, "job: no memory")
		   : SUMI_OK;
}

int job_parse_flat(const struct job_text *fields, size_t count, struct job *job, struct error *err)
{
	int status = SUMI_OK;
	memset(job, 0, sizeof *job);
	json_t *object = json_object();
	if (!object)
		return error_set(err, SUMI_NOMEM, "job: no memory");
	for (size_t i = 0; i < count && status == SUMI_OK; i++)
		status = add_flat(object, &fields[i], err);
	if (status == SUMI_OK)
		status = job_parse_object(object, job, err);
	json_decref(object);
	return status;
}

void job_clear(struct job *job)
{
	json_decref(job->fields);
	memset(job, 0, sizeof *job);
}

int job_set(struct job *job, const char *name, json_t *value, struct error *err)
{
	struct job changed;
	json_t *fields = json_copy(job->fields);
	if (!fields || !value || json_object_set_new(fields, name, value)) {
		json_decref(fields);
		return error_set(err, SUMI_NOMEM, "job: no memory");
	}
	int status = job_parse_object(fields, &changed, err);
	json_decref(fields);
	if (status)
		return status;
	job_clear(job);
	*job = changed;
	return SUMI_OK;
}

int job_complete(struct job *job, struct error *err)
{
	int status = SUMI_OK;
	if (!job->id) {
		char id[ULID_SIZE];
		ulid_new(id);
		status = job_set(job, "id", json_string(id), err);
	}
	if (status == SUMI_OK && job->seed < 0) {
		/* 32 bits: a seed that a person can write down. */
		uint32_t seed;
		if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
			return error_errno(err, "drawing a seed");
		status = job_set(job, "seed", json_integer(seed), err);
	}
	bool daily = job->every && schedule_every_is_daily(job->every);
	if (status == SUMI_OK && (job->window || daily) && !job->tz) {
		char zone[SCHEDULE_ZONE_SIZE];
		zone_local_name(zone);
		status = job_set(job, "tz", json_string(zone), err);
	}
	return status;
}

int job_to_json(const struct job *job, char **text, struct error *err)
{
	/* 15 digits give back every number that was written with at most 15. */
	*text = json_dumps(job->fields, JSON_COMPACT | JSON_REAL_PRECISION(15));
	return *text ? SUMI_OK : error_set(err, SUMI_NOMEM, "job: no memory");
}
