#!/bin/sh
# What `make demo` shows: a daemon of its own, a few prompts in two languages, pictures in a
# folder. Nothing outside build/demo is touched.
# usage: tools/demo.sh   (BUILD=… for another build folder)
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build}
mkdir -p "$build/demo"
demo=$(cd "$build/demo" && pwd)
bin=$(cd "$build/bin" && pwd)
pictures=$demo/pictures

# A Unix socket's path may have 107 bytes: in a deep folder the queue lives elsewhere.
state=$demo/state
other_state=
if [ "$(printf %s "$state" | wc -c)" -gt 80 ]; then
	other_state=$(mktemp -d)
	state=$other_state
fi

if [ -f models/ink/model_index.json ]; then
	packs=$PWD/models model=ink
	# unet_fast is the same model in a few steps, when the pack has it.
	if [ -d models/ink/unet_fast ]; then manner=--fast; else manner=; fi
else
	packs=$PWD/tests/vectors model=sd1-tiny
	manner='--width 128 --height 128 --steps 8'
	echo "demo: no trained pack is in models/ yet: this uses a random one, so the pictures"
	echo "      are coloured noise. Everything else is as it will be."
fi

# The demo's own settings: what you have set up for yourself does not matter here.
for name in $(env | sed -n 's/^\(SUMI_[A-Z_]*\)=.*/\1/p'); do unset "$name"; done
export SUMI_CONFIG="$demo/sumi.conf" SUMI_CACHE_DIR="$demo/cache" PATH="$bin:$PATH"
cat >"$SUMI_CONFIG" <<END
# Written by tools/demo.sh
state_dir = $state
packs = $packs
model_image = $model
reserve = 16M
END

daemon='' gateway=''
stop() {
	trap '' INT TERM
	for process in $gateway $daemon; do
		kill "$process" 2>/dev/null || true
		wait "$process" 2>/dev/null || true
	done
	daemon='' gateway=''
	[ -z "$other_state" ] || rm -rf "$other_state"
}
trap stop EXIT
trap 'stop; echo; echo "demo: stopped"; exit 130' INT TERM

rm -rf "$state" "$pictures"
mkdir -p "$pictures"
# setsid: Ctrl-C reaches this script, which ends the daemon in its own time.
setsid sumid 2>"$demo/sumid.log" &
daemon=$!
echo "demo: sumid runs in $demo (its log: $demo/sumid.log)"
tries=0
until sumi status >/dev/null 2>&1; do
	tries=$((tries + 1))
	if ! kill -0 "$daemon" 2>/dev/null || [ $tries -gt 600 ]; then
		echo "demo: sumid did not start; the end of its log:" >&2
		tail -5 "$demo/sumid.log" >&2
		exit 1
	fi
	sleep 0.1
done

jobs=
queue() { # file, variants, prompt, modality, options
	# shellcheck disable=SC2086 # options are several words
	id=$(sumi "$4" "$3" -n "$2" --seed 7 $5 --detach)
	jobs="$jobs $1=$id"
	echo "queued  $3$([ "$2" -eq 1 ] || echo "  ($2 variants)")"
}
# Four times as wide and high by the upscaler of the box, which such jobs take by themselves.
large=
if [ -f models/upscalers/ink-upscale.safetensors ]; then large='--upscale 4'; fi
picture() { queue "$1.webp" "$2" "$3" image "$manner $large"; }
picture mountains 5 "watercolour mountains in fog"
picture docks 1 "космический порт в туманности, одинокий корабль у доков"
picture city 1 "neon city at night in the rain"
picture tree 1 "одинокое дерево в поле, тушь"
picture lighthouse 1 "pencil drawing of a lighthouse at dawn"
picture apple 1 "an apple on an easel, oil painting"
# What else is in the box. Where a pack is missing, so is its part of the demo.
if [ -f models/ink-motion/model_index.json ]; then
	queue ink.webp 1 "an ink drop in a glass of water, watercolour" video ""
fi
if [ -f models/ink-music/model_index.json ]; then
	queue piano.ogg 1 "calm piano" audio ""
fi
echo

for job in $jobs; do
	if [ -t 2 ]; then
		sumi watch "${job#*=}" >/dev/null
	else
		sumi wait --quiet "${job#*=}"
	fi
	sumi fetch "${job#*=}" -o "$pictures/${job%%=*}"
done

echo
echo "Each file knows how it was made. With the daemon running, this makes the same bytes again:"
echo "  sumi again FILE"

# The page: for this machine alone, at a port that is free, with a key in the part of the link that no server sees.
key=$(sumi keys add demo --scope admin --quiet)
: >"$demo/gateway.log" # it is looked into before the gateway has opened it
setsid sumi-gateway --listen 127.0.0.1:0 2>"$demo/gateway.log" &
gateway=$!
tries=0 address=
while [ -z "$address" ] && [ $tries -lt 100 ] && kill -0 "$gateway" 2>/dev/null; do
	address=$(sed -n 's|.*listening at="\(http://[^"]*\)".*|\1|p' "$demo/gateway.log")
	[ -n "$address" ] || sleep 0.1
	tries=$((tries + 1))
done
if [ -z "$address" ]; then
	echo "demo: sumi-gateway did not start; the end of its log:" >&2
	tail -5 "$demo/gateway.log" >&2
	exit 1
fi
echo
echo "The pictures and a prompt box in your browser:"
echo "  $address#key=$key"
if [ -t 0 ] && [ -t 1 ]; then
	echo "It is there until you press Enter."
	read -r _ || true
else
	echo "(Run on a terminal it stays until you press Enter; now it is gone again.)"
fi
