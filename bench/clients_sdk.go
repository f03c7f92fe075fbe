package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"net/http"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/google/go-github/v90/github"
	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/openai/openai-go/v3"
	openaioption "github.com/openai/openai-go/v3/option"
	"github.com/replicate/replicate-go"
	goopenai "github.com/sashabaranov/go-openai"
)

// sdkPeers are clients for one API. Most have a call for any path and type, which is used with the floor's types; the
// other two make their nearest call, with a reply of the same length.
var sdkPeers = []entry{
	{"openai-go", "github.com/openai/openai-go/v3", "`Client.Post`", "`Client.Get`", dialOpenAI},
	{"anthropic-sdk-go", "github.com/anthropics/anthropic-sdk-go", "`Client.Post`", "`Client.Get`", dialAnthropic},
	{"replicate-go", "github.com/replicate/replicate-go", "`CreatePrediction`", "`GetPrediction`", dialReplicate},
	{
		"sashabaranov/go-openai", "github.com/sashabaranov/go-openai",
		"`CreateChatCompletion` with image parts", "`RetrieveRun`", dialGoOpenAI,
	},
	{"go-github", "github.com/google/go-github/v90", "`NewRequest`, `Do`", "`NewRequest`, `Do`", dialGitHub},
	{"hcloud-go", "github.com/hetznercloud/hcloud-go/v2", "`json.Marshal`, `NewRequest`, `Do`", "`NewRequest`, `Do`", dialHCloud},
}

func dialOpenAI(base string, httpClient *http.Client) (*client, error) {
	opts := []openaioption.RequestOption{
		openaioption.WithBaseURL(base + "/vidu/v2/"), openaioption.WithAPIKey(dummyKey),
	}
	if httpClient != nil {
		opts = append(opts, openaioption.WithHTTPClient(httpClient))
	}
	c := openai.NewClient(opts...)
	return &client{
		create: func(ctx context.Context, o order) (string, error) {
			in, err := o.request()
			if err != nil {
				return "", err
			}
			var out task
			err = c.Post(ctx, "reference2video", in, &out)
			return out.TaskID, err
		},
		poll: func(ctx context.Context, id string) (string, error) {
			var out task
			err := c.Get(ctx, "tasks/"+id+"/creations", nil, &out)
			return out.ID, err
		},
	}, nil
}

func dialAnthropic(base string, httpClient *http.Client) (*client, error) {
	opts := []anthropicoption.RequestOption{
		anthropicoption.WithoutEnvironmentDefaults(), anthropicoption.WithBaseURL(base + "/vidu/v2/"), anthropicoption.WithAuthToken(dummyKey),
	}
	if httpClient != nil {
		opts = append(opts, anthropicoption.WithHTTPClient(httpClient))
	}
	c := anthropic.NewClient(opts...)
	return &client{
		create: func(ctx context.Context, o order) (string, error) {
			in, err := o.request()
			if err != nil {
				return "", err
			}
			var out task
			err = c.Post(ctx, "reference2video", in, &out)
			return out.TaskID, err
		},
		poll: func(ctx context.Context, id string) (string, error) {
			var out task
			err := c.Get(ctx, "tasks/"+id+"/creations", nil, &out)
			return out.ID, err
		},
	}, nil
}

func newReplicate(base string, httpClient *http.Client) (*replicate.Client, error) {
	opts := []replicate.ClientOption{replicate.WithToken(dummyKey), replicate.WithBaseURL(base)}
	if httpClient != nil {
		opts = append(opts, replicate.WithHTTPClient(httpClient))
	}
	return replicate.NewClient(opts...)
}

func dialReplicate(base string, httpClient *http.Client) (*client, error) {
	c, err := newReplicate(base, httpClient)
	if err != nil {
		return nil, err
	}
	return &client{
		create: func(ctx context.Context, o order) (string, error) {
			images, err := o.images()
			if err != nil {
				return "", err
			}
			created, err := c.CreatePrediction(ctx, model, replicate.PredictionInput{
				"images": images, "prompt": prompt, "duration": 5, "seed": 0,
				"resolution": "720p", "movement_amplitude": "auto", "off_peak": false,
			}, nil, false)
			if err != nil {
				return "", err
			}
			return created.ID, nil
		},
		poll: func(ctx context.Context, id string) (string, error) {
			seen, err := c.GetPrediction(ctx, id)
			if err != nil {
				return "", err
			}
			return seen.ID, nil
		},
	}, nil
}

func dialGoOpenAI(base string, httpClient *http.Client) (*client, error) {
	config := goopenai.DefaultConfig(dummyKey)
	config.BaseURL = base
	if httpClient != nil {
		config.HTTPClient = httpClient
	}
	c := goopenai.NewClientWithConfig(config)
	return &client{
		create: func(ctx context.Context, o order) (string, error) {
			images, err := o.images()
			if err != nil {
				return "", err
			}
			parts := []goopenai.ChatMessagePart{{Type: goopenai.ChatMessagePartTypeText, Text: prompt}}
			for _, link := range images {
				parts = append(parts, goopenai.ChatMessagePart{
					Type: goopenai.ChatMessagePartTypeImageURL, ImageURL: &goopenai.ChatMessageImageURL{URL: link},
				})
			}
			created, err := c.CreateChatCompletion(ctx, goopenai.ChatCompletionRequest{
				Model: model, Messages: []goopenai.ChatCompletionMessage{{Role: goopenai.ChatMessageRoleUser, MultiContent: parts}},
			})
			return created.ID, err
		},
		poll: func(ctx context.Context, id string) (string, error) {
			seen, err := c.RetrieveRun(ctx, "thread", id)
			return seen.ID, err
		},
	}, nil
}

func dialGitHub(base string, httpClient *http.Client) (*client, error) {
	base += "/vidu/v2/"
	c, err := github.NewClient(github.WithHTTPClient(cmp.Or(httpClient, &http.Client{})), github.WithAuthToken(dummyKey), github.WithURLs(&base, nil))
	if err != nil {
		return nil, err
	}
	return &client{
		create: func(ctx context.Context, o order) (string, error) {
			in, err := o.request()
			if err != nil {
				return "", err
			}
			r, err := c.NewRequest(ctx, http.MethodPost, "reference2video", in)
			if err != nil {
				return "", err
			}
			var out task
			_, err = c.Do(r, &out)
			return out.TaskID, err
		},
		poll: func(ctx context.Context, id string) (string, error) {
			r, err := c.NewRequest(ctx, http.MethodGet, "tasks/"+id+"/creations", nil)
			if err != nil {
				return "", err
			}
			var out task
			_, err = c.Do(r, &out)
			return out.ID, err
		},
	}, nil
}

func newHCloud(base string, httpClient *http.Client, opts ...hcloud.ClientOption) *hcloud.Client {
	opts = append(opts, hcloud.WithToken(dummyKey), hcloud.WithEndpoint(base))
	if httpClient != nil {
		opts = append(opts, hcloud.WithHTTPClient(httpClient))
	}
	return hcloud.NewClient(opts...)
}

func dialHCloud(base string, httpClient *http.Client) (*client, error) {
	c := newHCloud(base+"/vidu/v2", httpClient)
	return &client{
		create: func(ctx context.Context, o order) (string, error) {
			in, err := o.request()
			if err != nil {
				return "", err
			}
			text, err := json.Marshal(in)
			if err != nil {
				return "", err
			}
			r, err := c.NewRequest(ctx, http.MethodPost, "/reference2video", bytes.NewReader(text))
			if err != nil {
				return "", err
			}
			var out task
			_, err = c.Do(r, &out)
			return out.TaskID, err
		},
		poll: func(ctx context.Context, id string) (string, error) {
			r, err := c.NewRequest(ctx, http.MethodGet, "/tasks/"+id+"/creations", nil)
			if err != nil {
				return "", err
			}
			var out task
			_, err = c.Do(r, &out)
			return out.ID, err
		},
	}, nil
}
