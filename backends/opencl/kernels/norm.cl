/* Group and layer normalisation. -D T: dtype of x and y; V: vector width of the walks.
 *
 * Group norm in three kernels: partial sums of every channel over chunks of pixels, the
 * sums of a group joined into one scale and offset for each channel, then y = x·scale +
 * offset. The order of every sum is fixed. Sums are of x − k, where k is one element of
 * the group: the mean may then lie far from zero without eating the variance's digits. */

#define LOADV PASTE(LOAD, V)
#define STOREV PASTE(STORE, V)
#define FLOATV PASTE(float, V)
#define PASTE_VECTOR(name, v) PASTE(name, v)
#define VLOADV(i, p) PASTE_VECTOR(vload, V)(0, (p) + (i))
#define VSTOREV(value, i, p) PASTE_VECTOR(vstore, V)(value, 0, (p) + (i))

#ifdef GROUP_SUMS

/* Pixels that a CPU's work-item sums in registers before it touches its sums in memory:
 * 16 pixels of 320 channels stay in the first-level cache while channels are walked. */
#ifndef STRIP
#define STRIP 16
#endif

/* partial: [n, chunks, 3, c], the sums, the sums of squares and the shifts k. */
#ifdef CPU
kernel void group_sums(global const TYPE(T) *x, ulong x_offset, ulong x_ld,
                       global float *partial, ulong pixels, int c, int wide)
{
	ulong chunk = get_global_id(0), chunks = get_global_size(0), n = get_global_id(1);
	ulong first = pixels * chunk / chunks, last = pixels * (chunk + 1) / chunks;
	global float *sums = partial + (n * chunks + chunk) * 3 * c;
	global float *squares = sums + c, *shifts = squares + c;
	x += x_offset + n * pixels * x_ld;
	for (int i = 0; i < c; i++) {
		sums[i] = squares[i] = 0;
		shifts[i] = LOAD1(T, x, i / wide * wide);
	}
	for (ulong strip = first; strip < last; strip += STRIP) {
		ulong end = min(strip + STRIP, last);
		int i = 0;
		for (; i + V <= c; i += V) {
			FLOATV sum = VLOADV(i, sums), square = VLOADV(i, squares), k = VLOADV(i, shifts);
			for (ulong p = strip; p < end; p++) {
				FLOATV v = LOADV(T, x + p * x_ld, i) - k;
				sum += v;
				square += v * v;
			}
			VSTOREV(sum, i, sums);
			VSTOREV(square, i, squares);
		}
		for (; i < c; i++) {
			float sum = sums[i], square = squares[i], k = shifts[i];
			for (ulong p = strip; p < end; p++) {
				float v = LOAD1(T, x + p * x_ld, i) - k;
				sum += v;
				square += v * v;
			}
			sums[i] = sum;
			squares[i] = square;
		}
	}
}
#else
/* A work-group of [SUM_LANES channels, SUM_ROWS pixels] walks down its chunk. */
kernel void group_sums(global const TYPE(T) *x, ulong x_offset, ulong x_ld,
                       global float *partial, ulong pixels, int c, int wide, int chunks)
{
	local float sums[SUM_ROWS][SUM_LANES], squares[SUM_ROWS][SUM_LANES];
	int lane = get_local_id(0), row = get_local_id(1), i = get_global_id(0);
	ulong chunk = get_group_id(1) % chunks, n = get_group_id(1) / chunks;
	ulong first = pixels * chunk / chunks, last = pixels * (chunk + 1) / chunks;
	float sum = 0, square = 0, k = 0;
	x += x_offset + n * pixels * x_ld;
	if (i < c) {
		k = LOAD1(T, x, i / wide * wide);
		for (ulong p = first + row; p < last; p += SUM_ROWS) {
			float v = LOAD1(T, x + p * x_ld, i) - k;
			sum += v;
			square += v * v;
		}
	}
	sums[row][lane] = sum;
	squares[row][lane] = square;
	barrier(CLK_LOCAL_MEM_FENCE);
	if (row == 0 && i < c) {
		for (int r = 1; r < SUM_ROWS; r++) {
			sum += sums[r][lane];
			square += squares[r][lane];
		}
		global float *out = partial + (n * chunks + chunk) * 3 * c;
		out[i] = sum;
		out[c + i] = square;
		out[2 * c + i] = k;
	}
}
#endif

/* A work-group of JOIN_LANES joins the sums of group get_group_id(0) of picture
 * get_group_id(1). factors: [n, 2, c], scale and offset. */
kernel void group_join(global const float *partial, global const float *gamma,
                       global const float *beta, global float *factors, ulong pixels,
                       int chunks, int c, int wide, float epsilon)
{
	local float sums[JOIN_LANES], squares[JOIN_LANES];
	int lane = get_local_id(0), first = get_group_id(0) * wide;
	ulong n = get_group_id(1);
	float sum = 0, square = 0;
	partial += n * chunks * 3 * c + first;
	for (int e = lane; e < chunks * wide; e += JOIN_LANES) {
		global const float *p = partial + (ulong)(e / wide) * 3 * c + e % wide;
		sum += p[0];
		square += p[c];
	}
	sums[lane] = sum;
	squares[lane] = square;
	for (int half_count = JOIN_LANES / 2; half_count > 0; half_count /= 2) {
		barrier(CLK_LOCAL_MEM_FENCE);
		if (lane < half_count) {
			sums[lane] += sums[lane + half_count];
			squares[lane] += squares[lane + half_count];
		}
	}
	barrier(CLK_LOCAL_MEM_FENCE);
	float count = (float)pixels * wide, shifted = sums[0] / count;
	float variance = fmax(squares[0] / count - shifted * shifted, 0.0f);
	float mean = partial[2 * c] + shifted, scale = 1.0f / sqrt(variance + epsilon);
	global float *out = factors + n * 2 * c;
	for (int i = first + lane; i < first + wide; i += JOIN_LANES) {
		out[i] = gamma[i] * scale;
		out[c + i] = beta[i] - mean * gamma[i] * scale;
	}
}

#endif

#ifdef GROUP_APPLY
/* Rows and channels are walked as in elementwise.cl; dimension 2 is the picture. */
kernel void group_apply(global const TYPE(T) *x, ulong x_offset, ulong x_ld,
                        global TYPE(T) *y, ulong y_offset, ulong y_ld,
                        global const float *factors, ulong pixels, int c)
{
	ulong n = get_global_id(2), blocks = get_global_size(1), block = get_global_id(1);
	ulong last = n * pixels + pixels * (block + 1) / blocks;
	global const float *scale = factors + n * 2 * c, *offset = scale + c;
	for (ulong p = n * pixels + pixels * block / blocks; p < last; p++) {
		global const TYPE(T) *xr = x + x_offset + p * x_ld;
		global TYPE(T) *yr = y + y_offset + p * y_ld;
		int step = get_global_size(0);
		for (int i = get_global_id(0) * V; i + V <= c; i += step * V) {
			FLOATV v = fma(LOADV(T, xr, i), VLOADV(i, scale), VLOADV(i, offset));
			STOREV(T, yr, i, ACTIVATE(v));
		}
		for (int i = c / V * V + get_global_id(0); i < c; i += step) {
			float v = fma(LOAD1(T, xr, i), scale[i], offset[i]);
			STORE1(T, yr, i, ACTIVATE(v));
		}
	}
}
#endif

#ifdef LAYER_NORM

#if V == 16
#define SUM_VECTOR(v) sum8((v).lo + (v).hi)
#else
#define SUM_VECTOR(v) sum4(v)
#endif

static float sum4(float4 v)
{
	float2 half_sum = v.lo + v.hi;
	return half_sum.x + half_sum.y;
}

#if V == 16
static float sum8(float8 v)
{
	return sum4(v.lo + v.hi);
}
#endif

#ifdef CPU
/* Work-item i normalises a block of rows; a row stays in the first-level cache. */
kernel void layer_norm(global const TYPE(T) *x, ulong x_offset, ulong x_ld, global TYPE(T) *y,
                       ulong y_offset, ulong y_ld, global const float *gamma,
                       global const float *beta, ulong rows, int c, float epsilon)
{
	ulong first = rows * get_global_id(0) / get_global_size(0);
	ulong last = rows * (get_global_id(0) + 1) / get_global_size(0);
	for (ulong row = first; row < last; row++) {
		global const TYPE(T) *xr = x + x_offset + row * x_ld;
		global TYPE(T) *yr = y + y_offset + row * y_ld;
		FLOATV sums = 0, squares = 0;
		float sum = 0, square = 0;
		int i = 0;
		for (; i + V <= c; i += V)
			sums += LOADV(T, xr, i);
		for (; i < c; i++)
			sum += LOAD1(T, xr, i);
		float mean = (SUM_VECTOR(sums) + sum) / c;
		for (i = 0; i + V <= c; i += V) {
			FLOATV v = LOADV(T, xr, i) - mean;
			squares += v * v;
		}
		for (; i < c; i++) {
			float v = LOAD1(T, xr, i) - mean;
			square += v * v;
		}
		float scale = 1.0f / sqrt((SUM_VECTOR(squares) + square) / c + epsilon);
		for (i = 0; i + V <= c; i += V) {
			FLOATV v = (LOADV(T, xr, i) - mean) * scale;
			STOREV(T, yr, i, fma(v, VLOADV(i, gamma), VLOADV(i, beta)));
		}
		for (; i < c; i++) {
			float v = (LOAD1(T, xr, i) - mean) * scale;
			STORE1(T, yr, i, fma(v, gamma[i], beta[i]));
		}
	}
}
#else
/* The sum of value over a work-group of LANES, the same in every work-item. */
static float group_total(local float *shared, float value)
{
	int lane = get_local_id(0);
	barrier(CLK_LOCAL_MEM_FENCE); /* the last total has been read by all */
	shared[lane] = value;
	for (int half_count = LANES / 2; half_count > 0; half_count /= 2) {
		barrier(CLK_LOCAL_MEM_FENCE);
		if (lane < half_count)
			shared[lane] += shared[lane + half_count];
	}
	barrier(CLK_LOCAL_MEM_FENCE);
	return shared[0];
}

/* A work-group normalises one row. */
kernel void layer_norm(global const TYPE(T) *x, ulong x_offset, ulong x_ld, global TYPE(T) *y,
                       ulong y_offset, ulong y_ld, global const float *gamma,
                       global const float *beta, ulong rows, int c, float epsilon)
{
	local float shared[LANES];
	ulong row = get_group_id(0);
	int lane = get_local_id(0);
	global const TYPE(T) *xr = x + x_offset + row * x_ld;
	global TYPE(T) *yr = y + y_offset + row * y_ld;
	float sum = 0, square = 0;
	for (int i = lane * V; i + V <= c; i += LANES * V)
		sum += SUM_VECTOR(LOADV(T, xr, i));
	for (int i = c / V * V + lane; i < c; i += LANES)
		sum += LOAD1(T, xr, i);
	float mean = group_total(shared, sum) / c;
	for (int i = lane * V; i + V <= c; i += LANES * V) {
		FLOATV v = LOADV(T, xr, i) - mean;
		square += SUM_VECTOR(v * v);
	}
	for (int i = c / V * V + lane; i < c; i += LANES) {
		float v = LOAD1(T, xr, i) - mean;
		square += v * v;
	}
	float scale = 1.0f / sqrt(group_total(shared, square) / c + epsilon);
	for (int i = lane * V; i + V <= c; i += LANES * V) {
		FLOATV v = (LOADV(T, xr, i) - mean) * scale;
		STOREV(T, yr, i, fma(v, VLOADV(i, gamma), VLOADV(i, beta)));
	}
	for (int i = c / V * V + lane; i < c; i += LANES) {
		float v = (LOAD1(T, xr, i) - mean) * scale;
		STORE1(T, yr, i, fma(v, gamma[i], beta[i]));
	}
}
#endif
#endif
