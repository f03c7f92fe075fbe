package vidutest

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
)

// scripted distinguishes the handler of a script from a mux's own, which redirect and refuse.
type scripted struct{ http.HandlerFunc }

// below returns a pattern with the API's prefix in front of its path. Uploads have none.
func (d dialect) below(pattern string) string {
	before, _, _ := strings.Cut(pattern, "/") // the method and the host
	path := pattern[len(before):]
	if path == "" || strings.HasPrefix(path, toolsPrefix) || strings.HasPrefix(path, uploadPrefix) {
		return pattern
	}
	return before + d.prefix + path
}

// answerBy answers a request with a script's handler, once all of it has arrived.
func (s *Server) answerBy(h http.Handler, w http.ResponseWriter, c *call) {
	arrive := sync.OnceFunc(func() {
		drain(c.body)
		s.ledger.received(c.entry, c.body, c.payload)
	})
	defer arrive() // also when the handler cuts the connection
	writer := &scriptedWriter{ResponseWriter: w, begin: func(status int) {
		if arrive(); c.body.broken() || s.closing.Err() != nil {
			panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's way to cut a connection
		}
		s.ledger.answered(c.entry, status)
	}}
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)()
	r := c.WithContext(ctx)
	r.Body = io.NopCloser(c.body)
	h.ServeHTTP(writer, r)
	if !writer.begun {
		writer.WriteHeader(http.StatusOK)
	}
}

// scriptedWriter is the response of a script's handler.
type scriptedWriter struct {
	http.ResponseWriter
	begin func(status int) // is called once, before anything goes out
	begun bool
}

// WriteHeader implements [http.ResponseWriter].
func (w *scriptedWriter) WriteHeader(status int) {
	if !w.begun && !isInterim(status) {
		w.begun = true
		w.begin(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *scriptedWriter) Write(p []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// Flush implements [http.Flusher].
func (w *scriptedWriter) Flush() {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	_ = http.NewResponseController(w.ResponseWriter).Flush() // the client may have gone
}

// isInterim reports whether a status precedes the final one.
func isInterim(status int) bool {
	return status < http.StatusOK && status != http.StatusSwitchingProtocols
}
