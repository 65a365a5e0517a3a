/* One product of small matrices by a device's matrix instruction: D += A·B, A being MMA_M × 16,
 * B 16 × MMA_N, both f16, D f32, spread over the MMA_LANES lanes of a warp or subgroup.
 *
 *     mma_a mma_load_a(tile, stride, lane)    A's part of a lane
 *     mma_b mma_load_b(tile, stride, lane)    B's part
 *     MMA(d, a, b)                            d += a·b; every lane of the work-group calls it
 *     mma_store(to, stride, lane, d)          D as floats
 *     mma_d mma_scale(d, factors, lane)       every row of D times its factor
 *
 * Tiles lie in local memory as words of two terms that follow each other, the earlier one
 * in the low half: tile[row of A or column of B][k / 2], `stride` words apart.
 *
 * -D ACT=f16; -D ALIGNED=1: pixels and pieces of eight numbers start at multiples of 8.
 * -D MMA_NVIDIA -D MMA_TERMS=16 or 8 (terms of one instruction), or -D MMA_INTEL
 * -D MMA_LANES=8 or 16. -D MMA_EMULATED puts arithmetic in the place of the instruction
 * and nothing else: it collects the lanes' parts in local memory by the instruction's
 * documented layout, so that loads, stores and all of the kernel around run on any device. */

#ifdef MMA_EMULATED
#define UNROLL _Pragma("nounroll") /* a copy of the emulation costs seconds of compiling */
#else
#define UNROLL _Pragma("unroll")
#endif

#ifdef MMA_NVIDIA

/* PTX ISA, "Matrix fragments for mma.m16n8k16 with floating point type": with group =
 * lane / 4 and pair = lane mod 4, a lane holds
 *     a0 a1: A[group][2·pair + 0…1]      a4 a5: A[group][2·pair + 8…9]
 *     a2 a3: A[group + 8][2·pair + 0…1]  a6 a7: A[group + 8][2·pair + 8…9]
 *     b0 b1: B[2·pair + 0…1][group]      b2 b3: B[2·pair + 8…9][group]
 *     d0 d1: D[group][2·pair + 0…1]      d2 d3: D[group + 8][2·pair + 0…1]
 * two f16 a register. m16n8k8 holds the same with a0…a3, b0, b1: two of them, one with each
 * half of the registers, are one m16n8k16. */
#define MMA_M 16
#define MMA_N 8
#define MMA_LANES 32
#define MMA_CELLS 4 /* numbers of D a lane */
typedef uint4 mma_a;
typedef uint2 mma_b;
typedef float4 mma_d;

static mma_a mma_load_a(local const uint *tile, int stride, int lane)
{
	local const uint *at = tile + (lane >> 2) * stride + (lane & 3);
	return (uint4)(at[0], at[8 * stride], at[4], at[8 * stride + 4]);
}

static mma_b mma_load_b(local const uint *tile, int stride, int lane)
{
	local const uint *at = tile + (lane >> 2) * stride + (lane & 3);
	return (uint2)(at[0], at[4]);
}

static int mma_row(int lane, int cell)
{
	return (lane >> 2) + (cell & 2) * 4;
}

static int mma_column(int lane, int cell)
{
	return (lane & 3) * 2 + (cell & 1);
}

#else

/* cl_intel_subgroup_matrix_multiply_accumulate, 8 rows: element i of a is row i, a lane
 * having terms 2·lane and 2·lane + 1 of it (subgroups of 8), or term lane (of 16); element
 * i of b is terms 2·i and 2·i + 1 of column `lane`; element i of d is row i, column `lane`. */
#define MMA_M 8
#define MMA_N MMA_LANES
#define MMA_CELLS 8
typedef int8 mma_b;
typedef float8 mma_d;

#if MMA_LANES == 8
typedef int8 mma_a;
#define MMA_A_AT(tile, stride, lane, i) as_int((tile)[(i) * (stride) + (lane)])
#else
typedef short8 mma_a;
#define MMA_A_AT(tile, stride, lane, i) ((local const short *)(tile))[(i) * 2 * (stride) + (lane)]
#endif

static mma_a mma_load_a(local const uint *tile, int stride, int lane)
{
	return (mma_a)(MMA_A_AT(tile, stride, lane, 0), MMA_A_AT(tile, stride, lane, 1),
	               MMA_A_AT(tile, stride, lane, 2), MMA_A_AT(tile, stride, lane, 3),
	               MMA_A_AT(tile, stride, lane, 4), MMA_A_AT(tile, stride, lane, 5),
	               MMA_A_AT(tile, stride, lane, 6), MMA_A_AT(tile, stride, lane, 7));
}

static mma_b mma_load_b(local const uint *tile, int stride, int lane)
{
	return as_int8(vload8(0, tile + lane * stride));
}

static int mma_row(int lane, int cell)
{
	return cell;
}

static int mma_column(int lane, int cell)
{
	return lane;
}

#endif

static void mma_store(local float *to, int stride, int lane, mma_d d)
{
	const float *cells = (const float *)&d;
	UNROLL
	for (int i = 0; i < MMA_CELLS; i++)
		to[mma_row(lane, i) * stride + mma_column(lane, i)] = cells[i];
}

static mma_d mma_scale(mma_d d, local const float *factors, int lane)
{
	float *cells = (float *)&d;
	UNROLL
	for (int i = 0; i < MMA_CELLS; i++)
		cells[i] *= factors[mma_row(lane, i)];
	return d;
}

/* 8 floats as f16, two a word. */
static uint4 pack_halves(float8 v)
{
	uint words[4];
	vstore_half8_rte(v, 0, (half *)words);
	return (uint4)(words[0], words[1], words[2], words[3]);
}

/* 8 numbers of f16, of which the first n are there (with ALIGNED all or none); zero for the
 * rest. */
static uint4 load_halves(global const TYPE(ACT) *x, int n)
{
	if (n <= 0)
		return 0;
#if ALIGNED
	return *(global const uint4 *)x;
#else
	global const ushort *bits = (global const ushort *)x;
	ushort lanes[8];
	for (int i = 0; i < 8; i++)
		lanes[i] = i < n ? bits[i] : 0;
	return as_uint4(vload8(0, lanes));
#endif
}

/* Stores the first n of 8 numbers. */
static void store_halves(global TYPE(ACT) *y, float8 v, int n)
{
	if (n < 8) {
		float lanes[8];
		vstore8(v, 0, lanes);
		for (int i = 0; i < n; i++)
			STORE1(ACT, y, i, lanes[i]);
		return;
	}
#if ALIGNED
	*(global uint4 *)y = pack_halves(v);
#else
	STORE8(ACT, y, 0, v);
#endif
}

#ifdef MMA_EMULATED

#define MMA_WARP ((int)get_local_id(0) / MMA_LANES)
#define MMA_LANE ((int)get_local_id(0) % MMA_LANES)
#define MMA_SUBGROUP
#define MMA_EXCHANGE(warps) local float exchange[warps][(MMA_M + MMA_N) * 16];
#define MMA(d, a, b) mma_emulated(d, a, b, MMA_LANE, exchange[MMA_WARP])

/* Element i of a lane's part: A[MMA_A_ROW][MMA_A_TERM], B[MMA_B_TERM][MMA_B_COLUMN]. */
#ifdef MMA_NVIDIA
#define MMA_A_HALVES 8
#define MMA_B_HALVES 4
#define MMA_A_ROW(lane, i) (((i) < 2 || ((i) >= 4 && (i) < 6) ? 0 : 8) + (lane) / 4)
#define MMA_A_TERM(lane, i) ((lane) % 4 * 2 + ((i) & 1) + ((i) < 4 ? 0 : 8))
#define MMA_B_TERM(lane, i) ((lane) % 4 * 2 + ((i) & 1) + ((i) < 2 ? 0 : 8))
#define MMA_B_COLUMN(lane, i) ((lane) / 4)
#else
#define MMA_A_HALVES (128 / MMA_LANES)
#define MMA_B_HALVES 16
#define MMA_A_ROW(lane, i) ((i) / (16 / MMA_LANES))
#define MMA_A_TERM(lane, i) ((lane) * (16 / MMA_LANES) + (i) % (16 / MMA_LANES))
#define MMA_B_TERM(lane, i) (i)
#define MMA_B_COLUMN(lane, i) (lane)
#endif

static mma_d mma_emulated(mma_d d, mma_a a, mma_b b, int lane, local float *exchange)
{
	local float *rows = exchange, *columns = exchange + MMA_M * 16;
	barrier(CLK_LOCAL_MEM_FENCE);
	for (int i = 0; i < MMA_A_HALVES; i++)
		rows[MMA_A_ROW(lane, i) * 16 + MMA_A_TERM(lane, i)] =
		    vload_half(i, (const half *)&a);
	for (int i = 0; i < MMA_B_HALVES; i++)
		columns[MMA_B_COLUMN(lane, i) * 16 + MMA_B_TERM(lane, i)] =
		    vload_half(i, (const half *)&b);
	barrier(CLK_LOCAL_MEM_FENCE);
	float cells[MMA_CELLS];
	for (int i = 0; i < MMA_CELLS; i++) {
		local const float *row = rows + mma_row(lane, i) * 16;
		local const float *column = columns + mma_column(lane, i) * 16;
		cells[i] = ((const float *)&d)[i];
		for (int k = 0; k < 16; k++)
			cells[i] = fma(row[k], column[k], cells[i]);
	}
	return *(const mma_d *)cells;
}

#elif defined(MMA_NVIDIA)

#define MMA_WARP ((int)get_local_id(0) / MMA_LANES)
#define MMA_LANE ((int)get_local_id(0) % MMA_LANES)
#define MMA_SUBGROUP
#define MMA_EXCHANGE(warps)
#define MMA(d, a, b) mma(d, a, b)

static mma_d mma(mma_d d, mma_a a, mma_b b)
{
	float d0 = d.x, d1 = d.y, d2 = d.z, d3 = d.w;
#if MMA_TERMS == 16
	__asm__ volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
	                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
	                 : "+f"(d0), "+f"(d1), "+f"(d2), "+f"(d3)
	                 : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b.x), "r"(b.y));
#else
#define MMA_K8(a0, a1, b0)                                                                     \
	__asm__ volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "                       \
	                 "{%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"                     \
	                 : "+f"(d0), "+f"(d1), "+f"(d2), "+f"(d3)                                  \
	                 : "r"(a0), "r"(a1), "r"(b0))
	MMA_K8(a.x, a.y, b.x);
	MMA_K8(a.z, a.w, b.y);
#endif
	return (float4)(d0, d1, d2, d3);
}

#else

#define MMA_WARP ((int)get_sub_group_id())
#define MMA_LANE ((int)get_sub_group_local_id())
#define MMA_SUBGROUP __attribute__((intel_reqd_sub_group_size(MMA_LANES)))
#define MMA_EXCHANGE(warps)
#define MMA(d, a, b) intel_sub_group_f16_f16_matrix_mad_k16(a, b, d)

#endif
