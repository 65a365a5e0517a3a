/* Metadata of files: tells the kinds of files apart. */
#include "media/metadata_file.h"

#include <stdlib.h>

#include "base/files.h"
#include "media/format.h"
#include "media/metadata_jpeg.h"
#include "media/metadata_ogg.h"
#include "media/png.h"
#include "media/wav.h"
#include "media/webp.h"

typedef int read_function(const void *data, size_t size, const char *where, struct metadata *m,
			  struct error *err);

static read_function *const readers[FORMATS + 1] = {
    [FORMAT_WEBP] = webp_read_metadata, [FORMAT_PNG] = png_read_metadata,
    [FORMAT_JPEG] = jpeg_read_metadata, [FORMAT_OGG] = ogg_read_metadata,
    [FORMAT_WAV] = wav_read_metadata,
};

int metadata_read(const void *data, size_t size, const char *where, struct metadata *m,
		  struct error *err)
{
	*m = (struct metadata){0};
	read_function *read = readers[format_of(data, size)];
	if (!read)
		return error_set(err, SUMI_UNSUPPORTED,
				 "%s: is neither WebP, PNG, JPEG, Ogg nor WAV", where);
	int status = read(data, size, where, m, err);
	if (!status && !m->infotext && !m->json)
		status = error_set(err, SUMI_NOTFOUND, "%s: holds no parameters of sumi or A1111",
				   where);
	if (status)
		metadata_free(m);
	return status;
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
