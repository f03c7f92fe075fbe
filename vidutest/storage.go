package vidutest

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Storage is where result links and upload links lead. It uses neither the API's keys nor its envelopes.

// linkBase returns what links begin with.
func (s *Server) linkBase() string { return cmp.Or(s.publicURL, s.URL) }

// refuseLink returns the refusal of a request whose link is not valid, nil if it is.
func (s *Server) refuseLink(r *http.Request) *answer {
	switch {
	case r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "":
		// Real storage refuses a second credential, too; here it reveals a leaked key.
		return new(refuseStorage(http.StatusBadRequest, "InvalidArgument"))
	case !s.signer.signed(r.URL.EscapedPath(), r.URL.RawQuery):
		return new(refuseStorage(http.StatusForbidden, "SignatureDoesNotMatch"))
	case expired(r.URL.RawQuery):
		return new(refuseStorageWith(http.StatusForbidden, "AccessDenied", "Request has expired"))
	}
	return nil
}

// refuseStorage returns an error response as storage sends it, in XML.
func refuseStorage(status int, code string) answer {
	return refuseStorageWith(status, code, http.StatusText(status))
}

// refuseStorageWith is refuseStorage with a message.
func refuseStorageWith(status int, code, message string) answer {
	const form = `<?xml version="1.0" encoding="UTF-8"?>` + "\n<Error><Code>%s</Code><Message>%s</Message></Error>"
	return answer{
		status:      status,
		contentType: "application/xml",
		body:        fmt.Appendf(nil, form, code, message),
	}
}

// etag returns the strong ETag of a content.
func etag(sum [sha256.Size]byte) string {
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}

// What a link's query consists of, in this order.
const (
	expiresMark   = "expires="
	nonceMark     = ";nonce="
	signatureMark = ";signature=" // stands between what is signed and the signature
)

// signer signs links.
type signer struct {
	key []byte
}

func newSigner() signer {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // it never fails
	return signer{key: key}
}

// query returns a signed raw query for path. Like those of real links it has an escape that is itself escaped ("%253A")
// and raw semicolons, so parsing and rebuilding it breaks the signature.
func (sg signer) query(path string, lifetime time.Duration) string {
	expires := time.Now().Add(lifetime).UTC().Format(time.RFC3339Nano)
	unsigned := expiresMark + url.QueryEscape(url.QueryEscape(expires)) + nonceMark + randomHex(8)
	return unsigned + signatureMark + sg.sign(path, unsigned)
}

// signed reports whether rawQuery is, byte for byte, a query that was issued for path.
func (sg signer) signed(path, rawQuery string) bool {
	unsigned, signature, _ := strings.Cut(rawQuery, signatureMark)
	return hmac.Equal([]byte(signature), []byte(sg.sign(path, unsigned)))
}

func (sg signer) sign(path, unsigned string) string {
	mac := hmac.New(sha256.New, sg.key)
	mac.Write([]byte(path + "?" + unsigned))
	return hex.EncodeToString(mac.Sum(nil))
}

// expired reports whether a signed query has expired.
func expired(rawQuery string) bool {
	escaped, _, _ := strings.Cut(strings.TrimPrefix(rawQuery, expiresMark), nonceMark)
	once, _ := url.QueryUnescape(escaped) // what is signed is well-formed
	twice, _ := url.QueryUnescape(once)
	expires, _ := time.Parse(time.RFC3339Nano, twice)
	return !time.Now().Before(expires)
}
