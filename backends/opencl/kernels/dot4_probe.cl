/* Is the instruction of dot4_cpu.cl what it is taken for? The host has the sums (precision.c). */

kernel ONE_ITEM void probe_dot4(global float *out)
{
	WITH_ASSEMBLER;
	uint numbers[LANES];
	for (int i = 0; i < LANES; i++)
		numbers[i] = 0x800000ffu | i << 8 | 2 * i << 16; /* 255, i, 2i, 128 */
	fours a = PASTE(vload, LANES)(0, numbers), b = 0x03ff7f80u; /* -128, 127, -1, 3 */
	STOREV(f32, out, 0, COUNTS_TO_FLOATS(dot4((counts)(100000), a, b)));
}
