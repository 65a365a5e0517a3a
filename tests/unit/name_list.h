/* Lists of tensors that are names and shapes alone, as a file's header would give them. */
#ifndef SUMI_TESTS_NAME_LIST_H
#define SUMI_TESTS_NAME_LIST_H

#include "weights/layout.h"

#define REAL_NAMES "../shared/real/names"

/* Zero-initialise. */
struct name_list {
	struct tensor_entry *entries;
	const struct tensor_entry **sorted;
	size_t count;
};

/* shape [rank] is copied, as is the name. */
void name_list_add(struct name_list *list, const char *name, const int64_t *shape, int rank);

/* Valid until more is added. */
struct tensor_list name_list_sorted(struct name_list *list);
void name_list_free(struct name_list *list);

#endif
