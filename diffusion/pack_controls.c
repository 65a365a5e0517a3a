/* Networks that see pictures: a pack keeps those of its last runs, since most runs want the same again. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "diffusion/control.h"
#include "diffusion/pack_internal.h"

static void close_one(struct pack_control *c)
{
	control_close(c->open);
	c->open = NULL;
}

void pack_controls_close_idle(struct pack *pack)
{
	for (int i = 0; i < PACK_CONTROLS; i++)
		if (pack->controls[i].users == 0)
			close_one(&pack->controls[i]);
}

uint64_t pack_controls_bytes(const struct pack *pack)
{
	uint64_t bytes = 0;
	for (int i = 0; i < PACK_CONTROLS; i++)
		bytes += pack->controls[i].open ? pack->controls[i].open->bytes : 0;
	return bytes;
}

/* An empty place, or that of the one that was used longest ago; NULL: all are in use. */
static struct pack_control *place(struct pack *pack)
{
	struct pack_control *oldest = NULL;
	for (int i = 0; i < PACK_CONTROLS; i++) {
		struct pack_control *c = &pack->controls[i];
		if (!c->open)
			return c;
		if (c->users == 0 && (!oldest || c->turn < oldest->turn))
			oldest = c;
	}
	if (oldest)
		close_one(oldest);
	return oldest;
}

/* NULL: it is not there, or its files are others now. */
static const struct pack_control *find(const struct pack *pack, const char *path, uint64_t stamp)
{
	for (int i = 0; i < PACK_CONTROLS; i++) {
		const struct pack_control *c = &pack->controls[i];
		if (c->open && c->stamp == stamp && strcmp(c->path, path) == 0)
			return c;
	}
	return NULL;
}

static uint64_t stamp_of(const char *path, const char *encoder)
{
	uint64_t stamp = pack_stamp_add(0, path);
	return encoder && *encoder ? pack_stamp_add(stamp, encoder) : stamp;
}

bool pack_has_control(const struct pack *pack, const char *path, const char *encoder)
{
	return find(pack, path, stamp_of(path, encoder));
}

int pack_control_take(struct pack *pack, const char *path, const char *encoder, struct control **out,
		      struct error *err)
{
	uint64_t stamp = stamp_of(path, encoder);
	struct pack_control *found = (struct pack_control *)find(pack, path, stamp);
	*out = NULL;
	if (!found) {
		found = place(pack);
		if (!found)
			return error_set(err, SUMI_TOOBIG, "%s: too many such networks are in use at once",
					 path);
		int status = files_path(found->path, err, "%s", path);
		if (!status)
			status = control_open(pack->device, path, encoder, &found->open, err);
		if (status)
			return status;
		found->stamp = stamp;
	}
	found->users++;
	found->turn = ++pack->control_turn;
	*out = found->open;
	return SUMI_OK;
}

void pack_control_give(struct pack *pack, const struct control *control)
{
	for (int i = 0; control && i < PACK_CONTROLS; i++)
		if (pack->controls[i].open == control)
			pack->controls[i].users--;
}
