/* Is the instruction of dot4_cpu.cl what it is taken for? The host has the sums (precision.c). */

#define PROBE_DEPTH 4

kernel ONE_ITEM void probe_dot4(global float *out)
{
	WITH_ASSEMBLER;
	uint numbers[LANES];
	for (int i = 0; i < LANES; i++)
		numbers[i] = (0x800000ffu | i << 8 | 2 * i << 16) ^ /* 255, i, 2i, 128 */
		             (DOT4_SHIFT ? 0 : 0x80808080u);
	fours b = 0x03ff7f80u; /* -128, 127, -1, 3: 1 together, which is what a shift adds 128 times */
	counts sums = 100000 + 128 - DOT4_SHIFT;
#ifdef DOT4_TILE
	/* Of row i one word is number i, the others are nothing, and each row of the panel is b. */
	counts acc[LANES][PARTS];
	fours panel[PROBE_DEPTH * PARTS], begin[PARTS] = {0, 0};
	uint x[LANES * PROBE_DEPTH];
	for (int i = 0; i < PROBE_DEPTH * PARTS; i++)
		panel[i] = b;
	for (int i = 0; i < LANES * PROBE_DEPTH; i++)
		x[i] = i % PROBE_DEPTH == i / PROBE_DEPTH % PROBE_DEPTH ? numbers[i / PROBE_DEPTH] : 0;
	TILES_OPEN(PROBE_DEPTH);
	DOT4_BLOCK(LANES, acc, begin, panel, PROBE_DEPTH, x, PROBE_DEPTH)
	TILES_CLOSE;
	for (int i = 0; i < LANES; i++) {
		int row[LANES];
		PASTE(vstore, LANES)(acc[i][i % PARTS] + sums, 0, row);
		out[i] = (float)row[i];
	}
#else
	sums = dot4(sums, PASTE(vload, LANES)(0, numbers), b);
	STOREV(f32, out, 0, COUNTS_TO_FLOATS(sums));
#endif
}
