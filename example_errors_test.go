package vidu_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"

	"github.com/vidu-go/vidu"
)

func ExampleAPIError_Error() {
	err := &vidu.APIError{StatusCode: http.StatusTooManyRequests, Code: vidu.ErrQuotaExceeded, Message: "5 tasks are running"}
	fmt.Println(err)
	// Output: vidu: HTTP 429 QuotaExceeded: 5 tasks are running
}

func ExampleAPIError_Unwrap() {
	err := error(&vidu.APIError{StatusCode: http.StatusTooManyRequests, Code: vidu.ErrQuotaExceeded})
	fmt.Println(errors.Is(err, vidu.ErrQuotaExceeded), errors.Is(err, vidu.ErrTooManyRequests))
	// Output: true false
}

func ExampleTaskError_Error() {
	err := &vidu.TaskError{Task: &vidu.Task{ID: "885482446060003328", State: vidu.StateFailed, ErrCode: vidu.ErrImageDownloadFailure}}
	fmt.Println(err)
	// Output: vidu: task 885482446060003328 failed: ImageDownloadFailure
}

func ExampleTaskError_Unwrap() {
	err := error(&vidu.TaskError{Task: &vidu.Task{ID: "1", State: vidu.StateFailed, ErrCode: vidu.ErrAuditFailed}})
	fmt.Println(errors.Is(err, vidu.ErrAuditFailed))
	// Output: true
}

func ExampleValidationError_Error() {
	err := &vidu.ValidationError{Problems: []vidu.FieldProblem{
		{Field: "prompt", Reason: "is required"}, {Field: "images[1]", Reason: "is not base64"},
	}}
	fmt.Println(err)
	// Output: vidu: invalid request: prompt: is required; images[1]: is not base64
}

func ExampleMaybeCreatedError_Error() {
	err := &vidu.MaybeCreatedError{Payload: "order-4711", Err: io.ErrUnexpectedEOF}
	fmt.Println(err)
	// Output: vidu: a task may have been created and billed: unexpected EOF (payload "order-4711")
}

func ExampleMaybeCreatedError_Is() {
	err := fmt.Errorf("order 4711: %w", &vidu.MaybeCreatedError{Err: io.ErrUnexpectedEOF})
	fmt.Println(errors.Is(err, vidu.ErrMaybeCreated))
	// Output: true
}

func ExampleMaybeCreatedError_Unwrap() {
	err := error(&vidu.MaybeCreatedError{Err: context.DeadlineExceeded})
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output: true
}

func ExampleMedia_MarshalJSON() {
	queued, err := json.Marshal([]vidu.Media{vidu.URL("https://example.com/hero.png"), vidu.UploadRef("ssupload:?id=1")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(queued))
	// Output: ["https://example.com/hero.png","ssupload:?id=1"]
}

func ExampleMedia_UnmarshalJSON() {
	var media []vidu.Media
	if err := json.Unmarshal([]byte(`["https://example.com/hero.png","ssupload:?id=1"]`), &media); err != nil {
		log.Fatal(err)
	}
	fmt.Println(media)
	// Output: [https://example.com/hero.png ssupload:?id=1]
}

func ExampleMedia_GoString() {
	fmt.Printf("%#v\n", vidu.URL("https://example.com/hero.png?signature=secret"))
	// Output: vidu.Media(https://example.com/hero.png)
}
