/* The constants of matrix kernels: those of their sources, and those of the device. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/opencl/matrix.h"
#include "base/embed.h"

int matrix_constant(const char *file, const char *name)
{
	const char *text = embedded_text(embedded_kernels, file);
	char line[80];
	int n = snprintf(line, sizeof line, "#define %s ", name);
	const char *at = text ? strstr(text, line) : NULL;
	return at ? atoi(at + n) : 0;
}

int matrix_dot_constant(const struct cl_device *d, enum cl_products of, const char *file,
			const char *name)
{
	char full[40];
	bool amx = d->dot[of] == DOT_AMX || d->dot[of] == DOT_AMX_SPLIT;
	snprintf(full, sizeof full, "%s_%s", name, amx ? "AMX" : "VECTORS");
	return matrix_constant(file, full);
}

int matrix_panel(const struct cl_device *d)
{
	return 2 * d->quirks.lanes;
}

int matrix_tile_rows(const struct cl_device *d)
{
	return matrix_constant("tile_cpu.cl",
			       d->quirks.lanes == 16 ? "TILE_ROWS_16" : "TILE_ROWS_8");
}

int matrix_tile_cover(const struct cl_device *d, int rows)
{
	int small = matrix_constant("tile_cpu.cl", "TILE_SMALL");
	int unit = matrix_tile_rows(d) - small;
	int covered = (rows + unit - 1) / unit * unit;
	return covered < small ? small : covered;
}
