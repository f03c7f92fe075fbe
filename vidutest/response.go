package vidutest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"time"
)

var errDone = errors.New("vidutest: the client is done with the response")

// maxHeld is how many bytes of a body are held back, as net/http does: a body that ends within them has its length in
// the header, whether or not its handler put it there.
const maxHeld = 2 << 10

// responseWriter is the handler's side of the response.
type responseWriter struct {
	exchange *exchange
	header   http.Header
	sent     *http.Request  // the client's own
	response *http.Response // nil until the handler has set a status
	held     []byte         // of the body
	out      bool           // the client has the response
	left     int64          // bytes of the body still promised, -1 when the length is unknown
}

// Header implements [http.ResponseWriter].
func (w *responseWriter) Header() http.Header {
	return w.header
}

// WriteHeader implements [http.ResponseWriter].
func (w *responseWriter) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("vidutest: invalid WriteHeader code %d", status)) //nolint:forbidigo // as net/http
	}
	if w.response != nil || isInterim(status) {
		return
	}
	header := w.header.Clone()
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	length, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64)
	if err != nil {
		length = -1
	}
	w.left = length
	if w.sent.Method == http.MethodHead {
		w.left = 0
	}
	if status == http.StatusNoContent || status == http.StatusNotModified {
		header.Del("Content-Length")
		w.left, length = 0, 0
	}
	w.response = &http.Response{
		Status:        fmt.Sprintf("%d %s", status, cmp.Or(http.StatusText(status), fmt.Sprint("status code ", status))),
		StatusCode:    status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header,
		Body:          &responseBody{stream: w.exchange.stream, cancel: w.exchange.cancel},
		ContentLength: length,
		Request:       w.sent,
	}
}

// Write implements [http.ResponseWriter]. As net/http does, it takes no more than the header has promised.
func (w *responseWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.left >= 0 {
		if int64(len(p)) > w.left {
			return 0, http.ErrContentLength
		}
		w.left -= int64(len(p))
	}
	if w.out {
		return w.exchange.stream.Write(p)
	}
	if w.held = append(w.held, p...); len(w.held) <= maxHeld {
		return len(p), nil
	}
	return len(p), w.release()
}

// Flush implements [http.Flusher].
func (w *responseWriter) Flush() {
	w.WriteHeader(http.StatusOK)
	_ = w.release() // the client may have gone
}

// release gives the response to the client, with what is held of its body.
func (w *responseWriter) release() error {
	if w.out {
		return nil
	}
	w.out = true
	header := w.response.Header
	header.Del("Transfer-Encoding") // as net/http, for which "identity" is an instruction
	if _, ok := header["Content-Type"]; !ok && len(w.held) > 0 {
		header.Set("Content-Type", http.DetectContentType(w.held))
	}
	maps.DeleteFunc(header, func(_ string, values []string) bool { return len(values) == 0 })
	w.exchange.response <- w.response
	_, err := w.exchange.stream.Write(w.held)
	return err
}

// finish ends the response of a handler that returned. The client gets an error for a body that is shorter than
// promised.
func (w *responseWriter) finish() {
	w.WriteHeader(http.StatusOK)
	if !w.out && w.left < 0 && w.response.Header.Get("Transfer-Encoding") == "" {
		w.response.ContentLength = int64(len(w.held))
		w.response.Header.Set("Content-Length", strconv.Itoa(len(w.held)))
	}
	_ = w.release() // the client may have gone
	if w.left > 0 {
		w.exchange.stream.end(io.ErrUnexpectedEOF)
		return
	}
	w.exchange.stream.end(io.EOF)
}

// responseBody is the client's side of a response. Once it is read to its end or closed, the exchange is over.
type responseBody struct {
	stream *stream
	cancel context.CancelCauseFunc
}

// Read implements [io.Reader].
func (b *responseBody) Read(p []byte) (int, error) {
	n, err := b.stream.Read(p)
	if err != nil {
		b.cancel(errDone)
	}
	return n, err
}

// Close implements [io.Closer].
func (b *responseBody) Close() error {
	b.stream.abort(http.ErrBodyReadAfterClose)
	b.cancel(errDone)
	return nil
}
