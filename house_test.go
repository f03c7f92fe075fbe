package vidu_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// layers are the files of the root package. A file uses only files of the layers before its own, so it can be read with
// nothing but those in mind, and there is no circle.
var layers = [][]string{
	{"codes", "options", "waiters", "media"},
	{"types", "client"},
	{"errors", "request"},
	{"envelope"},
	{"decode", "failure"},
	{"verdict"},
	{"call"},
	{"tasks", "list", "upload", "validate"},
	{"recovery", "wait"},
	{"create", "waitall", "download", "callback"},
	{"reference2video"},
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
	root, _ := config.Check("vidu", fset, files, info) //nolint:errcheck // what the imports lack is an error each

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

// TestHouse_EnginesStandAlone lists what each package below internal/ needs, its tests included. The folders of tests that
// speak to the public API are the exception.
func TestHouse_EnginesStandAlone(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir("internal")
	require.NoError(t, err)
	engines := 0
	for _, entry := range entries {
		name := entry.Name()
		if !entry.IsDir() || slices.Contains([]string{"sockets", "nethttpfacts"}, name) {
			continue
		}
		engines++
		list := exec.CommandContext(t.Context(), "go", "list", "-test", "-deps", "./internal/"+name)
		list.Env = append(os.Environ(), "GOFLAGS=-mod=readonly")
		out, err := list.Output()
		require.NoError(t, err)
		for dep := range strings.Lines(string(out)) {
			dep, _, _ = strings.Cut(strings.TrimSpace(dep), " ") // "PACKAGE [PACKAGE.test]"
			if dep != module && !strings.HasPrefix(dep, module+"/") {
				continue
			}
			engine := strings.TrimPrefix(dep, module+"/internal/")
			own := strings.TrimSuffix(strings.TrimSuffix(engine, ".test"), "_test") == name
			assert.True(t, own || slices.Contains(mayImport, engine), "internal/%s needs %s", name, dep)
		}
		out, err = exec.CommandContext(t.Context(), "go", "list", "-deps", "./internal/"+name).Output()
		require.NoError(t, err)
		if name != "testkit" {
			assert.NotContains(t, string(out), "internal/testkit", "internal/%s needs it without its tests", name)
			assert.NotContains(t, string(out), "stretchr", "internal/%s needs it without its tests", name)
		}
	}
	assert.GreaterOrEqual(t, engines, 12)
}
