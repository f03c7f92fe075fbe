package oneshot

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
)

// Opener gives access to the data of a Source.
type Opener interface {
	// Open opens the data and, when that is a file, returns its description as well.
	Open() (io.ReadCloser, fs.FileInfo, error)
	// String describes the data in an error.
	String() string
}

// Source is a file, or data in memory, that travels inside a body.
type Source struct {
	Data   Opener
	Name   string      // where it stands in the request, for errors
	Prefix string      // goes out before the data
	Size   int64       // bytes of data
	Info   fs.FileInfo // of a file, when it was checked; nil for data in memory
	Raw    bool        // sent as it is, not as base64
}

// EncodedLen returns the length on the wire.
func (s *Source) EncodedLen() int64 {
	n := s.Size
	if !s.Raw {
		n = (n + 2) / 3 * 4
	}
	return int64(len(s.Prefix)) + n
}

// SourceError is the failure of a source after it had been checked: [ErrChanged], or what its Opener or file returned.
type SourceError struct {
	Name string // with the description, such as "images[0] (hero.png)"
	Err  error
}

func (e *SourceError) Error() string { return e.Name + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *SourceError) Unwrap() error { return e.Err }

// ErrChanged means that a file is not, or no longer, the one that was checked.
var ErrChanged = errors.New("changed since it was checked")

func (s *Source) fail(err error) error {
	return &SourceError{Name: fmt.Sprintf("%s (%s)", s.Name, s.Data), Err: err}
}

// rawBuffers lend the bytes between a file and base64. The size is a multiple of 3, so that groups never straddle.
var rawBuffers = sync.Pool{New: func() any { return new([24 << 10]byte) }}

// sourceReader reads a source as it goes on the wire: prefix, then base64, or as it is.
type sourceReader struct {
	source *Source
	file   io.ReadCloser
	raw    *[24 << 10]byte
	prefix string  // not handed out yet
	left   int64   // raw bytes not read yet
	group  [4]byte // the digits of three bytes, when there was no room for four
	spill  []byte  // of group, not handed out yet
}

func (s *Source) open() (*sourceReader, error) {
	file, info, err := s.Data.Open()
	if err != nil {
		return nil, s.fail(err)
	}
	if s.Info != nil && !sameFile(s.Info, info) {
		return nil, errors.Join(s.fail(ErrChanged), file.Close())
	}
	return &sourceReader{
		source: s, file: file, raw: rawBuffers.Get().(*[24 << 10]byte), prefix: s.Prefix, left: s.Size,
	}, nil
}

func (r *sourceReader) Read(p []byte) (int, error) {
	switch {
	case r.prefix != "":
		n := copy(p, r.prefix)
		r.prefix = r.prefix[n:]
		return n, nil
	case len(r.spill) > 0:
		n := copy(p, r.spill)
		r.spill = r.spill[n:]
		return n, nil
	case r.left == 0:
		return 0, r.checkEnd()
	case r.source.Raw:
		p = p[:min(int64(len(p)), r.left)]
		if err := r.fill(p); err != nil {
			return 0, err
		}
		return len(p), nil
	case len(p) < len(r.group):
		n, err := r.encode(r.group[:])
		if err != nil {
			return 0, err
		}
		r.spill = r.group[:n]
		return r.Read(p)
	}
	return r.encode(p)
}

// encode fills p, which has room for four digits at least, with the base64 of the next bytes.
func (r *sourceReader) encode(p []byte) (int, error) {
	raw := r.raw[:min(int64(len(p)/4*3), int64(len(r.raw)), r.left)]
	if err := r.fill(raw); err != nil {
		return 0, err
	}
	base64.StdEncoding.Encode(p, raw)
	return base64.StdEncoding.EncodedLen(len(raw)), nil
}

// fill reads raw whole from the file.
func (r *sourceReader) fill(raw []byte) error {
	_, err := io.ReadFull((*fileReader)(r), raw)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = ErrChanged // shrunk
	}
	if err != nil {
		return r.source.fail(err)
	}
	r.left -= int64(len(raw))
	return nil
}

// checkEnd returns io.EOF when the file ends where it should and is still the one that was checked.
func (r *sourceReader) checkEnd() error {
	switch n, err := (*fileReader)(r).Read(r.raw[:1]); {
	case n > 0:
		return r.source.fail(ErrChanged) // grown
	case errors.Is(err, io.ErrNoProgress):
		return r.source.fail(err)
	}
	if file, ok := r.file.(fs.File); ok && r.source.Info != nil {
		if info, err := file.Stat(); err != nil || !sameFile(r.source.Info, info) {
			return r.source.fail(ErrChanged)
		}
	}
	return io.EOF
}

// fileReader reads the file of a source.
type fileReader sourceReader

func (r *fileReader) Read(p []byte) (int, error) { return readSome(r.file, p) }

// LimitEmptyReads returns a reader that ends with [io.ErrNoProgress] where r gives nothing, and no error, again and
// again. Implementations of fs.File are untrusted.
func LimitEmptyReads(r io.Reader) io.Reader { return patientReader{r} }

type patientReader struct{ io.Reader }

func (r patientReader) Read(p []byte) (int, error) { return readSome(r.Reader, p) }

const maxEmptyReads = 100 // as in bufio

// readSome reads at least one byte if p has room for one.
func readSome(r io.Reader, p []byte) (n int, err error) {
	for range maxEmptyReads {
		if n, err = r.Read(p); n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

func (r *sourceReader) Close() error {
	rawBuffers.Put(r.raw)
	r.raw = nil
	return r.file.Close()
}

// sameFile compares kind, size and modification time and, where the file system has it, identity. File systems are
// untrusted: b may be nil.
func sameFile(a, b fs.FileInfo) bool {
	if b == nil || a.Mode().Type() != b.Mode().Type() || a.Size() != b.Size() || !a.ModTime().Equal(b.ModTime()) {
		return false
	}
	return !os.SameFile(a, a) || os.SameFile(a, b)
}
