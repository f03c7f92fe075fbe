package vidu_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/internal/testkit"
)

// Polls follow the monotonic clock alone, even if the clocks of server and client differ by an hour.
func TestWait_ServerClockIsOff(t *testing.T) {
	t.Parallel()
	schedule := func(t *testing.T, off time.Duration) (at []time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			client, p := scriptedClient(t, func(req *http.Request, n int) (*http.Response, error) {
				state := []string{"queueing", "processing", "processing", "processing", "success"}[min(n, 4)]
				theirs := time.Now().Add(off).UTC()
				resp, err := testkit.Reply(req, 200, fmt.Sprintf(
					`{"state":%q,"created_at":%q,"creations":[{"url":"https://h/x.mp4"}]}`, state, theirs.Format(time.RFC3339)))
				resp.Header.Set("Date", theirs.Format(http.TimeFormat))
				return resp, err
			})
			client.SetJitter(func() float64 { return 0.5 })
			_, err := client.Wait(t.Context(), "1")
			require.NoError(t, err)
			at = p.at
		})
		return at
	}
	right := schedule(t, 0)
	assert.Equal(t, right, schedule(t, time.Hour))
	assert.Equal(t, right, schedule(t, -time.Hour))
}
