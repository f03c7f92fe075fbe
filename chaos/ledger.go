package main

import (
	"fmt"
	"sync"
)

// ledger records what the servers received and charged for.
type ledger struct {
	mu       sync.Mutex
	charges  map[string][]string // ids of the tasks of each payload
	tasks    int
	requests int // POSTs whose header arrived
	met      [kinds]int
}

func newLedger() *ledger { return &ledger{charges: map[string][]string{}} }

// charge creates a task and returns its id.
func (l *ledger) charge(payload string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tasks++
	id := fmt.Sprintf("9162%014d", l.tasks)
	l.charges[payload] = append(l.charges[payload], id)
	return id
}

// note counts a request and its fault.
func (l *ledger) note(k kind) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests++
	l.met[k]++
}
