/* Which jobs a verb is for. */
#include "cli/select.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/grow.h"
#include "cli/when.h"
#include "queue/walk.h"
#include "request/param.h"

enum { WORD_MAX = 256 };

struct finding {
	struct selection *s;
	const struct select_rule *rule;
	struct store_filter filter;
	struct store *store;
	json_t *seen;
	size_t room; /* of s->ids */
};

static int add(struct finding *f, const char *id, struct error *err)
{
	struct selection *s = f->s;
	if (json_object_get(f->seen, id))
		return SUMI_OK;
	char **all = grow_room(s->ids, s->count, &f->room, 64, sizeof *all);
	if (!all)
		return error_set(err, SUMI_NOMEM, "no memory for more than %zu jobs", s->count);
	s->ids = all;
	s->ids[s->count] = strdup(id);
	if (!s->ids[s->count] || json_object_set_new(f->seen, id, json_true()))
		return error_set(err, SUMI_NOMEM, "no memory for %zu jobs", s->count);
	s->count++;
	return SUMI_OK;
}

/* ---- ids ---- */

/* line: of standard input; 0: an argument. */
static int add_word(struct finding *f, const char *word, long line, struct error *err)
{
	if (job_id_valid(word))
		return add(f, word, err);
	error_set(err, SUMI_INVALID, "'%.64s' cannot be the id of a job", word);
	return line ? error_prefix(err, "standard input:%ld", line) : SUMI_INVALID;
}

/* Words with any white space or commas between them. */
static int read_ids(struct finding *f, struct error *err)
{
	char word[WORD_MAX];
	size_t n = 0;
	long line = 1;
	int c, status = SUMI_OK;
	do {
		c = getchar();
		if (c != EOF && !strchr(" \t\r\n,", c)) {
			if (n < sizeof word - 1)
				word[n++] = (char)c;
			continue;
		}
		word[n] = '\0';
		if (n)
			status = add_word(f, word, line, err);
		n = 0;
		line += c == '\n';
	} while (c != EOF && !status);
	if (!status && ferror(stdin))
		status = error_errno(err, "standard input");
	return status;
}

static int take_ids(struct cli *cli, struct finding *f, struct error *err)
{
	int status = SUMI_OK;
	for (int i = 0; i < cli->arg_count && !status; i++)
		status = strcmp(cli->args[i], "-") == 0 ? read_ids(f, err)
							: add_word(f, cli->args[i], 0, err);
	return status;
}

/* ---- filters ---- */

static bool has_tag(const struct job *job, const char *tag)
{
	for (size_t i = 0; i < job->tags.count; i++)
		if (strcmp(job->tags.at[i], tag) == 0)
			return true;
	return false;
}

bool select_wants(const struct store_filter *f, const struct queue_entry *e)
{
	return (!f->modality || strcmp(e->job.modality, f->modality) == 0) &&
	       (!f->model || (e->job.model && strcmp(e->job.model, f->model) == 0)) &&
	       (!f->tag || has_tag(&e->job, f->tag)) &&
	       (!f->since || e->created_ms >= f->since) && (!f->until || e->created_ms < f->until);
}

static int on_entry(void *context, const struct queue_entry *e, struct error *err)
{
	struct finding *f = context;
	struct store_job row;
	if (!select_wants(&f->filter, e))
		return SUMI_OK;
	if (f->rule->spare_starred && f->store && store_job_get(f->store, e->id, &row, NULL) == 0) {
		bool starred = row.starred;
		store_job_free(&row);
		if (starred)
			return SUMI_OK; /* counted where the store has it */
	}
	return add(f, e->id, err);
}

static int add_stored(struct finding *f, enum job_state state, struct error *err)
{
	struct store_filter filter = f->filter;
	int status;
	filter.state = job_state_word(state);
	filter.limit = STORE_PAGE_MAX;
	do {
		struct store_page page;
		status = store_list(f->store, &filter, &page, err);
		if (status)
			return status;
		for (size_t i = 0; i < page.count && !status; i++)
			if (page.jobs[i].starred && f->rule->spare_starred)
				f->s->starred++;
			else
				status = add(f, page.jobs[i].id, err);
		filter.before = page.next;
		store_page_free(&page);
	} while (!status && filter.before);
	return status;
}

int select_state(const char *word)
{
	for (int i = 0; i < JOB_STATES; i++)
		if (strcasecmp(job_state_word((enum job_state)i), word) == 0)
			return i;
	return -1;
}

static int chosen_states(const struct cli *cli, const struct select_rule *rule, unsigned *states,
			 struct error *err)
{
	const char *word = cli_value(cli, "state");
	char fit[160] = "";
	if (!word) {
		*states = rule->unasked;
		return SUMI_OK;
	}
	int state = select_state(word);
	if (state >= 0 && rule->states >> state & 1) {
		*states = 1u << state;
		return SUMI_OK;
	}
	for (int i = 0; i < JOB_STATES; i++)
		if (rule->states >> i & 1)
			snprintf(fit + strlen(fit), sizeof fit - strlen(fit), "%s%s",
				 *fit ? ", " : "", job_state_word((enum job_state)i));
	return error_set(err, SUMI_INVALID, "--state is '%.40s': sumi %s is for %s", word,
			 cli->verb->name, fit);
}

/* In the order in which jobs go on: one that moves meanwhile is met again, not missed. */
static int find_all(struct finding *f, unsigned states, struct queue *queue, struct error *err)
{
	static const enum job_state flow[] = {JOB_BLOCKED, JOB_DELAYED, JOB_READY, JOB_RUNNING};
	int status = SUMI_OK;
	bool ask = queue && f->rule->sources & SELECT_QUEUE;
	if (ask)
		status = walk_admit(queue, err);
	for (size_t i = 0; ask && i < sizeof flow / sizeof *flow && !status; i++)
		if (states >> flow[i] & 1)
			status = walk_queue(queue, flow[i], on_entry, f, err);
	for (int i = 0; i < JOB_STATES && !status; i++) {
		if (!(states >> i & 1) || !job_state_is_final((enum job_state)i))
			continue;
		if (f->store && f->rule->sources & SELECT_STORE)
			status = add_stored(f, (enum job_state)i, err);
		if (ask && !status)
			status = walk_queue(queue, (enum job_state)i, on_entry, f, err);
	}
	return status;
}

int select_modality(const struct cli *cli, const char **modality, struct error *err)
{
	const char *given = cli_value(cli, "modality");
	*modality = given ? param_word(param_find("modality"), given) : NULL;
	return !given || *modality
		   ? SUMI_OK
		   : error_set(err, SUMI_INVALID,
			       "--modality is '%.40s': it must be one of %s", given,
			       MODALITY_LIST);
}

static int read_filter(const struct cli *cli, struct store_filter *filter, bool *given,
		       struct error *err)
{
	const char *older = cli_value(cli, "older");
	int64_t age = 0;
	filter->tag = cli_value(cli, "tag");
	filter->model = cli_value(cli, "model");
	int status = older ? when_parse_length(older, &age, err) : SUMI_OK;
	/* Who writes 90 hardly means the seconds that it is elsewhere, and there is no way back. */
	if (!status && older && isdigit((unsigned char)older[strlen(older) - 1]))
		status = error_set(err, SUMI_INVALID, "'%.40s' has no unit: write 90s, 15m, 2h or 7d",
				   older);
	if (status)
		return error_prefix(err, "--older");
	if ((status = select_modality(cli, &filter->modality, err)))
		return status;
	if (older)
		filter->until = clock_wall_ms() - age;
	*given = older || filter->tag || filter->modality || filter->model ||
		 cli_value(cli, "state") || cli_value(cli, "all");
	return SUMI_OK;
}

int select_named(struct cli *cli, struct selection *s, struct error *err)
{
	struct finding f = {.s = s, .seen = json_object()};
	*s = (struct selection){0};
	int status = take_ids(cli, &f, err);
	json_decref(f.seen);
	return status;
}

int select_jobs(struct cli *cli, const struct select_rule *rule, struct queue *queue,
		struct store *store, struct selection *s, struct error *err)
{
	struct finding f = {.s = s, .rule = rule, .store = store, .seen = json_object()};
	unsigned states = 0;
	*s = (struct selection){0};
	int status = read_filter(cli, &f.filter, &s->by_filter, err);
	if (!status)
		status = chosen_states(cli, rule, &states, err);
	if (!status && s->by_filter && cli->arg_count)
		status = error_set(err, SUMI_INVALID,
				   "name jobs or choose them by options, not both at once");
	if (!status && !s->by_filter && !cli->arg_count)
		status = error_set(err, SUMI_INVALID,
				   "name jobs, give '-' and their ids on standard input, or choose "
				   "them with --state, --tag, --older or --all (sumi %s --help)",
				   cli->verb->name);
	if (!status)
		status = s->by_filter ? find_all(&f, states, queue, err) : take_ids(cli, &f, err);
	json_decref(f.seen);
	return status;
}

void select_clear(struct selection *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->ids[i]);
	free(s->ids);
	*s = (struct selection){0};
}
