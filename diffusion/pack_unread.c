/* Fields of sumi.json that nobody reads: no errors, since other versions may, but told. */
#include <stdio.h>
#include <string.h>

#include "base/nearest.h"
#include "base/utf8.h"
#include "diffusion/pack_internal.h"
#include "weights/checkpoint.h"

enum { TYPOS_LIMIT = 1 << 20 };

/* What settings are called, beside the names of parts. */
static const char *const settings[] = {"name",	   "modality", "precision", "prompt_syntax", "noise_shared",
				       "preview",  "defaults", "fast",	    "base",	     "moods",
				       "spectrogram", "world", NULL};

/* What is said to people. */
static const char *const words[] = {"licence",	"licence_url", "licence_of_the_code", "source",	 "provenance",
				    "corpus",	"languages",   "command",	      "trained", "author",
				    "description", "comment",  "version",	      NULL};

static bool is_in(const char *const *list, const char *key)
{
	while (*list && strcmp(*list, key) != 0)
		list++;
	return *list != NULL;
}

static void add(struct pack_info *info, const char *key, const char *meant)
{
	size_t used = strlen(info->unread);
	snprintf(info->unread + used, sizeof info->unread - used, "%s'%.40s'%s%s%s", used ? ", " : "", key,
		 meant ? " (did you mean '" : "", meant ? meant : "", meant ? "'?)" : "");
}

void pack_note_unread(struct pack_info *info)
{
	const char *key;
	json_t *value, *typos = NULL;
	char path[FILES_PATH_MAX];
	json_object_foreach(info->manifest, key, value)
	{
		if (*key == '_' || is_in(settings, key) || is_in(words, key) || pack_part_named(key) ||
		    (pack_is_file(info) && strcmp(key, "config") == 0))
			continue;
		struct nearest near = nearest_to(key);
		for (const char *const *s = settings; *s; s++)
			nearest_try(&near, *s);
		add(info, key, near.best);
	}
	if (pack_is_file(info) && !files_path(path, NULL, "%s/" CHECKPOINT_TYPOS, info->path) &&
	    !part_json_read(path, TYPOS_LIMIT, &typos, NULL))
		json_object_foreach(typos, key, value)
			add(info, key, json_string_value(value));
	json_decref(typos);
	utf8_make_printable(info->unread);
}
