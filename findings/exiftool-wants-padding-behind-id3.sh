#!/bin/sh
# exiftool 12.57 (Debian 12): an ID3v2.4 tag whose last frame has 128 bytes or more is called damaged where no padding follows.
#
# The frame's size is a whole one of seven bits a byte, the tag ends where the frame ends, as the format allows ("padding" is
# optional), and other readers say nothing. exiftool looks for the head of another frame behind it, to tell such sizes from
# those that iTunes wrote as plain numbers, and warns "Invalid ID3 frame size" where ten more bytes do not fit into the tag.
# The text is read all the same. Programs that take a warning for damage (-validate, -if '$Warning') count such files.
#
# Seen: no warning for 127 bytes; a warning for 128; none for 128 with ten zeros behind them; the text is read in all three.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
(cd "$dir" && apt-get download libimage-exiftool-perl=12.57+dfsg-1 >log 2>&1 && dpkg -x ./*.deb root) || {
	echo "skip: apt-get does not download libimage-exiftool-perl 12.57 here"
	exit 0
}
cat >"$dir/make.py" <<'P'
import sys

frame_of_silence = b"\xff\xfb\x90\x00" + bytes(413)  # MPEG 1 layer III, 128 kbit/s, 44.1 kHz


def size(n):
    return bytes((n >> 21 & 127, n >> 14 & 127, n >> 7 & 127, n & 127))


for name, length, padding in (("short", 127, 0), ("long", 128, 0), ("padded", 128, 10)):
    body = b"\x03" + b"KEY\0" + b"x" * (length - 5)
    frame = b"TXXX" + size(len(body)) + b"\0\0" + body + bytes(padding)
    with open(f"{sys.argv[1]}/{name}.mp3", "wb") as f:
        f.write(b"ID3\4\0\0" + size(len(frame)) + frame + frame_of_silence * 4)
P
python3 "$dir/make.py" "$dir"
right=0
for name in short long padded; do
	said=$(PERL5LIB=$dir/root/usr/share/perl5 perl "$dir/root/usr/bin/exiftool" -s -Warning -UserDefinedText "$dir/$name.mp3" | cut -c1-60)
	echo "$name:"
	echo "$said"
	case $name/$said in
	long/*"Invalid ID3 frame size"*"(KEY) xxx"*) ;;
	long/* | */*Warning*) right=1 ;;
	*"(KEY) xxx"*) ;;
	*) right=1 ;;
	esac
done
exit $right
