package main

import (
	"context"

	"github.com/vidu-go/vidu"
)

// settings are the flags that go into a request.
type settings struct {
	images     []vidu.Media
	prompt     string
	model      vidu.Model
	duration   int
	resolution vidu.Resolution
	seed       int
	offPeak    bool
	payload    string
}

// endpoint is one way to make a video.
type endpoint struct {
	model  vidu.Model // the default
	images int        // how many times the sample image is sent by default; 0: the endpoint takes no images
	create func(context.Context, *vidu.Client, *settings) (*vidu.Task, error)
}

var endpoints = map[string]endpoint{
	"reference2video": {vidu.ModelQ2Pro, 1, func(ctx context.Context, client *vidu.Client, s *settings) (*vidu.Task, error) {
		return client.Reference2Video(ctx, &vidu.Reference2VideoRequest{
			Model: s.model, Images: s.images, Prompt: s.prompt, Duration: s.duration, Resolution: s.resolution, Seed: s.seed,
			OffPeak: s.offPeak, Payload: s.payload,
		})
	}},
	"text2video": {vidu.ModelQ2, 0, func(ctx context.Context, client *vidu.Client, s *settings) (*vidu.Task, error) {
		return client.Text2Video(ctx, &vidu.Text2VideoRequest{
			Model: s.model, Prompt: s.prompt, Duration: s.duration, Resolution: s.resolution, Seed: s.seed, OffPeak: s.offPeak,
			Payload: s.payload,
		})
	}},
	"img2video": {vidu.ModelQ2Pro, 1, func(ctx context.Context, client *vidu.Client, s *settings) (*vidu.Task, error) {
		return client.Img2Video(ctx, &vidu.Img2VideoRequest{
			Model: s.model, Images: s.images, Prompt: s.prompt, Duration: s.duration, Resolution: s.resolution, Seed: s.seed,
			OffPeak: s.offPeak, Payload: s.payload,
		})
	}},
	"start-end2video": {vidu.ModelQ2Pro, 2, func(ctx context.Context, client *vidu.Client, s *settings) (*vidu.Task, error) {
		return client.StartEnd2Video(ctx, &vidu.StartEnd2VideoRequest{
			Model: s.model, Images: s.images, Prompt: s.prompt, Duration: s.duration, Resolution: s.resolution, Seed: s.seed,
			OffPeak: s.offPeak, Payload: s.payload,
		})
	}},
}
