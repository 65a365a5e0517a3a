/* Models that are shown more than their latents, out of one that is not. */
#ifndef SUMI_TESTS_WIDER_UNET_H
#define SUMI_TESTS_WIDER_UNET_H

/* Writes root/unet: sd1-tiny's, whose first convolution takes so many channels, the weights of its own
 * ones again and again. */
void wider_unet(const char *root, int in);

/* A whole pack: that UNet, and links to the rest of sd1-tiny. */
void wider_pack(const char *root, int in);

#endif
