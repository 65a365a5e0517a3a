/* Are the instructions of dot_cpu.cl what they are taken for? The host has the sums
 * (precision.c). */

#define PROBE_DEPTH 16

kernel ONE_ITEM void probe_dot(global float *out)
{
	WITH_ASSEMBLER;
	float numbers[2 * LANES];
	for (int i = 0; i < 2 * LANES; i++)
		numbers[i] = i;
	vec low = VLOAD(numbers), high = VLOAD(numbers + LANES);
	pairs factors = pair_up((vec)(3.0f), (vec)(5.0f)), row = pair_row(low, high);
	vec sums = dot2((vec)(100.0f), row, factors);
#ifdef DOT_TILE
	/* Of every row one pair is `factors`, the others are nothing, and each row of the panel is `row`:
	 * all are to be the same. */
	vec c[DOT_ROWS * PARTS];
	pairs panel[PROBE_DEPTH * PARTS];
	uint x[DOT_ROWS * PROBE_DEPTH], factor[LANES];
	PSTORE(factors, factor);
	for (int i = 0; i < DOT_ROWS * PARTS; i++)
		c[i] = 100.0f;
	for (int i = 0; i < PROBE_DEPTH * PARTS; i++)
		panel[i] = row;
	for (int i = 0; i < DOT_ROWS * PROBE_DEPTH; i++)
		x[i] = i % PROBE_DEPTH == i / PROBE_DEPTH % PROBE_DEPTH ? factor[0] : 0;
	TILES_OPEN(DOT_DEPTH);
	DOT_INTO(large, DOT_ROWS, c, false, panel, PROBE_DEPTH, x, PROBE_DEPTH)
	TILES_CLOSE;
	for (int i = 0; i < DOT_ROWS * PARTS; i++)
		sums = c[i] == sums ? sums : (vec)(0.0f);
#endif
	STOREV(f32, out, 0, sums);
	STOREV(f32, out, LANES, dot2(low, pair_up(low, (vec)(16.0f)), factors));
}
