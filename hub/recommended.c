/* Models to begin with. docs/models.md has the same table; a test holds the two together. */
#include "hub/recommended.h"

#include <stddef.h>

const struct recommended recommended_models[] = {
    {"stable-diffusion-v1-5/stable-diffusion-v1-5", "pictures of 512x512; most add-ons fit it",
     "creativeml-openrail-m", 2.1},
    {"Lykon/dreamshaper-8", "the same, painterly, an all-rounder",
     "creativeml-openrail-m", 2.1},
    {"SG161222/Realistic_Vision_V5.1_noVAE", "the same, photographs",
     "creativeml-openrail-m", 4.3},
    {"Lykon/dreamshaper-8-lcm", "the same in four to eight steps",
     "creativeml-openrail-m", 4.3},
    {"SimianLuo/LCM_Dreamshaper_v7", "the same in two to eight steps",
     "mit", 4.3},
    {"stabilityai/sd-turbo", "pictures of 512x512 in one to four steps",
     "stability-ai-community", 2.6},
    {"stabilityai/stable-diffusion-xl-base-1.0", "pictures of 1024x1024",
     "openrail++", 6.9},
    {"Lykon/dreamshaper-xl-1-0", "the same, painterly, an all-rounder",
     "openrail++", 7.1},
    {"Lykon/dreamshaper-xl-turbo", "the same in four to eight steps",
     "openrail++", 6.9},
    {"stabilityai/sdxl-turbo", "pictures of 512x512 by the large model in one to four steps",
     "sai-nc-community", 6.9},
    {NULL, NULL, NULL, 0},
};
