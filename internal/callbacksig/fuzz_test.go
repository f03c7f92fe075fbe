package callbacksig_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/callbacksig"
)

// FuzzVerify sends hostile requests, signed and not. Whatever is accepted was signed with the secret, and is recent.
func FuzzVerify(f *testing.F) {
	const list, good, date = "Date;x-request-nonce", "PrO4+kG4W+b3HOSimdHMHn8pnQ6YXQTseBDC/8yvvNA=", "Tue, 06 May 2025 12:09:42 GMT"
	f.Add(true, "/vidu/callback", "name=james&age=36", "", nonce, list, "", "", "{}")
	f.Add(false, "/vidu/callback", "name=james&age=36", date, nonce, list, good, "", "{}")
	f.Add(true, "/vidu/callback", "", "", nonce, list+";X-Hmac-Digest", "", digestOf(secret, "{}"), "{}")
	f.Add(true, "/vidu/callback", "", "", nonce, list+";X-Hmac-Digest", "", digestOf(secret, ""), "{}")
	f.Add(true, "/a\nb", "c;d", date, "1", "date;X-REQUEST-NONCE;Host", "", "", "")
	f.Add(true, "", "", "Tue, 06 May 2025 2:09:42 GMT", "\n", "Date;x-request-nonce;;", "====", "?", "{}")
	f.Add(true, "/a%2Fb/ä", "%zz", "", "\xff", "Date:;Date", good+"\n", "", "")
	f.Fuzz(func(t *testing.T, sign bool, path, query, date, nonce, list, signature, digest, body string) {
		r := &http.Request{
			Method: http.MethodPost, URL: &url.URL{Path: path, RawQuery: query}, Body: io.NopCloser(strings.NewReader(body)),
			Header: http.Header{
				"Date": {date}, "X-Request-Nonce": {nonce}, "X-Hmac-Signed-Headers": {list}, "X-Hmac-Signature": {signature},
				"X-Hmac-Algorithm": {"hmac-sha256"}, "X-Hmac-Access-Key": {"vidu"}, "X-Hmac-Digest": {digest},
			},
		}
		if date == "" {
			r.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
		}
		if sign {
			resign(r)
		}
		if err := verify(t, r, params()); err != nil {
			known := errors.Is(err, callbacksig.ErrSignature) || errors.Is(err, callbacksig.ErrHeader) || errors.Is(err, callbacksig.ErrStale)
			require.True(t, known, err)
		} else {
			assertSigned(t, r, digest, body)
		}
		rest, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.Equal(t, body, string(rest))
	})
}

// assertSigned checks an accepted request by other means.
func assertSigned(t *testing.T, r *http.Request, digest, body string) {
	t.Helper()
	path := r.URL.Path
	if path == "" {
		path = "/"
	}
	require.Equal(t, handSigned(r, path), r.Header.Get("X-Hmac-Signature"))
	require.NotContains(t, path+r.URL.RawQuery+r.Header.Get("X-Request-Nonce"), "\n")
	date, err := http.ParseTime(r.Header.Get("Date"))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), date, 5*time.Minute+2*time.Second)
	if strings.Contains(strings.ToLower(r.Header.Get("X-Hmac-Signed-Headers")), "x-hmac-digest") {
		require.Equal(t, digestOf(secret, body), digest)
	}
}
