package vidu_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// The list that tells what is Extra must not lag behind the struct.
func TestWireFieldsAreTheTags(t *testing.T) {
	t.Parallel()
	tags := make([]string, 0, len(vidu.WireFields))
	for field := range vidu.WireRequestType.Fields() {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); field.IsExported() {
			tags = append(tags, name)
		}
	}
	assert.Equal(t, tags, vidu.WireFields)
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
		"known field in another case": {text: `{"Seed":3}`, want: vidu.Reference2VideoRequest{Seed: 3}},
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
	for name, text := range map[string]string{
		"array":               `[]`,
		"number for a string": `{"model":1}`,
		"string for a number": `{"seed":"1"}`,
		"media as an object":  `{"images":[{"url":"x"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var req vidu.Reference2VideoRequest
			require.Error(t, json.Unmarshal([]byte(text), &req))
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
		"subjects": `{"model":"viduq2","subjects":[{"name":"a","images":["` + picture + `"],"voice_id":"v"},{"id":"b","server_id":"s"}],
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
