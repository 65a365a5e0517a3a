/* Draws landscapes, column after column of the picture: along the ground under a column from the
 * near to the far, each place covers what of the column is still free below its own height. */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "media/landscape.h"

enum { FINE = 2 }; /* pixels of a column are drawn so many times as fine, and averaged */

/* In widths of the landscape: where the camera stands and how long its lens is. */
static const double DISTANCE = 1.75, ABOVE = 1.15, LENS = 1.2, BELOW = 0.07, STEP = 0.0025;
static const float EARTH[3] = {74, 62, 54}, ZENITH[3] = {52, 60, 74}, HORIZON[3] = {126, 134, 146};

struct view {
	const struct landscape *l;
	double eye[2], ahead[2]; /* on the ground; the middle of the landscape is 0, 0 */
	double deep;             /* height / width */
	double lens, horizon;    /* pixels */
	int width, height;       /* finer ones */
};

struct place {
	double height; /* widths above the lowest */
	float rgb[3];
};

/* Between the four cells around; false outside. */
static bool look(const struct view *v, double x, double y, struct place *out)
{
	const struct landscape *l = v->l;
	double u = (x + 0.5) * l->width - 0.5, w = (y / v->deep + 0.5) * l->height - 0.5;
	if (!(u >= 0 && w >= 0 && u < l->width - 1 && w < l->height - 1))
		return false;
	size_t at = (size_t)w * (size_t)l->width + (size_t)u, row = (size_t)l->width;
	const size_t cells[4] = {at, at + 1, at + row, at + row + 1};
	double fx = u - floor(u), fy = w - floor(w);
	const double shares[4] = {(1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy};
	double h = 0, rgb[3] = {0};
	for (int i = 0; i < 4; i++) {
		h += shares[i] * (double)l->heights[cells[i]];
		for (int k = 0; k < 3; k++)
			rgb[k] += shares[i] * l->rgb[cells[i] * 3 + (size_t)k];
	}
	out->height = (h > l->sea_level ? h : l->sea_level) * l->relief;
	for (int k = 0; k < 3; k++)
		out->rgb[k] = (float)rgb[k];
	return true;
}

/* Rows of the picture from *free upwards to the one of a height at a distance. */
static void cover(const struct view *v, double height, double distance, const float rgb[3],
		  float *column, int *free)
{
	double row = v->horizon + (ABOVE - height) * v->lens / distance;
	int top = row < 0 ? 0 : row > v->height ? v->height : (int)row;
	for (; *free > top; --*free)
		for (int k = 0; k < 3; k++)
			column[(*free - 1) * 3 + k] = rgb[k];
}

static void draw_column(const struct view *v, int x, float *column)
{
	double side = (x + 0.5 - 0.5 * v->width) / v->lens, far = DISTANCE + 1.5;
	double dx = v->ahead[0] - v->ahead[1] * side, dy = v->ahead[1] + v->ahead[0] * side;
	int free = v->height;
	bool before = false;
	for (int i = 0; i < v->height; i++)
		for (int k = 0; k < 3; k++)
			column[i * 3 + k] =
			    ZENITH[k] + (HORIZON[k] - ZENITH[k]) * (float)i / (float)v->height;
	for (double t = DISTANCE - 1; t < far; t += STEP) {
		struct place p;
		if (!look(v, v->eye[0] + dx * t, v->eye[1] + dy * t, &p)) {
			if (before)
				break; /* beyond the far border there is nothing */
			continue;
		}
		if (!before) { /* the near border: what stands below it is the cut through the earth
				*/
			double low = v->horizon + (ABOVE + BELOW) * v->lens / t;
			free = low < v->height ? (int)low : v->height;
			cover(v, p.height, t, EARTH, column, &free);
			before = true;
		}
		cover(v, p.height, t, p.rgb, column, &free);
	}
}

int relief_draw(const struct landscape *l, double turn, int width, int height, uint8_t *rgb,
		struct error *err)
{
	struct view v = {.l = l, .width = width * FINE, .height = height * FINE};
	v.deep = (double)l->height / l->width;
	v.eye[0] = DISTANCE * sin(turn);
	v.eye[1] = DISTANCE * cos(turn);
	v.ahead[0] = -sin(turn);
	v.ahead[1] = -cos(turn);
	v.lens = LENS * v.width;
	v.horizon = 0.5 * v.height - (ABOVE - 0.25 * l->relief) * v.lens / DISTANCE;
	float *columns = malloc((size_t)v.height * 3 * FINE * sizeof *columns);
	if (!columns)
		return error_set(err, SUMI_NOMEM, "no memory for a picture of %dx%d", width,
				 height);
	for (int x = 0; x < width; x++) {
		for (int k = 0; k < FINE; k++)
			draw_column(&v, x * FINE + k, columns + (size_t)k * (size_t)v.height * 3);
		for (int y = 0; y < height; y++)
			for (int k = 0; k < 3; k++) {
				float sum = 0;
				for (int i = 0; i < FINE * FINE; i++)
					sum += columns[((size_t)(i / FINE) * (size_t)v.height +
							(size_t)(y * FINE + i % FINE)) *
							   3 +
						       (size_t)k];
				rgb[((size_t)y * (size_t)width + (size_t)x) * 3 + (size_t)k] =
				    (uint8_t)lrintf(sum / (FINE * FINE));
			}
	}
	free(columns);
	return SUMI_OK;
}
