/* Metadata of files: tells the kinds of files apart. */
#include "media/metadata_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/utf8.h"
#include "media/format.h"
#include "media/landscape.h"
#include "media/mp3.h"
#include "media/png.h"
#include "media/texts_jpeg.h"
#include "media/texts_ogg.h"
#include "media/wav.h"
#include "media/webm.h"
#include "media/webp.h"

typedef int read_function(const void *data, size_t size, const char *where,
			  struct file_texts *texts, struct error *err);

static read_function *const readers[FORMATS + 1] = {
    [FORMAT_WEBP] = webp_read_texts, [FORMAT_PNG] = png_read_texts,
    [FORMAT_JPEG] = jpeg_read_texts, [FORMAT_OGG] = ogg_read_texts,
    [FORMAT_WAV] = wav_read_texts,   [FORMAT_WEBM] = webm_read_texts,
    [FORMAT_GLB] = gltf_read_texts,  [FORMAT_MP3] = mp3_read_texts,
};

/* A file that is nothing but an infotext: galleries offer it for download beside the picture. */
static int read_plain(const char *text, size_t size, const char *where, struct file_texts *texts,
		      struct error *err)
{
	int status = SUMI_OK;
	if (size > METADATA_TEXT_MAX || memchr(text, '\0', size) || !utf8_valid(text, size))
		return error_set(err, SUMI_UNSUPPORTED,
				 "%s: is neither WebP, PNG, JPEG, Ogg, WAV, MP3, WebM nor glTF", where);
	status = texts_add(texts, TEXT_PLAIN, "", text, size, err);
	if (!status && (!texts->count || !strstr(texts->at[0].text, "Steps: ")))
		status = error_set(err, SUMI_UNSUPPORTED,
				   "%s: is neither WebP, PNG, JPEG, Ogg, WAV, MP3, WebM nor glTF, nor a text with "
				   "\"Steps: \" in it",
				   where);
	return status;
}

int texts_read(const void *data, size_t size, const char *where, struct file_texts *texts,
	       struct error *err)
{
	*texts = (struct file_texts){0};
	read_function *read = readers[format_of(data, size)];
	int status = read ? read(data, size, where, texts, err)
			  : read_plain(data, size, where, texts, err);
	if (!status && !texts->count && texts->damage.status) {
		*err = texts->damage;
		status = error_prefix(err, "%s", where);
	}
	if (status)
		texts_free(texts);
	return status;
}

int metadata_read(const void *data, size_t size, const char *where, struct metadata *m,
		  struct error *err)
{
	struct file_texts texts;
	*m = (struct metadata){0};
	int status = texts_read(data, size, where, &texts, err);
	if (!status)
		status = metadata_pick(&texts, m, err);
	if (!status && !m->infotext && !m->json)
		status = error_set(err, SUMI_NOTFOUND,
				   "%s: holds no parameters of sumi or A1111", where);
	texts_free(&texts);
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
