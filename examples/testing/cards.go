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
	id, err := s.begin(ctx, path+".task", order, greeting)
	if errors.Is(err, fs.ErrExist) {
		id, err = s.recall(ctx, path+".task", order)
	}
	if err != nil {
		return "", fmt.Errorf("order %q: %w", order, err)
	}
	task, err := s.Client.Wait(ctx, id)
	if err != nil {
		return "", fmt.Errorf("order %q: %w", order, err)
	}
	if _, err := s.Client.DownloadFile(ctx, task, path+".mp4"); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("order %q: %w", order, err)
	}
	return path + ".mp4", nil
}

// path returns the beginning of an order's file names. It is hexadecimal, so that no order leads out of the folder, as
// ".." would, and no two share a file, as "A" and "a" would on a case-insensitive disk.
func (s *Service) path(order string) string {
	return filepath.Join(s.Dir, "card-"+hex.EncodeToString([]byte(order)))
}

// begin creates the task of a new order. The order's id is on the disk before the call and comes back as its payload.
func (s *Service) begin(ctx context.Context, record, order, greeting string) (string, error) {
	file, err := os.OpenFile(record, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	defer file.Close() //nolint:errcheck // Sync has reported what matters, and a second Close does nothing
	req := &vidu.Reference2VideoRequest{Model: vidu.ModelQ2Pro, Images: []vidu.Media{s.Motif}, Prompt: greeting, Payload: order}
	var task *vidu.Task
	if err = errors.Join(file.Sync(), syncFolder(s.Dir)); err == nil {
		task, err = s.Client.Reference2Video(ctx, req)
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
func (s *Service) recall(ctx context.Context, record, order string) (string, error) {
	line, err := os.ReadFile(record) // a line without its end was truncated by a crash
	if id, whole := strings.CutSuffix(string(line), "\n"); whole || err != nil {
		return id, err
	}
	task, err := s.Client.FindTask(ctx, order, time.Time{})
	if err != nil { // most gateways list no tasks: an operator has to look
		return "", fmt.Errorf("%w: %w", vidu.ErrMaybeCreated, err)
	}
	return task.ID, nil
}
