package vidu_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// hostileReplies are the starting points of every target: what was seen, and what is likely to break a reader.
var hostileReplies = []string{
	``, ` `, `null`, `[]`, `{}`, `"x"`, `7`, "\uFEFF{}", `{"task_id":"7"}`, `{"task_id":916205061116293121,"state":"CREATED"}`,
	`{"task_id":"7","task_id":"8"}`, `{"task_id":"7","id":"8"}`, `{"TASK_ID":"9","task\u005fid":"7"}`, `{"task_id":"../x"}`,
	`{"task_id":"7","credits":1e400,"seed":99999999999999999999,"off_peak":"1","images":null}`, `{"task_id":"7"`, `{"task_id":7`,
	`{"code":"success","data":{"task_id":7,"status":"SUCCESS","progress":"100%","fail_reason":"https://h/x.mp4"}}`,
	`{"state":"success","creations":[{"id":9,"url":"https://h/x.mp4?a=%253A;b","video":{"duration":5.04,"fps":24,"resolution":{"width":1,"height":2}}}]}`,
	`{"id":"1","state":"failed","err_code":"AuditFailed","created_at":1762786981000,"wm_position":"bottom_right"}`,
	`{"created_at":"2025-11-10T23:03:01.1+08:00","state":"queuing","progress":"NaN","payload":"\ud83d\"\n"}`,
	`{"code":400,"reason":"FieldInvalid","message":"bad seed","metadata":{"trace_id":"0af7"}}`,
	`{"code":"429","message":"slow down (request id: )"}`, `{"message":"request id: "}`, `{"error":{"error":{"message":"m","type":"t","code":null}}}`,
	`{"error":"text"}`, `{"success":false,"message":"busy"}`, `{"message":"<html>"}`, "<!DOCTYPE html>", "\xff\xfe", "a\r\nb\x00\x1b[31m",
	`{"a":[[],{}],"b":"\\","task_id":"7"} x`, `{,"task_id":"7"}`, `{"task_id" "7"}`, `{"task_id":"7\`, `[{"task_id":"7"}]`,
}

var taskID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// assertTask checks what holds for every task, whatever it was read from.
func assertTask(t *testing.T, task *vidu.Task) {
	t.Helper()
	require.Regexp(t, taskID, task.ID)
	text, err := json.Marshal(task)
	require.NoError(t, err)
	var again vidu.Task
	require.NoError(t, json.Unmarshal(text, &again))
	require.JSONEq(t, string(text), testkit.JSON(t, &again))
	require.Equal(t, task.Done(), again.Done())
	require.LessOrEqual(t, len(task.Warnings), 22)
}

func FuzzCreateReply(f *testing.F) {
	f.Add(200, string(contractReply(f)))
	for _, body := range hostileReplies {
		f.Add(200, body)
	}
	f.Add(201, `{"task_id":"7"}`)
	f.Add(500, `{"task_id":"7"}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 || len(body) > vidu.MaxErrorReply {
			return
		}
		task, err := clientWithReply(t, status, body).Reference2Video(t.Context(), smallRequest())
		if err == nil {
			require.Less(t, status, 300)
			assertTask(t, task)
			require.Contains(t, body, string(task.RawJSON()))
			return
		}
		require.Nil(t, task)
		testkit.AssertHarmless(t, err)
		require.True(t, utf8.ValidString(err.Error()))
		_, answered := errors.AsType[*vidu.APIError](err)
		require.True(t, answered || errors.Is(err, vidu.ErrMaybeCreated), "%v", err)
		unknown, ok := errors.AsType[*vidu.MaybeCreatedError](err)
		require.Equal(t, ok, errors.Is(err, vidu.ErrMaybeCreated))
		if ok {
			require.NotContains(t, strings.ToLower(err.Error()), "retry")
			require.Equal(t, body, string(unknown.Body))
		}
	})
}

func FuzzTaskReply(f *testing.F) {
	f.Add(string(contractReply(f)))
	for _, body := range hostileReplies {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		task, err := clientWithReply(t, http.StatusOK, body).GetTask(t.Context(), "1")
		if err != nil {
			require.Nil(t, task)
			testkit.AssertHarmless(t, err)
			return
		}
		require.True(t, json.Valid(task.RawJSON()))
		require.Equal(t, "1", task.ID)
		assertTask(t, task)
		if video, ok := task.Video(); ok {
			require.NotEmpty(t, video.URL)
			require.Equal(t, vidu.StateSuccess, task.State)
		}
	})
}

func FuzzErrorBody(f *testing.F) {
	for _, status := range []int{302, 400, 401, 402, 404, 429, 500, 502} {
		for _, body := range hostileReplies {
			f.Add(status, body)
		}
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 300 || status > 599 || len(body) > vidu.MaxErrorReply {
			return
		}
		_, err := clientWithReply(t, status, body).GetTask(t.Context(), strings.Repeat("a", 128))
		failure, ok := err.(*vidu.APIError) //nolint:errorlint // on its own, not wrapped
		require.True(t, ok, "%v", err)
		require.Equal(t, status, failure.StatusCode)
		require.Equal(t, body, string(failure.Body))
		require.True(t, utf8.ValidString(err.Error()))
		testkit.AssertHarmless(t, err)
	})
}

func FuzzListPage(f *testing.F) {
	for _, body := range hostileReplies {
		f.Add(body)
		f.Add(`{"tasks":[` + body + `],"next_page_token":"x"}`)
	}
	f.Add(`{"code":0,"data":{"tasks":[{"id":"7"},{"id":"../x"},{"id":"8","images":["data:"]}],"total":3}}`)
	f.Fuzz(func(t *testing.T, body string) {
		page, err := clientWithReply(t, http.StatusOK, body).ListTasks(t.Context(), nil)
		if err != nil {
			testkit.AssertHarmless(t, err)
			return
		}
		for _, task := range page.Tasks {
			assertTask(t, task)
		}
	})
}

// FuzzCallback sends hostile headers and bodies, signed and not. The handler accepts what VerifyCallback accepts, and
// whatever it passes on came from the API.
func FuzzCallback(f *testing.F) {
	list, good := "Date;x-request-nonce", "PrO4+kG4W+b3HOSimdHMHn8pnQ6YXQTseBDC/8yvvNA="
	for _, body := range append(hostileReplies, callbackBody) {
		f.Add(true, "/vidu/callback", "name=james&age=36", "", callbackNonce, list, "", body)
	}
	f.Add(false, "/vidu/callback", "name=james&age=36", "Tue, 06 May 2025 12:09:42 GMT", callbackNonce, list, good, callbackBody)
	f.Add(true, "/a\nb", "c;d", "Tue, 06 May 2025 12:09:42 GMT", "1", "date;X-REQUEST-NONCE;Host", "", callbackBody)
	f.Add(true, "", "", "Tue, 06 May 2025 2:09:42 GMT", "\n", "Date;x-request-nonce;;", "====", "{}")
	f.Add(true, "/a%2Fb/ä", "%zz", "", "\xff", "Date:;Date", good+"\n", `{"id":"../x"}`)
	f.Fuzz(func(t *testing.T, sign bool, path, query, date, nonce, list, signature, body string) {
		r := &http.Request{
			Method: http.MethodPost, URL: &url.URL{Path: path, RawQuery: query}, Body: io.NopCloser(strings.NewReader(body)),
			Header: http.Header{
				"Date": {date}, "X-Request-Nonce": {nonce}, "X-Hmac-Signed-Headers": {list}, "X-Hmac-Signature": {signature},
				"X-Hmac-Algorithm": {"hmac-sha256"}, "X-Hmac-Access-Key": {"vidu"},
			},
		}
		if date == "" {
			r.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
		}
		if sign {
			resign(r)
		}
		assertCallback(t, r, verify(t, r) == nil, receive(t, callbackSecret))
		r.Body = io.NopCloser(strings.NewReader(body))
		assertCallback(t, r, true, receive(t, "", vidu.WithUnverifiedCallbacks()))
	})
}

func assertCallback(t *testing.T, r *http.Request, verified bool, rc *receiver) {
	t.Helper()
	w := httptest.NewRecorder()
	rc.ServeHTTP(w, r)
	switch w.Code {
	case http.StatusOK:
		require.True(t, verified)
		require.Len(t, rc.reported, 1)
		require.Len(t, rc.queried, 1)
		require.Regexp(t, taskID, rc.queried[0])
		require.Equal(t, rc.queried[0], rc.reported[0].ID)
		require.JSONEq(t, doneReply, string(rc.reported[0].RawJSON()))
	case http.StatusUnauthorized:
		require.False(t, verified)
		require.Empty(t, rc.queried)
	default:
		require.Equal(t, http.StatusBadRequest, w.Code)
		require.Empty(t, rc.queried)
	}
	for line := range strings.Lines(rc.log.String()) {
		require.True(t, json.Valid([]byte(line)))
	}
	assert.NotContains(t, w.Body.String()+rc.log.String(), callbackSecret)
}
