/* Adapters: files of small tensors that change the weights of a model (LoRA, LoHa, LoKr, DoRA, whole
 * differences), whatever program wrote them.
 *
 * A file is read into modules: one for each tensor that it changes. Which tensor of a model that is
 * is told when the model's names are known, by names without their dots: programs write either. */
#ifndef SUMI_WEIGHTS_ADAPTER_H
#define SUMI_WEIGHTS_ADAPTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/files.h"
#include "base/status.h"
#include "weights/tensors.h"

enum { ADAPTER_NAME_MAX = 256 };

/* What of a model a module changes, as bits: a part may stand for several. */
enum adapter_part { ADAPTER_DENOISER = 1, ADAPTER_TEXT = 2, ADAPTER_TEXT_2 = 4 };

struct adapter;
struct weight_tensor;

/* SUMI_INVALID for a file that is no adapter or holds a module of which not all is there,
 * SUMI_UNSUPPORTED names a tensor of an adapter that is not read. The caller closes *out. */
int adapter_open(const char *path, struct adapter **out, struct error *err);
void adapter_close(struct adapter *a); /* NULL is fine */

/* The file of an adapter in a folder as PEFT (adapter_model.*, with adapter_config.json beside it) and diffusers
 * (pytorch_lora_weights.*) save one, in out; false: there is none. */
bool adapter_in_folder(const char *folder, char out[FILES_PATH_MAX]);

/* The config beside an adapter's file that counts with it, in out; false: there is none. */
bool adapter_config_path(const char *path, char out[FILES_PATH_MAX]);

size_t adapter_modules(const struct adapter *a);
size_t adapter_drawing(const struct adapter *a); /* of these, those of no text encoder */
const char *adapter_kind(const struct adapter *a); /* "LoRA", "DoRA", …: of its first module */

void adapter_ranks(const struct adapter *a, int *least, int *most); /* 0: it has none */

/* How strongly a file counts. */
struct adapter_weight {
	double denoiser, text;
	int ranks; /* of low-rank pairs the first so many alone; 0: all */
};

/* ---- one module ---- */

/* The flat names of the tensor that module i changes, in a model of those parts: "…_weight" or
 * "…_bias". layers: resnets of a level, which original names count by. False where it is of other
 * parts. */
bool adapter_target(const struct adapter *a, size_t i, unsigned parts, int layers,
		    char out[ADAPTER_NAME_MAX]);

/* The name of module i as the file has it. */
const char *adapter_module_name(const struct adapter *a, size_t i);

/* SUMI_INVALID where module i does not fit a tensor of that shape: it is made for another model. */
int adapter_fits(const struct adapter *a, size_t i, const int64_t *shape, int rank, struct error *err);

/* How strongly module i counts, by what it changes. */
double adapter_strength(const struct adapter *a, size_t i, const struct adapter_weight *weight);

/* A module as two thin products: `ranks` rows of down [rank, …] and so many columns of up
 * [outputs, rank], which count `scale` times. */
struct adapter_pair {
	const struct weight_tensor *down, *up; /* borrowed from the adapter */
	int rank, ranks;
	double scale;
};

/* False where module i is something else: another kind, of a bias, with a core between the two, or
 * with magnitudes. strength and ranks: as for adapter_apply(). */
bool adapter_pair(const struct adapter *a, size_t i, double strength, int ranks,
		  struct adapter_pair *out);

/* Changes the numbers of such a tensor, count of them, as module i says. */
int adapter_apply(const struct adapter *a, size_t i, const struct adapter_weight *weight,
		  const int64_t *shape, int rank, float *values, size_t count, struct error *err);

#endif
