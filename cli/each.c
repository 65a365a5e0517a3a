/* One thing done to each of the jobs that a verb is for. */
#include "cli/each.h"

#include <stdio.h>

void each_tell(struct each *e, const char *id, const char *word, json_t *more)
{
	json_t *row = json_pack("{s:s, s:s}", "id", id, "state", word);
	if (more)
		json_object_update(row, more);
	json_decref(more);
	json_array_append_new(e->rows, row);
	if (!e->cli->json && !e->cli->quiet)
		printf("%s %s\n", id, word);
}

static int open_both(struct each *e, const struct each_rule *rule, struct error *err)
{
	struct store_options options = {.dir = e->cli->config.state_dir, .mode = rule->mode};
	bool chosen = e->cli->arg_count == 0 && rule->select.sources & SELECT_QUEUE;
	int status = SUMI_OK;
	if (rule->queue || chosen)
		status = cli_queue(e->cli, &e->queue, err);
	if (status == SUMI_CONNECT && !rule->queue) /* what the store has can be found all the same */
		status = SUMI_OK;
	if (!status && rule->store) {
		status = store_open(&options, &e->store, err);
		if (status == SUMI_NOTFOUND) /* nothing was made here yet */
			status = SUMI_OK;
	}
	return status;
}

/* What ends the whole and not one job of it. */
static bool is_end(int status)
{
	return status == SUMI_CONNECT || status == SUMI_NOMEM || status == SUMI_FULL ||
	       status == SUMI_PERM;
}

static int act_on_all(struct each *e, const struct each_rule *rule, const struct selection *s)
{
	int code = EXIT_OK;
	for (size_t i = 0; i < s->count && !ferror(stdout); i++) {
		struct error err = {0};
		if (cli_value(e->cli, "dry-run")) {
			each_tell(e, s->ids[i], "would be done", NULL);
			if (e->cli->quiet && !e->cli->json) /* which is all that was asked for */
				printf("%s\n", s->ids[i]);
			continue;
		}
		int status = rule->act(e, s->ids[i], &err);
		if (!status)
			continue;
		int one = cli_error(e->cli, &err);
		/* Whoever has named no job has asked for none that ended meanwhile. */
		if (!s->by_filter || is_end(status))
			code = one > code ? one : code;
		if (is_end(status))
			break;
	}
	return code;
}

int each_selected(struct cli *cli, const struct each_rule *rule, void *context)
{
	struct error err = {0};
	struct each e = {.cli = cli, .rows = json_array(), .context = context};
	struct selection s = {0};
	int status = open_both(&e, rule, &err);
	if (!status)
		status = select_jobs(cli, &rule->select, e.queue, e.store, &s, &err);
	int code = status ? cli_error(cli, &err) : act_on_all(&e, rule, &s);
	if (!status && cli->json)
		cli_print_json(json_incref(e.rows));
	else if (!status && s.count == 0 && !cli->quiet)
		fprintf(stderr, "nothing there\n");
	if (s.starred && !cli->quiet)
		fprintf(stderr, "%zu starred ones are left out: name them, or sumi unstar them\n",
			s.starred);
	json_decref(e.rows);
	select_clear(&s);
	store_close(e.store);
	queue_close(e.queue);
	return code;
}
