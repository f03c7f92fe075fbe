// Command quickstart makes one video, with the account that VIDU_BASE_URL and VIDU_API_KEY name or with a fake server.
package main

import (
	"context"
	"log"
	"os"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/vidutest"
)

func main() {
	client, err := vidu.NewClientFromEnv() // the official API needs vidu.WithOfficialAPI() here
	if os.Getenv("VIDU_BASE_URL") == "" {
		client, err = vidu.NewClient(vidutest.NewServer().URL, vidutest.APIKey) // no key, no network, no cost
	}
	if err == nil {
		err = makeVideo(context.Background(), client, vidu.NewMarker()+".mp4")
	}
	if err != nil {
		log.Fatal(err)
	}
}

func makeVideo(ctx context.Context, client *vidu.Client, path string) error {
	task, err := client.Reference2Video(ctx, &vidu.Reference2VideoRequest{
		Model: vidu.ModelQ2Pro, Payload: vidu.NewMarker(), // the payload is an id of your own, new for every create
		Images: []vidu.Media{vidu.URL("https://prod-ss-images.s3.cn-northwest-1.amazonaws.com.cn/vidu-maas/template/image2video.png")},
		Prompt: "The astronaut waved and the camera moved up.",
	})
	if err != nil {
		return err
	}
	log.Println("created task", task.ID, "for", path) // paid for: Wait and DownloadFile can go on from its id
	if task, err = client.Wait(ctx, task.ID); err == nil {
		_, err = client.DownloadFile(ctx, task, path)
	}
	return err
}
