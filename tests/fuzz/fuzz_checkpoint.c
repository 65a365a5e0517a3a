/* A checkpoint in one file, with what stands beside it: components, configs that are told from
 * tensors, names, scales. First the text beside it, then the file. */
#include <stdlib.h>

#include "networks/config.h"
#include "tests/fuzz/fuzz.h"
#include "weights/adapter.h"
#include "weights/checkpoint.h"
#include "weights/weights.h"

/* What is told must be readable, as far as it is supported. */
static void read_configs(const char *path)
{
	struct unet_config unet;
	struct vae_config vae;
	struct text_config text;
	struct error err = {0};
	char part[FILES_PATH_MAX];
	json_t *root;
	files_path(part, NULL, "%s/model_index.json", path);
	fuzz_outcome(part_json_read(part, 1 << 20, &root, &err), &err);
	json_decref(root);
	err.text[0] = '\0', err.status = 0;
	files_path(part, NULL, "%s/unet", path);
	fuzz_outcome(unet_config_read(part, &unet, &err), &err);
	err.text[0] = '\0', err.status = 0;
	files_path(part, NULL, "%s/vae", path);
	fuzz_outcome(vae_config_read(part, &vae, &err), &err);
	err.text[0] = '\0', err.status = 0;
	files_path(part, NULL, "%s/text_encoder", path);
	fuzz_outcome(text_config_read(part, &text, &err), &err);
}

static void read_weights(const char *path, const char *part)
{
	char name[FILES_PATH_MAX];
	struct weights *w = NULL;
	struct error err = {0};
	files_path(name, NULL, "%s%s%s", path, *part ? "/" : "", part);
	int status = weights_open(name, &w, &err);
	fuzz_outcome(status, &err);
	if (status)
		return;
	static const char *const names[] = {"conv_in.weight", "decoder.conv_in.weight",
					    "text_projection.weight",
					    "text_model.encoder.layers.0.self_attn.k_proj.weight"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const struct weight_tensor *t = weights_find(w, names[i]);
		unsigned char *bytes = t && t->usable ? malloc(t->bytes + 1) : NULL;
		if (bytes)
			fuzz_require(!weights_read(t, bytes, &err), "a tensor can be read");
		free(bytes);
	}
	weights_check_unused(w, "", &err);
	weights_close(w);
}

/* The file as an adapter, on a tensor of any shape that a module takes. */
static void read_adapter(const char *path)
{
	enum { MOST = 1 << 16 };
	static const int64_t shapes[][4] = {{8, 6, 1, 1}, {6, 8, 1, 1}, {4, 4, 3, 3}, {4, 1, 1, 1}};
	const struct adapter_weight weight = {0.5, 0.5, 1};
	struct adapter *a;
	struct error err = {0};
	int status = adapter_open(path, &a, &err);
	fuzz_outcome(status, &err);
	for (size_t i = 0; !status && i < adapter_modules(a); i++)
		for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++) {
			static float values[MOST];
			char name[ADAPTER_NAME_MAX];
			const int64_t *s = shapes[k];
			int rank = s[2] > 1 ? 4 : 2;
			adapter_target(a, i, ADAPTER_DENOISER | ADAPTER_TEXT, 2, name);
			if (!adapter_fits(a, i, s, rank, NULL))
				adapter_apply(a, i, &weight, s, rank, values,
					      (size_t)(s[0] * s[1] * s[2] * s[3]), NULL);
		}
	if (!status)
		adapter_close(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_part rest = {data, size};
	struct fuzz_part side = fuzz_next(&rest);
	char path[FILES_PATH_MAX];
	fuzz_file("m.sumi.json", side.data, side.size);
	files_path(path, NULL, "%s", fuzz_file("m.safetensors", rest.data, rest.size));
	read_configs(path);
	read_weights(path, "unet");
	read_weights(path, "vae");
	read_weights(path, "text_encoder");
	read_weights(path, "");
	read_adapter(path);
	return 0;
}
