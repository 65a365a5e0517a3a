/* Text files that are built into the programs (kernels, Lua scripts, migrations).
 * tools/embed.sh writes one table a kind into build/gen/. */
#ifndef SUMI_BASE_EMBED_H
#define SUMI_BASE_EMBED_H

#include <stddef.h>

struct embedded_file {
	const char *name; /* file name without folder, "gemm.cl"; NULL ends the table */
	const char *text; /* NUL-terminated */
	size_t size;      /* without the NUL */
};

extern const struct embedded_file embedded_kernels[]; /* backends/opencl/kernels/ */
extern const struct embedded_file embedded_lua[];     /* queue/lua/ */
extern const struct embedded_file embedded_sql[];     /* storage/migrations/ */

/* The text of an entry, or NULL. */
const char *embedded_text(const struct embedded_file *table, const char *name);

#endif
