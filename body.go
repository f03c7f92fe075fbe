package vidu

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
)

// body is an encoded request: JSON text with gaps, each filled with one inline medium's base64 while it is sent. It
// holds no data of the media, and every attempt opens it anew.
type body struct {
	parts []part
	size  int64
	one   [1]part // where parts begins: most bodies are one text
}

// part is text or, when in is set, a medium.
type part struct {
	text []byte
	in   *inline
}

// newBody cuts encoded JSON at the marks, one for each medium, and puts the media there.
func newBody(text, mark []byte, media []*inline) *body {
	b := &body{}
	b.parts = b.one[:0]
	for _, in := range media {
		before, after, _ := bytes.Cut(text, mark)
		b.add(part{text: before})
		b.add(part{in: in})
		text = after
	}
	b.add(part{text: text})
	return b
}

func (b *body) add(p part) {
	b.parts = append(b.parts, p)
	b.size += int64(len(p.text)) + p.in.encodedLen()
}

// encodedLen is the length on the wire, prefix included; 0 for no medium.
func (in *inline) encodedLen() int64 {
	switch {
	case in == nil:
		return 0
	case in.raw:
		return in.size
	}
	return int64(len(in.prefix)) + (in.size+2)/3*4
}

// open starts one sending of the body.
func (b *body) open() *oneShot {
	return &oneShot{parts: b.parts, size: b.size, left: b.size}
}

// bytes renders the whole body in memory, media included.
func (b *body) bytes() ([]byte, error) {
	o := b.open()
	defer o.Close() //nolint:errcheck // only read
	text := make([]byte, b.size)
	_, err := io.ReadFull(o, text)
	return text, err
}

var errBodyClosed = errors.New("vidu: request body read after it was closed")

// oneShot is the body of one attempt. Its type is unknown to net/http and it comes without GetBody, so net/http cannot
// send it a second time; and it can be sealed, which is what makes an outcome provable: when the last byte was not
// handed out before seal, it never will be, and JSON without its last byte is not JSON.
type oneShot struct {
	mu     sync.Mutex
	parts  []part        // not used up yet
	offset int           // in the first part, a text
	reader *inlineReader // of the first part, a medium
	size   int64
	left   int64 // bytes not handed out yet
	busy   bool  // a file is being read, without mu
	sealed bool
	closed chan struct{} // made by the Read that waits for Close
	err    error         // of every further Read
}

// Read hands out the next bytes. Once sealed it blocks until Close, rather than failing at once: net/http may still be
// reading the answer to a request that it has not sent whole, and a failing body would end that.
func (o *oneShot) Read(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.sealed && o.left > 0 {
		o.awaitClose()
	}
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.next(p)
	if o.sealed && o.left > 0 { // meanwhile: what was read must not be handed out any more
		o.awaitClose()
	}
	if o.err != nil {
		return 0, errors.Join(o.err, o.closeReader())
	}
	o.left -= int64(n)
	o.err = err // for good: after a failed read nobody knows where a file stands
	return n, err
}

// awaitClose returns when the body is closed. It lets go of mu meanwhile.
func (o *oneShot) awaitClose() {
	if o.err != nil {
		return
	}
	if o.closed == nil {
		o.closed = make(chan struct{})
	}
	closed := o.closed
	o.mu.Unlock()
	<-closed
	o.mu.Lock()
}

// next reads from the first part that has something left.
func (o *oneShot) next(p []byte) (int, error) {
	for len(o.parts) > 0 {
		n, err := o.readPart(p)
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		o.parts, o.offset = o.parts[1:], 0
	}
	return 0, io.EOF
}

// readPart reads from the first part. 0, nil means that the part is used up; a medium is used up only after it was
// found unchanged.
func (o *oneShot) readPart(p []byte) (int, error) {
	first := &o.parts[0]
	if first.in == nil {
		n := copy(p, first.text[o.offset:])
		o.offset += n
		return n, nil
	}
	n, err := o.readMedium(first.in, p)
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	return n, o.closeReader()
}

// readMedium lets go of mu while it reads a file, for a file may be slow and a call must end with its context. Memory is
// read under mu: once the body is sealed the caller may change it.
func (o *oneShot) readMedium(in *inline, p []byte) (n int, err error) {
	if in.info != nil {
		o.busy = true
		o.mu.Unlock()
		defer func() {
			o.mu.Lock()
			o.busy = false
		}()
	}
	if o.reader == nil {
		if o.reader, err = in.open(); err != nil {
			return 0, err
		}
	}
	return o.reader.Read(p)
}

func (o *oneShot) closeReader() error {
	if o.busy || o.reader == nil { // busy: Read closes it when it is done
		return nil
	}
	err := o.reader.Close()
	o.reader = nil
	return err
}

// untouched reports whether nothing was handed out yet.
func (o *oneShot) untouched() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.left == o.size
}

// seal freezes the body and reports whether its last byte was never handed out.
func (o *oneShot) seal() (incomplete bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sealed = true
	return o.left > 0
}

// Close ends the body and every Read that is waiting.
func (o *oneShot) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = errBodyClosed
	if o.closed != nil {
		close(o.closed)
		o.closed = nil
	}
	return o.closeReader()
}

// mediaError is the failure of an inline medium after it had been checked.
type mediaError struct {
	field string
	media Media
	err   error
}

func (e *mediaError) Error() string {
	return fmt.Sprintf("%s (%s): %v", e.field, e.media, e.err)
}

func (e *mediaError) Unwrap() error { return e.err }

var errChanged = errors.New("changed since it was checked")

func (in *inline) fail(err error) error {
	return &mediaError{field: in.field, media: in.media, err: err}
}

// rawBuffers lend the bytes between a file and base64. The size is a multiple of 3, so that groups never straddle.
var rawBuffers = sync.Pool{New: func() any { return new([24 << 10]byte) }}

// inlineReader reads a medium as it goes on the wire: prefix, then base64, or as it is.
type inlineReader struct {
	in     *inline
	file   io.ReadCloser
	raw    *[24 << 10]byte
	prefix string  // not handed out yet
	left   int64   // raw bytes not read yet
	group  [4]byte // the digits of three bytes, when there was no room for four
	spill  []byte  // of group, not handed out yet
}

func (in *inline) open() (*inlineReader, error) {
	file, info, err := in.media.open()
	if err != nil {
		return nil, in.fail(err)
	}
	if info != nil && !sameFile(in.info, info) {
		return nil, errors.Join(in.fail(errChanged), file.Close())
	}
	return &inlineReader{
		in: in, file: file, raw: rawBuffers.Get().(*[24 << 10]byte), prefix: in.prefix, left: in.size,
	}, nil
}

func (r *inlineReader) Read(p []byte) (int, error) {
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
	case r.in.raw:
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
func (r *inlineReader) encode(p []byte) (int, error) {
	raw := r.raw[:min(int64(len(p)/4*3), int64(len(r.raw)), r.left)]
	if err := r.fill(raw); err != nil {
		return 0, err
	}
	base64.StdEncoding.Encode(p, raw)
	return base64.StdEncoding.EncodedLen(len(raw)), nil
}

// fill reads raw whole from the file.
func (r *inlineReader) fill(raw []byte) error {
	_, err := io.ReadFull(r.file, raw)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errChanged // shrunk
	}
	if err != nil {
		return r.in.fail(err)
	}
	r.left -= int64(len(raw))
	return nil
}

// checkEnd returns io.EOF when the file ends where it should and is still the one that was checked.
func (r *inlineReader) checkEnd() error {
	if n, _ := r.file.Read(r.raw[:1]); n > 0 {
		return r.in.fail(errChanged) // grown
	}
	if file, ok := r.file.(fs.File); ok {
		if info, err := regular(file.Stat()); err != nil || !sameFile(r.in.info, info) {
			return r.in.fail(errChanged)
		}
	}
	return io.EOF
}

func (r *inlineReader) Close() error {
	rawBuffers.Put(r.raw)
	r.raw = nil
	return r.file.Close()
}

// sameFile compares size and modification time and, where the file system has it, identity.
func sameFile(a, b fs.FileInfo) bool {
	if a.Size() != b.Size() || !a.ModTime().Equal(b.ModTime()) {
		return false
	}
	return !os.SameFile(a, a) || os.SameFile(a, b)
}
