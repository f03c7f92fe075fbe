package main_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	bench "github.com/vidu-go/vidu/bench"
)

// TestMain is also the main function of the program's child processes.
func TestMain(m *testing.M) {
	if text := os.Getenv(bench.JobVariable); text != "" {
		if err := bench.RunJob(context.Background(), text, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// TestQuick has every contestant do every kind of work, in small. The program itself checks that the work was done.
func TestQuick(t *testing.T) { //nolint:paralleltest // it measures the whole process
	var out, progress strings.Builder
	err := bench.Run(t.Context(), []string{"-quick"}, &out, &progress)
	t.Log(progress.String())
	require.NoError(t, err)
	for _, heading := range []string{
		"A small create", "A poll", "A create with pictures", "The heap in the middle of such a create", "3 such creates at once",
		"Waiting for many tasks", "When to poll", "Verifying a callback", "Polls at once over TLS, HTTP/1.1", "Polls at once over TLS, HTTP/2",
		"A download", "The project's own limits", "In words",
	} {
		assert.Contains(t, out.String(), "## "+heading+"\n")
	}
	for n := range 14 {
		assert.Contains(t, out.String(), fmt.Sprintf("\n| %d |", n+1))
	}
	for _, peer := range []string{
		"openai-go | v3.96", "anthropic-sdk-go | v1.84", "replicate-go | v0.26", "go-resty v2 | v2.17", "resty v3 (release candidate) | v3.0.0-rc",
		"imroc/req | v3.61", "sashabaranov/go-openai | v1.43", "go-retryablehttp | v0.7.8", "go-github | v90", "hcloud-go | v2.52",
	} {
		assert.Contains(t, out.String(), "| "+peer)
	}
	assert.Contains(t, out.String(), "This was a quick run")
	assert.NotContains(t, out.String(), t.TempDir()[:5]+"vidu-bench", "no path of this machine")
}

// The figures of another release stand beside those of this one, and in the pictures.
func TestBeside(t *testing.T) { //nolint:paralleltest // it measures the whole process
	dir := t.TempDir()
	other, report := filepath.Join(dir, "other.json"), filepath.Join(dir, "RESULTS.md")
	run := func(args ...string) {
		t.Helper()
		require.NoError(t, bench.Run(t.Context(), append([]string{"-quick", "-only", "create|poll|peak"}, args...), t.Output(), t.Output()))
	}
	run("-save", other)
	figures, err := os.ReadFile(other)
	require.NoError(t, err)
	require.Contains(t, string(figures), `"go": "`+runtime.Version()+`"`)
	require.NoError(t, os.WriteFile(other, bytes.ReplaceAll(figures, []byte(runtime.Version()), []byte("go1.25.0")), 0o600))

	run("-beside", other, "-out", report, "-pictures", dir)
	text, err := os.ReadFile(report)
	require.NoError(t, err)
	assert.Contains(t, string(text), "| go1.25.0 | | "+runtime.Version()+" | |")
	assert.Contains(t, string(text), "## Small calls, release by release\n")
	for name, says := range map[string][]string{
		"small-calls.svg": {"vidu", "by hand", "openai-go", "upper bar go1.25.0, lower bar " + runtime.Version(), "1.00 ×"},
		"memory.svg":      {"vidu", "by hand", "go-resty v2", "creates with 14 MB of images at once", "B</text>"},
	} {
		picture, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		decoder := xml.NewDecoder(bytes.NewReader(picture))
		bars := 0
		for {
			token, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err, name)
			if start, ok := token.(xml.StartElement); ok && start.Name.Local == "rect" {
				bars++
			}
		}
		assert.Positive(t, bars)
		for _, text := range says {
			assert.Contains(t, string(picture), text, name)
		}
	}
}

// What was not measured is no bar, and the least comes first.
func TestChart(t *testing.T) {
	t.Parallel()
	picture := bench.ChartOf(map[string][]float64{"a <b>": {2, 4}, "vidu": {1, 1}, "none": {math.NaN(), math.NaN()}})
	assert.Contains(t, picture, "a &lt;b&gt;")
	assert.Less(t, strings.Index(picture, "vidu"), strings.Index(picture, "a &lt;b&gt;"))
	assert.Equal(t, 4, strings.Count(picture, "<rect"))
	assert.NotContains(t, picture, "NaN")
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-only", "("}, {"-rounds"}, {"-quick", "-only", "none", "-beside", "missing.json"}, {"-quick", "-only", "none", "-beside", "main.go"}} {
		require.Error(t, bench.Run(t.Context(), args, t.Output(), t.Output()), "%v", args)
	}
}

// A contestant that does not do its work ends the run.
func TestIdleContestantFails(t *testing.T) {
	t.Parallel()
	failure := errors.New("idle")
	require.ErrorIs(t, bench.Compare(t.Context(), failure), failure)
	for body, wrong := range map[string]string{
		`{"all":"` + bench.Order + `"}`: "",
		`{"all":"` + bench.Order:        "not the order",
		`{}`:                            "not the order",
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://gateway.example.com/vidu/v2/reference2video", strings.NewReader(body))
		resp, err := bench.RoundTrip(r)
		if wrong != "" {
			require.ErrorContains(t, err, wrong)
			continue
		}
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
}

// The server checks every big request.
func TestServerChecksPictures(t *testing.T) {
	t.Parallel()
	const size = 2000
	var all []string
	for n := range bench.Pictures {
		data, err := bench.Picture(n, size)
		require.NoError(t, err)
		require.Len(t, data, size)
		all = append(all, `"data:image/png;base64,`+base64.StdEncoding.EncodeToString(data)+`"`)
	}
	for name, tt := range map[string]struct {
		body string
		code int
		text string
	}{
		"right":       {`{"images":[` + strings.Join(all, ",") + `]}`, 200, `"task_id"`},
		"one missing": {`{"images":[` + strings.Join(all[1:], ",") + `]}`, 400, "not that of the order"},
		"last":        {`{"images":[` + strings.Join(all[:6], ",") + `]}`, 400, "6 pictures of 7"},
		"twice":       {`{"images":[` + strings.Join(append(all[:6:6], all[5]), ",") + `]}`, 400, "not that of the order"},
		"too many":    {`{"images":[` + strings.Join(append(all[:7:7], all[6]), ",") + `]}`, 400, "not that of the order"},
		"truncated":   {`{"images":[` + strings.Join(all, ",")[:18000], 400, "unexpected EOF"},
		"no base64":   {`{"images":["data:image/png;base64,????"]}`, 400, "illegal base64"},
		"empty":       {"", 400, "0 pictures of 7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("/whole/%d/vidu/v2/reference2video", size), strings.NewReader(tt.body))
			bench.Backend().ServeHTTP(w, r)
			assert.Equal(t, tt.code, w.Code)
			assert.Contains(t, w.Body.String(), tt.text)
		})
	}
}

func TestRoundsRotate(t *testing.T) { //nolint:paralleltest // it measures the whole process
	turns, err := bench.Turns(t.Context(), []string{"a", "b", "c"}, 3)
	require.NoError(t, err)
	assert.Equal(t, "abc bca cab", strings.Join(turns[:3], "")+" "+strings.Join(turns[3:6], "")+" "+strings.Join(turns[6:], ""))
}

func TestTimes(t *testing.T) {
	t.Parallel()
	for ratio, want := range map[float64]string{
		0: "0 ×", 0.0000123: "0.000012 ×", 0.000641: "0.00064 ×", 0.02422: "0.024 ×", 0.0996: "0.1 ×", 0.149: "0.15 ×",
		0.996: "1.00 ×", 1: "1.00 ×", 2.345: "2.35 ×", 8510.2: "8510 ×", -0.04: "-0.04 ×", math.Inf(1): "–",
	} {
		assert.Equal(t, want, bench.Times(ratio))
	}
	assert.Equal(t, "–", bench.Times(math.NaN()))
}

func TestNoise(t *testing.T) {
	t.Parallel()
	assert.Contains(t, bench.ReadingOfRounds([]float64{101, 103, 99, 104, 98}, []float64{100, 100, 101, 99, 100}), "1.01 ×, level with by hand (1.00 ×)")
	assert.Contains(t, bench.ReadingOfRounds([]float64{110, 111, 109, 110, 110}, []float64{100, 100, 101, 99, 100}), "1.10 ×, behind by hand (1.00 ×)")
}

// The words agree with the numbers.
func TestReading(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		ours, floor, other float64
		has, lacks         []string
	}{
		"best":        {700, 1000, 900, []string{"0.70 × | must and stretch met", "1 of 1 musts", "T, bytes allocated: 0.70 ×; next is other (0.90 ×)"}, []string{"Where it is not", "Not held"}},
		"worst":       {1100, 1000, 1050, []string{"1.10 × | **must not met**", "Not held: 2 (", "1.10 ×, behind by hand (1.00 ×), other (1.05 ×)", "That is why."}, []string{"vidu is first"}},
		"in between":  {890, 1000, 880, []string{"must met, stretch not", "0.89 ×, behind other (0.88 ×)", "short of the stretch: 2 ("}, []string{"Not held"}},
		"too near":    {896, 1000, 904, []string{"must met", "0.90 ×; next is other (0.90 ×)"}, []string{"behind other"}},
		"on the line": {904, 1000, 2000, []string{"0.90 × | must met, stretch not"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := bench.Reading(tt.ours, tt.floor, tt.other)
			for _, want := range tt.has {
				assert.Contains(t, text, want)
			}
			for _, not := range tt.lacks {
				assert.NotContains(t, text, not)
			}
			assert.Contains(t, text, "not measured")
		})
	}
}

const simulation = `=== RUN   TestSchedule_Simulation/A
    simulation_test.go:343: 
        A: lognormal 60 s, σ 0.25
                                        polls ×   lag ÷  31.0 =     G  against fixed, oracle at equal polls
        ours, learned                    6.60 ×  2.46 s       =  0.52   0.48  1.21
        ours, first 40                   6.49 ×  2.89 s       =  0.61   0.56  1.40
        ours, first 40, together         9.08 ×  2.32 s       =  0.68   0.64  1.58
        exponential (AWS)                7.39 × 32.91 s       =  7.85   7.26 18.17
        
    simulation_test.go:343: 
        D: lognormal 60 s, σ 0.25, after a queue of 60 s, exponential
                                        polls ×   lag ÷  61.0 =     G  against fixed, oracle at equal polls
        ours, learned                    6.60 ×  2.46 s       =  0.41   0.48  1.21
        ours, first 40                   6.49 ×  2.89 s       =  0.61   0.56  1.40
        ours, first 40, together         9.08 ×  2.32 s       =  0.68   0.64  1.58
ok      github.com/vidu-go/vidu 1.0s
`

func TestReadWorlds(t *testing.T) {
	t.Parallel()
	g, err := bench.ReadWorlds(simulation)
	require.NoError(t, err)
	assert.Equal(t, map[string]float64{"A": 0.52, "D": 0.41}, g)
	for _, broken := range []string{"", strings.ReplaceAll(simulation, "ours, learned ", "ours, earned ")} {
		_, err := bench.ReadWorlds(broken)
		require.Error(t, err)
	}
}
