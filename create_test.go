package vidu_test

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/big"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// wireName is what a name on the wire looks like. A field without a tag goes out under its Go name, which does not.
var wireName = regexp.MustCompile(`^[a-z0-9_]+$`)

// setEveryField sets every field of a request by reflection, each to something that is not its default: media to data
// of their own, which only a list that is encoded as media can carry.
func setEveryField(t *testing.T, request reflect.Value) {
	t.Helper()
	for i := range request.NumField() {
		field, name := request.Field(i), request.Type().Field(i).Name
		switch v := field.Addr().Interface().(type) {
		case *[]vidu.Media:
			*v = []vidu.Media{vidu.Bytes(mediumFor(t, name))}
		case *[]vidu.Subject:
			*v = []vidu.Subject{{}}
			setEveryField(t, reflect.ValueOf(&(*v)[0]).Elem())
		case **bool:
			*v = new(true)
		case *bool:
			*v = true
		case *int:
			*v = 4
		case *map[string]any:
			*v = map[string]any{"unknown_field": json.Number("9007199254740993")}
		default:
			require.Equal(t, reflect.String, field.Kind(), "%s has a type that this test does not know", name)
			field.SetString("value of " + name)
		}
	}
}

// mediumFor returns data of the kind that a field takes.
func mediumFor(t *testing.T, name string) []byte {
	t.Helper()
	switch name {
	case "Images":
		return testkit.PNG(t, 128, 128)
	case "Videos":
		return []byte("\x00\x00\x00\x10ftypisom\x00\x00\x00\x00")
	case "Sounds":
		return []byte("ID3\x04\x00\x00\x00\x00\x00\x00")
	}
	require.Fail(t, "this test does not know what goes into "+name)
	return nil
}

// createRequests has an empty request for each typed create, by the name of the method that sends it.
func createRequests() map[string]any {
	requests := map[string]any{}
	for method := range reflect.TypeFor[*vidu.Client]().Methods() {
		for argument := range method.Type.Ins() {
			if _, isCreate := argument.MethodByName("Validate"); isCreate {
				requests[method.Name] = reflect.New(argument.Elem()).Interface()
			}
		}
	}
	return requests
}

// TestCreate_EveryFieldIsOnTheWire is what keeps a field from being forgotten: with one tag or one shadow less it
// fails.
func TestCreate_EveryFieldIsOnTheWire(t *testing.T) {
	t.Parallel()
	for name, request := range createRequests() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			setEveryField(t, reflect.ValueOf(request).Elem())
			text, err := json.Marshal(request)
			require.NoError(t, err)
			assertEveryField(t, reflect.TypeOf(request).Elem(), text)

			again := reflect.New(reflect.TypeOf(request).Elem())
			require.NoError(t, json.Unmarshal(text, again.Interface()))
			assertNoZero(t, again.Elem())
			second, err := json.Marshal(again.Interface())
			require.NoError(t, err)
			assert.Equal(t, string(text), string(second))
		})
	}
}

// assertNoZero requires that no field is lost, of subjects neither.
func assertNoZero(t *testing.T, request reflect.Value) {
	t.Helper()
	for i := range request.NumField() {
		assert.False(t, request.Field(i).IsZero(), "%s is lost on the way back", request.Type().Field(i).Name)
		if list, ok := reflect.TypeAssert[[]vidu.Subject](request.Field(i)); ok && len(list) > 0 {
			assertNoZero(t, reflect.ValueOf(list[0]))
		}
	}
}

// assertEveryField requires as many members as the struct has fields, each under the name of its tag.
func assertEveryField(t *testing.T, request reflect.Type, text []byte) {
	t.Helper()
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(text, &members))
	assert.Len(t, members, request.NumField())
	for name, value := range members {
		assert.Regexp(t, wireName, name)
		assert.NotContains(t, []string{"null", `""`, "[]", "false", "0"}, string(value), name)
	}
	for field := range request.Fields() {
		tag, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Type == reflect.TypeFor[map[string]any]() {
			tag = "unknown_field"
		}
		assert.Contains(t, members, tag, field.Name)
		if field.Type == reflect.TypeFor[[]vidu.Subject]() {
			var list []json.RawMessage
			require.NoError(t, json.Unmarshal(members[tag], &list))
			require.Len(t, list, 1)
			assertEveryField(t, reflect.TypeFor[vidu.Subject](), list[0])
		}
	}
}

func TestRequest_ExtraIsChecked(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		extra map[string]any
		names []string // that the problems name, in order
	}{
		"unknown field":              {extra: map[string]any{"enhance": true}},
		"known field":                {extra: map[string]any{"seed": 1}, names: []string{`"seed"`}},
		"known field, other case":    {extra: map[string]any{"Off_PEAK": true}, names: []string{`"Off_PEAK"`}},
		"two known fields":           {extra: map[string]any{"seed": 1, "x": 1, "model": "m"}, names: []string{`"model"`, `"seed"`}},
		"known field, not sent":      {extra: map[string]any{"payload": "p"}, names: []string{`"payload"`}},
		"value that JSON lacks":      {extra: map[string]any{"x": math.NaN()}, names: []string{"NaN"}},
		"value of a type JSON lacks": {extra: map[string]any{"x": func() {}}, names: []string{"func"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := &vidu.Reference2VideoRequest{Model: "m", Images: []vidu.Media{vidu.URL(imageLink)}, Prompt: "p", Extra: tt.extra}
			err := req.Validate()
			if tt.names == nil {
				require.NoError(t, err)
				return
			}
			var invalid *vidu.ValidationError
			require.ErrorAs(t, err, &invalid)
			require.Len(t, invalid.Problems, len(tt.names))
			for i, want := range tt.names {
				assert.Equal(t, "extra", invalid.Problems[i].Field)
				assert.Contains(t, invalid.Problems[i].Reason, want)
			}
			_, err = json.Marshal(req)
			require.ErrorAs(t, err, &invalid)
		})
	}
}

func TestRequest_Unmarshal(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		want vidu.Reference2VideoRequest
	}{
		"a curl body": {
			text: `{"model":"viduq2-pro","images":["https://example.com/hero.png","data:image/png;base64,AAAA","ssupload:?id=1"],
				"prompt":"p","duration":5,"seed":3,"resolution":"720p","movement_amplitude":"auto","off_peak":true,"bgm":false}`,
			want: vidu.Reference2VideoRequest{
				Model:  vidu.ModelQ2Pro,
				Images: []vidu.Media{vidu.URL(imageLink), vidu.DataURI("data:image/png;base64,AAAA"), vidu.UploadRef("ssupload:?id=1")},
				Prompt: "p", Duration: 5, Seed: 3, Resolution: vidu.Resolution720p, MovementAmplitude: vidu.MovementAuto, OffPeak: true, BGM: new(false),
			},
		},
		"no duration":        {text: `{}`},
		"null duration":      {text: `{"duration":null}`},
		"automatic duration": {text: `{"duration":0}`, want: vidu.Reference2VideoRequest{Duration: vidu.AutoDuration}},
		"subjects, old and new": {
			text: `{"subjects":[{"id":"a","images":["https://example.com/hero.png"]},{"name":"b","videos":["https://example.com/hero.png"],"voice_id":"v","server_id":"s"}]}`,
			want: vidu.Reference2VideoRequest{Subjects: []vidu.Subject{
				{ID: "a", Images: []vidu.Media{vidu.URL(imageLink)}},
				{Name: "b", Videos: []vidu.Media{vidu.URL(imageLink)}, VoiceID: "v", ServerID: "s"},
			}},
		},
		"unknown fields": {
			text: `{"model":"m","priority":9007199254740993,"effects":[{"volume":0.10}],"style":null}`,
			want: vidu.Reference2VideoRequest{Model: "m", Extra: map[string]any{
				"priority": json.Number("9007199254740993"),
				"effects":  []any{map[string]any{"volume": json.Number("0.10")}},
				"style":    nil,
			}},
		},
		"unknown field of a subject": {
			text: `{"subjects":[{"name":"a","server_id":"s","gender":"f","age":7}]}`,
			want: vidu.Reference2VideoRequest{Subjects: []vidu.Subject{
				{Name: "a", ServerID: "s", Extra: map[string]any{"gender": "f", "age": json.Number("7")}},
			}},
		},
		"a whole pair, and its escape": {
			text: `{"prompt":"\ud83d\ude00","payload":"\\ud83d \ufffd"}`, want: vidu.Reference2VideoRequest{Prompt: "😀", Payload: `\ud83d ` + "\uFFFD"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := vidu.Reference2VideoRequest{Prompt: "of before", Extra: map[string]any{"x": 1}}
			require.NoError(t, json.Unmarshal([]byte(tt.text), &got))
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestRequest_UnmarshalFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, want string }{
		"array":                           {`[]`, "array"},
		"number for a string":             {`{"model":1}`, "model"},
		"string for a number":             {`{"seed":"1"}`, "seed"},
		"media as an object":              {`{"images":[{"url":"x"}]}`, "object"},
		"known field in another case":     {`{"Seed":3}`, `"Seed" must be spelled "seed"`},
		"known field in two cases":        {`{"model":"a","MODEL":"b"}`, `"MODEL" must be spelled "model"`},
		"field of a subject, other case":  {`{"subjects":[{"Name":"a"}]}`, `"Name" must be spelled "name"`},
		"known field twice":               {`{"seed":1,"seed":2}`, `"seed" is given twice`},
		"known field twice, once escaped": {`{"seed":1,"see\u0064":2}`, `"seed" is given twice`},
		"not UTF-8":                       {"{\"payload\":\"a\xffb\"}", "not valid UTF-8"},
		"Latin-1 in a prompt":             {"{\"prompt\":\"caf\xe9\"}", "not valid UTF-8"},
		"Latin-1 in a name":               {"{\"caf\xe9\":1}", "not valid UTF-8"},
		"half a pair in a prompt":         {`{"prompt":"a\ud83d"}`, "half a surrogate pair"},
		"half a pair in a payload":        {`{"payload":"\ude00"}`, "half a surrogate pair"},
		"half a pair in a subject":        {`{"subjects":[{"name":"\uD800"}]}`, "half a surrogate pair"},
		"half a pair in an unknown field": {`{"x":[{"y":"\ud800\ud800"}]}`, "half a surrogate pair"},
		"duration of -1":                  {`{"duration":-1}`, `"duration" is -1; 0 lets the model choose`},
		"another negative duration":       {`{"duration":-100}`, `"duration" is -100`},
		"known field in two, other first": {`{"MODEL":"b","model":"a"}`, `"MODEL" must be spelled "model"`},
		"only the other case":             {`{"Duration":5}`, `"Duration" must be spelled "duration"`},
		"another case, folded":            {`{"ſeed":3}`, `must be spelled "seed"`},
		"unknown field twice":             {`{"x":1,"x":1}`, `"x" is given twice`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var req vidu.Reference2VideoRequest
			require.ErrorContains(t, json.Unmarshal([]byte(tt.text), &req), tt.want)
			assert.Zero(t, req)
		})
	}
}

// A stored job sends what was stored.
func TestRequest_RoundTrip(t *testing.T) {
	t.Parallel()
	picture := testkit.DataURI("image/png", testkit.PNG(t, 128, 128))
	for name, text := range map[string]string{
		"images": `{"model":"viduq2-pro","images":["https://example.com/hero.png","` + picture + `","ssupload:?id=1"],
			"videos":["https://example.com/walk.mp4"],"prompt":"p","duration":0,"seed":7,"resolution":"540p","aspect_ratio":"1:1",
			"movement_amplitude":"small","off_peak":true,"audio":true,"audio_type":"all","bgm":false,"watermark":false,"wm_position":1,
			"wm_url":"https://example.com/mark.png","meta_data":"{}","payload":"x","callback_url":"https://example.com/done",
			"priority":9007199254740993,"effects":[{"volume":0.10}],"style":null}`,
		"subjects": `{"model":"viduq2","subjects":[{"name":"a","images":["` + picture + `"],"voice_id":"v"},{"id":"b","server_id":"s","gender":"f","x":{"y":[1.50,null]}}],
			"auto_subjects":false,"prompt":"@a","duration":8,"seed":0,"resolution":"1080p","movement_amplitude":"auto","off_peak":false}`,
		"unknown model": `{"model":"viduq9","images":["ssupload:?id=1"],"prompt":"p","seed":0,"movement_amplitude":"auto","off_peak":false}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var req vidu.Reference2VideoRequest
			require.NoError(t, json.Unmarshal([]byte(text), &req))
			again, err := json.Marshal(&req)
			require.NoError(t, err)
			assert.JSONEq(t, text, string(again))
		})
	}
}

// posted is what a create looked like on the wire.
type posted struct {
	header http.Header
	length int64
	body   string
}

// mockGateway is an httpmock that answers creates with reply and keeps what was posted.
func mockGateway(t *testing.T, reply string) (*vidu.Client, *[]posted) {
	t.Helper()
	var posts []posted
	mock := httpmock.NewMockTransport()
	mock.RegisterResponder(http.MethodPost, "https://gateway.example.com"+createPath, func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		posts = append(posts, posted{header: r.Header, length: r.ContentLength, body: string(body)})
		return httpmock.NewStringResponse(http.StatusOK, reply), err
	})
	client, err := vidu.NewClient("https://gateway.example.com", "sentinel-key-0123456789", vidu.WithHTTPClient(&http.Client{Transport: mock}))
	require.NoError(t, err)
	return client, &posts
}

// sendCreate posts req and returns the body that arrived.
func sendCreate(t *testing.T, req *vidu.Reference2VideoRequest) string {
	t.Helper()
	client, posts := mockGateway(t, `{"task_id":"1","state":"created"}`)
	_, err := client.Reference2Video(t.Context(), req)
	require.NoError(t, err)
	require.Len(t, *posts, 1)
	return (*posts)[0].body
}

// The example of the published gateway contract, value for value, its two zeros included.
func TestReference2Video_ContractExample(t *testing.T) {
	t.Parallel()
	contract, err := os.ReadFile("testdata/contract-request.json")
	require.NoError(t, err)
	req := &vidu.Reference2VideoRequest{
		Model: vidu.ModelQ2Pro,
		Images: []vidu.Media{
			vidu.URL("https://prod-ss-images.s3.cn-northwest-1.amazonaws.com.cn/vidu-maas/template/image2video.png"),
		},
		Prompt: "The astronaut waved and the camera moved up.",
	}
	client, posts := mockGateway(t, `{"task_id":"885482446060003328","state":"created","credits":55}`)

	task, err := client.Reference2Video(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, "885482446060003328", task.ID)
	assert.Equal(t, vidu.StateCreated, task.State)
	assert.Equal(t, 55, task.Credits)

	require.Len(t, *posts, 1)
	post := (*posts)[0]
	assert.JSONEq(t, string(contract), post.body)
	assert.EqualValues(t, len(post.body), post.length)
	assert.Equal(t, "application/json", post.header.Get("Content-Type"))
	assert.Equal(t, "Bearer sentinel-key-0123456789", post.header.Get("Authorization"))

	marshalled, err := json.Marshal(req)
	require.NoError(t, err)
	assert.JSONEq(t, string(contract), string(marshalled))
}

func TestReference2Video_Wire(t *testing.T) {
	t.Parallel()
	image := []vidu.Media{vidu.URL(imageLink)}
	tests := map[string]struct {
		req  vidu.Reference2VideoRequest
		want string
	}{
		"every field of images mode": {
			req: vidu.Reference2VideoRequest{
				Model: vidu.ModelQ2Pro, Prompt: "a & b <c>", Seed: -7, Duration: 10,
				Images:     []vidu.Media{vidu.URL(imageLink), vidu.UploadRef("ssupload:?id=1")},
				Videos:     []vidu.Media{vidu.URL("https://example.com/walk.mp4?a=1&b=%253A;c")},
				Resolution: vidu.Resolution1080p, AspectRatio: vidu.AspectRatio9x16, MovementAmplitude: vidu.MovementLarge,
				OffPeak: true, Audio: new(false), AudioType: vidu.AudioSpeechOnly, BGM: new(true), Watermark: new(true),
				WatermarkPosition: 4, WatermarkURL: "https://example.com/mark.png", MetaData: `{"Label":"1"}`,
				Payload: "job-1", CallbackURL: "https://example.com/done?x=1",
				Extra: map[string]any{"enhance": true, "effects": []int{1, 2}},
			},
			want: `{"model":"viduq2-pro","prompt":"a & b <c>","seed":-7,"duration":10,
				"images":["https://example.com/hero.png","ssupload:?id=1"],"videos":["https://example.com/walk.mp4?a=1&b=%253A;c"],
				"resolution":"1080p","aspect_ratio":"9:16","movement_amplitude":"large",
				"off_peak":true,"audio":false,"audio_type":"speech_only","bgm":true,"watermark":true,
				"wm_position":4,"wm_url":"https://example.com/mark.png","meta_data":"{\"Label\":\"1\"}",
				"payload":"job-1","callback_url":"https://example.com/done?x=1","enhance":true,"effects":[1,2]}`,
		},
		"every field of subject mode": {
			req: vidu.Reference2VideoRequest{
				Model: vidu.ModelQ2Pro, Prompt: "@hero waves", AutoSubjects: new(true),
				Subjects: []vidu.Subject{
					{Name: "hero", Images: image, Videos: []vidu.Media{vidu.URL("https://example.com/walk.mp4")}, VoiceID: "v1"},
					{ID: "villain", ServerID: "s1"},
				},
			},
			want: `{"model":"viduq2-pro","prompt":"@hero waves","auto_subjects":true,"duration":5,"seed":0,"resolution":"720p",
				"movement_amplitude":"auto","off_peak":false,"subjects":[
				{"name":"hero","images":["https://example.com/hero.png"],"videos":["https://example.com/walk.mp4"],"voice_id":"v1"},
				{"id":"villain","server_id":"s1"}]}`,
		},
		"false is not nothing": {
			req: vidu.Reference2VideoRequest{
				Model: vidu.ModelQ1, Images: image, Prompt: "p",
				Audio: new(false), BGM: new(false), Watermark: new(false), AutoSubjects: new(false),
			},
			want: `{"model":"viduq1","images":["https://example.com/hero.png"],"prompt":"p","duration":5,"seed":0,"resolution":"1080p",
				"movement_amplitude":"auto","off_peak":false,"audio":false,"bgm":false,"watermark":false,"auto_subjects":false}`,
		},
		"automatic duration is zero": {
			req: vidu.Reference2VideoRequest{Model: vidu.ModelQ2Pro, Images: image, Prompt: "p", Duration: vidu.AutoDuration},
			want: `{"model":"viduq2-pro","images":["https://example.com/hero.png"],"prompt":"p","duration":0,"seed":0,"resolution":"720p",
				"movement_amplitude":"auto","off_peak":false}`,
		},
		"an unknown model has no defaults of ours": {
			req: vidu.Reference2VideoRequest{Model: "viduq9", Images: image, Prompt: "p"},
			want: `{"model":"viduq9","images":["https://example.com/hero.png"],"prompt":"p","seed":0,
				"movement_amplitude":"auto","off_peak":false}`,
		},
		"empty lists are nothing": {
			req: vidu.Reference2VideoRequest{
				Model: "viduq9", Images: image, Prompt: "p", Videos: []vidu.Media{}, Subjects: []vidu.Subject{}, Extra: map[string]any{},
			},
			want: `{"model":"viduq9","images":["https://example.com/hero.png"],"prompt":"p","seed":0,
				"movement_amplitude":"auto","off_peak":false}`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			marshalled, err := json.Marshal(tt.req)
			require.NoError(t, err)
			assert.JSONEq(t, tt.want, string(marshalled))
			assert.JSONEq(t, tt.want, sendCreate(t, &tt.req))
		})
	}
}

// What determines the price is sent in full wherever the documentation names a default.
func TestReference2Video_DefaultsAreSent(t *testing.T) {
	t.Parallel()
	tests := map[vidu.Model]struct {
		duration   int // 0: the documents name no default
		resolution string
	}{
		"viduq3-drama": {0, "720p"},
		"viduq3-ad":    {0, ""},
		"viduq3-mix":   {5, "720p"},
		"viduq3-turbo": {5, "720p"},
		"viduq3":       {5, "720p"},
		"viduq2-pro":   {5, "720p"},
		"viduq2":       {5, "720p"},
		"viduq1":       {5, "1080p"},
		"vidu2.0":      {4, "360p"},
		"vidu1.5":      {4, ""},
	}
	for model, tt := range tests {
		t.Run(string(model), func(t *testing.T) {
			t.Parallel()
			want := `{"model":"` + string(model) + `","images":["` + imageLink + `"],"prompt":"p","seed":0,"movement_amplitude":"auto","off_peak":false`
			if tt.duration != 0 {
				want += `,"duration":` + strconv.Itoa(tt.duration)
			}
			if tt.resolution != "" {
				want += `,"resolution":"` + tt.resolution + `"`
			}
			assert.JSONEq(t, want+"}", sendCreate(t, &vidu.Reference2VideoRequest{Model: model, Images: []vidu.Media{vidu.URL(imageLink)}, Prompt: "p"}))
		})
	}
}

func TestReference2Video_InvalidIsNotSent(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		req   *vidu.Reference2VideoRequest
		field string
	}{
		"nil request": {nil, "req"},
		"no prompt":   {&vidu.Reference2VideoRequest{Model: "m", Images: []vidu.Media{vidu.URL(imageLink)}}, "prompt"},
		"no file":     {&vidu.Reference2VideoRequest{Model: "m", Images: []vidu.Media{vidu.File("testdata/absent.png")}, Prompt: "p"}, "images[0]"},
		"zero media":  {&vidu.Reference2VideoRequest{Model: "m", Images: make([]vidu.Media, 1), Prompt: "p"}, "images[0]"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, posts := mockGateway(t, `{"task_id":"1"}`)
			task, err := client.Reference2Video(t.Context(), tt.req)
			assert.Nil(t, task)
			assert.Empty(t, *posts)
			assert.Equal(t, []string{tt.field}, problemFields(t, err))
			require.NotErrorIs(t, err, vidu.ErrMaybeCreated)
			assert.Equal(t, err, tt.req.Validate())
		})
	}
}

// A subject that is marshalled by itself has no place for files, whatever else it has.
func TestSubject_MarshalJSONOfFiles(t *testing.T) {
	t.Parallel()
	for name, extra := range map[string]map[string]any{"without extra fields": nil, "with extra fields": {"gender": "f"}} {
		_, err := json.Marshal(vidu.Subject{Name: "hero", Images: []vidu.Media{vidu.File("hero.png")}, Extra: extra})
		require.ErrorContains(t, err, "only with their request", name)
	}
	text, err := json.Marshal(vidu.Subject{Name: "hero", Images: []vidu.Media{vidu.URL(imageLink)}, Extra: map[string]any{"gender": "f"}})
	require.NoError(t, err)
	assert.JSONEq(t, `{"name":"hero","images":["https://example.com/hero.png"],"gender":"f"}`, string(text))
}

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
		"keys that JSON lacks":     {map[string]any{"a": map[struct{ A int }]int{{1}: 2}}, []string{"a"}, "cannot be encoded"},
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

// With the official API a reply with another payload is about another create; behind a gateway it is odd.
func TestCreateReply_WithAnotherPayload(t *testing.T) {
	t.Parallel()
	official := []vidu.Option{vidu.WithOfficialAPI()}
	for name, tt := range map[string]struct {
		opts         []vidu.Option
		sent, echoed string
		believed     bool
		warned       bool
	}{
		"official, another":        {official, "job-42", "job-43", false, false},
		"official, one of nowhere": {official, "", "job-43", false, false},
		"official, letter case":    {official, "job-42", "JOB-42", false, false},
		"official, the same":       {official, "job-42", "job-42", true, false},
		"official, not echoed":     {official, "job-42", "", true, false},
		"gateway, another":         {nil, "job-42", "job-43", true, true},
		"gateway, the same":        {nil, "job-42", "job-42", true, false},
		"gateway, not echoed":      {nil, "job-42", "", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, someHost, append(tt.opts, withTransport(func(r *http.Request) (*http.Response, error) {
				return testkit.Reply(r, 200, testkit.JSON(t, map[string]string{"id": "7", "state": "created", "payload": tt.echoed}))
			}))...)
			req := smallRequest()
			req.Payload = tt.sent
			task, err := client.Reference2Video(t.Context(), req)
			if !tt.believed {
				unknown := unknownOutcome(t, err)
				assert.Equal(t, "7", unknown.TaskID)
				require.ErrorContains(t, err, "it has another payload, \""+tt.echoed)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.warned, len(task.Warnings) == 1, "%v", task.Warnings)
		})
	}
}

// No two creates can have made one task.
func TestCreateReply_TaskOfAnotherCreate(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]vidu.Option{"gateway": nil, "official": {vidu.WithOfficialAPI()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, someHost, append(opts, withTransport(func(r *http.Request) (*http.Response, error) {
				return testkit.Reply(r, http.StatusOK, `{"id":7,"state":"created"}`)
			}))...)
			outcomes := make(chan error, 20)
			for range 20 {
				go func() {
					task, err := client.Reference2Video(t.Context(), smallRequest())
					if err == nil && task.ID != "7" {
						err = errors.New(task.ID)
					}
					outcomes <- err
				}()
			}
			created := 0
			for range 20 {
				err := <-outcomes
				if err == nil {
					created++
					continue
				}
				assert.Equal(t, "7", unknownOutcome(t, err).TaskID)
				require.ErrorContains(t, err, "an earlier create got the same task")
				testkit.AssertHarmless(t, err)
			}
			assert.Equal(t, 1, created)
		})
	}
}
