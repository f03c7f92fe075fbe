package vidu_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

func TestState_Terminal(t *testing.T) {
	t.Parallel()
	for state, want := range map[vidu.State]bool{
		vidu.StateSuccess: true, vidu.StateFailed: true, vidu.StateCanceled: true,
		"SUCCESS": true, "Failed": true, "cancelled": true, "CANCELLED": true,
		vidu.StateCreated: false, vidu.StateQueueing: false, vidu.StateProcessing: false,
		"": false, "unknown": false, "scheduling": false, "preparation": false, "succeſſ": false, "success ": false,
	} {
		assert.Equal(t, want, state.Terminal(), "%q", state)
		assert.Equal(t, want, (&vidu.Task{State: state}).Done(), "%q", state)
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
		Watermark: true, WatermarkPosition: 3, WatermarkURL: "https://h/wm.png", MetaData: "{}", ClientRequestID: "c",
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
	task := everyField()
	var members map[string]any
	require.NoError(t, json.Unmarshal([]byte(testkit.JSON(t, &task)), &members))
	assert.Len(t, members, 31, "a new field of Task belongs into everyField, too")
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
