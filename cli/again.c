/* sumi again: the same bytes once more, from what a file says of itself; or, from a draft, the
 * whole picture. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/create.h"
#include "cli/entry.h"
#include "cli/output.h"
#include "cli/preflight.h"
#include "cli/recipe.h"
#include "cli/verbs.h"
#include "diffusion/adapters.h"
#include "diffusion/embeddings.h"
#include "weights/embedding.h"
#include "request/files.h"

static const struct cli_option again_options[] = {
    {"full", 0, NULL, "of a draft the whole: the pack's own model, steps, guidance and sampler"},
    {"no-fast", 0, NULL, "the same as --full"},
    {"output", 'o', "FILE|DIR|-", "save the result here (default: the present folder)"},
    {"detach", 0, NULL, "print the job's id and return at once"},
    {NULL, 0, NULL, NULL}};

/* Files come from anywhere: one says what is in it, not when or for whom it is made again. */
static void keep_parameters(json_t *object)
{
	const char *name;
	json_t *value;
	void *next;
	json_object_foreach_safe(object, next, name, value)
	{
		const struct param *p = param_find(name);
		if (p && p->concern != PARAM_PICTURE)
			json_object_del(object, name);
	}
}

/* A pack and its distilled model have steps, guidance and sampler of their own: who changes from
 * one to the other does not want those of the first. */
static int change_model(struct cli *cli, json_t *job, struct error *err)
{
	const json_t *given = json_object_get(cli->fields, "fast");
	bool was = json_is_true(json_object_get(job, "fast"));
	bool full = cli_value(cli, "full") || cli_value(cli, "no-fast");
	if (full && json_is_true(given))
		return error_set(err, SUMI_INVALID,
				 "--full and --fast contradict each other: give one of them");
	const char *modality = json_string_value(json_object_get(job, "modality"));
	if ((full || given) && modality && !(param_find("fast")->modalities & param_modality(modality)))
		return error_set(err, SUMI_INVALID,
				 "%s: a %s joins scenes that have been made: sumi film STORY, with or "
				 "without --fast, makes them anew",
				 cli->args[0], modality);
	bool fast = full ? false : given ? json_is_true(given) : was;
	if (full || fast != was || json_is_false(given))
		recipe_drop_derived(job);
	if (!fast) {
		json_object_del(job, "fast");
		json_object_del(cli->fields, "fast");
	}
	return SUMI_OK;
}

/* A file may name a path of the host that it was made on, or of this one: what lies there is nobody's
 * business but the user's, who may name it. */
static int check_files(struct cli *cli, const struct job *job, struct error *err)
{
	char name[SHA256_HEX_SIZE], option[64];
	struct request_file f;
	for (size_t i = 0; request_file(&job->request, i, &f); i++) {
		if (json_object_get(cli->fields, f.param->name) || sha256_is_name(f.value, name))
			continue;
		cli_option_name(f.param->name, option, sizeof option);
		return error_set(err, SUMI_INVALID,
				 "%s: it was made from another file, '%.200s': name that with --%s %s",
				 cli->args[0], f.value, option, f.member ? "…" : "FILE");
	}
	return SUMI_OK;
}

static void print_keys(const json_t *object)
{
	const char *key, *between = "";
	json_t *value;
	json_object_foreach((json_t *)object, key, value)
	{
		fputs(between, stderr);
		entry_put_text(stderr, key, SIZE_MAX);
		between = ", ";
	}
}

/* What the file says of a picture that it began with and of a mask, where both are brought now. */
static void take_waiting(const struct cli *cli, struct recipe *recipe)
{
	static const char *const masks[] = {"mask",	     "mask_from",     "outpaint_left",
					    "outpaint_right", "outpaint_top", "outpaint_bottom"};
	const char *key, *field;
	json_t *fields, *value;
	bool masked = false;
	if (!json_object_get(cli->fields, "init"))
		return;
	for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++)
		masked |= json_object_get(cli->fields, masks[i]) != NULL;
	json_object_foreach(recipe->waiting, key, fields)
	{
		if (!masked && !json_object_get(fields, "strength"))
			continue;
		json_object_foreach(fields, field, value)
			json_object_set(recipe->job, field, value);
		json_object_del(recipe->unknown, key);
	}
}

/* --no-NAME of what the file says, and of what cannot be without it. */
static void leave_out(const struct cli *cli, json_t *job)
{
	static const char *const along[][2] = {{"init", "mask"},	   {"init", "mask_from"},    {"init", "outpaint_left"},
					       {"init", "outpaint_right"}, {"init", "outpaint_top"}, {"init", "outpaint_bottom"},
					       {"mask", "mask_from"}};
	const char *name;
	json_t *value;
	json_object_foreach(cli->left_out, name, value)
		json_object_del(job, name);
	for (size_t i = 0; i < sizeof along / sizeof along[0]; i++)
		if (json_object_get(cli->left_out, along[i][0]))
			json_object_del(job, along[i][1]);
}

/* How a control that has lost its picture is asked for again. */
static void print_option(const json_t *control)
{
	const char *map = json_string_value(json_object_get(control, "preprocess"));
	const char *model = json_string_value(json_object_get(control, "model"));
	static const char *const numbers[] = {"strength", "start", "end"};
	static const double usual[] = {1, 0, 1};
	fprintf(stderr, "--control %s:FILE", map ? map : "none");
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		const json_t *value = json_object_get(control, numbers[i]);
		if (json_is_number(value) && json_number_value(value) != usual[i])
			fprintf(stderr, ",%s=%g", numbers[i], json_number_value(value));
	}
	fputs(",model=", stderr);
	entry_put_text(stderr, model, SIZE_MAX);
	if (json_is_true(json_object_get(control, "guess")))
		fputs(",guess=true", stderr);
}

static void tell_followed(const struct cli *cli, const struct recipe *recipe)
{
	size_t i;
	json_t *control;
	if (json_object_get(cli->fields, "controls"))
		return;
	json_array_foreach(recipe->followed, i, control)
	{
		const char *module = json_string_value(json_object_get(control, "module"));
		fprintf(stderr, "sumi: note: %s followed a picture that is not in it%s", cli->args[0],
			module ? ", a map by " : "");
		if (module)
			entry_put_text(stderr, module, SIZE_MAX);
		fputs(": ", stderr);
		print_option(control);
		fputs(" takes one\n", stderr);
	}
}

/* Those that another program names outside of its prompt: what is here is taken, of the rest it is said. */
static void take_loras(const struct cli *cli, const struct recipe *recipe)
{
	size_t i;
	json_t *lora, *taken = json_array();
	json_array_foreach(recipe->loras, i, lora)
	{
		struct adapter_list *found = NULL;
		json_t *one = json_pack("[O]", lora);
		if (!adapters_find(cli->config.packs, cli->config.state_dir, one, &found, NULL)) {
			json_array_append(taken, lora);
		} else if (!cli->quiet && !json_object_get(cli->fields, "loras")) {
			fprintf(stderr, "sumi: note: %s was made with the LoRA ", cli->args[0]);
			entry_put_text(stderr, json_string_value(json_object_get(lora, "name")), SIZE_MAX);
			fprintf(stderr, " (%g), which is not here and is left out: sumi models add brings one\n",
				json_number_value(json_object_get(lora, "weight")));
		}
		free(found);
		json_decref(one);
	}
	if (json_array_size(taken) && !json_object_get(recipe->job, "loras"))
		json_object_set(recipe->job, "loras", taken);
	json_decref(taken);
}

/* What a person may take for granted and does not get. */
static void tell(const struct cli *cli, const struct recipe *recipe)
{
	static const char *const of_the_model[] = {"steps", "cfg_scale", "sampler", "scheduler"};
	if (cli->quiet)
		return;
	if (*recipe->damage)
		fprintf(stderr, "sumi: warning: what sumi wrote into it is damaged: %s\n", recipe->damage);
	if (!recipe->ours) {
		fprintf(stderr,
			"sumi: note: %s has %s%s alone: the result may differ in what that does not "
			"say",
			cli->args[0], recipe->infotext ? "the infotext" : "the words of ",
			recipe->infotext ? "" : recipe->program);
		if (json_object_size(recipe->unknown)) {
			fprintf(stderr, "; not taken: ");
			print_keys(recipe->unknown);
		}
		if (json_object_size(recipe->waiting) && !json_object_get(cli->fields, "init"))
			fprintf(stderr, "; --init FILE, and --mask FILE, would take with them: ");
		if (json_object_size(recipe->waiting) && !json_object_get(cli->fields, "init"))
			print_keys(recipe->waiting);
		fputc('\n', stderr);
		tell_followed(cli, recipe);
	}
	for (size_t i = 0; i < sizeof of_the_model / sizeof of_the_model[0]; i++)
		if (json_is_true(json_object_get(recipe->job, "fast")) &&
		    json_object_get(cli->fields, of_the_model[i]) &&
		    !json_object_get(cli->fields, "fast")) {
			fprintf(stderr, "sumi: note: %s is a draft and stays one, by the pack's "
					"distilled model: --full takes the pack's own\n",
				cli->args[0]);
			return;
		}
}

/* A file that a result was made with, by its name and hash. */
struct companion {
	const char *name, *sha256, *config; /* config: of what stands beside it, or NULL */
	bool same, other; /* one of that name is here: the same, another */
};

static int compare(void *context, const char *name, const char *path, struct error *err)
{
	struct companion *c = context;
	struct embedding_file e = {0};
	char sha256[SHA256_HEX_SIZE], beside[FILES_PATH_MAX];
	(void)err;
	bool named = strcasecmp(name, c->name) == 0;
	/* An embedding may be named by a word of its own. */
	if (!named && embedding_open(path, &e, NULL) == SUMI_OK)
		named = strcasecmp(e.word, c->name) == 0;
	embedding_close(&e);
	if (!named || sha256_file(path, sha256, NULL))
		return SUMI_OK;
	bool same = strcmp(sha256, c->sha256) == 0;
	if (same && c->config)
		same = adapter_config_path(path, beside) && !sha256_file(beside, sha256, NULL) &&
		       strcmp(sha256, c->config) == 0;
	c->same |= same;
	c->other |= !same;
	return SUMI_OK;
}

/* LoRAs and embeddings are named; what lies here under the name may be another file. */
static void tell_others(const struct cli *cli, const struct recipe *recipe)
{
	static const struct {
		const char *list, *what;
		int (*visit)(const char *paths, const char *state_dir, place_file_visit *visit,
			     void *context, struct error *err);
	} kinds[] = {{"loras", "LoRA", adapters_visit}, {"embeddings", "embedding", embeddings_visit}};
	for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
		size_t i;
		json_t *o;
		json_array_foreach(json_object_get(recipe->made_by, kinds[k].list), i, o)
		{
			struct companion c = {json_string_value(json_object_get(o, "name")),
					      json_string_value(json_object_get(o, "sha256")),
					      json_string_value(json_object_get(o, "config_sha256")), false, false};
			if (!c.name || !c.sha256)
				continue;
			kinds[k].visit(cli->config.packs, cli->config.state_dir, compare, &c, NULL);
			if (c.same || !c.other)
				continue;
			fprintf(stderr, "sumi: warning: %s ", kinds[k].what);
			entry_put_text(stderr, c.name, SIZE_MAX);
			fputs(" is another file here than the one that this was made with (its hash "
			      "differs): so will the result\n",
			      stderr);
		}
	}
}

/* How a program reads prompts, where its files do not say it and it is not as most do; NULL: as most. */
static const char *usual_syntax(const struct recipe *recipe)
{
	static const char *const usual[][2] = {
	    {"sumi", "diffusers"}, {"ComfyUI", "comfy"},      {"SwarmUI", "comfy"},
	    {"NovelAI", "diffusers"}, {"InvokeAI", "compel"}};
	for (size_t i = 0; recipe->program && i < sizeof usual / sizeof usual[0]; i++)
		if (strcmp(usual[i][0], recipe->program) == 0)
			return usual[i][1];
	return NULL;
}

/* Where a field that this modality has is open; value may be NULL. */
static void take_usual(json_t *job, const char *modality, const char *name, const char *value)
{
	bool has = !modality || param_find(name)->modalities & param_modality(modality);
	if (value && has && !json_object_get(job, name))
		json_object_set_new(job, name, json_string(value));
}

/* A quality that the file brought has no say in a format that loses nothing, and is no silent wish of the user's. */
static int drop_idle(const struct cli *cli, struct job *job, struct error *err)
{
	const char *name, *why;
	int status = SUMI_OK;
	while (!status && (name = request_idle(&job->request, &why)) &&
	       !json_object_get(cli->fields, name) && json_object_get(job->fields, name)) {
		json_t *fields = json_copy(job->fields);
		json_object_del(fields, name);
		job_clear(job);
		status = job_parse_object(fields, job, err);
		json_decref(fields);
	}
	return status;
}

/* What the file says; options given now win. */
static int read_job(struct cli *cli, struct job *job, struct error *err)
{
	struct recipe recipe;
	const char *path = cli->args[0];
	int status = recipe_read(path, &recipe, err);
	if (status == SUMI_NOTFOUND && !strpbrk(path, "/.") && job_id_valid(path))
		return error_set(err, SUMI_NOTFOUND,
				 "%s: there is no such file; of a job's results: sumi fetch %s, then sumi "
				 "again %s-1.webp, or what fetch prints",
				 path, path, path);
	if (status)
		return status;
	status = change_model(cli, recipe.job, err);
	const char *modality = json_string_value(json_object_get(recipe.job, "modality"));
	const char *format = json_string_value(json_object_get(recipe.job, "format"));
	if (!status)
		status = output_prepare(cli, modality ? modality : modality_names[0], format, err);
	if (!status) {
		take_waiting(cli, &recipe);
		tell(cli, &recipe);
		if (!cli->quiet)
			tell_others(cli, &recipe);
		take_loras(cli, &recipe);
		/* What is exact does not say so, and this host may take another for open. */
		if (recipe.ours)
			take_usual(recipe.job, modality, "precision", "exact");
		take_usual(recipe.job, modality, "prompt_syntax", usual_syntax(&recipe));
		/* What was drawn is drawn. */
		json_object_set_new(recipe.job, "literal", json_true());
		keep_parameters(recipe.job);
		leave_out(cli, recipe.job);
		json_object_update(recipe.job, cli->fields);
		status = job_parse_object(recipe.job, job, err);
		if (!status && (status = check_files(cli, job, err)))
			job_clear(job);
		if (!status)
			status = drop_idle(cli, job, err);
	}
	recipe_clear(&recipe);
	return status;
}

static int run_again(struct cli *cli)
{
	struct error err = {0};
	struct job job = {0};
	int status = read_job(cli, &job, &err);
	if (!status && (status = preflight(cli, &job, &err)))
		job_clear(&job);
	return status ? cli_error(cli, &err) : create_job(cli, &job);
}

const struct verb verb_again = {
    .name = "again",
    .arguments = "FILE|- [options]",
    .summary = "make the same bytes again from an artifact's own metadata, or of a draft the whole",
    .options = again_options,
    .job_options = true,
    .takes_back = true,
    .min_args = 1,
    .max_args = 1,
    .run = run_again,
    .more = "Options change what they name: sumi again picture.webp --seed 8\n"
	    "What it says is left out by --no-NAME: sumi again picture.webp --no-mask\n"
	    "From a draft to the picture:     sumi again draft.webp --full\n"
	    "From standard input:             sumi again - < picture.webp\n",
};
