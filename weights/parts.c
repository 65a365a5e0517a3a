#include "weights/parts.h"

#include <string.h>

const struct file_part file_parts[] = {
    {"unet", COMPONENT_UNET, 0, NULL, NULL},
    {"vae", COMPONENT_VAE, 0, NULL, NULL},
    {"vae", COMPONENT_TINY_VAE, 0, NULL, NULL},
    {"text_encoder", COMPONENT_TEXT, 0, "CLIPTextModel", "tokenizer"},
    {"text_encoder_2", COMPONENT_TEXT, 1, "CLIPTextModelWithProjection", "tokenizer_2"},
    {"controlnet", COMPONENT_CONTROL_NET, 0, NULL, NULL},
    {"t2i_adapter", COMPONENT_T2I_ADAPTER, 0, NULL, NULL},
    {"ip_adapter", COMPONENT_IP_ADAPTER, 0, NULL, NULL},
    {"image_encoder", COMPONENT_IMAGE, 0, NULL, NULL},
    {NULL, COMPONENT_UNET, 0, NULL, NULL},
};

const struct file_part *file_part_at(enum component_kind kind, int place)
{
	const struct file_part *last = NULL;
	for (const struct file_part *p = file_parts; p->name; p++)
		if (p->kind == kind && p->place <= place)
			last = p;
	return last;
}

const struct file_part *file_part_named(const char *name)
{
	for (const struct file_part *p = file_parts; p->name; p++)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}
