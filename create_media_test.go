package vidu_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// plainRequest is what a request to an unknown model is on the wire: encoding/json alone says what the bytes must be.
type plainRequest struct {
	Model             string         `json:"model"`
	Prompt            string         `json:"prompt"`
	Seed              int            `json:"seed"`
	MovementAmplitude string         `json:"movement_amplitude"`
	OffPeak           bool           `json:"off_peak"`
	Images            []string       `json:"images,omitempty"`
	Videos            []string       `json:"videos,omitempty"`
	Subjects          []plainSubject `json:"subjects,omitempty"`
}

type plainSubject struct {
	Name   string   `json:"name"`
	Images []string `json:"images,omitempty"`
	Videos []string `json:"videos,omitempty"`
}

// reference is one medium and what it is on the wire.
type reference struct {
	media vidu.Media
	plain string
}

// references are the same data in every form that media can have.
func references(contentType string, data []byte) []reference {
	inline := testkit.DataURI(contentType, data)
	return []reference{
		{vidu.FS(fstest.MapFS{"a.png": {Data: data}}, "a.png"), inline}, // File is FS, too
		{vidu.URL(imageLink), imageLink},
		{vidu.Bytes(data), inline},
		{vidu.DataURI(inline), inline},
		{vidu.UploadRef("ssupload:?id=1"), "ssupload:?id=1"},
	}
}

func split(list []reference) (media []vidu.Media, plain []string) {
	for _, r := range list {
		media, plain = append(media, r.media), append(plain, r.plain)
	}
	return media, plain
}

// mixed is a request with media of every form in every place, and its bytes.
func mixed(tb testing.TB, prompt string, picture, clip []byte) (*vidu.Reference2VideoRequest, []byte) {
	tb.Helper()
	images, plainImages := split(references("image/png", picture))
	videos, plainVideos := split(references("video/mp4", clip))
	req := &vidu.Reference2VideoRequest{Model: "m", Prompt: prompt, Images: images, Videos: videos}
	want, err := json.Marshal(plainRequest{Model: "m", Images: plainImages, Videos: plainVideos, Prompt: prompt, MovementAmplitude: "auto"})
	require.NoError(tb, err)
	return req, want
}

// mixedSubjects is mixed in subject mode.
func mixedSubjects(tb testing.TB, prompt string, picture, clip []byte) (*vidu.Reference2VideoRequest, []byte) {
	tb.Helper()
	images, plainImages := split(references("image/png", picture))
	videos, plainVideos := split(references("video/mp4", clip))
	req := &vidu.Reference2VideoRequest{Model: "m", Prompt: prompt}
	plain := plainRequest{Model: "m", Prompt: prompt, MovementAmplitude: "auto"}
	for i := range images {
		name := fmt.Sprint("s", i)
		req.Subjects = append(req.Subjects, vidu.Subject{Name: name, Images: images[i : i+1], Videos: videos[i : i+1]})
		plain.Subjects = append(plain.Subjects, plainSubject{Name: name, Images: plainImages[i : i+1], Videos: plainVideos[i : i+1]})
	}
	want, err := json.Marshal(plain)
	require.NoError(tb, err)
	return req, want
}

// Media of every form, in every place of a request, arrive as encoding/json would write them.
func TestCreate_MediaOnTheWire(t *testing.T) {
	t.Parallel()
	clip := testkit.Padded(testkit.FtypBox("isom"), 60_001) // more than two buffers
	for extra := range 3 {                                  // every kind of base64 padding
		picture := testkit.Padded(testkit.PNG(t, 128, 128), 50_000+extra)
		images, wantImages := mixed(t, "a & b <c> 参\u2028", picture, clip)
		images.Images[0] = vidu.File(testkit.WriteFile(t, "a.png", picture))
		subjects, wantSubjects := mixedSubjects(t, "@s0", picture, clip)
		for name, tt := range map[string]struct {
			req  *vidu.Reference2VideoRequest
			want []byte
		}{
			"images":   {images, wantImages},
			"subjects": {subjects, wantSubjects},
		} {
			t.Run(fmt.Sprint(name, extra), func(t *testing.T) {
				t.Parallel()
				server, complete, last := counting(t)
				_, err := newClient(t, server.URL).Reference2Video(t.Context(), tt.req)
				require.NoError(t, err)
				require.EqualValues(t, 1, complete.Load())
				assert.True(t, bytes.Equal(tt.want, last.Load().([]byte)), "sent")
				marshalled, err := tt.req.MarshalJSON()
				require.NoError(t, err)
				assert.True(t, bytes.Equal(tt.want, marshalled), "by MarshalJSON")
			})
		}
	}
}

// FuzzMarshalMedia holds requests with media against encoding/json.
func FuzzMarshalMedia(f *testing.F) {
	f.Add("p", []byte{}, uint8(0))
	f.Add("a \"quoted\" <b> & \u2028", []byte("1"), uint8(1))
	f.Add("\xff", []byte("ab"), uint8(9))
	f.Add("p", bytes.Repeat([]byte{0xff}, 200), uint8(255)) // more than one buffer
	head := testkit.PNG(f, 128, 128)
	f.Fuzz(func(t *testing.T, prompt string, data []byte, times uint8) {
		data = bytes.Repeat(data, int(times))
		picture := append(bytes.Clone(head), data...)
		clip := append(testkit.FtypBox("isom"), data...)
		for _, build := range []func(testing.TB, string, []byte, []byte) (*vidu.Reference2VideoRequest, []byte){mixed, mixedSubjects} {
			req, want := build(t, prompt, picture, clip)
			got, err := req.MarshalJSON()
			require.NoError(t, err)
			assert.True(t, bytes.Equal(want, got))
		}
	})
}

// counting is a loopback server that counts the requests whose body arrived whole.
func counting(t *testing.T) (server *httptest.Server, complete *atomic.Int64, last *atomic.Value) {
	t.Helper()
	complete, last = new(atomic.Int64), new(atomic.Value)
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || int64(len(body)) != r.ContentLength {
			return
		}
		complete.Add(1)
		last.Store(body)
		io.WriteString(w, createdReply)
	}))
	t.Cleanup(server.Close)
	return server, complete, last
}

// tamper is a transport that meddles on the way: before the request is sent, after a part of its body, or after an
// answer that asks to come again.
type tamper struct {
	before func()
	after  func() // some of the body
	again  func() // after the first attempt
	tries  int
}

func (m *tamper) RoundTrip(r *http.Request) (*http.Response, error) {
	m.tries++
	if m.again != nil && m.tries == 1 {
		m.again()
		return &http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{}, Body: http.NoBody, Request: r}, r.Body.Close()
	}
	if m.before != nil {
		m.before()
	}
	if m.after != nil {
		r = r.Clone(r.Context())
		r.Body = &meddlingBody{ReadCloser: r.Body, left: 100_000, meddle: m.after}
	}
	transport := &http.Transport{DisableKeepAlives: true}
	return transport.RoundTrip(r)
}

type meddlingBody struct {
	io.ReadCloser
	left   int
	meddle func()
}

func (b *meddlingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= n; b.left <= 0 && b.meddle != nil {
		b.meddle()
		b.meddle = nil
	}
	return n, err
}

var longAgo = time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)

// writeOldFile writes a file that was last changed long ago.
func writeOldFile(tb testing.TB, data []byte) string {
	tb.Helper()
	path := testkit.WriteFile(tb, "hero.png", data)
	require.NoError(tb, os.Chtimes(path, longAgo, longAgo))
	return path
}

// fileChanges are what may happen to a file of writeOldFile, 300,000 bytes long.
var fileChanges = map[string]func(path string) error{
	"shrinks": func(path string) error { return os.Truncate(path, 150_000) },
	"grows":   func(path string) error { return os.Truncate(path, 300_001) },
	"grows, its time restored": func(path string) error {
		return errors.Join(os.Truncate(path, 300_001), os.Chtimes(path, longAgo, longAgo))
	},
	"is touched": func(path string) error {
		return os.Chtimes(path, time.Time{}, longAgo.Add(time.Nanosecond))
	},
	"is replaced": func(path string) error { // by one of the same size and time
		other := filepath.Join(filepath.Dir(path), "other.png")
		return errors.Join(os.WriteFile(other, make([]byte, 300_000), 0o600), os.Chtimes(other, longAgo, longAgo), os.Rename(other, path))
	},
	"is removed": os.Remove,
}

// A file must be the one that was checked, from the check to the last byte, or nothing is sent whole.
func TestCreate_FileChanges(t *testing.T) {
	t.Parallel()
	picture := testkit.Padded(testkit.PNG(t, 128, 128), 300_000)
	moments := map[string]func(change func()) *tamper{
		"before it is sent": func(change func()) *tamper { return &tamper{before: change} },
		"while it is sent":  func(change func()) *tamper { return &tamper{after: change} },
		"between attempts":  func(change func()) *tamper { return &tamper{again: change} },
	}
	for what, change := range fileChanges {
		for when, meddle := range moments {
			t.Run(what+" "+when, func(t *testing.T) {
				t.Parallel()
				path := writeOldFile(t, picture)
				server, complete, last := counting(t)
				transport := meddle(func() { assert.NoError(t, change(path)) })
				client, err := vidu.NewClient(server.URL, "sentinel-key-0123456789", vidu.WithHTTPClient(&http.Client{Transport: transport}),
					vidu.WithBackoff(func(int) time.Duration { return 0 }))
				require.NoError(t, err)
				req := &vidu.Reference2VideoRequest{Model: "m", Prompt: "p", Images: []vidu.Media{vidu.File(path)}}

				_, err = client.Reference2Video(t.Context(), req)
				if when == "while it is sent" && (what == "is replaced" || what == "is removed") {
					// The open file is still the one that was checked.
					require.NoError(t, err)
					assert.Contains(t, string(last.Load().([]byte)), testkit.DataURI("image/png", picture))
					return
				}
				require.ErrorContains(t, err, "images[0] (")
				require.ErrorContains(t, err, "hero.png")
				if what != "is removed" {
					require.ErrorContains(t, err, "changed since it was checked")
				}
				require.NotErrorIs(t, err, vidu.ErrMaybeCreated)
				assert.Zero(t, complete.Load())
				wantTries := 1
				if when == "between attempts" {
					wantTries = 2
				}
				assert.Equal(t, wantTries, transport.tries, "it is not sent again")
			})
		}
	}
}

func TestMarshalJSON_FileChanges(t *testing.T) {
	t.Parallel()
	picture := testkit.PNG(t, 128, 128)
	fsys := &testkit.ChangingFS{Files: []*fstest.MapFile{{Data: picture}, {Data: picture, ModTime: longAgo}}}
	_, err := json.Marshal(&vidu.Reference2VideoRequest{Model: "m", Prompt: "p", Images: []vidu.Media{vidu.FS(fsys, "a.png")}})
	require.ErrorContains(t, err, "images[0] (a.png): changed since it was checked")
}

func TestMarshalJSON_InvalidMedia(t *testing.T) {
	t.Parallel()
	_, err := json.Marshal(&vidu.Reference2VideoRequest{Model: "m", Prompt: "p", Images: []vidu.Media{{}}})
	var invalid *vidu.ValidationError
	require.ErrorAs(t, err, &invalid)
}

// bigFile is a request with 14 MB of one file.
func bigFile(t *testing.T) (*vidu.Reference2VideoRequest, []byte) {
	t.Helper()
	picture := testkit.Padded(testkit.PNG(t, 128, 128), 14<<20)
	req := &vidu.Reference2VideoRequest{Model: "m", Prompt: "p", Images: []vidu.Media{vidu.File(testkit.WriteFile(t, "hero.png", picture))}}
	want, err := json.Marshal(plainRequest{
		Model: "m", Images: []string{testkit.DataURI("image/png", picture)}, Prompt: "p", MovementAmplitude: "auto",
	})
	require.NoError(t, err)
	return req, want
}

// A connection that is reset in the middle of a big body created nothing, so the body is sent again, from its start.
func TestCreate_ResetInsideBody(t *testing.T) {
	t.Parallel()
	req, want := bigFile(t)
	server, complete, last := counting(t)
	var attempts atomic.Int64
	cutting := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err != nil || attempts.Add(1) > 1 {
				return conn, err
			}
			return &cutConn{Conn: conn, left: 5 << 20}, nil
		},
	}
	client, err := vidu.NewClient(server.URL, "sentinel-key-0123456789", vidu.WithHTTPClient(&http.Client{Transport: cutting}),
		vidu.WithBackoff(func(int) time.Duration { return 0 }))
	require.NoError(t, err)

	task, err := client.Reference2Video(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, "1", task.ID)
	assert.EqualValues(t, 2, attempts.Load())
	assert.EqualValues(t, 1, complete.Load())
	assert.True(t, bytes.Equal(want, last.Load().([]byte)))
}

// cutConn resets the connection once it has sent enough.
type cutConn struct {
	net.Conn
	left int
}

func (c *cutConn) Write(p []byte) (int, error) {
	if c.left -= len(p); c.left < 0 {
		_ = c.Conn.(*net.TCPConn).SetLinger(0) // Close then resets
		c.Close()
	}
	return c.Conn.Write(p)
}

// A server that reads nothing holds the body, and the caller's deadline ends it: provably nothing was created.
func TestCreate_ServerNeverReads(t *testing.T) {
	t.Parallel()
	req, _ := bigFile(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	client, err := vidu.NewClient("http://"+listener.Addr().String(), "sentinel-key-0123456789")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()

	_, err = client.Reference2Video(ctx, req)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.NotErrorIs(t, err, vidu.ErrMaybeCreated)
}

// Many big requests at once, in a process that is short of memory, arrive whole and cost kilobytes each. It must not
// run beside other tests, for it limits and measures the memory of the process.
func TestCreate_ManyBigRequestsAtOnce(t *testing.T) { //nolint:paralleltest // see above
	const files, size = 7, 2 << 20
	requests := 32
	if testkit.UnderRace() {
		requests = 8 // base64 is twenty times slower there
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(64 << 20))
	dir := t.TempDir()
	head, tail := bigBody(t, dir, files, size)

	var mu sync.Mutex
	var peak uint64
	sums := map[[sha256.Size]byte]bool{}
	arrived := make(chan struct{}, 4*requests)
	released := make(chan struct{})
	reply := newTasks()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hash := sha256.New()
		_, err := io.CopyN(hash, r.Body, size)
		arrived <- struct{}{}
		<-released // all of them are in flight now
		if err == nil {
			_, err = io.Copy(hash, r.Body)
		}
		if err != nil {
			return
		}
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		mu.Lock()
		sums[[sha256.Size]byte(hash.Sum(nil))] = true
		peak = max(peak, stats.HeapAlloc)
		mu.Unlock()
		io.WriteString(w, reply())
	}))
	defer server.Close()
	client, err := vidu.NewClient(server.URL, "sentinel-key-0123456789")
	require.NoError(t, err)

	idle := testkit.LiveHeap()
	var sending sync.WaitGroup
	for i := range requests {
		sending.Go(func() {
			_, err := client.Reference2Video(t.Context(), bigRequestFrom(dir, files, i))
			assert.NoError(t, err)
		})
	}
	for range requests {
		select {
		case <-arrived:
		case <-time.After(time.Minute):
			close(released)
			t.Fatal("not all requests arrived")
		}
	}
	inFlight := (int64(testkit.LiveHeap()) - int64(idle)) / int64(requests)
	close(released)
	sending.Wait()

	t.Logf("live heap of a request in flight: %d KiB with the server's side; peak over idle: %d KiB",
		inFlight>>10, (int64(peak)-int64(idle))>>10)
	assert.Less(t, inFlight, int64((128+32)<<10)) // 32 KiB for the server's side
	assert.Less(t, int64(peak)-int64(idle), int64(16<<20))
	for i := range requests {
		want := slices.Concat(head, strconv.AppendInt(nil, int64(i), 10), tail)
		assert.True(t, sums[sha256.Sum256(want)], "request %d did not arrive as it should", i)
	}
}

// bigBody writes files of size bytes to dir and returns what a request with them is on the wire, before its seed and
// after.
func bigBody(tb testing.TB, dir string, files, size int) (head, tail []byte) {
	tb.Helper()
	plain := plainRequest{Model: "m", Prompt: "p", MovementAmplitude: "auto"}
	for i := range files {
		picture := testkit.Padded(testkit.PNG(tb, 128+i, 128), size)
		require.NoError(tb, os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), picture, 0o600))
		plain.Images = append(plain.Images, testkit.DataURI("image/png", picture))
	}
	text, err := json.Marshal(plain)
	require.NoError(tb, err)
	before, after, found := bytes.Cut(text, []byte(`"seed":0`))
	require.True(tb, found)
	return append(before, `"seed":`...), after
}

// bigRequestFrom is a request with the files of bigBody.
func bigRequestFrom(dir string, files, seed int) *vidu.Reference2VideoRequest {
	req := &vidu.Reference2VideoRequest{Model: "m", Prompt: "p", Seed: seed}
	for i := range files {
		req.Images = append(req.Images, vidu.File(filepath.Join(dir, strconv.Itoa(i))))
	}
	return req
}

// A file may become a pipe between Stat and Open, at the check and at the sending.
func TestCreate_FileBecomesPipe(t *testing.T) {
	t.Parallel()
	picture := testkit.PNG(t, 128, 128)
	regular := &fstest.MapFile{Data: picture, ModTime: longAgo}
	pipe := &fstest.MapFile{Data: picture, ModTime: longAgo, Mode: fs.ModeNamedPipe} // as long and as old
	fsys := &twoFacedFS{stat: regular, open: pipe}
	req := &vidu.Reference2VideoRequest{Model: "m", Prompt: "p", Images: []vidu.Media{vidu.FS(fsys, "a.png")}}
	require.ErrorContains(t, req.Validate(), "not a regular file")

	fsys.open = regular
	sent := 0
	client := newClient(t, someHost, withTransport(func(r *http.Request) (*http.Response, error) {
		sent++
		fsys.open = pipe
		return testkit.Reply(r, http.StatusOK, createdReply)
	}))
	_, err := client.Reference2Video(t.Context(), req)
	assertNotCreated(t, err)
	require.ErrorContains(t, err, "images[0] (a.png): a.png is not a regular file")
	assert.Equal(t, 1, sent)
}

// twoFacedFS describes one file and opens another one.
type twoFacedFS struct{ stat, open *fstest.MapFile }

func (f *twoFacedFS) Stat(name string) (fs.FileInfo, error) {
	return fs.Stat(fstest.MapFS{name: f.stat}, name)
}

func (f *twoFacedFS) Open(name string) (fs.File, error) { return fstest.MapFS{name: f.open}.Open(name) }

// A call ends with its context even when a file does not answer.
func TestCreate_SlowFile(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	defer close(hang)
	slow := &slowFS{data: testkit.BigPNG(t, 100<<10), hang: hang}
	ctx, cancel := context.WithCancel(t.Context())
	slow.read = cancel
	req := smallRequest()
	req.Images = []vidu.Media{vidu.FS(slow, "hero.png")}
	returned := make(chan error, 1)
	client := newClient(t, someHost, withTransport(func(r *http.Request) (*http.Response, error) {
		go io.Copy(io.Discard, r.Body) //nolint:errcheck // as HTTP/2 does, which does not wait for its body
		<-r.Context().Done()
		return nil, r.Context().Err()
	}))
	go func() {
		_, err := client.Reference2Video(ctx, req)
		returned <- err
	}()
	select {
	case err := <-returned:
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, vidu.ErrMaybeCreated, "the body never left whole")
	case <-time.After(5 * time.Second):
		t.Fatal("the call waits for the file")
	}
}

// slowFS answers at once while the request is checked, and then not until hang is closed.
type slowFS struct {
	data  []byte
	opens atomic.Int64
	read  func()
	hang  chan struct{}
}

func (s *slowFS) Open(name string) (fs.File, error) {
	file, err := fstest.MapFS{name: {Data: s.data}}.Open(name)
	if s.opens.Add(1) < 4 { // Stat and Open of the check, Stat of the sending
		return file, err
	}
	return slowFile{file, s}, err
}

type slowFile struct {
	fs.File
	fs *slowFS
}

func (f slowFile) Read([]byte) (int, error) {
	f.fs.read()
	<-f.fs.hang
	return 0, io.ErrClosedPipe
}
