package main

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/vidutest"
)

// listen starts the program's server, against the API in the environment.
func listen(t *testing.T) (*job, *server) {
	t.Helper()
	here := freeAddress(t)
	j, err := parse([]string{"-listen", here, "-callback-url", "http://" + here + "/hook"}, &bytes.Buffer{})
	require.NoError(t, err)
	_, err = j.connect(&bytes.Buffer{})
	require.NoError(t, err)
	s, err := j.serve(t.Context())
	require.NoError(t, err)
	return j, s
}

// fake starts an API whose tasks end at once, and sets the environment for it.
func fake(t *testing.T) *vidutest.Server {
	t.Helper()
	server := vidutest.NewServer(vidutest.WithTiming(0, 0))
	t.Cleanup(server.Close)
	t.Setenv("VIDU_BASE_URL", server.URL)
	t.Setenv("VIDU_API_KEY", vidutest.APIKey)
	return server
}

// ended creates a task that has ended.
func ended(t *testing.T, j *job) string {
	t.Helper()
	task, err := j.client.Reference2Video(t.Context(), &vidu.Reference2VideoRequest{
		Model: vidu.ModelQ2Pro, Images: []vidu.Media{vidu.URL(sampleImage)}, Prompt: "x", CallbackURL: j.callbackURL,
	})
	require.NoError(t, err)
	return task.ID
}

// callback returns the callback of a task.
func callback(t *testing.T, server *vidutest.Server, id string) *http.Request {
	t.Helper()
	r, err := server.NewCallback(t.Context(), vidutest.Callback{TaskID: id})
	require.NoError(t, err)
	return r
}

// deliver returns the status of the answer, 0 for none.
func deliver(r *http.Request) int {
	resp, err := newSender().Do(r)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// TestStrangers are refused, and slow ones are cut off.
func TestStrangers(t *testing.T) { //nolint:paralleltest // the environment is shared
	fake(t)
	_, s := listen(t)
	post := func(url string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(`{"id":"1","state":"success"}`))
		require.NoError(t, err)
		return newSender().Do(req)
	}
	for url, status := range map[string]int{
		s.callbackURL:               http.StatusUnauthorized, // not signed
		s.callbackURL + "/../admin": http.StatusNotFound,
	} {
		resp, err := post(url)
		require.NoError(t, err)
		assert.NoError(t, resp.Body.Close())
		assert.Equal(t, status, resp.StatusCode, url)
	}
	var said bytes.Buffer
	s.shutdown(t.Context(), &said)
	assert.Empty(t, said.String())
	_, err := post(s.callbackURL) //nolint:bodyclose // there is none
	require.Error(t, err)
}

// TestLimits are low enough for strangers and high enough for handlers, which may take a minute.
func TestLimits(t *testing.T) { //nolint:paralleltest // as above
	fake(t)
	_, s := listen(t)
	defer s.shutdown(t.Context(), &bytes.Buffer{})
	between := func(low, high, limit time.Duration) {
		t.Helper()
		assert.GreaterOrEqual(t, limit, low)
		assert.LessOrEqual(t, limit, high)
	}
	between(time.Second, 10*time.Second, s.http.ReadHeaderTimeout)
	between(time.Second, 30*time.Second, s.http.ReadTimeout)
	between(time.Minute+time.Second, 2*time.Minute, s.http.WriteTimeout)
	between(time.Second, 2*time.Minute, s.http.IdleTimeout)
	assert.Positive(t, s.http.MaxHeaderBytes)
	assert.LessOrEqual(t, s.http.MaxHeaderBytes, 64<<10)
	between(s.http.ReadHeaderTimeout+s.http.WriteTimeout, 2*time.Minute, s.patience())
}

// TestCallbacksOfOtherRuns are answered, however many they are, and do not hide the one that is waited for.
func TestCallbacksOfOtherRuns(t *testing.T) { //nolint:paralleltest // as above
	server := fake(t)
	j, s := listen(t)
	defer s.shutdown(t.Context(), &bytes.Buffer{})
	ours := ended(t, j)
	require.Equal(t, http.StatusOK, deliver(callback(t, server, ours)), "before the wait")
	for range 40 {
		require.Equal(t, http.StatusOK, deliver(callback(t, server, ended(t, j))))
	}
	require.NoError(t, s.receive(t.Context(), &vidu.Task{ID: ours, State: vidu.StateFailed}), "a repetition")
	a, came := s.await(t.Context(), ours, time.Second)
	assert.True(t, came)
	assert.Equal(t, vidu.StateSuccess, a.state)

	_, came = s.await(t.Context(), "another", time.Millisecond)
	assert.False(t, came)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, came = s.await(canceled, "another", time.Hour)
	assert.False(t, came)
}

// TestCallbackDuringShutdown is answered, although Ctrl-C was pressed.
func TestCallbackDuringShutdown(t *testing.T) { //nolint:paralleltest // as above
	server := fake(t)
	j, s := listen(t)
	arriving := callback(t, server, ended(t, j))
	server.Delay(500 * time.Millisecond) // of the answer to the handler's query
	status := make(chan int)
	go func() { status <- deliver(arriving) }()
	require.Eventually(t, func() bool { return len(server.Requests()) == 2 }, 5*time.Second, time.Millisecond, "it asks")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	var said bytes.Buffer
	s.shutdown(canceled, &said)
	assert.Equal(t, http.StatusOK, <-status)
	assert.Empty(t, said.String())
}
