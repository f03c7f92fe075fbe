package vidutest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/vidu-go/vidu/internal/testkit"
	"github.com/vidu-go/vidu/vidutest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

const (
	createPath = "/vidu/v2/reference2video"
	goodBody   = `{"model":"viduq2-pro","images":["https://example.com/hero.png"],"prompt":"The astronaut waved.",` +
		`"duration":5,"seed":0,"resolution":"720p","movement_amplitude":"auto","off_peak":false}`
)

// onBothTransports runs test against a server that listens and against one in memory.
func onBothTransports(t *testing.T, test func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server)) {
	t.Helper()
	for name, base := range map[string][]vidutest.Option{
		"loopback": nil,
		"memory":   {vidutest.InMemory()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, func(opts ...vidutest.Option) *vidutest.Server {
				s := vidutest.NewServer(append(opts, base...)...)
				t.Cleanup(s.Close)
				return s
			})
		})
	}
}

// reply is a response that was read to its end.
type reply struct {
	status int
	header http.Header
	body   string
	err    error // of the round trip, or of reading the body
}

// newRequest makes a request with all that the gateway wants in a header.
func newRequest(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+vidutest.APIKey)
	req.Header.Set("Content-Type", "application/json")
	return req
}

func do(s *vidutest.Server, req *http.Request) reply {
	resp, err := s.Client().Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{status: resp.StatusCode, header: resp.Header, body: string(body), err: err}
}

func create(t *testing.T, s *vidutest.Server, body string) reply {
	t.Helper()
	return do(s, newRequest(t, http.MethodPost, s.URL+createPath, strings.NewReader(body)))
}

func query(t *testing.T, s *vidutest.Server, id string) reply {
	t.Helper()
	return do(s, newRequest(t, http.MethodGet, s.URL+"/vidu/v2/tasks/"+id+"/creations", http.NoBody))
}

// createTask creates a task that must be accepted and returns its id.
func createTask(t *testing.T, s *vidutest.Server, body string) string {
	t.Helper()
	got := create(t, s, body)
	require.NoError(t, got.err)
	require.Equal(t, http.StatusOK, got.status, got.body)
	return decode(t, got.body)["task_id"].(string)
}

// pass lets d go by on the clock of a bubble.
func pass(d time.Duration) { testkit.Pass(d) }

func decode(t *testing.T, body string) map[string]any {
	t.Helper()
	var fields map[string]any
	require.NoError(t, json.Unmarshal([]byte(body), &fields), body)
	return fields
}

// with returns goodBody with one field replaced, or added; an empty value removes it. Subjects take the place of
// images.
func with(t *testing.T, field, value string) string {
	t.Helper()
	var fields map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(goodBody), &fields))
	if field == "subjects" {
		delete(fields, "images")
	}
	if value == "" {
		delete(fields, field)
	} else {
		fields[field] = json.RawMessage(value)
	}
	body, err := json.Marshal(fields)
	require.NoError(t, err)
	return string(body)
}

// assertRefused checks an official error envelope.
func assertRefused(t *testing.T, got reply, status int, reason, message string) {
	t.Helper()
	require.NoError(t, got.err)
	assert.Equal(t, status, got.status)
	assert.Equal(t, "application/json", got.header.Get("Content-Type"))
	fields := decode(t, got.body)
	assert.EqualValues(t, status, fields["code"])
	assert.Equal(t, reason, fields["reason"])
	assert.Contains(t, fields["message"], message)
	assert.Regexp(t, "^[0-9a-f]{32}$", fields["metadata"].(map[string]any)["trace_id"])
}

// received returns how many bytes of request bodies the API has read so far.
func received(s *vidutest.Server) int64 {
	var total int64
	for _, r := range s.Requests() {
		total += r.BodySize
	}
	return total
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return text
}

// items returns a JSON array of so many strings.
func items(t *testing.T, n int) string {
	t.Helper()
	values := make([]string, n)
	for i := range values {
		values[i] = "https://a.example/" + strconv.Itoa(i)
	}
	return list(t, values...)
}
