/* Adapters of a job (LoRA and its kin): found by name in models folders, checked against a pack, and put
 * on the weights of its parts. */
#ifndef SUMI_DIFFUSION_ADAPTERS_H
#define SUMI_DIFFUSION_ADAPTERS_H

#include <jansson.h>

#include "base/bytes.h"
#include "base/files.h"
#include "base/hash.h"
#include "diffusion/pack.h"
#include "diffusion/places.h"
#include "weights/overlay.h"

#define ADAPTERS_FOLDER "loras" /* of a models folder */

enum { ADAPTER_LABEL_MAX = PLACES_LABEL_MAX };

/* What a job names, found. */
struct adapter_list {
	struct {
		char name[ADAPTER_LABEL_MAX + 1];
		char path[FILES_PATH_MAX];
		struct adapter_weight weight;
	} rows[OVERLAYS_MAX];
	int count;
};

/* loras: the canonical list of a job, or NULL; places as for catalogue_read(). *out is NULL for an empty
 * list, else the caller's, to be freed with free(). A name may have its file's ending, and folders in front of it;
 * one that no file has may be what a file calls itself (ss_output_name). SUMI_NOTFOUND lists the names that there
 * are. */
int adapters_find(const char *paths, const char *state_dir, const json_t *loras,
		  struct adapter_list **out, struct error *err);

/* Calls visit() for each adapter there is, by places, then names; of two of a name the first counts. A folder that is
 * one (adapter_in_folder()) has its name and the path of the file in it. One that fails ends it. */
typedef place_file_visit adapter_visit;
int adapters_visit(const char *paths, const char *state_dir, adapter_visit *visit, void *context,
		   struct error *err);

/* What a job is to take where it leaves steps, sampler and guidance open and one of its LoRAs makes a model one of
 * few steps (by its name, weights/distilled.h): *d, which holds a pack's, is changed to that, *eta is what its sampler
 * wants (0: nothing), *name the LoRA, borrowed. loras: the canonical list, or NULL. False: none does. */
bool adapters_propose(const json_t *loras, struct pack_defaults *d, double *eta, const char **name);

/* A number that changes with the files. 0 for none (NULL). */
uint64_t adapters_stamp(const struct adapter_list *list);

/* Whether two name the same in the same way; NULL is none. */
bool adapters_equal(const struct adapter_list *a, const struct adapter_list *b);

struct adapters;

/* Reads the files and holds them against the weights of a pack, of which headers are read. SUMI_INVALID
 * where one is made for another model: a module that has a place has another shape there, or none has a
 * place. The caller closes *out. */
int adapters_open(const struct adapter_list *list, const struct pack_info *info, struct adapters **out,
		  struct error *err);
void adapters_close(struct adapters *a); /* NULL is fine */

/* Gives them the weights of a list that has them at others; false, and nothing has changed, where it has something
 * else, a weight is 0 on one side alone, or a file has changed. From then on what lies beside the weights of a
 * pack is theirs (overlays.same). */
bool adapters_reweigh(struct adapters *a, const struct adapter_list *list);

/* Whether they are put on the weights when those are opened: then the pack is theirs alone. Else they
 * lie beside the weights (weights/thin.h), and pack_adapt() can put others in their place. By the pack
 * and the adapters alone: a job's bytes hang on it. */
bool adapters_folded(const struct adapters *a);

/* Ranks of those that lie beside; 0: of none (NULL), and of those that are folded. */
int adapters_thin(const struct adapters *a);

/* What lies on a part of a pack, in *out, which it returns. */
const struct overlays *adapters_on(const struct pack_info *info, const char *part, struct overlays *out);

/* Appends what decides results: hashes and weights; nothing for NULL. */
void adapters_identity(const struct adapters *a, struct bytes_writer *out);

/* [{"name", "sha256", "kind", "modules", "fit": those with a place}], a new reference; NULL for
 * none. */
json_t *adapters_json(const struct adapters *a);

/* "LoRA x: 12 of 264 modules have no place in this model (the first is …)" of the first for which
 * there is something to say from *next on, which moves; false when there is none. */
bool adapters_warning(const struct adapters *a, int *next, char *out, size_t size);

#endif
