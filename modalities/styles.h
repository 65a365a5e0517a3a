/* Styles: words that go around prompts, in styles.csv of models folders, as stable-diffusion-webui keeps them. */
#ifndef SUMI_MODALITIES_STYLES_H
#define SUMI_MODALITIES_STYLES_H

#include "base/status.h"

#define STYLES_FILE "styles.csv"

/* Calls visit() for each style, by places, then rows; of two of a name the first counts. negative: NULL in
 * files that have no such column. One that fails ends it. */
typedef int style_visit(void *context, const char *name, const char *prompt, const char *negative,
			struct error *err);
int styles_visit(const char *packs, const char *state_dir, style_visit *visit, void *context,
		 struct error *err);

#endif
