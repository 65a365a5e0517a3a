/* How AUTOMATIC1111 calls upscalers that come in files of other names. */
#ifndef SUMI_REQUEST_UPSCALER_NAMES_H
#define SUMI_REQUEST_UPSCALER_NAMES_H

#include <stdbool.h>

/* Whether somebody who asks for `asked` means the file NAME.ending: by that name, with an ending of files of
 * tensors or without, or by A1111's name for it. Upper and lower case are one. */
bool upscaler_is_called(const char *name, const char *asked);

/* A1111's name for the file NAME.ending; the same where it has none of its own. */
const char *upscaler_label(const char *name);

#endif
