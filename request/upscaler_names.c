/* How AUTOMATIC1111 calls upscalers that come in files of other names. */
#include "request/upscaler_names.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "base/model_file.h"

/* A1111's modules/realesrgan_model.py and esrgan_model.py: the name in its lists, the file that it fetches. */
static const struct {
	const char *file, *label;
} labels[] = {
    {"RealESRGAN_x4plus", "R-ESRGAN 4x+"},
    {"RealESRGAN_x4plus_anime_6B", "R-ESRGAN 4x+ Anime6B"},
    {"RealESRGAN_x2plus", "R-ESRGAN 2x+"},
    {"realesr-general-x4v3", "R-ESRGAN General 4xV3"},
    {"realesr-general-wdn-x4v3", "R-ESRGAN General WDN 4xV3"},
    {"realesr-animevideov3", "R-ESRGAN AnimeVideo"},
    {"ESRGAN", "ESRGAN_4x"},
};

enum { LABELS = sizeof labels / sizeof labels[0] };

static bool same(const char *a, size_t length, const char *b)
{
	return strlen(b) == length && strncasecmp(a, b, length) == 0;
}

bool upscaler_is_called(const char *name, const char *asked)
{
	const char *end = model_file_ending(asked);
	size_t whole = strlen(asked);
	if (same(asked, whole, name) || (end && same(asked, (size_t)(end - asked), name)))
		return true;
	for (size_t i = 0; i < LABELS; i++)
		if (strcasecmp(labels[i].label, asked) == 0)
			return strcasecmp(labels[i].file, name) == 0;
	return false;
}

const char *upscaler_label(const char *name)
{
	for (size_t i = 0; i < LABELS; i++)
		if (strcasecmp(labels[i].file, name) == 0)
			return labels[i].label;
	return name;
}
