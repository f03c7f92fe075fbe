package vidu_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
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
	server := vidutest.New(t, vidutest.WithTiming(0, 0))
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
	words := map[vidu.Verdict]string{vidu.Fail: "refused", vidu.Retry: "retried", vidu.Ambiguous: "**unknown**"}
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
		for name := range strings.SplitSeq(cells[2], ", ") {
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

// layers are the files of the root package. A file uses only files of the layers before its own, so it can be read with
// nothing but those in mind, and there is no circle.
var layers = [][]string{
	{"codes", "tracer", "waiters", "media"},
	{"options"},
	{"types", "client"},
	{"named"},
	{"errors", "request", "taskfields"},
	{"envelope"},
	{"decode", "failure"},
	{"verdict"},
	{"call"},
	{"tasks", "list", "upload", "validate"},
	{"recovery", "wait"},
	{"create", "waitall", "download", "callback"},
	{"reference2video", "text2video", "img2video", "startend2video", "createtask"},
	{"doc"},
}

// TestHouse_Layers type-checks the package with empty packages in place of its imports: what a file uses of its own
// package is found all the same.
func TestHouse_Layers(t *testing.T) {
	t.Parallel()
	layerOf := map[string]int{}
	for i, files := range layers {
		for _, name := range files {
			layerOf[name] = i
		}
	}
	fset := token.NewFileSet()
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		assert.Contains(t, layerOf, strings.TrimSuffix(name, ".go"), "in no layer")
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		files = append(files, file)
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: emptyImporter{}, Error: func(error) {}}
	root, _ := config.Check("vidu", fset, files, info)

	found := 0
	fileOf := func(p token.Pos) string { return strings.TrimSuffix(fset.Position(p).Filename, ".go") }
	for ident, object := range info.Uses {
		from, to := fileOf(ident.Pos()), fileOf(object.Pos())
		if object.Pkg() != root || from == to {
			continue
		}
		found++
		assert.Less(t, layerOf[to], layerOf[from], "%s uses %s of %s.go", fset.Position(ident.Pos()), object.Name(), to)
	}
	assert.Greater(t, found, 500, "uses were found")
}

// emptyImporter imports packages without anything in them.
type emptyImporter struct{}

func (emptyImporter) Import(name string) (*types.Package, error) {
	p := types.NewPackage(name, path.Base(name))
	p.MarkComplete()
	return p, nil
}

const module = "github.com/vidu-go/vidu"

// mayImport are the engines that others may use. testkit serves tests, and nothing else may use it.
var mayImport = []string{"backoff", "scrub", "testkit", "wholefile"}

// TestHouse_EnginesStandAlone looks at all that each package below internal/ needs, its tests included. The folders of
// tests that speak to the public API are the exception.
func TestHouse_EnginesStandAlone(t *testing.T) {
	t.Parallel()
	list := exec.CommandContext(t.Context(), "go", "list", "-test", "-f", `{{.ImportPath}} {{join .Deps " "}}`, "./internal/...")
	out, err := list.Output()
	require.NoError(t, err)
	seen := map[string]bool{}
	for line := range strings.Lines(string(out)) { // "PACKAGE DEPENDENCY…"; of tests "PACKAGE.test" and "PACKAGE_test [PACKAGE.test]"
		packages := strings.Fields(line)
		name, isMain := strings.CutSuffix(engineOf(packages[0]), ".test")
		if slices.Contains([]string{"sockets", "nethttpfacts"}, name) {
			continue
		}
		seen[name] = true
		isTest := isMain || strings.Contains(line, "[")
		for _, dep := range packages[1:] {
			if dep == module || strings.HasPrefix(dep, module+"/") {
				assert.Contains(t, append(mayImport, name), engineOf(dep), "internal/%s", name)
			}
			if !isTest && name != "testkit" {
				assert.NotContains(t, dep, "testkit", "internal/%s needs it without its tests", name)
				assert.NotContains(t, dep, "stretchr", "internal/%s needs it without its tests", name)
			}
		}
	}
	assert.GreaterOrEqual(t, len(seen), 12)
}

// engineOf returns the name of a package below internal/, and any other path as it is.
func engineOf(path string) string {
	return strings.TrimSuffix(strings.TrimPrefix(path, module+"/internal/"), "_test")
}

func TestReadme_NamesEveryOption(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	option := regexp.MustCompile(`(?m)^func (With\w+)\(`)
	found := 0
	for _, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, match := range option.FindAllStringSubmatch(string(text), -1) {
			if !strings.HasSuffix(name, "_test.go") {
				found++
				assert.True(t, strings.Contains(string(readme), "`"+match[1]), "README lacks %s", match[1]) //nolint:testifylint // not the whole page
			}
		}
	}
	assert.Greater(t, found, 20)
}

// TestReadme_NamesEveryCreate finds each create in README's table, with its endpoint.
func TestReadme_NamesEveryCreate(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	for method, call := range createCalls {
		row := regexp.MustCompile("(?m)^\\| `" + method + "` \\|.*\\| " + regexp.QuoteMeta(call.endpoint) + " \\|$")
		if method == "CreateTask" {
			row = regexp.MustCompile("(?m)^\\| `CreateTask` \\|")
		}
		assert.True(t, row.Match(readme), "README has no row of %s", method)
	}
}

// TestDocs_LinksResolve follows every relative link of every page in the repository, and its fragment, if it has one.
func TestDocs_LinksResolve(t *testing.T) {
	t.Parallel()
	link, fence := regexp.MustCompile(`\]\(([^)\s]+)\)`), regexp.MustCompile("(?ms)^```.*?^```")
	pages, links := 0, 0
	require.NoError(t, filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(name) != ".md" {
			return err
		}
		pages++
		for _, found := range link.FindAllStringSubmatch(fence.ReplaceAllString(readText(t, name), ""), -1) {
			target, fragment, _ := strings.Cut(found[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			links++
			file := name
			if target != "" {
				file = filepath.Join(filepath.Dir(name), target)
			}
			_, err := os.Stat(file)
			if assert.NoError(t, err, "%s links to it", name) && fragment != "" {
				assert.Contains(t, fragmentsOf(readText(t, file)), fragment, "%s links to %s", name, found[1])
			}
		}
		return nil
	}))
	assert.Greater(t, pages, 8)
	assert.Greater(t, links, 15)
}

func readText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(text)
}

// fragmentsOf returns the fragments that GitHub gives the headings of a page.
func fragmentsOf(page string) []string {
	var fragments []string
	for _, heading := range regexp.MustCompile(`(?m)^#+ +(.+?) *$`).FindAllStringSubmatch(page, -1) {
		plain := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		fragments = append(fragments, strings.ReplaceAll(plain, " ", "-"))
	}
	return fragments
}
