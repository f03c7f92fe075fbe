package wholefile

import (
	"encoding/binary"
	"math"
)

// MP4 walks the top-level boxes of an MP4 (ISO/IEC 14496-12, 4.2) without keeping them, so that a file that ended early
// is noticed although nobody said how long it is. A file that does not begin like an MP4 is taken as it is.
type MP4 struct {
	head [16]byte // the header of the next box
	have int      // how many bytes of it came
	left int64    // bytes until the next box
	mp4  bool     // it began with ftyp
	moov bool     // the index came
	mdat bool     // the media came
	over bool     // the rest is not looked at: this is no MP4, or the last box reaches to the end
}

// Feed takes the next bytes of the file.
func (m *MP4) Feed(p []byte) {
	for len(p) > 0 && !m.over {
		skip := min(m.left, int64(len(p)))
		m.left, p = m.left-skip, p[skip:]
		n := copy(m.head[m.have:m.headSize()], p)
		m.have, p = m.have+n, p[n:]
		if m.have == m.headSize() {
			m.enter()
		}
	}
}

// headSize returns the length of the header: a size of 32 bits and a name; if that size is 1, 64 bits with the real
// one.
func (m *MP4) headSize() int {
	if m.have >= 8 && binary.BigEndian.Uint32(m.head[:]) == 1 {
		return 16
	}
	return 8
}

// enter reads the header of a box. A size of 0 means that the box reaches to the end of the file.
func (m *MP4) enter() {
	size, used, name := uint64(binary.BigEndian.Uint32(m.head[:])), uint64(m.have), string(m.head[4:8]) //nolint:gosec // have is 8 or 16
	if size == 1 {
		size = binary.BigEndian.Uint64(m.head[8:])
	}
	m.have = 0
	if m.mp4 = m.mp4 || name == "ftyp"; m.mp4 {
		m.moov, m.mdat = m.moov || name == "moov", m.mdat || name == "mdat"
	}
	if !m.mp4 || size < used { // 0, or not a box, such as zeros behind the last one
		m.over = true
		return
	}
	m.left = int64(min(size-used, math.MaxInt64)) // no file is as long, so this box never ends
}

// Whole reports whether the file may end here: after its index and its media, between two boxes. Trailing bytes that
// cannot be a box, such as zeros, are ignored; any others are treated as truncation, as is half a header.
func (m *MP4) Whole() bool { return !m.mp4 || (m.moov && m.mdat && m.left == 0 && m.have == 0) }
