package main

import (
	"math"
	"math/rand/v2"
	"strconv"
	"time"
)

// kind is a kind of fault.
type kind uint8

// After all but the first two the outcome is unknown to the client.
const (
	healthy       kind = iota
	busy               // 429
	cutBefore          // the connection ends when the header is in and the body unread
	cutInside          // … in the middle of the body
	cutAfter           // … after the body; nothing was done with it
	lostReply          // … after the commit
	lateCommit         // … after the body; the commit comes later
	hang               // committed, never answered; the caller gives up
	serverError        // 5xx, committed or not
	truncated          // committed, and the answer breaks off
	goAway             // HTTP/2 GOAWAY, before the stream or after it
	refusedStream      // HTTP/2 REFUSED_STREAM, from the server or from a proxy that had passed the request on
	protocolError      // HTTP/2 PROTOCOL_ERROR, after which net/http retries
	earlyAnswer        // 503 before the body or in the middle of it, which is committed if it still arrives in full
	resetReused        // a reused connection ends before the body or after the commit
	kinds              // their number
)

// kindNames are for the report.
var kindNames = [kinds]string{
	"", "429", "cut before the body", "cut inside the body", "cut after the body", "reply lost after the commit",
	"late commit", "hang", "5xx", "truncated reply", "GOAWAY", "REFUSED_STREAM", "PROTOCOL_ERROR",
	"503 before the end of the body", "reset on a reused connection",
}

func (k kind) ambiguous() bool { return k >= cutBefore }

// fault is what happens to one request. Over HTTP/1.1 the faults of HTTP/2 end the connection.
type fault struct {
	kind    kind
	commits bool    // the request creates a task, which is paid for
	cancel  bool    // instead of a cut the client's context ends there
	at      float64 // where in the request or the reply, from 0 to 1
	rst     bool    // connections end with RST instead of FIN
	status  int     // of serverError
	form    int     // 0–2: of the ways to send the reply or to abandon a stream
	shape   int     // 0–3: of the dialects of the reply
}

// create is one call of a client and its faults.
type create struct {
	number      uint64
	imageBytes  int           // 0: the image is a link
	warm        bool          // a GET comes first, so that a pool has an idle connection
	faults      []fault       // of its requests, in the order in which they arrive; later ones are healthy
	cancelAfter time.Duration // the timeout of the client's context; 0: none
	cancelAt    float64       // the part of the image after which the context ends; 0: none
}

// payload identifies the create in the ledger.
func (c *create) payload() string { return "chaos-" + strconv.FormatUint(c.number, 10) }

// random is the source of everything about one create, so that all clients get the same.
func random(seed, number uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, number)) //nolint:gosec // repeatable on purpose
}

func newFault(r *rand.Rand, k kind) fault {
	f := fault{
		kind: k, at: r.Float64(), rst: r.IntN(2) == 0, form: r.IntN(3), shape: r.IntN(4),
		status: []int{500, 502, 503, 504, 520}[r.IntN(5)],
	}
	coin := r.IntN(2) == 0
	switch k {
	case healthy, lostReply, lateCommit, hang, truncated, earlyAnswer:
		f.commits = true
	case serverError, goAway, refusedStream, protocolError, resetReused:
		f.commits = coin
	default:
	}
	return f
}

// largeImage is more than the buffers between two sockets hold.
const largeImage = 3 << 20

// faultyCreate meets an ambiguous fault with probability 0.6 and a 429 with 0.05. A retry meets a healthy server with
// probability 0.7.
func faultyCreate(seed, number uint64) *create {
	r := random(seed, number)
	c := &create{number: number}
	for _, ambiguous := range []float64{0.60, 0.25, 0.25, 0.25, 0.25} {
		k := healthy
		switch p := r.Float64(); {
		case p < ambiguous:
			k = cutBefore + kind(r.IntN(int(kinds-cutBefore))) //nolint:gosec // below kinds
		case p < ambiguous+0.05:
			k = busy
		}
		c.faults = append(c.faults, newFault(r, k))
	}
	c.warm = c.faults[0].kind == resetReused
	c.enlarge(r)
	return c
}

// enlarge gives some creates a large image, above all where it matters how much of the body was sent.
func (c *create) enlarge(r *rand.Rand) {
	share := 60
	if c.faults[0].kind == earlyAnswer {
		share = 4
	}
	if r.IntN(share) == 0 {
		c.imageBytes = largeImage
	}
}

// cancelledCreate is cancelled or cut once, at a random point of the request or the answer.
func cancelledCreate(seed, number uint64) *create {
	r := random(seed, number)
	c := &create{number: number}
	if r.IntN(5) < 2 {
		c.imageBytes = int(logUniform(r, 8<<10, 400<<10))
	}
	f := newFault(r, healthy)
	switch p := r.IntN(20); {
	case p < 7:
		c.cancelAfter = time.Duration(logUniform(r, 5e3, 10e6))
	case p < 11:
		c.imageBytes = max(c.imageBytes, 8<<10)
		c.cancelAt = min(1, 0.05+1.2*r.Float64()) // often the very end
	case p < 14:
		f = newFault(r, cutInside)
		f.cancel, f.commits = true, true
	case p < 16:
		f = newFault(r, truncated)
		f.cancel = true
	case p < 17:
		f = newFault(r, cutInside)
	case p < 18:
		f = newFault(r, earlyAnswer)
	default:
		f = newFault(r, truncated)
	}
	c.faults = []fault{f}
	c.enlarge(r)
	return c
}

// logUniform returns a log-uniform random number between low and high.
func logUniform(r *rand.Rand, low, high float64) float64 {
	return low * math.Pow(high/low, r.Float64())
}
