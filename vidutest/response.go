package vidutest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

var errDone = errors.New("vidutest: the client is done with the response")

// responseWriter is the handler's side of the response.
type responseWriter struct {
	exchange *exchange
	header   http.Header
	sent     *http.Request // the client's own
	wrote    bool          // the header is out
	left     int64         // bytes of the body still promised, -1 when the length is unknown
}

// Header implements [http.ResponseWriter].
func (w *responseWriter) Header() http.Header {
	return w.header
}

// WriteHeader implements [http.ResponseWriter]. It gives the response to the client.
func (w *responseWriter) WriteHeader(status int) {
	if w.wrote {
		return
	}
	w.wrote = true
	header := w.header.Clone()
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	header.Del("Transfer-Encoding") // as net/http, which takes "identity" for an order
	length, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64)
	if err != nil {
		length = -1
	}
	w.left = length
	if w.sent.Method == http.MethodHead || status == http.StatusNoContent || status == http.StatusNotModified {
		w.left = 0
	}
	w.exchange.response <- &http.Response{
		Status:        fmt.Sprintf("%d %s", status, http.StatusText(status)),
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
	if w.left < 0 {
		return w.exchange.stream.Write(p)
	}
	if int64(len(p)) > w.left {
		return 0, http.ErrContentLength
	}
	n, err := w.exchange.stream.Write(p)
	w.left -= int64(n)
	return n, err
}

// Flush implements [http.Flusher]. What is written is on its way already.
func (w *responseWriter) Flush() {
	w.WriteHeader(http.StatusOK)
}

// finish ends the response of a handler that returned. A body that is shorter than promised shows to the client.
func (w *responseWriter) finish() {
	w.WriteHeader(http.StatusOK)
	if w.left > 0 {
		w.exchange.stream.end(io.ErrUnexpectedEOF)
		return
	}
	w.exchange.stream.end(io.EOF)
}

// responseBody is the client's side of a response. With its end, read or declared, the exchange is over.
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
