package vidu_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
	"github.com/vidu-go/vidu/internal/transport"
	"github.com/vidu-go/vidu/vidutest"
)

// newClient makes a client for a fault test: three attempts and no pause between them.
func newClient(t *testing.T, baseURL string, opts ...vidu.Option) *vidu.Client {
	t.Helper()
	client, err := vidu.NewClient(baseURL, testkit.Key, append([]vidu.Option{
		vidu.WithMaxAttempts(3), vidu.WithBackoff(func(int) time.Duration { return 0 }),
	}, opts...)...)
	require.NoError(t, err)
	return client
}

// smallRequest is the example of the published gateway contract.
func smallRequest() *vidu.Reference2VideoRequest {
	return &vidu.Reference2VideoRequest{
		Model:   vidu.ModelQ2Pro,
		Images:  []vidu.Media{vidu.URL("https://example.com/hero.png")},
		Prompt:  "The astronaut waved and the camera moved up.",
		Payload: "job-42",
	}
}

// bigRequest is more than the buffers between two sockets hold, so that a server which does not read stalls it.
func bigRequest(t *testing.T) *vidu.Reference2VideoRequest {
	t.Helper()
	req := smallRequest()
	req.Images = []vidu.Media{vidu.Bytes(testkit.BigPNG(t, 14<<20))}
	return req
}

// longestTest is how much virtual time a test may take. A wait that never ends fails after that, instead of hanging.
const longestTest = 30 * 24 * time.Hour

// withTransport answers every request with f.
func withTransport(f testkit.RoundTrip) vidu.Option {
	started := time.Now()
	return vidu.WithHTTPClient(&http.Client{Transport: testkit.RoundTrip(func(r *http.Request) (*http.Response, error) {
		if time.Since(started) > longestTest {
			return testkit.Reply(r, http.StatusBadRequest, `{"message":"the test takes too long"}`)
		}
		return f(r)
	})})
}

const (
	createdReply = `{"task_id":"1","state":"created"}`
	someHost     = "https://gateway.example.com"
)

// newTasks returns the replies to creates, each about a task of its own, from 1 on.
func newTasks() func() string {
	var n atomic.Int64
	return func() string { return fmt.Sprintf(`{"task_id":"%d","state":"created"}`, n.Add(1)) }
}

// about returns a reply that is about task 1 as one about the task that was asked for.
func about(r *http.Request, reply string) string {
	return strings.Replace(reply, `"id":"1"`, fmt.Sprintf(`"id":%q`, path.Base(path.Dir(r.URL.Path))), 1)
}

// rig is a client, its own transports, and what a row looks at besides errors.
type rig struct {
	*vidu.Client
	creates, reads *http.Transport // to be changed before the first call; nil where they are of another type
	pauses         atomic.Int64    // before another attempt
	open           atomic.Int64    // bodies of answers that nobody has closed yet
	read           atomic.Int64    // bytes of them
}

// newRig makes a client with three attempts and no pause between them. When the test ends no body may be open.
func newRig(t *testing.T, baseURL string, opts ...vidu.Option) *rig {
	t.Helper()
	r := &rig{}
	count := vidu.WithBackoff(func(int) time.Duration { r.pauses.Add(1); return 0 })
	r.Client = newClient(t, baseURL, append([]vidu.Option{count}, opts...)...)
	creates, reads, _ := r.Transports()
	r.creates, r.reads = r.tap(creates), r.tap(reads)
	t.Cleanup(func() {
		assert.Zero(t, r.open.Load(), "bodies left open")
		for _, transport := range []*http.Transport{r.creates, r.reads} {
			if transport != nil {
				transport.CloseIdleConnections()
			}
		}
	})
	return r
}

// tap puts itself before the transport of a route, which it returns.
func (r *rig) tap(route *transport.Route) *http.Transport {
	inner := route.Transport
	route.Transport = testkit.RoundTrip(func(req *http.Request) (*http.Response, error) {
		resp, err := inner.RoundTrip(req)
		if err == nil {
			r.open.Add(1)
			resp.Body = &tappedBody{ReadCloser: resp.Body, rig: r}
		}
		return resp, err
	})
	own, _ := inner.(*http.Transport)
	return own
}

type tappedBody struct {
	io.ReadCloser
	rig  *rig
	once sync.Once
}

func (b *tappedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.rig.read.Add(int64(n))
	return n, err
}

func (b *tappedBody) Close() error {
	b.once.Do(func() { b.rig.open.Add(-1) })
	return b.ReadCloser.Close()
}

// create sends the small request.
func (r *rig) create(t *testing.T) (*vidu.Task, error) {
	t.Helper()
	return r.Reference2Video(t.Context(), smallRequest())
}

// dialTo makes every connection with dialer, whatever the host.
func (r *rig) dialTo(dialer func(ctx context.Context, network, address string) (net.Conn, error)) {
	r.creates.DialContext, r.reads.DialContext = dialer, dialer
}

// pipes lets connections end in memory, where a synctest bubble can see that they wait.
func (r *rig) pipes(serve func(conn net.Conn)) {
	r.dialTo(func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			serve(theirs)
		}()
		return ours, nil
	})
}

// trust accepts the certificates in pool.
func (r *rig) trust(pool *x509.CertPool) {
	for _, transport := range []*http.Transport{r.creates, r.reads} {
		if transport.TLSClientConfig == nil {
			transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		transport.TLSClientConfig.RootCAs = pool
	}
}

// assertNotCreated checks a create that provably made no task, or a failed read.
func assertNotCreated(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	require.NotErrorIs(t, err, vidu.ErrMaybeCreated)
	testkit.AssertHarmless(t, err)
}

// unknownOutcome returns the error of a create whose outcome is unknown.
func unknownOutcome(t *testing.T, err error) *vidu.MaybeCreatedError {
	t.Helper()
	require.ErrorIs(t, err, vidu.ErrMaybeCreated)
	unknown, ok := errors.AsType[*vidu.MaybeCreatedError](err)
	require.True(t, ok)
	return unknown
}

// assertUnknownOutcome checks a create whose outcome is unknown.
func assertUnknownOutcome(t *testing.T, err error) {
	t.Helper()
	unknown := unknownOutcome(t, err)
	testkit.AssertHarmless(t, err)
	assert.Equal(t, "job-42", unknown.Payload, "the payload to look for")
	assert.False(t, unknown.From.IsZero() || unknown.To.Before(unknown.From), "the window to look in")
	assert.NotContains(t, strings.ToLower(err.Error()), "again")
}

// assertCreated checks a create that returned the task "1".
func assertCreated(t *testing.T, task *vidu.Task, err error) {
	t.Helper()
	require.NoError(t, err)
	assert.Equal(t, "1", task.ID)
}

// clientWithReply is a client whose every call gets the same answer.
func clientWithReply(tb testing.TB, status int, body string) *vidu.Client {
	tb.Helper()
	client, err := vidu.NewClient("https://gateway.example.com", testkit.Key, vidu.WithMaxAttempts(1),
		withTransport(func(r *http.Request) (*http.Response, error) { return testkit.Reply(r, status, body) }))
	require.NoError(tb, err)
	return client
}

// createFrom is what Reference2Video makes of a reply.
func createFrom(tb testing.TB, body string) (*vidu.Task, error) {
	tb.Helper()
	return clientWithReply(tb, http.StatusOK, body).Reference2Video(tb.Context(), smallRequest())
}

// queryFrom is what GetTask makes of a reply for the task "1".
func queryFrom(tb testing.TB, body string) (*vidu.Task, error) {
	tb.Helper()
	return clientWithReply(tb, http.StatusOK, body).GetTask(tb.Context(), "1")
}

func contractReply(tb testing.TB) []byte {
	tb.Helper()
	body, err := os.ReadFile("testdata/contract-reply.json")
	require.NoError(tb, err)
	return bytes.TrimSpace(body)
}

// knownReply is a file of testdata/replies: one reply that a server was seen to give, or is documented to, and what
// becomes of it. Another gateway's reply is one file more.
type knownReply struct {
	About    string          `json:"about"`
	Call     string          `json:"call,omitempty"`     // create, or query, which is the default
	Asked    string          `json:"asked,omitempty"`    // the id of the query; "": that of the task
	Reply    json.RawMessage `json:"reply,omitempty"`    // or
	Text     string          `json:"text,omitempty"`     // where it is no JSON
	Task     json.RawMessage `json:"task,omitempty"`     // as json.Marshal writes it
	Video    string          `json:"video,omitempty"`    // the link of Task.Video
	Warnings []string        `json:"warnings,omitempty"` // parts of them, in their order
	Error    string          `json:"error,omitempty"`    // a part of it, instead of a task
}

func (k *knownReply) body() string {
	if k.Text != "" {
		return k.Text
	}
	return string(k.Reply)
}

// asked returns the id that a query for this reply is about.
func (k *knownReply) asked(tb testing.TB) string {
	tb.Helper()
	if k.Asked != "" || k.Task == nil {
		return cmp.Or(k.Asked, "1")
	}
	var task struct{ ID string }
	require.NoError(tb, json.Unmarshal(k.Task, &task))
	return task.ID
}

// get returns what the call makes of the reply.
func (k *knownReply) get(tb testing.TB) (*vidu.Task, error) {
	tb.Helper()
	client := clientWithReply(tb, http.StatusOK, k.body())
	if k.Call == "create" {
		return client.Reference2Video(tb.Context(), smallRequest())
	}
	return client.GetTask(tb.Context(), k.asked(tb))
}

// knownReplies reads the corpus.
func knownReplies(tb testing.TB) map[string]*knownReply {
	tb.Helper()
	files, err := filepath.Glob("testdata/replies/*.json")
	require.NoError(tb, err)
	require.NotEmpty(tb, files)
	replies := map[string]*knownReply{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(tb, err)
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		reply := &knownReply{}
		require.NoError(tb, decoder.Decode(reply), file)
		require.NotEmpty(tb, reply.About, file)
		replies[strings.TrimSuffix(filepath.Base(file), ".json")] = reply
	}
	return replies
}

// corpusBodies are the starting points of the fuzz targets.
func corpusBodies(tb testing.TB) []string {
	tb.Helper()
	var bodies []string
	for _, reply := range knownReplies(tb) {
		bodies = append(bodies, reply.body())
	}
	slices.Sort(bodies)
	return bodies
}

const (
	processingReply = `{"id":"1","state":"processing"}`
	succeededReply  = `{"id":"1","state":"success","creations":[{"id":"9","url":"https://h/x.mp4"}]}`
)

// canceledContext is a context that is over.
func canceledContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// scriptedClient is a client without retries whose answers come from a script. It belongs into a synctest bubble.
func scriptedClient(t *testing.T, answer replyFunc) (*vidu.Client, *scriptedTransport) {
	t.Helper()
	p := &scriptedTransport{started: time.Now(), answer: answer}
	return newClient(t, "https://gateway.example.com", vidu.WithMaxAttempts(1), withTransport(p.RoundTrip)), p
}

// replyFunc answers the n-th apiQuery, from 0.
type replyFunc func(r *http.Request, n int) (*http.Response, error)

// scriptedTransport plays a script and records when the API was asked, from the start of the test.
type scriptedTransport struct {
	started time.Time
	answer  replyFunc

	mu sync.Mutex
	at []time.Duration
}

func (p *scriptedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	p.at = append(p.at, time.Since(p.started))
	n := len(p.at) - 1
	p.mu.Unlock()
	if n > tooMany {
		return testkit.Reply(r, http.StatusUnauthorized, "")
	}
	return p.answer(r, n)
}

// replyScript gives one body after the other, and the last one for ever.
func replyScript(bodies ...string) replyFunc {
	return func(r *http.Request, n int) (*http.Response, error) {
		return testkit.Reply(r, http.StatusOK, bodies[min(n, len(bodies)-1)])
	}
}

// officialServer is a fake of the official API in memory and a client for it.
func officialServer(t *testing.T, server []vidutest.Option, opts ...vidu.Option) (*vidutest.Server, *rig) {
	t.Helper()
	fake := vidutest.NewServer(append([]vidutest.Option{
		vidutest.InMemory(), vidutest.WithOfficialAPI(), vidutest.WithAPIKey(testkit.Key), vidutest.WithTiming(0, 0),
	}, server...)...)
	t.Cleanup(fake.Close)
	return fake, newRig(t, fake.URL, append([]vidu.Option{vidu.WithOfficialAPI(), vidu.WithHTTPClient(fake.Client())}, opts...)...)
}

// recordedClient is a client of the official API that talks to a recorder. It does not retry.
func recordedClient(t *testing.T, answer func(req *http.Request) (int, string), opts ...vidu.Option) (*vidu.Client, *recorder) {
	t.Helper()
	rec := &recorder{answer: answer}
	opts = append([]vidu.Option{vidu.WithOfficialAPI(), vidu.WithMaxAttempts(1), vidu.WithHTTPClient(&http.Client{Transport: rec})}, opts...)
	return newRig(t, someHost, opts...).Client, rec
}

// recorder is a transport that keeps what was asked and answers each request with what answer says, "" for 404.
type recorder struct {
	asked  []string // method, path and, decoded, query
	answer func(req *http.Request) (status int, body string)
}

func (rec *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	query, err := url.QueryUnescape(req.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	rec.asked = append(rec.asked, strings.TrimSuffix(req.Method+" "+req.URL.Path+"?"+query, "?"))
	status, body := rec.answer(req)
	return testkit.Reply(req, status, body)
}

// finishedTask is a task whose video is at link.
func finishedTask(link string) *vidu.Task {
	return &vidu.Task{ID: "42", State: vidu.StateSuccess, Creations: []vidu.Creation{{
		URL: link, CoverURL: link + "&cover", WatermarkedURL: link + "&watermarked",
	}}}
}

// problemFields lists the fields that a ValidationError complains about.
func problemFields(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var invalid *vidu.ValidationError
	require.ErrorAs(t, err, &invalid)
	fields := make([]string, len(invalid.Problems))
	for i, problem := range invalid.Problems {
		assert.NotEmpty(t, problem.Reason)
		fields[i] = problem.Field
	}
	return fields
}

const (
	imageLink  = "https://example.com/hero.png"
	createPath = "/vidu/v2/reference2video"
)

func imageLinks(n int) []vidu.Media { return slices.Repeat([]vidu.Media{vidu.URL(imageLink)}, n) }

// assertSecretFree checks an error of a download or an upload: nothing of a presigned link may be in it.
func assertSecretFree(t *testing.T, err error) {
	t.Helper()
	testkit.AssertHarmless(t, err)
	testkit.AssertSecretFree(t, err)
}

// fakeAPI is an API in memory, for a synctest bubble, that keeps tasks which end at a known time.
type fakeAPI struct {
	started time.Time
	latency time.Duration
	work    time.Duration            // of a task that is created
	ends    map[string]time.Duration // a task that is not in it does not exist
	failing map[string]bool
	unlist  map[string]bool                                 // not in the list
	instead func(r *http.Request) (status int, body string) // 0: the real answer
	header  http.Header                                     // of what comes instead

	mu      sync.Mutex
	created int
	asked   []apiQuery // for tasks
	most    int        // at once
	now     int
}

// apiQuery is one request.
type apiQuery struct {
	at  time.Duration
	ids []string // of a list several
}

func (f *fakeAPI) RoundTrip(r *http.Request) (*http.Response, error) {
	f.enter(r)
	defer f.leave()
	timer := time.NewTimer(f.latency)
	defer timer.Stop()
	select {
	case <-r.Context().Done():
		return nil, r.Context().Err()
	case <-timer.C:
	}
	if f.count() > tooMany {
		return testkit.Reply(r, http.StatusUnauthorized, "")
	}
	if f.instead != nil {
		if status, body := f.instead(r); status != 0 {
			resp, err := testkit.Reply(r, status, body)
			resp.Header = cmp.Or(&f.header, &resp.Header).Clone()
			return resp, err
		}
	}
	if r.Method == http.MethodPost {
		return testkit.Reply(r, http.StatusOK, f.create())
	}
	if isListQuery(r) {
		return testkit.Reply(r, http.StatusOK, f.list(r.URL.Query()["task_ids"]))
	}
	status, body := f.task(path.Base(path.Dir(r.URL.Path)))
	return testkit.Reply(r, status, body)
}

func isListQuery(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/tasks") }

func (f *fakeAPI) enter(r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := apiQuery{time.Since(f.started), []string{path.Base(path.Dir(r.URL.Path))}}
	if isListQuery(r) {
		q.ids = r.URL.Query()["task_ids"]
	}
	if r.Method == http.MethodGet {
		f.asked = append(f.asked, q)
	}
	f.now++
	f.most = max(f.most, f.now)
}

func (f *fakeAPI) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now--
}

// create makes a task. Its id is its number, from 1.
func (f *fakeAPI) create() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.created++
	id := strconv.Itoa(f.created)
	f.ends[id] = time.Since(f.started) + f.work
	return `{"task_id":"` + id + `","state":"created"}`
}

func (f *fakeAPI) state(id string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch ends, ok := f.ends[id]; {
	case !ok:
		return ""
	case time.Since(f.started) < ends:
		return "processing"
	case f.failing[id]:
		return "failed"
	}
	return "success"
}

func (f *fakeAPI) task(id string) (status int, body string) {
	switch state := f.state(id); state {
	case "":
		return http.StatusNotFound, `{"reason":"TaskNotFound"}`
	case "success":
		return http.StatusOK, `{"id":"` + id + `","state":"success","payload":"in full","creations":[{"url":"https://h/` + id + `.mp4"}]}`
	default:
		return http.StatusOK, `{"id":"` + id + `","state":"` + state + `","progress":40}`
	}
}

func (f *fakeAPI) list(ids []string) string {
	var items []string
	for _, id := range ids {
		if state := f.state(id); state != "" && !f.unlist[id] {
			items = append(items, `{"id":"`+id+`","state":"`+state+`","model":"viduq2-pro","creations":[{"url":"https://h/`+id+`.mp4"}]}`)
		}
	}
	return `{"tasks":[` + strings.Join(items, ",") + `],"next_page_token":""}`
}

func (f *fakeAPI) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.asked)
}

func (f *fakeAPI) busy() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// lists are the requests for several tasks, singles those for one.
func (f *fakeAPI) lists() (lists, singles []apiQuery) {
	for _, q := range f.asked {
		if len(q.ids) > 1 {
			lists = append(lists, q)
		} else {
			singles = append(singles, q)
		}
	}
	return lists, singles
}

// client has the retries that a user's has.
func (f *fakeAPI) client(t *testing.T, opts ...vidu.Option) *vidu.Client {
	t.Helper()
	f.started = time.Now()
	client, err := vidu.NewClient("https://gateway.example.com", testkit.Key, append(opts, vidu.WithHTTPClient(&http.Client{Transport: f}))...)
	require.NoError(t, err)
	return client
}

// newFakeAPI has n tasks named 0, 1, … that end after each its time.
func newFakeAPI(n int, ends func(i int) time.Duration) *fakeAPI {
	f := &fakeAPI{latency: 100 * time.Millisecond, ends: map[string]time.Duration{}, failing: map[string]bool{}, unlist: map[string]bool{}}
	for i := range n {
		f.ends[strconv.Itoa(i)] = ends(i)
	}
	return f
}

// newTask has the client create a task that takes so long, and returns its id.
func (f *fakeAPI) newTask(t *testing.T, client *vidu.Client, work time.Duration, callback bool) (id string) {
	t.Helper()
	f.work = work
	req := smallRequest()
	if callback {
		req.CallbackURL = "https://example.com/callback"
	}
	task, err := client.Reference2Video(t.Context(), req)
	require.NoError(t, err)
	return task.ID
}

// teach has the client learn that tasks take 30 s.
func (f *fakeAPI) teach(t *testing.T, client *vidu.Client) {
	t.Helper()
	for range 8 {
		id := f.newTask(t, client, 30*time.Second, false)
		_, err := client.Wait(boundedContext(t), id, vidu.WithPollInterval(time.Second))
		require.NoError(t, err)
	}
	f.asked = nil
}

// sendCallbacks has callbacks report the ends of three tasks, after which the client relies on them.
func (f *fakeAPI) sendCallbacks(t *testing.T, client *vidu.Client) {
	t.Helper()
	for range 3 {
		id := f.newTask(t, client, time.Minute, true)
		time.AfterFunc(time.Minute, func() { client.Wake(id) })
		_, err := client.Wait(boundedContext(t), id, vidu.WithPollInterval(time.Hour))
		require.NoError(t, err)
	}
	f.asked = nil
}

// times are when tasks were asked for, from the start.
func (f *fakeAPI) times() (at []time.Duration) {
	for _, q := range f.asked {
		at = append(at, q.at)
	}
	return at
}

// noJitter makes schedules exact.
func noJitter() float64 { return 0.5 }

// boundedContext lets a wait in virtual time fail instead of hanging.
func boundedContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 1000*time.Hour)
	t.Cleanup(cancel)
	return ctx
}

// tooMany queries end a wait: one without pauses would go on for ever without any virtual time.
const tooMany = 20_000

// promptContext does the same for a wait in real time that is over at once.
func promptContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// subprocesses are what tests start this binary for, in a process of its own. An error is printed and the status is 1.
var subprocesses = map[string]func(args []string) error{}

const subprocessVariable = "VIDU_TEST_SUBPROCESS"

// subprocess returns the command that runs one of subprocesses.
func subprocess(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	require.Contains(t, subprocesses, name)
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), subprocessVariable+"="+name)
	return cmd
}

func TestMain(m *testing.M) {
	if body, ok := subprocesses[os.Getenv(subprocessVariable)]; ok {
		if err := body(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"} { // no proxy for the names in these tests
		_ = os.Unsetenv(name)
		_ = os.Unsetenv(strings.ToLower(name))
	}
	goleak.VerifyTestMain(m)
}
