package vidu_test

import (
	"errors"
	"os"
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
