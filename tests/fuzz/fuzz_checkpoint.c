/* A checkpoint in one file, with what stands beside it: components, configs that are told from
 * tensors, names, scales. First the text beside it, then the file. */
#include <stdlib.h>
#include <string.h>

#include "networks/config.h"
#include "networks/controlnet.h"
#include "networks/ip_adapter.h"
#include "networks/t2i_adapter.h"
#include "networks/vision_encoder.h"
#include "tests/fuzz/fuzz.h"
#include "weights/checkpoint.h"
#include "weights/weights.h"

/* What is told must be readable, as far as it is supported. */
static void read_config(const char *path, const char *part)
{
	struct unet_config unet;
	struct vae_config vae;
	struct text_config text;
	struct controlnet_config control;
	struct t2i_config t2i;
	struct ip_config ip;
	struct vision_config vision;
	struct error err = {0};
	char name[FILES_PATH_MAX];
	json_t *root = NULL;
	int status;
	files_path(name, NULL, "%s/%s", path, *part ? part : "model_index.json");
	if (strcmp(part, "unet") == 0)
		status = unet_config_read(name, &unet, &err);
	else if (strcmp(part, "vae") == 0)
		status = vae_config_read(name, &vae, &err);
	else if (strcmp(part, "controlnet") == 0)
		status = controlnet_config_read(name, &control, &err);
	else if (strcmp(part, "t2i_adapter") == 0)
		status = t2i_config_read(name, &t2i, &err);
	else if (strcmp(part, "ip_adapter") == 0)
		status = ip_config_read(name, &ip, &err);
	else if (strcmp(part, "image_encoder") == 0)
		status = vision_config_read(name, &vision, &err);
	else if (*part)
		status = text_config_read(name, &text, &err);
	else
		status = part_json_read(name, 1 << 20, &root, &err);
	fuzz_outcome(status, &err);
	json_decref(root);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* One part an input: looking for all of them takes most of the time and shows little more. */
	static const char *const parts[] = {"unet", "vae", "text_encoder", "controlnet", "t2i_adapter", "ip_adapter",
					    "image_encoder",
					    ""};
	/* By turns, since what the last file held is kept as long as it does not change. */
	static const char *const names[][2] = {{"a.sumi.json", "a.safetensors"},
					       {"b.sumi.json", "b.safetensors"}};
	static size_t turn;
	struct fuzz_part rest = {data, size};
	struct fuzz_part side = fuzz_next(&rest);
	char path[FILES_PATH_MAX];
	turn = !turn;
	fuzz_file(names[turn][0], side.data, side.size);
	files_path(path, NULL, "%s", fuzz_file(names[turn][1], rest.data, rest.size));
	const char *part = parts[size % (sizeof parts / sizeof parts[0])];
	read_config(path, part);
	read_weights(path, part);
	return 0;
}
