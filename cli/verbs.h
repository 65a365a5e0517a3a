/* The verbs behind those that make something (base/modality_table.h), in the order of the help. */
#ifndef SUMI_CLI_VERBS_H
#define SUMI_CLI_VERBS_H

#include "cli/cli.h"

#define VERB_MAP(X)                                                                                \
	X(script)                                                                                  \
	X(render)                                                                                  \
	X(submit)                                                                                  \
	X(batch)                                                                                   \
	X(list)                                                                                    \
	X(search)                                                                                  \
	X(show)                                                                                    \
	X(watch)                                                                                   \
	X(wait)                                                                                    \
	X(fetch)                                                                                   \
	X(open)                                                                                    \
	X(cancel)                                                                                  \
	X(retry)                                                                                   \
	X(delete)                                                                                  \
	X(star)                                                                                    \
	X(unstar)                                                                                  \
	X(dead_letters)                                                                            \
	X(again)                                                                                   \
	X(prompt)                                                                                  \
	X(pause)                                                                                   \
	X(resume)                                                                                  \
	X(models)                                                                                  \
	X(pull)                                                                                    \
	X(devices)                                                                                 \
	X(status)                                                                                  \
	X(doctor)                                                                                  \
	X(keys)                                                                                    \
	X(preprocess)                                                                              \
	X(upscale)                                                                                 \
	X(db)

#define X(name) extern const struct verb verb_##name;
VERB_MAP(X)
#undef X
#define X(NAME, name, ...) extern const struct verb verb_##name;
MODALITY_TABLE(X)
#undef X

#endif
