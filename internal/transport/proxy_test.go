package transport_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/transport"
)

// TestConnectError_NamesTheProxy: the caller's own transport is left alone, so its reads have net/http's words, which
// are the status text alone, and an explanation.
func TestConnectError_NamesTheProxy(t *testing.T) {
	t.Parallel()
	for status, text := range map[int]string{401: "401 Unauthorized", 403: "403 Forbidden", 407: "407 Proxy Authentication Required", 502: "502 Bad Gateway", 599: "599"} {
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		to, err := url.Parse(strings.Replace(proxy.URL, "//", "//user:password@", 1))
		require.NoError(t, err)
		for callers, c := range map[bool]transport.Routes{false: made(t, nil), true: made(t, &http.Client{Transport: &http.Transport{}})} {
			for name, client := range all(c) {
				own(t, client).Proxy = http.ProxyURL(to)
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://gateway.invalid/", http.NoBody)
				require.NoError(t, err)
				_, err = client.Transport.RoundTrip(req) //nolint:bodyclose // an error has none
				require.Error(t, err)
				if callers && name != "creates" {
					if checked := transport.Check(nil, err); status != 599 { // which has no text
						require.EqualError(t, checked, http.StatusText(status)+" (net/http's words for a proxy that refused CONNECT)")
						require.ErrorIs(t, checked, err)
					}
					continue
				}
				refusal, ok := errors.AsType[*transport.ConnectError](err)
				require.True(t, ok, "%v", err)
				assert.Equal(t, status, refusal.Status)
				require.EqualError(t, refusal, "the proxy "+strings.TrimPrefix(proxy.URL, "http://")+" refused CONNECT: "+text)
			}
		}
		proxy.Close()
	}
}

func TestConnectError_CallersHookIsKept(t *testing.T) {
	t.Parallel()
	proxy := httptest.NewServer(http.NotFoundHandler())
	defer proxy.Close()
	to, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	for name, theirs := range map[string]error{"has no objection": nil, "refuses": errors.New("their words")} {
		calls := 0
		c := made(t, &http.Client{Transport: &http.Transport{
			Proxy: http.ProxyURL(to),
			OnProxyConnectResponse: func(context.Context, *url.URL, *http.Request, *http.Response) error {
				calls++
				return theirs
			},
		}})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://gateway.invalid/", http.NoBody)
		require.NoError(t, err)
		_, err = c.Creates.Transport.RoundTrip(req) //nolint:bodyclose // an error has none
		assert.Equal(t, 1, calls, name)
		if theirs != nil {
			require.ErrorIs(t, err, theirs)
		} else {
			require.ErrorContains(t, err, "refused CONNECT: 404 Not Found")
		}
	}
}
