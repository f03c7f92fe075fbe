package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/vidutest"
)

// The first three tests are those of README.

func TestNotPaidTwice(t *testing.T) {
	t.Parallel()
	server := vidutest.New(t, vidutest.WithTiming(0, 0)) // tasks end at once
	client, _ := vidu.NewClient(server.URL, vidutest.APIKey)

	server.DropReplyAfterCommit() // the task is created and charged, the answer is lost
	err := makeVideo(t.Context(), client, t.TempDir()+"/hero.mp4")

	if !errors.Is(err, vidu.ErrMaybeCreated) || server.Charged() != 1 {
		t.Fatal(err, server.Charged())
	}
}

func TestOutOfCredits(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"code":400,"reason":"CreditInsufficient","message":"top up first"}`, http.StatusBadRequest)
	}))
	defer server.Close()
	client, _ := vidu.NewClient(server.URL, "any-key")
	err := makeVideo(t.Context(), client, t.TempDir()+"/hero.mp4")

	if !errors.Is(err, vidu.ErrCreditInsufficient) || errors.Is(err, vidu.ErrMaybeCreated) {
		t.Fatal(err)
	}
}

func TestBadGateway(t *testing.T) {
	t.Parallel()
	mock := httpmock.NewMockTransport()
	mock.RegisterResponder("POST", "=~/reference2video$", func(r *http.Request) (*http.Response, error) {
		_, err := io.Copy(io.Discard, r.Body) // a body that is not read counts as never sent
		return httpmock.NewStringResponse(http.StatusBadGateway, "<html>"), err
	})
	client, _ := vidu.NewClient("https://gateway.example.com", "any-key", vidu.WithHTTPClient(&http.Client{Transport: mock}))
	err := makeVideo(t.Context(), client, t.TempDir()+"/hero.mp4")

	if !errors.Is(err, vidu.ErrMaybeCreated) || mock.GetTotalCallCount() != 1 {
		t.Fatal(err, mock.GetTotalCallCount())
	}
}

// The next three are in docs/testing.md.

func TestTwoDays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := vidutest.New(t, vidutest.InMemory(), vidutest.WithTiming(47*time.Hour, time.Hour))
		client, _ := vidu.NewClient(server.URL, vidutest.APIKey, vidu.WithHTTPClient(server.Client()))

		began := time.Now()
		err := makeVideo(t.Context(), client, t.TempDir()+"/hero.mp4")

		if err != nil || time.Since(began) < 48*time.Hour {
			t.Fatal(err, time.Since(began))
		}
	})
}

func TestBusy(t *testing.T) {
	t.Parallel()
	server := vidutest.New(t, vidutest.WithTiming(0, 0))
	client, _ := vidu.NewClient(server.URL, vidutest.APIKey)

	server.AnswerNext("POST /reference2video", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	err := makeVideo(t.Context(), client, t.TempDir()+"/hero.mp4")

	if err != nil || server.Charged() != 1 || len(server.Requests()) < 3 { // two creates and a query
		t.Fatal(err, server.Charged(), len(server.Requests()))
	}
}

func TestModeration(t *testing.T) {
	t.Parallel()
	server := vidutest.New(t, vidutest.WithTiming(0, 0))
	client, _ := vidu.NewClient(server.URL, vidutest.APIKey)

	server.FailTask("CreationPolicyViolation")
	err := makeVideo(t.Context(), client, t.TempDir()+"/hero.mp4")

	var failed *vidu.TaskError
	if !errors.As(err, &failed) || failed.Task.ErrCode != vidu.ErrCreationPolicyViolation {
		t.Fatal(err)
	}
}

// TestMain_MakesAVideo runs the program against its own fake server, and against the server of the environment.
func TestMain_MakesAVideo(t *testing.T) {
	server := vidutest.NewServer(vidutest.WithTiming(0, 0))
	defer server.Close()
	for name, tt := range map[string]struct {
		url, key string
		charged  int
	}{
		"fake":        {"", "", 0},
		"environment": {server.URL, vidutest.APIKey, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("VIDU_BASE_URL", tt.url)
			t.Setenv("VIDU_API_KEY", tt.key)
			t.Chdir(t.TempDir())
			before := server.Charged()
			main()
			found, err := filepath.Glob("*.mp4")
			require.NoError(t, err)
			require.Len(t, found, 1)
			video, err := os.ReadFile(found[0])
			require.NoError(t, err)
			assert.Equal(t, "ftyp", string(video[4:8]))
			assert.Equal(t, tt.charged, server.Charged()-before)
		})
	}
}

func TestQuickstartIsShort(t *testing.T) {
	t.Parallel()
	program, err := os.ReadFile("main.go")
	require.NoError(t, err)
	assert.LessOrEqual(t, strings.Count(string(program), "\n"), 40)
}
