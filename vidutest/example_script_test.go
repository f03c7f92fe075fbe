package vidutest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vidu-go/vidu/vidutest"
)

// printTB stands for the *testing.T of a test, and prints what fails it.
type printTB struct {
	testing.TB
	end func() // of the test
}

func (*printTB) Helper()            {}
func (*printTB) Failed() bool       { return false }
func (*printTB) Skipped() bool      { return false }
func (t *printTB) Cleanup(f func()) { t.end = f }

func (*printTB) Errorf(format string, args ...any) {
	text, _, _ := strings.Cut(fmt.Sprintf(format, args...), " of ") // and the line that queued it
	fmt.Println(text)                                               //nolint:forbidigo // for the output of an Example
}

func ExampleNew() {
	t := &printTB{} // a test has a *testing.T
	server := vidutest.New(t)
	server.FailNext(http.StatusTooManyRequests, "")
	server.FailNext(http.StatusBadGateway, "")

	status, _, _ := post(server, vidutest.APIKey) // and never again
	fmt.Println(status)
	t.end()
	// Output:
	// 429
	// vidutest: nothing used the script FailNext(502)
}

func ExampleServer_Pending() {
	server := vidutest.NewServer()
	defer server.Close()
	server.DropReplyAfterCommit()
	server.FailTask("AuditFailed")

	fmt.Println(server.Pending())
	_, _, _ = post(server, vidutest.APIKey)
	fmt.Println(len(server.Pending()))
	// Output:
	// [DropReplyAfterCommit() FailTask("AuditFailed")]
	// 0
}

// One of several creates loses its answer, in whatever order they come.
func ExampleServer_When() {
	server := vidutest.NewServer()
	defer server.Close()
	server.When(func(r vidutest.Request) bool { return r.Payload == "job-2" }).DropReplyAfterCommit()

	for _, payload := range []string{"job-1", "job-2", "job-3"} {
		_, _, err := postBody(server, strings.Replace(exampleBody, "{", `{"payload":"`+payload+`",`, 1))
		fmt.Println(payload, err == nil)
	}
	fmt.Println(server.Charged())
	// Output:
	// job-1 true
	// job-2 false
	// job-3 true
	// 3
}

func ExampleServer_Tasks() {
	server := vidutest.NewServer(vidutest.WithTiming(0, 0))
	defer server.Close()
	server.FailTask("AuditFailed")

	for _, payload := range []string{"job-1", "job-2"} {
		_, _, _ = postBody(server, strings.Replace(exampleBody, "{", `{"payload":"`+payload+`",`, 1))
	}
	for _, task := range server.Tasks() {
		fmt.Println(task.Endpoint, task.Payload, task.State, task.ErrCode, task.Credits)
	}
	// Output:
	// reference2video job-1 failed AuditFailed 0
	// reference2video job-2 success  55
}

func ExampleServer_Hold() {
	server := vidutest.NewServer(vidutest.WithTiming(0, 0))
	defer server.Close()
	server.Hold()

	_, body, _ := post(server, vidutest.APIKey)
	fmt.Println(get(server, taskID(body)))
	server.Finish(taskID(body))
	fmt.Println(get(server, taskID(body)))
	// Output:
	// processing
	// success
}

func ExampleServer_Finish() {
	server := vidutest.NewServer(vidutest.WithTiming(0, 48*time.Hour))
	defer server.Close()

	_, body, _ := post(server, vidutest.APIKey)
	server.Finish(taskID(body))
	fmt.Println(get(server, taskID(body)))
	// Output: success
}

func ExampleServer_Fail() {
	server := vidutest.NewServer()
	defer server.Close()

	_, body, _ := post(server, vidutest.APIKey)
	server.Fail(taskID(body), "CreationPolicyViolation")
	fmt.Println(get(server, taskID(body)))
	// Output: failed CreationPolicyViolation
}

func ExampleWithUnknownFields() {
	body := strings.Replace(exampleBody, "{", `{"enhance":true,`, 1)
	for _, option := range []vidutest.Option{nil, vidutest.WithUnknownFields()} {
		server := vidutest.NewServer(option)
		status, _, _ := postBody(server, body)
		fmt.Println(status, server.Charged())
		server.Close()
	}
	// Output:
	// 400 0
	// 200 1
}

func ExampleWithAPIPath() {
	server := vidutest.NewServer(vidutest.WithAPIPath("/vidu/ent/v2"))
	defer server.Close()

	status, _, _ := send(server, http.MethodPost, "/vidu/ent/v2/reference2video", "Bearer "+vidutest.APIKey, exampleBody)
	fmt.Println(status)
	// Output: 200
}

func ExampleWithPublicURL() {
	server := vidutest.NewServer(vidutest.WithTiming(0, 0), vidutest.WithPublicURL("https://vidu.example"))
	defer server.Close()

	base, _, _ := strings.Cut(videoLink(server), "/media/")
	fmt.Println(base)
	// Output: https://vidu.example
}
