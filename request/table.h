/* The table of parameters: what a job may say. A row is
 *
 *     X(name, type, concern, modalities, min, max, of, fallback, flags, group, infotext, help)
 *
 * and from it follow: the members of struct request and struct job, parsing and limits, canonical
 * JSON, docs/job.schema.json, the options of `sumi` with their help and completion, the digest of
 * a result, what is written into its metadata and read back. A new parameter is one row here and
 * the code that uses it. Rows stand in the order in which metadata have them.
 *
 *   type        how it is written and held: enum param_type
 *   concern     PICTURE: decides the bytes; QUEUE: when, where and how often; CLIENT: the sender's own
 *   modalities  who knows it: PARAM_ALL, PARAM_PACKS, PARAM_IMAGE | PARAM_VIDEO, …
 *   min, max    numbers: the range; texts: bytes; lists: entries
 *   of          of a choice: its words, with those who know each; of a list of objects:
 *               PARAM_MEMBERS() of a table of rows of its own, of which each says type, limits, words,
 *               fallback, flags and help; else NULL
 *   fallback    what it is when not given, as text; NULL: left open (the pack's, or none)
 *   flags       PARAM_SHAPE: jobs that are made together have it in common
 *               PARAM_UNWRITTEN: not in metadata under this name
 *               PARAM_ECHOED: metadata of others have it, so they may say what is so anyway
 *               PARAM_FILED: a model's name, to which its file's ending may be added
 *               PARAM_OTHERS: of a choice: other texts than its words too, of min to max bytes
 *               PARAM_NEEDED: of a member: no object is without it
               PARAM_COLON: of a member: in short forms its value may stand without its name, behind
               those of the rows before it and a ':'
 *   group       under which title the help shows it: enum param_group
 *   infotext    what A1111's text calls it; NULL: it does not stand there, or within another
 */
#ifndef SUMI_REQUEST_TABLE_H
#define SUMI_REQUEST_TABLE_H

#define PARAM_KIB 1024
#define PARAM_MEMBERS(table) NULL, .members = table
#define PARAM_LIST_MAX 64
#define REQUEST_FRAMES_MAX 64
#define REQUEST_DURATION_MIN 1.0 /* seconds */
#define REQUEST_DURATION_MAX 300.0
#define JOB_ID_MAX 64
#define JOB_MAX_TAGS 16
#define PARAM_ATTEMPTS_MAX 100

/* clang-format off */
#define PARAM_TABLE(X) \
X(id, ID, CLIENT, PARAM_ALL, 1, JOB_ID_MAX, NULL, NULL, 0, SENDER, NULL, \
  "the sender's own id; sending it twice makes one job; a ULID when not given") \
X(modality, WORD, PICTURE, PARAM_ALL, 0, 0, modality_words, NULL, 0, PROMPT, NULL, \
  "what is to be made; required") \
X(prompt, TEXT, PICTURE, PARAM_ALL, 1, 8 * PARAM_KIB, NULL, NULL, 0, PROMPT, NULL, \
  "what it shall show; required") \
X(negative_prompt, TEXT, PICTURE, PARAM_PACKS, 0, 8 * PARAM_KIB, NULL, NULL, PARAM_EMPTY, PROMPT, NULL, \
  "what it shall not show; some models tell an empty one from none") \
X(prompt_template, TEXT, PICTURE, PARAM_PACKS, 1, 8 * PARAM_KIB, NULL, NULL, 0, PROMPT, "Template", \
  "what the prompt was made of, for the record") \
X(negative_template, TEXT, PICTURE, PARAM_PACKS, 1, 8 * PARAM_KIB, NULL, NULL, 0, PROMPT, "Negative Template", \
  "the same of the negative prompt") \
X(style, TEXT, PICTURE, PARAM_PACKS, 1, 512, NULL, NULL, 0, PROMPT, NULL, \
  "names in styles.csv, separated by commas, whose words go around the prompts") \
X(literal, BOOL, PICTURE, PARAM_ALL, 0, 0, NULL, NULL, PARAM_UNWRITTEN, PROMPT, NULL, \
  "take {a|b} and __names__ in prompts as words, and no style") \
X(texts, OBJECT_LIST, PICTURE, PARAM_ALL, 0, 64, PARAM_MEMBERS(text_members), NULL, PARAM_UNWRITTEN, PROMPT, \
  NULL, "what the prompts become for each variant where something of them is drawn; made where the job is admitted") \
X(prompt_syntax, WORD, PICTURE, PARAM_PACKS, 0, 0, syntax_words, NULL, 0, PROMPT, "Prompt syntax", \
  "how weights and changes stand in prompts; the pack's when not given, else a1111; diffusers is none") \
X(model, NAME, PICTURE, PARAM_PACKS, 1, 128, NULL, NULL, PARAM_UNWRITTEN | PARAM_FILED, PROMPT, NULL, \
  "model pack; the worker's own when not given") \
X(loras, OBJECT_LIST, PICTURE, PARAM_PACKS, 0, 16, PARAM_MEMBERS(lora_members), NULL, PARAM_SHAPE, PROMPT, \
  NULL, "LoRAs and their kin by name; <lora:NAME:0.8> in the prompt is one more") \
X(seed, SEED, PICTURE, PARAM_ALL, -1, 0, NULL, "-1", 0, PROMPT, "Seed", \
  "0 to 2^64 - 1; -1 draws one and records it; variant k uses seed + k, and 0 follows the last") \
X(n, INT, QUEUE, PARAM_ALL, 1, 64, NULL, "1", 0, PROMPT, NULL, "variants") \
X(steps, INT, PICTURE, PARAM_PACKS, 1, 1000, NULL, NULL, PARAM_SHAPE, SAMPLING, "Steps", \
  "sampler steps") \
X(cfg_scale, NUMBER, PICTURE, PARAM_PACKS, 0, 100, NULL, NULL, 0, SAMPLING, "CFG scale", \
  "weight of the prompt; 1 is unguided") \
X(guidance_rescale, AMOUNT, PICTURE, PARAM_PACKS, 0, 1, NULL, NULL, 0, SAMPLING, NULL, \
  "against overexposure by high cfg_scale") \
X(guidance_start, AMOUNT, PICTURE, PARAM_PACKS, 0, 1, NULL, NULL, 0, SAMPLING, "Guidance interval", \
  "part of the run from which on it is guided; 0 when not given") \
X(guidance_end, AMOUNT, PICTURE, PARAM_PACKS, 0, 1, NULL, "1", 0, SAMPLING, NULL, \
  "part of the run up to which it is guided; 1 when not given or 0") \
X(deep_cache, INT, PICTURE, PARAM_IMAGE | PARAM_VIDEO, 1, 10, NULL, NULL, 0, SAMPLING, "DeepCache", \
  "every so many steps run the whole model, the others its top; 1 is off") \
X(deep_cache_level, INT, PICTURE, PARAM_IMAGE | PARAM_VIDEO, 1, 64, NULL, NULL, 0, SAMPLING, NULL, \
  "with deep_cache: skip connections of that top; 1 when not given") \
X(sampler, LABEL, PICTURE, PARAM_PACKS, 1, 64, NULL, NULL, 0, SAMPLING, "Sampler", \
  "sampler, such as euler or dpm++2m") \
X(scheduler, LABEL, PICTURE, PARAM_PACKS, 1, 64, NULL, NULL, 0, SAMPLING, "Schedule type", \
  "spacing of the steps, such as karras") \
X(rng, WORD, PICTURE, PARAM_PACKS, 0, 0, rng_words, NULL, 0, SAMPLING, "RNG", \
  "source of the noise") \
X(precision, WORD, PICTURE, PARAM_PACKS, 0, 0, precision_words, NULL, PARAM_SHAPE, SAMPLING, \
  "Precision", "how products are rounded; auto: by sumi.conf, the pack, the device") \
X(width, INT, PICTURE, PARAM_IMAGE | PARAM_VIDEO | PARAM_WORLD, 16, 8192, NULL, NULL, \
  PARAM_SHAPE | PARAM_ECHOED, FORM, "Size", "pixels") \
X(height, INT, PICTURE, PARAM_IMAGE | PARAM_VIDEO | PARAM_WORLD, 16, 8192, NULL, NULL, \
  PARAM_SHAPE | PARAM_ECHOED, FORM, NULL, "pixels") \
X(clip_skip, INT, PICTURE, PARAM_PACKS, 0, 11, NULL, NULL, 0, SAMPLING, "Clip skip", \
  "layers of the text encoder left out") \
X(eta, AMOUNT, PICTURE, PARAM_PACKS, 0, 1, NULL, NULL, 0, SAMPLING, NULL, \
  "noise added in each step of DDIM and TCD") \
X(fast, BOOL, PICTURE, PARAM_PACKS, 0, 0, NULL, NULL, PARAM_SHAPE, SAMPLING, NULL, \
  "use the pack's distilled model") \
X(format, WORD, PICTURE, PARAM_ALL, 0, 0, format_words, NULL, 0, FORM, NULL, "kind of file") \
X(quality, NUMBER, PICTURE, PARAM_ALL, 0, 100, NULL, NULL, 0, FORM, NULL, "of a lossy format") \
X(lossless, BOOL, PICTURE, PARAM_IMAGE | PARAM_VIDEO | PARAM_FILM, 0, 0, NULL, NULL, 0, FORM, NULL, \
  "exact pixels, in WebP and WebM") \
X(init, FILE, PICTURE, PARAM_PACKS, 1, 4096, NULL, NULL, 0, INIT, NULL, \
  "start from this file, result (its id, or ID-2) or SHA-256") \
X(controls, OBJECT_LIST, PICTURE, PARAM_IMAGE | PARAM_VIDEO, 0, 8, PARAM_MEMBERS(control_members), \
  NULL, PARAM_SHAPE, INIT, NULL, \
  "networks that follow pictures: canny:photo.jpg:0.8, depth:map.png,model=NAME, like:photo.jpg:0.6; " \
  "once for each") \
X(strength, NUMBER, PICTURE, PARAM_PACKS & ~PARAM_WORLD, 0, 1, NULL, NULL, 0, INIT, "Denoising strength", \
  "with init: how much is made anew") \
X(mask, FILE, PICTURE, PARAM_IMAGE, 1, 4096, NULL, NULL, 0, INIT, NULL, \
  "with init: a picture of its shape, white where it is made anew; the rest stays") \
X(mask_from, WORD, PICTURE, PARAM_IMAGE, 0, 0, mask_from_words, NULL, 0, INIT, NULL, \
  "what of it counts: light, alpha (transparent is made anew; init's own without mask), drawn (opaque)") \
X(mask_invert, BOOL, PICTURE, PARAM_IMAGE, 0, 0, NULL, NULL, 0, INIT, "Mask mode", \
  "white stays, black is made anew") \
X(mask_grow, INT, PICTURE, PARAM_IMAGE, -256, 256, NULL, NULL, 0, INIT, NULL, \
  "pixels by which the mask grows, negative: shrinks") \
X(mask_blur, NUMBER, PICTURE, PARAM_IMAGE, 0, 64, NULL, NULL, 0, INIT, "Mask blur", \
  "pixels by which its edge is softened; 4 with mask_blend a1111, else 0") \
X(mask_blend, WORD, PICTURE, PARAM_IMAGE, 0, 0, mask_blend_words, NULL, 0, INIT, "Mask blend", \
  "how the rest stays: a1111 (pasted back), comfy, diffusers, soft (greys are made anew in part)") \
X(mask_fill, WORD, PICTURE, PARAM_IMAGE, 0, 0, mask_fill_words, NULL, 0, INIT, "Masked content", \
  "what it begins with: original, fill (colours from around), noise, nothing") \
X(only_masked, BOOL, PICTURE, PARAM_IMAGE, 0, 0, NULL, NULL, 0, INIT, "Inpaint area", \
  "width x height are made of the mask's surroundings alone and pasted into init as it is") \
X(mask_padding, NUMBER, PICTURE, PARAM_IMAGE, 0, 1024, NULL, NULL, 0, INIT, "Masked area padding", \
  "with only_masked: pixels of init around the mask; 32 when not given") \
X(outpaint_left, INT, PICTURE, PARAM_IMAGE, 0, 4096, NULL, NULL, 0, INIT, NULL, \
  "pixels of the width that are made beside init, which is put into the rest") \
X(outpaint_right, INT, PICTURE, PARAM_IMAGE, 0, 4096, NULL, NULL, 0, INIT, NULL, "the same") \
X(outpaint_top, INT, PICTURE, PARAM_IMAGE, 0, 4096, NULL, NULL, 0, INIT, NULL, \
  "the same of the height") \
X(outpaint_bottom, INT, PICTURE, PARAM_IMAGE, 0, 4096, NULL, NULL, 0, INIT, NULL, "the same") \
X(hires, AMOUNT, PICTURE, PARAM_IMAGE, 1, 8, NULL, NULL, PARAM_SHAPE, FORM, "Hires upscale", \
  "a second pass makes the picture so many times as wide and high") \
X(hires_steps, INT, PICTURE, PARAM_IMAGE, 1, 1000, NULL, NULL, 0, SAMPLING, "Hires steps", \
  "steps of the second pass; as many as steps when not given") \
X(hires_strength, AMOUNT, PICTURE, PARAM_IMAGE, 0, 1, NULL, NULL, 0, SAMPLING, NULL, \
  "how much the second pass makes anew; 0.7 when not given") \
X(hires_upscaler, WORD, PICTURE, PARAM_IMAGE, 1, 128, hires_words, NULL, PARAM_OTHERS | PARAM_SHAPE, SAMPLING, \
  "Hires upscaler", "how latents, or with lanczos and nearest pixels, become larger; or an upscaler's name") \
X(tile, WORD, PICTURE, PARAM_IMAGE | PARAM_VIDEO | PARAM_WORLD, 0, 0, tile_words, NULL, PARAM_SHAPE, FORM, "Tiling", \
  "edges that fit together, as of textures: left and right (x), top and bottom (y), both") \
X(upscale, AMOUNT, PICTURE, PARAM_IMAGE | PARAM_VIDEO, 1, 16, NULL, NULL, PARAM_SHAPE, FORM, \
  "Postprocess upscale by", "a network makes what is finished so many times as wide and high") \
X(upscaler, TEXT, PICTURE, PARAM_IMAGE | PARAM_VIDEO, 1, 128, NULL, NULL, PARAM_SHAPE, FORM, \
  "Postprocess upscaler", "which network, by its file's name or A1111's; that of the settings, else the first there is, when not given") \
X(refiner, NAME, PICTURE, PARAM_IMAGE, 1, 128, NULL, NULL, PARAM_SHAPE | PARAM_FILED, PROMPT, "Refiner", \
  "model that makes the end of the run, such as SDXL's refiner") \
X(refiner_at, AMOUNT, PICTURE, PARAM_IMAGE, 0, 1, NULL, NULL, 0, SAMPLING, "Refiner switch at", \
  "part of the run after which the refiner goes on; 0.8 when not given") \
X(original_width, INT, PICTURE, PARAM_IMAGE, 1, 65536, NULL, NULL, 0, SAMPLING, NULL, \
  "what SDXL is told of the picture's size before it was cut; width when not given") \
X(original_height, INT, PICTURE, PARAM_IMAGE, 1, 65536, NULL, NULL, 0, SAMPLING, NULL, \
  "the same; height when not given") \
X(crop_left, INT, PICTURE, PARAM_IMAGE, 0, 65536, NULL, NULL, 0, SAMPLING, NULL, \
  "what SDXL is told of the pixels that were cut off; none when not given") \
X(crop_top, INT, PICTURE, PARAM_IMAGE, 0, 65536, NULL, NULL, 0, SAMPLING, NULL, "the same") \
X(target_width, INT, PICTURE, PARAM_IMAGE, 1, 65536, NULL, NULL, 0, SAMPLING, NULL, \
  "what SDXL is told of the size that is wanted; width when not given") \
X(target_height, INT, PICTURE, PARAM_IMAGE, 1, 65536, NULL, NULL, 0, SAMPLING, NULL, \
  "the same; height when not given") \
X(image_cfg_scale, AMOUNT, PICTURE, PARAM_IMAGE, 0, 100, NULL, NULL, 0, SAMPLING, \
  "Image CFG scale", "of models that change a picture: weight of init; 1.5 when not given") \
X(duration, AMOUNT, PICTURE, PARAM_AUDIO, REQUEST_DURATION_MIN, REQUEST_DURATION_MAX, NULL, NULL, \
  0, FORM, NULL, "audio: seconds") \
X(mood, NAME, PICTURE, PARAM_AUDIO, 1, 64, NULL, NULL, 0, PROMPT, NULL, \
  "audio: a row of the pack's table") \
X(travel, OBJECT_LIST, PICTURE, PARAM_VIDEO, 0, 32, PARAM_MEMBERS(travel_members), NULL, 0, PROMPT, "Travel", \
  "video: other texts on the way: 8:a forest; 24:the sea,seed=7; frames between two texts go over") \
X(frames, INT, PICTURE, PARAM_VIDEO, 2, REQUEST_FRAMES_MAX, NULL, NULL, 0, FORM, NULL, \
  "video: pictures") \
X(fps, INT, PICTURE, PARAM_VIDEO | PARAM_FILM, 1, 60, NULL, NULL, 0, FORM, NULL, \
  "video: pictures a second") \
X(loop, BOOL, PICTURE, PARAM_VIDEO | PARAM_AUDIO | PARAM_WORLD, 0, 0, NULL, NULL, 0, FORM, NULL, \
  "the end joins the beginning; of a landscape each edge the one across") \
X(reverse, BOOL, PICTURE, PARAM_VIDEO | PARAM_FILM, 0, 0, NULL, NULL, 0, FORM, NULL, \
  "video: backwards; film: its sound too") \
X(boomerang, BOOL, PICTURE, PARAM_VIDEO, 0, 0, NULL, NULL, 0, FORM, NULL, \
  "video: forwards, then backwards") \
X(loop_count, INT, PICTURE, PARAM_VIDEO | PARAM_FILM, 0, 65535, NULL, NULL, 0, FORM, NULL, \
  "video: how often a player shows it; 0: for ever") \
X(scenes, OBJECT_LIST, PICTURE, PARAM_FILM, 0, 64, PARAM_MEMBERS(scene_members), NULL, 0, INIT, NULL, \
  "film: what it is joined of, in order") \
X(music, OBJECT_LIST, PICTURE, PARAM_FILM, 0, 64, PARAM_MEMBERS(music_members), NULL, 0, INIT, NULL, \
  "film: clips that are heard one after the other") \
X(priority, RANK, QUEUE, PARAM_ALL, 0, 0, priority_words, "normal", 0, QUEUE, NULL, \
  "high goes first and may interrupt; batch waits for all others") \
X(not_before, TIME, QUEUE, PARAM_ALL, 0, 0, NULL, NULL, 0, QUEUE, NULL, "earliest start") \
X(deadline, TIME, QUEUE, PARAM_ALL, 0, 0, NULL, NULL, 0, QUEUE, NULL, \
  "fails when not done by then") \
X(window, WINDOW, QUEUE, PARAM_ALL, 1, 32, NULL, NULL, 0, QUEUE, NULL, \
  "time of day in which it runs; unfinished, it goes on the next day") \
X(tz, ZONE, QUEUE, PARAM_ALL, 1, SCHEDULE_ZONE_SIZE - 1, NULL, NULL, 0, QUEUE, NULL, \
  "time zone of window and every; the daemon's when not given") \
X(every, EVERY, QUEUE, PARAM_ALL, 1, 32, NULL, NULL, 0, QUEUE, NULL, \
  "again after a duration, or daily at a time") \
X(after, ID_LIST, QUEUE, PARAM_ALL, 1, PARAM_LIST_MAX, NULL, NULL, 0, QUEUE, NULL, \
  "waits for these jobs; fails when one of them does") \
X(max_attempts, INT, QUEUE, PARAM_ALL, 1, PARAM_ATTEMPTS_MAX, NULL, "3", 0, QUEUE, NULL, \
  "failures, and apart from them crashes, until it is put aside; sumi.conf's when not given") \
X(tags, TEXT_LIST, CLIENT, PARAM_ALL, 1, JOB_MAX_TAGS, NULL, NULL, 0, SENDER, NULL, \
  "words to find it by") \
X(notify, URL, CLIENT, PARAM_ALL, 8, 1024, NULL, NULL, 0, SENDER, NULL, \
  "http(s) URL that is told of the end") \
X(submitter, ID, CLIENT, PARAM_ALL, 1, JOB_ID_MAX, NULL, "anonymous", 0, SENDER, NULL, \
  "who sends it; senders of one priority take turns")
/* clang-format on */

#endif
