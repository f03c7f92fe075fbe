package vidu_test

import (
	"go/ast"
	"go/format"
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
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vidu-go/vidu"
)

// pages are the Markdown files of the repository, but for hidden folders other than .github.
func pages(t *testing.T) []string {
	t.Helper()
	var names []string
	require.NoError(t, filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && len(name) > 1 && name[0] == '.' && name != ".github" {
			return fs.SkipDir
		}
		if filepath.Ext(name) == ".md" {
			names = append(names, name)
		}
		return err
	}))
	return names
}

// programsOf returns the fenced blocks of a page in one of the languages.
func programsOf(page string, languages ...string) []string {
	fence := regexp.MustCompile("(?ms)^```(" + strings.Join(languages, "|") + ")\n(.*?)^```")
	var programs []string
	for _, block := range fence.FindAllStringSubmatch(page, -1) {
		programs = append(programs, block[2])
	}
	return programs
}

// programsInComment returns the programs of a package comment.
func programsInComment(file string) []string {
	programs := regexp.MustCompile(`(?m)(^//\t.*\n)+`).FindAllString(file, -1)
	for i, program := range programs {
		programs[i] = strings.ReplaceAll(program, "//\t", "")
	}
	return programs
}

// flat is a program without its indentation and without what only the tests of this repository have. What is main on a
// page is an Example here.
func flat(program string) string {
	program = strings.NewReplacer("\tt.Parallel()\n", "", "func Example() {", "func main() {").Replace(program)
	return "\n" + regexp.MustCompile(`(?m)^[\t ]+| //nolint:.*$`).ReplaceAllString(program, "")
}

// TestDocs_ProgramsAreCompiled finds every Go program of every page, whole, in a Go file of the same repository. All of
// them are compiled when their module is tested.
func TestDocs_ProgramsAreCompiled(t *testing.T) {
	t.Parallel()
	var compiled strings.Builder
	require.NoError(t, filepath.WalkDir(".", func(name string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(name) == ".go" && !strings.Contains(name, "testdata") {
			compiled.WriteString(flat(readText(t, name)))
		}
		return err
	}))
	programs := map[string][]string{"doc.go": programsInComment(readText(t, "doc.go"))}
	for _, name := range pages(t) {
		programs[name] = programsOf(readText(t, name), "go")
	}
	everything, found := compiled.String(), 0
	for name, programs := range programs {
		for _, program := range programs {
			found++
			if !strings.Contains(everything, flat(program)) {
				assert.Fail(t, "not compiled", "%s:\n%s", name, program)
			}
			formatted, err := format.Source([]byte(program))
			if assert.NoError(t, err, name) {
				assert.Equal(t, string(formatted), program, "%s is not formatted", name)
			}
		}
	}
	assert.NotEmpty(t, programs["doc.go"])
	assert.Greater(t, found, 20)
}

// TestReadme_BothLanguages compares the two READMEs: programs, figures and links.
func TestReadme_BothLanguages(t *testing.T) {
	t.Parallel()
	english, chinese := readText(t, "README.md"), readText(t, "README.zh-CN.md")
	assert.Equal(t, programsOf(english, "go", "sh"), programsOf(chinese, "go", "sh"))
	assert.Len(t, programsOf(english, "go"), 4)
	assert.Contains(t, english, "](README.zh-CN.md)")
	assert.Contains(t, chinese, "](README.md)")
	for _, page := range []string{english, chinese} {
		assert.LessOrEqual(t, strings.Count(page, "\n"), 200, "a README stays short")
	}

	// What a reader compares must not depend on the language: the figures of the tables, the files that are linked.
	figure, link := regexp.MustCompile(`\d[\d.,]*\d|\d`), regexp.MustCompile(`\]\(([^#)][^)]*)\)`)
	figures := func(page string) []string {
		return figure.FindAllString(regexp.MustCompile(`(?m)^\| .*×.*\n(\|.*\n)+`).FindString(page), -1)
	}
	assert.Equal(t, figures(english), figures(chinese))
	assert.NotEmpty(t, figures(english))
	links := func(page string) map[string]bool {
		targets := map[string]bool{}
		for _, found := range link.FindAllStringSubmatch(page, -1) {
			if !strings.HasPrefix(found[1], "README") {
				targets[found[1]] = true
			}
		}
		return targets
	}
	assert.Equal(t, links(english), links(chinese))
	assert.Greater(t, len(links(english)), 10)
}

// TestDependabot_NamesEveryModule finds each go.mod in the configuration of Dependabot, and no other folder.
func TestDependabot_NamesEveryModule(t *testing.T) {
	t.Parallel()
	var modules, named []string
	require.NoError(t, filepath.WalkDir(".", func(name string, _ fs.DirEntry, err error) error {
		if filepath.Base(name) == "go.mod" && !strings.Contains(name, "testdata") {
			modules = append(modules, path.Join("/", filepath.ToSlash(filepath.Dir(name))))
		}
		return err
	}))
	entry := regexp.MustCompile(`(?m)^ +- package-ecosystem: gomod\n +directory: (\S+)$`)
	config := readText(t, ".github/dependabot.yml")
	for _, found := range entry.FindAllStringSubmatch(config, -1) {
		named = append(named, found[1])
	}
	assert.ElementsMatch(t, modules, named)
	assert.Contains(t, config, "package-ecosystem: github-actions")
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

// TestOptions_EachHasARow finds each option in a table of docs/options.md, and README has a link to that page.
func TestOptions_EachHasARow(t *testing.T) {
	t.Parallel()
	page := readText(t, "docs/options.md")
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	option := regexp.MustCompile(`(?m)^func (With\w+)\(`)
	options := map[string]bool{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, match := range option.FindAllStringSubmatch(readText(t, name), -1) {
			options[match[1]] = true
		}
	}
	rows := map[string]bool{}
	for _, match := range regexp.MustCompile("(?m)^\\| `(With\\w+)\\(.*\\)` \\| .+ \\| .+ \\|$").FindAllStringSubmatch(page, -1) {
		rows[match[1]] = true
	}
	assert.Equal(t, options, rows)
	assert.Greater(t, len(rows), 20)
	assert.Contains(t, readText(t, "README.md"), "](docs/options.md)")
}

// TestObservability_NamesEveryRecord finds each log record in the table of docs/observability.md, with its level.
func TestObservability_NamesEveryRecord(t *testing.T) {
	t.Parallel()
	page := readText(t, "docs/observability.md")
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	record := regexp.MustCompile(`\.(?:record\([^"]*slog\.Level(\w+), |(Warn)\()"(vidu: [\w. ]+)`)
	found := 0
	for _, name := range files {
		for _, match := range record.FindAllStringSubmatch(readText(t, name), -1) {
			found++
			row := regexp.MustCompile("(?mi)^\\| `" + regexp.QuoteMeta(match[3]) + "…?` \\| " + match[1] + match[2] + " \\|")
			assert.True(t, row.MatchString(page), "no row of %q, %s", match[3], match[1]+match[2])
		}
	}
	assert.GreaterOrEqual(t, found, 7)
}

// TestReadme_NamesEveryCreate finds each create in the table of both READMEs, with its endpoint.
func TestReadme_NamesEveryCreate(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		readme := readText(t, name)
		for method, call := range createCalls {
			row := regexp.MustCompile("(?m)^\\| `" + method + "` \\|.*\\| " + regexp.QuoteMeta(call.endpoint) + " \\|$")
			if method == "CreateTask" {
				row = regexp.MustCompile("(?m)^\\| `CreateTask` \\|")
			}
			assert.True(t, row.MatchString(readme), "%s has no row of %s", name, method)
		}
	}
}

// Files that can be read at a sitting, and not too many of them.
func TestHouse_SizeOfFiles(t *testing.T) {
	t.Parallel()
	tests := 0
	require.NoError(t, filepath.WalkDir(".", func(name string, _ fs.DirEntry, err error) error {
		isTest := strings.HasSuffix(name, "_test.go")
		inRoot := !strings.Contains(name, string(filepath.Separator))
		if err != nil || filepath.Ext(name) != ".go" || (!inRoot && !strings.HasPrefix(name, "internal")) {
			return err
		}
		if inRoot && isTest {
			tests++
		}
		most := map[bool]int{false: 450, true: 900}[isTest]
		assert.LessOrEqual(t, strings.Count(readText(t, name), "\n"), most, name)
		return nil
	}))
	assert.LessOrEqual(t, tests, 30, "test files of the root")
	assert.Positive(t, tests)
}

// TestDocs_LinksResolve follows every relative link of every page in the repository, and its fragment, if it has one.
func TestDocs_LinksResolve(t *testing.T) {
	t.Parallel()
	link, fence := regexp.MustCompile(`\]\(([^)\s]+)\)`), regexp.MustCompile("(?ms)^```.*?^```")
	links := 0
	for _, name := range pages(t) {
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
	}
	assert.Greater(t, len(pages(t)), 15)
	assert.Greater(t, links, 60)
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

// TestReadme_TwoCommands: what a stranger runs first is the main job and every test, which is what CI runs, too.
func TestReadme_TwoCommands(t *testing.T) {
	t.Parallel()
	for name, wanted := range map[string][]string{
		"README.md":       {"\ngo run ./examples/reference2video ", "\ngo test ./... ", "`POST /vidu/v2/reference2video`"},
		"README.zh-CN.md": {"\ngo run ./examples/reference2video ", "\ngo test ./... ", "`POST /vidu/v2/reference2video`"},
		".ci/run":         {"\nstep test go test ./...\n", "go run ./examples/reference2video "},
	} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, command := range wanted {
			assert.Contains(t, string(text), command, name)
		}
	}
}

// errorTexts returns the texts of the errors in the sources of some folders, with "…" for what is filled in. Those that
// only add to another error are left out.
func errorTexts(t *testing.T, folders ...string) map[string]bool {
	t.Helper()
	verb := regexp.MustCompile(`%[-+# 0-9.]*[a-zA-Z]`)
	texts := map[string]bool{}
	for _, folder := range folders {
		names, err := filepath.Glob(filepath.Join(folder, "*.go"))
		require.NoError(t, err)
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			require.NoError(t, err)
			ast.Inspect(file, func(node ast.Node) bool {
				call, ok := node.(*ast.CallExpr)
				if !ok {
					return true
				}
				called, ok := call.Fun.(*ast.SelectorExpr)
				if !ok || !slices.Contains([]string{"New", "Errorf", "add"}, called.Sel.Name) {
					return true
				}
				first := 0
				if called.Sel.Name == "add" { // of a field
					first = 1
				}
				if len(call.Args) <= first {
					return true
				}
				if literal, ok := call.Args[first].(*ast.BasicLit); ok && literal.Kind == token.STRING {
					text, err := strconv.Unquote(literal.Value)
					require.NoError(t, err)
					text = strings.TrimPrefix(verb.ReplaceAllString(text, "…"), "vidu: ")
					if strings.Trim(text, "…:; ") != "" {
						texts[text] = true
					}
				}
				return true
			})
		}
	}
	return texts
}

// errorFolders have the errors that users meet.
var errorFolders = []string{
	".", "internal/callbacksig", "internal/fetch", "internal/lenientjson", "internal/mediatype", "internal/oneshot", "internal/transport", "internal/wholefile",
}

// TestDocs_EveryErrorSaysWhatToDo: docs/errors.md has a row for each error of the sources, and no other, and each row
// says what to do.
func TestDocs_EveryErrorSaysWhatToDo(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/errors.md")
	require.NoError(t, err)
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(.+?)` \\| (.*) \\|$").FindAllStringSubmatch(string(page), -1) {
		text := strings.ReplaceAll(row[1], "\\|", "|")
		assert.False(t, listed[text], "twice: %s", text)
		assert.Greater(t, len(strings.TrimSpace(row[2])), 3, "%s: what to do?", text)
		listed[text] = true
	}
	codes := vidu.CodeRows()
	texts := errorTexts(t, errorFolders...)
	for _, code := range codes {
		texts[string(code)] = true
	}
	for text := range texts {
		assert.True(t, listed[text], "docs/errors.md has no row for %q", text)
	}
	for text := range listed {
		assert.True(t, texts[text], "docs/errors.md has a row for %q, which is no error any more", text)
	}
}
