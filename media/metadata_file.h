/* What stands in a file about how it was made. */
#ifndef SUMI_MEDIA_METADATA_FILE_H
#define SUMI_MEDIA_METADATA_FILE_H

#include "media/metadata.h"
#include "media/texts.h"

#define METADATA_FILE_MAX (1 << 30) /* bytes of a file that metadata_read_file() opens */

/* Reads what the file holds, WebP, PNG, JPEG, Ogg, WAV or WebM told apart by the first bytes. *m is emptied
 * first. SUMI_NOTFOUND when there is neither text, SUMI_UNSUPPORTED for another kind of file,
 * SUMI_CORRUPT when the file is damaged. */
int metadata_read_file(const char *path, struct metadata *m, struct error *err);

/* The same from memory; `where` names the file in messages. */
int metadata_read(const void *data, size_t size, const char *where, struct metadata *m,
		  struct error *err);

/* All texts of such a file; the caller frees them. None at all is fine. */
int texts_read(const void *data, size_t size, const char *where, struct file_texts *texts,
	       struct error *err);

#endif
