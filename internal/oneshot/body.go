// Package oneshot makes request bodies that can be read once: text, and between it media, raw or as base64, which are
// streamed from their files while the body is read. A [Reader] can be sealed, and then reports whether its last byte
// was ever handed out: if not, nobody can have the whole request. A file that changes meanwhile is an error of the
// read, and memory does not grow with the media.
package oneshot

import (
	"bytes"
	"io"
)

// Body is an encoded request: text with gaps, each filled with one source's base64 while it is sent. It holds no data
// of the sources, and every attempt opens it anew. The zero Body is empty.
type Body struct {
	parts []part
	size  int64
	one   [1]part // where parts begins: most bodies are one text
}

// part is text or, when source is set, a source.
type part struct {
	text   []byte
	source *Source
}

// New cuts text at the marks, one for each source, and puts the sources there.
func New(text, mark []byte, sources []*Source) *Body {
	b := &Body{}
	for _, s := range sources {
		before, after, _ := bytes.Cut(text, mark)
		b.AddText(before)
		b.AddSource(s)
		text = after
	}
	b.AddText(text)
	return b
}

// AddText appends text. It is not copied.
func (b *Body) AddText(text []byte) {
	b.add(part{text: text}, int64(len(text)))
}

// AddSource appends what a source holds, in its encoded form.
func (b *Body) AddSource(s *Source) {
	b.add(part{source: s}, s.EncodedLen())
}

func (b *Body) add(p part, size int64) {
	if b.parts == nil {
		b.parts = b.one[:0]
	}
	b.parts = append(b.parts, p)
	b.size += size
}

// Size returns the length in bytes, for Content-Length.
func (b *Body) Size() int64 { return b.size }

// Open starts one sending of the body.
func (b *Body) Open() *Reader {
	r := new(Reader)
	b.OpenIn(r)
	return r
}

// OpenIn is Open with a zero Reader that is a part of something else.
func (b *Body) OpenIn(r *Reader) { r.body, r.left = b, b.size }

// Bytes renders the whole body in memory, sources included.
func (b *Body) Bytes() ([]byte, error) {
	r := b.Open()
	defer r.Close() //nolint:errcheck // only read
	text := make([]byte, b.size)
	_, err := io.ReadFull(r, text)
	return text, err
}
