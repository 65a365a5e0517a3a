/* Latents as rough pictures. */
#include "diffusion/preview.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846
#define FACTOR_MAX 100.0 /* larger ones are no colours of anything */
#define DEVIATIONS 2.5   /* of a sum that become black and white */

/* How the four latent channels of Stable Diffusion 1 look, a linear fit that the field shares
 * (discuss.huggingface.co/t/decoding-latents-to-rgb-without-upscaling/23204). */
const struct preview_map preview_stable_diffusion = {
    .channels = 4,
    .matrix = {{0.298f, 0.207f, 0.208f},
	       {0.187f, 0.286f, 0.173f},
	       {-0.158f, 0.189f, 0.264f},
	       {-0.184f, -0.271f, -0.473f}},
};

/* Those of Stable Diffusion XL, as diffusers' manual shows them in colours from 0 to 255
 * (huggingface.co/docs/diffusers, "Pipeline callbacks"). */
#define OF_255(r, g, b) {(r) / 127.5f, (g) / 127.5f, (b) / 127.5f}
const struct preview_map preview_stable_diffusion_xl = {
    .channels = 4,
    .matrix = {OF_255(60, 60, 60), OF_255(-60, -5, 10), OF_255(25, 15, -5), OF_255(-70, -50, -35)},
    .bias = OF_255(150 - 127.5f, 140 - 127.5f, 130 - 127.5f),
};

static int read_row(const json_t *row, const char *where, const char *field, float out[3],
		    struct error *err)
{
	if (!json_is_array(row) || json_array_size(row) != 3)
		return error_set(err, SUMI_INVALID,
				 "%s: 'preview' needs three numbers a row in '%s'", where, field);
	for (size_t k = 0; k < 3; k++) {
		const json_t *value = json_array_get(row, k);
		double number = json_number_value(value);
		if (!json_is_number(value) || !(fabs(number) <= FACTOR_MAX))
			return error_set(err, SUMI_INVALID,
					 "%s: 'preview' needs numbers from -%g to %g in '%s'",
					 where, FACTOR_MAX, FACTOR_MAX, field);
		out[k] = (float)number;
	}
	return SUMI_OK;
}

int preview_map_read(const json_t *manifest, const char *where, int channels,
		     const struct preview_map *usual, struct preview_map *out, struct error *err)
{
	const json_t *map = json_object_get(manifest, "preview"), *ignored;
	const json_t *matrix = json_object_get(map, "matrix"), *bias = json_object_get(map, "bias");
	const char *key;
	int status = SUMI_OK;
	*out = (struct preview_map){.channels = 0};
	if (!map) {
		if (usual && channels == usual->channels)
			*out = *usual;
		return SUMI_OK;
	}
	json_object_foreach((json_t *)map, key, ignored)
	{
		if (strcmp(key, "matrix") != 0 && strcmp(key, "bias") != 0)
			return error_set(err, SUMI_INVALID,
					 "%s: 'preview' has matrix and bias; '%.40s' is not known",
					 where, key);
	}
	if (channels > PREVIEW_CHANNELS_MAX || !json_is_array(matrix) ||
	    json_array_size(matrix) != (size_t)channels)
		return error_set(err, SUMI_INVALID,
				 "%s: 'preview' needs a 'matrix' of %d rows, one for each latent "
				 "channel (at most %d)",
				 where, channels, PREVIEW_CHANNELS_MAX);
	for (int j = 0; j < channels && !status; j++)
		status = read_row(json_array_get(matrix, (size_t)j), where, "matrix",
				  out->matrix[j], err);
	if (!status && bias)
		status = read_row(bias, where, "bias", out->bias, err);
	if (!status)
		out->channels = channels;
	return status;
}

void preview_map_apply(const struct preview_map *map, const float *z, size_t pixels, uint8_t *rgb)
{
	for (size_t i = 0; i < pixels; i++, z += map->channels)
		for (int k = 0; k < 3; k++) {
			float v = map->bias[k];
			for (int j = 0; j < map->channels; j++)
				v += z[j] * map->matrix[j][k];
			v = (v * 0.5f + 0.5f) * 255.0f;
			*rgb++ = v > 255 ? 255 : v > 0 ? (uint8_t)v : 0;
		}
}

static uint8_t byte_of(double v)
{
	return v > 255 ? 255 : v > 0 ? (uint8_t)v : 0;
}

/* Each sum weighs the channels along half a wave more than the one before it; with fewer channels
 * than colours there is light alone. */
static double sum_of(const float *z, int channels, int colour)
{
	double sum = 0, turn = channels < 3 ? 0 : PI * colour / channels;
	for (int j = 0; j < channels; j++)
		sum += cos(turn * (j + 0.5)) * (double)z[j];
	return sum;
}

void preview_plain(const float *z, int channels, size_t pixels, uint8_t *rgb)
{
	for (int k = 0; k < 3; k++) {
		double sum = 0, squares = 0;
		for (size_t i = 0; i < pixels; i++) {
			double v = sum_of(z + i * (size_t)channels, channels, k);
			sum += v;
			squares += v * v;
		}
		double mean = sum / (double)pixels;
		double deviation = sqrt(fmax(squares / (double)pixels - mean * mean, 0));
		double factor = deviation > 0 ? 0.5 / (DEVIATIONS * deviation) : 0;
		for (size_t i = 0; i < pixels; i++) {
			double v = sum_of(z + i * (size_t)channels, channels, k) - mean;
			rgb[i * 3 + (size_t)k] = byte_of((v * factor + 0.5) * 255);
		}
	}
}
