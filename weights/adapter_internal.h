/* What an adapter's files share: adapter.c reads modules, adapter_names.c knows names,
 * adapter_delta.c computes. */
#ifndef SUMI_WEIGHTS_ADAPTER_INTERNAL_H
#define SUMI_WEIGHTS_ADAPTER_INTERNAL_H

#include <jansson.h>

#include "weights/adapter.h"
#include "weights/weights.h"

/* The tensors that a module may have. */
enum module_tensor {
	TENSOR_DOWN,
	TENSOR_UP,
	TENSOR_MID,
	TENSOR_ALPHA,
	TENSOR_DORA,      /* LyCORIS's and ComfyUI's, of either axis */
	TENSOR_MAGNITUDE, /* PEFT's, of the outputs, and divided by without an epsilon */
	TENSOR_HADA_W1A,
	TENSOR_HADA_W1B,
	TENSOR_HADA_W2A,
	TENSOR_HADA_W2B,
	TENSOR_HADA_T1,
	TENSOR_HADA_T2,
	TENSOR_KRON_W1,
	TENSOR_KRON_W1A,
	TENSOR_KRON_W1B,
	TENSOR_KRON_W2,
	TENSOR_KRON_W2A,
	TENSOR_KRON_W2B,
	TENSOR_KRON_T2,
	TENSOR_DIFF, /* all of the difference */
	TENSOR_UP_BIAS, /* PEFT's: a bias of the pair of that name, which counts as that does */
	TENSOR_SAVED, /* all of a tensor, which takes the model's place: trained whole beside an adapter */
	TENSOR_EMBEDDING, /* OneTrainer's bundled embeddings: no difference of any tensor */
	MODULE_TENSORS
};

struct module {
	char *name; /* as in the file, without what says which tensor it is; owned */
	char flat[ADAPTER_NAME_MAX];
	unsigned part; /* one of enum adapter_part */
	bool bias;     /* changes the bias instead of the weight */
	const struct weight_tensor *tensors[MODULE_TENSORS]; /* NULL: not there */
	const struct module_kind *kind;
	uint64_t rows, columns; /* of the difference: the first axis, and all others */
	int rank;               /* 0: none */
	double scale; /* alpha / rank */
};

struct adapter {
	struct weights *files;
	json_t *config;         /* owned: what PEFT trained it with; NULL: nothing says so */
	const char *config_name; /* where that stands */
	long work;               /* left for its patterns (weights/pattern.h) */
	struct module *modules; /* in the order of their names */
	size_t count, capacity;
};

/* One way to say a difference. */
struct module_kind {
	const char *word;
	bool whole; /* it has no rank and no scale */
	enum module_tensor sign; /* a module that has it, or the other, is of this kind */
	enum module_tensor other;
	/* Sets rows, columns and rank; false where the tensors do not go together or one lacks. */
	bool (*check)(struct module *m);
	/* The difference [rows, columns] without its scale, of the first `ranks` ranks where it is a
	 * pair. out is zeroed. */
	int (*delta)(const struct module *m, int ranks, float *out, struct error *err);
};

extern const struct module_kind module_kinds[]; /* ends with word == NULL */

/* What a tensor of a file is: which of a module's, and how long the module's name before it is.
 * False for a tensor of no adapter. */
bool adapter_suffix(const char *name, enum module_tensor *which, bool *bias, size_t *stem);

/* The part and the flat name of a module by its name in the file; false where it is of no part that
 * is known. */
bool adapter_flat_name(const char *stem, unsigned *part, char out[ADAPTER_NAME_MAX]);

/* PEFT's config of an adapter: of adapter_config.json beside adapter_model.*, else where diffusers wrote it into its
 * file. a->config stays NULL where there is none. SUMI_UNSUPPORTED names what of it is not read. */
int adapter_config_read(struct adapter *a, struct error *err);

/* The part of a model that it says the adapter is for; 0: it does not. */
unsigned adapter_config_part(const struct adapter *a);

/* Whether a tensor that is of no adapter is one that a folder of PEFT's says it trained whole (modules_to_save, bias);
 * the rest as adapter_suffix() says it. */
bool adapter_config_saved(const struct adapter *a, const char *name, enum module_tensor *which, bool *bias, size_t *stem);

/* What it says of a module: *scale; left alone where it says nothing. */
int adapter_config_scale(struct adapter *a, const struct module *m, double *scale, struct error *err);

/* A flat name of Stable Diffusion's original layout in diffusers' names; others stay. layers: resnets
 * of a level. */
void adapter_unet_name(const char *flat, int layers, char out[ADAPTER_NAME_MAX]);

#endif
