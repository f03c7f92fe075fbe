// Package claims is an in-memory store of keys that are being handled or have been handled. A key is claimed by one
// caller at a time; the others wait until it is committed, which lasts for a given time, or released, which gives the
// claim to one of them. The store holds at most 100,000 committed keys and forgets the oldest ones first.
package claims

import (
	"context"
	"sync"
	"time"
)

// maxCommitted is how many committed keys a Memory holds.
const maxCommitted = 100_000

// Memory holds the keys of one process. It is safe for concurrent use.
type Memory struct {
	limit int

	mu        sync.Mutex
	claimed   map[string]chan struct{} // closed when the claim ends
	committed map[string]time.Time     // until when
	order     []string                 // of committed; every key has the same ttl, so the first expires first
}

// New returns an empty Memory.
func New() *Memory { return newLimited(maxCommitted) }

func newLimited(limit int) *Memory {
	return &Memory{limit: limit, claimed: map[string]chan struct{}{}, committed: map[string]time.Time{}}
}

// Claim returns true if key is committed. Otherwise it claims key and returns false; while another caller holds the
// claim, it waits. Its only error is that of ctx. There is no lease: claims die with the process.
func (m *Memory) Claim(ctx context.Context, key string, _ time.Duration) (committed bool, err error) {
	for {
		committed, other := m.try(key)
		if other == nil {
			return committed, nil
		}
		select {
		case <-other:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// try returns the claim of another caller, if there is one.
func (m *Memory) try(key string) (committed bool, other chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Now().Before(m.committed[key]) {
		return true, nil
	}
	if other := m.claimed[key]; other != nil {
		return false, other
	}
	m.claimed[key] = make(chan struct{})
	return false, nil
}

// Commit ends the claim of key, which the caller must hold: for ttl, key is committed. Every key of a Memory must get
// the same ttl. Commit also drops expired keys. Its error is always nil.
func (m *Memory) Commit(_ context.Context, key string, ttl time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for len(m.order) > 0 && (len(m.order) == m.limit || !now.Before(m.committed[m.order[0]])) {
		delete(m.committed, m.order[0])
		m.order = m.order[1:]
	}
	m.committed[key], m.order = now.Add(ttl), append(m.order, key)
	m.end(key)
	return nil
}

// Release ends the claim of key, which the caller must hold: one of those who wait can claim it. Its error is always
// nil.
func (m *Memory) Release(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.end(key)
	return nil
}

func (m *Memory) end(key string) {
	close(m.claimed[key])
	delete(m.claimed, key)
}
