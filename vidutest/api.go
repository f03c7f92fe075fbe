package vidutest

import (
	"context"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

// maxBody is the largest request body, in bytes.
const maxBody = 20 << 20

const createPath = "/reference2video"

// route is one endpoint. In its path, "*" stands for one element.
type route struct {
	path   string
	method string
	handle func(*Server, *http.Request, io.Reader) answer
}

var routes = []route{
	{createPath, http.MethodPost, (*Server).create},
	{"/tasks/*/creations", http.MethodGet, (*Server).query},
}

// serveAPI answers a request to the API: it notes it in the ledger, finds the answer, and hands the answer over in the
// way the script wants.
func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request) {
	id := s.ledger.open(r)
	fault := s.scripts.next(s.isCreate(r))
	body := newTee(http.MaxBytesReader(w, r.Body, maxBody), r.ContentLength)

	reply := s.reply(r, body, fault)
	s.ledger.received(id, body)

	cut := body.broken() || fault.dropReply && reply.accepted
	if cut || !s.wait(r.Context(), fault.delay) {
		panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's way to cut a connection
	}
	s.ledger.answered(id, reply.status)
	reply.write(w, fault.cutBody)
}

// reply finds the answer to a request: the script's, when it has one.
func (s *Server) reply(r *http.Request, body io.Reader, f fault) answer {
	if f.instead == nil {
		return s.act(r, body)
	}
	drain(body)
	return *f.instead
}

// act does what a request asks for, or refuses it. Whatever its header gives away is refused before the body is read,
// so that a client which expects "100 Continue" keeps its body.
func (s *Server) act(r *http.Request, body io.Reader) answer {
	found := s.find(r)
	switch {
	case found == nil:
		return refuse(http.StatusNotFound, "NotFound", "there is nothing at "+r.URL.EscapedPath())
	case r.Method != found.method:
		return refuse(http.StatusMethodNotAllowed, "MethodNotAllowed", "the method must be "+found.method)
	case r.Header.Get("Authorization") != s.dialect.scheme+" "+s.key:
		return refuse(http.StatusUnauthorized, "Unauthorized", "the API key is missing or wrong")
	case s.wantsJSON(r) && !hasJSON(r):
		return refuse(http.StatusUnsupportedMediaType, "UnsupportedMediaType", "the Content-Type must be "+contentTypeJSON)
	case r.ContentLength > maxBody:
		return tooLarge()
	}
	return found.handle(s, r, body)
}

// find returns the route of a request's path, nil when there is none.
func (s *Server) find(r *http.Request) *route {
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), s.dialect.prefix)
	if !ok {
		return nil
	}
	for i := range routes {
		if matched, _ := path.Match(routes[i].path, rest); matched { // the patterns are constants, and well-formed
			return &routes[i]
		}
	}
	return nil
}

func (s *Server) isCreate(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Path == s.dialect.prefix+createPath
}

func (s *Server) wantsJSON(r *http.Request) bool {
	return r.Method == http.MethodPost || s.dialect.strict
}

func hasJSON(r *http.Request) bool {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && mediaType == contentTypeJSON
}

// wait lets d pass. It reports false when the client went away or the server was closed before that.
func (s *Server) wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	case <-s.closing.Done():
		return false
	}
}

// drain reads a body to its end. How the reading ended is the tee's business.
func drain(body io.Reader) {
	_, _ = io.Copy(io.Discard, body)
}
