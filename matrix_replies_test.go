package vidu_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// accepts is C: the reply is good enough for a task with the id "1", and the create was sent once.
func accepts(t *testing.T, body string) *vidu.Task {
	t.Helper()
	w := testkit.ServeReply(t, 200, body)
	task, err := newRig(t, w.URL).create(t)
	assertCreated(t, task, err)
	assert.Equal(t, int64(1), w.Requests.Load())
	return task
}

// doubts is A: no task can be read, and the create was sent once. A query with the same reply fails, too.
func doubts(t *testing.T, body string) {
	t.Helper()
	w := testkit.ServeReply(t, 200, body)
	r := newRig(t, w.URL)
	task, err := r.create(t)
	assertUnknownOutcome(t, err)
	assert.Nil(t, task)
	assert.Equal(t, body, string(unknownOutcome(t, err).Body))
	assert.Equal(t, int64(1), w.Requests.Load())
	_, err = r.GetTask(t.Context(), "1")
	assertNotCreated(t, err)
}

// each runs check on every body of a row.
func each(t *testing.T, bodies map[string]string, check func(t *testing.T, body string)) {
	t.Helper()
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, body)
		})
	}
}

func TestR01_TruncatedJSON(t *testing.T) {
	t.Parallel()
	each(t, map[string]string{
		"before the id": `{"type":"img2video","pro`, "inside the id": `{"task_id":"88548`, "inside a number": `{"task_id":88548`,
		"one brace": "{", "behind the key": `{"task_id":`,
	}, doubts)
	t.Run("behind the id", func(t *testing.T) {
		t.Parallel()
		task := accepts(t, `{"task_id":"1","type":"img2v`)
		assert.NotEmpty(t, task.Warnings)
	})
}

func TestR02_NothingInIt(t *testing.T) {
	t.Parallel()
	each(t, map[string]string{"empty": "", "null": "null", "array": "[]", "string": `"x"`, "object": "{}", "number": "1", "true": "true"}, doubts)
}

func TestR03_TwoIDs(t *testing.T) {
	t.Parallel()
	each(t, map[string]string{
		"plain":   `{"task_id":"1","state":"created","task_id":"2"}`,
		"escaped": `{"task_id":"1","state":"created","task\u005fid":"2"}`,
	}, doubts)
	t.Run("the same twice", func(t *testing.T) {
		t.Parallel()
		accepts(t, `{"task_id":"1","task_id":"1"}`)
	})
}

func TestR04_CaseFoldedTwins(t *testing.T) {
	t.Parallel()
	task := accepts(t, `{"TASK_ID":"2","ſtate":"success","task_id":"1","Task_Id":"3","state":"created","STATE":"failed"}`)
	assert.Equal(t, vidu.StateCreated, task.State)
}

func TestR05_InvalidUTF8(t *testing.T) {
	t.Parallel()
	task := accepts(t, "{\"task_id\":\"1\",\"prompt\":\"a\xffb\"}")
	assert.Equal(t, "a\uFFFDb", task.Prompt)
	doubts(t, "{\"task_id\":\"1\xff\"}")
}

func TestR06_ByteOrderMark(t *testing.T) {
	t.Parallel()
	accepts(t, "\uFEFF"+createdReply)
	task, err := queryFrom(t, "\uFEFF"+succeededReply)
	require.NoError(t, err)
	assert.True(t, task.Done())
}

// A create's reply is not lost for what stands behind it; a query's is an error, for it can be asked again.
func TestR07_TrailingGarbage(t *testing.T) {
	t.Parallel()
	each(t, map[string]string{"text": " x", "second object": succeededReply, "comment": "<!-- cached -->"}, func(t *testing.T, garbage string) {
		t.Helper()
		task := accepts(t, createdReply+garbage)
		assert.NotEmpty(t, task.Warnings)
		_, err := queryFrom(t, succeededReply+garbage)
		assertNotCreated(t, err)
		require.ErrorContains(t, err, "after top-level value")
	})
}

func TestR08_TooDeep(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001)
	doubts(t, deep)
	doubts(t, `{"x":`+deep+`}`)
	_, err := queryFrom(t, `{"state":"success","x":`+deep+`}`)
	require.ErrorContains(t, err, "max depth")
	accepts(t, `{"task_id":"1","x":`+deep+`}`)
}

func TestR09_NumbersAndStringsSwapped(t *testing.T) {
	t.Parallel()
	task := accepts(t, `{"task_id":1,"credits":"15","duration":4.0,"seed":1e2,"payload":42,"progress":"37.5","off_peak":"true"}`)
	assert.Equal(t, []any{15, 4, 100, "42", 37.5, true}, []any{task.Credits, task.Duration, task.Seed, task.Payload, task.Progress, task.OffPeak})
	assert.Empty(t, task.Warnings)
}

func TestR10_IDAsANumber(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"916205061116293121", "18446744073709551617", "99999999999999999999999999"} {
		task, err := createFrom(t, `{"task_id":`+id+`,"state":"created"}`)
		require.NoError(t, err)
		assert.Equal(t, id, task.ID)
	}
}

func TestR11_NumbersOutOfRange(t *testing.T) {
	t.Parallel()
	task := accepts(t, `{"credits":1e400,"seed":99999999999999999999,"progress":-1e999,"task_id":"1","duration":5}`)
	assert.Equal(t, []any{0, 0, 0.0, 5}, []any{task.Credits, task.Seed, task.Progress, task.Duration})
	assert.Equal(t, []string{"credits cannot be read", "seed cannot be read", "progress cannot be read"}, task.Warnings)
}

// everyMember is a reply with every member that a Task has, each with the given value.
func everyMember(t *testing.T, value string) string {
	t.Helper()
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(testkit.JSON(t, everyField())), &members))
	parts := []string{}
	for name := range members {
		if name != "id" {
			parts = append(parts, strconv.Quote(name)+":"+value)
		}
	}
	return strings.Join(parts, ",")
}

func TestR12_NullInEveryField(t *testing.T) {
	t.Parallel()
	task := accepts(t, `{"task_id":"1",`+everyMember(t, "null")+`}`)
	assert.Empty(t, task.Warnings)
	assert.JSONEq(t, `{"id":"1","state":"","credits":0}`, testkit.JSON(t, task), "everything else is zero")
	doubts(t, `{"task_id":null,`+everyMember(t, "null")+`}`)
}

func TestR13_WrongTypeInAMinorField(t *testing.T) {
	t.Parallel()
	for _, wrong := range []string{`{}`, `[[]]`, `{"a":[1,{"b":"c"}]}`} {
		task := accepts(t, `{"task_id":"1",`+everyMember(t, wrong)+`}`)
		assert.NotEmpty(t, task.Warnings)
		assert.JSONEq(t, wrong, string(memberOf(t, task.RawJSON(), "credits")), "nothing is lost")
	}
}

func memberOf(t *testing.T, object json.RawMessage, name string) json.RawMessage {
	t.Helper()
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(object, &members))
	return members[name]
}

func TestR14_Unknown(t *testing.T) {
	t.Parallel()
	task := accepts(t, `{"task_id":"1","state":"scheduling","model":"viduq9","resolution":"8k","usage":{"total":[1]}}`)
	assert.Equal(t, []any{vidu.State("scheduling"), vidu.Model("viduq9"), vidu.Resolution("8k")}, []any{task.State, task.Model, task.Resolution})
	assert.False(t, task.Done())
	assert.JSONEq(t, `{"total":[1]}`, string(memberOf(t, task.RawJSON(), "usage")))
	synctest.Test(t, func(t *testing.T) {
		client, _ := scriptedClient(t, replyScript(`{"state":"scheduling"}`))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		task, err := client.Wait(ctx, "1")
		require.ErrorContains(t, err, "still scheduling")
		testkit.AssertHarmless(t, err)
		assert.Equal(t, vidu.State("scheduling"), task.State)
	})
}

func TestR15_StateGoesBack(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		bodies []string
		want   vidu.State
		polls  int
	}{
		"the first end counts":   {[]string{processingReply, succeededReply, processingReply, `{"state":"failed"}`}, vidu.StateSuccess, 2},
		"failure is an end, too": {[]string{processingReply, `{"state":"failed"}`, succeededReply}, vidu.StateFailed, 2},
		"before the end":         {[]string{processingReply, `{"state":"queueing"}`, `{"state":"created"}`, succeededReply}, vidu.StateSuccess, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, p := scriptedClient(t, replyScript(tt.bodies...))
				task, _ := client.Wait(t.Context(), "1")
				require.NotNil(t, task)
				assert.Equal(t, tt.want, task.State)
				assert.Len(t, p.at, tt.polls)
			})
		})
	}
}

func TestR16_SuccessWithoutALink(t *testing.T) {
	t.Parallel()
	each(t, map[string]string{
		"missing": `{"state":"success","credits":5}`, "empty": `{"state":"success","credits":5,"creations":[]}`,
		"null": `{"state":"success","credits":5,"creations":null}`, "empty link": `{"state":"success","credits":5,"creations":[{"url":""}]}`,
	}, func(t *testing.T, body string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			client, p := scriptedClient(t, replyScript(body))
			task, err := client.Wait(t.Context(), "1")
			assertNotCreated(t, err)
			require.ErrorContains(t, err, "has no link")
			require.NotNil(t, task)
			assert.Equal(t, 5, task.Credits, "what was paid for")
			assert.Len(t, p.at, 5)
		})
		synctest.Test(t, func(t *testing.T) {
			client, _ := scriptedClient(t, replyScript(body, body, body, body, succeededReply))
			_, err := client.Wait(t.Context(), "1")
			require.NoError(t, err)
		})
	})
}

func TestR17_FailedWithoutACode(t *testing.T) {
	t.Parallel()
	each(t, map[string]string{
		"empty": `{"state":"failed","err_code":""}`, "absent": `{"state":"failed"}`, "null": `{"state":"failed","err_code":null}`,
	}, func(t *testing.T, body string) {
		t.Helper()
		_, err := clientWithReply(t, 200, body).Wait(t.Context(), "1")
		failure, ok := errors.AsType[*vidu.TaskError](err)
		require.True(t, ok)
		assert.Empty(t, failure.Task.ErrCode)
		testkit.AssertHarmless(t, err)
	})
}

func TestR18_LinksThatAreNone(t *testing.T) {
	t.Parallel()
	each(t, map[string]string{
		"words": "soon", "script": "javascript:alert(1)", "file": "file:///etc/passwd", "http": "http://cdn.example.com/v.mp4",
		"user": "https://user:secret@cdn.example.com/v.mp4", "no host": "https:///v.mp4", "data": "data:video/mp4;base64,AAAA", "relative": "/v.mp4",
	}, func(t *testing.T, link string) {
		t.Helper()
		r := newRig(t, someHost, withTransport(func(req *http.Request) (*http.Response, error) { return testkit.Reply(req, 200, "video") }))
		n, err := r.Download(t.Context(), finishedTask(link), io.Discard)
		assertNotCreated(t, err)
		assert.NotContains(t, err.Error(), "secret")
		assert.Zero(t, n)
	})
}

// hostile is a rig whose server answers every request with raw text, endlessly if need be.
func hostile(t *testing.T, head string, body func() io.Reader) (*rig, *testkit.Server) {
	t.Helper()
	r, w := newRig(t, "http://127.0.0.1"), &testkit.Server{}
	r.pipes(testkit.AnswerEach(w, func(conn net.Conn) {
		io.WriteString(conn, "HTTP/1.1 "+head+"\r\n\r\n")
		io.Copy(conn, body()) //nolint:errcheck // until the client has enough
		conn.Close()
	}))
	return r, w
}

// flood is a text without end.
type flood string

func (f flood) Read(p []byte) (int, error) { return copy(p, f), nil }

var (
	spaces  = flood(strings.Repeat(" ", 64<<10))
	letters = flood(strings.Repeat("A", 64<<10))
)

const (
	createLimit = 32 << 20
	queryLimit  = 16 << 20
	listLimit   = 64 << 20
)

func TestR19_Bomb(t *testing.T) { //nolint:paralleltest // it measures what the process allocates
	bomb := strings.Repeat(testkit.Gzip(t, strings.Repeat(" ", 1<<20)), 256) // 256 MiB in 256 KiB
	r, w := hostile(t, fmt.Sprintf("200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d", len(bomb)), func() io.Reader { return strings.NewReader(bomb) })
	var createErr, queryErr error
	allocated := testkit.Allocations(func() {
		_, createErr = r.create(t)
		_, queryErr = r.GetTask(t.Context(), "1")
	})
	assertUnknownOutcome(t, createErr)
	assertNotCreated(t, queryErr)
	t.Logf("allocated %d KiB for two bombs of %d KiB", allocated>>10, len(bomb)>>10)
	assert.Less(t, allocated, int64(16<<20), "it stays packed")
	assert.Equal(t, int64(2), w.Requests.Load())
}

func TestR20_EndlessReply(t *testing.T) { //nolint:paralleltest // it measures what the process allocates
	for name, head := range map[string]string{"until it is closed": "200 OK", "10 GB": "200 OK\r\nContent-Length: 10000000000"} { //nolint:paralleltest // as above
		t.Run(name, func(t *testing.T) {
			for what, tt := range map[string]struct {
				limit int64
				call  func(r *rig) error
				check func(t *testing.T, err error)
			}{
				"create": {createLimit, func(r *rig) error { _, err := r.create(t); return err }, assertUnknownOutcome},
				"query":  {queryLimit, func(r *rig) error { _, err := r.GetTask(t.Context(), "1"); return err }, assertNotCreated},
				"list":   {listLimit, func(r *rig) error { _, err := r.ListTasks(t.Context(), nil); return err }, assertNotCreated},
			} {
				r, w := hostile(t, head, func() io.Reader { return spaces })
				var err error
				allocated := testkit.Allocations(func() { err = tt.call(r) })
				tt.check(t, err)
				require.ErrorContains(t, err, "too large", what)
				t.Logf("%s: read %.4f × the limit, allocated %.2f × the limit", what, float64(r.read.Load())/float64(tt.limit), float64(allocated)/float64(tt.limit))
				assert.LessOrEqual(t, r.read.Load(), tt.limit+64<<10)
				assert.LessOrEqual(t, allocated, 3*tt.limit+4<<20) // and the error
				assert.Equal(t, int64(1), w.Requests.Load(), "an endless reply is not asked for again")
			}
		})
	}
}

// echo is a reply that holds inline images of the given size, before what is to be read.
func echo(size int, rest string) io.Reader {
	return io.MultiReader(
		strings.NewReader(`{"images":["data:image/png;base64,`), io.LimitReader(letters, int64(size)), strings.NewReader(`"],`+rest+`}`))
}

func TestR21_EchoOfInlineImages(t *testing.T) { //nolint:paralleltest // it measures what the process holds
	const size = 20 << 20
	r, w := hostile(t, "200 OK", func() io.Reader { return echo(size, `"task_id":"1","state":"created","prompt":"p"`) })
	var task *vidu.Task
	allocated := testkit.Allocations(func() {
		var err error
		task, err = r.create(t)
		assertCreated(t, task, err)
	})
	assert.Nil(t, task.Images, "not decoded")
	assert.Equal(t, "p", task.Prompt)
	assert.Greater(t, len(task.RawJSON()), size)
	assert.Less(t, allocated, int64(3*createLimit))
	assert.Equal(t, int64(1), w.Requests.Load())
}

func TestR22_ListOfBigImages(t *testing.T) { //nolint:paralleltest // it measures what the process holds
	page := func(image int) func() io.Reader {
		return func() io.Reader {
			parts := []io.Reader{strings.NewReader(`{"tasks":[`)}
			for i := range 100 {
				parts = append(parts, strings.NewReader(strings.Repeat(",", min(i, 1))), echo(image, fmt.Sprintf(`"id":"%d","state":"success","prompt":"p"`, i)))
			}
			return io.MultiReader(append(parts, strings.NewReader(`]}`))...)
		}
	}
	scale := 1
	if testkit.UnderRace() { // decoding is thirty times slower there
		scale = 10 // of 70 KiB each, which is still too long to be kept
	}
	r, _ := hostile(t, "200 OK", page(600<<10/scale+10<<10))
	before := testkit.LiveHeap()
	got, err := r.ListTasks(t.Context(), nil)
	require.NoError(t, err)
	held := int64(testkit.LiveHeap()) - int64(before)
	require.Len(t, got.Tasks, 100)
	assert.Equal(t, "99", got.Tasks[99].ID)
	assert.Nil(t, got.Tasks[99].RawJSON())
	t.Logf("a page of %d MiB leaves %d KiB", r.read.Load()>>20, held>>10)
	assert.Less(t, held, int64(1<<20), "the images are gone")
	runtime.KeepAlive(got)

	if testkit.UnderRace() {
		return
	}
	r, w := hostile(t, "200 OK", page(700<<10))
	_, err = r.ListTasks(t.Context(), nil)
	assertNotCreated(t, err)
	require.ErrorContains(t, err, "too large")
	assert.Equal(t, int64(1), w.Requests.Load())
}

func TestR23_UnknownFieldOfManyArrays(t *testing.T) { //nolint:paralleltest // it measures what the process holds
	body := strings.NewReader(strings.Repeat("[],", 4<<20/3))
	client := newClient(t, someHost, withTransport(func(req *http.Request) (*http.Response, error) {
		resp, err := testkit.Reply(req, 200, "")
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"task_id":"1","x":[`), body, strings.NewReader(`[]]}`)))
		return resp, err
	}))
	size := body.Size()
	before := testkit.LiveHeap()
	task, err := client.Reference2Video(t.Context(), smallRequest())
	held := float64(int64(testkit.LiveHeap())-int64(before)) / float64(size)
	assertCreated(t, task, err)
	t.Logf("held %.3f × the reply", held)
	assert.LessOrEqual(t, held, 2.1, "its text, in a buffer that doubled as it grew")
	runtime.KeepAlive(task)
	runtime.KeepAlive(body)
}

// pages is a list without end; token gives each page the token of the next.
func pages(t *testing.T, token func(page int64) string) (*vidu.Client, *atomic.Int64) {
	t.Helper()
	gets := new(atomic.Int64)
	return newRig(t, someHost, withTransport(func(req *http.Request) (*http.Response, error) {
		n := gets.Add(1)
		return testkit.Reply(req, 200, fmt.Sprintf(`{"tasks":[{"id":"%d","state":"success"}],"next_page_token":%q}`, n, token(n)))
	})).Client, gets
}

func TestR24_PagesWithoutEnd(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		token func(page int64) string
		gets  int64
		says  string
	}{
		"the same token": {func(int64) string { return "a" }, 2, "repeats its page token"},
		"new tokens":     {func(page int64) string { return strconv.FormatInt(page, 10) }, 50, "more than 50 pages"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, gets := pages(t, tt.token)
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

func TestR25_ErrorBodies(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body, message string
		code          vidu.ErrorCode
	}{
		"string":    {`"no credits"`, "", vidu.ErrBadRequest},
		"array":     {`["no credits"]`, "", vidu.ErrBadRequest},
		"number":    {`7`, "", vidu.ErrBadRequest},
		"null":      {`null`, "", vidu.ErrBadRequest},
		"empty":     {``, "", vidu.ErrBadRequest},
		"nested":    {`{"error":{"message":"no credits","type":"x","code":"insufficient_quota"}}`, "no credits", "insufficient_quota"},
		"message":   {`{"message":"no credits"}`, "no credits", vidu.ErrBadRequest},
		"official":  {`{"code":400,"reason":"CreditInsufficient","message":"no credits","metadata":{"trace_id":"4bf"}}`, "no credits", vidu.ErrCreditInsufficient},
		"web page":  {`<!DOCTYPE html><html>no credits</html>`, "", vidu.ErrBadRequest},
		"text":      {`no credits`, "", vidu.ErrBadRequest},
		"truncated": {`{"code":400,"reason":"CreditInsufficient","mess`, "", vidu.ErrCreditInsufficient},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := testkit.ServeReply(t, 400, tt.body)
			_, err := newRig(t, w.URL).create(t)
			assertNotCreated(t, err)
			failure, ok := errors.AsType[*vidu.APIError](err)
			require.True(t, ok)
			assert.Equal(t, 400, failure.StatusCode)
			assert.Equal(t, tt.message, failure.Message)
			assert.Equal(t, tt.code, failure.Code)
			assert.Equal(t, tt.body, string(failure.Body))
			assert.Equal(t, int64(1), w.Requests.Load())
		})
	}
}

func TestR26_EndlessErrorBody(t *testing.T) { //nolint:paralleltest // it measures what the process allocates
	for status, check := range map[string]func(t *testing.T, err error){"400 Bad Request": assertNotCreated, "502 Bad Gateway": assertUnknownOutcome} {
		r, _ := hostile(t, status+"\r\nContent-Length: 10000000000", func() io.Reader { return letters })
		var err error
		allocated := testkit.Allocations(func() { _, err = r.create(t) })
		check(t, err)
		const drained = 64 << 10 // in the hope that the connection stays usable
		assert.LessOrEqual(t, r.read.Load(), int64(vidu.MaxErrorReply+drained+1024))
		assert.Less(t, allocated, int64(1<<20))
	}
}

func TestR27_CreatedAt(t *testing.T) {
	t.Parallel()
	second := time.Date(2025, 11, 10, 15, 3, 1, 0, time.UTC)
	for text, want := range map[string]time.Time{
		`"2025-11-10T15:03:01Z"`: second, `"2025-11-10T23:03:01+08:00"`: second, `"2025-11-10T15:03:01.749836088Z"`: second.Add(749836088),
		`1762786981`: second, `"1762786981"`: second, `1762786981000`: second, `""`: {}, `null`: {}, `0`: {},
		`"yesterday"`: {}, `{}`: {}, `-1`: {}, `1e400`: {},
	} {
		task := accepts(t, `{"task_id":"1","created_at":`+text+`}`)
		assert.Equal(t, want, task.CreatedAt, text)
	}
}
