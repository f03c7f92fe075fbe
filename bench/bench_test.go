package main_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	bench "github.com/vidu-go/vidu/bench"
	"github.com/vidu-go/vidu/internal/schedule"
)

// The client and the floor as benchmarks of the testing package, for profiles and benchstat.

// runEach runs a benchmark for each contestant.
func runEach(b *testing.B, contestants []bench.Contestant, size int64) {
	b.Helper()
	for _, c := range contestants {
		b.Run(c.Name, func(b *testing.B) {
			b.ReportAllocs()
			if size > 0 {
				b.SetBytes(size)
			}
			require.NoError(b, c.Run(b.Context())) // connections are not what is compared
			tidy(b, c)
			began := cpuTime(b)
			for b.Loop() {
				if err := c.Run(b.Context()); err != nil {
					b.Fatal(err)
				}
				tidy(b, c)
			}
			b.ReportMetric(float64((cpuTime(b)-began).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	used, err := bench.CPUTime()
	require.NoError(b, err)
	return used
}

func tidy(b *testing.B, c bench.Contestant) {
	b.Helper()
	if c.After != nil {
		b.StopTimer()
		require.NoError(b, c.After())
		b.StartTimer()
	}
}

// startServer starts a server in a child process and returns the http.Client that the contestants share.
func startServer(b *testing.B) (serverURL string, httpClient *http.Client) {
	b.Helper()
	serverURL, stop, err := bench.StartServer(b.Context())
	require.NoError(b, err)
	httpClient = bench.Loopback()
	b.Cleanup(func() {
		httpClient.CloseIdleConnections()
		_ = stop() // the context has ended, and the process with it
	})
	return serverURL, httpClient
}

func BenchmarkCreate(b *testing.B) {
	contestants, err := bench.Creates()
	require.NoError(b, err)
	runEach(b, contestants, 0)
}

func BenchmarkPoll(b *testing.B) {
	contestants, err := bench.Polls()
	require.NoError(b, err)
	runEach(b, contestants, 0)
}

func BenchmarkVerifyCallback(b *testing.B) {
	contestants, err := bench.Verifications(b.Context())
	require.NoError(b, err)
	runEach(b, contestants, 0)
}

const pictureSize = 2 << 20

// BenchmarkCreateWithPictures sends seven files of 2 MB.
func BenchmarkCreateWithPictures(b *testing.B) {
	serverURL, httpClient := startServer(b)
	contestants, err := bench.PictureCreates(serverURL, b.TempDir(), pictureSize, httpClient)
	require.NoError(b, err)
	runEach(b, contestants, bench.Pictures*pictureSize)
}

// BenchmarkCreatesWithPicturesAtOnce reports by how much a process grows that sends 32 of them.
func BenchmarkCreatesWithPicturesAtOnce(b *testing.B) {
	serverURL, _ := startServer(b)
	dir := b.TempDir()
	for _, name := range bench.PeakNames() {
		b.Run(name, func(b *testing.B) {
			most := 0
			for b.Loop() {
				grown, err := bench.Peak(b.Context(), name, serverURL, dir, pictureSize, 32)
				require.NoError(b, err)
				most = max(most, grown)
			}
			b.ReportMetric(float64(most)/(1<<20), "RSS-MB")
		})
	}
}

const videoSize = 256 << 20

// BenchmarkDownload fetches 256 MB into a file that is synced, which measures mostly the disk.
func BenchmarkDownload(b *testing.B) {
	serverURL, httpClient := startServer(b)
	contestants, err := bench.Downloads(serverURL, filepath.Join(b.TempDir(), "video.mp4"), videoSize, httpClient)
	require.NoError(b, err)
	runEach(b, contestants, videoSize)
}

// BenchmarkDownloadToNowhere fetches the same into a writer that drops it.
func BenchmarkDownloadToNowhere(b *testing.B) {
	serverURL, httpClient := startServer(b)
	link := bench.VideoURL(serverURL, videoSize)
	client, err := vidu.NewClient(serverURL, "sentinel-key-0123456789", vidu.WithHTTPClient(httpClient))
	require.NoError(b, err)
	task := &vidu.Task{ID: "1", State: vidu.StateSuccess, Creations: []vidu.Creation{{URL: link}}}
	whole := func(n int64, err error) error {
		if n != videoSize {
			err = errors.Join(err, fmt.Errorf("%d bytes of %d", n, videoSize))
		}
		return err
	}
	runEach(b, []bench.Contestant{
		{Name: bench.Ours, Run: func(ctx context.Context) error { return whole(client.Download(ctx, task, nowhere{})) }},
		{Name: bench.Floor, Run: func(ctx context.Context) error { return whole(copyByHand(ctx, httpClient, link)) }},
	}, videoSize)
}

// nowhere is io.Discard without its ReadFrom.
type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

func copyByHand(ctx context.Context, httpClient *http.Client, link string) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, http.NoBody)
	if err != nil {
		return 0, err
	}
	resp, err := httpClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return io.Copy(nowhere{}, resp.Body)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// BenchmarkWaitAll polls a thousand tasks, each of which has ended. By hand they are polled one after the other; with a
// goroutine each, all call Wait.
func BenchmarkWaitAll(b *testing.B) {
	const reply = `{"id":"1","state":"success","creations":[{"id":"9","url":"https://h/x.mp4"}]}`
	transport := roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: http.StatusOK, Header: http.Header{}, Request: r,
			Body: io.NopCloser(strings.NewReader(reply)), ContentLength: int64(len(reply)),
		}, nil
	})
	client, err := vidu.NewClient("https://gateway.example.com", "sentinel-key-0123456789", vidu.WithHTTPClient(&http.Client{Transport: transport}))
	require.NoError(b, err)
	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = strconv.Itoa(885482446060000000 + i*7919) // 18 digits each, as the API's
	}
	runEach(b, []bench.Contestant{
		{Name: bench.Ours, Run: func(ctx context.Context) error {
			for _, err := range client.WaitAll(ctx, ids, vidu.WithMaxPollRate(1e9)) {
				if err != nil {
					return err
				}
			}
			return nil
		}},
		{Name: bench.Floor, Run: func(ctx context.Context) error {
			for _, id := range ids {
				if _, err := client.GetTask(ctx, id); err != nil {
					return err
				}
			}
			return nil
		}},
		{Name: "a goroutine each", Run: func(ctx context.Context) error {
			var waiting sync.WaitGroup
			failures := make([]error, len(ids))
			for i, id := range ids {
				waiting.Go(func() { _, failures[i] = client.Wait(ctx, id) })
			}
			waiting.Wait()
			return errors.Join(failures...)
		}},
	}, 0)
}

// BenchmarkSchedule measures what the schedule adds to a thousand polls of a learned class.
func BenchmarkSchedule(b *testing.B) {
	p := schedule.NewPacer(func() float64 { return 0.5 })
	begin := func() schedule.PollState {
		p.Remember(schedule.Sighting{ID: "1"}, false, "1")
		state, _ := p.Begin("1")
		return state
	}
	for range 300 {
		state := begin()
		state.NoteCallback(p.Now())
		p.Observe(&state, schedule.Sighting{Phase: schedule.Succeeded}, p.Now())
	}
	state := begin()
	b.ReportAllocs()
	for b.Loop() {
		for range 1000 {
			p.Observe(&state, schedule.Sighting{Phase: schedule.Processing}, p.Now())
			_ = p.Gap(&state)
		}
	}
}
