/* Which parts of a pack lie on its device at the same time. Where it holds all of them, they stay;
 * elsewhere encoders go before a denoiser comes, and a denoiser that nobody uses goes before they
 * come back. */
#include <string.h>

#include "base/memory.h"
#include "diffusion/pack_internal.h"

/* What the device has for weights and for what is computed with them. */
static uint64_t capacity(const struct device *device)
{
	uint64_t own = device->info.memory ? device->info.memory : UINT64_MAX;
	uint64_t machine = device->info.is_cpu ? memory_limit() : UINT64_MAX;
	return own < machine ? own : machine;
}

bool pack_holds_all(const struct pack *pack, uint64_t more)
{
	uint64_t all = more, room = capacity(pack->device);
	static const enum part_use uses[] = {PART_TEXTS, PART_DENOISER, PART_MOTION, PART_CODEC};
	for (size_t i = 0; i < sizeof uses / sizeof *uses; i++)
		all += pack->bytes[uses[i]];
	if (pack->denoisers[1].open)
		all += pack->bytes[PART_DISTILLED] + pack->bytes[PART_MOTION];
	return all + pack_controls_bytes(pack) <= room;
}

static void close_idle(struct pack_denoiser *d)
{
	if (d->users > 0)
		return;
	denoiser_close(d->open);
	d->open = NULL;
}

void pack_make_room_for_texts(void *user)
{
	struct pack *pack = user;
	if (pack_holds_all(pack, 0))
		return;
	pack_controls_close_idle(pack);
	for (int i = 0; i < PACK_DENOISERS; i++)
		close_idle(&pack->denoisers[i]);
}

void pack_make_way(struct pack *pack, uint64_t bytes)
{
	if (pack_holds_all(pack, bytes))
		return;
	conditioner_unload(pack->conditioner);
	for (int i = 0; i < PACK_DENOISERS; i++)
		close_idle(&pack->denoisers[i]);
}

/* ---- denoisers ---- */

/* A pack may be fast by its settings alone. */
static int find(struct pack *pack, bool fast, struct pack_denoiser **out, struct error *err)
{
	if (fast && !pack->info.has_fast)
		return error_set(err, SUMI_INVALID, "model %s has no fast variant",
				 pack->info.name);
	bool other = fast && strcmp(pack_denoiser_part(&pack->info, true),
				    pack_denoiser_part(&pack->info, false)) != 0;
	*out = &pack->denoisers[other];
	return SUMI_OK;
}

static int open_checked(const struct pack *pack, struct device *device, bool fast,
			struct denoiser **out, struct error *err)
{
	int status = denoiser_open(pack->info.family->denoiser, device, &pack->info,
				   pack_denoiser_part(&pack->info, fast), out, err);
	if (!status && (status = pack_check_denoiser(pack, *out, err))) {
		denoiser_close(*out);
		*out = NULL;
	}
	return status;
}

int pack_denoiser_spec(struct pack *pack, bool fast, struct denoiser_spec *out, struct error *err)
{
	struct pack_denoiser *d;
	struct denoiser *read = NULL;
	int status = find(pack, fast, &d, err);
	if (!status && !d->open)
		status = open_checked(pack, NULL, fast, &read, err);
	if (!status)
		*out = denoiser_spec(d->open ? d->open : read);
	denoiser_close(read);
	return status;
}

int pack_denoiser_take(struct pack *pack, bool fast, uint64_t step, struct denoiser **out,
		       struct error *err)
{
	struct pack_denoiser *d;
	*out = NULL;
	int status = find(pack, fast, &d, err);
	if (status)
		return status;
	d->users++; /* it does not make room for itself */
	if (!pack_holds_all(pack, step)) {
		conditioner_unload(pack->conditioner);
		pack_controls_close_idle(pack);
		for (int i = 0; i < PACK_DENOISERS; i++)
			close_idle(&pack->denoisers[i]);
	}
	if (!d->open)
		status = open_checked(pack, pack->device, fast, &d->open, err);
	if (status)
		d->users--;
	else
		*out = d->open;
	return status;
}

void pack_denoiser_give(struct pack *pack, const struct denoiser *denoiser)
{
	for (int i = 0; denoiser && i < PACK_DENOISERS; i++)
		if (pack->denoisers[i].open == denoiser)
			pack->denoisers[i].users--;
}
