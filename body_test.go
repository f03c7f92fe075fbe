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
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/oneshot"
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

func prepare(tb testing.TB, req *vidu.Reference2VideoRequest) *oneshot.Body {
	tb.Helper()
	body, err := req.Prepare()
	require.NoError(tb, err)
	return body
}

func TestBodyIsWhatEncodingJSONWrites(t *testing.T) {
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
				body := prepare(t, tt.req)
				assert.EqualValues(t, len(tt.want), body.Size())
				for _, size := range []int{1, 2, 3, 4, 5, 7, 4096, 32 << 10, 1 << 20} {
					sending := body.Open()
					got, err := testkit.ReadBy(sending, size)
					require.NoError(t, err)
					assert.True(t, bytes.Equal(tt.want, got), "through a buffer of %d bytes", size)
					require.NoError(t, sending.Close())
				}
				marshalled, err := json.Marshal(tt.req)
				require.NoError(t, err)
				assert.True(t, bytes.Equal(tt.want, marshalled), "by MarshalJSON")
			})
		}
	}
}

func TestBodyIsAProperReader(t *testing.T) {
	t.Parallel()
	req, want := mixed(t, "p", testkit.PNG(t, 128, 128), testkit.FtypBox("isom"))
	body := prepare(t, req)
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"as it is": func(r io.Reader) io.Reader { return r },
		"one byte": iotest.OneByteReader,
		"half":     iotest.HalfReader,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sending := body.Open()
			defer sending.Close()
			assert.NoError(t, iotest.TestReader(wrap(sending), want))
		})
	}
}

func FuzzBody(f *testing.F) {
	f.Add("p", []byte{}, uint8(0), uint8(4))
	f.Add("a \"quoted\" <b> & \u2028", []byte("1"), uint8(1), uint8(0))
	f.Add("\xff", []byte("ab"), uint8(9), uint8(255))
	f.Add("p", bytes.Repeat([]byte{0xff}, 200), uint8(255), uint8(99)) // more than one buffer
	head := testkit.PNG(f, 128, 128)
	f.Fuzz(func(t *testing.T, prompt string, data []byte, times, size uint8) {
		data = bytes.Repeat(data, int(times))
		picture := append(bytes.Clone(head), data...)
		clip := append(testkit.FtypBox("isom"), data...)
		for _, build := range []func(testing.TB, string, []byte, []byte) (*vidu.Reference2VideoRequest, []byte){mixed, mixedSubjects} {
			req, want := build(t, prompt, picture, clip)
			body, err := req.Prepare()
			if err != nil {
				assert.Subset(t, []string{"prompt", "body"}, problemsOf(t, req))
				return
			}
			assert.EqualValues(t, len(want), body.Size())
			sending := body.Open()
			got, err := testkit.ReadBy(sending, int(size)+1)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(want, got))
			assert.False(t, sending.Seal(), "sent whole")
			require.NoError(t, sending.Close())
		}
	})
}

func TestSealProvesWhatWasNotSent(t *testing.T) {
	t.Parallel()
	req, want := mixed(t, "p", testkit.PNG(t, 128, 128), testkit.FtypBox("isom"))
	body := prepare(t, req)
	for name, tt := range map[string]struct {
		read       int
		incomplete bool
	}{
		"nothing read":      {0, true},
		"half":              {len(want) / 2, true},
		"all but one byte":  {len(want) - 1, true},
		"all, EOF not seen": {len(want), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sending := body.Open()
			_, err := io.ReadFull(sending, make([]byte, tt.read))
			require.NoError(t, err)
			assert.Equal(t, tt.incomplete, sending.Seal())
			assert.Equal(t, tt.incomplete, sending.Seal(), "asked again")
			require.NoError(t, sending.Close())
			n, err := sending.Read(make([]byte, 1))
			assert.Zero(t, n)
			require.Error(t, err)
			require.NotErrorIs(t, err, io.EOF)
		})
	}
}

// After seal no byte is handed out; the Read that asks for one waits, and Close ends it.
func TestSealedReadWaitsForClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sending := prepare(t, imagesRequest("m", 1)).Open()
		_, err := io.ReadFull(sending, make([]byte, 10))
		require.NoError(t, err)
		assert.True(t, sending.Seal())

		var n int
		ended := false
		go func() {
			n, err = sending.Read(make([]byte, 10))
			ended = true
		}()
		synctest.Wait()
		assert.False(t, ended)
		require.NoError(t, sending.Close())
		synctest.Wait()
		assert.True(t, ended)
		assert.Zero(t, n)
		assert.ErrorContains(t, err, "closed")
	})
}

// What a slow file gives after the seal is not handed out any more, though its Read had begun before: otherwise a request
// that counts as incomplete could still become whole.
func TestSealDuringARead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fsys := &gatedFS{MapFS: fstest.MapFS{"a.png": {Data: testkit.PNG(t, 128, 128)}}}
		req := &vidu.Reference2VideoRequest{Model: "m", Prompt: "p", Images: []vidu.Media{vidu.FS(fsys, "a.png")}}
		sending := prepare(t, req).Open()
		fsys.gate = make(chan struct{})
		var err error
		ended, n := false, 0
		go func() {
			for err == nil {
				var got int
				got, err = sending.Read(make([]byte, 1<<20))
				n += got
			}
			ended = true
		}()
		synctest.Wait()
		before := n // what comes before the image
		assert.True(t, sending.Seal())
		close(fsys.gate)
		synctest.Wait()
		assert.False(t, ended, "it waits for Close")
		assert.Equal(t, before, n)
		require.NoError(t, sending.Close())
		synctest.Wait()
		assert.True(t, ended)
		assert.Equal(t, before, n)
		assert.ErrorContains(t, err, "closed")
	})
}

// gatedFS has files whose Read waits for gate, once that is set.
type gatedFS struct {
	fstest.MapFS

	gate chan struct{}
}

func (f *gatedFS) Open(name string) (fs.File, error) {
	file, err := f.MapFS.Open(name)
	return &gatedFile{file, f}, err
}

type gatedFile struct {
	fs.File

	fsys *gatedFS
}

func (f *gatedFile) Read(p []byte) (int, error) {
	if f.fsys.gate != nil {
		<-f.fsys.gate
	}
	return f.File.Read(p)
}

// net/http looks for the end of a body before it flushes the last bytes of it. Sealed or not, that Read must not wait.
func TestSealedReadFindsTheEnd(t *testing.T) {
	t.Parallel()
	sending := prepare(t, imagesRequest("m", 1))
	open := sending.Open()
	_, err := io.ReadFull(open, make([]byte, sending.Size()))
	require.NoError(t, err)
	assert.False(t, open.Seal())
	_, err = open.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, open.Close())
}

func TestSealedReadEndsWhenAllWasSent(t *testing.T) {
	t.Parallel()
	sending := prepare(t, imagesRequest("m", 1)).Open()
	_, err := testkit.ReadBy(sending, 100)
	require.NoError(t, err)
	assert.False(t, sending.Seal())
	_, err = sending.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, sending.Close())
	require.NoError(t, sending.Close(), "twice")
}

// Whenever seal falls, what it says and what was read agree.
func TestSealRacesWithRead(t *testing.T) {
	t.Parallel()
	req, want := mixed(t, "p", testkit.PNG(t, 128, 128), testkit.FtypBox("isom"))
	body := prepare(t, req)
	for i := range 500 {
		sending := body.Open()
		var read int
		var reading sync.WaitGroup
		reading.Go(func() {
			got, _ := testkit.ReadBy(sending, 1+i%50) // the error is that of Close, or none
			read = len(got)
		})
		for range i * 3 {
			runtime.Gosched() // lets the reader run for a while
		}
		incomplete := sending.Seal()
		require.NoError(t, sending.Close())
		reading.Wait()
		require.Equal(t, incomplete, read < len(want), "read %d of %d", read, len(want))
	}
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
		io.WriteString(w, `{"task_id":"1","state":"created"}`)
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
var fileChanges = map[string]func(tb testing.TB, path string){
	"shrinks": func(tb testing.TB, path string) {
		tb.Helper()
		require.NoError(tb, os.Truncate(path, 150_000))
	},
	"grows": func(tb testing.TB, path string) {
		tb.Helper()
		require.NoError(tb, os.Truncate(path, 300_001))
	},
	"grows, its time restored": func(tb testing.TB, path string) {
		tb.Helper()
		require.NoError(tb, os.Truncate(path, 300_001))
		require.NoError(tb, os.Chtimes(path, longAgo, longAgo))
	},
	"is touched": func(tb testing.TB, path string) {
		tb.Helper()
		require.NoError(tb, os.Chtimes(path, time.Time{}, longAgo.Add(time.Nanosecond)))
	},
	"is replaced": func(tb testing.TB, path string) { // by one of the same size and time
		tb.Helper()
		other := filepath.Join(filepath.Dir(path), "other.png")
		require.NoError(tb, os.WriteFile(other, testkit.Padded(testkit.PNG(tb, 200, 200), 300_000), 0o600))
		require.NoError(tb, os.Chtimes(other, longAgo, longAgo))
		require.NoError(tb, os.Rename(other, path))
	},
	"is removed": func(tb testing.TB, path string) {
		tb.Helper()
		require.NoError(tb, os.Remove(path))
	},
}

// Not a byte of a file that is another one by now leaves the machine.
func TestFileThatChangedIsNotBegun(t *testing.T) {
	t.Parallel()
	for what, change := range fileChanges {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			path := writeOldFile(t, testkit.Padded(testkit.PNG(t, 128, 128), 300_000))
			body := prepare(t, &vidu.Reference2VideoRequest{Model: "m", Prompt: "p", Images: []vidu.Media{vidu.File(path)}})
			change(t, path)
			sending := body.Open()
			defer sending.Close()
			got, err := testkit.ReadBy(sending, 1000)
			require.ErrorContains(t, err, "hero.png")
			assert.NotContains(t, string(got), "data:")
		})
	}
}

// A file must be the one that was checked, from the check to the last byte, or nothing is sent whole.
func TestFileThatChanges(t *testing.T) {
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
				transport := meddle(func() { change(t, path) })
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

// failingOnce breaks off one Read and then goes on from another place, as if nothing had happened.
type failingOnce struct {
	fs.File
	failed bool
}

func (f *failingOnce) Read(p []byte) (int, error) {
	if f.failed {
		return f.File.Read(p)
	}
	f.failed = true
	n, err := f.File.Read(p[:len(p)/2])
	return n, errors.Join(err, errBroken)
}

type failingOnceFS struct {
	fs.FS
	opened atomic.Int64
}

func (f *failingOnceFS) Stat(name string) (fs.FileInfo, error) { return fs.Stat(f.FS, name) }

func (f *failingOnceFS) Open(name string) (fs.File, error) {
	file, err := f.FS.Open(name)
	if f.opened.Add(1) == 1 { // the check
		return file, err
	}
	return &failingOnce{File: file}, err
}

// After one failure nobody knows where the file stands, so no later Read may succeed.
func TestBodyFailsForGood(t *testing.T) {
	t.Parallel()
	fsys := &failingOnceFS{FS: fstest.MapFS{"a.png": {Data: testkit.PNG(t, 128, 128)}}}
	body := prepare(t, &vidu.Reference2VideoRequest{Model: "m", Prompt: "p", Images: []vidu.Media{vidu.FS(fsys, "a.png")}})
	sending := body.Open()
	defer sending.Close()
	for _, size := range []int{1, 1000, 1} {
		_, err := testkit.ReadBy(sending, size)
		require.ErrorIs(t, err, errBroken)
		require.ErrorContains(t, err, "images[0] (a.png): ")
	}
	assert.True(t, sending.Seal())
}

// deafFS forgets its file's description once the file is open.
type deafFS struct{ fs.FS }

type deafFile struct {
	fs.File
	asked int
}

func (d deafFS) Open(name string) (fs.File, error) {
	file, err := d.FS.Open(name)
	return &deafFile{File: file}, err
}

func (f *deafFile) Stat() (fs.FileInfo, error) {
	if f.asked++; f.asked > 1 {
		return nil, errBroken
	}
	return f.File.Stat()
}

func TestFileThatCannotBeChecked(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"a.png": {Data: testkit.PNG(t, 128, 128)}}
	body := prepare(t, &vidu.Reference2VideoRequest{Model: "m", Prompt: "p", Images: []vidu.Media{vidu.FS(deafFS{files}, "a.png")}})
	sending := body.Open()
	defer sending.Close()
	_, err := testkit.ReadBy(sending, 1000)
	require.ErrorContains(t, err, "a.png): changed since it was checked")
	assert.True(t, sending.Seal())
}

func TestMarshalFailsWithTheMedia(t *testing.T) {
	t.Parallel()
	fsys := &failingOnceFS{FS: fstest.MapFS{"a.png": {Data: testkit.PNG(t, 128, 128)}}}
	_, err := json.Marshal(&vidu.Reference2VideoRequest{Model: "m", Prompt: "p", Images: []vidu.Media{vidu.FS(fsys, "a.png")}})
	require.ErrorIs(t, err, errBroken)
	_, err = json.Marshal(&vidu.Reference2VideoRequest{Model: "m", Prompt: "p", Images: []vidu.Media{{}}})
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
func TestBodyIsSentAgainAfterAReset(t *testing.T) {
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

// A server that stops reading holds the body, and the caller's deadline ends it: provably nothing was created.
func TestBodyStalls(t *testing.T) {
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
func TestManyBigRequestsAtOnce(t *testing.T) { //nolint:paralleltest // see above
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
	var arrived sync.WaitGroup
	arrived.Add(requests)
	released := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hash := sha256.New()
		_, err := io.CopyN(hash, r.Body, size)
		arrived.Done()
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
		io.WriteString(w, `{"task_id":"1","state":"created"}`)
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
	arrived.Wait()
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
