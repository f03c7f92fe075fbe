package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
				want, videos = exitMayExist, 1 // the id is lost, and the doubt is not
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

// TestEveryCut cuts the results of a killed run after each byte: the program goes on from there and pays nothing twice
// that the rest of the file tells of.
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

// TestDamageElsewhere is nothing that a kill does: a paid task may be hidden there, so a person has to look.
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

// TestTwoRunsAtOnce would not know of each other's creates.
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

// TestResultsCannotBeWritten stops before the create that could not be recorded.
func TestResultsCannotBeWritten(t *testing.T) { //nolint:paralleltest // as above
	l := newLab(t, "one\n")
	path := filepath.Join(l.folder, "results.jsonl")
	r, err := openResults(path, l.server.URL, &bytes.Buffer{})
	require.NoError(t, err)
	defer r.close()
	require.NoError(t, r.file.Close())
	require.ErrorIs(t, r.add(record{Job: "a", State: stateCreating}), os.ErrClosed)
	require.ErrorIs(t, r.add(record{Job: "a", State: stateCreating}), os.ErrClosed, "and so does the next")
	assert.Empty(t, r.get("a").State)

	c := &config{out: l.folder, creates: 1, tasks: 1}
	var out bytes.Buffer
	b := &batch{results: r, config: c, report: newReport(1, &out, &out)}
	b.create(t.Context(), &job{key: "a", name: "line 1"}) // has no client: to create would panic
	require.ErrorIs(t, b.halted, os.ErrClosed)
}
