package vidutest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
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
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, server.URL+"/vidu/v2/reference2video", strings.NewReader(exampleBody))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	return fetch(server, req)
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
	req, _ := http.NewRequestWithContext(context.Background(), http.MethodPost, server.URL+"/ent/v2/reference2video", strings.NewReader(body))
	req.Header.Set("Authorization", "Token "+vidutest.APIKey)
	req.Header.Set("Content-Type", "application/json")
	status, _, err := fetch(server, req)
	fmt.Println(status, err)
	// Output: 200 <nil>
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
