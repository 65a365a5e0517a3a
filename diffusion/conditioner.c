/* The way through a conditioner's table. */
#include "diffusion/conditioner.h"

int conditioner_open(const struct conditioner_kind *kind, struct device *device,
		     const struct pack_info *info, struct conditioner **out, struct error *err)
{
	*out = NULL;
	return kind->open(kind, device, info, out, err);
}

void conditioner_close(struct conditioner *c)
{
	if (c)
		c->kind->close(c);
}

int conditioner_shape_read(const struct conditioner_kind *kind, const struct pack_info *info,
			   struct conditioner_shape *out, struct error *err)
{
	return kind->shape(kind, info, out, err);
}

bool conditioner_tells_absent(const struct conditioner_kind *kind, const struct pack_info *info)
{
	return kind->tells_absent && kind->tells_absent(kind, info);
}

int conditioner_load(struct conditioner *c, struct error *err)
{
	return c->kind->load ? c->kind->load(c, err) : SUMI_OK;
}

void conditioner_unload(struct conditioner *c)
{
	if (c->kind->unload)
		c->kind->unload(c);
}

void conditioner_set_room(struct conditioner *c, void (*make_room)(void *user), void *user)
{
	c->make_room = make_room;
	c->user = user;
}

int conditioner_encode(struct conditioner *c, const struct conditioner_input *in,
		       struct conditions *out, struct error *err)
{
	*out = (struct conditions){.n = in->n};
	int status = c->kind->encode(c, in, out, err);
	if (status)
		conditions_free(out);
	return status;
}

int conditioner_plain(struct conditioner *c, const struct conditioner_input *in, bool *plain,
		      struct error *err)
{
	*plain = true;
	return c->kind->plain ? c->kind->plain(c, in, plain, err) : SUMI_OK;
}

int conditioner_chunks(struct conditioner *c, const struct conditioner_input *in,
		       const struct tokenizer **tokenizer, struct prompt_chunks *out,
		       struct error *err)
{
	*out = (struct prompt_chunks){0};
	return c->kind->chunks
		   ? c->kind->chunks(c, in, tokenizer, out, err)
		   : error_set(err, SUMI_UNSUPPORTED, "this model's texts are not cut into tokens");
}
