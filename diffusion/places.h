/* Where what came with the program lies. */
#ifndef SUMI_DIFFUSION_PLACES_H
#define SUMI_DIFFUSION_PLACES_H

#include <stdbool.h>

#include "base/files.h"

/* Writes folder number `index` of the models that came with the program: installed with it, in the
 * checkout that it was built in. False: there are no more; out is empty where there is none of a
 * kind. */
bool place_of_models(int index, char out[FILES_PATH_MAX]);

/* The folder of a tokenizer that came with it ("clip"); SUMI_NOTFOUND. */
int place_of_tokenizer(const char *name, char out[FILES_PATH_MAX], struct error *err);

#endif
