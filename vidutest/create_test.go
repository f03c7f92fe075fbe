package vidutest_test

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu/vidutest"
)

// The published example, with what changes from task to task put in.
func TestCreate_RepliesAsPublished(t *testing.T) {
	t.Parallel()
	onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
		t.Helper()
		s := newServer()
		before := time.Now()
		got := create(t, s, with(t, "payload", `"job 7"`))
		require.NoError(t, got.err)
		assert.Equal(t, "application/json", got.header.Get("Content-Type"))

		fields := decode(t, got.body)
		id, seed := fields["task_id"].(string), int64(fields["seed"].(float64))
		createdAt, err := time.Parse(time.RFC3339Nano, fields["created_at"].(string))
		require.NoError(t, err)
		assert.WithinRange(t, createdAt, before.Truncate(0), time.Now())
		assert.Regexp(t, "^[0-9]{18,19}$", id)
		assert.Positive(t, seed)
		assert.Less(t, seed, int64(1<<31))
		assert.JSONEq(t, fmt.Sprintf(`{
			"task_id": %q, "type": "img2video", "state": "created", "model": "viduq2-pro", "style": "general",
			"prompt": "The astronaut waved.", "images": ["https://example.com/hero.png"], "duration": 5, "seed": %d,
			"aspect_ratio": "", "resolution": "720p", "movement_amplitude": "auto", "created_at": %q, "credits": 55,
			"payload": "job 7", "cus_priority": 0, "off_peak": false, "watermark": false, "is_rec": false,
			"wm_position": "unspecified", "wm_url": "", "meta_data": ""}`, id, seed, fields["created_at"]), got.body)
	})
}

func TestCreate_Accepts(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		field, value string // of the request
		reply        string // the field of the reply
		want         any
	}{
		"seed":              {"seed", "42", "seed", 42.0},
		"automatic":         {"duration", "0", "credits", 55.0},
		"dearer":            {"resolution", `"1080p"`, "credits", 110.0},
		"off peak":          {"off_peak", "true", "credits", 28.0},
		"new model":         {"model", `"viduq9"`, "model", "viduq9"},
		"longest prompt":    {"prompt", `"` + strings.Repeat("界", 5000) + `"`, "prompt", strings.Repeat("界", 5000)},
		"long payload":      {"payload", `"` + strings.Repeat("x", 1<<20) + `"`, "payload", strings.Repeat("x", 1<<20)},
		"watermark":         {"watermark", "true", "watermark", true},
		"position":          {"wm_position", "3", "wm_position", "bottom_right"},
		"first position":    {"wm_position", "1", "wm_position", "top_left"},
		"last position":     {"wm_position", "4", "wm_position", "bottom_left"},
		"inline image":      {"images", `["data:image/png;base64,iVBORw0KGgo=","https://a.example/b"]`, "images", []any{"https://a.example/b"}},
		"upload reference":  {"images", `["ssupload:?id=1"]`, "images", []any{"ssupload:?id=1"}},
		"seven images":      {"images", items(t, 7), "state", "created"},
		"three sounds":      {"sounds", items(t, 3), "state", "created"},
		"no sounds":         {"sounds", `[]`, "state", "created"},
		"colon in an array": {"images", `[ "https://a.example/:\"" ]`, "images", []any{`https://a.example/:"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := vidutest.NewServer(vidutest.InMemory())
			defer s.Close()

			got := create(t, s, with(t, test.field, test.value))
			require.Equal(t, http.StatusOK, got.status, got.body)
			assert.Equal(t, test.want, decode(t, got.body)[test.reply])
			assert.Equal(t, 1, s.Charged())
		})
	}
}

func TestCreate_AcceptsSubjectsInsteadOfImages(t *testing.T) {
	t.Parallel()
	s := vidutest.NewServer(vidutest.InMemory())
	defer s.Close()
	body := strings.Replace(goodBody, `"images":["https://example.com/hero.png"]`,
		`"subjects":[{"name":"a","images":["https://a.example/1"]},{"id":"b","images":["https://a.example/2"]}]`, 1)

	got := create(t, s, body)
	require.Equal(t, http.StatusOK, got.status, got.body)
	assert.Equal(t, []any{"https://a.example/1", "https://a.example/2"}, decode(t, got.body)["images"])
}

func TestCreate_RefusesFields(t *testing.T) {
	t.Parallel()
	const lacking, invalid, count = "FieldLacking", "FieldInvalid", "FieldItemCountOutOfRange"
	for name, test := range map[string]struct{ field, value, reason, message string }{
		"no model":              {"model", "", lacking, "model"},
		"no images":             {"images", "", lacking, "images"},
		"no prompt":             {"prompt", "", lacking, "prompt"},
		"no duration":           {"duration", "", lacking, "duration"},
		"no seed":               {"seed", "", lacking, "seed"},
		"no resolution":         {"resolution", "", lacking, "resolution"},
		"no movement_amplitude": {"movement_amplitude", "", lacking, "movement_amplitude"},
		"no off_peak":           {"off_peak", "", lacking, "off_peak"},

		"null":                {"model", `null`, invalid, "model must be a string"},
		"empty model":         {"model", `""`, invalid, "model"},
		"number for string":   {"prompt", `5`, invalid, "prompt must be a string"},
		"empty prompt":        {"prompt", `""`, invalid, "prompt"},
		"long prompt":         {"prompt", `"` + strings.Repeat("界", 5001) + `"`, invalid, "5001"},
		"string for int":      {"duration", `"5"`, invalid, "duration must be an integer"},
		"fraction":            {"duration", `5.5`, invalid, "duration"},
		"negative duration":   {"duration", `-1`, invalid, "duration"},
		"long duration":       {"duration", `17`, invalid, "duration"},
		"huge seed":           {"seed", `1e400`, invalid, "seed"},
		"string for bool":     {"off_peak", `"false"`, invalid, "off_peak must be true or false"},
		"string for images":   {"images", `"https://a.example"`, invalid, "images must be an array of strings"},
		"number in images":    {"images", `["https://a.example",1]`, invalid, "images"},
		"empty image":         {"images", `["https://a.example",""]`, invalid, "images[1]"},
		"zero images":         {"images", `[]`, count, "images"},
		"sixteen images":      {"images", items(t, 16), count, "images has 16 items, 1 to 15 are allowed"},
		"four sounds":         {"sounds", items(t, 4), count, "sounds has 4 items, 0 to 3 are allowed"},
		"array for subjects":  {"subjects", `["a"]`, invalid, "subjects must be an array of objects"},
		"zero subjects":       {"subjects", `[]`, count, "subjects"},
		"nameless subject":    {"subjects", `[{"name":"a","server_id":"1"},{}]`, invalid, "subjects[1].name"},
		"three videos":        {"videos", `["1","2","3"]`, count, "videos"},
		"audio":               {"audio", `1`, invalid, "audio"},
		"audio_type":          {"audio_type", `true`, invalid, "audio_type"},
		"auto_subjects":       {"auto_subjects", `0`, invalid, "auto_subjects"},
		"bgm":                 {"bgm", `"yes"`, invalid, "bgm"},
		"aspect_ratio":        {"aspect_ratio", `1`, invalid, "aspect_ratio"},
		"payload":             {"payload", `{}`, invalid, "payload"},
		"long payload":        {"payload", `"` + strings.Repeat("x", 1<<20+1) + `"`, invalid, "payload"},
		"watermark":           {"watermark", `""`, invalid, "watermark"},
		"wm_position by name": {"wm_position", `"top_left"`, invalid, "wm_position"},
		"wm_position":         {"wm_position", `5`, invalid, "wm_position"},
		"wm_position 0":       {"wm_position", `0`, invalid, "wm_position"},
		"wm_url":              {"wm_url", `[]`, invalid, "wm_url"},
		"meta_data":           {"meta_data", `{"Label":"1"}`, invalid, "meta_data"},
		"callback_url":        {"callback_url", `false`, invalid, "callback_url"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := vidutest.NewServer(vidutest.InMemory())
			defer s.Close()

			got := create(t, s, with(t, test.field, test.value))
			assertRefused(t, got, http.StatusBadRequest, test.reason, test.message)
			assert.Zero(t, s.Charged())
		})
	}
}

func TestCreate_RefusesInvalidBodies(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"nothing":             "",
		"null":                "null",
		"array":               "[" + goodBody + "]",
		"string":              `"model"`,
		"half":                goodBody[:100],
		"no closing brace":    strings.TrimSuffix(goodBody, "}"),
		"two objects":         goodBody + goodBody,
		"rubbish behind":      goodBody + "x",
		"comma at the end":    strings.TrimSuffix(goodBody, "}") + ",}",
		"missing comma":       strings.Replace(goodBody, `,"seed"`, ` "seed"`, 1),
		"name without quotes": strings.Replace(goodBody, `"seed"`, "seed", 1),
		"bad escape":          strings.Replace(goodBody, "hero", `\q`, 1),
		"newline in a string": strings.Replace(goodBody, "hero", "he\nro", 1),
		"bad escape far in":   strings.Replace(goodBody, "hero", strings.Repeat("x", 8<<10)+`\q`, 1),
		"newline far in":      strings.Replace(goodBody, "hero", strings.Repeat("x", 8<<10)+"\n", 1),
		"too deep":            `{"x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + "}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := vidutest.NewServer(vidutest.InMemory())
			defer s.Close()

			assertRefused(t, create(t, s, body), http.StatusBadRequest, "BadRequest", "not one JSON object")
			assert.Zero(t, s.Charged())
			assert.True(t, s.Requests()[0].Complete, "the body was not read to its end")
		})
	}
}

func TestCreate_RefusesLargeBodies(t *testing.T) {
	t.Parallel()
	onBothTransports(t, func(t *testing.T, newServer func(...vidutest.Option) *vidutest.Server) {
		t.Helper()
		t.Run("unknown length", func(t *testing.T) {
			t.Parallel()
			s := newServer()
			// Just over the limit, so that a listening server reads all of it and the client gets to the answer.
			req := newRequest(t, http.MethodPost, s.URL+createPath, io.NopCloser(largeCreate(20<<20+1)))

			assertRefused(t, do(s, req), http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "20 MiB")
			assert.EqualValues(t, 20<<20, s.Requests()[0].BodySize)
			assert.Zero(t, s.Charged())
		})
		t.Run("announced", func(t *testing.T) {
			t.Parallel()
			s := newServer()
			req := newRequest(t, http.MethodPost, s.URL+createPath, http.NoBody)
			req.Body, req.ContentLength = io.NopCloser(largeCreate(20<<20+1)), 20<<20+1

			if got := do(s, req); got.err == nil { // the connection may be closed before the answer is read
				assertRefused(t, got, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "20 MiB")
			}
			assert.Zero(t, s.Requests()[0].BodySize)
			assert.Zero(t, s.Charged())
		})
	})
}

// A create of 14 MB inline costs the server kilobytes, however the client sends it.
//
//nolint:paralleltest // it measures what the process allocates
func TestCreate_StreamsImages(t *testing.T) {
	const size, creates = 14 << 20, 3
	s := vidutest.NewServer(vidutest.InMemory())
	defer s.Close()

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range creates {
		req := newRequest(t, http.MethodPost, s.URL+createPath, http.NoBody)
		req.Body, req.ContentLength = io.NopCloser(largeCreate(size)), size
		got := do(s, req)
		require.Equal(t, http.StatusOK, got.status, got.body)
	}
	runtime.ReadMemStats(&after)

	assert.EqualValues(t, size, s.Requests()[0].BodySize)
	assert.Less(t, (after.TotalAlloc-before.TotalAlloc)/creates, uint64(256<<10), "bytes allocated per create")
}

// 32 creates of 14 MB at once, client included, take a tenth of their size in heap.
//
//nolint:paralleltest // it measures what the process holds
func TestCreate_ManyLargeConcurrently(t *testing.T) {
	const creates, limit = 32, 48 << 20 // bytes, with what the collector has yet to find
	size := int64(14 << 20)
	if raceDetector {
		size = 1 << 20
	}
	s := vidutest.NewServer()
	defer s.Close()
	runtime.GC()
	before := heapInUse()
	var peak atomic.Uint64
	var all sync.WaitGroup
	for range creates {
		req := newRequest(t, http.MethodPost, s.URL+createPath, http.NoBody)
		req.ContentLength = size
		watch := watcher(func() { peak.Store(max(peak.Load(), heapInUse())) })
		req.Body = io.NopCloser(io.TeeReader(largeCreate(size), watch))
		all.Go(func() { assert.Equal(t, http.StatusOK, do(s, req).status) })
	}
	all.Wait()

	assert.Equal(t, creates, s.Charged())
	assert.Equal(t, creates*size, received(s))
	assert.Less(t, peak.Load(), before+limit)
}

// raceDetector reports whether the race detector is on, which makes every byte cost tenfold.
var raceDetector bool

// watcher is called whenever something is written to it.
type watcher func()

func (f watcher) Write(p []byte) (int, error) {
	f()
	return len(p), nil
}

// heapInUse returns the bytes of all objects in the heap, dead ones that were not swept included.
func heapInUse() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// largeCreate returns a valid create of size bytes with one inline image that it makes up as it goes.
func largeCreate(size int64) io.Reader {
	head, tail, _ := strings.Cut(goodBody, "https://example.com/hero.png")
	head += "data:image/png;base64,iVBORw0KGgoA"
	left := size - int64(len(head)+len(tail))
	tail += strings.Repeat(" ", int(left%4)) // base64 comes in groups of four
	return io.MultiReader(strings.NewReader(head), io.LimitReader(letters{}, left/4*4), strings.NewReader(tail))
}

// letters is an endless text.
type letters struct{}

func (letters) Read(p []byte) (int, error) {
	return copy(p, manyLetters), nil
}

var manyLetters = strings.Repeat("A", 64<<10)
