/* Variants that make their steps together. */
#include "daemon/group.h"

#include <stdlib.h>
#include <string.h>

static const char magic[8] = {'s', 'u', 'm', 'i', 'g', 'r', 'p', '1'};

enum { HEAD = sizeof magic + sizeof(uint64_t), MEMBER = 2 * sizeof(uint64_t) };

static void keep(struct group *group, int count)
{
	while (group->count > count) {
		struct generation *g = group->members[--group->count].g;
		g->modality->free(g);
	}
}

void group_clear(struct group *group)
{
	keep(group, 0);
}

void group_keep_first(struct group *group)
{
	keep(group, 1);
}

const struct generation *group_last(const struct group *group)
{
	const struct generation *last = group->members[0].g;
	for (int i = 1; i < group->count; i++)
		if (group->members[i].g->steps_done < last->steps_done)
			last = group->members[i].g;
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

static int save_several(const struct group *group, void **data, size_t *size, struct error *err)
{
	void *parts[GROUP_MAX] = {NULL};
	size_t sizes[GROUP_MAX], all = HEAD;
	int status = SUMI_OK;
	for (int i = 0; i < group->count && !status; i++) {
		const struct generation *g = group->members[i].g;
		status = g->modality->save(g, &parts[i], &sizes[i], err);
		if (!status)
			all += MEMBER + sizes[i];
	}
	unsigned char *to = status ? NULL : malloc(all);
	if (!status && !to)
		status = error_set(err, SUMI_NOMEM, "no memory for the state of %d variants",
				   group->count);
	if (!status) {
		*data = to;
		*size = all;
		memcpy(to, magic, sizeof magic);
		to += sizeof magic;
		put_u64(&to, (uint64_t)group->count);
	}
	for (int i = 0; i < group->count; i++) {
		if (!status) {
			put_u64(&to, (uint64_t)group->members[i].variant);
			put_u64(&to, sizes[i]);
			memcpy(to, parts[i], sizes[i]);
			to += sizes[i];
		}
		free(parts[i]);
	}
	return status;
}

int group_save(const struct group *group, void **data, size_t *size, struct error *err)
{
	const struct generation *first = group->members[0].g;
	return group->count == 1 ? first->modality->save(first, data, size, err)
				 : save_several(group, data, size, err);
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
