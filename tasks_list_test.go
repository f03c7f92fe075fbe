package vidu_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
	"github.com/vidu-go/vidu/vidutest"
)

// collectTasks gathers what AllTasks yields.
func collectTasks(ctx context.Context, client *vidu.Client, req *vidu.ListTasksRequest) (ids []string, err error) {
	for task, err := range client.AllTasks(ctx, req) {
		if err != nil {
			return ids, err
		}
		ids = append(ids, task.ID)
	}
	return ids, nil
}

func TestListTasks_Query(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 18, 0, 0, 0, time.FixedZone("", 8*3600))
	for name, tt := range map[string]struct {
		req  *vidu.ListTasksRequest
		want string
	}{
		"nil":    {nil, ""},
		"zero":   {&vidu.ListTasksRequest{}, ""},
		"times":  {&vidu.ListTasksRequest{From: at, To: at.Add(time.Hour)}, "?created_at.from=2026-11-22T10:00:00Z&created_at.to=2026-11-22T11:00:00Z"},
		"ids":    {&vidu.ListTasksRequest{TaskIDs: []string{"1", "2"}}, "?task_ids=1&task_ids=2"},
		"states": {&vidu.ListTasksRequest{States: []vidu.State{vidu.StateFailed, vidu.StateSuccess}}, "?states=failed&states=success"},
		"models": {&vidu.ListTasksRequest{Models: []vidu.Model{vidu.ModelQ2}, Resolutions: []vidu.Resolution{vidu.Resolution720p}}, "?model_versions=viduq2&resolutions=720p"},
		"page":   {&vidu.ListTasksRequest{Page: 2, PageSize: 50}, "?pager.page=2&pager.pagesz=50"},
		"token":  {&vidu.ListTasksRequest{PageToken: "a&b=c/ü"}, "?pager.page_token=a&b=c/ü"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, rec := recordedClient(t, testkit.AlwaysStatus(200, `{"tasks":[]}`))
			page, err := client.ListTasks(t.Context(), tt.req)
			require.NoError(t, err)
			assert.Empty(t, page.Tasks)
			assert.Equal(t, []string{"GET /ent/v2/tasks" + tt.want}, rec.asked)
		})
	}
}

// The texts of listed tasks may become errors, as those of queried ones do.
func TestListTasks_KeyIsMasked(t *testing.T) {
	t.Parallel()
	page, err := clientWithReply(t, http.StatusOK, `{"tasks":[{"id":"1","state":"failed","err_code":"`+testkit.Key+`","err_msg":"bad key `+testkit.Key+`"}]}`).
		ListTasks(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, page.Tasks, 1)
	assert.NotContains(t, string(page.Tasks[0].ErrCode)+page.Tasks[0].ErrMessage, testkit.Key)
}

func TestListTasks_Reply(t *testing.T) {
	t.Parallel()
	big := `{"id":"9","state":"success","images":["data:image/png;base64,` + strings.Repeat("A", 64<<10) + `"]}`
	for name, tt := range map[string]struct {
		body, ids, token string
	}{
		"tasks":              {`{"next_page_token":"t","tasks":[{"id":"2","state":"success"},{"id":1,"state":"created"}]}`, "2 1", "t"},
		"as task_id":         {`{"tasks":[{"task_id":"2"}]}`, "2", ""},
		"none":               {`{"tasks":[],"next_page_token":""}`, "", ""},
		"null":               {`{"tasks":null,"next_page_token":null}`, "", ""},
		"absent":             {`{"next_page_token":""}`, "", ""},
		"wrapped":            {`{"code":0,"message":"ok","data":{"tasks":[{"id":"2"}],"next_page_token":"t"}}`, "2", "t"},
		"byte order mark":    {"\uFEFF" + `{"tasks":[{"id":"2"}]}`, "2", ""},
		"big":                {`{"tasks":[` + big + `]}`, "9", ""},
		"one that is broken": {`{"tasks":[{"id":"2"},{"state":"success"},{"id":"../x"},{"id":"3","id":"4"},7,null,{"id":"5"}]}`, "2 5", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, _ := recordedClient(t, testkit.AlwaysStatus(200, tt.body))
			page, err := client.ListTasks(t.Context(), nil)
			require.NoError(t, err)
			ids := []string{}
			for _, task := range page.Tasks {
				ids = append(ids, task.ID)
				assert.Equal(t, name == "big", task.RawJSON() == nil)
			}
			assert.Equal(t, tt.ids, strings.Join(ids, " "))
			assert.Equal(t, tt.token, page.NextPageToken)
		})
	}
}

func TestListTasks_CannotBeRead(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ body, says string }{
		"web page":       {"<!DOCTYPE html><html><body>Sign in</body></html>", "it is a web page"},
		"empty":          {"", "unexpected end of JSON input"},
		"cut":            {`{"tasks":[{"id":"2"}`, "unexpected end of JSON input"},
		"array":          {`[{"id":"2"}]`, "it is not a JSON object"},
		"another object": {`{"hello":"world"}`, "it is not a task list"},
		"not a list":     {`{"tasks":"none"}`, "it is not a task list"},
		"an error":       {`{"success":false,"message":"busy"}`, "HTTP 200: busy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, _ := recordedClient(t, testkit.AlwaysStatus(200, tt.body))
			page, err := client.ListTasks(t.Context(), nil)
			assertNotCreated(t, err)
			require.ErrorContains(t, err, tt.says)
			require.NotErrorIs(t, err, vidu.ErrNotSupported)
			assert.Nil(t, page)
			_, err = client.FindTask(t.Context(), "job-42", time.Now())
			assertNotCreated(t, err)
			require.NotErrorIs(t, err, vidu.ErrNotFound, "nobody has looked")
		})
	}
}

// A server without an endpoint says so in one of three ways; a task that it does not know is something else.
func TestErrNotSupported(t *testing.T) {
	t.Parallel()
	calls := map[string]func(ctx context.Context, client *vidu.Client) error{
		"ListTasks": func(ctx context.Context, client *vidu.Client) error { _, err := client.ListTasks(ctx, nil); return err },
		"AllTasks": func(ctx context.Context, client *vidu.Client) error {
			_, err := collectTasks(ctx, client, nil)
			return err
		},
		"FindTask": func(ctx context.Context, client *vidu.Client) error {
			_, err := client.FindTask(ctx, "job-42", time.Now())
			return err
		},
		"CancelTask": func(ctx context.Context, client *vidu.Client) error { return client.CancelTask(ctx, "1") },
		"GetCredits": func(ctx context.Context, client *vidu.Client) error { _, err := client.GetCredits(ctx); return err },
	}
	for method, call := range calls {
		for name, tt := range map[string]struct {
			status int
			body   string
			want   bool
		}{
			"404, a web page":   {404, "<html>404 page not found</html>", true},
			"404, empty":        {404, "", true},
			"404, an envelope":  {404, `{"code":404,"reason":"NotFound","message":"no route"}`, true},
			"405":               {405, "", true},
			"501":               {501, "", true},
			"404, no such task": {404, `{"code":404,"reason":"TaskNotFound","message":"no such task"}`, false},
			"404, the same":     {404, `{"code":"task_not_exist","message":"no such task"}`, false},
			"401":               {401, "", false},
			"403":               {403, "", false},
			"500":               {500, "", false},
			"503":               {503, "", false},
		} {
			t.Run(method+" "+name, func(t *testing.T) {
				t.Parallel()
				client, rec := recordedClient(t, testkit.AlwaysStatus(tt.status, tt.body))
				err := call(t.Context(), client)
				assertNotCreated(t, err)
				assert.Equal(t, tt.want, errors.Is(err, vidu.ErrNotSupported), "%v", err)
				if tt.want {
					require.NotErrorIs(t, err, vidu.ErrNotFound, "not supported does not mean not found")
				}
				assert.Len(t, rec.asked, 1)
			})
		}
	}
}

func TestAllTasks_GoesThroughThePages(t *testing.T) {
	t.Parallel()
	fake, r := officialServer(t, nil)
	var want []string
	for range 25 {
		task, err := r.create(t)
		require.NoError(t, err)
		want = append(want, task.ID)
	}
	before := len(fake.Requests())
	for size, requests := range map[int]int{0: 1, 10: 3, 25: 1, 1: 25} {
		got, err := collectTasks(t.Context(), r.Client, &vidu.ListTasksRequest{PageSize: size})
		require.NoError(t, err)
		assert.ElementsMatch(t, want, got)
		assert.Len(t, fake.Requests(), before+requests, "page size %d", size)
		before += requests
	}
	assert.Equal(t, 25, fake.Charged())
}

func TestAllTasks_Pages(t *testing.T) {
	t.Parallel()
	client, rec := recordedClient(t, func(req *http.Request) (int, string) {
		switch req.URL.Query().Get("pager.page_token") {
		case "":
			return 200, `{"tasks":[{"id":"1"},{"id":"2"}],"next_page_token":"a"}`
		case "a":
			return 200, `{"tasks":[],"next_page_token":"b"}` // an empty page is not the last
		default:
			return 200, `{"tasks":[{"id":"3"}]}`
		}
	})
	req := &vidu.ListTasksRequest{Page: 1, States: []vidu.State{vidu.StateSuccess}}
	before := *req
	sequence := client.AllTasks(t.Context(), req)
	for range 2 { // it can be gone through again
		rec.asked = nil
		var ids []string
		for task, err := range sequence {
			require.NoError(t, err)
			ids = append(ids, task.ID)
		}
		assert.Equal(t, []string{"1", "2", "3"}, ids)
		assert.Equal(t, []string{
			"GET /ent/v2/tasks?pager.page=1&pager.pagesz=100&states=success",
			"GET /ent/v2/tasks?pager.page_token=a&pager.pagesz=100&states=success",
			"GET /ent/v2/tasks?pager.page_token=b&pager.pagesz=100&states=success",
		}, rec.asked)
	}
	assert.Equal(t, before, *req, "the caller's request is left alone")

	rec.asked = nil
	for task := range sequence { //nolint:errcheck // of a break, not of errors
		assert.Equal(t, "1", task.ID)
		break
	}
	assert.Len(t, rec.asked, 1, "nothing is asked for ahead")
}

func TestAllTasks_ErrorOnALaterPage(t *testing.T) {
	t.Parallel()
	client, rec := recordedClient(t, func(req *http.Request) (int, string) {
		if req.URL.Query().Has("pager.page_token") {
			return 500, ""
		}
		return 200, `{"tasks":[{"id":"1"}],"next_page_token":"a"}`
	})
	ids, err := collectTasks(t.Context(), client, nil)
	assertNotCreated(t, err)
	require.ErrorIs(t, err, vidu.ErrInternalServiceFailure)
	assert.Equal(t, []string{"1"}, ids)
	assert.Len(t, rec.asked, 2)
	_, err = client.FindTask(t.Context(), "job-42", time.Now())
	require.NotErrorIs(t, err, vidu.ErrNotFound, "nobody has seen all of it")
}

func TestAllTasks_ContextIsOver(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	client, rec := recordedClient(t, func(*http.Request) (int, string) {
		return 200, `{"tasks":[{"id":"1"}],"next_page_token":"` + rand.Text() + `"}`
	})
	for _, err := range client.AllTasks(ctx, nil) {
		if len(rec.asked) == 3 {
			cancel()
		}
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
		}
	}
	assert.LessOrEqual(t, len(rec.asked), 4)
}

// A page token goes back as it came, and nothing of the list's query shows in an error.
func TestListTasks_ErrorsDoNotQuoteTheQuery(t *testing.T) {
	t.Parallel()
	client, _ := recordedClient(t, testkit.AlwaysStatus(500, ""))
	_, err := client.ListTasks(t.Context(), &vidu.ListTasksRequest{PageToken: "private"})
	assertNotCreated(t, err)
	assert.NotContains(t, err.Error(), "private")
}

func TestListTasks_Retries(t *testing.T) {
	t.Parallel()
	fake, r := officialServer(t, nil)
	fake.FailNext(503, "")
	fake.FailNext(429, "")
	_, err := r.ListTasks(t.Context(), nil)
	require.NoError(t, err)
	assert.Len(t, fake.Requests(), 3)
}

func TestCancelTask(t *testing.T) {
	t.Parallel()
	fake, r := officialServer(t, []vidutest.Option{vidutest.WithTiming(time.Hour, time.Hour)})
	task, err := r.create(t)
	require.NoError(t, err)
	require.NoError(t, r.CancelTask(t.Context(), task.ID))
	last := fake.Requests()[len(fake.Requests())-1]
	assert.JSONEq(t, `{"id":"`+task.ID+`"}`, string(last.Body))

	task, err = r.GetTask(t.Context(), task.ID)
	require.NoError(t, err)
	assert.True(t, task.Done())
	assert.Equal(t, vidu.ErrUserCancelled, task.ErrCode)
	err = r.CancelTask(t.Context(), task.ID) // it has ended
	assertNotCreated(t, err)
	require.ErrorIs(t, err, vidu.ErrBadRequest)
	require.NotErrorIs(t, err, vidu.ErrNotSupported)

	err = r.CancelTask(t.Context(), "404")
	assertNotCreated(t, err)
	require.NotErrorIs(t, err, vidu.ErrNotSupported)
}

func TestCancelTask_Replies(t *testing.T) {
	t.Parallel()
	for body, ok := range map[string]bool{
		"": true, "\uFEFF{}": true, " \n": true, "null": true, "{}": true, `{"id":"1","state":"failed"}`: true, `{"code":0,"message":"success"}`: true,
		"<html>Sign in</html>": false, `{"success":false,"message":"no"}`: false, `{"reason":"BadRequest"}`: false, "[]": false, `"x"`: false,
	} {
		client, rec := recordedClient(t, testkit.AlwaysStatus(200, body))
		err := client.CancelTask(t.Context(), "1")
		assert.Equal(t, ok, err == nil, "%s: %v", body, err)
		assert.Equal(t, []string{"POST /ent/v2/tasks/1/cancel"}, rec.asked)
	}
}

// A cancel may be sent again: it costs nothing, and a second one changes nothing.
func TestCancelTask_IsRetried(t *testing.T) {
	t.Parallel()
	fake, r := officialServer(t, []vidutest.Option{vidutest.WithTiming(time.Hour, time.Hour)})
	task, err := r.create(t)
	require.NoError(t, err)
	fake.FailNext(502, "<html>")
	require.NoError(t, r.CancelTask(t.Context(), task.ID))
	assert.Len(t, fake.Requests(), 3)
}

func TestGetCredits(t *testing.T) {
	t.Parallel()
	fake, r := officialServer(t, []vidutest.Option{vidutest.WithTiming(time.Hour, time.Hour)})
	before, err := r.GetCredits(t.Context())
	require.NoError(t, err)
	task, err := r.create(t)
	require.NoError(t, err)
	after, err := r.GetCredits(t.Context())
	require.NoError(t, err)
	require.Len(t, after.Remains, 1)
	assert.Equal(t, task.Credits, before.Remains[0].Credits-after.Remains[0].Credits)
	assert.Equal(t, 1, after.Remains[0].QueueCount)
	assert.Contains(t, string(after.Packages), "vidutest")
	assert.Equal(t, 1, fake.Charged())
}

func TestGetCredits_Replies(t *testing.T) {
	t.Parallel()
	full := vidu.CreditRemain{Type: "normal", Credits: 7, ConcurrencyLimit: 5, CurrentConcurrency: 1, QueueCount: 2}
	for name, tt := range map[string]struct {
		body string
		want []vidu.CreditRemain
	}{
		"documented":     {`{"remains":[{"type":"normal","credit_remain":7,"concurrency_limit":5,"current_concurrency":1,"queue_count":2}]}`, []vidu.CreditRemain{full}},
		"the other name": {`{"remaining_credits":[{"type":"normal","credit_remain":"7","concurrency_limit":5,"current_concurrency":1,"queue_count":2}]}`, []vidu.CreditRemain{full}},
		"several":        {`{"remains":[{"type":"test","credit_remain":0},{"type":"normal","credit_remain":9}]}`, []vidu.CreditRemain{{Type: "test"}, {Type: "normal", Credits: 9}}},
		"nothing":        {`{}`, nil},
		"null":           {`{"remains":null,"packages":null}`, nil},
		"fraction":       {`{"remains":[{"credit_remain":1234.5},{"credit_remain":"7.0"}]}`, []vidu.CreditRemain{{Credits: 1234}, {Credits: 7}}},
		"negative":       {`{"remains":[{"credit_remain":-0.5}]}`, []vidu.CreditRemain{{Credits: -1}}},
		"both names":     {`{"remains":[{"type":"a"}],"remaining_credits":[{"type":"b"}]}`, []vidu.CreditRemain{{Type: "a"}}},
		"data besides":   {`{"remains":[{"type":"a"}],"data":{"x":1}}`, []vidu.CreditRemain{{Type: "a"}}},
		"wrapped":        {`{"code":"success","data":{"remains":[{"type":"test"}]}}`, []vidu.CreditRemain{{Type: "test"}}},
		"marked":         {"\uFEFF" + `{"remains":[{"type":"test"}]}`, []vidu.CreditRemain{{Type: "test"}}},
		"one of two":     {`{"packages":[],"more":1}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, rec := recordedClient(t, testkit.AlwaysStatus(200, tt.body))
			credits, err := client.GetCredits(t.Context())
			require.NoError(t, err)
			assert.Equal(t, tt.want, credits.Remains)
			assert.Equal(t, []string{"GET /ent/v2/credits"}, rec.asked)
		})
	}
	for _, body := range []string{
		"", "<html>", "[]", `{"success":false}`, "null", `{"message":"hello"}`, `{"remains":7}`, `{"remains":"x"}`, `{"remaining_credits":500}`,
		`{"remains":[7]}`, `{"remains":[{"credit_remain":{}}]}`, `{"remains":[{"credit_remain":"1,234"}]}`,
		`{"remains":[{"credit_remain":1e19}]}`, `{"remains":[{"credit_remain":-1e19}]}`, `{"remains":[{"credit_remain":10000000000000000000}]}`,
		`{"remains":[{"credit_remain":9007199254740993.5}]}`, `{"remains":[{"credit_remain":"1e400"}]}`,
	} {
		client, _ := recordedClient(t, testkit.AlwaysStatus(200, body))
		credits, err := client.GetCredits(t.Context())
		assertNotCreated(t, err)
		assert.Nil(t, credits)
	}
}

// A balance beyond the int of a small machine is an error there.
func TestGetCredits_Large(t *testing.T) {
	t.Parallel()
	for _, balance := range []string{"3000000000", "3000000000.5", "3e9"} {
		client, _ := recordedClient(t, testkit.AlwaysStatus(200, `{"remains":[{"credit_remain":`+balance+`}]}`))
		credits, err := client.GetCredits(t.Context())
		if strconv.IntSize == 32 {
			require.ErrorContains(t, err, "cannot be read", balance)
			continue
		}
		require.NoError(t, err, balance)
		assert.Equal(t, int64(3e9), int64(credits.Remains[0].Credits), balance)
	}
}

// A page of millions of items that are no tasks is not read to its end.
func TestListTasks_ManyItems(t *testing.T) {
	t.Parallel()
	for items, ok := range map[int]bool{1000: true, 1001: false} {
		client, _ := recordedClient(t, testkit.AlwaysStatus(200, `{"tasks":[`+strings.Repeat(`{},`, items-1)+`{"id":"1"}]}`))
		page, err := client.ListTasks(t.Context(), nil)
		if !ok {
			require.ErrorContains(t, err, "more than 1000 tasks")
			continue
		}
		require.NoError(t, err)
		assert.Len(t, page.Tasks, 1)
	}
}

func TestNewMarker(t *testing.T) {
	t.Parallel()
	markers := make([]string, 1000)
	for i := range markers {
		markers[i] = vidu.NewMarker()
		require.Regexp(t, `^vidu-[A-Z2-7]{26}$`, markers[i])
	}
	slices.Sort(markers)
	assert.Len(t, slices.Compact(markers), 1000, "no two alike")
}

// endlessList returns a client of a list without end; token gives each page the token of the next.
func endlessList(t *testing.T, token func(page int64) string) (*vidu.Client, *atomic.Int64) {
	t.Helper()
	gets := new(atomic.Int64)
	return newRig(t, someHost, withTransport(func(req *http.Request) (*http.Response, error) {
		n := gets.Add(1)
		return testkit.Reply(req, 200, fmt.Sprintf(`{"tasks":[{"id":"%d","state":"success"}],"next_page_token":%q}`, n, token(n)))
	})).Client, gets
}

func TestAllTasks_PagesWithoutEnd(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		token func(page int64) string
		gets  int64
		says  string
	}{
		"the same token": {func(int64) string { return "a" }, 2, "page token did not advance"},
		"new tokens":     {func(page int64) string { return strconv.FormatInt(page, 10) }, 50, "more than 50 pages"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, gets := endlessList(t, tt.token)
			tasks := 0
			var last error
			for _, err := range client.AllTasks(t.Context(), nil) {
				if last = err; err == nil {
					tasks++
				}
			}
			assertNotCreated(t, last)
			require.ErrorContains(t, last, tt.says)
			assert.Equal(t, tt.gets, gets.Load())
			assert.Equal(t, tt.gets, int64(tasks))
		})
	}
}

func TestTaskIDs_AreChecked(t *testing.T) {
	t.Parallel()
	r := newRig(t, someHost, withTransport(func(req *http.Request) (*http.Response, error) {
		assert.Fail(t, "a request was sent: "+req.Method+" "+req.URL.Path)
		return nil, errors.New("sent")
	}))
	for name, id := range map[string]string{
		"parent": "..", "here": ".", "empty": "", "slash": "a/b", "climbing": "../../x", "query": "a?b", "fragment": "a#b",
		"escaped dots": "%2e%2e", "escaped slash": "a%2fb", "space": "a b", "newline": "\n", "letter": "ü", "semicolon": "a;b",
		"backslash": `a\b`, "NUL": "a\x00", "invalid UTF-8": "\xff", "10 kB": strings.Repeat("a", 10_000), "257": strings.Repeat("a", 257),
		"number that lost digits": "9.16205061116293e+17", "percent": "a%62", "comma": "a,b", "quote": `a"b`, "parent and more": "../",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task, err := r.GetTask(t.Context(), id)
			assert.Nil(t, task)
			_, waitErr := r.Wait(t.Context(), id)
			errs := []error{err, waitErr, r.CancelTask(t.Context(), id)}
			for _, err := range r.WaitAll(t.Context(), []string{id}) {
				errs = append(errs, err)
			}
			assert.Len(t, errs, 4)
			for _, err := range errs {
				assertNotCreated(t, err)
				require.ErrorContains(t, err, "is not a task id")
			}
		})
	}
}

// With the official API a reply that names another task is about another task. Behind a gateway it may name the task as
// the upstream does, unless this client has made, or waits for, both.
func TestQueryReply_AboutAnotherTask(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		opts     []vidu.Option
		made     int    // tasks that the client creates first: 1, 2, …
		asked    string // task
		reply    string // the task of the reply
		waits    bool   // another wait, for task "w", is under way
		believed bool
	}{
		"official":                   {opts: []vidu.Option{vidu.WithOfficialAPI()}, asked: "a", reply: "b"},
		"official, the same":         {opts: []vidu.Option{vidu.WithOfficialAPI()}, asked: "a", reply: "a", believed: true},
		"official, none":             {opts: []vidu.Option{vidu.WithOfficialAPI()}, asked: "a", reply: "", believed: true},
		"official host, no option":   {opts: []vidu.Option{vidu.WithAPIPath("/ent/v2"), vidu.WithAuthScheme("Token")}, asked: "a", reply: "b", believed: true},
		"gateway":                    {asked: "a", reply: "b", believed: true},
		"gateway, made both":         {made: 2, asked: "1", reply: "2"},
		"gateway, made one":          {made: 1, asked: "1", reply: "b", believed: true},
		"gateway, made the other":    {made: 1, asked: "a", reply: "1", believed: true},
		"gateway, waits for another": {made: 1, asked: "1", reply: "w", waits: true},
		"gateway, waits, not asked":  {asked: "a", reply: "w", waits: true, believed: true},
	} {
		for _, many := range []bool{false, true} {
			t.Run(fmt.Sprint(name, many), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					created := newTasks()
					client := newClient(t, someHost, append(tt.opts, withTransport(func(r *http.Request) (*http.Response, error) {
						switch {
						case r.Method == http.MethodPost:
							return testkit.Reply(r, 200, created())
						case strings.Contains(r.URL.Path, "/tasks/w/"):
							return testkit.Reply(r, 200, `{"id":"w","state":"processing"}`)
						}
						return testkit.Reply(r, 200, `{"id":"`+tt.reply+`","state":"processing"}`)
					}))...)
					for range tt.made {
						_, err := client.Reference2Video(t.Context(), smallRequest())
						require.NoError(t, err)
					}
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					if tt.waits {
						go func() {
							if many {
								for _, err := range client.WaitAll(ctx, []string{"v", "w", "x"}) {
									assert.Error(t, err)
								}
								return
							}
							_, err := client.Wait(ctx, "w")
							assert.ErrorIs(t, err, context.Canceled)
						}()
						synctest.Wait()
					}
					task, err := client.GetTask(t.Context(), tt.asked)
					if !tt.believed {
						assertNotCreated(t, err)
						require.ErrorContains(t, err, "it is about task "+tt.reply)
						return
					}
					require.NoError(t, err)
					assert.Equal(t, tt.asked, task.ID)
					assert.Equal(t, tt.reply != "" && tt.reply != tt.asked, slices.Contains(task.Warnings, "the reply calls the task "+tt.reply))
				})
			})
		}
	}
}

// A wait takes such replies for odd ones: it rides out some, and five in a row end it.
func TestWait_RepliesAboutAnotherTask(t *testing.T) {
	t.Parallel()
	for _, odd := range []int{4, 5} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			client := newClient(t, someHost, vidu.WithOfficialAPI(), withTransport(func(r *http.Request) (*http.Response, error) {
				if asked++; asked <= odd {
					return testkit.Reply(r, 200, `{"id":"2","state":"success","creations":[{"url":"https://h/2.mp4"}]}`)
				}
				return testkit.Reply(r, 200, succeededReply)
			}))
			task, err := client.Wait(boundedContext(t), "1")
			if odd == 5 {
				require.ErrorContains(t, err, "it is about task 2")
				assert.Nil(t, task)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, "https://h/x.mp4", task.Creations[0].URL)
		})
	}
}

func TestGetTask(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ id, body, warning string }{
		"with its id":         {"task_A-1", `{"id":"task_A-1","state":"processing"}`, ""},
		"without id":          {"1", `{"state":"processing"}`, ""},
		"null id":             {"1", `{"id":null,"state":"processing"}`, ""},
		"as task_id":          {"1", `{"task_id":1,"state":"processing"}`, ""},
		"the upstream's id":   {"1", `{"id":"2","state":"processing"}`, "the reply calls the task 2"},
		"an id that is none":  {"1", `{"id":"cgt:1/2","state":"processing"}`, "id cannot be read"},
		"longest id":          {strings.Repeat("a", 256), `{"state":"processing"}`, ""},
		"base64 with padding": {"dGFzay05MTYy_-A==", `{"state":"processing"}`, ""},
		"all punctuation":     {"...-_.~:=+@", `{"id":"...-_.~:=+@","state":"processing"}`, ""},
		"wrapped, without id": {"1", `{"code":"success","data":{"status":"PROCESSING"}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mock := httpmock.NewMockTransport()
			mock.RegisterResponder(http.MethodGet, "https://gateway.example.com/vidu/v2/tasks/"+tt.id+"/creations",
				func(r *http.Request) (*http.Response, error) {
					assert.Equal(t, "application/json", r.Header.Get("Content-Type"))
					assert.Equal(t, "Bearer "+testkit.Key, r.Header.Get("Authorization"))
					assert.Nil(t, r.Body)
					return httpmock.NewStringResponse(http.StatusOK, tt.body), nil
				})
			client := newClient(t, "https://gateway.example.com", vidu.WithHTTPClient(&http.Client{Transport: mock}))
			task, err := client.GetTask(t.Context(), tt.id)
			require.NoError(t, err)
			assert.Equal(t, tt.id, task.ID)
			assert.Equal(t, vidu.StateProcessing, task.State)
			assert.Equal(t, tt.warning, strings.Join(task.Warnings, ";"))
			assert.Equal(t, 1, mock.GetTotalCallCount())
		})
	}
}

// Ids of other gateways work in every call that takes one, and arrive as they are.
func TestTaskIDs_OfGateways(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"dGFzay05MTYy_-A==", "cgt:2026.11~a+b@c", "a.b", "...", "-", strings.Repeat("z", 200)} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			var paths []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				paths = append(paths, r.Method+" "+r.URL.Path)
				body, err := io.ReadAll(r.Body)
				assert.NoError(t, err)
				switch {
				case strings.HasSuffix(r.URL.Path, "/cancel"):
					assert.JSONEq(t, `{"id":"`+id+`"}`, string(body))
					io.WriteString(w, "{}")
				case r.Method == http.MethodPost:
					io.WriteString(w, `{"task_id":"`+id+`"}`)
				default:
					io.WriteString(w, `{"id":"`+id+`","state":"success","creations":[{"url":"https://h/x.mp4"}]}`)
				}
			}))
			defer server.Close()
			r := newRig(t, server.URL)
			task, err := r.create(t)
			require.NoError(t, err)
			assert.Equal(t, id, task.ID)
			task, err = r.Wait(t.Context(), id)
			require.NoError(t, err)
			assert.Equal(t, id, task.ID)
			assert.Empty(t, task.Warnings)
			for task, err := range r.WaitAll(t.Context(), []string{id}) {
				require.NoError(t, err)
				assert.Equal(t, id, task.ID)
			}
			require.NoError(t, r.CancelTask(t.Context(), id))
			query := "GET /vidu/v2/tasks/" + id + "/creations"
			assert.Equal(t, []string{"POST " + createPath, query, query, "POST /vidu/v2/tasks/" + id + "/cancel"}, paths)
		})
	}
}

func TestGetTask_WithoutContext(t *testing.T) {
	t.Parallel()
	_, err := clientWithReply(t, http.StatusOK, `{"state":"success"}`).GetTask(context.Context(nil), "1")
	assert.EqualError(t, err, "vidu: the context is nil")
}
