/* WebM: tags, pictures and sound. */
#include <stdlib.h>

#include "media/webm.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	struct file_texts texts = {0};
	uint8_t *rgb = NULL;
	int width, height, shown = 0;
	struct webm_reader *film;
	const struct webm_sound *sound = NULL;
	int64_t ms, last = 0;
	fuzz_outcome(webm_first_picture(data, size, "x.webm", &rgb, &width, &height, &err), &err);
	free(rgb);
	int status = webm_reader_new(data, size, "x.webm", &film, &err);
	fuzz_outcome(status, &err);
	if (!status)
		fuzz_outcome(webm_reader_sound(film, &sound, &err), &err);
	for (size_t i = 1; sound && i < sound->count; i++)
		fuzz_require(sound->packets[i].ms >= sound->packets[i - 1].ms, "sound goes forward");
	while (!status && shown++ < 8 && !(status = webm_reader_next(film, &rgb, &width, &height, &ms, &err))) {
		fuzz_require(ms >= last, "pictures go forward");
		last = ms;
		free(rgb);
	}
	webm_reader_free(film);
	fuzz_outcome(webm_read_texts(data, size, "x.webm", &texts, &err), &err);
	texts_free(&texts);
	return 0;
}
