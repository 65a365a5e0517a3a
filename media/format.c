/* Kinds of files. */
#include "media/format.h"

#include <string.h>

const struct format_row format_table[FORMATS + 1] = {
    [FORMAT_WEBP] = {"webp", "image/webp", "WEBP", 8},
    [FORMAT_PNG] = {"png", "image/png", "\x89PNG\r\n\x1a\n", 0},
    [FORMAT_JPEG] = {"jpeg", "image/jpeg", "\xff\xd8\xff", 0},
    [FORMAT_OGG] = {"ogg", "audio/ogg", "OggS", 0},
    [FORMAT_WAV] = {"wav", "audio/wav", "WAVE", 8},
    /* Sumi's begin with a tag. */
    [FORMAT_MP3] = {"mp3", "audio/mpeg", "ID3", 0},
    [FORMAT_WEBM] = {"webm", "video/webm", "\x1a\x45\xdf\xa3", 0},
    [FORMAT_GLB] = {"glb", "model/gltf-binary", "glTF", 0},
    /* Told from other PNGs by nobody but who wrote it. */
    [FORMAT_HEIGHTS] = {"height.png", "image/png", "\x89PNG\r\n\x1a\n", 0},
    [FORMATS] = {"", "application/octet-stream", "", 0},
};

enum format format_of(const void *data, size_t size)
{
	for (int i = 0; i < FORMATS; i++) {
		const struct format_row *f = &format_table[i];
		size_t n = strlen(f->magic);
		if (size >= f->at + n && memcmp((const char *)data + f->at, f->magic, n) == 0)
			return (enum format)i;
	}
	return FORMATS;
}

const struct format_row *format_named(const char *name)
{
	int i = 0;
	while (i < FORMATS && strcmp(format_table[i].name, name) != 0)
		i++;
	return &format_table[i];
}
