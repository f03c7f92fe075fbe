package vidutest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	// callbackAttempts limits the callbacks about the end of a task, callbackPause is the time between them.
	callbackAttempts = 3
	callbackPause    = time.Second
	// maxCallbackReply is how many bytes of the answer to a callback are read.
	maxCallbackReply = 64 << 10
)

// The fixed values in the header of a callback.
const (
	signedHeaders  = "Date;x-request-nonce"
	signatureAlgo  = "hmac-sha256"
	signatureOwner = "vidu"
)

// Callback describes one callback for [Server.NewCallback]. TaskID is required; the zero value of every other field
// makes it the genuine one.
type Callback struct {
	// TaskID is the id of the task that the callback is about. The server must have such a task.
	TaskID string

	// State is the state in the body, true or not. The default is the task's present state.
	State string

	// URL is where the callback is sent. The default is the callback_url of the create.
	URL string

	// Date is the time of signing, to the second. The default is now.
	Date time.Time

	// Nonce identifies the callback. The default is a new one. With Date and Nonce of an earlier callback this one is a
	// duplicate of it.
	Nonce string

	// Key is what the signature is made with. The default is the server's API key.
	Key string

	// Body takes the place of the genuine body, and leaves the signature valid: it does not cover the body. The default
	// is the reply to a query of the task.
	Body string
}

// NewCallback makes a callback about a task as the API would send it: POST, signed, with the reply to a query as its
// body. It sends nothing: give the request to a client, or straight to the handler under test, when and as often as the
// test wants. A callback can thus be late, lost, repeated, out of order, stale, forged or signed with another key.
//
// It fails when there is no such task, or no URL.
func (s *Server) NewCallback(ctx context.Context, callback Callback) (*http.Request, error) {
	t := s.tasks.get(callback.TaskID)
	if t == nil {
		return nil, fmt.Errorf("vidutest: there is no task %q", callback.TaskID)
	}
	url := cmp.Or(callback.URL, t.request.CallbackURL)
	if url == "" {
		return nil, errors.New("vidutest: the task has no callback_url")
	}
	body := []byte(callback.Body)
	if len(body) == 0 {
		body = success(s.newQueryReply(t, callback.State)).body
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("vidutest: callback: %w", err)
	}
	r.Header.Set("Content-Type", contentTypeJSON)
	sign(r, cmp.Or(callback.Key, s.key), callback.Date, cmp.Or(callback.Nonce, randomHex(16)))
	return r, nil
}

// sign signs a callback. A zero date is now.
func sign(r *http.Request, key string, date time.Time, nonce string) {
	if date.IsZero() {
		date = time.Now()
	}
	r.Header.Set("Date", date.UTC().Format(http.TimeFormat))
	r.Header.Set("X-Request-Nonce", nonce)
	r.Header.Set("X-Hmac-Signed-Headers", signedHeaders)
	r.Header.Set("X-Hmac-Algorithm", signatureAlgo)
	r.Header.Set("X-Hmac-Access-Key", signatureOwner)
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(signedText(r)))
	r.Header.Set("X-Hmac-Signature", base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// signedText returns the text that is signed. It does not cover the body.
func signedText(r *http.Request) string {
	lines := []string{r.Method, cmp.Or(r.URL.Path, "/"), r.URL.RawQuery, signatureOwner, r.Header.Get("Date")}
	for name := range strings.SplitSeq(signedHeaders, ";") {
		lines = append(lines, name+":"+r.Header.Get(name))
	}
	return strings.Join(lines, "\n") + "\n"
}

// announce sends the callbacks of a task as its state changes, if they are enabled.
func (s *Server) announce(t *task) {
	if s.callbacks == nil || t.request.CallbackURL == "" {
		return
	}
	s.start(func() {
		for _, end := range []bool{false, true} {
			if !s.waitFor(t, end) {
				return
			}
			reply := s.newQueryReply(t, "")
			s.deliver(Callback{
				TaskID: t.id,
				State:  reply.State,
				Date:   time.Now(),
				Nonce:  randomHex(16),
				Body:   string(success(reply).body),
			})
			if reply.State != stateProcessing {
				return
			}
		}
	})
}

// waitFor waits until the task is at work, or has ended, or was stopped. It reports false if the server was closed
// first.
func (s *Server) waitFor(t *task, end bool) bool {
	age := t.queue
	if end {
		age += t.work
	}
	timer := time.NewTimer(time.Until(t.createdAt.Add(age)))
	defer timer.Stop()
	aged := timer.C
	if end && t.held {
		aged = nil
	}
	select {
	case <-aged:
		return true
	case <-t.stopped:
		return true
	case <-s.closing.Done():
		return false
	}
}

// deliver sends a callback: once, or, for the end of a task, until it is accepted.
func (s *Server) deliver(callback Callback) {
	if callback.State == stateProcessing {
		s.send(callback)
		return
	}
	for range callbackAttempts {
		if s.send(callback) || !s.wait(s.closing, callbackPause) {
			return
		}
	}
}

// send sends a callback and reports whether it was accepted.
func (s *Server) send(callback Callback) bool {
	r, err := s.NewCallback(s.closing, callback)
	if err != nil {
		return false
	}
	resp, err := s.callbacks.Do(r)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxCallbackReply) // so that the connection can be reused
	return resp.StatusCode/100 == 2
}
