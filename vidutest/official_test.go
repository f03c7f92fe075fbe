package vidutest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/vidutest"
)

const officialBody = `{"model":"viduq2","images":["https://example.com/hero.png"],"prompt":"The astronaut waved.","payload":"job 7"}`

// ask sends a request as the official API wants it.
func ask(t *testing.T, s *vidutest.Server, method, path, body string) reply {
	t.Helper()
	req := newRequest(t, method, s.URL+path, strings.NewReader(body))
	req.Header.Set("Authorization", "Token "+vidutest.APIKey)
	return do(s, req)
}

// createOfficial creates a task that must be accepted and returns its id.
func createOfficial(t *testing.T, s *vidutest.Server) string {
	t.Helper()
	got := ask(t, s, http.MethodPost, "/ent/v2/reference2video", officialBody)
	require.NoError(t, got.err)
	require.Equal(t, http.StatusOK, got.status, got.body)
	return decode(t, got.body)["task_id"].(string)
}

func cancelTask(t *testing.T, s *vidutest.Server, id string) reply {
	t.Helper()
	return ask(t, s, http.MethodPost, "/ent/v2/tasks/"+id+"/cancel", `{"id":"`+id+`"}`)
}

func queryOfficial(t *testing.T, s *vidutest.Server, id string) map[string]any {
	t.Helper()
	return decode(t, ask(t, s, http.MethodGet, "/ent/v2/tasks/"+id+"/creations", "").body)
}

// listed returns the ids in an answer to a list, and the token of the next page.
func listed(t *testing.T, s *vidutest.Server, query string) (ids []string, next string) {
	t.Helper()
	got := ask(t, s, http.MethodGet, "/ent/v2/tasks?"+query, "")
	require.NoError(t, got.err)
	require.Equal(t, http.StatusOK, got.status, got.body)
	reply := decode(t, got.body)
	for _, item := range reply["tasks"].([]any) {
		ids = append(ids, item.(map[string]any)["id"].(string))
	}
	return ids, reply["next_page_token"].(string)
}

// inOfficialBubble runs test with a server that keeps tasks 10 s in the queue and 20 s at work.
func inOfficialBubble(t *testing.T, test func(t *testing.T, s *vidutest.Server), opts ...vidutest.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		opts = append([]vidutest.Option{
			vidutest.WithOfficialAPI(), vidutest.InMemory(), vidutest.WithTiming(10*time.Second, 20*time.Second),
		}, opts...)
		s := vidutest.NewServer(opts...)
		defer s.Close()
		test(t, s)
	})
}

// A gateway has none of the other endpoints of the official API, under any prefix.
func TestGateway_HasNoOfficialEndpoints(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory())
	defer s.Close()
	id := createTask(t, s, goodBody)
	for _, prefix := range []string{"/vidu/v2", "/ent/v2", ""} {
		for path, method := range map[string]string{
			"/tasks":                         http.MethodGet,
			"/credits":                       http.MethodGet,
			"/tasks/" + id + "/cancel":       http.MethodPost,
			"/tools/v2/files/uploads":        http.MethodPost,
			"/tools/v2/files/uploads/1/done": http.MethodPut,
			"/upload/1":                      http.MethodPut,
		} {
			got := do(s, newRequest(t, method, s.URL+prefix+path, strings.NewReader("{}")))
			assertRefused(t, got, http.StatusNotFound, "NotFound", "")
		}
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	inOfficialBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		first, second, third := createOfficial(t, s), createOfficial(t, s), createOfficial(t, s)
		got := cancelTask(t, s, first)
		assert.Equal(t, http.StatusOK, got.status)
		assert.JSONEq(t, "{}", got.body)
		assertRefused(t, cancelTask(t, s, first), http.StatusBadRequest, "BadRequest", "task state is failed, can not cancel")

		pass(10*time.Second - 1)
		assert.Equal(t, http.StatusOK, cancelTask(t, s, second).status, "it still queues")
		pass(1)
		assertRefused(t, cancelTask(t, s, third), http.StatusBadRequest, "BadRequest", "task state is processing, can not cancel")

		pass(20 * time.Second)
		assert.JSONEq(t, `{"id":"`+first+`","state":"failed","err_code":"UserCancelled","credits":0,"payload":"job 7",
			"bgm":false,"off_peak":false,"progress":0,"creations":[]}`, string(encode(t, queryOfficial(t, s, first))))
		assert.Equal(t, "failed", queryOfficial(t, s, second)["state"])
		assert.Equal(t, "success", queryOfficial(t, s, third)["state"])
		assertRefused(t, cancelTask(t, s, third), http.StatusBadRequest, "BadRequest", "task state is success, can not cancel")
		assert.Equal(t, 3, s.Charged())
	})
}

func TestCancel_Refuses(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory(), vidutest.WithOfficialAPI())
	defer s.Close()
	id := createOfficial(t, s)
	path := "/ent/v2/tasks/" + id + "/cancel"
	assertRefused(t, cancelTask(t, s, "1"), http.StatusNotFound, "TaskNotFound", "")
	assertRefused(t, ask(t, s, http.MethodPost, path, ""), http.StatusBadRequest, "BadRequest", "not one JSON object")
	assertRefused(t, ask(t, s, http.MethodPost, path, "{}"), http.StatusBadRequest, "FieldInvalid", "id")
	assertRefused(t, ask(t, s, http.MethodPost, path, `{"id":"1"}`), http.StatusBadRequest, "FieldInvalid", "id")
	long := `{"id":"` + id + `","x":"` + strings.Repeat("x", 64<<10) + `"}`
	assertRefused(t, ask(t, s, http.MethodPost, path, long), http.StatusBadRequest, "BadRequest", "not one JSON object")
	requests := s.Requests()
	assert.True(t, requests[len(requests)-1].Complete, "the whole request arrives before the answer")
	assert.Equal(t, http.StatusOK, cancelTask(t, s, id).status)
}

func TestList_Items(t *testing.T) {
	t.Parallel()
	inOfficialBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		got := ask(t, s, http.MethodGet, "/ent/v2/tasks", "")
		assert.JSONEq(t, `{"next_page_token":"","tasks":[]}`, got.body)

		id := createOfficial(t, s)
		got = ask(t, s, http.MethodGet, "/ent/v2/tasks", "")
		assert.JSONEq(t, `{"next_page_token":"","tasks":[{"id":"`+id+`","key_id":"1","type":"img2video","model":"viduq2",
			"prompt":"The astronaut waved.","images":["https://example.com/hero.png"],"duration":5,"resolution":"720p",
			"aspect_ratio":"","state":"created","creations":[],"created_at":"2000-01-01T00:00:00Z","credits":55}]}`, got.body)

		pass(time.Minute)
		item := decode(t, ask(t, s, http.MethodGet, "/ent/v2/tasks", "").body)["tasks"].([]any)[0].(map[string]any)
		assert.Equal(t, "success", item["state"])
		creation := item["creations"].([]any)[0].(map[string]any)
		assert.Equal(t, http.StatusOK, download(t, s, http.MethodGet, creation["url"].(string), http.Header{}).status)
	})
}

func TestList_Filters(t *testing.T) {
	t.Parallel()
	inOfficialBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		start := time.Now() // a task a minute, the first one canceled
		var ids [4]string
		for i, body := range []string{
			officialBody,
			strings.Replace(officialBody, "viduq2", "viduq3", 1),
			strings.Replace(officialBody, "{", `{"resolution":"1080p",`, 1),
			officialBody,
		} {
			got := ask(t, s, http.MethodPost, "/ent/v2/reference2video", body)
			ids[i] = decode(t, got.body)["task_id"].(string)
			if i == 0 {
				require.Equal(t, http.StatusOK, cancelTask(t, s, ids[i]).status)
			}
			pass(time.Minute)
		}
		createdFrom := func(i int) string { return start.Add(time.Duration(i) * time.Minute).Format(time.RFC3339Nano) }
		for name, test := range map[string]struct {
			query url.Values
			want  []string
		}{
			"nothing":      {nil, []string{ids[3], ids[2], ids[1], ids[0]}},
			"unknown":      {url.Values{"show_detail": {"true"}}, []string{ids[3], ids[2], ids[1], ids[0]}},
			"from":         {url.Values{"created_at.from": {createdFrom(2)}}, []string{ids[3], ids[2]}},
			"to":           {url.Values{"created_at.to": {createdFrom(2)}}, []string{ids[2], ids[1], ids[0]}},
			"from and to":  {url.Values{"created_at.from": {createdFrom(1)}, "created_at.to": {createdFrom(2)}}, []string{ids[2], ids[1]}},
			"other zone":   {url.Values{"created_at.from": {"2000-01-01T01:03:00+01:00"}}, []string{ids[3]}},
			"one id":       {url.Values{"task_ids": {ids[1]}}, []string{ids[1]}},
			"two ids":      {url.Values{"task_ids": {ids[1], ids[3], "1"}}, []string{ids[3], ids[1]}},
			"state":        {url.Values{"states": {"failed"}}, []string{ids[0]}},
			"states":       {url.Values{"states": {"failed", "success"}}, []string{ids[3], ids[2], ids[1], ids[0]}},
			"model":        {url.Values{"model_versions": {"viduq3"}}, []string{ids[1]}},
			"resolution":   {url.Values{"resolutions": {"1080p", "360p"}}, []string{ids[2]}},
			"all together": {url.Values{"resolutions": {"1080p"}, "model_versions": {"viduq3"}}, nil},
		} {
			got, next := listed(t, s, test.query.Encode())
			assert.Equal(t, test.want, got, name)
			assert.Empty(t, next, name)
		}

		pass(7*24*time.Hour - 2*time.Minute)
		got, _ := listed(t, s, "")
		assert.Equal(t, []string{ids[3], ids[2]}, got, "the last 7 days")
		got, _ = listed(t, s, "created_at.from="+start.UTC().Format(time.RFC3339))
		assert.Len(t, got, 4)
	})
}

func TestList_Pages(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory(), vidutest.WithOfficialAPI())
	defer s.Close()
	var ids []string // the newest first
	for range 25 {
		ids = append([]string{createOfficial(t, s)}, ids...)
	}

	got, next := listed(t, s, "")
	assert.Equal(t, ids[:10], got)
	createOfficial(t, s) // does not move what is behind the token
	got, next = listed(t, s, "pager.page_token="+next)
	assert.Equal(t, ids[10:20], got)
	got, next = listed(t, s, "pager.page_token="+next+"&pager.page=1&pager.pagesz=5")
	assert.Equal(t, ids[20:], got)
	assert.Empty(t, next, "nothing is behind the last page, even if it is full")

	got, _ = listed(t, s, "pager.page=2&created_at.from=1999-01-01T00:00:00Z")
	assert.Equal(t, ids[19:], got)
	got, next = listed(t, s, "pager.page=3")
	assert.Empty(t, got)
	assert.Empty(t, next)
	got, _ = listed(t, s, "pager.page=9223372036854775807&pager.pagesz=100")
	assert.Empty(t, got)
	got, _ = listed(t, s, "pager.pagesz=100")
	assert.Len(t, got, 26)
	got, _ = listed(t, s, "pager.page_token=999")
	assert.Len(t, got, 10)
}

func TestList_Refuses(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory(), vidutest.WithOfficialAPI())
	defer s.Close()
	for query, reason := range map[string]string{
		"pager.pagesz=101":           "PageSizeOutOfRange",
		"pager.pagesz=0":             "PageSizeOutOfRange",
		"pager.pagesz=x":             "FieldInvalid",
		"pager.page=-1":              "FieldInvalid",
		"pager.page_token=abc":       "FieldInvalid",
		"created_at.from=yesterday":  "FieldInvalid",
		"created_at.to=1700000000":   "FieldInvalid",
		"states=failed;states=a":     "BadRequest",
		"created_at.from=2026-11-22": "FieldInvalid",
	} {
		assertRefused(t, ask(t, s, http.MethodGet, "/ent/v2/tasks?"+query, ""), http.StatusBadRequest, reason, "")
	}
}

func TestWithListDelay(t *testing.T) {
	t.Parallel()
	inOfficialBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		first := createOfficial(t, s)
		pass(time.Second)
		second := createOfficial(t, s)
		pass(time.Minute - time.Second - 1)
		got, _ := listed(t, s, "")
		assert.Empty(t, got)
		assert.Equal(t, second, queryOfficial(t, s, second)["id"], "a query finds it")

		pass(1)
		got, _ = listed(t, s, "")
		assert.Equal(t, []string{first}, got)
		pass(time.Second)
		got, _ = listed(t, s, "")
		assert.Equal(t, []string{second, first}, got)
	}, vidutest.WithListDelay(time.Minute))
}

func TestCredits(t *testing.T) {
	t.Parallel()
	inOfficialBubble(t, func(t *testing.T, s *vidutest.Server) {
		t.Helper()
		credits := func(left, running, queueing int) string {
			return fmt.Sprintf(`{"remains":[{"type":"metered","credit_remain":%d,"concurrency_limit":5,"current_concurrency":%d,
				"queue_count":%d}],"packages":[{"id":"1","name":"vidutest","type":"metered","concurrency":5,
				"credit_amount":1000000,"credit_remain":%d,"created_at":"2000-01-01T00:00:00Z","purchase_at":"2000-01-01T00:00:00Z",
				"valid_from":"2000-01-01T00:00:00Z","valid_to":"2001-01-01T00:00:00Z"}]}`, left, running, queueing, left)
		}
		ask := func() string { return ask(t, s, http.MethodGet, "/ent/v2/credits", "").body }
		assert.JSONEq(t, credits(1_000_000, 0, 0), ask())
		s.FailTask("AuditFailed")
		createOfficial(t, s)
		createOfficial(t, s)
		assert.JSONEq(t, credits(999_890, 0, 2), ask())
		pass(5 * time.Second)
		assert.JSONEq(t, credits(999_890, 0, 2), ask())
		pass(5 * time.Second)
		createOfficial(t, s)
		assert.JSONEq(t, credits(999_835, 2, 1), ask())
		pass(time.Minute)
		assert.JSONEq(t, credits(999_890, 0, 0), ask(), "the failed one is refunded")
	})
}

// The credits agree with the states of the tasks, and no more run than the limit allows.
func TestCredits_AgreesWithTheTasks(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		opts              []vidutest.Option
		accepted          int
		limitThen, limit0 float64 // while all run, and before
	}{
		"no limit":   {nil, 20, 20, 5},
		"limit of 7": {[]vidutest.Option{vidutest.WithTaskLimit(7)}, 7, 7, 7},
		"limit of 1": {[]vidutest.Option{vidutest.WithTaskLimit(1)}, 1, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inOfficialBubble(t, func(t *testing.T, s *vidutest.Server) {
				t.Helper()
				look := func(limit float64, running, queueing int) {
					t.Helper()
					reply := decode(t, ask(t, s, http.MethodGet, "/ent/v2/credits", "").body)
					remain := reply["remains"].([]any)[0].(map[string]any)
					assert.InDelta(t, limit, remain["concurrency_limit"], 0)
					assert.InDelta(t, limit, reply["packages"].([]any)[0].(map[string]any)["concurrency"], 0)
					assert.EqualValues(t, running, remain["current_concurrency"])
					assert.EqualValues(t, queueing, remain["queue_count"])
					assert.LessOrEqual(t, remain["current_concurrency"], remain["concurrency_limit"])
					ids, _ := listed(t, s, "pager.pagesz=100&states=processing")
					assert.Len(t, ids, running)
					ids, _ = listed(t, s, "pager.pagesz=100&states=created&states=queueing")
					assert.Len(t, ids, queueing)
				}
				look(test.limit0, 0, 0)
				for range 20 {
					ask(t, s, http.MethodPost, "/ent/v2/reference2video", officialBody)
				}
				look(test.limit0, 0, test.accepted)
				pass(10 * time.Second)
				look(test.limitThen, test.accepted, 0)
				pass(20 * time.Second)
				look(test.limit0, 0, 0)
			}, test.opts...)
		})
	}
}
