package vidutest

import (
	"bytes"
	"sync"
)

// window is how many bytes of a response may wait for their reader, as in the buffers of a socket. Answers of the API
// fit, so their handler ends even if nobody reads them.
const window = 64 << 10

// stream is the body of a response on its way from the handler to the client.
type stream struct {
	mu      sync.Mutex
	changed *sync.Cond
	waiting bytes.Buffer
	ended   error // what the reader gets behind the last byte
	broken  error // what both sides get at once
}

func newStream() *stream {
	s := &stream{}
	s.changed = sync.NewCond(&s.mu)
	return s
}

// Write waits for room.
func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	written := 0
	for written < len(p) {
		for s.broken == nil && s.waiting.Len() >= window {
			s.changed.Wait()
		}
		if s.broken != nil {
			return written, s.broken
		}
		n := min(len(p)-written, window-s.waiting.Len())
		s.waiting.Write(p[written : written+n])
		written += n
		s.changed.Broadcast()
	}
	return written, nil
}

// Read waits for a byte or for the end.
func (s *stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.broken == nil && s.ended == nil && s.waiting.Len() == 0 {
		s.changed.Wait()
	}
	switch {
	case s.broken != nil:
		return 0, s.broken
	case s.waiting.Len() == 0:
		s.broken = s.ended // an end that was read stays, whatever is aborted later
		return 0, s.ended
	}
	n, err := s.waiting.Read(p)
	s.changed.Broadcast()
	return n, err
}

// end gives the reader err once it has read everything.
func (s *stream) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = err
	s.changed.Broadcast()
}

// abort fails both sides with err, unless they have ended already.
func (s *stream) abort(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil {
		s.broken = err
	}
	s.changed.Broadcast()
}
