package fetch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

const (
	tempAge  = 24 * time.Hour // after it, a temporary file belongs to a process that died
	maxSwept = 1000           // directory entries looked at for such files
)

// Target is a file that appears whole or not at all: a temporary file beside it is synced and gets its name at the end.
type Target struct {
	Path      string
	Overwrite bool // replace an existing file

	Link func(from, to string) error // [os.Link], where it is nil
	Sync func(*os.File) error        // [os.File.Sync], where it is nil
}

// Create opens the temporary file. What could keep the finished file from its place fails here, before the download.
func (t *Target) Create() (*os.File, error) {
	path := t.Path
	if path == "" {
		return nil, errors.New("the path is empty")
	}
	if err := t.check(); err != nil {
		return nil, err
	}
	sweepTemps(filepath.Dir(path))
	return os.CreateTemp(filepath.Dir(path), ".vidu-*.part") // random, O_EXCL, 0600
}

func (t *Target) check() error {
	info, err := os.Lstat(t.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir() && !t.Overwrite:
		return fmt.Errorf("%s is a directory, not a file: %w", t.Path, fs.ErrExist)
	case info.IsDir():
		return fmt.Errorf("%s is a directory, not a regular file", t.Path)
	case !t.Overwrite:
		return t.exists()
	case !info.Mode().IsRegular() && info.Mode()&fs.ModeSymlink == 0:
		return fmt.Errorf("%s is not a regular file", t.Path)
	}
	return nil
}

// exists is the error of a file that is kept.
func (t *Target) exists() error {
	return fmt.Errorf("%w; WithOverwrite replaces it", &fs.PathError{Op: "create", Path: t.Path, Err: fs.ErrExist})
}

var tempName = regexp.MustCompile(`^\.vidu-\d+\.part$`)

// sweepTemps removes what killed processes left behind. A running download writes to its file every few minutes; one
// whose machine was suspended is the exception. A huge directory is not read to its end, for that would cost more than
// the file.
func sweepTemps(dir string) {
	d, err := os.Open(dir)
	if err != nil {
		return // creating the file will say why
	}
	defer d.Close()                   //nolint:errcheck // only read
	entries, _ := d.ReadDir(maxSwept) // what could be read is enough
	for _, entry := range entries {
		if !tempName.MatchString(entry.Name()) {
			continue
		}
		info, err := entry.Info()
		if err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > tempAge {
			os.Remove(filepath.Join(dir, entry.Name())) //nolint:errcheck // another process may have been faster
		}
	}
}

// Commit makes the temporary file durable and gives it its name.
func (t *Target) Commit(temp *os.File) error {
	sync := t.Sync
	if sync == nil {
		sync = (*os.File).Sync
	}
	if err := errors.Join(sync(temp), temp.Close()); err != nil {
		return err
	}
	if err := t.move(temp.Name()); err != nil {
		return err
	}
	// The file is there; syncing the directory only lets its name survive a power cut, and not every system can.
	if dir, err := os.Open(filepath.Dir(t.Path)); err == nil {
		sync(dir)   //nolint:errcheck // see above
		dir.Close() //nolint:errcheck // only read
	}
	return nil
}

// move renames. Without overwrite the file is linked, which, unlike a rename, fails when the name was taken meanwhile.
// Where there are no hard links, an empty file of ours takes the name first; a process that is killed then leaves that.
func (t *Target) move(temp string) error {
	link := t.Link
	if link == nil {
		link = os.Link
	}
	if t.Overwrite {
		return os.Rename(temp, t.Path)
	}
	err := link(temp, t.Path)
	if err == nil {
		return nil
	}
	if errors.Is(err, fs.ErrExist) {
		return t.exists()
	}
	place, err := os.OpenFile(t.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return t.exists()
	}
	if err != nil {
		return err
	}
	if err := errors.Join(place.Close(), os.Rename(temp, t.Path)); err != nil {
		return errors.Join(err, os.Remove(t.Path))
	}
	return nil
}
