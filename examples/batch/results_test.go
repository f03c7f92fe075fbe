package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/vidutest"
)

// TestDamagedLastLine leaves the results as a kill or a power failure can.
func TestDamagedLastLine(t *testing.T) { //nolint:paralleltest // the environment is shared
	tests := map[string]func(results string) string{
		"half a created":     func(s string) string { return s[:strings.LastIndex(s, `"created"`)+12] },
		"no line break":      func(s string) string { return s[:len(s)-1] },
		"zeros":              func(s string) string { return s + strings.Repeat("\x00", 10_000) },
		"garbage":            func(s string) string { return s + "\xff\xfe{{{\n" },
		"one byte":           func(s string) string { return s + "{" },
		"half a creating":    func(s string) string { return s + `{"job":"0011-1","state":"creat` },
		"JSON but no record": func(s string) string { return s + "null\n" },
		"empty lines":        func(s string) string { return s + "\n\n" },
	}
	for name, damage := range tests { //nolint:paralleltest // as above
		t.Run(name, func(t *testing.T) {
			l := newLab(t, "one\ntwo\n")
			l.kill(t, "after created")
			l.write(t, "results.jsonl", damage(l.results(t)))
			want, videos := exitDone, 2
			if name == "half a created" {
				want, videos = exitMayExist, 1 // the id is lost: the outcome is unknown
			}
			for range 2 {
				code, said := l.run(t)
				require.Equal(t, want, code, said)
				assert.Equal(t, 2, l.server.Charged(), "not paid twice")
				assert.Equal(t, videos, l.videos(t))
			}
			for line := range strings.Lines(l.results(t)) {
				assert.Regexp(t, `^\{.*\}\n$`, line, "repaired")
			}
		})
	}
}

// TestEveryCut cuts the results of a killed run after each byte: the program resumes from the remaining records.
func TestEveryCut(t *testing.T) {
	t.Parallel()
	whole := `{"state":"batch","server":"s"}` + "\n" + `{"job":"a","state":"creating","marker":"m"}` + "\n" +
		`{"job":"a","state":"created","marker":"m","id":"1"}` + "\n"
	for cut := range len(whole) + 1 {
		r := &results{last: map[string]record{}}
		n, err := r.read([]byte(whole[:cut]))
		require.NoError(t, err, cut)
		assert.LessOrEqual(t, n, cut)
		lines := strings.Count(whole[:cut]+"\n", "}\n")
		want := []string{"", "", stateCreating, stateCreated}[lines]
		assert.Equal(t, want, r.last["a"].State, "%q", whole[:cut])
	}
}

// TestDamageElsewhere has damage that no kill does: it may hide a paid task, so an operator has to look.
func TestDamageElsewhere(t *testing.T) { //nolint:paralleltest // as above
	for name, results := range map[string]string{ //nolint:paralleltest // as above
		"in the middle":   `{"state":"batch","server":"S"}` + "\n{{{\n" + `{"job":"a","state":"done"}` + "\n",
		"no server":       `{"job":"a","state":"done"}` + "\n",
		"another server":  `{"state":"batch","server":"https://elsewhere.example"}` + "\n",
		"a second server": `{"state":"batch","server":"S"}` + "\n" + `{"state":"batch","server":"S"}` + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, "one\n")
			results := strings.ReplaceAll(results, "S", l.server.URL)
			l.write(t, "results.jsonl", results)
			code, said := l.run(t)
			assert.Equal(t, exitUsage, code, said)
			assert.Zero(t, l.server.Charged())
			assert.Equal(t, results, l.results(t), "left alone")
		})
	}
}

// TestTwoRunsAtOnce would create the same jobs twice.
func TestTwoRunsAtOnce(t *testing.T) { //nolint:paralleltest // as above
	l := newLab(t, "one\n")
	first, err := openResults(filepath.Join(l.folder, "results.jsonl"), l.server.URL, &bytes.Buffer{})
	require.NoError(t, err)
	code, said := l.run(t)
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, said, "another run")
	first.close()
	code, said = l.run(t)
	assert.Equal(t, exitDone, code, said)
}

// TestSeveralTasks has a gateway that forwarded one create twice: the oldest task is used, and none is created again.
func TestSeveralTasks(t *testing.T) { //nolint:paralleltest // as above
	l := newLab(t, "one\ntwo\n", vidutest.WithOfficialAPI())
	l.kill(t, "after creating", "-official") // of the second, which was not sent
	records := strings.Split(strings.TrimSpace(l.results(t)), "\n")
	var last record
	require.NoError(t, json.Unmarshal([]byte(records[len(records)-1]), &last))
	require.Equal(t, stateCreating, last.State)

	client, err := vidu.NewClientFromEnv(vidu.WithOfficialAPI())
	require.NoError(t, err)
	oldest, err := client.Reference2Video(t.Context(), sample(last.Payload))
	require.NoError(t, err)
	_, err = client.Reference2Video(t.Context(), sample(last.Payload))
	require.NoError(t, err)

	code, said := l.run(t, "-official", "-retry-doubtful")
	require.Equal(t, exitDone, code, said)
	assert.Contains(t, said, "several tasks exist, and the oldest is used")
	assert.FileExists(t, filepath.Join(l.folder, oldest.ID+".mp4"))
	assert.Regexp(t, `"state":"created".*"id":"`+oldest.ID+`"`, l.results(t))
	assert.Equal(t, 3, l.server.Charged())
}
