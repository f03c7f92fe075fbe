package vidu_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/lenientjson"
	"github.com/vidu-go/vidu/internal/testkit"
)

func TestState_Terminal(t *testing.T) {
	t.Parallel()
	for state, want := range map[vidu.State]bool{
		vidu.StateSuccess: true, vidu.StateFailed: true, vidu.StateCanceled: true,
		"SUCCESS": true, "Failed": true, "cancelled": true, "CANCELLED": true,
		"succeeded": true, "Succeed": true, "successful": true, "COMPLETED": true, "complete": true, "finished": true, "done": true,
		"success ": true, "\tsuccess\r\n": true, "failure": true, "fail": true, "Error": true, "expired": true, "timeout": true,
		"TIMED_OUT": true, "timed out": true, "rejected": true,
		vidu.StateCreated: false, vidu.StateQueueing: false, vidu.StateProcessing: false,
		"": false, "unknown": false, "scheduling": false, "preparation": false, "succeſſ": false, "not done": false, "unsuccessful": false,
		"queued": false, "pending": false, "submitted": false, "running": false, "in_progress": false, "IN-PROGRESS": false,
		"generating": false, "rendering": false, "uploading": false, "reviewing": false, "retrying": false, "waiting": false,
	} {
		assert.Equal(t, want, state.Terminal(), "%q", state)
		assert.Equal(t, want, (&vidu.Task{State: state}).Done(), "%q", state)
	}
}

// A control character makes a reply invalid, and takes nothing of what is around it.
func TestReply_ControlCharacters(t *testing.T) {
	t.Parallel()
	for _, prompt := range []string{"a\n", "\n", "a\tb", "\x00", "\x1fn", "\x06u0041", "a\r\nb"} {
		for _, reply := range []string{`{"prompt":"` + prompt + `","task_id":"7","state":"created"}`, `{"task_id":"7","prompt":"` + prompt + `","state":"created"}`} {
			task, err := createFrom(t, reply)
			require.NoError(t, err, "%q", reply)
			assert.Equal(t, "7", task.ID, "%q", reply)
			assert.Equal(t, vidu.StateCreated, task.State, "%q", reply)
			assert.Contains(t, fmt.Sprint(task.Warnings), "invalid character", "%q", reply)
		}
	}
}

// What only looks like a number that has lost its digits is an id.
func TestTaskIDs_MayLookLikeNumbers(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"12+34", "1.5", "1e5", "1e-5", "1e+", "e+5", "+5", "a1e+5", "1e+5x", "-5"} {
		task, err := createFrom(t, `{"task_id":"`+id+`","state":"created"}`)
		require.NoError(t, err, id)
		assert.Equal(t, id, task.ID)
	}
	for _, id := range []string{"1e+5", "1.5E+17", "-1e+5"} {
		_, err := createFrom(t, `{"task_id":"`+id+`","state":"created"}`)
		assertUnknownOutcome(t, err)
	}
}

// Members in the order of taskFields need no search.
func TestTaskFields_AreInTheOrderOfReplies(t *testing.T) {
	t.Parallel()
	fields := vidu.TaskFieldNames()
	var names []string
	for it := lenientjson.Value(contractReply(t)).Items(); it.Next(); {
		if slices.Contains(fields, it.Key()) {
			names = append(names, it.Key())
		}
	}
	require.Len(t, names, 20)
	assert.Equal(t, names, fields[:len(names)])
}

// What a caller or a Client keeps of a reply is a copy: a word must not keep a megabyte alive.
func TestReply_IsNotKeptAlive(t *testing.T) { //nolint:paralleltest // it measures what the process holds
	const replies, padding = 16, 1 << 20
	number := 0
	body := func(text string) string { // a new text each time, with its number for each % and a lot for each …
		number++
		text = strings.ReplaceAll(text, "%", strconv.Itoa(number))
		return strings.ReplaceAll(text, "…", strings.Repeat("x", padding)) + strings.Repeat(" ", padding)
	}
	for name, tt := range map[string]struct { //nolint:paralleltest // as above
		status int
		reply  string
		keep   func(c *vidu.Client) any
	}{
		"what a client remembers of its tasks": {200, `{"task_id":"%","state":"created","model":"m","resolution":"9k"}`, func(c *vidu.Client) any {
			_, err := c.Reference2Video(t.Context(), smallRequest())
			return err
		}},
		"what it learns": {200, `{"id":"%","state":"success","model":"m-%","creations":[{"url":"https://h/x.mp4"}]}`, func(c *vidu.Client) any {
			_, err := c.Wait(t.Context(), strconv.Itoa(number+1))
			return err
		}},
		"a state": {200, `{"id":"1","state":"pending"}`, func(c *vidu.Client) any {
			task, _ := c.GetTask(t.Context(), "1")
			return task.State
		}},
		"a link": {200, `{"id":"1","state":"success","creations":[{"url":"https://h/x.mp4","moderation_url":["https://h/m"]}]}`, func(c *vidu.Client) any {
			task, _ := c.GetTask(t.Context(), "1")
			return task.Creations
		}},
		"an error in a reply": {200, `{"code":"SomeCode","message":"some words (request id: 77)","metadata":{"trace_id":"88"}}`, func(c *vidu.Client) any {
			_, err := c.GetTask(t.Context(), "1")
			var failure *vidu.APIError
			require.ErrorAs(t, err, &failure)
			return []any{failure.Code, failure.Message, failure.TraceID, failure.Metadata}
		}},
		"the id in an unknown outcome": {200, `{"state":"created","result":{"taskId":"%"}}`, func(c *vidu.Client) any {
			_, err := c.Reference2Video(t.Context(), smallRequest())
			var maybe *vidu.MaybeCreatedError
			require.ErrorAs(t, err, &maybe)
			require.NotEmpty(t, maybe.TaskID)
			return maybe.TaskID
		}},
		"a page token": {200, `{"tasks":[],"next_page_token":"t"}`, func(c *vidu.Client) any {
			page, err := c.ListTasks(t.Context(), nil)
			require.NoError(t, err)
			return page
		}},
		"an id": {200, `{"task_id":"%","state":"created"}`, func(c *vidu.Client) any {
			task, err := c.Reference2Video(t.Context(), smallRequest())
			require.NoError(t, err)
			return task.ID
		}},
		"a listed task that is long": {200, `{"tasks":[{"id":"1","model":"m","prompt":"p","images":["i"],"x":"…"}]}`, func(c *vidu.Client) any {
			page, err := c.ListTasks(t.Context(), nil)
			require.NoError(t, err)
			require.Nil(t, page.Tasks[0].RawJSON())
			return page
		}},
		"a listed task": {200, `{"tasks":[{"id":"1","model":"m","prompt":"p"}]}`, func(c *vidu.Client) any {
			page, err := c.ListTasks(t.Context(), nil)
			require.NoError(t, err)
			return page
		}},
		"a balance": {200, `{"remains":[{"type":"normal","credit_remain":1}],"packages":[{}]}`, func(c *vidu.Client) any {
			credits, err := c.GetCredits(t.Context())
			require.NoError(t, err)
			return credits
		}},
		"an unknown field of a request": {200, ``, func(*vidu.Client) any {
			req := new(vidu.Reference2VideoRequest)
			require.NoError(t, req.UnmarshalJSON([]byte(body(`{"model":"m","prompt":"p","new":"x"}`))))
			return req
		}},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := vidu.NewClient("https://gateway.example.com", testkit.Key, withTransport(func(r *http.Request) (*http.Response, error) {
				return testkit.Reply(r, tt.status, body(tt.reply))
			}))
			require.NoError(t, err)
			var kept []any
			before := measure().bytes
			for range replies {
				kept = append(kept, tt.keep(client))
			}
			assert.Less(t, measure().bytes-before, 2*padding)
			runtime.KeepAlive(kept)
			runtime.KeepAlive(client)
		})
	}
}

func TestTask_Video(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		task vidu.Task
		want string
	}{
		"not yet":        {vidu.Task{State: vidu.StateProcessing, Creations: []vidu.Creation{{URL: "https://h/1"}}}, ""},
		"failed":         {vidu.Task{State: vidu.StateFailed, Creations: []vidu.Creation{{URL: "https://h/1"}}}, ""},
		"no creations":   {vidu.Task{State: vidu.StateSuccess}, ""},
		"no link":        {vidu.Task{State: vidu.StateSuccess, Creations: []vidu.Creation{{CoverURL: "https://h/c"}}}, ""},
		"link":           {vidu.Task{State: vidu.StateSuccess, Creations: []vidu.Creation{{URL: "https://h/1"}}}, "https://h/1"},
		"link in second": {vidu.Task{State: vidu.StateSuccess, Creations: []vidu.Creation{{}, {URL: "https://h/2"}}}, "https://h/2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			video, ok := tt.task.Video()
			assert.Equal(t, tt.want, video.URL)
			assert.Equal(t, tt.want != "", ok)
		})
	}
}

// everyField is a task without a zero among its fields.
func everyField() vidu.Task {
	return vidu.Task{
		ID: "1", Type: "character2video", State: vidu.StateFailed, Model: vidu.ModelQ2, Style: "general", Prompt: "a\n\"b\" <c> 世",
		Images: []string{"https://h/1.png?a=%253A;b&c"}, Videos: []string{"https://h/1.mp4"}, Duration: 5, Seed: -7,
		AspectRatio: vidu.AspectRatio16x9, Resolution: vidu.Resolution720p, MovementAmplitude: vidu.MovementLarge, Credits: 55,
		Payload: `{"job":1}`, Priority: 2, OffPeak: true, Audio: true, AudioType: vidu.AudioAll, BGM: true, IsRec: true,
		Watermark: true, WatermarkPosition: 3, WatermarkURL: "https://h/wm.png", MetaData: "{}", ClientRequestID: "c", TraceID: "trace-1",
		CreatedAt: time.Date(2025, 11, 10, 15, 3, 1, 749836088, time.UTC), ErrCode: vidu.ErrAuditFailed, ErrMessage: "dark", Progress: 37.5,
		Creations: []vidu.Creation{{
			ID: "9", URL: "https://h/x.mp4", CoverURL: "https://h/x.png", WatermarkedURL: "https://h/w.mp4",
			ModerationURLs: []string{"https://h/m"}, Video: vidu.VideoInfo{Duration: 5.04, FPS: 24, Width: 1280, Height: 720},
		}},
	}
}

func TestTask_JSONRoundTrip(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]vidu.Task{
		"every field": everyField(),
		"zero":        {},
		"id alone":    {ID: "1"},
		"free":        {ID: "1", State: vidu.StateSuccess},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			type job struct {
				Name string
				Task vidu.Task
				Last *vidu.Task
			}
			text := testkit.JSON(t, job{Name: name, Task: want})
			var got job
			require.NoError(t, json.Unmarshal([]byte(text), &got))
			assert.Equal(t, name, got.Name)
			assert.Nil(t, got.Last)
			assert.NotEmpty(t, got.Task.RawJSON())
			assert.Equal(t, text, testkit.JSON(t, got))
			assertSameFields(t, want, got.Task)
		})
	}
}

// assertSameFields ignores RawJSON.
func assertSameFields(t *testing.T, want, got vidu.Task) {
	t.Helper()
	assert.Equal(t, want.Creations, got.Creations)
	assert.True(t, want.CreatedAt.Equal(got.CreatedAt))
	assert.JSONEq(t, testkit.JSON(t, want), testkit.JSON(t, got))
	assert.Empty(t, got.Warnings)
}

func TestTask_EveryFieldIsTested(t *testing.T) {
	t.Parallel()
	task := reflect.ValueOf(everyField())
	for i := range task.NumField() {
		if field := task.Type().Field(i); field.IsExported() && field.Name != "Warnings" {
			assert.False(t, task.Field(i).IsZero(), "%s belongs in everyField, too", field.Name)
		}
	}
}

func TestTask_UnmarshalJSON(t *testing.T) {
	t.Parallel()
	t.Run("null changes nothing", func(t *testing.T) {
		t.Parallel()
		task := vidu.Task{ID: "1"}
		require.NoError(t, json.Unmarshal([]byte("null"), &task))
		assert.Equal(t, "1", task.ID)
	})
	t.Run("drift is understood", func(t *testing.T) {
		t.Parallel()
		var task vidu.Task
		require.NoError(t, json.Unmarshal([]byte(` {"data":{"task_id":7,"status":"SUCCESS","progress":"100%"}} `), &task))
		assert.Equal(t, "7", task.ID)
		assert.Equal(t, vidu.StateSuccess, task.State)
		assert.InDelta(t, 100, task.Progress, 0)
	})
	t.Run("the text is copied", func(t *testing.T) {
		t.Parallel()
		text := []byte(`{"id":"1"}`)
		var task vidu.Task
		require.NoError(t, task.UnmarshalJSON(text))
		clear(text)
		assert.JSONEq(t, `{"id":"1"}`, string(task.RawJSON()))
	})
	for name, tt := range map[string]struct{ text, says string }{
		"array":   {`[]`, "vidu: a task must be a JSON object"},
		"string":  {`"1"`, "vidu: a task must be a JSON object"},
		"cut":     {`{"id":"1"`, "vidu: a task must be a JSON object"},
		"two ids": {`{"id":"1","id":"2"}`, "names two tasks"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task := vidu.Task{ID: "before"}
			err := task.UnmarshalJSON([]byte(tt.text))
			require.ErrorContains(t, err, tt.says)
			testkit.AssertHarmless(t, err)
			assert.Equal(t, "before", task.ID)
		})
	}
}

func FuzzListPage(f *testing.F) {
	for _, body := range append(corpusBodies(f), hostileReplies...) {
		f.Add(body)
		f.Add(`{"tasks":[` + body + `],"next_page_token":"x"}`)
	}
	f.Add(`{"code":0,"data":{"tasks":[{"id":"7"},{"id":"../x"},{"id":"8","images":["data:"]}],"total":3}}`)
	f.Fuzz(func(t *testing.T, body string) {
		page, err := clientWithReply(t, http.StatusOK, body).ListTasks(t.Context(), nil)
		if err != nil {
			testkit.AssertHarmless(t, err)
			return
		}
		for _, task := range page.Tasks {
			assertTask(t, task)
		}
	})
}

// The links of a task need no key: nothing but json.Marshal, which is for storing, prints them.
func TestTask_PrintsNoLinks(t *testing.T) {
	t.Parallel()
	const link = "https://cdn.example.com/v.mp4?sig=secret"
	creation := vidu.Creation{
		ID: "9", URL: link, CoverURL: link, WatermarkedURL: link, ModerationURLs: []string{link}, Video: vidu.VideoInfo{Duration: 5, Width: 1280, Height: 720},
	}
	var read vidu.Task
	require.NoError(t, json.Unmarshal([]byte(`{"id":"1","state":"success","creations":[{"id":"9","url":"`+link+`"}],"x":"`+link+`"}`), &read))
	for name, task := range map[string]vidu.Task{
		"read": read,
		"made by hand": {
			ID: "1", State: vidu.StateSuccess, Creations: []vidu.Creation{creation}, Images: []string{link}, Videos: []string{link}, WatermarkURL: link,
			ErrMessage: link, Warnings: []string{link}, Payload: link, Prompt: link, TraceID: link,
		},
		"odd": {ID: link, State: vidu.State(link), ErrCode: vidu.ErrorCode(link)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			values := map[string]any{
				"task": task, "pointer": &task, "tasks": []vidu.Task{task}, "map": map[string]vidu.Task{"a": task}, "struct": struct{ T vidu.Task }{task},
				"creations": task.Creations, "page": vidu.TaskPage{Tasks: []*vidu.Task{&task}}, "creation": creation, "pointer to one": &creation,
			}
			var text, jsonLog bytes.Buffer
			for what, value := range values {
				for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
					assert.NotContains(t, fmt.Sprintf(verb, value), "secret", "%s of %s", verb, what)
				}
				slog.New(slog.NewTextHandler(&text, nil)).Info("x", what, value)
				switch value.(type) {
				case vidu.Task, *vidu.Task, vidu.Creation, *vidu.Creation: // others are for json.Marshal
					slog.New(slog.NewJSONHandler(&jsonLog, nil)).Info("x", what, value)
				}
			}
			assert.NotContains(t, text.String(), "secret")
			assert.NotContains(t, jsonLog.String(), "secret")
			if name != "odd" {
				assert.Contains(t, text.String(), "task.id=1 task.state=success")
				assert.Contains(t, jsonLog.String(), `"task":{"id":"1","state":"success"}`)
				assert.Contains(t, testkit.JSON(t, task), "sig=secret", "it is for storing")
			}
		})
	}
	assert.Equal(t, "creation 9, 5 s, 1280×720", creation.String())
	assert.Equal(t, "vidu.Creation(creation 9, 5 s, 1280×720)", creation.GoString())
	assert.Equal(t, "creation 7", vidu.Creation{ID: "7"}.String())
	running := vidu.Task{ID: "1", State: vidu.StateProcessing, Progress: 41.5, ErrCode: "x"}
	assert.Equal(t, "vidu.Task(task 1, processing, 42 %: x)", fmt.Sprintf("%#v", running))
	assert.Equal(t, "[id=1 state=processing progress=41.5 err_code=x]", running.LogValue().String())
	var none *vidu.Task
	assert.NotPanics(t, func() {
		_ = fmt.Sprintf("%v %+v %#v", none, none, none)
		slog.New(slog.DiscardHandler).Info("x", "task", none)
		slog.New(slog.NewJSONHandler(io.Discard, nil)).Info("x", "task", none)
	})
}
