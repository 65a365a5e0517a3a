/* What ImageMagick and exiftool write into PNG as text: EXIF and XMP in hexadecimal digits. */
#ifndef SUMI_MEDIA_PROFILE_H
#define SUMI_MEDIA_PROFILE_H

#include <stdbool.h>

#include "media/texts.h"

/* Whether a text chunk of that keyword is one ("Raw profile type exif"). */
bool profile_is(const char *keyword);

/* Adds what stands in it: a line's end, its name, a line with its bytes, digits. SUMI_CORRUPT where that is not so;
 * another kind than EXIF and XMP adds nothing. */
int profile_read(const char *keyword, const char *text, struct file_texts *texts, struct error *err);

#endif
