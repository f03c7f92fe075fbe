package main

import (
	"fmt"
	"sync"
)

// ledger is the truth: what the servers received and what they charged for.
type ledger struct {
	mu       sync.Mutex
	charges  map[string][]string // ids of the tasks of each marker
	tasks    int
	requests int // POSTs whose header arrived
	met      [kinds]int
}

func newLedger() *ledger { return &ledger{charges: map[string][]string{}} }

// charge creates a task and returns its id.
func (l *ledger) charge(marker string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tasks++
	id := fmt.Sprintf("9162%014d", l.tasks)
	l.charges[marker] = append(l.charges[marker], id)
	return id
}

// note counts a request and what happens to it.
func (l *ledger) note(k kind) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests++
	l.met[k]++
}
