package sockets_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vidu-go/vidu/internal/testkit"
)

// What this process changes before the first client is made, which takes it over from package net and net/http: every
// name leads to the loopback interface, two certificates are trusted, and some hosts have a proxy.
var (
	lookups sync.Map    // name → func() int: names that lead elsewhere
	proxies sync.Map    // host → *url.URL
	trusted *tls.Config // for *.example.com
	expired *tls.Config // trusted for *.example.com, but too old
)

func TestMain(m *testing.M) {
	if os.Getenv(proxyVariable) != "" {
		os.Exit(exitCode(sendThroughProxy()))
	}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"} {
		_ = os.Unsetenv(name)
		_ = os.Unsetenv(strings.ToLower(name))
	}
	if err := prepare(); err != nil {
		os.Exit(exitCode(err))
	}
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) // the name server stays
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func prepare() error {
	resolver, err := testkit.NameServer(lookup)
	if err != nil {
		return err
	}
	net.DefaultResolver = resolver
	standard, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return errors.New("http.DefaultTransport is not an *http.Transport")
	}
	standard.Proxy = proxyOf
	pool := x509.NewCertPool()
	standard.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	for config, expires := range map[**tls.Config]time.Time{&trusted: testkit.FarFuture, &expired: time.Unix(1, 0)} {
		made, certificate, err := testkit.NewCertificate(expires, "*.example.com")
		if err != nil {
			return err
		}
		pool.AddCert(certificate)
		*config = made
	}
	return nil
}

func lookup(name string) int {
	answer := testkit.Loopback
	lookups.Range(func(host, special any) bool {
		if found := strings.HasPrefix(name+".", host.(string)+"."); found { // search domains may follow
			answer = special.(func() int)()
			return false
		}
		return true
	})
	return answer
}

func proxyOf(r *http.Request) (*url.URL, error) {
	proxy, ok := proxies.Load(r.URL.Hostname())
	if !ok {
		return nil, nil //nolint:nilnil // as http.ProxyFromEnvironment, it means no proxy
	}
	return proxy.(*url.URL), nil
}
