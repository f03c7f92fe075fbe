package vidutest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"time"

	"github.com/vidu-go/vidu/vidutest"
)

const exampleBody = `{
	"model": "viduq2-pro",
	"images": ["https://example.com/hero.png"],
	"prompt": "The astronaut waved and the camera moved up.",
	"duration": 5,
	"seed": 0,
	"resolution": "720p",
	"movement_amplitude": "auto",
	"off_peak": false
}`

// post creates a task and returns the status and the body of the answer.
func post(server *vidutest.Server, key string) (int, string, error) {
	return send(server, http.MethodPost, "/vidu/v2/reference2video", "Bearer "+key, exampleBody)
}

// postBody creates a task from a body.
func postBody(server *vidutest.Server, body string) (int, string, error) {
	return send(server, http.MethodPost, "/vidu/v2/reference2video", "Bearer "+vidutest.APIKey, body)
}

// official sends a request as the official API wants it.
func official(server *vidutest.Server, method, path, body string) (int, string, error) {
	return send(server, method, path, "Token "+vidutest.APIKey, body)
}

func send(server *vidutest.Server, method, path, authorization, body string) (int, string, error) {
	req, err := http.NewRequestWithContext(context.Background(), method, server.URL+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Authorization", authorization)
	req.Header.Set("Content-Type", "application/json")
	return fetch(server, req)
}

// videoLink creates a task, which must be done at once, and returns the link to its video.
func videoLink(server *vidutest.Server) string {
	_, body, _ := post(server, vidutest.APIKey)
	path := "/vidu/v2/tasks/" + taskID(body) + "/creations"
	_, body, _ = send(server, http.MethodGet, path, "Bearer "+vidutest.APIKey, "")
	var task struct {
		Creations []struct {
			URL string `json:"url"`
		} `json:"creations"`
	}
	if err := json.Unmarshal([]byte(body), &task); err != nil || len(task.Creations) == 0 {
		return ""
	}
	return task.Creations[0].URL
}

// downloadFrom reads a link from an offset on and returns how many bytes came.
func downloadFrom(server *vidutest.Server, link string, offset int64) (int64, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, link, http.NoBody)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	resp, err := server.Client().Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusBadRequest {
		return 0, errors.New(resp.Status)
	}
	return io.Copy(io.Discard, resp.Body)
}

// get queries a task and returns its state.
func get(server *vidutest.Server, id string) string {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, server.URL+"/vidu/v2/tasks/"+id+"/creations", http.NoBody)
	if err != nil {
		return err.Error()
	}
	req.Header.Set("Authorization", "Bearer "+vidutest.APIKey)
	req.Header.Set("Content-Type", "application/json")
	_, body, err := fetch(server, req)
	if err != nil {
		return err.Error()
	}
	var task struct {
		State   string `json:"state"`
		ErrCode string `json:"err_code"`
	}
	if err := json.Unmarshal([]byte(body), &task); err != nil {
		return err.Error()
	}
	return strings.TrimSpace(task.State + " " + task.ErrCode)
}

func fetch(server *vidutest.Server, req *http.Request) (int, string, error) {
	resp, err := server.Client().Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// taskID returns the id in the answer to a create.
func taskID(body string) string {
	var task struct {
		ID string `json:"task_id"`
	}
	_ = json.Unmarshal([]byte(body), &task)
	return task.ID
}

func Example() {
	server := vidutest.NewServer(vidutest.WithTiming(0, 0))
	defer server.Close()

	status, body, err := post(server, vidutest.APIKey)
	fmt.Println(status, err)
	fmt.Println(get(server, taskID(body)))
	fmt.Println(server.Charged())
	// Output:
	// 200 <nil>
	// success
	// 1
}

func ExampleInMemory() {
	server := vidutest.NewServer(vidutest.InMemory())
	defer server.Close()

	status, _, err := post(server, vidutest.APIKey)
	fmt.Println(server.URL, status, err)
	// Output: https://vidutest.invalid 200 <nil>
}

func ExampleWithAPIKey() {
	server := vidutest.NewServer(vidutest.WithAPIKey("another-key"))
	defer server.Close()

	status, _, _ := post(server, vidutest.APIKey)
	fmt.Println(status)
	status, _, _ = post(server, "another-key")
	fmt.Println(status)
	// Output:
	// 401
	// 200
}

func ExampleWithTiming() {
	server := vidutest.NewServer(vidutest.WithTiming(0, time.Hour))
	defer server.Close()

	_, body, _ := post(server, vidutest.APIKey)
	fmt.Println(get(server, taskID(body)))
	// Output: processing
}

func ExampleWithOfficialAPI() {
	server := vidutest.NewServer(vidutest.WithOfficialAPI())
	defer server.Close()

	body := `{"model":"viduq2","images":["https://example.com/hero.png"],"prompt":"She waves."}`
	status, body, err := official(server, http.MethodPost, "/ent/v2/reference2video", body)
	fmt.Println(status, err)
	id := taskID(body)
	status, body, err = official(server, http.MethodPost, "/ent/v2/tasks/"+id+"/cancel", `{"id":"`+id+`"}`)
	fmt.Println(status, body, err)
	// Output:
	// 200 <nil>
	// 200 {} <nil>
}

func ExampleWithEndpoint() {
	server := vidutest.NewServer(vidutest.WithEndpoint("lip-sync"))
	defer server.Close()

	status, body, _ := send(server, http.MethodPost, "/vidu/v2/lip-sync", "Bearer "+vidutest.APIKey, `{"video_url":"https://example.com/a.mp4"}`)
	fmt.Println(status, strings.Contains(body, `"type":"lip-sync"`))
	fmt.Println(server.Charged(), server.Requests()[0].Endpoint)
	// Output:
	// 200 true
	// 1 lip-sync
}

func ExampleServer_FailNext() {
	server := vidutest.NewServer()
	defer server.Close()
	server.FailNext(http.StatusTooManyRequests, "")
	server.FailNext(http.StatusBadGateway, "<html>Bad Gateway</html>")

	status, _, _ := post(server, vidutest.APIKey)
	fmt.Println(status)
	status, body, _ := post(server, vidutest.APIKey)
	fmt.Println(status, body)
	fmt.Println(server.Charged())
	// Output:
	// 429
	// 502 <html>Bad Gateway</html>
	// 0
}

// A status of 2xx replays an answer that was captured, at this or at any other gateway.
func ExampleServer_FailNext_replay() {
	server := vidutest.NewServer()
	defer server.Close()
	server.FailNext(http.StatusOK, `{"code":"success","data":{"task_id":"task_1"}}`)

	status, body, err := post(server, vidutest.APIKey)
	fmt.Println(status, body, err)
	fmt.Println(server.Charged())
	// Output:
	// 200 {"code":"success","data":{"task_id":"task_1"}} <nil>
	// 0
}

// Queries are answered as ever: the script waits for the next create.
func ExampleServer_AnswerNext() {
	server := vidutest.NewServer(vidutest.WithTiming(0, time.Hour))
	defer server.Close()
	_, body, _ := post(server, vidutest.APIKey)
	server.AnswerNext("POST /reference2video", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(http.StatusTooManyRequests)
	})

	fmt.Println(get(server, taskID(body)))
	for range 2 {
		status, body, _ := post(server, vidutest.APIKey)
		fmt.Println(status, len(body) > 0, server.Charged())
	}
	// Output:
	// processing
	// 429 false 1
	// 200 true 2
}

func ExampleServer_DropReplyAfterCommit() {
	server := vidutest.NewServer()
	defer server.Close()
	server.DropReplyAfterCommit()

	_, _, err := post(server, vidutest.APIKey)
	fmt.Println(errors.Is(err, io.EOF))
	fmt.Println(server.Charged()) // a client that tries again pays twice
	// Output:
	// true
	// 1
}

func ExampleServer_LateCommit() {
	server := vidutest.NewServer()
	defer server.Close()
	server.LateCommit(50 * time.Millisecond)

	_, _, err := post(server, vidutest.APIKey)
	fmt.Println(errors.Is(err, io.EOF))
	fmt.Println(server.Charged()) // as if it had never arrived
	for server.Charged() == 0 {
		runtime.Gosched()
	}
	fmt.Println(server.Charged())
	// Output:
	// true
	// 0
	// 1
}

func ExampleServer_DropMidBody() {
	server := vidutest.NewServer()
	defer server.Close()
	server.DropMidBody()

	status, _, err := post(server, vidutest.APIKey)
	fmt.Println(status, err)
	fmt.Println(server.Charged())
	// Output:
	// 200 unexpected EOF
	// 1
}

func ExampleServer_Delay() {
	server := vidutest.NewServer()
	defer server.Close()
	server.Delay(50 * time.Millisecond)

	start := time.Now()
	status, _, _ := post(server, vidutest.APIKey)
	fmt.Println(status, time.Since(start) >= 50*time.Millisecond)
	// Output: 200 true
}

func ExampleServer_FailTask() {
	server := vidutest.NewServer(vidutest.WithTiming(0, 0))
	defer server.Close()
	server.FailTask("ImageDownloadFailure")

	_, body, _ := post(server, vidutest.APIKey)
	fmt.Println(get(server, taskID(body)))
	// Output: failed ImageDownloadFailure
}

func ExampleServer_Charged() {
	server := vidutest.NewServer()
	defer server.Close()

	_, _, _ = post(server, "wrong key")
	fmt.Println(server.Charged())
	_, _, _ = post(server, vidutest.APIKey)
	fmt.Println(server.Charged())
	// Output:
	// 0
	// 1
}

func ExampleServer_Requests() {
	server := vidutest.NewServer()
	defer server.Close()

	_, _, _ = post(server, vidutest.APIKey)
	for _, r := range server.Requests() {
		fmt.Println(r.Method, r.Path, len(r.Body) == len(exampleBody), r.Complete, r.Status)
		fmt.Println(r.Header.Get("Authorization"))
	}
	// Output:
	// POST /vidu/v2/reference2video true true 200
	// [removed]
}

func ExampleServer_Downloads() {
	server := vidutest.NewServer(vidutest.WithTiming(0, 0))
	defer server.Close()
	link := videoLink(server)
	server.CutDownload(1000)

	n, err := downloadFrom(server, link, 0)
	fmt.Println(n, err)
	n, err = downloadFrom(server, link, n)
	fmt.Println(n, err)
	for _, r := range server.Downloads() {
		fmt.Println(r.Method, r.Header.Get("Range"), r.Status)
	}
	// Output:
	// 1000 unexpected EOF
	// 8096 <nil>
	// GET bytes=0- 206
	// GET bytes=1000- 206
}

func ExampleServer_CutDownload() {
	server := vidutest.NewServer(vidutest.WithTiming(0, 0))
	defer server.Close()
	server.CutDownload(1000)

	n, err := downloadFrom(server, videoLink(server), 0)
	fmt.Println(n, err)
	// Output: 1000 unexpected EOF
}

func ExampleServer_ReplaceVideo() {
	server := vidutest.NewServer(vidutest.WithTiming(0, 0))
	defer server.Close()
	link := videoLink(server)
	server.ReplaceVideo(1000)

	_, err := downloadFrom(server, link, 0)
	fmt.Println(err)
	n, err := downloadFrom(server, link, 1000) // the rest of another video: If-Range would have detected it
	fmt.Println(n, err)
	// Output:
	// unexpected EOF
	// 8096 <nil>
}

func ExampleServer_NewCallback() {
	server := vidutest.NewServer()
	defer server.Close()
	_, body, _ := post(server, vidutest.APIKey)

	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { // the one under test
		text, _ := io.ReadAll(r.Body)
		fmt.Println(r.Method, r.URL.Path, r.Header.Get("X-HMAC-ALGORITHM"), string(text))
	})
	forged := vidutest.Callback{
		TaskID: taskID(body),
		URL:    "https://example.com/hook",
		Body:   `{"id":"1","state":"success"}`,
	}
	for range 2 { // not a duplicate: the nonce differs
		r, err := server.NewCallback(context.Background(), forged)
		if err != nil {
			fmt.Println(err)
			return
		}
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	// Output:
	// POST /hook hmac-sha256 {"id":"1","state":"success"}
	// POST /hook hmac-sha256 {"id":"1","state":"success"}
}

func ExampleCallback() {
	server := vidutest.NewServer()
	defer server.Close()
	_, body, _ := post(server, vidutest.APIKey)

	genuine := vidutest.Callback{TaskID: taskID(body), URL: "https://example.com/hook"}
	early, stale, foreign := genuine, genuine, genuine
	early.State = "success" // long before it is one
	stale.Date = time.Date(2025, 5, 6, 12, 9, 42, 0, time.UTC)
	foreign.Key = "another-key"
	for _, callback := range []vidutest.Callback{early, stale, foreign} {
		r, err := server.NewCallback(context.Background(), callback)
		if err != nil {
			fmt.Println(err)
			return
		}
		var task struct {
			State string `json:"state"`
		}
		_ = json.NewDecoder(r.Body).Decode(&task)
		fmt.Println(task.State, r.Header.Get("Date") == "Tue, 06 May 2025 12:09:42 GMT")
	}
	// Output:
	// success false
	// created true
	// created false
}

func ExampleWithCallbacks() {
	states := make(chan string)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var task struct {
			State string `json:"state"`
		}
		_ = json.NewDecoder(r.Body).Decode(&task)
		states <- task.State
	}))
	defer hook.Close()
	server := vidutest.NewServer(vidutest.WithCallbacks(hook.Client()), vidutest.WithTiming(0, 50*time.Millisecond))
	defer server.Close()

	_, _, err := postBody(server, strings.Replace(exampleBody, "{", `{"callback_url":"`+hook.URL+`",`, 1))
	fmt.Println(err)
	fmt.Println(<-states)
	fmt.Println(<-states)
	// Output:
	// <nil>
	// processing
	// success
}

func ExampleWithListDelay() {
	server := vidutest.NewServer(vidutest.WithOfficialAPI(), vidutest.WithListDelay(time.Hour))
	defer server.Close()

	_, _, _ = official(server, http.MethodPost, "/ent/v2/reference2video", exampleBody)
	_, body, _ := official(server, http.MethodGet, "/ent/v2/tasks", "")
	fmt.Println(server.Charged(), body)
	// Output: 1 {"next_page_token":"","tasks":[]}
}

func ExampleWithTaskLimit() {
	server := vidutest.NewServer(vidutest.WithTaskLimit(1))
	defer server.Close()

	for range 2 {
		status, _, _ := post(server, vidutest.APIKey)
		fmt.Println(status)
	}
	// Output:
	// 200
	// 429
}

func ExampleWithRefusedWord() {
	server := vidutest.NewServer(vidutest.WithRefusedWord("astronaut", "TaskPromptPolicyViolation"))
	defer server.Close()

	status, _, _ := post(server, vidutest.APIKey)
	fmt.Println(status, server.Charged())
	// Output: 400 0
}

func ExampleWithFailingWord() {
	server := vidutest.NewServer(vidutest.WithTiming(0, 0), vidutest.WithFailingWord("astronaut", "CreationPolicyViolation"))
	defer server.Close()

	_, body, _ := post(server, vidutest.APIKey)
	fmt.Println(get(server, taskID(body)))
	// Output: failed CreationPolicyViolation
}

func ExampleWithLinkLifetime() {
	server := vidutest.NewServer(vidutest.WithTiming(0, 0), vidutest.WithLinkLifetime(0))
	defer server.Close()

	_, err := downloadFrom(server, videoLink(server), 0)
	fmt.Println(err)
	// Output: 403 Forbidden
}

func ExampleWithVideoSize() {
	server := vidutest.NewServer(vidutest.WithTiming(0, 0), vidutest.WithVideoSize(100<<20))
	defer server.Close()

	n, err := downloadFrom(server, videoLink(server), 0)
	fmt.Println(n, err)
	// Output: 104857600 <nil>
}

func ExampleWithoutRanges() {
	server := vidutest.NewServer(vidutest.WithTiming(0, 0), vidutest.WithoutRanges())
	defer server.Close()

	n, err := downloadFrom(server, videoLink(server), 1000)
	fmt.Println(n, err)
	// Output: 9096 <nil>
}

func ExampleWithoutContentLength() {
	server := vidutest.NewServer(vidutest.WithTiming(0, 0), vidutest.WithoutContentLength())
	defer server.Close()
	server.CutDownload(1000)

	n, err := downloadFrom(server, videoLink(server), 0)
	fmt.Println(n, err) // nothing shows that 8096 bytes are missing
	// Output: 1000 <nil>
}

func ExampleServer_Client() {
	server := vidutest.NewServer(vidutest.InMemory())
	defer server.Close()

	req, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, server.URL+"/vidu/v2/tasks/1/creations", http.NoBody)
	resp, err := server.Client().Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 401 Unauthorized
}

func ExampleServer_Transport() {
	server := vidutest.NewServer(vidutest.InMemory())
	defer server.Close()

	client := &http.Client{Transport: server.Transport(), Timeout: 10 * time.Second}
	req, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, server.URL+"/vidu/v2/tasks/1/creations", http.NoBody)
	resp, err := client.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 401 Unauthorized
}

func ExampleServer_ServeHTTP() {
	server := vidutest.NewServer(vidutest.InMemory())
	defer server.Close()

	logged := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, r.URL.Path)
		server.ServeHTTP(w, r)
	})
	outer := httptest.NewServer(logged)
	defer outer.Close()
	server.URL = outer.URL

	req, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, outer.URL+"/anything", http.NoBody)
	resp, err := outer.Client().Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output:
	// GET /anything
	// 404 Not Found
}

func ExampleServer_Close() {
	server := vidutest.NewServer()
	server.Close()

	_, _, err := post(server, vidutest.APIKey)
	fmt.Println(err != nil, server.Charged())
	// Output: true 0
}
