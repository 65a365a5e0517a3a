/* Lists of tensors that are names and shapes alone. */
#include "tests/unit/name_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void name_list_add(struct name_list *list, const char *name, const int64_t *shape, int rank)
{
	list->entries = realloc(list->entries, (list->count + 1) * sizeof *list->entries);
	assert_non_null(list->entries);
	struct tensor_entry *e = &list->entries[list->count++];
	*e = (struct tensor_entry){
	    .name = strdup(name), .format = tensor_format_named("F16"), .rank = rank};
	for (int i = 0; i < rank; i++)
		e->shape[i] = shape[i];
}

static int by_name(const void *a, const void *b)
{
	const struct tensor_entry *const *x = a, *const *y = b;
	return strcmp((*x)->name, (*y)->name);
}

struct tensor_list name_list_sorted(struct name_list *list)
{
	free(list->sorted);
	list->sorted = calloc(list->count + 1, sizeof *list->sorted);
	assert_non_null(list->sorted);
	for (size_t i = 0; i < list->count; i++)
		list->sorted[i] = &list->entries[i];
	qsort(list->sorted, list->count, sizeof *list->sorted, by_name);
	return (struct tensor_list){.entries = list->sorted, .count = list->count};
}

void name_list_free(struct name_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free((char *)list->entries[i].name);
	free(list->entries);
	free(list->sorted);
}
