#!/bin/sh
# Another modality is one file in modalities/ and one row of base/modality_table.h: a copy of the
# sources with a fourth one builds, and its verb, its setting, its place in the schema of jobs and its
# files are there. What of the parameters and formats it knows is said in their rows.
set -u
cd "$(dirname "$0")/../.." || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset MAKEFLAGS MAKELEVEL
export SUMI_STATE_DIR="$work/state" SUMI_WEIGHT_CACHE=0 XDG_CONFIG_HOME="$work" XDG_CACHE_HOME="$work/cache"
status=0

say() { # CONDITION'S STATUS, NAME
	if [ "$1" = 0 ]; then
		echo "ok $2"
	else
		echo "not ok $2"
		sed 's/^/    /' "$work/log" | tail -20
		status=1
	fi
}

cp -r Makefile base request media backends weights networks diffusion modalities queue storage daemon cli tools "$work"
cp -r tests/vectors/sd1-tiny "$work/pack"
cd "$work" || exit 1

# The row, and the file: pictures under another name.
sed -i '/^X(AUDIO,/i X(SCENE, scene, "none", "PROMPT [options]", 1, "make a scene and save it") \\' base/modality_table.h
sed 's/image/scene/g; s/IMAGE/SCENE/g' modalities/image.c >modalities/scene.c
# A word of a parameter says who knows it.
sed -i 's/{"webp", PARAM_IMAGE/{"webp", PARAM_SCENE | PARAM_IMAGE/' request/param.c

make -j2 all OPT=-O0 >log 2>&1
say $? "one row and one file build"
sumi=build/bin/sumi
$sumi --help >log 2>&1 && grep -q '^  scene  *make a scene and save it$' log
say $? "the verb is in the help"
$sumi scene --help >log 2>&1 && grep -q -- '--format webp ' log && ! grep -q -- '--frames' log
say $? "its help has what belongs to it, and not what belongs to others"
build/bin/sumid --help >log 2>&1 && grep -q '^  model_scene  *the model of scene jobs' log
say $? "the daemon has its setting"
$sumi list --modality scenery >log 2>&1
grep -q 'image, video, scene, audio' log
say $? "its word stands beside the others"
echo '{"modality": "scene"}' >pack/sumi.json
$sumi render "fog" --model "$work/pack" --steps 2 --size 64x64 -o made.webp >log 2>&1 && [ -s made.webp ] &&
	$sumi show made.webp >log 2>&1 && grep -q 'scene' log
say $? "it makes a file that knows what it is"
$sumi render "fog" --model "$work/pack" --frames 4 -o no.webp >log 2>&1
grep -q "'frames' is for video, not for scene" log
say $? "what it does not know is refused"
exit $status
