package sockets_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// proxyVariable makes this program the child process of TestProxy_FromEnvironment.
const proxyVariable = "VIDU_TEST_PROXY"

// net/http reads the environment once in a process, so this needs a process of its own.
func TestProxy_FromEnvironment(t *testing.T) {
	t.Parallel()
	var proxied atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Host == "gateway.example.com" {
			proxied.Add(1)
		}
		io.Copy(io.Discard, r.Body) //nolint:errcheck // the answer shows
		io.WriteString(w, createdReply)
	}))
	defer proxy.Close()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), proxyVariable+"=1", "NO_PROXY=direct.example.invalid",
		"HTTP_PROXY="+strings.Replace(proxy.URL, "//", "//user:proxy-password@", 1))
	out, err := child.CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Equal(t, int64(2), proxied.Load())
}

// sendThroughProxy is what the child process does, with the proxy of its environment.
func sendThroughProxy() error {
	client, err := vidu.NewClient("http://gateway.example.com", testkit.Key, vidu.WithInsecureHTTP())
	if err != nil {
		return err
	}
	if _, err := client.Reference2Video(context.Background(), smallRequest()); err != nil {
		return fmt.Errorf("create through the proxy: %w", err)
	}
	if _, err := client.GetTask(context.Background(), "1"); err != nil {
		return fmt.Errorf("query through the proxy: %w", err)
	}
	direct, err := vidu.NewClient("http://direct.example.invalid", testkit.Key, vidu.WithInsecureHTTP(), vidu.WithMaxAttempts(1))
	if err != nil {
		return err
	}
	_, err = direct.Reference2Video(context.Background(), smallRequest())
	if err == nil || errors.Is(err, vidu.ErrMaybeCreated) || strings.Contains(err.Error(), "proxy") {
		return fmt.Errorf("create past the proxy: %w", err)
	}
	return nil
}
