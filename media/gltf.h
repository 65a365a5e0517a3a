/* Numbers of the binary glTF container, for who writes it and who reads it. */
#ifndef SUMI_MEDIA_GLTF_H
#define SUMI_MEDIA_GLTF_H

enum {
	GLTF_MAGIC = 0x46546C67, /* "glTF" */
	GLTF_VERSION = 2,
	GLTF_JSON_CHUNK = 0x4E4F534A,
	GLTF_BIN_CHUNK = 0x004E4942,
	GLTF_VERTEX_BYTES = 12 /* of a position: three floats */
};

#endif
