package vidu_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"go/version"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

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
	t.Logf("allocated %d MiB for two bombs of %d KiB", allocated>>20, len(bomb)>>10)
	assert.Less(t, allocated, int64(3*(createLimit+queryLimit)))
	require.ErrorContains(t, createErr, "larger than the limit")
	require.ErrorContains(t, queryErr, "larger than the limit")
	assert.Equal(t, int64(2), w.Requests.Load())
}

// Bytes that are not encoded are read, whatever the header calls them, and gzip is expanded, whoever asked for it.
func TestReply_Encodings(t *testing.T) {
	t.Parallel()
	packed := func(text string) string { return testkit.Gzip(t, text) }
	const query = `{"id":"916","state":"success","creations":[{"url":"https://h/v.mp4"}]}`
	for name, tt := range map[string]struct {
		encodings []string
		pack      func(string) string
	}{
		"plain":                 {nil, strings.Clone},
		"utf-8":                 {[]string{"utf-8"}, strings.Clone},
		"UTF8":                  {[]string{"UTF8"}, strings.Clone},
		"none":                  {[]string{"none"}, strings.Clone},
		"Identity":              {[]string{"Identity"}, strings.Clone},
		"aws-chunked":           {[]string{"aws-chunked"}, strings.Clone},
		"several":               {[]string{"identity, UTF-8 ,", "binary"}, strings.Clone},
		"empty":                 {[]string{""}, strings.Clone},
		"called gzip":           {[]string{"gzip"}, strings.Clone},
		"called br":             {[]string{"br"}, strings.Clone},
		"called anything":       {[]string{"zstd", "x"}, strings.Clone},
		"a byte order mark":     {[]string{"br"}, func(s string) string { return "\uFEFF" + s }},
		"gzip":                  {[]string{"gzip"}, packed},
		"X-GZIP":                {[]string{"X-GZIP"}, packed},
		"gzip, said by nobody":  {nil, packed},
		"gzip called identity":  {[]string{"identity"}, packed},
		"gzip called br":        {[]string{"br"}, packed},
		"gzip twice":            {[]string{"gzip, gzip"}, func(s string) string { return packed(packed(s)) }},
		"gzip in pieces":        {[]string{"gzip"}, func(s string) string { return packed(s[:9]) + packed("") + packed(s[9:]) }},
		"gzip and a line break": {[]string{"gzip"}, func(s string) string { return packed(s) + "\r\n" }},
		"gzip and zeros":        {[]string{"gzip"}, func(s string) string { return packed(s) + strings.Repeat("\x00", 512) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := func(status int, reply string) *vidu.Client {
				return newClient(t, someHost, vidu.WithMaxAttempts(1), withTransport(func(r *http.Request) (*http.Response, error) {
					resp, err := testkit.Reply(r, status, tt.pack(reply))
					for _, encoding := range tt.encodings {
						resp.Header.Add("Content-Encoding", encoding)
					}
					return resp, err
				}))
			}
			task, err := answer(200, createdReply).Reference2Video(t.Context(), smallRequest())
			assertCreated(t, task, err)
			task, err = answer(200, query).GetTask(t.Context(), "916")
			require.NoError(t, err)
			video, ok := task.Video()
			assert.True(t, ok)
			assert.Equal(t, "https://h/v.mp4", video.URL)
			assert.JSONEq(t, query, strings.TrimPrefix(string(task.RawJSON()), "\uFEFF"))
			_, err = answer(400, envelope(400, vidu.ErrFieldInvalid)).Reference2Video(t.Context(), smallRequest())
			assertNotCreated(t, err)
			require.ErrorIs(t, err, vidu.ErrFieldInvalid)
		})
	}
}

// The id that came before the break is not lost because it was packed.
func TestReply_CutGzip(t *testing.T) {
	t.Parallel()
	reply := `{"task_id":"916","state":"created","prompt":"` + strings.Repeat("1 2 4 8 16 ", 500) + rand.Text() + rand.Text() + `"}`
	packed := testkit.Gzip(t, reply)
	broken := []byte(packed)
	broken[len(broken)-5] ^= 1 // in the checksum
	for name, body := range map[string]io.Reader{
		"cleanly":                strings.NewReader(packed[:len(packed)-20]),
		"before its checksum":    strings.NewReader(packed[:len(packed)-8]),
		"in its checksum":        strings.NewReader(packed[:len(packed)-1]),
		"with the connection":    io.MultiReader(strings.NewReader(packed[:len(packed)-20]), testkit.FailingReader{Err: io.ErrUnexpectedEOF}),
		"another checksum":       bytes.NewReader(broken),
		"with its first reading": iotest.DataErrReader(io.MultiReader(strings.NewReader(packed[:len(packed)-20]), testkit.FailingReader{Err: io.ErrUnexpectedEOF})),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, someHost, withTransport(func(r *http.Request) (*http.Response, error) {
				resp, err := testkit.Reply(r, 200, "")
				resp.ContentLength, resp.Body = -1, io.NopCloser(body)
				return resp, err
			}))
			task, err := client.Reference2Video(t.Context(), smallRequest())
			if unknown, ok := errors.AsType[*vidu.MaybeCreatedError](err); ok {
				assert.Equal(t, "916", unknown.TaskID)
				assert.Contains(t, string(unknown.Body), `"task_id":"916"`)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, "916", task.ID)
		})
	}
	for _, size := range []int{2, 3, 9, 10, 12} {
		client := clientWithReply(t, 200, packed[:size])
		_, err := client.Reference2Video(t.Context(), smallRequest())
		assertUnknownOutcome(t, err)
		require.ErrorContains(t, err, "its gzip is broken")
	}
}

// A body that never gives anything and never ends ends the call, as do gzip without an end and gzip of nothing.
func TestReply_Stuck(t *testing.T) {
	t.Parallel()
	empty := testkit.Gzip(t, "")
	const stuck, tooLarge = "multiple Read calls return no data or error", "larger than the limit"
	for name, tt := range map[string]struct {
		text string
		end  io.Reader
		says string
	}{
		"at once":         {"", testkit.StuckReader{}, stuck},
		"in the reply":    {`{"task_id":`, testkit.StuckReader{}, stuck},
		"in the magic":    {"\x1f", testkit.StuckReader{}, stuck},
		"in the head":     {empty[:5], testkit.StuckReader{}, stuck},
		"in the gzip":     {empty[:12], testkit.StuckReader{}, stuck},
		"behind the gzip": {empty, testkit.StuckReader{}, stuck},
		"gzip of nothing": {strings.Repeat(empty, 33<<20/len(empty)), testkit.FailingReader{Err: io.EOF}, tooLarge},
	} {
		for _, status := range []int{200, 400} {
			t.Run(fmt.Sprint(name, " ", status), func(t *testing.T) {
				t.Parallel()
				client := newClient(t, someHost, vidu.WithMaxAttempts(1), withTransport(func(r *http.Request) (*http.Response, error) {
					resp, err := testkit.Reply(r, status, "")
					resp.ContentLength, resp.Body = -1, io.NopCloser(io.MultiReader(strings.NewReader(tt.text), tt.end))
					return resp, err
				}))
				_, err := client.Reference2Video(t.Context(), smallRequest())
				require.Error(t, err)
				if status == 200 {
					assertUnknownOutcome(t, err)
					require.ErrorContains(t, err, tt.says)
				}
			})
		}
	}
}

// A caller whose context has ended does not wait until a big reply is decoded; that to a create is: it may name a task.
func TestReply_ContextEndsWithTheBody(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		size  int
		ended bool
	}{"big": {2 << 20, true}, "small": {1000, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var cancel context.CancelCauseFunc
			errStop := errors.New("stop")
			client := newClient(t, someHost, withTransport(func(r *http.Request) (*http.Response, error) {
				resp, err := testkit.Reply(r, 200, "")
				reply := `{"task_id":"1","id":"1","state":"created","prompt":"` + strings.Repeat("x", tt.size) + `"}`
				resp.ContentLength, resp.Body = -1, io.NopCloser(io.MultiReader(strings.NewReader(reply), funcReader(func() { cancel(errStop) })))
				return resp, err
			}))
			ctx, stopQuery := context.WithCancelCause(t.Context())
			defer stopQuery(nil)
			cancel = stopQuery
			task, err := client.GetTask(ctx, "1")
			if tt.ended {
				require.ErrorIs(t, err, context.Canceled)
				assert.Nil(t, task)
			} else {
				require.NoError(t, err)
			}
			ctx, stopCreate := context.WithCancelCause(t.Context())
			defer stopCreate(nil)
			cancel = stopCreate
			task, err = client.Reference2Video(ctx, smallRequest())
			require.NoError(t, err)
			assert.Equal(t, "1", task.ID)
			require.Error(t, ctx.Err())
		})
	}
}

// funcReader calls a function and ends.
type funcReader func()

func (f funcReader) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
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
				require.ErrorContains(t, err, "larger than the limit", what)
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
	require.ErrorContains(t, err, "larger than the limit")
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

// The gates below compare with the floor, which is what a careful engineer writes by hand for the same work: net/http,
// encoding/json, typed structs, and none of this package's promises. Both are measured in the same run, and every limit
// is what was measured when it was set. Allocations are exact, so no noise hides a change.

// beforeGo127 reports whether encoding/json is the old one. Since Go 1.27 it allocates less, and so does the floor.
func beforeGo127() bool { return version.Compare(version.Lang(runtime.Version()), "go1.27") < 0 }

type floorRequest struct {
	Model             string   `json:"model"`
	Images            []string `json:"images"`
	Prompt            string   `json:"prompt"`
	Duration          int      `json:"duration"`
	Seed              int      `json:"seed"`
	Resolution        string   `json:"resolution"`
	MovementAmplitude string   `json:"movement_amplitude"`
	OffPeak           bool     `json:"off_peak"`
}

type floorTask struct {
	TaskID            string    `json:"task_id"`
	ID                string    `json:"id"`
	Type              string    `json:"type"`
	State             string    `json:"state"`
	Model             string    `json:"model"`
	Style             string    `json:"style"`
	Prompt            string    `json:"prompt"`
	Images            []string  `json:"images"`
	Duration          int       `json:"duration"`
	Seed              int       `json:"seed"`
	AspectRatio       string    `json:"aspect_ratio"`
	Resolution        string    `json:"resolution"`
	MovementAmplitude string    `json:"movement_amplitude"`
	CreatedAt         time.Time `json:"created_at"`
	Credits           int       `json:"credits"`
	Payload           string    `json:"payload"`
	Priority          int       `json:"cus_priority"`
	OffPeak           bool      `json:"off_peak"`
	Watermark         bool      `json:"watermark"`
	IsRec             bool      `json:"is_rec"`
	WMPosition        string    `json:"wm_position"`
	WMURL             string    `json:"wm_url"`
	MetaData          string    `json:"meta_data"`
	ErrCode           string    `json:"err_code"`
	Progress          float64   `json:"progress"`
	Creations         []struct {
		ID             string `json:"id"`
		URL            string `json:"url"`
		CoverURL       string `json:"cover_url"`
		WatermarkedURL string `json:"watermarked_url"`
	} `json:"creations"`
}

type floorClient struct {
	base, key string
	http      *http.Client
}

func (f *floorClient) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, f.base+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+f.key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := f.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("HTTP %d: %s", resp.StatusCode, text)
	}
	return json.Unmarshal(text, out)
}

// canned is a transport in memory that drains the request and always gives the same answer.
func canned(answer []byte) testkit.RoundTrip {
	return func(r *http.Request) (*http.Response, error) {
		if r.Body != nil {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return nil, err
			}
			r.Body.Close()
		}
		return &http.Response{
			StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
			Body: io.NopCloser(bytes.NewReader(answer)), ContentLength: int64(len(answer)),
		}, nil
	}
}

var pollReply = []byte(`{"id":"885482446060003328","state":"processing","err_code":"","credits":55,"payload":"","bgm":false,"off_peak":false,"creations":[]}`)

// smallCalls pairs each small call with the floor's.
func smallCalls(tb testing.TB) map[string]struct{ ours, floor func() error } {
	tb.Helper()
	const (
		link   = "https://prod-ss-images.s3.cn-northwest-1.amazonaws.com.cn/vidu-maas/template/image2video.png"
		prompt = "The astronaut waved and the camera moved up."
	)
	ctx := tb.Context()
	clients := func(answer []byte) (*vidu.Client, *floorClient) {
		httpClient := &http.Client{Transport: canned(answer)}
		client, err := vidu.NewClient("https://gateway.example.com", testkit.Key, vidu.WithHTTPClient(httpClient))
		require.NoError(tb, err)
		return client, &floorClient{base: "https://gateway.example.com/vidu/v2", key: testkit.Key, http: httpClient}
	}
	reply := testkit.ReadTestdata(tb, "contract-reply.json")
	id, created := bytes.Index(reply, []byte("885482446060003328")), 0
	creating, floorCreating := clients(reply)
	polling, floorPolling := clients(pollReply)
	return map[string]struct{ ours, floor func() error }{
		"Reference2Video": {
			ours: func() error {
				created++ // a task of its own
				strconv.AppendInt(reply[:id], int64(885482446060003328+created), 10)
				_, err := creating.Reference2Video(ctx, &vidu.Reference2VideoRequest{
					Model: vidu.ModelQ2Pro, Images: []vidu.Media{vidu.URL(link)}, Prompt: prompt,
					Duration: 5, Resolution: vidu.Resolution720p, MovementAmplitude: vidu.MovementAuto,
				})
				return err
			},
			floor: func() error {
				return floorCreating.do(ctx, http.MethodPost, "/reference2video", &floorRequest{
					Model: "viduq2-pro", Images: []string{link}, Prompt: prompt,
					Duration: 5, Resolution: "720p", MovementAmplitude: "auto",
				}, new(floorTask))
			},
		},
		"GetTask": {
			ours: func() error {
				_, err := polling.GetTask(ctx, "885482446060003328")
				return err
			},
			floor: func() error {
				return floorPolling.do(ctx, http.MethodGet, "/tasks/885482446060003328/creations", nil, new(floorTask))
			},
		},
	}
}

func TestSmallCallAllocations(t *testing.T) { //nolint:paralleltest // it measures what the whole process allocates
	if testkit.UnderRace() {
		t.Skip("the race detector empties pools")
	}
	type limit struct{ count, size float64 } // of the floor's
	limits := map[string]limit{"Reference2Video": {0.81, 0.83}, "GetTask": {0.78, 0.88}}
	if beforeGo127() {
		limits = map[string]limit{"Reference2Video": {0.55, 0.76}, "GetTask": {0.58, 0.81}}
	}
	for name, call := range smallCalls(t) {
		ours, oursSize := perRun(func() { require.NoError(t, call.ours()) })
		floor, floorSize := perRun(func() { require.NoError(t, call.floor()) })
		t.Logf("%s: %.0f allocations, floor %.0f, ratio %.2f; %.0f bytes, floor %.0f, ratio %.2f",
			name, ours, floor, ours/floor, oursSize, floorSize, oursSize/floorSize)
		assert.LessOrEqual(t, ours, limits[name].count*floor, name)
		assert.LessOrEqual(t, oursSize, limits[name].size*floorSize, name)
	}
}

// perRun returns what one run of f allocates: how often, and how many bytes.
func perRun(f func()) (count, size float64) {
	const runs = 200
	for range 1024 { // until the client remembers as many tasks as it ever does
		f()
	}
	size = float64(testkit.Allocations(func() {
		count = testing.AllocsPerRun(runs, f) // which runs it once more
	}))
	return count, size / (runs + 1)
}

func TestVerifyCallbackAllocations(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts the whole process
	if testkit.UnderRace() {
		t.Skip("the race detector empties pools")
	}
	r := callback(callbackNonce, "")
	ours, _ := perRun(func() { require.NoError(t, vidu.VerifyCallback(r, callbackSecret)) })
	floor, _ := perRun(func() { require.Equal(t, r.Header.Get("X-Hmac-Signature"), signAsListed(r, r.URL.Path)) })
	t.Logf("%.0f allocations, floor %.0f", ours, floor)
	assert.LessOrEqual(t, ours, 1.0, "the options")
	assert.Less(t, ours, floor/10)
}

// footprint is what waiting costs: bytes of heap and stacks, and goroutines.
type footprint struct{ bytes, goroutines int }

func measure() footprint {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers and pools kept
	runtime.ReadMemStats(&stats)
	return footprint{int(stats.HeapAlloc + stats.StackInuse), runtime.NumGoroutine()}
}

// crowd returns n ids of 18 digits each, as the API's.
func crowd(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = strconv.FormatInt(885482446060000000+int64(i)*7919, 10)
	}
	return ids
}

// crowded answers a list with every task as processing. Requests for one task hang.
func crowded(r *http.Request) (*http.Response, error) {
	if !isListQuery(r) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	var b strings.Builder
	b.WriteString(`{"tasks":[`)
	for i, id := range r.URL.Query()["task_ids"] {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`{"id":"` + id + `","state":"processing","model":"viduq2-pro"}`)
	}
	b.WriteString(`]}`)
	return testkit.Reply(r, http.StatusOK, b.String())
}

// costOfWaitAll returns what WaitAll holds for n tasks, each of which was polled once. As many queries for one task as
// it allows itself are in flight.
func costOfWaitAll(t *testing.T, n int) (cost footprint) {
	t.Helper()
	ids := crowd(n)
	synctest.Test(t, func(t *testing.T) {
		client, err := vidu.NewClient("https://gateway.example.com", testkit.Key, vidu.WithOfficialAPI(), withTransport(crowded))
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		before := measure()
		var waiting sync.WaitGroup
		waiting.Go(func() {
			for _, err := range client.WaitAll(ctx, ids, vidu.WithMaxPollRate(1e6), vidu.WithPollInterval(time.Hour)) {
				assert.ErrorIs(t, err, context.Canceled)
				break
			}
		})
		testkit.Pass(time.Minute)
		for _, id := range ids[:20] {
			client.Wake(id)
		}
		synctest.Wait()
		testkit.Pass(time.Second)
		after := measure()
		cost = footprint{after.bytes - before.bytes, after.goroutines - before.goroutines}
		cancel()
		waiting.Wait()
		runtime.KeepAlive(ids)
	})
	return cost
}

// costOfGoroutines returns what a goroutine for each task holds that polls once, with a request as small as can be, and
// then sleeps on a timer.
func costOfGoroutines(t *testing.T, n int) (cost footprint) {
	t.Helper()
	ids := crowd(n)
	synctest.Test(t, func(t *testing.T) {
		client := newClient(t, "https://gateway.example.com", vidu.WithMaxAttempts(1), withTransport(func(r *http.Request) (*http.Response, error) {
			return testkit.Reply(r, http.StatusOK, processingReply)
		}))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		before := measure()
		var waiting sync.WaitGroup
		for _, id := range ids {
			waiting.Go(func() {
				ticker := time.NewTicker(time.Hour)
				defer ticker.Stop()
				for ctx.Err() == nil {
					if task, err := client.GetTask(ctx, id); err != nil || task.Done() {
						return
					}
					select {
					case <-ctx.Done():
					case <-ticker.C:
					}
				}
			})
		}
		testkit.Pass(time.Minute)
		after := measure()
		cost = footprint{after.bytes - before.bytes, after.goroutines - before.goroutines}
		cancel()
		waiting.Wait()
	})
	return cost
}

// 100,000 waiting tasks cost a tenth of a goroutine and a timer for each.
func TestWaitAll_CostOfWaiting(t *testing.T) { //nolint:paralleltest // it measures the heap
	const baseline = 2_000
	n := 100_000
	if testkit.UnderRace() {
		n = 20_000 // it makes everything slow, and a task no larger
	}
	ours, floor := costOfWaitAll(t, n), costOfGoroutines(t, baseline)
	t.Logf("WaitAll: %d B a task, %d goroutines for %d; goroutine and timer: %d B a task, %d goroutines for %d",
		ours.bytes/n, ours.goroutines, n, floor.bytes/baseline, floor.goroutines, baseline)
	assert.LessOrEqual(t, ours.bytes/n, map[bool]int{false: 115, true: 130}[testkit.UnderRace()])
	assert.LessOrEqual(t, ours.goroutines, 17)
	assert.Less(t, 10*ours.bytes/n, floor.bytes/baseline)
}

// Whatever the file's size, a download allocates one buffer and little more, and not even that where an earlier one has
// left its own, for buffers are shared. The floor allocates a buffer for each.
func TestDownloadAllocations(t *testing.T) { //nolint:paralleltest // it counts for the whole process
	const size, link = 64 << 20, "https://h/v?a"
	transport := testkit.RoundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"video/mp4"}}, Request: r,
			Body: io.NopCloser(io.LimitReader(zeros{}, size)), ContentLength: size,
		}, nil
	})
	client, httpClient := newClient(t, someHost, withTransport(transport)), &http.Client{Transport: transport}
	task, path := finishedTask(link), filepath.Join(t.TempDir(), "v.mp4")
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which would throw the buffers away
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))  // each processor keeps one for itself
	first, ours := averageSize(t, size, func() (int64, error) {
		return client.DownloadFile(t.Context(), task, path, vidu.WithOverwrite())
	})
	_, floor := averageSize(t, size, func() (int64, error) { return fetchByHand(t.Context(), httpClient, link, path) })
	t.Logf("64 MiB: %d bytes allocated, %d the first time; floor %d", ours, first, floor)
	limit := int64(256 << 10)
	if testkit.UnderRace() { // when sync.Pool drops a quarter of what it is given
		limit += 32 << 10
		ours -= 208 << 10
	}
	assert.LessOrEqual(t, first, limit, "one buffer")
	assert.LessOrEqual(t, ours, floor*2/5)
}

// averageSize returns how many bytes do allocates the first time, and on average the next ten times.
func averageSize(t *testing.T, size int64, do func() (int64, error)) (first, next int64) {
	t.Helper()
	const times = 10
	once := func() {
		n, err := do()
		require.NoError(t, err)
		require.Equal(t, size, n)
	}
	first = testkit.Allocations(once)
	return first, testkit.Allocations(func() {
		for range times {
			once()
		}
	}) / times
}

// fetchByHand copies link into a file that is on the disk when it returns.
func fetchByHand(ctx context.Context, httpClient *http.Client, link, path string) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, http.NoBody)
	if err != nil {
		return 0, err
	}
	resp, err := httpClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, err := io.Copy(f, resp.Body)
	return n, errors.Join(err, f.Sync())
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
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

// repeatingReplies are of this size and repeat something, each of which could be decoded.
func repeatingReplies(size int) map[string]string {
	fill := func(head, repeated, tail string) string {
		return head + strings.Repeat(repeated, (size-len(head)-len(tail))/len(repeated)) + tail
	}
	const head, tail = `{"task_id":"1","state":"created",`, `"x":1}`
	return map[string]string{
		"creations":             fill(head, `"creations":[{},{},{},{},{},{},{},{},{},{}],`, tail),
		"links of one creation": fill(head+`"creations":[{`, `"url":"\n","cover_url":"\n",`, `"id":"1"}],`+tail),
		"creations, a list":     fill(head+`"creations":[`, `{},`, `{}],`+tail),
		"images":                fill(head, `"images":["","","","","","",""],`, tail),
		"images, many":          fill(head+`"images":[`, `"",`, `""],`+tail),
		"moderation":            fill(head+`"creations":[`, `{"moderation_url":["","","","","","","","","","",""]},`, `{}],`+tail),
		"escaped keys":          fill(head, `"\u0061":1,`, tail),
		"escaped texts":         fill(head, `"prompt":"\n",`, tail),
		"an escaped text":       fill(head+`"prompt":"`, `\/aaa`, `",`+tail),
		"ids":                   fill(head, `"task_id":"1",`, tail),
		"odd ids":               fill(head, `"id":"a/b",`, tail),
		"states":                fill(head, `"state":"created",`, tail),
		"numbers":               fill(head, `"credits":7.5,`, tail),
		"times":                 fill(head, `"created_at":"2025-11-10T15:03:01Z",`, tail),
		"codes":                 fill(head, `"code":"\n","message":"\n",`, tail),
		"errors":                fill(head, `"error":{"code":"\n"},`, tail),
		"an error of many":      fill(head+`"error":{`, `"code":"\n",`, `"x":1},`+tail),
		"nested errors":         fill(head, `"error":{`, ``),
		"nested data":           fill(head, `"data":{`, ``),
		"data":                  fill(head+`"data":{`, `"creations":[{},{},{}],"code":"ok",`, `"x":1},`+tail),
		"unreadable":            fill(head, `"seed":{},`, tail),
	}
}

// A reply to a create is read whatever it holds, for it was paid for: it costs its text and little more.
func TestReply_HostileCreates(t *testing.T) { //nolint:paralleltest // it measures what the process allocates
	size, limit := 31<<20, createLimit
	if testkit.UnderRace() {
		size, limit = size/8, limit/8
	}
	for name, body := range repeatingReplies(size) {
		client := clientWithReply(t, http.StatusOK, body)
		var task *vidu.Task
		started := time.Now()
		allocated := testkit.Allocations(func() { task, _ = client.Reference2Video(t.Context(), smallRequest()) })
		t.Logf("%s: allocated %.2f × the reply, %v", name, float64(allocated)/float64(size), time.Since(started))
		if assert.NotNil(t, task, name) {
			assert.Equal(t, "1", task.ID, name)
		}
		const search = 4 << 20 // for ids, which is bounded by itself
		assert.LessOrEqual(t, allocated, int64(3*limit+search), name)
	}
}

// A query that nobody waits for any more ends soon, and so does a list.
func TestReply_HostileQueries(t *testing.T) { //nolint:paralleltest // it measures time
	size, limit := 15<<20, queryLimit
	if testkit.UnderRace() {
		size, limit = size/8, limit/8
	}
	const quick = 500 * time.Millisecond
	ask := func(name, body string) (took time.Duration) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := time.Now()
		allocated := testkit.Allocations(func() {
			withBody := vidu.WithHTTPClient(&http.Client{Transport: testkit.RoundTrip(func(r *http.Request) (*http.Response, error) {
				resp, err := testkit.Reply(r, http.StatusOK, body)
				resp.Body = io.NopCloser(endingReader{resp.Body, func() { ended = time.Now(); cancel() }})
				return resp, err
			})})
			_, err := newClient(t, someHost, withBody).GetTask(ctx, "1")
			assert.ErrorIs(t, err, context.Canceled, name)
		})
		took = time.Since(ended)
		assert.LessOrEqual(t, allocated, int64(3*limit), name)
		return took
	}
	for name, body := range repeatingReplies(size) {
		took := ask(name, body)
		for tries := 1; took >= quick && tries < 4; tries++ { // the machine may be busy
			took = ask(name, body)
		}
		assert.Less(t, took, quick, name)
	}
}

// endingReader calls a function when the body has been read to its end.
type endingReader struct {
	io.Reader

	atEnd func()
}

func (r endingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil {
		r.atEnd()
	}
	return n, err
}
