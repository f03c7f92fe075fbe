package callbacksig_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/callbacksig"
	"github.com/vidu-go/vidu/internal/testkit"
)

// digestOf is what a sender puts into X-Hmac-Digest.
func digestOf(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	io.WriteString(mac, body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// withDigest returns a request whose signature covers digest.
func withDigest(body io.Reader, digest string) *http.Request {
	r := signed(target)
	r.Body = io.NopCloser(body)
	r.Header.Set("X-HMAC-DIGEST", digest)
	r.Header.Set("X-HMAC-SIGNED-HEADERS", "Date;x-request-nonce;X-HMAC-DIGEST")
	resign(r)
	return r
}

// The vendor sends no digest of the body. One that is signed is checked all the same, one that is not proves nothing.
func TestVerify_Digest(t *testing.T) {
	t.Parallel()
	const body = `{"id":"7","state":"success"}`
	fits, long := strings.Repeat(" ", maxBody), strings.Repeat(" ", maxBody+1)
	for name, tt := range map[string]struct {
		body, digest string
		want         error
	}{
		"right":                    {body, digestOf(secret, body), nil},
		"of another body":          {body, digestOf(secret, body+" "), callbacksig.ErrSignature},
		"with another secret":      {body, digestOf("another-secret", body), callbacksig.ErrSignature},
		"with the old secret":      {body, digestOf("old-secret", body), nil},
		"no base64":                {body, "?", callbacksig.ErrSignature},
		"of nothing":               {"", digestOf(secret, ""), nil},
		"of as much as is read":    {fits, digestOf(secret, fits), nil},
		"of more than can be read": {long, digestOf(secret, long), callbacksig.ErrSignature},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, p := withDigest(strings.NewReader(tt.body), tt.digest), params()
			p.More = []string{"old-secret"}
			require.ErrorIs(t, verify(t, r, p), tt.want)
			again, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			assert.Equal(t, tt.body, string(again), "it can be read again")
		})
	}
}

func TestVerify_DigestListedFirst(t *testing.T) {
	t.Parallel()
	r := withDigest(strings.NewReader("{}"), digestOf(secret, "[]"))
	r.Header.Set("X-HMAC-SIGNED-HEADERS", "X-HMAC-DIGEST;Date;x-request-nonce")
	resign(r)
	assert.ErrorIs(t, verify(t, r, params()), callbacksig.ErrSignature)
}

func TestVerify_DigestThatIsNotSigned(t *testing.T) {
	t.Parallel()
	r := signed(target)
	r.Header.Set("X-HMAC-DIGEST", "?")
	r.Body = io.NopCloser(testkit.FailingReader{Err: errors.New("nobody should read it")})
	assert.NoError(t, verify(t, r, params()))
}

func TestVerify_DigestOfABrokenBody(t *testing.T) {
	t.Parallel()
	r := withDigest(io.MultiReader(strings.NewReader("{"), testkit.FailingReader{Err: io.ErrUnexpectedEOF}), digestOf(secret, "{"))
	err := verify(t, r, params())
	require.ErrorIs(t, err, callbacksig.ErrSignature)
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestVerify_DigestWithoutABody(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]error{"": nil, "{}": callbacksig.ErrSignature} {
		r := withDigest(strings.NewReader(""), digestOf(secret, body))
		r.Body = nil
		require.ErrorIs(t, verify(t, r, params()), want)
		assert.Nil(t, r.Body)
	}
}

// Closing the body closes the connection's, also after it was read for its digest.
func TestVerify_DigestBodyIsClosed(t *testing.T) {
	t.Parallel()
	closed := errors.New("closed")
	r := withDigest(strings.NewReader("{}"), digestOf(secret, "{}"))
	r.Body = closer{r.Body, closed}
	require.NoError(t, verify(t, r, params()))
	assert.ErrorIs(t, r.Body.Close(), closed)
}

type closer struct {
	io.Reader
	err error
}

func (c closer) Close() error { return c.err }
