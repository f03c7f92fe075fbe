package viduworkflow_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/vidu-go/vidu"
	viduworkflow "github.com/vidu-go/vidu/temporal"
	"github.com/vidu-go/vidu/vidutest"
)

const (
	endpoint = "lip-sync" // one without a method
	callback = "https://example.com/cb"
)

// kind is one of the requests of an Input.
type kind struct {
	endpoint    string
	field       string // of the input's JSON
	input       func(vidu.Media) viduworkflow.Input
	setPayload  func(in *viduworkflow.Input, payload string)
	setCallback func(in *viduworkflow.Input, url string)
	spoil       func(*viduworkflow.Input)
	problem     string // what spoil does
}

// kinds are those with a medium where the endpoint has one.
func kinds() map[string]kind {
	return map[string]kind{
		"reference2video": {
			"reference2video", "request",
			func(m vidu.Media) viduworkflow.Input {
				in := input()
				in.Request.Images = []vidu.Media{m}
				return in
			},
			func(in *viduworkflow.Input, payload string) { in.Request.Payload = payload },
			func(in *viduworkflow.Input, url string) { in.Request.CallbackURL = url },
			func(in *viduworkflow.Input) { in.Request.Prompt = "" }, "prompt",
		},
		"text2video": {
			"text2video", "text2video",
			func(vidu.Media) viduworkflow.Input {
				return viduworkflow.Input{Text2Video: &vidu.Text2VideoRequest{Model: vidu.ModelQ2, Prompt: "The astronaut waved."}}
			},
			func(in *viduworkflow.Input, payload string) { in.Text2Video.Payload = payload },
			func(in *viduworkflow.Input, url string) { in.Text2Video.CallbackURL = url },
			func(in *viduworkflow.Input) { in.Text2Video.Prompt = "" }, "prompt",
		},
		"img2video": {
			"img2video", "img2video",
			func(m vidu.Media) viduworkflow.Input {
				return viduworkflow.Input{Img2Video: &vidu.Img2VideoRequest{Model: vidu.ModelQ2Pro, Images: []vidu.Media{m}}}
			},
			func(in *viduworkflow.Input, payload string) { in.Img2Video.Payload = payload },
			func(in *viduworkflow.Input, url string) { in.Img2Video.CallbackURL = url },
			func(in *viduworkflow.Input) { in.Img2Video.Images = nil }, "images",
		},
		"start-end2video": {
			"start-end2video", "start_end2video",
			func(m vidu.Media) viduworkflow.Input {
				return viduworkflow.Input{StartEnd2Video: &vidu.StartEnd2VideoRequest{
					Model: vidu.ModelQ2Pro, Images: []vidu.Media{vidu.URL("https://example.com/first.png"), m},
				}}
			},
			func(in *viduworkflow.Input, payload string) { in.StartEnd2Video.Payload = payload },
			func(in *viduworkflow.Input, url string) { in.StartEnd2Video.CallbackURL = url },
			func(in *viduworkflow.Input) { in.StartEnd2Video.Images = in.StartEnd2Video.Images[:1] }, "images",
		},
		"generic": {
			endpoint, "generic",
			func(m vidu.Media) viduworkflow.Input {
				return viduworkflow.Input{Generic: &viduworkflow.Generic{Endpoint: endpoint, Fields: map[string]any{
					"video": m, "voices": []any{map[string]any{"image": m, "number": uint64(1<<63 + 1)}},
				}}}
			},
			func(in *viduworkflow.Input, payload string) { in.Generic.Fields["payload"] = payload },
			func(in *viduworkflow.Input, url string) { in.Generic.Fields["callback_url"] = url },
			func(in *viduworkflow.Input) { in.Generic.Endpoint = "../" + endpoint }, "endpoint",
		},
	}
}

func hero() vidu.Media { return vidu.URL("https://example.com/hero.png") }

func TestGenerate_Kinds(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, vidutest.WithEndpoint(endpoint))
			in := kind.input(hero())
			kind.setCallback(&in, callback)
			var queue string
			w.SetOnActivityStartedListener(func(info *activity.Info, _ context.Context, _ converter.EncodedValues) {
				switch info.ActivityType.Name {
				case viduworkflow.SubmitName, viduworkflow.CreateName:
					queue = info.TaskQueue
				}
			})

			out, err := w.run(t, in)

			require.NoError(t, err)
			assert.FileExists(t, out.Location)
			assert.Equal(t, 1, w.server.Charged())
			assert.Equal(t, "vidu-submit", queue)
			create := w.server.Requests()[0]
			assert.Equal(t, kind.endpoint, create.Endpoint)
			var body map[string]any
			require.NoError(t, json.Unmarshal(create.Body, &body))
			assert.Equal(t, jobID, body["payload"])
			assert.Equal(t, callback+"?workflow="+jobID, body["callback_url"])
			if name == "generic" {
				assert.Contains(t, string(create.Body), `{"image":"https://example.com/hero.png","number":9223372036854775809}`)
			}
		})
	}
}

// What the outcome of a create is does not depend on the kind of the request.
func TestGenerate_KindsFail(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, vidutest.WithEndpoint(endpoint))
			lostReply(w)
			failure := w.fail(t, kind.input(hero()))
			assert.Equal(t, viduworkflow.MaybeCreated, failure.Kind)
			assert.Equal(t, jobID, failure.Payload)
			assert.Equal(t, 1, w.creates())

			w = newWorld(t, vidutest.WithEndpoint(endpoint))
			w.server.FailNext(http.StatusTooManyRequests, "")
			_, err := w.run(t, kind.input(hero()))
			require.NoError(t, err)
			assert.Equal(t, 2, w.creates())

			w = newWorld(t, vidutest.WithEndpoint(endpoint))
			w.server.FailNext(http.StatusBadRequest, "")
			assert.Equal(t, viduworkflow.Refused, w.fail(t, kind.input(hero())).Kind)
			assert.Equal(t, 1, w.creates())

			w = newWorld(t, vidutest.WithEndpoint(endpoint))
			in := kind.input(hero())
			kind.spoil(&in)
			assert.Equal(t, viduworkflow.Invalid, w.fail(t, in).Kind)
			assert.Zero(t, w.creates())

			w = newWorld(t, vidutest.WithEndpoint(endpoint))
			in = kind.input(hero())
			kind.setPayload(&in, "another")
			assert.Equal(t, viduworkflow.Invalid, w.fail(t, in).Kind)
			assert.Zero(t, w.creates())
		})
	}
}

func TestGenerate_KindsReconcile(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newOfficialWorld(t, vidutest.WithEndpoint(endpoint))
			lostReply(w)
			in := kind.input(hero())
			in.OnUnknown = viduworkflow.Reconcile
			out, err := w.run(t, in)
			require.NoError(t, err)
			assert.True(t, out.Reconciled)
			assert.Equal(t, 1, w.server.Charged())
		})
	}
}

// The prompt with which a look-up excludes tasks without a payload is that of the request, unless the server may write
// one.
func TestGenerate_PromptOfLookup(t *testing.T) {
	t.Parallel()
	const prompt = "The astronaut waved."
	image, yes := []vidu.Media{hero()}, true
	tests := map[string]struct {
		input viduworkflow.Input
		want  string
	}{
		"reference2video": {input(), prompt},
		"text2video":      {viduworkflow.Input{Text2Video: &vidu.Text2VideoRequest{Model: vidu.ModelQ2, Prompt: prompt}}, prompt},
		"img2video":       {viduworkflow.Input{Img2Video: &vidu.Img2VideoRequest{Model: vidu.ModelQ2Pro, Images: image, Prompt: prompt}}, prompt},
		"img2video, written": {
			viduworkflow.Input{Img2Video: &vidu.Img2VideoRequest{Model: vidu.ModelQ2Pro, Images: image, Prompt: prompt, IsRec: &yes}}, "",
		},
		"start-end2video": {
			viduworkflow.Input{StartEnd2Video: &vidu.StartEnd2VideoRequest{Model: vidu.ModelQ2Pro, Images: append(image, hero()), Prompt: prompt}}, prompt,
		},
		"start-end2video, written": {
			viduworkflow.Input{StartEnd2Video: &vidu.StartEnd2VideoRequest{Model: vidu.ModelQ2Pro, Images: append(image, hero()), Prompt: prompt, IsRec: &yes}}, "",
		},
		"generic": {viduworkflow.Input{Generic: &viduworkflow.Generic{Endpoint: endpoint, Fields: map[string]any{"prompt": prompt}}}, prompt},
		"generic, written": {
			viduworkflow.Input{Generic: &viduworkflow.Generic{Endpoint: endpoint, Fields: map[string]any{"prompt": prompt, "is_rec": true}}}, "",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newOfficialWorld(t, vidutest.WithEndpoint(endpoint))
			lostReply(w)
			var lookup *viduworkflow.Lookup
			w.SetOnActivityStartedListener(func(info *activity.Info, _ context.Context, args converter.EncodedValues) {
				var in viduworkflow.Lookup
				if info.ActivityType.Name == viduworkflow.ReconcileName && assert.NoError(t, args.Get(&in)) {
					lookup = &in
				}
			})
			test.input.OnUnknown = viduworkflow.Reconcile
			_, err := w.run(t, test.input)
			require.NoError(t, err)
			require.NotNil(t, lookup)
			assert.Equal(t, test.want, lookup.Prompt)
		})
	}
}

// Where the server may have written the prompt, every task without a payload may be the one.
func TestReconcile_PromptOfTheServer(t *testing.T) {
	t.Parallel()
	w := newOfficialWorld(t)
	w.create(t, "")
	suite := &testsuite.WorkflowTestSuite{}
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(w.a.Reconcile)
	for prompt, unsure := range map[string]bool{"": true, input().Request.Prompt: true, "Another.": false} {
		_, err := env.ExecuteActivity(w.a.Reconcile, viduworkflow.Lookup{
			Payload: jobID, Prompt: prompt, Since: time.Now().Add(-time.Minute),
		})
		assert.Equal(t, unsure, err != nil, "%q: %v", prompt, err)
	}
}

// A parent workflow may call Generate as a function: its request is not changed.
func TestGenerate_LeavesInputUnchanged(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, vidutest.WithEndpoint(endpoint))
			in, want := kind.input(hero()), kind.input(hero())
			kind.setCallback(&in, callback)
			kind.setCallback(&want, callback)
			w.ExecuteWorkflow(func(ctx workflow.Context) (*viduworkflow.Output, error) { return viduworkflow.Generate(ctx, in) })
			require.NoError(t, w.GetWorkflowError())
			assert.Equal(t, want, in)
			assert.Contains(t, string(w.server.Requests()[0].Body), `"payload":"`+jobID+`"`)
		})
	}
}

// A history names only the request that is set, and keeps it as it is.
func TestInput_JSON(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := json.Marshal(kind.input(hero()))
			require.NoError(t, err)
			var members map[string]json.RawMessage
			require.NoError(t, json.Unmarshal(text, &members))
			assert.Len(t, members, 1)
			assert.Contains(t, members, kind.field)
			var in viduworkflow.Input
			require.NoError(t, json.Unmarshal(text, &in))
			again, err := json.Marshal(in)
			require.NoError(t, err)
			assert.Equal(t, string(text), string(again))
		})
	}
}

// Exactly one request must be set.
func TestInput_OneRequest(t *testing.T) {
	t.Parallel()
	two := input()
	two.Generic = &viduworkflow.Generic{Endpoint: endpoint, Fields: map[string]any{}}
	for name, in := range map[string]viduworkflow.Input{"none": {}, "two": two} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, e := newWorld(t, vidutest.WithEndpoint(endpoint)), &engine{}
			_, err := viduworkflow.Start(t.Context(), e, jobID, in)
			require.ErrorContains(t, err, "exactly one of")
			assert.Empty(t, e.args)
			failure := w.fail(t, in)
			assert.Equal(t, viduworkflow.Invalid, failure.Kind)
			assert.Contains(t, failure.Message, "exactly one of")
			assert.Zero(t, w.creates())
		})
	}
}

// Fields that are nil are refused by the workflow as well, which may have been started as a child.
func TestGenerate_GenericWithoutFields(t *testing.T) {
	t.Parallel()
	w := newWorld(t, vidutest.WithEndpoint(endpoint))
	failure := w.fail(t, viduworkflow.Input{Generic: &viduworkflow.Generic{Endpoint: endpoint}})
	assert.Equal(t, viduworkflow.Invalid, failure.Kind)
	assert.Zero(t, w.creates())
}

// A worker that is older than a request sees none, and sends nothing.
func TestCreate_UnknownRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	suite := &testsuite.WorkflowTestSuite{}
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(w.a.Create)
	_, err := env.ExecuteActivity(w.a.Create, &viduworkflow.CreateInput{})
	failure := viduworkflow.ErrorOf(err)
	require.NotNil(t, failure, "%v", err)
	assert.Equal(t, viduworkflow.Invalid, failure.Kind)
	assert.Zero(t, w.creates())
}

func TestStart_Kinds(t *testing.T) {
	t.Parallel()
	picture, err := os.ReadFile("../vidutest/assets/cover.jpg")
	require.NoError(t, err)
	for name, kind := range kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refuses := func(in viduworkflow.Input, want string) {
				t.Helper()
				e := &engine{}
				_, err := viduworkflow.Start(t.Context(), e, jobID, in)
				require.ErrorContains(t, err, want)
				assert.Empty(t, e.args)
			}
			e := &engine{}
			in := kind.input(hero())
			_, err := viduworkflow.Start(t.Context(), e, jobID, in)
			require.NoError(t, err)
			assert.Equal(t, []any{in}, e.args)

			kind.setPayload(&in, "another")
			refuses(in, "payload")
			in = kind.input(hero())
			kind.spoil(&in)
			refuses(in, kind.problem)
			in = kind.input(hero())
			kind.setCallback(&in, "https://example.com/"+strings.Repeat("x", 600<<10))
			refuses(in, "history")
			if name != "text2video" { // which has no media
				refuses(kind.input(vidu.Bytes(picture)), "UploadImage")
				refuses(kind.input(vidu.DataURI(dataURI(picture))), "UploadImage")
				refuses(kind.input(vidu.File("../vidutest/assets/cover.jpg")), "UploadImage")
				refuses(kind.input(vidu.File("missing.png")), "missing.png")
			}
		})
	}
}

// Media in every place that can have them, and nothing that only looks like them.
func TestStart_InlineMedia(t *testing.T) {
	t.Parallel()
	picture, err := os.ReadFile("../vidutest/assets/cover.jpg")
	require.NoError(t, err)
	generic := func(fields map[string]any) viduworkflow.Input {
		return viduworkflow.Input{Generic: &viduworkflow.Generic{Endpoint: endpoint, Fields: fields}}
	}
	sounds := input()
	sounds.Request.Model, sounds.Request.Sounds = vidu.ModelQ4Preview, []vidu.Media{vidu.Bytes([]byte("ID3\x04\x00\x00\x00\x00\x00\x00"))}
	extra := input()
	extra.Request.Extra = map[string]any{"mask": dataURI(picture)}
	prompt := input()
	prompt.Request.Prompt = "data: a/b; of the astronaut, who waved"
	for name, test := range map[string]struct {
		input viduworkflow.Input
		want  string // "": none
	}{
		"sounds":                 {sounds, "UploadImage"},
		"extra":                  {extra, "UploadImage"},
		"generic, text":          {generic(map[string]any{"a": []any{map[string]any{"b": dataURI(picture)}}}), "UploadImage"},
		"generic, capitals":      {generic(map[string]any{"a": "DATA:image/png;base64,AAAA"}), "UploadImage"},
		"generic, pointer":       {generic(map[string]any{"a": new(vidu.Bytes(picture))}), "UploadImage"},
		"generic, no JSON":       {generic(map[string]any{"a": func() {}}), "encoded"},
		"generic, no UTF-8":      {generic(map[string]any{"prompt": "\xff"}), "UTF-8"},
		"generic, no fields":     {generic(nil), "fields"},
		"generic, number":        {generic(map[string]any{"payload": 7}), "payload"},
		"prompt with a \"data\"": {prompt, ""},
		"links":                  {generic(map[string]any{"a": []vidu.Media{hero()}}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := viduworkflow.Start(t.Context(), &engine{}, jobID, test.input)
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
		})
	}
}

func dataURI(picture []byte) string {
	return "data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(picture)
}
