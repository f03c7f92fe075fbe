package vidu_test

import (
	"encoding/json"
	"io"
	"math"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// sendFields posts fields to an endpoint and returns the path and the body that arrived.
func sendFields(t *testing.T, endpoint string, fields map[string]any) (path, body string) {
	t.Helper()
	client := newClient(t, someHost, withTransport(func(r *http.Request) (*http.Response, error) {
		text, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		assert.EqualValues(t, len(text), r.ContentLength)
		path, body = r.URL.EscapedPath(), string(text)
		return testkit.Reply(r, http.StatusOK, createdReply)
	}))
	task, err := client.CreateTask(t.Context(), endpoint, fields)
	assertCreated(t, task, err)
	return path, body
}

func TestCreateTask_Endpoint(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"reference2image", "lip-sync", "ads/one-click", "upscale-new", "a_b", "v2.1/x~y", "...", strings.Repeat("a", 200)} {
		path, _ := sendFields(t, endpoint, map[string]any{})
		assert.Equal(t, "/vidu/v2/"+endpoint, path)
	}
}

func TestCreateTask_EndpointIsRefused(t *testing.T) {
	t.Parallel()
	client := unreachable(t)
	for _, endpoint := range []string{
		"", "/", "//", ".", "..", "../tasks", "a/../b", "a/./b", "a/..", "/a", "a/", "a//b", "a?b", "a?", "a#b", "a#", "a%2Fb", "%2e%2e", "a b", " a", "a\n",
		"a\x00", "https://example.com/a", "https:a", "//example.com/a", "example.com:443/a", "user@example.com", `a\b`, "a;b", "a&b", "ä", "\xff", "a*",
		strings.Repeat("a", 201), strings.Repeat("a/", 10_000) + "..",
	} {
		_, err := client.CreateTask(t.Context(), endpoint, map[string]any{"model": "m"})
		assert.Equal(t, []string{"endpoint"}, problemFields(t, err), "%.80q", endpoint)
		assert.Less(t, len(err.Error()), 250)
	}
}

// Values with a form in JSON of their own.
type (
	ownMap    map[string]any
	ownList   []int
	shout     string
	onPointer struct{ n int }
	knot      struct {
		*knot
		Name string
	}
	settings struct {
		Name   string         `json:"name"`
		Deep   *settings      `json:"deep,omitempty"`
		Any    any            `json:"any,omitempty"`
		Secret string         `json:"-"`
		Image  *vidu.Media    `json:"image,omitempty"`
		Map    map[string]any `json:"map,omitempty"`
		hidden string
	}
)

func (ownMap) MarshalJSON() ([]byte, error)       { return []byte(`"own"`), nil }
func (ownList) MarshalText() ([]byte, error)      { return []byte("own list"), nil }
func (s shout) MarshalText() ([]byte, error)      { return []byte(strings.ToUpper(string(s))), nil }
func (p *onPointer) MarshalJSON() ([]byte, error) { return []byte(`"pointer"`), nil }

// tied is a struct that embeds itself, which encoding/json does not mind.
func tied() *knot {
	k := &knot{Name: "x"}
	k.knot = k
	return k
}

// Everything that is no medium goes out as encoding/json has it, byte for byte.
func TestCreateTask_FieldsAsJSON(t *testing.T) {
	t.Parallel()
	link := vidu.URL(imageLink)
	for name, fields := range map[string]map[string]any{
		"none":               {},
		"basic":              {"a": 1, "b": 1.5, "c": true, "d": nil, "e": "a & b <c> \u2028 \ufffd \\ \"", "f": int64(9007199254740993), "g": json.Number("0.10"), "h": uint8(7)},
		"nested":             {"z": []any{1, "x", nil, map[string]any{"b": 1, "a": []string{"x"}}}, "a": map[string]int{"b": 1}},
		"empty":              {"a": []any{}, "b": map[string]any{}, "c": []string{}, "d": []any(nil), "e": map[string]any(nil), "f": "", "": ""},
		"bytes":              {"a": []byte("hello"), "b": [3]byte{1, 2, 3}, "c": json.RawMessage(`{"x": [1, 2]}`)},
		"names":              {"a.b": map[string]any{"c d": 1, "ü": 2, "<": 3}, "A": 1, "a": 2},
		"keys":               {"a": map[int]string{10: "x", 9: "y"}, "b": map[shout]int{"x": 1}},
		"types of one's own": {"a": ownMap{"x": 1}, "b": ownList{1}, "c": shout("x"), "d": []shout{"x"}, "e": map[string]ownMap{"x": nil}, "f": vidu.ModelQ2, "g": []vidu.Model{"m"}, "h": ownMap{"x": "\xff"}, "i": settings{Any: ownMap{"x": "\xff"}}},
		"on the pointer":     {"a": []onPointer{{1}}, "b": &onPointer{1}, "c": onPointer{1}, "d": []*onPointer{nil}, "e": []big.Int{*big.NewInt(7)}},
		"structs":            {"a": settings{Name: "x", Secret: "\xff", hidden: "\xff"}, "b": &settings{Deep: &settings{Name: "y", Any: []int{1}}}, "c": []settings{{}}, "d": (*settings)(nil), "f": tied(), "e": struct{ settings }{settings{Name: "x"}}},
		"times":              {"a": time.Unix(1, 5).UTC(), "b": time.Second},
		"interfaces":         {"a": []json.Marshaler{ownMap{}}, "b": any([]any{any("x")})},
		"links":              {"a": link, "b": &link, "c": []vidu.Media{link, vidu.UploadRef("ssupload:?id=1")}, "d": settings{Image: &link}, "e": [2]vidu.Media{link, link}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, err := json.Marshal(fields)
			require.NoError(t, err)
			_, got := sendFields(t, "lip-sync", fields)
			assert.Equal(t, string(want), got)
		})
	}
}

// Media are streamed at their places: the body is the one that encoding/json makes of data URIs.
func TestCreateTask_MediaOnTheWire(t *testing.T) {
	t.Parallel()
	picture, clip, sound := testkit.PNG(t, 640, 128), testkit.FtypBox("isom"), []byte("\xff\xfb\x90\x64")
	wav, m4a := []byte("RIFF\x24\x00\x00\x00WAVEfmt "), testkit.FtypBox("M4A ")
	image := vidu.Bytes(picture)
	again := &image
	fields := map[string]any{
		"z_image": image, "image": again, "images": []vidu.Media{vidu.FS(fstest.MapFS{"a": {Data: picture}}, "a"), vidu.URL(imageLink), vidu.Bytes(clip)},
		"pointers": []*vidu.Media{again, again}, "array": [1]vidu.Media{vidu.Bytes(sound)}, "pointer": &again, "behind": &[]vidu.Media{vidu.Bytes(m4a)},
		"image_settings": []any{
			map[string]any{"key_image": vidu.Bytes(wav), "a_image": image, "text": "x"},
			map[string]vidu.Media{"b": vidu.Bytes(clip), "a": image},
			[]map[string][]vidu.Media{{"deep": {image, vidu.DataURI(testkit.DataURI("audio/mp3", sound))}}},
		},
		"B": vidu.Bytes(clip), "model": "m",
	}
	p, c, s := testkit.DataURI("image/png", picture), testkit.DataURI("video/mp4", clip), testkit.DataURI("audio/mpeg", sound)
	want, err := json.Marshal(map[string]any{
		"z_image": p, "image": p, "images": []string{p, imageLink, c}, "pointers": []string{p, p}, "array": []string{s}, "pointer": p,
		"behind": []string{testkit.DataURI("audio/mp4", m4a)},
		"image_settings": []any{
			map[string]any{"key_image": testkit.DataURI("audio/wav", wav), "a_image": p, "text": "x"},
			map[string]string{"b": c, "a": p},
			[]any{map[string]any{"deep": []string{p, testkit.DataURI("audio/mp3", sound)}}},
		},
		"B": c, "model": "m",
	})
	require.NoError(t, err)
	for range 5 { // maps have another order each time
		_, got := sendFields(t, "multiframe", fields)
		require.Equal(t, string(want), got)
	}
}

func TestCreateTask_FieldsAreRefused(t *testing.T) {
	t.Parallel()
	var nothing *vidu.Media
	itself := map[string]any{}
	itself["b"], itself["a"], itself["c"] = itself, []any{itself, itself}, 1 // twice: 2^100 paths
	loop := []any{nil}
	loop[0] = loop
	ring := &settings{}
	ring.Deep = ring
	deep := any(1)
	for range 120 {
		deep = []any{deep}
	}
	broken, gif := vidu.URL("hero.png"), vidu.Bytes([]byte("GIF89a"))
	for name, tt := range map[string]struct {
		fields map[string]any
		want   []string
		says   string
	}{
		"nil":                      {nil, []string{"fields"}, "is nil"},
		"a wrong medium":           {map[string]any{"image": gif}, []string{"image"}, "is image/gif, not one of the formats png"},
		"a link that is none":      {map[string]any{"image": broken}, []string{"image"}, "absolute http or https URL"},
		"the zero medium":          {map[string]any{"image": vidu.Media{}}, []string{"image"}, "is empty; use"},
		"a nil medium":             {map[string]any{"image": nothing}, []string{"image"}, "is a nil *Media"},
		"one of a list":            {map[string]any{"images": []vidu.Media{vidu.URL(imageLink), gif}}, []string{"images[1]"}, "image/gif"},
		"a nil one of a list":      {map[string]any{"images": []*vidu.Media{nil}}, []string{"images[0]"}, "nil *Media"},
		"nested":                   {map[string]any{"a": map[string]any{"b": []any{1, map[string]vidu.Media{"c": gif}}}}, []string{"a.b[1].c"}, "image/gif"},
		"behind a pointer":         {map[string]any{"a": &map[string]any{"b": gif}}, []string{"a.b"}, "image/gif"},
		"in a struct":              {map[string]any{"a": settings{Image: &broken}}, []string{"a.image"}, "absolute http or https URL"},
		"a file in a struct":       {map[string]any{"a": []settings{{Any: gif}}}, []string{"a"}, "cannot be encoded"},
		"a picture too wide":       {map[string]any{"a": vidu.Bytes(testkit.PNG(t, 641, 128))}, []string{"a"}, "at most 5:1"},
		"several":                  {map[string]any{"b": gif, "a": broken, "c": math.Inf(1)}, []string{"a", "b", "c"}, ""},
		"NaN":                      {map[string]any{"a": []any{math.NaN()}}, []string{"a[0]"}, "cannot be encoded"},
		"a function":               {map[string]any{"a": map[string]any{"f": func() {}}}, []string{"a.f"}, "func()"},
		"a channel":                {map[string]any{"a": make(chan int)}, []string{"a"}, "chan int"},
		"keys that JSON lacks":     {map[string]any{"a": map[any]any{1: 2}}, []string{"a"}, "cannot be encoded"},
		"broken raw JSON":          {map[string]any{"a": json.RawMessage("{")}, []string{"a"}, "cannot be encoded"},
		"a map with itself":        {itself, []string{"a"}, "contains itself"},
		"a list with itself":       {map[string]any{"x": loop}, []string{"x"}, "contains itself"},
		"a struct with itself":     {map[string]any{"x": ring}, []string{"x"}, "cannot be encoded"},
		"too deep":                 {map[string]any{"x": deep}, []string{"x"}, "nested too deeply"},
		"not UTF-8":                {map[string]any{"prompt": "\xff"}, []string{"prompt"}, "UTF-8"},
		"not UTF-8, deep":          {map[string]any{"a": []any{map[string]string{"b": "x\xc3\x28"}}}, []string{"a[0].b"}, "UTF-8"},
		"not UTF-8, list":          {map[string]any{"a": []string{"x", "\xff"}}, []string{"a[1]"}, "UTF-8"},
		"not UTF-8, name":          {map[string]any{"a": map[string]any{"\xff": 1}}, []string{`"a.\xff"`}, "UTF-8"},
		"not UTF-8, name of texts": {map[string]any{"a": map[string]string{"\xff": "x"}}, []string{"a"}, "UTF-8"},
		"not UTF-8, struct":        {map[string]any{"a": []settings{{Deep: &settings{Name: "\xff"}}}}, []string{"a[0].deep.name"}, "UTF-8"},
		"not UTF-8, in any":        {map[string]any{"a": settings{Any: []any{"\xff"}}}, []string{"a.any[0]"}, "UTF-8"},
		"not UTF-8, in a map":      {map[string]any{"a": settings{Map: map[string]any{"x": "\xff"}}}, []string{"a.map.x"}, "UTF-8"},
		"not UTF-8, embedded":      {map[string]any{"a": struct{ settings }{settings{Name: "\xff"}}}, []string{"a.name"}, "UTF-8"},
		"not UTF-8, raw":           {map[string]any{"a": json.RawMessage("\"\xff\"")}, []string{"a"}, "UTF-8"},
		"not UTF-8, a type":        {map[string]any{"a": vidu.Model("\xff")}, []string{"a"}, "UTF-8"},
		"more than 20 MB":          {map[string]any{"text": strings.Repeat("x", 20<<20)}, []string{"body"}, "at most 20971520"},
		"more than 20 MB of media": {map[string]any{"a": []any{vidu.Bytes(testkit.BigPNG(t, 16<<20))}}, []string{"body"}, "a[0] with"},
		"and the endpoint":         {map[string]any{"a": gif}, []string{"endpoint", "a"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			endpoint := "lip-sync"
			if tt.want[0] == "endpoint" {
				endpoint = "/"
			}
			_, err := unreachable(t).CreateTask(t.Context(), endpoint, tt.fields)
			assert.Equal(t, tt.want, problemFields(t, err))
			require.ErrorContains(t, err, tt.says)
			testkit.AssertHarmless(t, err)
		})
	}
}

// The caller's fields are left as they are, and may be used again.
func TestCreateTask_LeavesFieldsAlone(t *testing.T) {
	t.Parallel()
	inner := []any{vidu.Bytes(testkit.PNG(t, 128, 128)), "x"}
	fields := map[string]any{"a": inner, "b": map[string]any{"c": vidu.URL(imageLink)}}
	_, first := sendFields(t, "lip-sync", fields)
	_, second := sendFields(t, "lip-sync", fields)
	assert.Equal(t, first, second)
	assert.IsType(t, vidu.Media{}, inner[0])
	assert.Len(t, fields, 2)
}

func TestCreateTask_Payload(t *testing.T) {
	t.Parallel()
	type id string
	for name, tt := range map[string]struct {
		payload any
		want    string
	}{
		"a string":          {"job-42", "job-42"},
		"of a type":         {id("job-42"), "job-42"},
		"no string":         {42, ""},
		"nil":               {nil, ""},
		"an object of text": {map[string]string{"payload": "job-42"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := clientWithReply(t, 502, "").CreateTask(t.Context(), "lip-sync", map[string]any{"payload": tt.payload})
			assert.Equal(t, tt.want, unknownOutcome(t, err).Payload)
		})
	}
	_, err := clientWithReply(t, 502, "").CreateTask(t.Context(), "lip-sync", map[string]any{})
	assert.Empty(t, unknownOutcome(t, err).Payload)
}
