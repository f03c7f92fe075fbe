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

// downloads are ways to get link into a file that is on the disk when they return.
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

// flush makes a file durable that somebody else has written.
func flush(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// checkFilm looks whether a file is the film: its size, and the number at the beginning of every megabyte.
func checkFilm(path string, size int) error {
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
	for n := range size / reel {
		if _, err := f.ReadAt(number[:], int64(n)*reel); err != nil {
			return err
		}
		if binary.BigEndian.Uint64(number[:]) != uint64(n) {
			return fmt.Errorf("megabyte %d is not in its place", n)
		}
	}
	return nil
}

func measureDownload(ctx context.Context, b *bench) error {
	return b.withServer(ctx, func(server *process, httpClient *http.Client) error {
		path := filepath.Join(b.dir, "film.mp4")
		contestants, err := downloads(server.url, server.url+"/film/"+strconv.Itoa(b.film), path, httpClient)
		if err != nil {
			return err
		}
		for i := range contestants {
			contestants[i].after = func() error { return errors.Join(checkFilm(path, b.film), os.Remove(path)) }
		}
		costs, err := compare(ctx, contestants, b.filmTurns, 0, 1)
		if err != nil {
			return err
		}
		t := &table{
			title: "A download",
			text: fmt.Sprintf("%s over loopback, from a server in another process, into a new file that is synced before the call ends. "+
				"“By hand” is `io.Copy`; what does not sync is followed by a sync. The throughput is that of the disk and of whatever "+
				"else uses it. The other peers leave the copying to their caller. %d rounds.", showSize(b.film), b.filmTurns),
			why: "vidu writes to a temporary file, checks the length, syncs the file and its directory and renames it, so that a file is " +
				"whole or not there. It copies through one buffer of 192 KiB, which is kept for the next download until a collection takes " +
				"it; every round begins with one.",
			metrics: append(costMetrics()[1:], metric{
				name: throughput, rises: true,
				of:   func(c cost) float64 { return float64(b.film) / c.wall },
				show: func(v float64) string { return showBytes(v) + "/s" },
			}),
		}
		t.fill(contestants, costs)
		b.tables[downloadTable] = t
		return server.expect(ctx, httpClient, books{Films: int64(len(contestants) * pieces(b.filmTurns, 0, 1))})
	})
}
