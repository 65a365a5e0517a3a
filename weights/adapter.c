/* Reading an adapter's file into modules. */
#include "weights/adapter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "weights/adapter_internal.h"

static struct module *find_module(struct adapter *a, const char *name, size_t stem, bool bias)
{
	/* Names come in order, so a module's tensors stand near each other; what is called by a dot
	 * may have others between. */
	for (size_t i = a->count; i-- > 0;) {
		struct module *m = &a->modules[i];
		if (m->bias == bias && strncmp(m->name, name, stem) == 0 && !m->name[stem])
			return m;
		if (a->count - i > 64)
			break;
	}
	return NULL;
}

static struct module *add_module(struct adapter *a, const char *name, size_t stem, bool bias)
{
	struct module *all = grow_room(a->modules, a->count, &a->capacity, 256, sizeof *all);
	if (!all)
		return NULL;
	a->modules = all;
	struct module *m = &a->modules[a->count];
	*m = (struct module){.name = strndup(name, stem), .bias = bias};
	if (!m->name)
		return NULL;
	a->count++;
	return m;
}

static int add_tensor(struct adapter *a, const struct weight_tensor *t, struct error *err)
{
	enum module_tensor which;
	bool bias;
	size_t stem;
	const char *path = weights_folder(a->files);
	if (!adapter_suffix(t->name, &which, &bias, &stem) && !adapter_config_saved(a, t->name, &which, &bias, &stem))
		return error_set(err, SUMI_UNSUPPORTED,
				 "%s: tensor '%.100s' is of no kind of adapter that is read", path, t->name);
	if (!t->usable && which != TENSOR_ALPHA) /* kohya writes some as whole numbers */
		return error_set(err, SUMI_UNSUPPORTED, "%s: tensor '%.100s' is of the dtype %s", path,
				 t->name, t->format);
	struct module *m = find_module(a, t->name, stem, bias);
	if (!m && !(m = add_module(a, t->name, stem, bias)))
		return error_set(err, SUMI_NOMEM, "%s: out of memory", path);
	if (m->tensors[which])
		return error_set(err, SUMI_INVALID, "%s: '%.100s' and '%.100s' say the same of one module",
				 path, m->tensors[which]->name, t->name);
	m->tensors[which] = t;
	return SUMI_OK;
}

/* A missing alpha, and one of 0 in LyCORIS's and kohya's files, mean the rank. */
static int read_scale(struct adapter *a, struct module *m, struct error *err)
{
	const struct weight_tensor *t = m->tensors[TENSOR_ALPHA];
	double alpha = 0;
	m->scale = 1;
	if (!t && a->config)
		return adapter_config_scale(a, m, &m->scale, err);
	if (!t || !m->rank)
		return SUMI_OK;
	uint64_t count = 1;
	for (int i = 0; i < t->rank; i++)
		count *= (uint64_t)(t->shape[i] == 1);
	int status = count == 1 ? weights_read_number(t, &alpha, err) : SUMI_OK;
	if (!status && (count != 1 || !isfinite(alpha)))
		status = error_set(err, SUMI_INVALID, "%s: '%.100s' is no finite number", weights_folder(a->files),
				   t->name);
	if (!status && alpha != 0)
		m->scale = alpha / m->rank;
	return status;
}

/* A bias of PEFT's counts as its pair does, whose first tensor stands right before it. */
static void scale_bias(struct adapter *a, size_t i)
{
	struct module *m = &a->modules[i];
	const struct module *pair = i ? m - 1 : m;
	if (m->tensors[TENSOR_UP_BIAS] && !pair->bias && strcmp(pair->name, m->name) == 0)
		m->scale = pair->scale;
}

static int check_module(struct adapter *a, struct module *m, struct error *err)
{
	for (m->kind = module_kinds; m->kind->word; m->kind++)
		if (m->tensors[m->kind->sign] || m->tensors[m->kind->other])
			break;
	if (!m->kind->word || !m->kind->check(m))
		return error_set(err, SUMI_INVALID,
				 "%s: the tensors of '%.100s' do not go together, or one lacks",
				 weights_folder(a->files), m->name);
	if (!adapter_flat_name(m->name, &m->part, m->flat))
		m->part = 0; /* of a model that is not known: it matches nothing, and is counted */
	else if (m->part & (ADAPTER_TEXT | ADAPTER_TEXT_2) && adapter_config_part(a))
		m->part = adapter_config_part(a); /* both encoders have the same names */
	return read_scale(a, m, err);
}

int adapter_open(const char *path, struct adapter **out, struct error *err)
{
	*out = NULL;
	struct adapter *a = calloc(1, sizeof *a);
	if (!a)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", path);
	int status = weights_open(path, &a->files, err);
	if (!status)
		status = adapter_config_read(a, err);
	for (size_t i = 0; !status && i < weights_tensors(a->files); i++)
		status = add_tensor(a, weights_at(a->files, i), err);
	for (size_t i = 0; i < a->count && !status; i++)
		status = check_module(a, &a->modules[i], err);
	for (size_t i = 0; i < a->count && !status; i++)
		scale_bias(a, i);
	if (!status && !a->count)
		status = error_set(err, SUMI_INVALID, "%s: there is no tensor in it", path);
	if (status) {
		adapter_close(a);
		return status;
	}
	*out = a;
	return SUMI_OK;
}

void adapter_close(struct adapter *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < a->count; i++)
		free(a->modules[i].name);
	free(a->modules);
	json_decref(a->config);
	weights_close(a->files);
	free(a);
}

size_t adapter_modules(const struct adapter *a)
{
	return a->count;
}

size_t adapter_drawing(const struct adapter *a)
{
	size_t n = 0;
	for (size_t i = 0; i < a->count; i++)
		n += !(a->modules[i].part & (ADAPTER_TEXT | ADAPTER_TEXT_2)) && !a->modules[i].tensors[TENSOR_EMBEDDING];
	return n;
}

const char *adapter_module_name(const struct adapter *a, size_t i)
{
	return a->modules[i].name;
}

const char *adapter_kind(const struct adapter *a)
{
	for (size_t i = 0; i < a->count; i++)
		if (a->modules[i].tensors[TENSOR_DORA] || a->modules[i].tensors[TENSOR_MAGNITUDE])
			return "DoRA";
	/* What lies beside pairs is not what one calls it by. */
	const struct module_kind *kind = NULL;
	for (size_t i = 0; i < a->count; i++)
		if (!kind || (kind->whole && !a->modules[i].kind->whole) || kind->sign == TENSOR_EMBEDDING)
			kind = a->modules[i].kind;
	return kind->word;
}

void adapter_ranks(const struct adapter *a, int *least, int *most)
{
	*least = *most = 0;
	for (size_t i = 0; i < a->count; i++) {
		int rank = a->modules[i].rank;
		if (rank && (!*least || rank < *least))
			*least = rank;
		if (rank > *most)
			*most = rank;
	}
}

bool adapter_target(const struct adapter *a, size_t i, unsigned parts, int layers,
		    char out[ADAPTER_NAME_MAX])
{
	const struct module *m = &a->modules[i];
	if (!(m->part & parts))
		return false;
	if (m->part == ADAPTER_DENOISER)
		adapter_unet_name(m->flat, layers, out);
	else
		strcpy(out, m->flat);
	size_t n = strlen(out);
	if (n + sizeof "_weight" > ADAPTER_NAME_MAX)
		return false;
	strcpy(out + n, m->bias ? "_bias" : "_weight");
	return true;
}
