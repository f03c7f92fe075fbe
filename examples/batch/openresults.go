package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/gofrs/flock"
)

// openResults opens the results of earlier runs, or creates the file.
func openResults(path, server string, stderr io.Writer) (_ *results, err error) {
	r := &results{lock: flock.New(path + ".lock"), last: map[string]record{}, missed: map[string]record{}}
	locked, err := r.lock.TryLock() // concurrent runs would create the same jobs
	if err != nil {
		return nil, err
	}
	if !locked {
		return nil, fmt.Errorf("%s: another run is using it", path)
	}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	whole, err := r.read(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if whole > 0 && r.server != server {
		return nil, fmt.Errorf("%s: its tasks belong to %s, not to %s; take another -out", path, r.server, server)
	}
	if r.file, err = open(path, os.O_CREATE|os.O_RDWR); err != nil {
		return nil, err
	}
	if tail := data[whole:]; len(tail) > 0 {
		fmt.Fprintf(stderr, "%s: cutting off a line that a killed run left incomplete: %.300q\n", path, tail)
	}
	r.size = int64(whole)
	if err := r.repair(data[:whole]); err != nil {
		return nil, err
	}
	if whole == 0 && !r.add(record{State: stateBatch, Server: server}) {
		return nil, r.failure()
	}
	return r, syncFolder(filepath.Dir(path)) // always, since a run may have been killed before it
}

// read parses the records and returns their size in bytes. Only the last line can be damaged by a kill or a power
// failure, since each is synced before the next is written. It may be dropped: if it was a "creating", nothing was sent
// yet, and if not, the job's previous line is the safer one.
func (r *results) read(data []byte) (whole int, err error) {
	for number := 1; whole < len(data); number++ {
		line, rest, _ := bytes.Cut(data[whole:], []byte("\n"))
		var rec record
		err := json.Unmarshal(line, &rec)
		switch {
		case err != nil || rec.State == "" || (rec.Job == "") != (rec.State == stateBatch):
			if len(bytes.TrimSpace(rest)) > 0 {
				return 0, fmt.Errorf("line %d is invalid, and may be that of a paid task: repair it by hand", number)
			}
			return whole, nil
		case (number == 1) != (rec.State == stateBatch):
			return 0, fmt.Errorf("line %d: only the first line must name the server", number)
		case number == 1:
			r.server = rec.Server
		default:
			r.last[rec.Job] = rec
		}
		whole = len(data) - len(rest)
	}
	return whole, nil
}

// repair leaves the file with complete lines only.
func (r *results) repair(data []byte) error {
	err := r.file.Truncate(r.size)
	if err == nil && len(data) > 0 && data[len(data)-1] != '\n' {
		_, err = r.file.WriteAt([]byte("\n"), r.size)
		r.size++
	}
	return errors.Join(err, r.file.Sync())
}

// makeFolder makes a folder and those above it, and syncs them against power failures.
func makeFolder(path string) error {
	var above []string
	for dir := path; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		above = append(above, filepath.Dir(dir))
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	for _, dir := range slices.Backward(above) {
		if err := syncFolder(dir); err != nil {
			return err
		}
	}
	return nil
}

// syncFolder makes the names in a folder durable. Windows cannot, and need not.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := open(path, os.O_RDONLY)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
