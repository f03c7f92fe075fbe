package vidu_test

import (
	"encoding/json"
	"math"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// wireName is what a name on the wire looks like. A field without a tag goes out under its Go name, which does not.
var wireName = regexp.MustCompile(`^[a-z0-9_]+$`)

// setEveryField sets every field of a request by reflection, each to something that is not its default: media to data of their
// own, which only a list that is encoded as media can carry.
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
	}
	require.Fail(t, "this test does not know what goes into "+name)
	return nil
}

// TestCreate_EveryFieldIsOnTheWire is what keeps a field from being forgotten: with one tag or one shadow less it fails.
func TestCreate_EveryFieldIsOnTheWire(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]any{
		"reference2video": &vidu.Reference2VideoRequest{},
	} {
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
		if list, ok := request.Field(i).Interface().([]vidu.Subject); ok && len(list) > 0 {
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

func TestExtraIsChecked(t *testing.T) {
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

func TestRequestUnmarshals(t *testing.T) {
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
			text: `{"model":"m","priority":9007199254740993,"sounds":[{"volume":0.10}],"style":null}`,
			want: vidu.Reference2VideoRequest{Model: "m", Extra: map[string]any{
				"priority": json.Number("9007199254740993"),
				"sounds":   []any{map[string]any{"volume": json.Number("0.10")}},
				"style":    nil,
			}},
		},
		"unknown field of a subject": {
			text: `{"subjects":[{"name":"a","server_id":"s","gender":"f","age":7}]}`,
			want: vidu.Reference2VideoRequest{Subjects: []vidu.Subject{
				{Name: "a", ServerID: "s", Extra: map[string]any{"gender": "f", "age": json.Number("7")}},
			}},
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

func TestRequestUnmarshalFails(t *testing.T) {
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
func TestRequestRoundTrip(t *testing.T) {
	t.Parallel()
	picture := testkit.DataURI("image/png", testkit.PNG(t, 128, 128))
	for name, text := range map[string]string{
		"images": `{"model":"viduq2-pro","images":["https://example.com/hero.png","` + picture + `","ssupload:?id=1"],
			"videos":["https://example.com/walk.mp4"],"prompt":"p","duration":0,"seed":7,"resolution":"540p","aspect_ratio":"1:1",
			"movement_amplitude":"small","off_peak":true,"audio":true,"audio_type":"all","bgm":false,"watermark":false,"wm_position":1,
			"wm_url":"https://example.com/mark.png","meta_data":"{}","payload":"x","callback_url":"https://example.com/done",
			"priority":9007199254740993,"sounds":[{"volume":0.10}],"style":null}`,
		"subjects": `{"model":"viduq2","subjects":[{"name":"a","images":["` + picture + `"],"voice_id":"v"},{"id":"b","server_id":"s","gender":"f"}],
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
