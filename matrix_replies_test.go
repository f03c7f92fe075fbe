package vidu_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// each runs check on every body of a row.
func each(t *testing.T, bodies map[string]string, check func(t *testing.T, body string)) {
	t.Helper()
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, body)
		})
	}
}

func TestWait_UnknownState(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, _ := scriptedClient(t, replyScript(`{"state":"scheduling"}`))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		task, err := client.Wait(ctx, "1")
		require.ErrorContains(t, err, "still scheduling")
		testkit.AssertHarmless(t, err)
		assert.Equal(t, vidu.State("scheduling"), task.State)
	})
}

func TestWait_StateGoesBack(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		bodies []string
		want   vidu.State
		polls  int
	}{
		"the first end counts":   {[]string{processingReply, succeededReply, processingReply, `{"state":"failed"}`}, vidu.StateSuccess, 2},
		"failure is an end, too": {[]string{processingReply, `{"state":"failed"}`, succeededReply}, vidu.StateFailed, 2},
		"before the end":         {[]string{processingReply, `{"state":"queueing"}`, `{"state":"created"}`, succeededReply}, vidu.StateSuccess, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, p := scriptedClient(t, replyScript(tt.bodies...))
				task, _ := client.Wait(t.Context(), "1")
				require.NotNil(t, task)
				assert.Equal(t, tt.want, task.State)
				assert.Len(t, p.at, tt.polls)
			})
		})
	}
}

func TestWait_SuccessWithoutLink(t *testing.T) {
	t.Parallel()
	each(t, map[string]string{
		"missing": `{"state":"success","credits":5}`, "empty": `{"state":"success","credits":5,"creations":[]}`,
		"null": `{"state":"success","credits":5,"creations":null}`, "empty link": `{"state":"success","credits":5,"creations":[{"url":""}]}`,
	}, func(t *testing.T, body string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			client, p := scriptedClient(t, replyScript(body))
			task, err := client.Wait(t.Context(), "1")
			assertNotCreated(t, err)
			require.ErrorContains(t, err, "has no link")
			require.NotNil(t, task)
			assert.Equal(t, 5, task.Credits, "what was paid for")
			assert.Len(t, p.at, 5)
		})
		synctest.Test(t, func(t *testing.T) {
			client, _ := scriptedClient(t, replyScript(body, body, body, body, succeededReply))
			_, err := client.Wait(t.Context(), "1")
			require.NoError(t, err)
		})
	})
}

func TestWait_FailedWithoutCode(t *testing.T) {
	t.Parallel()
	each(t, map[string]string{
		"empty": `{"state":"failed","err_code":""}`, "absent": `{"state":"failed"}`, "null": `{"state":"failed","err_code":null}`,
	}, func(t *testing.T, body string) {
		t.Helper()
		_, err := clientWithReply(t, 200, body).Wait(t.Context(), "1")
		failure, ok := errors.AsType[*vidu.TaskError](err)
		require.True(t, ok)
		assert.Empty(t, failure.Task.ErrCode)
		testkit.AssertHarmless(t, err)
	})
}

func TestDownload_UnusableLinks(t *testing.T) {
	t.Parallel()
	each(t, map[string]string{
		"words": "soon", "script": "javascript:alert(1)", "file": "file:///etc/passwd", "http": "http://cdn.example.com/v.mp4",
		"user": "https://user:secret@cdn.example.com/v.mp4", "no host": "https:///v.mp4", "data": "data:video/mp4;base64,AAAA", "relative": "/v.mp4",
	}, func(t *testing.T, link string) {
		t.Helper()
		r := newRig(t, someHost, withTransport(func(req *http.Request) (*http.Response, error) { return testkit.Reply(req, 200, "video") }))
		n, err := r.Download(t.Context(), finishedTask(link), io.Discard)
		assertNotCreated(t, err)
		assert.NotContains(t, err.Error(), "secret")
		assert.Zero(t, n)
	})
}
