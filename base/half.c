/* 16-bit floats, without relying on the compiler's _Float16. */
#include "base/half.h"

#include <string.h>

static float from_bits(uint32_t bits)
{
	float f;
	memcpy(&f, &bits, sizeof f);
	return f;
}

static uint32_t to_bits(float f)
{
	uint32_t bits;
	memcpy(&bits, &f, sizeof bits);
	return bits;
}

float half_to_float(uint16_t half)
{
	uint32_t sign = (uint32_t)(half & 0x8000) << 16;
	uint32_t exponent = half >> 10 & 31, mantissa = half & 1023;
	if (exponent == 31)
		return from_bits(sign | 0x7f800000 | mantissa << 13);
	if (exponent == 0) /* zero or subnormal: mantissa · 2^-24, exact in float32 */
		return from_bits(sign | to_bits((float)mantissa * 0x1p-24f));
	return from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
}

uint16_t half_from_float(float value)
{
	uint32_t bits = to_bits(value);
	uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
	bits &= 0x7fffffff;
	if (bits > 0x7f800000)
		return sign | 0x7e00;
	if (bits >= 0x477ff000) /* 65520 and above round to infinity */
		return sign | 0x7c00;
	if (bits < 0x38800000) { /* below 2^-14: subnormal, rounded by the float adder */
		float f = from_bits(bits) + 0.5f; /* ulp of 0.5 is 2^-24 */
		return (uint16_t)(sign | (to_bits(f) - to_bits(0.5f)));
	}
	uint32_t odd = bits >> 13 & 1;
	return (uint16_t)(sign | ((bits - 0x38000000 + 0xfff + odd) >> 13));
}

float bfloat_to_float(uint16_t bfloat)
{
	return from_bits((uint32_t)bfloat << 16);
}
