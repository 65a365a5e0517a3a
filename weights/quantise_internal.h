/* What the files that round to blocks share: one block of numbers each, in the format of its name. */
#ifndef SUMI_WEIGHTS_QUANTISE_INTERNAL_H
#define SUMI_WEIGHTS_QUANTISE_INTERNAL_H

void quantise_q2_k(const float *x, unsigned char *out);
void quantise_q3_k(const float *x, unsigned char *out);
void quantise_q4_k(const float *x, unsigned char *out);
void quantise_q5_k(const float *x, unsigned char *out);
void quantise_q6_k(const float *x, unsigned char *out);

#endif
