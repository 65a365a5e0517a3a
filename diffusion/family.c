/* Which family a pack is of. */
#include "diffusion/family.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"

const char *family_folder(const struct family *family, enum part_use use)
{
	const struct part *const *p = family->parts;
	while ((*p)->use != use)
		p++;
	return (*p)->folder;
}

const struct part *family_part(const struct family *family, const char *folder)
{
	for (const struct part *const *p = family->parts; *p; p++)
		if (strcmp((*p)->folder, folder) == 0)
			return *p;
	return NULL;
}

/* ---- telling them apart ---- */

/* An entry of an index is ["library", "class"], or [null, null] for a part that a pipeline can
 * have and this one has not. */
enum entry { ENTRY_NONE, ENTRY_NULL, ENTRY_NAMED };

static enum entry entry_of(const json_t *value)
{
	if (!json_is_array(value) || json_array_size(value) != 2)
		return ENTRY_NONE;
	return json_is_string(json_array_get(value, 1)) ? ENTRY_NAMED : ENTRY_NULL;
}

static bool names_class(const struct family *f, const char *class_name)
{
	for (const char *const *c = f->classes; *c; c++)
		if (strcmp(*c, class_name) == 0)
			return true;
	return false;
}

/* How many parts the family needs; 0 where the index says that one of them is not there, or with
 * `named` does not say that it is. */
static int needed_parts(const struct family *f, const json_t *index, bool named)
{
	int count = 0;
	for (const struct part *const *p = f->parts; *p; p++) {
		if ((*p)->optional || strcmp((*p)->folder, ".") == 0)
			continue;
		enum entry entry = entry_of(json_object_get(index, (*p)->folder));
		if (entry == ENTRY_NULL || (named && entry != ENTRY_NAMED))
			return 0;
		count++;
	}
	return count;
}

/* The one that makes use of most of what is named, or NULL. */
static const struct family *by_parts(const json_t *index)
{
	const struct family *best = NULL;
	int most = 0;
	for (const struct family *const *f = families; *f; f++) {
		int count = needed_parts(*f, index, true);
		if (count > most) {
			most = count;
			best = *f;
		}
	}
	return best;
}

int family_of(const json_t *index, const char *where, const struct family **out, struct error *err)
{
	const char *class_name = NULL;
	char known[200] = "";
	int status = json_want_string(index, where, "_class_name", &class_name, err);
	if (status)
		return status;
	for (const struct family *const *f = families; *f; f++)
		if (class_name && names_class(*f, class_name) && needed_parts(*f, index, false)) {
			*out = *f;
			return SUMI_OK;
		}
	*out = by_parts(index);
	if (*out)
		return SUMI_OK;
	*out = families[0];
	if (!class_name)
		return SUMI_OK;
	for (const struct family *const *f = families; *f; f++) {
		size_t n = strlen(known);
		snprintf(known + n, sizeof known - n, "%s%s", n ? ", " : "", (*f)->name);
	}
	return error_set(err, SUMI_UNSUPPORTED,
			 "%s: field '_class_name' is '%.60s', and such models are not supported: "
			 "those of %s are",
			 where, class_name, known);
}
