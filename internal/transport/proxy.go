package transport

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// ConnectError is a proxy's refusal of CONNECT: nothing but that was sent.
type ConnectError struct {
	Proxy  string // host and port
	Status int
}

// Error names the proxy and the status.
func (e *ConnectError) Error() string {
	return strings.TrimSpace("the proxy " + e.Proxy + " refused CONNECT: " + strconv.Itoa(e.Status) + " " + http.StatusText(e.Status))
}

// nameProxy makes t name the proxy that refuses CONNECT; net/http reports the status text and nothing else.
func nameProxy(t *http.Transport) {
	callers := t.OnProxyConnectResponse
	t.OnProxyConnectResponse = func(ctx context.Context, proxy *url.URL, req *http.Request, resp *http.Response) error {
		if callers != nil {
			if err := callers(ctx, proxy, req, resp); err != nil {
				return err
			}
		}
		if resp.StatusCode != http.StatusOK { // which net/http accepts alone
			return &ConnectError{Proxy: proxy.Host, Status: resp.StatusCode}
		}
		return nil
	}
}
