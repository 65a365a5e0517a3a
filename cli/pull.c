/* sumi pull: a model from a hub, or any file by its address, into the models of this user. */
#include "cli/pull.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/verbs.h"
#include "hub/recommended.h"

#define PARTS ".pulling"

/* ---- progress ---- */

struct bar {
	uint64_t whole;
	int64_t last_ms, begun_ms;
	uint64_t before; /* bytes that were there at the beginning */
	bool begun, shown;
};

static void show_progress(void *context, uint64_t done)
{
	struct bar *bar = context;
	int64_t now = clock_boot_ms();
	if (!bar->begun) {
		bar->begun = true;
		bar->begun_ms = now;
		bar->before = done;
	}
	if (!isatty(STDERR_FILENO) || now - bar->last_ms < 250)
		return;
	char there[32], whole[32] = "?", rate[32];
	plan_size_text(done, there);
	if (bar->whole)
		plan_size_text(bar->whole, whole);
	double seconds = (double)(now - bar->begun_ms) / 1000;
	plan_size_text(seconds > 0 ? (uint64_t)((double)(done - bar->before) / seconds) : 0, rate);
	fprintf(stderr, "\r\033[K%3.0f %%  %s of %s  %s/s",
		bar->whole ? 100 * (double)done / (double)bar->whole : 0, there, whole, rate);
	fflush(stderr);
	bar->last_ms = now;
	bar->shown = true;
}

/* ---- what is written beside the files ---- */

/* As sha256sum writes and checks it. */
static int write_sums(const struct plan *plan, const char *folder, const char *path,
		      struct error *err)
{
	char *text = NULL, hash[SHA256_HEX_SIZE];
	size_t size, skip = strlen(folder) + 1;
	int status = SUMI_OK;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return error_set(err, SUMI_NOMEM, "out of memory");
	for (size_t i = 0; i < plan->count && !status; i++) {
		status = sha256_file(plan->files[i].path, hash, err);
		if (!status)
			fprintf(out, "%s  %s\n", hash, plan->files[i].path + skip);
	}
	if (fclose(out) != 0 && !status)
		status = error_set(err, SUMI_NOMEM, "out of memory");
	if (!status)
		status = files_write_durable(path, text, size, err);
	free(text);
	return status;
}

/* Where it comes from and what its licence is; a pack that says so itself keeps its own words. */
static int write_origin(const struct plan *plan, const char *path, struct error *err)
{
	if (access(path, F_OK) == 0)
		return SUMI_OK;
	json_t *o = json_pack("{s:s, s:s, s:s}", "licence", plan->licence, "licence_url",
			      plan->licence_url, "source", plan->source);
	char *text = o ? json_dumps(o, JSON_INDENT(2)) : NULL;
	int status = text ? files_write_durable(path, text, strlen(text), err)
			  : error_set(err, SUMI_NOMEM, "out of memory");
	free(text);
	json_decref(o);
	return status;
}

/* ---- the verb ---- */

static void tell(const struct cli *cli, const struct plan *plan)
{
	char size[32];
	if (cli->quiet || cli->json)
		return;
	plan_size_text(plan->bytes, size);
	fprintf(stderr, "%s: %s, %zu file%s, %s\n", plan->name, plan->source, plan->count,
		plan->count == 1 ? "" : "s", plan->bytes ? size : "of unknown size");
	fprintf(stderr, "licence: %s%s%s%s\n", *plan->licence ? plan->licence : "not said",
		*plan->licence_url ? " (" : "", plan->licence_url, *plan->licence_url ? ")" : "");
}

static int check_room(const struct plan *plan, const char *models, struct error *err)
{
	int64_t room = files_free_space(models);
	uint64_t needed = plan->bytes;
	char want[32], have[32];
	struct stat st;
	char part[FILES_PATH_MAX];
	for (size_t i = 0; i < plan->count; i++)
		for (int k = 0; k < 2; k++)
			if (!files_path(part, NULL, k ? "%s.part" : "%s", plan->files[i].path) &&
			    stat(part, &st) == 0)
				needed -= (uint64_t)st.st_size < needed ? (uint64_t)st.st_size : needed;
	if (room < 0 || needed <= (uint64_t)room)
		return SUMI_OK;
	plan_size_text(needed, want);
	plan_size_text((uint64_t)room, have);
	return error_set(err, SUMI_FULL, "%s: %s are needed, %s are free", models, want, have);
}

/* Fetches into a folder of its own, so that what is half there is no model yet. */
static int fetch(struct cli *cli, struct plan *plan, const char *models, struct error *err)
{
	char work[FILES_PATH_MAX], from[FILES_PATH_MAX], to[FILES_PATH_MAX], beside[FILES_PATH_MAX];
	struct bar bar = {.whole = plan->bytes};
	struct transfer_watch watch = {show_progress, &bar};
	const char *last = plan->folder ? "" : strrchr(plan->files[0].path, '.');
	last = last ? last : "";
	int status = files_path(work, err, "%s/" PARTS "/%s", models, plan->name);
	if (!status)
		status = files_path(to, err, "%s/%s%s", models, plan->name, last);
	if (!status && access(to, F_OK) == 0)
		return error_set(err, SUMI_EXISTS, "%s is there already: sumi models remove %s, or --name "
						   "another", to, plan->name);
	if (!status && !(status = files_make_dirs(work, 0755, err)))
		status = plan_place(plan, work, err);
	if (!status)
		plan_reuse(plan);
	if (!status && !(status = check_room(plan, models, err)))
		status = transfer_files(plan->files, plan->count, plan->token,
					cli->quiet || cli->json ? NULL : &watch, err);
	if (bar.shown)
		fputs("\r\033[K", stderr);
	if (status)
		return status;
	status = plan->folder ? files_path(beside, err, "%s/SHA256SUMS", work)
			      : files_path(beside, err, "%s/%s.sha256", models, plan->name);
	if (!status)
		status = write_sums(plan, work, beside, err);
	if (!status)
		status = plan->folder ? files_path(beside, err, "%s/sumi.json", work)
				      : files_path(beside, err, "%s/%s.sumi.json", models, plan->name);
	if (!status)
		status = write_origin(plan, beside, err);
	if (!status)
		status = plan->folder ? files_path(from, err, "%s", work)
				      : files_path(from, err, "%s", plan->files[0].path);
	if (!status && (rename(from, to) != 0))
		status = error_errno(err, "%s", to);
	if (!status)
		status = files_sync_parent(to, err);
	if (!status && !plan->folder)
		rmdir(work);
	if (!status && cli->json)
		cli_print_json(json_pack("{s:s, s:s, s:s, s:s}", "name", plan->name, "path", to, "licence",
					 plan->licence, "source", plan->source));
	else if (!status)
		printf("%s\n", to);
	return status;
}

int pull_model(struct cli *cli, const char *what, const char *name, struct error *err)
{
	struct plan plan;
	char models[FILES_PATH_MAX];
	int status = plan_read(what, &plan, err);
	if (status)
		return status;
	if (name)
		plan_set_name(&plan, name);
	status = files_path(models, err, "%s/models", cli->config.state_dir);
	if (!status)
		status = files_make_dirs(models, 0755, err);
	if (!status) {
		tell(cli, &plan);
		status = fetch(cli, &plan, models, err);
	}
	plan_free(&plan);
	return status;
}

static int print_recommended(const struct cli *cli)
{
	json_t *rows = json_array();
	for (const struct recommended *r = recommended_models; r->name; r++) {
		if (!cli->json)
			printf("%-44s %4.1f GB  %-22s %s\n", r->name, r->gigabytes, r->licence,
			       r->purpose);
		json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:f}", "name", r->name, "licence",
						      r->licence, "purpose", r->purpose, "gigabytes",
						      r->gigabytes));
	}
	if (cli->json)
		return cli_print_json(rows);
	json_decref(rows);
	return EXIT_OK;
}

static int run_pull(struct cli *cli)
{
	struct error err = {0};
	if (cli->arg_count == 0)
		return print_recommended(cli);
	for (int i = 0; i < cli->arg_count; i++) {
		const char *name = cli_value(cli, "name");
		if (name && cli->arg_count > 1) {
			error_set(&err, SUMI_INVALID, "--name is for one model at a time");
			return cli_error(cli, &err);
		}
		if (pull_model(cli, cli->args[i], name, &err))
			return cli_error(cli, &err);
	}
	return EXIT_OK;
}

static const struct cli_option pull_options[] = {
    {"name", 0, "NAME", "what sumi shall call it"}, {NULL, 0, NULL, NULL}};

const struct verb verb_pull = {
    .name = "pull",
    .arguments = "[MODEL…]",
    .summary = "fetch a model; without one, print some to begin with",
    .options = pull_options,
    .min_args = 0,
    .max_args = -1,
    .run = run_pull,
    .more = "  sumi pull owner/name             of Hugging Face, the parts that are needed\n"
	    "  sumi pull owner/name:q8_0        the one file of it with these letters in its name\n"
	    "  sumi pull owner/name@REVISION    a branch, tag or commit\n"
	    "  sumi pull civitai:ID[@VERSION]   of Civitai\n"
	    "  sumi pull https://…              a page of either, or any file\n"
	    "A pull that was cut off goes on where it was. HF_TOKEN and CIVITAI_TOKEN are sent where they\n"
	    "are set; HF_ENDPOINT names a mirror, https_proxy a proxy.\n",
};
