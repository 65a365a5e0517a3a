/* WAV: samples and texts; the tag of an MP3. */
#include "media/mp3.h"
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
	fuzz_outcome(mp3_read_texts(data, size, "x.mp3", &texts, &err), &err);
	texts_free(&texts);
	return 0;
}
