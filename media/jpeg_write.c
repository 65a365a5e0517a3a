/* JPEG through libjpeg-turbo, written. Its errors come as longjmp: what must be released lives in a struct. */
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "media/exif.h"
#include "media/jpeg.h"
#include "media/xmp.h"

enum {
	EXIF_MARKER = JPEG_APP0 + 1,
	SEGMENT_MAX = 0xFFFF - 2,
	FULL_COLOUR = 90 /* from this quality on each pixel has a colour of its own, else each four */
};

struct writing {
	struct jpeg_compress_struct jpeg;
	struct jpeg_error_mgr errors;
	jmp_buf out;
	struct error *err;
	unsigned char *file; /* of libjpeg */
	unsigned long size;
};

__attribute__((noreturn)) static void on_error(j_common_ptr jpeg)
{
	char text[JMSG_LENGTH_MAX];
	struct writing *w = jpeg->client_data;
	jpeg->err->format_message(jpeg, text);
	error_set(w->err, SUMI_NOMEM, "JPEG: %s", text);
	longjmp(w->out, 1);
}

/* A segment of an application: its name with the NUL behind, and what it holds. */
struct segment {
	const char *name;
	size_t name_size;
	const void *data;
	size_t size;
};

static bool fits(const struct segment *s)
{
	return s->name_size + s->size <= SEGMENT_MAX;
}

/* Within setjmp. */
static void put_segment(struct writing *w, const struct segment *s)
{
	const unsigned char *p = s->data;
	if (!s->size)
		return;
	jpeg_write_m_header(&w->jpeg, EXIF_MARKER, (unsigned)(s->name_size + s->size));
	for (size_t i = 0; i < s->name_size; i++)
		jpeg_write_m_byte(&w->jpeg, (unsigned char)s->name[i]);
	for (size_t i = 0; i < s->size; i++)
		jpeg_write_m_byte(&w->jpeg, p[i]);
}

static int write_file(struct writing *w, const uint8_t *rgb, int width, int height, int quality,
		      const struct segment *segments, size_t count)
{
	struct jpeg_compress_struct *jpeg = &w->jpeg;
	if (setjmp(w->out))
		return w->err->status;
	jpeg_create_compress(jpeg);
	jpeg_mem_dest(jpeg, &w->file, &w->size);
	jpeg->image_width = (JDIMENSION)width;
	jpeg->image_height = (JDIMENSION)height;
	jpeg->input_components = 3;
	jpeg->in_color_space = JCS_RGB;
	jpeg_set_defaults(jpeg);
	jpeg_set_quality(jpeg, quality, TRUE);
	jpeg->dct_method = JDCT_ISLOW;
	jpeg->optimize_coding = TRUE;
	int sampling = quality >= FULL_COLOUR ? 1 : 2;
	jpeg->comp_info[0].h_samp_factor = jpeg->comp_info[0].v_samp_factor = sampling;
	jpeg_start_compress(jpeg, TRUE);
	for (size_t i = 0; i < count; i++)
		put_segment(w, &segments[i]);
	while (jpeg->next_scanline < jpeg->image_height) {
		JSAMPROW row = (JSAMPROW)(uintptr_t)(rgb + (size_t)jpeg->next_scanline * (size_t)width * 3);
		jpeg_write_scanlines(jpeg, &row, 1);
	}
	jpeg_finish_compress(jpeg);
	return SUMI_OK;
}

/* An XMP packet with both texts or, where that is too large for a segment, with sumi's own alone. */
static int make_xmp(const struct metadata *meta, char **xmp, struct segment *s, struct error *err)
{
	struct metadata own = {.json = meta->json};
	int status = xmp_write(meta, xmp, &s->size, err);
	s->data = *xmp;
	if (status || fits(s))
		return status;
	free(*xmp);
	status = xmp_write(&own, xmp, &s->size, err);
	s->data = *xmp;
	if (status || fits(s))
		return status;
	return error_set(err, SUMI_TOOBIG,
			 "JPEG: what is to be said of the picture takes %zu bytes, a JPEG has room for %d: take "
			 "WebP or PNG",
			 s->size, (int)SEGMENT_MAX);
}

int jpeg_encode(const uint8_t *rgb, int width, int height, int quality, const struct metadata *meta,
		uint8_t **data, size_t *size, struct error *err)
{
	struct segment segments[] = {{.name = "Exif\0", .name_size = 6},
				     {.name = "http://ns.adobe.com/xap/1.0/", .name_size = 29}};
	struct writing w = {.err = err};
	unsigned char *exif = NULL;
	char *xmp = NULL;
	int status = SUMI_OK;
	*data = NULL;
	w.jpeg.err = jpeg_std_error(&w.errors);
	w.jpeg.client_data = &w;
	w.errors.error_exit = on_error;
	if (meta && (meta->infotext || meta->json)) {
		status = exif_write(meta, &exif, &segments[0].size, err);
		segments[0].data = exif;
		if (!fits(&segments[0]))
			segments[0].size = 0; /* it stands in the other one */
		if (!status)
			status = make_xmp(meta, &xmp, &segments[1], err);
	}
	if (!status)
		status = write_file(&w, rgb, width, height, quality, segments, 2);
	jpeg_destroy_compress(&w.jpeg);
	if (!status && !(*data = malloc(w.size)))
		status = error_set(err, SUMI_NOMEM, "JPEG: no memory for %lu bytes", w.size);
	if (!status) {
		memcpy(*data, w.file, w.size);
		*size = w.size;
	}
	free(w.file);
	free(exif);
	free(xmp);
	return status;
}
