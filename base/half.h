/* 16-bit floats of weight files: IEEE 754 binary16 and bfloat16, to and from float32. */
#ifndef SUMI_BASE_HALF_H
#define SUMI_BASE_HALF_H

#include <stdint.h>

/* Exact. */
float half_to_float(uint16_t half);

/* Rounds to nearest, ties to even; too large values become infinity. */
uint16_t half_from_float(float value);

/* Exact. */
float bfloat_to_float(uint16_t bfloat);

#endif
