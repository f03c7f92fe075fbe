package vidutest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math"
	"math/rand/v2"
	"slices"
)

const (
	// freeHeader is the size of the header of a "free" box, and so the least size of one. The header of a box of 4 GiB
	// or more is twice as long.
	freeHeader = 8
	// fillerSize is the length after which the content of the box repeats itself. It divides no buffer's size, so that
	// misplaced bytes are noticed.
	fillerSize = 65521
)

// video is the content of a result file. It never changes.
type video struct {
	size       int64
	generation byte
	etag       string
	head       []byte // the clip, and the header of the box behind it
	filler     []byte // the content of the box, repeated
}

// newVideo returns a video of at least size bytes, no shorter than the clip and rounded up to a whole box. Generation 0
// is the clip; every other is different noise.
func newVideo(size int64, generation byte) *video {
	noise := rand.NewChaCha8([32]byte{generation})
	head := slices.Clone(videoMP4)
	if generation > 0 {
		_, _ = noise.Read(head[bytes.LastIndex(head, []byte("mdat"))+len("mdat"):]) // it never fails
	}
	v := &video{size: int64(len(head)), generation: generation, head: head}
	if free := size - v.size; free > 0 {
		free = max(free, freeHeader)
		v.size += free
		v.head = appendFreeHeader(head, uint64(free))
		v.filler = make([]byte, fillerSize)
		_, _ = noise.Read(v.filler)
	}
	v.etag = etag(sha256.Sum256(v.head))
	return v
}

// appendFreeHeader begins a box of the given size, header included.
func appendFreeHeader(head []byte, size uint64) []byte {
	if size <= math.MaxUint32 {
		head = binary.BigEndian.AppendUint32(head, uint32(size))
		return append(head, "free"...)
	}
	head = append(head, "\x00\x00\x00\x01free"...) // a size of 1 means that the real one follows
	return binary.BigEndian.AppendUint64(head, size)
}

func (v *video) open() io.ReadSeeker {
	return io.NewSectionReader(v, 0, v.size)
}

// ReadAt implements [io.ReaderAt] but for the end, which open's section has.
func (v *video) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	if off < int64(len(v.head)) {
		n = copy(p, v.head[off:])
	}
	for n < len(p) {
		n += copy(p[n:], v.filler[(off+int64(n))%fillerSize:])
	}
	return n, nil
}
