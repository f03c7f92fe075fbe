// Package wholefile finds out what a file is and whether it is whole, while it passes by in pieces of any size: by its
// first bytes, by the boxes of an MP4, by the end of a JPEG or PNG, by the length that a WebP or WebM states, and by
// the checksums that storages promise in headers. Of a file of any length it keeps a few bytes. A file of another
// format counts as whole: only what is provably cut is refused.
package wholefile

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// MinSize is the least number of bytes that a video or an image has, and how many identify its format.
const MinSize = 12

// edge is how much of both ends of a file is kept: a WebM states its length within that.
const edge = 128

// File takes a file in pieces and keeps what shows whether it is whole. The zero File is empty.
type File struct {
	head, tail []byte // at most edge and MinSize bytes
	size       int64
	boxes      boxes
}

// Feed takes the next bytes of the file.
func (f *File) Feed(p []byte) {
	f.size += int64(len(p))
	f.head = append(f.head, p[:min(edge-len(f.head), len(p))]...)
	f.tail = append(f.tail, p[max(len(p)-MinSize, 0):]...)
	f.tail = slices.Delete(f.tail, 0, max(len(f.tail)-MinSize, 0))
	f.boxes.feed(p)
}

// Whole reports whether the file may end here although nobody stated its length: an MP4 after its index and its media
// and between two boxes, a still image with its end mark, a WebP and a WebM with as many bytes as they state.
func (f *File) Whole() bool {
	switch {
	case f.isMP4():
		return f.boxes.whole()
	case match("\xff\xd8\xff", f.head):
		return bytes.HasSuffix(f.tail, []byte("\xff\xd9"))
	case match("\x89PNG\r\n\x1a\n", f.head):
		return bytes.HasSuffix(f.tail, []byte("IEND\xaeB`\x82"))
	case match("RIFF????WEBP", f.head):
		return f.size >= 8+int64(binary.LittleEndian.Uint32(f.head[4:]))
	case match(webm, f.head):
		return f.size >= statedByWebM(f.head)
	}
	return true
}

// Cut reports whether the file is cut although it is as long as was stated, or has the checksum that was promised: an
// MP4 without index or media, or inside a box that it is known to have. Other bytes behind its last box are let
// through, and so is any other format.
func (f *File) Cut() bool { return f.isMP4() && f.boxes.cut() }

// isMP4 reports whether the file has the boxes of a video; HEIC and AVIF are images in the same container.
func (f *File) isMP4() bool {
	return f.boxes.known && !isStill(f.head)
}

const webm = "\x1a\x45\xdf\xa3"

// statedByWebM returns the length of a WebM or Matroska file that begins with head: that of its EBML header and of its
// segment (RFC 8794, 11.2). It is 0 where that is not stated, as of a live stream, or not in head.
func statedByWebM(head []byte) int64 {
	const segment = "\x18\x53\x80\x67"
	unread := int64(0)
	if len(head) < edge { // the file ended before it could state its length
		unread = math.MaxInt64
	}
	size, used := vint(head[len(webm):])
	begin := len(webm) + used + int(min(size, edge))
	if used == 0 || len(head) < begin+len(segment) {
		return unread
	}
	if !match(segment, head[begin:]) {
		return 0 // something unknown is between them
	}
	begin += len(segment)
	size, used = vint(head[begin:])
	switch size {
	case 0:
		return unread
	case 1<<(7*used) - 1: // all ones: unknown
		return 0
	}
	return int64(begin+used) + int64(size) //nolint:gosec // at most 56 bits
}

// vint reads EBML's variable-length integer: the zeros that it begins with say how many bytes follow. used is 0 when p
// is too short.
func vint(p []byte) (value uint64, used int) {
	if len(p) == 0 {
		return 0, 0
	}
	used = bits.LeadingZeros8(p[0]) + 1
	if used > 8 || len(p) < used {
		return 0, 0
	}
	value = uint64(p[0]) & (1<<(8-used) - 1)
	for _, b := range p[1:used] {
		value = value<<8 | uint64(b)
	}
	return value, used
}
