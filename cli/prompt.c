/* sumi prompt: what a prompt says beside its words, and what a model would be told. */
#include <stdlib.h>
#include <string.h>

#include "cli/entry.h"
#include "cli/verbs.h"
#include "diffusion/embeddings.h"
#include "diffusion/explain.h"
#include "modalities/modality.h"
#include "modalities/request.h"
#include "modalities/wildcards.h"

static const struct cli_option prompt_options[] = {
    {"explain", 0, NULL, "show tokens, chunks, weights and changes (as without it)"},
    {NULL, 0, NULL, NULL}};

/* ---- for people ---- */

static void put(const char *text)
{
	entry_put_text(stdout, text, SIZE_MAX);
}

static void print_ranges(const json_t *ranges)
{
	size_t i;
	json_t *range;
	json_array_foreach(ranges, i, range)
	{
		int from = (int)json_integer_value(json_array_get(range, 0));
		int to = (int)json_integer_value(json_array_get(range, 1));
		printf(from == to ? "%s%d" : "%s%d-%d", i ? ", " : "", from, to);
	}
}

static void print_chunk(const json_t *chunk, size_t number)
{
	const json_t *tokens = json_object_get(chunk, "tokens");
	size_t i;
	json_t *token;
	printf("    chunk %zu, %zu of %d tokens: ", number, json_array_size(tokens),
	       (int)json_integer_value(json_object_get(chunk, "room")));
	json_array_foreach(tokens, i, token)
	{
		const json_t *vector = json_object_get(token, "embedding");
		const char *text = json_string_value(json_object_get(token, "text"));
		double weight = json_number_value(json_object_get(token, "weight"));
		size_t n = text ? strlen(text) : 0;
		fputs(i ? " | " : "", stdout);
		if (vector)
			printf("<vector %d>", (int)json_integer_value(vector));
		else
			entry_put_text(stdout, text, n && text[n - 1] == ' ' ? n - 1 : SIZE_MAX);
		if (weight != 1)
			printf(" x%.4g", weight);
	}
	putchar('\n');
}

static void print_part(const json_t *part, const char *title, size_t number, size_t count)
{
	const json_t *texts = json_object_get(part, "texts");
	double weight = json_number_value(json_object_get(part, "weight"));
	size_t i, k;
	json_t *text, *chunk;
	fputs(title, stdout);
	if (count > 1)
		printf(", part %zu of %zu", number, count);
	if (weight != 1)
		printf(", weight %.4g", weight);
	putchar('\n');
	json_array_foreach(texts, i, text)
	{
		fputs("  ", stdout);
		if (json_array_size(texts) > 1) {
			fputs("steps ", stdout);
			print_ranges(json_object_get(text, "evaluations"));
			fputs(": ", stdout);
		}
		put(json_string_value(json_object_get(text, "text")));
		putchar('\n');
		json_array_foreach(json_object_get(text, "chunks"), k, chunk)
			print_chunk(chunk, k + 1);
	}
}

static void print(const json_t *o)
{
	static const char *const titles[][2] = {{"prompt", "prompt"},
						{"negative_prompt", "negative prompt"}};
	size_t i;
	json_t *item;
	printf("syntax %s, model %s, %d steps\n",
	       json_string_value(json_object_get(o, "syntax")),
	       json_string_value(json_object_get(o, "model")),
	       (int)json_integer_value(json_object_get(o, "evaluations")));
	if (json_object_get(o, "template")) {
		fputs("drawn from ", stdout);
		put(json_string_value(json_object_get(o, "template")));
		putchar('\n');
	}
	for (size_t t = 0; t < sizeof titles / sizeof titles[0]; t++) {
		const json_t *parts = json_object_get(o, titles[t][0]);
		json_array_foreach(parts, i, item)
			print_part(item, titles[t][1], i + 1, json_array_size(parts));
	}
	json_array_foreach(json_object_get(o, "embeddings"), i, item)
		printf("embedding %s, %d vectors\n", json_string_value(json_object_get(item, "name")),
		       (int)json_integer_value(json_object_get(item, "vectors")));
	json_array_foreach(json_object_get(o, "loras"), i, item)
	{
		fputs("LoRA ", stdout);
		put(json_string_value(json_object_get(item, "name")));
		printf(", weight %.4g\n", json_number_value(json_object_get(item, "weight")));
	}
	json_array_foreach(json_object_get(o, "notes"), i, item)
	{
		fputs("note: ", stdout);
		put(json_string_value(item));
		putchar('\n');
	}
}

/* ---- */

/* The model that a job would be made by here. */
static int find_pack(struct cli *cli, const char *model, const struct pack_info **out,
		     struct error *err)
{
	struct job job = {.model = model};
	enum modality_index m = MODALITIES;
	*out = model ? admission_named(&cli->admission, model) : NULL;
	if (model && !*out)
		return error_set(err, SUMI_NOTFOUND, "there is no model '%.80s' here: sumi models lists "
						     "them", model);
	for (int i = 0; i < MODALITIES_OF_PACKS && !*out; i++) {
		m = i;
		job.modality = modality_names[m];
		*out = admission_pack(&cli->admission, &job);
	}
	return *out ? SUMI_OK : error_set(err, SUMI_NOTFOUND, "there is no model here: sumi models");
}

static int explain(struct cli *cli, const struct pack_info *info, struct job *job, json_t **out,
		   struct error *err)
{
	struct embeddings *words = NULL;
	struct request r = job_request(job, 0);
	r.host_packs = cli->config.packs;
	r.host_state = cli->config.state_dir;
	const struct modality *m = modality_find(info->modality);
	int status = m ? m->resolve(info, &r, err)
		       : error_set(err, SUMI_UNSUPPORTED, "this sumi cannot make '%s'", info->modality);
	if (!status)
		status = request_embeddings(info, &r, &words, err);
	struct run_params params = request_run_params(&r);
	params.embeddings = words;
	if (!status)
		status = prompt_explain(info, &params, out, err);
	if (!status && words)
		json_object_set_new(*out, "embeddings", embeddings_json(words));
	if (!status && r.prompt_template)
		json_object_set_new(*out, "template", json_string(r.prompt_template));
	if (!status && json_array_size(r.loras))
		json_object_set(*out, "loras", (json_t *)r.loras);
	embeddings_close(words);
	return status;
}

static int run_prompt(struct cli *cli)
{
	struct error err = {0};
	struct job job = {0};
	const struct pack_info *info = NULL;
	json_t *o = NULL;
	int status = cli_prompt(cli, &err);
	const char *model = json_string_value(json_object_get(cli->fields, "model"));
	if (!status)
		status = find_pack(cli, model, &info, &err);
	if (!status) {
		json_object_set_new(cli->fields, "modality", json_string(info->modality));
		status = job_parse_object(cli->fields, &job, &err);
	}
	if (!status)
		status = wildcards_resolve(cli->config.packs, cli->config.state_dir, &job, SIZE_MAX,
					   &err);
	if (!status)
		status = explain(cli, info, &job, &o, &err);
	job_clear(&job);
	if (status)
		return cli_error(cli, &err);
	if (cli->json)
		return cli_print_json(o);
	print(o);
	json_decref(o);
	return EXIT_OK;
}

const struct verb verb_prompt = {
    .name = "prompt",
    .arguments = "PROMPT [options]",
    .summary = "what a prompt says: tokens, chunks, weights, changes, and what is left out",
    .options = prompt_options,
    .job_options = true,
    .min_args = 1,
    .max_args = 1,
    .run = run_prompt,
    .more = "How a model would read it:  sumi prompt --explain \"a (red:1.3) [boat:ship:0.5]\"\n"
	    "As another program does:    sumi prompt \"(red:1.3)\" --prompt-syntax comfy\n",
};
