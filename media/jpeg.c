/* JPEG through libjpeg-turbo. Its errors come as longjmp: everything that must be released on the
 * way out lives in a struct, where setjmp leaves it alone. */
#include "media/jpeg.h"

#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "media/exif.h"

enum {
	MEMORY_MAX = 512 << 20, /* of libjpeg: coefficients of a progressive picture */
	SCANS_MAX = 100,        /* of a progressive one: each is a walk over all of it */
	EXIF_MARKER = JPEG_APP0 + 1,
	MARKER_MAX = 0xFFFF
};

struct reading {
	struct jpeg_decompress_struct jpeg;
	struct jpeg_error_mgr errors;
	struct jpeg_progress_mgr progress;
	jmp_buf out;
	const char *where;
	struct error *err;
	int status;
	uint8_t *rgb, *line; /* line: of CMYK */
};

static const struct {
	int code, status;
} known_errors[] = {
    {JERR_OUT_OF_MEMORY, SUMI_NOMEM},
    {JERR_NO_BACKING_STORE, SUMI_TOOBIG},
    {JERR_SOF_UNSUPPORTED, SUMI_UNSUPPORTED},
    {JERR_BAD_PRECISION, SUMI_UNSUPPORTED},
    {JERR_ARITH_NOTIMPL, SUMI_UNSUPPORTED},
    {JERR_CONVERSION_NOTIMPL, SUMI_UNSUPPORTED},
};

__attribute__((noreturn)) static void give_up(struct reading *r, int status, const char *why)
{
	r->status = error_set(r->err, status, "%s: JPEG: %s", r->where, why);
	longjmp(r->out, 1);
}

__attribute__((noreturn)) static void on_error(j_common_ptr jpeg)
{
	char text[JMSG_LENGTH_MAX];
	int status = SUMI_CORRUPT;
	for (size_t i = 0; i < sizeof known_errors / sizeof known_errors[0]; i++)
		if (known_errors[i].code == jpeg->err->msg_code)
			status = known_errors[i].status;
	jpeg->err->format_message(jpeg, text);
	give_up(jpeg->client_data, status, text);
}

/* Warnings (level -1) of what libjpeg fills in by itself. */
static void on_message(j_common_ptr jpeg, int level)
{
	static const struct {
		int code;
		const char *why;
	} grave[] = {
	    {JWRN_JPEG_EOF, "the file is cut off"},
	    {JWRN_HIT_MARKER, "its data are cut off"},
	    {JWRN_HUFF_BAD_CODE, "its data are damaged"},
	    {JWRN_ARITH_BAD_CODE, "its data are damaged"},
	    {JWRN_MUST_RESYNC, "its data are damaged"},
	    {JWRN_BOGUS_PROGRESSION, "its scans contradict each other"},
	};
	for (size_t i = 0; level < 0 && i < sizeof grave / sizeof grave[0]; i++)
		if (grave[i].code == jpeg->err->msg_code)
			give_up(jpeg->client_data, SUMI_CORRUPT, grave[i].why);
}

static void on_progress(j_common_ptr jpeg)
{
	if (((j_decompress_ptr)jpeg)->input_scan_number > SCANS_MAX)
		give_up(jpeg->client_data, SUMI_TOOBIG, "has more than 100 scans");
}

/* A Huffman code has a bit at least, and a block of 8 x 8 one of them. */
static int check_amount(const struct reading *r, size_t size)
{
	enum { BLOCK = 64, BITS = 8 };
	uint64_t pixels = (uint64_t)r->jpeg.image_width * r->jpeg.image_height;
	if (r->jpeg.arith_code || pixels <= (uint64_t)size * BLOCK * BITS)
		return SUMI_OK;
	return error_set(r->err, SUMI_CORRUPT, "%s: JPEG: %zu bytes cannot hold %ux%u pixels",
			 r->where, size, r->jpeg.image_width, r->jpeg.image_height);
}

/* Up to where the picture's size is known. Within setjmp. */
static void read_header(struct reading *r, const void *data, size_t size)
{
	jpeg_create_decompress(&r->jpeg);
	r->jpeg.progress = &r->progress;
	r->progress.progress_monitor = on_progress;
	r->jpeg.mem->max_memory_to_use = MEMORY_MAX;
	jpeg_mem_src(&r->jpeg, data, size);
	jpeg_save_markers(&r->jpeg, EXIF_MARKER, MARKER_MAX);
	jpeg_read_header(&r->jpeg, TRUE);
	r->status =
	    picture_check_size(r->jpeg.image_width, r->jpeg.image_height, r->where, r->err);
	if (!r->status && r->jpeg.data_precision != 8)
		r->status = error_set(r->err, SUMI_UNSUPPORTED,
				      "%s: JPEG: has %d bits a sample, only 8 are read", r->where,
				      r->jpeg.data_precision);
	if (!r->status)
		r->status = check_amount(r, size);
}

static int orientation(const struct reading *r)
{
	for (jpeg_saved_marker_ptr m = r->jpeg.marker_list; m; m = m->next)
		if (m->marker == EXIF_MARKER && m->data_length > 6 &&
		    memcmp(m->data, "Exif\0\0", 6) == 0)
			return exif_orientation(m->data, m->data_length);
	return 1;
}

/* Ink to light. Adobe's programs write how much is left of the light, not of the ink. */
static void cmyk_line(const struct reading *r, uint8_t *out)
{
	int flip = r->jpeg.saw_Adobe_marker ? 0 : 255;
	for (size_t i = 0; i < r->jpeg.output_width; i++)
		for (size_t c = 0; c < 3; c++) {
			int light = r->line[4 * i + c] ^ flip, key = r->line[4 * i + 3] ^ flip;
			out[3 * i + c] = (uint8_t)((light * key + 127) / 255);
		}
}

/* Within setjmp, behind read_header(). */
static void read_pixels(struct reading *r)
{
	struct jpeg_decompress_struct *jpeg = &r->jpeg;
	bool cmyk = jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK;
	jpeg->out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
	jpeg->dct_method = JDCT_ISLOW;
	jpeg_start_decompress(jpeg);
	size_t row = (size_t)jpeg->output_width * 3;
	r->rgb = malloc(row * jpeg->output_height);
	r->line = malloc((size_t)jpeg->output_width * 4);
	if (!r->rgb || !r->line)
		give_up(r, SUMI_NOMEM, "no memory for its pixels");
	while (jpeg->output_scanline < jpeg->output_height) {
		uint8_t *out = r->rgb + row * jpeg->output_scanline;
		JSAMPROW to = cmyk ? r->line : out;
		jpeg_read_scanlines(jpeg, &to, 1);
		if (cmyk)
			cmyk_line(r, out);
	}
	jpeg_finish_decompress(jpeg);
}

static int read_file(const void *data, size_t size, bool pixels, struct reading *r)
{
	r->jpeg.err = jpeg_std_error(&r->errors);
	r->jpeg.client_data = r;
	r->errors.error_exit = on_error;
	r->errors.emit_message = on_message;
	if (setjmp(r->out) == 0) {
		read_header(r, data, size);
		if (!r->status && pixels)
			read_pixels(r);
	}
	return r->status;
}

static void release(struct reading *r)
{
	jpeg_destroy_decompress(&r->jpeg);
	free(r->line);
}

int jpeg_picture_info(const void *data, size_t size, const char *where, struct picture_info *info,
	      struct error *err)
{
	struct reading r = {.where = where, .err = err};
	int status = read_file(data, size, false, &r);
	if (!status)
		*info = (struct picture_info){.width = (int)r.jpeg.image_width,
					      .height = (int)r.jpeg.image_height,
					      .orientation = orientation(&r)};
	release(&r);
	return status;
}

int jpeg_decode(const void *data, size_t size, const char *where, uint8_t **rgb, int *width,
		int *height, struct error *err)
{
	struct reading r = {.where = where, .err = err};
	*rgb = NULL;
	int status = read_file(data, size, true, &r);
	if (status) {
		free(r.rgb);
	} else {
		*rgb = r.rgb;
		*width = (int)r.jpeg.output_width;
		*height = (int)r.jpeg.output_height;
	}
	release(&r);
	return status;
}
