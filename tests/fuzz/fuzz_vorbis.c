/* Ogg Vorbis: samples and comments. */
#include "media/texts_ogg.h"
#include "media/vorbis.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	struct file_texts texts = {0};
	struct sound sound = {0};
	int status = vorbis_decode(data, size, "x.vorbis", &sound, &err);
	fuzz_outcome(status, &err);
	if (!status)
		sound_free(&sound);
	fuzz_outcome(ogg_read_texts(data, size, "x.vorbis", &texts, &err), &err);
	texts_free(&texts);
	return 0;
}
