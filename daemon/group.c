/* Members, their steps, their saved states. */
#include "daemon/group.h"

#include <stdlib.h>
#include <string.h>

static const char magic[8] = {'s', 'u', 'm', 'i', 'g', 'r', 'p', '1'};

enum { HEAD = sizeof magic + sizeof(uint64_t), MEMBER = 2 * sizeof(uint64_t) };

void group_remove(struct group *group, const void *owner)
{
	int kept = 0;
	for (int i = 0; i < group->count; i++) {
		struct generation *g = group->members[i].g;
		if (group->members[i].owner == owner)
			g->modality->free(g);
		else
			group->members[kept++] = group->members[i];
	}
	group->count = kept;
}

void group_keep_first(struct group *group)
{
	while (group->count > 1) {
		struct generation *g = group->members[--group->count].g;
		g->modality->free(g);
	}
}

int group_count(const struct group *group, const void *owner, int *first)
{
	int count = 0;
	*first = -1;
	for (int i = group->count - 1; i >= 0; i--)
		if (group->members[i].owner == owner) {
			*first = i;
			count++;
		}
	return count;
}

const struct generation *group_last(const struct group *group, const void *owner)
{
	const struct generation *last = NULL;
	for (int i = 0; i < group->count; i++) {
		const struct group_member *m = &group->members[i];
		if (m->owner == owner && (!last || m->g->steps_done < last->steps_done))
			last = m->g;
	}
	return last;
}

int group_step(struct group *group, struct error *err)
{
	struct generation *open[GROUP_MAX];
	int count = 0;
	for (int i = 0; i < group->count; i++)
		if (group->members[i].g->steps_done < group->members[i].g->steps)
			open[count++] = group->members[i].g;
	if (count == 0)
		return SUMI_OK;
	return count == 1 ? open[0]->modality->step(open[0], err)
			  : open[0]->modality->step_together(open, count, err);
}

/* ---- saved states ------------------------------------------------------------------ */

static void put_u64(unsigned char **to, uint64_t value)
{
	memcpy(*to, &value, sizeof value);
	*to += sizeof value;
}

static uint64_t get_u64(const unsigned char *from)
{
	uint64_t value;
	memcpy(&value, from, sizeof value);
	return value;
}

static int save_several(const struct group *group, const void *owner, int count, void **data,
			size_t *size, struct error *err)
{
	void *parts[GROUP_MAX] = {NULL};
	size_t sizes[GROUP_MAX], all = HEAD;
	int status = SUMI_OK;
	for (int i = 0; i < group->count && !status; i++) {
		const struct generation *g = group->members[i].g;
		if (group->members[i].owner != owner)
			continue;
		status = g->modality->save(g, &parts[i], &sizes[i], err);
		if (!status)
			all += MEMBER + sizes[i];
	}
	unsigned char *to = status ? NULL : malloc(all);
	if (!status && !to)
		status =
		    error_set(err, SUMI_NOMEM, "no memory for the state of %d variants", count);
	if (!status) {
		*data = to;
		*size = all;
		memcpy(to, magic, sizeof magic);
		to += sizeof magic;
		put_u64(&to, (uint64_t)count);
	}
	for (int i = 0; i < group->count; i++) {
		if (!status && group->members[i].owner == owner) {
			put_u64(&to, (uint64_t)group->members[i].variant);
			put_u64(&to, sizes[i]);
			memcpy(to, parts[i], sizes[i]);
			to += sizes[i];
		}
		free(parts[i]);
	}
	return status;
}

int group_save(const struct group *group, const void *owner, void **data, size_t *size,
	       struct error *err)
{
	int first, count = group_count(group, owner, &first);
	if (count > 1)
		return save_several(group, owner, count, data, size, err);
	const struct generation *g = group->members[first].g;
	return g->modality->save(g, data, size, err);
}

bool group_find(const void *data, size_t size, int saved, int variant, const void **part,
		size_t *part_size)
{
	const unsigned char *at = data;
	if (!data)
		return false;
	if (size < sizeof magic || memcmp(at, magic, sizeof magic) != 0) {
		*part = data;
		*part_size = size;
		return variant == saved;
	}
	if (size < HEAD)
		return false;
	uint64_t count = get_u64(at + sizeof magic);
	at += HEAD;
	size -= HEAD;
	for (uint64_t i = 0; i < count && size >= MEMBER; i++) {
		uint64_t whose = get_u64(at), bytes = get_u64(at + sizeof whose);
		at += MEMBER;
		size -= MEMBER;
		if (bytes > size)
			return false;
		if (whose == (uint64_t)variant) {
			*part = at;
			*part_size = (size_t)bytes;
			return true;
		}
		at += bytes;
		size -= (size_t)bytes;
	}
	return false;
}
