package vidu_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// trial is a fault that happens to every attempt at a create, and what was seen of it.
type trial struct {
	err      error
	attempts int64 // connections or requests that the server saw
	complete int64 // requests that the server could have acted on
}

// tryCreate sends req to w, which fails it.
func tryCreate(t *testing.T, ctx context.Context, w *testkit.Server, client *vidu.Client, req *vidu.Reference2VideoRequest) trial { //nolint:revive // t first reads better
	t.Helper()
	task, err := client.Reference2Video(ctx, req)
	require.Nil(t, task)
	return trial{err: err, attempts: w.Requests.Load(), complete: w.Complete.Load()}
}

// createFaults makes, for each row of the policy, the failure that the row is about.
var createFaults = map[string]func(t *testing.T) trial{
	"no answer, context ended before the request was complete": func(t *testing.T) trial {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := testkit.Serve(t, nil, func(w *testkit.Server, conn net.Conn) {
			w.Requests.Add(1)
			conn.Read(make([]byte, 1024)) //nolint:errcheck // the body has begun
			cancel()
			<-t.Context().Done() // and stalls: nobody reads on
		})
		got := tryCreate(t, ctx, w, newClient(t, w.URL), bigRequest(t))
		require.ErrorIs(t, got.err, context.Canceled)
		return got
	},
	"no answer, medium unreadable or changed": func(t *testing.T) trial {
		t.Helper()
		w := testkit.Serve(t, nil, func(w *testkit.Server, conn net.Conn) {
			w.Requests.Add(1)
			w.ReadRequest(conn)
		})
		req := smallRequest()
		req.Images = []vidu.Media{vidu.FS(&testkit.ChangingFS{Files: []*fstest.MapFile{
			{Data: testkit.BigPNG(t, 4000), ModTime: time.Unix(1, 0)}, {Data: testkit.BigPNG(t, 5000), ModTime: time.Unix(2, 0)},
		}}, "hero.png")}
		got := tryCreate(t, t.Context(), w, newClient(t, w.URL), req)
		require.ErrorContains(t, got.err, "images[0] (hero.png): changed")
		return trial{err: got.err, attempts: 1, complete: got.complete} // whether the server saw the connection is a race
	},
	"no answer, certificate or protocol wrong": func(t *testing.T) trial {
		t.Helper()
		w := &testkit.Server{}
		server := httptest.NewUnstartedServer(http.NotFoundHandler())
		server.Config.ErrorLog = testkit.QuietLog()
		server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				w.Requests.Add(1)
			}
		}
		server.StartTLS()
		t.Cleanup(server.Close)
		return tryCreate(t, t.Context(), w, newClient(t, server.URL), smallRequest())
	},
	"no answer, host unknown": func(t *testing.T) trial {
		t.Helper()
		return dialling(t, &net.DNSError{Err: "no such host", Name: "gateway.invalid", IsNotFound: true})
	},
	"no answer, proxy refuses to connect": func(t *testing.T) trial {
		t.Helper()
		proxy := testkit.ServeReply(t, http.StatusProxyAuthRequired, "")
		proxyURL, err := url.Parse(strings.Replace(proxy.URL, "//", "//user:proxy-password@", 1))
		require.NoError(t, err)
		transport := &http.Transport{Proxy: http.ProxyURL(proxyURL)}
		t.Cleanup(transport.CloseIdleConnections)
		client := newClient(t, "https://gateway.invalid", vidu.WithHTTPClient(&http.Client{Transport: transport}))
		got := tryCreate(t, t.Context(), proxy, client, smallRequest())
		require.NotContains(t, got.err.Error(), "proxy-password")
		got.complete = 0 // CONNECT is not the create
		return got
	},
	"no answer, server speaks HTTP/2 only": func(t *testing.T) trial {
		t.Helper()
		config, pool := testkit.Certificate(t, testkit.FarFuture, "gateway.example.com")
		config.NextProtos = []string{"h2"}
		w := testkit.Serve(t, config, func(w *testkit.Server, conn net.Conn) {
			w.Requests.Add(1)
			conn.Read(make([]byte, 1024)) //nolint:errcheck // not the preface of HTTP/2
			conn.Write([]byte{0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff})
			<-t.Context().Done() // without a line's end
		})
		callers := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, ServerName: "gateway.example.com"}}
		return tryCreate(t, t.Context(), w, newClient(t, w.URL, vidu.WithHTTPClient(&http.Client{Transport: callers})), smallRequest())
	},
	"no answer, request incomplete": func(t *testing.T) trial {
		t.Helper()
		w := testkit.Serve(t, nil, func(w *testkit.Server, conn net.Conn) {
			w.Requests.Add(1)
			conn.Read(make([]byte, 64<<10)) //nolint:errcheck // a part of 14 MB
			testkit.Reset(conn)
		})
		return tryCreate(t, t.Context(), w, newClient(t, w.URL), bigRequest(t))
	},
	"no answer, request may have arrived": func(t *testing.T) trial {
		t.Helper()
		w := testkit.Serve(t, nil, func(w *testkit.Server, conn net.Conn) {
			if w.ReadRequest(conn) {
				testkit.Reset(conn)
			}
		})
		return tryCreate(t, t.Context(), w, newClient(t, w.URL), smallRequest())
	},
	"2xx with a documented refusal inside": answer(200, `{"code":400,"reason":"CreditInsufficient","message":"no"}`),
	"2xx without a usable task":            answer(200, `{"success":false,"message":"upstream timed out"}`),
	"2xx to 4xx that quotes such a code":   answer(400, `{"code":"fail_to_fetch_task","message":"{\"code\":400,\"reason\":\"OperationInProcess\"}"}`),
	"2xx to 4xx, of which not all could be read": func(t *testing.T) trial {
		t.Helper()
		w := testkit.Serve(t, nil, func(w *testkit.Server, conn net.Conn) {
			if w.ReadRequest(conn) {
				io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nContent-Length: 100\r\n\r\n"+`{"code":400,"message":"operation in pro`)
			}
		})
		return tryCreate(t, t.Context(), w, newClient(t, w.URL), smallRequest())
	},
	"redirect, never followed":               answer(307, ""),
	"408, request incomplete":                answerEarly("408 Request Timeout"),
	"408":                                    answer(408, ""),
	"409, a duplicate task may exist":        answer(409, `{"code":409,"reason":"Conflict","message":"resource key conflict"}`),
	"499, abandoned midway":                  answer(499, ""),
	"417, our Expect is not understood":      answerEarly("417 Expectation Failed"),
	"425, not processed by definition":       answer(425, ""),
	"429, out of money, be it only in words": answer(429, `{"error":{"message":"your account is overdue"}}`),
	"429":                                    answer(429, `{"code":429,"reason":"TooManyRequests"}`),
	"any answer that names a task and is no usable reply":      answer(429, `{"metadata":{"task_id":"916205061116293121"}}`),
	"2xx to 4xx whose code says that something may have begun": answer(400, `{"code":400,"reason":"OperationInProcess","message":"operation in process"}`),
	"4xx":                     answer(400, `{"code":400,"reason":"FieldInvalid"}`),
	"5xx, request incomplete": answerEarly("503 Service Unavailable"),
	"5xx":                     answer(502, "<html>Bad Gateway</html>"),
}

func answer(status int, body string) func(t *testing.T) trial {
	return func(t *testing.T) trial {
		t.Helper()
		w := testkit.ServeReply(t, status, body)
		return tryCreate(t, t.Context(), w, newClient(t, w.URL), smallRequest())
	}
}

func answerEarly(status string) func(t *testing.T) trial {
	return func(t *testing.T) trial {
		t.Helper()
		w := testkit.ServeEarlyReply(t, status)
		got := tryCreate(t, t.Context(), w, newClient(t, w.URL), bigRequest(t))
		failure, ok := errors.AsType[*vidu.APIError](got.err)
		require.True(t, ok, "%v", got.err)
		require.Equal(t, status[:3], strconv.Itoa(failure.StatusCode))
		require.Equal(t, "{}", string(failure.Body), "the answer is read although the request is not out")
		return got
	}
}

// dialling fails every connection with err.
func dialling(t *testing.T, err error) trial {
	t.Helper()
	w := &testkit.Server{}
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		w.Requests.Add(1)
		return nil, err
	}}
	return tryCreate(t, t.Context(), w, newClient(t, "https://gateway.invalid", vidu.WithHTTPClient(&http.Client{Transport: transport})), smallRequest())
}

// TestCreateRules walks the policy: every row is made to happen over real connections.
func TestCreateRules(t *testing.T) {
	t.Parallel()
	for _, rule := range vidu.CreateRules() {
		t.Run(rule.Name, func(t *testing.T) {
			t.Parallel()
			fault := createFaults[rule.Name]
			require.NotNil(t, fault, "no fault tests this row")
			got := fault(t)
			require.Error(t, got.err)
			assert.Equal(t, rule.Verdict == vidu.Ambiguous, errors.Is(got.err, vidu.ErrMaybeCreated), "%v", got.err)
			wantAttempts := int64(1)
			if rule.Verdict == vidu.Retry {
				wantAttempts = 3
				assert.True(t, got.complete == 0 || rule.From == 429 || rule.From == 425, "sent again though the server had it all")
			}
			assert.Equal(t, wantAttempts, got.attempts)
			testkit.AssertHarmless(t, got.err)
			if unknown, ok := errors.AsType[*vidu.MaybeCreatedError](got.err); ok {
				assert.Equal(t, "job-42", unknown.Payload)
				assert.WithinRange(t, time.Now(), unknown.From, unknown.To.Add(time.Minute))
				assert.NotContains(t, strings.ToLower(got.err.Error()), "again")
			}
		})
	}
	for name := range createFaults {
		known := slices.ContainsFunc(vidu.CreateRules(), func(r vidu.CreateRule) bool { return r.Name == name })
		assert.True(t, known, "the policy has no row %q", name)
	}
}

// TestCreateRulesCoverEveryStatus makes sure that no status falls through the table unseen.
func TestCreateRulesCoverEveryStatus(t *testing.T) {
	t.Parallel()
	for status := 200; status < 600; status++ {
		covered := slices.ContainsFunc(vidu.CreateRules(), func(r vidu.CreateRule) bool {
			return r.From <= status && status <= r.To && r.Codes == nil
		})
		assert.True(t, covered, "status %d", status)
	}
}

func TestRetryDelay(t *testing.T) {
	t.Parallel()
	second := func(int) time.Duration { return time.Second }
	tests := map[string]struct {
		err  error
		want time.Duration
	}{
		"no answer":                    {errors.New("reset"), time.Second},
		"no header":                    {&vidu.APIError{StatusCode: 503}, time.Second},
		"longer than the backoff":      {&vidu.APIError{StatusCode: 429, RetryAfter: 7 * time.Second}, 7 * time.Second},
		"shorter than the backoff":     {&vidu.APIError{StatusCode: 429, RetryAfter: time.Millisecond}, time.Second},
		"ten years":                    {&vidu.APIError{StatusCode: 429, RetryAfter: 10 * 365 * 24 * time.Hour}, time.Minute},
		"quota: a task must end first": {&vidu.APIError{StatusCode: 429, Code: vidu.ErrQuotaExceeded}, 5 * time.Second},
		"inside a wrapper":             {fmt.Errorf("x: %w", &vidu.APIError{RetryAfter: 3 * time.Second}), 3 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, vidu.RetryDelay(second, 1, tt.err))
		})
	}
}

// TestCodes_EveryConstantHasARow reads the constants from the source, for nothing else lists them.
func TestCodes_EveryConstantHasARow(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, 0)
	require.NoError(t, err)
	constants := map[vidu.ErrorCode]bool{}
	for _, decl := range file.Decls {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			constant := spec.(*ast.ValueSpec) //nolint:forcetypeassert // of a const group
			if name, ok := constant.Type.(*ast.Ident); ok && name.Name == "ErrorCode" {
				code, err := strconv.Unquote(constant.Values[0].(*ast.BasicLit).Value) //nolint:forcetypeassert // a string
				require.NoError(t, err)
				constants[vidu.ErrorCode(code)] = true
			}
		}
	}
	assert.Greater(t, len(constants), 30)
	rows := vidu.CodeRows()
	assert.ElementsMatch(t, slices.Collect(maps.Keys(constants)), rows, "each constant once")
}

// TestCodes_StandForAStatus lists the codes of responses whose body names none.
func TestCodes_StandForAStatus(t *testing.T) {
	t.Parallel()
	want := map[int]vidu.ErrorCode{
		400: vidu.ErrBadRequest, 401: vidu.ErrUnauthorized, 402: vidu.ErrCreditInsufficient, 403: vidu.ErrForbidden,
		404: vidu.ErrNotFound, 409: vidu.ErrConflict, 429: vidu.ErrTooManyRequests, 499: vidu.ErrCanceled,
		500: vidu.ErrInternalServiceFailure,
	}
	for status := range 600 {
		assert.Equal(t, want[status], vidu.CodeOfStatus(status), "%d", status)
	}
}

// answered is a server's answer to a create.
type answered struct {
	status   int
	body     string
	location string
}

// createWith sends a create that is answered so, and counts the POSTs.
func createWith(t *testing.T, a answered) (*vidu.Task, error) {
	t.Helper()
	posts := 0
	client := newClient(t, someHost, withTransport(func(r *http.Request) (*http.Response, error) {
		posts++
		resp, err := testkit.Reply(r, a.status, a.body)
		if a.location != "" {
			resp.Header.Set("Location", a.location)
		}
		return resp, err
	}))
	task, err := client.Reference2Video(t.Context(), smallRequest())
	if errors.Is(err, vidu.ErrMaybeCreated) {
		assert.Equal(t, 1, posts)
	}
	return task, err
}

// An answer that names a task is never a refusal, wherever the name is. If it names exactly one, the error has its id.
func TestCreate_AnswerNamesATask(t *testing.T) {
	t.Parallel()
	const t9 = "916205061116293121"
	long := strings.Repeat("x", 70<<10)
	deep := func(n int, inner string) string { return strings.Repeat(`{"x":`, n) + inner + strings.Repeat("}", n) }
	for name, tt := range map[string]struct {
		answered

		id string
	}{
		"in metadata":                     {answered{429, `{"code":429,"metadata":{"task_id":"` + t9 + `"}}`, ""}, t9},
		"in error":                        {answered{400, `{"error":{"code":"x","task_id":"` + t9 + `"}}`, ""}, t9},
		"in error, a refusal's code":      {answered{422, `{"error":{"code":"FieldInvalid","task_id":"` + t9 + `"}}`, ""}, t9},
		"in an array":                     {answered{400, `[{"task_id":"` + t9 + `"}]`, ""}, t9},
		"an array of ids":                 {answered{400, `{"task_ids":["` + t9 + `"]}`, ""}, t9},
		"an array of tasks":               {answered{400, `{"data":[{"id":"` + t9 + `","state":"created"}]}`, ""}, t9},
		"taskId":                          {answered{429, `{"taskId":"` + t9 + `"}`, ""}, t9},
		"TASK-ID, a number":               {answered{429, `{"TASK-ID":` + t9 + `}`, ""}, t9},
		"an escaped name":                 {answered{429, `{"task\u005fid":"` + t9 + `"}`, ""}, t9},
		"an object":                       {answered{429, `{"task_id":{"id":"` + t9 + `"}}`, ""}, t9},
		"seven levels deep":               {answered{400, deep(7, `{"task_id":"`+t9+`"}`), ""}, t9},
		"deeper than is looked":           {answered{400, deep(8, `{"task_id":"`+t9+`"}`), ""}, ""},
		"deeper, beside a refusal":        {answered{400, `{"reason":"FieldInvalid","x":` + deep(9, `[[]]`) + `}`, ""}, ""},
		"quoted in a message":             {answered{400, `{"code":"FieldInvalid","message":"upstream: {\"task_id\":\"` + t9 + `\"}"}`, ""}, t9},
		"quoted twice":                    {answered{400, `{"message":"{\"body\":\"{\\\"task_id\\\":\\\"` + t9 + `\\\"}\"}"}`, ""}, t9},
		"quoted, as an id with a state":   {answered{400, `{"message":"{\"id\":\"` + t9 + `\",\"state\":\"created\"}"}`, ""}, t9},
		"behind words":                    {answered{400, `upstream said {"task_id":"` + t9 + `"}`, ""}, t9},
		"behind a byte order mark":        {answered{400, "\uFEFF" + `{"metadata":{"task_id":"` + t9 + `"}}`, ""}, t9},
		"the same twice":                  {answered{400, `{"task_id":"` + t9 + `","data":{"taskId":` + t9 + `}}`, ""}, t9},
		"two tasks":                       {answered{400, `{"task_id":"` + t9 + `","data":{"task_id":"7"}}`, ""}, ""},
		"an id beside a state":            {answered{400, `{"id":"` + t9 + `","state":"queueing"}`, ""}, t9},
		"an id beside an unknown state":   {answered{400, `{"id":"` + t9 + `","state":"cooking"}`, ""}, t9},
		"an id beside success":            {answered{400, `{"id":"` + t9 + `","state":"success"}`, ""}, t9},
		"an id behind its state":          {answered{429, `{"state":"created","id":` + t9 + `}`, ""}, t9},
		"an id beside a running status":   {answered{429, `{"id":"` + t9 + `","status":"QUEUEING"}`, ""}, t9},
		"another running status":          {answered{429, `{"id":"` + t9 + `","status":"In progress"}`, ""}, t9},
		"a status of a gateway":           {answered{400, `{"data":{"id":"` + t9 + `","status":"NOT_START"}}`, ""}, t9},
		"a state that is done":            {answered{400, `{"id":"` + t9 + `","state":"completed"}`, ""}, t9},
		"an id in data":                   {answered{400, `{"data":{"id":"` + t9 + `","state":"created"}}`, ""}, t9},
		"an id in task":                   {answered{400, `{"task":{"id":"` + t9 + `","state":"created"}}`, ""}, t9},
		"an id in result":                 {answered{422, `{"result":{"id":"` + t9 + `","state":"created"}}`, ""}, t9},
		"an id in output":                 {answered{400, `{"Output":{"id":"` + t9 + `","State":"created"}}`, ""}, t9},
		"an id in error":                  {answered{400, `{"error":{"id":"` + t9 + `","state":"created"}}`, ""}, t9},
		"an id in data of data":           {answered{400, `{"data":{"data":{"id":"` + t9 + `","state":"created"}}}`, ""}, t9},
		"two ids beside one state":        {answered{400, `{"id":"` + t9 + `","id":"7","state":"created"}`, ""}, ""},
		"the request's id, and a task's":  {answered{400, `{"id":"req-1","state":"x","data":{"task_id":"` + t9 + `"}}`, ""}, t9},
		"cut in the task's id":            {answered{400, `{"id":"req-1","state":"x","task_id":"9162`, ""}, ""},
		"cut behind the task's id":        {answered{400, `{"reason":"FieldInvalid","task_id":"` + t9 + `","x`, ""}, t9},
		"a status that means refusal":     {answered{401, `{"task_id":"` + t9 + `"}`, ""}, t9},
		"200, one level deeper":           {answered{200, `{"x":{"task_id":"` + t9 + `"}}`, ""}, t9},
		"200, an array":                   {answered{200, `[{"task_id":"` + t9 + `"}]`, ""}, t9},
		"200, taskId":                     {answered{200, `{"taskId":"` + t9 + `"}`, ""}, t9},
		"200, beside a refusal":           {answered{200, `{"code":400,"reason":"CreditInsufficient","metadata":{"task_id":"` + t9 + `"}}`, ""}, t9},
		"200, behind a long echo":         {answered{200, `{"prompt":"` + long + `","x":{"task_id":"` + t9 + `"}}`, ""}, t9},
		"200, cannot be used":             {answered{200, `{"images":["` + long + `"],"task_id":"cgt/2026"}`, ""}, "cgt/2026"},
		"200, with success false":         {answered{200, `{"task_id":"` + t9 + `","success":false}`, ""}, t9},
		"200, a number without digits":    {answered{200, `{"task_id":9.16205e+17}`, ""}, ""},
		"200, refused, digits lost":       {answered{200, `{"reason":"FieldInvalid","data":{"x":{"task_id":9.16205e+17}}}`, ""}, ""},
		"200, too long for anything":      {answered{200, `{"reason":"FieldInvalid","x":{"task_id":"` + long + `"}}`, ""}, ""},
		"201, only a Location":            {answered{201, "", "/vidu/v2/tasks/" + t9 + "/creations"}, t9},
		"201, Location and body":          {answered{201, `{"x":{"task_id":"7"}}`, "/vidu/v2/tasks/" + t9}, ""},
		"302 to a task":                   {answered{302, "", "/vidu/v2/tasks/" + t9 + "/creations"}, t9},
		"303 to a task of another host":   {answered{303, "<html>moved</html>", "https://other.example.com/v1/task/" + t9}, t9},
		"303 to a task, relative":         {answered{303, "", "Tasks/" + t9}, t9},
		"303 to a task, escaped":          {answered{303, "", "/tasks/cgt%3A7"}, "cgt:7"},
		"303 with the task in the query":  {answered{303, "", "/result?taskId=" + t9}, t9},
		"as Python prints it":             {answered{400, `{"detail":"upstream: {'code': 400, 'task_id': '` + t9 + `'}"}`, ""}, t9},
		"as Python prints it, bare":       {answered{400, `{'task_id': '` + t9 + `', 'x': None}`, ""}, t9},
		"as Go prints it":                 {answered{429, `{"message":"map[state:created task_id:` + t9 + `]"}`, ""}, t9},
		"in words":                        {answered{400, `{"message":"conflict with TASK_ID=` + t9 + `."}`, ""}, t9},
		"in words, at the end":            {answered{400, `conflict with task id: ` + t9, ""}, ""},
		"in JSON behind other JSON":       {answered{400, `{"message":"x"}` + "\n" + `{"task_id":"` + t9 + `"}`, ""}, t9},
		"in JSON behind other, quoted":    {answered{400, `{"message":"{\"x\":1} {\"task_id\":\"` + t9 + `\"}"}`, ""}, t9},
		"in JSON with a NaN":              {answered{400, `{"x":NaN,"task_id":"` + t9 + `"}`, ""}, t9},
		"in JSON with a NaN, quoted":      {answered{400, `{"message":"{\"x\":NaN,\"task_id\":\"` + t9 + `\"}"}`, ""}, t9},
		"in JSON with a comment":          {answered{400, `{"x":1 /* y */,"task_id":` + t9 + `}`, ""}, t9},
		"of the upstream":                 {answered{400, `{"reason":"FieldInvalid","upstream_task_id":"` + t9 + `"}`, ""}, t9},
		"of the upstream, in a list":      {answered{400, `{"vidu_task_id_list":[` + t9 + `]}`, ""}, t9},
		"of the upstream and of another":  {answered{400, `{"vidu_task_id":"7","task_id":"` + t9 + `"}`, ""}, t9},
		"200, with a NaN":                 {answered{200, `{"x":NaN,"task_id":"` + t9 + `","state":"created"}`, ""}, t9},
		"503, in metadata":                {answered{503, `{"metadata":{"task_id":"` + t9 + `"}}`, ""}, t9},
		"too many items to look at all":   {answered{200, `{"reason":"FieldInvalid","x":[` + strings.Repeat("1,", 200_000) + `1]}`, ""}, ""},
		"too long a quotation":            {answered{200, `{"reason":"FieldInvalid","x":"{\"` + strings.Repeat("x", 2<<20) + `"}`, ""}, ""},
		"a refusal that is read in parts": {answered{400, `{"reason":"FieldInvalid","message":"` + long + `","task_id":"7"}`, ""}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task, err := createWith(t, tt.answered)
			require.Nil(t, task)
			unknown := unknownOutcome(t, err)
			assert.Equal(t, tt.id, unknown.TaskID)
			assert.Equal(t, tt.id != "", strings.Contains(err.Error(), "(task "), "%v", err)
			if tt.id != "" {
				assert.Contains(t, err.Error(), "(task "+tt.id+")")
				assert.NotContains(t, err.Error(), "names no task")
			}
			assert.Equal(t, tt.status, unknown.StatusCode)
			testkit.AssertHarmless(t, err)
		})
	}
}

// What only looks like the name of a task leaves a refusal a refusal.
func TestCreate_RefusalNamesNoTask(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]answered{
		"an id of who knows":               {400, `{"id":"req-9","message":"no"}`, ""},
		"an id beside a failure":           {400, `{"id":"req-9","state":"failed"}`, ""},
		"an id beside a canceled state":    {400, `{"id":"req-9","state":"cancelled"}`, ""},
		"an id beside an error":            {400, `{"id":"req-9","state":"Error"}`, ""},
		"an id beside a rejection":         {400, `{"id":"req-9","state":"rejected "}`, ""},
		"an id beside an empty state":      {400, `{"id":"req-9","state":" "}`, ""},
		"an id beside a null state":        {400, `{"id":"req-9","state":null}`, ""},
		"an id beside a status of success": {400, `{"id":"req-9","status":"success"}`, ""},
		"an id beside a number":            {400, `{"id":"req-9","status":400}`, ""},
		"an id of something else":          {400, `{"code":"FieldInvalid","account":{"id":"u-1","state":"active"}}`, ""},
		"in something else of data":        {400, `{"data":{"account":{"id":"u-1","state":"active"}}}`, ""},
		"a state without an id":            {400, `{"state":"created"}`, ""},
		"an empty task_id":                 {400, `{"code":"FieldInvalid","task_id":""}`, ""},
		"a null task_id":                   {400, `{"code":"FieldInvalid","data":{"task_id":null}}`, ""},
		"null in words":                    {400, `{"code":"FieldInvalid","data":{"task_id":"null"}}`, ""},
		"a zero task_id":                   {400, `{"code":"FieldInvalid","data":{"task_id":0}}`, ""},
		"words about a task_id":            {400, `{"message":"task_id: must not be given"}`, ""},
		"Python's None":                    {400, `{"detail":"{'task_id': None, 'code': 400}"}`, ""},
		"undefined in words":               {400, `{"code":"FieldInvalid","data":{"task_id":"undefined"}}`, ""},
		"the caller's own JSON, quoted":    {400, `{"message":"{\"payload\":\"{\\\"task_id\\\":\\\"1\\\"}\"}"}`, ""},
		"the caller's own words":           {400, `{"code":"FieldInvalid","payload":"task_id=1 ","prompt":"task_id=1 ","metadata":"task_id=1 "}`, ""},
		"no task_ids":                      {400, `{"code":"FieldInvalid","task_ids":[]}`, ""},
		"the caller's own JSON":            {400, `{"code":"FieldInvalid","payload":"{\"task_id\":\"mine\"}","prompt":"{\"task_id\":\"mine\"}","meta_data":"{\"task_id\":\"mine\"}"}`, ""},
		"empty containers, deep":           {400, `{"x":[[[[[[[{}]]]]]]]}`, ""},
		"a web page":                       {403, `<html><script>{"task_id":"9"}</script>`, ""},
		"200, a refusal":                   {200, `{"code":400,"reason":"FieldInvalid","data":null}`, ""},
		"redirect to a login":              {302, "", "https://gateway.example.com/login?next=%2Ftasks"},
		"redirect to all tasks":            {303, "", "/vidu/v2/tasks/"},
		"redirect to what is no id":        {303, "", "/vidu/v2/tasks/../x"},
		"redirect to nowhere":              {303, "", ""},
		"redirect with torn JSON":          {302, `{"message":"mov`, "/login"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := createWith(t, tt)
			assertNotCreated(t, err)
		})
	}
}

// Inside a 2xx a create is refused only by a code that is known to be a refusal, however it is spelled.
func TestCreate_CodeInsideA200(t *testing.T) {
	t.Parallel()
	for code, maybe := range map[string]bool{
		"VoiceInvalid": true, "something_new": true, "5001": true, "422": true, "-1": true,
		"TaskNotFound": true, "task_not_exist": true, "CreationNotFound": true, "UserCancelled": true, "OperationInProcess": true,
		"operation_in_process": true, "Conflict": true, "Canceled": true, "InternalServiceFailure": true, "500": true,
		"insufficient_permissions": true, "RequestOverdue": true, strings.Repeat("insufficient_balance", 9): true,

		"PageSizeOutOfRange": false, "FieldInvalid": false, "FIELD_INVALID": false, "field-invalid": false, "QuotaExceeded": false,
		"InsufficientBalance": false, "insufficient_user_quota": false, "CREDIT_INSUFFICIENT": false, "balance not enough": false,
		"AccountOverdueError": false, "Arrearage": false, "out_of_credits": false, "NoBalance": false, "credits_exhausted": false,
		"账户余额不足": false, "PAYMENT_REQUIRED": false, "401": false, "429": false,
	} {
		for _, body := range []string{
			`{"code":"` + code + `","message":"m"}`, `{"code":"` + code + `"}`, `{"error":{"code":"` + code + `","message":"m"}}`, `{"success":false,"code":"` + code + `","data":null}`,
		} {
			_, err := createWith(t, answered{200, body, ""})
			require.Error(t, err)
			assert.Equal(t, maybe, errors.Is(err, vidu.ErrMaybeCreated), "%s: %v", body, err)
		}
	}
}

// Words for an empty balance save three retries of a 429. They never make a refusal of an unknown outcome.
func TestCreate_OutOfMoneyInWords(t *testing.T) {
	t.Parallel()
	for words, broke := range map[string]bool{
		"Your account is overdue": true, "Insufficient account balance": true, "insufficient credits, please top up": true, "please recharge": true,
		"账户余额不足": true, "账户已欠费": true, "You have no credits left": true, "not enough balance": true, "quota is not enough": true,
		"Too many requests": false, "quota exceeded, retry later": false, "insufficient capacity": false, "add a payment method": false, "": false,
	} {
		for _, body := range []string{
			`{"code":429,"message":"` + words + `"}`, `{"error":{"code":"rate_limited","message":"` + words + `"}}`, `{"error":"` + words + `"}`, words,
		} {
			for _, status := range []int{429, 500, 200} {
				attempts := 0
				client := newClient(t, someHost, withTransport(func(r *http.Request) (*http.Response, error) {
					attempts++
					return testkit.Reply(r, status, body)
				}))
				_, err := client.Reference2Video(t.Context(), smallRequest())
				require.Error(t, err)
				unknown := status == 500 || (status == 200 && !strings.Contains(body, "429"))
				assert.Equal(t, unknown, errors.Is(err, vidu.ErrMaybeCreated), "%d %s: %v", status, body, err)
				if status == 429 {
					want := map[bool]int{true: 1, false: 3}[broke]
					assert.Equal(t, want, attempts, body)
					attempts = 0
					_, err = client.GetTask(t.Context(), "1")
					require.Error(t, err)
					assert.Equal(t, want, attempts, body)
				}
			}
		}
	}
}

// The transport has sent a create twice before it could be stopped. The second answer is a task, and there may be
// another.
func TestCreate_SentTwiceByTheTransport(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body io.ReadCloser
		id   string
	}{
		"a task":       {io.NopCloser(strings.NewReader(createdReply)), "1"},
		"broken off":   {io.NopCloser(io.MultiReader(strings.NewReader(createdReply[:20]), testkit.FailingReader{Err: context.Canceled})), "1"},
		"without task": {io.NopCloser(strings.NewReader(`{}`)), ""},
		"nothing":      {io.NopCloser(testkit.FailingReader{Err: context.Canceled}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, someHost, withTransport(func(r *http.Request) (*http.Response, error) {
				resp, err := testkit.Reply(r, 200, "")
				for range 2 {
					httptrace.ContextClientTrace(r.Context()).GetConn("gateway.example.com:443")
				}
				resp.Body, resp.ContentLength = tt.body, -1
				return resp, err
			}))
			task, err := client.Reference2Video(t.Context(), smallRequest())
			if tt.id == "" {
				assertUnknownOutcome(t, err)
				require.NotErrorIs(t, err, context.Canceled)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.id, task.ID)
			assert.Contains(t, strings.Join(task.Warnings, ";"), "retried the request by itself")
		})
	}
}

// Of an answer that is too long to be kept the long texts are shortened, so that ids survive wherever they stand.
func TestMaybeCreatedError_BodyKeepsWhatIsShort(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body string
		kept []string
	}{
		"short":                  {`{"x":"` + strings.Repeat("y", 60_000) + `"}`, []string{strings.Repeat("y", 60_000)}},
		"a long echo":            {`{"images":["data:` + strings.Repeat("y", 20<<20) + `"],"message":"` + strings.Repeat("m", 2000) + `","id":"77/a","task_id":"88/b"}`, []string{`"77/a"`, `"88/b"`, `"data:y`, strings.Repeat("m", 2000)}},
		"many echoes":            {`{"images":[` + strings.Repeat(`"`+strings.Repeat("y", 500)+`",`, 500) + `"z"],"id":"77/a","task_id":"88/b"}`, []string{`"77/a"`, `"88/b"`, `"z"`}},
		"escapes":                {`{"prompt":"` + strings.Repeat(`\u4e16\"`, 20_000) + `","task_id":"88/b"}`, []string{`"88/b"`}},
		"wide":                   {`{"prompt":"` + strings.Repeat(`世`, 50_000) + `","task_id":"88/b"}`, []string{`"88/b"`}},
		"a long name":            {`{"` + strings.Repeat(`n`, 100_000) + `":1,"task_id":"88/b"}`, []string{`"88/b"`}},
		"numbers":                {`{"id":"77/a","x":[` + strings.Repeat("1,", 100_000) + `1],"task_id":"88/b"}`, []string{`"77/a"`, `"88/b"`}},
		"no JSON":                {"first " + strings.Repeat("x", 100_000) + " last", []string{"first ", " last"}},
		"a string without end":   {`{"task_id":"88/b","x":"` + strings.Repeat("x", 100_000), []string{`"88/b"`}},
		"a string, cut in an \\": {`{"id":"77/a","x":"` + strings.Repeat("x", 100_000) + `\`, []string{`"77/a"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := clientWithReply(t, http.StatusOK, tt.body).Reference2Video(t.Context(), smallRequest())
			unknown := unknownOutcome(t, err)
			assert.LessOrEqual(t, len(unknown.Body), vidu.MaxErrorReply)
			for _, text := range tt.kept {
				assert.True(t, strings.Contains(string(unknown.Body), text), "%.40s", text) //nolint:testifylint // not 64 KiB of it
			}
			assert.True(t, utf8.Valid(unknown.Body))
			if json.Valid([]byte(tt.body)) && name != "numbers" {
				assert.True(t, json.Valid(unknown.Body))
			}
		})
	}
}

// What is cut is masked first: not even a part of the key is kept.
func TestMaybeCreatedError_BodyHasNoPartOfTheKey(t *testing.T) {
	t.Parallel()
	for _, around := range []struct {
		head, tail string
		near       []int // where the key may be cut
	}{
		{`{"x":"`, strings.Repeat("y", 100_000) + `"}`, []int{8 << 10}},
		{`{"x":[` + strings.Repeat(`"`+strings.Repeat("y", 3000)+`",`, 60) + `"`, strings.Repeat("y", 3000) + `"]}`, []int{1 << 10}},
		{`{"x":[` + strings.Repeat(`"`+strings.Repeat("y", 300)+`",`, 500) + `"`, strings.Repeat("y", 300) + `"]}`, []int{64}},
		{"", strings.Repeat("y", 100_000), []int{32 << 10, 100_000 - 32<<10, 100_000 - 34<<10}},
	} {
		for _, near := range around.near {
			for n := near - 40; n < near+20; n++ {
				text := strings.Repeat("y", n) + testkit.Key
				if around.head == "" {
					text += around.tail[min(len(text), len(around.tail)):]
				} else {
					text = around.head + text + around.tail
				}
				_, err := clientWithReply(t, http.StatusOK, text).Reference2Video(t.Context(), smallRequest())
				body := string(unknownOutcome(t, err).Body)
				require.False(t, strings.Contains(body, testkit.Key[:6]) || strings.Contains(body, testkit.Key[len(testkit.Key)-6:]), "%d", n)
			}
		}
	}
}

// Tasks are looked for through eight levels of nesting. What is deeper may be one.
func TestRefusal_DeepAnswers(t *testing.T) {
	t.Parallel()
	for _, level := range [][2]string{{"[", "]"}, {`{"a":`, "}"}} {
		nested := func(n int, inner string) error {
			body := `{"x":` + strings.Repeat(level[0], n) + inner + strings.Repeat(level[1], n) + `}`
			_, err := clientWithReply(t, http.StatusBadRequest, body).Reference2Video(t.Context(), smallRequest())
			return err
		}
		assert.Equal(t, "7", unknownOutcome(t, nested(6, `{"task_id":"7"}`)).TaskID)
		assert.Empty(t, unknownOutcome(t, nested(7, `{"task_id":"7"}`)).TaskID)
		assertNotCreated(t, nested(7, `"{x}"`))
		assert.Empty(t, unknownOutcome(t, nested(7, `"{\"task_id\":\"7\"}"`)).TaskID)
	}
}
