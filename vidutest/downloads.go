package vidutest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"net/http"
	"path"
	"sync"
	"time"
)

// downloads holds how results are served.
type downloads struct {
	videoLife, coverLife time.Duration
	whole                bool // Range is ignored
	unsized              bool // nothing says how long a body is

	ledger ledger

	mu     sync.Mutex
	videos *video // every task's
}

// video returns the present video.
func (d *downloads) video() *video {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.videos
}

// replace replaces v with another video.
func (d *downloads) replace(v *video) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.videos = newVideo(v.size, v.generation+1)
}

// Downloads returns every request for a result link so far, in the order of their arrival, the refused ones included.
// Its Body fields and Complete have no meaning. The requested range is in Range and If-Range of the Header.
func (s *Server) Downloads() []Request {
	return s.downloads.ledger.list()
}

// serveMedia answers a request for the file behind a result link.
func (s *Server) serveMedia(w http.ResponseWriter, r *http.Request) {
	d := &downloadWriter{ResponseWriter: w, server: s, request: r, entry: s.downloads.ledger.open(r, "")}
	refused := s.refuseLink(r)
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		refuseStorage(http.StatusMethodNotAllowed, "MethodNotAllowed").write(d, false)
	case refused != nil:
		refused.write(d, false)
	default:
		s.serveFile(d, r)
	}
}

// serveFile answers with a file, or the ranges of it that were asked for. Links to other files were refused before.
func (s *Server) serveFile(w *downloadWriter, r *http.Request) {
	if s.downloads.whole {
		r = r.Clone(r.Context())
		r.Header.Del("Range")
	}
	if path.Base(r.URL.Path) == coverFile {
		w.Header().Set("Content-Type", "image/jpeg")
		w.Header().Set("ETag", etag(sha256.Sum256(coverJPEG)))
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(coverJPEG))
		return
	}
	w.video = s.downloads.video()
	w.Header().Set("Content-Type", "video/mp4")
	w.Header().Set("ETag", w.video.etag)
	http.ServeContent(w, r, "", time.Time{}, w.video.open())
}

// errCut stops [http.ServeContent] after a cut.
var errCut = errors.New("vidutest: cut")

// downloadWriter is the response to a download, whose body may break off.
type downloadWriter struct {
	http.ResponseWriter
	server  *Server
	request *http.Request
	entry   int    // in the ledger
	video   *video // nil when it is another file
	cut     cut
}

// WriteHeader implements [http.ResponseWriter]. Every write calls it first.
func (w *downloadWriter) WriteHeader(status int) {
	w.cut = cut{after: noCut}
	if status < http.StatusMultipleChoices {
		w.prepare()
	}
	w.server.downloads.ledger.answered(w.entry, status)
	w.ResponseWriter.WriteHeader(status)
}

// prepare applies the options and the next script to an answer with content.
func (w *downloadWriter) prepare() {
	if w.request.Method == http.MethodGet {
		entry := w.server.downloads.ledger.get(w.entry)
		if f, found := w.server.scripts.next(ofDownload, w.request, &entry); found {
			w.cut = f.cut
		}
	}
	if w.server.downloads.whole {
		w.Header().Del("Accept-Ranges")
	}
	if w.server.downloads.unsized {
		w.Header().Del("Content-Length")
		w.Header().Set("Transfer-Encoding", "identity") // net/http's way to end a body with its connection
	}
}

// Write implements [http.ResponseWriter].
func (w *downloadWriter) Write(p []byte) (int, error) {
	if w.cut.after == noCut {
		return w.ResponseWriter.Write(p)
	}
	n, err := w.ResponseWriter.Write(p[:min(int64(len(p)), w.cut.after)])
	w.cut.after -= int64(n)
	if err != nil || n == len(p) {
		return n, err
	}
	w.hangUp()
	return n, errCut
}

// hangUp cuts the connection. The handler's return does so for a body without a length.
func (w *downloadWriter) hangUp() {
	if w.cut.replace && w.video != nil {
		w.server.downloads.replace(w.video)
	}
	_ = http.NewResponseController(w.ResponseWriter).Flush() // or what was written would be lost with the connection
	if !w.server.downloads.unsized {
		panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's way to cut a connection
	}
}
