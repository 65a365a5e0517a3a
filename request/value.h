/* One value of a parameter, of any type but a list of objects: what such a list's members are too. */
#ifndef SUMI_REQUEST_VALUE_H
#define SUMI_REQUEST_VALUE_H

#include "request/param.h"

/* As param_canonical() and param_from_text(), which take lists of objects besides. */
int value_canonical(const struct param *p, unsigned modality, json_t *value, json_t **out,
		    struct error *err);
int value_from_text(const struct param *p, unsigned modality, const char *text, size_t size,
		    json_t **value, struct error *err);

/* "job: field 'x' must be …": SUMI_INVALID. */
int value_wrong(const struct param *p, struct error *err, const char *must);

#endif
