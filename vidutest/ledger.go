package vidutest

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
)

// maxKept is the largest request body, in bytes, that the ledger keeps.
const maxKept = 1 << 20

// Request is one request as the server saw it, an entry of the ledger. Entries share Header and Body with each other:
// read them, do not change them.
type Request struct {
	Method   string      // in capitals, as sent
	Path     string      // escaped, as sent
	RawQuery string      // as sent, without the question mark; "" when there was none
	Header   http.Header // without Host; every Authorization value reads "[removed]"

	// Endpoint is that of a create, such as "img2video", whether or not it was accepted; "" for any other request.
	Endpoint string

	// Payload is that of a create, whether or not it was accepted; "" when it has none, and for any other request.
	Payload string

	// Body is what was read of the body: nil when there was nothing, or more than 1 MiB of it.
	Body []byte

	// BodySize is how many bytes of the body were read. It is 0 for a request refused by its header (a wrong key, path,
	// method or Content-Type, a length over 20 MiB).
	BodySize int64

	// Complete reports whether the body was read to its end. It is true for a request without a body.
	Complete bool

	// Status is the HTTP status that was answered: 0 until there is an answer, and for good if the connection was cut
	// before one. An answer that was cut in its middle has its status.
	Status int
}

// Charged returns how many creates were accepted and charged: one for each task, whether or not its creator ever read
// the answer. A failed task is refunded by the API but counts here: tests ask whether one video was ordered twice.
func (s *Server) Charged() int {
	return s.tasks.count()
}

// Requests returns every request to the API so far, in the order of their arrival, those included that were refused,
// scripted or cut. Uploads are among them; downloads are in [Server.Downloads].
func (s *Server) Requests() []Request {
	return s.ledger.list()
}

// ledger is the list of requests. An entry is named by its index.
type ledger struct {
	mu       sync.Mutex
	requests []Request
}

func (l *ledger) list() []Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.requests)
}

// open enters a request that has just arrived.
func (l *ledger) open(r *http.Request, endpoint string) int {
	header := r.Header.Clone()
	for i := range header["Authorization"] {
		header["Authorization"][i] = "[removed]"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.requests); n > 0 && maps.EqualFunc(l.requests[n-1].Header, header, slices.Equal[[]string]) {
		header = l.requests[n-1].Header // most of the ledger's memory, and the same in most requests
	}
	l.requests = append(l.requests, Request{
		Method:   r.Method,
		Path:     r.URL.EscapedPath(),
		RawQuery: r.URL.RawQuery,
		Header:   header,
		Endpoint: endpoint,
	})
	return len(l.requests) - 1
}

func (l *ledger) get(id int) Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.requests[id]
}

// received enters what was read of the body, and the payload in it.
func (l *ledger) received(id int, body *tee, payload string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	entry := &l.requests[id]
	entry.Payload = payload
	entry.Body, entry.BodySize, entry.Complete = body.kept, body.size, body.complete()
}

// answered enters the status that is about to be sent.
func (l *ledger) answered(id, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests[id].Status = status
}

// tee reads a body and keeps a copy of it, unless it is large.
type tee struct {
	src  io.Reader
	read *bytes.Reader // what readAhead has read, nil before it was called
	keep bool
	kept []byte
	size int64
	err  error // what ended the reading
}

// newTee returns a tee for a body of the given length, -1 when that is unknown. A body that is known to be too large
// costs no memory at all.
func newTee(src io.Reader, length int64) *tee {
	t := &tee{src: src, keep: length <= maxKept}
	if length == 0 {
		t.err = io.EOF
	}
	return t
}

// readAhead reads the whole body. A reader gets it nevertheless.
func (t *tee) readAhead() []byte {
	whole, _ := io.ReadAll(t) // what ended it is in t.err
	t.read = bytes.NewReader(whole)
	return whole
}

// Read implements [io.Reader].
func (t *tee) Read(p []byte) (int, error) {
	if t.read != nil {
		n, _ := t.read.Read(p)
		if t.read.Len() > 0 {
			return n, nil
		}
		return n, t.err
	}
	n, err := t.src.Read(p)
	t.size += int64(n)
	t.note(p[:n])
	if err != nil {
		t.err = err
	}
	return n, err
}

// note keeps what was read.
func (t *tee) note(p []byte) {
	if t.size > maxKept {
		t.keep, t.kept = false, nil
	}
	if t.keep && len(p) > 0 {
		t.kept = append(t.kept, p...)
	}
}

// complete reports whether the body was read to its end.
func (t *tee) complete() bool {
	return errors.Is(t.err, io.EOF)
}

// broken reports whether the client stopped sending in the middle of the body.
func (t *tee) broken() bool {
	_, tooLarge := errors.AsType[*http.MaxBytesError](t.err)
	return t.err != nil && !t.complete() && !tooLarge
}
