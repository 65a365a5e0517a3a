/* The pack sd1-tiny on the reference device, and what each forward pass of its UNet asks for.
 * counted_setup() and counted_teardown() are cmocka's fixtures of a group. */
#ifndef SUMI_TESTS_COUNTED_PACK_H
#define SUMI_TESTS_COUNTED_PACK_H

#include "diffusion/pack.h"
#include "networks/unet.h"

struct counted_pass {
	int batch;        /* latents in it */
	int convolutions; /* that were made until the next pass began */
};

enum { COUNTED_PASSES = 256 };

extern struct pack *pack;
extern struct unet *pack_unet; /* its UNet once more, to be asked by hand */
/* Since pass_count was last set to 0; at most COUNTED_PASSES of them. */
extern struct counted_pass passes[COUNTED_PASSES];
extern int pass_count;

int counted_setup(void **state);
int counted_teardown(void **state);

#endif
