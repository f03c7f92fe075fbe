package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
)

// counts is the work that the server saw.
type counts struct {
	Creates int64 // with all pictures
	Videos  int64 // sent to their end
}

// backend is the server. It decodes every picture of every create.
type backend struct {
	creates, videos atomic.Int64
	sums            sync.Map      // of the pictures, by their size
	reached         chan struct{} // half of a request has arrived
	goOn            chan struct{} // the rest may follow
}

// serve runs a server until its input ends.
func serve(in io.Reader, out io.Writer) error {
	server := httptest.NewServer(newBackend().mux())
	defer server.Close()
	if err := json.NewEncoder(out).Encode(server.URL); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, in)
	return err
}

func newBackend() *backend {
	return &backend{reached: make(chan struct{}), goOn: make(chan struct{})}
}

func (b *backend) mux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /whole/{size}/", func(w http.ResponseWriter, r *http.Request) { b.create(w, r, r.Body) })
	mux.HandleFunc("POST /half/{size}/", func(w http.ResponseWriter, r *http.Request) {
		size, _ := strconv.ParseInt(r.PathValue("size"), 10, 64) // create reports what is wrong with it
		b.create(w, r, &halting{Reader: r.Body, left: pictures * size / 3 * 4 / 2, halt: func() { b.halt(r) }})
	})
	mux.HandleFunc("POST /reached", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-b.reached:
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("POST /go-on", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case b.goOn <- struct{}{}:
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("GET /video/{size}", b.video)
	mux.HandleFunc("GET /counts", func(w http.ResponseWriter, _ *http.Request) {
		sendJSON(w, counts{b.creates.Load(), b.videos.Load()})
	})
	return mux
}

func sendJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v) //nolint:errcheck // the client reports it
}

// create answers with a task if the pictures are those of the order, else with an error.
func (b *backend) create(w http.ResponseWriter, r *http.Request, body io.Reader) {
	err := b.check(r.PathValue("size"), body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	number := b.creates.Add(1)
	w.Header().Set("Content-Type", "application/json")
	w.Write(answer(r, number)) //nolint:errcheck // the client reports it
}

func (b *backend) check(text string, body io.Reader) error {
	size, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	sums, known := b.sums.Load(size)
	if !known {
		var all []uint32
		for n := range pictures {
			data, err := picture(n, size)
			if err != nil {
				return err
			}
			all = append(all, crc32.ChecksumIEEE(data))
		}
		sums, _ = b.sums.LoadOrStore(size, all)
	}
	return checkPictures(body, sums.([]uint32)) // nothing else is stored
}

// checkPictures reads a request as a stream, so that the server's memory does not limit how many there can be at once.
func checkPictures(body io.Reader, want []uint32) error {
	r := bufio.NewReaderSize(body, 64<<10)
	n := 0
	for {
		text, err := r.ReadSlice(',')
		switch {
		case bytes.HasSuffix(text, []byte(";base64,")):
			sum := crc32.NewIEEE()
			if _, err := io.Copy(sum, base64.NewDecoder(base64.StdEncoding, quoted{r})); err != nil {
				return err
			}
			if n >= len(want) || sum.Sum32() != want[n] {
				return fmt.Errorf("picture %d is not that of the order", n)
			}
			n++
		case errors.Is(err, io.EOF) && n == len(want):
			return nil
		case errors.Is(err, io.EOF):
			return fmt.Errorf("%d pictures of %d", n, len(want))
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

// quoted reads up to the next quotation mark.
type quoted struct{ r *bufio.Reader }

func (q quoted) Read(p []byte) (int, error) {
	if _, err := q.r.Peek(1); err != nil {
		return 0, io.ErrUnexpectedEOF
	}
	text, err := q.r.Peek(min(len(p), q.r.Buffered()))
	if err != nil {
		return 0, err
	}
	if end := bytes.IndexByte(text, '"'); end >= 0 {
		text = text[:end]
	}
	if len(text) == 0 {
		return 0, io.EOF
	}
	return q.r.Discard(copy(p, text))
}

// halting calls halt once, when left bytes have been read.
type halting struct {
	io.Reader

	left int64
	halt func()
}

func (h *halting) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	if h.left > 0 && h.left <= int64(n) {
		h.halt()
	}
	h.left -= int64(n)
	return n, err
}

func (b *backend) halt(r *http.Request) {
	select {
	case b.reached <- struct{}{}:
	case <-r.Context().Done():
		return
	}
	select {
	case <-b.goOn:
	case <-r.Context().Done():
	}
}

const blockSize = 1 << 20

// video sends size bytes. Each MiB begins with its number.
func (b *backend) video(w http.ResponseWriter, r *http.Request) {
	size, err := strconv.Atoi(r.PathValue("size"))
	if err != nil || size%blockSize != 0 {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "video/mp4")
	w.Header().Set("Content-Length", strconv.Itoa(size))
	part := make([]byte, blockSize)
	for n := range size / blockSize {
		binary.BigEndian.PutUint64(part, uint64(n))
		if _, err := w.Write(part); err != nil {
			return
		}
	}
	b.videos.Add(1)
}
