package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"github.com/vidu-go/vidu"
)

const (
	downloadTable = "download"

	throughput = "throughput"
)

// downloads returns the ways to download link into a synced file.
func downloads(base, link, path string, httpClient *http.Client) ([]contestant, error) {
	c, err := newVidu(base, httpClient)
	if err != nil {
		return nil, err
	}
	done := &vidu.Task{ID: taskID, State: vidu.StateSuccess, Creations: []vidu.Creation{{URL: link}}}
	byResty2, byResty3, byReq := newResty2(httpClient), newResty3(httpClient), newReq(httpClient)
	return []contestant{
		{name: ours, run: func(ctx context.Context) error {
			_, err := c.DownloadFile(ctx, done, path)
			return err
		}},
		{name: floor, run: func(ctx context.Context) error {
			return fetch(ctx, httpClient, link, func(body io.Reader) error {
				f, err := os.Create(path)
				if err != nil {
					return err
				}
				_, err = io.Copy(f, body)
				return errors.Join(err, f.Sync(), f.Close())
			})
		}},
		{name: "io.ReadAll and os.WriteFile", run: func(ctx context.Context) error {
			return fetch(ctx, httpClient, link, func(body io.Reader) error {
				data, err := io.ReadAll(body)
				if err != nil {
					return err
				}
				return errors.Join(os.WriteFile(path, data, 0o600), flush(path))
			})
		}},
		{name: "go-resty v2, SetOutput", run: func(ctx context.Context) error {
			_, err := byResty2.R().SetContext(ctx).SetOutput(path).Get(link)
			return errors.Join(err, flush(path))
		}},
		{name: "resty v3, SetResponseSaveFileName", run: func(ctx context.Context) error {
			_, err := byResty3.R().SetContext(ctx).SetResponseSaveFileName(path).Get(link)
			return errors.Join(err, flush(path))
		}},
		{name: "imroc/req, SetOutputFile", run: func(ctx context.Context) error {
			_, err := byReq.R().SetContext(ctx).SetOutputFile(path).Get(link)
			return errors.Join(err, flush(path))
		}},
	}, nil
}

func fetch(ctx context.Context, httpClient *http.Client, link string, save func(io.Reader) error) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, link, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := httpClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return errors.Join(status(resp.StatusCode), save(resp.Body))
}

// flush syncs a file that a peer has written.
func flush(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// checkVideo compares a file with the video: its size, and the number at the beginning of every MiB.
func checkVideo(path string, size int) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() != int64(size) {
		return fmt.Errorf("%d bytes of %d", info.Size(), size)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	var number [8]byte
	for n := range size / blockSize {
		if _, err := f.ReadAt(number[:], int64(n)*blockSize); err != nil {
			return err
		}
		if binary.BigEndian.Uint64(number[:]) != uint64(n) {
			return fmt.Errorf("MiB %d is misplaced", n)
		}
	}
	return nil
}

func measureDownload(ctx context.Context, b *bench) error {
	return b.withServer(ctx, func(server *process, httpClient *http.Client) error {
		path := filepath.Join(b.dir, "video.mp4")
		contestants, err := downloads(server.url, server.url+"/video/"+strconv.Itoa(b.videoSize), path, httpClient)
		if err != nil {
			return err
		}
		for i := range contestants {
			contestants[i].after = func() error { return errors.Join(checkVideo(path, b.videoSize), os.Remove(path)) }
		}
		costs, err := compare(ctx, contestants, b.videoRounds, 0, 1)
		if err != nil {
			return err
		}
		t := &table{
			title: "A download",
			text: fmt.Sprintf("%s over loopback, from a server in another process, into a new file that is synced before the call ends. “By "+
				"hand” is `io.Copy`; a sync follows what does not sync itself. The throughput depends on the disk and its other "+
				"users. The other peers leave the copying to their caller. %d rounds.", showSize(b.videoSize), b.videoRounds),
			why: "vidu writes to a temporary file, checks the length, syncs the file and its directory and renames it, so that a " +
				"file is complete or absent. It copies through one pooled buffer of 192 KiB, which the garbage collection at the " +
				"beginning of every round frees.",
			metrics: append(costMetrics()[1:], metric{
				name: throughput, rises: true,
				of:   func(c cost) float64 { return float64(b.videoSize) / c.wall },
				show: func(v float64) string { return showBytes(v) + "/s" },
			}),
		}
		t.fill(contestants, costs)
		b.tables[downloadTable] = t
		return server.expect(ctx, httpClient, counts{Videos: int64(len(contestants) * pieces(b.videoRounds, 0, 1))})
	})
}
