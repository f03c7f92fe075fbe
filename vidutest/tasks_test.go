package vidutest_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/vidutest"
)

func TestQuery_FollowsTheClock(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		age      time.Duration
		state    string
		progress float64
	}{
		"at once":            {0, "created", 0},
		"end of created":     {time.Second - 1, "created", 0},
		"start of the queue": {time.Second, "queueing", 0},
		"end of the queue":   {10*time.Second - 1, "queueing", 0},
		"start of the work":  {10 * time.Second, "processing", 0},
		"middle of the work": {20 * time.Second, "processing", 50},
		"end of the work":    {30*time.Second - 1, "processing", 99},
		"done":               {30 * time.Second, "success", 100},
		"days later":         {72 * time.Hour, "success", 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := vidutest.NewServer(vidutest.InMemory(), vidutest.WithTiming(10*time.Second, 20*time.Second))
				defer s.Close()
				id := createTask(t, s, goodBody)
				pass(test.age)

				fields := decode(t, query(t, s, id).body)
				assert.Equal(t, id, fields["id"])
				assert.Equal(t, test.state, fields["state"])
				assert.InDelta(t, test.progress, fields["progress"], 0)
				if test.state == "success" {
					assert.Len(t, fields["creations"], 1)
				} else {
					assert.Empty(t, fields["creations"])
				}
			})
		})
	}
}

func TestQuery_Defaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := vidutest.NewServer(vidutest.InMemory())
		defer s.Close()
		id := createTask(t, s, goodBody)
		pass(3*time.Second - 1)
		assert.Equal(t, "processing", decode(t, query(t, s, id).body)["state"])
		pass(time.Nanosecond)
		assert.Equal(t, "success", decode(t, query(t, s, id).body)["state"])
	})
}

func TestQuery_RepliesWithEveryField(t *testing.T) {
	t.Parallel()
	onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
		t.Helper()
		s := newServer(vidutest.WithTiming(time.Hour, 0))
		id := createTask(t, s, with(t, "payload", `"job 7"`))
		assert.JSONEq(t, `{"id":"`+id+`","state":"created","err_code":"","credits":55,"payload":"job 7","bgm":false,
			"off_peak":false,"progress":0,"creations":[]}`, query(t, s, id).body)
	})
}

func TestQuery_Success(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory(), vidutest.WithTiming(-1, 0))
	defer s.Close()
	first, second := createTask(t, s, with(t, "bgm", "true")), createTask(t, s, with(t, "off_peak", "true"))

	fields := decode(t, query(t, s, first).body)
	assert.Equal(t, true, fields["bgm"])
	assert.Equal(t, true, decode(t, query(t, s, second).body)["off_peak"])
	creation := fields["creations"].([]any)[0].(map[string]any)
	assert.Regexp(t, "^[0-9]{18,19}$", creation["id"])
	assert.NotEqual(t, first, creation["id"])
	assert.Empty(t, creation["watermarked_url"])
	assert.Equal(t, map[string]any{
		"duration":   2.0,
		"fps":        24.0,
		"resolution": map[string]any{"width": 320.0, "height": 180.0},
	}, creation["video"])
}

func TestQuery_UnknownTask(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory())
	defer s.Close()
	for _, id := range []string{"885482446060003328", "..%2F", "%00", "a%20b"} {
		assertRefused(t, query(t, s, id), http.StatusNotFound, "TaskNotFound", "")
	}
}

func TestServer_FailTask(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := vidutest.NewServer(vidutest.InMemory())
		defer s.Close()
		s.FailTask("ImageDownloadFailure")
		s.FailTask("AuditFailed")
		require.Equal(t, http.StatusBadRequest, create(t, s, "{}").status) // uses nothing up
		first, second, third := createTask(t, s, goodBody), createTask(t, s, goodBody), createTask(t, s, goodBody)

		pass(3*time.Second - 1)
		assert.Equal(t, "processing", decode(t, query(t, s, first).body)["state"])
		pass(time.Nanosecond)
		assert.JSONEq(t, `{"id":"`+first+`","state":"failed","err_code":"ImageDownloadFailure","credits":0,"payload":"",
			"bgm":false,"off_peak":false,"progress":0,"creations":[]}`, query(t, s, first).body)
		assert.Equal(t, "AuditFailed", decode(t, query(t, s, second).body)["err_code"])
		assert.Equal(t, "success", decode(t, query(t, s, third).body)["state"])
		assert.Equal(t, 3, s.Charged())
	})
}
