package vidu_test

import (
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"

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
