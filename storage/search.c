/* Listings: pages of jobs, newest first, by any filter; one job; counts; models.
 *
 * A page begins behind the key of the last row of the page before, and every index carries the
 * key behind its column, so a page costs the same at any depth of any filter: the first rows of
 * one index. Which index, when several filters are given, is decided by looking how far each
 * goes. */
#include "storage/internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"

#define DEFAULT_LIMIT 50
#define ESTIMATE_LIMIT 2000 /* rows looked at to compare filters */
#define WORDS_MAX 32
#define SQL_SIZE 4096 /* of the text of a query for jobs */

/* ---- rows ---- */

/* "SELECT … FROM rest", where jobs is called j. */
static void store_job_select(char out[SQL_SIZE], const char *rest)
{
	char columns[512];
	store_column_list(store_job_columns, "j", columns);
	snprintf(out, SQL_SIZE,
		 "SELECT %s, (SELECT json_group_array(name) FROM (SELECT name FROM job_tags "
		 "JOIN tags ON id = tag WHERE job = j.key ORDER BY name)), "
		 "(SELECT count(*) FROM attempts WHERE job = j.key), "
		 "(SELECT count(*) FROM artifacts WHERE job = j.key), j.key FROM %s",
		 columns, rest);
}

static int read_tags(const char *text, struct store_job *job, struct error *err)
{
	json_t *tags;
	int status =
	    json_read_text(text ? text : "[]", text ? strlen(text) : 2, "tags", &tags, err);
	if (status)
		return status;
	size_t count = json_array_size(tags);
	job->tags = count ? calloc(count, sizeof *job->tags) : NULL;
	if (count && !job->tags)
		status = error_set(err, SUMI_NOMEM, "no memory for a row");
	for (size_t i = 0; i < count && !status; i++) {
		status =
		    store_set_text(&job->tags[i], json_string_value(json_array_get(tags, i)), err);
		job->tag_count = i + 1;
	}
	json_decref(tags);
	return status;
}

/* A job's row as store_job_select() lists its columns. */
static int store_read_job(sqlite3_stmt *statement, struct store_job *job, struct error *err)
{
	int n = 0;
	while (store_job_columns[n].name)
		n++;
	int status = store_read_columns(statement, 0, store_job_columns, job, err);
	if (!status)
		status = read_tags((const char *)sqlite3_column_text(statement, n), job, err);
	job->attempts = sqlite3_column_int(statement, n + 1);
	job->artifacts = sqlite3_column_int(statement, n + 2);
	job->key = sqlite3_column_int64(statement, n + 3);
	return status;
}

/* The only row of a query of store_job_select(), or SUMI_NOTFOUND without a message. */
static int read_one(struct store *s, sqlite3_stmt *statement, struct store_job *job,
		    struct error *err)
{
	bool row;
	*job = (struct store_job){0};
	int status = db_step(s, statement, &row, err);
	if (!status)
		status = row ? store_read_job(statement, job, err) : SUMI_NOTFOUND;
	sqlite3_finalize(statement);
	if (status)
		store_job_free(job);
	return status;
}

int store_job_get(struct store *s, const char *id, struct store_job *job, struct error *err)
{
	char sql[SQL_SIZE];
	sqlite3_stmt *statement;
	store_job_select(sql, "jobs j WHERE j.id = ?");
	int status = db_query(s, &statement, err, sql, T(id));
	if (!status)
		status = read_one(s, statement, job, err);
	if (status == SUMI_NOTFOUND)
		error_set(err, status, "job %.*s is not in the store", STORE_ID_MAX, id);
	return status;
}

int store_find_digest(struct store *s, const char *digest, struct store_job *job, struct error *err)
{
	char sql[SQL_SIZE];
	sqlite3_stmt *statement;
	store_job_select(
	    sql, "jobs j WHERE j.digest = ? AND j.publish = 'visible' AND +j.state = 'done' "
		 "ORDER BY j.key DESC LIMIT 1");
	int status = db_query(s, &statement, err, sql, T(digest));
	if (!status)
		status = read_one(s, statement, job, err);
	if (status == SUMI_NOTFOUND)
		error_set(err, status, "no result of such a request is in the store");
	return status;
}

/* ---- text ---- */

/* Letters of a Cyrillic word, 0 when other characters are in it. */
static size_t cyrillic_letters(const char *word, size_t size)
{
	size_t letters = 0;
	for (size_t i = 0; i < size;) {
		uint32_t code;
		size_t n = utf8_decode(word + i, size - i, &code);
		if (n == 0 || code < 0x400 || code > 0x52F)
			return 0;
		letters++;
		i += n;
	}
	return letters;
}

/* Russian endings change with every case: a longer word without its last vowel or sign is
 * searched as a beginning. Both letters of a Cyrillic pair have two bytes. */
static bool russian_stem(const char *word, size_t *size)
{
	static const char *const endings[] = {"а", "е", "ё", "и", "й", "о",
					      "у", "ы", "ь", "э", "ю", "я"};
	if (cyrillic_letters(word, *size) < 5)
		return false;
	for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
		if (memcmp(word + *size - 2, endings[i], 2) == 0) {
			*size -= 2;
			break;
		}
	return true;
}

static bool has_letters(const char *word, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (isalnum((unsigned char)word[i]) || (unsigned char)word[i] >= 0x80)
			return true;
	return false;
}

/* What people type, as an FTS5 expression of quoted words: nothing in it is an operator. The
 * caller frees *match. */
static int match_expression(const char *text, char **match, struct error *err)
{
	size_t size, words = 0;
	*match = NULL;
	if (!utf8_valid(text, strlen(text)))
		return error_set(err, SUMI_INVALID, "search text is not valid UTF-8");
	FILE *out = open_memstream(match, &size);
	if (!out)
		return error_set(err, SUMI_NOMEM, "no memory for the search");
	while (*text && words < WORDS_MAX) {
		size_t skip = strspn(text, " \t\r\n"), n = strcspn(text + skip, " \t\r\n");
		const char *word = text + skip;
		text = word + n;
		if (!has_letters(word, n))
			continue;
		bool beginning = word[n - 1] == '*';
		n -= beginning;
		beginning |= russian_stem(word, &n);
		fputs(words++ ? " \"" : "\"", out);
		for (size_t i = 0; i < n; i++)
			fputs(word[i] == '"' ? "\"\"" : (char[2]){word[i], '\0'}, out);
		fputs(beginning ? "\"*" : "\"", out);
	}
	if (fclose(out) != 0)
		return error_set(err, SUMI_NOMEM, "no memory for the search");
	if (words == 0) {
		free(*match);
		*match = NULL;
		return error_set(err, SUMI_INVALID, "search text has no words");
	}
	return SUMI_OK;
}

/* ---- pages ---- */

struct query {
	char sql[SQL_SIZE];
	size_t used;
	struct db_value values[16];
	size_t count;
};

static void add(struct query *q, const char *text)
{
	q->used += (size_t)snprintf(q->sql + q->used, sizeof q->sql - q->used, "%s", text);
}

static void add_value(struct query *q, const char *condition, struct db_value value)
{
	add(q, condition);
	q->values[q->count++] = value;
}

/* What a filter asks for, by the condition that its index answers. The tag's index leads over
 * job_tags; where it does not lead, the tag is looked up for every row. */
enum { SUBMITTER, MODEL, MODALITY, STATE, TAG, FILTERS };
static const char *const columns[FILTERS] = {"submitter", "model", "modality", "state", NULL};

#define TAG_ID "(SELECT id FROM tags WHERE name = ?)"

/* How many rows a filter leaves, counted up to ESTIMATE_LIMIT. */
static int estimate(struct store *s, int filter, const char *value, int64_t *rows,
		    struct error *err)
{
	char sql[256];
	if (filter == TAG)
		snprintf(sql, sizeof sql,
			 "SELECT count(*) FROM (SELECT 1 FROM job_tags WHERE tag = " TAG_ID
			 " LIMIT %d)",
			 ESTIMATE_LIMIT);
	else
		snprintf(
		    sql, sizeof sql,
		    "SELECT count(*) FROM (SELECT 1 FROM jobs WHERE publish = 'visible' AND %s = ? "
		    "LIMIT %d)",
		    columns[filter], ESTIMATE_LIMIT);
	return db_int(s, rows, err, sql, T(value));
}

/* The narrowest of the filters that are given, -1 when there is none. */
static int choose(struct store *s, const char *const wanted[FILTERS], int *best, struct error *err)
{
	int given = 0;
	int64_t least = 0;
	*best = -1;
	for (int i = 0; i < FILTERS; i++)
		given += wanted[i] != NULL;
	for (int i = 0; i < FILTERS; i++) {
		int64_t rows = 0;
		if (!wanted[i])
			continue;
		int status = given > 1 ? estimate(s, i, wanted[i], &rows, err) : SUMI_OK;
		if (status)
			return status;
		if (*best < 0 || rows < least) {
			*best = i;
			least = rows;
		}
	}
	return SUMI_OK;
}

static int64_t key_of_time(int64_t time)
{
	return time >= (int64_t)1 << 42 ? INT64_MAX : time << STORE_KEY_SHIFT;
}

/* Words lead where there are any, else the narrowest filter. '+' keeps SQLite from the indexes
 * of the others. */
static int build_page(struct store *s, const struct store_filter *f, const char *match, int limit,
		      struct query *q, struct error *err)
{
	const char *const wanted[FILTERS] = {f->submitter, f->model, f->modality, f->state, f->tag};
	int leader = -1;
	char line[128];
	int status = match ? SUMI_OK : choose(s, wanted, &leader, err);
	if (status)
		return status;
	const char *key = match ? "prompts.rowid" : leader == TAG ? "t.job" : "j.key";
	store_job_select(q->sql, "");
	q->used = strlen(q->sql);
	if (match)
		add_value(
		    q, "prompts CROSS JOIN jobs j ON j.key = prompts.rowid WHERE prompts MATCH ?",
		    T(match));
	else if (leader == TAG)
		add_value(q, "job_tags t CROSS JOIN jobs j ON j.key = t.job WHERE t.tag = " TAG_ID,
			  T(f->tag));
	else
		add(q, "jobs j WHERE 1");
	if (f->tag && leader != TAG)
		add_value(q,
			  " AND EXISTS (SELECT 1 FROM job_tags WHERE job = j.key AND tag = " TAG_ID
			  ")",
			  T(f->tag));
	for (int i = 0; i < TAG; i++) {
		snprintf(line, sizeof line, " AND %sj.%s = ?", i == leader ? "" : "+", columns[i]);
		if (wanted[i])
			add_value(q, line, T(wanted[i]));
	}
	if (!f->all)
		add(q, " AND j.publish = 'visible'");
	if (f->starred)
		add(q, " AND j.starred = 1");
	int64_t below = f->before ? f->before : INT64_MAX;
	if (f->until && key_of_time(f->until) < below)
		below = key_of_time(f->until);
	snprintf(line, sizeof line, " AND %s < ?", key);
	add_value(q, line, I(below));
	if (f->since) {
		snprintf(line, sizeof line, " AND %s >= ?", key);
		add_value(q, line, I(key_of_time(f->since)));
	}
	snprintf(line, sizeof line, " ORDER BY %s DESC LIMIT ?", key);
	add_value(q, line, I(limit + 1));
	return SUMI_OK;
}

int store_list(struct store *s, const struct store_filter *f, struct store_page *page,
	       struct error *err)
{
	struct query q = {.used = 0};
	char *match = NULL;
	sqlite3_stmt *statement = NULL;
	bool row;
	*page = (struct store_page){0};
	int limit = f->limit > 0 ? f->limit : DEFAULT_LIMIT;
	if (limit > STORE_PAGE_MAX)
		limit = STORE_PAGE_MAX;
	int status = f->text ? match_expression(f->text, &match, err) : SUMI_OK;
	if (!status)
		status = build_page(s, f, match, limit, &q, err);
	if (!status)
		status = db_query_values(s, &statement, err, q.sql, q.values, q.count);
	if (status)
		goto done;
	page->jobs = calloc((size_t)limit, sizeof *page->jobs);
	if (!page->jobs) {
		status = error_set(err, SUMI_NOMEM, "no memory for a page of %d jobs", limit);
		goto done;
	}
	while (!(status = db_step(s, statement, &row, err)) && row) {
		if (page->count ==
		    (size_t)limit) { /* one more than asked for: there is a next page */
			page->next = page->jobs[limit - 1].key;
			break;
		}
		if ((status = store_read_job(statement, &page->jobs[page->count++], err)))
			break;
	}
done:
	sqlite3_finalize(statement);
	free(match);
	if (status)
		store_page_free(page);
	return status;
}

/* ---- attempts, counts, models ---- */

int store_attempts(struct store *s, const char *job, struct store_attempt **list, size_t *count,
		   struct error *err)
{
	char columns[512], sql[768];
	int64_t key;
	sqlite3_stmt *statement;
	bool row;
	*list = NULL;
	*count = 0;
	int status = store_job_key(s, job, &key, err);
	if (status)
		return status;
	store_column_list(store_attempt_columns, "a", columns);
	snprintf(sql, sizeof sql, "SELECT %s FROM attempts a WHERE a.job = ? ORDER BY a.n",
		 columns);
	status = db_query(s, &statement, err, sql, I(key));
	while (!status && !(status = db_step(s, statement, &row, err)) && row) {
		struct store_attempt *grown = store_grow(*list, *count, sizeof **list);
		if (!grown) {
			status = error_set(err, SUMI_NOMEM, "no memory for %zu attempts", *count);
			break;
		}
		*list = grown;
		struct store_attempt *a = &grown[(*count)++];
		status = store_set_text(&a->job, job, err);
		if (!status)
			status = store_read_columns(statement, 0, store_attempt_columns, a, err);
	}
	sqlite3_finalize(statement);
	if (status) {
		store_attempts_free(*list, *count);
		*list = NULL;
		*count = 0;
	}
	return status;
}

int store_shows(struct store *s, const char *id, bool *visible, struct error *err)
{
	int64_t found = 0;
	int status = db_int(s, &found, err, "SELECT publish = 'visible' FROM jobs WHERE id = ?",
			    T(id));
	*visible = found;
	return status;
}

int store_unshown(struct store *s, const json_t *ids, json_t **out, struct error *err)
{
	sqlite3_stmt *statement;
	bool row;
	char *text = json_dumps(ids, JSON_COMPACT);
	*out = json_array();
	if (!text || !*out) {
		free(text);
		return error_set(err, SUMI_NOMEM, "no memory for %zu ids", json_array_size(ids));
	}
	int status = db_query(s, &statement, err,
			      "SELECT value FROM json_each(?1) WHERE NOT EXISTS (SELECT 1 FROM jobs "
			      "WHERE id = value AND publish = 'visible')",
			      T(text));
	while (!status && !(status = db_step(s, statement, &row, err)) && row)
		json_array_append_new(*out, json_string((const char *)sqlite3_column_text(statement, 0)));
	sqlite3_finalize(statement);
	free(text);
	return status;
}

int store_count_jobs(struct store *s, const char *state, int64_t *count, struct error *err)
{
	*count = 0;
	return state ? db_int(s, count, err,
			      "SELECT count(*) FROM jobs WHERE publish = 'visible' AND state = ?",
			      T(state))
		     : db_int_values(s, count, err,
				     "SELECT count(*) FROM jobs WHERE publish = 'visible'", NULL, 0);
}

int store_count(struct store *s, struct store_counts *counts, struct error *err)
{
	const struct {
		const char *sql;
		int64_t *to;
	} questions[] = {
	    {"SELECT count(*) FROM jobs WHERE publish = 'visible' AND state = 'done'",
	     &counts->done},
	    {"SELECT count(*) FROM jobs WHERE publish = 'visible' AND state = 'failed'",
	     &counts->failed},
	    {"SELECT count(*) FROM jobs WHERE publish = 'visible' AND state = 'cancelled'",
	     &counts->cancelled},
	    {"SELECT count(*) FROM artifacts WHERE state = 'visible'", &counts->artifacts},
	    {"SELECT coalesce(sum(bytes), 0) FROM artifacts WHERE state = 'visible'",
	     &counts->bytes},
	};
	*counts = (struct store_counts){0};
	for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
		int status = db_int_values(s, questions[i].to, err, questions[i].sql, NULL, 0);
		if (status)
			return status;
	}
	return SUMI_OK;
}

int store_model_put(struct store *s, const struct store_model *m, struct error *err)
{
	if (!m->name || !m->digest)
		return error_set(err, SUMI_INVALID, "model: name and digest are needed");
	int status = db_begin(s, err);
	if (status)
		return status;
	status = db_run(s, err,
			"INSERT INTO models (name, digest, modality, info, first_used, last_used) "
			"VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET "
			"modality = coalesce(excluded.modality, modality), "
			"info = coalesce(excluded.info, info), "
			"last_used = max(last_used, excluded.last_used)",
			T(m->name), T(m->digest), T(m->modality), T(m->info), I(m->first_used),
			I(m->last_used));
	return db_end(s, status, err);
}

int store_models(struct store *s, struct store_model **list, size_t *count, struct error *err)
{
	char columns[512], sql[768];
	sqlite3_stmt *statement;
	bool row;
	*list = NULL;
	*count = 0;
	store_column_list(store_model_columns, "m", columns);
	snprintf(sql, sizeof sql, "SELECT %s FROM models m ORDER BY m.last_used DESC, m.name",
		 columns);
	int status = db_query_values(s, &statement, err, sql, NULL, 0);
	while (!status && !(status = db_step(s, statement, &row, err)) && row) {
		struct store_model *grown = store_grow(*list, *count, sizeof **list);
		if (!grown) {
			status = error_set(err, SUMI_NOMEM, "no memory for %zu models", *count);
			break;
		}
		*list = grown;
		status =
		    store_read_columns(statement, 0, store_model_columns, &grown[(*count)++], err);
	}
	sqlite3_finalize(statement);
	if (status) {
		store_models_free(*list, *count);
		*list = NULL;
		*count = 0;
	}
	return status;
}
