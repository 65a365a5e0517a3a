/* Products of whole numbers of eight bits, four at a time, for CPUs that have an instruction for
 * them. A `fours` vector holds LANES times four bytes; of four the first number stands lowest.
 *
 * The instruction stands in one function here; -D DOT_EMULATED puts arithmetic by its documented
 * semantics in its place, -D DOT_VEX takes the form of processors without AVX-512, -D DOT_ARM that of
 * ARM's. Needs tile_cpu.cl. */

typedef PASTE(uint, LANES) fours;
typedef PASTE(int, LANES) counts;
#define AS_FOURS PASTE(as_uint, LANES)
#define COUNTS_TO_FLOATS PASTE(convert_float, LANES)
#define FOURTH_8 2
#define FOURTH_16 4
#define FOURTH PASTE(FOURTH_, LANES)
/* LANES numbers as bytes that follow each other. */
#define STORE_BYTES(v, p)                                                                      \
	PASTE(vstore, FOURTH)(PASTE(as_uint, FOURTH)(PASTE(convert_uchar, LANES)(v)), 0, p)

/* VPDPBUSD: bytes of a without a sign, of b with one. Nothing is rounded and nothing saturates. */
#ifdef DOT_EMULATED
#define DOT4_UNROLL 1 /* it is long */
INLINE counts dot4(counts sum, fours a, fours b)
{
	for (int i = 0; i < 4; i++)
		sum += AS_INTS(a >> 8 * i & 0xff) * (AS_INTS(b << (24 - 8 * i)) >> 24);
	return sum;
}
#else
#define DOT4_UNROLL 8
#ifdef DOT_ARM /* USDOT, LANES being eight: two registers of four */
INLINE int4 usdot(int4 sum, uint4 a, uint4 b)
{
	__asm__("usdot %0.4s, %1.16b, %2.16b" : "+w"(sum) : "w"(a), "w"(b));
	return sum;
}

INLINE counts dot4(counts sum, fours a, fours b)
{
	return (counts)(usdot(sum.lo, a.lo, b.lo), usdot(sum.hi, a.hi, b.hi));
}
#elif defined DOT_VEX
INLINE counts dot4(counts sum, fours a, fours b)
{
	__asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
	return sum;
}
#else
INLINE counts dot4(counts sum, fours a, fours b)
{
	__asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
	return sum;
}
#endif
#endif
