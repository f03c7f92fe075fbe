package vidu_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strconv"
	"testing"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
)

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

// The founding example, value for value, its two zeros included.
func TestReference2VideoSendsTheSeedExample(t *testing.T) {
	t.Parallel()
	seed, err := os.ReadFile("testdata/contract-request.json")
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
	assert.JSONEq(t, string(seed), post.body)
	assert.EqualValues(t, len(post.body), post.length)
	assert.Equal(t, "application/json", post.header.Get("Content-Type"))
	assert.Equal(t, "Bearer sentinel-key-0123456789", post.header.Get("Authorization"))

	marshalled, err := json.Marshal(req)
	require.NoError(t, err)
	assert.JSONEq(t, string(seed), string(marshalled))
}

func TestRequestOnTheWire(t *testing.T) {
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
				Extra: map[string]any{"enhance": true, "sounds": []int{1, 2}},
			},
			want: `{"model":"viduq2-pro","prompt":"a & b <c>","seed":-7,"duration":10,
				"images":["https://example.com/hero.png","ssupload:?id=1"],"videos":["https://example.com/walk.mp4?a=1&b=%253A;c"],
				"resolution":"1080p","aspect_ratio":"9:16","movement_amplitude":"large",
				"off_peak":true,"audio":false,"audio_type":"speech_only","bgm":true,"watermark":true,
				"wm_position":4,"wm_url":"https://example.com/mark.png","meta_data":"{\"Label\":\"1\"}",
				"payload":"job-1","callback_url":"https://example.com/done?x=1","enhance":true,"sounds":[1,2]}`,
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

// What a call costs is said in full wherever the documents know it.
func TestModelDefaultsAreSent(t *testing.T) {
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

func TestReference2VideoSendsNothingInvalid(t *testing.T) {
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

// An id in the reply is a task, however little else of it can be used.
func TestReference2VideoReadsTheReply(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		reply    string
		id       string // "": no task can be told from the reply
		warnings int
	}{
		"whole":              {reply: `{"task_id":"1","state":"created"}`, id: "1"},
		"minor field is odd": {reply: `{"task_id":"1","duration":"long"}`, id: "1", warnings: 1},
		"cut after the id":   {reply: `{"task_id":"1","state":"crea`, id: "1", warnings: 1},
		"no id":              {reply: `{"state":"created"}`},
		"empty object":       {reply: `{}`},
		"null":               {reply: `null`},
		"two ids":            {reply: `{"task_id":"1","task_id":"2"}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, posts := mockGateway(t, tt.reply)
			task, err := client.Reference2Video(t.Context(), &vidu.Reference2VideoRequest{
				Model: vidu.ModelQ2, Images: []vidu.Media{vidu.URL(imageLink)}, Prompt: "p", Payload: "job-1",
			})
			assert.Len(t, *posts, 1)
			if tt.id == "" {
				require.ErrorIs(t, err, vidu.ErrMaybeCreated)
				var maybe *vidu.MaybeCreatedError
				require.ErrorAs(t, err, &maybe)
				assert.Equal(t, "job-1", maybe.Payload)
				assert.Nil(t, task)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.id, task.ID)
			assert.Len(t, task.Warnings, tt.warnings)
		})
	}
}
