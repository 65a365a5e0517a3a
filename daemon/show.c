/* Small pictures of what a job has made so far. */
#include "daemon/show.h"

#include <stdio.h>
#include <stdlib.h>

#include "media/webp.h"

/* 128 events of a job are kept: frames may fill 1.5 MiB of Redis' memory, no more. */
enum { FRAME_BYTES = 12 * 1024, FRAME_SIDE = 192, SMALLEST_SIDE = 16 };

/* frame's pixels averaged over boxes, into rgb [height, width, 3]. */
static void shrink(const struct frame *f, int width, int height, uint8_t *rgb)
{
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++) {
			int x0 = x * f->width / width, x1 = (x + 1) * f->width / width;
			int y0 = y * f->height / height, y1 = (y + 1) * f->height / height;
			unsigned sum[3] = {0}, count = (unsigned)((x1 - x0) * (y1 - y0));
			for (int v = y0; v < y1; v++)
				for (int u = x0; u < x1; u++)
					for (int c = 0; c < 3; c++)
						sum[c] += f->rgb[((size_t)v * (size_t)f->width +
								  (size_t)u) *
								     3 +
								 (size_t)c];
			for (int c = 0; c < 3; c++)
				*rgb++ = (uint8_t)((sum[c] + count / 2) / count);
		}
}

/* A WebP of at most FRAME_BYTES; *data stays NULL where there is none that small. */
static int make_preview(const struct frame *f, uint8_t **data, size_t *size, struct error *err)
{
	struct webp_options options = {.quality = 75};
	int longest = f->width > f->height ? f->width : f->height, status = SUMI_OK;
	uint8_t *rgb = malloc((size_t)FRAME_SIDE * FRAME_SIDE * 3);
	if (!rgb)
		return error_set(err, SUMI_NOMEM, "no memory for a preview");
	for (int side = FRAME_SIDE; !status && !*data && side >= SMALLEST_SIDE; side /= 2) {
		int width = longest > side ? f->width * side / longest : f->width;
		int height = longest > side ? f->height * side / longest : f->height;
		if (width < 1 || height < 1)
			break;
		shrink(f, width, height, rgb);
		status = webp_encode(rgb, width, height, &options, NULL, data, size, err);
		if (!status && *size > FRAME_BYTES) {
			free(*data);
			*data = NULL;
		}
	}
	free(rgb);
	return status;
}

int show_frame(struct queue *queue, const struct queue_lease *lease, int variant,
	       const struct frame *frame, const char *sha256, struct error *err)
{
	char numbers[3][16];
	uint8_t *webp = NULL;
	size_t size = 0, n = 0;
	struct queue_event_field fields[5];
	int status = make_preview(frame, &webp, &size, err);
	if (status)
		return status;
	const int values[] = {variant, frame->number, frame->count};
	static const char *const names[] = {"variant", "number", "count"};
	for (; n < 3; n++) {
		int length = snprintf(numbers[n], sizeof numbers[n], "%d", values[n]);
		fields[n] = (struct queue_event_field){names[n], numbers[n], (size_t)length};
	}
	if (sha256)
		fields[n++] = (struct queue_event_field){"sha256", sha256, 64};
	if (webp)
		fields[n++] = (struct queue_event_field){"webp", (const char *)webp, size};
	status = queue_event_fields(queue, lease, "frame", fields, n, err);
	free(webp);
	return status;
}
