/* The opened models of a pack, for run.c; and its parts, for those that read or open packs. */
#ifndef SUMI_DIFFUSION_PACK_INTERNAL_H
#define SUMI_DIFFUSION_PACK_INTERNAL_H

#include "diffusion/family.h"
#include "diffusion/pack.h"
#include "diffusion/sampler.h"

/* The usual one, and the distilled one, which is loaded when it is first asked for. */
enum { PACK_DENOISERS = 2 };

struct pack_denoiser {
	struct denoiser *open; /* NULL: not on the device */
	int users;             /* runs */
};

/* A network that sees pictures, kept from run to run. */
struct pack_control {
	struct control *open; /* NULL: none */
	char path[FILES_PATH_MAX];
	uint64_t stamp; /* of its files */
	uint64_t turn;  /* when it was last taken */
	int users;      /* runs */
};

enum { PACK_CONTROLS = 16 };

struct pack {
	struct pack_info info;
	struct adapters *adapters; /* NULL: none */
	struct device *device; /* borrowed */
	struct sampler_config scheduler;
	struct conditioner *conditioner;
	struct conditioner_shape texts; /* that it makes */
	struct pack_denoiser denoisers[PACK_DENOISERS];
	struct codec *codec;
	struct pack_control controls[PACK_CONTROLS];
	uint64_t control_turn;
	uint64_t bytes[PART_USES]; /* of weights in the files, by who opens them */
	bool in_blocks;            /* the denoiser: pack_parts_in_blocks() */
};

/* File names of the diffusers layout. */
#define UNET_FILE "diffusion_pytorch_model.safetensors" /* the VAE's and the adapter's too */
#define SCHEDULER_FILE "scheduler_config.json"

/* What its samplers are told, by the file alone; config as for sampler_config_read(). */
int pack_scheduler_read(const struct pack_info *info, struct sampler_config *config,
			struct error *err);

/* Opens every part that comes with the pack, into pack. */
int pack_parts_open(struct pack *pack, struct error *err);

/* Bytes of weights that this loads. */
uint64_t pack_parts_bytes(const struct pack_info *info);

/* The same by who opens them, with a distilled denoiser's. */
void pack_parts_weigh(const struct pack_info *info, uint64_t bytes[PART_USES]);

/* Whether the denoiser stands in blocks, more than a quarter of its numbers (convolutions hardly ever do): who
 * has it so is short of memory. */
bool pack_parts_in_blocks(const struct pack_info *info);

/* SUMI_NOTFOUND with all that is missing, for half a pack; files are looked for, not read. The
 * fast UNet's folder is only known when all of the info was read. */
int pack_parts_check(const struct pack_info *info, struct error *err);
int pack_parts_check_fast(const struct pack_info *info, struct error *err);
int pack_check_whole(const char *folder, struct error *err);

/* What one part needs must be what the other gives. */
int pack_check_denoiser(const struct pack *pack, const struct denoiser *denoiser,
			struct error *err);

/* ---- pack_room.c ---- */

/* Whether the device holds all that comes with the pack, and `more` bytes beside it. */
bool pack_holds_all(const struct pack *pack, uint64_t more);

/* For the conditioner, with the pack: its encoders are about to come. */
void pack_make_room_for_texts(void *pack);

/* What the denoiser of a run is, the usual or the distilled one, by its configs where it is not
 * loaded. SUMI_INVALID where there is no distilled one. */
int pack_denoiser_spec(struct pack *pack, bool fast, struct denoiser_spec *out, struct error *err);

/* That denoiser, loaded now if need be, until it is given back. step: bytes that a step will take;
 * where the device does not hold them beside everything, encoders and a denoiser that nobody uses
 * leave it first. */
int pack_denoiser_take(struct pack *pack, bool fast, uint64_t step, struct denoiser **out,
		       struct error *err);
void pack_denoiser_give(struct pack *pack, const struct denoiser *denoiser); /* NULL is fine */

/* ---- pack_controls.c ---- */

/* The network of a path (and of an IP-Adapter its encoder's, or NULL), loaded now if need be, until it is given
 * back. */
int pack_control_take(struct pack *pack, const char *path, const char *encoder, struct control **out,
		      struct error *err);
void pack_control_give(struct pack *pack, const struct control *control); /* NULL is fine */

bool pack_has_control(const struct pack *pack, const char *path, const char *encoder);

/* Those that nobody uses leave the device. */
void pack_controls_close_idle(struct pack *pack);

/* Bytes of the weights of those that are open. */
uint64_t pack_controls_bytes(const struct pack *pack);

/* The folder that it is in. */
const char *pack_denoiser_part(const struct pack_info *info, bool fast);

/* Folders in which other programs (ComfyUI, AUTOMATIC1111) keep models below the one for all kinds, to NULL. */
extern const char *const pack_model_folders[];

/* Whether a pack is one file, not a folder. */
bool pack_is_file(const struct pack_info *info);

/* Whether a field of sumi.json of this name says where a part lies. */
bool pack_part_named(const char *name);

/* Writes info->unread. */
void pack_note_unread(struct pack_info *info);

/* The path of what a field of sumi.json names: a file or folder below the folder that the pack lies
 * in, and nowhere else. SUMI_INVALID where there is none. */
int pack_beside(const struct pack_info *info, const char *field, const char *name,
		char out[FILES_PATH_MAX], struct error *err);

#endif
