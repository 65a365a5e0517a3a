/* Are the instructions of dot_cpu.cl what they are taken for? The host has the sums
 * (precision.c). */

#define PROBE_ROWS DOT_SMALL

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
	vec acc[PROBE_ROWS][PARTS];
	pairs panel[PROBE_ROWS * PARTS];
	uint factor[LANES];
	PSTORE(factors, factor);
	TILE_EACH(PROBE_ROWS, i, h) acc[i][h] = 100.0f;
	for (int i = 0; i < PROBE_ROWS * PARTS; i++)
		panel[i] = row;
	DOT_MULTIPLY(PROBE_ROWS, acc, panel, PROBE_ROWS, i == k ? factor[0] : 0)
	TILE_EACH(PROBE_ROWS, i, h) sums = acc[i][h] == sums ? sums : 0.0f;
#endif
	STOREV(f32, out, 0, sums);
	STOREV(f32, out, LANES, dot2(low, pair_up(low, (vec)(16.0f)), factors));
}
