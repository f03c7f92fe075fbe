package vidu_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// The floor is what a careful engineer writes by hand for the same work: net/http, encoding/json, typed structs, and
// none of this package's promises.

type floorRequest struct {
	Model             string   `json:"model"`
	Images            []string `json:"images"`
	Prompt            string   `json:"prompt"`
	Duration          int      `json:"duration"`
	Seed              int      `json:"seed"`
	Resolution        string   `json:"resolution"`
	MovementAmplitude string   `json:"movement_amplitude"`
	OffPeak           bool     `json:"off_peak"`
}

type floorTask struct {
	TaskID            string    `json:"task_id"`
	ID                string    `json:"id"`
	Type              string    `json:"type"`
	State             string    `json:"state"`
	Model             string    `json:"model"`
	Style             string    `json:"style"`
	Prompt            string    `json:"prompt"`
	Images            []string  `json:"images"`
	Duration          int       `json:"duration"`
	Seed              int       `json:"seed"`
	AspectRatio       string    `json:"aspect_ratio"`
	Resolution        string    `json:"resolution"`
	MovementAmplitude string    `json:"movement_amplitude"`
	CreatedAt         time.Time `json:"created_at"`
	Credits           int       `json:"credits"`
	Payload           string    `json:"payload"`
	Priority          int       `json:"cus_priority"`
	OffPeak           bool      `json:"off_peak"`
	Watermark         bool      `json:"watermark"`
	IsRec             bool      `json:"is_rec"`
	WMPosition        string    `json:"wm_position"`
	WMURL             string    `json:"wm_url"`
	MetaData          string    `json:"meta_data"`
	ErrCode           string    `json:"err_code"`
	Progress          float64   `json:"progress"`
	Creations         []struct {
		ID             string `json:"id"`
		URL            string `json:"url"`
		CoverURL       string `json:"cover_url"`
		WatermarkedURL string `json:"watermarked_url"`
	} `json:"creations"`
}

type floorClient struct {
	base, key string
	http      *http.Client
}

func (f *floorClient) do(ctx context.Context, method, path string, in, out any) error {
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
	req.Header.Set("Authorization", "Bearer "+f.key)
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

// canned is a transport in memory that drains the request and always gives the same answer.
func canned(answer []byte) testkit.RoundTrip {
	return func(r *http.Request) (*http.Response, error) {
		if r.Body != nil {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return nil, err
			}
			r.Body.Close()
		}
		return &http.Response{
			StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
			Body: io.NopCloser(bytes.NewReader(answer)), ContentLength: int64(len(answer)),
		}, nil
	}
}

var pollReply = []byte(`{"id":"885482446060003328","state":"processing","err_code":"","credits":55,"payload":"","bgm":false,"off_peak":false,"creations":[]}`)

const seedPrompt = "The astronaut waved and the camera moved up."

// smallCalls pairs each small call of ours with the floor's.
func smallCalls(tb testing.TB) map[string]struct{ ours, floor func() error } {
	tb.Helper()
	seedReply, err := os.ReadFile("testdata/contract-reply.json")
	require.NoError(tb, err)
	ctx := tb.Context()
	clients := func(answer []byte) (*vidu.Client, *floorClient) {
		httpClient := &http.Client{Transport: canned(answer)}
		client, err := vidu.NewClient("https://gateway.example.com", testkit.Key, vidu.WithHTTPClient(httpClient))
		require.NoError(tb, err)
		return client, &floorClient{base: "https://gateway.example.com/vidu/v2", key: testkit.Key, http: httpClient}
	}
	creating, floorCreating := clients(seedReply)
	polling, floorPolling := clients(pollReply)
	const link = "https://prod-ss-images.s3.cn-northwest-1.amazonaws.com.cn/vidu-maas/template/image2video.png"
	return map[string]struct{ ours, floor func() error }{
		"Reference2Video": {
			ours: func() error {
				_, err := creating.Reference2Video(ctx, &vidu.Reference2VideoRequest{
					Model: vidu.ModelQ2Pro, Images: []vidu.Media{vidu.URL(link)}, Prompt: seedPrompt,
					Duration: 5, Resolution: vidu.Resolution720p, MovementAmplitude: vidu.MovementAuto,
				})
				return err
			},
			floor: func() error {
				return floorCreating.do(ctx, http.MethodPost, "/reference2video", &floorRequest{
					Model: "viduq2-pro", Images: []string{link}, Prompt: seedPrompt,
					Duration: 5, Resolution: "720p", MovementAmplitude: "auto",
				}, new(floorTask))
			},
		},
		"GetTask": {
			ours: func() error {
				_, err := polling.GetTask(ctx, "885482446060003328")
				return err
			},
			floor: func() error {
				return floorPolling.do(ctx, http.MethodGet, "/tasks/885482446060003328/creations", nil, new(floorTask))
			},
		},
	}
}

// BenchmarkSmallCall compares with the floor: go test -bench SmallCall -benchmem -count 6.
func BenchmarkSmallCall(b *testing.B) {
	for name, call := range smallCalls(b) {
		for who, do := range map[string]func() error{"ours": call.ours, "floor": call.floor} {
			b.Run(name+"/"+who, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := do(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// TestSmallCallAllocations is the gate: allocations are exact, so no noise hides a change.
func TestSmallCallAllocations(t *testing.T) { //nolint:paralleltest // it measures what the whole process allocates
	if testkit.UnderRace() {
		t.Skip("the race detector empties pools")
	}
	most := map[string]struct{ count, size float64 }{ // of the floor's
		"Reference2Video": {0.86, 0.90},
		"GetTask":         {0.90, 0.95},
	}
	for name, call := range smallCalls(t) {
		ours, oursSize := perRun(func() { require.NoError(t, call.ours()) })
		floor, floorSize := perRun(func() { require.NoError(t, call.floor()) })
		t.Logf("%s: %.0f allocations, floor %.0f, ratio %.2f; %.0f bytes, floor %.0f, ratio %.2f",
			name, ours, floor, ours/floor, oursSize, floorSize, oursSize/floorSize)
		require.LessOrEqual(t, ours, most[name].count*floor, name)
		require.LessOrEqual(t, oursSize, most[name].size*floorSize, name)
	}
}

// perRun is what one run of f allocates: how often, and how many bytes.
func perRun(f func()) (count, size float64) {
	const runs = 200
	for range 1024 { // until the client remembers as many tasks as it ever does
		f()
	}
	size = float64(testkit.Allocations(func() {
		count = testing.AllocsPerRun(runs, f) // which runs it once more
	}))
	return count, size / (runs + 1)
}
