package vidu_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
	"github.com/vidu-go/vidu/vidutest"
)

// What every create promises, whichever endpoint it is sent to.

// createCall is one way to create a task, with the payload job-42.
type createCall struct {
	endpoint string
	send     func(context.Context, *vidu.Client) (*vidu.Task, error)
	bad      func(context.Context, *vidu.Client) (*vidu.Task, error) // with a medium that is none
	field    string                                                  // that the error of bad names
}

// createCalls are the four typed creates and a generic one.
var createCalls = map[string]createCall{
	"Reference2Video": {
		endpoint: "reference2video",
		send: func(ctx context.Context, c *vidu.Client) (*vidu.Task, error) {
			return c.Reference2Video(ctx, smallRequest())
		},
		bad: func(ctx context.Context, c *vidu.Client) (*vidu.Task, error) {
			return c.Reference2Video(ctx, &vidu.Reference2VideoRequest{Model: "m", Prompt: "p", Images: []vidu.Media{vidu.Bytes([]byte("GIF89a"))}})
		},
		field: "images[0]",
	},
	"Text2Video": {
		endpoint: "text2video",
		send: func(ctx context.Context, c *vidu.Client) (*vidu.Task, error) {
			return c.Text2Video(ctx, &vidu.Text2VideoRequest{Model: vidu.ModelQ2, Prompt: "p", Payload: "job-42"})
		},
		bad: func(ctx context.Context, c *vidu.Client) (*vidu.Task, error) {
			return c.Text2Video(ctx, &vidu.Text2VideoRequest{Model: "m", Prompt: "p", Extra: map[string]any{"image": vidu.Bytes([]byte("GIF89a"))}})
		},
		field: "extra",
	},
	"Img2Video": {
		endpoint: "img2video",
		send: func(ctx context.Context, c *vidu.Client) (*vidu.Task, error) {
			return c.Img2Video(ctx, &vidu.Img2VideoRequest{Model: vidu.ModelQ2Pro, Images: imageLinks(1), Payload: "job-42"})
		},
		bad: func(ctx context.Context, c *vidu.Client) (*vidu.Task, error) {
			return c.Img2Video(ctx, &vidu.Img2VideoRequest{Model: "m", Images: []vidu.Media{vidu.File("missing.png")}})
		},
		field: "images[0]",
	},
	"StartEnd2Video": {
		endpoint: "start-end2video",
		send: func(ctx context.Context, c *vidu.Client) (*vidu.Task, error) {
			return c.StartEnd2Video(ctx, &vidu.StartEnd2VideoRequest{Model: vidu.ModelQ2Pro, Images: imageLinks(2), Payload: "job-42"})
		},
		bad: func(ctx context.Context, c *vidu.Client) (*vidu.Task, error) {
			return c.StartEnd2Video(ctx, &vidu.StartEnd2VideoRequest{Model: "m", Images: []vidu.Media{vidu.URL(imageLink), vidu.URL("hero.png")}})
		},
		field: "images[1]",
	},
	"CreateTask": {
		endpoint: "reference2image",
		send: func(ctx context.Context, c *vidu.Client) (*vidu.Task, error) {
			return c.CreateTask(ctx, "reference2image", map[string]any{"model": "viduq2", "prompt": "p", "payload": "job-42"})
		},
		bad: func(ctx context.Context, c *vidu.Client) (*vidu.Task, error) {
			return c.CreateTask(ctx, "reference2image", map[string]any{"settings": []any{map[string]any{"image": vidu.UploadRef("1")}}})
		},
		field: "settings[0].image",
	},
}

// TestCreates_EveryMethodIsTested keeps a new create from being left out of the tests in this file.
func TestCreates_EveryMethodIsTested(t *testing.T) {
	t.Parallel()
	requests := createRequests()
	assert.GreaterOrEqual(t, len(requests), 4)
	for method := range requests {
		assert.NotNil(t, createCalls[method].send, "%s belongs in createCalls", method)
	}
}

// cutReply answers with the beginning of a reply, which ends before the id of its task.
func cutReply(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, `{"type":"img2video","task_id":"8854`)
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's way to cut a connection
}

func TestCreates_OnePOST(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault   func(*vidutest.Server)
		posts   int
		charged int
		check   func(t *testing.T, task *vidu.Task, err error)
	}{
		"success": {func(*vidutest.Server) {}, 1, 1, assertAccepted},
		"HTTP 502": {func(s *vidutest.Server) { s.FailNext(502, "<html>Bad Gateway</html>") }, 1, 0, func(t *testing.T, _ *vidu.Task, err error) {
			t.Helper()
			assertUnknownOutcome(t, err)
			assert.Equal(t, 502, unknownOutcome(t, err).StatusCode)
		}},
		"answer lost": {(*vidutest.Server).DropReplyAfterCommit, 1, 1, func(t *testing.T, _ *vidu.Task, err error) {
			t.Helper()
			assertUnknownOutcome(t, err)
			assert.Zero(t, unknownOutcome(t, err).StatusCode)
		}},
		"answer cut behind the id": {(*vidutest.Server).DropMidBody, 1, 1, assertAccepted},
		"answer cut in the id": {func(s *vidutest.Server) { s.AnswerNext("POST /", cutReply) }, 1, 0, func(t *testing.T, _ *vidu.Task, err error) {
			t.Helper()
			assertUnknownOutcome(t, err)
			assert.Equal(t, 200, unknownOutcome(t, err).StatusCode)
			assert.Empty(t, unknownOutcome(t, err).TaskID, "half an id is none")
		}},
		"refusal": {func(s *vidutest.Server) { s.FailNext(400, `{"reason":"TaskPromptPolicyViolation"}`) }, 1, 0, func(t *testing.T, _ *vidu.Task, err error) {
			t.Helper()
			assertNotCreated(t, err)
			require.ErrorIs(t, err, vidu.ErrorCode("TaskPromptPolicyViolation"))
		}},
		"busy at first": {func(s *vidutest.Server) { s.FailNext(429, "") }, 2, 1, assertAccepted},
	} {
		for method, call := range createCalls {
			t.Run(name+"/"+method, func(t *testing.T) {
				t.Parallel()
				server := vidutest.NewServer(vidutest.WithAPIKey(testkit.Key), vidutest.WithTiming(0, 0), vidutest.WithEndpoint("reference2image"))
				defer server.Close()
				r := newRig(t, server.URL)
				tt.fault(server)
				task, err := call.send(t.Context(), r.Client)
				tt.check(t, task, err)
				assert.Equal(t, tt.posts, len(server.Requests())) //nolint:testifylint // Len would print them
				for _, request := range server.Requests() {
					assert.Equal(t, call.endpoint, request.Endpoint)
				}
				assert.Equal(t, tt.charged, server.Charged())
			})
		}
	}
}

// assertAccepted checks a create that succeeded.
func assertAccepted(t *testing.T, task *vidu.Task, err error) {
	t.Helper()
	require.NoError(t, err)
	assert.Regexp(t, "^[0-9]+$", task.ID)
}

// unreachable is a client whose every request is counted, and fails the test.
func unreachable(t *testing.T) *vidu.Client {
	t.Helper()
	return newClient(t, someHost, withTransport(func(r *http.Request) (*http.Response, error) {
		t.Errorf("%s %s was sent", r.Method, r.URL)
		return testkit.Reply(r, http.StatusOK, createdReply)
	}))
}

func TestCreates_WrongMediumIsNotSent(t *testing.T) {
	t.Parallel()
	for method, call := range createCalls {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			_, err := call.bad(t.Context(), unreachable(t))
			assert.Equal(t, []string{call.field}, problemFields(t, err))
			testkit.AssertHarmless(t, err)
		})
	}
}

func TestCreates_NilRequest(t *testing.T) {
	t.Parallel()
	client := unreachable(t)
	for method, request := range createRequests() {
		arguments := []reflect.Value{reflect.ValueOf(t.Context()), reflect.Zero(reflect.TypeOf(request))}
		err, _ := reflect.TypeAssert[error](reflect.ValueOf(client).MethodByName(method).Call(arguments)[1])
		assert.Equal(t, []string{"req"}, problemFields(t, err), method)
	}
	_, err := client.CreateTask(t.Context(), "lip-sync", nil)
	assert.Equal(t, []string{"fields"}, problemFields(t, err))
}

func TestCreates_NilClient(t *testing.T) {
	t.Parallel()
	for method, call := range createCalls {
		for _, client := range []*vidu.Client{nil, {}} {
			_, err := call.send(t.Context(), client)
			require.ErrorContains(t, err, "not made by NewClient", method)
		}
		_, err := call.send(nil, unreachable(t))
		require.ErrorContains(t, err, "context is nil", method)
	}
}

// The payload is what a task is looked for by, however it was created.
func TestCreates_RecoveryByPayload(t *testing.T) {
	t.Parallel()
	for method, call := range createCalls {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				fake, r := officialServer(t, []vidutest.Option{vidutest.WithEndpoint("reference2image")}, vidu.WithRecovery(time.Minute), vidu.WithMaxAttempts(1))
				fake.DropReplyAfterCommit()
				task, err := call.send(t.Context(), r.Client)
				require.NoError(t, err)
				assert.Equal(t, "job-42", task.Payload)
				assert.Equal(t, 1, creates(fake))
			})
		})
	}
}

// A request without a payload gets one, which the caller finds in the error and not in the request.
func TestWithRecovery_FillsAnEmptyPayload(t *testing.T) {
	t.Parallel()
	reference, text := &vidu.Reference2VideoRequest{Model: "m", Prompt: "p", Images: imageLinks(1)}, &vidu.Text2VideoRequest{Model: "m", Prompt: "p"}
	image, frames := &vidu.Img2VideoRequest{Model: "m", Images: imageLinks(1)}, &vidu.StartEnd2VideoRequest{Model: "m", Images: imageLinks(2)}
	for name, tt := range map[string]struct {
		send    func(context.Context, *vidu.Client) (*vidu.Task, error)
		payload *string // of the request
	}{
		"Reference2Video": {func(ctx context.Context, c *vidu.Client) (*vidu.Task, error) {
			return c.Reference2Video(ctx, reference)
		}, &reference.Payload},
		"Text2Video":     {func(ctx context.Context, c *vidu.Client) (*vidu.Task, error) { return c.Text2Video(ctx, text) }, &text.Payload},
		"Img2Video":      {func(ctx context.Context, c *vidu.Client) (*vidu.Task, error) { return c.Img2Video(ctx, image) }, &image.Payload},
		"StartEnd2Video": {func(ctx context.Context, c *vidu.Client) (*vidu.Task, error) { return c.StartEnd2Video(ctx, frames) }, &frames.Payload},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var sent []string
				r := newRig(t, someHost, vidu.WithOfficialAPI(), vidu.WithRecovery(10*time.Second), vidu.WithMaxAttempts(1), withTransport(func(req *http.Request) (*http.Response, error) {
					if req.Method == http.MethodPost {
						sent = append(sent, payloadOf(t, req))
						return testkit.Reply(req, http.StatusBadGateway, "")
					}
					return testkit.Reply(req, http.StatusOK, `{"tasks":[]}`)
				}))
				for range 2 {
					_, err := tt.send(t.Context(), r.Client)
					assert.Equal(t, sent[len(sent)-1], unknownOutcome(t, err).Payload)
					assert.Empty(t, *tt.payload, "the request is left as it is")
				}
				assert.Regexp(t, "^vidu-[A-Z2-7]{26}$", sent[0])
				assert.NotEqual(t, sent[0], sent[1], "a new one for every create")
			})
		})
	}
}

// payloadOf reads a create and returns its payload, "" for none.
func payloadOf(t *testing.T, req *http.Request) string {
	t.Helper()
	var fields struct{ Payload string }
	require.NoError(t, json.NewDecoder(req.Body).Decode(&fields))
	_, _ = io.Copy(io.Discard, req.Body)
	return fields.Payload
}

func TestWithRecovery_AddsNothingElsewhere(t *testing.T) {
	t.Parallel()
	var sent []string
	answer := withTransport(func(r *http.Request) (*http.Response, error) {
		sent = append(sent, payloadOf(t, r))
		return testkit.Reply(r, http.StatusOK, createdReply)
	})
	req := smallRequest()
	_, err := newClient(t, someHost, vidu.WithRecovery(time.Minute), answer).Reference2Video(t.Context(), req)
	require.NoError(t, err)
	_, err = newClient(t, someHost, vidu.WithRecovery(time.Minute), answer).CreateTask(t.Context(), "lip-sync", map[string]any{})
	require.NoError(t, err)
	req.Payload = ""
	_, err = newClient(t, someHost, answer).Reference2Video(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, []string{"job-42", "", ""}, sent, "one's own; a generic create; without WithRecovery")
}

// With IsRec, and where no prompt is sent, the prompt in the list is the server's.
func TestWithRecovery_FindsUnderAnotherPrompt(t *testing.T) {
	t.Parallel()
	for name, req := range map[string]*vidu.Img2VideoRequest{
		"no prompt":   {Model: "m", Images: imageLinks(1), Payload: "job-42"},
		"recommended": {Model: "m", Images: imageLinks(1), Payload: "job-42", Prompt: "p", IsRec: new(true)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, _ := recordedClient(t, func(r *http.Request) (int, string) {
					switch {
					case r.Method == http.MethodPost:
						_, _ = io.Copy(io.Discard, r.Body)
						return http.StatusBadGateway, ""
					case isListQuery(r):
						return http.StatusOK, `{"tasks":[{"id":"7","state":"created","prompt":"The hero waves."}]}`
					}
					return http.StatusOK, `{"id":"7","state":"created","payload":"job-42"}`
				}, vidu.WithRecovery(10*time.Second))
				task, err := client.Img2Video(t.Context(), req)
				require.NoError(t, err)
				assert.Equal(t, "7", task.ID)
			})
		})
	}
}

func TestCreates_TraceIDOfTheReply(t *testing.T) {
	t.Parallel()
	for method, call := range createCalls {
		client := newClient(t, someHost, withTransport(func(r *http.Request) (*http.Response, error) {
			resp, err := testkit.Reply(r, http.StatusOK, createdReply)
			resp.Header.Set("X-Request-Id", "req-7")
			return resp, err
		}))
		task, err := call.send(t.Context(), client)
		require.NoError(t, err, method)
		assert.Equal(t, "req-7", task.TraceID, method)
	}
}

func TestCreates_ErrorResponseNamesATask(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"HTTP 500":              {500, `{"task_id":"77","message":"timed out"}`, "77"},
		"HTTP 400":              {400, `{"task_id":"77","code":"BadRequest"}`, "77"},
		"an id beside a state":  {502, `{"id":"77","state":"queueing"}`, "77"},
		"an id of who knows":    {502, `{"id":"77"}`, ""},
		"no id":                 {502, `{}`, ""},
		"a task, but no object": {502, `<html>task_id 77</html>`, ""},
	} {
		for method, call := range createCalls {
			t.Run(name+"/"+method, func(t *testing.T) {
				t.Parallel()
				_, err := call.send(t.Context(), clientWithReply(t, tt.status, tt.body))
				assert.Equal(t, tt.want, unknownOutcome(t, err).TaskID)
				assert.Equal(t, tt.want != "", strings.Contains(err.Error(), "(task 77)"), err)
			})
		}
	}
}

// familyRequest is a request of any of the four creates.
type familyRequest interface{ Validate() error }

// newRequests make a request that lacks nothing, by endpoint.
var newRequests = map[string]func(model vidu.Model, duration int, resolution vidu.Resolution) familyRequest{
	"reference2video": func(m vidu.Model, d int, r vidu.Resolution) familyRequest {
		return &vidu.Reference2VideoRequest{Model: m, Images: imageLinks(1), Prompt: "p", Duration: d, Resolution: r}
	},
	"text2video": func(m vidu.Model, d int, r vidu.Resolution) familyRequest {
		return &vidu.Text2VideoRequest{Model: m, Prompt: "p", Duration: d, Resolution: r}
	},
	"img2video": func(m vidu.Model, d int, r vidu.Resolution) familyRequest {
		return &vidu.Img2VideoRequest{Model: m, Images: imageLinks(1), Duration: d, Resolution: r}
	},
	"start-end2video": func(m vidu.Model, d int, r vidu.Resolution) familyRequest {
		return &vidu.StartEnd2VideoRequest{Model: m, Images: imageLinks(2), Duration: d, Resolution: r}
	},
}

// modelDoc is what the vendor's pages say of a model at one endpoint, copied by hand.
type modelDoc struct {
	from, to    int   // seconds
	only        []int // seconds, instead of from and to
	duration    int   // default
	resolutions string
	resolution  string // default
}

var (
	q3Doc        = modelDoc{from: 1, to: 16, duration: 5, resolutions: "540p 720p 1080p", resolution: "720p"}
	q3FastDoc    = modelDoc{from: 1, to: 16, duration: 5, resolutions: "720p 1080p", resolution: "720p"}
	q2Doc        = modelDoc{from: 1, to: 10, duration: 5, resolutions: "540p 720p 1080p", resolution: "720p"}
	q2FastDoc    = modelDoc{from: 1, to: 10, duration: 5, resolutions: "720p 1080p", resolution: "720p"}
	framesDoc    = modelDoc{from: 1, to: 8, duration: 5, resolutions: "540p 720p 1080p", resolution: "720p"}
	framesFast   = modelDoc{from: 1, to: 8, duration: 5, resolutions: "720p 1080p", resolution: "720p"}
	q1Doc        = modelDoc{only: []int{5}, duration: 5, resolutions: "1080p", resolution: "1080p"}
	oldDoc       = modelDoc{only: []int{4, 8}, duration: 4, resolutions: "360p 720p 1080p", resolution: "360p"}
	previewDoc   = modelDoc{from: 1, to: anyNumber, duration: 5, resolutions: "360p 540p 720p 1080p 2K 4K", resolution: "720p"}
	unknownDoc   = modelDoc{from: 1, to: anyNumber, resolutions: "360p 540p 720p 1080p 2K 4K"}
	documentedOf = map[string]map[vidu.Model]modelDoc{
		"text2video": {"viduq3-turbo": q3Doc, "viduq3-pro": q3Doc, "viduq2": q2Doc, "viduq1": q1Doc, "viduq2-pro": unknownDoc, "viduq9": unknownDoc},
		"img2video": {
			"viduq4-preview": previewDoc, "viduq3-turbo": q3Doc, "viduq3-pro": q3Doc, "viduq3-pro-fast": q3FastDoc, "viduq2-pro-fast": q2FastDoc,
			"viduq2-pro": q2Doc, "viduq2-turbo": q2Doc, "viduq1": q1Doc, "viduq1-classic": q1Doc, "vidu2.0": oldDoc, "viduq9": unknownDoc,
		},
		"start-end2video": {
			"viduq3-turbo": q3Doc, "viduq3-pro": q3Doc, "viduq2-pro-fast": framesFast, "viduq2-pro": framesDoc, "viduq2-turbo": framesDoc,
			"viduq1": q1Doc, "viduq1-classic": q1Doc, "vidu2.0": oldDoc, "viduq4-preview": unknownDoc, "viduq9": unknownDoc,
		},
		"reference2video": {"viduq4-preview": previewDoc},
	}
)

// Limits belong to endpoint and model.
func TestValidate_ModelsOfEachEndpoint(t *testing.T) {
	t.Parallel()
	for endpoint, models := range documentedOf {
		for model, doc := range models {
			t.Run(endpoint+"/"+string(model), func(t *testing.T) {
				t.Parallel()
				create := newRequests[endpoint]
				for d := 1; d <= 17; d++ {
					allowed := slices.Contains(doc.only, d) || d >= doc.from && d <= doc.to
					assert.Equal(t, only("duration", allowed), problemFields(t, create(model, d, "").Validate()), "%d s", d)
				}
				free := doc.to == anyNumber // what the model makes is not known, or at second hand
				assert.Equal(t, only("duration", free), problemFields(t, create(model, vidu.AutoDuration, "").Validate()), "AutoDuration")
				assert.Equal(t, []string{"duration"}, problemFields(t, create(model, -2, "").Validate()))
				for _, r := range []vidu.Resolution{"360p", "540p", "720p", "1080p"} {
					allowed := slices.Contains(strings.Fields(doc.resolutions), string(r))
					assert.Equal(t, only("resolution", allowed), problemFields(t, create(model, 0, r).Validate()), r)
				}
				for _, r := range []vidu.Resolution{"2K", "4K", "8K"} {
					require.NoError(t, create(model, 0, r).Validate(), "new ones are left to the server")
				}
				fields := wireOf(t, create(model, 0, ""))
				assert.Equal(t, doc.duration, int(cmp.Or(fields["duration"], any(0.0)).(float64)))
				assert.Equal(t, doc.resolution, cmp.Or(fields["resolution"], any("")))
			})
		}
	}
}

// wireOf returns the fields of a request on the wire.
func wireOf(t *testing.T, req any) map[string]any {
	t.Helper()
	text, err := json.Marshal(req)
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(text, &fields))
	return fields
}

// vidu2.0 makes more sizes at 4 s than at 8 s.
func TestValidate_SizesOfLongVideos(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"img2video", "start-end2video"} {
		create := newRequests[endpoint]
		for _, r := range []vidu.Resolution{"360p", "720p", "1080p"} {
			require.NoError(t, create(vidu.Model20, 4, r).Validate(), r)
			assert.Equal(t, only("resolution", r == "720p"), problemFields(t, create(vidu.Model20, 8, r).Validate()), r)
		}
		assert.Equal(t, "360p", wireOf(t, create(vidu.Model20, 4, ""))["resolution"])
		assert.Equal(t, "720p", wireOf(t, create(vidu.Model20, 8, ""))["resolution"])
	}
}

// What a request of each endpoint is on the wire when nothing but the required fields is set.
func TestCreates_SmallestRequests(t *testing.T) {
	t.Parallel()
	const rest = `"seed":0,"movement_amplitude":"auto","off_peak":false`
	for name, tt := range map[string]struct {
		req  familyRequest
		want string
	}{
		"text2video":              {&vidu.Text2VideoRequest{Model: "viduq2", Prompt: "p"}, `{"model":"viduq2","prompt":"p","duration":5,"resolution":"720p",` + rest + `}`},
		"text2video, unknown":     {&vidu.Text2VideoRequest{Model: "m", Prompt: "p"}, `{"model":"m","prompt":"p",` + rest + `}`},
		"img2video":               {&vidu.Img2VideoRequest{Model: "viduq1", Images: imageLinks(1)}, `{"model":"viduq1","images":["` + imageLink + `"],"duration":5,"resolution":"1080p",` + rest + `}`},
		"img2video, unknown":      {&vidu.Img2VideoRequest{Model: "m", Images: imageLinks(1)}, `{"model":"m","images":["` + imageLink + `"],` + rest + `}`},
		"img2video, automatic":    {&vidu.Img2VideoRequest{Model: "m", Images: imageLinks(1), Duration: vidu.AutoDuration}, `{"model":"m","images":["` + imageLink + `"],"duration":0,` + rest + `}`},
		"start-end2video":         {&vidu.StartEnd2VideoRequest{Model: "vidu2.0", Images: imageLinks(2)}, `{"model":"vidu2.0","images":["` + imageLink + `","` + imageLink + `"],"duration":4,"resolution":"360p",` + rest + `}`},
		"start-end2video, a word": {&vidu.StartEnd2VideoRequest{Model: "m", Images: imageLinks(2), Prompt: "p"}, `{"model":"m","prompt":"p","images":["` + imageLink + `","` + imageLink + `"],` + rest + `}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, tt.req.Validate())
			text, err := json.Marshal(tt.req)
			require.NoError(t, err)
			assert.JSONEq(t, tt.want, string(text))
		})
	}
}

func TestValidate_FieldsOfEachEndpoint(t *testing.T) {
	t.Parallel()
	long, notUTF8 := strings.Repeat("x", 5001), "\xff"
	for name, tt := range map[string]struct {
		req  familyRequest
		want []string
	}{
		"text: nothing":            {&vidu.Text2VideoRequest{}, []string{"model", "prompt"}},
		"text: long prompt":        {&vidu.Text2VideoRequest{Model: "m", Prompt: long}, []string{"prompt"}},
		"text: everything else":    {&vidu.Text2VideoRequest{Model: "m", Prompt: "p", WatermarkPosition: -1, WatermarkURL: "x", MetaData: "{", Payload: notUTF8, CallbackURL: "x"}, []string{"wm_position", "wm_url", "meta_data", "payload", "callback_url"}},
		"text: any style":          {&vidu.Text2VideoRequest{Model: "m", Prompt: "p", Style: "noir", AspectRatio: "21:9", MovementAmplitude: "huge", Seed: -1}, nil},
		"text: known extra":        {&vidu.Text2VideoRequest{Model: "m", Prompt: "p", Extra: map[string]any{"style": "anime"}}, []string{"extra"}},
		"text: images as an extra": {&vidu.Text2VideoRequest{Model: "m", Prompt: "p", Extra: map[string]any{"images": []string{"x"}}}, nil},

		"image: nothing":         {&vidu.Img2VideoRequest{}, []string{"model", "images"}},
		"image: two":             {&vidu.Img2VideoRequest{Model: "m", Images: imageLinks(2)}, []string{"images"}},
		"image: long prompt":     {&vidu.Img2VideoRequest{Model: "m", Images: imageLinks(1), Prompt: long}, []string{"prompt"}},
		"image: prompt, bytes":   {&vidu.Img2VideoRequest{Model: "m", Images: imageLinks(1), Prompt: notUTF8}, []string{"prompt"}},
		"image: everything else": {&vidu.Img2VideoRequest{Model: "m", Images: imageLinks(1), WatermarkPosition: -1, WatermarkURL: "x", MetaData: "{", Payload: notUTF8, CallbackURL: "x"}, []string{"wm_position", "wm_url", "meta_data", "payload", "callback_url"}},
		"image: known extra":     {&vidu.Img2VideoRequest{Model: "m", Images: imageLinks(1), Extra: map[string]any{"voice_ID": "v"}}, []string{"extra"}},
		"image: q4, two":         {&vidu.Img2VideoRequest{Model: vidu.ModelQ4Preview, Images: imageLinks(2)}, []string{"images"}},

		"frames: nothing":         {&vidu.StartEnd2VideoRequest{}, []string{"model", "images"}},
		"frames: one":             {&vidu.StartEnd2VideoRequest{Model: "m", Images: imageLinks(1)}, []string{"images"}},
		"frames: three":           {&vidu.StartEnd2VideoRequest{Model: "m", Images: imageLinks(3)}, []string{"images"}},
		"frames: long prompt":     {&vidu.StartEnd2VideoRequest{Model: "m", Images: imageLinks(2), Prompt: long}, []string{"prompt"}},
		"frames: everything else": {&vidu.StartEnd2VideoRequest{Model: "m", Images: imageLinks(2), WatermarkPosition: -1, WatermarkURL: "x", MetaData: "{", Payload: notUTF8, CallbackURL: "x"}, []string{"wm_position", "wm_url", "meta_data", "payload", "callback_url"}},
		"frames: known extra":     {&vidu.StartEnd2VideoRequest{Model: "m", Images: imageLinks(2), Extra: map[string]any{"is_rec": true}}, []string{"extra"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, problemFields(t, tt.req.Validate()))
		})
	}
}

// JSON both ways: what is stored is sent, under the rules of Reference2VideoRequest.
func TestCreates_JSON(t *testing.T) {
	t.Parallel()
	for endpoint, create := range newRequests {
		t.Run(endpoint, func(t *testing.T) {
			t.Parallel()
			req := create("m", 0, "")
			for _, text := range []string{
				`{"seed":0,"seed":1}`, `{"Seed":1}`, `{"x":1,"x":1}`, `{"duration":"5"}`, `[]`,
				`{"duration":-1}`, `{"prompt":"\ud800"}`, "{\"payload\":\"\xe9\"}",
			} {
				before, err := json.Marshal(req)
				require.NoError(t, err)
				require.Error(t, json.Unmarshal([]byte(text), req), text)
				after, err := json.Marshal(req)
				require.NoError(t, err)
				assert.Equal(t, string(before), string(after), text)
			}
			require.NoError(t, json.Unmarshal([]byte(`null`), req))
			assert.Equal(t, "m", wireOf(t, req)["model"], "null changes nothing")
			require.NoError(t, json.Unmarshal([]byte(`{"model":"viduq2","duration":0,"priority":9007199254740993}`), req))
			fields := wireOf(t, req)
			assert.Equal(t, 0.0, fields["duration"]) //nolint:testifylint // a whole number
			text, err := json.Marshal(req)
			require.NoError(t, err)
			assert.Contains(t, string(text), `"priority":9007199254740993`)
			assert.NotContains(t, string(text), `"images"`, "what is not in the text is gone")
		})
	}
}

// Known models want less than 4:1; viduq4-preview, and models that are not known here, at most 5:1.
func TestValidate_RatioByModel(t *testing.T) {
	t.Parallel()
	images := map[string]vidu.Media{
		"511:128": vidu.Bytes(testkit.PNG(t, 511, 128)), "512:128": vidu.Bytes(testkit.PNG(t, 512, 128)), "128:512": vidu.Bytes(testkit.PNG(t, 128, 512)),
		"640:128": vidu.Bytes(testkit.PNG(t, 640, 128)), "641:128": vidu.Bytes(testkit.PNG(t, 641, 128)),
	}
	for name, tt := range map[string]struct {
		with func(vidu.Media) familyRequest
		wide bool
	}{
		"reference, known": {func(m vidu.Media) familyRequest {
			return &vidu.Reference2VideoRequest{Model: "viduq2", Prompt: "p", Images: []vidu.Media{m}}
		}, false},
		"reference, q4": {func(m vidu.Media) familyRequest {
			return &vidu.Reference2VideoRequest{Model: "viduq4-preview", Prompt: "p", Images: []vidu.Media{m}}
		}, true},
		"reference, unknown": {func(m vidu.Media) familyRequest {
			return &vidu.Reference2VideoRequest{Model: "viduq9", Prompt: "p", Images: []vidu.Media{m}}
		}, true},
		"subject, known": {func(m vidu.Media) familyRequest {
			return &vidu.Reference2VideoRequest{Model: "viduq2", Prompt: "p", Subjects: []vidu.Subject{{Name: "a", Images: []vidu.Media{m}}}}
		}, false},
		"image, known": {func(m vidu.Media) familyRequest {
			return &vidu.Img2VideoRequest{Model: "viduq2-pro", Images: []vidu.Media{m}}
		}, false},
		"image, q4": {func(m vidu.Media) familyRequest {
			return &vidu.Img2VideoRequest{Model: "viduq4-preview", Images: []vidu.Media{m}}
		}, true},
		"image, unknown": {func(m vidu.Media) familyRequest {
			return &vidu.Img2VideoRequest{Model: "viduq2", Images: []vidu.Media{m}}
		}, true},
		"frames, known": {func(m vidu.Media) familyRequest {
			return &vidu.StartEnd2VideoRequest{Model: "vidu2.0", Images: []vidu.Media{vidu.URL(imageLink), m}}
		}, false},
		"frames, unknown": {func(m vidu.Media) familyRequest {
			return &vidu.StartEnd2VideoRequest{Model: "viduq9", Images: []vidu.Media{vidu.URL(imageLink), m}}
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for size, image := range images {
				allowed := size == "511:128" || tt.wide && size != "641:128"
				err := tt.with(image).Validate()
				assert.Equal(t, allowed, err == nil, "%s: %v", size, err)
				if !allowed {
					require.ErrorContains(t, err, map[bool]string{false: "the ratio must be less than 4:1", true: "the ratio must be at most 5:1"}[tt.wide], size)
				}
			}
		})
	}
}

// viduq4-preview takes up to 15 images and 3 sounds. The rest of what is known of it is hearsay, and left to the
// server.
func TestReference2Video_Q4Preview(t *testing.T) {
	t.Parallel()
	sounds := func(n int) []vidu.Media { return slices.Repeat([]vidu.Media{vidu.URL("https://example.com/a.mp3")}, n) }
	for n := 1; n <= 17; n++ {
		assert.Equal(t, only("images", n <= 15), problemFields(t, imagesRequest(vidu.ModelQ4Preview, n).Validate()), "%d images", n)
	}
	for n := range 6 {
		req := imagesRequest(vidu.ModelQ4Preview, 1)
		req.Sounds = sounds(n)
		assert.Equal(t, only("sounds", n <= 3), problemFields(t, req.Validate()), "%d sounds", n)
	}
	req := imagesRequest(vidu.ModelQ4Preview, 1)
	req.Videos, req.OffPeak, req.Audio, req.AspectRatio, req.Duration, req.Resolution = imageLinks(3), true, new(false), "21:9", 30, vidu.Resolution4K
	require.NoError(t, req.Validate())
}

func TestReference2Video_Sounds(t *testing.T) {
	t.Parallel()
	tagged, bare := []byte("ID3\x04\x00\x00\x00\x00\x00\x00"), []byte("\xff\xfb\x90\x64\x00\x00")
	file := testkit.WriteFile(t, "song.txt", bare)
	for name, tt := range map[string]struct {
		sound vidu.Media
		wire  string // "": refused
		want  string // the reason
	}{
		"with a tag":                {sound: vidu.Bytes(tagged), wire: testkit.DataURI("audio/mpeg", tagged)},
		"without a tag":             {sound: vidu.Bytes(bare), wire: testkit.DataURI("audio/mpeg", bare)},
		"a file, whatever its name": {sound: vidu.File(file), wire: testkit.DataURI("audio/mpeg", bare)},
		"a data URI":                {sound: vidu.DataURI(testkit.DataURI("audio/mp3", tagged)), wire: testkit.DataURI("audio/mp3", tagged)},
		"a link":                    {sound: vidu.URL("https://example.com/a.mp3"), wire: "https://example.com/a.mp3"},
		"wav":                       {sound: vidu.Bytes([]byte("RIFF\x24\x00\x00\x00WAVEfmt ")), want: "is audio/wav, not one of the sound formats mp3"},
		"an image":                  {sound: vidu.Bytes(testkit.PNG(t, 128, 128)), want: "is image/png"},
		"a JPEG begins with FF":     {sound: vidu.Bytes(testkit.JPEG(t, 128, 128)), want: "is image/jpeg"},
		"nothing":                   {sound: vidu.Bytes(nil), want: "is empty"},
		"more than 50 MB":           {sound: vidu.Bytes(testkit.Padded(tagged, 50<<20+1)), want: "has 52428801 bytes, at most 52428800"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := imagesRequest(vidu.ModelQ4Preview, 1)
			req.Sounds = []vidu.Media{vidu.URL("https://example.com/first.mp3"), tt.sound}
			err := req.Validate()
			if tt.wire == "" {
				assert.Equal(t, []string{"sounds[1]"}, problemFields(t, err))
				require.ErrorContains(t, err, tt.want)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, []any{"https://example.com/first.mp3", tt.wire}, wireOf(t, req)["sounds"])
		})
	}
}

// A fake that checks sounds by itself takes those that the client streams.
func TestReference2Video_SoundsAtAServer(t *testing.T) {
	t.Parallel()
	server := vidutest.NewServer(vidutest.WithAPIKey(testkit.Key))
	defer server.Close()
	req := imagesRequest(vidu.ModelQ4Preview, 15)
	req.Images[7] = vidu.Bytes(testkit.PNG(t, 640, 128))
	req.Sounds = []vidu.Media{vidu.Bytes([]byte("ID3\x04\x00\x00\x00\x00\x00\x00")), vidu.Bytes([]byte("\xff\xfb\x90\x64\x00\x00"))}
	_, err := newRig(t, server.URL).Reference2Video(t.Context(), req)
	require.NoError(t, err)
	assert.Equal(t, 1, server.Charged())
}

// Endpoints learn apart: the same model takes longer between two frames.
func TestCreates_LearnApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeAPI(0, nil)
		client := f.client(t)
		client.SetJitter(noJitter)
		f.teach(t, client) // reference2video takes 30 s
		f.work = time.Hour
		known, err := client.Reference2Video(t.Context(), smallRequest())
		require.NoError(t, err)
		other, err := client.Img2Video(t.Context(), &vidu.Img2VideoRequest{Model: vidu.ModelQ2Pro, Images: imageLinks(1)})
		require.NoError(t, err)
		assert.NotEqual(t, client.PollDelay(known, 0), client.PollDelay(other, 0))
		foreign := &vidu.Task{ID: "of another process", State: vidu.StateCreated, Model: known.Model, Duration: known.Duration, Resolution: known.Resolution}
		assert.Equal(t, client.PollDelay(known, 0), client.PollDelay(foreign, 0), "it has no endpoint, and is taken for what is known")
	})
}

func TestCreates_UnknownOutcomeHasNoAPIErrorOfAnotherCall(t *testing.T) {
	t.Parallel()
	_, err := createCalls["CreateTask"].send(t.Context(), clientWithReply(t, 502, "<html>"))
	failure, ok := errors.AsType[*vidu.APIError](err)
	require.True(t, ok)
	assert.Contains(t, failure.Error(), "POST /vidu/v2/reference2image: HTTP 502")
}
