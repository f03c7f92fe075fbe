package vidu_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
	"github.com/vidu-go/vidu/vidutest"
)

// TestNotPaidTwice is the program in README that tests a user's own code.
func TestNotPaidTwice(t *testing.T) {
	t.Parallel()
	server := vidutest.NewServer(vidutest.WithTiming(0, 0))
	defer server.Close()
	client, _ := vidu.NewClient(server.URL, vidutest.APIKey)

	server.DropReplyAfterCommit() // the task is created, the answer is lost
	_, err := makeVideo(t.Context(), client, t.TempDir()+"/hero.mp4")

	if !errors.Is(err, vidu.ErrMaybeCreated) || server.Charged() != 1 {
		t.Fatal(err, server.Charged())
	}
}

// TestReadmeProgramsAreCompiled finds every Go program of README, whole, in the Examples and tests of this folder.
func TestReadmeProgramsAreCompiled(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	var compiled strings.Builder
	for _, name := range []string{"example_test.go", "docs_test.go"} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		compiled.WriteString(strings.ReplaceAll(string(text), "\tt.Parallel()\n", "")) // which a user's test may do without
	}
	programs := strings.Split(string(readme), "```go\n")[1:]
	require.NotEmpty(t, programs)
	for _, program := range programs {
		program, _, _ = strings.Cut(program, "```")
		if !strings.Contains(compiled.String(), program) {
			assert.Fail(t, "not compiled", program)
		}
	}
	assert.LessOrEqual(t, strings.Count(string(readme), "\n"), 200, "README stays short")
}

// TestDocsListTheWholePolicy keeps the table in docs equal to the one in the code, order included.
func TestDocsListTheWholePolicy(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/never-pays-twice.md")
	require.NoError(t, err)
	words := map[vidu.Verdict]string{vidu.Fail: "refused", vidu.Retry: "again", vidu.Ambiguous: "**ambiguous**"}
	var table strings.Builder
	for _, rule := range vidu.CreateRules() {
		table.WriteString("| " + rule.Name + " | " + words[rule.Verdict] + " |\n")
	}
	assert.Contains(t, string(page), table.String())
}

// TestFaultsNameTests makes sure that every row of docs/faults.md names tests, and that all of them exist.
func TestFaultsNameTests(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/faults.md")
	require.NoError(t, err)
	known := map[string]map[string]bool{} // folder → names
	rows := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		if len(cells) != 3 || cells[2] == "test" {
			continue
		}
		rows++
		for _, name := range strings.Split(cells[2], ", ") {
			dir, test, found := strings.Cut(name, " ")
			if !found {
				dir, test = ".", name
			}
			if known[dir] == nil {
				known[dir] = testsIn(t, dir)
			}
			assert.True(t, known[dir][test], "%s has no test %q", dir, test)
		}
	}
	assert.Greater(t, rows, 100)
}

// testsIn lists the tests and fuzz targets of a folder, whatever they are built for.
func testsIn(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	require.NoError(t, err)
	names := map[string]bool{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, found := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllStringSubmatch(string(text), -1) {
			names[found[1]] = true
		}
	}
	return names
}
