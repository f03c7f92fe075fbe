package vidu_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// rawReplies is a rig whose server answers every request with head and body, which may be endless.
func rawReplies(t *testing.T, head string, body func() io.Reader) (*rig, *testkit.Server) {
	t.Helper()
	r, w := newRig(t, "http://127.0.0.1"), &testkit.Server{}
	r.pipes(testkit.AnswerEach(w, func(conn net.Conn) {
		io.WriteString(conn, "HTTP/1.1 "+head+"\r\n\r\n")
		io.Copy(conn, body()) //nolint:errcheck // until the client closes it
		conn.Close()
	}))
	return r, w
}

// endlessText repeats itself for ever.
type endlessText string

func (f endlessText) Read(p []byte) (int, error) { return copy(p, f), nil }

var (
	spaces  = endlessText(strings.Repeat(" ", 64<<10))
	letters = endlessText(strings.Repeat("A", 64<<10))
)

const (
	createLimit = 32 << 20
	queryLimit  = 16 << 20
	listLimit   = 64 << 20
)

func TestReply_CompressionBomb(t *testing.T) { //nolint:paralleltest // it measures what the process allocates
	bomb := strings.Repeat(testkit.Gzip(t, strings.Repeat(" ", 1<<20)), 256) // 256 MiB in 256 KiB
	r, w := rawReplies(t, fmt.Sprintf("200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d", len(bomb)), func() io.Reader { return strings.NewReader(bomb) })
	var createErr, queryErr error
	allocated := testkit.Allocations(func() {
		_, createErr = r.create(t)
		_, queryErr = r.GetTask(t.Context(), "1")
	})
	assertUnknownOutcome(t, createErr)
	assertNotCreated(t, queryErr)
	t.Logf("allocated %d KiB for two bombs of %d KiB", allocated>>10, len(bomb)>>10)
	assert.Less(t, allocated, int64(16<<20), "it stays compressed")
	assert.Equal(t, int64(2), w.Requests.Load())
}

func TestReply_Endless(t *testing.T) { //nolint:paralleltest // it measures what the process allocates
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
				r, w := rawReplies(t, head, func() io.Reader { return spaces })
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

func TestReply_EndlessErrorBody(t *testing.T) { //nolint:paralleltest // it measures what the process allocates
	for status, check := range map[string]func(t *testing.T, err error){"400 Bad Request": assertNotCreated, "502 Bad Gateway": assertUnknownOutcome} {
		r, _ := rawReplies(t, status+"\r\nContent-Length: 10000000000", func() io.Reader { return letters })
		var err error
		allocated := testkit.Allocations(func() { _, err = r.create(t) })
		check(t, err)
		const drained = 64 << 10 // in the hope that the connection stays usable
		assert.LessOrEqual(t, r.read.Load(), int64(vidu.MaxErrorReply+drained+1024))
		assert.Less(t, allocated, int64(1<<20))
	}
}

func TestReply_EndlessEarlyHints(t *testing.T) { //nolint:paralleltest // it measures what the process allocates
	synctest.Test(t, func(t *testing.T) {
		var sent atomic.Int64
		w := &testkit.Server{}
		r := newRig(t, "http://127.0.0.1")
		r.pipes(testkit.AnswerEach(w, func(conn net.Conn) {
			sent.Add(testkit.Flood(conn, "", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 25)))
		}))
		var err error
		allocated := testkit.Allocations(func() { _, err = r.create(t) })
		assertUnknownOutcome(t, err)
		synctest.Wait()
		assert.LessOrEqual(t, sent.Load(), int64(64<<10+8<<10), "64 KiB and a buffer")
		assert.Equal(t, int64(1), w.Requests.Load())
		t.Logf("sent %d bytes, allocated %d", sent.Load(), allocated)
		assert.Less(t, allocated, int64(2<<20))
	})
}

// echo is a reply that holds inline images of the given size, before what is to be read.
func echo(size int, rest string) io.Reader {
	return io.MultiReader(
		strings.NewReader(`{"images":["data:image/png;base64,`), io.LimitReader(letters, int64(size)), strings.NewReader(`"],`+rest+`}`))
}

func TestReply_EchoOfInlineImages(t *testing.T) { //nolint:paralleltest // it measures what the process holds
	const size = 20 << 20
	r, w := rawReplies(t, "200 OK", func() io.Reader { return echo(size, `"task_id":"1","state":"created","prompt":"p"`) })
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

func TestListTasks_BigImagesAreDropped(t *testing.T) { //nolint:paralleltest // it measures what the process holds
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
	r, _ := rawReplies(t, "200 OK", page(600<<10/scale+10<<10))
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
	r, w := rawReplies(t, "200 OK", page(700<<10))
	_, err = r.ListTasks(t.Context(), nil)
	assertNotCreated(t, err)
	require.ErrorContains(t, err, "too large")
	assert.Equal(t, int64(1), w.Requests.Load())
}

func TestReply_UnknownFieldOfManyArrays(t *testing.T) { //nolint:paralleltest // it measures what the process holds
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

// verifications are ours and the two floors: the whole check by hand, and the HMAC alone.
func verifications(tb testing.TB) (ours, byHand, bare func() bool) {
	tb.Helper()
	r := callback(callbackNonce, "")
	text := []byte("POST\n/vidu/callback\nname=james&age=36\nvidu\n" + r.Header.Get("Date") + "\nDate:" + r.Header.Get("Date") + "\nx-request-nonce:" + callbackNonce + "\n")
	sum := func(text []byte) []byte {
		mac := hmac.New(sha256.New, []byte(callbackSecret))
		mac.Write(text)
		return mac.Sum(nil)
	}
	signature := sum(text)
	ours = func() bool { return vidu.VerifyCallback(r, callbackSecret) == nil }
	byHand = func() bool { return signAsListed(r, r.URL.Path) == r.Header.Get("X-Hmac-Signature") }
	bare = func() bool { return hmac.Equal(sum(text), signature) }
	return ours, byHand, bare
}

func BenchmarkVerifyCallback(b *testing.B) {
	ours, byHand, bare := verifications(b)
	for name, verify := range map[string]func() bool{"ours": ours, "floor": byHand, "hmac.New alone": bare} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !verify() {
					b.Fatal("refused")
				}
			}
		})
	}
}

func TestVerifyCallbackAllocations(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts the whole process
	ours, byHand, bare := verifications(t)
	require.True(t, ours() && byHand() && bare())
	n := testing.AllocsPerRun(1000, func() { ours() })
	t.Logf("%.0f allocations, by hand %.0f, hmac.New alone %.0f", n,
		testing.AllocsPerRun(1000, func() { byHand() }), testing.AllocsPerRun(1000, func() { bare() }))
	if !testkit.UnderRace() { // sync.Pool then drops things on purpose
		require.LessOrEqual(t, n, 1.0)
	}
}

// An unknown field costs no memory beyond its text.
func TestReply_UnknownFieldIsNotAmplified(t *testing.T) { //nolint:paralleltest // measures what the process allocates
	body := []byte(`{"id":"1","state":"success","x":[` + strings.Repeat("[],", 4<<20/3) + `[]]}`)
	task := &vidu.Task{}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	require.NoError(t, task.UnmarshalJSON(body))
	runtime.ReadMemStats(&after)

	assert.Equal(t, vidu.StateSuccess, task.State)
	ratio := float64(after.TotalAlloc-before.TotalAlloc) / float64(len(body))
	t.Logf("allocated %.3f × the reply", ratio)
	assert.LessOrEqual(t, ratio, 1.1)
}
