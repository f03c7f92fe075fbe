package vidu_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// TestLoggerThatPanics must not cost a paid task.
func TestLoggerThatPanics(t *testing.T) {
	t.Parallel()
	client := newClient(t, "https://gateway.example.com", vidu.WithLogger(slog.New(panicking{})), withTransport(func(r *http.Request) (*http.Response, error) {
		return testkit.Reply(r, 200, `{"task_id":"1","state":"created"}`)
	}))
	task, err := client.Reference2Video(t.Context(), smallRequest())
	require.NoError(t, err)
	assert.Equal(t, "1", task.ID)
}

// TestSignedLinkIsNotQuoted covers a transport whose own errors quote the URL.
func TestSignedLinkIsNotQuoted(t *testing.T) {
	t.Parallel()
	client := newClient(t, "https://api.example.com", vidu.WithOfficialAPI(), withTransport(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPost {
			return testkit.Reply(r, 200, `{"id":"1","put_url":"https://store.example.com/x?signature=hunter2"}`)
		}
		return nil, fmt.Errorf("Put %q: connection refused", r.URL.String())
	}))
	_, err := client.UploadImage(t.Context(), vidu.Bytes(testkit.BigPNG(t, 1000)))
	require.Error(t, err)
	for ; err != nil; err = errors.Unwrap(err) {
		assert.NotContains(t, err.Error(), "hunter2")
	}
}

func TestMedia_PrintsNoData(t *testing.T) {
	t.Parallel()
	req := smallRequest()
	req.Images = []vidu.Media{vidu.URL("https://example.com/a.png?signature=hunter2"), vidu.Bytes([]byte("secret data"))}
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		text := fmt.Sprintf(verb, req)
		assert.NotContains(t, text, "hunter2", verb)
		assert.NotContains(t, text, "secret data", verb)
		assert.NotContains(t, text, fmt.Sprintf("%d, ", 's'), verb)
	}
}

// TestSlowMedium shows that a call ends with its context even when a file does not answer.
func TestSlowMedium(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	defer close(hang)
	slow := &slowFS{data: testkit.BigPNG(t, 100<<10), hang: hang}
	ctx, cancel := context.WithCancel(t.Context())
	slow.read = cancel
	req := smallRequest()
	req.Images = []vidu.Media{vidu.FS(slow, "hero.png")}
	returned := make(chan error, 1)
	client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
		go io.Copy(io.Discard, r.Body) //nolint:errcheck // as HTTP/2 does, which does not wait for its body
		<-r.Context().Done()
		return nil, r.Context().Err()
	}))
	go func() {
		_, err := client.Reference2Video(ctx, req)
		returned <- err
	}()
	select {
	case err := <-returned:
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, vidu.ErrMaybeCreated, "the body never left whole")
	case <-time.After(5 * time.Second):
		t.Fatal("the call waits for the file")
	}
}

// slowFS answers at once while the request is checked, and then not until hang is closed.
type slowFS struct {
	data  []byte
	opens atomic.Int64
	read  func()
	hang  chan struct{}
}

func (s *slowFS) Open(name string) (fs.File, error) {
	file, err := fstest.MapFS{name: {Data: s.data}}.Open(name)
	if s.opens.Add(1) < 4 { // Stat and Open of the check, Stat of the sending
		return file, err
	}
	return slowFile{file, s}, err
}

type slowFile struct {
	fs.File
	fs *slowFS
}

func (f slowFile) Read([]byte) (int, error) {
	f.fs.read()
	<-f.fs.hang
	return 0, io.ErrClosedPipe
}

// TestWaitSurvives429WithAnyCode covers gateways whose code for "too fast" is a word of their own.
func TestWaitSurvives429WithAnyCode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		polls := 0
		client := newClient(t, "https://gateway.example.com", vidu.WithMaxAttempts(1), withTransport(func(r *http.Request) (*http.Response, error) {
			if polls++; polls < 20 {
				return testkit.Reply(r, 429, `{"error":{"code":"rate_limit_exceeded","message":"slow down"}}`)
			}
			return testkit.Reply(r, 200, `{"state":"success","creations":[{"url":"https://h/v.mp4"}]}`)
		}))
		_, err := client.Wait(t.Context(), "1")
		require.NoError(t, err)
	})
}
