package vidu_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/vidutest"
)

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

// outcomeCounter counts how calls end.
type outcomeCounter map[vidu.Outcome]int

func (c outcomeCounter) TraceCallStart(ctx context.Context, start vidu.CallStart) context.Context {
	fmt.Println("begin", start.Operation) //nolint:forbidigo // for the output of the Example
	return ctx
}

func (c outcomeCounter) TraceAttempt(_ context.Context, attempt vidu.Attempt) {
	fmt.Println("attempt", attempt.Number, attempt.StatusCode) //nolint:forbidigo // as above
}

func (c outcomeCounter) TraceCallEnd(_ context.Context, end vidu.CallEnd) { c[end.Outcome]++ }

func ExampleWithTracer() {
	server := vidutest.NewServer()
	defer server.Close()
	outcomes := outcomeCounter{}
	client, err := vidu.NewClient(server.URL, vidutest.APIKey, vidu.WithTracer(outcomes))
	if err != nil {
		log.Fatal(err)
	}
	server.FailNext(502, "")
	_, err = client.Reference2Video(context.Background(), astronaut())
	fmt.Println(errors.Is(err, vidu.ErrMaybeCreated), outcomes)
	// Output:
	// begin reference2video
	// attempt 1 502
	// true map[unknown:1]
}
