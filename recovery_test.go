package vidu_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
	"github.com/vidu-go/vidu/vidutest"
)

// listed is a task of an archive.
type listed struct {
	id, payload, prompt string
	age                 time.Duration // before the test began
}

// archive answers lists without payloads, as the API does, and queries with them.
func archive(tasks ...listed) func(req *http.Request) (int, string) {
	began := time.Now()
	return func(req *http.Request) (int, string) {
		if strings.HasSuffix(req.URL.Path, "/tasks") {
			items := make([]string, len(tasks))
			for i, task := range tasks {
				items[i] = fmt.Sprintf(`{"id":%q,"state":"processing","prompt":%q,"created_at":%q}`,
					task.id, task.prompt, began.Add(-task.age).UTC().Format(time.RFC3339Nano))
			}
			return 200, `{"tasks":[` + strings.Join(items, ",") + `]}`
		}
		for _, task := range tasks {
			if strings.Contains(req.URL.Path, "/tasks/"+task.id+"/") {
				return 200, fmt.Sprintf(`{"id":%q,"state":"processing","payload":%q}`, task.id, task.payload)
			}
		}
		return 404, `{"code":404,"reason":"TaskNotFound","message":"no such task"}`
	}
}

func TestFindTask(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		tasks   []listed
		found   string
		queries int
	}{
		"the only one":        {[]listed{{"1", "job-42", "p", 0}}, "1", 1},
		"among others":        {[]listed{{"1", "job-41", "p", 3}, {"2", "job-42", "p", 2}, {"3", "", "p", 1}}, "2", 3},
		"payload in the list": {nil, "9", 0},
		"wrapped":             {nil, "8", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := archive(tt.tasks...)
			switch name {
			case "payload in the list":
				answer = testkit.AlwaysStatus(200, `{"tasks":[{"id":"7","payload":"job-4"},{"id":"9","state":"processing","payload":"job-42"}]}`)
			case "wrapped":
				answer = func(req *http.Request) (int, string) {
					if strings.HasSuffix(req.URL.Path, "/tasks") {
						return 200, `{"code":0,"data":{"tasks":[{"task_id":8}]}}`
					}
					return 200, `{"code":0,"data":{"task_id":8,"state":"processing","payload":"job-42"}}`
				}
			}
			client, rec := recordedClient(t, answer)
			task, err := client.FindTask(t.Context(), "job-42", time.Now())
			require.NoError(t, err)
			assert.Equal(t, tt.found, task.ID)
			assert.Equal(t, "job-42", task.Payload)
			assert.Equal(t, vidu.StateProcessing, task.State)
			assert.Len(t, rec.asked, 1+tt.queries)
			assertNothingCreated(t, rec)
		})
	}
}

// assertNothingCreated checks that whatever was asked, nothing was sent that costs.
func assertNothingCreated(t *testing.T, rec *recorder) {
	t.Helper()
	for _, asked := range rec.asked {
		assert.True(t, strings.HasPrefix(asked, "GET "), asked)
	}
}

// Not seen is not the same as not created, and the error says so.
func TestFindTask_NotSeen(t *testing.T) {
	t.Parallel()
	for name, tasks := range map[string][]listed{
		"none": nil, "others": {{"1", "job-41", "p", 0}, {"2", "job-421", "p", 0}, {"3", "", "p", 0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, rec := recordedClient(t, archive(tasks...))
			task, err := client.FindTask(t.Context(), "job-42", time.Now())
			assertNotCreated(t, err)
			require.ErrorIs(t, err, vidu.ErrNotFound)
			require.ErrorContains(t, err, "does not prove that there is none")
			assert.Nil(t, task)
			assertNothingCreated(t, rec)
		})
	}
}

func TestFindTask_Window(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	client, rec := recordedClient(t, testkit.AlwaysStatus(200, `{"tasks":[]}`))
	_, err := client.FindTask(t.Context(), "job-42", since)
	require.ErrorIs(t, err, vidu.ErrNotFound)
	_, err = client.FindTask(t.Context(), "job-42", time.Time{})
	require.ErrorIs(t, err, vidu.ErrNotFound)
	assert.Equal(t, []string{
		"GET /ent/v2/tasks?created_at.from=2026-11-22T09:55:00Z&pager.pagesz=100", // the server's clock may be behind
		"GET /ent/v2/tasks?pager.pagesz=100",
	}, rec.asked)
}

func TestFindTask_Several(t *testing.T) {
	t.Parallel()
	client, _ := recordedClient(t, archive(
		listed{"3", "job-42", "p", time.Second}, listed{"20", "job-42", "p", time.Hour}, listed{"1", "job-41", "p", 2 * time.Hour}))
	task, err := client.FindTask(t.Context(), "job-42", time.Now())
	several, ok := errors.AsType[*vidu.DuplicateTasksError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, &vidu.DuplicateTasksError{Payload: "job-42", IDs: []string{"20", "3"}}, several)
	require.EqualError(t, err, `vidu: 2 tasks have the payload "job-42": [20 3]`)
	testkit.AssertHarmless(t, err)
	require.NotNil(t, task)
	assert.Equal(t, "20", task.ID, "the oldest")
}

func TestDuplicateTasksError_IsOneShortLine(t *testing.T) {
	t.Parallel()
	ids := make([]string, 100)
	for i := range ids {
		ids[i] = strings.Repeat("9", 128)
	}
	testkit.AssertHarmless(t, &vidu.DuplicateTasksError{Payload: "a\nb" + strings.Repeat("世", 1000), IDs: ids})
}

// Of a server with many tasks not every candidate is queried; then the error does not say that the task was not seen.
func TestFindTask_TooManyCandidates(t *testing.T) {
	t.Parallel()
	many := make([]listed, 99)
	for i := range many {
		many[i] = listed{strconv.Itoa(1000 + i), "job-" + strconv.Itoa(i), "p", time.Duration(i) * time.Minute}
	}
	client, rec := recordedClient(t, archive(many...))
	_, err := client.FindTask(t.Context(), "job-200", time.Now())
	assertNotCreated(t, err)
	require.NotErrorIs(t, err, vidu.ErrNotFound)
	require.ErrorContains(t, err, "49 more were not looked at")
	assert.Len(t, rec.asked, 51)

	task, err := client.FindTask(t.Context(), "job-42", time.Now()) // within the 50 that are nearest to since
	require.NoError(t, err)
	assert.Equal(t, "1042", task.ID)
}

// A candidate that cannot be queried does not hide the others, but without a match nobody says that none was seen.
func TestFindTask_QueriesFail(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status     int
		body       string
		found, not bool // the task behind it; "not seen" without that task
	}{
		"404":             {404, "", true, true}, // usual just after a create
		"400 and a word":  {400, `{"code":"task_not_exist"}`, true, true},
		"400 and a code":  {400, `{"reason":"TaskNotFound"}`, true, true},
		"400, any other":  {400, `{"reason":"BadRequest"}`, true, false},
		"404 in a 200":    {200, `{"success":false,"code":404}`, true, false},
		"500":             {500, "", true, false},
		"403":             {403, "", true, false},
		"another's":       {200, `{"reason":"TaskNotFound"}`, true, false},
		"401, as all are": {401, "", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inner := archive(listed{"1", "job-41", "p", 0}, listed{"2", "job-42", "p", time.Second})
			client, _ := recordedClient(t, func(req *http.Request) (int, string) {
				if strings.Contains(req.URL.Path, "/tasks/1/") {
					return tt.status, tt.body
				}
				return inner(req)
			})
			task, err := client.FindTask(t.Context(), "job-42", time.Now())
			if tt.found {
				require.NoError(t, err)
				assert.Equal(t, "2", task.ID)
			}
			_, err = client.FindTask(t.Context(), "job-43", time.Now())
			assertNotCreated(t, err)
			assert.Equal(t, tt.not, errors.Is(err, vidu.ErrNotFound), "%v", err)
		})
	}
}

// A server that answers nobody is not asked 50 times, each with all its retries.
func TestFindTask_ServerIsBusy(t *testing.T) {
	t.Parallel()
	for status, queries := range map[int]int{429: 1, 503: 3} {
		synctest.Test(t, func(t *testing.T) {
			many := make([]listed, 50)
			for i := range many {
				many[i] = listed{strconv.Itoa(1000 + i), "job-" + strconv.Itoa(i), "p", time.Duration(i) * time.Minute}
			}
			inner := archive(many...)
			client, rec := recordedClient(t, func(req *http.Request) (int, string) {
				if strings.HasSuffix(req.URL.Path, "/tasks") {
					return inner(req)
				}
				return status, ""
			}, vidu.WithMaxAttempts(1))
			_, err := client.FindTask(t.Context(), "job-200", time.Now())
			assertNotCreated(t, err)
			require.NotErrorIs(t, err, vidu.ErrNotFound)
			assert.Len(t, rec.asked, 1+queries)
		})
	}
}

// What was found stays found, whatever ends the look.
func TestFindTask_FoundBeforeTheEnd(t *testing.T) {
	t.Parallel()
	for name, second := range map[string]string{"the list breaks": "", "the token repeats": `{"tasks":[],"next_page_token":"b"}`} {
		client, _ := recordedClient(t, func(req *http.Request) (int, string) {
			switch {
			case !strings.HasSuffix(req.URL.Path, "/tasks"):
				return 200, `{"id":"7","state":"processing","payload":"job-42"}`
			case !req.URL.Query().Has("pager.page_token"):
				return 200, `{"tasks":[{"id":"7"}],"next_page_token":"b"}`
			case second == "":
				return 503, ""
			}
			return 200, second
		}, vidu.WithMaxAttempts(1))
		task, err := client.FindTask(t.Context(), "job-42", time.Now())
		require.NoError(t, err, name)
		assert.Equal(t, "7", task.ID)
	}
	t.Run("the time is over", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		inner := archive(listed{"1", "job-42", "p", 0}, listed{"2", "job-43", "p", time.Minute})
		client, _ := recordedClient(t, func(req *http.Request) (int, string) {
			if strings.Contains(req.URL.Path, "/tasks/2/") {
				cancel()
			}
			return inner(req)
		})
		task, err := client.FindTask(ctx, "job-42", time.Now())
		require.NoError(t, err)
		assert.Equal(t, "1", task.ID)
	})
}

// Pages shift while they are read: what was the end of one becomes the beginning of the next.
func TestFindTask_PagesShift(t *testing.T) {
	t.Parallel()
	for name, payload := range map[string]string{"listed with its payload": `,"payload":"job-42"`, "queried": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			queries := 0
			client, _ := recordedClient(t, func(req *http.Request) (int, string) {
				if !strings.HasSuffix(req.URL.Path, "/tasks") {
					queries++
					return 200, `{"id":"7","state":"processing","payload":"job-42"}`
				}
				token := `,"next_page_token":"b"`
				if req.URL.Query().Has("pager.page_token") {
					token = ""
				}
				return 200, `{"tasks":[{"id":"7","state":"processing"` + payload + `}]` + token + `}`
			})
			task, err := client.FindTask(t.Context(), "job-42", time.Now())
			require.NoError(t, err, "one task is not two")
			assert.Equal(t, "7", task.ID)
			assert.LessOrEqual(t, queries, 1)
		})
	}
}

// What is on the pages that may be read is found; only without a match the rest matters.
func TestFindTask_EndlessPages(t *testing.T) {
	t.Parallel()
	pages := 0
	client, _ := recordedClient(t, func(req *http.Request) (int, string) {
		if !strings.HasSuffix(req.URL.Path, "/tasks") {
			return 200, `{"state":"processing","payload":"job-` + strings.Split(req.URL.Path, "/")[4] + `"}`
		}
		pages++
		return 200, fmt.Sprintf(`{"tasks":[{"id":"%d"}],"next_page_token":"%d"}`, pages%40, pages)
	})
	task, err := client.FindTask(t.Context(), "job-7", time.Now())
	require.NoError(t, err)
	assert.Equal(t, "7", task.ID)
	_, err = client.FindTask(t.Context(), "job-42", time.Now())
	require.ErrorContains(t, err, "more than 50 pages")
	require.NotErrorIs(t, err, vidu.ErrNotFound)
}

// Thousands of candidates with long texts are looked through without being kept.
func TestFindTask_KeepsNoCandidates(t *testing.T) { //nolint:paralleltest // it measures the heap
	const size = 30 << 10
	pages := 0
	var most uint64
	client, _ := recordedClient(t, func(req *http.Request) (int, string) {
		if !strings.HasSuffix(req.URL.Path, "/tasks") {
			return 200, `{"state":"processing","payload":"other"}`
		}
		pages++
		if pages%10 == 0 {
			most = max(most, testkit.LiveHeap())
		}
		var b strings.Builder
		for i := range 20 {
			fmt.Fprintf(&b, `,{"id":"%d-%d","style":%q}`, pages, i, strings.Repeat("x", size))
		}
		return 200, `{"tasks":[` + b.String()[1:] + fmt.Sprintf(`],"next_page_token":"%d"}`, pages)
	})
	before := testkit.LiveHeap()
	_, err := client.FindTask(t.Context(), "job-42", time.Now())
	require.ErrorContains(t, err, "more than 50 pages")
	assert.Less(t, most, before+10<<20, "50 pages of 600 kB")
}

func TestFindTask_Arguments(t *testing.T) {
	t.Parallel()
	client, rec := recordedClient(t, testkit.AlwaysStatus(200, `{"tasks":[]}`))
	_, err := client.FindTask(t.Context(), "", time.Now())
	assert.Equal(t, []string{"payload"}, problemFields(t, err))
	_, err = client.FindTask(nil, "job-42", time.Now()) //nolint:staticcheck // a nil context is the point
	require.ErrorContains(t, err, "context is nil")
	_, err = client.FindTask(canceledContext(t), "job-42", time.Now())
	require.ErrorIs(t, err, context.Canceled)
	assert.Empty(t, rec.asked)
}

func TestFindTask_Official(t *testing.T) {
	t.Parallel()
	fake, r := officialServer(t, nil)
	var want string
	for i := range 5 {
		req := smallRequest()
		req.Payload = "job-" + strconv.Itoa(40+i)
		task, err := r.Reference2Video(t.Context(), req)
		require.NoError(t, err)
		if req.Payload == "job-42" {
			want = task.ID
		}
	}
	task, err := r.FindTask(t.Context(), "job-42", time.Now())
	require.NoError(t, err)
	assert.Equal(t, want, task.ID)
	assert.Equal(t, vidu.StateSuccess, task.State)
	assert.Equal(t, 5, fake.Charged())
}

func TestWithRecovery_Option(t *testing.T) {
	t.Parallel()
	_, err := vidu.NewClient(someHost, testkit.Key, vidu.WithRecovery(-time.Second))
	require.ErrorContains(t, err, "WithRecovery: the budget -1s is negative")
}

// However the outcome became unknown: the task found is the one that was paid for, and the create was sent once.
func TestWithRecovery_Finds(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		server []vidutest.Option
		fault  func(*vidutest.Server)
	}{
		"reply lost":           {nil, (*vidutest.Server).DropReplyAfterCommit},
		"list lags":            {[]vidutest.Option{vidutest.WithListDelay(10 * time.Second)}, (*vidutest.Server).DropReplyAfterCommit},
		"late commit":          {nil, func(s *vidutest.Server) { s.LateCommit(5 * time.Second) }},
		"late, and list lags":  {[]vidutest.Option{vidutest.WithListDelay(5 * time.Second)}, func(s *vidutest.Server) { s.LateCommit(5 * time.Second) }},
		"list fails at first":  {nil, func(s *vidutest.Server) { s.DropReplyAfterCommit(); s.FailNext(500, ""); s.FailNext(503, "<html>") }},
		"list is a page first": {nil, func(s *vidutest.Server) { s.DropReplyAfterCommit(); s.FailNext(200, "<html>Sign in</html>") }},
		"query fails at first": {nil, func(s *vidutest.Server) { s.DropReplyAfterCommit(); s.FailNext(502, "") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				fake, r := officialServer(t, tt.server, vidu.WithRecovery(time.Minute), vidu.WithMaxAttempts(1))
				other := smallRequest()
				other.Payload = "job-41"
				_, err := r.Reference2Video(t.Context(), other)
				require.NoError(t, err)
				tt.fault(fake)
				started := time.Now()
				task, err := r.create(t)
				require.NoError(t, err)
				assert.Equal(t, "job-42", task.Payload)
				assert.LessOrEqual(t, time.Since(started), time.Minute)
				assert.Equal(t, 2, creates(fake), "nothing is sent again")
				assert.Equal(t, 2, fake.Charged())

				waited, err := r.Wait(t.Context(), task.ID)
				require.NoError(t, err)
				assert.Equal(t, task.ID, waited.ID)
			})
		})
	}
}

// The server creates the task and answers 409.
func TestWithRecovery_FindsAfterAConflict(t *testing.T) {
	t.Parallel()
	var fake *vidutest.Server
	fake, r := officialServer(t, nil, vidu.WithRecovery(time.Minute), withTransport(func(req *http.Request) (*http.Response, error) {
		resp, err := fake.Transport().RoundTrip(req)
		if err != nil || req.Method != http.MethodPost {
			return resp, err
		}
		resp.Body.Close()
		return testkit.Reply(req, 409, "")
	}))
	task, err := r.create(t)
	require.NoError(t, err)
	assert.Equal(t, "job-42", task.Payload)
	assert.Equal(t, 1, fake.Charged())
}

// creates counts the POSTs to the paid endpoint.
func creates(fake *vidutest.Server) int {
	n := 0
	for _, req := range fake.Requests() {
		if req.Endpoint != "" {
			n++
		}
	}
	return n
}

// When no task is found the outcome stays unknown, however long the search took; nothing is ever sent again.
func TestWithRecovery_StaysUnknown(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		budget time.Duration
		answer func(req *http.Request) (int, string) // to everything but the create
		took   time.Duration                         // at most
		says   string
	}{
		"off":                  {0, archive(), 0, ""},
		"nothing is listed":    {30 * time.Second, archive(), 30 * time.Second, ""},
		"another prompt":       {30 * time.Second, archive(listed{"1", "job-42", "another", 0}), 30 * time.Second, ""},
		"no list":              {time.Hour, testkit.AlwaysStatus(404, "<html>404</html>"), 0, ""},
		"method not allowed":   {time.Hour, testkit.AlwaysStatus(405, ""), 0, ""},
		"501":                  {time.Hour, testkit.AlwaysStatus(501, ""), 0, ""},
		"list forbidden":       {10 * time.Second, testkit.AlwaysStatus(403, ""), 10 * time.Second, ""},
		"list broken":          {10 * time.Second, testkit.AlwaysStatus(500, ""), 10 * time.Second, ""},
		"list is a page":       {10 * time.Second, testkit.AlwaysStatus(200, "<html>Sign in</html>"), 10 * time.Second, ""},
		"token repeated":       {10 * time.Second, testkit.AlwaysStatus(200, `{"tasks":[],"next_page_token":"a"}`), 10 * time.Second, ""},
		"several, one is ours": {time.Hour, archive(listed{"1", "job-42", "", 0}, listed{"2", "job-42", "", time.Second}), 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				posts := 0
				client, rec := recordedClient(t, func(req *http.Request) (int, string) {
					if req.Method == http.MethodPost {
						posts++
						return 502, "<html>Bad Gateway</html>"
					}
					return tt.answer(req)
				}, vidu.WithRecovery(tt.budget))
				started := time.Now()
				task, err := client.Reference2Video(t.Context(), smallRequest())
				assertUnknownOutcome(t, err)
				assert.Nil(t, task)
				assert.LessOrEqual(t, time.Since(started), tt.took)
				assert.Equal(t, 1, posts)
				assert.Equal(t, tt.budget == 0, len(rec.asked) == 1, "%v", rec.asked)
				_, several := errors.AsType[*vidu.DuplicateTasksError](err)
				assert.Equal(t, name == "several, one is ours", several, "the error names the tasks")
			})
		})
	}
}

// A context that is over leaves no time to look.
func TestWithRecovery_DoesNotLook(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		payload string
		cancel  bool
	}{"context over": {"job-42", true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			asked := 0
			r := newRig(t, someHost, vidu.WithOfficialAPI(), vidu.WithRecovery(time.Hour), withTransport(func(req *http.Request) (*http.Response, error) {
				asked++
				if tt.cancel {
					cancel()
				}
				_, _ = testkit.Reply(req, 200, "") // the request is read, the answer lost
				return nil, syscall.ECONNRESET
			}))
			req := smallRequest()
			req.Payload = tt.payload
			_, err := r.Reference2Video(ctx, req)
			require.ErrorIs(t, err, vidu.ErrMaybeCreated)
			assert.Equal(t, tt.payload, unknownOutcome(t, err).Payload)
			assert.Equal(t, 1, asked)
		})
	}
}

// Nothing is looked up after a failure whose outcome is known.
func TestWithRecovery_LooksOnlyIfUnknown(t *testing.T) {
	t.Parallel()
	for status, posts := range map[int]int{400: 1, 401: 1, 307: 1, 429: 3, 425: 3} {
		fake, r := officialServer(t, nil, vidu.WithRecovery(time.Hour))
		for range 3 {
			fake.FailNext(status, "")
		}
		_, err := r.create(t)
		assertNotCreated(t, err)
		assert.Len(t, fake.Requests(), posts, "%d", status)
		assert.Equal(t, 0, fake.Charged())
	}
}

// The caller's deadline holds for the look-up, too.
func TestWithRecovery_EndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake, r := officialServer(t, nil, vidu.WithRecovery(time.Hour))
		fake.LateCommit(2 * time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		started := time.Now()
		_, err := r.Reference2Video(ctx, smallRequest())
		assertUnknownOutcome(t, err)
		assert.LessOrEqual(t, time.Since(started), 10*time.Second)
		assert.Equal(t, 1, creates(fake))

		_, err = r.FindTask(t.Context(), "job-42", unknownOutcome(t, err).From)
		require.ErrorIs(t, err, vidu.ErrNotFound)
		testkit.Pass(2 * time.Hour)
		task, err := r.FindTask(t.Context(), "job-42", started)
		require.NoError(t, err, "not seen was not the same as not created")
		assert.Equal(t, "job-42", task.Payload)
		assert.Equal(t, 1, fake.Charged())
	})
}

// A gateway that sends one request on twice is outside what a client can prevent, but it shows.
func TestWithRecovery_DuplicatesAreNamed(t *testing.T) {
	t.Parallel()
	fake, r := officialServer(t, nil)
	for range 2 {
		_, err := r.create(t)
		require.NoError(t, err)
	}
	task, err := r.FindTask(t.Context(), "job-42", time.Now())
	duplicates, ok := errors.AsType[*vidu.DuplicateTasksError](err)
	require.True(t, ok, "%v", err)
	assert.Len(t, duplicates.IDs, 2)
	assert.Equal(t, duplicates.IDs[0], task.ID)
	assert.Equal(t, 2, fake.Charged())
}

// A job that is tried again under its old payload: the task of the first try is not the one that was paid for now.
func TestWithRecovery_EarlierTaskOfThisClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake, r := officialServer(t, nil, vidu.WithRecovery(5*time.Second))
		first, err := r.create(t)
		require.NoError(t, err)

		fake.DropReplyAfterCommit()
		second, err := r.create(t)
		require.NoError(t, err)
		assert.NotEqual(t, first.ID, second.ID)

		fake.LateCommit(6 * time.Second) // after the look
		_, err = r.create(t)
		assertUnknownOutcome(t, err)
	})
}

// Two creates with one payload whose outcome is unknown look at the same time and see the same task. Only one has it.
func TestWithRecovery_OneTaskForTwoCreates(t *testing.T) {
	t.Parallel()
	var looking sync.WaitGroup
	looking.Add(2)
	var looks atomic.Int64
	client := newClient(t, someHost, vidu.WithOfficialAPI(), vidu.WithRecovery(100*time.Millisecond), withTransport(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPost {
			return testkit.Reply(r, http.StatusInternalServerError, "")
		}
		if looks.Add(1) <= 2 {
			looking.Done()
			looking.Wait()
		}
		return testkit.Reply(r, http.StatusOK, `{"tasks":[{"id":"7","state":"created","payload":"job-42"}]}`)
	}))
	outcomes := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := client.Reference2Video(t.Context(), smallRequest())
			outcomes <- err
		}()
	}
	first, second := <-outcomes, <-outcomes
	if first == nil {
		first, second = second, first
	}
	require.NoError(t, second)
	assert.Equal(t, "job-42", unknownOutcome(t, first).Payload)
}
