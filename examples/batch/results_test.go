package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/vidutest"
)

// TestNotUnderstood has a line in the results that the program did not write, or not whole. It may be about a paid
// task, so an operator has to look: nothing is sent, and the file is left alone.
func TestNotUnderstood(t *testing.T) { //nolint:paralleltest // the environment is shared
	tests := map[string]struct{ line, says string }{
		"an unknown state":    {`{"job":"J","state":"paused","payload":"p","id":"1"}`, `state "paused" is unknown`},
		"another letter case": {`{"job":"J","state":"Created","payload":"p","id":"1"}`, `state "Created" is unknown`},
		"an empty state":      {`{"job":"J","state":"","payload":"p","id":"1"}`, `state "" is unknown`},
		"no state":            {`{"job":"J","payload":"p","id":"1"}`, `state "" is unknown`},
		"a newer version":     {`{"job":"J","state":"created","payload":"p","id":"1","version":3}`, "version 3 is unknown"},
		"a new field":         {`{"job":"J","state":"refused","payload":"p","but":"created"}`, `unknown field "but"`},
		"no job":              {`{"state":"created","payload":"p","id":"1"}`, "a part of the record is missing"},
		"no payload":          {`{"job":"J","state":"creating"}`, "a part of the record is missing"},
		"no id":               {`{"job":"J","state":"created","payload":"p"}`, "a part of the record is missing"},
		"failed without id":   {`{"job":"J","state":"failed","payload":"p"}`, "a part of the record is missing"},
		"done without id":     {`{"job":"J","state":"done","payload":"p","file":"f"}`, "a part of the record is missing"},
		"no file":             {`{"job":"J","state":"done","payload":"p","id":"1"}`, "a part of the record is missing"},
		"a second server":     {`{"state":"batch","version":2,"server":"S"}`, "names the server"},
		"two in a line":       {`{"job":"J","state":"refused","payload":"p"}{"job":"J","state":"created","payload":"p","id":"1"}`, "more in the line"},
		"a brace too many":    {`{"job":"J","state":"refused","payload":"p"}}`, "more in the line"},
		"cut in a word":       {`{"job":"J","state":"crea`, "unexpected EOF"},
		"cut at the end":      {`{"job":"J","state":"created","payload":"p","id":"1"`, "unexpected EOF"},
		"one byte":            {`{`, "unexpected EOF"},
		"null":                {`null`, `state "" is unknown`},
		"a list":              {`[]`, "cannot unmarshal"},
		"a number as the id":  {`{"job":"J","state":"created","payload":"p","id":1}`, "cannot unmarshal"},
		"not a time":          {`{"job":"J","state":"creating","payload":"p","time":"today"}`, "time"},
		"zeros":               {strings.Repeat("\x00", 10_000), "invalid character"},
		"garbage":             {"\xff\xfe{{{", "invalid character"},
	}
	for name, tt := range tests { //nolint:paralleltest // as above
		for _, where := range []string{"last", "last, no line break", "in the middle"} {
			t.Run(name+"/"+where, func(t *testing.T) {
				l := newLab(t, "one\n")
				jobs, err := readJobs(filepath.Join(l.folder, "prompts.txt"), sample(""))
				require.NoError(t, err)
				key := jobs[0].hash + "-1"
				before := `{"state":"batch","version":2,"server":"S"}` + "\n" + `{"job":"J","state":"refused","payload":"o"}` + "\n"
				after := map[string]string{
					"last": "\n", "in the middle": "\n" + `{"job":"x-1","state":"refused","payload":"q"}` + "\n",
				}[where]
				results := strings.NewReplacer(`"J"`, `"`+key+`"`, `"S"`, `"`+l.server.URL+`"`).Replace(before + tt.line + after)
				l.write(t, "results.jsonl", results)
				code, said := l.run(t)
				assert.Equal(t, exitUsage, code, said)
				assert.Contains(t, said, "results.jsonl:3: ")
				assert.Contains(t, said, tt.says)
				assert.Contains(t, said, advice)
				assert.Empty(t, l.server.Requests(), "nothing was sent")
				assert.Equal(t, results, l.results(t), "left alone")
			})
		}
	}
}

// TestAnotherServer would look for tasks where they are not.
func TestAnotherServer(t *testing.T) { //nolint:paralleltest // as above
	tests := map[string]struct{ results, says string }{
		"another":       {`{"state":"batch","server":"https://elsewhere.example"}` + "\n", "take another -out"},
		"none":          {`{"job":"a-1","state":"refused","payload":"p"}` + "\n", "results.jsonl:1: the first record"},
		"newer version": {`{"state":"batch","server":"S","version":3}` + "\n", "results.jsonl:1: version 3 is unknown"},
	}
	for name, tt := range tests { //nolint:paralleltest // as above
		t.Run(name, func(t *testing.T) {
			l := newLab(t, "one\n")
			results := strings.ReplaceAll(tt.results, "S", l.server.URL)
			l.write(t, "results.jsonl", results)
			code, said := l.run(t)
			assert.Equal(t, exitUsage, code, said)
			assert.Contains(t, said, tt.says)
			assert.Zero(t, l.server.Charged())
			assert.Equal(t, results, l.results(t), "left alone")
		})
	}
}

// TestCutLastLine does what the advice says about a line that a power failure cut off.
func TestCutLastLine(t *testing.T) { //nolint:paralleltest // as above
	tests := map[string]struct {
		point         string
		code, charged int
		videos        int
	}{
		"a create": {"after creating", exitDone, 2, 2},    // it was not sent
		"an id":    {"after created", exitMayExist, 2, 1}, // the outcome is unknown
		"a video":  {"after done", exitDone, 2, 2},
	}
	for name, tt := range tests { //nolint:paralleltest // as above
		t.Run(name, func(t *testing.T) {
			l := newLab(t, "one\ntwo\n")
			l.kill(t, tt.point, "-tasks", "1")
			results := strings.TrimSuffix(l.results(t), "\n")
			whole := results[:strings.LastIndex(results, "\n")+1]
			l.write(t, "results.jsonl", results[:(len(whole)+len(results))/2])
			charged := l.server.Charged()
			code, said := l.run(t)
			require.Equal(t, exitUsage, code, said)
			require.Equal(t, charged, l.server.Charged())
			l.write(t, "results.jsonl", whole)
			for range 2 {
				code, said = l.run(t)
				assert.Equal(t, tt.code, code, said)
				assert.Equal(t, tt.charged, l.server.Charged(), "not paid twice")
				assert.Equal(t, tt.videos, l.videos(t))
			}
		})
	}
}

// TestEveryCut cuts the results of a killed run after each byte: what is left is understood as it is, or not at all.
func TestEveryCut(t *testing.T) {
	t.Parallel()
	lines := []string{
		`{"state":"batch","server":"s"}` + "\n", `{"job":"a","state":"creating","payload":"m"}` + "\n",
		`{"job":"a","state":"created","payload":"m","id":"1"}` + "\n",
	}
	states := []string{"", "", stateCreating, stateCreated}
	whole := strings.Join(lines, "")
	for cut := range len(whole) + 1 {
		r := &results{last: map[string]record{}}
		_, err := r.read([]byte(whole[:cut]))
		complete, rest := 0, whole[:cut]
		for complete < len(lines) && len(rest) >= len(lines[complete])-1 { // the line break may be missing
			rest = rest[min(len(rest), len(lines[complete])):]
			complete++
		}
		assert.Equal(t, rest != "", err != nil, "%q: %v", whole[:cut], err)
		assert.Equal(t, states[complete], r.last["a"].State, "%q", whole[:cut])
	}
}

// TestEdited has results that an editor saved.
func TestEdited(t *testing.T) { //nolint:paralleltest // as above
	for name, edit := range map[string]func(string) string{ //nolint:paralleltest // as above
		"no line break at the end": func(s string) string { return strings.TrimSuffix(s, "\n") },
		"CRLF":                     func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
		"byte order mark":          func(s string) string { return "\ufeff" + s },
		"empty lines":              func(s string) string { return "\n" + strings.ReplaceAll(s, "\n", "\n \n\n") },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, "one\ntwo\n")
			l.kill(t, "after created")
			l.write(t, "results.jsonl", edit(l.results(t)))
			for range 2 {
				code, said := l.run(t)
				require.Equal(t, exitDone, code, said)
				assert.Equal(t, 2, l.server.Charged(), "not paid twice")
				assert.Equal(t, 2, l.videos(t))
			}
		})
	}
}

// TestEmptyResults is what a run leaves that was killed before its first record.
func TestEmptyResults(t *testing.T) { //nolint:paralleltest // as above
	for name, text := range map[string]string{"empty": "", "a line break": "\n", "a mark": "\ufeff\r\n"} { //nolint:paralleltest // as above
		t.Run(name, func(t *testing.T) {
			l := newLab(t, "one\n")
			l.write(t, "results.jsonl", text)
			for range 2 {
				code, said := l.run(t)
				require.Equal(t, exitDone, code, said)
			}
			assert.Equal(t, 1, l.server.Charged())
		})
	}
}

// TestVersion1 reads results in which the payload was called marker, and lengths were not kept.
func TestVersion1(t *testing.T) { //nolint:paralleltest // as above
	for _, point := range []string{"before created", "after created", "before done", "after done"} { //nolint:paralleltest // as above
		t.Run(point, func(t *testing.T) {
			l := newLab(t, "one\ntwo\nthree\n", vidutest.WithOfficialAPI())
			l.kill(t, point, "-official", "-tasks", "1")
			old := strings.NewReplacer(`"version":2,`, "", `"payload":`, `"marker":`, `,"bytes":9096`, "").Replace(l.results(t))
			require.NotContains(t, old, "bytes")
			l.write(t, "results.jsonl", old)
			for range 2 {
				code, said := l.run(t, "-official")
				assert.Equal(t, exitDone, code, said)
				assert.Equal(t, 3, l.server.Charged(), "the task was found by its payload")
				assert.Equal(t, 3, l.videos(t))
			}
			assert.NotContains(t, strings.TrimPrefix(l.results(t), old), "marker")
		})
	}
}

// TestTwoRunsAtOnce would create the same jobs twice, whether the second comes by the same path or by a link.
func TestTwoRunsAtOnce(t *testing.T) { //nolint:paralleltest // as above
	tests := map[string]struct {
		link   func(old, name string) error
		before bool // the link is made before the results
	}{
		"the same folder":               {nil, false},
		"a symbolic link":               {os.Symlink, false},
		"a symbolic link before a file": {os.Symlink, true},
		"a hard link":                   {os.Link, false},
	}
	for name, tt := range tests { //nolint:paralleltest // as above
		t.Run(name, func(t *testing.T) {
			l := newLab(t, "one\n")
			path, second := filepath.Join(l.folder, "results.jsonl"), l.folder
			link := func() {
				second = filepath.Join(l.folder, "second")
				require.NoError(t, os.Mkdir(second, 0o700))
				if err := tt.link(path, filepath.Join(second, "results.jsonl")); err != nil {
					t.Skip(err)
				}
			}
			if tt.before {
				link()
			}
			first, err := openResults(path, l.server.URL)
			require.NoError(t, err)
			if tt.link != nil && !tt.before {
				if name == "a hard link" && runtime.GOOS == "windows" {
					t.Skip("the path is locked")
				}
				link()
			}
			code, said := l.run(t, "-out", second)
			assert.Equal(t, exitUsage, code, said)
			assert.Contains(t, said, "another run")
			assert.Zero(t, l.server.Charged())
			first.close()

			for _, folder := range []string{l.folder, second, l.folder} {
				code, said = l.run(t, "-out", folder)
				assert.Equal(t, exitDone, code, said)
				videos, err := filepath.Glob(filepath.Join(folder, "*.mp4"))
				require.NoError(t, err)
				assert.Len(t, videos, 1, "each folder has the video")
				assert.Equal(t, 1, l.server.Charged(), "paid once")
			}
		})
	}
}

// TestDanglingLink starts from a folder whose results are a link to a file that is not there yet.
func TestDanglingLink(t *testing.T) { //nolint:paralleltest // as above
	l := newLab(t, "one\n")
	second := filepath.Join(l.folder, "second")
	require.NoError(t, os.Mkdir(second, 0o700))
	if err := os.Symlink(filepath.Join("..", "results.jsonl"), filepath.Join(second, "results.jsonl")); err != nil {
		t.Skip(err)
	}
	for _, folder := range []string{second, l.folder} {
		code, said := l.run(t, "-out", folder)
		assert.Equal(t, exitDone, code, said)
		assert.Equal(t, 1, l.server.Charged(), "paid once")
	}
}

// TestSeveralTasks has a gateway that forwarded one create twice: the oldest task is used, and none is created again.
func TestSeveralTasks(t *testing.T) { //nolint:paralleltest // as above
	l := newLab(t, "one\ntwo\n", vidutest.WithOfficialAPI())
	l.kill(t, "after creating", "-official", "-tasks", "1") // one by one: the last record is of the second, which was not sent
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

	code, said := l.run(t, "-official", "-retry-unknown")
	require.Equal(t, exitDone, code, said)
	assert.Contains(t, said, "several tasks exist, and the oldest is used")
	assert.FileExists(t, filepath.Join(l.folder, fileName(oldest.ID)))
	assert.Regexp(t, `"state":"created".*"id":"`+oldest.ID+`"`, l.results(t))
	assert.Equal(t, 3, l.server.Charged())
}
