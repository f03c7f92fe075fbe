package vidu_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
)

// FuzzCallback sends hostile headers and bodies, signed and not. Whatever is accepted was signed with the secret, and
// whatever the function is told came from the API.
func FuzzCallback(f *testing.F) {
	list, good := "Date;x-request-nonce", "PrO4+kG4W+b3HOSimdHMHn8pnQ6YXQTseBDC/8yvvNA="
	for _, body := range append(hostileReplies, callbackBody) {
		f.Add(true, "/vidu/callback", "name=james&age=36", "", callbackNonce, list, "", body)
	}
	f.Add(false, "/vidu/callback", "name=james&age=36", "Tue, 06 May 2025 12:09:42 GMT", callbackNonce, list, good, callbackBody)
	f.Add(true, "/a\nb", "c;d", "Tue, 06 May 2025 12:09:42 GMT", "1", "date;X-REQUEST-NONCE;Host", "", callbackBody)
	f.Add(true, "", "", "Tue, 06 May 2025 2:09:42 GMT", "\n", "Date;x-request-nonce;;", "====", "{}")
	f.Add(true, "/a%2Fb/ä", "%zz", "", "\xff", "Date:;Date", good+"\n", `{"id":"../x"}`)
	f.Fuzz(func(t *testing.T, sign bool, path, query, date, nonce, list, signature, body string) {
		r := &http.Request{
			Method: http.MethodPost, URL: &url.URL{Path: path, RawQuery: query}, Body: io.NopCloser(strings.NewReader(body)),
			Header: http.Header{
				"Date": {date}, "X-Request-Nonce": {nonce}, "X-Hmac-Signed-Headers": {list}, "X-Hmac-Signature": {signature},
				"X-Hmac-Algorithm": {"hmac-sha256"}, "X-Hmac-Access-Key": {"vidu"},
			},
		}
		if date == "" {
			r.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
		}
		if sign {
			resign(r)
		}
		err := verify(t, r)
		if err == nil {
			assertSigned(t, r)
		}
		assertCallback(t, r, err == nil, receive(t, callbackSecret))
		r.Body = io.NopCloser(strings.NewReader(body))
		assertCallback(t, r, true, receive(t, "", vidu.WithUnverifiedCallbacks()))
	})
}

// assertSigned checks an accepted request by other means.
func assertSigned(t *testing.T, r *http.Request) {
	t.Helper()
	path := r.URL.Path
	if path == "" {
		path = "/"
	}
	require.Equal(t, signAsListed(r, path), r.Header.Get("X-Hmac-Signature"))
	require.NotContains(t, path+r.URL.RawQuery+r.Header.Get("X-Request-Nonce"), "\n")
	date, err := http.ParseTime(r.Header.Get("Date"))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), date, 5*time.Minute+2*time.Second)
}

func assertCallback(t *testing.T, r *http.Request, verified bool, rc *receiver) {
	t.Helper()
	w := httptest.NewRecorder()
	rc.ServeHTTP(w, r)
	switch w.Code {
	case http.StatusOK:
		require.True(t, verified)
		require.Len(t, rc.told, 1)
		require.Len(t, rc.queried, 1)
		require.Regexp(t, taskID, rc.queried[0])
		require.Equal(t, rc.queried[0], rc.told[0].ID)
		require.JSONEq(t, doneReply, string(rc.told[0].RawJSON()))
	case http.StatusUnauthorized:
		require.False(t, verified)
		require.Empty(t, rc.queried)
	default:
		require.Equal(t, http.StatusBadRequest, w.Code)
		require.Empty(t, rc.queried)
	}
	for line := range strings.Lines(rc.log.String()) {
		require.True(t, json.Valid([]byte(line)))
	}
	assert.NotContains(t, w.Body.String()+rc.log.String(), callbackSecret)
}
