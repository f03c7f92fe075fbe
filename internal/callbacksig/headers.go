package callbacksig

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// NonceHeader is the header whose value is new with every delivery.
const NonceHeader = "X-Request-Nonce"

const (
	listHeader      = "X-Hmac-Signed-Headers"
	algorithmHeader = "X-Hmac-Algorithm"
	accessKeyHeader = "X-Hmac-Access-Key"
	signatureHeader = "X-Hmac-Signature"
	digestHeader    = "X-Hmac-Digest"
)

const (
	maxNonceLen  = 128
	maxSigned    = 16  // headers in the list
	maxSignedLen = 512 // of a signed header's name, and of its value
)

// readHeaders keeps what the signature consists of and covers.
func (m *mac) readHeaders(header http.Header) error {
	var values [6]string
	for i, name := range [...]string{"Date", NonceHeader, listHeader, algorithmHeader, accessKeyHeader, signatureHeader} {
		value := header[name]
		if len(value) != 1 {
			return badHeader("%s occurs %d times", name, len(value))
		}
		values[i] = value[0]
	}
	switch {
	case len(values[1]) > maxNonceLen:
		return badHeader("%s has more than %d bytes", NonceHeader, maxNonceLen)
	case values[3] != algorithm:
		return badHeader("%s is not %s", algorithmHeader, algorithm)
	case values[4] != m.accessKey:
		return badHeader("%s is not %s", accessKeyHeader, m.accessKey)
	case !decodeHash(&m.signature, values[5]):
		return fmt.Errorf("%w: not base64 of 32 bytes", ErrSignature)
	}
	m.date = values[0]
	return m.readList(header, values[2])
}

func badHeader(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrHeader, fmt.Sprintf(format, args...))
}

var strictBase64 = base64.StdEncoding.Strict()

// decodeHash accepts the one spelling of 32 bytes. The lengths rule out line breaks, which the decoder skips.
func decodeHash(to *[sha256.Size]byte, text string) bool {
	var decoded [sha256.Size + 1]byte // room for the padding
	if len(text) != base64.StdEncoding.EncodedLen(sha256.Size) {
		return false
	}
	n, err := strictBase64.Decode(decoded[:], []byte(text))
	copy(to[:], decoded[:])
	return err == nil && n == sha256.Size
}

// readList keeps the headers that the signature covers.
func (m *mac) readList(header http.Header, list string) error {
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
			return badHeader("%s has an invalid name", listHeader)
		case m.covers(key):
			return badHeader("%s has a name twice", listHeader)
		case len(values) != 1:
			return badHeader("a header in %s occurs %d times", listHeader, len(values))
		case values[0] == "" || len(values[0]) > maxSignedLen || hasControl(values[0]):
			return badHeader("a header in %s is empty, too long or has control characters", listHeader)
		}
		m.signed = append(m.signed, signedHeader{name: name, key: key, value: values[0]})
	}
	if !m.covers("Date") || !m.covers(NonceHeader) {
		return badHeader("%s lacks Date or %s", listHeader, NonceHeader)
	}
	return nil
}

// headerKey returns name as http.Header spells it, without work for the names that every callback has, and reports
// whether it is a valid name.
func headerKey(name string) (key string, ok bool) {
	switch {
	case name == "Date":
		return name, true
	case name == "x-request-nonce":
		return NonceHeader, true
	case len(name) > maxSignedLen || !isToken(name):
		return "", false
	}
	return http.CanonicalHeaderKey(name), true
}

func (m *mac) covers(key string) bool {
	return slices.ContainsFunc(m.signed, func(h signedHeader) bool { return h.key == key })
}

// isToken reports whether s is a token as RFC 9110 defines it.
func isToken(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || strings.IndexByte(`"(),/:;<=>?@[\]{}`, s[i]) >= 0 {
			return false
		}
	}
	return s != ""
}

func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}
