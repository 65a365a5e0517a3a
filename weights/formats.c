/* The table of formats. */
#include "weights/formats.h"

#include <string.h>

static void expand_f64(const unsigned char *p, size_t count, float *out)
{
	for (size_t i = 0; i < count; i++) {
		double value;
		memcpy(&value, p + 8 * i, 8);
		out[i] = (float)value;
	}
}

enum { NOT_IN_GGUF = -1 };

/* gguf: the number of ggml's enum ggml_type. */
static const struct row {
	int gguf;
	struct tensor_format format;
} rows[] = {
    {0, {"F32", 1, 4, true, DTYPE_F32, DTYPE_F32, NULL}},
    {1, {"F16", 1, 2, true, DTYPE_F16, DTYPE_F16, NULL}},
    {30, {"BF16", 1, 2, true, DTYPE_BF16, DTYPE_BF16, NULL}},
    {28, {"F64", 1, 8, true, DTYPE_F32, DTYPE_F32, expand_f64}},
    {27, {"I64", 1, 8, false, DTYPE_F32, DTYPE_F32, NULL}},
    {26, {"I32", 1, 4, false, DTYPE_F32, DTYPE_F32, NULL}},
    {25, {"I16", 1, 2, false, DTYPE_F32, DTYPE_F32, NULL}},
    {24, {"I8", 1, 1, true, DTYPE_F16, DTYPE_I8, NULL}},
    {NOT_IN_GGUF, {"U64", 1, 8, false, DTYPE_F32, DTYPE_F32, NULL}},
    {NOT_IN_GGUF, {"U32", 1, 4, false, DTYPE_F32, DTYPE_F32, NULL}},
    {NOT_IN_GGUF, {"U16", 1, 2, false, DTYPE_F32, DTYPE_F32, NULL}},
    {NOT_IN_GGUF, {"U8", 1, 1, false, DTYPE_F32, DTYPE_F32, NULL}},
    {NOT_IN_GGUF, {"BOOL", 1, 1, false, DTYPE_F32, DTYPE_F32, NULL}},
    {NOT_IN_GGUF, {"C64", 1, 8, false, DTYPE_F32, DTYPE_F32, NULL}},
    {NOT_IN_GGUF, {"F8_E4M3", 1, 1, true, DTYPE_F16, DTYPE_F8_E4M3, NULL}},
    {NOT_IN_GGUF, {"F8_E5M2", 1, 1, true, DTYPE_F16, DTYPE_F8_E5M2, NULL}},
    {NOT_IN_GGUF, {"F8_E4M3FNUZ", 1, 1, false, DTYPE_F32, DTYPE_F32, NULL}},
    {NOT_IN_GGUF, {"F8_E5M2FNUZ", 1, 1, false, DTYPE_F32, DTYPE_F32, NULL}},
    {NOT_IN_GGUF, {"F8_E8M0", 1, 1, false, DTYPE_F32, DTYPE_F32, NULL}},
    {NOT_IN_GGUF, {"F6_E2M3", 4, 3, false, DTYPE_F32, DTYPE_F32, NULL}},
    {NOT_IN_GGUF, {"F6_E3M2", 4, 3, false, DTYPE_F32, DTYPE_F32, NULL}},
    {NOT_IN_GGUF, {"F4", 2, 1, false, DTYPE_F32, DTYPE_F32, NULL}},
    {2, {"Q4_0", 32, 18, true, DTYPE_F16, DTYPE_Q4_0, NULL}},
    {3, {"Q4_1", 32, 20, true, DTYPE_F16, DTYPE_Q4_1, NULL}},
    {6, {"Q5_0", 32, 22, true, DTYPE_F16, DTYPE_Q5_0, NULL}},
    {7, {"Q5_1", 32, 24, true, DTYPE_F16, DTYPE_Q5_1, NULL}},
    {8, {"Q8_0", 32, 34, true, DTYPE_F16, DTYPE_Q8_0, NULL}},
    {9, {"Q8_1", 32, 36, false, DTYPE_F32, DTYPE_F32, NULL}},
    {10, {"Q2_K", 256, 84, true, DTYPE_F16, DTYPE_Q2_K, NULL}},
    {11, {"Q3_K", 256, 110, true, DTYPE_F16, DTYPE_Q3_K, NULL}},
    {12, {"Q4_K", 256, 144, true, DTYPE_F16, DTYPE_Q4_K, NULL}},
    {13, {"Q5_K", 256, 176, true, DTYPE_F16, DTYPE_Q5_K, NULL}},
    {14, {"Q6_K", 256, 210, true, DTYPE_F16, DTYPE_Q6_K, NULL}},
    {15, {"Q8_K", 256, 292, false, DTYPE_F32, DTYPE_F32, NULL}},
    {16, {"IQ2_XXS", 256, 66, false, DTYPE_F32, DTYPE_F32, NULL}},
    {17, {"IQ2_XS", 256, 74, false, DTYPE_F32, DTYPE_F32, NULL}},
    {18, {"IQ3_XXS", 256, 98, false, DTYPE_F32, DTYPE_F32, NULL}},
    {19, {"IQ1_S", 256, 50, false, DTYPE_F32, DTYPE_F32, NULL}},
    {20, {"IQ4_NL", 32, 18, true, DTYPE_F16, DTYPE_IQ4_NL, NULL}},
    {21, {"IQ3_S", 256, 110, false, DTYPE_F32, DTYPE_F32, NULL}},
    {22, {"IQ2_S", 256, 82, false, DTYPE_F32, DTYPE_F32, NULL}},
    {23, {"IQ4_XS", 256, 136, true, DTYPE_F16, DTYPE_IQ4_XS, NULL}},
    {29, {"IQ1_M", 256, 56, false, DTYPE_F32, DTYPE_F32, NULL}},
    {34, {"TQ1_0", 256, 54, false, DTYPE_F32, DTYPE_F32, NULL}},
    {35, {"TQ2_0", 256, 66, false, DTYPE_F32, DTYPE_F32, NULL}},
    {39, {"MXFP4", 32, 17, false, DTYPE_F32, DTYPE_F32, NULL}},
    {40, {"NVFP4", 64, 36, false, DTYPE_F32, DTYPE_F32, NULL}},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

const struct tensor_format *tensor_format_named(const char *name)
{
	for (int i = 0; name && i < ROWS; i++)
		if (strcmp(rows[i].format.name, name) == 0)
			return &rows[i].format;
	return NULL;
}

const struct tensor_format *tensor_format_of_gguf(uint32_t number)
{
	for (int i = 0; i < ROWS; i++)
		if (rows[i].gguf >= 0 && (uint32_t)rows[i].gguf == number)
			return &rows[i].format;
	return NULL;
}

int64_t tensor_format_bytes(const struct tensor_format *format, uint64_t elements)
{
	uint64_t blocks = elements / (uint64_t)format->elements, bytes;
	if (elements % (uint64_t)format->elements != 0 ||
	    __builtin_mul_overflow(blocks, (uint64_t)format->bytes, &bytes) || bytes > INT64_MAX)
		return -1;
	return (int64_t)bytes;
}

void tensor_format_floats(const struct tensor_format *format, const void *data, size_t count,
			  float *out)
{
	if (format->expand)
		format->expand(data, count / (size_t)format->elements, out);
	else
		format_expand(format->stored, data, count, out);
}

bool tensor_format_is_plain(const struct tensor_format *format)
{
	return !format->expand && format->stored == format->dtype;
}
