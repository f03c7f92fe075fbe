package vidu_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing/fstest"
	"time"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/vidutest"
)

// fake starts a fake server whose tasks end at once, and a client for it.
func fake() (*vidutest.Server, *vidu.Client) {
	server := vidutest.NewServer(vidutest.WithTiming(0, 0))
	client, err := vidu.NewClient(server.URL, vidutest.APIKey)
	if err != nil {
		log.Fatal(err)
	}
	return server, client
}

// astronaut is a request that the fake server accepts.
func astronaut() *vidu.Reference2VideoRequest {
	return &vidu.Reference2VideoRequest{
		Model:  vidu.ModelQ2Pro,
		Images: []vidu.Media{vidu.URL("https://example.com/hero.png")},
		Prompt: "The astronaut waved and the camera moved up.",
	}
}

// The whole way from images to a file.
func Example() {
	server, client := fake()
	defer server.Close()
	dir, err := os.MkdirTemp("", "vidu")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	id, err := makeVideo(context.Background(), client, filepath.Join(dir, "hero.mp4"))
	fmt.Println(id != "", err)
	// Output: true <nil>
}

func makeVideo(ctx context.Context, client *vidu.Client, path string) (id string, err error) {
	task, err := client.Reference2Video(ctx, &vidu.Reference2VideoRequest{
		Model:   vidu.ModelQ2Pro,
		Images:  []vidu.Media{vidu.URL("https://example.com/hero.png")},
		Prompt:  "The astronaut waved and the camera moved up.",
		Payload: vidu.NewMarker(), // new for every create; stored before the call it finds the task if the answer is lost
	})
	if err != nil {
		return "", err
	}
	id = task.ID // paid for: keep it, and Wait and DownloadFile can go on from there at any time
	if task, err = client.Wait(ctx, id); err != nil {
		return id, err
	}
	_, err = client.DownloadFile(ctx, task, path)
	return id, err
}

func ExampleNewClient() {
	client, err := vidu.NewClient("https://gateway.example.com", os.Getenv("VIDU_API_KEY"))
	fmt.Println(client != nil, err)
	// Output: false vidu: API key: is empty
}

func ExampleNewClientFromEnv() {
	_, err := vidu.NewClientFromEnv(vidu.WithOfficialAPI())
	fmt.Println(err)
	// Output: vidu: the environment variable VIDU_BASE_URL is not set
}

func ExampleClient_Reference2Video() {
	server, client := fake()
	defer server.Close()

	task, err := client.Reference2Video(context.Background(), &vidu.Reference2VideoRequest{
		Model: vidu.ModelQ2Pro,
		Subjects: []vidu.Subject{
			{Name: "hero", Images: []vidu.Media{vidu.URL("https://example.com/front.png"), vidu.URL("https://example.com/side.png")}},
			{Name: "dog", Images: []vidu.Media{vidu.URL("https://example.com/dog.jpg")}},
		},
		Prompt:     "@hero walks @dog along the beach.",
		Duration:   8,
		Resolution: vidu.Resolution1080p,
		Audio:      new(false), // an explicit false, since the default varies by model
		Payload:    "order-4711",
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(task.State, task.Duration, task.Resolution, task.Payload)
	// Output: created 8 1080p order-4711
}

// A create whose outcome is unknown is not an error to try again after.
func ExampleMaybeCreatedError() {
	server, client := fake()
	defer server.Close()
	server.DropReplyAfterCommit() // the server takes the request, and the connection dies

	req := astronaut()
	req.Payload = "order-4711" // stored before the call
	_, err := client.Reference2Video(context.Background(), req)
	var maybe *vidu.MaybeCreatedError
	switch {
	case err == nil:
	case errors.As(err, &maybe):
		fmt.Println("a task may exist, its payload is", maybe.Payload)
	default:
		fmt.Println("nothing was created:", err)
	}
	fmt.Println("charged:", server.Charged())
	// Output:
	// a task may exist, its payload is order-4711
	// charged: 1
}

func ExampleAPIError() {
	server, client := fake()
	defer server.Close()
	server.FailNext(400, `{"code":400,"reason":"CreditInsufficient","message":"top up first","metadata":{"trace_id":"4bf92f35"}}`)

	_, err := client.Reference2Video(context.Background(), astronaut())
	fmt.Println(errors.Is(err, vidu.ErrCreditInsufficient), errors.Is(err, vidu.ErrMaybeCreated))
	if refusal, ok := errors.AsType[*vidu.APIError](err); ok {
		fmt.Println(refusal.StatusCode, refusal.Message, refusal.TraceID)
	}
	fmt.Println(err)
	// Output:
	// true false
	// 400 top up first 4bf92f35
	// vidu: POST /vidu/v2/reference2video: HTTP 400 CreditInsufficient: top up first (trace id 4bf92f35)
}

func ExampleTaskError() {
	server, client := fake()
	defer server.Close()
	server.FailTask("ImageDownloadFailure")

	ctx := context.Background()
	task, err := client.Reference2Video(ctx, astronaut())
	if err != nil {
		log.Fatal(err)
	}
	_, err = client.Wait(ctx, task.ID)
	fmt.Println(errors.Is(err, vidu.ErrImageDownloadFailure)) // not charged
	// Output: true
}

func ExampleValidationError() {
	err := (&vidu.Reference2VideoRequest{Model: vidu.ModelQ1, Duration: 8}).Validate()
	if invalid, ok := errors.AsType[*vidu.ValidationError](err); ok {
		for _, problem := range invalid.Problems {
			fmt.Printf("%s: %s\n", problem.Field, problem.Reason)
		}
	}
	// Output:
	// prompt: is required
	// images: at least one image or subject is required
	// duration: 8 s is not supported by viduq1 (5 s)
}

func ExampleErrorCode() {
	err := error(&vidu.APIError{StatusCode: 429, Code: "insufficient_quota"})
	fmt.Println(errors.Is(err, vidu.ErrCreditInsufficient)) // however a gateway calls it
	// Output: true
}

func ExampleErrorCode_Error() {
	fmt.Println(vidu.ErrQuotaExceeded.Error())
	// Output: QuotaExceeded
}

func ExampleErrorCode_Is() {
	fmt.Println(vidu.ErrorCode("insufficient_balance").Is(vidu.ErrCreditInsufficient))
	// Output: true
}

func ExampleClient_GetTask() {
	server, client := fake()
	defer server.Close()

	ctx := context.Background()
	created, err := client.Reference2Video(ctx, astronaut())
	if err != nil {
		log.Fatal(err)
	}
	task, err := client.GetTask(ctx, created.ID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(task.State, task.Credits, "credits")
	// Output: success 55 credits
}

func ExampleClient_Watch() {
	server := vidutest.NewServer(vidutest.WithTiming(150*time.Millisecond, 150*time.Millisecond))
	defer server.Close()
	client, err := vidu.NewClient(server.URL, vidutest.APIKey)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	created, err := client.Reference2Video(ctx, astronaut())
	if err != nil {
		log.Fatal(err)
	}
	var last vidu.State
	for task, err := range client.Watch(ctx, created.ID, vidu.WithPollInterval(100*time.Millisecond)) {
		if err != nil {
			log.Fatal(err)
		}
		last = task.State // created, queueing, processing …
	}
	fmt.Println(last)
	// Output: success
}

func ExampleClient_Wait() {
	server, client := fake()
	defer server.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	created, err := client.Reference2Video(ctx, astronaut())
	if err != nil {
		log.Fatal(err)
	}
	task, err := client.Wait(ctx, created.ID)
	var failed *vidu.TaskError
	switch {
	case err == nil:
		video, _ := task.Video()
		fmt.Println(video.Video.Duration, "s", video.Video.Width, "×", video.Video.Height)
	case errors.As(err, &failed):
		fmt.Println("no video, not charged:", failed.Task.ErrCode)
	case errors.Is(err, context.DeadlineExceeded):
		fmt.Println("still running; wait for it again by its id")
	}
	// Output: 2 s 320 × 180
}

// A program that keeps the time itself asks when the task is worth the next query.
func ExampleClient_PollDelay() {
	server, client := fake()
	defer server.Close()

	task := &vidu.Task{ID: "885482446060003328", State: vidu.StateProcessing, OffPeak: true}
	pause := client.PollDelay(task, 3*time.Hour)
	fmt.Println(pause > 5*time.Minute, pause <= 30*time.Minute)
	// Output: true true
}

func ExampleClient_Download() {
	server, client := fake()
	defer server.Close()

	ctx := context.Background()
	created, err := client.Reference2Video(ctx, astronaut())
	if err != nil {
		log.Fatal(err)
	}
	task, err := client.Wait(ctx, created.ID)
	if err != nil {
		log.Fatal(err)
	}
	n, err := client.Download(ctx, task, io.Discard)
	fmt.Println(n, err)
	// Output: 9096 <nil>
}

func ExampleClient_DownloadFile() {
	server, client := fake()
	defer server.Close()
	dir, err := os.MkdirTemp("", "vidu")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	ctx := context.Background()
	created, err := client.Reference2Video(ctx, astronaut())
	if err != nil {
		log.Fatal(err)
	}
	task, err := client.Wait(ctx, created.ID)
	if err != nil {
		log.Fatal(err)
	}
	_, err = client.DownloadFile(ctx, task, filepath.Join(dir, "hero.mp4"))
	fmt.Println(err)
	_, err = client.DownloadFile(ctx, task, filepath.Join(dir, "hero.mp4"))
	fmt.Println(errors.Is(err, os.ErrExist))
	// Output:
	// <nil>
	// true
}

func ExampleReference2VideoRequest_Validate() {
	req := astronaut()
	req.Images = append(req.Images, vidu.Bytes([]byte("not an image")))
	fmt.Println(req.Validate())
	// Output: vidu: invalid request: images[1]: is text/plain, not one of the image formats png, jpeg, webp
}

func ExampleReference2VideoRequest_MarshalJSON() {
	text, err := json.Marshal(astronaut())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(text))
	// Output: {"model":"viduq2-pro","prompt":"The astronaut waved and the camera moved up.","seed":0,"resolution":"720p","movement_amplitude":"auto","off_peak":false,"images":["https://example.com/hero.png"],"duration":5}
}

func ExampleReference2VideoRequest_UnmarshalJSON() {
	var req vidu.Reference2VideoRequest
	err := json.Unmarshal([]byte(`{"model":"viduq2-pro","images":["ssupload:?id=1"],"prompt":"A dance.","duration":0,"enhance":true}`), &req)
	fmt.Println(req.Images[0], req.Duration == vidu.AutoDuration, req.Extra, err)
	// Output: ssupload:?id=1 true map[enhance:true] <nil>
}

func ExampleMedia_String() {
	fmt.Println(vidu.URL("https://example.com/hero.png?signature=secret"))
	fmt.Println(vidu.File("villain.jpg"))
	// Output:
	// https://example.com/hero.png
	// villain.jpg
}

func ExampleTask_UnmarshalJSON() {
	var task vidu.Task
	err := json.Unmarshal([]byte(`{"task_id":885482446060003328,"state":"SUCCESS","credits":"15"}`), &task)
	fmt.Println(task.ID, task.State, task.Credits, err)
	// Output: 885482446060003328 success 15 <nil>
}

func ExampleTask_RawJSON() {
	var task vidu.Task
	if err := json.Unmarshal([]byte(`{"id":"1","state":"processing","usage":{"tokens":3}}`), &task); err != nil {
		log.Fatal(err)
	}
	var more struct{ Usage struct{ Tokens int } }
	err := json.Unmarshal(task.RawJSON(), &more)
	fmt.Println(more.Usage.Tokens, err)
	// Output: 3 <nil>
}

func ExampleTask_String() {
	fmt.Println(&vidu.Task{ID: "885482446060003328", State: vidu.StateProcessing, Progress: 40})
	fmt.Println(&vidu.Task{ID: "885482446060003329", State: vidu.StateFailed, ErrCode: vidu.ErrAuditSubmitIllegal})
	// Output:
	// task 885482446060003328, processing, 40 %
	// task 885482446060003329, failed: AuditSubmitIllegal
}

func ExampleTask_Done() {
	task := vidu.Task{State: vidu.StateFailed}
	fmt.Println(task.Done())
	// Output: true
}

func ExampleTask_Video() {
	task := vidu.Task{State: vidu.StateSuccess, Creations: []vidu.Creation{{URL: "https://cdn.example.com/v.mp4"}}}
	video, ok := task.Video()
	fmt.Println(video.URL, ok)
	// Output: https://cdn.example.com/v.mp4 true
}

func ExampleState_Terminal() {
	fmt.Println(vidu.StateProcessing.Terminal(), vidu.State("CANCELLED").Terminal(), vidu.State("unknown").Terminal())
	// Output: false true false
}

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

// picture is the smallest image that the API takes.
func picture() []byte {
	var file bytes.Buffer
	if err := png.Encode(&file, image.NewGray(image.Rect(0, 0, 128, 128))); err != nil {
		log.Fatal(err)
	}
	return file.Bytes()
}

// An image that is uploaded once serves any number of requests.
func ExampleClient_UploadImage() {
	server := vidutest.NewServer(vidutest.WithOfficialAPI(), vidutest.WithTiming(0, 0))
	defer server.Close()
	client, err := vidu.NewClient(server.URL, vidutest.APIKey, vidu.WithOfficialAPI())
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	hero, err := client.UploadImage(ctx, vidu.Bytes(picture()))
	if err != nil {
		log.Fatal(err)
	}
	req := astronaut()
	req.Images = []vidu.Media{hero}
	task, err := client.Reference2Video(ctx, req)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(task.State)
	// Output: created
}

func ExampleURL() {
	req := astronaut()
	req.Images = []vidu.Media{vidu.URL("https://example.com/hero.png"), vidu.URL("hero.png")}
	fmt.Println(req.Validate())
	// Output: vidu: invalid request: images[1]: must be an absolute http or https URL
}

func ExampleFile() {
	req := astronaut()
	req.Images = []vidu.Media{vidu.File("no such file.png")}
	fmt.Println(req.Validate())
	// Output: vidu: invalid request: images[0]: stat no such file.png: no such file or directory
}

// FS is for images that are embedded in the program, for example.
func ExampleFS() {
	files := fstest.MapFS{"hero.png": {Data: picture()}}
	req := astronaut()
	req.Images = []vidu.Media{vidu.FS(files, "hero.png")}
	fmt.Println(req.Validate())
	// Output: <nil>
}

func ExampleBytes() {
	req := astronaut()
	req.Images = []vidu.Media{vidu.Bytes(picture())}
	fmt.Println(req.Validate())
	// Output: <nil>
}

func ExampleDataURI() {
	req := astronaut()
	req.Images = []vidu.Media{vidu.DataURI("data:image/gif;base64,R0lGODlhAQABAAAAACw=")}
	fmt.Println(req.Validate())
	// Output: vidu: invalid request: images[0]: is image/gif, not one of the image formats png, jpeg, webp
}

// UploadRef is for references that were stored: UploadImage returns one.
func ExampleUploadRef() {
	fmt.Println(vidu.UploadRef("ssupload:?id=885482446060003328"))
	// Output: ssupload:?id=885482446060003328
}

func ExampleWithOfficialAPI() {
	client, err := vidu.NewClient(vidu.OfficialBaseURL, "the key", vidu.WithOfficialAPI())
	fmt.Println(client != nil, err)
	// Output: false vidu: API key: contains spaces or characters that a header cannot have
}

// Each attempt is a record. The key and the query are in none.
func ExampleWithLogger() {
	server := vidutest.NewServer(vidutest.WithTiming(0, 0))
	defer server.Close()
	handler := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			switch a.Key {
			case "time", "duration", "request_id", "path":
				return slog.Attr{} // not the same every time
			}
			return a
		},
	})
	client, err := vidu.NewClient(server.URL, vidutest.APIKey, vidu.WithLogger(slog.New(handler)),
		vidu.WithBackoff(func(int) time.Duration { return 0 }))
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	task, err := client.Reference2Video(ctx, astronaut())
	if err != nil {
		log.Fatal(err)
	}
	server.FailNext(http.StatusBadGateway, "")
	if _, err = client.GetTask(ctx, task.ID); err != nil {
		log.Fatal(err)
	}
	// Output:
	// level=DEBUG msg="vidu: request" method=POST status=200 attempt=1
	// level=DEBUG msg="vidu: request" method=GET status=502 attempt=1
	// level=DEBUG msg="vidu: request" method=GET status=200 attempt=2
}

// In production: one JSON line per attempt.
func ExampleWithLogger_json() {
	logger := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	client, err := vidu.NewClientFromEnv(vidu.WithLogger(logger))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(client)
}

// A wrapper sees every call of the API, beneath it creates keep their own transport.
func ExampleWithTransportWrapper() {
	server := vidutest.NewServer(vidutest.WithTiming(0, 0))
	defer server.Close()
	measured := &timing{}
	client, err := vidu.NewClient(server.URL, vidutest.APIKey,
		vidu.WithTransportWrapper(func(next http.RoundTripper) http.RoundTripper {
			measured.next = next
			return measured
		}))
	if err != nil {
		log.Fatal(err)
	}
	_, err = client.Reference2Video(context.Background(), astronaut())
	fmt.Println(measured.requests.Load(), measured.took.Load() > 0, err)
	// Output: 1 true <nil>
}

// timing is a RoundTripper that measures another.
type timing struct {
	next           http.RoundTripper
	requests, took atomic.Int64
}

func (t *timing) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	defer func() {
		t.requests.Add(1)
		t.took.Add(int64(time.Since(began)))
	}()
	return t.next.RoundTrip(r)
}

func ExampleWithMaxAttempts() {
	server := vidutest.NewServer()
	defer server.Close()
	client, err := vidu.NewClient(server.URL, vidutest.APIKey, vidu.WithMaxAttempts(1)) // no retries
	if err != nil {
		log.Fatal(err)
	}
	server.FailNext(http.StatusBadGateway, "")
	_, err = client.GetTask(context.Background(), "885482446060003328")
	if failure, ok := errors.AsType[*vidu.APIError](err); ok {
		fmt.Println(failure.StatusCode, len(server.Requests()))
	}
	// Output: 502 1
}

func ExampleWithProgress() {
	server := vidutest.NewServer(vidutest.WithTiming(0, 0))
	defer server.Close()
	client, err := vidu.NewClient(server.URL, vidutest.APIKey)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	task, err := client.Reference2Video(ctx, astronaut())
	if err != nil {
		log.Fatal(err)
	}
	_, err = client.Wait(ctx, task.ID, vidu.WithProgress(func(task *vidu.Task) { fmt.Println(task.State) }))
	fmt.Println(err)
	// Output:
	// success
	// <nil>
}

// Each task comes as it ends, and the one that fails does not end the others.
func ExampleClient_WaitAll() {
	server, client := fake()
	defer server.Close()
	server.FailTask("")
	server.FailTask("AuditFailed") // the second of three

	ctx := context.Background()
	var ids []string
	for range 3 {
		task, err := client.Reference2Video(ctx, astronaut())
		if err != nil {
			log.Fatal(err)
		}
		ids = append(ids, task.ID)
	}
	videos := 0
	for task, err := range client.WaitAll(ctx, ids) {
		var failed *vidu.TaskError
		switch {
		case err == nil:
			videos++ // download it
		case errors.As(err, &failed):
			fmt.Println("no video, not charged:", task.ErrCode)
		default:
			fmt.Println("wait again for", task.ID, "because", err)
		}
	}
	fmt.Println(videos, "videos")
	// Output:
	// no video, not charged: AuditFailed
	// 2 videos
}

// However many tasks there are, the server is asked at most five times a second.
func ExampleWithMaxPollRate() {
	server, client := fake()
	defer server.Close()

	ctx := context.Background()
	task, err := client.Reference2Video(ctx, astronaut())
	if err != nil {
		log.Fatal(err)
	}
	for task, err := range client.WaitAll(ctx, []string{task.ID}, vidu.WithMaxPollRate(5)) {
		fmt.Println(task.State, err)
	}
	// Output: success <nil>
}

func ExampleClient_Text2Video() {
	server, client := fake()
	defer server.Close()

	ctx := context.Background()
	task, err := client.Text2Video(ctx, &vidu.Text2VideoRequest{Model: vidu.ModelQ2, Prompt: "A paper boat sails down a gutter."})
	if err != nil {
		log.Fatal(err)
	}
	task, err = client.Wait(ctx, task.ID)
	fmt.Println(task.State, err)
	// Output: success <nil>
}

func ExampleClient_Img2Video() {
	server, client := fake()
	defer server.Close()

	ctx := context.Background()
	task, err := client.Img2Video(ctx, &vidu.Img2VideoRequest{
		Model:    vidu.ModelQ2Pro,
		Images:   []vidu.Media{vidu.URL("https://example.com/hero.png")},
		Duration: 8,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(task.Type, task.Duration, "s", task.Credits, "credits")
	// Output: img2video 8 s 88 credits
}

func ExampleClient_StartEnd2Video() {
	server, client := fake()
	defer server.Close()

	task, err := client.StartEnd2Video(context.Background(), &vidu.StartEnd2VideoRequest{
		Model:  vidu.ModelQ2Turbo,
		Images: []vidu.Media{vidu.URL("https://example.com/bud.png"), vidu.URL("https://example.com/flower.png")},
		Prompt: "The bud opens.",
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(task.State, len(task.Images), "images")
	// Output: created 2 images
}

// The vendor has more endpoints than this package has methods.
func ExampleClient_CreateTask() {
	server := vidutest.NewServer(vidutest.WithTiming(0, 0), vidutest.WithEndpoint("reference2image"))
	defer server.Close()
	client, err := vidu.NewClient(server.URL, vidutest.APIKey)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	task, err := client.CreateTask(ctx, "reference2image", map[string]any{
		"model":   "viduq2",
		"prompt":  "The hero on a horse.",
		"images":  []vidu.Media{vidu.URL("https://example.com/hero.png")},
		"payload": "order-4711",
	})
	if err != nil {
		log.Fatal(err)
	}
	task, err = client.Wait(ctx, task.ID)
	fmt.Println(task.State, task.Payload, err)
	// Output: success order-4711 <nil>
}

func ExampleText2VideoRequest_Validate() {
	fmt.Println((&vidu.Text2VideoRequest{Model: vidu.ModelQ1, Prompt: "A dance.", Duration: 8}).Validate())
	// Output: vidu: invalid request: duration: 8 s is not supported by viduq1 (5 s)
}

func ExampleText2VideoRequest_MarshalJSON() {
	text, err := json.MarshalIndent(vidu.Text2VideoRequest{Model: vidu.ModelQ1, Prompt: "A dance.", Style: vidu.StyleAnime}, "", " ")
	fmt.Println(string(text), err)
	// Output:
	// {
	//  "model": "viduq1",
	//  "prompt": "A dance.",
	//  "style": "anime",
	//  "seed": 0,
	//  "resolution": "1080p",
	//  "movement_amplitude": "auto",
	//  "off_peak": false,
	//  "duration": 5
	// } <nil>
}

func ExampleText2VideoRequest_UnmarshalJSON() {
	var req vidu.Text2VideoRequest
	err := json.Unmarshal([]byte(`{"model":"viduq2","prompt":"A dance.","aspect_ratio":"3:4","enhance":true}`), &req)
	fmt.Println(req.AspectRatio, req.Extra, err)
	// Output: 3:4 map[enhance:true] <nil>
}

func ExampleImg2VideoRequest_Validate() {
	hero := vidu.URL("https://example.com/hero.png")
	fmt.Println((&vidu.Img2VideoRequest{Model: vidu.ModelQ2Pro, Images: []vidu.Media{hero, hero}}).Validate())
	// Output: vidu: invalid request: images: has 2 items, exactly 1 is needed
}

func ExampleImg2VideoRequest_MarshalJSON() {
	text, err := json.Marshal(vidu.Img2VideoRequest{Model: vidu.Model20, Images: []vidu.Media{vidu.URL("https://example.com/hero.png")}})
	fmt.Println(string(text), err)
	// Output: {"model":"vidu2.0","seed":0,"resolution":"360p","movement_amplitude":"auto","off_peak":false,"images":["https://example.com/hero.png"],"duration":4} <nil>
}

func ExampleImg2VideoRequest_UnmarshalJSON() {
	var req vidu.Img2VideoRequest
	err := json.Unmarshal([]byte(`{"model":"viduq3-pro","images":["ssupload:?id=1"],"is_rec":true}`), &req)
	fmt.Println(req.Images[0], *req.IsRec, err)
	// Output: ssupload:?id=1 true <nil>
}

func ExampleStartEnd2VideoRequest_Validate() {
	frames := []vidu.Media{vidu.URL("https://example.com/bud.png"), vidu.URL("https://example.com/flower.png")}
	fmt.Println((&vidu.StartEnd2VideoRequest{Model: vidu.ModelQ2Pro, Images: frames, Duration: 9}).Validate())
	// Output: vidu: invalid request: duration: 9 s is not supported by viduq2-pro (1–8 s)
}

func ExampleStartEnd2VideoRequest_MarshalJSON() {
	text, err := json.Marshal(vidu.StartEnd2VideoRequest{
		Model:  vidu.ModelQ2Pro,
		Images: []vidu.Media{vidu.URL("https://example.com/bud.png"), vidu.URL("https://example.com/flower.png")},
	})
	fmt.Println(string(text), err)
	// Output: {"model":"viduq2-pro","seed":0,"resolution":"720p","movement_amplitude":"auto","off_peak":false,"images":["https://example.com/bud.png","https://example.com/flower.png"],"duration":5} <nil>
}

func ExampleStartEnd2VideoRequest_UnmarshalJSON() {
	var req vidu.StartEnd2VideoRequest
	err := json.Unmarshal([]byte(`{"model":"viduq2-pro","images":["https://example.com/bud.png","https://example.com/flower.png"]}`), &req)
	fmt.Println(len(req.Images), req.Images[1], err)
	// Output: 2 https://example.com/flower.png <nil>
}
