/* WAV: samples and texts. */
#include "media/wav.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	struct file_texts texts = {0};
	struct sound sound = {0};
	int status = wav_decode(data, size, "x.wav", &sound, &err);
	fuzz_outcome(status, &err);
	if (!status)
		sound_free(&sound);
	fuzz_outcome(wav_read_texts(data, size, "x.wav", &texts, &err), &err);
	texts_free(&texts);
	return 0;
}
