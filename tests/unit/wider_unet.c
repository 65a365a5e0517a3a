/* sd1-tiny's UNet with a wider first convolution: those channels again, from the first on. */
#include "tests/unit/wider_unet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <jansson.h>

enum { OUT = 4 };

#define USUAL "tests/vectors/sd1-tiny"
#define WEIGHTS "diffusion_pytorch_model.safetensors"

static size_t range(const json_t *tensor, int end)
{
	return (size_t)json_integer_value(
	    json_array_get(json_object_get(tensor, "data_offsets"), (size_t)end));
}

/* rows of so many bytes, each followed by more of itself. */
static char *widen(const char *data, size_t rows, size_t row, size_t wider)
{
	char *out = malloc(rows * wider);
	assert_non_null(out);
	for (size_t r = 0; r < rows; r++)
		for (size_t i = 0; i < wider; i++)
			out[r * wider + i] = data[r * row + i % row];
	return out;
}

static void write_weights(const char *root, int in, char *file)
{
	uint64_t size;
	memcpy(&size, file, sizeof size);
	json_t *header = json_loadb(file + 8, size, 0, NULL), *tensor;
	const char *data = file + 8 + size, *name;
	char path[128];
	size_t at = 0;
	assert_non_null(header);
	snprintf(path, sizeof path, "%s/unet/data", root);
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	json_object_del(header, "__metadata__");
	json_object_foreach(header, name, tensor) {
		size_t first = range(tensor, 0), bytes = range(tensor, 1) - first, more = bytes;
		json_t *shape = json_object_get(tensor, "shape");
		char *wider = NULL;
		if (strcmp(name, "conv_in.weight") == 0) {
			size_t rows = (size_t)json_integer_value(json_array_get(shape, 0));
			more = bytes / OUT * (size_t)in;
			wider = widen(data + first, rows, bytes / rows, more / rows);
			json_array_set_new(shape, 1, json_integer(in));
		}
		fwrite(wider ? wider : data + first, 1, more, f);
		free(wider);
		json_object_set_new(tensor, "data_offsets",
				    json_pack("[I, I]", (json_int_t)at, (json_int_t)(at + more)));
		at += more;
	}
	assert_int_equal(fclose(f), 0);
	char *text = json_dumps(header, JSON_COMPACT);
	size = strlen(text);
	snprintf(path, sizeof path, "%s/unet/head", root);
	f = fopen(path, "wb");
	fwrite(&size, sizeof size, 1, f);
	fwrite(text, 1, size, f);
	assert_int_equal(fclose(f), 0);
	free(text);
	json_decref(header);
}

void wider_unet(const char *root, int in)
{
	char command[256], path[128];
	FILE *f = fopen(USUAL "/unet/" WEIGHTS, "rb");
	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	size_t size = (size_t)ftell(f);
	char *file = malloc(size);
	rewind(f);
	assert_int_equal(fread(file, 1, size, f), size);
	fclose(f);
	snprintf(path, sizeof path, "%s/unet", root);
	assert_int_equal(mkdir(path, 0700), 0);
	write_weights(root, in, file);
	free(file);
	snprintf(command, sizeof command,
		 "cd %s/unet && cat head data > " WEIGHTS " && rm head data", root);
	assert_int_equal(system(command), 0);
	json_t *config = json_load_file(USUAL "/unet/config.json", 0, NULL);
	json_object_set_new(config, "in_channels", json_integer(in));
	snprintf(path, sizeof path, "%s/unet/config.json", root);
	assert_int_equal(json_dump_file(config, path, 0), 0);
	json_decref(config);
}

void wider_pack(const char *root, int in)
{
	char command[512];
	wider_unet(root, in);
	snprintf(command, sizeof command,
		 "for part in model_index.json scheduler text_encoder tokenizer vae; do "
		 "ln -s \"$PWD/" USUAL "/$part\" %s/; done",
		 root);
	assert_int_equal(system(command), 0);
}
