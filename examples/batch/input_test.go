package main

import (
	"bufio"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/vidutest"
)

func read(t *testing.T, text string) ([]*job, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "prompts.txt")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return readJobs(path, &vidu.Reference2VideoRequest{Model: vidu.ModelQ2Pro, Images: []vidu.Media{vidu.URL(sampleImage)}})
}

// TestReadJobs_Spellings reads two lines as editors of all systems write them. They are the same jobs in each spelling.
func TestReadJobs_Spellings(t *testing.T) {
	t.Parallel()
	const first, second = "An astronaut waves.", `{"prompt":"Она танцует на 月"}`
	want, err := read(t, first+"\n"+second+"\n")
	require.NoError(t, err)
	require.Len(t, want, 2)
	for name, text := range map[string]string{
		"byte order mark":            "\ufeff" + first + "\n" + second + "\n",
		"CRLF":                       first + "\r\n" + second + "\r\n",
		"both":                       "\ufeff" + first + "\r\n" + second + "\r\n",
		"no last line break":         first + "\n" + second,
		"blanks around":              "  " + first + " \t\n\u3000" + second + "\u00a0\n",
		"blank lines":                "\n \n" + first + "\n\r\n\t\n" + second + "\n\n\n",
		"a remark":                   "\ufeff# one\n" + first + "\n  # two\n" + second + "\n#",
		"files put together":         "\ufeff" + first + "\n\ufeff" + second + "\n",
		"nothing but a mark at last": first + "\n" + second + "\n\ufeff",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := read(t, text)
			require.NoError(t, err)
			require.Len(t, got, 2)
			for i, j := range got {
				assert.Equal(t, want[i].hash, j.hash)
				assert.Equal(t, want[i].request, j.request)
			}
			assert.Equal(t, first, got[0].request.Prompt)
			assert.Equal(t, "Она танцует на 月", got[1].request.Prompt)
		})
	}
}

// TestReadJobs_NotText refuses what would be paid for as gibberish.
func TestReadJobs_NotText(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"UTF-16":              "\xff\xfeo\x00n\x00e\x00\n\x00t\x00w\x00o\x00",
		"UTF-16, big-endian":  "\xfe\xff\x00o\x00n\x00e\x00\n\x00t\x00w\x00o",
		"UTF-16 without mark": "o\x00n\x00e\x00\n\x00",
		"Latin-1":             "caf\xe9\n",
		"Latin-1 in JSON":     "{\"prompt\":\"caf\xe9\"}\n",
		"half a character":    "one \xf0\x9f\x98\n",
		"a zero":              "one\x00\n",
		"line ends of old":    "one\rtwo\rthree\r",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := read(t, text)
			require.ErrorContains(t, err, "save the file as UTF-8")
			assert.ErrorContains(t, err, "prompts.txt:1: ")
		})
	}
	for name, text := range map[string]string{
		"nothing": "", "a mark": "\ufeff", "remarks": "\ufeff# one\r\n#two", "blanks": " \r\n\t\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := read(t, text)
			assert.ErrorContains(t, err, "no prompts")
		})
	}
}

// TestReadJobs_Unreadable must not pass for a shorter input.
func TestReadJobs_Unreadable(t *testing.T) {
	t.Parallel()
	_, err := readJobs(filepath.Join(t.TempDir(), "absent"), &vidu.Reference2VideoRequest{})
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = read(t, "one\n"+strings.Repeat("x", maxLine+1)+"\nthree\n")
	require.ErrorIs(t, err, bufio.ErrTooLong)
}

// TestAssign has equal lines, of which some were deleted or added since their records were written.
func TestAssign(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		states  []string // of h-1, h-2 …
		lines   int
		keys    []string
		orphans []string
	}{
		"new":                             {nil, 2, []string{"h-1", "h-2"}, nil},
		"one of two, the first failed":    {[]string{stateFailed, stateDone}, 1, []string{"h-2"}, nil},
		"one of two, the first refused":   {[]string{stateRefused, stateDone}, 1, []string{"h-2"}, nil},
		"one of two, the first unknown":   {[]string{stateCreating, stateDone}, 1, []string{"h-2"}, []string{"h-1"}},
		"one of two, the second unknown":  {[]string{stateCreated, stateCreating}, 1, []string{"h-1"}, []string{"h-2"}},
		"one of two, both created":        {[]string{stateCreated, stateCreated}, 1, []string{"h-1"}, []string{"h-2"}},
		"one of two, failed or unknown":   {[]string{stateFailed, stateCreating}, 1, []string{"h-2"}, nil},
		"one of two, nothing was created": {[]string{stateFailed, stateRefused}, 1, []string{"h-2"}, nil},
		"both":                            {[]string{stateFailed, stateDone}, 2, []string{"h-2", "h-1"}, nil},
		"two more":                        {[]string{stateDone, stateDone}, 4, []string{"h-1", "h-2", "h-3", "h-4"}, nil},
		"none":                            {[]string{stateDone, stateCreated, stateFailed, stateCreating, stateRefused}, 0, nil, []string{"h-2", "h-4"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &results{last: map[string]record{"other-1": {Job: "other-1", State: stateDone}}}
			for i, state := range tt.states {
				key := []string{"h-1", "h-2", "h-3", "h-4", "h-5"}[i]
				r.last[key] = record{Job: key, State: state, Name: "line 7"}
			}
			jobs := make([]*job, tt.lines)
			for i := range jobs {
				jobs[i] = &job{hash: "h"}
			}
			var orphans, keys []string
			for _, j := range r.assign(jobs) {
				assert.Equal(t, "former line 7", j.name)
				assert.Nil(t, j.request, "it is never created")
				orphans = append(orphans, j.key)
			}
			for _, j := range jobs {
				keys = append(keys, j.key)
			}
			assert.Equal(t, tt.keys, keys)
			assert.Equal(t, tt.orphans, orphans)
		})
	}
	t.Run("a number that is missing", func(t *testing.T) {
		t.Parallel()
		r := &results{last: map[string]record{"h-2": {State: stateDone}}}
		jobs := []*job{{hash: "h"}, {hash: "h"}, {hash: "h"}, {hash: "i"}}
		assert.Empty(t, r.assign(jobs))
		assert.Equal(t, []string{"h-2", "h-1", "h-3", "i-1"}, []string{jobs[0].key, jobs[1].key, jobs[2].key, jobs[3].key})
	})
}

// TestOneOfTwoEqualLinesDeleted pays neither for the remaining line nor loses the task of the deleted one.
func TestOneOfTwoEqualLinesDeleted(t *testing.T) { //nolint:paralleltest // the environment is shared
	tests := map[string]struct {
		script  func(*vidutest.Server) // for the run with two lines
		killed  bool                   // while it waited for both
		args    []string
		code    int
		charged int
		says    string
	}{
		"one failed": {
			func(s *vidutest.Server) { s.FailTask("AuditFailed") }, false,
			[]string{"-retry-failed"},
			exitDone, 2, "0 made, 1 made before",
		},
		"one of unknown outcome": {
			(*vidutest.Server).DropReplyAfterCommit, false,
			[]string{"-retry-unknown"},
			exitMayExist, 2, "1 made before, 0 refused or failed, 0 unfinished, 1 unknown",
		},
		"one refused": {
			func(s *vidutest.Server) {
				s.FailNext(400, `{"code":400,"reason":"TaskPromptPolicyViolation","message":"no"}`)
			}, false, nil, exitDone, 1, "0 made, 1 made before",
		},
		"both done":    {func(*vidutest.Server) {}, false, nil, exitDone, 2, "0 made, 1 made before"},
		"both created": {func(s *vidutest.Server) { s.Hold(); s.Hold() }, true, nil, exitDone, 2, "2 made, 0 made before"},
	}
	for name, tt := range tests { //nolint:paralleltest // as above
		t.Run(name, func(t *testing.T) {
			l := newLab(t, "two\ntwo\n")
			tt.script(l.server)
			if tt.killed {
				l.kill(t, "after created")
				for _, task := range l.server.Tasks() {
					l.server.Finish(task.ID)
				}
			} else {
				l.run(t, "-tasks", "1")
			}
			l.write(t, "prompts.txt", "two\n")
			code, said := l.run(t, tt.args...)
			assert.Equal(t, tt.code, code, said)
			assert.Equal(t, tt.charged, l.server.Charged(), said)
			assert.Contains(t, said, tt.says)
		})
	}
}
