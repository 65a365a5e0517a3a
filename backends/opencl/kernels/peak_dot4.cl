/* The same for products of whole numbers by fours. Needs tile_cpu.cl, dot4_cpu.cl. */

kernel ONE_ITEM void peak_dot4(global float *out, float a, float b, int rounds)
{
	WITH_ASSEMBLER;
	counts sums[CHAINS];
	fours x = (fours)(as_uint(a)), y = (fours)(as_uint(b));
	for (int i = 0; i < CHAINS; i++)
		sums[i] = i;
	int last = rounds + (int)(get_global_id(0) >> 30); /* see peak.cl */
	for (int r = 0; r < last; r++) {
		UNROLL(CHAINS) for (int i = 0; i < CHAINS; i++)
			sums[i] = dot4(sums[i], x, y);
	}
	counts total = 0;
	for (int i = 0; i < CHAINS; i++)
		total += sums[i];
	PASTE(vstore, LANES)(COUNTS_TO_FLOATS(total), get_global_id(0), out);
}
