package transport

import (
	"context"
	"fmt"
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

// explainConnect adds an explanation to an error that is a status text and nothing else. A caller's own transport is
// left alone, so that is all that net/http says there of a proxy that refuses CONNECT.
func explainConnect(err error) error {
	text := err.Error()
	for status := http.StatusBadRequest; status < 600; status++ {
		if text != "" && text == http.StatusText(status) {
			return fmt.Errorf("%w (net/http's words for a proxy that refused CONNECT)", err)
		}
	}
	return err
}
