/* Sumi's own metadata among the texts of a file. */
#include "media/metadata.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "media/texts.h"

void metadata_free(struct metadata *m)
{
	free(m->infotext);
	free(m->json);
	*m = (struct metadata){0};
}

int metadata_check(const char *name, const char *text, struct error *err)
{
	size_t size = strlen(text);
	if (size > METADATA_TEXT_MAX)
		return error_set(err, SUMI_TOOBIG,
				 "metadata: %s has %zu bytes, at most %d are allowed", name, size,
				 METADATA_TEXT_MAX);
	if (!utf8_valid(text, size))
		return error_set(err, SUMI_INVALID, "metadata: %s is not valid UTF-8", name);
	return SUMI_OK;
}

/* Where each of the two stands, the best place first. */
struct place {
	enum text_place place;
	const char *key;
};

static const struct place of_json[] = {
    {TEXT_XMP, METADATA_XMP_JSON},
    {TEXT_PNG, METADATA_PNG_JSON},
    {TEXT_VORBIS, METADATA_OGG_JSON},
    {TEXT_CHUNK, METADATA_WAV_JSON},
    {TEXT_TAG, METADATA_WEBM_JSON},
};

/* sure: what stands there is an infotext; elsewhere cameras and editors write too. */
static const struct {
	struct place at;
	bool sure;
} of_infotext[] = {
    {{TEXT_XMP, METADATA_XMP_INFOTEXT}, true},
    {{TEXT_PNG, METADATA_PNG_INFOTEXT}, true},
    {{TEXT_VORBIS, METADATA_OGG_INFOTEXT}, true},
    {{TEXT_TAG, METADATA_WEBM_INFOTEXT}, true},
    {{TEXT_PLAIN, ""}, true},
    {{TEXT_EXIF, "UserComment"}, false},
    {{TEXT_COMMENT, ""}, false},
    {{TEXT_HIDDEN, ""}, false},
    {{TEXT_XMP, "exif:UserComment"}, false},
    {{TEXT_EXIF, "ImageDescription"}, false},
    {{TEXT_EXIF, "XPComment"}, false},
    {{TEXT_PNG, "Comment"}, false},
    {{TEXT_PNG, "Description"}, false},
    {{TEXT_XMP, "dc:description"}, false},
};

/* A prompt alone is one too, JSON of another program is none. */
static bool is_infotext(const char *text, bool sure)
{
	return *text != '{' && *text != '[' && (sure || strstr(text, "Steps: "));
}

/* One place may hold several texts, such as a JPEG its comments. */
static const char *find_infotext(const struct file_texts *texts, const struct place *at, bool sure)
{
	for (size_t i = 0; i < texts->count; i++) {
		const struct file_text *t = &texts->at[i];
		if (t->place == at->place && strcasecmp(t->key, at->key) == 0 &&
		    is_infotext(t->text, sure))
			return t->text;
	}
	return NULL;
}

/* Wherever else one stands that says as much as they all do. */
static const char *find_anywhere(const struct file_texts *texts)
{
	for (size_t i = 0; i < texts->count; i++) {
		const char *text = texts->at[i].text, *steps = strstr(text, "Steps: ");
		if (is_infotext(text, false) && (steps == text || steps[-1] == '\n') && strstr(steps, "Seed: ") &&
		    strstr(steps, "Sampler: "))
			return text;
	}
	return NULL;
}

int metadata_pick(const struct file_texts *texts, struct metadata *m, struct error *err)
{
	const char *json = NULL, *infotext = NULL;
	*m = (struct metadata){0};
	for (size_t i = 0; i < sizeof of_json / sizeof of_json[0] && !json; i++)
		json = texts_find(texts, of_json[i].place, of_json[i].key);
	for (size_t i = 0; i < sizeof of_infotext / sizeof of_infotext[0] && !infotext; i++)
		infotext = find_infotext(texts, &of_infotext[i].at, of_infotext[i].sure);
	if (!json && !infotext)
		infotext = find_anywhere(texts);
	m->json = json ? strdup(json) : NULL;
	m->infotext = infotext ? strdup(infotext) : NULL;
	if ((json && !m->json) || (infotext && !m->infotext)) {
		metadata_free(m);
		return error_set(err, SUMI_NOMEM, "no memory for metadata");
	}
	return SUMI_OK;
}
