//go:build linux

package vidu_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

const benchDownloadSize = 256 << 20

// BenchmarkDownload fetches 256 MB from a server in a process of its own. The floor is what one writes by hand: io.Copy
// into a file that is then synced. Each way writes to the disk ("file", which measures mostly that) and to nowhere
// ("null").
func BenchmarkDownload(b *testing.B) {
	serverURL := startDownloadServer(b)
	client, err := vidu.NewClient(serverURL, testkit.Key)
	require.NoError(b, err)
	transport := &http.Transport{DisableCompression: true}
	b.Cleanup(transport.CloseIdleConnections)
	floor := &http.Client{Transport: transport}
	task, path := finishedTask(serverURL+"/v?a"), filepath.Join(b.TempDir(), "v.mp4")
	for _, way := range []struct {
		name string
		do   func(ctx context.Context) (int64, error)
	}{
		{"file/floor", func(ctx context.Context) (int64, error) { return fetchByHand(ctx, floor, serverURL+"/v?a", path) }},
		{"file/ours", func(ctx context.Context) (int64, error) {
			return client.DownloadFile(ctx, task, path, vidu.WithOverwrite())
		}},
		{"null/floor", func(ctx context.Context) (int64, error) { return fetchByHand(ctx, floor, serverURL+"/v?a", "") }},
		{"null/ours", func(ctx context.Context) (int64, error) { return client.Download(ctx, task, plainWriter{}) }},
	} {
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(benchDownloadSize)
			began := cpuTime(b)
			for b.Loop() {
				n, err := way.do(b.Context())
				require.NoError(b, err)
				require.Equal(b, int64(benchDownloadSize), n)
			}
			b.ReportMetric(float64((cpuTime(b)-began).Milliseconds())/float64(b.N), "cpu-ms/op")
		})
	}
}

// plainWriter is nowhere, without io.Discard's ReadFrom.
type plainWriter struct{}

func (plainWriter) Write(p []byte) (int, error) { return len(p), nil }

// fetchByHand copies link into a file, or nowhere.
func fetchByHand(ctx context.Context, client *http.Client, link, path string) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, http.NoBody)
	if err != nil {
		return 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if path == "" {
		return io.Copy(plainWriter{}, resp.Body)
	}
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, err := io.Copy(f, resp.Body)
	if err != nil {
		return n, err
	}
	return n, f.Sync()
}

func startDownloadServer(b *testing.B) string {
	b.Helper()
	child := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^TestDownloadHelper$")
	child.Env = append(os.Environ(), "VIDU_TEST_DOWNLOAD_SERVER=1")
	stdin, err := child.StdinPipe()
	require.NoError(b, err)
	stdout, err := child.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, child.Start())
	b.Cleanup(func() {
		stdin.Close() // ends it
		child.Wait()  //nolint:errcheck // the end of the benchmark
	})
	serverURL, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(b, err)
	return strings.TrimSpace(serverURL)
}

// TestDownloadHelper is no test but the server of the benchmark.
func TestDownloadHelper(t *testing.T) { //nolint:paralleltest // alone in its process
	if os.Getenv("VIDU_TEST_DOWNLOAD_SERVER") == "" {
		t.Skip("for BenchmarkDownload")
	}
	piece := make([]byte, 1<<20)
	server := testkit.Serve(t, nil, func(_ *testkit.Server, conn net.Conn) {
		for r := bufio.NewReader(conn); ; {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: "+strconv.Itoa(benchDownloadSize)+"\r\n\r\n")
			for range benchDownloadSize / len(piece) {
				conn.Write(piece)
			}
		}
	})
	fmt.Fprintln(os.Stdout, server.URL)
	_, err := io.Copy(io.Discard, os.Stdin)
	require.NoError(t, err)
}

// TestDownloadAllocations is the gate: whatever the file's size, a download allocates one buffer and little more; and
// not even that where an earlier one has left its own, for buffers are shared.
func TestDownloadAllocations(t *testing.T) { //nolint:paralleltest // it counts for the whole process
	const size, times = 64 << 20, 12
	client := newClient(t, "https://gateway.example.com", withTransport(func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"video/mp4"}}, Request: r,
			Body: io.NopCloser(io.LimitReader(zeros{}, size)), ContentLength: size,
		}, nil
	}))
	task, path := finishedTask("https://h/v?a"), filepath.Join(t.TempDir(), "v.mp4")
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which would throw the buffers away
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))  // each processor keeps one for itself
	sum := int64(0)
	for i := range times {
		allocated := testkit.Allocations(func() {
			n, err := client.DownloadFile(t.Context(), task, path, vidu.WithOverwrite())
			require.NoError(t, err)
			require.Equal(t, int64(size), n)
		})
		assert.LessOrEqual(t, allocated, int64(256<<10))
		if i > 0 { // the first fills the pools
			sum += allocated
		}
	}
	average := sum / (times - 1)
	t.Logf("64 MiB: %d bytes allocated", average)
	limit := int64(16 << 10)
	if testkit.UnderRace() { // when sync.Pool drops a quarter of what it is given
		limit += 208 << 10
	}
	assert.LessOrEqual(t, average, limit)
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
