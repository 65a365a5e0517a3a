/* The whole job: read, checked, written. */
#include "request/job.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/schedule.h"
#include "base/ulid.h"
#include "request/lora_tags.h"

#define EVERY_SUFFIX_SIZE 17 /* ".20261122T220000Z" behind the ids of later occurrences */

static int unknown_field(const char *name, struct error *err)
{
	char shown[41];
	snprintf(shown, sizeof shown, "%s", name);
	for (char *p = shown; *p; p++)
		if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7F)
			*p = '?';
	const char *nearest = param_nearest(name);
	if (nearest)
		return error_set(err, SUMI_INVALID, "job: unknown field '%s' (did you mean '%s'?)",
				 shown, nearest);
	return error_set(err, SUMI_INVALID, "job: unknown field '%s'", shown);
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

static void fill_list(const json_t *list, struct param_list *out)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		out->at[out->count++] = json_string_value(json_array_get(list, i));
}

/* Sets the field's place in the struct from its canonical value. */
static void fill(struct job *job, const struct param *p, const json_t *value)
{
	void *at = (char *)job + p->offset;
	int rank = 0;
	switch (p->type) {
	case PARAM_INT:
		*(int *)at = (int)json_integer_value(value);
		break;
	case PARAM_SEED:
		job->seed_given = param_seed(value, at);
		break;
	case PARAM_NUMBER:
	case PARAM_AMOUNT:
		*(double *)at = json_number_value(value);
		break;
	case PARAM_BOOL:
		*(bool *)at = json_is_true(value);
		break;
	case PARAM_TIME:
		clock_parse(json_string_value(value), at, NULL);
		break;
	case PARAM_RANK:
		while (strcmp(p->words[rank].word, json_string_value(value)) != 0)
			rank++;
		*(int *)at = rank;
		break;
	case PARAM_ID_LIST:
	case PARAM_TEXT_LIST:
		fill_list(value, at);
		break;
	case PARAM_OBJECT_LIST:
		*(const json_t **)at = value;
		break;
	default:
		*(const char **)at = json_string_value(value);
	}
}

static void fill_fallback(struct job *job, const struct param *p)
{
	void *at = (char *)job + p->offset;
	json_t *value = NULL;
	if (p->type == PARAM_NUMBER)
		*(double *)at = NAN;
	if (!p->fallback)
		return;
	if (p->type == PARAM_ID) /* borrowed from the table, which outlives the job */
		*(const char **)at = p->fallback;
	else if (param_from_text(p, 0, p->fallback, strlen(p->fallback), &value, NULL) ==
		 SUMI_OK)
		fill(job, p, value);
	json_decref(value);
}

/* What concerns more than one field. */
static int check_together(const struct job *job, struct error *err)
{
	if (!job->modality)
		return error_set(err, SUMI_INVALID,
				 "job: field 'modality' is missing: one of %s", MODALITY_LIST);
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
	if (job->every && job->after.count)
		return error_set(err, SUMI_INVALID,
				 "job: fields 'every' and 'after' exclude each other");
	for (size_t i = 0; job->id && i < job->after.count; i++)
		if (strcmp(job->after.at[i], job->id) == 0)
			return error_set(err, SUMI_INVALID,
					 "job: field 'after' names the job itself");
	return SUMI_OK;
}

/* The fields, with LoRAs of the prompt moved to their list. */
static int parse_fields(const json_t *object, struct job *job, struct error *err)
{
	int status = SUMI_OK;
	const char *key;
	json_t *value;
	memset(job, 0, sizeof *job);
	if (!json_is_object(object))
		return error_set(err, SUMI_INVALID, "job: must be a JSON object");
	json_object_foreach((json_t *)object, key, value)
	{
		if (!param_find(key))
			return unknown_field(key, err);
	}
	job->fields = json_object();
	if (!job->fields)
		return error_set(err, SUMI_NOMEM, "job: no memory");
	for (const struct param *p = param_table; p->name; p++) {
		json_t *given = json_object_get(object, p->name), *clean = NULL;
		unsigned modality = param_modality(job->modality); /* its row is before all words */
		if (given && (status = param_canonical(p, modality, given, &clean, err)) != SUMI_OK)
			goto fail;
		if (!clean) {
			fill_fallback(job, p);
			continue;
		}
		fill(job, p, clean);
		if (json_object_set_new(job->fields, p->name, clean)) {
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

int job_parse_object(const json_t *object, struct job *job, struct error *err)
{
	json_t *plain = NULL;
	memset(job, 0, sizeof *job);
	int status = lora_tags_take(object, &plain, err);
	if (!status)
		status = parse_fields(plain ? plain : object, job, err);
	json_decref(plain);
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

/* The modality that stands among the fields, 0: none. */
static unsigned flat_modality(const struct job_text *fields, size_t count)
{
	char word[16];
	for (size_t i = 0; i < count; i++) {
		const struct job_text *t = &fields[i];
		if (t->name_size != 8 || memcmp(t->name, "modality", 8) || t->value_size >= sizeof word)
			continue;
		snprintf(word, sizeof word, "%.*s", (int)t->value_size, t->value);
		return param_modality(param_word(param_find("modality"), word));
	}
	return 0;
}

static int add_flat(json_t *object, const struct job_text *t, unsigned modality, struct error *err)
{
	char name[64];
	json_t *value;
	snprintf(name, sizeof name, "%.*s", (int)(t->name_size < 63 ? t->name_size : 63), t->name);
	const struct param *p = t->name_size < 63 ? param_find(name) : NULL;
	if (!p)
		return unknown_field(name, err);
	if (json_object_get(object, name))
		return error_set(err, SUMI_INVALID, "job: field '%s' stands there twice", name);
	int status = param_from_text(p, modality, t->value, t->value_size, &value, err);
	if (status)
		return status;
	return json_object_set_new(object, name, value)
		   ? error_set(err, SUMI_NOMEM, "job: no memory")
		   : SUMI_OK;
}

int job_parse_flat(const struct job_text *fields, size_t count, struct job *job, struct error *err)
{
	int status = SUMI_OK;
	unsigned modality = flat_modality(fields, count);
	memset(job, 0, sizeof *job);
	json_t *object = json_object();
	if (!object)
		return error_set(err, SUMI_NOMEM, "job: no memory");
	for (size_t i = 0; i < count && status == SUMI_OK; i++)
		status = add_flat(object, &fields[i], modality, err);
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
	if (status == SUMI_OK && !job->seed_given) {
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

/* The name of a single modality, NULL of a mask of several. */
static const char *only(unsigned modalities)
{
	const struct param_word *w = param_find("modality")->words;
	for (; w->word; w++)
		if (param_modality(w->word) == modalities)
			return w->word;
	return NULL;
}

const char *job_implied_modality(const json_t *fields)
{
	const char *found = NULL;
	for (const struct param *p = param_table; p->name && !found; p++) {
		const json_t *value = json_object_get(fields, p->name);
		const char *text = json_string_value(value);
		if (!value || json_is_null(value) || json_is_false(value))
			continue;
		found = only(p->modalities);
		for (const struct param_word *w = p->words; w && w->word && text && !found; w++)
			if (strcasecmp(w->word, text) == 0)
				found = only(w->modalities);
	}
	return found;
}

/* Results are stored under it, and hidden files are swept; and commands read ids from standard input for "-". */
static int check_id(const char *field, const char *id, struct error *err)
{
	if (id && *id == '.')
		return error_set(err, SUMI_INVALID,
				 "job: field '%s': an id does not begin with a dot", field);
	if (id && strcmp(id, "-") == 0)
		return error_set(err, SUMI_INVALID, "job: field '%s': '-' is standard input, and no id", field);
	return SUMI_OK;
}

static int check_printable(const char *field, const char *text, int least, struct error *err)
{
	for (const char *p = text; p && *p; p++)
		if ((unsigned char)*p < least || *p == 0x7F)
			return error_set(err, SUMI_INVALID,
					 "job: field '%s' has a %s at byte %zu", field,
					 *p == ' ' ? "space" : "control character",
					 (size_t)(p - text) + 1);
	return SUMI_OK;
}

/* Nobody waits for what cannot be in time. A start in the past is one at once. */
static int check_deadline(const struct job *job, struct error *err)
{
	char text[CLOCK_TEXT_SIZE];
	if (!job->deadline || job->deadline > clock_wall_ms())
		return SUMI_OK;
	clock_text(job->deadline, text);
	return error_set(err, SUMI_INVALID, "job: field 'deadline' is %s: that is past", text);
}

/* A window that opens behind the deadline is no time for the job. */
static int check_window(const struct job *job, struct error *err)
{
	char zone[SCHEDULE_ZONE_SIZE], text[CLOCK_TEXT_SIZE];
	int64_t now = clock_wall_ms(), from = job->not_before > now ? job->not_before : now, opens;
	if (!job->window || !job->deadline)
		return SUMI_OK;
	zone_local_name(zone);
	int status = schedule_window_next(job->window, job->tz ? job->tz : zone, from, &opens, err);
	if (status || opens < job->deadline)
		return status ? error_prefix(err, "job: field 'window'") : SUMI_OK;
	clock_text(opens, text);
	return error_set(err, SUMI_INVALID,
			 "job: field 'window': '%s' opens at %s, which is not before the deadline",
			 job->window, text);
}

int job_check(const struct job *job, struct error *err)
{
	int status = request_check(&job->request, param_modality(job->modality), err);
	if (status)
		return error_prefix(err, "job");
	if ((status = check_deadline(job, err)) || (status = check_window(job, err)))
		return status;
	status = check_id("id", job->id, err);
	for (size_t i = 0; i < job->after.count && !status; i++)
		status = check_id("after", job->after.at[i], err);
	for (size_t i = 0; i < job->tags.count && !status; i++)
		status = check_printable("tags", job->tags.at[i], ' ', err);
	return status ? status : check_printable("notify", job->notify, ' ' + 1, err);
}

struct request job_request(const struct job *job, int variant)
{
	struct request r = job->request;
	r.seed += (uint64_t)variant;
	const json_t *text = json_array_get(job->texts, (size_t)variant);
	const char *prompt = json_string_value(json_object_get(text, "prompt"));
	const char *negative = json_string_value(json_object_get(text, "negative_prompt"));
	if (prompt && r.prompt && strcmp(prompt, r.prompt) != 0) {
		r.prompt_template = r.prompt;
		r.prompt = prompt;
	}
	if (negative && (!r.negative_prompt || strcmp(negative, r.negative_prompt) != 0)) {
		bool said = r.negative_prompt && *r.negative_prompt;
		r.negative_template = said ? r.negative_prompt : NULL;
		r.negative_prompt = negative;
	}
	return r;
}

int job_to_json(const struct job *job, char **text, struct error *err)
{
	/* 15 digits give back every number that was written with at most 15. */
	*text = json_dumps(job->fields, JSON_COMPACT | JSON_REAL_PRECISION(15));
	return *text ? SUMI_OK : error_set(err, SUMI_NOMEM, "job: no memory");
}
