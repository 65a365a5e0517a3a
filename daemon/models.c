/* The packs that a worker keeps on its device. */
#include "daemon/models.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "diffusion/adapters.h"
#include "weights/guard.h"

enum { SLOTS = 8 };

struct slot {
	struct pack *pack;
	char folder[FILES_PATH_MAX];
	struct adapter_list *adapters; /* on it, owned; NULL: none */
	int64_t used_ms; /* monotonic */
	uint64_t turn;   /* of models_get(): orders uses within a millisecond */
	uint64_t stamp;  /* of the files that change when a pack is replaced, without the adapters' */
	uint64_t adapters_stamp;
};

struct models {
	struct device *device;
	struct packed_store *store;
	uint64_t budget, turn;
	struct slot slots[SLOTS];
};

uint64_t models_budget(const struct device_info *info)
{
	return info->is_cpu ? info->memory / 2 : info->memory / 4 * 3;
}

int models_new(struct device *device, struct packed_store *store, uint64_t budget,
	       struct models **out, struct error *err)
{
	*out = calloc(1, sizeof **out);
	if (!*out)
		return error_set(err, SUMI_NOMEM, "out of memory");
	(*out)->device = device;
	(*out)->store = store;
	(*out)->budget = budget;
	return SUMI_OK;
}

static void unload(struct slot *s)
{
	if (!s->pack)
		return;
	log_info("model.unloaded", "model=%s", pack_info_of(s->pack)->name);
	pack_close(s->pack);
	s->pack = NULL;
	free(s->adapters);
	s->adapters = NULL;
}

void models_free(struct models *m)
{
	if (!m)
		return;
	for (int i = 0; i < SLOTS; i++)
		if (m->slots[i].pack) {
			pack_close(m->slots[i].pack);
			free(m->slots[i].adapters);
		}
	free(m);
}

/* The one that was used longest ago, but for `kept`; NULL: there is none. */
static struct slot *least_used(struct models *m, const struct slot *kept)
{
	struct slot *oldest = NULL;
	for (int i = 0; i < SLOTS; i++) {
		struct slot *s = &m->slots[i];
		if (s->pack && s != kept && (!oldest || s->turn < oldest->turn))
			oldest = s;
	}
	return oldest;
}

static struct slot *free_slot(struct models *m)
{
	for (int i = 0; i < SLOTS; i++)
		if (!m->slots[i].pack)
			return &m->slots[i];
	struct slot *s = least_used(m, NULL);
	unload(s);
	return s;
}

/* Until `more` bytes fit beside what stays, or only `kept` is left. */
static void make_room(struct models *m, uint64_t more, const struct slot *kept)
{
	struct slot *victim;
	while (m->budget && m->device->bytes_in_use + more > m->budget &&
	       (victim = least_used(m, kept)))
		unload(victim);
}

static int copy_list(const struct adapter_list *list, struct adapter_list **out, struct error *err)
{
	*out = list ? malloc(sizeof **out) : NULL;
	if (!list)
		return SUMI_OK;
	if (!*out)
		return error_set(err, SUMI_NOMEM, "out of memory");
	**out = *list;
	return SUMI_OK;
}

/* What of the adapters the model does not have. */
static void warn_adapters(const struct pack_info *info)
{
	char text[512];
	for (int i = 0; adapters_warning(info->adapters, &i, text, sizeof text);)
		log_warn("model.adapters", "model=%s text=\"%s\"", info->name, text);
}

static int load(struct models *m, const char *folder, const struct adapter_list *adapters,
		uint64_t stamp, struct slot **out, struct error *err)
{
	int64_t start = clock_mono_us();
	struct slot *s = free_slot(m);
	uint64_t bytes = pack_weight_bytes(folder), there = m->device->info.memory;
	int status;
	/* Before, and not when both are there: host memory is promised beyond what there is. */
	make_room(m, bytes, NULL);
	/* A device that has no room gets it from the packs that nobody waits for. */
	while ((status = pack_open_with(m->device, folder, adapters, m->store, &s->pack,
					err)) == SUMI_NOMEM) {
		struct slot *victim = least_used(m, NULL);
		if (!victim && there > 0 && bytes > there) /* and no patience mends it */
			return error_set(err, SUMI_TOOBIG,
					 "the model needs %.2f GiB, this device has %.2f (%s)",
					 (double)bytes / (1 << 30), (double)there / (1 << 30),
					 m->device->info.name);
		if (!victim)
			return status;
		unload(victim);
	}
	if (status)
		return status;
	if ((status = copy_list(adapters, &s->adapters, err))) {
		unload(s);
		return status;
	}
	strcpy(s->folder, folder);
	warn_adapters(pack_info_of(s->pack));
	s->adapters_stamp = adapters_stamp(adapters);
	s->stamp = stamp - s->adapters_stamp; /* of before: files replaced meanwhile are loaded the next time */
	log_info("model.loaded", "model=%s seconds=%.2f device_mib=%zu",
		 pack_info_of(s->pack)->name, (double)(clock_mono_us() - start) / 1e6,
		 m->device->bytes_in_use >> 20);
	*out = s;
	return SUMI_OK;
}

/* Other adapters in the place of those that are on a loaded pack; *done false: it cannot be. */
static int adapt(struct slot *s, const struct adapter_list *adapters, bool *done, struct error *err)
{
	struct adapter_list *copy;
	int64_t start = clock_mono_us();
	int status = copy_list(adapters, &copy, err);
	if (!status)
		status = pack_adapt(s->pack, adapters, done, err);
	if (!status && !*done) {
		free(copy);
		return SUMI_OK;
	}
	free(s->adapters);
	s->adapters = NULL;
	s->adapters_stamp = 0;
	if (status) { /* then none is on it */
		free(copy);
		return status;
	}
	s->adapters = copy;
	s->adapters_stamp = adapters_stamp(adapters);
	warn_adapters(pack_info_of(s->pack));
	log_info("model.adapted", "model=%s adapters=%d seconds=%.2f", pack_info_of(s->pack)->name,
		 adapters ? adapters->count : 0, (double)(clock_mono_us() - start) / 1e6);
	return SUMI_OK;
}

/* The pack with these adapters on it, else one that takes them in the place of others. */
static int find(struct models *m, const char *folder, const struct adapter_list *adapters,
		struct slot **out, struct error *err)
{
	uint64_t stamp = adapters_stamp(adapters);
	*out = NULL;
	for (int i = 0; i < SLOTS; i++) {
		struct slot *s = &m->slots[i];
		if (s->pack && strcmp(s->folder, folder) == 0 && s->adapters_stamp == stamp &&
		    adapters_equal(s->adapters, adapters)) {
			*out = s;
			return SUMI_OK;
		}
	}
	for (int i = 0; i < SLOTS; i++) {
		struct slot *s = &m->slots[i];
		bool done = false;
		if (!s->pack || strcmp(s->folder, folder) != 0)
			continue;
		int status = adapt(s, adapters, &done, err);
		if (status)
			return status;
		if (done) {
			*out = s;
			return SUMI_OK;
		}
	}
	return SUMI_OK;
}

int models_get(struct models *m, const char *folder, const struct adapter_list *adapters,
	       uint64_t stamp, struct pack **pack, struct error *err)
{
	struct slot *found;
	uint64_t own = stamp - adapters_stamp(adapters);
	bool damaged = guard_check(NULL) != SUMI_OK;
	for (int i = 0; i < SLOTS; i++) {
		struct slot *s = &m->slots[i];
		bool here = s->pack && strcmp(s->folder, folder) == 0;
		bool stale = here && (s->stamp != own || (adapters_equal(s->adapters, adapters) &&
							  s->adapters_stamp != stamp - own));
		if (s->pack && (damaged || stale))
			unload(s);
	}
	int status = find(m, folder, adapters, &found, err);
	if (!status && !found)
		status = load(m, folder, adapters, stamp, &found, err);
	if (status)
		return status;
	found->turn = ++m->turn;
	make_room(m, 0, found); /* a distilled UNet may have come to it since */
	found->used_ms = clock_mono_us() / 1000;
	*pack = found->pack;
	return SUMI_OK;
}

void models_unload_idle(struct models *m, int64_t now_ms, int64_t idle_ms)
{
	for (int i = 0; i < SLOTS; i++)
		if (m->slots[i].pack && now_ms - m->slots[i].used_ms >= idle_ms)
			unload(&m->slots[i]);
}
