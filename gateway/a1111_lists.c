/* AUTOMATIC1111's API: what there is beside models, on this host. */
#include <string.h>
#include <strings.h>

#include "gateway/handlers.h"
#include "gateway/shelves.h"
#include "request/param.h"
#include "request/upscaler_names.h"

json_t *shelves_list(struct call *call, struct worker *w, enum shelf shelf)
{
	struct error err;
	json_t *list;
	const struct config *config = worker_config(w);
	if (shelf_list(shelf, config->packs, config->state_dir, &list, &err) == SUMI_OK)
		return list;
	call_fail(call, &err);
	return NULL;
}

/* Files by their names, not by where they lie: that is the host's business. */
void a1111_loras(struct call *call, struct worker *w)
{
	size_t i;
	json_t *one, *list = shelves_list(call, w, SHELF_LORAS), *rows = json_array();
	json_array_foreach(list, i, one)
	{
		json_t *name = json_object_get(one, "name");
		json_array_append_new(rows, json_pack("{s:O, s:O, s:O, s:{}}", "name", name, "alias", name, "path",
						      json_object_get(one, "file"), "metadata"));
	}
	if (list)
		call_json(call, 200, json_incref(rows));
	json_decref(rows);
	json_decref(list);
}

void a1111_embeddings(struct call *call, struct worker *w)
{
	size_t i;
	json_t *one, *list = shelves_list(call, w, SHELF_EMBEDDINGS), *loaded = json_object(), *skipped = json_object();
	json_array_foreach(list, i, one)
	{
		const json_t *word = json_object_get(one, "word"), *vectors = json_object_get(one, "vectors");
		const char *name = json_string_value(word ? word : json_object_get(one, "name"));
		json_object_set_new(vectors ? loaded : skipped, name,
				    json_pack("{s:n, s:n, s:n, s:O*, s:O*}", "step", "sd_checkpoint",
					      "sd_checkpoint_name", "shape", json_object_get(one, "width"), "vectors",
					      vectors));
	}
	if (list)
		call_json(call, 200, json_pack("{s:O, s:O}", "loaded", loaded, "skipped", skipped));
	json_decref(list);
	json_decref(loaded);
	json_decref(skipped);
}

void a1111_styles(struct call *call, struct worker *w)
{
	json_t *list = shelves_list(call, w, SHELF_STYLES);
	if (list)
		call_json(call, 200, list);
}

/* Those of a second pass: A1111 keeps them that make latents larger apart. */
static json_t *upscalers(bool latent)
{
	json_t *rows = json_array();
	const struct param_word *word = param_find("hires_upscaler")->words;
	for (; word->word; word++) {
		const char *label = param_hires_label(word->word);
		if (!label || (strncmp(label, "Latent", 6) == 0) != latent)
			continue;
		json_array_append_new(rows, latent ? json_pack("{s:s}", "name", label)
						   : json_pack("{s:s, s:n, s:n, s:n, s:i}", "name", label, "model_name",
							       "model_path", "model_url", "scale", 4));
	}
	return rows;
}

void a1111_latent_upscalers(struct call *call, struct worker *w)
{
	(void)w;
	call_json(call, 200, upscalers(true));
}

/* None, kernels, and networks under A1111's names for them. */
void a1111_upscalers(struct call *call, struct worker *w)
{
	size_t i;
	json_t *one, *list = shelves_list(call, w, SHELF_UPSCALERS), *rows = upscalers(false);
	json_array_foreach(list, i, one)
	{
		const char *label = upscaler_label(json_string_value(json_object_get(one, "name")));
		json_array_append_new(rows, json_pack("{s:s, s:s, s:O, s:n, s:i}", "name", label, "model_name", label,
						      "model_path", json_object_get(one, "file"), "model_url",
						      "scale", 4));
	}
	json_array_insert_new(rows, 0, json_pack("{s:s, s:n, s:n, s:n, s:i}", "name", "None", "model_name", "model_path",
						 "model_url", "scale", 4));
	if (list)
		call_json(call, 200, json_incref(rows));
	json_decref(rows);
	json_decref(list);
}

void a1111_scripts(struct call *call, struct worker *w)
{
	(void)w;
	call_json(call, 200, json_pack("{s:[s], s:[s]}", "txt2img", "controlnet", "img2img", "controlnet"));
}

/* Always there, for both kinds of pictures. */
void a1111_script_info(struct call *call, struct worker *w)
{
	json_t *rows = json_array();
	(void)w;
	for (int i = 0; i < 2; i++)
		json_array_append_new(rows, json_pack("{s:s, s:b, s:b, s:[]}", "name", "controlnet", "is_alwayson", 1,
						      "is_img2img", i, "args"));
	call_json(call, 200, rows);
}
