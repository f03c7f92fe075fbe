//go:build linux

package vidu_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/internal/testkit"
)

// The benchmarks of big requests: seven files of 2 MB from disk to a server in a process of its own. The floor is what
// one writes by hand, with everything in memory.
const (
	bigFiles    = 7
	bigFileSize = 2 << 20
	bigAtOnce   = 32
)

// bigSenders make a function that sends the files in dir to a server.
var bigSenders = map[string]func(tb testing.TB, serverURL, dir string) func(context.Context) error{
	"floor": func(_ testing.TB, serverURL, dir string) func(context.Context) error {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		return func(ctx context.Context) error { return sendByHand(ctx, client, serverURL, dir) }
	},
	"client": func(tb testing.TB, serverURL, dir string) func(context.Context) error {
		tb.Helper()
		client, err := vidu.NewClient(serverURL, "sentinel-key-0123456789")
		require.NoError(tb, err)
		return func(ctx context.Context) error {
			_, err := client.Reference2Video(ctx, bigRequestFrom(dir, bigFiles, 0))
			return err
		}
	},
}

func sendByHand(ctx context.Context, client *http.Client, serverURL, dir string) error {
	plain := plainRequest{Model: "m", Prompt: "p", MovementAmplitude: "auto"}
	for i := range bigFiles {
		picture, err := os.ReadFile(filepath.Join(dir, strconv.Itoa(i)))
		if err != nil {
			return err
		}
		plain.Images = append(plain.Images, testkit.DataURI("image/png", picture))
	}
	text, err := json.Marshal(plain)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, serverURL+createPath, bytes.NewReader(text))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var task vidu.Task
	return json.NewDecoder(resp.Body).Decode(&task)
}

func BenchmarkBigRequest(b *testing.B) {
	dir := b.TempDir()
	bigBody(b, dir, bigFiles, bigFileSize)
	serverURL := startServer(b)
	for way, sender := range bigSenders {
		b.Run(way, func(b *testing.B) {
			send := sender(b, serverURL, dir)
			b.ReportAllocs()
			b.SetBytes(bigFiles * bigFileSize)
			began := cpuTime(b)
			for b.Loop() {
				require.NoError(b, send(b.Context()))
			}
			b.ReportMetric(float64((cpuTime(b)-began).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// BenchmarkBigRequestsAtOnce runs each way in a process of its own and reports by how much it grew at its peak.
func BenchmarkBigRequestsAtOnce(b *testing.B) {
	dir := b.TempDir()
	bigBody(b, dir, bigFiles, bigFileSize)
	serverURL := startServer(b)
	for way := range bigSenders {
		b.Run(way, func(b *testing.B) {
			var grown int64
			for b.Loop() {
				child := helper(b, way, serverURL, dir)
				out, err := child.Output()
				require.NoError(b, err, string(out))
				line, _, _ := strings.Cut(string(out), "\n")
				n, err := strconv.ParseInt(line, 10, 64)
				require.NoError(b, err)
				grown = max(grown, n)
			}
			b.ReportMetric(float64(grown)/1024, "RSS-MB")
		})
	}
}

func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var usage syscall.Rusage
	require.NoError(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// helper is this test binary as another process, in which [TestHelper] does what the arguments say.
func helper(tb testing.TB, args ...string) *exec.Cmd {
	tb.Helper()
	child := exec.CommandContext(tb.Context(), os.Args[0], "-test.run=^TestHelper$")
	child.Env = append(os.Environ(), "VIDU_TEST_HELPER="+strings.Join(args, " "))
	child.Stderr = os.Stderr
	return child
}

func startServer(tb testing.TB) string {
	tb.Helper()
	child := helper(tb, "server")
	stdin, err := child.StdinPipe()
	require.NoError(tb, err)
	stdout, err := child.StdoutPipe()
	require.NoError(tb, err)
	require.NoError(tb, child.Start())
	tb.Cleanup(func() {
		stdin.Close() // ends it
		child.Wait()  //nolint:errcheck // the end of the benchmark
	})
	serverURL, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(tb, err)
	return strings.TrimSpace(serverURL)
}

// TestHelper is no test but the other process of the benchmarks.
func TestHelper(t *testing.T) { //nolint:paralleltest // alone in its process
	switch args := strings.Fields(os.Getenv("VIDU_TEST_HELPER")); {
	case len(args) == 1:
		serveUntilStdinEnds(t)
	case len(args) == 3:
		send := bigSenders[args[0]](t, args[1], args[2])
		idle := memory(t, "VmRSS")
		var sending sync.WaitGroup
		for range bigAtOnce {
			sending.Go(func() { assert.NoError(t, send(t.Context())) })
		}
		sending.Wait()
		fmt.Fprintln(os.Stdout, memory(t, "VmHWM")-idle)
	default:
		t.Skip("for the benchmarks")
	}
}

func serveUntilStdinEnds(t *testing.T) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		io.WriteString(w, `{"task_id":"1","state":"created"}`)
	}))
	defer server.Close()
	fmt.Fprintln(os.Stdout, server.URL)
	_, err := io.Copy(io.Discard, os.Stdin)
	require.NoError(t, err)
}

// memory reads one figure of this process, in kB.
func memory(tb testing.TB, name string) int64 {
	tb.Helper()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(tb, err)
	_, rest, found := strings.Cut(string(status), name+":")
	require.True(tb, found)
	kB, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	require.NoError(tb, err)
	return kB
}
