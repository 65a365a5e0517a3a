/* The table of moods in a pack's manifest. */
#include "modalities/moods.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"

static int list_moods(const struct pack_info *info, const char *name, struct error *err)
{
	char names[240] = "";
	const char *key;
	json_t *ignored;
	json_object_foreach(json_object_get(info->manifest, "moods"), key, ignored)
	{
		size_t n = strlen(names);
		snprintf(names + n, sizeof names - n, "%s%.32s", n ? ", " : "", key);
	}
	if (!*names)
		return error_set(err, SUMI_INVALID, "model %s has no moods: give a prompt",
				 info->name);
	return error_set(err, SUMI_INVALID, "mood is '%.60s', model %s has: %s", name, info->name,
			 names);
}

int mood_find(const struct pack_info *info, const char *name, struct mood *m, struct error *err)
{
	char where[200];
	*m = (struct mood){0};
	if (!name)
		return SUMI_OK;
	const json_t *row = json_object_get(json_object_get(info->manifest, "moods"), name);
	if (!json_is_object(row))
		return list_moods(info, name, err);
	snprintf(where, sizeof where, "%.100s/sumi.json, mood '%.60s'", info->path, name);
	static const char *const known[] = {"prompt", "negative_prompt", "tempo", NULL};
	const char *stranger = json_unknown_field(row, known);
	if (stranger)
		return error_set(err, SUMI_INVALID, "%s: field '%.60s' is not known", where,
				 stranger);
	int status;
	if ((status = json_want_string(row, where, "prompt", &m->prompt, err)) ||
	    (status = json_want_string(row, where, "negative_prompt", &m->negative_prompt, err)) ||
	    (status = json_want_number(row, where, "tempo", 20, 300, &m->tempo, err)))
		return status;
	return m->prompt ? SUMI_OK
			 : error_set(err, SUMI_INVALID, "%s: field 'prompt' is missing", where);
}
