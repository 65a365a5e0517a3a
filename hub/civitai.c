/* Civitai: GET api/v1/models/ID, or api/v1/model-versions/ID; its files have a SHA-256 each.
 * CIVITAI_ENDPOINT stands for another host, CIVITAI_TOKEN is sent where it is given. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "hub/plan.h"

enum { ANSWER_MAX = 8 << 20 };

#define HOST "https://civitai.com"

static const char *endpoint(void)
{
	const char *given = getenv("CIVITAI_ENDPOINT");
	return given && *given ? given : HOST;
}

/* civitai:MODEL, civitai:MODEL@VERSION, urn:air:…:civitai:MODEL@VERSION, HOST/models/MODEL?modelVersionId=V,
 * HOST/api/download/models/VERSION. 0: not said. */
static bool parse(const char *text, long *model, long *version)
{
	char *end;
	*model = *version = 0;
	if (strncmp(text, "urn:air:", 8) == 0)
		text = strstr(text, "civitai:");
	if (!text)
		return false;
	if (strncmp(text, "civitai:", 8) == 0) {
		*model = strtol(text + 8, &end, 10);
		if (*end == '@')
			*version = strtol(end + 1, &end, 10);
		return *model > 0 && !*end;
	}
	size_t n = strlen(endpoint());
	if (strncmp(text, endpoint(), n) != 0)
		return false;
	text += n;
	if (sscanf(text, "/api/download/models/%ld", version) == 1)
		return *version > 0;
	const char *query = strstr(text, "modelVersionId=");
	if (query)
		*version = strtol(query + 15, NULL, 10);
	return sscanf(text, "/models/%ld", model) == 1 && *model > 0;
}

static bool names(const char *what)
{
	long model, version;
	return parse(what, &model, &version);
}

static int ask(const char *path, long id, const char *token, json_t **answer, struct error *err)
{
	char url[TRANSFER_URL_MAX];
	snprintf(url, sizeof url, "%s/api/v1/%s/%ld", endpoint(), path, id);
	int status = transfer_json(url, token, ANSWER_MAX, answer, err);
	if (status == SUMI_NOTFOUND)
		return error_set(err, status, "%s knows no %s with the number %ld", endpoint(),
				 strcmp(path, "models") == 0 ? "model" : "version of a model", id);
	return status;
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "";
}

/* What its creator allows, as Civitai asks it. */
static void licence_of(const json_t *model, char *out, size_t size)
{
	const json_t *credit = json_object_get(model, "allowNoCredit");
	const json_t *uses = json_object_get(model, "allowCommercialUse");
	char list[80] = "";
	size_t i;
	json_t *use;
	json_array_foreach(uses, i, use)
	{
		size_t n = strlen(list);
		snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", json_string_value(use));
	}
	if (credit)
		snprintf(out, size, "%s; commercial: %s", json_is_true(credit) ? "no credit needed" : "credit needed",
			 *list ? list : "no");
}

static const json_t *file_of(const json_t *version)
{
	const json_t *first = NULL;
	size_t i;
	json_t *f;
	json_array_foreach(json_object_get(version, "files"), i, f)
	{
		if (json_is_true(json_object_get(f, "primary")))
			return f;
		if (!first && strcmp(text_of(f, "type"), "Model") == 0)
			first = f;
	}
	return first;
}

static int plan_version(struct plan *plan, const json_t *version, struct error *err)
{
	const json_t *file = file_of(version);
	const char *url = text_of(file, "downloadUrl"), *name = text_of(file, "name");
	if (!file || !*url || !*name)
		return error_set(err, SUMI_NOTFOUND, "%s: that version has no file to download",
				 endpoint());
	const char *scan = text_of(file, "pickleScanResult");
	if (*scan && strcmp(scan, "Success") != 0 && strcmp(scan, "Pending") != 0)
		return error_set(err, SUMI_PERM, "%s: Civitai's scan says '%s' of it", name, scan);
	plan_set_name(plan, name);
	/* Of kB with fractions: the hash tells, the size is for the eye. */
	plan->bytes = (uint64_t)(json_number_value(json_object_get(file, "sizeKB")) * 1024);
	return plan_add(plan, name, url, 0,
			text_of(json_object_get(file, "hashes"), "SHA256"), NULL, err);
}

static int read_hub(const char *what, struct plan *plan, struct error *err)
{
	long model, version;
	json_t *of_model = NULL, *of_version = NULL;
	const char *token = getenv("CIVITAI_TOKEN");
	int status = SUMI_OK;
	parse(what, &model, &version);
	snprintf(plan->token, sizeof plan->token, "%s", token ? token : "");
	if (version > 0) {
		status = ask("model-versions", version, plan->token, &of_version, err);
		json_int_t owner = json_integer_value(json_object_get(of_version, "modelId"));
		if (!status && model > 0 && owner != model)
			status = error_set(err, SUMI_INVALID, "%ld is no version of the model %ld", version,
					   model);
		model = (long)owner;
	}
	if (!status && model > 0)
		status = ask("models", model, plan->token, &of_model, err);
	const json_t *chosen = of_version ? of_version
					  : json_array_get(json_object_get(of_model, "modelVersions"), 0);
	if (!status) {
		snprintf(plan->kind, sizeof plan->kind, "%s", text_of(of_model, "type"));
		licence_of(of_model, plan->licence, sizeof plan->licence);
		snprintf(plan->licence_url, sizeof plan->licence_url, "%s/models/%ld", endpoint(), model);
		snprintf(plan->source, sizeof plan->source, "civitai:%ld@%lld", model,
			 (long long)json_integer_value(json_object_get(chosen, "id")));
		status = plan_version(plan, chosen, err);
	}
	json_decref(of_model);
	json_decref(of_version);
	return status;
}

const struct hub hub_civitai = {names, read_hub};
