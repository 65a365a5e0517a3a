/* Adapters on packs. */
#include "diffusion/adapters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/family.h"
#include "weights/distilled.h"
#include "weights/recognise.h"
#include "weights/source.h"

bool adapters_propose(const json_t *loras, struct pack_defaults *d, double *eta, const char **name)
{
	for (size_t i = 0; i < json_array_size(loras); i++) {
		const json_t *o = json_array_get(loras, i);
		struct distilled proposes;
		*name = json_string_value(json_object_get(o, "name"));
		if (json_number_value(json_object_get(o, "weight")) == 0 || !*name ||
		    !distilled_named(*name, &proposes))
			continue;
		d->steps = proposes.steps;
		d->cfg_scale = proposes.cfg_scale;
		snprintf(d->sampler, sizeof d->sampler, "%s", proposes.sampler);
		snprintf(d->schedule, sizeof d->schedule, "%s", proposes.scheduler ? proposes.scheduler : "default");
		*eta = proposes.eta;
		return true;
	}
	return false;
}

/* The same of one, for who reads how a result was made; NULL: it proposes nothing. */
static json_t *proposal_json(const char *name)
{
	struct distilled d;
	if (!distilled_named(name, &d))
		return NULL;
	return json_pack("{s:s, s:s*, s:i, s:f, s:o*}", "sampler", d.sampler, "scheduler", d.scheduler, "steps", d.steps,
			 "cfg_scale", d.cfg_scale, "eta", d.eta > 0 ? json_real(d.eta) : NULL);
}

/* ---- on a pack ---- */

struct adapters {
	struct {
		struct adapter *file;
		struct adapter_weight weight;
		struct adapter_fit fit;
		size_t drawn; /* of those that fit, those of the denoiser */
		char name[ADAPTER_LABEL_MAX + 1];
		char sha256[SHA256_HEX_SIZE], config[SHA256_HEX_SIZE]; /* empty: none lies beside it */
	} rows[OVERLAYS_MAX];
	int count;
	bool thin; /* they lie beside the weights */
	bool same; /* adapters_reweigh() */
	struct adapter_list list;
	uint64_t stamp; /* of its files */
};

/* What a part of a pack is to adapters; 0: nothing. The only encoder of a family is the first, and
 * keeps the name that it has beside another. */
static unsigned part_of(const struct pack_info *info, const char *folder)
{
	const struct part *p = family_part(info->family, folder);
	if (!p || p->use != PART_TEXTS)
		return !p || p->use == PART_DENOISER || p->use == PART_DISTILLED ? ADAPTER_DENOISER : 0;
	int encoders = 0;
	for (const struct part *const *at = info->family->parts; *at; at++)
		encoders += (*at)->use == PART_TEXTS;
	if (encoders == 1)
		return p->second ? ADAPTER_TEXT | ADAPTER_TEXT_2 : ADAPTER_TEXT;
	return p->second ? ADAPTER_TEXT_2 : ADAPTER_TEXT;
}

/* The first module of an adapter that is of none of those parts becomes that which is told, where all others fit. */
static void first_of_others(const struct adapter *file, unsigned parts, struct adapter_fit *fit)
{
	char target[ADAPTER_NAME_MAX];
	for (size_t i = 0; i < adapter_modules(file) && !fit->first[0]; i++)
		if (!adapter_target(file, i, parts, 1, target))
			snprintf(fit->first, sizeof fit->first, "%s", adapter_module_name(file, i));
}

/* The weights of each part whose numbers adapters change. */
static int fit_parts(struct adapters *a, int i, const struct pack_info *info, struct error *err)
{
	char path[FILES_PATH_MAX];
	unsigned parts = 0;
	int status = SUMI_OK;
	for (const struct part *const *at = info->family->parts; *at && !status; at++) {
		struct weights *w = NULL;
		size_t before = a->rows[i].fit.fit;
		if ((*at)->use != PART_TEXTS && (*at)->use != PART_DENOISER)
			continue;
		status = pack_part(info, (*at)->folder, path, err);
		if (!status)
			status = weights_open(path, &w, err);
		if (!status)
			status = weights_adapt(w, a->rows[i].file, part_of(info, (*at)->folder),
					       &a->rows[i].weight, &a->rows[i].fit, err);
		weights_close(w);
		parts |= part_of(info, (*at)->folder);
		a->rows[i].drawn += (*at)->use == PART_DENOISER ? a->rows[i].fit.fit - before : 0;
	}
	first_of_others(a->rows[i].file, parts, &a->rows[i].fit);
	return status;
}

/* "a LoRA of Stable Diffusion XL" */
static void tell_kind(const char *path, char *out, size_t size)
{
	struct source s = {0};
	struct recognition r = {0};
	if (!source_open(path, &s, NULL))
		recognise(&s.list, &r);
	recognition_text(&r, out, size);
	source_close(&s);
}

static int open_row(struct adapters *a, int i, const struct adapter_list *list,
		    const struct pack_info *info, struct error *err)
{
	char what[160];
	const char *path = list->rows[i].path;
	a->rows[i].weight = list->rows[i].weight;
	strcpy(a->rows[i].name, list->rows[i].name);
	int status = adapter_open(path, &a->rows[i].file, err);
	if (status == SUMI_UNSUPPORTED) {
		tell_kind(path, what, sizeof what);
		return error_prefix(err, "LoRA %s (%s) is not read", list->rows[i].name, what);
	}
	if (status)
		return status;
	status = fit_parts(a, i, info, err);
	if (status == SUMI_INVALID) {
		char why[sizeof err->text];
		tell_kind(path, what, sizeof what);
		snprintf(why, sizeof why, "%s", err->text);
		return error_set(err, SUMI_INVALID, "LoRA %s (%s) is not for model %s: %s", list->rows[i].name,
				 what, info->name, why);
	}
	/* Families share text encoders: what fits there alone says nothing. */
	size_t drawing = adapter_drawing(a->rows[i].file);
	if (!status && !a->rows[i].drawn && (drawing || !a->rows[i].fit.fit)) {
		tell_kind(path, what, sizeof what);
		status = error_set(err, SUMI_INVALID,
				   "LoRA %s (%s) is not for model %s: none of its %zu modules%s has a place there",
				   list->rows[i].name, what, info->name,
				   a->rows[i].fit.fit ? drawing : adapter_modules(a->rows[i].file),
				   a->rows[i].fit.fit ? " beside those of text encoders" : "");
	}
	char config[FILES_PATH_MAX];
	if (!status && adapter_config_path(path, config))
		status = sha256_file(config, a->rows[i].config, err);
	return status ? status : sha256_file(path, a->rows[i].sha256, err);
}

/* Beside the weights they cost some time in each step; on them, the time to open the model anew and
 * memory for another copy of what they change (docs/performance.md has both). */
enum { THIN_MOST = 2 }; /* of so many numbers of the weights one may be theirs */

static int judge(struct adapters *a, const struct pack_info *info, struct error *err)
{
	char path[FILES_PATH_MAX];
	struct pack_info with = *info;
	uint64_t own = 0, base = 0;
	int status = SUMI_OK;
	bool pairs = info->family->denoiser->adapt && info->family->conditioner->adapt;
	with.adapters = a;
	for (const struct part *const *at = info->family->parts; *at && !status && pairs; at++) {
		struct weights *w = NULL;
		struct overlays on;
		if ((*at)->use != PART_TEXTS && (*at)->use != PART_DENOISER)
			continue;
		status = pack_part(info, (*at)->folder, path, err);
		if (!status)
			status = weights_open_with(path, adapters_on(&with, (*at)->folder, &on), &w, err);
		pairs = !status && weights_are_pairs(w, &own, &base);
		weights_close(w);
	}
	a->thin = pairs && own <= base / THIN_MOST;
	return status;
}

bool adapters_folded(const struct adapters *a)
{
	return a && !a->thin;
}

int adapters_thin(const struct adapters *a)
{
	int ranks = 0;
	for (int i = 0; a && a->thin && i < a->count; i++) {
		int least, most;
		adapter_ranks(a->rows[i].file, &least, &most);
		ranks += most;
	}
	return ranks;
}

int adapters_open(const struct adapter_list *list, const struct pack_info *info, struct adapters **out,
		  struct error *err)
{
	*out = NULL;
	struct adapters *a = calloc(1, sizeof *a);
	int status = a ? SUMI_OK : error_set(err, SUMI_NOMEM, "out of memory");
	if (!status) {
		a->list = *list;
		a->stamp = adapters_stamp(list);
	}
	for (int i = 0; i < list->count && !status; i++) {
		a->count++;
		status = open_row(a, i, list, info, err);
	}
	if (!status)
		status = judge(a, info, err);
	if (status) {
		adapters_close(a);
		return status;
	}
	*out = a;
	return SUMI_OK;
}

void adapters_close(struct adapters *a)
{
	if (!a)
		return;
	for (int i = 0; i < a->count; i++)
		adapter_close(a->rows[i].file);
	free(a);
}

bool adapters_reweigh(struct adapters *a, const struct adapter_list *list)
{
	bool same = a && list && a->thin && list->count == a->count && adapters_stamp(list) == a->stamp;
	for (int i = 0; same && i < a->count; i++) {
		const struct adapter_weight *x = &a->rows[i].weight, *y = &list->rows[i].weight;
		/* What counts for nothing lies nowhere, and counts when it is judged. */
		same = strcmp(a->list.rows[i].path, list->rows[i].path) == 0 &&
		       strcmp(a->rows[i].name, list->rows[i].name) == 0 && x->ranks == y->ranks &&
		       (x->denoiser != 0) == (y->denoiser != 0) && (x->text != 0) == (y->text != 0);
	}
	if (!same)
		return false;
	for (int i = 0; i < a->count; i++)
		a->rows[i].weight = list->rows[i].weight;
	return a->same = true;
}

const struct overlays *adapters_on(const struct pack_info *info, const char *part, struct overlays *out)
{
	const struct adapters *a = info->adapters;
	*out = (struct overlays){.count = a ? a->count : 0, .store = info->store};
	out->parts = a ? part_of(info, part) : 0;
	out->thin = a && a->thin;
	out->same = a && a->same;
	for (int i = 0; i < out->count; i++) {
		out->rows[i].adapter = a->rows[i].file;
		out->rows[i].weight = a->rows[i].weight;
	}
	return out;
}

void adapters_identity(const struct adapters *a, struct bytes_writer *out)
{
	for (int i = 0; a && i < a->count; i++) {
		bytes_put(out, a->rows[i].sha256, SHA256_HEX_SIZE - 1);
		bytes_put(out, a->rows[i].config, strlen(a->rows[i].config));
		bytes_put_f64(out, a->rows[i].weight.denoiser);
		bytes_put_f64(out, a->rows[i].weight.text);
		bytes_put_u32(out, (uint32_t)a->rows[i].weight.ranks);
	}
	if (a && a->thin)
		bytes_put_u32(out, 1);
}

/* Modules without a place, of any part. */
static size_t unfit(const struct adapters *a, int i)
{
	return adapter_modules(a->rows[i].file) - a->rows[i].fit.fit;
}

json_t *adapters_json(const struct adapters *a)
{
	json_t *list = a ? json_array() : NULL;
	for (int i = 0; a && i < a->count; i++)
		json_array_append_new(
		    list, json_pack("{s:s, s:s, s:s*, s:s, s:I, s:I, s:o*}", "name", a->rows[i].name, "sha256",
				    a->rows[i].sha256, "config_sha256",
				    *a->rows[i].config ? a->rows[i].config : NULL, "kind", adapter_kind(a->rows[i].file), "modules",
				    (json_int_t)adapter_modules(a->rows[i].file), "fit",
				    (json_int_t)a->rows[i].fit.fit, "proposes",
				    proposal_json(a->rows[i].name)));
	return list;
}

bool adapters_warning(const struct adapters *a, int *next, char *out, size_t size)
{
	for (; a && *next < a->count; ++*next) {
		int i = *next;
		if (!unfit(a, i))
			continue;
		const char *first = a->rows[i].fit.first;
		snprintf(out, size, "LoRA %s: %zu of its %zu modules have no place in this model%s%s%s",
			 a->rows[i].name, unfit(a, i), adapter_modules(a->rows[i].file),
			 *first ? " (the first: " : "", first, *first ? ")" : "");
		++*next;
		return true;
	}
	return false;
}
