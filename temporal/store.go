package viduworkflow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"

	"github.com/vidu-go/vidu"
)

// Store keeps finished videos: in a directory ([Dir]), a bucket, a database.
type Store interface {
	// Save fetches the video and keeps it under name, the workflow's id, whole or not at all. It returns the location,
	// a path or a key, for the workflow's result.
	//
	// It is called again, with a fresh link, after an error or a crash, possibly although the video was kept: it then
	// replaces the video.
	Save(ctx context.Context, name string, video *Video) (location string, err error)
}

// Video is a finished video that can be fetched, by one of its methods.
type Video struct {
	Client *vidu.Client
	Task   *vidu.Task

	done atomic.Int64 // bytes
}

// Download writes the video to w, see [vidu.Client.Download]. After an error discard what w has.
func (v *Video) Download(ctx context.Context, w io.Writer) (int64, error) {
	return v.Client.Download(ctx, v.Task, w, v.progress())
}

// DownloadFile writes the video to a file, whole or not at all, see [vidu.Client.DownloadFile]. It replaces the file of
// an earlier attempt.
func (v *Video) DownloadFile(ctx context.Context, path string) (int64, error) {
	return v.Client.DownloadFile(ctx, v.Task, path, vidu.WithOverwrite(), v.progress())
}

func (v *Video) progress() vidu.DownloadOption {
	return vidu.WithProgressBytes(func(done, _ int64) { v.done.Store(done) })
}

// Dir is a [Store]: a directory, made when it is missing, that all workers share. A video is named after its workflow,
// with what some system does not take in a file name escaped: generation 7/a is in 7%2Fa.mp4. A name with capital
// letters ends in a hash, since some systems take Order and order for the same file, and so does a long one.
type Dir string

// maxName leaves room for a suffix in the 255 bytes of a file name.
const maxName = 200

// Save implements [Store].
func (d Dir) Save(ctx context.Context, name string, video *Video) (string, error) {
	if d == "" || name == "" {
		return "", errors.New("the directory or the name is empty")
	}
	if err := os.MkdirAll(string(d), 0o750); err != nil {
		return "", fmt.Errorf("make the directory: %w", err)
	}
	path := filepath.Join(string(d), fileName(name))
	if _, err := video.DownloadFile(ctx, path); err != nil {
		return "", err
	}
	return path, nil
}

// reservedName matches names that Windows keeps for devices, whatever their extension, hidden files, and what a command
// would take for an option.
var reservedName = regexp.MustCompile(`(?i)^([.-]|(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$))`)

func fileName(name string) string {
	escaped := url.QueryEscape(name)
	if reservedName.MatchString(escaped) {
		escaped = fmt.Sprintf("%%%02X%s", escaped[0], escaped[1:])
	}
	if len(escaped) > maxName || name != strings.ToLower(name) {
		sum := sha256.Sum256([]byte(name))
		hash := hex.EncodeToString(sum[:16])
		escaped = escaped[:min(len(escaped), maxName-len(hash)-1)] + "-" + hash
	}
	return escaped + ".mp4"
}
