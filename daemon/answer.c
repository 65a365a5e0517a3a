/* Answers from the store. */
#include "daemon/answer.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "modalities/request.h"

enum { FILE_LIMIT = 1 << 30 };

/* The digest of everything that decides the result, or "". */
static void digest_of(const struct answer_query *q, char out[SHA256_HEX_SIZE])
{
	struct error ignored;
	struct pack_info fresh = {0};
	/* What the worker read of the pack when it started: reading it again, tokenizer and all,
	 * would take longer than everything else before the first step. Where somebody has replaced
	 * the pack since, the stamp is another one and no answer of before fits. */
	const struct pack_info *info = catalogue_at(q->catalogue, q->folder);
	struct request r = *q->request;
	char *text = NULL;
	json_t *o = NULL;
	if (!info && pack_info_read(q->folder, &fresh, &ignored))
		return;
	info = info ? info : &fresh;
	if (q->modality->resolve(info, &r, &ignored) == 0)
		o = request_json(&r);
	if (o) {
		json_object_set_new(o, "variants", json_integer(q->variants));
		json_object_set_new(o, "model_digest", json_string(info->digest));
		/* The digest does not read the weights; the stamp changes with them. */
		json_object_set_new(o, "model_stamp", json_integer((json_int_t)q->stamp));
		json_object_set_new(o, "version", json_string(SUMI_VERSION));
		text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
		json_decref(o);
	}
	if (text)
		sha256_hex(text, strlen(text), out);
	free(text);
	if (info == &fresh)
		pack_info_free(&fresh);
}

/* Every variant has files, and every file is what it was. */
static bool is_whole(const struct answer *a, int variants)
{
	uint64_t seen = 0;
	for (size_t i = 0; i < a->count; i++) {
		char sha256[SHA256_HEX_SIZE];
		struct error ignored;
		if (sha256_file(a->files[i].path, sha256, &ignored) ||
		    strcmp(sha256, a->files[i].sha256) != 0)
			return false;
		seen |= (uint64_t)1 << (a->files[i].variant & 63);
	}
	for (int k = 0; k < variants; k++)
		if (!(seen >> k & 1))
			return false;
	return true;
}

void answer_find(const struct answer_query *q, struct answer *a)
{
	struct error ignored;
	struct store_job job = {0};
	*a = (struct answer){.count = 0};
	digest_of(q, a->digest);
	if (!a->digest[0] || store_find_digest(q->store, a->digest, &job, &ignored))
		return;
	bool fresh = job.finished >= q->oldest_ms && job.finished <= q->newest_ms;
	snprintf(a->from, sizeof a->from, "%s", job.id);
	store_job_free(&job);
	if (!fresh || store_artifacts(q->store, a->from, false, &a->files, &a->count, &ignored))
		return;
	if (!is_whole(a, q->variants))
		answer_clear(a);
}

void answer_clear(struct answer *a)
{
	store_artifacts_free(a->files, a->count);
	a->files = NULL;
	a->count = 0;
}

static int emit_file(const struct store_artifact *f, const struct sink *sink, struct error *err)
{
	char *data;
	struct output o = {
	    .role = f->role,
	    .number = f->number,
	    .format = f->format,
	    .mime = f->mime,
	    .width = f->width,
	    .height = f->height,
	    .duration = f->duration,
	    .metadata_json = f->metadata,
	    .infotext = f->infotext,
	};
	int status = files_read(f->path, FILE_LIMIT, &data, &o.size, err);
	if (status)
		return status;
	o.data = data;
	status = sink->output(sink->context, &o, err);
	free(data);
	return status;
}

int answer_emit(const struct answer *a, int variant, const struct sink *sink, struct error *err)
{
	int status = SUMI_OK;
	for (size_t i = 0; i < a->count && !status; i++)
		if (a->files[i].variant == variant)
			status = emit_file(&a->files[i], sink, err);
	return status;
}
