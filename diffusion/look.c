#include "diffusion/look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "weights/checkpoint.h"
#include "weights/source.h"
#include "weights/weights.h"

#define PART "image_encoder" /* of a file */

const char *look_word(const struct ip_config *c)
{
	static const char *const words[] = {
	    [IP_LINEAR] = "base", [IP_RESAMPLER] = "plus", [IP_MLP] = "full face"};
	return words[c->projection];
}

const char *look_wants(const struct ip_config *c, char *out, size_t size)
{
	snprintf(out, size, "an image encoder whose %s %d channels",
		 ip_reads_tokens(c) ? "tokens have" : "embedding has", c->image);
	return out;
}

/* --- its encoder --- */

bool look_reads(const struct ip_config *c, const char *path, char where[FILES_PATH_MAX])
{
	struct vision_config v;
	if (files_path(where, NULL, "%s/" PART, path) || !part_exists(where))
		if (files_path(where, NULL, "%s", path))
			return false;
	return vision_config_read(where, &v, NULL) == SUMI_OK &&
	       (ip_reads_tokens(c) ? v.width : v.projection) == c->image;
}

/* As h94's repository lies: models/FILE with models/image_encoder, sdxl_models/FILE with its own or that one. */
static void find_beside(const struct ip_config *c, const char *path, char where[FILES_PATH_MAX])
{
	static const char *const places[] = {"image_encoder", "../image_encoder", "../models/image_encoder"};
	char file[FILES_PATH_MAX], folder[FILES_PATH_MAX];
	const char *rest;
	where[0] = '\0';
	if (!source_split(path, file, &rest))
		return;
	char *real = realpath(file, NULL), *slash = real ? strrchr(real, '/') : NULL;
	if (slash)
		*slash = '\0';
	for (size_t i = 0; slash && i < sizeof places / sizeof places[0]; i++) {
		if (!files_path(folder, NULL, "%s/%s", real, places[i]) && look_reads(c, folder, where))
			break;
		where[0] = '\0';
	}
	free(real);
}

static int weigh_encoder(struct look *look, bool hash, struct error *err)
{
	struct weights *files;
	int status = weights_open(look->encoder, &files, err);
	if (status)
		return status;
	look->encoder_bytes = weights_bytes(files);
	const struct weight_tensor *first = weights_at(files, 0);
	if (hash && first)
		status = sha256_file(weights_path_of(first), look->encoder_sha256, err);
	weights_close(files);
	return status;
}

static int find_encoder(struct look *look, const char *path, const char *encoder, struct error *err)
{
	char wants[80];
	if (!encoder || !*encoder) {
		find_beside(&look->config, path, look->encoder);
	} else if (!look_reads(&look->config, encoder, look->encoder)) {
		look->encoder[0] = '\0';
		return error_set(err, SUMI_INVALID, "%s: the IP-Adapter wants %s", encoder,
				 look_wants(&look->config, wants, sizeof wants));
	}
	if (!look->encoder[0])
		return look->device ? error_set(err, SUMI_NOTFOUND, "%s: the IP-Adapter wants %s, and none lies beside it",
						path, look_wants(&look->config, wants, sizeof wants))
				    : SUMI_OK;
	int status = vision_config_read(look->encoder, &look->seen_by, err);
	return status ? status : weigh_encoder(look, look->device != NULL, err);
}

/* --- life --- */

int look_open(struct device *device, const char *path, const char *encoder, struct look **out,
	      struct error *err)
{
	*out = NULL;
	struct look *look = calloc(1, sizeof *look);
	if (!look)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", path);
	look->device = device;
	int status = device ? ip_adapter_open(device, path, &look->adapter, err)
			    : ip_config_read(path, &look->config, err);
	if (!status && device)
		look->config = *ip_adapter_config(look->adapter);
	if (!status)
		status = find_encoder(look, path, encoder, err);
	if (status) {
		look_close(look);
		return status;
	}
	*out = look;
	return SUMI_OK;
}

void look_close(struct look *look)
{
	if (!look)
		return;
	ip_adapter_close(look->adapter);
	for (int i = 0; i < LOOK_REMEMBERED; i++)
		free(look->remembered[i].tokens);
	free(look->nothing);
	free(look);
}

/* --- what a picture becomes --- */

static int rows_of(const struct look *look)
{
	return ip_reads_tokens(&look->config) && look->encoder[0] ? vision_tokens(&look->seen_by) : 1;
}

int look_count(const struct look *look)
{
	return ip_adapter_tokens(&look->config, rows_of(look));
}

static uint64_t key_of(const struct look *look, const float *picture)
{
	size_t side = (size_t)look->seen_by.side;
	return bytes_hash(BYTES_HASH_START, picture, side * side * 3 * sizeof *picture);
}

static float *recall(struct look *look, uint64_t key)
{
	for (int i = 0; i < LOOK_REMEMBERED; i++)
		if (look->remembered[i].tokens && look->remembered[i].key == key)
			return look->remembered[i].tokens;
	return NULL;
}

/* In new memory; picture NULL: of none, which to a base adapter is an embedding of zeros, to the others what
 * the encoder says of the mean colour. */
static int make(struct look *look, struct vision_encoder *encoder, const float *picture, float **out,
		struct error *err)
{
	const struct ip_config *c = &look->config;
	int rows = rows_of(look), status = SUMI_OK;
	size_t count = (size_t)ip_adapter_tokens(c, rows) * (size_t)c->context;
	float *seen = calloc((size_t)rows * (size_t)c->image, sizeof *seen);
	*out = malloc(count * sizeof **out);
	if (!seen || !*out)
		status = error_set(err, SUMI_NOMEM, "no memory for a picture's tokens");
	if (!status && (picture || ip_reads_tokens(c)))
		status = vision_encoder_forward(encoder, picture, ip_reads_tokens(c), seen, err);
	if (!status)
		status = ip_adapter_project(look->adapter, seen, rows, *out, err);
	free(seen);
	if (status) {
		free(*out);
		*out = NULL;
	}
	return status;
}

static int remember(struct look *look, const float *picture, uint64_t key, struct error *err)
{
	struct vision_encoder *encoder;
	float *tokens = NULL;
	int status = vision_encoder_open(look->device, look->encoder, &encoder, err);
	if (status)
		return status;
	if (!look->nothing)
		status = make(look, encoder, NULL, &look->nothing, err);
	if (!status)
		status = make(look, encoder, picture, &tokens, err);
	vision_encoder_close(encoder);
	if (status)
		return status;
	free(look->remembered[look->next].tokens);
	look->remembered[look->next].tokens = tokens;
	look->remembered[look->next].key = key;
	look->next = (look->next + 1) % LOOK_REMEMBERED;
	return SUMI_OK;
}

int look_tokens(struct look *look, const float *picture, const float **tokens, const float **nothing,
		int *count, struct error *err)
{
	uint64_t key = key_of(look, picture);
	enum precision precision = look->device->precision;
	int status = SUMI_OK;
	if (!recall(look, key)) {
		look->device->precision = PRECISION_EXACT;
		status = remember(look, picture, key, err);
		look->device->precision = precision;
	}
	*count = look_count(look);
	*tokens = recall(look, key);
	*nothing = look->nothing;
	return status;
}
