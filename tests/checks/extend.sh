#!/bin/sh
# What one row brings, in a copy of the sources that has them. Another modality is one row of
# base/modality_table.h and one file in modalities/: its verb, its setting, its word and its files are
# there; what of the parameters and formats it knows is said in their rows. Another parameter is one row
# of request/table.h: its option, its limits, its place in metadata and infotext are there.
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

cp Makefile "$work"
for room in */; do
	case $room in
	build*/ | bench/ | docs/ | findings/ | models/ | packaging/ | systemd/ | tests/) ;;
	*) cp -r "$room" "$work" ;;
	esac
done
cp -r tests/vectors/sd1-tiny "$work/pack"
cd "$work" || exit 1

# The row, and the file: pictures under another name.
sed -i '/^X(AUDIO,/i X(SCENE, scene, "none", "PROMPT [options]", 1, "make a scene and save it") \\' base/modality_table.h
sed 's/image/scene/g; s/IMAGE/SCENE/g' modalities/image.c >modalities/scene.c
# A word of a parameter says who knows it.
sed -i 's/{"webp", PARAM_IMAGE/{"webp", PARAM_SCENE | PARAM_IMAGE/' request/param.c

# A list of objects, with its members, and a file.
sed -i '/^X(clip_skip,/i X(layers, OBJECT_LIST, PICTURE, PARAM_ALL, 0, 4, PARAM_MEMBERS(layer_members), NULL, 0, SAMPLING, "Layers", "what is laid over it") \\\nX(plate, FILE, PICTURE, PARAM_ALL, 1, 4096, NULL, NULL, 0, INIT, NULL, "what lies under it") \\' request/table.h
sed -i '/^static const struct param_word priority_words/i static const struct param layer_members[] = {\
	{.name = "name", .type = PARAM_NAME, .min = 1, .max = 64, .flags = PARAM_NEEDED, .help = "which"},\
	{.name = "scale", .type = PARAM_NUMBER, .min = -2, .max = 2, .fallback = "1", .help = "how much"},\
	{.name = "sheet", .type = PARAM_FILE, .min = 1, .max = 4096, .help = "drawn on what"},\
	{.name = NULL}};' request/param.c

make -j2 all OPT=-O0 >log 2>&1
say $? "a row and a file, and rows of parameters, build"
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

render() { # OPTIONS…
	$sumi render "fog" --model "$work/pack" --steps 2 --size 64x64 "$@" >log 2>&1
}
$sumi image --help >log 2>&1 && grep -q -- '--layers A,KEY=X;B *what is laid over it' log &&
	grep -q -- '--plate FILE|ID' log
say $? "a parameter is an option"
render --layers 'ink,scale=0.5; paper' -o laid.webp &&
	$sumi show laid.webp >log 2>&1 && grep -q 'Layers: "ink, scale=0.5; paper, scale=1.0"' log
say $? "it stands in the text of the file"
$sumi show laid.webp --json >log 2>&1 &&
	tr -d ' \n' <log | grep -q '"layers":\[{"name":"ink","scale":0.5},{"name":"paper","scale":1.0}\]'
say $? "and in its JSON"
render --layers 'ink,scale=5' -o no.webp
grep -q "field 'layers', entry 1: field 'scale' is 5, allowed are -2 to 2" log && [ ! -e no.webp ]
say $? "limits of members are held"
render --plate sha256:00 -o no.webp
grep -q "field 'plate': 'sha256:00' is no SHA-256" log
say $? "a file has a SHA-256, or a name"

# Files of whatever parameter go through the queue, and are kept with what was made from them.
mkdir -p sumi packs state && mv pack packs/pack
printf 'packs = %s/packs\nmodel_scene = pack\nreuse = 0\n' "$work" >sumi/sumi.conf
cp made.webp plate.webp
render --model "$work/packs/pack" --seed 3 -o sheet.webp
plate=$(sha256sum plate.webp | cut -c -64) sheet=$(sha256sum sheet.webp | cut -c -64)
build/bin/sumid >daemon.log 2>&1 &
daemon=$!
trap 'kill $daemon 2>/dev/null; wait $daemon 2>/dev/null; rm -rf "$work"' EXIT
for i in $(seq 100); do
	$sumi status >log 2>&1 && break
	sleep 0.1
done
scene() { # OPTIONS…
	$sumi scene "fog" --steps 2 --size 64x64 --seed 5 "$@" >log 2>&1
}
scene --plate plate.webp --layers 'ink,sheet=sheet.webp;paper' -o with.webp &&
	$sumi show with.webp --json >log 2>&1 && tr -d ' \n' <log >flat && grep -q "\"plate\":\"$plate\"" flat &&
	grep -q "\"sheet\":\"$sheet\"" flat
say $? "files of every parameter reach the worker, and metadata name them by SHA-256"
rm plate.webp sheet.webp
$sumi again with.webp -o once.webp >log 2>&1 && cmp -s with.webp once.webp
say $? "both are kept: the same is made again without them"
$sumi db check >log 2>&1
say $? "the store is whole"
rm "$(find state -name "$sheet.input")" && ! $sumi db check >log 2>&1 &&
	grep -q "$sheet.input: job .*: the file that it was made from is missing" log
say $? "and tells which file is not there any more"
scene --plate nowhere.png -o no.webp
grep -q 'plate: there is no file nowhere.png' log && scene --layers "ink,sheet=nowhere.png" -o no.webp
grep -q 'layers, entry 1, sheet: there is no file nowhere.png' log
say $? "a file that is not there is told with its parameter"
echo text >text.png
scene --layers "ink,sheet=text.png" -o no.webp
grep -q 'layers, entry 1, sheet: text.png' log
say $? "and so is one that is something else"
cp with.webp late.webp
scene --detach --not-before 2099-01-01 --plate with.webp --layers "ink,sheet=late.webp;x,sheet=made.webp" --id late
socket=$(find state -name '*.sock' | head -1)
used() { # the jobs that wait for a file
	echo $(redis-cli -s "$socket" SMEMBERS "{sumi}:uses:$(sha256sum "$1" | cut -c -64)" 2>log)
}
if [ -n "$socket" ] && command -v redis-cli >/dev/null; then
	both_say() { # WHAT: soon the answer for both files
		for i in $(seq 100); do
			[ "$(used late.webp) $(used made.webp)" = "$1 $1" ] && return 0
			sleep 0.1
		done
		return 1
	}
	both_say late
	say $? "a waiting job holds all its files in the queue"
	$sumi cancel late >log 2>&1 && both_say ""
	say $? "and lets go of them with its end"
else
	echo "skip files in the queue: no redis-cli here"
fi
exit $status
