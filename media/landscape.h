/* A landscape: heights and what they look like from above. Written as glTF 2.0 and drawn as a
 * picture, without a device. Same input, same bytes. */
#ifndef SUMI_MEDIA_LANDSCAPE_H
#define SUMI_MEDIA_LANDSCAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "media/metadata.h"

struct landscape {
	int width, height;    /* cells, 2 or more each */
	const float *heights; /* [height, width], 0…1 */
	const uint8_t *rgb;   /* [height, width, 3]: rows run from north to south */
	double relief;        /* how high 1 stands, in widths of the landscape */
	double sea_level;     /* heights up to here lie under water; below 0: there is none */
	bool joined_x, joined_y; /* it goes on beside itself: the last column is the first one's neighbour */
};

/* A glTF 2.0 binary: a mesh of one vertex a cell with normals, its colours as a texture, coarser
 * meshes of the same vertices by MSFT_lod, water as a plane with a material of its own. A cell is a
 * metre wide, y is up, north is -z. Where it is joined, the first row or column stands once more at the
 * other end, so that copies beside each other meet. meta's texts stand in asset.extras. The caller frees
 * *data. SUMI_TOOBIG where the file would pass glTF's 4 GiB. */
int gltf_encode(const struct landscape *l, const struct metadata *meta, uint8_t **data,
		size_t *size, struct error *err);

/* Adds what stands in such a file's asset.extras. SUMI_CORRUPT. */
int gltf_read_texts(const void *data, size_t size, const char *where, struct file_texts *texts,
		    struct error *err);

/* The landscape in a file of gltf_encode(): its finest mesh's heights and its texture, a pixel a cell.
 * SUMI_CORRUPT for anything else. */
struct landscape_read {
	struct landscape land; /* its arrays are these: */
	float *heights;
	uint8_t *rgb;
};
int gltf_read_landscape(const void *data, size_t size, const char *where, struct landscape_read *out,
			struct error *err);
void landscape_read_free(struct landscape_read *l);

/* Draws it into rgb [height, width, 3], seen from a place that goes around it: turn 0 is south, and
 * a whole turn is 2·pi. Columns are drawn from the near to the far, as in Comanche (NovaLogic,
 * 1992). */
int relief_draw(const struct landscape *l, double turn, int width, int height, uint8_t *rgb,
		struct error *err);

#endif
