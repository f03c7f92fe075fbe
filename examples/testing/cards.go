// Package cards is a tiny service that makes one video for each order of a greeting card. It shows how to use a paid
// API without idempotency, and its tests how to check with vidutest that no order is paid twice.
package cards

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/vidu-go/vidu"
)

// Service makes cards. Each order has a record in Dir, which is written before its task is created.
type Service struct {
	Client *vidu.Client
	Dir    string
	Motif  vidu.Media
}

// Card makes the video of an order, once. After any error it may be called again and goes on where it stopped. If
// [vidu.ErrMaybeCreated] persists, an operator has to look for the task. A failed task is not charged and stays failed.
func (s *Service) Card(ctx context.Context, order, greeting string) (string, error) {
	path := s.path(order)
	if video, err := os.Stat(path + ".mp4"); err == nil && video.Size() > 0 {
		return path + ".mp4", nil
	}
	id, err := s.begin(ctx, path+".task", greeting)
	if errors.Is(err, fs.ErrExist) {
		id, err = s.recall(ctx, path+".task")
	}
	var task *vidu.Task
	if err == nil {
		task, err = s.Client.Wait(ctx, id)
	}
	if err == nil {
		_, err = s.Client.DownloadFile(ctx, task, path+".mp4", vidu.WithOverwrite())
	}
	if err != nil {
		return "", fmt.Errorf("order %q: %w", order, err)
	}
	return path + ".mp4", nil
}

// path returns the beginning of an order's file names. It is hexadecimal, so that no order leads out of the folder, as
// ".." would, and no two share a file, as "A" and "a" would on a case-insensitive disk.
func (s *Service) path(order string) string {
	return filepath.Join(s.Dir, "card-"+hex.EncodeToString([]byte(order)))
}

// begin creates the task of a new order. Its record has two lines: the payload, which is on the disk before the call,
// and then the task's id. The payload is new for every create: with that of the first try, a second try of a refused
// order could not be told from it.
func (s *Service) begin(ctx context.Context, record, greeting string) (string, error) {
	file, err := os.OpenFile(record, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	defer file.Close() //nolint:errcheck // Sync has reported what matters, and a second Close does nothing
	payload := vidu.NewMarker()
	_, err = file.WriteString(payload + "\n")
	var task *vidu.Task
	if err = errors.Join(err, file.Sync(), syncFolder(s.Dir)); err == nil {
		task, err = s.Client.Reference2Video(ctx, &vidu.Reference2VideoRequest{
			Model: vidu.ModelQ2Pro, Images: []vidu.Media{s.Motif}, Prompt: greeting, Payload: payload,
		})
	}
	switch {
	case errors.Is(err, vidu.ErrMaybeCreated):
		return "", err // the record stays, so that the task is not created again
	case err != nil:
		return "", errors.Join(err, file.Close(), os.Remove(record)) // nothing was created: the next call may retry
	}
	_, err = file.WriteString(task.ID + "\n")
	return task.ID, errors.Join(err, file.Sync())
}

// syncFolder makes the name of a new file durable, too. Windows cannot, and need not.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// recall returns the task of an order that was begun. It never creates one.
func (s *Service) recall(ctx context.Context, record string) (string, error) {
	text, err := os.ReadFile(record)
	if err != nil {
		return "", err
	}
	lines := strings.Split(string(text), "\n") // a crash leaves fewer than two, or the last one without its end
	switch {
	case len(lines) > 2:
		return lines[1], nil
	case len(lines) < 2: // the payload was not written: another process is about to create the task, or died before
		return "", fmt.Errorf("%w: %s is not complete", vidu.ErrMaybeCreated, record)
	}
	task, err := s.Client.FindTask(ctx, lines[0], time.Time{})
	if err != nil { // most gateways list no tasks: an operator has to look
		return "", fmt.Errorf("%w: %w", vidu.ErrMaybeCreated, err)
	}
	return task.ID, nil
}
