/*
 * Element types, as the safetensors format names them. One row of the table in
 * dtype.c is all that says what a type is; kernels.h says how to convert it.
 */
#ifndef LMFS_DTYPE_H
#define LMFS_DTYPE_H

#include "core/base/base.h"

enum dtype {
	DTYPE_F64,
	DTYPE_F32,
	DTYPE_F16,
	DTYPE_BF16,
	DTYPE_I64,
	DTYPE_I32,
	DTYPE_I16,
	DTYPE_I8,
	DTYPE_U64,
	DTYPE_U32,
	DTYPE_U16,
	DTYPE_U8,
	DTYPE_BOOL,
	DTYPE_C64,
	DTYPE_F8_E4M3,
	DTYPE_F8_E5M2,
	DTYPE_F8_E8M0,
	DTYPE_F8_E4M3FNUZ,
	DTYPE_F8_E5M2FNUZ,
	DTYPE_F6_E2M3,
	DTYPE_F6_E3M2,
	DTYPE_F4,
	DTYPE_COUNT,
	DTYPE_NONE = DTYPE_COUNT, /* "not given" */
};

struct dtype_info {
	const char *name;  /* in a safetensors header: "BF16" */
	const char *torch; /* in recipes and config.json: "bfloat16" */
	unsigned bits;	   /* of one element */
	bool arithmetic;   /* has load and store kernels: F64 F32 F16 BF16 */
};

const struct dtype_info *dtype_info(enum dtype dtype);

/* By the name in a safetensors header; DTYPE_NONE: unknown. */
enum dtype dtype_by_name(const char *name);

/*
 * By the name in a recipe, with or without "torch.": bfloat16, float16,
 * float32, float64, int64. DTYPE_NONE: none of them.
 */
enum dtype dtype_by_torch_name(const char *name);

/*
 * The type that holds both (torch's rule for floating types): bf16 with f16
 * gives f32. Both must have arithmetic, or be equal.
 */
enum dtype dtype_promote(enum dtype a, enum dtype b);

#endif
