/* A file of an adapter (LoRA and its kin): what it names, and what it gives on a tensor of any shape
 * that a module takes. The same as an embedding: numbers for a word. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "weights/adapter.h"
#include "weights/embedding.h"
#include "weights/pattern.h"

static void read_embedding(const char *path)
{
	struct embedding_file e;
	struct error err = {0};
	int status = embedding_open(path, &e, &err);
	fuzz_outcome(status, &err);
	for (int h = 0; !status && h < (e.halves ? 2 : 1); h++)
		for (int i = 0; i < e.count * e.half[h].width; i++)
			fuzz_require(isfinite(e.half[h].values[i]), "a vector is of numbers");
	embedding_close(&e);
}

/* A name, a line's end, and a pattern for it. */
static void read_pattern(const uint8_t *data, size_t size)
{
	char text[512];
	long work = 1 << 16;
	size_t length = size < sizeof text ? size : sizeof text - 1;
	memcpy(text, data, length);
	text[length] = '\0';
	char *end = strchr(text, '\n');
	if (!end)
		return;
	*end = '\0';
	int ends = pattern_ends(end + 1, text, &work);
	fuzz_require(ends >= -1 && ends <= 1, "a pattern fits, does not, or is none");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *path = fuzz_file("a.safetensors", data, size);
	enum { MOST = 1 << 16 };
	static const int64_t shapes[][4] = {{8, 6, 1, 1}, {6, 8, 1, 1}, {4, 4, 3, 3}, {4, 1, 1, 1}};
	const struct adapter_weight weight = {0.5, 0.5, 1};
	struct adapter *a;
	struct error err = {0};
	int status = adapter_open(path, &a, &err);
	fuzz_outcome(status, &err);
	for (size_t i = 0; !status && i < adapter_modules(a); i++)
		for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++) {
			static float values[MOST];
			char name[ADAPTER_NAME_MAX];
			const int64_t *s = shapes[k];
			int rank = s[2] > 1 ? 4 : 2;
			adapter_target(a, i, ADAPTER_DENOISER | ADAPTER_TEXT, 2, name);
			if (!adapter_fits(a, i, s, rank, NULL))
				adapter_apply(a, i, &weight, s, rank, values,
					      (size_t)(s[0] * s[1] * s[2] * s[3]), NULL);
		}
	if (!status)
		adapter_close(a);
	read_embedding(path);
	read_pattern(data, size);
	return 0;
}
