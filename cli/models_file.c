/* What a file of tensors is. */
#include "cli/models_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/model_file.h"
#include "diffusion/adapters.h"
#include "diffusion/control.h"
#include "diffusion/controls.h"
#include "diffusion/embeddings.h"
#include "diffusion/upscale.h"
#include "diffusion/upscalers.h"
#include "weights/adapter.h"
#include "weights/distilled.h"
#include "weights/embedding.h"
#include "weights/recognise.h"

/* What trainers and programs write about a file, and what it is called here. */
static const struct {
	const char *theirs, *ours;
} notes[] = {
    {"modelspec.title", "title"},
    {"modelspec.architecture", "architecture"},
    {"modelspec.author", "author"},
    {"modelspec.license", "licence"},
    {"modelspec.trigger_phrase", "trigger_words"},
    {"modelspec.prediction_type", "prediction_type"},
    {"ss_output_name", "title"},
    {"ss_base_model_version", "base"},
    {"ss_sd_model_name", "trained_on"},
    {"ss_network_module", "network"},
    {"ss_network_dim", "rank"},
    {"ss_network_alpha", "alpha"},
};

static void add_notes(json_t *o, const json_t *metadata)
{
	for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++) {
		const char *text = json_string_value(json_object_get(metadata, notes[i].theirs));
		if (text && *text && strcmp(text, "None") != 0 && !json_object_get(o, notes[i].ours))
			json_object_set_new(o, notes[i].ours, json_string(text));
	}
}

/* {"F16": tensors, …} */
static json_t *count_formats(const struct tensor_file *file, uint64_t *elements)
{
	json_t *o = json_object();
	for (size_t i = 0; i < tensors_count(file); i++) {
		const struct tensor_entry *e = tensors_at(file, i);
		json_t *n = json_object_get(o, e->format->name);
		json_object_set_new(o, e->format->name, json_integer(json_integer_value(n) + 1));
		*elements += tensor_elements(e);
	}
	return o;
}

static const char *file_folder(const char *path)
{
	struct adapter *a;
	struct embedding_file e;
	struct upscaler_info u;
	if (adapter_open(path, &a, NULL) == SUMI_OK) {
		adapter_close(a);
		return ADAPTERS_FOLDER;
	}
	if (embedding_open(path, &e, NULL) == SUMI_OK) {
		embedding_close(&e);
		return EMBEDDINGS_FOLDER;
	}
	return upscaler_read(path, &u, NULL) == SUMI_OK ? UPSCALERS_FOLDER : NULL;
}

/* What a LoRA for few steps proposes, as options of a job. */
static void add_proposal(json_t *o, const char *path)
{
	char text[160], name[FILES_PATH_MAX], file[FILES_PATH_MAX];
	const char *slash = strrchr(path, '/');
	/* A folder that is one has the name. */
	if (slash && !files_path(name, NULL, "%.*s", (int)(slash - path), path) && adapter_in_folder(name, file) &&
	    strcmp(file, path) == 0)
		slash = strrchr(path = name, '/');
	if (models_proposal(slash ? slash + 1 : path, text, sizeof text))
		json_object_set_new(o, "proposes", json_string(text));
}

bool models_proposal(const char *name, char *out, size_t size)
{
	struct distilled d;
	if (!distilled_named(name, &d))
		return false;
	int n = snprintf(out, size, "--sampler %s%s%s --steps %d --cfg-scale %g", d.sampler,
			 d.scheduler ? " --scheduler " : "", d.scheduler ? d.scheduler : "", d.steps,
			 d.cfg_scale);
	if (d.eta > 0 && n > 0 && (size_t)n < size)
		snprintf(out + n, size - (size_t)n, " --eta %g", d.eta);
	return true;
}

static bool is_control(const char *path)
{
	struct control *c;
	bool is = control_open(NULL, path, NULL, &c, NULL) == SUMI_OK;
	if (is)
		control_close(c);
	return is;
}

static int describe_control(const char *path, json_t **out, struct error *err)
{
	struct control *c;
	*out = NULL;
	int status = control_open(NULL, path, NULL, &c, err);
	if (status)
		return status;
	*out = control_json(c);
	if (!*out || json_object_set_new(*out, "file", json_string(path)))
		status = error_set(err, SUMI_INVALID, "%s: its name is not valid UTF-8", path);
	control_close(c);
	return status;
}

/* Where in a file or folder an image encoder stands. */
static int find_encoder(const char *path, struct vision_config *c, struct error *err)
{
	char part[FILES_PATH_MAX];
	if (!files_path(part, NULL, "%s/image_encoder", path) && vision_config_read(part, c, NULL) == SUMI_OK)
		return SUMI_OK;
	return vision_config_read(path, c, err);
}

static bool is_encoder(const char *path)
{
	struct vision_config c;
	return find_encoder(path, &c, NULL) == SUMI_OK;
}

const char *models_kind_folder(const char *path)
{
	char index[FILES_PATH_MAX];
	struct stat st;
	/* A pack may have an encoder for pictures among its parts. */
	if (stat(path, &st) != 0 || (!files_path(index, NULL, "%s/model_index.json", path) && access(index, F_OK) == 0))
		return NULL;
	return adapter_in_folder(path, index) ? ADAPTERS_FOLDER
	       : is_control(path)	      ? CONTROLS_FOLDER
	       : is_encoder(path)	      ? ENCODERS_FOLDER
	       : S_ISREG(st.st_mode)	      ? file_folder(path)
					      : NULL;
}

static int check_adapter(const char *path, struct error *err)
{
	struct adapter *a;
	int status = adapter_open(path, &a, err);
	if (!status)
		adapter_close(a);
	return status;
}

static int check_embedding(const char *path, struct error *err)
{
	struct embedding_file e;
	int status = embedding_open(path, &e, err);
	if (!status)
		embedding_close(&e);
	return status;
}

static int check_control(const char *path, struct error *err)
{
	struct control *c;
	int status = control_open(NULL, path, NULL, &c, err);
	if (!status)
		control_close(c);
	return status;
}

static int check_encoder(const char *path, struct error *err)
{
	struct vision_config c;
	return find_encoder(path, &c, err);
}

static int check_upscaler(const char *path, struct error *err)
{
	struct upscaler_info u;
	return upscaler_read(path, &u, err);
}

const struct models_kind models_kinds[MODELS_KINDS] = {
    {"lora", ADAPTERS_FOLDER, adapters_visit, check_adapter},
    {"embedding", EMBEDDINGS_FOLDER, embeddings_visit, check_embedding},
    {"control", CONTROLS_FOLDER, controls_visit, check_control},
    {"image encoder", ENCODERS_FOLDER, encoders_visit, check_encoder},
    {"upscaler", UPSCALERS_FOLDER, upscalers_visit, check_upscaler}};

int models_check_folder(const char *path, struct error *err)
{
	char file[FILES_PATH_MAX];
	return adapter_in_folder(path, file) ? check_adapter(file, err) : SUMI_OK;
}

static json_t *encoder_json(const struct vision_config *c)
{
	return json_pack("{s:s, s:i, s:i, s:i, s:i}", "kind", "image encoder", "pixels", c->side, "tokens",
			 vision_tokens(c), "token_channels", c->width, "embedding_channels", c->projection);
}

static int describe_encoder(const char *path, json_t **out, struct error *err)
{
	struct vision_config c;
	*out = NULL;
	int status = find_encoder(path, &c, err);
	if (status)
		return status;
	*out = encoder_json(&c);
	if (!*out || json_object_set_new(*out, "file", json_string(path)))
		status = error_set(err, SUMI_INVALID, "%s: its name is not valid UTF-8", path);
	return status;
}

/* Of an image encoder what it sees and says. */
static void add_encoder(json_t *o, const char *path)
{
	struct vision_config c;
	if (find_encoder(path, &c, NULL))
		return;
	json_t *own = encoder_json(&c);
	json_object_update_missing(o, own);
	json_decref(own);
}

/* Of a network that sees pictures what it is for, and its hash. */
static void add_control(json_t *o, const char *path)
{
	struct control *c;
	char sha256[SHA256_HEX_SIZE];
	if (control_open(NULL, path, NULL, &c, NULL))
		return;
	json_t *own = control_json(c);
	json_object_update_missing(o, own);
	json_decref(own);
	if (!sha256_file(path, sha256, NULL))
		json_object_set_new(o, "sha256", json_string(sha256));
	control_close(c);
}

/* Of an upscaler which network it is, how much larger it makes pictures, and its hash. */
static void add_upscaler(json_t *o, const char *path)
{
	struct upscaler_info u;
	char sha256[SHA256_HEX_SIZE];
	if (upscaler_read(path, &u, NULL))
		return;
	json_object_set_new(o, "kind", json_string("upscaler"));
	json_object_set_new(o, "network", json_string(u.architecture));
	json_object_set_new(o, "enlarges", json_real(u.scale * u.resize));
	if (!sha256_file(path, sha256, NULL))
		json_object_set_new(o, "sha256", json_string(sha256));
}

/* Of an adapter what it is made of, and the hash by which files of results name it. */
static void add_adapter(json_t *o, const char *path, struct error *why)
{
	struct adapter *a;
	char ranks[40], sha256[SHA256_HEX_SIZE], config[FILES_PATH_MAX];
	int least, most;
	if (adapter_open(path, &a, why))
		return;
	adapter_ranks(a, &least, &most);
	snprintf(ranks, sizeof ranks, least == most ? "%d" : "%d to %d", least, most);
	json_object_set_new(o, "adapter", json_string(adapter_kind(a)));
	json_object_set_new(o, "modules", json_integer((json_int_t)adapter_modules(a)));
	if (most)
		json_object_set_new(o, "ranks", json_string(ranks));
	if (adapter_config_path(path, config))
		json_object_set_new(o, "config", json_string(config));
	add_proposal(o, path);
	if (!sha256_file(path, sha256, NULL))
		json_object_set_new(o, "sha256", json_string(sha256));
	adapter_close(a);
}

/* Of an embedding how many vectors stand for which word, and the same hash. */
static void add_embedding(json_t *o, const char *path, struct error *why)
{
	struct embedding_file e;
	char sha256[SHA256_HEX_SIZE], word[EMBEDDING_WORD_MAX + 1];
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	const char *end = model_file_ending(base), *family;
	if (embedding_open(path, &e, why))
		return;
	snprintf(word, sizeof word, "%.*s", (int)(end ? (size_t)(end - base) : strlen(base)), base);
	json_object_set_new(o, "kind", json_string("embedding"));
	if ((family = embedding_family(&e)))
		json_object_set_new(o, "family", json_string(family));
	json_object_set_new(o, "vectors", json_integer(e.count));
	json_object_set_new(o, "trigger_words", e.word[0] ? json_pack("s++", word, ", ", e.word)
							  : json_string(word));
	if (!sha256_file(path, sha256, NULL))
		json_object_set_new(o, "sha256", json_string(sha256));
	embedding_close(&e);
}

/* Of what looks like an adapter or an embedding and is none that is read: why, as a job would say it. */
static void add_small(json_t *o, const char *path, bool adapter)
{
	bool embedding = strcmp(json_string_value(json_object_get(o, "kind")), "embedding") == 0;
	struct error no_adapter = {0}, no_embedding = {0}, *why = NULL;
	add_adapter(o, path, &no_adapter);
	if (json_object_get(o, "adapter"))
		return;
	if (!adapter)
		add_embedding(o, path, &no_embedding);
	if (adapter)
		why = &no_adapter;
	else if (embedding && !json_object_get(o, "vectors"))
		why = &no_embedding;
	size_t n = strlen(path);
	if (why && *why->text)
		json_object_set_new(o, "unusable", json_string(strncmp(why->text, path, n) == 0 && why->text[n] == ':'
								   ? why->text + n + 2
								   : why->text));
}

int models_file_describe(const char *path, json_t **out, struct error *err)
{
	struct tensor_file *file;
	const struct tensor_entry **entries;
	struct recognition r;
	uint64_t elements = 0;
	int status = tensors_open(path, &file, err);
	*out = NULL;
	if (status)
		return status;
	size_t count = tensors_count(file);
	entries = calloc(count + 1, sizeof *entries);
	if (!entries) {
		status = error_set(err, SUMI_NOMEM, "%s: out of memory", path);
		goto done;
	}
	for (size_t i = 0; i < count; i++)
		entries[i] = tensors_at(file, i);
	recognise(&(struct tensor_list){entries, count}, &r);
	json_t *formats = count_formats(file, &elements);
	*out = json_pack("{s:s, s:s, s:s, s:s*, s:s*, s:I, s:I, s:o}", "file", path, "container",
			 tensors_kind(file), "kind", r.kind ? r.kind : "unknown", "family", r.family,
			 "detail", *r.detail ? r.detail : NULL, "tensors",
			 (json_int_t)count, "parameters", (json_int_t)elements, "formats",
			 formats);
	if (*out) {
		add_notes(*out, tensors_metadata(file));
		add_small(*out, path, r.adapter);
		add_control(*out, path);
		add_upscaler(*out, path);
		add_encoder(*out, path);
	} else
		status = error_set(err, SUMI_INVALID, "%s: its name is not valid UTF-8", path);
done:
	free(entries);
	tensors_close(file);
	return status;
}

int models_describe(const char *path, json_t **out, struct error *err)
{
	char file[FILES_PATH_MAX];
	return is_control(path)		    ? describe_control(path, out, err)
	       : is_encoder(path)	    ? describe_encoder(path, out, err)
	       : adapter_in_folder(path, file) ? models_file_describe(file, out, err)
					    : models_file_describe(path, out, err);
}
