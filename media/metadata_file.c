/* Metadata of files: tells the kinds of files apart. */
#include "media/metadata_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "media/metadata_jpeg.h"
#include "media/metadata_ogg.h"
#include "media/png.h"
#include "media/wav.h"
#include "media/webp.h"

typedef int read_function(const void *data, size_t size, const char *where, struct metadata *m,
			  struct error *err);

static const struct {
	size_t at;
	const char *magic;
	read_function *read;
} kinds[] = {
    {8, "WEBP", webp_read_metadata},
    {1, "PNG\r\n\x1a\n", png_read_metadata},
    {0, "\xff\xd8\xff", jpeg_read_metadata},
    {0, "OggS", ogg_read_metadata},
    {8, "WAVE", wav_read_metadata},
};

int metadata_read(const void *data, size_t size, const char *where, struct metadata *m,
		  struct error *err)
{
	*m = (struct metadata){0};
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		size_t length = strlen(kinds[i].magic);
		if (size < kinds[i].at + length ||
		    memcmp((const char *)data + kinds[i].at, kinds[i].magic, length) != 0)
			continue;
		int status = kinds[i].read(data, size, where, m, err);
		if (!status && !m->infotext && !m->json)
			status = error_set(err, SUMI_NOTFOUND,
					   "%s: holds no parameters of sumi or A1111", where);
		if (status)
			metadata_free(m);
		return status;
	}
	return error_set(err, SUMI_UNSUPPORTED, "%s: is neither WebP, PNG, JPEG, Ogg nor WAV", where);
}

int metadata_read_file(const char *path, struct metadata *m, struct error *err)
{
	char *data;
	size_t size;
	*m = (struct metadata){0};
	int status = files_read(path, METADATA_FILE_MAX, &data, &size, err);
	if (status)
		return status;
	status = metadata_read(data, size, path, m, err);
	free(data);
	return status;
}
