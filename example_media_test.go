package vidu_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"log"
	"testing/fstest"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/vidutest"
)

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
