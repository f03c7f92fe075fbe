package vidu

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// callbackMAC is what one verification works with.
type callbackMAC struct {
	secret string
	more   []string
	keyed  []hash.Hash // one for each secret

	date      string
	signature [sha256.Size]byte
	signed    []signedHeader
	text      []byte
	digest    []byte
}

type signedHeader struct {
	name  string // as the list spells it
	key   string // as http.Header does
	value string
}

// callbackMACs keeps them, because keying an HMAC costs more than computing it. Most programs have one secret.
var callbackMACs sync.Pool

func borrowCallbackMAC(secret string, more []string) *callbackMAC {
	if m, ok := callbackMACs.Get().(*callbackMAC); ok && m.secret == secret && slices.Equal(m.more, more) {
		return m
	}
	m := &callbackMAC{secret: secret, more: slices.Clone(more)}
	m.keyed = append(m.keyed, hmac.New(sha256.New, []byte(secret)))
	for _, other := range more {
		m.keyed = append(m.keyed, hmac.New(sha256.New, []byte(other)))
	}
	return m
}

// sum computes the signature. The result holds until the next call.
func (m *callbackMAC) sum(keyed hash.Hash, method, path, query string) []byte {
	m.text = m.text[:0]
	for _, line := range [...]string{method, path, query, callbackAccessKey, m.date} {
		m.text = append(append(m.text, line...), '\n')
	}
	for _, h := range m.signed {
		m.text = append(append(m.text, h.name...), ':')
		m.text = append(append(m.text, h.value...), '\n')
	}
	keyed.Reset()
	keyed.Write(m.text)
	m.digest = keyed.Sum(m.digest[:0])
	return m.digest
}

func (cfg *callbackConfig) verify(r *http.Request) error {
	if r == nil || r.URL == nil || r.Method != http.MethodPost {
		return fmt.Errorf("%w: it is not a POST request", ErrCallbackSignature)
	}
	m := borrowCallbackMAC(cfg.secret, cfg.more)
	defer callbackMACs.Put(m)
	if err := m.readHeader(r.Header); err != nil {
		return err
	}
	if err := cfg.checkSignature(r, m); err != nil {
		return err
	}
	if err := cfg.checkDate(m.date); err != nil { // after the signature, or strangers could probe the clock
		return err
	}
	return m.checkDigest(r)
}

// readHeader keeps what the signature consists of and covers.
func (m *callbackMAC) readHeader(header http.Header) error {
	var values [6]string
	for i, name := range [...]string{"Date", nonceHeader, listHeader, algorithmHeader, accessKeyHeader, signatureHeader} {
		value := header[name]
		if len(value) != 1 {
			return badHeader("%s comes %d times", name, len(value))
		}
		values[i] = value[0]
	}
	switch {
	case len(values[1]) > maxNonceLen:
		return badHeader("%s has more than %d bytes", nonceHeader, maxNonceLen)
	case values[3] != callbackAlgorithm:
		return badHeader("%s is not %s", algorithmHeader, callbackAlgorithm)
	case values[4] != callbackAccessKey:
		return badHeader("%s is not %s", accessKeyHeader, callbackAccessKey)
	case !decodeSignature(&m.signature, values[5]):
		return fmt.Errorf("%w: it is not base64 of 32 bytes", ErrCallbackSignature)
	}
	m.date = values[0]
	return m.readList(header, values[2])
}

func badHeader(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCallbackHeader, fmt.Sprintf(format, args...))
}

var strictBase64 = base64.StdEncoding.Strict()

// decodeSignature takes the one spelling of 32 bytes. The lengths rule out line breaks, which the decoder skips.
func decodeSignature(to *[sha256.Size]byte, text string) bool {
	var decoded [sha256.Size + 1]byte // room for the padding
	if len(text) != base64.StdEncoding.EncodedLen(sha256.Size) {
		return false
	}
	n, err := strictBase64.Decode(decoded[:], []byte(text))
	copy(to[:], decoded[:])
	return err == nil && n == sha256.Size
}

// readList keeps the headers that the signature says it covers.
func (m *callbackMAC) readList(header http.Header, list string) error {
	m.signed = m.signed[:0]
	for more := true; more; {
		var name string
		name, list, more = strings.Cut(list, ";")
		key, ok := headerKey(name)
		values := header[key]
		switch {
		case len(m.signed) == maxSigned:
			return badHeader("%s has more than %d names", listHeader, maxSigned)
		case !ok:
			return badHeader("%s has something that is not a name", listHeader)
		case m.covers(key):
			return badHeader("%s has a name twice", listHeader)
		case len(values) != 1:
			return badHeader("a header in %s comes %d times", listHeader, len(values))
		case values[0] == "" || len(values[0]) > maxSignedLen || hasControl(values[0]):
			return badHeader("a header in %s is empty, too long or has control characters", listHeader)
		}
		m.signed = append(m.signed, signedHeader{name: name, key: key, value: values[0]})
	}
	if !m.covers("Date") || !m.covers(nonceHeader) {
		return badHeader("%s lacks Date or %s", listHeader, nonceHeader)
	}
	return nil
}

// headerKey is the name as http.Header spells it, without work for the names that every callback has. It is false for
// what is no name.
func headerKey(name string) (key string, ok bool) {
	switch {
	case name == "Date":
		return name, true
	case name == "x-request-nonce":
		return nonceHeader, true
	case name == "" || len(name) > maxSignedLen || !isToken(name):
		return "", false
	}
	return http.CanonicalHeaderKey(name), true
}

func (m *callbackMAC) covers(key string) bool {
	return slices.ContainsFunc(m.signed, func(h signedHeader) bool { return h.key == key })
}

func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}

// checkSignature computes the signature with every secret, and with both forms of the path where they differ: the
// vendor's sample signs the decoded one. No result ends it early.
func (cfg *callbackConfig) checkSignature(r *http.Request, m *callbackMAC) error {
	u, query := r.URL, r.URL.RawQuery
	if cfg.publicURL != nil {
		u, query = cfg.publicURL, cmp.Or(cfg.publicURL.RawQuery, query)
	}
	path, escaped := cmp.Or(u.Path, "/"), cmp.Or(u.EscapedPath(), "/")
	if hasControl(path) || hasControl(query) { // a line break would shift what the lines mean
		return fmt.Errorf("%w: the path or query has control characters", ErrCallbackSignature)
	}
	ok := false
	for _, keyed := range m.keyed {
		ok = hmac.Equal(m.sum(keyed, r.Method, path, query), m.signature[:]) || ok
		if escaped != path {
			ok = hmac.Equal(m.sum(keyed, r.Method, escaped, query), m.signature[:]) || ok
		}
	}
	if !ok {
		return fmt.Errorf("%w: another secret, or another path or query than was signed", ErrCallbackSignature)
	}
	return nil
}

// checkDigest compares the body with its HMAC, where the signature covers one. The vendor sends none today; the gateway
// software whose scheme this is can. The body can be read again afterwards.
func (m *callbackMAC) checkDigest(r *http.Request) error {
	i := slices.IndexFunc(m.signed, func(h signedHeader) bool { return h.key == digestHeader })
	if i < 0 {
		return nil
	}
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(io.LimitReader(r.Body, maxCallback+1)); err != nil {
			return fmt.Errorf("%w: the body cannot be read: %w", ErrCallbackSignature, err)
		}
		r.Body = readCloser{io.MultiReader(bytes.NewReader(body), r.Body), r.Body}
	}
	var want [sha256.Size]byte
	ok := false
	if decodeSignature(&want, m.signed[i].value) && len(body) <= maxCallback {
		for _, keyed := range m.keyed {
			keyed.Reset()
			keyed.Write(body)
			m.digest = keyed.Sum(m.digest[:0])
			ok = hmac.Equal(m.digest, want[:]) || ok
		}
	}
	if !ok {
		return fmt.Errorf("%w: the body does not match %s", ErrCallbackSignature, digestHeader)
	}
	return nil
}

// readCloser reads from one thing and closes another.
type readCloser struct {
	io.Reader
	io.Closer
}

// checkDate takes the one form of dates that HTTP allows to send. time.Parse alone is more generous.
func (cfg *callbackConfig) checkDate(text string) error {
	date, err := time.Parse(http.TimeFormat, text)
	if err != nil || !looksLike(text, http.TimeFormat) {
		return badHeader("Date is not in the form of %q", http.TimeFormat)
	}
	if off := time.Since(date); off.Abs() > cfg.tolerance {
		return fmt.Errorf("%w: its Date is off by %v", ErrCallbackStale, off.Round(time.Second))
	}
	return nil
}

// looksLike compares kinds of characters: digits, capitals, small letters; all others must be the same.
func looksLike(text, model string) bool {
	if len(text) != len(model) {
		return false
	}
	for i := range len(text) {
		if charKind(text[i]) != charKind(model[i]) {
			return false
		}
	}
	return true
}

func charKind(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return '0'
	case 'A' <= c && c <= 'Z':
		return 'A'
	case 'a' <= c && c <= 'z':
		return 'a'
	}
	return c
}
