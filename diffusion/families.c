/* The table of families and of their parts. */
#include <stddef.h>

#include "diffusion/family.h"

/* ---- parts, each listed once ---- */

#define MODEL "diffusion_pytorch_model.safetensors"
#define TEXT_MODEL "model.safetensors"

static const struct part index_file = {.folder = ".", .files = {"model_index.json"}};
static const struct part unet = {"unet", {"config.json"}, MODEL, false, PART_DENOISER, false};
static const struct part unet_fast = {"unet_fast", {"config.json"}, MODEL, true, PART_DISTILLED, false};
static const struct part text_encoder = {
    "text_encoder", {"config.json"}, TEXT_MODEL, false, PART_TEXTS, false};
static const struct part tokenizer = {
    "tokenizer", {"vocab.json", "merges.txt"}, NULL, false, PART_READ, false};
static const struct part vae = {"vae", {"config.json"}, MODEL, false, PART_CODEC, false};
static const struct part scheduler = {
    "scheduler", {"scheduler_config.json"}, NULL, false, PART_NOISE, false};
static const struct part text_encoder_2 = {
    "text_encoder_2", {"config.json"}, TEXT_MODEL, false, PART_TEXTS, true};
static const struct part tokenizer_2 = {
    "tokenizer_2", {"vocab.json", "merges.txt"}, NULL, false, PART_READ, false};
static const struct part motion_adapter = {
    "motion_adapter", {"config.json"}, MODEL, true, PART_MOTION, false};

/* ---- families ---- */

static const char *const sd_classes[] = {
    "StableDiffusionPipeline",
    "StableDiffusionImg2ImgPipeline",
    "StableDiffusionInpaintPipeline",
    "StableDiffusionInstructPix2PixPipeline",
    "LatentConsistencyModelPipeline",
    "LatentConsistencyModelImg2ImgPipeline",
    "AnimateDiffPipeline",
    "RiffusionPipeline",
    NULL,
};

static const struct part *const sd_parts[] = {
    &index_file, &unet, &unet_fast,      &text_encoder, &tokenizer,
    &vae,        &scheduler, &motion_adapter, NULL,
};

static const char *const sdxl_classes[] = {
    "StableDiffusionXLPipeline",
    "StableDiffusionXLImg2ImgPipeline",
    "StableDiffusionXLInpaintPipeline",
    "StableDiffusionXLInstructPix2PixPipeline",
    NULL,
};

static const struct part *const sdxl_parts[] = {
    &index_file, &unet, &unet_fast,      &text_encoder,   &tokenizer, &vae,
    &scheduler,  &text_encoder_2, &tokenizer_2, NULL,
};

/* Its refiner has no first encoder, and goes by the same classes. */
static const struct part *const refiner_parts[] = {
    &index_file, &unet, &unet_fast, &vae, &scheduler, &text_encoder_2, &tokenizer_2, NULL,
};

static const struct family sd = {
    "Stable Diffusion", sd_classes, sd_parts, &conditioner_clip, &denoiser_unet, &codec_vae,
    STEPS_STABLE_DIFFUSION, 7.5, &preview_stable_diffusion,
};

static const struct family sdxl = {
    "Stable Diffusion XL", sdxl_classes, sdxl_parts, &conditioner_clip_pair, &denoiser_unet,
    &codec_vae, STEPS_STABLE_DIFFUSION_XL, 5, &preview_stable_diffusion_xl,
};

static const struct family refiner = {
    "its refiner", sdxl_classes, refiner_parts, &conditioner_clip_second, &denoiser_unet,
    &codec_vae, STEPS_STABLE_DIFFUSION_XL, 5, &preview_stable_diffusion_xl,
};

const struct family *const families[] = {&sd, &sdxl, &refiner, NULL};
