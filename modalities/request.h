/* What the modalities share: checks and defaults of a request, its run parameters, the
 * texts that go into files. */
#ifndef SUMI_MODALITIES_REQUEST_H
#define SUMI_MODALITIES_REQUEST_H

#include "diffusion/run.h"
#include "modalities/modality.h"
#include "request/param.h"

/* Whether the job says nothing of the precision, or "auto": asked before it is resolved. */
bool request_leaves_precision(const struct request *r);

/* Canonical sampler names, sizes, defaults of the pack. */
int request_resolve(const struct pack_info *info, struct request *r, struct error *err);

/* The end of resolving: the modality's usual format where none is given, limits, and the format's
 * usual quality. modality: PARAM_IMAGE, … */
int request_resolve_end(struct request *r, unsigned modality, struct error *err);

/* The core's parameters of a resolved request; init is left NULL. Strings are borrowed. */
struct run_params request_run_params(const struct request *r);

/* run_preview() with its sizes, for a run whose frames are pictures. SUMI_TOOBIG when max_pixels do not
 * suffice. */
int request_preview(const struct run *run, uint8_t *rgb, size_t max_pixels, int *width, int *height,
		    struct error *err);

/* The JSON that goes into a file's metadata: the resolved request, the pack's name and
 * digest, device and versions: enough to make the same bytes again. Field names are the
 * job schema's. embeddings: that the texts name, or NULL. The caller frees *text. */
struct embeddings;
int request_metadata(const struct run *run, const struct request *r,
		     const struct embeddings *embeddings, char **text, struct error *err);

/* A1111's "parameters" text. The caller frees *text. */
int request_infotext(const struct run *run, const struct request *r,
		     const struct embeddings *embeddings, char **text, struct error *err);

/* What the texts of a resolved request name, for the pack; *out as of embeddings_find(). */
int request_embeddings(const struct pack_info *info, const struct request *r,
		       struct embeddings **out, struct error *err);

#endif
