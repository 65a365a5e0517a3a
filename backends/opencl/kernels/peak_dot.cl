/* The same for products of bfloat16 pairs. Needs tile_cpu.cl, dot_cpu.cl. */

kernel ONE_ITEM void peak_dot(global float *out, float a, float b, int rounds)
{
	WITH_ASSEMBLER;
	vec sums[CHAINS];
	pairs x = pair_up((vec)(a), (vec)(b)), y = pair_up((vec)(b), (vec)(a));
	for (int i = 0; i < CHAINS; i++)
		sums[i] = a * (float)(i + 1);
	int last = rounds + (int)(get_global_id(0) >> 30); /* see peak.cl */
	for (int r = 0; r < last; r++) {
		UNROLL(CHAINS) for (int i = 0; i < CHAINS; i++)
			sums[i] = dot2(sums[i], x, y);
	}
	vec total = 0;
	for (int i = 0; i < CHAINS; i++)
		total += sums[i];
	PASTE(vstore, LANES)(total, get_global_id(0), out);
}
