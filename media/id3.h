/* ID3v2.4 tags, as they stand before an MP3's frames. */
#ifndef SUMI_MEDIA_ID3_H
#define SUMI_MEDIA_ID3_H

#include "base/bytes.h"
#include "media/metadata.h"

/* A tag of meta's texts. */
void id3_put(struct bytes_writer *w, const struct metadata *meta);

/* Adds the texts of users of a tag that stands first; one that is cut off ends where it is cut, no tag has none. */
int id3_read(const void *data, size_t size, struct file_texts *texts, struct error *err);

#endif
