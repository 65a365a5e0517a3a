/* The cases of test_ops.c. Sizes are awkward on purpose: 1, 7, 77, 93, and next to the
 * multiples of 4, 6, 8, 16, 32 and 64 that kernels tile by. */
#include "tests/unit/ops_harness.h"

/* clang-format off: a case a line */
#define COUNT(table) (int)(sizeof(table) / sizeof *(table))

#define B OPS_BIAS
#define A OPS_ADD
#define R OPS_RESIDUAL
#define I OPS_IN_PLACE
#define S OPS_SMALL
#define H DTYPE_F16
#define BF DTYPE_BF16

static const struct ops_case conv2d_cases[] = {
    {.n = 1, .h = 1, .w = 1, .cin = 1, .cout = 1, .kernel = 3},
    {.n = 1, .h = 3, .w = 5, .cin = 3, .cout = 7, .kernel = 3, .flags = B},
    {.n = 1, .h = 7, .w = 7, .cin = 4, .cout = 16, .kernel = 3, .weight = H, .flags = B},
    {.n = 2, .h = 8, .w = 8, .cin = 32, .cout = 33, .kernel = 3, .weight = BF, .flags = B | A},
    {.n = 2, .h = 3, .w = 5, .cin = 6, .cout = 9, .kernel = 3, .weight = BF, .flags = B | A | S},
    {.n = 2,
     .h = 9,
     .w = 13,
     .cin = 16,
     .cout = 32,
     .kernel = 3,
     .weight = H,
     .act = ACT_SILU,
     .flags = B | A | R},
    {.n = 1, .h = 7, .w = 8, .cin = 16, .cout = 16, .kernel = 3, .weight = H, .flags = B | R | S},
    {.n = 1, .h = 16, .w = 16, .cin = 64, .cout = 64, .kernel = 3, .weight = H, .flags = B | R | I},
    {.n = 1, .h = 32, .w = 33, .cin = 24, .cout = 40, .kernel = 3, .weight = H, .flags = B},
    {.n = 2, .h = 33, .w = 34, .cin = 32, .cout = 48, .kernel = 3, .flags = B | A | R},
    {.n = 1,
     .h = 64,
     .w = 32,
     .cin = 16,
     .cout = 16,
     .kernel = 3,
     .act = ACT_RELU,
     .weight = BF,
     .flags = B},
    {.n = 1, .h = 1, .w = 77, .cin = 8, .cout = 8, .kernel = 3, .flags = B},
    /* odd channels, and more than a step of Winograd's */
    {.n = 1, .h = 4, .w = 8, .cin = 35, .cout = 33, .kernel = 3, .weight = H, .flags = B | S},
    {.n = 1, .h = 9, .w = 8, .cin = 131, .cout = 34, .kernel = 3, .weight = BF, .flags = B | A},
    {.n = 1, .h = 93, .w = 1, .cin = 5, .cout = 9, .kernel = 3, .flags = B},
    {.n = 1, .h = 8, .w = 8, .cin = 320, .cout = 4, .kernel = 3, .weight = H, .flags = B},
    {.n = 1, .h = 40, .w = 40, .cin = 4, .cout = 64, .kernel = 3, .act = ACT_TANH3, .flags = B},
    {.n = 1, .h = 32, .w = 32, .cin = 128, .cout = 3, .kernel = 3, .weight = H, .flags = B},
    /* stride 2 */
    {.n = 1, .h = 3, .w = 4, .cin = 3, .cout = 5, .kernel = 3, .stride = 2, .flags = B | S},
    {.n = 2,
     .h = 16,
     .w = 15,
     .cin = 32,
     .cout = 40,
     .kernel = 3,
     .stride = 2,
     .weight = H,
     .flags = B},
    {.n = 1, .h = 17, .w = 34, .cin = 16, .cout = 16, .kernel = 3, .stride = 2, .flags = B},
    {.n = 1,
     .h = 4,
     .w = 5,
     .cin = 2,
     .cout = 3,
     .kernel = 3,
     .stride = 2,
     .flags = B | S | OPS_PAD_END},
    {.n = 1,
     .h = 16,
     .w = 18,
     .cin = 32,
     .cout = 32,
     .kernel = 3,
     .stride = 2,
     .weight = H,
     .flags = B | OPS_PAD_END},
    {.n = 1, .h = 9, .w = 12, .cin = 20, .cout = 24, .kernel = 1, .stride = 2, .flags = B | S},
    /* upsample */
    {.n = 1, .h = 2, .w = 3, .cin = 3, .cout = 4, .kernel = 3, .flags = B | S | OPS_UPSAMPLE},
    {.n = 2,
     .h = 8,
     .w = 7,
     .cin = 16,
     .cout = 24,
     .kernel = 3,
     .weight = H,
     .flags = B | OPS_UPSAMPLE},
    {.n = 1,
     .h = 20,
     .w = 20,
     .cin = 32,
     .cout = 32,
     .kernel = 3,
     .weight = H,
     .flags = B | OPS_UPSAMPLE},
    /* kernel 1 */
    {.n = 1, .h = 3, .w = 3, .cin = 5, .cout = 6, .kernel = 1, .flags = S},
    {.n = 1, .h = 1, .w = 1, .cin = 4, .cout = 4, .kernel = 1, .weight = H, .flags = B},
    {.n = 2, .h = 11, .w = 7, .cin = 93, .cout = 77, .kernel = 1, .weight = H, .flags = B | A | R},
    {.n = 1, .h = 16, .w = 16, .cin = 64, .cout = 128, .kernel = 1, .weight = BF, .flags = B},
    {.n = 1,
     .h = 5,
     .w = 5,
     .cin = 16,
     .cout = 16,
     .kernel = 1,
     .act = ACT_SILU,
     .flags = B | OPS_UPSAMPLE},
};

static const struct ops_case linear_cases[] = {
    {.n = 1, .h = 1, .w = 1, .cin = 1, .cout = 1, .flags = S},
    {.n = 1, .h = 1, .w = 7, .cin = 5, .cout = 9, .flags = B | S},
    {.n = 1, .h = 1, .w = 1, .cin = 320, .cout = 1280, .weight = H, .act = ACT_SILU, .flags = B},
    {.n = 2, .h = 1, .w = 1, .cin = 64, .cout = 100, .weight = BF, .flags = B},
    {.n = 1, .h = 1, .w = 77, .cin = 93, .cout = 77, .flags = B | R},
    {.n = 2, .h = 1, .w = 77, .cin = 64, .cout = 64, .weight = H, .flags = B | R | I},
    {.n = 1,
     .h = 1,
     .w = 93,
     .cin = 128,
     .cout = 96,
     .weight = BF,
     .act = ACT_QUICK_GELU,
     .flags = B},
    {.n = 1, .h = 1, .w = 5, .cin = 32, .cout = 16, .weight = H, .act = ACT_GELU, .flags = B},
    {.n = 3, .h = 5, .w = 7, .cin = 40, .cout = 33, .weight = H, .act = ACT_RELU, .flags = 0},
    {.n = 1, .h = 1, .w = 65, .cin = 66, .cout = 67, .act = ACT_TANH3, .flags = B},
    {.n = 1, .h = 1, .w = 66, .cin = 17, .cout = 67, .weight = H, .flags = B | R | S},
    {.n = 1, .h = 1, .w = 17, .cin = 35, .cout = 33, .weight = H, .flags = B | S},
    {.n = 1, .h = 1, .w = 127, .cin = 257, .cout = 129, .weight = H, .flags = B},
    {.n = 1, .h = 16, .w = 16, .cin = 320, .cout = 320, .weight = H, .flags = B | R},
    {.n = 1, .h = 1, .w = 64, .cin = 1030, .cout = 64, .weight = H, .flags = B},
    /* GEGLU */
    {.n = 1, .h = 1, .w = 3, .cin = 4, .cout = 5, .act = ACT_GEGLU, .flags = B | S},
    {.n = 1, .h = 1, .w = 77, .cin = 32, .cout = 128, .weight = H, .act = ACT_GEGLU, .flags = B},
    {.n = 2, .h = 8, .w = 9, .cin = 64, .cout = 93, .weight = BF, .act = ACT_GEGLU, .flags = 0},
    {.n = 1, .h = 1, .w = 13, .cin = 40, .cout = 160, .act = ACT_GEGLU, .flags = B | R},
};

static const struct ops_case attention_cases[] = {
    {.n = 1, .h = 1, .w = 1, .cin = 4, .heads = 1, .flags = S},
    {.n = 1, .h = 1, .w = 5, .cin = 10, .heads = 2, .keys = 7, .flags = S},
    {.n = 1, .h = 1, .w = 7, .cin = 16, .heads = 2, .flags = OPS_CAUSAL | S},
    {.n = 2, .h = 1, .w = 77, .cin = 64, .heads = 8, .flags = OPS_CAUSAL},
    {.n = 1, .h = 1, .w = 77, .cin = 64, .heads = 1, .flags = OPS_CAUSAL},
    {.n = 2, .h = 8, .w = 8, .cin = 80, .heads = 2, .flags = 0},
    {.n = 2, .h = 8, .w = 9, .cin = 320, .heads = 8, .keys = 77, .flags = 0},
    {.n = 1, .h = 16, .w = 16, .cin = 160, .heads = 4, .flags = 0},
    {.n = 1, .h = 1, .w = 93, .cin = 240, .heads = 3, .keys = 154, .flags = 0},
    {.n = 1, .h = 1, .w = 33, .cin = 18, .heads = 2, .keys = 70, .flags = S},
    {.n = 1, .h = 8, .w = 8, .cin = 320, .heads = 2, .flags = 0},
    {.n = 1, .h = 11, .w = 13, .cin = 512, .heads = 1, .flags = 0},
    {.n = 3, .h = 1, .w = 16, .cin = 40, .heads = 8, .flags = 0},
    {.n = 1, .h = 1, .w = 130, .cin = 128, .heads = 2, .keys = 1, .flags = 0},
    {.n = 64, .h = 1, .w = 16, .cin = 32, .heads = 4, .flags = 0},
    {.n = 1, .h = 20, .w = 20, .cin = 48, .heads = 6, .keys = 300, .flags = 0},
};

static const struct ops_case group_norm_cases[] = {
    {.n = 1, .h = 1, .w = 1, .cin = 2, .groups = 1, .flags = S},
    {.n = 1, .h = 3, .w = 3, .cin = 12, .groups = 4, .act = ACT_SILU, .flags = S},
    {.n = 2, .h = 2, .w = 5, .cin = 7, .groups = 7, .flags = S},
    {.n = 2, .h = 7, .w = 11, .cin = 32, .groups = 32, .act = ACT_SILU, .flags = S},
    {.n = 1, .h = 16, .w = 16, .cin = 320, .groups = 32, .act = ACT_SILU},
    {.n = 1, .h = 9, .w = 9, .cin = 93, .groups = 3, .flags = I | S},
    {.n = 2, .h = 8, .w = 8, .cin = 1280, .groups = 32, .flags = I},
    {.n = 1, .h = 64, .w = 65, .cin = 64, .groups = 32, .act = ACT_SILU},
    {.n = 1, .h = 33, .w = 31, .cin = 40, .groups = 8, .flags = OPS_FAR_MEAN},
    {.n = 1, .h = 128, .w = 128, .cin = 16, .groups = 4, .act = ACT_SILU, .flags = OPS_FAR_MEAN},
    {.n = 1, .h = 1, .w = 1, .cin = 640, .groups = 32},
    {.n = 3, .h = 5, .w = 77, .cin = 48, .groups = 1},
    {.n = 1, .h = 12, .w = 12, .cin = 2560, .groups = 32, .act = ACT_SILU},
    {.n = 1, .h = 31, .w = 77, .cin = 24, .groups = 24},
};

static const struct ops_case layer_norm_cases[] = {
    {.n = 1, .h = 1, .w = 1, .cin = 2, .flags = S},
    {.n = 1, .h = 1, .w = 7, .cin = 7, .flags = S},
    {.n = 1, .h = 1, .w = 3, .cin = 35, .flags = S},
    {.n = 2, .h = 1, .w = 77, .cin = 768},
    {.n = 1, .h = 16, .w = 16, .cin = 320, .flags = I},
    {.n = 1, .h = 1, .w = 93, .cin = 93, .flags = OPS_FAR_MEAN | S},
    {.n = 1, .h = 1, .w = 5, .cin = 1283, .flags = OPS_FAR_MEAN},
    {.n = 1, .h = 1, .w = 77, .cin = 1024, .flags = I},
    {.n = 3, .h = 5, .w = 7, .cin = 64, .flags = S},
};

static const struct ops_case axpby_cases[] = {
    {.n = 1, .h = 1, .w = 1, .cin = 1, .flags = S},
    {.n = 1, .h = 1, .w = 3, .cin = 17, .flags = R | S},
    {.n = 2, .h = 3, .w = 5, .cin = 7, .act = ACT_SILU},
    {.n = 1, .h = 7, .w = 11, .cin = 93, .act = ACT_GELU, .flags = R | S},
    {.n = 1, .h = 1, .w = 77, .cin = 64, .act = ACT_QUICK_GELU, .flags = R | I},
    {.n = 1, .h = 9, .w = 9, .cin = 40, .act = ACT_RELU, .flags = I},
    {.n = 1, .h = 8, .w = 8, .cin = 4, .act = ACT_TANH3},
    {.n = 1, .h = 5, .w = 7, .cin = 24, .flags = OPS_BESIDE},
    {.n = 1, .h = 5, .w = 7, .cin = 13, .flags = R | OPS_BESIDE | S},
    {.n = 2, .h = 32, .w = 33, .cin = 320, .flags = R},
    {.n = 1, .h = 5, .w = 7, .cin = 33, .flags = OPS_OTHER_B | S},
    {.n = 1, .h = 5, .w = 7, .cin = 32, .flags = R | OPS_OTHER_B},
};

static const struct ops_case embedding_cases[] = {
    {.n = 1, .w = 3, .cin = 5, .flags = S},
    {.n = 2, .w = 4, .cin = 17, .weight = H, .flags = B | S},
    {.n = 1, .w = 77, .cin = 768, .weight = H, .flags = B},
    {.n = 3, .w = 77, .cin = 33, .weight = BF, .flags = B | S},
    {.n = 2, .w = 93, .cin = 64, .flags = B},
};

static const struct ops_case timestep_cases[] = {
    {.n = 1, .cin = 2, .flags = S | OPS_FLIP},
    {.n = 2, .cin = 14, .flags = S},
    {.n = 1, .cin = 320, .flags = OPS_FLIP},
    {.n = 8, .cin = 320, .flags = OPS_FLIP | S},
    {.n = 11, .cin = 186},
};

static const struct ops_case permute_cases[] = {
    {.n = 2, .h = 1, .w = 3, .cin = 5, .a = 2, .flags = S},
    {.n = 6, .h = 2, .w = 2, .cin = 9, .a = 3, .flags = S},
    {.n = 16, .h = 7, .w = 11, .cin = 93, .a = 16, .flags = S},
    {.n = 32, .h = 8, .w = 8, .cin = 64, .a = 16},
    {.n = 77, .h = 1, .w = 1, .cin = 8, .a = 77},
};

const struct ops_table ops_tables[OPS_KINDS] = {
    [OPS_CONV2D] = {"conv2d", conv2d_cases, COUNT(conv2d_cases)},
    [OPS_LINEAR] = {"linear", linear_cases, COUNT(linear_cases)},
    [OPS_ATTENTION] = {"attention", attention_cases, COUNT(attention_cases)},
    [OPS_GROUP_NORM] = {"group_norm", group_norm_cases, COUNT(group_norm_cases)},
    [OPS_LAYER_NORM] = {"layer_norm", layer_norm_cases, COUNT(layer_norm_cases)},
    [OPS_AXPBY] = {"axpby", axpby_cases, COUNT(axpby_cases)},
    [OPS_EMBEDDING] = {"embedding", embedding_cases, COUNT(embedding_cases)},
    [OPS_TIMESTEP] = {"timestep", timestep_cases, COUNT(timestep_cases)},
    [OPS_PERMUTE] = {"permute", permute_cases, COUNT(permute_cases)},
};
