/* Where the rows of a gathered product lie: shared by its kernels for CPUs. */

#define PLACE_ROWS 192 /* rows of a work-item at most */

/* The places of rows [r0, r0 + count) of a picture for every tap; rows too many, up to
 * `covered`, count as padding. geometry:
 * { taps a side, stride, padding, log2 of the upsampling, input width, virtual height,
 * virtual width, output width }. */
INLINE void find_places(int *at, int8 geometry, int ldx, int r0, int count,
                        int covered)
{
	int side = geometry.s0, up = geometry.s3;
	for (int r = 0; r < covered; r++) {
		int oy = (r0 + r) / geometry.s7, ox = (r0 + r) % geometry.s7;
		int top = oy * geometry.s1 - geometry.s2, left = ox * geometry.s1 - geometry.s2;
		for (int ty = 0; ty < side; ty++)
			for (int tx = 0; tx < side; tx++) {
				int iy = top + ty, ix = left + tx;
				bool inside = r < count && iy >= 0 && ix >= 0 && iy < geometry.s5 &&
				              ix < geometry.s6;
				at[(ty * side + tx) * PLACE_ROWS + r] =
				    inside ? ((iy >> up) * geometry.s4 + (ix >> up)) * ldx : -1;
			}
	}
}
