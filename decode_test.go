package vidu_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

func TestCreateReply_Contract(t *testing.T) {
	t.Parallel()
	body := contractReply(t)
	got, err := createFrom(t, string(body))
	require.NoError(t, err)
	assert.Equal(t, string(body), string(got.RawJSON()))

	want := &vidu.Task{}
	require.NoError(t, json.Unmarshal(body, want))
	assert.Equal(t, want, got, "the client and json.Unmarshal agree")
	assert.Equal(t, "885482446060003328", got.ID)
	assert.Equal(t, "img2video", got.Type)
	assert.Equal(t, vidu.StateCreated, got.State)
	assert.Equal(t, vidu.ModelQ2Pro, got.Model)
	assert.Equal(t, "general", got.Style)
	assert.Equal(t, "The astronaut waved and the camera moved up.", got.Prompt)
	assert.Equal(t, []string{"https://prod-ss-images.s3.cn-northwest-1.amazonaws.com.cn/vidu-maas/template/image2video.png"}, got.Images)
	assert.Equal(t, 5, got.Duration)
	assert.Equal(t, 1283649749, got.Seed)
	assert.Equal(t, vidu.Resolution720p, got.Resolution)
	assert.Equal(t, vidu.MovementAuto, got.MovementAmplitude)
	assert.Equal(t, time.Date(2025, 11, 10, 15, 3, 1, 749836088, time.UTC), got.CreatedAt)
	assert.Equal(t, 55, got.Credits)
	assert.Zero(t, got.WatermarkPosition)
	assert.Empty(t, got.Warnings)
}

func TestQueryReply(t *testing.T) {
	t.Parallel()
	got, err := queryFrom(t, `{
		"id": "1", "state": "success", "err_code": "", "err_msg": "", "credits": 55, "payload": "job-42", "bgm": true, "off_peak": true,
		"progress": 100, "type": "character2video", "model": "viduq2-pro", "videos": ["https://h/v.mp4"], "audio": true,
		"audio_type": "all", "is_rec": true, "watermark": true, "wm_url": "https://h/wm.png", "meta_data": "{}", "cus_priority": 2,
		"client_request_id": "c", "aspect_ratio": "16:9", "creations": [{
			"id": 93, "url": "https://h/x.mp4?a=%253A;b", "cover_url": "https://h/x.png", "watermarked_url": "https://h/w.mp4",
			"moderation_url": ["https://h/m"], "video": {"duration": 5.04, "fps": 24, "resolution": {"width": 1280, "height": 720}}}]}`)
	require.NoError(t, err)
	assert.JSONEq(t, `{
		"id": "1", "state": "success", "credits": 55, "payload": "job-42", "bgm": true, "off_peak": true, "progress": 100,
		"type": "character2video", "model": "viduq2-pro", "videos": ["https://h/v.mp4"], "audio": true, "audio_type": "all",
		"is_rec": true, "watermark": true, "wm_url": "https://h/wm.png", "meta_data": "{}", "cus_priority": 2,
		"client_request_id": "c", "aspect_ratio": "16:9", "creations": [{
			"id": "93", "url": "https://h/x.mp4?a=%253A;b", "cover_url": "https://h/x.png", "watermarked_url": "https://h/w.mp4",
			"moderation_url": ["https://h/m"], "video": {"duration": 5.04, "fps": 24, "width": 1280, "height": 720}}]}`, testkit.JSON(t, got))
	assert.Empty(t, got.Warnings)
}

func TestCorpus_Replies(t *testing.T) {
	t.Parallel()
	replies := knownReplies(t)
	for name, reply := range replies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task, err := reply.get(t)
			if reply.Error != "" {
				require.ErrorContains(t, err, reply.Error)
				require.Nil(t, task)
				return
			}
			require.NoError(t, err)
			assert.JSONEq(t, string(reply.Task), testkit.JSON(t, task))
			video, _ := task.Video()
			assert.Equal(t, reply.Video, video.URL)
			require.Len(t, task.Warnings, len(reply.Warnings), task.Warnings)
			for i, warning := range reply.Warnings {
				assert.Contains(t, task.Warnings[i], warning)
			}
		})
	}
	t.Logf("%d replies are decoded", len(replies))
}

func TestCreateReply_ID(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ body, id string }{
		"string":                              {`{"task_id":"916205061116293121"}`, "916205061116293121"},
		"number beyond 2^53":                  {`{"task_id":916205061116293121,"state":"created"}`, "916205061116293121"},
		"number beyond 2^64":                  {`{"task_id":99999999999999999999999}`, "99999999999999999999999"},
		"id":                                  {`{"id":"7","state":"created"}`, "7"},
		"id as a number":                      {`{"id":7}`, "7"},
		"base64 with padding":                 {`{"task_id":"dGFzay05MTYy_-A=="}`, "dGFzay05MTYy_-A=="},
		"other punctuation":                   {`{"id":"cgt:2026.11~a+b@c","state":"created"}`, "cgt:2026.11~a+b@c"},
		"digits and e":                        {`{"task_id":"84730e12"}`, "84730e12"},
		"256 characters":                      {`{"task_id":"` + strings.Repeat("7", 256) + `"}`, strings.Repeat("7", 256)},
		"UUID":                                {`{"task_id":"3f2504e0-4f89-11d3-9a0c-0305e82c3301"}`, "3f2504e0-4f89-11d3-9a0c-0305e82c3301"},
		"task_ and letters":                   {`{"task_id":"task_AbC"}`, "task_AbC"},
		"task_id wins over id":                {`{"task_id":"7","id":"8"}`, "7"},
		"task_id wins over an earlier id":     {`{"id":"8","task_id":"7"}`, "7"},
		"the same id twice":                   {`{"task_id":"7","task_id":"7"}`, "7"},
		"the same id in two types":            {`{"task_id":"7","task_id":7}`, "7"},
		"empty task_id beside id":             {`{"task_id":"","id":"7"}`, "7"},
		"null task_id beside id":              {`{"task_id":null,"id":"7"}`, "7"},
		"false task_id beside id":             {`{"task_id":false,"id":"7"}`, "7"},
		"zero task_id beside id":              {`{"id":"7","task_id":0}`, "7"},
		"task_id null in words, beside id":    {`{"task_id":"null","id":"7"}`, "7"},
		"wrapped, beside the wrapper's id":    {`{"id":"req-77","code":0,"data":{"task_id":"7"}}`, "7"},
		"wrapped, beside the wrapper's state": {`{"state":"success","data":{"task_id":"7","state":"created"}}`, "7"},
		"exact case wins":                     {`{"TASK_ID":"9","task_id":"7","Task_Id":"8"}`, "7"},
		"escaped key":                         {`{"task\u005fid":"7"}`, "7"},
		"escaped key twice":                   {`{"\u0074ask_id":"7","task_id":"7"}`, "7"},
		"escaped value":                       {`{"task_id":"\u0037"}`, "7"},
		"byte order mark":                     {"\uFEFF" + `{"task_id":"7"}`, "7"},
		"white space":                         {"\r\n\t {\n\"task_id\" : \"7\"\t}\n ", "7"},
		"wrapped":                             {`{"code":"success","message":"","data":{"task_id":"7","state":"created"}}`, "7"},
		"wrapped, id":                         {`{"code":0,"data":{"id":7}}`, "7"},
		"wrapped, the wrapping has status":    {`{"status":"success","data":{"task_id":"7"}}`, "7"},
		"wrapped, twice the same":             {`{"data":{"task_id":"7"},"data":{"task_id":"7"}}`, "7"},
		"record with two inside":              {`{"task_id":"7","state":"created","data":{"data":{"x":1},"data":{"x":2}}}`, "7"},
		"record of a task":                    {`{"task_id":"7","state":"created","data":{"task_id":"8"}}`, "7"},
		"record of a task, status":            {`{"task_id":"7","status":"NOT_START","data":{"task_id":"8"}}`, "7"},
		"wrapper with a task_id":              {`{"task_id":"8","data":{"task_id":"7"}}`, "7"},
		"wrapper with a task_id and an id":    {`{"task_id":"8","id":"9","data":{"id":"7","state":"created"}}`, "7"},
		"wrapper with a state":                {`{"id":"req-1","state":"success","data":{"id":"7","state":"created"}}`, "7"},
		"wrapper with a state, data behind":   {`{"data":{"state":"created","id":"7"},"state":"success","id":"req-1"}`, "7"},
		"a request's id, odd id inside":       {`{"id":"7","data":{"state":"created","id":[]}}`, "7"},
		"wrapper with the id, state inside":   {`{"task_id":"7","data":{"state":"created"}}`, "7"},
		"wrapper with a status of the call":   {`{"task_id":"8","status":"ok","data":{"task_id":"7"}}`, "7"},
		"error that says that there is none":  {`{"task_id":"7","error":{"code":0,"message":""}}`, "7"},
		"error of code ok":                    {`{"task_id":"7","error":{"code":"Success","message":"OK"}}`, "7"},
		"data without a task":                 {`{"task_id":"7","data":{"x":1}}`, "7"},
		"id, and data without a task":         {`{"id":"7","data":{"x":1}}`, "7"},
		"broken behind the id":                {`{"task_id":"7","prompt":"cut o`, "7"},
		"garbage behind the object":           {`{"task_id":"7"} <!-- cached -->`, "7"},
		"cut behind a link":                   {`{"task_id":"7","state":"archived","creations":[{"url":"https://h/1"}],"prog`, "7"},
		"second object":                       {`{"task_id":"7"}{"task_id":"8"}`, "7"},
		"too deep behind the id":              {`{"task_id":"7","x":` + strings.Repeat("[", 10001) + strings.Repeat("]", 10001) + `}`, "7"},
		"too deep before the id":              {`{"x":` + strings.Repeat("[", 10001) + strings.Repeat("]", 10001) + `,"task_id":"7"}`, "7"},
		"invalid escape elsewhere":            {`{"task_id":"7","prompt":"\q"}`, "7"},
		"invalid UTF-8 elsewhere":             {"{\"task_id\":\"7\",\"prompt\":\"\xff\"}", "7"},
		"with an error that says nothing":     {`{"task_id":"7","error":null,"success":true}`, "7"},
		"with an error, but a state":          {`{"task_id":"7","state":"created","error":"slow"}`, "7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task, err := createFrom(t, tt.body)
			require.NoError(t, err)
			assert.Equal(t, tt.id, task.ID)
			assert.False(t, task.Done())
		})
	}
}

// What is called "id" may be the request's. Of a task that the reply names elsewhere there is a warning, so that it is
// not lost.
func TestCreateReply_AnotherTaskBesideTheID(t *testing.T) {
	t.Parallel()
	for body, other := range map[string]string{
		`{"id":"7","taskId":"9","state":"created"}`:                                "9",
		`{"id":"7","status":"success","result":{"task_id":"9"}}`:                   "9",
		`{"id":"7","created":1,"task":{"id":"9","state":"created"}}`:               "9",
		`{"id":"7","state":"created","data":{"taskId":9}}`:                         "9",
		`{"id":"7","state":"created","upstream_task_id":"9"}`:                      "9",
		`{"id":"7","state":"created","data":{"id":"9","state":"created"}}`:         "9",
		`{"id":"7","state":"created","taskId":"7","prompt":"{\"task_id\":\"9\"}"}`: "",
		`{"id":"7","state":"created","creations":[{"id":"9"}]}`:                    "",
	} {
		task, err := createFrom(t, body)
		require.NoError(t, err)
		want := []string{"the reply has the id " + other + ", too"}
		switch {
		case task.ID == "9":
			want = []string{"the reply has the id 7, too"}
		case other == "":
			want = nil
		}
		assert.Equal(t, want, task.Warnings, body)
	}
}

func TestCreateReply_WithoutUsableID(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"empty":                     "",
		"white space":               " \n",
		"null":                      "null",
		"array":                     `[{"task_id":"7"}]`,
		"string":                    `"7"`,
		"number":                    "7",
		"empty object":              "{}",
		"null in every field":       `{"task_id":null,"id":null,"state":null,"images":null,"credits":null,"created_at":null}`,
		"state alone":               `{"state":"created"}`,
		"object task_id beside id":  `{"task_id":{"id":"9"},"id":"7"}`,
		"odd task_id and an error":  `{"code":"BadRequest","task_id":"a/b"}`,
		"odd task_id, wrapped":      `{"reason":"NotFound","data":{"id":"7","task_id":"task;9"}}`,
		"odd task_id with a state":  `{"task_id":"../x","state":"created","data":{"id":"7","state":"created"}}`,
		"two wrapped tasks":         `{"data":{"task_id":"1"},"data":{"task_id":"2"}}`,
		"other case":                `{"TASK_ID":"7","Id":"7"}`,
		"long s":                    `{"taſk_id":"7"}`,
		"two ids":                   `{"task_id":"7","task_id":"8"}`,
		"two ids, one escaped":      `{"task_id":"7","task\u005fid":"8"}`,
		"two ids, wrapped":          `{"data":{"id":"7","id":"8"}}`,
		"path":                      `{"task_id":"../x"}`,
		"empty string":              `{"task_id":""}`,
		"zero":                      `{"task_id":0,"state":"created"}`,
		"undefined in words":        `{"task_id":"undefined","state":"created"}`,
		"invalid UTF-8":             "{\"task_id\":\"7\xff\"}",
		"too long":                  `{"task_id":"` + strings.Repeat("7", 257) + `"}`,
		"fraction":                  `{"task_id":7.5}`,
		"number without digits":     `{"task_id":9.16205061116293e+17}`,
		"negative number":           `{"task_id":-7}`,
		"such a number as text":     `{"task_id":"9.16205061116293e+17"}`,
		"dots":                      `{"task_id":".."}`,
		"true":                      `{"task_id":true}`,
		"array of ids":              `{"task_id":["7"]}`,
		"bare word":                 `{"task_id":undefined}`,
		"cut number":                `{"task_id":91620506111`,
		"number running into words": `{"task_id":7x}`,
		"cut string":                `{"task_id":"91620506111`,
		"cut behind a backslash":    `{"task_id":"7\`,
		"web page":                  "<!DOCTYPE html><html><body>Welcome to nginx</body></html>",
		"id beside an error":        `{"id":"7","error":{"message":"busy"}}`,
		"id beside success false":   `{"task_id":"7","success":false}`,
		"id, error, success true":   `{"id":"7","error":{"message":"busy"},"success":true}`,
		"id, success false, null":   `{"id":"7","success":false,"error":null}`,
		"id within an error":        `{"error":{"task_id":"7"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task, err := createFrom(t, body)
			require.ErrorIs(t, err, vidu.ErrMaybeCreated)
			assert.Nil(t, task)
			testkit.AssertHarmless(t, err)
			unknown, ok := errors.AsType[*vidu.MaybeCreatedError](err)
			require.True(t, ok)
			assert.Equal(t, body, string(unknown.Body))
		})
	}
}

// A reply cut off anywhere must not cost the id of a task that was paid for, and must not invent one.
func TestCreateReply_CutAnywhere(t *testing.T) {
	t.Parallel()
	for name, body := range map[string][]byte{
		"contract": contractReply(t),
		"wrapped":  []byte(`{"code":"success","data":{"images":["https://h/1.png"],"task_id":885482446060003328,"state":"created"}}`),
		"number":   []byte(`{"task_id":885482446060003328,"credits":5}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const id = "885482446060003328"
			complete := bytes.Index(body, []byte(id)) + len(id) + 1 // with the quote or comma that ends it
			for n := range body {
				task, err := createFrom(t, string(body[:n]))
				if n < complete {
					require.ErrorIs(t, err, vidu.ErrMaybeCreated, "%d bytes", n)
					continue
				}
				require.NoError(t, err, "%d bytes", n)
				require.Equal(t, id, task.ID, "%d bytes", n)
				require.NotEmpty(t, task.Warnings, "%d bytes", n)
				_, err = queryFrom(t, string(body[:n]))
				require.Error(t, err, "a query can be repeated: %d bytes", n)
			}
		})
	}
}

// The connection breaks off before the promised length. The "id" of a gateway is not the id of a task.
func TestCreateReply_BreaksOff(t *testing.T) {
	t.Parallel()
	for body, id := range map[string]string{
		`{"task_id":"885482446060003328","type":"img2v`:              "885482446060003328",
		`{"id":"req-77","data":{"task_id":"885482446060003328","sta`: "885482446060003328",
		`{"id":"req-77","data":{"task_id":"8854824460`:               "",
		`{"id":"req-77","code":0,`:                                   "",
		`{"id":"req-77","state":"ok","task_id":"8854`:                "",
	} {
		client := newClient(t, someHost, withTransport(func(r *http.Request) (*http.Response, error) {
			resp, err := testkit.Reply(r, 200, body)
			resp.ContentLength = 700
			resp.Body = io.NopCloser(io.MultiReader(resp.Body, testkit.FailingReader{Err: io.ErrUnexpectedEOF}))
			return resp, err
		}))
		task, err := client.Reference2Video(t.Context(), smallRequest())
		if id == "" {
			require.ErrorIs(t, err, vidu.ErrMaybeCreated, body)
			continue
		}
		require.NoError(t, err, body)
		assert.Equal(t, id, task.ID)
		assert.Contains(t, strings.Join(task.Warnings, " "), "cannot be used", body)
	}
}

// A create's reply is not lost for what follows the object; for a query it is an error, for a query can be repeated.
func TestReply_TrailingGarbage(t *testing.T) {
	t.Parallel()
	for name, garbage := range map[string]string{"text": " x", "second object": succeededReply, "comment": "<!-- cached -->"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task, err := createFrom(t, createdReply+garbage)
			assertCreated(t, task, err)
			assert.NotEmpty(t, task.Warnings)
			_, err = queryFrom(t, succeededReply+garbage)
			assertNotCreated(t, err)
			require.ErrorContains(t, err, "after top-level value")
		})
	}
}

func TestQueryReply_ByteOrderMark(t *testing.T) {
	t.Parallel()
	task, err := queryFrom(t, "\uFEFF"+succeededReply)
	require.NoError(t, err)
	assert.True(t, task.Done())
}

func TestQueryReply_CannotBeUsed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ body, says string }{
		"empty":            {"", "unexpected end of JSON input"},
		"null":             {"null", "names no task"},
		"array":            {"[]", "names no task"},
		"web page":         {"\n <html>", "web page"},
		"cut":              {`{"state":"success"`, "unexpected end of JSON input"},
		"trailing garbage": {`{"state":"success"}x`, "invalid character 'x' after top-level value"},
		"too deep":         {`{"state":"success","x":` + strings.Repeat("[", 10001) + strings.Repeat("]", 10001) + `}`, "exceeded max depth"},
		"two ids":          {`{"id":"1","id":"2","state":"success"}`, "names two tasks"},
		"only unknown":     {`{"progress":5}`, "names no task"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task, err := queryFrom(t, tt.body)
			require.ErrorContains(t, err, tt.says)
			testkit.AssertHarmless(t, err)
			assert.Nil(t, task)
		})
	}
}

func TestReply_Drift(t *testing.T) {
	t.Parallel()
	state := func(task *vidu.Task) any { return task.State }
	credits := func(task *vidu.Task) any { return task.Credits }
	offPeak := func(task *vidu.Task) any { return task.OffPeak }
	position := func(task *vidu.Task) any { return task.WatermarkPosition }
	images := func(task *vidu.Task) any { return task.Images }
	progress := func(task *vidu.Task) any { return task.Progress }
	prompt := func(task *vidu.Task) any { return task.Prompt }
	payload := func(task *vidu.Task) any { return task.Payload }
	creations := func(task *vidu.Task) any { return task.Creations }
	unread := []string(nil)
	for name, tt := range map[string]struct {
		members string
		got     func(*vidu.Task) any
		want    any
		warns   string // the field that is warned of, "" for none
	}{
		"status for state":            {`"status":"processing"`, state, vidu.StateProcessing, ""},
		"state wins over status":      {`"state":"processing","status":"success"`, state, vidu.StateProcessing, ""},
		"status as a number":          {`"status":200,"state":"created"`, state, vidu.StateCreated, ""},
		"null state, status":          {`"state":null,"status":"queueing"`, state, vidu.StateQueueing, ""},
		"state in upper case":         {`"state":"PROCESSING"`, state, vidu.StateProcessing, ""},
		"queuing":                     {`"state":"queuing"`, state, vidu.StateQueueing, ""},
		"FAILURE":                     {`"status":"FAILURE"`, state, vidu.StateFailed, ""},
		"Cancelled":                   {`"state":"Cancelled"`, state, vidu.StateCanceled, ""},
		"unknown state":               {`"state":"Preparation"`, state, vidu.State("Preparation"), ""},
		"state of a wrong type":       {`"state":{}`, state, vidu.State(""), "state"},
		"state in two cases":          {`"STATE":"success","state":"created"`, state, vidu.StateCreated, ""},
		"state with long s":           {`"ſtate":"success","state":"created"`, state, vidu.StateCreated, ""},
		"credits as a string":         {`"credits":"15"`, credits, 15, ""},
		"credits 0":                   {`"credits":0`, credits, 0, ""},
		"credits null":                {`"credits":null`, credits, 0, ""},
		"credits empty":               {`"credits":""`, credits, 0, ""},
		"credits 4.0":                 {`"credits":4.0`, credits, 4, ""},
		"credits 1e2":                 {`"credits":1e2`, credits, 100, ""},
		"credits negative":            {`"credits":-3`, credits, -3, ""},
		"credits beyond 2^53":         {`"credits":9007199254740993.5`, credits, 0, "credits"},
		"credits 1e400":               {`"credits":1e400`, credits, 0, "credits"},
		"credits beyond int":          {`"credits":99999999999999999999`, credits, 0, "credits"},
		"credits as an object":        {`"credits":{"n":4}`, credits, 0, "credits"},
		"credits as a bool":           {`"credits":true`, credits, 0, "credits"},
		"credits as words":            {`"credits":"four"`, credits, 0, "credits"},
		"bool as a string":            {`"off_peak":"true"`, offPeak, true, ""},
		"bool as a number":            {`"off_peak":1`, offPeak, true, ""},
		"bool as 0":                   {`"off_peak":0`, offPeak, false, ""},
		"bool null":                   {`"off_peak":null`, offPeak, false, ""},
		"bool empty":                  {`"off_peak":""`, offPeak, false, ""},
		"bool as an array":            {`"off_peak":[true]`, offPeak, false, "off_peak"},
		"bool as words":               {`"off_peak":"yes"`, offPeak, false, "off_peak"},
		"wm_position unspecified":     {`"wm_position":"unspecified"`, position, 0, ""},
		"wm_position top_left":        {`"wm_position":"top_left"`, position, 1, ""},
		"wm_position top_right":       {`"wm_position":"top_right"`, position, 2, ""},
		"wm_position bottom_right":    {`"wm_position":"bottom_right"`, position, 3, ""},
		"wm_position bottom_left":     {`"wm_position":"bottom_left"`, position, 4, ""},
		"wm_position as a number":     {`"wm_position":3`, position, 3, ""},
		"wm_position unknown":         {`"wm_position":"center"`, position, 0, "wm_position"},
		"images null":                 {`"images":null`, images, unread, ""},
		"images empty":                {`"images":[]`, images, unread, ""},
		"images with odd elements":    {`"images":["a",null,7,{}]`, images, []string{"a", "", "7", ""}, ""},
		"images as a string":          {`"images":"a"`, images, unread, "images"},
		"images of 64 KiB":            {`"images":["` + strings.Repeat("A", 64<<10-4) + `"]`, images, []string{strings.Repeat("A", 64<<10-4)}, ""},
		"images with inline media":    {`"images":["data:image/png;base64,` + strings.Repeat("A", 64<<10) + `"]`, images, unread, "images"},
		"progress":                    {`"progress":37.5`, progress, 37.5, ""},
		"progress as a percentage":    {`"progress":"100%"`, progress, 100.0, ""},
		"progress empty":              {`"progress":""`, progress, 0.0, ""},
		"progress NaN":                {`"progress":"NaN"`, progress, 0.0, "progress"},
		"progress infinite":           {`"progress":"-Inf"`, progress, 0.0, "progress"},
		"progress as words":           {`"progress":"half"`, progress, 0.0, "progress"},
		"text with escapes":           {`"prompt":"\u4f60\u597d\n\"\ud83d\ude00\""`, prompt, "你好\n\"😀\"", ""},
		"text with a lone surrogate":  {`"prompt":"\ud83d!"`, prompt, "\uFFFD!", ""},
		"text with invalid UTF-8":     {"\"prompt\":\"a\xffb\"", prompt, "a\uFFFDb", ""},
		"text as a number":            {`"prompt":12345678901234567890`, prompt, "12345678901234567890", ""},
		"text null":                   {`"payload":null`, payload, "", ""},
		"text as an object":           {`"payload":{"job":1}`, payload, "", "payload"},
		"text as a bool":              {`"payload":true`, payload, "", "payload"},
		"fields of other names":       {`"usage":{"total":[1,{"state":"failed"}]},"":0,"Payload":"x"`, payload, "", ""},
		"creations null":              {`"creations":null`, creations, []vidu.Creation(nil), ""},
		"creations as a string":       {`"creations":"https://h/x.mp4"`, creations, []vidu.Creation(nil), "creations"},
		"creations with odd elements": {`"creations":[null,7,{"url":7},{"id":7,"video":{"duration":"5.0","resolution":null}}]`, creations, []vidu.Creation{{}, {}, {}, {ID: "7", Video: vidu.VideoInfo{Duration: 5}}}, ""},
		"video without resolution":    {`"creations":[{"video":null},{"video":{"fps":24.0}}]`, creations, []vidu.Creation{{}, {Video: vidu.VideoInfo{FPS: 24}}}, ""},
		"link in fail_reason":         {`"status":"SUCCESS","fail_reason":"https://h/x.mp4?a;b"`, creations, []vidu.Creation{{URL: "https://h/x.mp4?a;b"}}, ""},
		"link in both":                {`"state":"success","creations":[{"url":"https://h/1"}],"fail_reason":"https://h/2"`, creations, []vidu.Creation{{URL: "https://h/1"}}, ""},
		"link in another state":       {`"state":"processing","fail_reason":"https://h/x.mp4"`, creations, []vidu.Creation(nil), ""},
		"words in fail_reason":        {`"state":"success","fail_reason":"none"`, creations, []vidu.Creation(nil), ""},
		"reason of a failure":         {`"fail_reason":"dark","state":"failed"`, func(task *vidu.Task) any { return task.ErrMessage }, "dark", ""},
		"fail_reason of a wrong type": {`"fail_reason":{},"state":"failed"`, func(task *vidu.Task) any { return task.ErrMessage }, "", "fail_reason"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task, err := createFrom(t, `{"task_id":"1",`+tt.members+`}`)
			require.NoError(t, err)
			assert.Equal(t, tt.want, tt.got(task))
			assert.Equal(t, "1", task.ID)
			if tt.warns == "" {
				assert.Empty(t, task.Warnings)
			} else {
				assert.Equal(t, []string{tt.warns + " cannot be read"}, task.Warnings)
			}
			testkit.JSON(t, task)
		})
	}
}

// A price with a fraction is rounded up, a frame rate to the next whole number.
func TestReply_Fractions(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]int{"7.5": 8, "4.01": 5, `"4.5"`: 5, "-0.5": 0, "4.0": 4} {
		task, err := createFrom(t, `{"task_id":"1","credits":`+value+`}`)
		require.NoError(t, err)
		assert.Equal(t, want, task.Credits, value)
		assert.Equal(t, value != "4.0", len(task.Warnings) == 1, task.Warnings)
	}
	for value, want := range map[string]int{"23.976": 24, "29.97": 30, `"59.94"`: 60, "24.4": 24, "1e400": 0, "null": 0} {
		task, err := createFrom(t, `{"task_id":"1","creations":[{"video":{"fps":`+value+`}}]}`)
		require.NoError(t, err)
		assert.Equal(t, want, task.Creations[0].Video.FPS, value)
		assert.Empty(t, task.Warnings)
	}
}

// everyMember returns the members of a reply with every field of a Task but the id, each with the given value.
func everyMember(t *testing.T, value string) string {
	t.Helper()
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(testkit.JSON(t, everyField())), &members))
	parts := []string{}
	for name := range members {
		if name != "id" {
			parts = append(parts, strconv.Quote(name)+":"+value)
		}
	}
	return strings.Join(parts, ",")
}

func TestReply_NullInEveryField(t *testing.T) {
	t.Parallel()
	task, err := createFrom(t, `{"task_id":"1",`+everyMember(t, "null")+`}`)
	assertCreated(t, task, err)
	assert.Empty(t, task.Warnings)
	assert.JSONEq(t, `{"id":"1","state":"","credits":0}`, testkit.JSON(t, task), "everything else is zero")
}

func TestReply_WrongTypeInEveryField(t *testing.T) {
	t.Parallel()
	for _, wrong := range []string{`{}`, `[[]]`, `{"a":[1,{"b":"c"}]}`} {
		task, err := createFrom(t, `{"task_id":"1",`+everyMember(t, wrong)+`}`)
		assertCreated(t, task, err)
		assert.NotEmpty(t, task.Warnings)
		assert.JSONEq(t, wrong, string(memberOf(t, task.RawJSON(), "credits")), "nothing is lost")
	}
}

func memberOf(t *testing.T, object json.RawMessage, name string) json.RawMessage {
	t.Helper()
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(object, &members))
	return members[name]
}

func TestReply_UnknownValuesAndFields(t *testing.T) {
	t.Parallel()
	task, err := createFrom(t, `{"task_id":"1","state":"scheduling","model":"viduq9","resolution":"8k","usage":{"total":[1]}}`)
	assertCreated(t, task, err)
	assert.Equal(t, []any{vidu.State("scheduling"), vidu.Model("viduq9"), vidu.Resolution("8k")}, []any{task.State, task.Model, task.Resolution})
	assert.False(t, task.Done())
	assert.JSONEq(t, `{"total":[1]}`, string(memberOf(t, task.RawJSON(), "usage")))
}

func TestReply_CreatedAt(t *testing.T) {
	t.Parallel()
	second := time.Date(2025, 11, 10, 15, 3, 1, 0, time.UTC)
	tests := map[string]struct {
		text string
		want time.Time
		warn bool
	}{
		"offset":               {`"2025-11-10T23:03:01+08:00"`, second, false},
		"unix seconds":         {`1762786981`, second, false},
		"unix seconds, string": {`"1762786981"`, second, false},
		"unix milliseconds":    {`1762786981000`, second, false},
		"null":                 {`null`, time.Time{}, false},
		"empty":                {`""`, time.Time{}, false},
		"0":                    {`0`, time.Time{}, false},
		"negative":             {`-1`, time.Time{}, true},
		"words":                {`"yesterday"`, time.Time{}, true},
		"no zone":              {`"2025-11-10 15:03:01"`, time.Time{}, true},
		"object":               {`{}`, time.Time{}, true},
		"far future":           {`9223372036854775807`, time.Time{}, true},
		"year -1 in UTC":       {`"0000-01-01T00:00:00+01:00"`, time.Time{}, true},
		"impossible zone":      {`"2025-11-10T15:03:01+24:00"`, second.Add(-24 * time.Hour), false},
	}
	for digits := range 10 {
		fraction := strings.TrimSuffix("."+"123456789"[:digits], ".")
		nanoseconds, err := strconv.Atoi(("123456789"[:digits] + "000000000")[:9])
		require.NoError(t, err)
		tests[strconv.Itoa(digits)+" fraction digits"] = struct {
			text string
			want time.Time
			warn bool
		}{`"2025-11-10T15:03:01` + fraction + `Z"`, second.Add(time.Duration(nanoseconds)), false}
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task, err := createFrom(t, `{"task_id":"1","created_at":`+tt.text+`}`)
			require.NoError(t, err)
			assert.Equal(t, tt.want, task.CreatedAt)
			assert.Equal(t, tt.warn, len(task.Warnings) == 1, task.Warnings)
			testkit.JSON(t, task)
		})
	}
}

// Short texts can make long lists of large values. What no task has is counted and left.
func TestReply_ListsAreBounded(t *testing.T) {
	t.Parallel()
	task, err := createFrom(t, `{"task_id":"1","creations":[`+strings.Repeat(`{},`, 1e5)+`{}]`+strings.Repeat(`,"seed":{}`, 1e5)+`}`)
	require.NoError(t, err)
	assert.Len(t, task.Creations, 100)
	assert.Equal(t, []string{"seed cannot be read", "creations cannot be read"}, task.Warnings, "each is read once")
}

// hostileReplies are the starting points of every target: what was seen, and what is likely to break a reader.
var hostileReplies = []string{
	``, ` `, `null`, `[]`, `{}`, `"x"`, `7`, "\uFEFF{}", `{"task_id":"7"}`, `{"task_id":916205061116293121,"state":"CREATED"}`,
	`{"task_id":"7","task_id":"8"}`, `{"task_id":"7","id":"8"}`, `{"TASK_ID":"9","task\u005fid":"7"}`, `{"task_id":"../x"}`,
	`{"task_id":"7","credits":1e400,"seed":99999999999999999999,"off_peak":"1","images":null}`, `{"task_id":"7"`, `{"task_id":7`,
	`{"code":"success","data":{"task_id":7,"status":"SUCCESS","progress":"100%","fail_reason":"https://h/x.mp4"}}`,
	`{"state":"success","creations":[{"id":9,"url":"https://h/x.mp4?a=%253A;b","video":{"duration":5.04,"fps":24,"resolution":{"width":1,"height":2}}}]}`,
	`{"id":"1","state":"failed","err_code":"AuditFailed","created_at":1762786981000,"wm_position":"bottom_right"}`,
	`{"created_at":"2025-11-10T23:03:01.1+08:00","state":"queuing","progress":"NaN","payload":"\ud83d\"\n"}`,
	`{"code":400,"reason":"FieldInvalid","message":"bad seed","metadata":{"trace_id":"0af7"}}`,
	`{"code":"429","message":"slow down (request id: )"}`, `{"message":"request id: "}`, `{"error":{"error":{"message":"m","type":"t","code":null}}}`,
	`{"error":"text"}`, `{"success":false,"message":"busy"}`, `{"message":"<html>"}`, "<!DOCTYPE html>", "\xff\xfe", "a\r\nb\x00\x1b[31m",
	`{"a":[[],{}],"b":"\\","task_id":"7"} x`, `{,"task_id":"7"}`, `{"task_id" "7"}`, `{"task_id":"7\`, `[{"task_id":"7"}]`,
}

var taskID = regexp.MustCompile(`^[A-Za-z0-9_=.:~+@-]{1,256}$`)

// assertTask checks what holds for every task, whatever it was read from.
func assertTask(t *testing.T, task *vidu.Task) {
	t.Helper()
	require.Regexp(t, taskID, task.ID)
	text, err := json.Marshal(task)
	require.NoError(t, err)
	var again vidu.Task
	require.NoError(t, json.Unmarshal(text, &again))
	require.JSONEq(t, string(text), testkit.JSON(t, &again))
	require.Equal(t, task.Done(), again.Done())
	require.LessOrEqual(t, len(task.Warnings), 22)
}

func FuzzCreateReply(f *testing.F) {
	f.Add(200, string(contractReply(f)))
	for _, body := range append(corpusBodies(f), hostileReplies...) {
		f.Add(200, body)
	}
	f.Add(201, `{"task_id":"7"}`)
	f.Add(500, `{"task_id":"7"}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 || len(body) > vidu.MaxErrorReply {
			return
		}
		task, err := clientWithReply(t, status, body).Reference2Video(t.Context(), smallRequest())
		if err == nil {
			require.Less(t, status, 300)
			assertTask(t, task)
			require.Contains(t, body, string(task.RawJSON()))
			return
		}
		require.Nil(t, task)
		testkit.AssertHarmless(t, err)
		require.True(t, utf8.ValidString(err.Error()))
		_, answered := errors.AsType[*vidu.APIError](err)
		require.True(t, answered || errors.Is(err, vidu.ErrMaybeCreated), "%v", err)
		unknown, ok := errors.AsType[*vidu.MaybeCreatedError](err)
		require.Equal(t, ok, errors.Is(err, vidu.ErrMaybeCreated))
		if ok {
			require.NotContains(t, strings.ToLower(err.Error()), "retry")
			require.Equal(t, body, string(unknown.Body))
		}
	})
}

func FuzzTaskReply(f *testing.F) {
	f.Add(string(contractReply(f)))
	for _, body := range append(corpusBodies(f), hostileReplies...) {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		task, err := clientWithReply(t, http.StatusOK, body).GetTask(t.Context(), "1")
		if err != nil {
			require.Nil(t, task)
			testkit.AssertHarmless(t, err)
			return
		}
		require.True(t, json.Valid(task.RawJSON()))
		require.Equal(t, "1", task.ID)
		assertTask(t, task)
		if video, ok := task.Video(); ok {
			require.NotEmpty(t, video.URL)
			require.Equal(t, vidu.StateSuccess, task.State)
		}
	})
}

// "status" stands for "state" where there is none; alone, "failed" may be the answer's and not the task's.
func TestReply_StatusForState(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]vidu.State{
		`{"id":"1","status":"FAILURE"}`:                   vidu.StateFailed,
		`{"id":"1","status":"processing"}`:                vidu.StateProcessing,
		`{"status":"processing"}`:                         vidu.StateProcessing,
		`{"id":"1","state":"queueing","status":"failed"}`: vidu.StateQueueing,
		`{"status":"failed"}`:                             "",
	} {
		task, err := queryFrom(t, body)
		if want == "" {
			require.Error(t, err, body)
			continue
		}
		require.NoError(t, err, body)
		assert.Equal(t, want, task.State, body)
	}
}

// A link to the result, in the places where gateways put it. query and callback share the decoder, and so do lists.
func TestReply_Links(t *testing.T) {
	t.Parallel()
	const link = "https://h/x.mp4?a=%253A;b"
	for name, tt := range map[string]struct{ members, want string }{
		"result_url":                      {`"status":"SUCCESS","result_url":"L"`, link},
		"result_url, blanks around it":    {`"state":"success","result_url":" L\n"`, link},
		"result_url, plain http":          {`"state":"success","result_url":"http://h/1"`, "http://h/1"},
		"result_url beside no creation":   {`"state":"success","creations":[],"result_url":"L"`, link},
		"result_url beside null":          {`"state":"success","creations":null,"result_url":"L"`, link},
		"result_url beside a cover":       {`"state":"success","creations":[{"id":9,"url":""}],"result_url":"L"`, link},
		"result_url twice, once empty":    {`"state":"success","result_url":"L","result_url":""`, link},
		"result_url null":                 {`"state":"success","result_url":null,"video_url":"L"`, link},
		"result_url that is no link":      {`"state":"success","result_url":"pending"`, ""},
		"result_url in another case":      {`"state":"success","Result_URL":"L"`, ""},
		"result_url at a running state":   {`"state":"processing","result_url":"L"`, ""},
		"result_url of a failure":         {`"state":"failed","result_url":"L"`, ""},
		"video_url":                       {`"state":"success","video_url":"L"`, link},
		"video_url at a running state":    {`"state":"processing","video_url":"L"`, ""},
		"video_url, perhaps of the input": {`"state":"success","result_url":"L","video_url":"https://h/in.mp4"`, link},
		"fail_reason":                     {`"state":"success","fail_reason":"L"`, link},
		"the creation wins":               {`"state":"success","result_url":"https://h/2","creations":[{"url":"L"}]`, link},
		"the creation inside wins":        {`"state":"success","result_url":"https://h/2","data":{"creations":[{"url":"L"}]}`, link},
		"one creation, an object":         {`"state":"success","creations":{"id":"9","url":"L"}`, link},
		"inside, two levels":              {`"state":"success","data":{"data":{"creations":[{"url":"L"}]}}`, link},
		"inside, three levels":            {`"state":"success","data":{"data":{"data":{"creations":[{"url":"L"}]}}}`, link},
		"inside, result_url":              {`"state":"success","result_url":"","data":{"result_url":"L"}`, link},
		"inside, nothing takes it away":   {`"state":"success","creations":[{"url":"L"}],"data":{"creations":[],"result_url":null}`, link},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			members := strings.ReplaceAll(tt.members, "L", link)
			for shape, body := range map[string]string{
				"flat": `{"task_id":"1",` + members + `}`, "wrapped": `{"code":0,"data":{"task_id":"1",` + members + `}}`,
			} {
				task, err := queryFrom(t, body)
				require.NoError(t, err, shape)
				video, _ := task.Video()
				assert.Equal(t, tt.want, video.URL, shape)
			}
			page, err := clientWithReply(t, http.StatusOK, `{"tasks":[{"task_id":"1",`+members+`}]}`).ListTasks(t.Context(), nil)
			require.NoError(t, err)
			video, _ := page.Tasks[0].Video()
			assert.Equal(t, tt.want, video.URL, "listed")
		})
	}
}

// A word that no table has, or none, beside a link: the video is there, unless it is a preview or something is wrong.
func TestReply_UnknownStateWithALink(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		members string
		ended   bool
	}{
		"creation":                        {`"state":"archived","creations":[{"url":"https://h/1"}]`, true},
		"second creation":                 {`"state":"archived","creations":[{},{"url":"https://h/1"}]`, true},
		"one creation":                    {`"state":"archived","creations":{"url":"https://h/1"}`, true},
		"result_url":                      {`"state":"archived","result_url":"https://h/1"`, true},
		"status":                          {`"status":"archived","result_url":"https://h/1"`, true},
		"inside":                          {`"status":"archived","data":{"creations":[{"url":"https://h/1"}]}`, true},
		"no state":                        {`"creations":[{"url":"https://h/1"}]`, true},
		"progress 100":                    {`"state":"archived","progress":"100%","result_url":"https://h/1"`, true},
		"progress empty":                  {`"state":"archived","progress":"","result_url":"https://h/1"`, true},
		"error of code 0":                 {`"state":"archived","error":{"code":0,"message":""},"result_url":"https://h/1"`, true},
		"code of success":                 {`"state":"archived","code":200,"message":"ok","err_code":0,"result_url":"https://h/1"`, true},
		"no link":                         {`"state":"archived","creations":[{"cover_url":"https://h/1"}]`, false},
		"no link but words":               {`"state":"archived","creations":[{"url":"soon"}],"result_url":"soon"`, false},
		"video_url, perhaps of the input": {`"state":"archived","video_url":"https://h/1"`, false},
		"fail_reason":                     {`"state":"archived","fail_reason":"https://h/1"`, false},
		"progress 99":                     {`"state":"archived","progress":99.9,"result_url":"https://h/1"`, false},
		"progress 0":                      {`"state":"archived","progress":0,"creations":[{"url":"https://h/1"}]`, false},
		"progress 40%, inside":            {`"state":"archived","data":{"progress":"40%","creations":[{"url":"https://h/1"}]}`, false},
		"an error":                        {`"state":"archived","error":"gone","creations":[{"url":"https://h/1"}]`, false},
		"an error at 100 %":               {`"state":"archived","progress":100,"error":"gone","creations":[{"url":"https://h/1"}]`, false},
		"an error object":                 {`"state":"archived","error":{"code":7000},"creations":[{"url":"https://h/1"}]`, false},
		"an error of another kind":        {`"state":"archived","error":true,"creations":[{"url":"https://h/1"}]`, false},
		"err_code":                        {`"state":"archived","err_code":"AuditFailed","result_url":"https://h/1"`, false},
		"err_msg":                         {`"state":"archived","err_msg":"dark","result_url":"https://h/1"`, false},
		"code":                            {`"state":"archived","code":"AuditFailed","result_url":"https://h/1"`, false},
		"fail_reason in words":            {`"state":"archived","fail_reason":"dark","result_url":"https://h/1"`, false},
		"success false":                   {`"state":"archived","success":false,"creations":[{"url":"https://h/1"}]`, false},
		"known to run":                    {`"state":"RENDERING","creations":[{"url":"https://h/1"}],"result_url":"https://h/1"`, false},
		"unknown, as gateways say":        {`"state":"unknown","creations":[{"url":"https://h/1"}]`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task, err := queryFrom(t, `{"task_id":"1",`+tt.members+`}`)
			if err != nil { // no state and an error
				require.False(t, tt.ended)
				return
			}
			_, ok := task.Video()
			assert.Equal(t, tt.ended, ok)
			assert.Equal(t, tt.ended, task.Done())
			assert.Equal(t, tt.ended, len(task.Warnings) == 1, task.Warnings)
			assertTask(t, task)
			text, err := json.Marshal(task)
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(text, task))
			assert.Equal(t, tt.ended, task.Done(), "when it is read again")
		})
	}
}

// The reason of a failure, in the places where gateways put it.
func TestReply_Reasons(t *testing.T) {
	t.Parallel()
	const code, message = vidu.ErrAuditSubmitIllegal, "dark"
	for name, tt := range map[string]struct {
		members string
		code    vidu.ErrorCode
		message string
	}{
		"error object":                 {`"error":{"code":"AuditSubmitIllegal","message":"dark"}`, code, message},
		"error object, other names":    {`"error":{"err_code":"AuditSubmitIllegal","msg":"dark"}`, code, message},
		"error object, its type":       {`"error":{"code":null,"type":"AuditSubmitIllegal","message":"dark"}`, code, message},
		"error object, nested":         {`"error":{"error":{"code":"AuditSubmitIllegal"},"message":"dark"}`, "", message},
		"error object of code 0":       {`"error":{"code":0,"message":""}`, "", ""},
		"error object, only a message": {`"error":{"code":0,"message":"dark"}`, "", message},
		"error object, a number":       {`"error":{"code":1301,"message":"dark"}`, "1301", message},
		"error text":                   {`"error":"dark"`, "", message},
		"error null":                   {`"error":null`, "", ""},
		"error in a list":              {`"error":[{"code":"AuditSubmitIllegal"}]`, "", ""},
		"beside the state":             {`"code":"AuditSubmitIllegal","message":"dark"`, code, message},
		"beside the state, msg":        {`"code":"AuditSubmitIllegal","msg":"dark"`, code, message},
		"beside the state, success":    {`"code":"success","message":"ok"`, "", ""},
		"beside the state, 200":        {`"code":200,"message":"OK"`, "", ""},
		"beside the state, \"0\"":      {`"code":"0","message":"Success"`, "", ""},
		"beside the state, 500":        {`"code":500,"message":"dark"`, "500", message},
		"reason":                       {`"reason":"AuditSubmitIllegal","message":"dark"`, code, message},
		"reason in words":              {`"reason":"it is dark"`, "", "it is dark"},
		"task_status_msg":              {`"task_status_msg":"dark"`, "", message},
		"fail_reason":                  {`"fail_reason":"dark"`, "", message},
		"fail_reason, a link":          {`"fail_reason":"https://h/1","message":"dark"`, "", message},
		"detail":                       {`"title":"Not allowed","detail":"dark","status":422`, "", message},
		"title":                        {`"title":"it is dark"`, "", "it is dark"},
		"err_code wins":                {`"error":{"code":"x","message":"y"},"err_code":"AuditSubmitIllegal","err_msg":"dark"`, code, message},
		"err_code 101":                 {`"err_code":101,"err_msg":"dark"`, "101", message},
		"err_msg ok":                   {`"err_msg":"Success","message":"dark"`, "", message},
		"err_code 0":                   {`"err_code":0,"error":{"code":"AuditSubmitIllegal"},"err_msg":"dark"`, code, message},
		"inside":                       {`"fail_reason":"failed","data":{"state":"failed","err_code":"AuditSubmitIllegal","err_msg":"dark"}`, code, message},
		"inside, another word for ok":  {`"code":"AuditSubmitIllegal","message":"dark","data":{"code":"success","message":"ok"}`, code, message},
		"inside, an error object":      {`"data":{"error":{"code":"AuditSubmitIllegal","message":"dark"}}`, code, message},
		"nothing":                      {`"err_code":"","err_msg":null`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			members := `"task_id":"1","state":"failed",` + tt.members
			for shape, body := range map[string]string{
				"flat": `{` + members + `}`, "wrapped": `{"code":"success","message":"the task was found","data":{` + members + `}}`,
			} {
				client := clientWithReply(t, http.StatusOK, body)
				_, err := client.Wait(t.Context(), "1")
				failure, ok := errors.AsType[*vidu.TaskError](err)
				require.True(t, ok, "%s: %v", shape, err)
				assert.Equal(t, tt.code, failure.Task.ErrCode, shape)
				assert.Equal(t, tt.message, failure.Task.ErrMessage, shape)
				assert.Equal(t, tt.code == code, errors.Is(err, vidu.ErrAuditSubmitIllegal), shape)
			}
		})
	}
	t.Run("the wrapper's, where the task gives none", func(t *testing.T) {
		t.Parallel()
		task, err := queryFrom(t, `{"code":"AuditSubmitIllegal","message":"dark","data":{"task_id":"1","status":"FAILURE"}}`)
		require.NoError(t, err)
		assert.Equal(t, []any{code, message}, []any{task.ErrCode, task.ErrMessage})
	})
	t.Run("of no success", func(t *testing.T) {
		t.Parallel()
		task, err := queryFrom(t, `{"id":"1","state":"success","message":"dark","error":"dark","creations":[{"url":"https://h/1"}]}`)
		require.NoError(t, err)
		assert.Empty(t, task.ErrMessage)
		assert.True(t, task.Done())
	})
}

// The record of a task keeps its id and its state, and takes the rest from what is inside it.
func TestReply_Records(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body    string
		state   vidu.State
		credits int
		warns   int
	}{
		"the gateway's failure":          {`{"task_id":"1","status":"FAILURE","data":{"id":"9","state":"processing","credits":5}}`, vidu.StateFailed, 5, 1},
		"the gateway's success":          {`{"task_id":"1","status":"SUCCESS","data":{"id":"9","state":"processing","credits":5}}`, vidu.StateSuccess, 5, 1},
		"the gateway still waits":        {`{"task_id":"1","state":"processing","data":{"id":"9","state":"success","credits":5}}`, vidu.StateProcessing, 5, 1},
		"the id that was asked for":      {`{"id":"1","state":"processing","data":{"id":"9","state":"success","credits":5}}`, vidu.StateProcessing, 5, 1},
		"one id":                         {`{"id":"1","state":"processing","data":{"id":"1","state":"success","credits":5}}`, vidu.StateProcessing, 5, 0},
		"wrapped":                        {`{"code":0,"data":{"id":"1","status":"FAILURE","data":{"id":"9","state":"processing","credits":5}}}`, vidu.StateFailed, 5, 1},
		"another id":                     {`{"id":"8","state":"success","data":{"id":"1","state":"processing","credits":5}}`, vidu.StateProcessing, 5, 1},
		"another id, no state inside":    {`{"id":"8","state":"failed","data":{"id":"1","credits":5}}`, vidu.StateFailed, 5, 1},
		"a request's id, no id inside":   {`{"id":"req-1","data":{"state":"failed","credits":5}}`, vidu.StateFailed, 5, 1},
		"the task's id, no id inside":    {`{"task_id":"1","data":{"state":"failed","credits":5}}`, vidu.StateFailed, 5, 0},
		"no id inside":                   {`{"id":"8","state":"failed","data":{"credits":5}}`, vidu.StateFailed, 5, 1},
		"no id, no state inside":         {`{"state":"failed","data":{"credits":5}}`, vidu.StateFailed, 5, 0},
		"a status that is the request's": {`{"task_id":"8","status":"ok","data":{"task_id":"1","state":"processing","credits":5}}`, vidu.StateProcessing, 5, 1},
		"price and progress":             {`{"task_id":"1","status":"IN_PROGRESS","progress":"30%","credits":7,"data":{"progress":10,"credits":5}}`, "IN_PROGRESS", 5, 0},
		"nothing inside":                 {`{"task_id":"1","status":"FAILURE","credits":5,"data":{"credits":null,"payload":""}}`, vidu.StateFailed, 5, 0},
		"something else inside":          {`{"task_id":"1","status":"FAILURE","credits":5,"data":["x"]}`, vidu.StateFailed, 5, 0},
		"too deep inside":                {`{"task_id":"1","status":"FAILURE","credits":5,"data":{"data":{"data":{"data":{"credits":6}}}}}`, vidu.StateFailed, 5, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task, err := queryFrom(t, tt.body)
			require.NoError(t, err)
			assert.Equal(t, tt.state, task.State)
			assert.Equal(t, tt.credits, task.Credits)
			assert.Len(t, task.Warnings, tt.warns, task.Warnings)
		})
	}
}
