// Package callbacksig signs and verifies callbacks: an HMAC-SHA256 over method, path, query, date, nonce and whatever
// other headers the request lists as signed. A request is accepted only if it was signed with one of the secrets, every
// signed header occurs once and in its one valid form, the date is within the tolerance, and the body matches its
// digest where the signature covers one. No error quotes the request, and the date is judged only after the signature,
// so that nobody without a secret can probe the clock.
package callbacksig

import (
	"cmp"
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// What [Verify] finds wrong. Each of its errors wraps one of these.
var (
	// ErrSignature is a request that was not signed with the secret, or was changed since.
	ErrSignature = errors.New("invalid callback signature")
	// ErrStale is a valid signature whose date is too far from now.
	ErrStale = errors.New("callback timestamp outside the allowed window")
	// ErrHeader is a header that the signature needs and that is missing, repeated or malformed.
	ErrHeader = errors.New("callback has a missing or invalid header")
)

// Params is what a request is verified against.
type Params struct {
	AccessKey string   // the signer's public name
	Secret    string   // must not be empty, or anybody could sign
	More      []string // other secrets that are accepted, too
	Tolerance time.Duration
	PublicURL *url.URL // what the sender called, where that differs from the request's own URL; nil: the request's
	MaxBody   int64    // of a body whose digest is signed, in bytes
}

// Verify returns nil for a POST request that was signed with one of the secrets, and is recent. It reads the body only
// if its digest is signed, and then leaves it to be read again.
func Verify(r *http.Request, p *Params) error {
	if r == nil || r.URL == nil || r.Method != http.MethodPost {
		return fmt.Errorf("%w: not a POST request", ErrSignature)
	}
	m := borrowMAC(p.AccessKey, p.Secret, p.More)
	defer macs.Put(m)
	if err := m.readHeaders(r.Header); err != nil {
		return err
	}
	if err := m.checkSignature(r, p.PublicURL); err != nil {
		return err
	}
	if err := checkDate(m.date, p.Tolerance); err != nil {
		return err
	}
	return m.checkDigest(r, p.MaxBody)
}

// Sign sets the six headers that [Verify] wants. Method, path and query must be final; the body is not signed.
func Sign(r *http.Request, accessKey, secret string, date time.Time, nonce string) {
	if r.Header == nil {
		r.Header = http.Header{}
	}
	stamp := date.UTC().Format(http.TimeFormat)
	m := borrowMAC(accessKey, secret, nil)
	defer macs.Put(m)
	m.date = stamp
	m.signed = append(m.signed[:0], signedHeader{name: "Date", value: stamp}, signedHeader{name: "x-request-nonce", value: nonce})
	sum := m.sum(m.keyed[0], r.Method, cmp.Or(r.URL.Path, "/"), r.URL.RawQuery)

	r.Header.Set("Date", stamp)
	r.Header.Set(NonceHeader, nonce)
	r.Header.Set(listHeader, "Date;x-request-nonce")
	r.Header.Set(algorithmHeader, algorithm)
	r.Header.Set(accessKeyHeader, accessKey)
	r.Header.Set(signatureHeader, base64.StdEncoding.EncodeToString(sum))
}

// target is a path and a query that may have been signed.
type target struct{ path, escaped, query string }

func targetOf(u *url.URL) target {
	return target{cmp.Or(u.Path, "/"), cmp.Or(u.EscapedPath(), "/"), u.RawQuery}
}

// firstTarget returns what the sender called: the public URL, or the request's.
func firstTarget(r *http.Request, public *url.URL) target {
	if public == nil {
		return targetOf(r.URL)
	}
	t := targetOf(public)
	t.query = cmp.Or(t.query, r.URL.RawQuery)
	return t
}

// received returns what the request line has, if a router has changed the path since and no public URL says better.
func received(r *http.Request, public *url.URL) (t target, differs bool) {
	u, err := url.ParseRequestURI(r.RequestURI)
	if public != nil || err != nil {
		return target{}, false
	}
	t = targetOf(u)
	return t, t.path != cmp.Or(r.URL.Path, "/")
}

// Paths returns the paths that Verify compares.
func Paths(r *http.Request, public *url.URL) []string {
	paths := []string{firstTarget(r, public).escaped}
	if t, differs := received(r, public); differs {
		paths = append(paths, t.escaped)
	}
	return paths
}

func (m *mac) checkSignature(r *http.Request, public *url.URL) error {
	t := firstTarget(r, public)
	if t.hasControl() {
		return fmt.Errorf("%w: the path or query has control characters", ErrSignature)
	}
	if m.signs(r.Method, t) {
		return nil
	}
	if t, differs := received(r, public); differs && !t.hasControl() && m.signs(r.Method, t) {
		return nil
	}
	return fmt.Errorf("%w: another secret, path or query was signed", ErrSignature)
}

// hasControl looks for line breaks and the like, which would shift what the lines mean.
func (t target) hasControl() bool { return hasControl(t.path) || hasControl(t.query) }

// signs computes the signature with every secret, and with both forms of the path where they differ: the vendor's
// sample signs the decoded one. A match does not end the loop, so that its time does not depend on which secret was
// used.
func (m *mac) signs(method string, t target) bool {
	ok := false
	for _, keyed := range m.keyed {
		ok = hmac.Equal(m.sum(keyed, method, t.path, t.query), m.signature[:]) || ok
		if t.escaped != t.path {
			ok = hmac.Equal(m.sum(keyed, method, t.escaped, t.query), m.signature[:]) || ok
		}
	}
	return ok
}
