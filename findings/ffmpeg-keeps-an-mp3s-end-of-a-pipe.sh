#!/bin/sh
# ffmpeg 4.2.2 (imageio-ffmpeg 0.5.1; Debian 12's 5.1 too): the same MP3 is longer when it comes through a pipe than when it is opened.
#
# MP3 adds silence before and after the sound; LAME's frame at the front of a file says how much of it a player takes off. From a
# pipe ffmpeg takes off what stands before and keeps most of what stands after: some hundred samples of silence, another number
# for another length. Who compares a clip's length with what was asked for, or joins or loops clips that were piped in, is off by
# a hundredth of a second, and gets it right with the file's path. ffmpeg 7.0.2 (imageio-ffmpeg 0.6.0) takes off both.
#
# Seen: of 0.7, 1.3 and 2 seconds at 44,100 Hz (30,870, 57,330 and 88,200 samples) 4.2.2 makes 31,151, 57,647 and 88,751 from a
# pipe and the right number from the path; 7.0.2 makes the right number from both.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for version in 0.5.1 0.6.0; do
	python3 -m pip install -q --target "$dir/$version" "imageio-ffmpeg==$version" >"$dir/log" 2>&1 || {
		echo "skip: pip does not install imageio-ffmpeg $version here"
		exit 0
	}
done
right=0
length() { echo $(($(wc -c) / 2)); }
try() { # version, seconds, samples of the file, of the pipe
	ffmpeg=$(echo "$dir/$1"/imageio_ffmpeg/binaries/ffmpeg*)
	"$ffmpeg" -v error -y -f lavfi -i "sine=frequency=440:sample_rate=44100:duration=$2" -c:a libmp3lame -b:a 128k "$dir/a.mp3"
	file=$("$ffmpeg" -v error -i "$dir/a.mp3" -f s16le - | length)
	pipe=$(cat "$dir/a.mp3" | "$ffmpeg" -v error -i - -f s16le - | length)
	echo "$("$ffmpeg" -version | cut -d' ' -f3 | head -1), $2 s: $file samples of the file, $pipe of the pipe"
	[ "$file $pipe" = "$3 $4" ] || right=1
}
try 0.5.1 0.7 30870 31151
try 0.5.1 1.3 57330 57647
try 0.5.1 2 88200 88751
try 0.6.0 0.7 30870 30870
try 0.6.0 1.3 57330 57330
try 0.6.0 2 88200 88200
exit $right
