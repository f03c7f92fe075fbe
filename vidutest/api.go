package vidutest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"path"
	"time"
)

// maxBody is the largest request body, in bytes.
const maxBody = 20 << 20

// route is one endpoint. In its path, "*" stands for one element.
type route struct {
	path    string
	method  string
	handle  func(*Server, *call) answer
	creates string // the endpoint, of a create
	storage bool   // not part of the API: authorized by a signed link instead of a key
}

// call is a request that matched a route.
type call struct {
	*http.Request
	entry   int // in the ledger
	body    *tee
	payload string        // of a create, once it was read
	late    time.Duration // how much later than now a task is to be created
}

// taskRoutes are the endpoints that every server has.
func taskRoutes(prefix string) []route {
	return append(createRoutes(prefix, endpoints),
		route{path: prefix + "/tasks/*/creations", method: http.MethodGet, handle: (*Server).query})
}

// officialRoutes are the endpoints that most gateways lack.
func officialRoutes(prefix string) []route {
	return []route{
		{path: prefix + "/tasks/*/cancel", method: http.MethodPost, handle: (*Server).cancel},
		{path: prefix + "/tasks", method: http.MethodGet, handle: (*Server).list},
		{path: prefix + "/credits", method: http.MethodGet, handle: (*Server).credits},
		{path: toolsPrefix + "v2/files/uploads", method: http.MethodPost, handle: (*Server).startUpload},
		{path: toolsPrefix + "v2/files/uploads/*/finish", method: http.MethodPut, handle: (*Server).finishUpload},
		{path: uploadPrefix + "*", method: http.MethodPut, handle: (*Server).putUpload, storage: true},
	}
}

// serveAPI records a request to the API in the ledger and answers it, with the fault of the next script that applies.
func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request) {
	id := s.ledger.open(r, s.endpointOf(r))
	c := &call{Request: r, entry: id, body: newTee(http.MaxBytesReader(w, r.Body, maxBody), r.ContentLength)}
	fault := s.nextFault(c)
	if fault.instead != nil {
		s.answerBy(fault.instead, w, c) //nolint:contextcheck // it ends with the server, which Close waits for
		return
	}

	c.late = fault.late
	reply := s.act(c)
	s.ledger.received(id, c.body, c.payload)

	cut := c.body.broken() || fault.dropReply && reply.accepted
	if cut || !s.wait(r.Context(), fault.delay) {
		panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's way to cut a connection
	}
	s.ledger.answered(id, reply.status)
	reply.write(w, fault.cutBody)
}

// nextFault takes the fault of the next script that applies to a request. Only for a condition the body is read first.
func (s *Server) nextFault(c *call) fault {
	var known *Request
	if s.scripts.conditional(ofRequest) {
		whole := c.body.readAhead()
		if s.isCreate(c.Request) && c.body.complete() {
			values, _ := readFields(bytes.NewReader(whole)) // what is wrong with them is found when they are used
			c.payload = payloadOf(values)
		}
		s.ledger.received(c.entry, c.body, c.payload)
		known = new(s.ledger.get(c.entry))
	}
	f, _ := s.scripts.next(ofRequest, c.Request, known)
	return f
}

// act handles a request. What is wrong with its header is refused before the body is read, so that a client that
// expects "100 Continue" does not send it.
func (s *Server) act(c *call) answer {
	found := s.find(c.URL.EscapedPath())
	switch {
	case found == nil:
		return refuse(http.StatusNotFound, "NotFound", "no endpoint at "+c.URL.EscapedPath())
	case c.Method != found.method:
		return refuse(http.StatusMethodNotAllowed, "MethodNotAllowed", "the method must be "+found.method)
	case found.storage:
		return found.handle(s, c)
	case c.Header.Get("Authorization") != s.dialect.scheme+" "+s.key:
		return refuse(http.StatusUnauthorized, "Unauthorized", "the API key is missing or wrong")
	case s.wantsJSON(c.Request) && !hasJSON(c.Request):
		return refuse(http.StatusUnsupportedMediaType, "UnsupportedMediaType", "the Content-Type must be "+contentTypeJSON)
	case c.ContentLength > maxBody:
		return tooLarge()
	}
	return found.handle(s, c)
}

// find returns the route of an escaped path, nil when there is none.
func (s *Server) find(escapedPath string) *route {
	for i := range s.routes {
		r := &s.routes[i]
		if matched, _ := path.Match(r.path, escapedPath); matched { // the patterns are constants, and well-formed
			return r
		}
	}
	return nil
}

// endpointOf returns the endpoint of a create, "" for any other request.
func (s *Server) endpointOf(r *http.Request) string {
	found := s.find(r.URL.EscapedPath())
	if found == nil || r.Method != found.method {
		return ""
	}
	return found.creates
}

func (s *Server) isCreate(r *http.Request) bool { return s.endpointOf(r) != "" }

// hasAnswerBody reports whether the answer to a request has a body. A successful PUT to storage has none.
func (s *Server) hasAnswerBody(r *http.Request) bool {
	found := s.find(r.URL.EscapedPath())
	return r.Method != http.MethodHead && (found == nil || !found.storage)
}

func (s *Server) wantsJSON(r *http.Request) bool {
	return r.Method != http.MethodGet || s.dialect.strict
}

func hasJSON(r *http.Request) bool {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && mediaType == contentTypeJSON
}

// wait waits for d. It reports false if the client went away or the server was closed first.
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

// drain reads a body to its end. The tee records how it ended.
func drain(body io.Reader) {
	_, _ = io.Copy(io.Discard, body)
}

// maxSmallBody is how many bytes are read of a body that has a few short fields.
const maxSmallBody = 64 << 10

// decodeSmall reads such a body, or returns its refusal.
func decodeSmall(body io.Reader, v any) *answer {
	text, err := io.ReadAll(io.LimitReader(body, maxSmallBody))
	drain(body)
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		return new(refuseBody(err))
	}
	return nil
}
