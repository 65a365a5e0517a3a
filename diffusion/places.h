/* Where what came with the program lies. */
#ifndef SUMI_DIFFUSION_PLACES_H
#define SUMI_DIFFUSION_PLACES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/files.h"

/* Calls visit() for each place of models in order: each part of `paths` (separated by ':'; named: somebody
 * chose it), $SUMI_PACKS likewise, state_dir/models, what came with the program. One that fails ends
 * it. */
int places_visit(const char *paths, const char *state_dir,
		 int (*visit)(void *context, const char *place, bool named, struct error *err),
		 void *context, struct error *err);

/* Whether a file lies in what came with the program. */
bool places_came_along(const char *path);

enum { PLACES_LABEL_MAX = 128 };

/* Calls visit() for each file of tensors in a folder of every such place and in those below it, by places,
 * then names; name: the file's without its ending. One that fails ends it. */
typedef int place_file_visit(void *context, const char *name, const char *path, struct error *err);
int places_visit_files(const char *folder, const char *paths, const char *state_dir,
		       place_file_visit *visit, void *context, struct error *err);

/* The same, and a folder is such a file too, under its own name, where within() says so and which of its files is
 * meant: one beside others, or all that counts there (then out may be the folder itself). */
enum place_within { WITHIN_NONE, WITHIN_FILE, WITHIN_WHOLE };
typedef enum place_within place_file_within(const char *folder, char out[FILES_PATH_MAX]);
int places_visit_within(const char *folder, const char *paths, const char *state_dir, place_file_within *within,
			place_file_visit *visit, void *context, struct error *err);

/* The same, and folders with a config.json are such files too, under the folder's name. */
int places_visit_models(const char *folder, const char *paths, const char *state_dir,
			place_file_visit *visit, void *context, struct error *err);

/* Zeroed room of `size` bytes for those that a job's list (loras, controls) names; NULL with SUMI_OK where it names
 * none. The caller frees it. */
void *places_list(const json_t *list, const char *what, size_t most, size_t size, int *status, struct error *err);

/* Adds a name to those that there are, for messages: "a, b"; what has no room is ", …". Begins empty. */
#define PLACES_NAMES_SIZE 300
void places_gather(char names[PLACES_NAMES_SIZE], const char *name);
/* What stands in front of them behind "there": "are: ", or what to do where there is none. */
const char *places_there(const char *names);

/* The folder of a tokenizer that came with it ("clip"); SUMI_NOTFOUND. */
int place_of_tokenizer(const char *name, char out[FILES_PATH_MAX], struct error *err);

#endif
