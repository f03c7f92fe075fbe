package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFileName has ids that a server may choose and some file system does not take, or takes for another name.
func TestFileName(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("9", 200)
	readable := map[string]string{ // those that need not be changed
		"916404388523315200": "916404388523315200.mp4", "0": "0.mp4", "9a-b": "9a-b.mp4", long[:100]: long[:100] + ".mp4",
	}
	ids := []string{
		"task_1", "TASK_1", "Task_1", "task-1", "task.1", "task:1", "task=1", "task~1", "task+1", "task 1", "9A", "9a", "9a_", "9-",
		"CON", "con", "Con", "NUL", "nul", "AUX", "PRN", "COM1", "com9", "LPT1", "CONIN$", "CON.txt", "nul.mp4", "con:",
		"a", "a.", "a..", ".a", "..a", "-a", "--help", "~", "~a", ".", "..", "../a", "a/b", `a\b`, "/a", `C:\a`, "c:", "a ", " a",
		"", "\x00", "a\nb", "a\x7f", "%2e%2e", "é", "e\u0301", "İ", "ı", "ſ", "K", "k", "\xff", "月",
		long, long + "9", long[:101], strings.Repeat("a", 200), strings.Repeat("A", 200), strings.Repeat("月", 200),
	}
	seen := map[string]string{}
	for id := range readable {
		ids = append(ids, id)
	}
	reserved := regexp.MustCompile(`^(con|prn|aux|nul|com.|lpt.|conin\$|conout\$)(\.|$)`)
	for _, id := range ids {
		name := fileName(id)
		assert.Regexp(t, `^[0-9a-z_][0-9a-z_-]*\.mp4$`, name, "%q", id)
		assert.NotRegexp(t, reserved, name, "%q", id)
		assert.LessOrEqual(t, len(name), 120, "%q", id)
		assert.Empty(t, seen[name], "%q has the same name", id)
		assert.Equal(t, name, fileName(id), "the same in every run")
		if want, ok := readable[id]; ok {
			assert.Equal(t, want, name)
		}
		seen[name] = id
	}
	assert.Regexp(t, `^task-1_[0-9a-f]{16}\.mp4$`, fileName("Task:1"), "readable")
}

// TestIDsThatAreNoFileNames has a gateway whose ids differ only in letter case, and one that Windows keeps for itself.
func TestIDsThatAreNoFileNames(t *testing.T) { //nolint:paralleltest // the environment is shared
	l := newLab(t, "1\n2\n3\n")
	ids := []string{"AbC", "aBc", "NUL"}
	var genuine []string // the server's
	l.front(t, func(w http.ResponseWriter, r *http.Request) {
		for i, id := range genuine {
			r.URL.Path = strings.Replace(r.URL.Path, "/"+ids[i]+"/", "/"+id+"/", 1)
		}
		answer := httptest.NewRecorder()
		l.server.ServeHTTP(answer, r)
		body := answer.Body.String()
		if isCreate(r) {
			genuine = append(genuine, regexp.MustCompile(`\d{15,}`).FindString(body))
		}
		for i, id := range genuine {
			body = strings.ReplaceAll(body, `"`+id+`"`, `"`+ids[i]+`"`)
		}
		maps.Copy(w.Header(), answer.Header())
		w.Header().Del("Content-Length")
		w.WriteHeader(answer.Code)
		_, _ = io.WriteString(w, body)
	})
	code, said := l.run(t, "-tasks", "1")
	require.Equal(t, exitDone, code, said)
	assert.Equal(t, 3, l.videos(t))
	for _, id := range ids {
		assert.FileExists(t, filepath.Join(l.folder, fileName(id)))
		assert.Contains(t, l.results(t), fmt.Sprintf(`"id":%q`, id))
	}
}

// TestVideoFile has a video that is not, or no longer, what was downloaded. An empty or cut one is never taken for a
// video, and nothing is paid for.
func TestVideoFile(t *testing.T) { //nolint:paralleltest // as above
	resize := func(size int64) func(string) error {
		return func(path string) error { return os.Truncate(path, size) }
	}
	kept := func(string) error { return nil }
	tests := map[string]struct {
		damage     func(path string) error
		unrecorded bool // the run was killed before the record of the video
		code       int
		says       string
		size       int
	}{
		"as it was downloaded":           {kept, false, exitDone, "0 made, 1 made before", 9096},
		"missing":                        {os.Remove, false, exitDone, "1 made, 0 made before", 9096},
		"empty":                          {resize(0), false, exitDone, "1 made, 0 made before", 9096}, // after a power failure
		"cut":                            {resize(100), false, exitMayExist, "has 100 bytes, and had 9096", 100},
		"one byte is missing":            {resize(9095), false, exitMayExist, "move it away", 9095},
		"longer":                         {resize(9097), false, exitMayExist, "move it away", 9097},
		"unrecorded":                     {kept, true, exitDone, "1 made, 0 made before", 9096},
		"unrecorded and empty":           {resize(0), true, exitDone, "1 made, 0 made before", 9096}, // as a kill leaves it without hard links
		"unrecorded and cut":             {resize(100), true, exitDone, "1 made, 0 made before", 9096},
		"unrecorded, and a longer other": {resize(9097), true, exitDone, "1 made, 0 made before", 9096},
	}
	for name, tt := range tests { //nolint:paralleltest // as above
		t.Run(name, func(t *testing.T) {
			l := newLab(t, "one\n")
			code, said := l.run(t)
			require.Equal(t, exitDone, code, said)
			files, err := filepath.Glob(filepath.Join(l.folder, "*.mp4"))
			require.NoError(t, err)
			require.Len(t, files, 1)
			require.NoError(t, tt.damage(files[0]))
			if tt.unrecorded {
				before, _, found := strings.Cut(l.results(t), `"state":"done"`)
				require.True(t, found)
				l.write(t, "results.jsonl", before[:strings.LastIndex(before, "\n")+1])
			}
			code, said = l.run(t)
			assert.Equal(t, tt.code, code, said)
			assert.Contains(t, said, tt.says)
			info, err := os.Stat(files[0])
			require.NoError(t, err)
			assert.EqualValues(t, tt.size, info.Size())
			if tt.code != exitDone {
				require.NoError(t, os.Rename(files[0], files[0]+".old"), "what the user was told to do")
			}
			code, said = l.run(t)
			assert.Equal(t, exitDone, code, said)
			assert.Equal(t, 1, l.videos(t))
			assert.Equal(t, 1, l.server.Charged(), "not paid twice")
		})
	}
}

// TestSignedLinks has a server that quotes signed links and the key: they must not be kept.
func TestSignedLinks(t *testing.T) { //nolint:paralleltest // as above
	const quoted = "cannot use https://user:hunter2@cdn.example.com/a.png?X-Amz-Signature=5ec7e7&X-Amz-Date=20261128T000000Z"
	tests := map[string]struct {
		script func(l *lab)
		state  string
	}{
		"refused": {func(l *lab) {
			l.server.FailNext(400, `{"code":400,"reason":"TaskPromptPolicyViolation","message":"`+quoted+`"}`)
		}, stateRefused},
		"failed": {func(l *lab) {
			l.server.AnswerNext("GET /tasks/{id}/creations", func(w http.ResponseWriter, r *http.Request) {
				_, _ = fmt.Fprintf(w, `{"id":%q,"state":"failed","err_code":"AuditFailed","err_msg":%q}`, r.PathValue("id"), quoted)
			})
		}, stateFailed},
	}
	for name, tt := range tests { //nolint:paralleltest // as above
		t.Run(name, func(t *testing.T) {
			l := newLab(t, "one\n")
			tt.script(l)
			code, said := l.run(t)
			require.Equal(t, exitFailed, code, said)
			for _, text := range []string{said, l.results(t)} {
				assert.Contains(t, text, "cdn.example.com/a.png", "the rest helps")
				assert.NotContains(t, text, "5ec7e7")
				assert.NotContains(t, text, "hunter2")
			}
			assert.Contains(t, l.results(t), `"state":"`+tt.state+`"`)
		})
	}
}
