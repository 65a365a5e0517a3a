#include "modalities/shelf.h"

#include <string.h>
#include <strings.h>

#include "diffusion/adapters.h"
#include "diffusion/controls.h"
#include "diffusion/embeddings.h"
#include "diffusion/upscalers.h"
#include "modalities/styles.h"

static bool is_there(const json_t *list, const char *name)
{
	size_t i;
	json_t *one;
	json_array_foreach((json_t *)list, i, one)
	{
		if (strcasecmp(json_string_value(json_object_get(one, "name")), name) == 0)
			return true;
	}
	return false;
}

static int append(json_t *list, json_t *one, struct error *err)
{
	return json_array_append_new(list, one) ? error_set(err, SUMI_NOMEM, "out of memory") : SUMI_OK;
}

static json_t *file_json(const char *name, const char *path)
{
	const char *slash = strrchr(path, '/');
	return json_pack("{s:s, s:s}", "name", name, "file", slash ? slash + 1 : path);
}

static int add_file(void *list, const char *name, const char *path, struct error *err)
{
	return is_there(list, name) ? SUMI_OK : append(list, file_json(name, path), err);
}

static int add_embedding(void *list, const char *name, const char *path, struct error *err)
{
	struct embedding_summary e;
	struct error why;
	if (is_there(list, name))
		return SUMI_OK;
	json_t *one = file_json(name, path);
	if (embeddings_look(path, &e, &why)) {
		json_object_set_new(one, "error", json_string(why.text));
	} else {
		json_object_set_new(one, "vectors", json_integer(e.vectors));
		json_object_set_new(one, "width", json_integer(e.width));
		if (*e.word)
			json_object_set_new(one, "word", json_string(e.word));
	}
	return append(list, one, err);
}

static int add_style(void *list, const char *name, const char *prompt, const char *negative,
		     struct error *err)
{
	if (is_there(list, name))
		return SUMI_OK;
	return append(list,
		      json_pack("{s:s, s:s, s:s}", "name", name, "prompt", prompt, "negative_prompt",
				negative ? negative : ""),
		      err);
}

int shelf_list(enum shelf shelf, const char *packs, const char *state_dir, json_t **out,
	       struct error *err)
{
	int status = SUMI_INTERNAL;
	*out = json_array();
	if (!*out)
		return error_set(err, SUMI_NOMEM, "out of memory");
	switch (shelf) {
	case SHELF_LORAS:
		status = adapters_visit(packs, state_dir, add_file, *out, err);
		break;
	case SHELF_EMBEDDINGS:
		status = embeddings_visit(packs, state_dir, add_embedding, *out, err);
		break;
	case SHELF_CONTROLS:
		status = controls_visit(packs, state_dir, add_file, *out, err);
		break;
	case SHELF_UPSCALERS:
		status = upscalers_visit(packs, state_dir, add_file, *out, err);
		break;
	case SHELF_STYLES:
		status = styles_visit(packs, state_dir, add_style, *out, err);
		break;
	}
	if (status) {
		json_decref(*out);
		*out = NULL;
	}
	return status;
}
