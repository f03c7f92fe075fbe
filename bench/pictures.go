package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
)

const (
	picturesTable = "pictures"
	heapTable     = "heap"
	peakTable     = "peak"

	liveHeap = "live heap"
	peakOver = "peak over idle"

	tiny = 1 << 10 // bytes of a picture for warming up
)

// senders returns all contestants, and vidu with its own transports, for a server. The others share one transport of
// net/http.
func senders(base string, httpClient *http.Client, o order) (contestants []contestant, err error) {
	own, err := entryOf(ownTransports)
	if err != nil {
		return nil, err
	}
	all := entries()
	for _, e := range append(append(all[:1:1], own), all[1:]...) {
		c, err := e.dial(base, httpClient)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
		contestants = append(contestants, contestant{name: e.name, run: func(ctx context.Context) error { return gotTask(c.create(ctx, o)) }})
	}
	return contestants, nil
}

func (b *bench) describe() string {
	return fmt.Sprintf("A create with %d pictures of %s from disk in its body, over loopback to a server in another process, "+
		"which decodes every picture and compares its checksum.", pictures, showSize(b.pictureSize))
}

const picturesWhy = "vidu checks every picture before anything is sent: its type, its dimensions, the size of the whole request."

func measurePictures(ctx context.Context, b *bench) error {
	return b.withServer(ctx, func(server *process, httpClient *http.Client) error {
		o, err := writePictures(b.dir, b.pictureSize)
		if err != nil {
			return err
		}
		contestants, err := senders(server.url+"/whole/"+strconv.Itoa(b.pictureSize), httpClient, o)
		if err != nil {
			return err
		}
		costs, err := compare(ctx, contestants, b.bigRounds, 1, 1)
		if err != nil {
			return err
		}
		if err := server.expect(ctx, httpClient, counts{Creates: int64(len(contestants) * pieces(b.bigRounds, 1, 1))}); err != nil {
			return err
		}
		t := &table{
			title: "A create with pictures", why: picturesWhy,
			text: fmt.Sprintf("%s The CPU is the client's. %d rounds of one create each, after one that is not measured.", b.describe(), b.bigRounds),
			metrics: []metric{
				{name: allocated, of: ofBytes, show: showBytes},
				{name: cpu, of: ofCPU, show: showTime},
			},
		}
		t.fill(contestants, costs)
		b.tables[picturesTable] = t
		return nil
	})
}

func measureHeap(ctx context.Context, b *bench) error {
	return b.withServer(ctx, func(server *process, httpClient *http.Client) error {
		o, err := writePictures(b.dir, b.pictureSize)
		if err != nil {
			return err
		}
		contestants, err := senders(server.url+"/half/"+strconv.Itoa(b.pictureSize), httpClient, o)
		if err != nil {
			return err
		}
		t := &table{
			title: "The heap in the middle of such a create", why: picturesWhy,
			text: fmt.Sprintf("Live heap after a garbage collection, while the server pauses at half of the request, less that before the "+
				"create. The median of %d.", b.heapRounds),
			metrics: []metric{{name: liveHeap, show: showBytes}},
		}
		for _, c := range contestants {
			var grown []float64
			for range b.heapRounds + 1 { // the first warms up
				n, err := halfway(ctx, server, httpClient, c)
				if err != nil {
					return fmt.Errorf("%s: %w", c.name, err)
				}
				grown = append(grown, n)
			}
			t.add(c.name, median(grown[1:]))
		}
		t.rate()
		b.tables[heapTable] = t
		return server.expect(ctx, httpClient, counts{Creates: int64(len(contestants) * (b.heapRounds + 1))})
	})
}

// halfway returns by how much the heap has grown in the middle of a create.
func halfway(ctx context.Context, server *process, httpClient *http.Client, c contestant) (float64, error) {
	before := currentFootprint()
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- c.run(ctx)
		stop() // it will not get halfway any more
	}()
	err := server.post(waiting, httpClient, "/reached")
	during := currentFootprint()
	if err == nil {
		err = server.post(ctx, httpClient, "/go-on")
	}
	if failure := <-ended; failure != nil {
		return 0, failure
	}
	return float64(during.Heap - before.Heap), err
}

func measurePeak(ctx context.Context, b *bench) error {
	return b.withServer(ctx, func(server *process, httpClient *http.Client) error {
		for _, size := range []int{tiny, b.pictureSize} {
			if _, err := writePictures(b.dir, size); err != nil {
				return err
			}
		}
		t := &table{
			title: fmt.Sprintf("%d such creates at once", b.atOnce), why: picturesWhy,
			text:    "Peak memory of the process (`VmHWM`), less its memory after one small create. Every client in a fresh process.",
			metrics: []metric{{name: peakOver, show: showBytes}},
		}
		var want counts
		names := []string{ours, ownTransports}
		for _, e := range entries()[1:] {
			names = append(names, e.name)
		}
		for _, name := range names {
			var grown int
			e := childJob{Job: "peak", Name: name, URL: server.url, Dir: b.dir, Size: b.pictureSize, Count: b.atOnce}
			if err := b.do(ctx, e, &grown); err != nil {
				return err
			}
			t.add(name, float64(grown))
			want.Creates += int64(b.atOnce) + 1
		}
		t.rate()
		b.tables[peakTable] = t
		return server.expect(ctx, httpClient, want)
	})
}

// peakOf is the job of a process that sends big requests at once. It returns by how much the process grew.
func peakOf(ctx context.Context, e childJob) (any, error) {
	entry, err := entryOf(e.Name)
	if err != nil {
		return nil, err
	}
	httpClient := loopback()
	defer httpClient.CloseIdleConnections()
	send := func(size int) error {
		c, err := entry.dial(e.URL+"/whole/"+strconv.Itoa(size), httpClient)
		if err != nil {
			return err
		}
		return gotTask(c.create(ctx, ordered(e.Dir, size)))
	}
	if err := send(tiny); err != nil {
		return nil, err
	}
	idle, err := resident("VmRSS")
	if err != nil {
		return nil, err
	}
	var sending sync.WaitGroup
	failures := make([]error, e.Count)
	for n := range e.Count {
		sending.Go(func() { failures[n] = send(e.Size) })
	}
	sending.Wait()
	peak, err := resident("VmHWM")
	return peak - idle, errors.Join(append(failures, err)...)
}

// withServer calls work with a server and an http.Client.
func (b *bench) withServer(ctx context.Context, work func(server *process, httpClient *http.Client) error) error {
	server, err := startServer(ctx)
	if err != nil {
		return err
	}
	httpClient := loopback()
	err = work(server, httpClient)
	httpClient.CloseIdleConnections()
	return errors.Join(err, server.stop())
}

// post waits until the server answers.
func (p *process) post(ctx context.Context, httpClient *http.Client, path string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+path, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := httpClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return errors.Join(err, status(resp.StatusCode))
}

// expect compares the server's counts with what they must be.
func (p *process) expect(ctx context.Context, httpClient *http.Client, want counts) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/counts", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := httpClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var got counts
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("the server counted %+v, not %+v", got, want)
	}
	return nil
}
