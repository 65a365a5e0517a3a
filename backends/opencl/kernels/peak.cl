/* What the device can do at most, for benches: multiply-adds a second and bytes a second.
 * -D CHAINS: independent sums of a work-item, enough to hide the latency of one. */

typedef PASTE(float, LANES) vec;

/* PoCL 7 runs a loop whose rounds are the same for all work-items over all of them in each round, with what they hold
 * in memory: a tenth of the rate. So the compiler must not see that they are the same (ids stay below 2^30). */
kernel void peak_fma(global float *out, float a, float b, int rounds)
{
	vec sums[CHAINS];
	for (int i = 0; i < CHAINS; i++)
		sums[i] = a * (float)(i + 1);
	int last = rounds + (int)(get_global_id(0) >> 30);
	for (int r = 0; r < last; r++) {
#pragma unroll
		for (int i = 0; i < CHAINS; i++)
			sums[i] = fma(sums[i], (vec)(a), (vec)(b));
	}
	vec total = 0;
	for (int i = 0; i < CHAINS; i++)
		total += sums[i];
	PASTE(vstore, LANES)(total, get_global_id(0), out);
}

/* y = 2·x, as blocks of contiguous vectors a work-item (blocks) or with neighbours side by
 * side (the whole range): count is in vectors of eight. */
kernel void peak_copy(global const float *x, global float *y, ulong count, int blocks)
{
	ulong id = get_global_id(0), size = get_global_size(0);
	ulong first = blocks ? count * id / size : id;
	ulong last = blocks ? count * (id + 1) / size : count;
	for (ulong i = first; i < last; i += blocks ? 1 : size)
		vstore8(2.0f * vload8(i, x), i, y);
}
