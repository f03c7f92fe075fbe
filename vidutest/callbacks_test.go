package vidutest_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/vidutest"
)

const hook = "https://hook.example/vidu?name=james&age=36"

// delivery is a callback that arrived.
type delivery struct {
	at     time.Duration // since the receiver was made
	url    string
	header http.Header
	body   string
}

// receiver is a transport that records every callback.
type receiver struct {
	mu         sync.Mutex
	start      time.Time
	deliveries []delivery
	answers    []int // the status of the first answers; then it is 200, and 0 stands for a broken connection
}

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deliveries = append(r.deliveries, delivery{time.Since(r.start), req.URL.String(), req.Header, string(body)})
	status := http.StatusOK
	if len(r.answers) > 0 {
		status, r.answers = r.answers[0], r.answers[1:]
	}
	if status == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	answer := httptest.NewRecorder()
	answer.WriteHeader(status)
	return answer.Result(), nil
}

// states returns the states in the callbacks, in the order of their arrival.
func (r *receiver) states(t *testing.T) []string {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	states := make([]string, len(r.deliveries))
	for i := range r.deliveries {
		states[i] = decode(t, r.deliveries[i].body)["state"].(string)
	}
	return states
}

// withCallbacks runs test with a server that queues a task for 10 s and works for 20 s, and with the receiver of its
// callbacks.
func withCallbacks(t *testing.T, test func(t *testing.T, s *vidutest.Server, r *receiver), opts ...vidutest.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		r := &receiver{start: time.Now()}
		s := vidutest.NewServer(append([]vidutest.Option{
			vidutest.InMemory(), vidutest.WithOfficialAPI(), vidutest.WithCallbacks(&http.Client{Transport: r}),
			vidutest.WithTiming(10*time.Second, 20*time.Second),
		}, opts...)...)
		defer s.Close()
		test(t, s, r)
	})
}

func createWithHook(t *testing.T, s *vidutest.Server, url string) string {
	t.Helper()
	body := strings.Replace(officialBody, "{", `{"callback_url":"`+url+`",`, 1)
	got := ask(t, s, http.MethodPost, "/ent/v2/reference2video", body)
	require.Equal(t, http.StatusOK, got.status, got.body)
	return decode(t, got.body)["task_id"].(string)
}

func TestWithCallbacks(t *testing.T) {
	t.Parallel()
	withCallbacks(t, func(t *testing.T, s *vidutest.Server, r *receiver) {
		t.Helper()
		id := createWithHook(t, s, hook)
		createOfficial(t, s) // wants none
		pass(time.Minute)
		synctest.Wait()

		require.Equal(t, []string{"processing", "success"}, r.states(t))
		assert.Equal(t, 10*time.Second, r.deliveries[0].at)
		assert.Equal(t, 30*time.Second, r.deliveries[1].at)
		assert.JSONEq(t, `{"id":"`+id+`","state":"processing","err_code":"","credits":55,"payload":"job 7","bgm":false,
			"off_peak":false,"progress":0,"creations":[]}`, r.deliveries[0].body)
		end := decode(t, r.deliveries[1].body)
		assert.EqualValues(t, 100, end["progress"])
		assert.Len(t, end["creations"], 1)
		for i, d := range r.deliveries {
			assert.Equal(t, hook, d.url)
			assert.Equal(t, "application/json", d.header.Get("Content-Type"))
			assert.Equal(t, time.Date(2000, 1, 1, 0, 0, 10+20*i, 0, time.UTC).Format(http.TimeFormat), d.header.Get("Date"))
			assert.True(t, genuine(d.header, vidutest.APIKey))
		}
		assert.NotEqual(t, r.deliveries[0].header["X-Request-Nonce"], r.deliveries[1].header["X-Request-Nonce"])
	})
}

// genuine reports whether a callback to hook is signed with key.
func genuine(h http.Header, key string) bool {
	mac := hmac.New(sha256.New, []byte(key))
	_, _ = io.WriteString(mac, "POST\n/vidu\nname=james&age=36\nvidu\n"+h.Get("Date")+"\nDate:"+h.Get("Date")+
		"\nx-request-nonce:"+h.Get("X-Request-Nonce")+"\n")
	return h.Get("X-Hmac-Signature") == base64.StdEncoding.EncodeToString(mac.Sum(nil)) &&
		h.Get("X-Hmac-Signed-Headers") == "Date;x-request-nonce" &&
		h.Get("X-Hmac-Algorithm") == "hmac-sha256" &&
		h.Get("X-Hmac-Access-Key") == "vidu"
}

// The callback about the end is sent at most three times, byte for byte the same; that about the beginning once.
func TestWithCallbacks_Repeats(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answers []int
		want    []string
	}{
		"processing refused": {[]int{500}, []string{"processing", "success"}},
		"second accepted":    {[]int{200, 503}, []string{"processing", "success", "success"}},
		"third accepted":     {[]int{204, 0, 302}, []string{"processing", "success", "success", "success"}},
		"none accepted":      {[]int{200, 400, 500, 500}, []string{"processing", "success", "success", "success"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withCallbacks(t, func(t *testing.T, s *vidutest.Server, r *receiver) {
				t.Helper()
				r.answers = test.answers
				createWithHook(t, s, hook)
				pass(time.Minute)
				assert.Equal(t, test.want, r.states(t))
				for i, d := range r.deliveries[1:] {
					assert.Equal(t, time.Duration(30+i)*time.Second, d.at)
					assert.Equal(t, r.deliveries[1].header, d.header)
					assert.Equal(t, r.deliveries[1].body, d.body)
				}
			})
		})
	}
}

func TestWithCallbacks_Ends(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		act  func(t *testing.T, s *vidutest.Server) // creates the task
		want []string
		last time.Duration
	}{
		"failure": {func(t *testing.T, s *vidutest.Server) {
			t.Helper()
			s.FailTask("AuditFailed")
			createWithHook(t, s, hook)
		}, []string{"processing", "failed"}, 30 * time.Second},
		"cancel": {func(t *testing.T, s *vidutest.Server) {
			t.Helper()
			id := createWithHook(t, s, hook)
			pass(time.Second)
			require.Equal(t, http.StatusOK, cancelTask(t, s, id).status)
		}, []string{"failed"}, time.Second},
		"late commit": {func(t *testing.T, s *vidutest.Server) {
			t.Helper()
			s.LateCommit(5 * time.Second)
			body := strings.Replace(officialBody, "{", `{"callback_url":"`+hook+`",`, 1)
			require.Error(t, ask(t, s, http.MethodPost, "/ent/v2/reference2video", body).err)
		}, []string{"processing", "success"}, 35 * time.Second},
		"lost answer": {func(t *testing.T, s *vidutest.Server) {
			t.Helper()
			s.DropReplyAfterCommit()
			body := strings.Replace(officialBody, "{", `{"callback_url":"`+hook+`",`, 1)
			require.Error(t, ask(t, s, http.MethodPost, "/ent/v2/reference2video", body).err)
		}, []string{"processing", "success"}, 30 * time.Second},
		"closed server": {func(t *testing.T, s *vidutest.Server) {
			t.Helper()
			createWithHook(t, s, hook)
			pass(10 * time.Second)
			synctest.Wait()
			s.Close()
		}, []string{"processing"}, 10 * time.Second},
		"no URL": {func(t *testing.T, s *vidutest.Server) {
			t.Helper()
			createWithHook(t, s, "")
		}, []string{}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withCallbacks(t, func(t *testing.T, s *vidutest.Server, r *receiver) {
				t.Helper()
				test.act(t, s)
				pass(time.Minute)
				assert.Equal(t, test.want, r.states(t))
				if len(r.deliveries) > 0 {
					assert.Equal(t, test.last, r.deliveries[len(r.deliveries)-1].at)
				}
			})
		})
	}
}

// A state that is over at once has no callback: a task without any waiting has one.
func TestWithCallbacks_OverSockets(t *testing.T) {
	t.Parallel()
	delivered := make(chan string, 9)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		delivered <- string(body)
	}))
	defer hook.Close()
	s := vidutest.NewServer(vidutest.WithCallbacks(hook.Client()), vidutest.WithTiming(0, 0))
	createTask(t, s, with(t, "callback_url", `"`+hook.URL+`"`))
	assert.Equal(t, "success", decode(t, <-delivered)["state"])
	s.Close()
	assert.Empty(t, delivered)
}

// Close does not wait for a receiver that never answers.
func TestWithCallbacks_CloseCutsDeliveries(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	hook := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-release
	}))
	defer hook.Close()
	defer close(release)
	s := vidutest.NewServer(vidutest.WithCallbacks(hook.Client()), vidutest.WithTiming(0, 0))
	createTask(t, s, with(t, "callback_url", `"`+hook.URL+`"`))
	<-arrived
	s.Close()
}

func TestServer_NewCallback(t *testing.T) {
	t.Parallel()
	inOfficialBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		id := createWithHook(t, s, hook)
		pass(20 * time.Second)

		r, err := s.NewCallback(t.Context(), vidutest.Callback{TaskID: id})
		require.NoError(t, err)
		assert.Equal(t, http.MethodPost, r.Method)
		assert.Equal(t, hook, r.URL.String())
		assert.True(t, genuine(r.Header, vidutest.APIKey))
		assert.Equal(t, time.Now().UTC().Format(http.TimeFormat), r.Header.Get("Date"))
		assert.Regexp(t, "^[0-9a-f]{32}$", r.Header.Get("X-Request-Nonce"))
		assert.JSONEq(t, `{"id":"`+id+`","state":"processing","err_code":"","credits":55,"payload":"job 7","bgm":false,
			"off_peak":false,"progress":50,"creations":[]}`, bodyOf(t, r))
	})
}

func bodyOf(t *testing.T, r *http.Request) string {
	t.Helper()
	var body bytes.Buffer
	_, err := body.ReadFrom(r.Body)
	require.NoError(t, err)
	return body.String()
}

func TestServer_NewCallback_Fields(t *testing.T) {
	t.Parallel()
	inOfficialBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		id := createWithHook(t, s, hook)
		date := time.Date(2025, 5, 6, 14, 9, 42, 7, time.FixedZone("", 2*3600))
		r, err := s.NewCallback(t.Context(), vidutest.Callback{
			TaskID: id,
			URL:    "http://127.0.0.1:8080/vidu/callback?name=james&age=36",
			Date:   date,
			Nonce:  "123e4567-e89b-12d3-a456-426614174000",
			Key:    "your_secret_token",
			Body:   `{"id":"another"}`,
		})
		require.NoError(t, err)
		assert.Equal(t, "Tue, 06 May 2025 12:09:42 GMT", r.Header.Get("Date"))
		assert.Equal(t, "PrO4+kG4W+b3HOSimdHMHn8pnQ6YXQTseBDC/8yvvNA=", r.Header.Get("X-Hmac-Signature"), "the documented example")
		assert.JSONEq(t, `{"id":"another"}`, bodyOf(t, r))

		same := vidutest.Callback{TaskID: id, Date: date, Nonce: "n"}
		first, err := s.NewCallback(t.Context(), same)
		require.NoError(t, err)
		second, err := s.NewCallback(t.Context(), same)
		require.NoError(t, err)
		assert.Equal(t, first.Header, second.Header)

		wrong, err := s.NewCallback(t.Context(), vidutest.Callback{TaskID: id, Key: "wrong"})
		require.NoError(t, err)
		assert.False(t, genuine(wrong.Header, vidutest.APIKey))
	})
}

func TestServer_NewCallback_States(t *testing.T) {
	t.Parallel()
	inOfficialBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		s.FailTask("AuditFailed")
		id := createWithHook(t, s, hook)
		pass(20 * time.Second)
		for state, want := range map[string]map[string]any{
			"":           {"state": "processing", "progress": 50.0, "err_code": "", "credits": 55.0},
			"processing": {"state": "processing", "progress": 50.0, "err_code": "", "credits": 55.0},
			"queueing":   {"state": "queueing", "progress": 0.0, "err_code": "", "credits": 55.0},
			"success":    {"state": "success", "progress": 100.0, "err_code": "", "credits": 55.0},
			"failed":     {"state": "failed", "progress": 0.0, "err_code": "AuditFailed", "credits": 0.0},
			"unknown":    {"state": "unknown", "progress": 0.0, "err_code": "", "credits": 55.0},
		} {
			r, err := s.NewCallback(t.Context(), vidutest.Callback{TaskID: id, State: state})
			require.NoError(t, err)
			body := decode(t, bodyOf(t, r))
			for field, value := range want {
				assert.Equal(t, value, body[field], "%s %s", state, field)
			}
			assert.Equal(t, state == "success", len(body["creations"].([]any)) == 1)
		}
	})
}

// An empty path is signed as "/", and an escaped one in its decoded form.
func TestServer_NewCallback_Paths(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory())
	defer s.Close()
	id := createTask(t, s, goodBody)
	signature := func(url string) string {
		r, err := s.NewCallback(t.Context(), vidutest.Callback{TaskID: id, URL: url, Nonce: "n", Date: time.Unix(0, 0)})
		require.NoError(t, err)
		return r.Header.Get("X-Hmac-Signature")
	}
	assert.Equal(t, signature("https://a.example"), signature("https://a.example/"))
	assert.Equal(t, signature("https://a.example/%61b"), signature("https://other.example/ab"))
	assert.NotEqual(t, signature("https://a.example/ab"), signature("https://a.example/abc"))
	assert.NotEqual(t, signature("https://a.example/?a=%61"), signature("https://a.example/?a=a"))
}

func TestServer_NewCallback_Fails(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory())
	defer s.Close()
	id := createTask(t, s, goodBody)
	for name, callback := range map[string]vidutest.Callback{
		"no task": {TaskID: "1", URL: hook},
		"no URL":  {TaskID: id},
		"bad URL": {TaskID: id, URL: "://"},
	} {
		_, err := s.NewCallback(context.Background(), callback) //nolint:usetesting // the context does not matter
		assert.ErrorContains(t, err, "vidutest: ", name)
	}
}
