package vidu_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

func TestAPIError_Envelopes(t *testing.T) {
	t.Parallel()
	type want struct {
		code     vidu.ErrorCode
		message  string
		traceID  string
		metadata string
		says     string // the end of the error's text
	}
	for name, tt := range map[string]struct {
		status int
		body   string
		want   want
	}{
		"official": {
			400, `{"code":400,"reason":"FieldInvalid","message":"bad seed","metadata":{"trace_id":"0af7"}}`,
			want{vidu.ErrFieldInvalid, "bad seed", "0af7", `{"trace_id":"0af7"}`, "HTTP 400 FieldInvalid: bad seed (trace id 0af7)"},
		},
		"metadata first":          {400, `{"metadata":{"trace_id":7},"reason":"Conflict"}`, want{vidu.ErrConflict, "", "7", `{"trace_id":7}`, `(trace id 7)`}},
		"metadata {}":             {400, `{"reason":"BadRequest","message":"m","metadata":{}}`, want{vidu.ErrBadRequest, "m", "", `{}`, "HTTP 400 BadRequest: m"}},
		"metadata null":           {400, `{"reason":"BadRequest","message":"m","metadata":null}`, want{vidu.ErrBadRequest, "m", "", "", "HTTP 400 BadRequest: m"}},
		"metadata cut":            {400, `{"reason":"BadRequest","message":"m","metadata":{"trace_id":"7"`, want{vidu.ErrBadRequest, "m", "", "", "BadRequest: m"}},
		"code as a string":        {402, `{"code":"CreditInsufficient","message":"m"}`, want{vidu.ErrCreditInsufficient, "m", "", "", "HTTP 402 CreditInsufficient: m"}},
		"reason wins over code":   {400, `{"code":"x","reason":"AuditFailed"}`, want{vidu.ErrAuditFailed, "", "", "", "HTTP 400 AuditFailed: {\"code\":\"x\",\"reason\":\"AuditFailed\"}"}},
		"number in a string":      {500, `{"code":"429","message":"m"}`, want{vidu.ErrTooManyRequests, "m", "", "", "HTTP 500 TooManyRequests: m"}},
		"code wins over status":   {500, `{"code":400,"message":"m"}`, want{vidu.ErrBadRequest, "m", "", "", "HTTP 500 BadRequest: m"}},
		"unknown number":          {404, `{"code":1001,"message":"m"}`, want{vidu.ErrNotFound, "m", "", "", "HTTP 404 NotFound: m"}},
		"gateway":                 {403, `{"code":"insufficient_user_quota","message":"m","data":null}`, want{"insufficient_user_quota", "m", "", "", "HTTP 403 insufficient_user_quota: m"}},
		"nested":                  {401, `{"error":{"message":"m","type":"new_api_error","param":"","code":"invalid_key"}}`, want{"invalid_key", "m", "", "", "HTTP 401 invalid_key: m"}},
		"nested, null code":       {401, `{"error":{"message":"m","type":"new_api_error","code":null}}`, want{vidu.ErrUnauthorized, "m", "", "", "HTTP 401 Unauthorized: m"}},
		"nested, type alone":      {503, `{"error":{"message":"m","type":"upstream_error"}}`, want{"upstream_error", "m", "", "", "HTTP 503 upstream_error: m"}},
		"nested, money":           {429, `{"error":{"message":"m","type":"insufficient_quota","code":null}}`, want{"insufficient_quota", "m", "", "", "HTTP 429 insufficient_quota: m"}},
		"nested, with number":     {500, `{"error":{"message":"m","code":429}}`, want{vidu.ErrTooManyRequests, "m", "", "", "TooManyRequests: m"}},
		"nested beside code":      {400, `{"error":{"code":"","message":""},"code":"slug","message":"m"}`, want{"slug", "m", "", "", "slug: m"}},
		"nested more than once":   {400, `{"error":{"message":"m","error":{"message":"deep","code":"deep"}}}`, want{vidu.ErrBadRequest, "m", "", "", "BadRequest: m"}},
		"error as a string":       {404, `{"error":"no route"}`, want{vidu.ErrNotFound, "no route", "", "", "HTTP 404 NotFound: no route"}},
		"error and message":       {404, `{"message":"m","error":"Not Found"}`, want{vidu.ErrNotFound, "m", "", "", "NotFound: m"}},
		"message and details":     {404, `{"message":"m","details":[]}`, want{vidu.ErrNotFound, "m", "", "", "NotFound: m"}},
		"msg":                     {418, `{"msg":"m"}`, want{"", "m", "", "", "HTTP 418: m"}},
		"problem":                 {422, `{"type":"about:blank","title":"Bad Request","status":400,"detail":"seed is bad"}`, want{vidu.ErrBadRequest, "Bad Request: seed is bad", "", "", "HTTP 422 BadRequest: Bad Request: seed is bad"}},
		"problem, title alone":    {418, `{"title":"No tea","status":418}`, want{"", "No tea", "", "", "HTTP 418: No tea"}},
		"problem, detail alone":   {404, `{"detail":"Not Found"}`, want{vidu.ErrNotFound, "Not Found", "", "", "NotFound: Not Found"}},
		"problem, title twice":    {404, `{"title":"no","detail":"no"}`, want{vidu.ErrNotFound, "no", "", "", "NotFound: no"}},
		"problem, nulls":          {404, `{"type":null,"title":null,"status":null,"detail":null,"message":"m"}`, want{vidu.ErrNotFound, "m", "", "", "NotFound: m"}},
		"problem, wrong types":    {404, `{"type":7,"title":{},"status":[],"detail":[{"msg":"x"}]}`, want{vidu.ErrNotFound, "", "", "", `"x"}]}`}},
		"problem, message wins":   {400, `{"title":"t","detail":"d","message":"m"}`, want{vidu.ErrBadRequest, "m", "", "", "BadRequest: m"}},
		"problem, wrapped":        {418, `{"error":{"title":"t","detail":"d","status":"402"}}`, want{vidu.ErrCreditInsufficient, "t: d", "", "", "CreditInsufficient: t: d"}},
		"problem, type is a code": {400, `{"type":"https://h/errors#field-invalid","title":"t"}`, want{vidu.ErrFieldInvalid, "t", "", "", "HTTP 400 FieldInvalid: t"}},
		"problem, urn":            {400, `{"type":"urn:problem:InsufficientBalance","title":"t"}`, want{vidu.ErrCreditInsufficient, "t", "", "", "HTTP 400 CreditInsufficient: t"}},
		"problem, title is one":   {400, `{"title":"AuditSubmitIllegal","detail":"d","status":400}`, want{vidu.ErrAuditSubmitIllegal, "AuditSubmitIllegal: d", "", "", "AuditSubmitIllegal: d"}},
		"problem, code wins":      {400, `{"type":"https://h/FieldInvalid","code":"slug","status":402}`, want{"slug", "", "", "", `"status":402}`}},
		"problem, money in words": {200, `{"title":"Your balance is insufficient","status":500}`, want{vidu.ErrInternalServiceFailure, "Your balance is insufficient", "", "", "balance is insufficient"}},
		"problem, 200":            {200, `{"title":"t","detail":"d","status":503}`, want{"", "t: d", "", "", "HTTP 200: t: d"}},
		"problem, 200, code 0":    {200, `{"code":0,"message":"m","status":401}`, want{vidu.ErrUnauthorized, "m", "", "", "HTTP 200 Unauthorized: m"}},
		"top-level type, nested":  {418, `{"type":"character2video","error":{"message":"m"}}`, want{"", "m", "", "", "HTTP 418: m"}},
		"top-level type":          {418, `{"type":"character2video","error":"m"}`, want{"", "m", "", "", "HTTP 418: m"}},
		"request id in message":   {400, `{"message":"no model x (request id: 2026080112)"}`, want{vidu.ErrBadRequest, "no model x (request id: 2026080112)", "2026080112", "", "(trace id 2026080112)"}},
		"request id, then more":   {400, `{"message":"request id: 77. Ask us"}`, want{vidu.ErrBadRequest, "request id: 77. Ask us", "77", "", "(trace id 77)"}},
		"request id, but nothing": {400, `{"message":"request id: "}`, want{vidu.ErrBadRequest, "request id: ", "", "", "BadRequest: request id:"}},
		"request id, white space": {400, `{"message":"request id:   "}`, want{vidu.ErrBadRequest, "request id:   ", "", "", "BadRequest: request id:"}},
		"byte order mark":         {400, "\uFEFF" + `{"message":"m"}`, want{vidu.ErrBadRequest, "m", "", "", "BadRequest: m"}},
		"status alone, 402":       {402, "", want{vidu.ErrCreditInsufficient, "", "", "", "HTTP 402 CreditInsufficient"}},
		"status alone, 409":       {409, "", want{vidu.ErrConflict, "", "", "", "HTTP 409 Conflict"}},
		"status alone, 499":       {499, "", want{vidu.ErrCanceled, "", "", "", "HTTP 499 Canceled"}},
		"empty":                   {502, "", want{"", "", "", "", "HTTP 502"}},
		"web page":                {502, "\r\n<!DOCTYPE html>\n<html><body>Bad Gateway</body></html>", want{"", "", "", "", "HTTP 502: a web page instead of an API response"}},
		"web page, BOM":           {502, "\uFEFF <html>", want{"", "", "", "", "HTTP 502: a web page instead of an API response"}},
		"web page far down":       {502, strings.Repeat("\n", 100) + "<html>", want{"", "", "", "", "HTTP 502: a web page instead of an API response"}},
		"web page in message":     {502, `{"message":"<html><body>"}`, want{"", "<html><body>", "", "", "HTTP 502: a web page instead of an API response"}},
		"web page behind text":    {502, `{"message":"upstream: <HTML><p>"}`, want{"", "upstream: <HTML><p>", "", "", "HTTP 502: upstream: …"}},
		"web page as a code":      {502, `{"reason":"<html>","message":"<b>"}`, want{"<html>", "<b>", "", "", "HTTP 502 …: a web page instead of an API response"}},
		"less than":               {400, `{"message":"must be < 16"}`, want{vidu.ErrBadRequest, "must be < 16", "", "", "must be < 16"}},
		"text":                    {503, "no healthy upstream", want{"", "", "", "", "HTTP 503: no healthy upstream"}},
		"array":                   {400, `["a",{"message":"m"}]`, want{vidu.ErrBadRequest, "", "", "", `HTTP 400 BadRequest: ["a",{"message":"m"}]`}},
		"JSON string":             {400, `"bad"`, want{vidu.ErrBadRequest, "", "", "", `HTTP 400 BadRequest: "bad"`}},
		"null":                    {400, `null`, want{vidu.ErrBadRequest, "", "", "", `HTTP 400 BadRequest: null`}},
		"control characters":      {400, "{\"message\":\"a\\r\\nb\\u0000\\u001b[31m\\u202ec\\ud800\"}", want{vidu.ErrBadRequest, "a\r\nb\x00\x1b[31m\u202ec\uFFFD", "", "", "BadRequest: a b [31m c\uFFFD"}},
		"wrong types":             {400, `{"reason":{},"code":[],"message":{},"metadata":"x","error":true}`, want{vidu.ErrBadRequest, "", "", "", `"error":true}`}},
		"success false, 200":      {200, `{"success":false,"message":"busy"}`, want{"", "busy", "", "", "HTTP 200: busy"}},
		"success false, no error": {200, `{"success":false,"error":null,"message":"busy"}`, want{"", "busy", "", "", "HTTP 200: busy"}},
		"error, 200":              {200, `{"error":"busy"}`, want{"", "busy", "", "", "HTTP 200: busy"}},
		"number, 200":             {200, `{"code":401,"message":"m","data":null}`, want{vidu.ErrUnauthorized, "m", "", "", "HTTP 200 Unauthorized: m"}},
		"reason, 200":             {200, `{"reason":"AuditFailed"}`, want{vidu.ErrAuditFailed, "", "", "", `HTTP 200 AuditFailed: {"reason":"AuditFailed"}`}},
		"slug, 200":               {200, `{"code":"quota","message":"m"}`, want{"quota", "m", "", "", "HTTP 200 quota: m"}},
		"nested, 200":             {200, `{"error":{"message":"m","code":"x"}}`, want{"x", "m", "", "", "HTTP 200 x: m"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := clientWithReply(t, tt.status, tt.body).GetTask(t.Context(), "1")
			failure, ok := errors.AsType[*vidu.APIError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, tt.status, failure.StatusCode)
			assert.Equal(t, tt.want, want{failure.Code, failure.Message, failure.TraceID, string(failure.Metadata), tt.want.says})
			assert.Equal(t, tt.body, string(failure.Body))
			testkit.AssertHarmless(t, err)
			assert.Equal(t, "vidu: GET /vidu/v2/tasks/1/creations: HTTP ", err.Error()[:43])
			assert.True(t, strings.HasSuffix(err.Error(), tt.want.says), err.Error())
		})
	}
}

func TestAPIError_200WithoutError(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{"code":0,"message":"ok"}`, `{"code":200}`, `{"code":"success"}`, `{"code":"OK","error":null,"success":true}`, `{"error":{}}`, `{"status":200,"title":"t"}`} {
		_, err := clientWithReply(t, http.StatusOK, body).GetTask(t.Context(), "1")
		_, ok := errors.AsType[*vidu.APIError](err)
		assert.False(t, ok, body)
		require.ErrorContains(t, err, "names no task", body)
	}
}

func TestAPIError_TraceIDFromHeader(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		header, body, want string
	}{
		"header":           {"X-Oneapi-Request-Id", `{"message":"m"}`, "from-header"},
		"other header":     {"X-Request-Id", ``, "from-header"},
		"metadata wins":    {"X-Request-Id", `{"message":"m","metadata":{"trace_id":"from-body"}}`, "from-body"},
		"message wins":     {"X-Request-Id", `{"message":"m (request id: from-message)"}`, "from-message"},
		"metadata of both": {"X-Request-Id", `{"message":"request id: a","metadata":{"trace_id":"b"}}`, "b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
				resp, err := testkit.Reply(r, http.StatusBadRequest, tt.body)
				resp.Header.Set(tt.header, "from-header")
				return resp, err
			}))
			_, err := client.GetTask(t.Context(), "1")
			failure, ok := errors.AsType[*vidu.APIError](err)
			require.True(t, ok)
			assert.Equal(t, tt.want, failure.TraceID)
		})
	}
}

// large is a body of 2 MB of text between head and tail.
func large(head, text, tail string) io.Reader {
	return strings.NewReader(head + strings.Repeat(text, 2_000_000/len(text)) + tail)
}

func TestAPIError_LargeBodies(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ head, text, tail string }{
		"message":       {`{"code":"x","message":"`, "m", `"}`},
		"code":          {`{"code":"`, "c", `"}`},
		"cut message":   {`{"code":"x","message":"`, "m", ""},
		"text":          {"", "t", ""},
		"line feeds":    {"x", "\n", ""},
		"control":       {"", "\x1b", ""},
		"invalid UTF-8": {"", "\xff", ""},
		"wide":          {`{"message":"`, "世", `"}`},
		"web page":      {"<html>", "<p>", "</html>"},
		"nested errors": {"", `{"error":`, ""},
		"arrays":        {"", "[", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, status := range []int{http.StatusOK, http.StatusBadGateway} {
				client := newClient(t, "https://gateway.example.com", vidu.WithMaxAttempts(1), withTransport(func(r *http.Request) (*http.Response, error) {
					resp, err := testkit.Reply(r, status, "")
					resp.Body, resp.ContentLength = io.NopCloser(large(tt.head, tt.text, tt.tail)), -1
					return resp, err
				}))
				_, err := client.GetTask(t.Context(), strings.Repeat("a", 128))
				testkit.AssertHarmless(t, err)
				if failure, ok := errors.AsType[*vidu.APIError](err); ok {
					assert.LessOrEqual(t, len(failure.Body), 64<<10)
					assert.LessOrEqual(t, len(failure.Message), 64<<10)
				}
				_, err = client.Reference2Video(t.Context(), smallRequest())
				require.ErrorIs(t, err, vidu.ErrMaybeCreated)
				testkit.AssertHarmless(t, err)
			}
		})
	}
}

// Everything long at once, in every error: the text stays one short line.
func TestErrors_AreOneShortLine(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long 世\n", 5_000)
	task := &vidu.Task{ID: strings.Repeat("a", 256), State: vidu.State(long), ErrCode: vidu.ErrorCode(long), ErrMessage: long}
	problems := make([]vidu.FieldProblem, 9)
	for i := range problems {
		problems[i] = vidu.FieldProblem{Field: long, Reason: long}
	}
	answer := testkit.JSON(t, map[string]any{"reason": long, "message": long, "metadata": map[string]string{"trace_id": long}})
	_, apiError := clientWithReply(t, http.StatusBadRequest, answer).GetTask(t.Context(), strings.Repeat("a", 256))
	var waitErr error
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, waitErr = clientWithReply(t, http.StatusServiceUnavailable, answer).Wait(ctx, strings.Repeat("a", 256))
	})
	for name, err := range map[string]error{
		"APIError":                 apiError,
		"TaskError":                &vidu.TaskError{Task: task},
		"ValidationError":          &vidu.ValidationError{Problems: problems},
		"MaybeCreatedError":        &vidu.MaybeCreatedError{Payload: strings.Repeat(`"\`, 500), Err: errors.New(long)},
		"MaybeCreatedError, task":  &vidu.MaybeCreatedError{Payload: long, TaskID: long, Err: apiError},
		"MaybeCreatedError, id":    &vidu.MaybeCreatedError{Payload: strings.Repeat(`"\`, 500), TaskID: strings.Repeat("a", 256), Err: errors.New(long)},
		"wait":                     waitErr,
		"MaybeCreatedError, reply": &vidu.MaybeCreatedError{Payload: long, Err: apiError},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testkit.AssertHarmless(t, err)
			assert.Greater(t, len(err.Error()), 200)
		})
	}
	for n := range 3 { // a cut must not split a character
		text := vidu.ErrorCode(strings.Repeat("a", n) + strings.Repeat("世", 100)).Error()
		assert.True(t, utf8.ValidString(text), text)
		assert.LessOrEqual(t, len(text), 80)
	}
}

func TestErrors_KeyIsMasked(t *testing.T) {
	t.Parallel()
	body := `{"reason":"R-` + testkit.Key + `","message":"no such key: ` + testkit.Key + ` (request id: ` + testkit.Key + `)","metadata":{"key":"` + testkit.Key + `"}}`
	for _, status := range []int{http.StatusOK, http.StatusUnauthorized, http.StatusInternalServerError} {
		client := clientWithReply(t, status, body)
		_, queryErr := client.GetTask(t.Context(), "1")
		_, createErr := client.Reference2Video(t.Context(), smallRequest())
		_, waitErr := client.Wait(canceledContext(t), "1")
		for _, err := range []error{queryErr, createErr, waitErr} {
			testkit.AssertHarmless(t, err)
			if failure, ok := errors.AsType[*vidu.APIError](err); ok {
				assert.NotContains(t, testkit.JSON(t, failure)+fmt.Sprintf("%+v", *failure), testkit.Key)
				assert.Contains(t, string(failure.Body), "[redacted]")
			}
		}
	}
}

// The key is masked in the texts of failed tasks, however the server spells it.
func TestErrors_KeyOfATaskIsMasked(t *testing.T) {
	t.Parallel()
	for key, echo := range map[string]string{
		testkit.Key: testkit.Key, "sk/0123+56789": `sk\/0123+56789`, `sk"01234\56789"`: `sk\"01234\\56789\"`, "sk/012345678": "sk/012345678", "sk+012345678": `sk\u002b012345678`, "sk+01234567": `sk\u002B01234567`,
	} {
		for _, body := range []string{
			`{"id":"1","state":"failed","err_code":"K-` + echo + `","err_msg":"no such key: ` + echo + `"}`,
			`{"id":"1","state":"` + echo + `"}`,
			`{"id":"1","state":"FAILURE","fail_reason":"` + echo + `"}`,
			`{"code":401,"message":"` + echo + `"}`,
		} {
			client, err := vidu.NewClient("https://gateway.example.com", key, vidu.WithMaxAttempts(1),
				withTransport(func(r *http.Request) (*http.Response, error) { return testkit.Reply(r, 200, body) }))
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			_, err = client.Wait(ctx, "1")
			cancel()
			require.Error(t, err)
			_, created := client.Reference2Video(t.Context(), smallRequest())
			for _, err := range []error{err, created} {
				if failure, ok := errors.AsType[*vidu.APIError](err); ok {
					err = errors.Join(err, errors.New(string(failure.Body)))
				}
				if err != nil {
					assert.NotContains(t, err.Error(), key, body)
					assert.NotContains(t, err.Error(), echo, body)
				}
			}
		}
	}
}

// The key is masked in all that is kept of a reply, whatever the server makes of its characters.
func TestErrors_EverySpellingOfTheKey(t *testing.T) {
	t.Parallel()
	const key = "sk+ab/cd=ef&gh<ij>kl_0123456789"
	for name, echo := range map[string]string{
		"plain": key, "Go": `sk+ab/cd=ef\u0026gh\u003cij\u003ekl_0123456789`, ".NET": `sk\u002Bab/cd=ef\u0026gh\u003Cij\u003Ekl_0123456789`,
		"PHP": `sk+ab\/cd=ef&gh<ij>kl_0123456789`, "every sign": `sk\u002bab\u002fcd\u003def\u0026gh\u003cij\u003ekl\u005f0123456789`,
		"link": `sk%2Bab%2Fcd%3Def%26gh%3Cij%3Ekl_0123456789`, "link, small": `sk%2bab%2fcd%3def%26gh%3cij%3ekl_0123456789`,
		"HTML": `sk&#43;ab&#47;cd&#61;ef&amp;gh&lt;ij&gt;kl_0123456789`, "HTML, hexadecimal": `sk&#x2B;ab&#x2f;cd=ef&#38;gh&#60;ij&#62;kl_0123456789`,
		"HTML, names": `sk&plus;ab&sol;cd&equals;ef&amp;gh&lt;ij&gt;kl&lowbar;0123456789`, "JSON in JSON": `sk+ab/cd=ef\\u0026gh\\u003cij\\u003ekl_0123456789`,
		"mixed": `sk%2Bab\/cd\u003def&amp;gh\u003Cij&#62;kl_0123456789`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for what, body := range map[string]string{
				"failed":  `{"id":"1","state":"failed","err_code":"K-` + echo + `","err_msg":"no such key: ` + echo + `"}`,
				"odd":     `{"id":"1","state":"` + echo + `","credits":"x","` + echo + `":1,"created_at":"` + echo + `"}`,
				"refused": `{"code":401,"reason":"` + echo + `","message":"` + echo + `","metadata":{"trace_id":"` + echo + `","key":"` + echo + `"}}`,
				"torn":    `{"task_id":"1","state":"` + echo + `","prompt":"` + echo,
				"cut":     `{"task_id":"1","prompt":"` + strings.Repeat("x", vidu.MaxErrorReply-45) + echo,
				"page":    `<html>` + echo,
				"list":    `{"tasks":[{"id":"1","state":"` + echo + `","err_msg":"` + echo + `","prompt":"` + echo + `"}]}`,
			} {
				for _, status := range []int{200, 401, 503} {
					log := new(testkit.Buffer)
					client, err := vidu.NewClient("https://gateway.example.com", key, vidu.WithMaxAttempts(1), vidu.WithLogger(slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))), vidu.WithOfficialAPI(),
						withTransport(func(r *http.Request) (*http.Response, error) {
							resp, err := testkit.Reply(r, status, body)
							resp.Header.Set("X-Request-Id", echo)
							return resp, err
						}))
					require.NoError(t, err)
					task, queryErr := client.GetTask(t.Context(), "1")
					created, createErr := client.Reference2Video(t.Context(), smallRequest())
					page, listErr := client.ListTasks(t.Context(), nil)
					tasks := []*vidu.Task{task, created}
					if page != nil {
						tasks = append(tasks, page.Tasks...)
					}
					var shown strings.Builder
					shown.WriteString(log.String())
					for _, task := range tasks {
						if task != nil {
							fmt.Fprint(&shown, task, task.ErrMessage, task.Warnings, task.TraceID, &vidu.TaskError{Task: task}, string(task.RawJSON()), testkit.JSON(t, task))
						}
					}
					for _, err := range []error{queryErr, createErr, listErr} {
						if err != nil {
							testkit.AssertHarmless(t, err)
							fmt.Fprintf(&shown, "%v %+v %#v", err, err, err)
						}
						if failure, ok := errors.AsType[*vidu.APIError](err); ok {
							fmt.Fprint(&shown, string(failure.Body), string(failure.Metadata), failure.Message, failure.TraceID, failure.Code)
						}
						if unknown, ok := errors.AsType[*vidu.MaybeCreatedError](err); ok {
							fmt.Fprint(&shown, string(unknown.Body), unknown.TraceID)
						}
					}
					for _, secret := range []string{key, echo, "ab/cd", "ab%2Fcd", "kl_0123456789", "0123456789"} {
						assert.NotContains(t, shown.String(), secret, "%s, %d", what, status)
					}
				}
			}
		})
	}
}

// Signed links that a server quotes in its words are shown without query and user name. What is kept of the reply for
// programs keeps them: a doubt may hold the only link of a paid video.
func TestErrors_LinksInTheServersWords(t *testing.T) {
	t.Parallel()
	const signed = "X-Amz-Signature=0123456789abcdef"
	for name, link := range map[string]string{
		"link": "https://cdn.example.com/v.mp4?" + signed, "path": "/bucket/v.mp4?" + signed, "query": "?" + signed,
		"user":                "https://AKID:" + signed + "@cdn.example.com/v.mp4",
		"PHP":                 `https:\/\/cdn.example.com\/v.mp4?` + signed,
		"JSON":                `https://cdn.example.com/v.mp4\u003f` + signed,
		"JSON in JSON":        `{\"url\":\"https://cdn.example.com/v.mp4?a=1\\u0026` + signed + `\"}`,
		"link in a link":      "https%3A%2F%2Fcdn.example.com%2Fv.mp4%3F" + signed,
		"link in markup":      `see <a href=https://cdn.example.com/v.mp4?a=1&amp;` + signed + `>`,
		"fragment":            "https://cdn.example.com/v.mp4#" + signed,
		"quoted":              `Get \"https://cdn.example.com/v.mp4?a= ` + signed + `\": refused`,
		"two":                 "https://a.example.com/v?" + signed + " and https://b.example.com/v?" + signed,
		"slash in a password": "https://AKID:" + signed + "/x@cdn.example.com/v.mp4",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for what, body := range map[string]string{
				"failed":  `{"id":"1","state":"failed","err_code":"C-` + link + `","err_msg":"cannot read ` + link + `","creations":[{"url":"https://h/v?sig=x"}]}`,
				"odd":     `{"id":"1","state":"state ` + link + `","` + link + `":1,"credits":"` + link + `"}`,
				"refused": `{"code":400,"reason":"R-` + link + `","message":"cannot read ` + link + `","metadata":{"trace_id":"` + link + `"}}`,
				"nested":  `{"error":{"code":"E-` + link + `","message":"cannot read ` + link + `"}}`,
				"unknown": `{"detail":"` + link + `"}`,
				"failure": `{"id":"1","state":"FAILURE","fail_reason":"` + link + `"}`,
			} {
				for _, status := range []int{200, 400, 500} {
					log := new(testkit.Buffer)
					client := newClient(t, someHost, vidu.WithMaxAttempts(1), vidu.WithLogger(slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))), vidu.WithOfficialAPI(),
						withTransport(func(r *http.Request) (*http.Response, error) {
							resp, err := testkit.Reply(r, status, body)
							resp.Header.Set("X-Request-Id", link)
							return resp, err
						}))
					task, queryErr := client.GetTask(t.Context(), "1")
					created, createErr := client.Reference2Video(t.Context(), smallRequest())
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
					_, waitErr := client.Wait(ctx, "1")
					cancel()
					var shown strings.Builder
					shown.WriteString(log.String())
					for _, task := range []*vidu.Task{task, created} {
						if task != nil {
							fmt.Fprint(&shown, task, task.ErrMessage, task.Warnings, task.ErrCode, task.TraceID, &vidu.TaskError{Task: task})
							assert.Contains(t, string(task.RawJSON()), signed, "the reply itself")
						}
					}
					for _, err := range []error{queryErr, createErr, waitErr} {
						if err != nil {
							testkit.AssertHarmless(t, err)
							fmt.Fprintf(&shown, "%v %+v %#v", err, err, err)
						}
						if failure, ok := errors.AsType[*vidu.APIError](err); ok {
							fmt.Fprint(&shown, failure.Message, failure.Code, failure.TraceID)
							assert.Contains(t, string(failure.Body), signed, "the answer itself")
						}
						if unknown, ok := errors.AsType[*vidu.MaybeCreatedError](err); ok {
							assert.Contains(t, string(unknown.Body), signed)
						}
					}
					assert.NotContains(t, shown.String(), "0123456789abcdef", "%s, %d", what, status)
					assert.NotContains(t, shown.String(), "X-Amz-Signature", "%s, %d", what, status)
				}
			}
		})
	}
}

// Errors that were put together by hand, or read from a file, show no queries either.
func TestErrors_LinksInErrorsByHand(t *testing.T) {
	t.Parallel()
	const link = "https://user:secret@h/v.mp4?sig=secret"
	task := &vidu.Task{ID: link, State: vidu.State(link), ErrCode: vidu.ErrorCode(link), ErrMessage: "cannot read " + link}
	for _, err := range []error{
		&vidu.TaskError{Task: task}, &vidu.APIError{StatusCode: 400, Message: link, TraceID: link, Code: vidu.ErrorCode(link)},
		&vidu.APIError{StatusCode: 400, Body: []byte(`{"x":"` + link + `"}`)}, &vidu.APIError{StatusCode: 400, Body: []byte(`{"x":"/v.mp4?sig=secret"}`)},
		&vidu.MaybeCreatedError{Payload: link, TaskID: link, TraceID: link, Body: []byte(link), Err: errors.New("x")}, vidu.ErrorCode(link),
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			if verb != "%#v" || err != error(vidu.ErrorCode(link)) { //nolint:errorlint // a value of the table above
				assert.NotContains(t, fmt.Sprintf(verb, err), "secret", "%s of %T", verb, err)
			}
		}
	}
	for _, err := range []error{
		&vidu.ValidationError{Problems: []vidu.FieldProblem{{Field: link, Reason: link}}}, &vidu.DuplicateTasksError{Payload: link, IDs: []string{link}},
	} {
		assert.NotContains(t, err.Error(), "secret")
	}
	unknown := &vidu.MaybeCreatedError{Body: []byte("secret")}
	assert.NotContains(t, fmt.Sprintf("%#v", unknown), fmt.Sprintf("%#v", []byte("secret"))[8:])
}

// Of a header that an error quotes no part of the key is left, wherever the quotation is cut.
func TestErrors_KeyInAHeaderIsMasked(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status      int
		value, says string
	}{
		"Location":         {302, "https://example.com/" + strings.Repeat("x", 85) + "/" + testkit.Key, "redirect to https://example.com/"},
		"Content-Encoding": {200, testkit.Key, "is encoded as [redacted]"},
	} {
		client := newClient(t, someHost, withTransport(func(r *http.Request) (*http.Response, error) {
			resp, err := testkit.Reply(r, tt.status, "x")
			resp.Header.Set(name, tt.value)
			return resp, err
		}))
		_, err := client.GetTask(t.Context(), "1")
		require.ErrorContains(t, err, tt.says)
		assert.NotContains(t, err.Error(), testkit.Key[:8])
	}
}

// A question mark is no secret: the cause stays what it is, for callers and for the policy.
func TestErrors_QuestionMarks(t *testing.T) {
	t.Parallel()
	errVault := errors.New("vault is locked")
	sent := 0
	client := newClient(t, "https://gateway.example.com", withTransport(func(*http.Request) (*http.Response, error) {
		sent++
		return nil, fmt.Errorf("cannot get a token (is the vault open?): %w", errVault)
	}), vidu.WithMaxAttempts(1))
	_, err := client.GetTask(t.Context(), "1")
	require.ErrorIs(t, err, errVault)
	require.ErrorContains(t, err, "open?): vault is locked")

	req := smallRequest()
	name := filepath.Join(t.TempDir(), "what?.png")
	require.NoError(t, os.WriteFile(name, testkit.BigPNG(t, 1000), 0o600))
	req.Images = []vidu.Media{vidu.File(name)}
	sent = 0
	client = newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
		sent++
		if err := os.Remove(name); err != nil {
			return nil, err
		}
		_, err := io.Copy(io.Discard, r.Body)
		return nil, err
	}))
	_, err = client.Reference2Video(t.Context(), req)
	assertNotCreated(t, err)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "what?.png")
	assert.Equal(t, 1, sent)
}

// What may be a signature is masked: in quotes to their end, elsewhere to the end of the word.
func TestErrors_QueriesAreMasked(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`Get "https://a/b?sig=x y": refused`:                  `Get "https://a/b?…": refused`,
		`Get https://a/b?sig=x: refused`:                      `Get https://a/b?… refused`,
		`failed to parse Location header "?sig=x": bad`:       `failed to parse Location header "?…": bad`,
		`parse "//h/p?a=%zz&sig=x": invalid URL escape "%zz"`: `parse "//h/p?…": invalid URL escape "%zz"`,
		`Get host.example.com?sig=x failed`:                   `Get host.example.com?… failed`,
		`redirect ?sig=x`:                                     `redirect ?…`,
		`GET /v?sig=x and https://c/d?e=f failed`:             `GET /v?… and https://c/d?… failed`,
	} {
		client := newClient(t, "https://gateway.example.com", withTransport(func(*http.Request) (*http.Response, error) {
			return nil, errors.New(text)
		}), vidu.WithMaxAttempts(1))
		_, err := client.GetTask(t.Context(), "1")
		require.ErrorContains(t, err, want)
		assert.NotContains(t, fmt.Sprint(errors.Unwrap(err)), "sig=")
	}
}

func TestErrorCode_Is(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		code   vidu.ErrorCode
		target error
		want   bool
	}{
		"same":                     {vidu.ErrQuotaExceeded, vidu.ErrQuotaExceeded, true},
		"other":                    {vidu.ErrQuotaExceeded, vidu.ErrTooManyRequests, false},
		"unknown":                  {"new_code", vidu.ErrorCode("new_code"), true},
		"money":                    {vidu.ErrCreditInsufficient, vidu.ErrCreditInsufficient, true},
		"insufficient_quota":       {"insufficient_quota", vidu.ErrCreditInsufficient, true},
		"insufficient_user_quota":  {"insufficient_user_quota", vidu.ErrCreditInsufficient, true},
		"InsufficientBalance":      {"InsufficientBalance", vidu.ErrCreditInsufficient, true},
		"INSUFFICIENT_FUNDS":       {"INSUFFICIENT_FUNDS", vidu.ErrCreditInsufficient, true},
		"not the other way round":  {vidu.ErrCreditInsufficient, vidu.ErrorCode("insufficient_quota"), false},
		"permissions are no money": {"insufficient_permissions", vidu.ErrCreditInsufficient, false},
		"nor is a quota exceeded":  {vidu.ErrQuotaExceeded, vidu.ErrCreditInsufficient, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused := &vidu.APIError{StatusCode: 400, Code: tt.code}
			for _, err := range []error{
				tt.code, refused, &vidu.TaskError{Task: &vidu.Task{ErrCode: tt.code}},
				&vidu.MaybeCreatedError{Err: refused}, fmt.Errorf("job 7: %w", refused),
			} {
				assert.Equal(t, tt.want, errors.Is(err, tt.target), "%T", err)
			}
		})
	}
}

func TestErrors_WithoutCode(t *testing.T) {
	t.Parallel()
	for _, err := range []error{&vidu.APIError{}, &vidu.TaskError{Task: &vidu.Task{}}, &vidu.MaybeCreatedError{}} {
		var code vidu.ErrorCode
		require.NotErrorAs(t, err, &code, "%T", err)
		require.NotErrorIs(t, err, vidu.ErrorCode(""), "%T", err)
		require.NoError(t, errors.Unwrap(err), "%T", err)
	}
	require.EqualError(t, &vidu.APIError{StatusCode: 502}, "vidu: HTTP 502")
	assert.EqualError(t, &vidu.MaybeCreatedError{}, "vidu: a task may have been created and billed: the answer was lost")
}

func TestErrors_AsType(t *testing.T) {
	t.Parallel()
	apiError := &vidu.APIError{StatusCode: 500}
	taskError := &vidu.TaskError{Task: &vidu.Task{ID: "1", State: vidu.StateFailed, ErrCode: vidu.ErrAuditFailed, ErrMessage: "dark\nscene"}}
	invalid := &vidu.ValidationError{Problems: []vidu.FieldProblem{{"prompt", "is missing"}, {"images[3]", "is too small"}}}
	unknown := &vidu.MaybeCreatedError{Payload: "job-42", From: time.Now(), To: time.Now(), Err: io.ErrUnexpectedEOF}
	wrapped := fmt.Errorf("job 7: %w", errors.Join(apiError, taskError, invalid, unknown))

	var asAPIError *vidu.APIError
	require.ErrorAs(t, wrapped, &asAPIError)
	assert.Same(t, apiError, asAPIError)
	var asTaskError *vidu.TaskError
	require.ErrorAs(t, wrapped, &asTaskError)
	assert.Same(t, taskError, asTaskError)
	var asInvalid *vidu.ValidationError
	require.ErrorAs(t, wrapped, &asInvalid)
	assert.Same(t, invalid, asInvalid)
	var asUnknown *vidu.MaybeCreatedError
	require.ErrorAs(t, wrapped, &asUnknown)
	assert.Same(t, unknown, asUnknown)

	require.ErrorIs(t, wrapped, vidu.ErrMaybeCreated)
	require.ErrorIs(t, wrapped, io.ErrUnexpectedEOF)
	require.ErrorIs(t, wrapped, vidu.ErrAuditFailed)
	require.NotErrorIs(t, apiError, vidu.ErrMaybeCreated)

	require.EqualError(t, taskError, "vidu: task 1 failed: AuditFailed: dark scene")
	require.EqualError(t, invalid, "vidu: invalid request: prompt: is missing; images[3]: is too small")
	require.EqualError(t, unknown, `vidu: a task may have been created and billed: unexpected EOF (payload "job-42")`)
}

func TestValidationError_CountsTheRest(t *testing.T) {
	t.Parallel()
	invalid := &vidu.ValidationError{Problems: make([]vidu.FieldProblem, 5)}
	assert.ErrorContains(t, invalid, "; and 2 more")
}

// The one thing not to do must not stand in the error, whoever says it.
func TestMaybeCreatedError_NeverInvitesRetry(t *testing.T) {
	t.Parallel()
	answer := `{"code":400,"reason":"OperationInProcess","message":"operation in process, please retry later","metadata":{"trace_id":"0af7"}}`
	_, err := clientWithReply(t, http.StatusBadRequest, answer).Reference2Video(t.Context(), smallRequest())
	require.EqualError(t, err, `vidu: a task may have been created and billed: POST /vidu/v2/reference2video: HTTP 400 OperationInProcess (trace id 0af7) (payload "job-42")`)
	failure, ok := errors.AsType[*vidu.APIError](err)
	require.True(t, ok)
	assert.Equal(t, "operation in process, please retry later", failure.Message)

	for _, cause := range []error{
		errors.New("http2: Transport: cannot retry err [stream error] after Request.Body was written; define Request.GetBody to avoid this error"),
		errors.New("server is busy, try again"),
		errors.New("Please Retry"),
		&vidu.APIError{StatusCode: 500, Message: "try again", Body: []byte("retry")},
	} {
		text := strings.ToLower((&vidu.MaybeCreatedError{Err: cause}).Error())
		assert.NotContains(t, text, "retry")
		assert.NotContains(t, text, "try again")
	}
}

func TestAPIError_Marshals(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", `{"message":"m"}`, `{"message":"m","metadata":{"a":1}}`, `{"metadata":{"a"`} {
		_, err := clientWithReply(t, http.StatusBadRequest, body).GetTask(t.Context(), "1")
		_, marshalErr := json.Marshal(err)
		assert.NoError(t, marshalErr, body)
	}
}

// What was lost of a refusal may have been a code after which a task may exist.
func TestRefusal_CannotBeRead(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status         int
		body, encoding string
		cut            bool
		maybe          bool
	}{
		"400, cut before its reason":     {400, `{"code":400,"message":"operation in process","reason":"Operatio`, "", true, true},
		"400, cut before its first byte": {400, ``, "", true, true},
		"400, cut in a task's id":        {400, `{"message":"x","task_id":"8854824460`, "", true, true},
		"400, packed":                    {400, "\x1f\x8b\x08\x00\x00", "gzip", false, true},
		"429, cut before its reason":     {429, `{"code":429,"message":"operation in process","reason":"Operatio`, "", true, true},
		"400, whole":                     {400, `{"code":400,"message":"x","reason":"FieldInvalid"}`, "", false, false},
		"400, a very long page":          {400, "<html>" + strings.Repeat("x", 70<<10), "", false, false},
		"400, a very long text":          {400, strings.Repeat("x", 70<<10), "", false, false},
		"400, reason beyond 64 KiB":      {400, `{"message":"` + strings.Repeat("x", 70<<10) + `","reason":"OperationInProcess"}`, "", false, true},
		"429, reason beyond 64 KiB":      {429, `{"message":"` + strings.Repeat("x", 70<<10) + `","reason":"OperationInProcess"}`, "", false, true},
		"400, torn, length unknown":      {400, `{"code":400,"message":"operation in pro`, "", false, true},
		"429, torn, length unknown":      {429, "\uFEFF [{", "", false, true},
		"400, torn behind its reason":    {400, `{"code":400,"reason":"FieldInvalid","mess`, "", false, false},
		"401, cut":                       {401, `{"code":401,"mess`, "", true, false},
		"402, cut":                       {402, `{"code":402,"mess`, "", true, false},
		"403, cut":                       {403, ``, "", true, false},
		"404, cut":                       {404, `{"code":404,"mess`, "", true, false},
		"405, cut":                       {405, `{`, "", true, false},
		"407, cut":                       {407, `<html>`, "", true, false},
		"413, cut":                       {413, `{"code":`, "", true, false},
		"415, packed":                    {415, "\x1f\x8b\x08\x00\x00", "gzip", false, false},
		"431, torn, length unknown":      {431, `{"code":400,"message":"op`, "", false, false},
		"403, cut behind a task":         {403, `{"task_id":"9","mess`, "", true, true},
		"404, quotes another code":       {404, `{"message":"operation in process","x`, "", true, true},
		"422, cut":                       {422, `{"code":422,"mess`, "", true, true},
		"400, reason, then 64 KiB":       {400, `{"reason":"FieldInvalid","message":"` + strings.Repeat("x", 70<<10) + `"}`, "", false, true},
		"429, reason, then 64 KiB":       {429, `{"reason":"QuotaExceeded","message":"` + strings.Repeat("x", 70<<10) + `"}`, "", false, true},
		"403, reason, then 64 KiB":       {403, `{"reason":"Forbidden","message":"` + strings.Repeat("x", 70<<10) + `"}`, "", false, false},
		"400, cut behind its reason":     {400, `{"code":400,"reason":"FieldInvalid","mess`, "", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var sent atomic.Int64
			client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
				sent.Add(1)
				resp, err := testkit.Reply(r, tt.status, tt.body)
				if tt.encoding != "" {
					resp.Header.Set("Content-Encoding", tt.encoding)
				}
				if tt.cut {
					resp.ContentLength = 700
					resp.Body = io.NopCloser(io.MultiReader(resp.Body, testkit.FailingReader{Err: io.ErrUnexpectedEOF}))
				}
				return resp, err
			}))
			_, err := client.Reference2Video(t.Context(), smallRequest())
			require.Error(t, err)
			assert.Equal(t, tt.maybe, errors.Is(err, vidu.ErrMaybeCreated), "%v", err)
			assert.Equal(t, int64(1), sent.Load())
		})
	}
}

// Gateways have a code of their own and quote the upstream's in the message, with any status.
func TestRefusal_QuotesAnotherCode(t *testing.T) {
	t.Parallel()
	for body, maybe := range map[string]bool{
		`{"code":"fail_to_fetch_task","message":"{\"code\":400,\"reason\":\"OperationInProcess\"}"}`: true,
		`{"code":400,"message":"operation in process, please retry later"}`:                          true,
		`{"error":{"type":"OperationInProcess"}}`:                                                    true,
		`{"code":400,"data":{"reason":"OperationInProcess"}}`:                                        true,
		`{"code":"operation_in_process"}`:                                                            true,
		`{"reason":"BadRequest","code":"OperationInProcess"}`:                                        true,
		`{"code":400,"reason":"BadRequest","message":"{\"reason\":\"OperationInProcess\"}"}`:         true,
		`{"code":"fail_to_fetch_task","message":"{\"reason\":\"Conflict\"}"}`:                        true,
		`{"code":400,"data":{"reason":"Canceled"}}`:                                                  true,
		`{"code":400,"message":"internal service failure"}`:                                          true,
		`{"code":400,"message":"the prompt conflicts with our policy; it was canceled"}`:             false,
		`{"reason":"TaskPromptPolicyViolation","message":"a surgical operation in process"}`:         false,
		`{"reason":"FieldInvalid","message":"style must be one of \"conflict\""}`:                    false,
	} {
		for _, status := range []int{http.StatusOK, http.StatusBadRequest} {
			posts := 0
			client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
				posts++
				return testkit.Reply(r, status, body)
			}))
			_, err := client.Reference2Video(t.Context(), smallRequest())
			require.Error(t, err)
			assert.Equal(t, maybe, errors.Is(err, vidu.ErrMaybeCreated), "%d %s: %v", status, body, err)
			assert.Equal(t, 1, posts)
		}
	}
}

// A task with an active state was created, whatever the status; an id alone may be the request's.
func TestRefusal_ContainsATask(t *testing.T) {
	t.Parallel()
	for body, maybe := range map[string]bool{
		`{"id":"9","state":"created"}`:           true,
		`{"id":"9","state":"scheduling"}`:        true,
		`{"data":{"id":"9","state":"queueing"}}`: true,
		`{"task_id":"9"}`:                        true,
		`{"id":"req-9","message":"no"}`:          false,
		`{"id":"req-9","state":"failed"}`:        false,
		`{"id":"req-9","status":"error"}`:        false,
		`{"id":"req-9","status":"success"}`:      false,
	} {
		client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) { return testkit.Reply(r, 400, body) }))
		_, err := client.Reference2Video(t.Context(), smallRequest())
		require.Error(t, err)
		assert.Equal(t, maybe, errors.Is(err, vidu.ErrMaybeCreated), body)
	}
}

// A body that only begins like JSON is not taken for truncated JSON.
func TestRefusal_NotJSON(t *testing.T) {
	t.Parallel()
	for body, status := range map[string]int{
		`[unauthorized] bad token`:     401,
		`{'error': 'invalid api key'}`: 401,
		"{\"message\":\"one\ntwo\"}":   401,
		`[404] no route`:               404,
		`{error: too large}`:           413,
		"{\"code\":403}\x00":           403,
		`{"code":400}{"code":400}`:     400,
		`{"code":"insufficient_quota","message":"` + strings.Repeat("x", 70<<10) + `"}`: 402,
	} {
		client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) { return testkit.Reply(r, status, body) }))
		_, err := client.Reference2Video(t.Context(), smallRequest())
		assertNotCreated(t, err)
	}
}

// What net/http quotes of an unparsable Location is not in the error.
func TestErrors_UnparsableLocation(t *testing.T) {
	t.Parallel()
	client := newClient(t, "https://api.example.com", vidu.WithOfficialAPI(), withTransport(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/uploads") {
			return testkit.Reply(r, 200, `{"id":"1","put_url":"https://store.example.com/x?signature=hunter2"}`)
		}
		resp, err := testkit.Reply(r, 302, "")
		resp.Header.Set("Location", "https://other.example.com/%zz?x-id=PutObject&signature=hunter3")
		return resp, err
	}))
	_, uploaded := client.UploadImage(t.Context(), vidu.Bytes(testkit.BigPNG(t, 1000)))
	_, asked := client.GetTask(t.Context(), "1")
	_, created := client.Reference2Video(t.Context(), smallRequest())
	for _, err := range []error{uploaded, asked, created} {
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "hunter")
	}
}

// In a reply of megabytes not every spelling is looked for, but in what the error keeps of it.
func TestErrors_KeyInALongReplyIsMasked(t *testing.T) {
	t.Parallel()
	var spelled strings.Builder
	for _, c := range testkit.Key {
		fmt.Fprintf(&spelled, `\\u%04x`, c)
	}
	_, err := createWith(t, answered{200, `{"message":"` + spelled.String() + `","x":"` + strings.Repeat("y", 2<<20) + `"}`, ""})
	body := string(unknownOutcome(t, err).Body)
	require.Contains(t, body, `{"message":"[redacted]"`)
	require.NotContains(t, body, `\\u0073`)
}

func TestErrors_KeyInTheTraceIDIsMasked(t *testing.T) {
	t.Parallel()
	client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
		resp, err := testkit.Reply(r, 200, `{}`)
		resp.Header.Set("X-Request-Id", strings.Repeat("x", 70)+r.Header.Get("Authorization"))
		return resp, err
	}))
	_, err := client.Reference2Video(t.Context(), smallRequest())
	unknown, ok := errors.AsType[*vidu.MaybeCreatedError](err)
	require.True(t, ok)
	assert.NotContains(t, unknown.TraceID, "sentinel", "not even a part of the key")
}

func TestTaskError_WithoutTask(t *testing.T) {
	t.Parallel()
	err := &vidu.TaskError{}
	assert.Equal(t, "vidu: a task failed", err.Error())
	assert.NoError(t, err.Unwrap())
}

// Whatever the body of a 400 looks like, it is a refusal.
func TestRefusal_OddBodies(t *testing.T) {
	t.Parallel()
	for body, code := range map[string]vidu.ErrorCode{
		`"no credits"`: vidu.ErrBadRequest, `["no credits"]`: vidu.ErrBadRequest, `7`: vidu.ErrBadRequest, `null`: vidu.ErrBadRequest, ``: vidu.ErrBadRequest,
		`{"error":{"message":"no credits","type":"x","code":"insufficient_quota"}}`: "insufficient_quota",
		`{"message":"no credits"}`:                        vidu.ErrBadRequest,
		`<!DOCTYPE html><html>no credits</html>`:          vidu.ErrBadRequest,
		`no credits`:                                      vidu.ErrBadRequest,
		`{"code":400,"reason":"CreditInsufficient","mess`: vidu.ErrCreditInsufficient,
	} {
		_, err := clientWithReply(t, http.StatusBadRequest, body).Reference2Video(t.Context(), smallRequest())
		assertNotCreated(t, err)
		failure, ok := errors.AsType[*vidu.APIError](err)
		require.True(t, ok, body)
		assert.Equal(t, code, failure.Code, body)
		assert.Equal(t, body, string(failure.Body))
	}
}

// An error envelope inside a 2xx has the status that it came with.
func TestAPIError_StatusOfAnEnvelope(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 201, 202} {
		_, err := clientWithReply(t, status, `{"success":false,"message":"no"}`).GetTask(t.Context(), "1")
		failure, ok := errors.AsType[*vidu.APIError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, status, failure.StatusCode)
	}
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
