/* sumi pull: a model from a hub, or any file by its address, into the models of this user. */
#include "cli/pull.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/model_file.h"
#include "cli/models_file.h"
#include "cli/verbs.h"
#include "hub/recommended.h"
#include "weights/tensors.h"

#define PARTS ".pulling"

/* ---- progress ---- */

struct bar {
	uint64_t whole;
	int64_t last_ms, begun_ms;
	uint64_t before; /* bytes that were there at the beginning */
	size_t files;
	bool begun, shown;
};

static void show_progress(void *context, uint64_t done, size_t files)
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
	fprintf(stderr, "\r\033[K%3.0f %%  %s of %s  %s/s", bar->whole ? 100 * (double)done / (double)bar->whole : 0,
		there, whole, rate);
	if (bar->files > 1)
		fprintf(stderr, "  %zu of %zu files", files, bar->files);
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

/* A model that is being fetched, into a folder of its own, so that what is half there is no model yet. */
struct pull {
	struct plan plan;
	char work[FILES_PATH_MAX];
	int lock; /* the work folder's: whoever has it fetches; 0: not held */
	bool done;
};

/* What all of them still need. */
static int check_room(const struct pull *pulls, size_t count, const char *models, struct error *err)
{
	int64_t room = files_free_space(models);
	uint64_t needed = 0;
	char want[32], have[32], part[FILES_PATH_MAX];
	struct stat st;
	for (const struct pull *p = pulls; p < pulls + count; p++) {
		uint64_t more = p->plan.bytes;
		for (size_t i = 0; i < p->plan.count; i++)
			for (int k = 0; k < 2; k++)
				if (!files_path(part, NULL, k ? "%s.part" : "%s", p->plan.files[i].path) &&
				    stat(part, &st) == 0)
					more -= (uint64_t)st.st_size < more ? (uint64_t)st.st_size : more;
		needed += more;
	}
	if (room < 0 || needed <= (uint64_t)room)
		return SUMI_OK;
	plan_size_text(needed, want);
	plan_size_text((uint64_t)room, have);
	return error_set(err, SUMI_FULL, "%s: %s are needed, %s are free", models, want, have);
}

/* Where it will lie: in a folder of its kind what goes on top of models. what: the file as it is, or NULL. */
static int place_of(const struct pull *p, const char *models, const char *what, char folder[FILES_PATH_MAX],
		    char to[FILES_PATH_MAX], struct error *err)
{
	const char *last = p->plan.folder ? NULL : strrchr(p->plan.files[0].path, '.');
	const char *kind = what ? models_kind_folder(what) : NULL;
	int status = files_path(folder, err, kind ? "%s/%s" : "%s", models, kind);
	if (!status && !(status = files_make_dirs(folder, 0755, err)))
		status = files_path(to, err, "%s/%s%s", folder, p->plan.name, last ? last : "");
	if (!status && access(to, F_OK) == 0)
		status = error_set(err, SUMI_EXISTS, "%s is there already: sumi models remove %s, or --name "
						     "another", to, p->plan.name);
	return status;
}

static int prepare(const struct cli *cli, struct pull *p, const char *what, const char *models, struct error *err)
{
	char folder[FILES_PATH_MAX], to[FILES_PATH_MAX];
	int status = plan_read(what, &p->plan, err);
	if (status)
		return status;
	if (cli_value(cli, "name"))
		status = plan_take_name(&p->plan, cli_value(cli, "name"), err);
	if (!status)
		status = place_of(p, models, NULL, folder, to, err);
	if (!status)
		status = files_path(p->work, err, "%s/" PARTS "/%s", models, p->plan.name);
	if (!status && !(status = files_make_dirs(p->work, 0755, err)))
		status = plan_place(&p->plan, p->work, err);
	for (size_t i = 0; i < p->plan.count; i++)
		p->plan.files[i].token = p->plan.token;
	return status;
}

/* One pull alone fetches a model: two would write into the same half files. Who comes when it is done finds it there. */
static int claim(const struct cli *cli, struct pull *p, const char *models, struct error *err)
{
	char folder[FILES_PATH_MAX], to[FILES_PATH_MAX];
	int fd = open(p->work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool mine = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
	if (fd >= 0)
		p->lock = fd;
	int status = place_of(p, models, NULL, folder, to, err);
	if (!status && fd < 0)
		status = error_errno(err, "%s", p->work);
	if (!status && !mine)
		status = error_set(err, SUMI_BUSY, "%s is being fetched by another sumi pull", p->plan.name);
	if (!status) {
		tell(cli, &p->plan);
		plan_reuse(&p->plan);
	}
	return status;
}

/* Of a file whose hash nobody promised: is it what its ending says, or a login page? */
static int check_kind(const struct transfer_file *f, struct error *err)
{
	const char *ending = model_file_ending(f->path);
	struct tensor_file *file = NULL;
	struct error why = {0};
	if (*f->sha256 || *f->git_sha1 || !ending || strcmp(ending, ".bin") == 0) /* a network's beside its .param */
		return SUMI_OK;
	int status = tensors_open(f->path, &file, &why);
	tensors_close(file);
	if (status != SUMI_UNSUPPORTED && status != SUMI_CORRUPT)
		return SUMI_OK;
	size_t n = strlen(f->path);
	unlink(f->path);
	return error_set(err, status, "%.200s: %s", f->url, why.text + (strncmp(why.text, f->path, n) == 0 ? n + 2 : 0));
}

/* All files are there: what is known of them is written beside, and they get their name. */
static int finish(struct cli *cli, struct pull *p, const char *models, struct error *err)
{
	const struct plan *plan = &p->plan;
	const char *from = plan->folder ? p->work : plan->files[0].path;
	char folder[FILES_PATH_MAX], to[FILES_PATH_MAX], beside[FILES_PATH_MAX];
	int status = plan->folder ? SUMI_OK : check_kind(&plan->files[0], err);
	if (!status)
		status = place_of(p, models, from, folder, to, err);
	if (!status)
		status = plan->folder ? files_path(beside, err, "%s/SHA256SUMS", p->work)
				      : files_path(beside, err, "%s/%s.sha256", folder, plan->name);
	if (!status)
		status = write_sums(plan, p->work, beside, err);
	if (!status)
		status = plan->folder ? files_path(beside, err, "%s/sumi.json", p->work)
				      : files_path(beside, err, "%s/%s.sumi.json", folder, plan->name);
	if (!status)
		status = write_origin(plan, beside, err);
	if (!status && rename(from, to) != 0)
		status = error_errno(err, "%s", to);
	if (!status)
		status = files_sync_parent(to, err);
	if (status)
		return status;
	p->done = true;
	if (!plan->folder)
		rmdir(p->work);
	if (cli->json)
		cli_print_json(json_pack("{s:s, s:s, s:s, s:s}", "name", plan->name, "path", to, "licence",
					 plan->licence, "source", plan->source));
	else
		printf("%s\n", to);
	return SUMI_OK;
}

static bool is_whole(const struct pull *p)
{
	for (size_t i = 0; i < p->plan.count; i++)
		if (access(p->plan.files[i].path, F_OK) != 0)
			return false;
	return true;
}

/* The files of all at once, whose order is that of the models. */
static int transfer(const struct cli *cli, const struct pull *pulls, size_t count, struct error *err)
{
	struct bar bar = {0};
	struct transfer_watch watch = {show_progress, &bar};
	size_t at = 0;
	for (size_t i = 0; i < count; i++)
		bar.files += pulls[i].plan.count;
	struct transfer_file *files = calloc(bar.files + 1, sizeof *files);
	if (!files)
		return error_set(err, SUMI_NOMEM, "out of memory");
	for (const struct pull *p = pulls; p < pulls + count; p++) {
		bar.whole = p->plan.bytes && (bar.whole || p == pulls) ? bar.whole + p->plan.bytes : 0;
		memcpy(files + at, p->plan.files, p->plan.count * sizeof *files);
		at += p->plan.count;
	}
	int status = transfer_files(files, at, cli->quiet || cli->json ? NULL : &watch, err);
	if (bar.shown)
		fputs("\r\033[K", stderr);
	free(files);
	return status;
}

/* One that cannot come holds back none that is there. */
static int finish_all(struct cli *cli, struct pull *pulls, size_t count, const char *models, int status,
		      struct error *err)
{
	for (struct pull *p = pulls; p < pulls + count; p++) {
		struct error own;
		if (!is_whole(p) || !finish(cli, p, models, &own))
			continue;
		if (!status)
			*err = own;
		status = status ? status : own.status;
	}
	return status;
}

static int check_names(const struct pull *pulls, size_t count, struct error *err)
{
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < i; k++)
			if (strcmp(pulls[i].plan.name, pulls[k].plan.name) == 0)
				return error_set(err, SUMI_INVALID,
						 "two of them would be called %s: pull one after the other, with "
						 "--name", pulls[i].plan.name);
	return SUMI_OK;
}

int pull_models(struct cli *cli, const char *const *what, size_t count, struct error *err)
{
	char models[FILES_PATH_MAX];
	int status = files_path(models, err, "%s/models", cli->config.state_dir);
	struct pull *pulls = calloc(count, sizeof *pulls);
	if (!pulls)
		return error_set(err, SUMI_NOMEM, "out of memory");
	if (!status)
		status = files_make_dirs(models, 0755, err);
	for (size_t i = 0; i < count && !status; i++)
		status = prepare(cli, &pulls[i], what[i], models, err);
	if (!status)
		status = check_names(pulls, count, err);
	for (size_t i = 0; i < count && !status; i++)
		status = claim(cli, &pulls[i], models, err);
	if (!status && !(status = check_room(pulls, count, models, err)))
		status = finish_all(cli, pulls, count, models, transfer(cli, pulls, count, err), err);
	for (size_t i = 0; i < count; i++) {
		plan_free(&pulls[i].plan);
		if (pulls[i].lock)
			close(pulls[i].lock);
	}
	free(pulls);
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
	if (cli_value(cli, "name") && cli->arg_count > 1) {
		error_set(&err, SUMI_INVALID, "--name is for one model at a time");
		return cli_error(cli, &err);
	}
	return pull_models(cli, cli->args, (size_t)cli->arg_count, &err) ? cli_error(cli, &err) : EXIT_OK;
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
