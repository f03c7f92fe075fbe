package callbacksig

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"slices"
)

// checkDigest compares the body with its HMAC, where the signature covers one. The vendor sends none today; the gateway
// software whose scheme this is can. The body can be read again afterwards.
func (m *mac) checkDigest(r *http.Request, maxBody int64) error {
	i := slices.IndexFunc(m.signed, func(h signedHeader) bool { return h.key == digestHeader })
	if i < 0 {
		return nil
	}
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(io.LimitReader(r.Body, maxBody+1)); err != nil {
			return fmt.Errorf("%w: reading the body: %w", ErrSignature, err)
		}
		r.Body = readCloser{io.MultiReader(bytes.NewReader(body), r.Body), r.Body}
	}
	var want [sha256.Size]byte
	ok := false
	if decodeHash(&want, m.signed[i].value) && int64(len(body)) <= maxBody {
		for _, keyed := range m.keyed {
			keyed.Reset()
			keyed.Write(body)
			m.digest = keyed.Sum(m.digest[:0])
			ok = hmac.Equal(m.digest, want[:]) || ok
		}
	}
	if !ok {
		return fmt.Errorf("%w: the body does not match %s", ErrSignature, digestHeader)
	}
	return nil
}

// readCloser reads from one thing and closes another.
type readCloser struct {
	io.Reader
	io.Closer
}
