package main

import (
	"bytes"
	"cmp"
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
func openResults(path, server string) (_ *results, err error) {
	r := &results{last: map[string]record{}, missed: map[string]record{}}
	if r.file, err = open(path, os.O_CREATE|os.O_RDWR); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return nil, err
	}
	if err := r.exclude(path); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r.file)
	if err != nil {
		return nil, err
	}
	first, err := r.read(data)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", path, err)
	}
	if first != nil && first.Server != server {
		return nil, fmt.Errorf("%s: its tasks belong to %s, not to %s; take another -out", path, first.Server, server)
	}
	if r.size = int64(len(data)); r.size > 0 && data[r.size-1] != '\n' {
		_, err = r.file.WriteAt([]byte("\n"), r.size)
		r.size++
	}
	if err := errors.Join(err, r.file.Sync()); err != nil {
		return nil, err
	}
	if first == nil && !r.add(record{State: stateBatch, Version: version, Server: server}) {
		return nil, r.failure()
	}
	return r, syncFolder(filepath.Dir(path)) // always, since a run may have been killed before it
}

// exclude keeps other runs out, which would create the same jobs. The file itself is locked, since it may be linked to
// from other folders; on Windows, where nobody could read it then, its path without symbolic links is.
func (r *results) exclude(path string) error {
	name := path
	if runtime.GOOS == "windows" {
		name += ".lock"
	}
	r.lock = flock.New(name, flock.SetFlag(os.O_CREATE|os.O_RDWR))
	locked, err := r.lock.TryLock()
	if err == nil && !locked {
		err = fmt.Errorf("%s: another run is using it", path)
	}
	return err
}

const advice = "Nothing was sent, as the line may be about a paid task. If a newer version of this program wrote it, run that one. " +
	"If it is the last line and breaks off, as a power failure leaves it, remove it: the program had not gone on. Else repair it."

// read parses the records. A line that is not understood is an error: to skip it could be to pay twice.
func (r *results) read(data []byte) (first *record, err error) {
	for i, line := range bytes.Split(data, []byte("\n")) {
		line = trim(line)
		if len(line) == 0 {
			continue
		}
		rec, err := parseRecord(line)
		if err == nil && (first == nil) != (rec.State == stateBatch) {
			err = errors.New("the first record, and no other, names the server")
		}
		if err != nil {
			return nil, fmt.Errorf("%d: %w. %s", i+1, err, advice)
		}
		if first == nil {
			first = rec
		} else {
			r.last[rec.Job] = *rec
		}
	}
	return first, nil
}

func parseRecord(line []byte) (*record, error) {
	rec := &record{}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(rec); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more in the line than a record")
	}
	rec.Payload, rec.Marker = cmp.Or(rec.Payload, rec.Marker), ""
	hasTask := rec.State == stateCreated || rec.State == stateDone || rec.State == stateFailed
	switch {
	case rec.Version != 0 && rec.Version != version:
		return nil, fmt.Errorf("version %d is unknown", rec.Version)
	case rec.State == stateBatch:
		return rec, nil
	case !slices.Contains(furthest, rec.State):
		return nil, fmt.Errorf("state %q is unknown", rec.State)
	case rec.Job == "", rec.Payload == "", hasTask && rec.ID == "", rec.State == stateDone && rec.File == "":
		return nil, errors.New("a part of the record is missing")
	}
	return rec, nil
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
