/* sumi render: the diffusion core in this process, without daemon or queue. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/guarded.h"
#include "cli/inputs.h"
#include "cli/output.h"
#include "cli/preflight.h"
#include "cli/verbs.h"
#include "diffusion/adapters.h"
#include "diffusion/catalogue.h"
#include "diffusion/controls.h"
#include "modalities/wildcards.h"
#include "modalities/enlarge.h"
#include "modalities/modality.h"
#include "request/job.h"
#include "weights/packed.h"

static const struct cli_option render_options[] = {
    {"output", 'o', "FILE", "write here, '-' for standard output; the ending chooses the format"},
    {"pack", 'p', "DIR", "the model pack: a folder, or the name of an installed one"},
    {"device", 'd', "NAME", "device to use (sumi devices lists them)"},
    {NULL, 0, NULL, NULL}};

struct render {
	struct cli *cli;
	struct job job;
	const char *output;
	char folder[FILES_PATH_MAX]; /* of the pack */
	struct device *device;
	struct packed_store *packed; /* NULL: packed weights are not kept */
	struct pack *pack;
	int64_t start_us;
	bool terminal, shown; /* a line of progress stands there */
	struct request_places places; /* of the files that it starts from */
	struct adapter_list *adapters; /* NULL: none */
	struct control_list *networks; /* likewise */
	struct enlargers enlargers;
};

struct render_sink {
	const struct render *render;
	int variant;
};

static int on_output(void *context, const struct output *o, struct error *err)
{
	struct render_sink *s = context;
	char path[FILES_PATH_MAX];
	const char *output = s->render->output;
	struct output_part part = {NULL, s->variant, o->role, o->format, o->number};
	bool standard = output_is_standard(output);
	if (standard && strcmp(o->role, "main") != 0)
		return SUMI_OK;
	int status = output_path(output, &part, path, err);
	if (!status)
		status = output_write(output, path, o->data, o->size, err);
	if (status || standard)
		return status;
	if (s->render->cli->json)
		cli_print_json(json_pack("{s:s, s:s, s:I, s:o}", "path", path, "role", o->role,
					 "bytes", (json_int_t)o->size, "metadata",
					 json_loads(o->metadata_json, 0, NULL)));
	else
		printf("%s\n", path);
	return SUMI_OK;
}

static void show_progress(struct render *r, int variant, const struct generation *g)
{
	bool last = g->steps_done == g->steps;
	if (r->cli->quiet || r->cli->json || (!r->terminal && !last))
		return;
	fprintf(stderr, "%s%d/%d step %d/%d  %.1f s%s", r->terminal ? "\r\033[K" : "", variant + 1,
		(int)r->job.n, g->steps_done, g->steps,
		(double)(clock_mono_us() - r->start_us) / 1e6, last ? "\n" : "");
	r->shown = r->terminal && !last;
}

/* Before anything else is said. */
static void end_progress(struct render *r)
{
	if (r->shown)
		fprintf(stderr, "\r\033[K");
	r->shown = false;
}

/* Of what is enlarged. */
static int show_part(void *context, int done, int count, struct error *err)
{
	struct render *r = context;
	(void)err;
	if (r->terminal && !r->cli->quiet && !r->cli->json) {
		fprintf(stderr, "\r\033[Klarger: part %d/%d", done, count);
		r->shown = true;
	}
	return SUMI_OK;
}

static int render_variant(struct render *r, int variant, struct error *err)
{
	struct request request = job_request(&r->job, variant);
	request.host_precision = r->cli->config.precision;
	request.usual_precision = precision_names[device_usual_precision(r->device)];
	request.host_packs = r->cli->config.packs;
	request.host_state = r->cli->config.state_dir;
	request.networks = r->networks;
	request.enlargers = &r->enlargers;
	const struct modality *m = modality_find(request.modality);
	struct generation *g = NULL;
	if (!m)
		return error_set(err, SUMI_UNSUPPORTED, "this sumi cannot make '%s'",
				 request.modality);
	int status = request_places_put(&r->places, &request, err);
	if (!status)
		status = m->resolve(pack_info_of(r->pack), &request, err);
	if (!status)
		status = m->begin(r->pack, &request, NULL, 0, &g, err);
	if (!status) {
		g->part = show_part;
		g->part_context = r;
	}
	while (!status && g->steps_done < g->steps) {
		status = m->step(g, err);
		if (!status)
			show_progress(r, variant, g);
	}
	struct render_sink context = {r, variant};
	struct sink sink = {.context = &context, .output = on_output};
	if (!status)
		status = m->finish(g, &sink, err);
	m->free(g);
	return status;
}

/* The job that the options describe. */
static int make_job(struct render *r, const char *modality, struct error *err)
{
	json_t *fields = r->cli->fields;
	json_object_set_new(fields, "modality", json_string(modality));
	int status = output_prepare(r->cli, modality, NULL, err);
	if (!status)
		status = cli_prompt(r->cli, err);
	if (!status)
		status = job_parse_object(fields, &r->job, err);
	if (!status)
		status = job_complete(&r->job, err);
	/* Before anything is looked for on its account: what this modality does not have. */
	return status ? status : request_check(&r->job.request, param_modality(modality), err);
}

/* What is wanted where no pack is named: by a field that only one modality has, or by the
 * file's ending. */
static const char *wanted_modality(const struct render *r)
{
	const char *dot = strrchr(r->output, '.');
	json_t *fields = json_copy(r->cli->fields);
	if (dot && !json_object_get(fields, "format"))
		json_object_set_new(fields, "format", json_string(dot + 1));
	const char *modality = job_implied_modality(fields);
	json_decref(fields);
	return modality ? modality : modality_names[0];
}

static int find_default(const struct render *r, const struct catalogue *c,
			char path[FILES_PATH_MAX], struct error *err)
{
	const struct pack_info *pack;
	int status = catalogue_default(c, &r->cli->config, wanted_modality(r), &pack, err);
	return status ? status : files_path(path, err, "%s", pack->path);
}

static int find_pack(struct render *r, char path[FILES_PATH_MAX], struct error *err)
{
	const char *name = cli_value(r->cli, "pack");
	const json_t *model = json_object_get(r->cli->fields, "model");
	struct catalogue catalogue;
	if (!name && model)
		name = json_string_value(model);
	if (name && (strchr(name, '/') || strcmp(name, ".") == 0))
		return files_path(path, err, "%s", name);
	int status =
	    catalogue_list(r->cli->config.packs, r->cli->config.state_dir, &catalogue, err);
	if (status)
		return status;
	status = name ? catalogue_find(&catalogue, name, path, err)
		      : find_default(r, &catalogue, path, err);
	catalogue_free(&catalogue);
	/* "--pack ink" in a folder that holds one of that name */
	if (name && status == SUMI_NOTFOUND) {
		char index[FILES_PATH_MAX];
		if (files_path(index, NULL, "%s/model_index.json", name) == 0) {
			if (access(index, F_OK) == 0)
				return files_path(path, err, "%s", name);
		}
	}
	return status;
}

/* Everything that can be known before a device is opened. */
static int prepare(struct render *r, struct error *err)
{
	struct pack_info info;
	int status = find_pack(r, r->folder, err);
	if (status || (status = pack_info_read_plain(r->folder, &info, err)))
		return status;
	if (info.note[0] && !r->cli->quiet && !json_object_get(r->cli->fields, "sampler"))
		fprintf(stderr, "sumi: warning: model %s: %s\n", info.name, info.note);
	status = make_job(r, info.modality, err);
	pack_info_free(&info);
	const struct config *config = &r->cli->config;
	if (!status)
		status = wildcards_resolve(config->packs, config->state_dir, &r->job, SIZE_MAX, err);
	if (!status)
		status = adapters_find(config->packs, config->state_dir, r->job.loras, &r->adapters, err);
	if (!status)
		status = enlargers_find(config->packs, config->state_dir, config->upscaler, &r->job.request, &r->enlargers,
					err);
	return status;
}

/* What of the adapters the model does not have. */
static void warn_adapters(const struct render *r)
{
	char text[512];
	for (int i = 0; !r->cli->quiet &&
			adapters_warning(pack_info_of(r->pack)->adapters, &i, text, sizeof text);)
		fprintf(stderr, "sumi: warning: %s\n", text);
}

static int render_all(struct render *r, struct error *err)
{
	const char *selector = cli_value(r->cli, "device");
	const struct config *config = &r->cli->config;
	int status = device_open(selector, &r->device, err);
	guarded_warn(r->device, selector);
	if (!status)
		status = packed_store_open(config->weight_cache_dir,
					   (uint64_t)config->weight_cache_bytes, &r->packed, err);
	if (!status)
		status = pack_open_with(r->device, r->folder, r->adapters, r->packed, &r->pack, err);
	if (!status)
		warn_adapters(r);
	if (!status)
		status = controls_find(config->packs, config->state_dir, r->job.controls,
				       pack_info_of(r->pack), &r->networks, err);
	if (!status)
		status = inputs_check(&r->job, NULL, NULL, err);
	if (!status)
		status = inputs_locate(r->cli, &r->job, &r->places, err);
	r->start_us = clock_mono_us();
	for (int k = 0; k < (int)r->job.n && !status; k++)
		status = render_variant(r, k, err);
	end_progress(r);
	controls_free(r->networks);
	pack_close(r->pack);
	packed_store_close(r->packed);
	device_close(r->device);
	return status;
}

/* In a process of its own; the exit status. */
static int render_guarded(void *context)
{
	struct render *r = context;
	struct error err = {0};
	if (!render_all(r, &err))
		return EXIT_OK;
	return guarded_again() ? EXIT_FAILED : cli_error(r->cli, &err);
}

static int run_render(struct cli *cli)
{
	struct error err = {0};
	struct render r = {.cli = cli,
			   .output = cli_value(cli, "output"),
			   .terminal = isatty(STDERR_FILENO)};
	int status;
	if (!r.output)
		status = error_set(&err, SUMI_INVALID, "say where the result goes: -o FILE");
	else if (*r.output && cli_is_folder(r.output))
		status = error_set(&err, SUMI_INVALID, "-o %s is a folder: name a file in it",
				   r.output);
	else if (!(status = output_check(cli, &err)) && !(status = prepare(&r, &err)))
		status = guarded_call(render_guarded, &r, &err);
	if (!status) /* a job that is refused is told why, and nothing else */
		preflight_note_idle(cli, &r.job, NULL);
	job_clear(&r.job);
	request_places_clear(&r.places);
	free(r.adapters);
	return status < 0 ? cli_error(cli, &err) : status;
}

const struct verb verb_render = {
    .name = "render",
    .arguments = "PROMPT -o FILE [--pack DIR|FILE] [options]",
    .summary = "make a file right here, without a daemon",
    .options = render_options,
    .job_options = true,
    .min_args = 0, /* a mood may stand for the prompt */
    .max_args = 1,
    .run = run_render,
};
