/* Sound as a picture: what a pack's sumi.json says about its spectrograms, and the way there
 * and back. The fields and their defaults, which are Riffusion's, stand in
 * docs/packs-format.md. */
#ifndef SUMI_MODALITIES_SPECTROGRAM_H
#define SUMI_MODALITIES_SPECTROGRAM_H

#include "diffusion/pack.h"
#include "media/sound.h"

struct spectrogram {
	int rate, hop, window, n_fft;
	int bands;        /* rows of the picture */
	double low, high; /* Hz */
	bool slaney;      /* mel scale; else HTK's */
	bool area_norm;   /* of the mel filters */
	double power;     /* brightness = (amplitude / loudest)^power */
	double max_value; /* the amplitude of full brightness; 0: the clip's own loudest */
	bool black_is_loud, low_at_bottom;
	bool stereo;         /* left in the green channel, right in the blue one */
	bool both_in_red;    /* stereo: of pictures of sound; no sound is made of it */
	bool one_phase;      /* stereo: phases are found once for both channels */
	int window_columns;  /* what the model sees at once */
	int overlap_columns; /* of two neighbouring windows */
};

/* SUMI_INVALID with the file and the field for values that no sound can be made of. */
int spectrogram_read(const struct pack_info *info, struct spectrogram *s, struct error *err);

/* Where a clip's columns lie. A circle of columns may be a little longer or shorter than the
 * sound's: the picture then runs faster or slower. */
struct spectrogram_shape {
	int columns;   /* of the picture */
	int frames;    /* of the sound, from the first column on */
	size_t length; /* samples */
	bool circular;
};

/* picture [bands, columns, 3] in 0 … 1 → sound. The caller frees it by sound_free(). */
int spectrogram_to_sound(const struct spectrogram *s, const struct spectrogram_shape *shape,
			 const float *picture, struct sound *out, struct error *err);

/* sound, repeated until it is long enough → picture [bands, columns, 3] in 0 … 1. It must have
 * the spectrogram's rate and channels. */
int spectrogram_of_sound(const struct spectrogram *s, const struct spectrogram_shape *shape,
			 const struct sound *sound, float *picture, struct error *err);

#endif
