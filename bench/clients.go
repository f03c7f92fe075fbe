package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/vidu-go/vidu"
)

const (
	ours          = "vidu"
	ownTransports = "vidu, its own transports"
	floor         = "by hand"
)

// entry is a contestant before it has dialled, with its calls for the report.
type entry struct {
	name    string
	module  string // "": not a peer
	creates string
	polls   string
	dial    func(base string, httpClient *http.Client) (*client, error) // nil: with its own default
}

// entries returns all contestants: vidu, the floor, and the peers by name.
func entries() []entry {
	peers := slices.Concat(httpPeers, sdkPeers)
	slices.SortFunc(peers, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return append([]entry{
		{ours, "", "`Client.Reference2Video`", "`Client.GetTask`", dialVidu},
		{floor, "", "`json.Marshal`, `http.Client.Do`, `json.Unmarshal`", "`http.Client.Do`, `json.Unmarshal`", dialFloor},
	}, peers...)
}

func entryOf(name string) (entry, error) {
	if name == ownTransports {
		return entry{name: ownTransports, dial: func(base string, _ *http.Client) (*client, error) { return dialVidu(base, nil) }}, nil
	}
	all := entries()
	i := slices.IndexFunc(all, func(e entry) bool { return e.name == name })
	if i < 0 {
		return entry{}, fmt.Errorf("unknown contestant %q", name)
	}
	return all[i], nil
}

func newVidu(base string, httpClient *http.Client, opts ...vidu.Option) (*vidu.Client, error) {
	if httpClient != nil {
		opts = append(opts, vidu.WithHTTPClient(httpClient))
	}
	return vidu.NewClient(base, dummyKey, opts...)
}

func dialVidu(base string, httpClient *http.Client) (*client, error) {
	c, err := newVidu(base, httpClient)
	if err != nil {
		return nil, err
	}
	return &client{
		create: func(ctx context.Context, o order) (string, error) {
			images := make([]vidu.Media, 0, max(1, len(o.files)))
			for _, path := range o.files {
				images = append(images, vidu.File(path))
			}
			if len(images) == 0 {
				images = append(images, vidu.URL(o.link))
			}
			created, err := c.Reference2Video(ctx, &vidu.Reference2VideoRequest{
				Model: vidu.ModelQ2Pro, Images: images, Prompt: prompt,
				Duration: 5, Resolution: vidu.Resolution720p, MovementAmplitude: vidu.MovementAuto,
			})
			if err != nil {
				return "", err
			}
			return created.ID, nil
		},
		poll: func(ctx context.Context, id string) (string, error) {
			seen, err := c.GetTask(ctx, id)
			if err != nil {
				return "", err
			}
			return seen.ID, nil
		},
	}, nil
}

// byHand is the floor: careful code for the two calls, with none of vidu's promises.
type byHand struct {
	base string
	http *http.Client
}

func dialFloor(base string, httpClient *http.Client) (*client, error) {
	if httpClient == nil {
		httpClient = &http.Client{}
	}
	f := &byHand{base + "/vidu/v2", httpClient}
	return &client{
		create: func(ctx context.Context, o order) (string, error) {
			in, err := o.request()
			if err != nil {
				return "", err
			}
			var out task
			err = f.do(ctx, http.MethodPost, "/reference2video", in, &out)
			return out.TaskID, err
		},
		poll: func(ctx context.Context, id string) (string, error) {
			var out task
			err := f.do(ctx, http.MethodGet, "/tasks/"+id+"/creations", nil, &out)
			return out.ID, err
		},
	}, nil
}

func (f *byHand) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, f.base+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+dummyKey)
	req.Header.Set("Content-Type", "application/json")
	resp, err := f.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("HTTP %d: %s", resp.StatusCode, text)
	}
	return json.Unmarshal(text, out)
}
