package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

const (
	connectionsTable = "connections, HTTP/1.1"
	streamsTable     = "connections, HTTP/2"

	newConnections = "new connections per poll"
	cpuPerPoll     = "CPU per poll"
)

func measureConnections(ctx context.Context, b *bench) error {
	for _, protocol := range []struct {
		table, name, why string
		http2            bool
	}{
		{connectionsTable, "HTTP/1.1", "vidu keeps up to 64 connections for the next poll; each goroutine's first poll still opens one.", false},
		{streamsTable, "HTTP/2", "One connection would suffice; those counted are from the first polls, which begin at the same moment.", true},
	} {
		t := &table{
			title: "Polls at once over TLS, " + protocol.name,
			text: fmt.Sprintf("%d goroutines with %d polls each; every client with its own default transport, in a fresh process, against a "+
				"server that counts connections. “By hand” is `http.Client{}`.", b.pollers, b.polls),
			why: protocol.why,
			metrics: []metric{
				{name: newConnections, show: showShare},
				{name: cpuPerPoll, show: showTime, aside: true},
			},
		}
		for _, e := range entries() {
			if err := b.countConnections(ctx, t, e.name, protocol.http2); err != nil {
				return fmt.Errorf("%s: %w", e.name, err)
			}
		}
		t.rate()
		b.tables[protocol.table] = t
	}
	return nil
}

// countConnections has one client poll its own server.
func (b *bench) countConnections(ctx context.Context, t *table, name string, http2 bool) error {
	var connections, requests atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		number := requests.Add(1)
		w.Header().Set("Content-Type", "application/json")
		w.Write(answer(r, number)) //nolint:errcheck // the client reports it
	}))
	server.EnableHTTP2 = http2
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // clients abort handshakes that they no longer need
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.StartTLS()
	defer server.Close()
	trust := filepath.Join(b.dir, "trust.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(trust, text, 0o600); err != nil {
		return err
	}
	var seconds float64
	e := childJob{Job: "polls", Name: name, URL: server.URL, Trust: trust, AtOnce: b.pollers, Count: b.polls}
	if err := b.do(ctx, e, &seconds); err != nil {
		return err
	}
	polls := b.pollers * b.polls
	if requests.Load() != int64(polls) {
		return fmt.Errorf("%d requests for %d polls", requests.Load(), polls)
	}
	t.add(name, float64(connections.Load())/float64(polls), seconds/float64(polls))
	return nil
}

// pollAtOnce is the job of a process that polls with many goroutines. It returns its CPU time in seconds.
func pollAtOnce(ctx context.Context, e childJob) (any, error) {
	entry, err := entryOf(e.Name)
	if err != nil {
		return nil, err
	}
	if err := os.Setenv("SSL_CERT_FILE", e.Trust); err != nil { // the clients keep their defaults
		return nil, err
	}
	c, err := entry.dial(e.URL, nil)
	if err != nil {
		return nil, err
	}
	before, err := cpuTime()
	if err != nil {
		return nil, err
	}
	var polling sync.WaitGroup
	failures := make([]error, e.AtOnce)
	for n := range e.AtOnce {
		polling.Go(func() {
			for range e.Count {
				if failures[n] = gotTask(c.poll(ctx, taskID)); failures[n] != nil {
					return
				}
			}
		})
	}
	polling.Wait()
	after, err := cpuTime()
	return (after - before).Seconds(), errors.Join(append(failures, err)...)
}
