package transport

import (
	"bufio"
	"errors"
	"io"
)

// ErrTooBig means that there was more to read than the limit.
var ErrTooBig = errors.New("it is too large")

const (
	maxTrusted = 64 << 10 // of what a header promises, allocated in advance
	maxDrain   = 64 << 10
)

// ReadBounded reads r to its end or to limit, and then returns [ErrTooBig]; what was read until then comes back with
// every error. hint is the length that the header promised, -1 for none.
func ReadBounded(r io.Reader, hint, limit int64) ([]byte, error) {
	if hint < 0 {
		hint = 512
	}
	buf := make([]byte, 0, min(hint, maxTrusted)+1) // one more, to see the end without growing
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > limit:
			return buf[:limit], ErrTooBig
		case errors.Is(err, io.EOF):
			return buf, nil
		case err != nil:
			return buf, err
		case len(buf) == cap(buf): // doubled, because append would allocate five times the limit on the way there
			buf = append(make([]byte, 0, min(2*int64(cap(buf)), limit+512)), buf...)
		}
	}
}

// Drain reads what is left of the body of an answer, up to a limit: a connection whose answer was read to its end can
// be used again.
func Drain(body io.Reader) {
	// Not io.Copy, which never gives up on empty reads.
	bufio.NewReader(io.LimitReader(body, maxDrain)).Discard(maxDrain) //nolint:errcheck // only to save a connection
}
