package vidu_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

func TestU01_TaskIDs(t *testing.T) {
	t.Parallel()
	mock := httpmock.NewMockTransport() // without a responder, so that any request fails
	client := newClient(t, "https://gateway.example.com", vidu.WithHTTPClient(&http.Client{Transport: mock}))
	for name, id := range map[string]string{
		"parent": "..", "here": ".", "empty": "", "slash": "a/b", "climbing": "../../x", "query": "a?b", "fragment": "a#b",
		"escaped dots": "%2e%2e", "escaped slash": "a%2fb", "space": "a b", "newline": "\n", "letter": "ü", "semicolon": "a;b",
		"backslash": `a\b`, "NUL": "a\x00", "invalid UTF-8": "\xff", "10 kB": strings.Repeat("a", 10_000), "129": strings.Repeat("a", 129),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task, err := client.GetTask(t.Context(), id)
			require.ErrorContains(t, err, "is not a task id")
			testkit.AssertHarmless(t, err)
			assert.Nil(t, task)
			_, err = client.Wait(t.Context(), id)
			require.ErrorContains(t, err, "is not a task id")
			assert.Zero(t, mock.GetTotalCallCount())
		})
	}
}

func TestGetTask(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ id, body, warning string }{
		"with its id":         {"task_A-1", `{"id":"task_A-1","state":"processing"}`, ""},
		"without id":          {"1", `{"state":"processing"}`, ""},
		"null id":             {"1", `{"id":null,"state":"processing"}`, ""},
		"as task_id":          {"1", `{"task_id":1,"state":"processing"}`, ""},
		"the upstream's id":   {"1", `{"id":"2","state":"processing"}`, "the reply calls the task 2"},
		"an id that is none":  {"1", `{"id":"cgt:1/2","state":"processing"}`, "id cannot be read"},
		"longest id":          {strings.Repeat("a", 128), `{"state":"processing"}`, ""},
		"wrapped, without id": {"1", `{"code":"success","data":{"status":"PROCESSING"}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mock := httpmock.NewMockTransport()
			mock.RegisterResponder(http.MethodGet, "https://gateway.example.com/vidu/v2/tasks/"+tt.id+"/creations",
				func(r *http.Request) (*http.Response, error) {
					assert.Equal(t, "application/json", r.Header.Get("Content-Type"))
					assert.Equal(t, "Bearer "+testkit.Key, r.Header.Get("Authorization"))
					assert.Nil(t, r.Body)
					return httpmock.NewStringResponse(http.StatusOK, tt.body), nil
				})
			client := newClient(t, "https://gateway.example.com", vidu.WithHTTPClient(&http.Client{Transport: mock}))
			task, err := client.GetTask(t.Context(), tt.id)
			require.NoError(t, err)
			assert.Equal(t, tt.id, task.ID)
			assert.Equal(t, vidu.StateProcessing, task.State)
			assert.Equal(t, tt.warning, strings.Join(task.Warnings, ";"))
			assert.Equal(t, 1, mock.GetTotalCallCount())
		})
	}
}

func TestGetTask_WithoutClientOrContext(t *testing.T) {
	t.Parallel()
	var none *vidu.Client
	for name, client := range map[string]*vidu.Client{"nil client": none, "zero client": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := client.GetTask(t.Context(), "1")
			assert.EqualError(t, err, "vidu: the client was not made by NewClient")
		})
	}
	_, err := clientWithReply(t, http.StatusOK, `{"state":"success"}`).GetTask(context.Context(nil), "1")
	assert.EqualError(t, err, "vidu: the context is nil")
}
