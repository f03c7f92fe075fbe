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

	tiny = 1 << 10 // bytes of a picture that only warms up
)

// senders are all contestants, and vidu with its own transports, at a server. They share net/http's own transport.
func senders(base string, httpClient *http.Client, o order) (contestants []contestant, err error) {
	own, err := entryOf(ownWires)
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

const picturesWhy = "vidu looks at every picture before anything is sent: its type, its sides, the size of the whole request."

func measurePictures(ctx context.Context, b *bench) error {
	return b.withServer(ctx, func(server *process, httpClient *http.Client) error {
		o, err := layOut(b.dir, b.pictureSize)
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
		if err := server.expect(ctx, httpClient, books{Creates: int64(len(contestants) * pieces(b.bigRounds, 1, 1))}); err != nil {
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
		o, err := layOut(b.dir, b.pictureSize)
		if err != nil {
			return err
		}
		contestants, err := senders(server.url+"/half/"+strconv.Itoa(b.pictureSize), httpClient, o)
		if err != nil {
			return err
		}
		t := &table{
			title: "The heap in the middle of such a create", why: picturesWhy,
			text: fmt.Sprintf("What is alive, after a collection, while the server has read half of the request and stops reading; "+
				"less what was alive before. The median of %d.", b.heapRounds),
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
		return server.expect(ctx, httpClient, books{Creates: int64(len(contestants) * (b.heapRounds + 1))})
	})
}

// halfway is by how much the heap has grown in the middle of a create.
func halfway(ctx context.Context, server *process, httpClient *http.Client, c contestant) (float64, error) {
	before := keeps()
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- c.run(ctx)
		stop() // nobody will get halfway any more
	}()
	err := server.post(waiting, httpClient, "/reached")
	during := keeps()
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
			if _, err := layOut(b.dir, size); err != nil {
				return err
			}
		}
		t := &table{
			title: fmt.Sprintf("%d such creates at once", b.atOnce), why: picturesWhy,
			text: "The most memory that the process ever had (`VmHWM`), less what it had after one small create. " +
				"Every client in a fresh process.",
			metrics: []metric{{name: peakOver, show: showBytes}},
		}
		var want books
		names := []string{ours, ownWires}
		for _, e := range entries()[1:] {
			names = append(names, e.name)
		}
		for _, name := range names {
			var grown int
			e := errand{Job: "peak", Name: name, URL: server.url, Dir: b.dir, Size: b.pictureSize, Count: b.atOnce}
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

// peakOf is the job of a process that sends big requests at once: by how much did it grow?
func peakOf(ctx context.Context, e errand) (any, error) {
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

// withServer lends work a server and an http.Client.
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

// expect compares the server's books with what should be in them: nobody wins by not doing the work.
func (p *process) expect(ctx context.Context, httpClient *http.Client, want books) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/books", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := httpClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var got books
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("the server has %+v in its books, not %+v", got, want)
	}
	return nil
}
