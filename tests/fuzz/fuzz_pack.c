/* A pack's sumi.json, model_index.json and scheduler, around parts that are sound; and what the
 * modality of sounds makes of it. */
#include "diffusion/pack.h"
#include "modalities/spectrogram.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char *const parts[] = {"text_encoder", "tokenizer", "unet", "vae"};
	char from[128], to[64];
	(void)argc, (void)argv;
	for (int i = 0; i < 4; i++) {
		snprintf(from, sizeof from, "tests/vectors/sound-tiny/%s", parts[i]);
		snprintf(to, sizeof to, "pack/%s", parts[i]);
		fuzz_link(from, to);
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"pack/sumi.json", "pack/model_index.json",
					    "pack/scheduler/scheduler_config.json"};
	static struct pack_info info;
	struct fuzz_part rest = {data, size};
	struct spectrogram spectrogram;
	struct error err = {0};
	char folder[FILES_PATH_MAX];
	for (int i = 0; i < 3; i++) {
		struct fuzz_part part = fuzz_next(&rest);
		fuzz_file(names[i], part.data, part.size);
	}
	snprintf(folder, sizeof folder, "%s/pack", fuzz_folder());
	int status = pack_info_read_plain(folder, &info, &err);
	fuzz_outcome(status, &err);
	if (status)
		return 0;
	for (const char *p = info.name; *p; p++)
		fuzz_require((unsigned char)*p >= 0x20, "a pack's name can be shown");
	fuzz_outcome(spectrogram_read(&info, &spectrogram, &err), &err);
	pack_info_free(&info);
	return 0;
}
