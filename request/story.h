/* A story: the scenes of a film in plain text, a paragraph a scene (docs/films.md). */
#ifndef SUMI_REQUEST_STORY_H
#define SUMI_REQUEST_STORY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

#define STORY_BYTES_MAX (1 << 20)
#define STORY_SCENES_MAX 48
#define STORY_FIELD_MAX 1024 /* bytes of a value */

/* Reads a story into an object; the caller releases it:
 *
 *     {"name": "story.txt", "film": {FIELDS}, "scenes": [{"line": 3, "text": "…", FIELDS}, …]}
 *
 * FIELDS: what was said, by their English names: "seconds", "blend" (numbers), "motion", "mood" (texts),
 * "transition" ("cut", "fade", "travel"), "title", "fps", "beats", and as "job" an object of a video's
 * parameters in their JSON types. Each is there only where the story has it; "lines" says in which line, by name. SUMI_INVALID,
 * SUMI_TOOBIG: "name:line: …". */
int story_read(const char *text, size_t size, const char *name, json_t **out, struct error *err);

/* Whether two names are the same but for capitals, of any alphabet; longer ones than 127 bytes never are. */
bool story_same(const char *a, const char *b);

/* Whether a text, of whatever bytes, shows anything: it is not of spaces and marks without width alone. */
bool story_shows(const char *text);

/* Puts before an error where it comes from: the line of a field (NULL: of the scene). Returns err's status. */
int story_fault(const json_t *story, const json_t *scene, const char *field, struct error *err);

/* The same of an error about the job of a scene: the line of the field whose name its text has. */
int story_blame(const json_t *story, const json_t *scene, struct error *err);

#endif
