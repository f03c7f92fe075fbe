package wholefile

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
)

// firstBoxes are what an MP4 or a QuickTime movie begins with; "ftyp" did not always exist.
var firstBoxes = []string{"ftyp", "moov", "mdat", "wide", "free", "skip", "pnot"}

// topBoxes are the boxes of an MP4's top level.
var topBoxes = append([]string{
	"moof", "mfra", "meta", "meco", "styp", "sidx", "ssix", "prft", "emsg", "pdin", "uuid", "udta", "PICT", "imda",
}, firstBoxes...)

// imageBrands are those of still images in the same container, which have no "moov".
var imageBrands = []string{"heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1", "miaf", "avif", "avis"}

// boxes walks the top-level boxes of an MP4 (ISO/IEC 14496-12, 4.2) without keeping them, so that a file that ended
// early is noticed although nobody said how long it is. A file that does not begin like an MP4 is not looked at.
type boxes struct {
	head  [16]byte // the header of the next box
	have  int      // how many bytes of it came
	left  int64    // bytes until the next box
	name  string   // of the box that left is about
	known bool     // it began like an MP4
	moov  bool     // the index came
	mdat  bool     // the media came
	moof  bool     // the index of a fragment came, and not its media
	over  bool     // the rest is not looked at: this is no MP4, or the last box reaches to the end
}

func (b *boxes) feed(p []byte) {
	for len(p) > 0 && !b.over {
		skip := min(b.left, int64(len(p)))
		b.left, p = b.left-skip, p[skip:]
		n := copy(b.head[b.have:b.headSize()], p)
		b.have, p = b.have+n, p[n:]
		if b.have == 8 && !b.known {
			if b.known = beginsLikeMP4(b.head[:]); !b.known {
				b.over = true
				return
			}
		}
		if b.have == b.headSize() {
			b.enter()
		}
	}
}

// beginsLikeMP4 reports whether head is the header of a first box. One of 16 MB and more has media in it, or is words.
func beginsLikeMP4(head []byte) bool {
	name := string(head[4:8])
	return slices.Contains(firstBoxes, name) && (head[0] == 0 || name == "mdat")
}

// headSize returns the length of the header: a size of 32 bits and a name; if that size is 1, 64 bits with the real
// one.
func (b *boxes) headSize() int {
	if b.have >= 8 && binary.BigEndian.Uint32(b.head[:]) == 1 {
		return 16
	}
	return 8
}

// enter reads the header of a box. A size of 0 means that the box reaches to the end of the file.
func (b *boxes) enter() {
	size, used := uint64(binary.BigEndian.Uint32(b.head[:])), uint64(b.have) //nolint:gosec // have is 8 or 16
	if size == 1 {
		size = binary.BigEndian.Uint64(b.head[8:])
	}
	b.name, b.have = string(b.head[4:8]), 0
	b.moov, b.mdat = b.moov || b.name == "moov", b.mdat || b.name == "mdat"
	b.moof = b.name == "moof" || b.moof && b.name != "mdat"
	if size < used { // 0, or not a box, such as zeros behind the last one
		b.over = true
		return
	}
	b.left = int64(min(size-used, math.MaxInt64)) // no file is as long, so this box never ends
}

// whole reports whether the file may end here: after its index and its media, between two boxes. Trailing bytes that
// cannot be a box, such as zeros, are ignored; any others are treated as truncation, as is half a header.
func (b *boxes) whole() bool { return b.moov && b.mdat && !b.moof && b.left == 0 && b.have == 0 }

// cut reports whether the file provably misses something: what it ends in is a box, not other bytes that somebody has
// put behind the last one. Of a header that is not whole, the name counts as far as it came.
func (b *boxes) cut() bool {
	inBox := b.left > 0 && slices.Contains(topBoxes, b.name)
	inHeader := b.have > 4 && slices.ContainsFunc(topBoxes, func(name string) bool {
		return strings.HasPrefix(name, string(b.head[4:min(b.have, 8)]))
	})
	return !b.moov || !b.mdat || inBox || inHeader
}

// isStill reports whether the file that begins with head is a still image: its first box names such a brand, as its own
// or as one that it is compatible with.
func isStill(head []byte) bool {
	if len(head) < MinSize || string(head[4:8]) != "ftyp" {
		return false
	}
	size := uint64(binary.BigEndian.Uint32(head))
	brands := head[8:min(max(size, MinSize), uint64(len(head)))]
	for ; len(brands) >= 4; brands = brands[4:] {
		if slices.Contains(imageBrands, string(brands[:4])) {
			return true
		}
	}
	return false
}
