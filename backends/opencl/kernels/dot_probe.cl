/* Are the instructions of dot_cpu.cl what they are taken for? The host has the sums
 * (precision.c). */

kernel ONE_ITEM void probe_dot(global float *out)
{
	WITH_ASSEMBLER;
	float numbers[2 * LANES];
	for (int i = 0; i < 2 * LANES; i++)
		numbers[i] = i;
	vec low = VLOAD(numbers), high = VLOAD(numbers + LANES);
	pairs factors = pair_up((vec)(3.0f), (vec)(5.0f));
	vec sums = dot2((vec)(100.0f), pair_row(low, high), factors);
	STOREV(f32, out, 0, sums);
	STOREV(f32, out, LANES, dot2(low, pair_up(low, (vec)(16.0f)), factors));
}
