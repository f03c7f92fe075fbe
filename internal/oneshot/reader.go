package oneshot

import (
	"errors"
	"io"
	"sync"
)

var errClosed = errors.New("request body read after it was closed")

// Reader is the body of one attempt, safe for use by several goroutines. Its type is unknown to net/http and it comes
// without GetBody, so net/http cannot send it a second time; and it can be sealed, which makes an outcome provable: if
// the last byte was not handed out before Seal, it never will be, and JSON without its last byte is not JSON.
type Reader struct {
	mu     sync.Mutex
	body   *Body
	part   int           // of body, the one that is being read
	offset int           // in that part, a text
	source *sourceReader // of that part, a source
	left   int64         // bytes not handed out yet
	begun  bool          // some were handed out
	busy   bool          // a file is being read, without mu
	sealed bool
	closed chan struct{} // made by the Read that waits for Close
	err    error         // of every further Read
}

// Read hands out the next bytes. Once sealed it blocks until Close, rather than failing at once: net/http may still be
// reading the answer to a request that it has not sent whole, and a failing body would end that.
func (r *Reader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sealed && r.left > 0 {
		r.awaitClose()
	}
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.next(p)
	if r.sealed && r.left > 0 { // meanwhile: what was read must not be handed out any more
		r.awaitClose()
	}
	if r.err != nil {
		return 0, errors.Join(r.err, r.closeSource())
	}
	r.left -= int64(n)
	r.begun = r.begun || n > 0
	r.err = err // for good: after a failed read the position in a file is unknown
	return n, err
}

// awaitClose returns when the body is closed. It releases mu meanwhile.
func (r *Reader) awaitClose() {
	if r.err != nil {
		return
	}
	if r.closed == nil {
		r.closed = make(chan struct{})
	}
	closed := r.closed
	r.mu.Unlock()
	<-closed
	r.mu.Lock()
}

// next reads from the part at hand, or the next one that has something.
func (r *Reader) next(p []byte) (int, error) {
	for r.part < len(r.body.parts) {
		n, err := r.readPart(p)
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		r.part, r.offset = r.part+1, 0
	}
	return 0, io.EOF
}

// readPart reads from the part at hand. 0, nil means that the part is used up; a source is used up only after it was
// found unchanged.
func (r *Reader) readPart(p []byte) (int, error) {
	part := &r.body.parts[r.part]
	if part.source == nil {
		n := copy(p, part.text[r.offset:])
		r.offset += n
		return n, nil
	}
	n, err := r.readSource(part.source, p)
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	return n, r.closeSource()
}

// readSource releases mu while it reads a file, for a file may be slow and a call must end with its context. Memory is
// read under mu: once the body is sealed its owner may change it.
func (r *Reader) readSource(s *Source, p []byte) (n int, err error) {
	if s.Info != nil {
		r.busy = true
		r.mu.Unlock()
		defer func() {
			r.mu.Lock()
			r.busy = false
		}()
	}
	if r.source == nil {
		if r.source, err = s.open(); err != nil {
			return 0, err
		}
	}
	return r.source.Read(p)
}

func (r *Reader) closeSource() error {
	if r.busy || r.source == nil { // busy: Read closes it when it is done
		return nil
	}
	err := r.source.Close()
	r.source = nil
	return err
}

// Untouched reports whether no byte was handed out yet.
func (r *Reader) Untouched() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.begun
}

// Seal freezes the body and reports whether its last byte was never handed out.
func (r *Reader) Seal() (incomplete bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sealed = true
	return r.left > 0
}

// Close ends the body and every Read that is waiting.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = errClosed
	if r.closed != nil {
		close(r.closed)
		r.closed = nil
	}
	return r.closeSource()
}
