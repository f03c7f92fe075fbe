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

// checkSignature computes the signature with every secret, and with both forms of the path where they differ: the
// vendor's sample signs the decoded one. A match does not end the loop, so that its time does not depend on which
// secret was used.
func (m *mac) checkSignature(r *http.Request, public *url.URL) error {
	u, query := r.URL, r.URL.RawQuery
	if public != nil {
		u, query = public, cmp.Or(public.RawQuery, query)
	}
	path, escaped := cmp.Or(u.Path, "/"), cmp.Or(u.EscapedPath(), "/")
	if hasControl(path) || hasControl(query) { // a line break would shift what the lines mean
		return fmt.Errorf("%w: the path or query has control characters", ErrSignature)
	}
	ok := false
	for _, keyed := range m.keyed {
		ok = hmac.Equal(m.sum(keyed, r.Method, path, query), m.signature[:]) || ok
		if escaped != path {
			ok = hmac.Equal(m.sum(keyed, r.Method, escaped, query), m.signature[:]) || ok
		}
	}
	if !ok {
		return fmt.Errorf("%w: another secret, path or query was signed", ErrSignature)
	}
	return nil
}
