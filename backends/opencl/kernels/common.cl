/* Stands before every kernel file: element types, loads and stores, activations.
 *
 * A dtype is a word, f32, f16 or bf16, given with -D and handed to the macros:
 *
 *     kernel void copy(global const TYPE(ACT) *x, global TYPE(ACT) *y)   // -D ACT=f16
 *     { STORE8(ACT, y, i, LOAD8(ACT, x, i)); }
 *
 * Loads give float, stores round to nearest even. Indices count elements, and the
 * vector forms need no alignment. half is used for storage only: arithmetic on it is
 * optional in OpenCL, vload_half and vstore_half are not. */

#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)

#define type_f32 float
#define type_f16 half
#define type_bf16 ushort
#define TYPE(t) PASTE(type_, t)

/* 1, 4, 8 or 16 elements of dtype t at p[i]. */
#define LOAD1(t, p, i) PASTE(load1_, t)((p) + (i))
#define LOAD4(t, p, i) PASTE(load4_, t)((p) + (i))
#define LOAD8(t, p, i) PASTE(load8_, t)((p) + (i))
#define LOAD16(t, p, i) PASTE(load16_, t)((p) + (i))
#define STORE1(t, p, i, v) PASTE(store1_, t)((p) + (i), v)
#define STORE4(t, p, i, v) PASTE(store4_, t)((p) + (i), v)
#define STORE8(t, p, i, v) PASTE(store8_, t)((p) + (i), v)
#define STORE16(t, p, i, v) PASTE(store16_, t)((p) + (i), v)

#define load1_f32(p) (*(p))
#define load4_f32(p) vload4(0, p)
#define load8_f32(p) vload8(0, p)
#define load16_f32(p) vload16(0, p)
#define store1_f32(p, v) (*(p) = (v))
#define store4_f32(p, v) vstore4(v, 0, p)
#define store8_f32(p, v) vstore8(v, 0, p)
#define store16_f32(p, v) vstore16(v, 0, p)

#define load1_f16(p) vload_half(0, p)
#define load4_f16(p) vload_half4(0, p)
#define load8_f16(p) vload_half8(0, p)
#define load16_f16(p) vload_half16(0, p)
#define store1_f16(p, v) vstore_half_rte(v, 0, p)
#define store4_f16(p, v) vstore_half4_rte(v, 0, p)
#define store8_f16(p, v) vstore_half8_rte(v, 0, p)
#define store16_f16(p, v) vstore_half16_rte(v, 0, p)

/* bfloat16 is the upper half of a float; only weights are stored so. */
#define load1_bf16(p) as_float((uint)(*(p)) << 16)
#define load4_bf16(p) as_float4(convert_uint4(vload4(0, p)) << 16)
#define load8_bf16(p) as_float8(convert_uint8(vload8(0, p)) << 16)
#define load16_bf16(p) as_float16(convert_uint16(vload16(0, p)) << 16)

/* enum activation of backends/backend.h, by number: -D ACTIVATION=1. */
#define ACT_NONE 0
#define ACT_SILU 1
#define ACT_GELU 2
#define ACT_QUICK_GELU 3
#define ACT_RELU 4
#define ACT_TANH3 5
#define ACT_GATE 8
#define ACT_GEGLU 6
#define ACT_PRELU 7

#ifndef ACTIVATION
#define ACTIVATION ACT_NONE
#endif

/* One definition for every vector width: ACTIVATE(x) takes float, float4, float8, float16. */
#define SIGMOID(x) (1.0f / (1.0f + exp(-(x))))
#define GELU(x) (0.5f * (x) * (1.0f + erf((x) * 0.70710678118654752f)))
#if ACTIVATION == ACT_SILU
#define ACTIVATE(x) ((x) * SIGMOID(x))
#elif ACTIVATION == ACT_GELU
#define ACTIVATE(x) GELU(x)
#elif ACTIVATION == ACT_QUICK_GELU
#define ACTIVATE(x) ((x) * SIGMOID(1.702f * (x)))
#elif ACTIVATION == ACT_RELU
#define ACTIVATE(x) fmax(x, 0.0f)
#elif ACTIVATION == ACT_TANH3
#define ACTIVATE(x) (3.0f * tanh((x) * (1.0f / 3.0f)))
#else
#define ACTIVATE(x) (x)
#endif
