package transport

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

var (
	// ErrTooBig means that there was more to read than the limit.
	ErrTooBig = errors.New("it is too large")
	// ErrGzip means that all was read, and that it is no whole gzip.
	ErrGzip = errors.New("its gzip is broken")
)

const (
	chunkSize     = 2 << 10
	maxDrain      = 64 << 10
	maxEmptyReads = 100 // in a row, as in bufio
	maxPackings   = 2   // a cache may pack what the server has packed
)

var gzipMagic = []byte{0x1f, 0x8b}

// chunks are lent to ReadBounded, so that the text of a short answer is allocated once and in its own size.
var chunks = sync.Pool{New: func() any { return new([chunkSize]byte) }}

// ReadBounded reads r to its end or to limit, and then returns [ErrTooBig]; what was read until then comes back with
// every error. What begins like gzip is expanded, also what was packed twice, whatever the header says: no text begins
// like that. Limit holds for both sizes.
func ReadBounded(r io.Reader, limit int64) (string, error) {
	chunk := chunks.Get().(*[chunkSize]byte) //nolint:forcetypeassert // nothing else is in it
	text, err := readPacked(chunk[:0], r, limit, maxPackings)
	if !errors.Is(err, io.EOF) {
		return text, err // without the chunk: a reader that was given up, or gave up itself, may still write to it
	}
	chunks.Put(chunk)
	return text, nil
}

// readPacked is ReadBounded for what was packed at most so many times, with io.EOF at the end.
func readPacked(chunk []byte, r io.Reader, limit int64, packings int) (string, error) {
	chunk, err := readTo(chunk, r, limit, len(gzipMagic))
	if packings == 0 || !bytes.HasPrefix(chunk, gzipMagic) {
		return readText(chunk, err, r, limit)
	}
	packed := &packedReader{head: chunk, err: err, rest: r, left: limit}
	plain := &plainReader{packed: packed, buffer: bufio.NewReader(packed)}
	if err := plain.open(); err != nil {
		return "", err
	}
	return readPacked(make([]byte, 0, chunkSize), plain, limit, packings-1)
}

// readText reads r chunk by chunk. The first one has begun, and the reading of it has ended with err.
func readText(chunk []byte, err error, r io.Reader, limit int64) (string, error) {
	if err == nil {
		chunk, err = readTo(chunk, r, limit, cap(chunk))
	}
	if err != nil {
		return string(chunk), err
	}
	text := new(strings.Builder)
	for {
		if size := text.Len() + len(chunk); size > text.Cap() {
			text = grown(text, max(2*int64(text.Cap()), int64(size)), limit)
		}
		text.Write(chunk)
		if err != nil {
			return trimmed(text), err
		}
		chunk, err = readTo(chunk[:0], r, limit-int64(text.Len()), cap(chunk))
	}
}

// trimmed returns a text without much room behind it, which would be kept as long as the text.
func trimmed(text *strings.Builder) string {
	if text.Cap() > text.Len()+text.Len()/4 {
		return strings.Clone(text.String())
	}
	return text.String()
}

// grown returns a builder with the same text and room for size bytes, or for no more than the limit if that is near: as
// it grows by itself, it would allocate five times the limit on the way there.
func grown(text *strings.Builder, size, limit int64) *strings.Builder {
	larger := new(strings.Builder)
	larger.Grow(int(min(size, limit)))
	larger.WriteString(text.String())
	return larger
}

// readTo appends what r has to chunk until that has enough bytes, or more than limit, which is [ErrTooBig].
func readTo(chunk []byte, r io.Reader, limit int64, enough int) ([]byte, error) {
	for empty := 0; len(chunk) < enough; {
		n, err := r.Read(chunk[len(chunk):min(int64(cap(chunk)), limit+1)])
		chunk = chunk[:len(chunk)+n]
		if empty++; n > 0 {
			empty = 0
		}
		switch {
		case int64(len(chunk)) > limit:
			return chunk[:limit], ErrTooBig
		case err != nil:
			return chunk, err
		case empty >= maxEmptyReads:
			return chunk, io.ErrNoProgress
		}
	}
	return chunk, nil
}

// packedReader reads head, whose reading ended with err, and then rest. What is behind the limit is [ErrTooBig]: gzip
// can be long and yield nothing.
type packedReader struct {
	head  []byte
	err   error
	rest  io.Reader
	left  int64
	empty int
}

func (p *packedReader) Read(b []byte) (n int, err error) {
	switch {
	case len(p.head) > 0:
		n = copy(b, p.head)
		p.head = p.head[n:]
	case p.err == nil:
		n, p.err = p.rest.Read(b)
		if p.empty++; n > 0 {
			p.empty = 0
		}
		if p.err == nil && p.empty >= maxEmptyReads {
			p.err = io.ErrNoProgress
		}
	}
	if p.left -= int64(n); p.left < 0 {
		p.head, p.err = nil, ErrTooBig
	}
	if len(p.head) > 0 {
		return n, nil
	}
	return n, p.err
}

// explain returns the error of what is unpacked, unless it comes from what was packed.
func (p *packedReader) explain(err error) error {
	if p.err == nil || errors.Is(p.err, io.EOF) {
		return fmt.Errorf("%w: %v", ErrGzip, err) //nolint:errorlint // an end of the text is none of the connection
	}
	return p.err
}

// plainReader reads what was packed: gzip may consist of several. It ends where they end, whatever follows.
type plainReader struct {
	packed *packedReader
	buffer *bufio.Reader
	gzip.Reader
}

func (p *plainReader) open() error {
	if err := p.Reset(p.buffer); err != nil {
		return p.packed.explain(err)
	}
	p.Multistream(false)
	return nil
}

func (p *plainReader) Read(b []byte) (int, error) {
	for {
		n, err := p.Reader.Read(b)
		switch {
		case n > 0 || err == nil:
			return n, nil // an error comes again
		case err != io.EOF: //nolint:errorlint // gzip's own
			return 0, p.packed.explain(err)
		}
		if next, err := p.buffer.Peek(len(gzipMagic)); !bytes.Equal(next, gzipMagic) {
			return 0, cmp.Or(err, io.EOF)
		}
		if err := p.open(); err != nil {
			return 0, err
		}
	}
}

// plainEncodings are the words that servers and storages put into Content-Encoding for bytes that are not encoded. gzip
// is one of them: what is compressed is told by its first bytes.
var plainEncodings = map[string]bool{
	"": true, "identity": true, "none": true, "null": true, "plain": true, "text": true, "binary": true, "7bit": true, "8bit": true,
	"utf-8": true, "utf8": true, "utf-16": true, "ascii": true, "us-ascii": true, "iso-8859-1": true, "gbk": true, "gb2312": true,
	"aws-chunked": true, "chunked": true, "gzip": true, "x-gzip": true,
}

// Encoding returns the first word of Content-Encoding after which what [ReadBounded] returned may still be encoded, ""
// for none.
func Encoding(header http.Header) string {
	for _, line := range header["Content-Encoding"] {
		for word := range strings.SplitSeq(line, ",") {
			if word = strings.TrimSpace(word); !plainEncodings[strings.ToLower(word)] {
				return word
			}
		}
	}
	return ""
}

// Drain reads what is left of the body of an answer, up to a limit: a connection whose answer was read to its end can
// be used again.
func Drain(body io.Reader) {
	// Not io.Copy, which never gives up on empty reads.
	bufio.NewReader(io.LimitReader(body, maxDrain)).Discard(maxDrain) //nolint:errcheck // only to save a connection
}
