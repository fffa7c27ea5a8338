#include "core/dtype.h"

static const struct dtype_info DTYPES[DTYPE_COUNT];

const struct dtype_info *dtype_info(enum dtype dtype)
{
	return &DTYPES[dtype];
}

enum dtype dtype_by_name(const char *name)
{
	enum dtype dtype = 0;

	while (dtype < DTYPE_COUNT && strcmp(DTYPES[dtype].name, name) != 0)
		dtype++;
	return dtype;
}

enum dtype dtype_by_torch_name(const char *name)
{
	static const enum dtype recipe_types[] = {
		DTYPE_BF16, DTYPE_F16, DTYPE_F32, DTYPE_F64, DTYPE_I64,
	};
	static const char prefix[] = "torch.";

	if (strncmp(name, prefix, sizeof(prefix) - 1) == 0)
		name += sizeof(prefix) - 1;
	for (size_t i = 0; i < ARRAY_LEN(recipe_types); i++)
		if (strcmp(DTYPES[recipe_types[i]].torch, name) == 0)
			return recipe_types[i];
	return DTYPE_NONE;
}

enum dtype dtype_promote(enum dtype a, enum dtype b)
{
	if (a == b || DTYPES[a].bits > DTYPES[b].bits)
		return a;
	if (DTYPES[a].bits < DTYPES[b].bits)
		return b;
	return DTYPE_F32; /* bf16 and f16 hold neither the other */
}

static const struct dtype_info DTYPES[DTYPE_COUNT] = {
	[DTYPE_F64] = { "F64", "float64", 64, true },
	[DTYPE_F32] = { "F32", "float32", 32, true },
	[DTYPE_F16] = { "F16", "float16", 16, true },
	[DTYPE_BF16] = { "BF16", "bfloat16", 16, true },
	[DTYPE_I64] = { "I64", "int64", 64, false },
	[DTYPE_I32] = { "I32", "int32", 32, false },
	[DTYPE_I16] = { "I16", "int16", 16, false },
	[DTYPE_I8] = { "I8", "int8", 8, false },
	[DTYPE_U64] = { "U64", "uint64", 64, false },
	[DTYPE_U32] = { "U32", "uint32", 32, false },
	[DTYPE_U16] = { "U16", "uint16", 16, false },
	[DTYPE_U8] = { "U8", "uint8", 8, false },
	[DTYPE_BOOL] = { "BOOL", "bool", 8, false },
	[DTYPE_C64] = { "C64", "complex64", 64, false },
	[DTYPE_F8_E4M3] = { "F8_E4M3", "float8_e4m3fn", 8, false },
	[DTYPE_F8_E5M2] = { "F8_E5M2", "float8_e5m2", 8, false },
	[DTYPE_F8_E8M0] = { "F8_E8M0", "float8_e8m0fnu", 8, false },
	[DTYPE_F8_E4M3FNUZ] = { "F8_E4M3FNUZ", "float8_e4m3fnuz", 8, false },
	[DTYPE_F8_E5M2FNUZ] = { "F8_E5M2FNUZ", "float8_e5m2fnuz", 8, false },
	[DTYPE_F6_E2M3] = { "F6_E2M3", "float6_e2m3fn", 6, false },
	[DTYPE_F6_E3M2] = { "F6_E3M2", "float6_e3m2fn", 6, false },
	[DTYPE_F4] = { "F4", "float4_e2m1fn_x2", 4, false },
};
