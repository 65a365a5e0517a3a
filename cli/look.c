/* sumi show: all about one job, by what the queue and the store know, or about a file. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "cli/entry.h"
#include "cli/follow.h"
#include "cli/recipe.h"
#include "cli/verbs.h"
#include "queue/describe.h"

static int add_store_details(struct cli *cli, const char *id, json_t **job, struct error *err)
{
	struct store *store;
	struct store_job row;
	struct store_artifact *artifacts = NULL;
	struct store_attempt *attempts = NULL;
	size_t artifact_count = 0, attempt_count = 0;
	int status = cli_store(cli, &store, err);
	if (status)
		return status;
	if ((status = store_job_get(store, id, &row, err)))
		goto close;
	if (!*job)
		*job = store_job_json(&row);
	else if (row.starred)
		json_object_set_new(*job, "starred", json_true());
	store_job_free(&row);
	if ((status = store_artifacts(store, id, false, &artifacts, &artifact_count, err)) ||
	    (status = store_attempts(store, id, &attempts, &attempt_count, err)))
		goto close;
	json_t *files = json_array(), *tries = json_array();
	for (size_t i = 0; i < artifact_count; i++)
		json_array_append_new(files, store_artifact_json(&artifacts[i]));
	for (size_t i = 0; i < attempt_count; i++)
		json_array_append_new(tries, store_attempt_json(&attempts[i]));
	json_object_set_new(*job, "artifacts", files);
	json_object_set_new(*job, "attempts", tries);
close:
	store_artifacts_free(artifacts, artifact_count);
	store_attempts_free(attempts, attempt_count);
	store_close(store);
	return status;
}

/* Why it does not go on, where that is not its turn or its time. */
static void add_waits(struct queue *queue, const struct queue_entry *e, json_t *row)
{
	struct queue_troubles troubles;
	struct error ignored;
	char why[QUEUE_WAITS_SIZE] = "";
	bool served;
	if (queue_troubles(queue, &troubles, &ignored) == SUMI_OK)
		queue_waits(&troubles, e, why);
	if (!*why && e->state == JOB_BLOCKED)
		queue_waits_after(queue, &e->job, why, &ignored);
	if (!*why && e->state == JOB_READY &&
	    queue_served(queue, e->job.modality, e->job.model, &served, &ignored) == SUMI_OK && !served)
		snprintf(why, sizeof why,
			 "no living worker has its model (sumi models, sumi status)");
	entry_add_waits(row, why);
}

/* What the queue knows and what the store knows; at least one must know the job. */
static int find_job(struct cli *cli, const char *id, json_t **job, struct error *err)
{
	struct queue *queue = NULL;
	struct queue_entry entry;
	struct error queue_err, store_err;
	*job = NULL;
	int in_queue = cli_queue(cli, &queue, &queue_err);
	if (!in_queue && !(in_queue = find_entry(queue, id, &entry, &queue_err))) {
		*job = queue_entry_json(&entry);
		add_waits(queue, &entry, *job);
		queue_entry_clear(&entry);
	}
	bool refused = queue && queue_refusal(queue);
	queue_close(queue);
	int in_store = add_store_details(cli, id, job, &store_err);
	if (!in_queue || !in_store)
		return SUMI_OK;
	if (in_queue == SUMI_CONNECT && in_store == SUMI_NOTFOUND && !refused)
		return error_set(err, SUMI_NOTFOUND,
				 "the store has no job %.64s, and no daemon answers for the queue",
				 id);
	*err = in_store == SUMI_NOTFOUND ? queue_err : store_err;
	return err->status;
}

/* A path rather than the id of a job: a file is there, or could only be one. */
static bool names_file(const char *text)
{
	struct stat there;
	return strcmp(text, "-") == 0 || strchr(text, '/') || !job_id_valid(text) ||
	       (stat(text, &there) == 0 && !S_ISDIR(there.st_mode));
}

static int describe_file(const char *path, bool whole, json_t **out, struct error *err)
{
	struct recipe r;
	int status = recipe_read(path, &r, err);
	if (status)
		return status;
	*out = json_pack("{s:s, s:s, s:s}", "file", path, "source",
			 r.ours ? "sumi" : r.infotext ? "infotext" : "json", "program", r.program);
	if (!*out)
		status = error_set(err, SUMI_INVALID, "the name of the file is not valid UTF-8");
	json_object_update_missing(*out, r.job);
	if (*r.damage)
		json_object_set_new(*out, "damage", json_string(r.damage));
	if (r.made_by)
		json_object_set(*out, "made_by", r.made_by);
	if (r.followed)
		json_object_set(*out, "controls", r.followed);
	if (json_array_size(r.loras) && !json_object_get(*out, "loras"))
		json_object_set(*out, "loras", r.loras);
	if (json_object_size(r.unknown))
		json_object_set(*out, "unknown", r.unknown);
	if (r.infotext)
		json_object_set_new(*out, "infotext", json_string(r.infotext));
	/* Graphs and whole JSON are for programs. */
	if (whole && r.graph)
		json_object_set(*out, "comfy", r.graph);
	if (whole && r.json)
		json_object_set(*out, "json", r.json);
	recipe_clear(&r);
	return status;
}

static int run_show(struct cli *cli)
{
	struct error err = {0};
	json_t *job = NULL;
	const char *what = cli->args[0];
	int status = names_file(what) ? describe_file(what, cli->json, &job, &err)
				      : find_job(cli, what, &job, &err);
	if (status)
		return cli_error(cli, &err);
	if (cli->json)
		return cli_print_json(job);
	entry_print_details(job);
	json_decref(job);
	return EXIT_OK;
}

const struct verb verb_show = {
    .name = "show",
    .arguments = "ID|FILE|-",
    .summary = "everything about a job; or what a picture, clip or video was made with",
    .more = "Of a file on standard input: sumi show - < picture.webp\n",
    .min_args = 1,
    .max_args = 1,
    .run = run_show,
};
