/* The functions of each modality. */
#include "modalities/modality.h"

static const struct modality *const all[MODALITIES] = {
#define X(NAME, name, ...) &modality_##name,
    MODALITY_TABLE(X)
#undef X
};

const struct modality *modality_find(const char *name)
{
	enum modality_index i = modality_index(name);
	return i < MODALITIES ? all[i] : NULL;
}
