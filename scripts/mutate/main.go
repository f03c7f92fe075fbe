// Command mutate takes each guard of package vidu away once and runs the tests that should notice.
//
//	go run ./scripts/mutate            every guard
//	go run ./scripts/mutate redirects  the guards whose name contains the word
//
// It prints one line a guard, "killed by TestX" or "SURVIVED", and exits with status 1 when one survived. It works on a
// copy of the package in a temporary directory. A mutation whose pattern is not found exactly once in its file, or that
// does not compile, is an error (status 2): the guard has moved, and the list below has to follow.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// mutation replaces old, which must stand in the file exactly once, by text without the guard.
type mutation struct {
	guard string
	file  string
	old   string
	text  string
	tests string // the pattern of the tests that should fail
}

// testTime ends a mutant that hangs, which counts as killed. No test takes as long.
const testTime = "60s"

var (
	errSurvived = errors.New("a guard can be taken away unnoticed")
	failedTest  = regexp.MustCompile(`(?m)^--- FAIL: (\w+)`)
	hangingTest = regexp.MustCompile(`(?m)^panic: test timed out[\s\S]*?running tests:\s+(\w+)`)
	crashedTest = regexp.MustCompile(`(?m)^panic: [\s\S]*?vidu_test\.(Test\w+)`)
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "mutate:", err)
	if errors.Is(err, errSurvived) {
		os.Exit(1)
	}
	os.Exit(2)
}

func run(ctx context.Context, words []string) error {
	chosen := choose(words)
	if len(chosen) == 0 {
		return fmt.Errorf("no guard is named %q", words)
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is temporary
	copies := make([]string, min(runtime.NumCPU(), len(chosen)))
	for i := range copies {
		copies[i] = filepath.Join(dir, strconv.Itoa(i))
		if err := copyPackage(root, copies[i]); err != nil {
			return err
		}
	}
	if killer, err := test(ctx, copies[0], testsOf(chosen)); err != nil || killer != "" {
		return errors.Join(err, fmt.Errorf("the tests fail without a mutation: %s", killer))
	}
	return tryAll(ctx, copies, chosen)
}

func choose(words []string) []mutation {
	all := slices.Concat(mutations, waitingMutations)
	if len(words) == 0 {
		return all
	}
	var chosen []mutation
	for _, m := range all {
		for _, word := range words {
			if strings.Contains(m.guard, word) {
				chosen = append(chosen, m)
				break
			}
		}
	}
	return chosen
}

func testsOf(chosen []mutation) string {
	patterns := make([]string, len(chosen))
	for i, m := range chosen {
		patterns[i] = m.tests
	}
	return strings.Join(patterns, "|")
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	mod := strings.TrimSpace(string(out))
	if filepath.Base(mod) != "go.mod" {
		return "", errors.New("run it inside the module")
	}
	return filepath.Dir(mod), nil
}

// copyPackage copies what the root package and its tests are made of.
func copyPackage(root, dir string) error {
	entries, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for _, entry := range entries {
		from, to := filepath.Join(root, entry.Name()), filepath.Join(dir, entry.Name())
		switch name := entry.Name(); {
		case name == "vidutest", name == "testdata", name == "docs":
			err = os.CopyFS(to, os.DirFS(from))
		case strings.HasSuffix(name, ".go"), strings.HasSuffix(name, ".md"), name == "go.mod", name == "go.sum":
			err = copyFile(from, to)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o600)
}

// tryAll shares the mutations among as many goroutines as there are copies.
func tryAll(ctx context.Context, copies []string, chosen []mutation) error {
	began := time.Now()
	todo := make(chan mutation)
	errs := make([]error, len(copies))
	var running sync.WaitGroup
	for i, dir := range copies {
		running.Go(func() {
			for m := range todo {
				errs[i] = errors.Join(errs[i], report(ctx, dir, m))
			}
		})
	}
	for _, m := range chosen {
		todo <- m
	}
	close(todo)
	running.Wait()
	fmt.Fprintf(os.Stdout, "%d guards in %v\n", len(chosen), time.Since(began).Round(time.Second))
	return errors.Join(errs...)
}

func report(ctx context.Context, dir string, m mutation) error {
	killer, err := try(ctx, dir, m)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", m.guard, err)
	case killer == "":
		fmt.Fprintf(os.Stdout, "%-46s SURVIVED %s\n", m.guard, m.tests)
		return fmt.Errorf("%s: %w", m.guard, errSurvived)
	}
	fmt.Fprintf(os.Stdout, "%-46s killed by %s\n", m.guard, killer)
	return nil
}

// try takes one guard away, runs the tests, and puts it back.
func try(ctx context.Context, dir string, m mutation) (killer string, err error) {
	path := filepath.Join(dir, m.file)
	original, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if n := bytes.Count(original, []byte(m.old)); n != 1 {
		return "", fmt.Errorf("%s has its pattern %d times, not once: %q", m.file, n, m.old)
	}
	mutant := bytes.Replace(original, []byte(m.old), []byte(m.text), 1)
	if err := os.WriteFile(path, mutant, 0o600); err != nil {
		return "", err
	}
	killer, err = test(ctx, dir, m.tests)
	return killer, errors.Join(err, os.WriteFile(path, original, 0o600))
}

// test returns the first test that fails, "" when none does.
func test(ctx context.Context, dir, pattern string) (killer string, err error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-vet=off", "-ldflags=-s -w", "-count=1", "-timeout="+testTime, "-run", pattern, ".") //nolint:gosec // our own patterns
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err == nil && bytes.Contains(out, []byte("no tests to run")):
		return "", fmt.Errorf("no test matches %q", pattern)
	case err == nil:
		return "", nil
	}
	for _, sign := range []*regexp.Regexp{failedTest, hangingTest, crashedTest} {
		if found := sign.FindSubmatch(out); found != nil {
			return string(found[1]), nil
		}
	}
	return "", fmt.Errorf("go test: %w\n%s", err, out[:min(len(out), 2000)])
}
